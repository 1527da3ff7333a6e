"""Rounding of integers that lose digits, on magnitudes: what quantiser, down-converter and adder of dynamic fixed point share.

==================  ==============================================================================================
rounding            answer
==================  ==============================================================================================
``"nearest-even"``  the nearest integer; of two equally near ones the even one
``"toward-zero"``   the digits that do not fit are dropped from the magnitude
``"stochastic"``    the magnitude grows to the next integer with the probability of the dropped digits, of which the
                    first 16 count: it does if they and a draw of 16 bits carry (:mod:`carrysave.models.lfsr`)
==================  ==============================================================================================

All three are symmetric: minus a value is rounded to minus its result.
"""

import numpy as np

from .errors import ConfigError
from .lfsr import DRAW_BITS

__all__ = ["DFP_ROUNDINGS", "rounded_magnitude", "rounded_right"]

DFP_ROUNDINGS = ("nearest-even", "toward-zero", "stochastic")

_LONGEST = 62  # a shift by more leaves nothing of what int64 holds, but for the digits of a draw


def rounded_right(magnitudes, shifts, rounding, draws=None):
    """Magnitudes shifted to the right, rounded.

    Parameters
    ----------
    magnitudes : ``int64`` array
        Of 0..2^62 - 1.
    shifts : ``int64`` array, or :class:`int`
        Places, 0 and more; broadcast.
    rounding : :class:`str`
        One of :data:`DFP_ROUNDINGS`.
    draws : ``int64`` array, optional
        For stochastic rounding a draw of 16 bits each.

    Returns
    -------
    ``int64`` array
    """
    magnitudes, shifts = np.broadcast_arrays(np.asarray(magnitudes, np.int64), np.asarray(shifts, np.int64))
    near = np.minimum(shifts, _LONGEST)
    kept = magnitudes >> near
    if rounding == "toward-zero":
        return kept
    dropped = magnitudes - (kept << near)
    if rounding == "nearest-even":
        half = np.int64(1) << np.maximum(near - 1, 0)
        up = (dropped > half) | ((dropped == half) & (kept & 1 == 1))
        return kept + (up & (near > 0))
    if rounding == "stochastic":
        # The dropped digits in units of 2^-16.
        first = (dropped >> np.clip(shifts - DRAW_BITS, 0, _LONGEST)) << np.maximum(DRAW_BITS - shifts, 0)
        return kept + (first + _checked(draws, magnitudes.shape) >> DRAW_BITS)
    raise _unknown(rounding)


def rounded_magnitude(values, rounding, draws=None):
    """Magnitudes given as ``float64``, below 2^52, rounded to integers.

    Parameters
    ----------
    values : ``float64`` array
        Exact magnitudes.
    rounding, draws
        As in :func:`rounded_right`.

    Returns
    -------
    ``float64`` array of integers
    """
    if rounding == "nearest-even":
        return np.rint(values)
    kept = np.floor(values)
    if rounding == "toward-zero":
        return kept
    if rounding == "stochastic":
        first = np.floor((values - kept) * (1 << DRAW_BITS))
        return kept + (first + _checked(draws, values.shape) >= 1 << DRAW_BITS)
    raise _unknown(rounding)


def _checked(draws, shape):
    if draws is None:
        raise ConfigError("stochastic rounding needs draws, such as those of an LFSR, not None")
    return np.asarray(draws, np.int64).reshape(shape)


def _unknown(rounding):
    return ConfigError(f"rounding must be one of {', '.join(DFP_ROUNDINGS)}, not {rounding!r}")
