"""Fast products of matrices: bit for bit the golden model's, a few by exact rationals, refusals."""

import re
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models import float_matmul as module
from carrysave.models.errors import ConfigError
from carrysave.models.float_dot import ACCUMULATORS, FloatDotConfig, float_dots
from carrysave.models.float_format import FORMATS
from carrysave.models.float_matmul import float_matmul
from carrysave.models.float_multiply import float_corners
from carrysave.models.float_rounding import encode

SHORT = {"format": "custom", "exponent_bits": 4, "mantissa_bits": 3}


def configs():
    """Configurations of every format, accumulator and multiplier, then of every option."""
    for name in FORMATS:
        for accumulator in ACCUMULATORS:
            for multiplier in ("lmul", "exact"):
                yield {"format": name, "accumulator": accumulator, "multiplier": multiplier, "lanes": 5}
    for accumulator in ACCUMULATORS:
        common = {"accumulator": accumulator, "lanes": 3}
        for sums, name in (("float16", "float16"), ("float16", "float8_e5m2"), ("bfloat16", "bfloat16")):
            for multiplier in ("lmul", "exact"):
                yield {**common, "multiplier": multiplier, "format": name, "sum_format": sums}
        for name in ("bfloat16", "float8_e4m3fn"):
            yield {**common, "format": name, "carry": "formula", "offset": "none"}
            yield {**common, "format": name, "carry": "formula", "rounding": "nearest-even", "offset": 0.5}
            yield {**common, "format": name, "offset": "optimal", "guard_bits": 2}
            yield {**common, "format": name, "specials": False}
            yield {**common, "format": name, "specials": False, "multiplier": "exact"}
            yield {**common, "format": name, "subnormals": False, "multiplier": "exact"}
        for overflow in ("saturate", "infinity", "nan"):
            yield {**common, "format": "float8_e5m2", "overflow": overflow}
        yield {**common, "format": "float32", "subnormals": False, "multiplier": "exact"}
        yield {**common, "format": "bfloat16", "subnormals": False, "multiplier": "exact", "sum_format": "bfloat16"}
        yield {**common, **SHORT, "bias": 130}
        yield {**common, **SHORT, "bias": 120, "infinities": False, "nan": "none"}
        yield {**common, **SHORT, "signed": False, "bias": 0}
        yield {**common, "format": "custom", "exponent_bits": 8, "mantissa_bits": 3}


CONFIGS = [FloatDotConfig(**parameters) for parameters in configs()]


