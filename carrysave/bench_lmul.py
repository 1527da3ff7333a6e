"""Benchmarks of L-Mul and of the exact multiplier: our area-delay fronts beside two published modules' points."""

from dataclasses import dataclass

from .asic.front import front
from .bench_family import area_at
from .hdl.catalogue import design
from .hdl.verilog import verilog_of
from .models.float_multiply import FloatMultiplyConfig, FloatProductConfig
from .models.lmul import LMulConfig

__all__ = ["MULTIPLIERS", "PUBLISHED_MULTIPLIERS", "multiplier_fronts", "multiplier_markdown"]

PUBLISHED_MULTIPLIERS = {
    "L-Mul": ((445, 360), (478, 329), (499, 299), (580, 284), (660, 279), (780, 265), (978, 261), (1080, 255)),
    "exact": ((841, 762), (984, 701), (1116, 667), (1376, 625), (1490, 550), (1729, 538)),
}
"""Points (delay in ps, area in um2) of the published bfloat16 modules by the same recipe, every front end tried."""

# What the published modules do: no special values, and the limit is the largest code.
_CODES = {"format": "custom", "exponent_bits": 8, "mantissa_bits": 7, "nan": "none", "specials": False}
_FINITE = {"format": "bfloat16", "specials": False, "overflow": "saturate"}
_BRIEF = {"rounding": "toward-zero", "subnormals": False}


@dataclass(frozen=True)
class Multiplier:
    """One of our multipliers.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_multiply.FloatProductConfig`
    function : :class:`str`
        What it computes.
    """

    config: FloatProductConfig
    function: str


MULTIPLIERS = {
    "L-Mul": Multiplier(
        LMulConfig(**_CODES, offset="none"),
        "no offset; every code is a number, subnormal operands are zeros, the largest code is the limit",
    ),
    "exact": Multiplier(
        FloatMultiplyConfig(**_CODES, **_BRIEF),
        "truncates; every code is a number, subnormal numbers are zeros, the largest code is the limit",
    ),
    "L-Mul, offset": Multiplier(LMulConfig(**_CODES), "the paper's offset, else as L-Mul"),
    "L-Mul, largest finite": Multiplier(
        LMulConfig(**_FINITE, offset="none"), "as L-Mul, but bfloat16's largest finite number is the limit"
    ),
    "exact, largest finite": Multiplier(
        FloatMultiplyConfig(**_FINITE, **_BRIEF), "as exact, but bfloat16's largest finite number is the limit"
    ),
    "L-Mul, bfloat16": Multiplier(
        LMulConfig(),
        "the paper's offset; NaN, infinity and overflow as IEEE 754 has them, subnormal operands are zeros",
    ),
    "exact, bfloat16, flushing": Multiplier(
        FloatMultiplyConfig(subnormals=False),
        "to nearest even; NaN, infinity and overflow as IEEE 754 has them, subnormal numbers are zeros",
    ),
    "exact, bfloat16": Multiplier(FloatMultiplyConfig(), "IEEE 754, to nearest even"),
}
"""Ours; those that :data:`PUBLISHED_MULTIPLIERS` names have the function of the published one, but for what the page says."""

_PAIRS = (
    ("as published", "L-Mul", "exact"),
    ("bfloat16, subnormal numbers are zeros", "L-Mul, bfloat16", "exact, bfloat16, flushing"),
)


def multiplier_fronts(store, log, names=None, **options):
    """Search the fronts of our multipliers; cached, so that a killed search continues where it stopped.

    Parameters
    ----------
    store : :class:`~carrysave.sim.store.Store`
    log : callable
        Receives lines of progress.
    names : iterable of :class:`str`, optional
        Only these of :data:`MULTIPLIERS`.
    **options
        What :func:`~carrysave.asic.front.front` tries; normal effort if not given.

    Returns
    -------
    dict
        From a multiplier's name to its front, a list of (delay in ps, area in um2).
    """
    fronts = {}
    for name in MULTIPLIERS if names is None else names:
        config = MULTIPLIERS[name].config
        text = verilog_of(design(config.design).component(config), "module_under_test")
        points = front(text, "module_under_test", cache_folder=store.root / "front", **options)
        fronts[name] = [(point.delay_ps, point.area_um2) for point in points]
        log(f"{name}: {len(points)} points")
    return fronts


def _beside(fronts):
    yield "| multiplier | published, ps: um2 | ours at that delay, ps: um2 | ours / published |"
    yield "|---|---|---|---|"
    beaten = []
    for name, published in PUBLISHED_MULTIPLIERS.items():
        for delay, area in published:
            ours = [point for point in fronts[name] if point[0] <= delay]
            shown, ratio = "-", "-"
            if ours:  # a front's last point is its smallest
                shown, ratio = f"{ours[-1][0]:.0f}: {ours[-1][1]:.0f}", f"{ours[-1][1] / area:.3f}"
            if not ours or ours[-1][1] > area:
                beaten.append(f"{name} {delay}: {area}")
            yield f"| {name} | {delay}: {area} | {shown} | {ratio} |"
    yield ""
    yield f"Published points that ours does not match in area at their delay: {'; '.join(beaten) or 'none'}."
    worse = [
        f"{name} {delay:.0f}: {area:.0f}"
        for name, published in PUBLISHED_MULTIPLIERS.items()
        for delay, area in fronts[name]
        if any(other[0] <= delay and other[1] <= area for other in published)
    ]
    yield f"Points of our fronts that a published one beats in both figures: {'; '.join(worse) or 'none'}."


def _saved(fronts):
    yield "| function | delay, ps | L-Mul, um2 | exact, um2 | L-Mul / exact |"
    yield "|---|---|---|---|---|"
    for what, approximate, exact in _PAIRS:
        for delay, area in fronts[exact]:
            ours = area_at(fronts[approximate], delay)
            shown, ratio = ("-", "-") if ours is None else (f"{ours:.0f}", f"{ours / area:.2f}")
            yield f"| {what} | {delay:.0f} | {shown} | {area:.0f} | {ratio} |"


def multiplier_markdown(fronts):
    """Lines of the section of ``docs/benchmarks.md`` on multipliers of floating-point numbers."""
    lines = [
        "## Floating-point multipliers beside the published modules",
        "",
        "The same recipe: bfloat16, one product a cycle, held in a register by a valid bit and the stream's handshake. Where the",
        "functions differ a little: the published modules reset the product's register, which ours need not (16 flip-flops of",
        "5.32 um2 in place of 4.52), give +0 for every zero, and let products through whose exponent field is 0, which ours",
        "flush; to the exact one exponent field 255 is overflow. What is measured of ours:",
        "",
        *(f"- {name}: {multiplier.function}." for name, multiplier in MULTIPLIERS.items()),
        "",
        *_beside(fronts),
        "",
        "What L-Mul saves of a multiplier, both ours:",
        "",
        *_saved(fronts),
        "",
        "Whole fronts:",
        "",
        "| multiplier | delay, ps | area, um2 |",
        "|---|---|---|",
    ]
    for name in MULTIPLIERS:
        lines += [f"| {name} | {delay:.0f} | {area:.0f} |" for delay, area in fronts[name]]
    return lines
