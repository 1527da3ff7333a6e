"""Dynamic fixed point: tensors of integers that share exponents, and their conversions.

A tensor has P-bit two's-complement mantissas ``i`` and exponents ``e``, one for the whole tensor, for each row or for each
block of a row: an element is ``i 2^e`` ("Mixed Precision Training of Convolutional Neural Networks using Integer Operations",
ICLR 2018, arXiv 1802.00930, section 3). From real numbers ``e = floor(log2 max|f|) - (P - 2)`` and ``i = round(f 2^-e)``.

What the paper leaves open is decided here as follows.

- The largest magnitude of a block may round up to ``2^(P-1)``. It saturates to ``2^(P-1) - 1`` (``round_up="saturate"``), or
  the exponent is one more wherever that could happen (``"exponent"``): with rounding to nearest if it does, with stochastic
  rounding if its digits at that exponent are all ones and any digit is dropped, with rounding toward zero never.
- Saturation is symmetric, so that no operation here makes the mantissa ``-2^(P-1)``. Such operands are legal all the same.
- Exponents have ``exponent_width`` bits. One below their range is clipped, and digits are lost; one above it is clipped, and
  what does not fit saturates. Both are counted. Integers whose own exponent already lies above the range saturate wherever
  they are not zero.
- A block of zeros has the smallest exponent.
- Infinities are left out of the maximum and saturate; NaN becomes zero. Both are counted as special.
"""

import dataclasses

import numpy as np

from .dfp_rounding import DFP_ROUNDINGS, rounded_magnitude, rounded_right
from .errors import ConfigError

__all__ = [
    "BLOCKS",
    "DFPCounts",
    "DFPFormat",
    "DFPTensor",
    "down_convert",
    "draws_for",
    "quantise",
    "spread_exponents",
    "to_float32",
]

#: What shares one exponent, besides blocks of a number of elements.
BLOCKS = ("tensor", "row")
ROUND_UPS = ("saturate", "exponent")

