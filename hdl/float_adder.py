"""Floating-point adder, rounded to nearest even (IEEE 754-2019, 4.3.1 and 5.4.1), and exact widening of its operands."""

from amaranth.hdl import Cat, Const, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .float_parts import Operand, leading_zeros, named, shifted_left, shifted_right
from .shared import Shared

__all__ = ["FloatAdder", "place_float_adder", "rounded", "widened"]


def rounded(m, code, half, sticky):
    """Mantissa and exponent field together, rounded to nearest even: a carry out of the mantissa belongs to the exponent."""
    return named(m, "rounded", (code + (half & (sticky | code[0])))[: len(code)])


def widened(m, code, narrow, wide, name):
    """A code of a format without subnormal numbers as one of a wider format that holds all its numbers.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    code : value
    narrow, wide : :class:`~carrysave.models.float_format.FloatFormat`
        Where the formats have one bias, subnormal numbers stay what they are.
    name : :class:`str`
        Prefix of the signals.
    """
    mantissa, field = code[: narrow.mantissa_bits], code[narrow.mantissa_bits :][: narrow.exponent_bits]
    sign = code[-1] if narrow.signed else Const(0)
    padding = Const(0, wide.mantissa_bits - narrow.mantissa_bits)
    if wide.bias == narrow.bias and wide.exponent_bits == narrow.exponent_bits and wide.nan == narrow.nan:
        return Cat(padding, mantissa, field, sign)
    offset = (wide.bias - narrow.bias) % (1 << wide.exponent_bits)
    moved = named(
        m, f"{name}_field", (field + offset)[: wide.exponent_bits] & field.any().replicate(wide.exponent_bits)
    )
    if narrow.nan != "none":
        special = (field if narrow.nan == "ieee" else code[: narrow.width - narrow.signed]).all()
        moved = moved | special.replicate(wide.exponent_bits)
    return Cat(padding, mantissa, moved, sign)


class FloatAdder(wiring.Component):
    """Sum of two numbers of a format with subnormal numbers, infinities and NaN.

    Parameters
    ----------
    form : :class:`~carrysave.models.float_format.FloatFormat`

    Members
    -------
    x, y : ``In``
        Codes.
    sum : ``Out``
        Code of the rounded sum, combinational; NaN is the canonical one.

    Implementation notes
    --------------------
    The smaller operand is shifted to the right below the larger one. Of what it loses two bits and whether there was more
    are enough: a sum that needs normalising by more than a place has lost nothing.
    """

    def __init__(self, form):
        self._form = form
        super().__init__(self.ports(form))

    @staticmethod
    def ports(form):
        """Signature for a format."""
        return wiring.Signature({"x": In(form.width), "y": In(form.width), "sum": Out(form.width)})

    def elaborate(self, platform):
        m = Module()
        form = self._form
        bits, mantissa_bits = form.exponent_bits, form.mantissa_bits
        x, y = (Operand(m, code, form, name) for code, name in ((self.x, "x"), (self.y, "y")))
        swap = named(m, "swap", (self.x[:-1] < self.y[:-1])[:1])
        big, small = named(m, "big", Mux(swap, self.y, self.x)), named(m, "small", Mux(swap, self.x, self.y))
        subtract = named(m, "subtract", big[-1] ^ small[-1])

        def fields(code, name):
            hidden = named(m, f"{name}_normal", code[mantissa_bits:-1].any())
            # A subnormal number has the exponent of field 1.
            return code[mantissa_bits:-1] | ~hidden, Cat(code[:mantissa_bits], hidden)

        (field, significand), (small_field, small_significand) = fields(big, "big"), fields(small, "small")
        distance = named(m, "distance", (field - small_field)[:bits])
        # Two more digits and a sticky one; further apart than all digits is as far as that.
        width = mantissa_bits + 3
        amount = width.bit_length()
        far = distance[amount:].any() if amount < bits else Const(0)
        aligned, sticky = shifted_right(m, Cat(Const(0, 2), small_significand), distance[:amount], "aligned")
        aligned = named(m, "kept", aligned & (~far).replicate(width))
        sticky = named(m, "sticky", sticky | (far & small_significand.any()))
        operand = Cat(sticky, aligned, Const(0)) ^ subtract.replicate(width + 2)
        total = named(m, "total", (Cat(Const(0, 3), significand, Const(0)) + operand + subtract)[: width + 2])

        size = 1 << (width + 1).bit_length()
        ones = Const((1 << size - width - 2) - 1, size - width - 2)
        zeros = named(m, "zeros", leading_zeros(Cat(ones, total))[1])
        # Counted from the place of a carry, whose exponent is one above the larger operand's.
        low = named(m, "low", (zeros > field)[:1])
        amount = named(m, "amount", Mux(low, field, zeros)[: len(zeros)])
        normal = shifted_left(m, total, amount, "normal")
        exponent = named(m, "exponent", Mux(low, 0, field + 1 - zeros)[: bits + 1])
        # The leading place is the hidden one's: zero there makes the field that of subnormal numbers.
        code = Cat(normal[-1 - mantissa_bits : -1], named(m, "field", exponent & normal[-1].replicate(bits + 1)))
        rest = normal[: -1 - mantissa_bits]
        result = rounded(m, code, rest[-1], rest[:-1].any())
        over = result[mantissa_bits:] >= (1 << bits) - 1

        nan = x.nan | y.nan | (x.special & y.special & subtract)
        special = x.special | y.special
        sign = big[-1] & ~(subtract & ~total.any())
        infinity = form.infinity_code
        with m.If(nan):
            m.d.comb += self.sum.eq(form.nan_code)
        with m.Elif(special | over):
            m.d.comb += self.sum.eq(Cat(Const(infinity, form.width - 1), big[-1]))
        with m.Else():
            m.d.comb += self.sum.eq(Cat(result[: form.width - 1], sign))
        return m


def place_float_adder(form):
    """A :class:`FloatAdder` as the shared module ``float_adder``."""
    return Shared(lambda: FloatAdder(form), FloatAdder.ports(form), name="float_adder")
