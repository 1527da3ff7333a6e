"""Bulk mode: the simulator itself plays vectors into a design and checks what comes out, millions a second."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..hdl.catalogue import design
from ..hdl.tool import ToolError
from ..models.errors import ConfigError
from .build import build, run
from .simulators import require
from .store import digest
from .telling import mismatch

__all__ = ["Played", "play"]

RUN_TIMEOUT_S = 3600

# Cycles without a beat in or out after which nothing more is expected, and after which a design is called hung.
DRAIN_CYCLES = 1024
PATIENCE_CYCLES = 16384

_FOREVER = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a run of the player gave.

    Parameters
    ----------
    outputs : array of ``config.o.dtype``
        Beats that came out of the simulator.
    passed : :class:`bool`
        Whether they are the expected ones, all of them and no more, by the rules of the streams.
    beats : :class:`int`
        Input beats that the design took.
    cycles : :class:`int`
        Clock cycles from the first accepted input beat to the last output beat, both counted.
    mismatches : :class:`int`
        Output beats that differ from the expected ones or are too many.
    violations : :class:`int`
        Cycles in which the output stream broke a rule: a beat withdrawn or changed before it was taken.
    hung : :class:`bool`
        The design stopped taking or giving beats before the end.
    first_mismatch : :class:`str` or None
        One line on what failed first.
    seconds_build, seconds_run : :class:`float`
        Time to build the simulation (almost none if the store had it) and time the simulator took from reset to the
        last beat, its start-up not counted.
    vectors_per_s : :class:`float`
        Input beats a second of ``seconds_run``.
    cached : :class:`bool`
        The run was found in the store; its times are those of the run that made it.
    saif : path or None
        Switching activity from the first accepted beat to the last output, in SAIF.
    counters : :class:`dict` or None
        What the design's own counters hold in the end, by name; None for a design that has none.
    """

    outputs: np.ndarray = field(repr=False)
    passed: bool
    beats: int
    cycles: int
    mismatches: int
    violations: int
    hung: bool
    first_mismatch: str | None
    seconds_build: float
    seconds_run: float
    vectors_per_s: float
    cached: bool
    saif: Path | None
    counters: dict | None = None


