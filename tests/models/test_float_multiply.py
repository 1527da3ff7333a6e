"""Exact floating-point multiplier: ml_dtypes and NumPy on every pair of small formats, exact rationals for what they lack."""

import bisect
import dataclasses
import functools
import re
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_format import FORMATS
from carrysave.models.float_multiply import (
    FloatMultiplyConfig,
    blockwise,
    float_corners,
    float_multiply_golden,
    float_products,
    float_stimulus,
    special_products,
)

SMALL = [name for name, form in FORMATS.items() if form.width <= 8]
WIDE = ["float16", "bfloat16", "float32"]
CUSTOM = {"format": "custom", "exponent_bits": 3, "mantissa_bits": 2}
ORACLE_CONFIGS = [
    FloatMultiplyConfig(format="float8_e4m3fn", rounding="toward-zero", subnormals=False),
    FloatMultiplyConfig(format="float8_e5m2", rounding="toward-zero", overflow="infinity"),
    FloatMultiplyConfig(format="float8_e5m2", subnormals=False, overflow="nan"),
    FloatMultiplyConfig(format="float8_e5m2", subnormals=False, specials=False),
    FloatMultiplyConfig(format="float8_e4m3", rounding="toward-zero", overflow="ieee"),
    FloatMultiplyConfig(format="float8_e3m4", overflow="saturate", specials=False, rounding="toward-zero"),
    FloatMultiplyConfig(format="float6_e2m3fn", subnormals=False),
    FloatMultiplyConfig(**CUSTOM, bias=5, signed=False),
    FloatMultiplyConfig(**CUSTOM, infinities=False, overflow="nan"),
]


def type_of(name):
    """The type of NumPy or ml_dtypes of that name."""
    return np.dtype(getattr(np, name, None) or getattr(ml_dtypes, name))


def every_pair(form):
    codes = np.arange(1 << form.width).astype(form.dtype)
    return np.repeat(codes, len(codes)), np.tile(codes, len(codes))


