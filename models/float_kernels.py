"""Compiled loops of :mod:`~carrysave.models.float_matmul`; importing this module needs Numba.

Each kernel fills rows of a panel with products, one k a row, and adds the rows to a row of sums: columns are independent of
one another, so that the compiler makes vector instructions of every loop, and the order of the additions to one sum is
that of k. Nothing is reordered or contracted: without ``fastmath`` every operation is IEEE 754's.
"""

from typing import NamedTuple

import numba
import numpy as np

__all__ = [
    "EXACT",
    "LMulNumbers",
    "Rounding",
    "add_exact",
    "add_exact_shifted",
    "add_rounded",
    "add_shifted",
    "add_single",
]

_MAGNITUDE32 = np.int32(0x7FFFFFFF)
_MAGNITUDE64 = np.int64((1 << 63) - 1)
_HALF = np.int64(1 << 51)


class LMulNumbers(NamedTuple):
    """What L-Mul's sum takes, in units in the last place of the product; see :class:`~carrysave.models.lmul.LMulConfig`."""

    guard_bits: int
    constant: int
    formula: bool
    excess: int  # what the formula takes off the two mantissas' sum: the offset less one
    to_even: bool
    mantissa_mask: int
    smallest: int
    largest: int
    shift: int  # from the product's last place to float64's
    rebias: int
    overflow: int  # what a product beyond the largest becomes, as float64's bits


#: Instead of L-Mul's numbers, for exact products.
EXACT = LMulNumbers(0, 0, False, 0, False, 0, 0, 0, 0, 0, 0)


class Rounding(NamedTuple):
    """A format to round ``float64`` to, to nearest even."""

    dropped: int  # digits of float64's mantissa; 0 for no rounding at all
    lowest: int  # least exponent, as float64's field, whose digits are not shortened; 0 for none
    largest: float
    smallest: float  # magnitudes below it become zero


def _jit(function):
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder that can be written to; compiled anew in every process then
        return numba.njit(**options)(function)


@_jit
def _fold(panel, count, tree):
    """Add up the first rows of a panel neighbour by neighbour, if a tree is wanted; how many rows are left."""
    while tree and count > 1:
        half = count // 2
        for row in range(half):
            for j in range(panel.shape[1]):
                panel[row, j] = panel[2 * row, j] + panel[2 * row + 1, j]
        if count % 2:
            panel[half] = panel[count - 1]
        count = half + count % 2
    return count


@_jit
def _shifted_row(bits, low, limit, right):
    for j in range(len(bits)):
        y = right[j]
        bits[j] = y + low if y & _MAGNITUDE32 > limit else np.int32(0)


@_jit
def add_shifted(low, limit, b, sums, group, tree):
    """L-Mul without special values in ``float32``: one addition of integers a product.

    ``low`` are the left operands with all constants, the sign in place, ``limit`` the largest right magnitudes for which a
    product is zero; ``b`` the right operands' codes at ``float32``'s places.
    """
    width = sums.shape[1]
    panel = np.empty((group, width), np.float32)
    bits = panel.view(np.int32)
    for i in range(sums.shape[0]):
        total = sums[i]
        total[:] = 0
        for start in range(0, b.shape[0], group):
            count = min(group, b.shape[0] - start)
            for row in range(count):
                _shifted_row(bits[row], low[i, start + row], limit[i, start + row], b[start + row])
            for row in range(_fold(panel, count, tree)):
                for j in range(width):
                    total[j] += panel[row, j]


@_jit
def add_single(a, b, sums, group, tree):
    """Exact multiplier in ``float32``: products and sums are its own."""
    width = sums.shape[1]
    panel = np.empty((group, width), np.float32)
    for i in range(sums.shape[0]):
        total = sums[i]
        total[:] = 0
        for start in range(0, b.shape[0], group):
            count = min(group, b.shape[0] - start)
            for row in range(count):
                x, right = a[i, start + row], b[start + row]
                for j in range(width):
                    panel[row, j] = x * right[j]
            for row in range(_fold(panel, count, tree)):
                for j in range(width):
                    total[j] += panel[row, j]