def operands(config, rng, m, k, n):
    """Matrices of moderate numbers, with zeros, of uniform codes, of corners, and with products about the sum's smallest."""
    form = config.float_format
    middle = form.bias << form.mantissa_bits
    spread = min(3 << form.mantissa_bits, form.largest_code // 4)
    corners = float_corners(form)
    tiny = (1 - config.sum_float_format.bias) // 2
    for kind in ("moderate", "zeros", "uniform", "corners", "tiny"):
        pair = []
        for shape in ((m, k), (k, n)):
            low = max(min(middle, form.largest_code // 2) - spread, 0)
            codes = rng.integers(low, low + 2 * spread, shape)
            if kind == "zeros":
                codes[rng.random(shape) < 0.3] = 0
            elif kind == "uniform":
                codes = rng.integers(0, form.magnitude_mask, shape, endpoint=True)
            elif kind == "corners":
                codes = rng.choice(corners, shape)
            elif kind == "tiny":
                values = np.ldexp(rng.uniform(1, 2, shape), tiny - rng.integers(0, 8, shape))
                codes = encode(values, form).astype(np.int64)
            pair.append(codes | rng.integers(0, 2, shape) * form.sign_mask)
        yield kind, *pair


def oracle(config, a, b):
    return float_dots(config, a[:, np.newaxis], b.T[np.newaxis])


def name_of(config):
    return "-".join(str(getattr(config, name)) for name in ("format", "multiplier", "accumulator", "sum_format"))


@pytest.mark.parametrize("config", CONFIGS, ids=name_of)
def test_kernels_are_the_golden_model(config):
    pytest.importorskip("numba", reason="needs the extra fast: pip install numba")
    assert module._kernels() is not None
    rng = np.random.default_rng(1)
    for kind, a, b in operands(config, rng, 7, 13, 9):
        found = float_matmul(config, a, b)
        assert found.dtype == config.sum_float_format.dtype
        np.testing.assert_array_equal(found, oracle(config, a, b), err_msg=kind)


@pytest.mark.parametrize("config", CONFIGS[::9], ids=name_of)
def test_without_numba(config, monkeypatch):
    monkeypatch.setattr(module, "_kernels", lambda: None)
    monkeypatch.setattr(module, "_ORACLE_PRODUCTS", 40)
    for kind, a, b in operands(config, np.random.default_rng(2), 3, 7, 9):
        np.testing.assert_array_equal(float_matmul(config, a, b), oracle(config, a, b), err_msg=kind)


@pytest.mark.parametrize("accumulator", ACCUMULATORS)
@pytest.mark.parametrize("multiplier", ["lmul", "exact"])
def test_blocks_and_threads(accumulator, multiplier, monkeypatch):
    pytest.importorskip("numba", reason="needs the extra fast: pip install numba")
    config = FloatDotConfig(accumulator=accumulator, multiplier=multiplier)
    rng = np.random.default_rng(3)
    form = config.float_format
    a, b = (encode(rng.normal(0, 1, shape), form) for shape in ((130, 67), (67, 530)))
    whole = float_matmul(config, a, b, threads=3)
    rows, columns = rng.integers(0, 130, 12), np.append(rng.integers(0, 530, 12), 529)
    np.testing.assert_array_equal(whole[np.ix_(rows, columns)], oracle(config, a[rows], b[:, columns]))
    monkeypatch.setattr(module, "_ROWS", 5)
    monkeypatch.setattr(module, "_COLUMNS", 31)
    np.testing.assert_array_equal(float_matmul(config, a, b, threads=1), whole)


def codes_of(config, values):
    return encode(np.asarray(values, np.float64), config.float_format)


@pytest.mark.parametrize("multiplier", ["lmul", "exact"])
def test_long_exact_sums_cancel(multiplier):
    """Of terms over 200 binades all cancel but the smallest: every digit counts, and none may overflow before."""
    config = FloatDotConfig(multiplier=multiplier, format="bfloat16", **({"offset": 3} if multiplier == "lmul" else {}))
    sign = config.float_format.sign_mask
    rng = np.random.default_rng(4)
    for lowest in range(-110, -60, 3):
        exponents = np.append(rng.integers(lowest + 20, 100, 900), rng.integers(lowest, lowest + 20, 6))
        a = codes_of(config, np.ldexp(rng.uniform(1, 2, (2, len(exponents))), exponents // 2))
        b = codes_of(config, np.ldexp(rng.uniform(1, 2, len(exponents)), exponents - exponents // 2))
        a = np.concatenate([a[:, :900], a[:, :900] | sign, a[:, 900:]], axis=1)
        b = np.concatenate([b[:900], b])[:, np.newaxis]
        np.testing.assert_array_equal(float_matmul(config, a, b), oracle(config, a, b))


def test_exact_sums_beside_a_tie():
    """Half a unit in the last place, and far below it a term that decides, or none."""
    config = FloatDotConfig(multiplier="exact", format="bfloat16")
    rows = [
        [first * sign, second * sign, 2.0**-12 * sign, tiny]
        for first in (1.0, 1.5)
        for second in (0.0, 2.0**-11)
        for sign in (1, -1)
        for tiny in (2.0**-70, -(2.0**-70), 0.0)
    ]
    a, b = codes_of(config, rows), codes_of(config, [[1.0], [2.0**-12], [2.0**-12], [2.0**-40]])
    found = float_matmul(config, a, b)
    np.testing.assert_array_equal(found, oracle(config, a, b))
    assert found[:3, 0].tolist() == [0x3F800001, 0x3F800000, 0x3F800000]


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("accumulator", ["sequential", "tree"])
def test_sums_about_the_largest_number(name, accumulator):
    config = FloatDotConfig(multiplier="exact", format=name, sum_format=name, accumulator=accumulator)
    form = config.float_format
    half = form.largest - float(form.decode(form.largest_code - 1))
    rows = [[form.largest * sign, half * sign * part, 0] for sign in (1, -1) for part in (0, 0.25, 0.5, 1, -1)]
    a, b = codes_of(config, rows), codes_of(config, [[1.0], [1.0], [1.0]])
    found = float_matmul(config, a, b)
    np.testing.assert_array_equal(found, oracle(config, a, b))
    assert form.is_infinite(found).ravel().tolist() == [False, False, True, True, False] * 2


def test_exact_sums_by_rationals():
    config = FloatDotConfig(multiplier="exact", format="float8_e5m2")
    form = config.float_format
    codes = np.random.default_rng(5).integers(0, form.exponent_mask, (2, 6, 40))
    a, b = codes[0] | codes[1] % 2 * form.sign_mask, codes[1].T
    found = config.sum_float_format.decode(float_matmul(config, a, b))
    values = [[[Fraction(value) for value in row] for row in form.decode(m).tolist()] for m in (a, b.T)]
    for i, row in enumerate(values[0]):
        for j, column in enumerate(values[1]):
            total = sum(x * y for x, y in zip(row, column, strict=True))
            error = abs(Fraction(float(found[i, j])) - total)
            assert error <= abs(total) * Fraction(1, 1 << 24)
            neighbour = np.nextafter(np.float32(found[i, j]), np.float32(np.inf if found[i, j] < total else -np.inf))
            assert abs(Fraction(float(neighbour)) - total) >= error


def test_lmul_by_rationals():
    """Products by the definition, then additions rounded by Python's own division of integers."""
    config = FloatDotConfig(format="float8_e4m3", accumulator="sequential", offset="paper")
    form, rng = config.float_format, np.random.default_rng(6)
    a, b = (rng.integers(30, 70, shape) | rng.integers(0, 2, shape) * 128 for shape in ((5, 11), (11, 4)))
    found = config.sum_float_format.decode(float_matmul(config, a, b))
    for i in range(5):
        for j in range(4):
            total = Fraction(0)
            for x, y in zip(a[i].tolist(), b[:, j].tolist(), strict=True):
                s = Fraction(x % 8 + y % 8 + 1, 8)
                power = Fraction(2) ** ((x % 128 >> 3) + (y % 128 >> 3) - 2 * form.bias)
                magnitude = power * (1 + s if s < 1 else 2 * s if s < 2 else 4 * (s - 1))
                magnitude = 0 if magnitude < Fraction(form.smallest_normal) else magnitude
                total = Fraction(float(np.float32(float(total + (-1) ** ((x ^ y) >> 7) * magnitude))))
            assert found[i, j] == total


def test_any_order_in_memory():
    rng = np.random.default_rng(7)
    for parameters in ({}, {"multiplier": "exact", "accumulator": "tree"}, {"carry": "formula"}):
        config = FloatDotConfig(format="bfloat16", **parameters)
        a, b = rng.integers(0, 1 << 16, (2, 9, 9), np.uint16)
        expected = float_matmul(config, a, b)
        for x, y in ((np.asfortranarray(a), b), (a, np.asfortranarray(b)), (a[::-1].copy()[::-1], b.astype(np.int64))):
            np.testing.assert_array_equal(float_matmul(config, x, y), expected)


def test_empty_matrices_are_zeros():
    config = FloatDotConfig(format="bfloat16")
    for m, k, n in ((0, 3, 2), (3, 0, 2), (2, 3, 0)):
        found = float_matmul(config, np.zeros((m, k), int), np.zeros((k, n), int))
        assert found.shape == (m, n)
        assert not found.any()


@pytest.mark.parametrize(
    ("a", "b", "options", "text"),
    [
        (np.zeros(3, int), np.zeros((3, 2), int), {}, "a must be a matrix, not an array of shape (3,)"),
        (np.zeros((2, 3), int), np.zeros(3, int), {}, "b must be a matrix, not an array of shape (3,)"),
        (np.zeros((2, 3), int), np.zeros((4, 2), int), {}, "a has 3 columns, but b has 4 rows; the two must be equal"),
        (np.zeros((2, 9), int), np.zeros((9, 2), int), {}, "a reduction of 12 products exceeds max_k = 8"),
        (np.zeros((2, 3), int), np.full((3, 2), 1 << 16), {}, "65536 is no code of bfloat16: it takes 0..65535"),
        (np.zeros((2, 3)), np.zeros((3, 2), int), {}, "codes of bfloat16 must be integers, not float64"),
        (np.zeros((2, 3), int), np.zeros((3, 2), int), {"threads": 0}, "threads must be a positive integer, not 0"),
    ],
)
def test_refusals(a, b, options, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        float_matmul(FloatDotConfig(format="bfloat16", max_k=8), a, b, **options)
