"""Matrix products on simulated hardware: any shape, cut into tiles, bit for bit what integer arithmetic says."""

import time
from dataclasses import dataclass, field

import numpy as np

from .api import configure
from .hdl.catalogue import DESIGNS, design
from .models.dfp import DFPFormat, quantise
from .models.dfp_array import DFPArrayConfig, dfp_array_golden
from .models.dfp_gemm import dfp_gemm
from .models.errors import CarrysaveError, ConfigError
from .models.float_matmul import float_matmul
from .models.float_rounding import encode
from .models.gemm import gemm as golden_gemm
from .models.gemm import multiply
from .sim.player import play
from .sim.simulators import require
from .sim.store import Store

__all__ = ["Multiplied", "gemm"]

LEVELS = ("rtl", "gates")
LARGEST_BYTES = 1 << 32
"""Input beats in memory; a simulator would need days for more."""


@dataclass(frozen=True, kw_only=True)
class Multiplied:
    """A matrix product that a simulated design has computed.

    Members
    -------
    product : ``int64`` array of shape (M, N)
    design : :class:`str`
    shape : tuple of :class:`int`
        M, K, N.
    macs : :class:`int`
        Multiply-accumulates of the product, padding not counted.
    beats : :class:`int`
        Input beats, padding and all.
    cycles : :class:`int`
        Clock cycles from the first accepted beat to the last result, both counted.
    macs_per_cycle : :class:`float`
    peak_macs_per_cycle : :class:`float`
        What the design does while it takes a beat as often as it can.
    utilisation : :class:`float`
        MACs done, divided by peak MACs times cycles.
    seconds_build, seconds_run, seconds : :class:`float`
        To build the simulation, to run it, and for all.
    cached : :class:`bool`
        The run was found in the build folder.
    counters : :class:`dict` or None
        What the design's own counters held in the end, by name; None for a design that has none.
    """

    product: np.ndarray = field(repr=False)
    design: str
    shape: tuple
    macs: int
    beats: int
    cycles: int
    macs_per_cycle: float
    peak_macs_per_cycle: float
    utilisation: float
    seconds_build: float
    seconds_run: float
    seconds: float
    cached: bool
    counters: dict | None = None


def gemm(name, a, b, /, *, initial=None, simulator="verilator", on="rtl", build_folder="build", log=None, **parameters):
    """``initial + a @ b`` on the simulated RTL of an array, checked against the golden product.

    Parameters
    ----------
    name : :class:`str` or :class:`~carrysave.models.config.Config`
        A design with a tile schedule, such as ``systolic-os``.
    a : array of integers, shape (M, K)
    b : array of integers, shape (K, N)
        For an array of floating-point numbers or of dynamic fixed point numbers of any kind, which are rounded to its format.
    initial : array of integers, optional
        Broadcast to (M, N): a bias, or the product so far. Only for integers: the sums of others start from zero.
    simulator : ``"verilator"`` or ``"icarus"``
    on : ``"rtl"`` or ``"gates"``
        The exported Verilog, or the netlist mapped to the default library.
    log : callable, optional
        Receives a line once the arguments are found to be good.
    **parameters
        Of the design.

    Returns
    -------
    :class:`Multiplied`

    Raises
    ------
    ConfigError
        If a matrix does not fit the other, the design or its operands' range, or the design multiplies no matrices.
    CarrysaveError
        If what the simulation gives is not the product: a bug of the design.
    """
    start = time.perf_counter()
    config = configure(name, **parameters)
    if not hasattr(config, "schedule"):
        able = ", ".join(other for other, entry in DESIGNS.items() if hasattr(entry.config, "schedule"))
        raise ConfigError(
            f"{config.design} has no tile schedule, so it multiplies no matrices; those that have: {able}"
        )
    if on not in LEVELS:
        raise ConfigError(f"on must be one of {', '.join(LEVELS)}, not {on!r}")
    require(simulator)
    dynamic, floating = isinstance(config, DFPArrayConfig), hasattr(config, "float_format")
    if dynamic:
        a, b = _dfp_operands(config, a, b, initial)
        want = _dfp_product(config, a, b)
    elif floating:
        a, b = _float_codes(config, a, b, initial)
        want = float_matmul(config, a, b)
    else:
        want = golden_gemm(
            a,
            b,
            acc_width=config.acc_width if config.overflow == "wrap" else 63,
            signed=config.result_signed if config.overflow == "wrap" else True,
            overflow=config.overflow,
            initial=initial,
        )
    (m, k), n = (a.shape, b.shape[1]) if dynamic else (np.shape(a), np.shape(b)[1])
    entry = design(config.design)
    _refuse_huge(config, entry, m, k, n)
    store, runs = Store(build_folder), []

    def execute(beats):
        if log:
            log(f"{config.design}: building the simulation, {len(beats)} beats to play")
        played = play(config, beats, store=store, sources=_sources(config, on, store), simulator=simulator)
        if not played.passed:
            raise CarrysaveError(f"{config.design} on {on}: {played.first_mismatch}")
        runs.append(played)
        return played.outputs

    if dynamic:
        product = config.collect(execute(config.schedule(a, b)), m, n)
    elif floating:
        product = config.collect(execute(config.schedule(a.astype(np.int64), b.astype(np.int64))), m, n)
    else:
        product = multiply(config, a, b, execute, initial=initial)
    if not np.array_equal(product, want):
        row, col = (int(place) for place in np.argwhere(product != want)[0])
        raise CarrysaveError(
            f"{config.design}: element ({row}, {col}) is {product[row, col].item()!r}, the golden product has "
            f"{want[row, col].item()!r}"
        )
    played, macs = runs[0], m * k * n
    peak = entry.macs_per_beat(config) / config.initiation_interval
    return Multiplied(
        product=config.sum_float_format.decode(product) if floating else product,
        design=config.design,
        shape=(m, k, n),
        macs=macs,
        beats=played.beats,
        cycles=played.cycles,
        macs_per_cycle=macs / played.cycles,
        peak_macs_per_cycle=peak,
        utilisation=macs / (peak * played.cycles),
        seconds_build=played.seconds_build,
        seconds_run=played.seconds_run,
        seconds=time.perf_counter() - start,
        cached=played.cached,
        counters=played.counters,
    )


