"""The long verification campaign of ``make verify``: every design over widths, signs and structures, RTL and netlist."""

import contextlib
import json
from pathlib import Path

from . import __version__
from .api import configure, verify, write_whole
from .hdl.verilog import verilog
from .models.errors import CarrysaveError
from .sim.store import Store

__all__ = ["campaign", "plan", "write_markdown"]

_WIDTHS = ((4, 4), (4, 8), (8, 4), (5, 7), (8, 8), (12, 9), (16, 16))
_SIGNS = ((True, True), (True, False), (False, True), (False, False))
_STRUCTURES = (
    {"partial_products": "booth", "encode": "pe"},
    {"partial_products": "booth", "encode": "edge", "adder": "brent-kung"},
    {"partial_products": "and", "adder": "han-carlson"},
)
_CARRIES = ((1, 1), (4, 1), (64, 64))
_ARRAYS = (
    {"rows": 1, "cols": 1},
    {"rows": 2, "cols": 3, "encode": "edge"},
    {"rows": 5, "cols": 2, "a_width": 4, "b_width": 8, "b_signed": False},
    {"rows": 4, "cols": 4, "result_rows": 12, "partial_products": "and"},
    {"rows": 8, "cols": 8},
)


def plan():
    """What is verified, in order.

    Returns
    -------
    list of (:class:`~carrysave.models.config.Config`, dict)
        A configuration and the arguments of :func:`carrysave.api.verify` for it.
    """
    jobs = []
    for name in ("mac", "opt1"):
        for on in ("rtl", "gates"):
            jobs.append((configure(name), {"on": on, "exhaustive": True}))
            jobs.append((configure(name), {"on": on}))
        for index, (a_width, b_width) in enumerate(_WIDTHS):
            for turn, (a_signed, b_signed) in enumerate(_SIGNS):
                # Every width with every sign; the structures take turns, so that each meets each width and each sign.
                structure = _STRUCTURES[(index + turn) % len(_STRUCTURES)]
                config = configure(
                    name,
                    a_width=a_width,
                    b_width=b_width,
                    a_signed=a_signed,
                    b_signed=b_signed,
                    max_k=1000,
                    **structure,
                )
                jobs.append((config, {"on": "rtl"}))
        jobs.append((configure(name, width=8, acc_width=16, overflow="wrap"), {"on": "rtl"}))
    jobs += [(configure("opt1", carry_spacing=high, carry_spacing_low=low), {"on": "rtl"}) for high, low in _CARRIES]
    for parameters in _ARRAYS:
        jobs += [(configure("systolic-os", pe=pe, **parameters), {"on": "rtl"}) for pe in ("mac", "opt1")]
    jobs += [(configure("systolic-os", rows=2, cols=2, pe=pe), {"on": "gates"}) for pe in ("mac", "opt1")]
    return jobs


def campaign(*, build_folder="build", jobs=None, scheduler=None, log=None):
    """Verify all of :func:`plan`; what an earlier run has verified of this very Verilog is not repeated.

    Parameters
    ----------
    build_folder : path
        Keeps every verdict; with a ``scheduler`` a folder that all workers see, as an absolute path.
    jobs : list, optional
        In place of :func:`plan`.
    scheduler : :class:`str`, optional
        Address of a ``dask.distributed`` scheduler whose workers do the jobs; needs the extra ``dask``.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    list of dict
        One row a job: ``design``, ``parameters`` (those that are not the default), ``on``, ``exhaustive``, ``passed``,
        ``beats_in``, ``cycles``, ``seed``, ``failure``.
    """
    log, jobs, rows = log or (lambda line: None), plan() if jobs is None else jobs, []
    with _rows(jobs, str(build_folder), scheduler) as results:
        for number, row in enumerate(results, 1):
            rows.append(row)
            log(f"{number} of {len(jobs)}: {_describe(row)}: {'passed' if row['passed'] else row['failure']}")
    return rows


@contextlib.contextmanager
def _rows(jobs, build_folder, scheduler):
    """The jobs' rows, in order, as they become known."""
    if scheduler is None:
        yield (_verified(config, arguments, build_folder) for config, arguments in jobs)
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
    key = [__version__, verilog(config), arguments]
    step = "verify/" + "-".join([arguments["on"], *(["exhaustive"] if arguments.get("exhaustive") else [])])

    def make(folder):
        verdict = verify(config, build_folder=build_folder, **arguments)
        names = ("passed", "beats_in", "cycles", "seed", "failure")
        (folder / "verdict.json").write_text(json.dumps({name: getattr(verdict, name) for name in names}))

    folder = Store(build_folder).step(config, step, key, make)
    standard = type(config)().to_mapping()
    return {
        "design": config.design,
        "parameters": {name: value for name, value in config.to_mapping().items() if value != standard[name]},
        "on": arguments["on"],
        "exhaustive": arguments.get("exhaustive", False),
        **json.loads((folder / "verdict.json").read_text()),
    }


def _describe(row):
    pairs = " ".join(f"{name}={value}" for name, value in row["parameters"].items())
    return f"{row['design']} {pairs or 'as it is'} on {row['on']}{', all operand pairs' if row['exhaustive'] else ''}"


def write_markdown(rows, path):
    """Write the table of ``docs/verification.md``.

    Parameters
    ----------
    rows : list of dict
        What :func:`campaign` gives.
    path : path
    """
    lines = [
        "# Verification campaign",
        "",
        f"Made by `make verify` with carrysave {__version__}: the generic cocotb bench on Verilator, every output beat",
        "against the golden model, random stalls on both streams; `all` plays every operand pair in bulk mode.",
        "",
        "| design | parameters that are not the default | level | beats | cycles | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        pairs = " ".join(f"{name}={value}" for name, value in row["parameters"].items())
        beats = f"{row['beats_in']}{' (all)' if row['exhaustive'] else ''}"
        verdict = "passed" if row["passed"] else f"FAILED: {row['failure']}"
        lines.append(f"| {row['design']} | {pairs} | {row['on']} | {beats} | {row['cycles']} | {verdict} |")
    return write_whole(Path(path), "\n".join(lines) + "\n")
