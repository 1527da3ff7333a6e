"""Error statistics and optimal offsets: the published figures, every pair one by one, and the golden model's own products."""

import re

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_format import FORMATS, FloatFormat
from carrysave.models.lmul import LMulConfig, lmul_products, paper_offset
from carrysave.models.multiplier_error import (
    CRITERIA,
    ErrorStatistics,
    error_statistics,
    mantissa_frequencies,
    optimal_offset,
)

# Mean, mean magnitude and largest magnitude by mantissa bits: the formula untruncated, the adder, Mitchell's adder.
TABLE = {
    2: ("+.0864 .1111 .2500", "+.1467 .1467 .2500", "-.0357 .0357 .1111"),
    3: ("-.0097 .0689 .1822", "+.0493 .0524 .1250", "-.0378 .0378 .1111"),
    4: ("-.0218 .0694 .2008", "+.0487 .0514 .1250", "-.0383 .0383 .1111"),
    5: ("-.0587 .0731 .2260", "+.0041 .0267 .0729", "-.0384 .0384 .1111"),
    7: ("-.0628 .0751 .2323", "+.0041 .0266 .0729", "-.0385 .0385 .1111"),
    10: ("-.0640 .0757 .2341", "+.0041 .0265 .0729", "-.0385 .0385 .1111"),
}
# Carry, rounding, mantissa bits, guard bits, offset.
CASES = [
    ("adder", "none", 1, 0, 1),
    ("adder", "none", 3, 2, 5.75),
    ("adder", "none", 6, 0, 63),
    ("adder", "none", 7, 0, 5),
    ("formula", "none", 1, 0, 0),
    ("formula", "none", 4, 1, 2.5),
    ("formula", "none", 7, 0, 100),
    ("formula", "toward-zero", 1, 0, 1),
    ("formula", "toward-zero", 3, 0, 1),
    ("formula", "toward-zero", 4, 2, 1.75),
    ("formula", "toward-zero", 6, 0, 9),
    ("formula", "nearest-even", 2, 0, 3),
    ("formula", "nearest-even", 3, 1, 0.5),
    ("formula", "nearest-even", 5, 0, 7),
    ("formula", "nearest-even", 7, 0, 20),
]


def printed(statistics):
    """Figures as the table prints them."""
    figures = f"{statistics.mean:+.4f} {statistics.mean_absolute:.4f} {statistics.maximum:.4f}"
    return figures.replace("0.", ".")


def every_error(carry, rounding, mantissa_bits, guard_bits, offset):
    """Relative error of every pair, shape ``(2 ** M, 2 ** M)``, with one value for each."""
    x, y = np.meshgrid(*[np.arange(1 << mantissa_bits) / (1 << mantissa_bits)] * 2, indexing="ij")
    s = x + y + offset / (1 << mantissa_bits)
    if carry == "adder":
        value = np.select([s < 1, s < 2], [1 + s, 2 * s], 4 * (s - 1))
    else:
        value = 1 + s
        unit = 2.0 ** (1 - mantissa_bits - guard_bits)
        cut = {"none": lambda v: v, "toward-zero": np.floor, "nearest-even": np.rint}[rounding]
        value = np.where(s >= 1, cut(value / unit) * unit, value)
    return value / ((1 + x) * (1 + y)) - 1


def naive_statistics(errors, first=None, second=None):
    """Statistics of a matrix of errors, by their definitions."""
    first, second = (np.ones(len(errors)) if weights is None else weights for weights in (first, second))
    weights = np.outer(first, second)
    mean, magnitude, square = (np.average(e, weights=weights) for e in (errors, np.abs(errors), errors**2))
    return ErrorStatistics(
        mean=mean, mean_absolute=magnitude, rms=np.sqrt(square), maximum=np.abs(errors[weights > 0]).max()
    )


def assert_equal(got, want, case):
    for name in ("mean", "mean_absolute", "rms", "maximum"):
        assert getattr(got, name) == pytest.approx(getattr(want, name), rel=1e-9, abs=1e-12), f"{name} of {case}"


@pytest.mark.parametrize("mantissa_bits", TABLE)
def test_published_figures(mantissa_bits):
    offset = paper_offset(mantissa_bits)
    rows = [("formula", offset), ("adder", offset), ("adder", 0)]
    got = [printed(error_statistics(mantissa_bits=mantissa_bits, carry=carry, offset=d)) for carry, d in rows]
    assert got == list(TABLE[mantissa_bits])


