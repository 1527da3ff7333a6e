"""Dot products: exact rationals for exact sums, NumPy's float32 for rounded ones, written apart from the model."""

import re
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_dot import (
    ACCUMULATORS,
    FloatArrayConfig,
    FloatDotConfig,
    float_dot_golden,
    float_dot_stimulus,
    float_dots,
)
from carrysave.models.float_format import FORMATS
from carrysave.models.lmul import lmul_products

SEED = 20261125
FORMATS_HERE = ("float8_e4m3fn", "float8_e5m2", "bfloat16", "float16")


def operands(config, count, k, rng):
    """Codes of finite numbers, most of them of like size, so that sums cancel."""
    form = config.float_format
    codes = rng.integers(0, 1 << form.width, (2, count, k))
    middle = form.bias << form.mantissa_bits
    near = (
        middle + rng.integers(-(2 << form.mantissa_bits), 2 << form.mantissa_bits, codes.shape)
    ) & form.magnitude_mask
    codes = np.where(rng.random(codes.shape) < 0.6, near | (codes & form.sign_mask), codes)
    return np.where(form.is_finite(codes), codes, 0)


def rational(form, code):
    return Fraction(float(form.decode(code)))


def nearest(form, value):
    """Code of a rational number, by comparison with the neighbours of what NumPy rounds to."""
    candidates = np.arange(form.largest_code + 1) if form.width <= 16 else None
    if candidates is None:
        guess = int(np.float32(min(abs(value), form.largest)).view(np.uint32))
        candidates = np.arange(max(guess - 2, 0), min(guess + 3, form.largest_code + 1))
    magnitude = abs(value)
    largest, step = (
        rational(form, form.largest_code),
        rational(form, form.largest_code) - rational(form, form.largest_code - 1),
    )
    if magnitude >= largest + step / 2:
        code = form.infinity_code
    else:
        values = form.decode(candidates)
        start = max(int(np.searchsorted(values, float(magnitude))) - 2, 0)
        close = candidates[start : start + 4].tolist()
        code = min(close, key=lambda c: (abs(rational(form, c) - magnitude), c & 1))
    return code | (form.sign_mask if value < 0 else 0)


