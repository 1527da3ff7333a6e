"""Parts that units of dynamic fixed point share: sign and magnitude, leading zeros."""

from amaranth.hdl import Cat, Const

from .adder import prefix_add
from .float_parts import leading_zeros, named

__all__ = ["count_leading_zeros", "negated_if"]


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