def test_published_figures_truncated():
    statistics = error_statistics(mantissa_bits=3, offset=1, carry="formula", rounding="toward-zero")
    assert printed(statistics) == "-.0221 .0809 .2178"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_pair(case):
    carry, rounding, mantissa_bits, guard_bits, offset = case
    got = error_statistics(
        mantissa_bits=mantissa_bits, carry=carry, rounding=rounding, guard_bits=guard_bits, offset=offset
    )
    assert_equal(got, naive_statistics(every_error(*case)), case)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weighted_pairs(case):
    carry, rounding, mantissa_bits, guard_bits, offset = case
    seed = 1
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, (2, 1 << mantissa_bits)) * rng.random((2, 1 << mantissa_bits))
    first[-1] = second[0] = 1
    options = {
        "mantissa_bits": mantissa_bits,
        "carry": carry,
        "rounding": rounding,
        "guard_bits": guard_bits,
        "offset": offset,
    }
    errors = every_error(*case)
    got = error_statistics(**options, weights=first, weights_b=second)
    assert_equal(got, naive_statistics(errors, first, second), (case, "seed", seed))
    assert_equal(
        error_statistics(**options, weights=first), naive_statistics(errors, first, first), (case, "seed", seed)
    )


def test_weights_of_single_mantissas():
    first, second = np.zeros((2, 8))
    first[3], second[6] = 5, 0.5
    got = error_statistics(mantissa_bits=3, offset=1, weights=first, weights_b=second)
    error = 2 * (3 / 8 + 6 / 8 + 1 / 8) / ((1 + 3 / 8) * (1 + 6 / 8)) - 1
    assert_equal(
        got, ErrorStatistics(mean=error, mean_absolute=abs(error), rms=abs(error), maximum=abs(error)), "3 x 6"
    )


@pytest.mark.parametrize("offset", ["paper", "none", "optimal", 2.25])
@pytest.mark.parametrize("guard_bits", [2, 3])
@pytest.mark.parametrize("options", [{}, {"carry": "formula"}, {"carry": "formula", "rounding": "nearest-even"}])
def test_golden_model_has_these_errors(options, guard_bits, offset):
    config = LMulConfig(format="float8_e3m4", offset=offset, guard_bits=guard_bits, **options)
    mantissas = (config.bias << 4) + np.arange(16)
    values = config.float_format.decode(mantissas)
    products = config.product_format.decode(lmul_products(config, mantissas[:, np.newaxis], mantissas))
    errors = products / np.multiply.outer(values, values) - 1
    got = error_statistics(
        mantissa_bits=4,
        offset=config.offset_units / (1 << guard_bits),
        carry=config.carry,
        rounding=config.rounding if config.carry == "formula" else "none",
        guard_bits=guard_bits,
    )
    assert_equal(got, naive_statistics(errors), config.canonical())


@pytest.mark.parametrize(
    ("carry", "rounding", "mantissa_bits", "guard_bits"),
    [
        ("adder", "none", 1, 0),
        ("adder", "none", 2, 3),
        ("adder", "none", 3, 0),
        ("adder", "none", 5, 1),
        ("formula", "none", 3, 1),
        ("formula", "toward-zero", 2, 0),
        ("formula", "toward-zero", 4, 1),
        ("formula", "nearest-even", 5, 0),
    ],
)
def test_optimal_offset_by_trying_all(carry, rounding, mantissa_bits, guard_bits):
    options = {"mantissa_bits": mantissa_bits, "carry": carry, "rounding": rounding, "guard_bits": guard_bits}
    step = 2.0**-guard_bits
    offsets = np.arange(0, 1 << mantissa_bits, step)
    tried = [naive_statistics(every_error(carry, rounding, mantissa_bits, guard_bits, offset)) for offset in offsets]
    for criterion in CRITERIA:
        figures = [statistics.criterion(criterion) for statistics in tried]
        best = optimal_offset(**options, criterion=criterion)
        assert figures[offsets.tolist().index(best)] == pytest.approx(min(figures), rel=1e-9), f"{criterion}: {best}"


def test_paper_offset_is_worse_than_none_with_the_adder():
    for mantissa_bits, best in ((3, 0), (4, 1)):
        found = optimal_offset(mantissa_bits=mantissa_bits)
        assert found == best
        paper, none, optimal = (
            error_statistics(mantissa_bits=mantissa_bits, offset=offset).mean_absolute
            for offset in (paper_offset(mantissa_bits), 0, found)
        )
        assert optimal <= none < paper


