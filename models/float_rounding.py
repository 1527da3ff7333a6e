"""Rounding of values to the codes of a floating-point format, and conversion between formats.

A value is rounded once, from its exact binary digits, on integers: to a multiple of ``2^-M`` of its power of two, or of the
smallest subnormal number where that is coarser.

==================  ==========================================================================================
rounding            answer
==================  ==========================================================================================
``"nearest-even"``  the nearest number; of two equally near ones the one whose code is even (IEEE 754)
``"toward-zero"``   the nearest number of no larger magnitude: the digits that do not fit are dropped (IEEE 754)
``"stochastic"``    one of the two neighbours, each with a probability that grows linearly as the value nears it
==================  ==========================================================================================

A format without subnormal numbers rounds as if it had no smallest exponent; what is then below its smallest normal number
becomes zero.
"""

import numpy as np

from .errors import ConfigError

__all__ = ["ROUNDINGS", "convert", "encode"]

ROUNDINGS = ("nearest-even", "toward-zero", "stochastic")

_MANTISSA, _BIAS = 52, 1023  # of float64
_FRACTION = np.uint64((1 << _MANTISSA) - 1)
_MAGNITUDE = np.uint64((1 << 63) - 1)
_INFINITY = np.uint64(0x7FF << _MANTISSA)
_BLOCK = 1 << 14  # values at a time, so that what is computed in between stays in the cache


def encode(values, target, *, rounding="nearest-even", overflow=None, rng=None):
    """Codes of values, rounded to a format.

    Parameters
    ----------
    values : array of ``float64``, ``float32`` or ``float16``
        Of any shape. The sign of zero is kept; NaN becomes the canonical NaN, or zero in a format without NaN.
    target : :class:`~carrysave.models.float_format.FloatFormat`
    rounding : :class:`str`
        One of :data:`ROUNDINGS`.
    overflow : :class:`str`, optional
        What becomes of infinities, and of values that would exceed the largest finite number if their exponent had no upper
        limit: one of :data:`~carrysave.models.float_format.OVERFLOWS`. With ``"ieee"`` rounding toward zero gives the
        largest finite number for them, as the standard has it, but not for infinities. By default ``"ieee"`` for a format
        with infinities, ``"saturate"`` for one without.
    rng : :class:`numpy.random.Generator` or seed of one
        Stochastic rounding draws one integer from it for each value.

    Returns
    -------
    array of ``target.dtype``, of the shape of ``values``

    Raises
    ------
    ConfigError
        For an unknown rounding, an overflow that the format cannot express, stochastic rounding without ``rng``, values of
        another type, and negative values if the format is unsigned.
    """
    if rounding not in ROUNDINGS:
        raise ConfigError(f"rounding must be one of {', '.join(ROUNDINGS)}, not {rounding!r}")
    if rounding == "stochastic":
        if rng is None:
            raise ConfigError("stochastic rounding needs rng, a generator or a seed, not None")
        rng = np.random.default_rng(rng)
    overflow = target.default_overflow if overflow is None else overflow
    infinity = beyond = target.overflow_code(overflow)
    if overflow == "ieee" and rounding == "toward-zero":
        beyond = target.largest_code
    values = np.asarray(values)
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise ConfigError(f"values to encode must be float64 or narrower, not {values.dtype}")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN
        values = values.astype(np.float64, copy=False)
    if not target.signed and (values < 0).any():
        raise ConfigError(f"{target} is unsigned: it has no code for {float(values[values < 0].flat[0])!r}")
    flat = np.ascontiguousarray(values).reshape(-1).view(np.uint64)
    codes = np.empty(flat.shape, target.dtype)
    for start in range(0, len(flat), _BLOCK):
        block = slice(start, start + _BLOCK)
        codes[block] = _encode_block(flat[block], target, rounding, beyond, infinity, rng)
    return codes.reshape(values.shape)


def _encode_block(bits, target, rounding, beyond, infinity, rng):
    magnitude = bits & _MAGNITUDE
    exponent = (magnitude >> np.uint64(_MANTISSA)).astype(np.int64)
    significand = magnitude & _FRACTION
    significand |= (exponent > 0).astype(np.uint64) << np.uint64(_MANTISSA)
    # Binades above the smallest normal exponent; below it subnormal numbers lose a digit for each.
    binade = np.maximum(exponent, 1) + (target.bias - _BIAS - 1)
    dropped = np.full(len(bits), _MANTISSA - target.mantissa_bits)
    if target.subnormals:
        dropped -= np.minimum(binade, 0)
        np.maximum(binade, 0, out=binade)
    # The kept digits' hidden one adds 1 to the exponent field, and so does a carry out of rounding.
    code = (binade << target.mantissa_bits) + _shift(significand, dropped, rounding, rng).astype(np.int64)
    if not target.subnormals:
        code[code < target.smallest_normal_code] = 0
    code[code > target.largest_code] = beyond
    special = magnitude >= _INFINITY
    if special.any():
        code[special] = infinity
        code[magnitude > _INFINITY] = target.nan_code or 0
    if target.signed:
        negative = (bits > _MAGNITUDE) & (magnitude <= _INFINITY)
        if target.nan != "none":
            negative &= code != target.nan_code
        code |= negative.astype(np.int64) << target.width - 1
    return code


def _shift(significand, dropped, rounding, rng):
    """Significands, 53 bits, without their lowest ``dropped`` bits, at least 29, rounded."""
    if rounding == "stochastic":
        # Of more than 63 dropped digits the lowest do not count: they weigh less than 2^-63 in the probability.
        significand = significand >> np.clip(dropped - 63, 0, 63).astype(np.uint64)
        dropped = np.minimum(dropped, 63).astype(np.uint64)
        draw = rng.integers(0, 1 << 64, len(significand), np.uint64) >> (np.uint64(64) - dropped)
        return (significand + draw) >> dropped
    # Beyond 54 dropped digits nothing remains, not even half a unit.
    dropped = np.minimum(dropped, 55).astype(np.uint64)
    kept = significand >> dropped
    if rounding == "nearest-even":
        below_half = (np.uint64(1) << (dropped - np.uint64(1))) - np.uint64(1)
        kept = (significand + below_half + (kept & np.uint64(1))) >> dropped
    return kept


def convert(codes, source, target, *, rounding="nearest-even", overflow=None, rng=None):
    """Codes of one format rounded to those of another.

    Parameters
    ----------
    codes : array of integers
        Of any shape.
    source, target : :class:`~carrysave.models.float_format.FloatFormat`
    rounding, overflow, rng
        As in :func:`encode`.

    Returns
    -------
    array of ``target.dtype``, of the shape of ``codes``
    """
    return encode(source.decode(codes), target, rounding=rounding, overflow=overflow, rng=rng)
