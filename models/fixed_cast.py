"""From one fixed-point format to another, and from real numbers: rounding and overflow, all modes of ``ap_fixed``.

``cast(x, W, F) = overflow(round(x 2^F), W) 2^-F`` (QFX, arXiv 2401.17544, section 3), rounded first and made to fit then. The
modes are those of high-level synthesis (AMD UG1399, section on arbitrary precision fixed-point types); their names are its
names, in lower case and without ``AP_``. The first of each kind is its default, and ours.

=================  ===========================================================================================
``rounding``       answer
=================  ===========================================================================================
``"trn"``          toward minus infinity: the digits that do not fit are dropped
``"trn-zero"``     toward zero
``"rnd"``          the nearest number; of two equally near ones that toward plus infinity
``"rnd-zero"``     the nearest; of two that toward zero
``"rnd-inf"``      the nearest; of two that away from zero
``"rnd-min-inf"``  the nearest; of two that toward minus infinity
``"rnd-conv"``     the nearest; of two the even one
``"stochastic"``   toward minus infinity, and one more with the probability of the dropped digits, of which the first 16
                   count: if they and a draw of 16 bits carry (:mod:`carrysave.models.lfsr`). Not a mode of ``ap_fixed``
=================  ===========================================================================================

================  ============================================================================================
``overflow``      what does not fit
================  ============================================================================================
``"wrap"``        loses its high bits: modulo ``2^W``
``"sat"``         becomes the smallest or the largest number
``"sat-zero"``    becomes zero
``"sat-sym"``     as ``"sat"``, but the smallest number is minus the largest one, also for what would fit; unsigned as ``"sat"``
``"wrap-sm"``     wraps back and forth: modulo ``2^W`` where the lowest bit lost is equal to the sign that is left; where it is
                  not, all bits are inverted. Up and up, it goes from the largest number down to the smallest. Signed only
================  ============================================================================================

Modes with saturated bits (N > 0) are left out. In one case vendor headers differ from the definition above, by which overflow
looks at the rounded number: for ``"wrap-sm"`` they take the lowest bit lost from before the rounding, whose carry can change it.
"""

import numpy as np

from .errors import ConfigError
from .integer import wrap
from .lfsr import DRAW_BITS

__all__ = ["FIXED_OVERFLOWS", "FIXED_ROUNDINGS", "cast", "cast_flagged", "check_modes", "from_real", "range_of"]

FIXED_ROUNDINGS = ("trn", "trn-zero", "rnd", "rnd-zero", "rnd-inf", "rnd-min-inf", "rnd-conv", "stochastic")
FIXED_OVERFLOWS = ("wrap", "sat", "sat-zero", "sat-sym", "wrap-sm")

_LONGEST = 63  # a shift of int64 by more is none
_FLOAT_DIGITS = 53


def check_modes(target, rounding, overflow):
    """Refuse modes that are unknown, or that the target does not have.

    Parameters
    ----------
    target : :class:`~carrysave.models.fixed_point.FixedFormat`
    rounding, overflow : :class:`str`

    Raises
    ------
    ConfigError
    """
    if rounding not in FIXED_ROUNDINGS:
        raise ConfigError(f"rounding must be one of {', '.join(FIXED_ROUNDINGS)}, not {rounding!r}")
    if overflow not in FIXED_OVERFLOWS:
        raise ConfigError(f"overflow must be one of {', '.join(FIXED_OVERFLOWS)}, not {overflow!r}")
    if overflow == "wrap-sm" and not target.signed:
        raise ConfigError(f"overflow {overflow!r} needs a signed format, not {target}: the others have no sign to wrap")
    if overflow == "sat-sym" and target.signed and target.width == 1:
        raise ConfigError(f"overflow {overflow!r} needs 2 bits or more, not {target}: it would have zero only")


def range_of(target, overflow):
    """Smallest and largest mantissa that are no overflow."""
    return (-target.maximum if target.signed and overflow == "sat-sym" else target.minimum), target.maximum


def cast(mantissas, source, target, *, rounding="trn", overflow="wrap", draws=None):
    """Numbers of one format in another.

    Parameters
    ----------
    mantissas : array of integers
        Of any shape.
    source, target : :class:`~carrysave.models.fixed_point.FixedFormat`
    rounding : :class:`str`
        One of :data:`FIXED_ROUNDINGS`.
    overflow : :class:`str`
        One of :data:`FIXED_OVERFLOWS`.
    draws : array of integers, optional
        For stochastic rounding a draw of 16 bits each, such as those of an :class:`~carrysave.models.lfsr.LFSR`.

    Returns
    -------
    ``int64`` array
        Mantissas of ``target``.

    Raises
    ------
    ConfigError
        If a mantissa does not fit its format, a mode is unknown or not one of the target's, or draws are missing.
    """
    return cast_flagged(mantissas, source, target, rounding=rounding, overflow=overflow, draws=draws)[0]


