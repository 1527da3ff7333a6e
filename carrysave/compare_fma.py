"""Fused multiply-adds side by side: INT16 pairs of dynamic fixed point, floating point, INT8, on a training's own operands.

All are processing elements of an output-stationary array: operand registers, multipliers, accumulator. What serves a whole
column and waits most of the time is outside for all of them alike: final adders, conversions, result buffers. So is, for the
pair-FMA with a 32-bit accumulator, the float32 addition to which each of its chains spills; the engine that has it inside is
two more rows. :data:`BOUNDARY` says so.

Areas and shortest periods come from a front of the processing element alone; energies from the activity of a gate-level
run of a one-element array, all of whose results are checked, with operands of the digits training: those of the forward
products, of the slopes' way back, and of the weights' update apart.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from . import __version__
from .asic.estimate import energy, map_design
from .asic.front import EFFORTS, REGISTER_OVERHEAD_PS, front
from .asic.liberty import default_library, load_library
from .asic.timing import analyse
from .comparison import QUICK_RECIPES, check_period, library_facts, modules_inside
from .hdl.catalogue import design
from .hdl.verilog import module_name, verilog
from .models.cube import CubeConfig
from .models.dfp import DFPFormat, DFPTensor, quantise
from .models.dfp_array import DFPArrayConfig
from .models.dfp_dot import DFPDotConfig
from .models.errors import ConfigError
from .models.float_dot import FloatDotConfig
from .models.float_rounding import encode
from .sim.store import Store
from .workloads.convolutional_network import ROLES
from .workloads.digits_training import captured_products
from .workloads.training_arithmetic import TrainingConfig

__all__ = ["BOUNDARY", "PAPER_SPEEDUP", "SCHEMA", "Unit", "compare_fma", "units"]

SCHEMA = "carrysave-compare-fma/1"

BOUNDARY = (
    "Processing elements of an output-stationary array: operand registers, multipliers, accumulator. Outside for all: what "
    "a column shares (final adder, conversion, result buffer). A chain of the 32-bit pair-FMA ends after three steps; the "
    "float32 addition it spills to is outside, too, but for the rows with float32 sums: these are the whole dot-product engine, "
    "which has no operand registers and takes a spill every cycle if need be."
)
PAPER_SPEEDUP = 1.8
"""Of training a convolutional network with INT16 over float32 on one processor (arXiv 1802.00930, section 5)."""
_PAPER_PEAK = 2.0  # its pair-FMAs take two products where the float32 unit takes one

_STEP = 100  # of the training: nine epochs, the slopes are no longer those of random weights
_SEED = 1
_PRODUCTS = 2048  # of each role, played for the energy
_LONGEST = 128  # products of one sum


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One row of the comparison.

    Parameters
    ----------
    name : :class:`str`
    operands : :class:`str`
        ``"dfp"``, ``"int8"`` or a format's name.
    config : :class:`~carrysave.models.config.Config`
        Of a one-element array.
    reduction : :class:`int`
        Longest sum its accumulator takes here, in products.
    whole : :class:`bool`
        The whole design is measured, not its processing element.
    """

    name: str
    operands: str
    config: object = field(repr=False)
    reduction: int = _LONGEST
    whole: bool = False

    @property
    def macs(self):
        """Products a cycle."""
        return self.config.lanes

    @property
    def module(self):
        """Name of the module that is measured, with all that is in it."""
        name = self.config.design
        return module_name(name) if self.whole else design(name).pe(self.config)


