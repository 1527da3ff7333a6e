"""L-Mul, design ``lmul``: a floating-point product from one integer adder.

Source: "Addition is All You Need for Energy-efficient Language Models" (arXiv 2410.00907), section 2.2; without the offset
it is the multiplier of Mitchell (IRE Transactions on Electronic Computers EC-11, 1962).
"""

from amaranth.hdl import Cat, Const, Module, Mux

from .adder import prefix_add
from .float_parts import ExponentField, Operand, answer, constant_row, half_sums, named, special_answers
from .float_unit import Cuts, FloatCore, FloatUnit
from .shared import Shared

__all__ = ["LMul", "LMulCore", "place_lmul_core"]


class LMulCore(FloatCore):
    """Arithmetic of L-Mul: no multiplier, one adder.

    Parameters
    ----------
    config : :class:`~carrysave.models.lmul.LMulConfig`

    Members
    -------
    a, b, enable, advance, product
        As in :class:`~carrysave.hdl.float_unit.FloatCore`.

    Implementation notes
    --------------------
    The sum has three terms: two codes without their signs, and a constant, offset less bias. A row of half adders specialised
    to the constant leaves two. The carry of the mantissas' columns is the last thing to arrive: the exponents' columns, and
    which side of the format the product lies on, are ready for both of its values.

    With ``carry="formula"`` the mantissas' columns carry up to 2, any of which halves the significand. Then the mantissa never
    is all ones, so that rounding does not carry into the exponent.

    Registers with ``stages=2`` come before that carry is used, with ``stages=3`` before the answer is chosen, too.
    """

    def elaborate(self, platform):
        m = Module()
        config, cuts = self._config, Cuts(m, self)
        form, result = config.operand_format, config.product_format
        a, b = (Operand(m, code, form, name) for code, name in ((self.a, "a"), (self.b, "b")))
        nan, special = special_answers(a, b, form)
        flags = {"nan": nan, "special": special, "zero": a.zero | b.zero}
        flags["sign"] = self.a[-1] ^ self.b[-1] if form.signed else Const(0)

        formula = config.carry == "formula"
        guard = [None] * config.guard_bits
        columns, third = constant_row([*guard, *a.mantissa], [*guard, *b.mantissa], config.offset_units)
        above = [[third], []] if formula and third is not None else [[]]
        total = named(m, "total", prefix_add(m, columns + above, structure="sklansky", name="mantissas"))
        third = None if formula else third
        exponent = ExponentField.of_sum(m, a.exponent, b.exponent, bias=config.bias, third=third)
        ones = half_sums(columns).all() if result.nan == "all-ones" else Const(0)

        total, ones, exponent = cuts.cut(0, total, "total"), cuts.cut(0, ones, "ones"), exponent.cut(cuts, 0)
        mantissa, carries = total[: len(columns)], total[len(columns) :]
        carry, odd = named(m, "carry", carries.any()), Const(0)
        if formula:
            halved = Cat(mantissa[1:], carries[1] if len(carries) == 2 else Const(0))
            # The bit that is dropped is half a unit in the last place: nearest-even adds it to an odd mantissa.
            odd = named(m, "odd", carry & mantissa[0] & halved[0])
            mantissa = named(m, "mantissa", Mux(carry, halved, mantissa))
        field, below, beyond = exponent.add(
            carry,
            second_is_beyond=carry if result.nan == "ieee" else Const(0),
            highest_is_beyond={"none": carry, "all-ones": carry | ones, "ieee": Const(1)}[result.nan],
        )

        flags = {name: cuts.cut(0, value, name) for name, value in flags.items()}
        flags |= {"below": below, "beyond": beyond}
        flags = {name: cuts.cut(1, value, name) for name, value in flags.items()}
        mantissa, field = cuts.cut(1, mantissa, "mantissa"), cuts.cut(1, field, "field")
        if config.rounding == "nearest-even":
            rounded = [[bit] for bit in mantissa]
            rounded[0].append(cuts.cut(1, odd, "odd"))
            mantissa = named(m, "rounded", prefix_add(m, rounded, structure="sklansky", name="round"))
        overflow = result.overflow_code(config.overflow)
        product = answer(m, Cat(mantissa, field), form=result, enable=self.enable, overflow=overflow, **flags)
        m.d.comb += self.product.eq(product)
        return m


def place_lmul_core(config):
    """An :class:`LMulCore` as the shared module ``lmul_core``."""
    return Shared(lambda: LMulCore(config), LMulCore.ports(config), name="lmul_core")


class LMul(FloatUnit):
    """L-Mul, one product a cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.lmul.LMulConfig`

    Members
    -------
    i : ``In(stream)``
        Operands ``a`` and ``b``.
    o : ``Out(stream)``
        Their ``product``.
    """

    _place = staticmethod(place_lmul_core)
