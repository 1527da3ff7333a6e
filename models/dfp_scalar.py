"""Units of single elements: designs ``dfp-exponent``, ``dfp-to-float`` and ``dfp-from-float``.

They are the exponent adder of a product (arXiv 1802.00930, section on the dynamic fixed point format), and the conversions to
and from float32 with an exponent that is given.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .dfp_rounding import rounded_magnitude
from .dfp_units import DFPRoundingConfig, DFPUnitConfig, exponent_parameter, exponent_range, signed_like
from .float_format import FORMATS
from .mac import operand_corners, operand_samples
from .payload import Field, Payload

__all__ = [
    "DFPExponentConfig",
    "DFPFromFloatConfig",
    "DFPToFloatConfig",
    "dfp_exponent_golden",
    "dfp_exponent_stimulus",
    "dfp_from_float_golden",
    "dfp_from_float_stimulus",
    "dfp_to_float_golden",
    "dfp_to_float_stimulus",
]

_FLOAT = FORMATS["float32"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPExponentConfig(DFPUnitConfig):
    """Exponent of a product: a saturating sum."""

    design: ClassVar[str] = "dfp-exponent"
    counted: ClassVar[tuple] = ("overflow", "underflow")
    #: Cycles from operands to their sum: a register.
    latency: ClassVar[int] = 1

    exponent_width: int = exponent_parameter()
    offset: int = parameter(
        0, "added to each sum: what shifts of the mantissas before the product took away", legal=(0, 64)
    )

    @property
    def i(self):
        """Exponents ``a`` and ``b``."""
        return Payload((Field("a", self.exponent_width, True), Field("b", self.exponent_width, True)))

    @property
    def o(self):
        """``sum``, of both and the offset, clipped to its range; ``overflow``, ``underflow``: it was, at the top or bottom."""
        return Payload((Field("sum", self.exponent_width, True), Field("overflow", 1), Field("underflow", 1)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPToFloatConfig(DFPUnitConfig):
    """From an integer with an exponent to float32."""

    design: ClassVar[str] = "dfp-to-float"
    counted: ClassVar[tuple] = ("inexact", "overflow")

    source_width: int = parameter(16, "bits of the integer, two's complement", legal=(4, 48))
    exponent_width: int = exponent_parameter()
    stages: int = parameter(1, "registers between integer and number", legal=(1, 2))

    @property
    def latency(self):
        """Cycles from an integer to its number."""
        return self.stages

    @property
    def i(self):
        """``value`` and its ``exponent``."""
        return Payload((Field("value", self.source_width, True), Field("exponent", self.exponent_width, True)))

    @property
    def o(self):
        """``value``, a float32 code; ``inexact``, it is not ``value 2^exponent``; ``overflow``, it is infinity."""
        return Payload((Field("value", _FLOAT.width), Field("inexact", 1), Field("overflow", 1)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPFromFloatConfig(DFPRoundingConfig):
    """From float32 to a mantissa with an exponent that is given."""

    design: ClassVar[str] = "dfp-from-float"
    counted: ClassVar[tuple] = ("saturated", "special", "inexact")
    #: Cycles from a number to its mantissa: shift and rounding, each behind a register.
    latency: ClassVar[int] = 2

    @property
    def i(self):
        """``value``, a float32 code, and the ``exponent``."""
        return Payload((Field("value", _FLOAT.width), Field("exponent", self.exponent_width, True)))

    @property
    def o(self):
        """``mantissa``; ``saturated``, the number is finite and too large; ``special``, infinity or NaN; ``inexact``, it is
        finite and not ``mantissa 2^exponent``."""
        return Payload((
            Field("mantissa", self.width, True),
            Field("saturated", 1),
            Field("special", 1),
            Field("inexact", 1),
        ))  # fmt: skip


def dfp_exponent_golden(config, beats):
    """Sums of the beats' exponents.

    Parameters
    ----------
    config : :class:`DFPExponentConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    low, high = exponent_range(config.exponent_width)
    total = beats["a"] + beats["b"] + config.offset
    return config.o.beats(sum=np.clip(total, low, high), overflow=total > high, underflow=total < low)


def dfp_to_float_golden(config, beats):
    """Numbers of the beats' integers.

    Parameters
    ----------
    config : :class:`DFPToFloatConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    exact = np.ldexp(beats["value"].astype(np.float64), beats["exponent"])  # of 48 digits and a small exponent: exact
    with np.errstate(over="ignore"):
        numbers = exact.astype(np.float32)
    return config.o.beats(
        value=numbers.view(np.uint32), inexact=numbers.astype(np.float64) != exact, overflow=np.isinf(numbers)
    )


def dfp_from_float_golden(config, beats):
    """Mantissas of the beats' numbers.

    Parameters
    ----------
    config : :class:`DFPFromFloatConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    codes = beats["value"]
    finite = _FLOAT.is_finite(codes)
    magnitudes = np.ldexp(np.where(finite, np.abs(_FLOAT.decode(codes)), 0.0), -beats["exponent"])
    rounded = rounded_magnitude(np.minimum(magnitudes, config.largest + 1), config.rounding, config.draws(codes.shape))
    mantissas = np.where(_FLOAT.is_infinite(codes), config.largest, np.minimum(rounded, config.largest)).astype(
        np.int64
    )
    return config.o.beats(
        mantissa=signed_like(mantissas, _FLOAT.is_negative(codes)),
        saturated=rounded > config.largest,
        special=~finite,
        inexact=finite & (mantissas != magnitudes),
    )


def _joined(config, parts, count):
    return config.i.beats(**{name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]})


def _crossed(**columns):
    """All pairs of two columns' values, by name."""
    grids = np.meshgrid(*columns.values(), indexing="ij")
    return {name: grid.ravel() for name, grid in zip(columns, grids, strict=True)}