def units():
    """All units that are compared, the float32 one first."""
    # Room for results, so that short chains follow each other without a pause.
    one = {"rows": 1, "cols": 1, "result_rows": 8}
    found = [
        Unit(
            name=f"{form} products, float32 sums",
            operands=form,
            config=FloatDotConfig(
                format=form,
                multiplier="exact",
                accumulator="sequential",
                lanes=1,
                stages=2,  # so that the addition, which is a loop, sets the period
                subnormals=form != "bfloat16",
                max_k=_LONGEST,
            ),
        )
        for form in ("float32", "float16", "bfloat16")
    ]
    for pe, form in (("mac", "resolved"), ("opt1", "carry-save")):
        chain = DFPArrayConfig(**one, input_shift=1, acc_width=32, max_k=6, pe=pe)
        found.append(Unit(name=f"INT16 pair, 32-bit chains, {form}", operands="dfp", config=chain, reduction=6))
    for form in ("resolved", "carry-save"):
        engine = DFPDotConfig(lanes=2, input_shift=1, accumulator=form, max_k=_LONGEST)
        name = f"INT16 pair, 32-bit chains, float32 sums, {form}"
        found.append(Unit(name=name, operands="dfp", config=engine, whole=True))
    for pe, form in (("mac", "resolved"), ("opt1", "carry-save")):
        found.append(Unit(name=f"INT16 pair, 48-bit sums, {form}", operands="dfp", config=DFPArrayConfig(**one, pe=pe)))
    for pe, form in (("mac", "resolved"), ("opt1", "carry-save")):
        pair = CubeConfig(**one, lanes=2, acc_width=32, pe=pe)
        found.append(Unit(name=f"INT8 pair, 32-bit sums, {form}", operands="int8", config=pair))
    return found


def compare_fma(*, library=None, period_ps=3000.0, effort="quick", build_folder="build", log=None):
    """Area, shortest period and energy of every unit, and what arrays of equal area would do.

    Parameters
    ----------
    library : path or :class:`str`, optional
        A Liberty file, ``osu018`` or ``osu035``; NanGate 45 nm if not given.
    period_ps : :class:`float`
        The common period at which areas and energies are compared.
    effort : :class:`str`
        Of the fronts' search, a key of :data:`~carrysave.asic.front.EFFORTS`.
    build_folder : path
        Keeps netlists and runs; a comparison that was stopped continues there.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``library``, ``period_ps``, ``boundary``, ``training``, ``units``, ``seconds``.

    Raises
    ------
    ConfigError
        If an argument is not legal.
    """
    start, log = time.perf_counter(), log or (lambda line: None)
    check_period(period_ps)
    if effort not in EFFORTS:
        raise ConfigError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    library = load_library(library) if library else default_library()
    store, rows = Store(build_folder), []
    training = TrainingConfig(arithmetic="dfp16")
    log(f"the digits training in dfp16, up to step {_STEP}")
    products = captured_products(training, seed=_SEED, step=_STEP)
    for unit in units():
        rows.append(_measured(unit, products, store=store, library=library, period_ps=period_ps, effort=effort))
        log("{name}: {area_um2:.0f} um2, {shortest_period_ps:.0f} ps at best".format(**rows[-1]))
    _equal_area(rows)
    return {
        "schema": SCHEMA,
        "carrysave": __version__,
        "library": library_facts(library),
        "period_ps": period_ps,
        "effort": effort,
        "boundary": BOUNDARY,
        "training": {"parameters": training.to_mapping(), "seed": _SEED, "step": _STEP, "products": _PRODUCTS},
        "paper": {"speedup": PAPER_SPEEDUP, "peak": _PAPER_PEAK},
        "units": rows,
        "seconds": time.perf_counter() - start,
    }


