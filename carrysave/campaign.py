"""The long verification campaign of ``make verify``: every design over sizes, widths, signs and structures.

On the exported Verilog, on a small netlist of each kind, and by formal proofs; what is done stands in
:mod:`carrysave.campaign_plan`.
"""

import contextlib
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from . import __version__
from .api import verify, write_whole
from .campaign_plan import plan
from .hdl.catalogue import design
from .hdl.verilog import verilog
from .models import dfp_fma
from .models.config import Config
from .models.errors import CarrysaveError
from .sim import (
    bench,
    bit_sums,
    cocotb_bench,
    dfp_safety,
    formal,
    logic,
    part_proofs,
    pe_steps,
    player,
    polynomials,
    steps,
    tree_steps,
    width_proof,
)
from .sim.store import Store, digest

__all__ = ["campaign", "write_markdown"]


_PROVERS = (formal, pe_steps, tree_steps, width_proof, part_proofs, steps, polynomials, bit_sums, logic)
_SAFETY_PROVERS = (dfp_safety, dfp_fma)


def campaign(*, build_folder="build", jobs=None, scheduler=None, processes=None, log=None):
    """Verify all of :func:`~carrysave.campaign_plan.plan`; what an earlier run has verified of this very Verilog is not repeated.

    Parameters
    ----------
    build_folder : path
        Keeps every verdict; with a ``scheduler`` a folder that all workers see, as an absolute path.
    jobs : list, optional
        In place of :func:`~carrysave.campaign_plan.plan`.
    scheduler : :class:`str`, optional
        Address of a ``dask.distributed`` scheduler whose workers do the jobs; needs the extra ``dask``.
    processes : :class:`int`, optional
        Jobs to do at a time without a scheduler; as many as there are processors if not given.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    list of dict
        One row a job: ``design``, ``parameters`` (those that are not the default), ``on``, ``exhaustive``, ``passed``,
        ``beats_in``, ``cycles``, ``seed``, ``failure``, ``seconds`` (those of the run that did it); ``proofs`` of a formal
        job: a dictionary with ``subject``, ``claim``, ``how``, ``failure``, ``seconds`` each.
    """
    log, jobs, rows = log or (lambda line: None), plan() if jobs is None else jobs, []
    with _rows(jobs, str(build_folder), scheduler, processes or os.cpu_count() or 1) as results:
        for number, row in enumerate(results, 1):
            rows.append(row)
            log(f"{number} of {len(jobs)}: {_describe(row)}: {'passed' if row['passed'] else row['failure']}")
    return rows


@contextlib.contextmanager
def _rows(jobs, build_folder, scheduler, processes):
    """The jobs' rows, in order, as they become known."""
    if scheduler is None and processes == 1:
        yield (_verified(config, arguments, build_folder) for config, arguments in jobs)
        return
    if scheduler is None:
        # Fresh processes: a fork of one that has threads is not safe.
        with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
            futures = [pool.submit(_verified, config, arguments, build_folder) for config, arguments in jobs]
            try:
                yield (future.result() for future in futures)
            finally:
                pool.shutdown(cancel_futures=True)
        return
    try:
        from distributed import Client
    except ImportError:
        raise CarrysaveError("a scheduler needs the extra dask: pip install 'carrysave[dask]'") from None
    try:
        client = Client(scheduler, timeout=10)
    except (OSError, ValueError) as error:
        raise CarrysaveError(f"no scheduler answers at {scheduler}: {error}") from None
    with client:
        futures = [client.submit(_verified, config, arguments, build_folder) for config, arguments in jobs]
        yield (future.result() for future in futures)


def _verified(config, arguments, build_folder):
    """One row, from the store or made now; a process of its own can do it."""
    key, on = [__version__, verilog(config), arguments], arguments["on"]
    # What is done again when its source changes: the provers, or what the bench compares with.
    provers = _SAFETY_PROVERS if isinstance(config, dfp_fma.DFPChainConfig) else _PROVERS
    judges = provers if on == "formal" else (bench, cocotb_bench, player, *_models(config))
    key += [digest(Path(module.__file__)) for module in judges]
    step = "verify/" + "-".join([on, *(way for way in ("exhaustive", "bulk") if arguments.get(way))])

    def make(folder):
        start = time.perf_counter()
        verdict = _proven(config) if on == "formal" else _simulated(config, build_folder, arguments)
        verdict["seconds"] = round(time.perf_counter() - start, 1)
        (folder / "verdict.json").write_text(json.dumps(verdict))

    folder = Store(build_folder).step(config, step, key, make)
    standard = type(config)().to_mapping()
    return {
        "design": config.design,
        "parameters": {name: value for name, value in config.to_mapping().items() if value != standard[name]},
        "on": on,
        "exhaustive": arguments.get("exhaustive", False),
        **json.loads((folder / "verdict.json").read_text()),
    }


