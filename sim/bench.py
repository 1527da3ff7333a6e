"""Verification of any catalogue entry: the generic cocotb bench, or all operand pairs in bulk mode."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..hdl.catalogue import design
from ..hdl.tool import ToolError
from ..models.errors import ConfigError
from .build import build, run
from .coverage import coverage, holes
from .player import play
from .store import digest

__all__ = ["MAX_EXHAUSTIVE_WIDTH", "Verdict", "all_operands", "verify"]

MAX_EXHAUSTIVE_WIDTH = 16
RUN_TIMEOUT_S = 3600


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What verification found.

    Parameters
    ----------
    design : :class:`str`
        Name in the catalogue.
    passed : :class:`bool`
        Whether every output beat was the golden model's and every rule was kept.
    beats_in, beats_out : :class:`int`
        Beats that went in and came out.
    cycles : :class:`int`
        Clock cycles simulated.
    coverage : :class:`dict`
        How often each corner of each field went in; see :func:`~carrysave.sim.coverage.coverage`.
    seed : :class:`int`
        Seed of stimulus and stalls.
    simulator : :class:`str`
        ``"verilator"`` or ``"icarus"``.
    level : :class:`str`
        ``"rtl"``, or ``"netlist"`` where sources were given.
    seconds : :class:`float`
        Time it took, the build included.
    failure : :class:`str` or None
        One line on what failed first.
    exhaustive : :class:`bool`
        Whether all operand pairs went in.
    """

    design: str
    passed: bool
    beats_in: int
    beats_out: int
    cycles: int
    coverage: dict = field(repr=False)
    seed: int
    simulator: str
    level: str
    seconds: float
    failure: str | None
    exhaustive: bool = False

    @property
    def holes(self):
        """Corners that never went in, as ``"field: bin"``."""
        return holes(self.coverage)

    def __str__(self):
        bins = sum(len(row) for row in self.coverage.values())
        text = (
            f"{self.design} ({self.level}, {self.simulator}): {'passed' if self.passed else 'FAILED'}, "
            f"{self.beats_in} beats in, {self.beats_out} out, {self.cycles} cycles, "
            f"{bins - len(self.holes)} of {bins} corners covered, seed {self.seed}, {self.seconds:.1f} s"
        )
        return text if self.passed else f"{text}: {self.failure}"


def verify(
    config,
    *,
    store,
    vectors=3000,
    seed=1,
    exhaustive=False,
    bulk=False,
    simulator="verilator",
    sources=None,
    log=None,
):
    """Verify one configuration against its golden model.

    The cocotb bench plays corners first, then random beats, by several patterns of stalls, and checks every output beat,
    the rules of the streams, latency, initiation interval, and that nothing more comes out. With ``exhaustive`` all
    operand pairs go in as reductions of one product, in bulk mode; with ``bulk`` the same beats as in the bench, by random
    stalls, which does millions in seconds.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    store : :class:`~carrysave.sim.store.Store`
        Keeps the build, the run, its log.
    vectors : :class:`int`
        Input beats.
    seed : :class:`int`
        Seed of stimulus and stalls; a failure repeats with the same one.
    exhaustive : :class:`bool`
        All operand pairs in place of ``vectors`` random ones.
    bulk : :class:`bool`
        Bulk mode in place of the cocotb bench: outputs and the rules of the streams, not latency nor initiation interval.
    simulator : ``"verilator"`` or ``"icarus"``
    sources : list of :class:`str`, optional
        Verilog texts in place of the exported RTL: first the design, then the models of its cells.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    :class:`Verdict`

    Raises
    ------
    ConfigError
        For a number of vectors or a seed that is not legal, or a design too large for ``exhaustive``.
    ToolError
        If a tool is missing, fails or takes too long.
    """
    log = log or (lambda line: None)
    for name, value, low in (("vectors", vectors, 1), ("seed", seed, 0)):
        if type(value) is not int or not low <= value < 1 << 32:
            raise ConfigError(f"{name} must be an integer in {low}..{(1 << 32) - 1}, not {value!r}")
    start = time.perf_counter()
    stimulus = design(config.design).stimulus
    beats = all_operands(config) if exhaustive else stimulus(config, np.random.default_rng(seed), vectors)
    log(f"{config.design}: building its simulation on {simulator}")
    built = build(config, store=store, sources=sources, simulator=simulator)
    if exhaustive:
        log(f"{config.design}: playing all {len(beats)} operand pairs")
        found = _played(config, beats, store=store, sources=sources, simulator=simulator)
    elif bulk:
        log(f"{config.design}: playing {vectors} beats, seed {seed}")
        found = _played(config, beats, store=store, sources=sources, simulator=simulator, stalls=seed)
    else:
        log(f"{config.design}: verifying with {vectors} beats, seed {seed}")
        found = _bench(config, built, beats, store=store, seed=seed)
    verdict = Verdict(
        design=config.design,
        passed=found["failure"] is None,
        beats_in=found["beats_in"],
        beats_out=found["beats_out"],
        cycles=found["cycles"],
        coverage=coverage(config.i, beats[: found["beats_in"]], config.never),
        seed=seed,
        simulator=simulator,
        level=built.level,
        seconds=time.perf_counter() - start,
        failure=found["failure"],
        exhaustive=exhaustive,
    )
    log(str(verdict))
    return verdict