def _measured(unit, products, *, store, library, period_ps, effort):
    points = front(verilog(unit.config), unit.module, cache_folder=store.root / "front", effort=effort, library=library)
    fitting = [point for point in points if point.delay_ps + REGISTER_OVERHEAD_PS <= period_ps]
    if not fitting:
        raise ConfigError(
            f"{unit.name} does not reach {period_ps:g} ps; its shortest period is "
            f"{points[0].delay_ps + REGISTER_OVERHEAD_PS:.0f} ps"
        )
    netlist = map_design(unit.config, store=store, library=library, period_ps=period_ps, recipes=QUICK_RECIPES)
    timing, inside = analyse(netlist), modules_inside(netlist, unit.module)
    spent, checked = {}, 0
    for role in ROLES:
        beats = _beats(unit, [product for product in products if product.role == role])
        found = energy(unit.config, beats, netlist, store=store, timing=timing)
        dynamic = sum(found.power.by_module[name] for name in inside)
        leakage = sum(found.power.leakage_by_module[name] for name in inside) * period_ps * 1e-6
        spent[role] = (dynamic + leakage) * found.power.cycles / found.macs
        checked += found.outputs
    return {
        "name": unit.name,
        "operands": unit.operands,
        "parameters": unit.config.to_mapping(),
        "design": unit.config.design,
        "macs_per_cycle": unit.macs,
        "area_um2": fitting[-1].area_um2,  # a front's last point is its smallest
        "shortest_period_ps": points[0].delay_ps + REGISTER_OVERHEAD_PS,
        "shortest_area_um2": points[0].area_um2,
        "front": [[point.delay_ps + REGISTER_OVERHEAD_PS, point.area_um2] for point in points],
        "energy_fj": spent,
        "results_checked": checked,
    }


def _equal_area(rows):
    """Adds what an array as large as one of the first unit's would do beside it: at one clock, and each at its best one."""
    base = rows[0]
    best = max(1 / (period * area) for period, area in base["front"])
    for row in rows:
        row["speedup"] = row["macs_per_cycle"] * base["area_um2"] / row["area_um2"]
        own = max(row["macs_per_cycle"] / (period * area) for period, area in row["front"])
        row["speedup_at_best"] = own / best


def _beats(unit, products):
    """Sums of operands drawn from matrix products, each product in proportion to its multiply-accumulates."""
    rng, parts = np.random.default_rng(_SEED), []
    total = sum(product.macs for product in products)
    for product in products:
        left, right = _encoded(unit, product)
        m, k, n = *product.a.shape, product.b.shape[1]
        length = min(k, _LONGEST)
        for _ in range(max(1, round(_PRODUCTS * product.macs / total / length))):
            row, col, start = rng.integers(m), rng.integers(n), rng.integers(k - length, endpoint=True)
            for first in range(start, start + length, unit.reduction):
                some = slice(first, min(first + unit.reduction, start + length))
                parts.append(_scheduled(unit, left[row, some], right[some, col], product))
    return np.concatenate(parts)


def _encoded(unit, product):
    """Both matrices as the unit's operands."""
    if unit.operands == "dfp":
        return product.a_dfp.mantissas, product.b_dfp.mantissas
    if unit.operands == "int8":
        return tuple(quantise(matrix, DFPFormat(width=8)).mantissas for matrix in (product.a, product.b))
    # A power of two brings the largest magnitude near one, as loss scaling does: float16 would lose its small slopes.
    scaled = [
        np.ldexp(matrix, -np.frexp(np.abs(matrix).max(initial=np.finfo(np.float32).tiny))[1])
        for matrix in (product.a, product.b)
    ]
    return tuple(encode(matrix, unit.config.float_format).astype(np.int64) for matrix in scaled)


def _scheduled(unit, left, right, product):
    if isinstance(unit.config, DFPDotConfig):
        steps = -(-len(left) // unit.macs)
        beats = unit.config.i.zeros(steps)
        for name, operands, tensor in (("a", left, product.a_dfp), ("b", right, product.b_dfp)):
            beats[name] = np.pad(operands, (0, steps * unit.macs - len(operands))).reshape(steps, unit.macs)
            beats[f"{name}_exponent"] = tensor.exponents
        beats["last"][-1] = 1
        return beats
    a, b = left[np.newaxis], right[:, np.newaxis]
    if unit.operands == "dfp":
        a, b = (
            DFPTensor(mantissas=matrix, exponents=tensor.exponents, width=tensor.width)
            for matrix, tensor in ((a, product.a_dfp), (b, product.b_dfp))
        )
    return unit.config.schedule(a, b)
