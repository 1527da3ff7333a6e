"""Partial products of ``a * b``: radix-4 Booth rows and the Baugh-Wooley AND-array.

Signs are handled by inverting the dots of negative weight; what that adds is the same in every step, so it is not put
into the heap but reported as ``constant``: the dots sum to ``a * b + constant``, and whoever accumulates ``n`` of them
subtracts ``n * constant`` once.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Signal, Value

from .bit_heap import AND_PS

__all__ = [
    "BoothDigit",
    "OneHotDigit",
    "and_array",
    "booth_digits",
    "digit_count",
    "digit_rows",
    "digits_from_word",
    "digits_to_word",
    "minimal_digits",
    "product_constant",
    "row_top",
]

SELECT_PS = 140  # from a select line to a row's dot


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

    def dot(self, single, double):
        """Dot of the row, from the multiplicand's bit in that column and the one below; a negative multiple inverted."""
        # The exclusive-or comes before the select, so that it runs beside the encoder.
        return (self.one & (single ^ self.sign)) | (self.two & (double ^ self.sign))

    def lowest(self, bit):
        """Dot of the row's lowest column, and the carry it leaves with the one that completes a negative multiple."""
        dot = self.one & bit
        return dot, self.neg & ~dot


@dataclasses.dataclass(frozen=True)
class OneHotDigit:
    """A digit of -1..2, a line each for what is not 0; members and methods as those of :class:`BoothDigit`.

    A dot takes one gate in place of a select and an exclusive-or.
    """

    one: Value
    two: Value
    minus_one: Value

    def dot(self, single, double):
        """See :meth:`BoothDigit.dot`."""
        return (self.one & single) | (self.two & double) | (self.minus_one & ~single)

    def lowest(self, bit):
        """See :meth:`BoothDigit.lowest`."""
        return (self.one | self.minus_one) & bit, self.minus_one & ~bit


def _digit(high, low, carry, named):
    """Booth digit of ``-2 high + low + carry``."""
    return BoothDigit(
        one=named("one", low ^ carry),
        two=named("two", (high ^ low) & ~(low ^ carry)),
        # Without a bit of negative weight it is never negative.
        neg=high if isinstance(high, Const) else named("neg", high & ~(low & carry)),
        sign=high,
    )


def _bit_pairs(a, is_signed):
    """Bits ``2i + 1`` and ``2i`` of the operand extended to its digits."""
    count = digit_count(len(a), is_signed)
    bits = [*a, *[a[-1] if is_signed else Const(0)] * (2 * count - len(a))]
    return [(bits[2 * i + 1], bits[2 * i]) for i in range(count)]


def booth_digits(m, a, is_signed, name="digit"):
    """Recode an operand into radix-4 Booth digits of -2..2, least significant first.

    Digit ``i`` is ``-2 a[2i+1] + a[2i] + a[2i-1]`` of the operand extended to an even width: no carry runs along.
    """
    digits, carry = [], Const(0)
    for i, (high, low) in enumerate(_bit_pairs(a, is_signed)):
        digits.append(_digit(high, low, carry, _namer(m, f"{name}{i}")))
        carry = high
    return digits


def minimal_digits(m, a, is_signed, name="digit"):
    """Recode an operand into radix-4 digits of -1..2, least significant first; the top one of -2..2 if signed.

    Two bits and a carry make 0, 1, 2, or -1 and 0 with a carry for 3 and 4. The carry runs along all digits, which costs
    nothing where the recoding is done ahead of the PEs; the rows are smaller and faster than Booth's.

    Returns
    -------
    list of (:class:`OneHotDigit` or :class:`BoothDigit`)
    """
    digits, carry = [], Const(0)
    pairs = _bit_pairs(a, is_signed)
    for i, (high, low) in enumerate(pairs):
        named = _namer(m, f"{name}{i}")
        if i == len(pairs) - 1 and is_signed:
            digits.append(_digit(high, low, carry, named))
            break
        odd = named("odd", low ^ carry)
        digits.append(
            OneHotDigit(
                one=named("one", odd & ~high),
                two=named("two", ~odd & (high ^ carry)),
                minus_one=named("minus_one", odd & high),
            )
        )
        carry = named("carry", high & (low | carry))
    return digits


def digits_to_word(digits):
    """The three lines of each digit of :func:`minimal_digits`, to travel."""
    lines = [
        (digit.neg, digit.one, digit.two) if isinstance(digit, BoothDigit) else (digit.minus_one, digit.one, digit.two)
        for digit in digits
    ]
    return Cat(lines)


def digits_from_word(word, is_signed):
    """Inverse of :func:`digits_to_word`, for an operand that is signed or not."""
    digits = []
    for low in range(0, len(word), 3):
        minus, one, two = word[low : low + 3]
        if low + 3 == len(word):
            neg = minus if is_signed else Const(0)
            digits.append(BoothDigit(neg=neg, one=one, two=two, sign=neg))
        else:
            digits.append(OneHotDigit(one=one, two=two, minus_one=minus))
    return digits


def row_top(b_width, b_signed):
    """Column of a row's sign dot: a multiple of two reaches one bit further than b; the dot is inverted."""
    return b_width if b_signed else b_width + 1


def digit_rows(m, heap, digits, b, b_signed, *, arrivals_ps=None):
    """Add the rows ``digit * b`` to a heap.

    Parameters
    ----------
    heap : :class:`~carrysave.hdl.bit_heap.BitHeap`
    digits : list of :class:`BoothDigit` or :class:`OneHotDigit`
    b : value
        Raw bits of the operand.
    b_signed : :class:`bool`
    arrivals_ps : list of :class:`int`, optional
        When each digit's select lines arrive, against ``b`` at 0; like ``b`` without.
    """
    extended = [*b, b[-1] if b_signed else Const(0)]
    top = row_top(len(b), b_signed)
    for i, digit in enumerate(digits):
        named, arrival_ps = _namer(m, f"row{i}"), arrivals_ps[i] if arrivals_ps else 0
        dot, carry = digit.lowest(b[0])
        heap.add(2 * i, named("dot0", dot), arrival_ps + 2 * AND_PS)
        if not (isinstance(digit, BoothDigit) and isinstance(digit.neg, Const)):
            heap.add(2 * i + 1, named("neg", carry), arrival_ps + 2 * AND_PS)
        for j in range(1, top + 1):
            dot = digit.dot(*(extended[min(bit, len(extended) - 1)] for bit in (j, j - 1)))
            heap.add(2 * i + j, named(f"dot{j}", ~dot if j == top else dot), arrival_ps + SELECT_PS)


def _namer(m, prefix):
    def named(name, value):
        signal = Signal(name=f"{prefix}_{name}")
        m.d.comb += signal.eq(value)
        return signal

    return named


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
        top = row_top(b_width, b_signed)
        return sum(1 << 2 * i + top for i in range(digit_count(a_width, a_signed)))
    negative = [(a_width - 1, j) for j in range(b_width - b_signed)] if a_signed else []
    negative += [(i, b_width - 1) for i in range(a_width - a_signed)] if b_signed else []
    return sum(1 << i + j for i, j in negative)