def all_operands(config):
    """Beats with every combination of operands, each a reduction of one.

    Raises
    ------
    ConfigError
        If an operand is an array, or all together are wider than :data:`MAX_EXHAUSTIVE_WIDTH` bits.
    """
    operands = [one for one in config.i.fields if one.name != "last"]
    width = sum(one.width * one.size for one in operands)
    if any(one.shape for one in operands) or width > MAX_EXHAUSTIVE_WIDTH:
        raise ConfigError(
            f"exhaustive verification takes scalar operands of {MAX_EXHAUSTIVE_WIDTH} bits in all; "
            f"those of {config.design} are {', '.join(f'{one.name} {one.describe()}' for one in operands)}"
        )
    ranges = [np.arange(one.minimum, one.maximum + 1) for one in operands]
    grids = np.meshgrid(*ranges, indexing="ij")
    arrays = {one.name: grid.ravel() for one, grid in zip(operands, grids, strict=True)}
    if len(operands) < len(config.i.fields):
        arrays["last"] = np.ones(1 << width, np.int64)
    return config.i.beats(**arrays)


def _played(config, beats, *, store, sources, simulator, stalls=None):
    played = play(config, beats, store=store, sources=sources, simulator=simulator, stalls=stalls)
    return {
        "failure": played.first_mismatch,
        "beats_in": played.beats,
        "beats_out": len(played.outputs),
        "cycles": played.cycles,
    }


def _bench(config, built, beats, *, store, seed):
    entry = design(config.design)
    component = entry.component(config)
    component._MustUse__used = True  # asked for two numbers only: no warning that it is never elaborated
    job = {
        "design": config.design,
        "parameters": config.to_mapping(),
        "vectors": len(beats),
        "seed": seed,
        "latency": component.latency,
        "initiation_interval": component.initiation_interval,
    }
    vectors = digest(config.i.pack(beats).tobytes(), config.o.pack(entry.golden(config, beats)).tobytes())
    key = [built.key, digest(Path(__file__).with_name("cocotb_bench.py")), vectors, job]

    def make(folder):
        (folder / "job.json").write_text(json.dumps({**job, "verdict": str(folder / "verdict.json")}, indent=1))
        run(
            built,
            folder=folder,
            module=f"{__package__}.cocotb_bench",
            environment={"CARRYSAVE_JOB": os.fspath(folder / "job.json")},
            plusargs=["+manual"],
            timeout_s=RUN_TIMEOUT_S,
        )
        if not (folder / "verdict.json").is_file():
            raise ToolError(f"the simulation ended without a verdict; its log is {folder / 'run.log'}")

    folder = store.step(config, f"sim/bench-{digest(key)[:10]}", key, make)
    return json.loads((folder / "verdict.json").read_text())
