"""Partial products of ``a * b``: radix-4 Booth rows and the Baugh-Wooley AND-array.

Signs are handled by inverting the dots of negative weight; what that adds is the same in every step, so it is not put
into the heap but reported as ``constant``: the dots sum to ``a * b + constant``, and whoever accumulates ``n`` of them
subtracts ``n * constant`` once.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Signal, Value

from .bit_heap import AND_PS, XOR_PS

__all__ = ["BoothDigit", "and_array", "booth_digits", "booth_rows", "digit_count", "product_constant"]


def digit_count(width, is_signed):
    """Radix-4 Booth digits of an operand: one more bit if unsigned, then an even number of bits."""
    return (width + (0 if is_signed else 1) + 1) // 2


@dataclasses.dataclass(frozen=True)
class BoothDigit:
    """A digit of -2..2 as select lines.

    Parameters
    ----------
    neg : 1-bit value
        The digit is negative; zero for digit 0.
    one, two : 1-bit value
        Magnitude 1, magnitude 2; never both.
    sign : 1-bit value
        Equals ``neg`` for digits other than 0 and may be anything for 0: earlier than ``neg``.
    """

    neg: Value
    one: Value
    two: Value
    sign: Value

    @classmethod
    def from_word(cls, word, *, positive=False):
        """A digit that travelled as three bits, ``neg``, ``one``, ``two``; ``positive`` if it is never negative."""
        neg = Const(0) if positive else word[0]
        return cls(neg=neg, one=word[1], two=word[2], sign=neg)

    def to_word(self):
        """The digit's three bits."""
        return Cat(self.neg, self.one, self.two)


def booth_digits(m, a, is_signed, name="digit"):
    """Recode an operand into radix-4 Booth digits, least significant first.

    Digit ``i`` is ``-2 a[2i+1] + a[2i] + a[2i-1]`` of the operand extended to an even width.
    """
    count = digit_count(len(a), is_signed)
    top = a[-1] if is_signed else Const(0)
    bits = [Const(0), *(a[i] if i < len(a) else top for i in range(2 * count))]
    digits = []
    for i in range(count):
        low, mid, high = bits[2 * i : 2 * i + 3]
        one, two, neg = (Signal(name=f"{name}{i}_{part}") for part in ("one", "two", "neg"))
        m.d.comb += [
            one.eq(low ^ mid),
            two.eq((high ^ mid) & ~(low ^ mid)),
            neg.eq(high & ~(low & mid)),
        ]
        # The topmost digit of an unsigned operand is never negative.
        digits.append(BoothDigit(neg=Const(0) if isinstance(high, Const) else neg, one=one, two=two, sign=high))
    return digits


def booth_rows(m, heap, digits, b, b_signed, *, arrival_ps=0):
    """Add the rows ``digit * b`` to a heap.

    Parameters
    ----------
    heap : :class:`~carrysave.hdl.bit_heap.BitHeap`
    digits : list of :class:`BoothDigit`
    b : value
        Raw bits of the operand.
    b_signed : :class:`bool`
    arrival_ps : :class:`int`
        When the select lines arrive, against ``b`` at 0.

    Implementation notes
    --------------------
    The exclusive-or with the sign comes before the select, so that it runs beside the encoder. The one that completes
    a negative multiple joins its row's lowest dot: that leaves ``one & b[0]`` there and a carry in the next column.
    """
    extended = [*b, b[-1] if b_signed else Const(0)]
    for i, digit in enumerate(digits):
        flipped = []
        for j, bit in enumerate(extended):
            dot = Signal(name=f"row{i}_flip{j}")
            m.d.comb += dot.eq(bit ^ digit.sign)
            flipped.append(dot)
        lowest = Signal(name=f"row{i}_dot0")
        m.d.comb += lowest.eq(digit.one & b[0])
        heap.add(2 * i, lowest, arrival_ps + AND_PS)
        if not isinstance(digit.neg, Const):
            carry = Signal(name=f"row{i}_neg")
            m.d.comb += carry.eq(digit.neg & ~lowest)
            heap.add(2 * i + 1, carry, arrival_ps + 2 * AND_PS)
        # Row bits 1..width of b; a multiple of two reaches one bit further than b.
        top = len(b) if b_signed else len(b) + 1
        for j in range(1, top + 1):
            single = flipped[min(j, len(extended) - 1)]
            double = flipped[min(j - 1, len(extended) - 1)]
            value = (digit.one & single) | (digit.two & double)
            dot = Signal(name=f"row{i}_dot{j}")
            m.d.comb += dot.eq(~value if j == top else value)
            heap.add(2 * i + j, dot, max(arrival_ps, XOR_PS) + 2 * AND_PS)


def and_array(m, heap, a, b, a_signed, b_signed):
    """Add the dots ``a[i] & b[j]`` to a heap, those of negative weight inverted (Baugh-Wooley)."""
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            negative = (a_signed and i == len(a) - 1) != (b_signed and j == len(b) - 1)
            dot = Signal(name=f"and{i}_{j}")
            m.d.comb += dot.eq(~(x & y) if negative else x & y)
            heap.add(i + j, dot, AND_PS)


def product_constant(partial_products, a_width, a_signed, b_width, b_signed):
    """What the dots sum to beyond ``a * b``, the same in every step; a non-negative integer."""
    if partial_products == "booth":
        top = b_width if b_signed else b_width + 1
        return sum(1 << 2 * i + top for i in range(digit_count(a_width, a_signed)))
    negative = [(a_width - 1, j) for j in range(b_width - b_signed)] if a_signed else []
    negative += [(i, b_width - 1) for i in range(a_width - a_signed)] if b_signed else []
    return sum(1 << i + j for i, j in negative)
