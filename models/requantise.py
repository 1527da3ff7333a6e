"""Dyadic requantisation: an integer times a real ratio of scales, as a multiplier and a shift.

``y = clamp(round(x m / 2^c))`` with ``m / 2^c`` near the ratio of the input's scale to the output's, as in all integer-only
inference ("I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv 2207.01405, section 3.2; the
multiplier's derivation is that of its implementation). Per tensor, or with a multiplier and a shift for each channel. With a
residual branch each operand is requantised and rounded, then they are added, then the sum is clamped.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError

__all__ = ["MAX_SHIFT", "ROUNDINGS", "DyadicConfig", "dyadic", "dyadic_product", "requantise", "shifted_right"]

#: Largest shift: with 31 bits of multiplier, all of a ratio below it are answers of 0 for 32-bit integers.
MAX_SHIFT = 63

#: By name, what becomes of a dropped half: the even neighbour, the upper neighbour; or all is rounded down.
ROUNDINGS = ("half-even", "half-up", "floor")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DyadicConfig(Config):
    """Widths and rounding of a dyadic product."""

    shorthands: ClassVar[dict] = {}

    source_width: int = parameter(32, "bits of an integer that comes in, two's complement", legal=(2, 32))
    multiplier_bits: int = parameter(31, "bits of a multiplier, whose highest is 1", legal=(8, 31))
    width: int = parameter(8, "bits of an integer that goes out, two's complement, clamped", legal=(2, 32))
    rounding: str = parameter("half-even", "rounding of what the shift drops", choices=ROUNDINGS)

    @property
    def operand_width(self):
        """Bits of what is multiplied, two's complement."""
        return self.source_width

    @property
    def product_width(self):
        """Bits of an operand times a multiplier: none is ``-2^(operand_width - 1) 2^multiplier_bits``, the multiplier is less."""
        lowest = -(1 << self.operand_width - 1) * ((1 << self.multiplier_bits) - 1)
        return (-lowest - 1).bit_length() + 1

    @property
    def largest_shift(self):
        """Shift that gives what all larger ones do: the product is at most half a unit, of which none rounds away from 0."""
        return self.product_width

    @property
    def bounds(self):
        """Smallest and largest integer that goes out."""
        return -(1 << self.width - 1), (1 << self.width - 1) - 1


def dyadic(ratio, *, bits=31):
    """The multiplier and shift nearest to a ratio of scales.

    Parameters
    ----------
    ratio : :class:`float` or array of them
        Input's scale over the output's; one, or one a channel.
    bits : :class:`int`
        Of the multiplier, 8..31.

    Returns
    -------
    multiplier, shift : :class:`int`, or arrays of ``int64``
        ``2^(bits - 1) <= multiplier < 2^bits``, and ``multiplier / 2^shift`` is the ratio, its significand rounded half up.
        One that rounds up to 1 is a half with the shift one less, which is the same number; the reference leaves it.

    Raises
    ------
    ConfigError
        For a ratio that is not positive and finite, or whose shift is not in ``0..63``.
    """
    if type(bits) is not int or not 8 <= bits <= 31:
        raise ConfigError(f"bits of a multiplier must be an integer in 8..31, not {bits!r}")
    ratios = np.atleast_1d(np.asarray(ratio, np.float64))
    multipliers, shifts = np.zeros(ratios.shape, np.int64), np.zeros(ratios.shape, np.int64)
    for place, one in np.ndenumerate(ratios):
        multipliers[place], shifts[place] = _dyadic(float(one), bits)
    if np.ndim(ratio) == 0:
        return int(multipliers[0]), int(shifts[0])
    return multipliers, shifts


def _dyadic(ratio, bits):
    if not (math.isfinite(ratio) and ratio > 0):
        raise ConfigError(f"ratio of scales must be positive and finite, not {ratio!r}")
    significand, exponent = math.frexp(ratio)
    # Exact: a double shifted, and half of its integer part's last place added.
    multiplier = math.floor(math.ldexp(significand, bits) + 0.5)
    if multiplier == 1 << bits:
        multiplier, exponent = multiplier >> 1, exponent + 1
    shift = bits - exponent
    if not 0 <= shift <= MAX_SHIFT:
        low, high = 2.0 ** (bits - MAX_SHIFT - 1), 2.0**bits - 1
        raise ConfigError(f"ratio of scales must be in {low!r}..{high!r} for {bits} bits of multiplier, not {ratio!r}")
    return multiplier, shift


def shifted_right(values, shift, rounding):
    """Integers over powers of two, rounded.

    Parameters
    ----------
    values : array of ``int64``
        Less than ``2^62`` in magnitude.
    shift : array of ``int64``
        ``0..63``.
    rounding : :class:`str`
        One of :data:`ROUNDINGS`.
    """
    values, shift = np.broadcast_arrays(np.asarray(values, np.int64), np.asarray(shift, np.int64))
    kept = values >> shift
    if rounding == "floor":
        return kept
    highest = np.where(shift > 0, (values >> np.maximum(shift - 1, 0)) & 1, 0)
    if rounding == "half-up":
        return kept + highest
    lower = np.where(shift > 1, values & ((np.int64(1) << np.maximum(shift - 1, 0)) - 1), 0)
    return kept + (highest & ((lower != 0) | (kept & 1)))


def dyadic_product(config, x, multiplier, shift):
    """Integers times ratios, rounded and not clamped.

    Parameters
    ----------
    config : :class:`DyadicConfig`
    x : array of integers
    multiplier, shift : :class:`int`, or arrays that broadcast against ``x``
        See :func:`dyadic`. Any multiplier from 0 on that has no more bits is legal.

    Raises
    ------
    ConfigError
        For the first integer, multiplier or shift that is out of its range.
    """
    half = 1 << config.operand_width - 1
    x = _checked("integer", x, -half, half - 1)
    multiplier = _checked("multiplier", multiplier, 0, (1 << config.multiplier_bits) - 1)
    shift = _checked("shift", shift, 0, MAX_SHIFT)
    return shifted_right(x * multiplier, shift, config.rounding)


def _checked(what, values, low, high):
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise ConfigError(f"{what}s to be requantised must be integers, not {values.dtype.name!r}")
    wrong = (values < low) | (values > high)
    if wrong.any():
        raise ConfigError(f"{what} to be requantised must be in {low}..{high}, not {int(values[wrong][0])!r}")
    return values.astype(np.int64)


def requantise(config, x, multiplier, shift, *, identity=None):
    """Integers at another scale.

    Parameters
    ----------
    config : :class:`DyadicConfig`
    x : array of integers
    multiplier, shift : :class:`int`, or arrays that broadcast against ``x``
        From :func:`dyadic`: of the whole tensor, or one for each channel where channels are the last axis.
    identity : tuple (array, multiplier, shift), optional
        The residual branch: requantised and rounded by itself, then added, before the clamp.

    Returns
    -------
    array of ``int64``

    Raises
    ------
    ConfigError
        For the first integer, multiplier or shift that is out of its range.
    """
    result = dyadic_product(config, x, multiplier, shift)
    if identity is not None:
        result = result + dyadic_product(config, *identity)
    return np.clip(result, *config.bounds)
