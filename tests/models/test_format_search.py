"""The search for formats against trying all places of the point, in exact rationals."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.fixed_point import FixedFormat
from carrysave.models.format_search import SEARCH_ROUNDINGS, best_format, search_formats

SEED = 24011754


def mean_square(values, width, fraction, signed):
    """Of the errors of numbers rounded half up and clipped, exactly."""
    low, high = (-(2 ** (width - 1)), 2 ** (width - 1) - 1) if signed else (0, 2**width - 1)
    scale, total = Fraction(2) ** fraction, 0
    for value in map(Fraction, values.tolist()):
        mantissa = min(max(math.floor(value * scale + Fraction(1, 2)), low), high)
        total += (mantissa / scale - value) ** 2
    return total / len(values)


def tensors():
    rng = np.random.default_rng(SEED)
    yield "normal", rng.normal(size=60)
    yield "heavy tail", rng.standard_t(2, size=60) * 1e-3
    yield "an outlier", np.append(rng.normal(size=40), 300.0)
    yield "positive", np.abs(rng.normal(size=50)) * 1e5
    yield "multiples", rng.integers(-5, 6, 50) * 0.375
    yield "one number", np.array([-0.7])
    yield "a power", np.array([1.0, 0.5])


@pytest.mark.parametrize(("name", "values"), list(tensors()), ids=lambda one: one if isinstance(one, str) else "")
@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_no_other_point_is_better(name, values, width):
    signed = bool((values < 0).any())
    found = best_format(values, width=width)
    centre = found.form.fraction
    every = {place: mean_square(values, width, place, signed) for place in range(centre - 25, centre + 25)}
    assert (found.form.width, found.form.signed) == (width, signed)
    assert found.mean_square == pytest.approx(float(min(every.values())), rel=1e-12)
    assert found.mean_square == pytest.approx(float(every[centre]), rel=1e-12)
    power = math.sqrt(float(sum(Fraction(value) ** 2 for value in values.tolist())) / len(values))
    assert found.relative == pytest.approx(math.sqrt(found.mean_square) / power, rel=1e-12)


@pytest.mark.parametrize("rounding", SEARCH_ROUNDINGS)
def test_no_other_point_is_better_with_other_roundings(rounding):
    from carrysave.models.fixed_cast import from_real
    from carrysave.models.fixed_point import to_real

    for (_name, values), width in itertools.product(tensors(), (2, 4, 7)):
        found = best_format(values, width=width, rounding=rounding, signed=True)
        for fraction in range(found.form.fraction - 20, found.form.fraction + 20):
            form = FixedFormat(width=width, fraction=fraction)
            errors = to_real(from_real(values, form, rounding=rounding, overflow="sat"), form) - values
            assert found.mean_square <= np.square(errors).mean()


def test_outliers_are_clipped_if_that_is_better():
    rng = np.random.default_rng(SEED)
    values = np.append(rng.normal(size=10000), 12.0)
    found = best_format(values, width=3)
    assert found.form.maximum * 2.0**-found.form.fraction < 3


def test_search():
    rng = np.random.default_rng(SEED)
    found = search_formats({"w": rng.normal(size=(20, 30)), "x": np.arange(9)}, budget=0.02, max_width=9)
    assert [(row.name, row.elements) for row in found] == [("w", 600), ("x", 9)]
    for row in found:
        assert [point.form.width for point in row.by_width] == list(range(1, 10))
        errors = [point.relative for point in row.by_width]
        assert errors == sorted(errors, reverse=True)
        assert row.chosen.relative <= 0.02
        assert row.by_width[row.chosen.form.width - 2].relative > 0.02
    assert found[1].chosen == row.by_width[3]
    assert found[1].chosen.form == FixedFormat(width=4, fraction=0, signed=False)
    assert found[1].chosen.decibels == -math.inf
    assert found[0].chosen.decibels == pytest.approx(20 * math.log10(found[0].chosen.relative))


def test_zeros():
    found = best_format(np.zeros(5, np.float32), width=6)
    assert (found.form, found.mean_square, found.relative) == (FixedFormat(width=6, fraction=0, signed=False), 0, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_format([1.0], width=0), r"width must be an integer in 1\.\.32, not 0"),
        (
            lambda: best_format([1.0], width=4, rounding="stochastic"),
            "rounding must be one of trn, trn-zero, rnd, rnd-zero, rnd-inf, rnd-min-inf, rnd-conv, not 'stochastic'",
        ),
        (lambda: best_format(["a"], width=4), "values must be real numbers of 64 bits or fewer, not <U1"),
        (lambda: best_format([1j], width=4), "values must be real numbers of 64 bits or fewer, not complex128"),
        (lambda: best_format(np.zeros((0, 2)), width=4), r"values must be at least one, not of shape \(0, 2\)"),
        (lambda: best_format([1.0, np.inf], width=4), "values must be finite, not inf"),
        (
            lambda: best_format([1e-100], width=4),
            r"values up to 1e-100 need 334 bits behind the point, formats have -256\.\.256; scale them first",
        ),
        (lambda: best_format([1e-200, 0.0], width=4), "values up to 1e-200 need 666 bits behind the point, .*"),
        (lambda: best_format([-1e300], width=4), "values up to 1e\\+300 need -995 bits behind the point, .*"),
        (lambda: search_formats({}, budget=0.1), "tensors must be at least one; there is none to find a format for"),
        (
            lambda: search_formats({"w": [1.0]}, budget=0),
            "budget must be a relative error above 0 and at most 1, not 0",
        ),
        (
            lambda: search_formats({"w": [1.0]}, budget=math.nan),
            "budget must be a relative error above 0 and at most 1, not nan",
        ),
        (
            lambda: search_formats({"w": [1.0]}, budget=0.1, max_width=33),
            r"max_width must be an integer in 1\.\.32, not 33",
        ),
        (lambda: search_formats({"w": [math.nan]}, budget=0.1), "values of 'w' must be finite, not nan"),
        (
            lambda: search_formats({"w": [1.0, 0.3]}, budget=0.001, max_width=4),
            r"the budget 0\.001 needs more than 4 bits for 'w', whose relative error is 0\.0\d+ there; raise one of them",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        call()
