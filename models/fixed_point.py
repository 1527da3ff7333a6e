"""Fixed-point numbers: integers, called mantissas, with a binary point at a fixed place.

A format of W bits, F of them behind the point, holds ``m 2^-F`` for the integers ``m`` of W bits, unsigned or two's complement:
``ap_fixed<W, I>`` and ``ap_ufixed<W, I>`` of high-level synthesis with ``I = W - F`` (AMD UG1399, section on arbitrary precision
fixed-point types), as in QFX ("Trainable Fixed-Point Quantization for Deep Learning Acceleration on FPGAs", arXiv 2401.17544,
section 3). The point may lie outside of the digits: F is negative for multiples of a power of two, and exceeds W for numbers
whose first places are all zero.

Sums, differences and products are exact in the formats that they grow to, those of ``ap_fixed``. What makes numbers fit a
narrower format is :mod:`carrysave.models.fixed_cast`.
"""

import dataclasses

import numpy as np

from .errors import ConfigError

__all__ = [
    "FRACTION_RANGE",
    "LARGEST_WIDTH",
    "FixedFormat",
    "add",
    "difference_format",
    "multiply",
    "product_format",
    "subtract",
    "sum_format",
    "to_real",
]

#: Bits of the widest format, so that ``int64`` holds every mantissa, signed or not.
LARGEST_WIDTH = 63
#: Smallest and largest F, so that ``float64`` has every place of every format among its normal numbers.
FRACTION_RANGE = (-256, 256)

_FLOAT_DIGITS = 53


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedFormat:
    """What the bits of a number stand for.

    Parameters
    ----------
    width : :class:`int`
        Bits, W, 1..63.
    fraction : :class:`int`
        Bits behind the point, F, -256..256.
    signed : :class:`bool`
        Two's complement if true.

    Raises
    ------
    ConfigError
        For a value that is not legal.
    """

    width: int
    fraction: int
    signed: bool = True

    def __post_init__(self):
        for name, low, high in (("width", 1, LARGEST_WIDTH), ("fraction", *FRACTION_RANGE)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(f"{name} of a fixed-point format must be an integer in {low}..{high}, not {value!r}")
        if type(self.signed) is not bool:
            raise ConfigError(f"signed must be true or false, not {self.signed!r}")

    def __str__(self):
        return f"ap_{'' if self.signed else 'u'}fixed<{self.width}, {self.integer}>"

    @property
    def integer(self):
        """Bits before the point, the sign among them: I."""
        return self.width - self.fraction

    @property
    def minimum(self):
        """Smallest mantissa."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def maximum(self):
        """Largest mantissa."""
        return (1 << self.width - self.signed) - 1

    def checked(self, mantissas):
        """Mantissas as ``int64`` array.

        Raises
        ------
        ConfigError
            If they are not integers, or one does not fit.
        """
        array = np.asarray(mantissas)
        if array.dtype.kind not in "iu":
            raise ConfigError(f"mantissas must be integers, not {array.dtype}")
        if array.size:
            low, high = int(array.min()), int(array.max())
            if low < self.minimum or high > self.maximum:
                raise ConfigError(f"mantissas of {self} must be in {self.minimum}..{self.maximum}, not {low}..{high}")
        return array.astype(np.int64, copy=False)


def sum_format(a, b):
    """Format of every sum of a number of each of two formats: points aligned, one integer bit more.

    An unsigned format gets a sign bit first if the other has one.

    Parameters
    ----------
    a, b : :class:`FixedFormat`

    Returns
    -------
    :class:`FixedFormat`

    Raises
    ------
    ConfigError
        If it is wider than a format can be.
    """
    signed = a.signed or b.signed
    integer = max(form.integer + (signed and not form.signed) for form in (a, b)) + 1
    fraction = max(a.fraction, b.fraction)
    return _grown("sum", a, b, integer + fraction, fraction, signed)


def difference_format(a, b):
    """Format of every difference: as that of a sum, and signed."""
    form = sum_format(a, b)
    return dataclasses.replace(form, signed=True)


def product_format(a, b):
    """Format of every product: digits before and behind the points add. Otherwise as :func:`sum_format`."""
    return _grown("product", a, b, a.width + b.width, a.fraction + b.fraction, a.signed or b.signed)


def _grown(what, a, b, width, fraction, signed):
    low, high = FRACTION_RANGE
    if width > LARGEST_WIDTH or not low <= fraction <= high:
        raise ConfigError(
            f"a {what} of {a} and {b} needs {width} bits, {fraction} of them behind the point; formats have at most "
            f"{LARGEST_WIDTH}, and {low}..{high}: cast to narrower ones first"
        )
    return FixedFormat(width=width, fraction=fraction, signed=signed)


def add(a, a_format, b, b_format):
    """Exact sums.

    Parameters
    ----------
    a, b : arrays of integers
        Mantissas, of shapes that broadcast together.
    a_format, b_format : :class:`FixedFormat`

    Returns
    -------
    ``int64`` array
        Mantissas of ``sum_format(a_format, b_format)``.

    Raises
    ------
    ConfigError
        If a mantissa does not fit its format, or sums are wider than a format can be.
    """
    form = sum_format(a_format, b_format)
    return _aligned(a, a_format, form) + _aligned(b, b_format, form)


def subtract(a, a_format, b, b_format):
    """Exact differences, of :func:`difference_format`. Otherwise as :func:`add`."""
    form = difference_format(a_format, b_format)
    return _aligned(a, a_format, form) - _aligned(b, b_format, form)


def _aligned(mantissas, source, form):
    return source.checked(mantissas) << form.fraction - source.fraction


def multiply(a, a_format, b, b_format):
    """Exact products, of :func:`product_format`. Otherwise as :func:`add`."""
    product_format(a_format, b_format)  # refuses what would not fit
    return a_format.checked(a) * b_format.checked(b)


def to_real(mantissas, form):
    """The numbers as ``float64``, exactly.

    Parameters
    ----------
    mantissas : array of integers
    form : :class:`FixedFormat`

    Raises
    ------
    ConfigError
        If a mantissa does not fit, or has more digits than ``float64``.
    """
    mantissas = form.checked(mantissas)
    # Of the magnitudes only those digits count that are not trailing zeros; most formats need no look at them.
    if form.width - form.signed > _FLOAT_DIGITS:
        beyond = mantissas.astype(np.float64).astype(object) != mantissas.astype(object)
        if np.any(beyond):
            raise ConfigError(
                f"mantissa {int(mantissas[beyond].flat[0])} of {form} has more digits than the {_FLOAT_DIGITS} of float64; "
                f"cast to a narrower format first"
            )
    return np.ldexp(mantissas.astype(np.float64), -form.fraction)