def _numbers(config, a, b, initial):
    """Two matrices of numbers that have a product, as ``float64``."""
    if initial is not None:
        raise ConfigError(f"{config.design} takes no initial C: its sums start from zero")
    matrices = [np.asarray(matrix) for matrix in (a, b)]
    for name, matrix in zip("ab", matrices, strict=True):
        if matrix.ndim != 2 or not matrix.size or matrix.dtype.kind not in "biuf":
            raise ConfigError(f"{name} must be a matrix of numbers, not an array of {matrix.dtype}, {matrix.shape!r}")
    if matrices[0].shape[1] != matrices[1].shape[0]:
        raise ConfigError(
            f"a has {matrices[0].shape[1]} columns, but b has {matrices[1].shape[0]} rows; the two must be equal"
        )
    return [matrix.astype(np.float64) for matrix in matrices]


def _dfp_operands(config, a, b, initial):
    """Two matrices of numbers in dynamic fixed point, with the exponents that the array takes."""
    form = DFPFormat(width=config.width, exponent_width=config.exponent_width, block=config.exponents)
    tensors = []
    for name, axis, values in zip("ab", (1, 0), _numbers(config, a, b, initial), strict=True):
        tensors.append(quantise(values, form, axis=axis))
        counts = tensors[-1].counts
        if counts.special or counts.exponent_overflow:
            raise ConfigError(
                f"matrix {name} holds numbers that exponents up to {form.exponent_range[1]} do not reach, infinities or NaN"
            )
    return tensors


def _dfp_product(config, a, b):
    product = dfp_gemm(a, b, config)
    if config.output == "float32":
        return product.float32.astype(np.float64)
    return config.collect(dfp_array_golden(config, config.schedule(a, b)), *product.float32.shape)


def _float_codes(config, a, b, initial):
    """Codes of two matrices of numbers, nearest ones."""
    form, codes = config.float_format, []
    for name, values in zip("ab", _numbers(config, a, b, initial), strict=True):
        rounded = encode(values, form, overflow="ieee")
        lost = np.isnan(values) != form.is_nan(rounded)
        lost |= np.isfinite(values) & (~form.is_finite(rounded) | (np.abs(values) > form.largest))
        lost |= np.isinf(values) & ~form.is_infinite(rounded)
        if lost.any():
            bad = float(values[lost].flat[0])
            raise ConfigError(
                f"matrix {name} holds {bad!r}, {form} takes numbers up to {form.largest:g}; scale it or choose another format"
            )
        codes.append(rounded)
    return codes


def _sources(config, on, store):
    if on == "rtl":
        return None
    from .asic.estimate import map_design

    netlist = map_design(config, store=store)
    return [netlist.verilog.read_text(), netlist.cell_models.read_text()]


def _refuse_huge(config, entry, m, k, n):
    need = m * k * n / entry.macs_per_beat(config) * config.i.dtype.itemsize
    if need > LARGEST_BYTES:
        raise ConfigError(
            f"a product of {m} x {k} x {n} takes {need / (1 << 30):.0f} GiB of input beats; cut K into parts, each of "
            "which takes the result before as its initial C"
        )