def _left(parts, count):
    return max(count - sum(len(next(iter(part.values()))) for part in parts), 0)


def dfp_exponent_stimulus(config, rng, count):
    """Input beats: all pairs of corners, sums at the borders of saturation, then random ones.

    Parameters
    ----------
    config : :class:`DFPExponentConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    field = config.i.fields[0]
    corners = operand_corners(field)
    parts = [_crossed(a=corners, b=corners)]
    for border in exponent_range(config.exponent_width):
        a = np.arange(field.minimum, field.maximum + 1)
        b = border - a - config.offset + a % 3 - 1
        legal = (b >= field.minimum) & (b <= field.maximum)
        picked = rng.permutation(np.flatnonzero(legal))[:30]
        parts.append({"a": a[picked], "b": b[picked]})
    rest = _left(parts, count)
    parts.append({name: rng.integers(field.minimum, field.maximum, rest, endpoint=True) for name in ("a", "b")})
    return _joined(config, parts, count)


def dfp_to_float_stimulus(config, rng, count):
    """Input beats: all pairs of corners, results at both ends of float32, ties, then random ones.

    Parameters
    ----------
    config : :class:`DFPToFloatConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    value, exponent = config.i.fields
    parts = [_crossed(value=operand_corners(value), exponent=operand_corners(exponent))]

    def near(size, *places):
        """Integers whose exponent puts their highest digit at one of these places, as far as exponents reach."""
        integers = _integers(config, rng, size)
        at = rng.choice(places, size) - np.frexp(integers.astype(np.float64))[1]
        return {"value": integers, "exponent": np.clip(at, exponent.minimum, exponent.maximum)}

    lowest, highest = 2 - _FLOAT.bias - _FLOAT.mantissa_bits, _FLOAT.bias + 1
    parts.append(near(40, *range(lowest - 2, lowest + 3), highest - 1, highest, highest + 1))
    rest = _left(parts, count)
    parts.append(near(rest // 3, *range(lowest - 2, lowest + 30), highest, highest + 1))
    rest -= rest // 3
    at = rng.integers(exponent.minimum, exponent.maximum, rest, endpoint=True)
    parts.append({"value": _integers(config, rng, rest), "exponent": at})
    return _joined(config, parts, count)


def _integers(config, rng, size):
    """Random integers of all lengths; many end in zeros or ones, so that rounding meets ties and carries far."""
    bits = config.source_width - 1
    words = rng.integers(0, 1 << bits, size)
    low = (np.int64(1) << rng.integers(0, bits + 1, size)) - 1
    half = low + 1 >> 1
    words = np.choose(rng.integers(0, 4, size), [words, words & ~low, words & ~low | half, words | low])
    words >>= rng.integers(0, bits, size)
    return np.where(rng.random(size) < 0.5, words, -words - rng.integers(0, 2, size))


def dfp_from_float_stimulus(config, rng, count):
    """Input beats: corners of codes with corners of exponents, ties and the largest mantissas, then random ones.

    Parameters
    ----------
    config : :class:`DFPFromFloatConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    exponent = config.i.fields[1]
    sign, smallest, infinity = _FLOAT.sign_mask, _FLOAT.smallest_normal_code, _FLOAT.infinity_code
    codes = [
        0,
        1,
        (1 << 32) - 1,
        sign,
        smallest - 1,
        smallest,
        _FLOAT.largest_code,
        infinity,
        sign | infinity,
        infinity | 1,
    ]
    corners = [exponent.minimum, -1, 0, 1, exponent.maximum]
    parts = [_crossed(value=codes, exponent=corners)]
    # In units of 2^-8 of the last place.
    top = config.largest << 8
    ratios = [
        1,
        127,
        128,
        129,
        255,
        383,
        384,
        385,
        640,
        top - 128,
        top - 127,
        top,
        top + 127,
        top + 128,
        top + 255,
        top + 256,
    ]
    grid = _crossed(value=ratios, exponent=[exponent.minimum, 0, exponent.maximum])
    grid["value"] = _codes(grid["value"] * np.resize([1, -1], len(grid["value"])), grid["exponent"] - 8)
    parts.append(grid)

    rest = _left(parts, count)
    at = rng.integers(exponent.minimum, exponent.maximum, rest, endpoint=True)
    digits = operand_samples(Field("digits", 25, True), rng, rest)
    digits = np.where(rng.random(rest) < 0.5, digits, digits >> rng.integers(0, 24, rest) << rng.integers(0, 12, rest))
    places = np.where(rng.random(rest) < 0.7, at - rng.integers(0, 25, rest), rng.integers(-175, 110, rest))
    values = np.where(rng.random(rest) < 0.05, rng.choice(codes, rest), _codes(digits, places))
    parts.append({"value": values, "exponent": at})
    return _joined(config, parts, count)


def _codes(digits, exponents):
    """float32 codes of integers with exponents."""
    with np.errstate(over="ignore"):
        values = np.ldexp(digits.astype(np.float64), exponents).astype(np.float32)
    return values.view(np.uint32).astype(np.int64)
