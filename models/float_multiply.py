"""Floating-point multiplication: configuration, golden model and stimulus of the exact multiplier, design ``fmul``.

The product is the exact one, rounded once to the operands' format (IEEE 754-2019, 4.3 and 5.4.1). What a multiplier may
leave out to be smaller is a parameter: rounding, subnormal numbers, NaN and infinities. The configuration's base and the
stimulus serve approximate multipliers too.
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError
from .float_format import FORMATS, NANS, OVERFLOWS, FloatFormat
from .float_rounding import encode
from .payload import Field, Payload

__all__ = [
    "FloatMultiplyConfig",
    "FloatProductConfig",
    "blockwise",
    "float_corners",
    "float_multiply_golden",
    "float_products",
    "float_samples",
    "float_stimulus",
    "special_products",
]

_BLOCK = 1 << 15  # pairs at a time, so that what is computed in between stays in the cache
_FORMAT_FIELDS = ("exponent_bits", "mantissa_bits", "bias", "signed", "infinities", "nan")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatProductConfig(Config):
    """What all designs that multiply two floating-point numbers have in common: format, overflow, special values, pipeline."""

    shorthands: ClassVar[dict] = {}

    #: Cycles between products.
    initiation_interval: ClassVar[int] = 1
    #: Whether subnormal numbers are numbers; otherwise they count as zeros, and a product below the normal numbers is zero.
    subnormals: ClassVar[bool] = False

    format: str = parameter(
        "bfloat16",
        "format of operands and product; custom if given by the parameters below",
        choices=(*FORMATS, "custom"),
    )
    exponent_bits: int | None = parameter(None, "bits of the exponent field; derived from format", legal=(2, 8))
    mantissa_bits: int | None = parameter(None, "bits of the mantissa field; derived from format", legal=(1, 23))
    bias: int | None = parameter(
        None, "exponent field of 1.0; derived from format, or from exponent_bits as IEEE 754 has it", legal=(0, 255)
    )
    signed: bool | None = parameter(None, "numbers have a sign bit; derived from format, else true")
    infinities: bool | None = parameter(
        None, "the top exponent with mantissa field 0 is infinity; derived from format, else true if nan is ieee"
    )
    nan: str | None = parameter(
        None,
        "codes that are NaN: those of the top exponent, the one with all bits set, or none; derived from format, else ieee",
        choices=NANS,
    )
    overflow: str | None = parameter(
        None,
        "a product beyond the largest finite number becomes infinity, else NaN, else the largest number, as the format has "
        "them (ieee), or what is named; derived as ieee for a format with infinities, else saturate",
        choices=OVERFLOWS,
    )
    specials: bool = parameter(True, "NaN and infinity as operands are told apart; otherwise they count as numbers")
    stages: int = parameter(1, "registers between operands and product", legal=(0, 3))

    def derive(self):
        given = {name: getattr(self, name) for name in _FORMAT_FIELDS}
        if self.format == "custom":
            if self.exponent_bits is None or self.mantissa_bits is None:
                raise ConfigError('format = "custom" needs exponent_bits and mantissa_bits')
            defaults = {"signed": True, "nan": "ieee", "infinities": self.nan in (None, "ieee")}
            chosen = FloatFormat(**{name: defaults.get(name) if v is None else v for name, v in given.items()})
        else:
            chosen = FORMATS[self.format]
            for name, value in given.items():
                if value is not None and value != getattr(chosen, name):
                    raise ConfigError(
                        f"{name} of {self.format} is {getattr(chosen, name)!r}, not {value!r}; "
                        'other formats need format = "custom"'
                    )
        self._set(**{name: getattr(chosen, name) for name in _FORMAT_FIELDS})
        self.derive_product(chosen)

    def derive_product(self, chosen):
        """Fill in and check what the product's format, which is ``chosen`` as well, decides."""
        if self.overflow is None:
            self._set(overflow=chosen.default_overflow)
        chosen.overflow_code(self.overflow)

    @cached_property
    def float_format(self):
        """Format of the operands, a :class:`~carrysave.models.float_format.FloatFormat`."""
        values = {name: getattr(self, name) for name in _FORMAT_FIELDS}
        return FloatFormat(**values, subnormals=self.subnormals)

    @cached_property
    def operand_format(self):
        """Format of the operands as the design sees them: without ``specials`` every code is a number."""
        if self.specials:
            return self.float_format
        return dataclasses.replace(self.float_format, infinities=False, nan="none")

    @property
    def product_format(self):
        """Format of the product."""
        return self.float_format

    @property
    def border_format(self):
        """Format whose ends are the borders that :meth:`near` takes."""
        return self.float_format

    @property
    def latency(self):
        """Cycles from operands accepted to their product."""
        return self.stages

    @property
    def i(self):
        """One pair a beat: the codes of ``a`` and ``b``."""
        return Payload((Field("a", self.float_format.width), Field("b", self.float_format.width)))

    @property
    def o(self):
        """One ``product``, a code of :attr:`product_format`."""
        return Payload((Field("product", self.product_format.width),))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FloatMultiplyConfig(FloatProductConfig):
    """Multiplier that rounds the exact product once."""

    design: ClassVar[str] = "fmul"

    rounding: str = parameter(
        "nearest-even", "rounding of the product, IEEE 754", choices=("nearest-even", "toward-zero")
    )
    subnormals: bool = parameter(
        True, "subnormal numbers as IEEE 754 has them; otherwise they count as zeros and are never an answer"
    )

    product: str = parameter(
        "operands", "format of the product: the operands' own, or a wider one", choices=("operands", *FORMATS)
    )

    def derive_product(self, chosen):
        result = chosen if self.product == "operands" else FORMATS[self.product]
        super().derive_product(result)
        for name in ("exponent_bits", "mantissa_bits"):
            if getattr(result, name) < getattr(chosen, name):
                raise ConfigError(f"product = {self.product!r} must have at least the {name} of the operands, {chosen}")
        if self.specials:
            for what, missing in (
                ("NaN", chosen.nan != "none" and result.nan == "none"),
                ("infinity", chosen.infinities and not result.infinities),
            ):
                if missing:
                    raise ConfigError(
                        f"product = {self.product!r} has no {what}, which {chosen} operands have; "
                        "choose another format or specials = false"
                    )

    @cached_property
    def product_format(self):
        """Format of the product."""
        if self.product == "operands":
            return self.float_format
        return dataclasses.replace(FORMATS[self.product], subnormals=self.subnormals)

    @property
    def border_format(self):
        """Format whose ends are the borders that :meth:`near` takes."""
        return self.product_format

    def near(self, magnitudes, border):
        """Partners with which operands' products lie near a border; ``int64`` magnitudes, of finite numbers or beyond."""
        form, result = (dataclasses.replace(one, subnormals=True) for one in (self.float_format, self.product_format))
        quotients = result.decode(border) / form.decode(magnitudes)
        return encode(quotients, form).astype(np.int64)


