"""Widths and wrap-around against plain Python integers."""

import numpy as np
import pytest

from carrysave.models.integer import product_range, width_of_range, wrap


def naive_width(low, high):
    width = 1
    while not (low >= 0 and high < 1 << width) and not (low < 0 and -(1 << width - 1) <= low and high < 1 << width - 1):
        width += 1
    return width


def test_width_of_range():
    ends = [-70000, -129, -128, -127, -2, -1, 0, 1, 2, 127, 128, 255, 256, 70000]
    for low in ends:
        for high in ends:
            if low <= high:
                assert width_of_range(low, high) == naive_width(low, high), (low, high)


def test_empty_range():
    with pytest.raises(ValueError, match=r"^range 2\.\.1 is empty$"):
        width_of_range(2, 1)


@pytest.mark.parametrize("a_signed", [True, False])
@pytest.mark.parametrize("b_signed", [True, False])
@pytest.mark.parametrize(("a_width", "b_width"), [(4, 4), (4, 7), (6, 5)])
def test_product_range(a_width, a_signed, b_width, b_signed):
    a = range(-(1 << a_width - 1), 1 << a_width - 1) if a_signed else range(1 << a_width)
    b = range(-(1 << b_width - 1), 1 << b_width - 1) if b_signed else range(1 << b_width)
    products = [x * y for x in a for y in b]
    assert product_range(a_width, a_signed, b_width, b_signed) == (min(products), max(products))


@pytest.mark.parametrize("width", [1, 2, 8, 19, 32, 60, 63])
@pytest.mark.parametrize("signed", [True, False])
def test_wrap(width, signed):
    rng = np.random.default_rng(width)
    limits = np.iinfo(np.int64)
    values = np.concatenate([[limits.min, -1, 0, 1, limits.max], rng.integers(limits.min, limits.max, 500)])
    want = []
    for value in values.tolist():
        value %= 1 << width
        want.append(value - (1 << width) if signed and value >= 1 << width - 1 else value)
    assert wrap(values, width, signed).tolist() == want


def test_wrap_keeps_shape():
    assert wrap([[300, -300]], 8, True).tolist() == [[44, -44]]