_FLOAT_EXACT = 1 << 53  # float64 holds every integer up to here
_LARGEST_WIDTH = 62  # of mantissas, so that int64 holds their magnitudes and a sum of two


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPFormat:
    """What real numbers, or wide integers, become.

    Parameters
    ----------
    width : :class:`int`
        Bits of a mantissa, P, 4..16.
    exponent_width : :class:`int`
        Bits of an exponent, two's complement, 4..10.
    block : :class:`str` or :class:`int`
        What shares one exponent: the ``"tensor"``, a ``"row"`` (along one axis), or so many elements of a row, 2..65536.
    rounding : :class:`str`
        ``"nearest-even"``, ``"toward-zero"`` or ``"stochastic"``; see :mod:`carrysave.models.dfp_rounding`.
    round_up : :class:`str`
        What a largest magnitude that rounds up to ``2^(P-1)`` does: ``"saturate"``, or raise the ``"exponent"``.

    Raises
    ------
    ConfigError
        For a value that is not legal.
    """

    width: int = 16
    exponent_width: int = 8
    block: str | int = "tensor"
    rounding: str = "nearest-even"
    round_up: str = "saturate"

    def __post_init__(self):
        for name, low, high in (("width", 4, 16), ("exponent_width", 4, 10)):
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise ConfigError(f"{name} must be an integer in {low}..{high}, not {value!r}")
        if self.block not in BLOCKS and (type(self.block) is not int or not 2 <= self.block <= 1 << 16):
            raise ConfigError(f"block must be one of {', '.join(BLOCKS)}, or 2..65536 elements, not {self.block!r}")
        if self.rounding not in DFP_ROUNDINGS:
            raise ConfigError(f"rounding must be one of {', '.join(DFP_ROUNDINGS)}, not {self.rounding!r}")
        if self.round_up not in ROUND_UPS:
            raise ConfigError(f"round_up must be one of {', '.join(ROUND_UPS)}, not {self.round_up!r}")

    @property
    def largest(self):
        """Largest magnitude that a rounded mantissa has."""
        return (1 << self.width - 1) - 1

    @property
    def exponent_range(self):
        """Smallest and largest exponent."""
        half = 1 << self.exponent_width - 1
        return -half, half - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPCounts:
    """What did not go as in real numbers, counted.

    Parameters
    ----------
    saturated : :class:`int`
        Elements clipped to the largest magnitude.
    special : :class:`int`
        Infinities and NaN.
    exponent_overflow, exponent_underflow : :class:`int`
        Blocks whose exponent was clipped.
    """

    saturated: int = 0
    special: int = 0
    exponent_overflow: int = 0
    exponent_underflow: int = 0

    def __add__(self, other):
        return DFPCounts(**{
            field.name: getattr(self, field.name) + getattr(other, field.name) for field in dataclasses.fields(self)
        })  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DFPTensor:
    """Integers that share exponents.

    Parameters
    ----------
    mantissas : ``int64`` array
        Of any shape.
    exponents : ``int64`` array
        Of shape ``()`` with one for the tensor; else that of the mantissas, but for ``axis``, along which there is one for each
        block: one a row, or ``ceil(length / block)``.
    width : :class:`int`
        Bits that hold every mantissa, two's complement; P of a format, and more after an operation.
    block : :class:`str` or :class:`int`
        As in :class:`DFPFormat`.
    axis : :class:`int`
        Along which rows and blocks lie.
    counts : :class:`DFPCounts`
        Of the conversion that made the tensor.

    Raises
    ------
    ConfigError
        If a mantissa does not fit the width, or the exponents' shape is not that of the blocks.
    """

    mantissas: np.ndarray
    exponents: np.ndarray
    width: int
    block: str | int = "tensor"
    axis: int = -1
    counts: DFPCounts = DFPCounts()

    def __post_init__(self):
        if not 2 <= self.width <= _LARGEST_WIDTH:
            raise ConfigError(f"width of mantissas must be in 2..{_LARGEST_WIDTH}, not {self.width!r}")
        for name in ("mantissas", "exponents"):
            array = np.asarray(getattr(self, name))
            if array.dtype.kind not in "iu":
                raise ConfigError(f"{name} must be integers, not {array.dtype}")
            object.__setattr__(self, name, array.astype(np.int64, copy=False))
        if self.exponents.shape != _exponents_shape(self.mantissas.shape, self.block, self.axis):
            raise ConfigError(
                f"mantissas of shape {self.mantissas.shape!r} in blocks of {self.block!r} need exponents of shape "
                f"{_exponents_shape(self.mantissas.shape, self.block, self.axis)!r}, not {self.exponents.shape!r}"
            )
        if self.mantissas.size:
            low, high = int(self.mantissas.min()), int(self.mantissas.max())
            if low < -(1 << self.width - 1) or high >= 1 << self.width - 1:
                raise ConfigError(
                    f"mantissas {low}..{high} do not fit {self.width} bits, {-(1 << self.width - 1)}.."
                    f"{(1 << self.width - 1) - 1}"
                )

    @property
    def shape(self):
        """Shape of the mantissas."""
        return self.mantissas.shape

    def element_exponents(self):
        """The exponent of every element, of a shape that broadcasts to that of the mantissas."""
        if isinstance(self.block, str):
            return self.exponents
        length = self.shape[self.axis]
        return np.repeat(self.exponents, self.block, axis=self.axis).take(range(length), axis=self.axis)

    def values(self):
        """The numbers as ``float64``; exact while they are in its range and mantissas have 53 digits or fewer."""
        return np.ldexp(self.mantissas.astype(np.float64), self.element_exponents())


def _exponents_shape(shape, block, axis):
    if block == "tensor":
        return ()
    if not shape:
        raise ConfigError(f"a single number has no rows; block must be 'tensor', not {block!r}")
    shape = list(shape)
    shape[axis] = 1 if block == "row" else -(-shape[axis] // block)
    return tuple(shape)


def _block_maxima(magnitudes, block, axis):
    """Largest magnitude of each block, of the exponents' shape; of no elements at all, zero."""
    if block == "tensor":
        return np.max(magnitudes, initial=0)
    if block == "row":
        return np.max(magnitudes, axis=axis, keepdims=True, initial=0)
    moved = np.moveaxis(magnitudes, axis, -1)
    length = moved.shape[-1]
    padded = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -length % block)])
    return np.moveaxis(padded.reshape(*moved.shape[:-1], -1, block).max(axis=-1, initial=0), -1, axis)


