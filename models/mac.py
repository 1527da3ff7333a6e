"""Multiply-accumulate: configuration, golden model and stimulus of the designs ``mac`` and ``opt1``.

``C = sum_k A[k] B[k]``. MAC resolves the sum in every step; OPT1 keeps it in carry-save form and resolves it once at
the end of the reduction ("Exploring the Performance Improvement of Tensor Processing Engines through Transformation in the
Bit-weight Dimension of MACs", HPCA 2025, section on OPT1). Both give the same results, so they share one golden model.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError
from .integer import product_range, width_of_range, wrap
from .payload import Field, Payload

__all__ = [
    "MACConfig",
    "OPT1Config",
    "ProductConfig",
    "correction_parameter",
    "mac_golden",
    "mac_stimulus",
    "operand_corners",
    "operand_samples",
]


def correction_parameter():
    """The parameter ``correction`` of designs whose accumulators gather the constant of the sign dots."""
    return parameter(
        "drain",
        "where the constant of the inverted sign dots is taken out: once a result, or in every step in each PE",
        choices=("drain", "pe"),
    )


ADDERS = ("kogge-stone", "han-carlson", "sklansky", "brent-kung", "ripple", "hybrid")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProductConfig(Config):
    """What all designs that sum integer products have in common: operands, accumulator, structure of the multiplier."""

    shorthands: ClassVar[dict] = {"width": ("a_width", "b_width"), "signed": ("a_signed", "b_signed")}

    #: Products that one processing element adds up in a cycle.
    pe_lanes: ClassVar[int] = 1
    #: Operand a reaches all processing elements of a row at once, from one register, and not from neighbour to neighbour.
    broadcast: ClassVar[bool] = False
    #: Rows of dots held by a register between products and accumulator; 0: no such register.
    product_rows: ClassVar[int] = 0

    a_width: int = parameter(8, "bits of operand a, the one that is recoded into digits", legal=(4, 16))
    b_width: int = parameter(8, "bits of operand b, whose multiples the digits select", legal=(4, 16))
    a_signed: bool = parameter(True, "a is two's complement")
    b_signed: bool = parameter(True, "b is two's complement")
    max_k: int = parameter(65536, "longest reduction, in products", legal=(1, 1 << 20))
    acc_width: int | None = parameter(None, "bits of the accumulator; derived from max_k's worst case", legal=(8, 60))
    overflow: str = parameter(
        "refuse", "an accumulator narrower than the worst case is refused, or wraps around", choices=("refuse", "wrap")
    )
    partial_products: str = parameter(
        "booth", "radix-4 Booth rows or a Baugh-Wooley AND-array", choices=("booth", "and")
    )
    encode: str = parameter(
        "pe", "Booth digits are made from a in each PE, or once before the operand register", choices=("pe", "edge")
    )
    adder: str = parameter(
        "hybrid",
        "parallel-prefix structure of the carry-propagate adders; hybrid follows the bits' arrival",
        choices=ADDERS,
    )

    #: The constant of the inverted sign dots is taken out once a result (``"drain"``) or in each PE (``"pe"``).
    correction: ClassVar[str] = "drain"
    #: Cycles over which the carry-propagate adder that ends a reduction is spread.
    adder_cycles: ClassVar[int] = 1

    def derive(self):
        low, high = (self.max_k * bound for bound in self.product_range)
        need = width_of_range(low, high)
        if self.acc_width is None:
            self._set(acc_width=need)
        least = width_of_range(*self.product_range)
        if self.acc_width < least:
            raise ConfigError(f"acc_width must hold one product, {least} bits at least, not {self.acc_width!r}")
        if self.acc_width < need and self.overflow == "refuse":
            fits = next(k for k in range(self.max_k, 0, -1) if self._fits(k)) if self._fits(1) else 0
            raise ConfigError(
                f"acc_width {self.acc_width!r} can overflow: {self.max_k} products need {need} bits; "
                f'widen it, set max_k to {fits} or less, or choose overflow = "wrap"'
            )
        if self.encode == "edge" and self.partial_products == "and":
            raise ConfigError('encode = "edge" needs partial_products = "booth": an AND-array has no digits')

    def _fits(self, k):
        return width_of_range(*(k * bound for bound in self.product_range)) <= self.acc_width

    @property
    def product_range(self):
        """Smallest and largest product."""
        return product_range(self.a_width, self.a_signed, self.b_width, self.b_signed)

    @property
    def result_signed(self):
        """Whether results are two's complement: unless both operands are unsigned."""
        return self.a_signed or self.b_signed


