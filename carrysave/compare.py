"""All tensor processing engines side by side: area, clock, throughput, energy and utilisation, and ratios to baselines.

Every design is held to one boundary. Inside is all that it needs to take operands at its edge and to deliver finished
integers: encoders, operand registers, processing elements, final adders, drain, result buffer, control. Operand memories
(modules called ``operand_bank``) and the accumulator memories of weight-stationary arrays (``accumulator_rows``) are
outside; so are the banks that hold A's digits in bit-slice arrays (``digit_bank``) and their counters, which are for
the user's eyes (``event_counter``). Area and energy of what is outside are shown apart.

Each design is synthesised for several clock periods. Its *best* point is that of the highest TOPS/mm2. The points of equal
throughput are the smallest that deliver as much as its baseline does at the baseline's best point, and at its fastest one.
"""

import json
import os
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import version
from math import sqrt

from . import __version__
from .asic.estimate import energy, map_design
from .asic.liberty import default_library, load_library
from .asic.synthesis import ABC_SCRIPTS, FRONT_ENDS, RECIPES, Recipe, register_overhead_ps
from .asic.timing import analyse
from .compare_designs import ENTRIES
from .compare_work import load_workload
from .comparison import QUICK_RECIPES, library_facts
from .hdl.catalogue import design
from .hdl.verilog import verilog
from .models.errors import CarrysaveError, ConfigError
from .models.gemm import to_beats
from .sim.store import Store, digest

__all__ = ["BOUNDARY", "EFFORTS", "GROUPS", "SCHEMA", "Effort", "compare_tpe"]

SCHEMA = "carrysave-compare/1"

BOUNDARY = (
    "Inside the boundary: encoders, operand registers, processing elements, final adders, drain, result buffer, control. "
    "Outside, shown apart: operand memories (operand_bank, digit_bank), the accumulator memories of weight-stationary "
    "arrays (accumulator_rows), and counters (event_counter)."
)

OUTSIDE = "memories outside"
GROUPS = ("processing elements", "encoders", "final adders", "registers, drain, control", "result buffer", OUTSIDE)
"""Groups of modules, those inside the boundary first."""

