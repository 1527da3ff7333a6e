"""Benchmarks of the bit-weight family's modules: our area-delay fronts beside the published modules' points."""

from dataclasses import dataclass

from .asic.front import figure_of_merit, front
from .bench_modules import BroadcastColumn, EnTCodes, RegisteredSparseEncoder, SkewedArray, Without
from .hdl.slice_pe import OPT3PE, SlicePE
from .hdl.stationary import sums_config
from .hdl.tree import TreeColumn
from .hdl.verilog import verilog_of
from .models.cube import CubeConfig
from .models.digits import Recoding
from .models.stationary import TreeConfig
from .models.systolic import SystolicConfig

__all__ = ["FAMILY", "MODULES", "area_at", "family_fronts", "family_markdown", "merit", "pareto"]

DIGITS_PER_OPERAND = Recoding(encoding="en-t").mean_nonzero_digits(sigma=30)
"""What a MAC takes a bit-slice PE, in digits: EN-T, INT8, round(N(0, 30)) clipped."""

FAMILY = {
    "OPT4C PE": ((215, 596), (278, 534), (385, 516), (453, 471)),
    "OPT4E PE": ((215, 4 * 596), (278, 4 * 534), (385, 4 * 516), (453, 4 * 471)),
    "sparse encoder": ((133, 197), (189, 160)),
    "EN-T encoder": ((170, 172), (318, 141)),
    "OPT3 PE": ((219, 735), (282, 696), (354, 673), (487, 632)),
    "OPT4C column, 16 PEs": ((299, 9154), (358, 7986), (456, 7489)),
    "OPT2 tile, 16 lanes": ((581, 14533), (654, 13691), (890, 12815), (994, 12769)),
    "systolic 4 x 4, OPT1": ((498, 20218), (713, 17777)),
    "systolic 4 x 4, MAC": ((1083, 15600), (1864, 12868)),
    "cube 4 x 4 x 4, OPT1": ((499, 51032), (722, 43929)),
    "cube 4 x 4 x 4, MAC": ((823, 44938), (1283, 38032)),
}
"""Points (delay in ps, area in um2) of the published modules by the same recipe; for OPT4E, four published OPT4C PEs."""

_SMALL = {"effort": "normal"}
_LARGE = {"front_ends": ("plain",), "scripts": ("map", "area", "nf"), "targets_ps": (0, 600, 400, 300)}
_ARRAY = {"front_ends": ("plain",), "scripts": ("map", "area", "nf"), "targets_ps": (0, 1000, 700, 500)}
_CUBE = {**_ARRAY, "targets_ps": (0, 700, 500)}
_SPACINGS = ((4, 1), (5, 1), (8, 1), (4, 2), (8, 2))


@dataclass(frozen=True)
class SliceParameters:
    """A bit-slice PE's parameters, those of the published one where it is not said otherwise."""

    carry_spacing: int
    carry_spacing_low: int
    pe_lanes: int = 1
    b_width: int = 8
    b_signed: bool = True
    acc_width: int = 26
    radix: int = 4
    horner: bool = False


@dataclass(frozen=True)
class Module:
    """One of our modules, to be held against a published one.

    Parameters
    ----------
    candidates : callable
        Gives pairs of a structure's name and a component; their points together make the front.
    options : dict
        What :func:`~carrysave.asic.front.front` tries.
    macs_per_cycle : :class:`float`
        What it does in a cycle; 0 for an encoder.
    reset : :class:`bool`
        Whether there are registers in it that are reset.
    """

    candidates: object
    options: dict
    macs_per_cycle: float
    reset: bool = False


def _structure(registered, high, low):
    return f"{registered} registered, carries 1 in {high} above, 1 in {low} below"


def _slice_pes(lanes):
    for registered in ("operands", "multiples"):
        for high, low in _SPACINGS:
            pe = SlicePE(SliceParameters(high, low, lanes), registered=registered)
            yield _structure(registered, high, low), Without(pe, "select_o")


def _opt3_pes():
    for high, low in _SPACINGS:
        yield _structure("operands", high, low), OPT3PE(SliceParameters(high, low))


def _columns():
    for registered in ("operands", "multiples"):
        for high, low in ((4, 1), (4, 2), (8, 2)):
            column = BroadcastColumn(SliceParameters(high, low), 16, registered=registered)
            yield _structure(registered, high, low), column


def _tiles():
    for registers in (0, 1, 2):
        config = TreeConfig(cols=1, lanes=16, pe="opt1", tree_registers=registers)
        yield f"one compressor, {registers} registers in it", TreeColumn(sums_config(config))


