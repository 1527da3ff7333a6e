"""Dot products of floating-point numbers: configuration of the designs ``float-dot`` and ``float-array``, golden model, stimulus.

Products are L-Mul's or exact; what adds them up decides what a dot product costs:

================  ====================================================================================================
``accumulator``   sum of a reduction
================  ====================================================================================================
``"sequential"``  one rounded addition a product, in order: ``acc = round(acc + p)``
``"tree"``        the products of a beat in a balanced tree of rounded additions, its sum then added to the accumulator
``"kulisch"``     exact in fixed point, rounded once at the end (Kulisch, "Computer Arithmetic and Validity", chapter 8)
================  ====================================================================================================

Rounding is to nearest even in the sum's format, which has subnormal numbers, NaN and infinities. Sums start from +0. L-Mul's
product enters the additions as it is; an exact product is rounded to the sum's format first, but for ``"kulisch"``, which
takes all its digits.
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .float_format import FORMATS
from .float_multiply import FloatMultiplyConfig, float_corners, float_products, float_samples
from .float_rounding import convert, encode
from .integer import width_of_range
from .lmul import LMulConfig, lmul_products
from .tile import TileStreams, tile_ends

__all__ = [
    "ACCUMULATORS",
    "FloatArrayConfig",
    "FloatDotConfig",
    "exact_sums",
    "float_dot_golden",
    "float_dot_stimulus",
    "float_dots",
    "rounded_sum",
]

ACCUMULATORS = ("sequential", "tree", "kulisch")
_SUM_FORMATS = ("float32", "float16", "bfloat16")
_LMUL_OPTIONS = ("overflow", "offset", "criterion", "guard_bits", "carry", "rounding")
_HALF = 24  # a significand's product is summed in two halves, so that int64 holds a million of each
_DIGITS = 52  # that go into the rounding of an exact sum, a sticky one included: float64 holds them


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatDotConfig(TileStreams, LMulConfig):
    """Dot-product unit: lanes of floating-point multipliers and an accumulator."""

    design: ClassVar[str] = "float-dot"

    rows: ClassVar[int] = 1
    cols: ClassVar[int] = 1
    #: Operand a goes from processing element to processing element.
    broadcast: ClassVar[bool] = False
    #: Nothing is taken out of a result.
    correction: ClassVar[str] = "pe"
    result_signed: ClassVar[bool] = False
    a_signed: ClassVar[bool] = False
    b_signed: ClassVar[bool] = False

    format: str = parameter(
        "float8_e4m3fn", "format of the operands; custom if given by the parameters below", choices=(*FORMATS, "custom")
    )
    multiplier: str = parameter("lmul", "products by L-Mul, or exact ones", choices=("lmul", "exact"))
    subnormals: bool | None = parameter(
        None, "subnormal operands are numbers, which takes the exact multiplier; derived as true with it"
    )
    lanes: int = parameter(4, "products that one PE adds up in a cycle", legal=(1, 64))
    accumulator: str = parameter(
        "kulisch", "a rounded addition a product, a tree of them, or an exact fixed-point sum", choices=ACCUMULATORS
    )
    sum_format: str = parameter("float32", "format of the result and of rounded additions", choices=_SUM_FORMATS)
    max_k: int = parameter(65536, "longest reduction, in products", legal=(1, 1 << 20))
    carry_spacing: int = parameter(
        1, "kulisch: columns for each bit of the carry word; 1 is full carry save", legal=(1, 64)
    )
    result_rows: int | None = parameter(
        None,
        "results that can wait at the output; derived as what keeps reductions of one step back to back",
        legal=(1, 256),
    )

    def derive(self):
        super().derive()
        exact = self.multiplier == "exact"
        if self.subnormals is None:
            self._set(subnormals=exact)
        if self.subnormals and not exact:
            raise ConfigError('subnormals need multiplier = "exact": L-Mul takes subnormal operands for zeros')
        if exact:
            self._refuse_lmul_options()
        if self.max_k < self.lanes:
            raise ConfigError(f"max_k must be at least lanes = {self.lanes}, one step, not {self.max_k!r}")
        if self.result_rows is None:
            self._set(result_rows=self.default_result_rows)
        if self.result_rows < self.rows:
            raise ConfigError(f"result_rows must be at least rows = {self.rows}, not {self.result_rows!r}")
        product, result = self.multiplier_config.product_format, self.sum_float_format
        if self.accumulator != "kulisch" and not _holds(result, product):
            raise ConfigError(
                f"sum_format = {self.sum_format!r} does not hold every product, of format {product}; "
                'choose a wider one, or accumulator = "kulisch"'
            )

    def _refuse_lmul_options(self):
        defaults = {field.name: field.default for field in dataclasses.fields(LMulConfig)}
        defaults |= {"guard_bits": 0, "overflow": self.float_format.default_overflow}
        for name in _LMUL_OPTIONS:
            if getattr(self, name) != defaults[name]:
                raise ConfigError(
                    f'{name} = {getattr(self, name)!r} needs multiplier = "lmul": exact products have no such choice'
                )

    @property
    def default_result_rows(self):
        """Places in the result buffer if none are asked for."""
        return self.latency + 1

    @cached_property
    def sum_float_format(self):
        """Format of the result, a :class:`~carrysave.models.float_format.FloatFormat`."""
        return FORMATS[self.sum_format]

    @cached_property
    def multiplier_config(self):
        """Configuration of one lane's multiplier."""
        names = ("exponent_bits", "mantissa_bits", "bias", "signed", "infinities", "nan", "specials", "stages")
        common = {name: getattr(self, name) for name in names} | {"format": self.format}
        if self.multiplier == "exact":
            product = "operands" if self.accumulator == "kulisch" else self.sum_format
            return FloatMultiplyConfig(**common, product=product, subnormals=self.subnormals, overflow="ieee")
        return LMulConfig(**common, **{name: getattr(self, name) for name in _LMUL_OPTIONS})

    @property
    def a_width(self):
        """Bits of an operand."""
        return self.float_format.width

    b_width = a_width

    @property
    def acc_width(self):
        """Bits of a result."""
        return self.sum_float_format.width

    @property
    def pe_lanes(self):
        """Products that one processing element adds up in a cycle."""
        return self.lanes

    @property
    def register_cycles(self):
        """Cycles from the operands' registers to the accumulator: the products' registers, and those of a tree's levels."""
        levels = (self.lanes - 1).bit_length() if self.accumulator == "tree" else 0
        return self.stages + levels

    @property
    def adder_cycles(self):
        """Cycles from a finished accumulator to the result: an exact sum is resolved, made positive, normalised, rounded."""
        return 4 if self.accumulator == "kulisch" else 1

    @property
    def latency(self):
        """Cycles from a reduction's last step to its result, or to the first row of a tile's results."""
        return self.cols + 3 + self.adder_cycles + self.register_cycles

    @property
    def term_format(self):
        """Format whose numbers an exact sum is made of: L-Mul's products, or the exact multiplier's operands."""
        multiplier = self.multiplier_config
        return multiplier.product_format if self.multiplier == "lmul" else multiplier.operand_format

    @cached_property
    def fixed_point(self):
        """Exact products as integers: the exponent of their unit, and the largest of them.

        An L-Mul product is a multiple of the last place of the smallest normal number of its format; an exact one of the
        square of the operands' smallest subnormal number, or of what would be one.
        """
        form = self.term_format
        exponent = 1 - form.bias - form.mantissa_bits
        field, mantissa = divmod(form.largest_code, 1 << form.mantissa_bits)
        largest = ((1 << form.mantissa_bits) + mantissa) << field - 1
        return (exponent, largest) if self.multiplier == "lmul" else (2 * exponent, largest * largest)

    @property
    def fixed_width(self):
        """Bits of the exact accumulator: ``max_k`` products of the largest magnitude, of either sign."""
        bound = self.max_k * self.fixed_point[1]
        return width_of_range(-bound, bound)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatArrayConfig(FloatDotConfig):
    """Output-stationary systolic array whose PEs are dot-product units."""

    design: ClassVar[str] = "float-array"

    rows: int = parameter(4, "rows of PEs", legal=(1, 64))
    cols: int = parameter(4, "columns of PEs", legal=(1, 64))
    lanes: int = parameter(1, "products that one PE adds up in a cycle", legal=(1, 64))

    @property
    def default_result_rows(self):
        """Places in the result buffer if none are asked for."""
        return self.rows


