"""From an integer with an exponent, ``value 2^exponent``, to float32, rounded once to nearest even (IEEE 754-2019, 5.4.1)."""

from amaranth.hdl import Cat, Const, Module, Mux, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.float_format import FORMATS
from .dfp_parts import count_leading_zeros, negated_if
from .float_adder import rounded
from .float_parts import named, shifted_left, shifted_right
from .float_unit import Cuts
from .shared import Shared

__all__ = ["IntToFloat", "place_int_to_float"]

_FORM = FORMATS["float32"]


class IntToFloat(wiring.Component):
    """float32 code of an integer with an exponent.

    Parameters
    ----------
    source_width : :class:`int`
        Bits of the integer, two's complement.
    exponent_width : :class:`int`
        Bits of the exponent, two's complement.
    stages : :class:`int`
        With 2 there is a row of registers before rounding, with 1 (default) none.

    Members
    -------
    value : ``In(signed(source_width))``
    exponent : ``In(signed(exponent_width))``
    advance : ``In(1)``
        The registers take new values; absent without them, then the component is combinational.
    code : ``Out(32)``
        Subnormal numbers are exact, what exceeds the largest number is infinity, zero is positive unless a negative value
        was rounded to it.
    inexact : ``Out(1)``
        The code's value is not the exact one.
    overflow : ``Out(1)``
        The code is infinity.

    Implementation notes
    --------------------
    Normalising stops where the exponent field is 1. Where even the unshifted magnitude would have a lower one it is shifted
    to the right, by what the exponent alone says: both shifts never happen at once, so the right one runs beside the count of
    leading zeros. Of exponents that cannot occur nothing is built.
    """

    def __init__(self, source_width, exponent_width, stages=1):
        self._stages = stages
        super().__init__(self.ports(source_width, exponent_width, stages))

    @staticmethod
    def ports(source_width, exponent_width, stages=1):
        """Signature for given widths."""
        return wiring.Signature({
            "value": In(signed(source_width)),
            "exponent": In(signed(exponent_width)),
            **({"advance": In(stages - 1)} if stages > 1 else {}),
            "code": Out(_FORM.width),
            "inexact": Out(1),
            "overflow": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        cuts = Cuts(m, self)
        kept = _FORM.mantissa_bits + 2  # hidden one, mantissa, half a unit
        source_width = len(self.value)
        sign = self.value[-1]
        magnitude = negated_if(m, self.value.as_unsigned(), sign, "magnitude")
        magnitude = Cat(Const(0, max(kept + 1 - source_width, 0)), magnitude)
        # Exponent field if the hidden one is in the highest place of the magnitude.
        top = source_width - 1 + _FORM.bias
        lowest, highest = top - (1 << len(self.exponent) - 1), top + (1 << len(self.exponent) - 1) - 1
        bits = max(1 - lowest, highest + 1).bit_length() + 1
        field = named(m, "top_field", (self.exponent + top)[:bits]).as_signed()
        zeros = count_leading_zeros(m, magnitude, "zeros")

        amount, sticky = zeros, Const(0)
        if lowest < 1:
            # With so many places the highest one is below half a unit.
            right = named(m, "right", (1 - field)[:bits])
            reach = kept.bit_length()
            limit = right[:reach] | right[reach:].any().replicate(reach)
            limit = limit & (~right[-1]).replicate(reach)
            magnitude, sticky = shifted_right(m, magnitude, limit, "denormal")
        if lowest < source_width:
            # Places to the left up to the field 1, at least none.
            reach = named(m, "reach", Mux(field < 1, 0, field - 1)[:bits])
            amount = named(m, "amount", Mux(zeros > reach, reach, zeros)[: len(zeros)])
        normal = shifted_left(m, magnitude, amount, "normal")
        field = named(m, "field", (field - amount)[:bits])
        field = named(m, "hidden_field", field & normal[-1].replicate(bits))

        rest = named(m, "rest", sticky | normal[:-kept].any())
        normal, field = cuts.cut(0, normal[-kept:], "normal"), cuts.cut(0, field, "field")
        rest, sign = cuts.cut(0, rest, "rest"), cuts.cut(0, sign, "sign")
        code = rounded(m, Cat(normal[1:-1], field), normal[0], rest)
        over = Const(0)
        if highest + 1 >= _FORM.exponent_mask >> _FORM.mantissa_bits:
            over = named(m, "over", (code[_FORM.mantissa_bits :] >= _FORM.exponent_mask >> _FORM.mantissa_bits)[:1])
        infinity = Const(_FORM.infinity_code, _FORM.width - 1)
        padded = Cat(code, Const(0, _FORM.width))[: _FORM.width - 1]
        m.d.comb += [
            self.code.eq(Cat(Mux(over, infinity, padded), sign)),
            self.inexact.eq(normal[0] | rest | over),
            self.overflow.eq(over),
        ]
        return m


def place_int_to_float(source_width, exponent_width, stages=1):
    """An :class:`IntToFloat` as the shared module ``int_to_float``."""
    return Shared(
        lambda: IntToFloat(source_width, exponent_width, stages),
        IntToFloat.ports(source_width, exponent_width, stages),
        name="int_to_float",
    )