@pytest.mark.parametrize("carry", ["adder", "formula"])
@pytest.mark.parametrize(
    ("criterion", "slack"), [("mean-absolute", 2**-18), ("rms", 2**-18), ("maximum", 2**-10), ("unbiased", 2**-10)]
)
def test_search_over_cut_mantissas(criterion, slack, carry):
    """At 14 bits, all of which the statistics count, offsets around the one found are hardly better."""
    best = optimal_offset(mantissa_bits=14, carry=carry, criterion=criterion)
    assert best % 16 == 0, "a multiple of 2^-10"
    figures = {
        offset: error_statistics(mantissa_bits=14, offset=offset, carry=carry).criterion(criterion)
        for offset in best + np.arange(-64, 65, 4)
    }
    assert figures[best] - min(figures.values()) < slack, f"{min(figures, key=figures.get)} is better than {best}"
    assert figures[best] < figures[best - 64]
    assert figures[best] < figures[best + 64]


def test_wide_mantissas():
    # The adder's error is continuous from one binade to the next, so that its mean hardly depends on the mantissa's width.
    narrow, wide = (error_statistics(mantissa_bits=bits, offset=1 << bits - 4) for bits in (10, 19))
    assert wide.mean == pytest.approx(narrow.mean, abs=1e-6)
    assert wide.mean_absolute == pytest.approx(narrow.mean_absolute, abs=1e-5)
    assert wide.maximum == pytest.approx(narrow.maximum, abs=1e-4)
    assert optimal_offset(mantissa_bits=23) == optimal_offset(mantissa_bits=13) * 1024
    for rounding in ("none", "toward-zero"):  # of a bit far below the 10 that the search keeps
        assert optimal_offset(mantissa_bits=13, carry="formula", rounding=rounding, criterion="rms") == 152 * 8


def test_optimal_offset_for_weights():
    """Where all mantissas are ones and a half the product left out is a quarter, and half of that is what an adder needs."""
    weights = np.zeros(128)
    weights[64] = 1
    for criterion in CRITERIA:
        assert optimal_offset(mantissa_bits=7, weights=weights, criterion=criterion) == 16
        assert optimal_offset(mantissa_bits=7, carry="formula", weights=weights, criterion=criterion) == 32
    ones = np.arange(128) == 0
    assert optimal_offset(mantissa_bits=7, weights=weights, weights_b=ones) == 0
    wide = np.zeros(1 << 12)
    wide[1 << 11] = 1
    assert optimal_offset(mantissa_bits=12, weights=wide) == 512


def test_mantissa_frequencies():
    form, seed = FORMATS["float8_e5m2"], 2
    codes = np.random.default_rng(seed).integers(0, 256, 1000)
    want = [0] * 4
    for code in codes.tolist():
        if 0 < code >> 2 & 31 < 31:
            want[code & 3] += 1
    assert mantissa_frequencies(codes, form).tolist() == want, f"seed {seed}"
    assert mantissa_frequencies(codes[:0], form).tolist() == [0] * 4
    wide = FloatFormat(exponent_bits=8, mantissa_bits=12)
    assert mantissa_frequencies([1 << 19 | 5], wide).nonzero()[0].tolist() == [5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mantissa_bits": 0}, "mantissa_bits must be an integer in 1..23, not 0"),
        ({"mantissa_bits": 24}, "mantissa_bits must be an integer in 1..23, not 24"),
        ({"guard_bits": 9}, "guard_bits must be an integer in 0..8, not 9"),
        ({"carry": "shift"}, "carry must be one of adder, formula, not 'shift'"),
        ({"carry": "formula", "rounding": "up"}, "rounding must be one of none, toward-zero, nearest-even, not 'up'"),
        ({"rounding": "toward-zero"}, "rounding 'toward-zero' needs carry = \"formula\": an adder drops no bit"),
        ({"offset": 8}, "offset must be a multiple of 2^-0 from 0 to less than 8, not 8"),
        ({"offset": -1}, "offset must be a multiple of 2^-0 from 0 to less than 8, not -1"),
        ({"offset": 0.25, "guard_bits": 1}, "offset must be a multiple of 2^-1 from 0 to less than 8, not 0.25"),
        ({"weights": np.ones(4)}, "weights must be 8 numbers, none negative, not all zero; their shape is (4,)"),
        ({"weights": -np.ones(8)}, "weights must be 8 numbers, none negative, not all zero; their shape is (8,)"),
        ({"weights_b": np.zeros(8)}, "weights must be 8 numbers, none negative, not all zero; their shape is (8,)"),
        (
            {"weights": np.full(8, np.nan)},
            "weights must be 8 numbers, none negative, not all zero; their shape is (8,)",
        ),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        error_statistics(**{"mantissa_bits": 3, "offset": 0, **arguments})


def test_criterion_refused():
    with pytest.raises(ConfigError, match=f"^criterion must be one of {', '.join(CRITERIA)}, not 'mean'$"):
        optimal_offset(mantissa_bits=3, criterion="mean")