def _arrays(config, pe, structures):
    for correction, rows, spacing in structures:
        config_of = {"rows": 4, "cols": 4, "acc_width": 32, "overflow": "wrap", "encode": "edge", "pe": pe}
        config_of |= {"correction": correction, "product_rows": rows}
        told = ["constant taken out in each PE" if correction == "pe" else "constant taken out once a result"]
        if rows:
            told.append(f"a register after {rows} rows of products")
        if spacing:
            config_of |= {"carry_spacing": spacing[0], "carry_spacing_low": spacing[1]}
            told.append(f"carries 1 in {spacing[0]} above, 1 in {spacing[1]} below")
        yield ", ".join(told), SkewedArray(config(**config_of))


# Where the constant goes, rows of products in a register, spacing of the carries: what searches by hand left of all.
_SYSTOLIC_OPT1 = (
    ("drain", 0, (8, 2)),
    ("drain", 0, (16, 4)),
    ("pe", 0, (8, 1)),
    ("pe", 0, (8, 4)),
    ("pe", 0, (16, 4)),
)
_CUBE_OPT1 = (("drain", 0, (8, 2)), ("pe", 0, (8, 1)), ("pe", 0, (8, 4)), ("pe", 3, (8, 1)))
_SYSTOLIC_MAC = (("drain", 0, None), ("pe", 0, None))
_CUBE_MAC = (("pe", 0, None),)


MODULES = {
    "OPT4C PE": Module(lambda: _slice_pes(1), _SMALL, 1 / DIGITS_PER_OPERAND),
    "OPT4E PE": Module(lambda: _slice_pes(4), _SMALL, 4 / DIGITS_PER_OPERAND),
    "sparse encoder": Module(lambda: [("outputs registered", RegisteredSparseEncoder())], _SMALL, 0, reset=True),
    "EN-T encoder": Module(lambda: [("no increment", EnTCodes())], _SMALL, 0),
    "OPT3 PE": Module(_opt3_pes, _SMALL, 1 / DIGITS_PER_OPERAND, reset=True),
    "OPT4C column, 16 PEs": Module(_columns, _LARGE, 16 / DIGITS_PER_OPERAND, reset=True),
    "OPT2 tile, 16 lanes": Module(_tiles, _ARRAY, 16),
    "systolic 4 x 4, OPT1": Module(lambda: _arrays(SystolicConfig, "opt1", _SYSTOLIC_OPT1), _ARRAY, 16),
    "systolic 4 x 4, MAC": Module(lambda: _arrays(SystolicConfig, "mac", _SYSTOLIC_MAC), _ARRAY, 16),
    "cube 4 x 4 x 4, OPT1": Module(lambda: _arrays(CubeConfig, "opt1", _CUBE_OPT1), _CUBE, 64),
    "cube 4 x 4 x 4, MAC": Module(lambda: _arrays(CubeConfig, "mac", _CUBE_MAC), _CUBE, 64),
}
"""Ours, by the names of :data:`FAMILY`."""


def merit(delay_ps, area_um2, macs_per_cycle):
    """Multiply-accumulates a second and area, in 10^12 MAC/s per mm2."""
    return macs_per_cycle * figure_of_merit(delay_ps, area_um2)


def area_at(points, delay_ps):
    """Smallest area that a front has at a delay, or None where it does not reach it."""
    areas = [area for delay, area, *_ in points if delay <= delay_ps]
    return min(areas) if areas else None


def pareto(points):
    """Those of the points (delay, area, ...) that no other beats in both figures, fastest first."""
    best, kept = float("inf"), []
    for point in sorted(points):
        if point[1] < best:
            best = point[1]
            kept.append(point)
    return kept


def family_fronts(store, log, names=None):
    """Search the fronts of our modules; cached, so that a killed search continues where it stopped.

    Parameters
    ----------
    store : :class:`~carrysave.sim.store.Store`
    log : callable
        Receives lines of progress.
    names : iterable of :class:`str`, optional
        Only these of :data:`MODULES`.

    Returns
    -------
    dict
        From a module's name to its front: lists of (delay in ps, area in um2, structure).
    """
    fronts = {}
    for name in MODULES if names is None else names:
        points = []
        for structure, component in MODULES[name].candidates():
            text = verilog_of(component, "module_under_test", reset=MODULES[name].reset)
            for point in front(text, "module_under_test", cache_folder=store.root / "front", **MODULES[name].options):
                points.append((point.delay_ps, point.area_um2, structure))
        fronts[name] = pareto(points)
        log(f"{name}: {len(points)} points")
    return fronts