def _holds(wide, narrow):
    """Whether every number of one format, and its infinities and NaN, is in another that has subnormal numbers."""
    lowest = 1 - narrow.bias - narrow.mantissa_bits
    return (
        wide.mantissa_bits >= narrow.mantissa_bits
        and narrow.largest <= wide.largest
        and lowest >= 1 - wide.bias - wide.mantissa_bits
    )


def _products(config, a, b):
    multiply = float_products if config.multiplier == "exact" else lmul_products
    return multiply(config.multiplier_config, a, b)


def float_dots(config, a, b):
    """Dot products along the last axis.

    Parameters
    ----------
    config : :class:`FloatDotConfig`
    a, b : arrays of integers, shapes ``(..., K)``
        Codes of ``config.float_format`` that broadcast together. K is padded with zeros to a multiple of ``lanes``.

    Returns
    -------
    array of ``config.sum_float_format.dtype``, shape ``(...)``
        Codes; NaN is the canonical one.

    Raises
    ------
    ConfigError
        If a code is not an integer or has more bits than the format, or K is larger than ``max_k``.
    """
    a, b = config.float_format.checked(a), config.float_format.checked(b)
    a, b = np.broadcast_arrays(a, b)
    padding = [(0, 0)] * (a.ndim - 1) + [(0, -a.shape[-1] % config.lanes)]
    a, b = np.pad(a, padding), np.pad(b, padding)
    if a.shape[-1] > config.max_k:
        raise ConfigError(f"a reduction of {a.shape[-1]} products exceeds max_k = {config.max_k}")
    if config.accumulator == "kulisch":
        return rounded_sum(config, *exact_sums(config, a, b))
    form = config.sum_float_format
    codes = convert(_products(config, a, b), config.multiplier_config.product_format, form)
    add = _adder(form)
    products = form.decode(codes).astype(np.float32).reshape(*codes.shape[:-1], -1, config.lanes)
    total = np.zeros(codes.shape[:-1], np.float32)
    for step in range(products.shape[-2]):
        terms = [products[..., step, lane] for lane in range(config.lanes)]
        if config.accumulator == "tree":
            while len(terms) > 1:
                terms = [add(*terms[i : i + 2]) if i + 1 < len(terms) else terms[i] for i in range(0, len(terms), 2)]
        for term in terms:
            total = add(total, term)
    return encode(total, form, overflow="ieee")


