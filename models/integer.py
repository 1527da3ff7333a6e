"""Widths from worst cases, and arithmetic modulo a width."""

import numpy as np

__all__ = ["product_range", "width_of_range", "wrap"]


def width_of_range(low, high):
    """Bits that hold every integer of ``low..high``: unsigned if ``low >= 0``, else two's complement."""
    if low > high:
        raise ValueError(f"range {low!r}..{high!r} is empty")
    if low >= 0:
        return max(high.bit_length(), 1)
    return max((-low - 1).bit_length(), max(high, 0).bit_length()) + 1


def product_range(a_width, a_signed, b_width, b_signed):
    """Smallest and largest product of two operands, each of its own width and signedness."""
    a = (-(1 << a_width - 1), (1 << a_width - 1) - 1) if a_signed else (0, (1 << a_width) - 1)
    b = (-(1 << b_width - 1), (1 << b_width - 1) - 1) if b_signed else (0, (1 << b_width) - 1)
    products = [x * y for x in a for y in b]
    return min(products), max(products)


def wrap(values, width, signed):
    """Values modulo ``2 ** width``, as two's complement if signed; ``int64`` array, ``width`` at most 63."""
    values = np.asarray(values, np.int64)
    mask = np.int64((1 << width) - 1)
    values = values & mask
    if signed:
        half = np.int64(1 << width - 1)
        values = (values ^ half) - half
    return values