def _beside(fronts):
    yield "| module | published, ps: um2 | ours at that delay, um2 | ours / published | merit, published | merit, ours |"
    yield "|---|---|---|---|---|---|"
    beaten = []
    for name, published in FAMILY.items():
        macs = MODULES[name].macs_per_cycle
        for delay, area in published:
            ours = area_at(fronts[name], delay)
            shown, ratio, merits = "-", "-", ("-", "-")
            if ours is not None:
                shown, ratio = f"{ours:.0f}", f"{ours / area:.2f}"
            if ours is None or ours > area:
                beaten.append(f"{name} {delay}: {area}")
            if macs:
                merits = [f"{merit(delay, um2, macs):.2f}" if um2 else "-" for um2 in (area, ours)]
            label = f"{name}, against four OPT4C" if name == "OPT4E PE" else name
            yield f"| {label} | {delay}: {area} | {shown} | {ratio} | {merits[0]} | {merits[1]} |"
    yield ""
    yield f"Published points that ours does not match in area at their delay: {'; '.join(beaten) or 'none'}."
    worse = [
        f"{name} {delay:.0f}: {area:.0f}"
        for name, published in FAMILY.items()
        for delay, area, *_ in fronts[name]
        if any(other[0] <= delay and other[1] <= area for other in published)
    ]
    yield f"Points of our fronts that a published one beats in both figures: {'; '.join(worse) or 'none'}."


def _merged(fronts):
    yield "| delay, ps | four of our OPT4C, um2 | our OPT4E, um2 | ratio |"
    yield "|---|---|---|---|"
    for delay, _area in FAMILY["OPT4C PE"]:
        single, merged = (area_at(fronts[name], delay) for name in ("OPT4C PE", "OPT4E PE"))
        ratio = f"{merged / single / 4:.2f}" if single and merged else "-"
        columns = ["-" if area is None else f"{area:.0f}" for area in (single and 4 * single, merged)]
        yield f"| {delay} | {columns[0]} | {columns[1]} | {ratio} |"


def family_markdown(fronts):
    """Lines of the section of ``docs/benchmarks.md`` on the bit-weight family."""
    lines = [
        "## The bit-weight family beside the published modules",
        "",
        "The same recipe, at equal function and pipelining: PEs with 8-bit b, accumulator of 26 bits in carry-save form,",
        "cleared by gating the feedback; the encoders take and give what the published ones do. A PE holds its operands in the",
        "registers at its inputs, or the multiples of b that the digits select: as many flip-flops or fewer, elsewhere in the",
        "pipeline. Like the published ones they do not shift their accumulator between digit weights, as those of our bit-slice",
        "arrays do, which are larger and slower. OPT3 includes its sparse encoder. The column is one sparse encoder whose digit",
        "goes to 16 OPT4C PEs. Of the",
        "tile the published one registers all partial products, ours what a compressor tree leaves of them, and holds a second",
        "set of weights. Arrays and cubes, accumulators of 32 bits, digits encoded at the edge: ours *with* encoders, drain,",
        "correction and final adders, the published ones with every accumulator an output. Operands come skewed and results",
        "leave so in both. Where the structure names a register after the products, a result comes a cycle later.",
        "",
        "Merit: 10^12 MAC/s per mm2 with 130 ps for clock-to-q and set-up. For bit-slice PEs at",
        f"{DIGITS_PER_OPERAND:.3f} digits an operand (EN-T, INT8, sigma 30, exact): what columns lose as they wait for one",
        "another, encoders that are not part of the module and operand memories come on top.",
        "",
        *_beside(fronts),
        "",
        "Four OPT4C PEs against one OPT4E PE, both ours:",
        "",
        *_merged(fronts),
        "",
        "Best merit of each module, over its whole front:",
        "",
        "| module | delay, ps | area, um2 | merit | structure |",
        "|---|---|---|---|---|",
    ]
    for name, module in MODULES.items():
        if module.macs_per_cycle:
            best, (delay, area, how) = max(
                (merit(delay, area, module.macs_per_cycle), (delay, area, how)) for delay, area, how in fronts[name]
            )
            lines.append(f"| {name} | {delay:.0f} | {area:.0f} | {best:.2f} | {how} |")
    lines += ["", "Whole fronts:", "", "| module | delay, ps | area, um2 | structure |", "|---|---|---|---|"]
    for name in MODULES:
        lines += [f"| {name} | {delay:.0f} | {area:.0f} | {how} |" for delay, area, how in fronts[name]]
    return lines