def _models(config):
    """Modules of the golden model and of all that it takes from other models."""
    entry = design(config.design)
    room = Config.__module__.rpartition(".")[0] + "."
    names = {part.__module__ for part in (*entry.config.__mro__, entry.golden, entry.stimulus)}
    found, waiting = set(), {name for name in names if name.startswith(room)}
    while waiting:
        name = waiting.pop()
        found.add(name)
        used = {str(getattr(value, "__module__", "")) for value in vars(sys.modules[name]).values()}
        waiting |= {other for other in used if other.startswith(room)} - found
    return [sys.modules[name] for name in sorted(found)]


def _simulated(config, build_folder, arguments):
    verdict = verify(config, build_folder=build_folder, **arguments)
    return {name: getattr(verdict, name) for name in ("passed", "beats_in", "cycles", "seed", "failure")}


def _proven(config):
    proofs = (dfp_safety if isinstance(config, dfp_fma.DFPChainConfig) else formal).prove(config)
    wrong = [proof for proof in proofs if not proof.proven]
    return {
        "passed": not wrong,
        "beats_in": 0,
        "cycles": 0,
        "seed": None,
        "failure": f"{wrong[0].subject}: {wrong[0].failure}" if wrong else None,
        "proofs": [
            {name: getattr(proof, name) for name in ("subject", "claim", "how", "failure", "seconds")}
            for proof in proofs
        ],
    }


def _pairs(row):
    return " ".join(f"{name}={value}" for name, value in row["parameters"].items())


def _describe(row):
    how = "formally" if row["on"] == "formal" else f"on {row['on']}"
    return f"{row['design']} {_pairs(row) or 'as it is'} {how}{', all operand pairs' if row['exhaustive'] else ''}"


def write_markdown(rows, path, *, planned=None):
    """Write ``docs/verification.md``.

    Parameters
    ----------
    rows : list of dict
        What :func:`campaign` gives.
    path : path
    planned : :class:`int`, optional
        Number of jobs in the whole campaign, where the rows are only some of them.
    """
    proven, simulated = ([row for row in rows if (row["on"] == "formal") == which] for which in (True, False))
    failed = sum(not row["passed"] for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    counts = f"{len(rows)} jobs, {len(rows) - failed} passed, {failed} failed"
    if planned is not None and planned > len(rows):
        counts = f"**Partial run: {len(rows)} of {planned} jobs.** {counts}"
    lines = [
        "# Verification campaign",
        "",
        f"Made by `make verify` with carrysave {__version__}. {counts}; {seconds / 60:.0f} minutes of work in all,",
        "shared by as many processes as there are processors. A rerun repeats only what has changed.",
        *_formal_text(proven),
        "",
        "## Simulation",
        "",
        "The generic cocotb bench on Verilator: corners first, then random beats, by six patterns of stalls on both streams,",
        "every output beat against the golden model, and the rules of the streams, latency and initiation interval; `all`",
        "plays every operand pair in bulk mode. `rtl` is the exported Verilog, `gates` the netlist mapped to NanGate 45 nm.",
        "",
        "| design | parameters that are not the default | level | beats | cycles | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in simulated:
        beats = f"{row['beats_in']}{' (all)' if row['exhaustive'] else ''}"
        lines.append(
            f"| {row['design']} | {_pairs(row)} | {row['on']} | {beats} | {row['cycles']} | {_told(row['failure'])} |"
        )
    return write_whole(Path(path), "\n".join(lines) + "\n")


def _told(failure):
    return "passed" if failure is None else f"FAILED: {failure}"


def _formal_text(rows):
    if not rows:
        return []
    lines = [
        "",
        "## Formal proofs",
        "",
        "Of each processing element one step of its registers is proven for *every* state and operand (`s`, `c` and `acc` are",
        "the accumulator, modulo its width), and the steps of encoders, corrections and final adders likewise. By induction",
        "the result is the exact sum of products modulo the accumulator's width. The netlist is what Yosys reads from the",
        "exported Verilog, unoptimised and cut at the registers that hold state; pipeline registers are wires, after a check",
        "that all inputs reach the state at the time that the PE's description says. Steps of a proof:",
        "",
        "1. *adders by identities*: from the outputs back, two bits of weights w and 2 w whose truth tables over two or three",
        "   common nodes make `n + 2 m` affine in these give way to that expression; a single bit of the highest weight does",
        "   where its parity is affine. Every such step is checked on the gates, names and structure are not trusted;",
        "2. *carry-propagate adders by ABC*: `cec` compares them with a ripple-carry adder, their inputs cut free;",
        "3. *symbols*: what remains is a sum of bits of few inputs each. It is compared with the specification as a multilinear",
        "   polynomial modulo the accumulator, with every value of operand a (or of a digit) tried and all else as symbols.",
        "",
        "Operands of 4 bits are proven a second time by ABC alone, against shift-and-add multipliers and ripple-carry adders.",
        "Not proven, simulated only: control, streams, memories, sparse encoders, Laconic's PE, the column of the OPT2 tree.",
        "",
        "| design | parameters that are not the default | claim | proven by | verdict |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        for proof in row["proofs"]:
            what = f"{proof['subject']}: {proof['claim']}"
            lines.append(
                f"| {row['design']} | {_pairs(row)} | {what} | {proof['how'] or '-'} | {_told(proof['failure'])} |"
            )
    return lines