_OUTSIDE_MODULES = ("operand_bank", "digit_bank", "accumulator_rows", "event_counter")
SIZES = (2, 32)
TARGETS_PS = (100.0, 1e6)
_STEP = 1.25  # between neighbouring targets
_NEAR = 0.97  # a target that close below a period that is asked for serves it as well
_START = 5.4  # first target, in units of clock-to-q and set-up


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How hard synthesis is tried.

    Parameters
    ----------
    recipes : tuple of :class:`~carrysave.asic.synthesis.Recipe`
        At every target.
    steps : :class:`int`
        Most targets on either side of the first one.
    refinements : :class:`int`
        How often the best target's surroundings are searched again, twice as finely.
    """

    recipes: tuple
    steps: int
    refinements: int


EFFORTS = {
    "quick": Effort(recipes=QUICK_RECIPES, steps=3, refinements=0),
    "normal": Effort(recipes=(*QUICK_RECIPES, Recipe(script="nf", effort=0.9)), steps=4, refinements=1),
    "full": Effort(recipes=RECIPES, steps=6, refinements=2),
}
"""Efforts by name."""


def compare_tpe(
    *,
    size=4,
    library=None,
    workload="normal",
    sigma=30.0,
    sequence=None,
    period_ps=None,
    designs=None,
    effort="quick",
    build_folder="build",
    log=None,
):
    """Put the designs of :data:`~carrysave.compare_designs.ENTRIES` side by side.

    Parameters
    ----------
    size : :class:`int`
        Rows, columns and lanes of the arrays, 2..32.
    library : path or :class:`str`, optional
        A Liberty file, ``osu018`` or ``osu035``; NanGate 45 nm if not given.
    workload : :class:`str` or path
        See :func:`~carrysave.compare_work.load_workload`.
    sigma : :class:`float`
        Standard deviation of operands that are made up.
    sequence : :class:`int`, optional
        Tokens, for the workload ``gpt-2``.
    period_ps : :class:`float`, optional
        The one clock period to synthesise all for; without it each design's best one is searched for.
    designs : list of :class:`str`, optional
        Names of designs, or ``design:pe``; all without.
    effort : :class:`str`
        Key of :data:`EFFORTS`.
    build_folder : path
        Keeps every point; a run that was stopped continues there.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``size``, ``workload``, ``library``, ``boundary``, ``rows``, ``skipped``, ``seconds``.

    Raises
    ------
    ConfigError
        If an argument is not legal.
    """
    start, log = time.perf_counter(), log or (lambda line: None)
    if type(size) is not int or not SIZES[0] <= size <= SIZES[1]:
        raise ConfigError(f"size must be an integer in {SIZES[0]}..{SIZES[1]}, not {size!r}")
    if effort not in EFFORTS:
        raise ConfigError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    if period_ps is not None and not TARGETS_PS[0] <= period_ps <= TARGETS_PS[1]:
        raise ConfigError(f"period_ps must be in {TARGETS_PS[0]:g}..{TARGETS_PS[1]:g}, not {period_ps!r}")
    entries = _chosen(designs)
    library = load_library(library) if library else default_library()
    work = load_workload(workload, sigma=sigma, sequence=sequence)
    skipped = [{"design": entry.label, "reason": "not in the catalogue"} for entry in entries if not entry.known]
    for row in skipped:
        log(f"{row['design']}: skipped, {row['reason']}")
    entries = [entry for entry in entries if entry.known]
    if not entries:
        raise ConfigError("none of the designs asked for is in the catalogue")
    shared = _Shared(work, size, library, EFFORTS[effort], period_ps, Store(build_folder), log)
    contenders = [_Contender(entry, shared) for entry in entries]
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        try:
            _each(pool, _Contender.search, contenders)
            _each(pool, _Contender.equalise, contenders, contenders)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    rows = [contender.row(_baseline(contender, contenders)) for contender in contenders]
    return {
        "schema": SCHEMA,
        "carrysave": __version__,
        "size": size,
        "effort": effort,
        "recipes": [f"{recipe.front_end}, {recipe.script}, {recipe.effort:g}" for recipe in EFFORTS[effort].recipes],
        "workload": shared.described(),
        "library": library_facts(library),
        "boundary": BOUNDARY,
        "rows": rows,
        "skipped": skipped,
        "seconds": time.perf_counter() - start,
    }


def _each(pool, call, contenders, *arguments):
    for job in [pool.submit(call, contender, *arguments) for contender in contenders]:
        job.result()


def _chosen(names):
    if names is None:
        return list(ENTRIES)
    legal = {entry.design for entry in ENTRIES} | {entry.label for entry in ENTRIES}
    for name in names:
        if name not in legal:
            known = ", ".join(dict.fromkeys(entry.design for entry in ENTRIES))
            raise ConfigError(f"designs must be of {known}, or one with its PE as in systolic-os:mac, not {name!r}")
    return [entry for entry in ENTRIES if entry.design in names or entry.label in names]


def _baseline(contender, contenders):
    for other in contenders:
        if other.entry.baseline and other.entry.architecture == contender.entry.architecture:
            return None if other is contender else other
    return None


class _Shared:
    """What all contenders have in common."""

    def __init__(self, work, size, library, effort, period_ps, store, log):
        self.work, self.size, self.library, self.effort = work, size, library, effort
        self.period_ps, self.store, self.log = period_ps, store, log
        self.samples = work.samples(size)

    @property
    def first_target_ps(self):
        return self.period_ps or float(f"{_START * register_overhead_ps(self.library):.1g}")

    def described(self):
        sampled = sum(sample.macs for sample in self.samples)
        return {
            "name": self.work.name,
            "description": self.work.description,
            "products": len(self.work.products),
            "macs": self.work.macs,
            "samples": [
                {
                    "name": sample.name,
                    "m": sample.a.shape[0],
                    "k": sample.a.shape[1],
                    "n": sample.b.shape[1],
                    "stands_for_macs": sample.macs,
                }
                for sample in self.samples
            ],
            "sampled_fraction": sampled / self.work.macs,
        }


class _Contender:
    """One design on its way through the comparison."""

    def __init__(self, entry, shared):
        self.entry, self.shared = entry, shared
        self.config = entry.config(shared.size)
        self.points, self.best, self.equal = {}, None, {}
        self._verilog = None

    def search(self):
        """Find the best point, measure its energy, and count the workload's cycles."""
        self._verilog = verilog(self.config)
        effort, first = self.shared.effort, self.shared.first_target_ps
        self.point(first)
        if self.shared.period_ps is None:
            self._climb(first, effort.steps)
            step = _STEP
            for _ in range(effort.refinements):
                step = sqrt(step)
                middle = max(self.points, key=lambda target: self.points[target]["merit"])
                for target in (middle / step, middle * step):
                    self.point(round(target))
        self.best = max(self.points.values(), key=lambda point: point["merit"])
        self.measure(self.best)
        self._count_cycles()
        self.shared.log(
            f"{self.entry.label}: best at {self.best['period_ps']:.0f} ps, {self.best['area_um2']:.0f} um2, "
            f"utilisation {self.utilisation:.1%}"
        )

    def _climb(self, first, steps):
        """Tighten the target as long as that pays and it is met, then loosen it from there as long as that pays."""
        target, point = first, self.points[first]
        for _ in range(steps):
            if point["period_ps"] > target:
                break
            before, target = point, round(target / _STEP)
            point = self.point(target)
            if point["merit"] < before["merit"]:
                break
        point, target = self.points[first], max(first, self.points[first]["period_ps"])
        for _ in range(steps):
            before, target = point, round(target * _STEP)
            point = self.point(target)
            if point["merit"] < before["merit"]:
                break

    def _count_cycles(self):
        work = self.shared.work
        counts = [self.entry.cycles(self.config, product) for product in work.products]
        self.cycles, ideal = (sum(column) for column in zip(*counts, strict=True))
        self.peak = work.macs / ideal
        self.macs_per_cycle = work.macs / self.cycles
        self.utilisation = ideal / self.cycles

    def equalise(self, contenders):
        """Points that deliver what the baseline does at its best and at its fastest point."""
        baseline = _baseline(self, contenders)
        if baseline is None:
            return
        fastest = min(baseline.points.values(), key=lambda point: point["period_ps"])
        for name, point in (("best", baseline.best), ("fastest", fastest)):
            needed_ps = point["period_ps"] * self.macs_per_cycle / baseline.macs_per_cycle
            near = any(_NEAR * needed_ps <= target <= needed_ps for target in self.points)
            if self.shared.period_ps is None and not near and TARGETS_PS[0] <= needed_ps <= TARGETS_PS[1]:
                self.point(int(needed_ps))
            able = [own for own in self.points.values() if own["period_ps"] <= needed_ps * 1.0001]
            own = min(able, key=lambda own: own["area_um2"], default=None)
            self.equal[name] = {"period_ps": needed_ps, "baseline_area_um2": point["area_um2"], "point": own}
            if own:
                clock_ps = point["period_ps"]
                theirs, ours = baseline.measure(point), self.measure(own)
                self.equal[name]["area_ratio"] = point["area_um2"] / own["area_um2"]
                self.equal[name]["energy_ratio"] = _energy(theirs, clock_ps) / _energy(ours, needed_ps)

    def point(self, target_ps):
        """Area and clock at a target period, from the store or made now."""
        shared, target_ps = self.shared, float(target_ps)
        if target_ps in self.points:
            return self.points[target_ps]

        def make():
            netlist = self._netlist(target_ps)
            pe = design(self.config.design).pe(self.config)
            return {"target_ps": target_ps, "period_ps": analyse(netlist).period_ps, **_areas(netlist, pe)}

        point = self._kept("point", [target_ps], make)
        point["merit"] = 1e6 / (point["period_ps"] * point["area_um2"])
        shared.log(
            f"{self.entry.label}: target {target_ps:g} ps gives {point['period_ps']:.0f} ps, {point['area_um2']:.0f} um2"
        )
        self.points[target_ps] = point
        return point

    def measure(self, point):
        """Energy of the samples on a point's netlist, every result checked; weighed as they occur in the workload."""
        shared = self.shared

        def make():
            netlist = self._netlist(point["target_ps"])
            timing, places = analyse(netlist), _places(netlist, design(self.config.design).pe(self.config))
            total = sum(sample.macs for sample in shared.samples)
            parts, leakage = Counter(), Counter()
            for sample in shared.samples:
                beats = to_beats(self.config, sample.a, sample.b)
                spent = energy(self.config, beats, netlist, store=shared.store, timing=timing).power
                share = sample.macs / total * spent.cycles / sample.sampled_macs  # cycles a MAC, weighed
                for module, groups in places.items():
                    for group, count in groups.items():
                        part = count / sum(groups.values())
                        parts[group] += spent.by_module[module] * part * share
                        leakage[group] += spent.leakage_by_module[module] * part * share
            return {"dynamic_fj": dict(parts), "leakage_nw_cycles": dict(leakage)}

        matrices = [digest(sample.a.tobytes(), sample.b.tobytes(), sample.macs) for sample in shared.samples]
        return self._kept("energy", [point["target_ps"], matrices], make)

    def _netlist(self, target_ps):
        shared = self.shared
        return map_design(
            self.config, store=shared.store, library=shared.library, period_ps=target_ps, recipes=shared.effort.recipes
        )

    def _kept(self, name, key, make):
        recipes = [repr(recipe) for recipe in self.shared.effort.recipes]
        key = [self._verilog, self.shared.library.sha256, recipes, *key]
        key += [FRONT_ENDS, ABC_SCRIPTS, version("pyosys"), __version__, GROUPS]

        def write(folder):
            (folder / "figures.json").write_text(json.dumps(make()))

        folder = self.shared.store.step(self.config, f"compare/{name}-{digest(key)[:10]}", key, write)
        return json.loads((folder / "figures.json").read_text())

    def row(self, baseline):
        """All figures of the design, as JSON takes them."""
        best = self._figures(self.best)
        row = {
            "architecture": self.entry.architecture,
            "design": self.entry.design,
            "pe": self.entry.pe,
            "label": self.entry.label,
            "baseline": self.entry.baseline,
            "parameters": self.entry.parameters(self.shared.size),
            "digest": self.config.digest,
            "peak_macs_per_cycle": self.peak,
            "macs_per_cycle": self.macs_per_cycle,
            "cycles": round(self.cycles),
            "utilisation": self.utilisation,
            "points": sorted(self.points.values(), key=lambda point: point["period_ps"]),
            "best": best,
            "equal_throughput": self.equal,
            "ratios": None,
        }
        if baseline is not None:
            theirs, paper = baseline._figures(baseline.best), self.entry.paper or (None, None)
            row["ratios"] = {
                "area_efficiency": best["tops_per_mm2"] / theirs["tops_per_mm2"],
                "area_at_equal_throughput": self.equal["best"].get("area_ratio"),
                "area_at_baselines_fastest": self.equal["fastest"].get("area_ratio"),
                "energy_efficiency": theirs["energy_per_mac_fj"] / best["energy_per_mac_fj"],
                "energy_at_equal_throughput": self.equal["best"].get("energy_ratio"),
                "speed": theirs["period_ps"] / best["period_ps"],
                "paper_area_efficiency": paper[0],
                "paper_energy_efficiency": paper[1],
            }
        return row

    def _figures(self, point):
        measured, period_ps = self.measure(point), point["period_ps"]
        spent = {group: _energy(measured, period_ps, (group,)) for group in GROUPS if group in measured["dynamic_fj"]}
        per_mac_fj = _energy(measured, period_ps)
        macs_per_ps = self.macs_per_cycle / period_ps
        pe = point["pe"]
        return {
            **point,
            "tops": 2 * macs_per_ps,  # operations in a picosecond are 10^12 in a second
            "tops_per_mm2": 2 * macs_per_ps / (point["area_um2"] * 1e-6),
            "energy_per_mac_fj": per_mac_fj,
            "energy_outside_per_mac_fj": spent.get(OUTSIDE, 0.0),
            "energy_parts_fj": spent,
            "tops_per_w": 2e3 / per_mac_fj,
            "merit_array": macs_per_ps / (point["area_um2"] * 1e-6),
            "merit_pe": self.macs_per_cycle
            / self.utilisation
            / pe["instances"]
            / (pe["period_ps"] * pe["area_um2"] * 1e-6),
        }


