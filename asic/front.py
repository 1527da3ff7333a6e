"""Area against delay: many ways through synthesis at many target delays, and those that no other beats.

A yardstick to compare structures side by side: the delay is ABC's own, from register to register or port, without
clock-to-q and set-up, wires left out. What a design really clocks at is :mod:`carrysave.asic.timing`'s business.
"""

import json
import re
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from ..hdl.yosys import run_yosys
from ..sim.store import digest
from .liberty import default_library
from .synthesis import FRONT_ENDS, YARDSTICK_SCRIPTS, SynthesisError, abc_command, link_library, write_constraints

__all__ = ["EFFORTS", "REGISTER_OVERHEAD_PS", "Point", "figure_of_merit", "front", "pareto", "tries"]

REGISTER_OVERHEAD_PS = 130.0
"""Clock-to-q and set-up together, for :func:`figure_of_merit`: the same for everyone."""

TARGETS_PS = (0, 2000, 1500, 1200, 1000, 800, 600, 500, 400, 300)

EFFORTS = {
    "quick": (("plain",), ("map", "area"), (0, 1000, 600, 400)),
    "normal": (("plain",), tuple(YARDSTICK_SCRIPTS), TARGETS_PS),
    "full": (tuple(FRONT_ENDS), tuple(YARDSTICK_SCRIPTS), TARGETS_PS),
}
"""Front ends, ABC scripts and target delays in ps (0: none) of each effort."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
_DELAY = re.compile(r"Delay\s*=\s*([\d.]+) ps")


@dataclass(frozen=True, kw_only=True, order=True)
class Point:
    """One try.

    Members
    -------
    delay_ps : :class:`float`
        ABC's ``stime`` of the mapped netlist: the longest path between registers and ports, typical corner, inputs
        driven by a buffer, outputs loaded with 5 fF; without clock-to-q and set-up.
    area_um2 : :class:`float`
        Cells and flip-flops, rounded to 0.1 um2.
    front_end, script : :class:`str`
        Keys of :data:`~carrysave.asic.synthesis.FRONT_ENDS` and :data:`~carrysave.asic.synthesis.YARDSTICK_SCRIPTS`.
    target_ps : :class:`int`
        Target delay that ABC was given; 0 is none.
    """

    delay_ps: float
    area_um2: float
    front_end: str
    script: str
    target_ps: int


def figure_of_merit(delay_ps, area_um2):
    """Multiply-accumulates a second and area, in 10^12 MAC/s per mm2, of a unit that makes one a cycle."""
    return 1e6 / ((delay_ps + REGISTER_OVERHEAD_PS) * area_um2)


def pareto(points):
    """Those of the points that no other beats in both delay and area, fastest first."""
    best, kept = float("inf"), []
    for point in sorted(points):
        if point.area_um2 < best:
            best = point.area_um2
            kept.append(point)
    return kept


def front(verilog_text, top, *, cache_folder, **options):
    """Pareto front of all tries; parameters are those of :func:`tries`.

    Returns
    -------
    list of :class:`Point`
        Fastest first.
    """
    return pareto(tries(verilog_text, top, cache_folder=cache_folder, **options))


def tries(
    verilog_text,
    top,
    *,
    cache_folder,
    effort="normal",
    front_ends=None,
    scripts=None,
    targets_ps=None,
    library=None,
    jobs=1,
    timeout_s=3600,
    progress=None,
):
    """Synthesise a module in many ways.

    Every try is kept in the cache folder as soon as it is done, so that a killed search continues where it stopped.

    Parameters
    ----------
    verilog_text : :class:`str`
        The module and what it instantiates; it is flattened.
    top : :class:`str`
        Name of the module.
    cache_folder : path
        Where results are kept; may be shared by all modules, libraries and processes that do not run at the same time.
    effort : ``"quick"``, ``"normal"`` or ``"full"``
        What to try, see :data:`EFFORTS`. ``"full"`` pays where the Verilog leaves arithmetic to Yosys.
    front_ends, scripts, targets_ps : iterable, optional
        What to try instead of what the effort says.
    library : :class:`~carrysave.asic.liberty.Library`, optional
        By default the NanGate 45 nm library.
    jobs : :class:`int`
        Processes to run at a time.
    timeout_s : :class:`float`
        Seconds for one front end with one script.
    progress : callable, optional
        Called with the number of finished tries and of all.

    Returns
    -------
    list of :class:`Point`

    Raises
    ------
    SynthesisError
        For an option that is not known.
    ToolError
        If Yosys fails.
    """
    if not _IDENTIFIER.fullmatch(top):
        raise SynthesisError(f"top must be a Verilog identifier, not {top!r}")
    if effort not in EFFORTS:
        raise SynthesisError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    if type(jobs) is not int or jobs < 1:
        raise SynthesisError(f"jobs must be a positive integer, not {jobs!r}")
    chosen = (front_ends, scripts, targets_ps)
    front_ends, scripts, targets_ps = (
        tuple(given if given is not None else usual) for given, usual in zip(chosen, EFFORTS[effort], strict=True)
    )
    for name in front_ends:
        if name not in FRONT_ENDS:
            raise SynthesisError(f"front_end must be one of {'; '.join(FRONT_ENDS)}, not {name!r}")
    for name in scripts:
        if name not in YARDSTICK_SCRIPTS:
            raise SynthesisError(f"script must be one of {', '.join(YARDSTICK_SCRIPTS)}, not {name!r}")
    for target in targets_ps:
        if type(target) is not int or not 0 <= target <= 1_000_000:
            raise SynthesisError(f"targets_ps must be integers in 0..1000000, not {target!r}")
    library = library or default_library()
    key = digest(verilog_text, top, library.sha256, version("pyosys"), FRONT_ENDS, YARDSTICK_SCRIPTS)
    root = Path(cache_folder).resolve() / key[:20]
    root.mkdir(parents=True, exist_ok=True)
    source = root / "design.v"
    if not source.is_file():
        source.with_suffix(".new").write_text(verilog_text)
        source.with_suffix(".new").rename(source)
    batches = [_Batch(root, top, library, front_end, script) for front_end in front_ends for script in scripts]
    points, todo = [], []
    for batch in batches:
        found = [batch.result(target) for target in targets_ps]
        points += [point for point in found if point]
        missing = [target for target, point in zip(targets_ps, found, strict=True) if point is None]
        if missing:
            todo.append((batch, missing))
    total = len(batches) * len(targets_ps)
    if progress:
        progress(len(points), total)
    for made in _run(todo, jobs, timeout_s):
        points += made
        if progress:
            progress(len(points), total)
    return sorted(points)


def _run(todo, jobs, timeout_s):
    if jobs == 1 or len(todo) < 2:
        for batch, targets in todo:
            yield batch.run(targets, timeout_s)
        return
    with ThreadPoolExecutor(jobs) as pool:  # a thread only waits for its Yosys process
        futures = [pool.submit(batch.run, targets, timeout_s) for batch, targets in todo]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Batch:
    """One front end with one script: one Yosys process does all its targets and leaves each once it is done."""

    root: Path
    top: str
    library: object
    front_end: str
    script: str

    @property
    def folder(self):
        return self.root / f"{self.front_end.replace(', ', '+')}.{self.script}"

    def run(self, targets_ps, timeout_s):
        self.folder.mkdir(exist_ok=True)
        options = link_library(self.library, self.folder)
        write_constraints(self.library, self.folder)
        commands = [
            "read_verilog -sv ../design.v",
            f"synth -flatten -noabc {FRONT_ENDS[self.front_end]} -top {self.top}",
            f"dfflibmap {options}",
            "opt_clean -purge",
            "design -save mapped_registers",
        ]
        for target in targets_ps:
            commands += [
                "design -load mapped_registers",
                f"tee -q -o {target}.log {abc_command(options, self.script, target)}",
                "opt_clean -purge",
                f"tee -q -o {target}.json stat {options} -json",
            ]
        run_yosys(commands, folder=self.folder, timeout_s=timeout_s)
        points = [self.result(target) for target in targets_ps]
        if None in points:
            raise SynthesisError(
                f"Yosys left no result for target {targets_ps[points.index(None)]} ps in {self.folder}"
            )
        return points

    def result(self, target):
        """The point of a target, or None while there is none; a file that was cut short does not parse."""
        try:
            area = json.loads((self.folder / f"{target}.json").read_text())["design"]["area"]
            delays = _DELAY.findall((self.folder / f"{target}.log").read_text(errors="replace"))
        except (OSError, ValueError, KeyError):
            return None
        return Point(
            delay_ps=float(delays[-1]) if delays else 0.0,
            area_um2=round(float(area), 1),
            front_end=self.front_end,
            script=self.script,
            target_ps=target,
        )