def _adder(form):
    """Rounded addition of ``float32`` arrays that hold numbers of a format."""

    def add(x, y):
        with np.errstate(over="ignore", invalid="ignore"):
            if form == FORMATS["float32"]:
                return x + y
            # float64 has more than twice the digits of a narrower format: rounding to it first changes nothing.
            return form.decode(encode(x.astype(np.float64) + y, form, overflow="ieee")).astype(np.float32)

    return add


def exact_sums(config, a, b):
    """Exact sums of products along the last axis.

    Parameters
    ----------
    config : :class:`FloatDotConfig`
    a, b : arrays of ``config.float_format.dtype``, shapes ``(..., K)``

    Returns
    -------
    sums : array of Python integers, shape ``(...)``
        In units of ``2 ** config.fixed_point[0]``; products that are not finite count as zeros.
    nan, positive, negative : arrays of ``bool``, shape ``(...)``
        Whether a product is NaN, infinity, minus infinity.
    """
    product, operand = config.multiplier_config.product_format, config.multiplier_config.operand_format
    if config.multiplier == "lmul":
        codes = _products(config, a, b)
        special, is_nan, minus = ~product.is_finite(codes), product.is_nan(codes), product.is_negative(codes)
        significand, place = _fields(product, codes)
    else:
        special = ~(operand.is_finite(a) & operand.is_finite(b))
        minus = operand.is_negative(a) ^ operand.is_negative(b)
        is_nan = operand.is_nan(a) | operand.is_nan(b) | (special & (operand.is_zero(a) | operand.is_zero(b)))
        (x, x_place), (y, y_place) = _fields(operand, a), _fields(operand, b)
        significand, place = x * y, x_place + y_place
    significand = np.where(special, 0, np.where(minus, -significand, significand))
    shape = significand.shape[:-1]
    bins = int(place.max(initial=0)) + _HALF + 1
    row = np.arange(int(np.prod(shape))).reshape(*shape, 1) * bins
    sums = np.zeros(row.size * bins, np.int64)
    low = significand & ((1 << _HALF) - 1)
    np.add.at(sums, (row + place).ravel(), low.ravel())
    np.add.at(sums, (row + place + _HALF).ravel(), ((significand - low) >> _HALF).ravel())
    powers = np.array([1 << place for place in range(bins)], object)
    totals = (sums.reshape(-1, bins).astype(object) * powers).sum(axis=1).reshape(shape)
    infinite = special & ~is_nan
    return totals, is_nan.any(-1), (infinite & ~minus).any(-1), (infinite & minus).any(-1)


def _fields(form, codes):
    """Significands as integers, and the place of their last digit above the unit; a zero has both zero."""
    magnitudes = form.magnitudes(codes).astype(np.int64)
    field, mantissa = magnitudes >> form.mantissa_bits, magnitudes & form.mantissa_mask
    significand = np.where(field > 0, mantissa | 1 << form.mantissa_bits, mantissa)
    return np.where(form.is_zero(codes), 0, significand), np.maximum(field - 1, 0)