def hard_pairs(config, seed, count):
    """Stimulus, pairs whose products lie among the subnormal numbers or round to a tie, random codes; at least ``count``."""
    rng, form = np.random.default_rng(seed), config.float_format
    beats = float_stimulus(config, rng, 20_000)
    size = (count - len(beats)) // 3 + 1
    codes = [rng.integers(0, 1 << form.width, size) for _ in range(6)]
    low = form.smallest_normal_code + (form.bias << form.mantissa_bits) - (codes[2] & form.magnitude_mask)
    low -= rng.integers(0, (form.mantissa_bits + 3) << form.mantissa_bits, size)
    codes[3] = np.clip(low, 0, form.magnitude_mask) | codes[3] & form.sign_mask
    half = -(1 << (form.mantissa_bits + 1) // 2)  # so few significant bits that products are ties, or exact
    codes[4:] = [code & half for code in codes[4:]]
    pairs = [(beats["a"], beats["b"]), *zip(codes[::2], codes[1::2], strict=True)]
    return tuple(np.concatenate(column).astype(form.dtype) for column in zip(*pairs, strict=True))


def reference(name, a, b):
    """Codes of products by NumPy or ml_dtypes."""
    with np.errstate(all="ignore"):
        return (a.view(type_of(name)) * b.view(type_of(name))).view(a.dtype)


def check(form, a, b, got, want, seed=None):
    """Equal codes; what is NaN in one must be the canonical NaN in ours."""
    nan = form.is_nan(want)
    wrong = np.flatnonzero(np.where(nan, got != (form.nan_code or 0), got != want))
    assert not len(wrong), (
        f"seed {seed}, {len(wrong)} wrong, {a[wrong[0]]:#x} x {b[wrong[0]]:#x}: "
        f"expected {want[wrong[0]]:#x}, got {got[wrong[0]]:#x}"
    )


@pytest.mark.parametrize("name", SMALL)
def test_every_pair_as_ml_dtypes(name):
    config = FloatMultiplyConfig(format=name, overflow="ieee")
    form = config.float_format
    a, b = every_pair(form)
    got = float_products(config, a, b)
    assert got.dtype == form.dtype
    check(form, a, b, got, reference(name, a, b))


@pytest.mark.parametrize("name", WIDE)
def test_wide_formats_as_numpy(name):
    config, seed = FloatMultiplyConfig(format=name), 1
    a, b = hard_pairs(config, seed, 1_000_000)
    assert len(a) >= 1_000_000
    got = float_products(config, a, b)
    kinds = np.bincount(config.float_format.classify(got), minlength=5)
    assert kinds.min() > 1000, f"seed {seed}: zeros, subnormal, normal numbers, infinities and NaNs are {kinds}"
    check(config.float_format, a, b, got, reference(name, a, b), seed)


def number(config, code):
    """Sign and value of an operand; the value is ``"nan"`` or ``"infinity"`` where the configuration tells them apart."""
    exponent_bits, mantissa_bits = config.exponent_bits, config.mantissa_bits
    negative = bool(code >> exponent_bits + mantissa_bits)
    exponent = code >> mantissa_bits & (1 << exponent_bits) - 1
    mantissa = code & (1 << mantissa_bits) - 1
    ones = mantissa == (1 << mantissa_bits) - 1
    if config.specials and exponent == (1 << exponent_bits) - 1:
        if config.nan == "ieee":
            return negative, "infinity" if config.infinities and mantissa == 0 else "nan"
        if config.nan == "all-ones" and ones:
            return negative, "nan"
    if exponent == 0:
        return negative, Fraction(mantissa * config.subnormals, 1 << mantissa_bits) * Fraction(2) ** (1 - config.bias)
    return negative, (1 + Fraction(mantissa, 1 << mantissa_bits)) * Fraction(2) ** (exponent - config.bias)


def oracle(config, a, b):
    """The product's code with exact rationals, by the definition."""
    form = config.float_format
    (a_negative, x), (b_negative, y) = number(config, a), number(config, b)
    negative = a_negative != b_negative
    sign = form.sign_mask * negative
    if "nan" in (x, y) or (x == "infinity" and y == 0) or (y == "infinity" and x == 0):
        return form.nan_code
    if "infinity" in (x, y):
        return form.infinity_code | sign
    value = x * y
    if value == 0:
        return sign
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= value < Fraction(2) ** exponent
    if config.subnormals:
        exponent = max(exponent, 1 - config.bias)
    scaled = value / Fraction(2) ** (exponent - config.mantissa_bits)
    digits = round(scaled) if config.rounding == "nearest-even" else scaled.numerator // scaled.denominator
    rounded = digits * Fraction(2) ** (exponent - config.mantissa_bits)
    numbers = numbers_of(form)
    if rounded > numbers[-1]:
        return overflowed(config, sign)
    if not config.subnormals and rounded < numbers[form.smallest_normal_code]:
        return sign
    return bisect.bisect_left(numbers, rounded) | sign


@functools.cache
def numbers_of(form):
    """Values of all magnitudes up to the largest, by code."""
    every = dataclasses.replace(form, subnormals=True)
    return [Fraction(value) for value in every.decode(np.arange(form.largest_code + 1)).tolist()]


def overflowed(config, sign):
    form, overflow = config.float_format, config.overflow
    if overflow == "ieee" and config.rounding == "toward-zero":
        return form.largest_code | sign
    if overflow == "ieee":
        overflow = "infinity" if config.infinities else "nan" if config.nan != "none" else "saturate"
    return {
        "saturate": form.largest_code | sign,
        "infinity": (form.infinity_code or 0) | sign,
        "nan": form.nan_code,
    }[overflow]


@pytest.mark.parametrize("config", ORACLE_CONFIGS, ids=lambda config: config.canonical())
def test_by_exact_rationals(config):
    form, seed = config.float_format, 2
    a, b = every_pair(form)
    chosen = np.random.default_rng(seed).choice(len(a), min(len(a), 6000), replace=False)
    beats = float_stimulus(config, np.random.default_rng(seed), 400)
    a, b = np.concatenate([a[chosen], beats["a"]]), np.concatenate([b[chosen], beats["b"]])
    for x, y, got in zip(a.tolist(), b.tolist(), float_products(config, a, b).tolist(), strict=True):
        want = oracle(config, x, y)
        assert got == want, f"seed {seed}, {x:#x} x {y:#x}: expected {want:#x}, got {got:#x}"


@pytest.mark.parametrize(
    ("config", "a", "b", "product"),
    [
        (FloatMultiplyConfig(), 0x3FC0, 0x3FC0, 0x4010),
        (FloatMultiplyConfig(), 0x7F80, 0x0001, 0x7F80),
        (FloatMultiplyConfig(subnormals=False), 0x7F80, 0x0001, 0x7FC0),
        (FloatMultiplyConfig(), 0xFF80, 0x8000, 0x7FC0),
        (FloatMultiplyConfig(overflow="saturate"), 0x7F7F, 0xFF7F, 0xFF7F),
        (FloatMultiplyConfig(overflow="saturate"), 0x7F80, 0xBF80, 0xFF80),
        (FloatMultiplyConfig(overflow="nan"), 0x7F7F, 0xFF7F, 0x7FC0),
        (FloatMultiplyConfig(specials=False), 0x7F80, 0x3F00, 0x7F00),
        (FloatMultiplyConfig(format="float8_e4m3fn"), 0x7E, 0x7E, 0x7E),
        (FloatMultiplyConfig(format="float8_e4m3fn", specials=False), 0x7F, 0x30, 0x77),
    ],
)
def test_directed(config, a, b, product):
    assert float_products(config, a, b) == product


def test_golden_is_the_products():
    config, seed = FloatMultiplyConfig(format="float16"), 3
    beats = float_stimulus(config, np.random.default_rng(seed), 5000)
    result = float_multiply_golden(config, beats)
    assert result.dtype == config.o.dtype
    a, b = (beats[name].astype(np.uint16) for name in "ab")
    check(config.float_format, a, b, result["product"], reference("float16", a, b).astype(np.int64), seed)


def test_broadcasting():
    config = FloatMultiplyConfig(format="float8_e5m2")
    codes = np.arange(256)
    table = float_products(config, codes[:, np.newaxis], codes)
    assert table.shape == (256, 256)
    assert (table.ravel() == float_products(config, *every_pair(config.float_format))).all()
    long = np.arange(100_000)
    assert (blockwise(np.add, np.int64, long, 1) == long + 1).all()
    assert blockwise(np.add, np.int64, long[:0], long[:0]).shape == (0,)


def test_special_products_of_another_width():
    operand = FORMATS["float8_e5m2"]
    result = dataclasses.replace(operand, mantissa_bits=4)
    got = special_products(operand, result, np.array([0x7C, 0xFC, 0xFC, 0x7D]), np.array([0x3C, 0x3C, 0x00, 0x3C]))
    assert got.tolist() == [0x1F0, 0x3F0, 0x1F8, 0x1F8]


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2"])
def test_products_in_a_wider_format(name):
    codes = np.arange(256, dtype=np.uint8)
    got = float_products(FloatMultiplyConfig(format=name, product="float32"), codes[:, np.newaxis], codes)
    values = codes.view(getattr(ml_dtypes, name)).astype(np.float32)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(got.view(np.float32), values[:, np.newaxis] * values)


@pytest.mark.parametrize("name", FORMATS)
def test_stimulus(name):
    config, seed = FloatMultiplyConfig(format=name), 4
    form = config.float_format
    beats = float_stimulus(config, np.random.default_rng(seed), 3000)
    assert len(beats) == 3000
    assert (beats == float_stimulus(config, np.random.default_rng(seed), 3000)).all()
    corners = float_corners(form).tolist()
    magnitudes = (beats["a"] & form.magnitude_mask, beats["b"] & form.magnitude_mask)
    pairs = set(zip(*(column[: len(corners) ** 2].tolist() for column in magnitudes), strict=True))
    assert pairs == {(x, y) for x in corners for y in corners}, "all pairs of corners come first"
    signs = set(zip(*(form.is_negative(beats[n]).tolist() for n in "ab"), strict=True))
    assert len(signs) == 4
    kinds = np.bincount(form.classify(float_products(config, beats["a"], beats["b"])), minlength=5)
    expected = [True, True, True, form.infinities, form.nan != "none"]
    assert ((kinds > 20) == expected).all(), f"seed {seed}: classes of products {kinds}"
    short = float_stimulus(config, np.random.default_rng(seed), 10)
    assert (short == beats[:10]).all()
    assert len(float_stimulus(config, np.random.default_rng(seed), 0)) == 0


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_stimulus_hits_both_sides_of_the_borders(name):
    config = FloatMultiplyConfig(format=name, overflow="ieee")
    form = config.float_format
    beats = float_stimulus(config, np.random.default_rng(5), 3000)
    products = form.magnitudes(float_products(config, beats["a"], beats["b"]))
    finite = form.is_finite(beats["a"]) & form.is_finite(beats["b"])
    zero = form.is_zero(beats["a"]) | form.is_zero(beats["b"])
    for code in (1, form.smallest_normal_code - 1, form.smallest_normal_code, form.largest_code, form.largest_code + 1):
        assert (products[finite] == code).sum() > 3, f"seed 5, code {code:#x}"
    assert (products[~zero] == 0).any()


@pytest.mark.parametrize("name", FORMATS)
def test_named_and_custom_formats_agree(name):
    named = FloatMultiplyConfig(format=name)
    fields = ("exponent_bits", "mantissa_bits", "bias", "signed", "infinities", "nan")
    custom = FloatMultiplyConfig(format="custom", **{field: getattr(named, field) for field in fields})
    assert custom.float_format == named.float_format == FORMATS[name]
    assert custom.overflow == named.overflow
    assert FloatMultiplyConfig.from_toml(named.to_toml()) == named
    assert named.i.width == 2 * FORMATS[name].width
    assert named.o.width == FORMATS[name].width


def test_custom_defaults_are_those_of_ieee():
    config = FloatMultiplyConfig.from_pairs(["format=custom", "exponent_bits=5", "mantissa_bits=10"])
    assert config.float_format == FORMATS["float16"]
    assert not FloatMultiplyConfig(**CUSTOM, nan="none").infinities
    assert FloatMultiplyConfig(subnormals=False).float_format == dataclasses.replace(
        FORMATS["bfloat16"], subnormals=False
    )
    assert FloatMultiplyConfig(stages=3).latency == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "float8"}, f"format must be one of {', '.join(FORMATS)}, custom, not 'float8'"),
        ({"format": "custom"}, 'format = "custom" needs exponent_bits and mantissa_bits'),
        ({"format": "custom", "exponent_bits": 4}, 'format = "custom" needs exponent_bits and mantissa_bits'),
        ({**CUSTOM, "exponent_bits": 9}, "exponent_bits must be an integer in 2..8, not 9"),
        ({**CUSTOM, "nan": "none", "infinities": True}, "infinities need nan = \"ieee\", not 'none'"),
        (
            {"mantissa_bits": 8},
            'mantissa_bits of bfloat16 is 7, not 8; other formats need format = "custom"',
        ),
        (
            {"format": "float8_e4m3fn", "overflow": "infinity"},
            "overflow cannot be 'infinity': float8_e4m3fn has no such code",
        ),
        ({"rounding": "stochastic"}, "rounding must be one of nearest-even, toward-zero, not 'stochastic'"),
        ({"stages": 4}, "stages must be an integer in 0..3, not 4"),
        ({"product": "float16"}, "product = 'float16' must have at least the exponent_bits of the operands, bfloat16"),
        (
            {"format": "float6_e2m3fn", "product": "float6_e3m2fn"},
            "product = 'float6_e3m2fn' must have at least the mantissa_bits of the operands, float6_e2m3fn",
        ),
        (
            {"format": "float8_e4m3", "product": "float8_e4m3fn"},
            "product = 'float8_e4m3fn' has no infinity, which float8_e4m3 operands have; choose another format or "
            "specials = false",
        ),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FloatMultiplyConfig(**arguments)


def test_codes_refused():
    with pytest.raises(ConfigError, match=r"^65536 is no code of bfloat16: it takes 0\.\.65535$"):
        float_products(FloatMultiplyConfig(), [65536], [0])
