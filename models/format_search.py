"""Fixed-point formats for given tensors: the place of the binary point, and the width under an error budget.

QFX trains the place of the point ("Trainable Fixed-Point Quantization for Deep Learning Acceleration on FPGAs", arXiv 2401.17544,
section 3); for tensors that are given it is found by search. At W bits a larger F rounds more finely and clips more. Of all F the
one with the smallest mean-squared error is found, exactly: up to the largest F that clips nothing, finer is never worse; beyond
it, what is clipped alone grows with F, so that the search ends where that exceeds the smallest error so far.

Numbers saturate. The rounding is one that takes no random bits, see :mod:`carrysave.models.fixed_cast`.
"""

import dataclasses
import math

import numpy as np

from .errors import ConfigError
from .fixed_cast import FIXED_ROUNDINGS, from_real
from .fixed_point import FRACTION_RANGE, FixedFormat, to_real

__all__ = ["MAX_WIDTH", "SEARCH_ROUNDINGS", "FormatError", "TensorFormats", "best_format", "search_formats"]

#: Widest format that is tried.
MAX_WIDTH = 32
SEARCH_ROUNDINGS = tuple(name for name in FIXED_ROUNDINGS if name != "stochastic")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormatError:
    """A format, and how far a tensor in it lies from its values.

    Parameters
    ----------
    form : :class:`~carrysave.models.fixed_point.FixedFormat`
    mean_square : :class:`float`
        Of the errors.
    relative : :class:`float`
        Root of the mean-squared error over that of the values; 0 for values that are all zero.
    """

    form: FixedFormat
    mean_square: float
    relative: float

    @property
    def decibels(self):
        """The relative error in dB; minus infinity if there is none."""
        return 20 * math.log10(self.relative) if self.relative else -math.inf


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorFormats:
    """What the search found for one tensor.

    Parameters
    ----------
    name : :class:`str`
    elements : :class:`int`
    chosen : :class:`FormatError`
        The narrowest format within the budget.
    by_width : list of :class:`FormatError`
        The best format of every width, from the narrowest on.
    """

    name: str
    elements: int
    chosen: FormatError
    by_width: list


def best_format(values, *, width, signed=None, rounding="rnd"):
    """The format of a width with the smallest mean-squared error.

    Parameters
    ----------
    values : array of real numbers
        Finite; at least one.
    width : :class:`int`
        Bits, 1..32.
    signed : :class:`bool`, optional
        Two's complement, or not. By default, whether there is a negative value.
    rounding : :class:`str`
        One of :data:`SEARCH_ROUNDINGS`.

    Returns
    -------
    :class:`FormatError`
        Of equally good ones that with the smallest F; F is 0 for values that are all zero.

    Raises
    ------
    ConfigError
        For a value that is not legal, or values so large or small that no format holds their point.
    """
    if type(width) is not int or not 1 <= width <= MAX_WIDTH:
        raise ConfigError(f"width must be an integer in 1..{MAX_WIDTH}, not {width!r}")
    if rounding not in SEARCH_ROUNDINGS:
        raise ConfigError(f"rounding must be one of {', '.join(SEARCH_ROUNDINGS)}, not {rounding!r}")
    values = _checked(values, "values")
    signed = bool((values < 0).any()) if signed is None else signed
    if not values.any():
        return FormatError(form=FixedFormat(width=width, fraction=0, signed=signed), mean_square=0.0, relative=0.0)
    best, forms = None, _forms(values, width, signed)
    power = float(np.square(values).mean())
    for form in forms:
        clipped = np.clip(values, *(to_real(end, form) for end in (form.minimum, form.maximum)))
        if best is not None and best.mean_square <= np.square(clipped - values).mean():
            break
        errors = to_real(from_real(values, form, rounding=rounding, overflow="sat"), form) - values
        mean_square = float(np.square(errors).mean())
        if best is None or mean_square < best.mean_square:
            best = FormatError(form=form, mean_square=mean_square, relative=math.sqrt(mean_square / power))
    return best


def _forms(values, width, signed):
    """Formats from one that certainly clips nothing on, with growing F."""
    # All magnitudes are below 2^exponent, two steps more are for the sign and for a largest number that rounds up.
    exponent = int(np.frexp(np.abs(values).max())[1])
    low, high = FRACTION_RANGE
    start = width - exponent - 2
    if not low <= start <= high:
        raise ConfigError(
            f"values up to {float(np.abs(values).max())!r} need {start} bits behind the point, formats have {low}..{high}; "
            f"scale them first"
        )
    return (FixedFormat(width=width, fraction=fraction, signed=signed) for fraction in range(start, high + 1))


def _checked(values, what):
    values = np.asarray(values)
    if values.dtype.kind not in "fiu" or values.dtype.itemsize > 8:
        raise ConfigError(f"{what} must be real numbers of 64 bits or fewer, not {values.dtype}")
    if not values.size:
        raise ConfigError(f"{what} must be at least one, not of shape {values.shape!r}")
    if not np.isfinite(values).all():
        raise ConfigError(f"{what} must be finite, not {float(values[~np.isfinite(values)].flat[0])!r}")
    return values.astype(np.float64)


def search_formats(tensors, *, budget, max_width=16, signed=None, rounding="rnd"):
    """Formats for several tensors: for each the narrowest whose relative error is within the budget.

    Parameters
    ----------
    tensors : dict
        From a name to an array of real numbers.
    budget : :class:`float`
        Largest root-mean-square error as a share of the root mean square of the values; above 0, at most 1.
    max_width : :class:`int`
        Bits of the widest format that is tried, 1..32. All widths up to it are, for the curve of the error.
    signed, rounding
        As in :func:`best_format`.

    Returns
    -------
    list of :class:`TensorFormats`

    Raises
    ------
    ConfigError
        For a value that is not legal, or a tensor for which the budget needs more bits.
    """
    if type(budget) not in (int, float) or not 0 < budget <= 1:
        raise ConfigError(f"budget must be a relative error above 0 and at most 1, not {budget!r}")
    if type(max_width) is not int or not 1 <= max_width <= MAX_WIDTH:
        raise ConfigError(f"max_width must be an integer in 1..{MAX_WIDTH}, not {max_width!r}")
    if not tensors:
        raise ConfigError("tensors must be at least one; there is none to find a format for")
    found = []
    for name, values in tensors.items():
        values = _checked(values, f"values of {name!r}")
        by_width = [
            best_format(values, width=width, signed=signed, rounding=rounding) for width in range(1, max_width + 1)
        ]
        chosen = next((point for point in by_width if point.relative <= budget), None)
        if chosen is None:
            raise ConfigError(
                f"the budget {budget!r} needs more than {max_width} bits for {name!r}, whose relative error is "
                f"{by_width[-1].relative:.3g} there; raise one of them"
            )
        found.append(TensorFormats(name=name, elements=values.size, chosen=chosen, by_width=by_width))
    return found