def _energy(measured, period_ps, groups=GROUPS[:-1]):
    """Energy of one MAC in fJ in some groups at a clock period; by default all inside the boundary."""
    dynamic, leakage = measured["dynamic_fj"], measured["leakage_nw_cycles"]
    return sum(dynamic.get(group, 0.0) + leakage.get(group, 0.0) * period_ps * 1e-6 for group in groups)


def _places(netlist, pe):
    """How often each module occurs in each group: ``{module: Counter of groups}``."""
    places = defaultdict(Counter)

    def visit(name, inherited):
        # What is in a PE or in a memory belongs to it, whatever it is called.
        group = inherited if inherited in (OUTSIDE, GROUPS[0]) else _group(name, pe)
        places[name][group] += 1
        for _cell, kind, _pins in netlist.modules[name].cells:
            if kind in netlist.modules:
                visit(kind, group)

    visit(netlist.top, None)
    return places


def _group(name, pe):
    if any(part in name for part in _OUTSIDE_MODULES):
        return OUTSIDE
    if name == pe:
        return GROUPS[0]
    if "encoder" in name:
        return GROUPS[1]
    if "final_adder" in name or "correction" in name:
        return GROUPS[2]
    return GROUPS[4] if name.endswith("_results") or "result_bank" in name else GROUPS[3]


def _areas(netlist, pe):
    own = {row["module"]: row["own_um2"] for row in netlist.area_report()}
    parts = Counter()
    for module, groups in _places(netlist, pe).items():
        for group, count in groups.items():
            parts[group] += own[module] * count
    if pe not in netlist.modules:
        raise CarrysaveError(f"the netlist of {netlist.top} has no module {pe}, its catalogue entry names it as the PE")
    return {
        "area_um2": sum(parts.values()) - parts[OUTSIDE],
        "outside_um2": parts[OUTSIDE],
        "area_parts_um2": {group: parts[group] for group in GROUPS if parts[group]},
        "pe": {
            "module": pe,
            "instances": netlist.instances_of[pe],
            "area_um2": netlist.area_um2(pe),
            "period_ps": analyse(replace(netlist, top=pe)).period_ps,
        },
    }