@_jit
def _lmul_row(products, x, sign, y, signs, numbers):
    """L-Mul with everything: a row of products.

    ``x`` and ``y`` are magnitudes; signs are of zeros, infinities and NaNs these, of other numbers 1.0 with their signs.
    """
    bits = products.view(np.int64)
    for j in range(len(products)):
        total = ((x + y[j]) << numbers.guard_bits) + numbers.constant
        if numbers.formula:
            mantissas = (x & numbers.mantissa_mask) + (y[j] & numbers.mantissa_mask)
            excess = max((mantissas << numbers.guard_bits) + numbers.excess, 0)
            odd = excess & 1
            total -= (excess + odd) >> 1
            if numbers.to_even:
                total += total & odd
        value = (total << numbers.shift) + numbers.rebias
        value = value if total >= numbers.smallest else 0
        bits[j] = value if total <= numbers.largest else numbers.overflow
    for j in range(len(products)):
        both = sign * signs[j]
        products[j] = both * products[j] if abs(both) == 1 else both


@_jit
def _round(values, anchors, form):
    """Round values in place: an anchor, added and taken off again, has its last place where the values' shall be."""
    bits, pattern = values.view(np.int64), anchors.view(np.int64)
    for j in range(len(values)):
        field = max((bits[j] & _MAGNITUDE64) >> 52, form.lowest)
        pattern[j] = ((field + form.dropped) << 52) | _HALF
    for j in range(len(values)):
        value = values[j]
        rounded = (value + anchors[j]) - anchors[j]
        magnitude = abs(rounded)
        rounded = rounded if magnitude >= form.smallest else 0.0
        rounded = rounded if magnitude <= form.largest else np.copysign(np.inf, value)
        values[j] = rounded if abs(value) < np.inf else value


@_jit
def _row(products, anchors, x, first, y, second, numbers, product):
    """A row of products in ``float64``: L-Mul's of magnitudes x and y, or those of the values themselves, rounded."""
    if numbers.smallest:
        _lmul_row(products, x, first, y, second, numbers)
    else:
        for j in range(len(products)):
            products[j] = first * second[j]
        if product.dropped:
            _round(products, anchors, product)


@_jit
def add_rounded(x, first, y, second, sums, group, tree, numbers, product, form):
    """Any products, every addition rounded to a format that ``float64`` has twice the digits of."""
    width = sums.shape[1]
    panel, anchors = np.empty((group, width)), np.empty(width)
    for i in range(sums.shape[0]):
        total = sums[i]
        total[:] = 0
        for start in range(0, y.shape[0], group):
            count = min(group, y.shape[0] - start)
            for row in range(count):
                k = start + row
                _row(panel[row], anchors, x[i, k], first[i, k], y[k], second[k], numbers, product)
            while tree and count > 1:
                half = count // 2
                for row in range(half):
                    for j in range(width):
                        panel[row, j] = panel[2 * row, j] + panel[2 * row + 1, j]
                    _round(panel[row], anchors, form)
                if count % 2:
                    panel[half] = panel[count - 1]
                count = half + count % 2
            for row in range(count):
                for j in range(width):
                    total[j] += panel[row, j]
                _round(total, anchors, form)


@_jit
def _cut(products, anchors, sums):
    """Cut products into digits and add these up; nothing remains of the products."""
    for digit in range(len(anchors)):
        anchor = anchors[digit]
        for j in range(len(products)):
            high = (products[j] + anchor) - anchor
            sums[digit, j] += high
            products[j] -= high
    for j in range(len(products)):
        sums[len(anchors), j] += products[j]


@_jit
def add_exact_shifted(low, limit, b, sums, anchors):
    """Exact sums, as those of :func:`add_exact`, of products as those of :func:`add_shifted`."""
    single, products = np.empty(sums.shape[2], np.float32), np.empty(sums.shape[2])
    bits = single.view(np.int32)
    for i in range(sums.shape[0]):
        sums[i] = 0
        for k in range(b.shape[0]):
            _shifted_row(bits, low[i, k], limit[i, k], b[k])
            for j in range(len(products)):
                products[j] = single[j]
            _cut(products, anchors, sums[i])


@_jit
def add_exact(x, first, y, second, sums, special, numbers, product, anchors, has_special):
    """Any products, summed exactly: each is cut into digits, and those of one place are summed where no sum can round.

    ``sums`` has one row a digit, the lowest last, for each row of results; ``anchors`` cut the digits off, except the last,
    which is what remains. Products that are not finite go to ``special``.
    """
    width = sums.shape[2]
    products, scratch = np.empty(width), np.empty(width)
    for i in range(sums.shape[0]):
        sums[i] = 0
        special[i] = 0
        for k in range(y.shape[0]):
            _row(products, scratch, x[i, k], first[i, k], y[k], second[k], numbers, product)
            if has_special:
                for j in range(width):
                    finite = abs(products[j]) < np.inf
                    special[i, j] += 0.0 if finite else products[j]
                    products[j] = products[j] if finite else 0.0
            _cut(products, anchors, sums[i])