def rounded_sum(config, sums, nan, positive, negative):
    """Exact sums rounded once to the sum's format, from what :func:`exact_sums` returns."""
    form, unit = config.sum_float_format, config.fixed_point[0]
    values = np.array([_near(int(n), unit) for n in np.asarray(sums, object).ravel()]).reshape(np.shape(sums))
    codes = encode(values, form, overflow="ieee")
    codes = np.where(positive, form.infinity_code, codes)
    codes = np.where(negative, form.infinity_code | form.sign_mask, codes)
    return np.where(nan | (positive & negative), form.nan_code, codes).astype(form.dtype)


def _near(n, exponent):
    """A ``float`` that rounds to any format of up to 24 digits as ``n * 2 ** exponent`` does."""
    magnitude = abs(n)
    dropped = max(magnitude.bit_length() - _DIGITS + 1, 0)
    kept = magnitude >> dropped
    sticky = kept << dropped != magnitude
    return float(np.ldexp(float((kept << 1 | sticky) * (-1 if n < 0 else 1)), dropped + exponent - 1))


def float_dot_golden(config, beats):
    """Rows of the tiles that the beats complete; ``rows`` beats of ``config.o.dtype`` a tile.

    Parameters
    ----------
    config : :class:`FloatDotConfig`
    beats : array of ``config.i.dtype``

    Raises
    ------
    ConfigError
        If a reduction is longer than ``max_k``.
    """
    starts, ends = tile_ends(beats)
    a = beats["a"].reshape(len(beats), config.rows, config.lanes)
    b = beats["b"].reshape(len(beats), config.cols, config.lanes)
    out = config.o.zeros(len(ends) * config.rows)
    for tile, (start, end) in enumerate(zip(starts, ends, strict=True)):
        rows = slice(tile * config.rows, (tile + 1) * config.rows)
        left = a[start:end].transpose(1, 0, 2).reshape(config.rows, 1, -1)
        right = b[start:end].transpose(1, 0, 2).reshape(1, config.cols, -1)
        out["c"][rows] = float_dots(config, left, right)
        out["last"][rows.stop - 1] = 1
    return out


def float_dot_stimulus(config, rng, count):
    """Input beats: steps of corners, cancelling and overflowing sums, then random tiles of K from 1 to 24 steps.

    Parameters
    ----------
    config : :class:`FloatDotConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats. The last beat ends its tile.
    """
    form = config.float_format
    a_field, b_field = config.i.fields[:2]
    corners = float_corners(form)
    longest = max(config.max_k // config.lanes, 1)
    parts = []
    codes = np.unique(np.concatenate([corners, corners | form.sign_mask]))
    for turn, code in enumerate(codes):
        # All operands alike, so that every field meets every corner.
        fields = (
            (a_field, code),
            (b_field, codes[(5 * turn + 3) % len(codes)]),
            (a_field, codes[turn - 1]),
            (b_field, code),
        )
        filled = [np.full((1, *field.shape), value) for field, value in fields]
        parts += [(*filled[:2], 1), (*filled[2:], 1)]
    for size in (min(2, longest), min(5, longest)):
        for _ in range(4):
            parts.append((*(rng.choice(codes, (size, *field.shape)) for field in (a_field, b_field)), size))
    # A sum of the largest products, and one that cancels to the smallest.
    size = min(4, longest)
    for first, then in ((form.largest_code, form.largest_code), (form.largest_code, form.smallest_normal_code)):
        a = np.full((size, *a_field.shape), first)
        b = np.full((size, *b_field.shape), then)
        parts.append((a, b, size))
        if form.signed and size > 1:
            flipped = b.copy()
            flipped[1::2] |= form.sign_mask
            parts.append((a, flipped, size))
    used = sum(size for _a, _b, size in parts)
    while used < count:
        size = int(rng.integers(1, min(longest, 24), endpoint=True))
        shapes = ((size, *field.shape) for field in (a_field, b_field))
        parts.append((*(float_samples(form, rng, shape) for shape in shapes), size))
        used += size
    a, b = (np.concatenate([part[column] for part in parts])[:count] for column in range(2))
    last = np.concatenate([np.arange(size) == size - 1 for _a, _b, size in parts])[:count].astype(np.int64)
    if count:
        last[-1] = 1
    beats = config.i.zeros(len(a))
    beats["a"], beats["b"], beats["last"] = a, b, last
    return beats