@dataclasses.dataclass(frozen=True, kw_only=True)
class MACConfig(ProductConfig):
    """Multiply-accumulate unit with a resolved accumulator, the baseline."""

    design: ClassVar[str] = "mac"

    #: Cycles from ``last`` accepted to its result: operand register, accumulator, final adder's register, output FIFO.
    latency: ClassVar[int] = 4
    #: Cycles between products.
    initiation_interval: ClassVar[int] = 1

    correction: str = correction_parameter()

    @property
    def i(self):
        """One product a beat: ``a``, ``b``, and ``last``, which ends the reduction."""
        return Payload((
            Field("a", self.a_width, self.a_signed),
            Field("b", self.b_width, self.b_signed),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """One ``result`` a reduction."""
        return Payload((Field("result", self.acc_width, self.result_signed),))


@dataclasses.dataclass(frozen=True, kw_only=True)
class OPT1Config(MACConfig):
    """Multiply-accumulate unit with a carry-save accumulator."""

    design: ClassVar[str] = "opt1"

    carry_spacing: int = parameter(
        8, "columns for each bit of the carry word above the product; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(2, "the same in the columns that partial products reach", legal=(1, 64))


def mac_golden(config, beats):
    """Results of the reductions that the beats complete.

    Parameters
    ----------
    config : :class:`MACConfig`
    beats : array of ``config.i.dtype``
        Products; a reduction ends with the beat that has ``last`` set.

    Returns
    -------
    array of ``config.o.dtype``
        One beat a completed reduction.

    Raises
    ------
    ConfigError
        If a reduction is longer than ``max_k``, unless ``overflow="wrap"``.
    """
    ends = np.flatnonzero(beats["last"]) + 1
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
    check_lengths(config, ends - starts)
    out = config.o.zeros(len(ends))
    if len(ends):
        products = beats["a"][: ends[-1]] * beats["b"][: ends[-1]]
        out["result"] = wrap(np.add.reduceat(products, starts), config.acc_width, config.result_signed)
    return out


def check_lengths(config, lengths):
    """Raise :exc:`ConfigError` for a reduction longer than ``max_k``, unless the accumulator may wrap."""
    if config.overflow == "refuse" and len(lengths) and lengths.max() > config.max_k:
        raise ConfigError(f"a reduction of {int(lengths.max())} products exceeds max_k = {config.max_k}")


def operand_corners(field):
    """Directed values of one operand: extremes, their neighbours, zero, ones, alternating bits; sorted, distinct."""
    low, high = field.minimum, field.maximum
    alternating = [int("01" * 32, 2) & high, int("10" * 32, 2) & high]
    return np.unique([low, low + 1, -1 if low else 0, 0, 1, 2, high - 1, high, high // 2, *alternating])


def operand_samples(field, rng, shape):
    """Random values of one operand: half uniform, half normal, rounded and clipped, sigma 10/256 to 50/256 of the range.

    These are the distributions of the paper's tables (sigma 10..50 for INT8), scaled to the operand's width.
    """
    uniform = rng.integers(field.minimum, field.maximum, shape, endpoint=True)
    sigma = rng.uniform(10, 50, shape) * (1 << field.width) / 256
    normal = rng.normal(0, 1, shape) * sigma
    normal = np.rint(normal if field.signed else np.abs(normal))
    normal = np.clip(normal, field.minimum, field.maximum).astype(np.int64)
    return np.where(rng.random(shape) < 0.5, uniform, normal)


def mac_stimulus(config, rng, count):
    """Input beats: all pairs of corners as reductions of one, long reductions of extremes, then random ones.

    Parameters
    ----------
    config : :class:`MACConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit. The last beat ends its reduction.
    """
    a_field, b_field, _last = config.i.fields
    a, b = (grid.ravel() for grid in np.meshgrid(operand_corners(a_field), operand_corners(b_field), indexing="ij"))
    parts = [(a, b, np.ones(len(a), np.int64))]
    length = min(config.max_k, 32)
    for x in (a_field.minimum, a_field.maximum):
        for y in (b_field.minimum, b_field.maximum):
            parts.append((np.full(length, x), np.full(length, y), np.arange(length) == length - 1))
    used = sum(len(part[0]) for part in parts)
    rest = max(count - used, 0)
    lengths = rng.integers(1, min(config.max_k, 64), rest + 1, endpoint=True)
    last = np.zeros(rest, np.int64)
    ends = np.cumsum(lengths)
    last[ends[ends <= rest] - 1] = 1
    parts.append((operand_samples(a_field, rng, rest), operand_samples(b_field, rng, rest), last))
    a, b, last = (np.concatenate(column)[:count] for column in zip(*parts, strict=True))
    if count:
        last[-1] = 1
    return config.i.beats(a=a, b=b, last=last.astype(np.int64))