def quantise(values, form, *, exponents=None, axis=-1, lfsr=None):
    """Real numbers in dynamic fixed point.

    Parameters
    ----------
    values : array of floating-point numbers
        Of any shape.
    form : :class:`DFPFormat`
    exponents : array of integers, optional
        Exponents to use, of the blocks' shape, instead of those that follow from the values.
    axis : :class:`int`
        Along which rows and blocks lie.
    lfsr : :class:`~carrysave.models.lfsr.LFSR`, optional
        Stochastic rounding takes a draw from it for every element, in C order.

    Returns
    -------
    :class:`DFPTensor`

    Raises
    ------
    ConfigError
        If the values are not floating-point numbers of at most 64 bits, an exponent is out of its range, or stochastic
        rounding has no ``lfsr``.
    """
    values = np.asarray(values)
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        raise ConfigError(f"values to quantise must be float64 or narrower, not {values.dtype}")
    # An array of our own, which everything below works on in place.
    ordinary = np.abs(values, dtype=np.float64)
    special = 0
    if not np.isfinite(np.max(ordinary, initial=0)):
        infinite, odd = np.isinf(values), ~np.isfinite(values)
        special = int(np.count_nonzero(odd))
        ordinary[odd] = 0
    counts = {}
    if exponents is None:
        maxima = _block_maxima(ordinary, form.block, axis)
        wanted = np.frexp(maxima)[1].astype(np.int64) - 1 - (form.width - 2)
        if form.round_up == "exponent":
            wanted = wanted + _may_round_up(np.ldexp(maxima, -wanted), form)
        exponents, counts = _clipped(wanted, maxima > 0, form)
    else:
        exponents = np.asarray(exponents)
        low, high = form.exponent_range
        if exponents.size and (exponents.min() < low or exponents.max() > high):
            raise ConfigError(f"exponents must be in {low}..{high}, not {int(exponents.min())}..{int(exponents.max())}")
    each = spread_exponents(exponents, form.block, axis, values.shape)
    draws = draws_for(form, lfsr, values.size)
    with np.errstate(over="ignore"):  # what overflows saturates
        # Products with a power of two are exact, but for those that vanish.
        ordinary *= np.ldexp(1.0, -each)
    np.minimum(ordinary, form.largest + 1, out=ordinary)
    rounded = rounded_magnitude(ordinary, form.rounding, draws)
    saturated = int(np.count_nonzero(rounded > form.largest))
    if saturated:
        np.minimum(rounded, form.largest, out=rounded)
    if special:
        rounded[infinite] = form.largest
    mantissas = np.copysign(rounded, values, out=rounded).astype(np.int64)
    return DFPTensor(
        mantissas=mantissas,
        exponents=exponents,
        width=form.width,
        block=form.block,
        axis=axis,
        counts=DFPCounts(saturated=saturated, special=special, **counts),
    )


def _may_round_up(scaled, form):
    """Whether the largest magnitude of a block, in units of its exponent, could become ``2^(P-1)``."""
    if form.rounding == "toward-zero":
        return np.zeros(np.shape(scaled), np.int64)
    if form.rounding == "nearest-even":
        return (np.rint(scaled) > form.largest).astype(np.int64)
    return ((np.floor(scaled) == form.largest) & (scaled > form.largest)).astype(np.int64)


def _clipped(wanted, occupied, form):
    """Exponents within their range, the smallest for blocks of zeros, and how many were clipped."""
    low, high = form.exponent_range
    return np.where(occupied, np.clip(wanted, low, high), low), {
        "exponent_overflow": int(np.count_nonzero(occupied & (wanted > high))),
        "exponent_underflow": int(np.count_nonzero(occupied & (wanted < low))),
    }