def blockwise(function, dtype, a, b):
    """Apply a function of two one-dimensional arrays block by block to arrays that broadcast together."""
    a, b = np.broadcast_arrays(a, b)
    out = np.empty(a.shape, dtype)
    flat_a, flat_b, flat_out = a.reshape(-1), b.reshape(-1), out.reshape(-1)
    for start in range(0, out.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        flat_out[block] = function(flat_a[block], flat_b[block])
    return out


def special_products(operand, result, a, b):
    """Products of which at least one operand is NaN or infinity (IEEE 754-2019, 6.1 and 6.2).

    NaN times anything, and infinity times zero, is the canonical NaN; infinity times anything else is infinity with the
    product's sign. Subnormal numbers of a format that has none are zeros here as well.

    Parameters
    ----------
    operand, result : :class:`~carrysave.models.float_format.FloatFormat`
        Formats that have the same special values.
    a, b : arrays of integers, codes of ``operand``

    Returns
    -------
    ``int64`` array, codes of ``result``
    """
    nan = operand.is_nan(a) | operand.is_nan(b) | operand.is_zero(a) | operand.is_zero(b)
    negative = operand.is_negative(a) ^ operand.is_negative(b)
    infinity = (result.infinity_code or 0) | np.where(negative, result.sign_mask, 0)
    return np.where(nan, result.nan_code, infinity)


def float_products(config, a, b):
    """Products of codes.

    Parameters
    ----------
    config : :class:`FloatMultiplyConfig`
    a, b : arrays of integers
        Codes of ``config.operand_format``, of shapes that broadcast together.

    Returns
    -------
    array of ``config.product_format.dtype``
        Codes. A zero has the sign of its operands' signs, exclusive-or'ed; NaN is the canonical one.

    Raises
    ------
    ConfigError
        If a code is not an integer or has more bits than the format.
    """
    operand, result = config.operand_format, config.product_format

    def multiply(a, b):
        special = ~(operand.is_finite(a) & operand.is_finite(b))
        # float64 holds the product of two significands of 24 bits, and the exponents' sum, exactly.
        values = np.where(special, 0, operand.decode(a)) * np.where(special, 0, operand.decode(b))
        codes = encode(values, result, rounding=config.rounding, overflow=config.overflow)
        if special.any():
            codes[special] = special_products(operand, result, a[special], b[special])
        return codes

    return blockwise(multiply, result.dtype, config.float_format.checked(a), config.float_format.checked(b))


def float_multiply_golden(config, beats):
    """Products of the beats.

    Parameters
    ----------
    config : :class:`FloatMultiplyConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
        One beat an input beat.
    """
    return config.o.beats(product=float_products(config, beats["a"], beats["b"]))


def float_corners(form):
    """Directed magnitudes: zero, ends of the subnormal, normal and special codes, round numbers; sorted, distinct ``int64``."""
    smallest, largest, one = form.smallest_normal_code, form.largest_code, form.bias << form.mantissa_bits
    half = smallest >> 1
    codes = [0, 1, smallest - 1, smallest, smallest + 1, one - 1, one, one + 1, one + half, one + smallest - 1]
    codes += [largest - 1, largest, largest + 1, form.nan_code or 0, form.magnitude_mask]
    codes = np.unique(codes)
    return codes[(codes >= 0) & (codes <= form.magnitude_mask)]


def float_stimulus(config, rng, count):
    """Input beats: all pairs of corners, of extreme codes, pairs at the borders of overflow and underflow, then random ones.

    Each operand of a random pair is a uniform code or, as often, normally distributed as weights and activations are, with
    a standard deviation within six binades in the middle of the format's range.

    Parameters
    ----------
    config : :class:`FloatProductConfig`
        Of a design with a method ``near``.
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    form = config.float_format  # with its special values, even where the design takes them for numbers
    corners = float_corners(form)
    first, second = (grid.ravel() for grid in np.indices((len(corners), len(corners))))
    signs = 3 * first + second
    ends = np.array([0, 1, (1 << form.width) - 1])
    pairs = [
        (_signed(form, corners[first], signs), _signed(form, corners[second], signs >> 1)),
        (np.repeat(ends, 3), np.tile(ends, 3)),
    ]
    ends = config.border_format
    for border in (1, ends.smallest_normal_code, ends.largest_code):
        a = rng.integers(form.smallest_normal_code, form.largest_code, 400, endpoint=True)
        b = config.near(a, border)
        a, b = (column[(b >= form.smallest_normal_code) & (b <= form.largest_code)][:60] for column in (a, b))
        b = np.clip(b + np.arange(len(b)) % 5 - 2, 0, form.largest_code)
        pairs.append(tuple(_signed(form, column, rng.integers(0, 2, len(column))) for column in (a, b)))
    rest = max(count - sum(len(a) for a, _ in pairs), 0)
    pairs.append((float_samples(form, rng, rest), float_samples(form, rng, rest)))
    a, b = (np.concatenate(column)[:count] for column in zip(*pairs, strict=True))
    return config.i.beats(a=a, b=b)


def _signed(form, magnitudes, signs):
    return magnitudes | (signs & 1) * form.sign_mask


def float_samples(form, rng, shape):
    """Random codes: half uniform, half normally distributed with a deviation within six binades in the format's middle."""
    uniform = rng.integers(0, 1 << form.width, shape)
    middle = form.decode((form.smallest_normal_code + form.largest_code) // 2)
    normal = rng.normal(0, 1, shape) * middle * 2.0 ** rng.uniform(-4, 2, shape)
    normal = encode(normal if form.signed else np.abs(normal), form, overflow="saturate").astype(np.int64)
    return np.where(rng.random(shape) < 0.5, uniform, normal)
