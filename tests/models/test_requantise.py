"""Dyadic requantisation against exact rationals."""

import math
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.requantise import ROUNDINGS, DyadicConfig, dyadic, dyadic_product, requantise

RATIOS = [1.0, 0.5, 0.75, 1 / 3, 0.1, 3e-9, 1.7, 255.4, 1 - 2**-40, 1 - 2**-53, 2.0**-20, 1000.3]


def rounded(value, rounding):
    return {
        "half-even": round,
        "half-up": lambda one: math.floor(one + Fraction(1, 2)),
        "floor": math.floor,
    }[rounding](value)


def expected(config, x, ratio):
    return rounded(Fraction(x) * ratio, config.rounding)


@pytest.mark.parametrize(
    ("bits", "ratio"), [(bits, one) for bits in (8, 16, 31) for one in RATIOS if one < 1 << bits - 1]
)
def test_multiplier_is_the_ratio_rounded_half_up(bits, ratio):
    m, c = dyadic(ratio, bits=bits)
    assert 1 << bits - 1 <= m < 1 << bits
    significand, exponent = math.frexp(ratio)
    published = int((Decimal(significand) * 2**bits).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert Fraction(m, 1 << c) == Fraction(published) / Fraction(2) ** (bits - exponent)


def test_a_multiplier_that_rounds_up_to_one():
    assert dyadic(1 - 2**-40) == (1 << 30, 30)
    assert dyadic(127.8, bits=8) == (128, 0)


def test_channels():
    multipliers, shifts = dyadic([0.1, 0.25], bits=8)
    assert [(int(m), int(c)) for m, c in zip(multipliers, shifts, strict=True)] == [
        dyadic(0.1, bits=8),
        dyadic(0.25, bits=8),
    ]
    config = DyadicConfig(multiplier_bits=8)
    x = np.arange(-300, 300).reshape(-1, 2)
    result = requantise(config, x, multipliers, shifts)
    for channel in (0, 1):
        one = requantise(config, x[:, channel], int(multipliers[channel]), int(shifts[channel]))
        assert (result[:, channel] == one).all()


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_byte_by_many_ratios(rounding):
    config = DyadicConfig(source_width=8, multiplier_bits=8, width=6, rounding=rounding)
    x = np.arange(-128, 128)
    for m in (128, 129, 192, 255):
        for c in (0, 1, 5, 7, 8, 9, 14, 15, 16, 62, 63):
            exact = [expected(config, value, Fraction(m, 1 << c)) for value in x.tolist()]
            assert dyadic_product(config, x, m, c).tolist() == exact
            assert requantise(config, x, m, c).tolist() == [min(max(value, -32), 31) for value in exact]


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_extremes(rounding):
    config = DyadicConfig(rounding=rounding, width=32)
    x = np.array([-(1 << 31), -(1 << 31) + 1, -1, 0, 1, (1 << 31) - 1])
    for m in (1 << 30, (1 << 31) - 1):
        for c in (0, 30, 31, 61, 62, 63):
            exact = [expected(config, value, Fraction(m, 1 << c)) for value in x.tolist()]
            assert dyadic_product(config, x, m, c).tolist() == exact


def test_largest_shift_is_where_nothing_changes():
    for bits, source in ((8, 2), (8, 8), (31, 32)):
        for rounding in ROUNDINGS:
            config = DyadicConfig(source_width=source, multiplier_bits=bits, rounding=rounding)
            x = np.array([-(1 << source - 1), -1, 0, (1 << source - 1) - 1])
            m = (1 << bits) - 1
            low, high = min(x) * m, max(x) * m
            assert -(1 << config.product_width - 1) <= low < -(1 << config.product_width - 2)
            assert high < 1 << config.product_width - 1
            last = dyadic_product(config, x, m, config.largest_shift)
            assert (last == dyadic_product(config, x, m, 63)).all()


def test_residual_is_rounded_before_the_sum_and_clamped_after():
    config = DyadicConfig()
    half = dyadic(0.5)
    # A half each: rounded to even first, 0 and 0; 1 + 1 after.
    assert requantise(config, np.array([1, 3]), *half, identity=(np.array([1, 1]), *half)).tolist() == [0, 2]
    assert requantise(config, np.array([400]), *half, identity=(np.array([-300]), *half)).tolist() == [50]
    assert requantise(config, np.array([400]), *half, identity=(np.array([300]), *half)).tolist() == [127]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dyadic(0.0), r"^ratio of scales must be positive and finite, not 0\.0$"),
        (lambda: dyadic(math.nan), r"^ratio of scales must be positive and finite, not nan$"),
        (lambda: dyadic([1.0, -2.0]), r"^ratio of scales must be positive and finite, not -2\.0$"),
        (lambda: dyadic(1.0, bits=7), r"^bits of a multiplier must be an integer in 8\.\.31, not 7$"),
        (lambda: dyadic(256.0, bits=8), r"^ratio of scales must be in .*\.\.255\.0 for 8 bits of multiplier, not 256\.0$"),
        (lambda: dyadic(2.0**-34), r"^ratio of scales must be in 1\.16\d*e-10\.\.2147483647\.0 for 31 bits .*, not 5\.\d*e-11$"),
        (
            lambda: requantise(DyadicConfig(source_width=8), np.array([1, 128]), 1, 0),
            r"^integer to be requantised must be in -128\.\.127, not 128$",
        ),
        (
            lambda: requantise(DyadicConfig(), np.array([1]), 1 << 31, 0),
            r"^multiplier to be requantised must be in 0\.\.2147483647, not 2147483648$",
        ),
        (lambda: requantise(DyadicConfig(), np.array([1]), 1, 64), r"^shift to be requantised must be in 0\.\.63, not 64$"),
        (lambda: requantise(DyadicConfig(), [0.5], 1, 1), r"^integers to be requantised must be integers, not 'float64'$"),
    ],
)  # fmt: skip
def test_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_ends_of_the_legal_ratios():
    assert dyadic(2.0**-33) == (1 << 30, 63)
    assert dyadic(2.0**31 - 1) == ((1 << 31) - 1, 0)