def spread_exponents(exponents, block, axis, shape):
    """Block exponents as an array that broadcasts to the elements; checks their shape."""
    if exponents.shape != _exponents_shape(shape, block, axis):
        raise ConfigError(
            f"exponents must have shape {_exponents_shape(shape, block, axis)!r} for values of shape {shape!r}, not "
            f"{exponents.shape!r}"
        )
    if isinstance(block, str):
        return exponents
    return np.repeat(exponents, block, axis=axis).take(range(shape[axis]), axis=axis)


def draws_for(form, lfsr, count):
    """Random bits for so many elements, which stochastic rounding refuses to do without; None for other roundings."""
    if form.rounding != "stochastic":
        return None
    if lfsr is None:
        raise ConfigError("stochastic rounding needs lfsr, the source of its random bits, not None")
    return lfsr.draws(count)


def to_float32(tensor):
    """The numbers of a :class:`DFPTensor` as ``float32``, rounded to nearest even once; exact where representable.

    What exceeds the largest number becomes an infinity, as IEEE 754 has it.

    Raises
    ------
    ConfigError
        If mantissas have more than 53 digits.
    """
    if tensor.width > 54:
        raise ConfigError(f"mantissas to convert must have 54 bits or fewer, not {tensor.width!r}")
    with np.errstate(over="ignore"):
        return tensor.values().astype(np.float32)


def down_convert(tensor, form, *, lfsr=None):
    """Wide integers, such as accumulators, in P bits: the inverse of what multiplying made wide.

    With ``m`` the largest magnitude of a block, of ``n`` digits, the block is shifted to the right by
    ``R = max(0, n - (P - 1))`` places, rounded and saturated, and its exponent grows by ``R``.

    Parameters
    ----------
    tensor : :class:`DFPTensor`
        With one exponent for all elements of a new block: of the tensor, or of the same blocks as ``form`` has.
    form : :class:`DFPFormat`
    lfsr : :class:`~carrysave.models.lfsr.LFSR`, optional
        As in :func:`quantise`.

    Returns
    -------
    :class:`DFPTensor`

    Raises
    ------
    ConfigError
        If the tensor's blocks are not those of ``form``, or stochastic rounding has no ``lfsr``.
    """
    if tensor.block not in ("tensor", form.block):
        raise ConfigError(f"blocks of {tensor.block!r} cannot become blocks of {form.block!r}; they must be the same")
    axis, magnitudes = tensor.axis, np.abs(tensor.mantissas)
    maxima = _block_maxima(magnitudes, form.block, axis)
    shifts = np.maximum(_digits(maxima) - (form.width - 1), 0)
    if form.round_up == "exponent":
        shifts = shifts + _integer_may_round_up(maxima, shifts, form)
    source = np.broadcast_to(tensor.exponents, maxima.shape)
    exponents, counts = _clipped(source + shifts, maxima > 0, form)
    by = spread_exponents(np.where(maxima > 0, exponents - source, 0), form.block, axis, tensor.shape)
    rounded = rounded_right(magnitudes, np.maximum(by, 0), form.rounding, draws_for(form, lfsr, magnitudes.size))
    beyond = (rounded > form.largest) | ((by < 0) & (magnitudes > 0))
    mantissas = np.where(beyond, form.largest, rounded)
    return DFPTensor(
        mantissas=np.where(tensor.mantissas < 0, -mantissas, mantissas),
        exponents=exponents,
        width=form.width,
        block=form.block,
        axis=axis,
        counts=DFPCounts(saturated=int(np.count_nonzero(beyond)), **counts),
    )


def _digits(magnitudes):
    """Bits of magnitudes up to 2^62, ``int64``: where float64 rounds up to a power of two, one too many is taken back."""
    digits = np.frexp(magnitudes.astype(np.float64))[1].astype(np.int64)
    return digits - ((digits > 0) & (magnitudes < np.int64(1) << np.maximum(digits - 1, 0)))


def _integer_may_round_up(maxima, shifts, form):
    kept = maxima >> shifts
    if form.rounding == "toward-zero":
        return np.zeros(np.shape(maxima), np.int64)
    if form.rounding == "nearest-even":
        return (rounded_right(maxima, shifts, "nearest-even") > form.largest).astype(np.int64)
    return ((kept == form.largest) & (maxima > kept << shifts)).astype(np.int64)