def cast_flagged(mantissas, source, target, *, rounding="trn", overflow="wrap", draws=None):
    """As :func:`cast`, and where the answer is not the rounded number, because that does not fit: an array of :class:`bool`."""
    check_modes(target, rounding, overflow)
    mantissas = source.checked(mantissas)
    return _cast(mantissas, source.fraction - target.fraction, target, rounding, overflow, draws)


def from_real(values, target, *, rounding="trn", overflow="wrap", draws=None):
    """Real numbers in a format, rounded once from their exact digits.

    Parameters
    ----------
    values : array of floating-point numbers
        Of any shape; finite.
    target, rounding, overflow, draws
        As in :func:`cast`.

    Returns
    -------
    ``int64`` array
        Mantissas of ``target``.

    Raises
    ------
    ConfigError
        As :func:`cast`, and for values that are not finite or not floating-point numbers of at most 64 bits.
    """
    check_modes(target, rounding, overflow)
    values = np.asarray(values)
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise ConfigError(f"values to cast must be float64 or narrower, not {values.dtype}")
    finite = np.isfinite(values)
    if not finite.all():
        raise ConfigError(f"values to cast must be finite, not {float(values[~finite].flat[0])!r}")
    fractions, exponents = np.frexp(values.astype(np.float64, copy=False))
    digits = np.ldexp(fractions, _FLOAT_DIGITS).astype(np.int64)
    behind = np.where(digits == 0, 0, _FLOAT_DIGITS - exponents.astype(np.int64))
    return _cast(digits, behind - target.fraction, target, rounding, overflow, draws)[0]


def _cast(mantissas, dropped, target, rounding, overflow, draws):
    """Mantissas of which so many digits are dropped (or, where negative, zeros added); and whether they do not fit."""
    mantissas, dropped = np.broadcast_arrays(mantissas, np.asarray(dropped, np.int64))
    kept = _shifted_right(mantissas, np.maximum(dropped, 0), rounding, draws)
    added = np.maximum(-dropped, 0)
    near = np.minimum(added, _LONGEST)
    low, high = range_of(target, overflow)
    above, below = kept > np.int64(high) >> near, kept < -(np.int64(-low) >> near)
    if overflow in ("sat", "sat-sym"):
        inside = np.where(above | below, 0, kept) << near
        return np.where(above, high, np.where(below, low, inside)), above | below
    # Modulo 2^64 there are as many bits as the widest format needs, and the one above them.
    shifted = np.where(added > _LONGEST, 0, kept << near)
    wrapped = wrap(shifted, target.width, target.signed)
    if overflow == "sat-zero":
        wrapped = np.where(above | below, 0, wrapped)
    elif overflow == "wrap-sm":
        inverted = (shifted >> target.width ^ shifted >> target.width - 1) & 1
        wrapped = np.where(inverted == 1, ~wrapped, wrapped)
    return wrapped, above | below


def _shifted_right(mantissas, places, rounding, draws):
    kept = mantissas >> np.minimum(places, _LONGEST)
    if rounding == "trn":
        return kept
    if rounding == "stochastic":
        if draws is None:
            raise ConfigError("stochastic rounding needs draws, such as those of an LFSR, not None")
        first = mantissas >> np.clip(places - DRAW_BITS, 0, _LONGEST) << np.maximum(DRAW_BITS - places, 0)
        first &= (1 << DRAW_BITS) - 1
        return kept + (first + np.asarray(draws, np.int64).reshape(mantissas.shape) >> DRAW_BITS)
    before = np.clip(places - 1, 0, _LONGEST)
    half = (mantissas >> before & 1 == 1) & (places > 0)
    rest = mantissas & ~(np.int64(-1) << before) != 0
    negative = mantissas < 0
    return (
        kept
        + {
            "trn-zero": lambda: negative & (half | rest),
            "rnd": lambda: half,
            "rnd-zero": lambda: half & (rest | negative),
            "rnd-inf": lambda: half & (rest | ~negative),
            "rnd-min-inf": lambda: half & rest,
            "rnd-conv": lambda: half & (rest | (kept & 1 == 1)),
        }[rounding]()
    )