def play(
    config,
    beats,
    *,
    store,
    sources=None,
    expected=None,
    stalls=None,
    simulator="verilator",
    saif=False,
    check=True,
    fresh=False,
):
    """Play input beats through a design in the simulator.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    beats : array of ``config.i.dtype``
    store : :class:`~carrysave.sim.store.Store`
        Keeps the build and the run.
    sources : list of :class:`str`, optional
        Verilog texts in place of the exported RTL: first the design, then the models of its cells.
    expected : array of ``config.o.dtype``, optional
        Output beats to check against; by default those of the golden model.
    stalls : :class:`int`, optional
        Seed of random stalls on both streams; None never stalls.
    simulator : ``"verilator"`` or ``"icarus"``
    saif : :class:`bool`
        Record switching activity (Verilator only).
    check : :class:`bool`
        Compare outputs with the expected ones; without it all that comes out is recorded.
    fresh : :class:`bool`
        Run even if the store has this very run: for measuring speed.

    Returns
    -------
    :class:`Played`

    Raises
    ------
    ConfigError
        If there are no beats, or a value does not fit its field.
    ToolError
        If a tool is missing, fails or takes too long.
    """
    if not len(beats):
        raise ConfigError("there are no beats to play")
    if stalls is not None and (type(stalls) is not int or not 0 <= stalls < 1 << 32):
        raise ConfigError(f"stalls must be a seed in 0..{(1 << 32) - 1} or none, not {stalls!r}")
    require(simulator)
    if check and expected is None:
        expected = design(config.design).golden(config, beats)
    built = build(config, store=store, sources=sources, simulator=simulator, saif=saif)
    packed = _file_bytes(config.i, beats)
    packed_expected = _file_bytes(config.o, expected) if check else b""
    options = {"stalls": stalls, "check": check, "saif": saif}
    key = [built.key, options, digest(packed, packed_expected)]
    name = f"sim/play-{digest(key)[:10]}"
    if fresh:
        key = [*key, time.time_ns()]
    cached = store.fresh(config, name, key)

    def make(folder):
        (folder / "inputs.bin").write_bytes(packed)
        if check:
            (folder / "expected.bin").write_bytes(packed_expected)
        plusargs = _plusargs(len(beats), len(expected) if check else _FOREVER, stalls=stalls, check=check, saif=saif)
        job = {"verdict": str(folder / "verdict.json"), "counters": getattr(config, "counters", None) is not None}
        environment = {"CARRYSAVE_JOB": json.dumps(job)}
        module = f"{__package__}.cocotb_player"
        run(built, folder=folder, module=module, environment=environment, plusargs=plusargs, timeout_s=RUN_TIMEOUT_S)
        if not (folder / "verdict.json").is_file():
            raise ToolError(f"the simulation ended without a verdict; its log is {folder / 'run.log'}")
        (folder / "inputs.bin").unlink()
        (folder / "expected.bin").unlink(missing_ok=True)

    folder = store.step(config, name, key, make)
    verdict = json.loads((folder / "verdict.json").read_text())
    seconds = verdict.pop("seconds")
    first = _first_failure(config, beats, expected, verdict, check=check)
    return Played(
        outputs=_outputs(config.o, folder / "outputs.bin"),
        passed=first is None,
        beats=verdict["accepted"],
        cycles=verdict["cycles"],
        mismatches=verdict["mismatches"],
        violations=verdict["violations"],
        hung=verdict["hung"],
        first_mismatch=first,
        seconds_build=built.seconds,
        seconds_run=seconds,
        vectors_per_s=verdict["accepted"] / seconds,
        cached=cached,
        saif=folder / "activity.saif" if saif else None,
        counters=_counters(config, verdict),
    )


def _plusargs(beats, outputs, *, stalls, check, saif):
    plusargs = ["+inputs=inputs.bin", "+record=outputs.bin", f"+beats={beats}", f"+outputs={outputs}"]
    plusargs += [f"+patience={PATIENCE_CYCLES}", f"+drain={0 if saif else DRAIN_CYCLES}"]
    if check:
        plusargs.append("+expected=expected.bin")
    if stalls is not None:
        # Spreads neighbouring seeds; the generator needs one that is not zero.
        plusargs.append(f"+stalls={(stalls * 2654435761 + 1) % (1 << 32) or 1}")
    if saif:
        plusargs.append("+saif=activity.saif")
    return plusargs


def _file_bytes(payload, beats):
    return payload.pack(beats)[:, ::-1].tobytes()


def _outputs(payload, path):
    """Beats from what ``%u`` wrote: 32-bit words, least significant first."""
    words = -(-payload.width // 32)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    return payload.unpack(data.reshape(-1, 4 * words)[:, : -(-payload.width // 8)])


def _counters(config, verdict):
    if verdict.get("counters") is None:
        return None
    values = config.counters.from_ints([verdict["counters"]])[0]
    return {name: int(values[name]) for name in values.dtype.names}


def _first_failure(config, beats, expected, verdict, *, check):
    accepted, received = verdict["accepted"], verdict["received"]
    if verdict["mismatches"]:
        index, cycle = verdict["wrong_index"], verdict["wrong_cycle"]
        got = None if verdict["wrong_got"] is None else config.o.from_ints([verdict["wrong_got"]])
        return mismatch(config, beats, expected, index=index, got=got, cycle=cycle)
    if verdict["violations"]:
        return f"the output stream withdrew or changed a beat before it was taken, in {verdict['violations']} cycles"
    if verdict["hung"] or accepted != len(beats) or (check and received != len(expected)):
        wanted = f" of {len(expected)}" if check else ""
        return (
            f"the design stopped after {accepted} of {len(beats)} input beats and {received}{wanted} output beats "
            f"({PATIENCE_CYCLES} cycles without a beat)"
        )
    return None