@pytest.mark.parametrize("sum_format", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", FORMATS_HERE)
@pytest.mark.parametrize("multiplier", ["lmul", "exact"])
def test_exact_sums_against_rationals(multiplier, name, sum_format):
    config = FloatDotConfig(multiplier=multiplier, format=name, sum_format=sum_format, lanes=3)
    form, result, lmul = config.float_format, config.sum_float_format, config.multiplier_config
    a, b = operands(config, 40, 11, np.random.default_rng(SEED))
    got = float_dots(config, a, b)
    for row in range(len(a)):
        if multiplier == "exact":
            terms = [rational(form, x) * rational(form, y) for x, y in zip(a[row], b[row], strict=True)]
        else:
            products = lmul_products(lmul, a[row], b[row])
            if not lmul.product_format.is_finite(products).all():
                continue
            terms = [rational(lmul.product_format, code) for code in products]
        want = nearest(result, sum(terms))
        assert got[row] == want, f"seed {SEED}, row {row}: {got[row]:#x}, expected {want:#x}"


def test_sequential_sums_are_numpy_s():
    config = FloatDotConfig(multiplier="exact", format="bfloat16", accumulator="sequential", lanes=1)
    a, b = operands(config, 200, 17, np.random.default_rng(SEED))
    x, y = (codes.astype(np.uint16).view(ml_dtypes.bfloat16).astype(np.float32) for codes in (a, b))
    total = np.zeros(len(a), np.float32)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        for step in range(a.shape[1]):
            total += x[:, step] * y[:, step]
    got = float_dots(config, a, b).view(np.float32)
    np.testing.assert_array_equal(got, total)


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_tree_order(lanes):
    config = FloatDotConfig(multiplier="exact", format="float16", accumulator="tree", lanes=lanes)
    a, b = operands(config, 60, 2 * lanes, np.random.default_rng(SEED))
    got = float_dots(config, a, b).view(np.float32)
    x, y = (codes.astype(np.uint16).view(np.float16).astype(np.float32) for codes in (a, b))

    def tree(terms):
        if len(terms) == 1:
            return terms[0]
        # The largest power of two below the number of terms makes the left part.
        cut = 1 << (len(terms) - 1).bit_length() - 1
        return np.float32(tree(terms[:cut]) + tree(terms[cut:]))

    for row in range(len(a)):
        p = list(x[row] * y[row])
        want = np.float32(np.float32(0 + tree(p[:lanes])) + tree(p[lanes:]))
        np.testing.assert_array_equal(got[row], want)


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
@pytest.mark.parametrize("multiplier", ["lmul", "exact"])
def test_special_values(accumulator, multiplier):
    config = FloatDotConfig(format="bfloat16", multiplier=multiplier, accumulator=accumulator, lanes=2)
    inf, nan, one, minus = 0x7F80, 0x7FC0, 0x3F80, 0x8000
    result = FORMATS["float32"]
    cases = [
        ([inf, one], [one, one], result.infinity_code),
        ([inf, one], [one | minus, one], result.infinity_code | result.sign_mask),
        ([inf, inf], [one, one | minus], result.nan_code),
        ([inf, one], [0, one], result.nan_code),
        ([nan, one], [one, one], result.nan_code),
        ([0, minus], [minus, one], 0),
        ([one, one | minus], [one, one], 0),
    ]
    for a, b, want in cases:
        got = int(float_dots(config, np.array([a]), np.array([b]))[0])
        assert got == want, f"{a} {b}: {got:#x}, expected {want:#x}"


@pytest.mark.parametrize("name", FORMATS_HERE)
@pytest.mark.parametrize("multiplier", ["lmul", "exact"])
def test_width_holds_the_longest_sum_of_extremes(multiplier, name):
    config = FloatDotConfig(multiplier=multiplier, format=name, max_k=1000)
    form = config.multiplier_config.product_format if multiplier == "lmul" else config.float_format
    largest = rational(form, form.largest_code) ** (1 if multiplier == "lmul" else 2)
    smallest = Fraction(2) ** ((1 if multiplier == "lmul" else 2) * (1 - form.bias - form.mantissa_bits))
    assert config.fixed_point == (
        (1 if multiplier == "lmul" else 2) * (1 - form.bias - form.mantissa_bits),
        largest / smallest,
    )
    limit = 1 << config.fixed_width - 1
    assert 1000 * largest / smallest < limit
    assert 1000 * largest / smallest >= limit // 2  # not a bit more than needed


def test_tile_is_a_matrix_product():
    config = FloatArrayConfig(format="float8_e4m3fn", rows=3, cols=2, lanes=2, multiplier="exact")
    rng = np.random.default_rng(SEED)
    a, b = operands(config, 3, 8, rng)[0], operands(config, 2, 8, rng)[0].T
    out = float_dot_golden(config, config.schedule(a, b))
    got = config.collect(out, 3, 2)
    want = (FORMATS["float8_e4m3fn"].decode(a) @ FORMATS["float8_e4m3fn"].decode(b)).astype(np.float32)
    np.testing.assert_array_equal(got.astype(np.uint32).view(np.float32), want)


def test_stimulus_has_every_class():
    config = FloatDotConfig(format="float8_e5m2")
    beats = float_dot_stimulus(config, np.random.default_rng(1), 400)
    form = config.multiplier_config.float_format
    for field in ("a", "b"):
        magnitudes = form.magnitudes(beats[field])
        assert form.is_zero(beats[field]).any()
        assert form.is_nan(beats[field]).any()
        assert form.is_infinite(beats[field]).any()
        assert (magnitudes == form.largest_code).any()
        assert (magnitudes == 1).any()  # the smallest subnormal number
    assert beats["last"][-1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"subnormals": True}, 'subnormals need multiplier = "exact": L-Mul takes subnormal operands for zeros'),
        ({"multiplier": "exact", "offset": "none"}, "offset = 'none' needs multiplier = \"lmul\""),
        ({"multiplier": "exact", "overflow": "nan"}, "overflow = 'nan' needs multiplier = \"lmul\""),
        ({"lanes": 8, "max_k": 4, "format": "bfloat16"}, "max_k must be at least lanes = 8, one step, not 4"),
        ({"format": "float32", "sum_format": "float16", "accumulator": "tree"}, "sum_format = 'float16' does not hold"),
        ({"accumulator": "best"}, "accumulator must be one of sequential, tree, kulisch, not 'best'"),
    ],
)
def test_refused(parameters, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        FloatDotConfig(**parameters)
    with pytest.raises(ConfigError, match="result_rows must be at least rows = 4, not 2"):
        FloatArrayConfig(result_rows=2)


def test_too_long_a_reduction_is_refused():
    config = FloatDotConfig(max_k=8)
    with pytest.raises(ConfigError, match="a reduction of 12 products exceeds max_k = 8"):
        float_dots(config, np.zeros(12, int), np.zeros(12, int))
