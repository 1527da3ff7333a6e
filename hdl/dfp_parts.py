"""Parts that units of dynamic fixed point share: sign and magnitude, leading zeros, rounding of what a shift drops."""

from amaranth.hdl import Cat, Const

from ..models.lfsr import DRAW_BITS
from .adder import prefix_add
from .float_parts import leading_zeros, named, shifted_right

__all__ = ["Digits", "clamped", "count_leading_zeros", "guard_bits", "may_round_up", "negated_if"]


def negated_if(m, word, sign, name):
    """The word, or minus the word if ``sign`` is set, modulo ``2 ** len(word)``."""
    columns = [[bit ^ sign] for bit in word]
    columns[0].append(sign)
    return named(m, name, prefix_add(m, columns, structure="sklansky", name=f"{name}_negate"))


def count_leading_zeros(m, word, name):
    """How many zeros are above the highest one of a word of any width; its value for a word of zeros means nothing."""
    size = 1 << (len(word) - 1).bit_length()
    ones = size - len(word)
    return named(m, name, leading_zeros(Cat(Const((1 << ones) - 1, ones), word))[1])


def clamped(m, value, bits, name):
    """A signed number of places, as unsigned ``bits``: all ones if it is more, meaningless if it is negative."""
    value = value.as_unsigned()
    return named(m, name, value[:bits] | value[bits:].any().replicate(bits))


def guard_bits(rounding):
    """Dropped digits that rounding looks at one by one, besides whether there are more."""
    return {"nearest-even": 1, "toward-zero": 0, "stochastic": DRAW_BITS}[rounding]


def may_round_up(normal, width, rounding):
    """Whether a magnitude whose highest one is in the highest place could become ``2^(P-1)`` in the ``P - 1`` digits below.

    Parameters
    ----------
    normal : value
        The magnitude, shifted to the left until its highest one is there; zeros below.
    width : :class:`int`
        P.
    rounding : :class:`str`
    """
    normal = Cat(Const(0, max(width - len(normal), 0)), normal)
    return {
        "nearest-even": normal[-width:].all(),  # the dropped half, too
        "toward-zero": Const(0),
        "stochastic": normal[1 - width :].all() & normal[: 1 - width].any(),
    }[rounding]


class Digits:
    """A magnitude on its way to ``P - 1`` digits.

    Parameters
    ----------
    digits : value
        What is kept, and below it the :func:`guard_bits`.
    rest : 1-bit value
        More than those was dropped.
    beyond : 1-bit value
        The magnitude is ``2^(P-1)`` or more whatever the digits are.
    """

    def __init__(self, digits, rest, beyond):
        self.digits = digits
        self.rest = rest
        self.beyond = beyond

    @classmethod
    def shifted(cls, m, word, amount, *, width, guard, negative, name="shifted"):
        """A magnitude shifted to the right.

        Parameters
        ----------
        m : :class:`amaranth.hdl.Module`
        word : value
            The magnitude in units of the last digit that is kept, with digits below: at least ``guard`` of them.
        amount : value
            Places to the right.
        width : :class:`int`
            P.
        guard : (:class:`int`, :class:`int`)
            The guard bits, and how many digits of the word are below the unit.
        negative : 1-bit value
            The shift would be to the left: any magnitude but zero is too large.
        """
        guard, below = guard
        nonzero = word.any()
        word, rest = shifted_right(m, word, amount, name)
        top = below + width - 1
        word = Cat(word, Const(0, max(top - len(word), 0)))
        rest = rest | word[: below - guard].any()
        return cls(word[below - guard : top], rest, (negative & nonzero) | word[top:].any())

    def cut(self, cuts, row):
        """The same from registers of that row, if there is one (:class:`~carrysave.hdl.float_unit.Cuts`)."""
        return Digits(*(cuts.cut(row, getattr(self, name), name) for name in ("digits", "rest", "beyond")))

    def rounded(self, m, rounding, draw=None):
        """The rounded magnitude, all ones where it is too large; whether it is; whether it differs from the exact one.

        Parameters
        ----------
        m : :class:`amaranth.hdl.Module`
        rounding : :class:`str`
        draw : value, optional
            Random bits for stochastic rounding.
        """
        guard = guard_bits(rounding)
        dropped, kept = self.digits[:guard], self.digits[guard:]
        inexact = named(m, "inexact_digits", dropped.any() | self.rest if guard else self.rest)
        if rounding == "toward-zero":
            total = Cat(kept, Const(0))
        else:
            if rounding == "nearest-even":
                up = named(m, "up", dropped & (self.rest | kept[0]))
                columns = [[kept[0], up], *([bit] for bit in kept[1:])]
            else:
                columns = [[bit] for bit in self.digits]
                for column, bit in enumerate(draw):
                    columns[column].append(bit)
            total = prefix_add(m, [*columns, []], structure="sklansky", name="round")
            total = named(m, "total", total)[-1 - len(kept) :]
        over = named(m, "over", total[-1] | self.beyond)
        return total[:-1] | over.replicate(len(kept)), over, inexact | over
