"""Exact floating-point multiplier, design ``fmul``: the product is rounded once (IEEE 754-2019, 4.3 and 5.4.1).

The product of two normalised significands has its leading one in the highest place or the next: the mantissa is taken from
behind it, cut or rounded. With subnormal numbers the product is shifted before: to the left by the operands' leading zeros, as
far as the exponent reaches, or to the right where even the unshifted product lies below the smallest exponent.
"""

from amaranth.hdl import Cat, Const, Module, Mux

from .adder import prefix_add
from .bit_heap import BitHeap
from .float_parts import ExponentField, Operand, answer, leading_zeros, named, shifted_left, special_answers
from .float_unit import Cuts, FloatCore, FloatUnit
from .partial_products import and_array, booth_digits, digit_rows, product_constant
from .pe import ENCODE_PS
from .shared import Shared

__all__ = ["FloatMultiplier", "FloatMultiplierCore", "place_float_multiplier_core", "significand_rows"]

# Significands of more bits are recoded (Booth): measured smaller at 11 and 24 bits, larger at 8 (area-delay recipe).
_MOST_AND_BITS = 8


def _columns(rows):
    """Dots by column without their arrival, and when the last of each column arrives."""
    return [[dot for _, dot in dots] for dots in rows], [max((ps for ps, _ in dots), default=0) for dots in rows]


def significand_rows(m, x, y):
    """Partial products of two significands, equally wide, reduced to at most two dots a column.

    Returns
    -------
    rows : list of list of 1-bit values
        Dots by column, twice as many columns as a significand has bits.
    arrivals_ps : list of :class:`int`
        When the last dot of each column arrives.
    """
    bits = len(x)
    heap = BitHeap(m, width=2 * bits)
    if bits <= _MOST_AND_BITS:
        and_array(m, heap, x, y, False, False)
    else:
        digits = booth_digits(m, x, False)
        digit_rows(m, heap, digits, y, False, arrivals_ps=[ENCODE_PS] * len(digits))
        minus = -product_constant("booth", bits, False, bits, False) % (1 << 2 * bits)
        heap.add_word(Const(minus, 2 * bits))
    # The low columns arrive so early that a carry ripples through them before the others are there.
    return _columns(heap.reduce(lambda column: column >= bits))


def _sum(m, words, constant, width, name):
    """Sum of unsigned words and a constant, modulo ``2 ** width``."""
    heap = BitHeap(m, width=width, name=f"{name}_heap")
    for word in (*words, Const(constant % (1 << width), width)):
        heap.add_word(word)
    columns, arrivals_ps = _columns(heap.reduce(lambda column: True))
    total = prefix_add(m, columns, structure="hybrid", arrivals_ps=arrivals_ps, name=f"{name}_sum")
    return named(m, name, total)


class FloatMultiplierCore(FloatCore):
    """Arithmetic of the exact multiplier.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_multiply.FloatMultiplyConfig`

    Members
    -------
    a, b, enable, advance, product
        As in :class:`~carrysave.hdl.float_unit.FloatCore`.

    Implementation notes
    --------------------
    The exponent field, and how far to shift, come from the operands beside the significands' product, whose leading place
    and whose rounding then carry into the field, never both: a product of two or more lies at least four units below four.

    Registers with ``stages=2`` come after the partial products are reduced to two dots a column, with ``stages=3`` before
    rounding, too.
    """

    def elaborate(self, platform):
        m = Module()
        config, cuts = self._config, Cuts(m, self)
        form, result = config.operand_format, config.product_format
        a, b = (Operand(m, code, form, name) for code, name in ((self.a, "a"), (self.b, "b")))
        nan, special = special_answers(a, b, form)
        flags = {"nan": nan, "special": special, "zero": a.zero | b.zero}
        flags["sign"] = self.a[-1] ^ self.b[-1] if form.signed else Const(0)
        # A number that is not zero has a hidden one, unless it may be subnormal.
        significands = (Cat(one.mantissa, one.hidden if config.subnormals else Const(1)) for one in (a, b))
        rows, arrivals_ps = significand_rows(m, *significands)
        if config.subnormals:
            exponent, shift, tiny = self._gradual_exponent(m, a, b)
        else:
            exponent, shift, tiny = ExponentField.of_sum(m, *self._exponents(a, b), bias=self._bias), None, Const(0)

        if 0 in cuts:
            arrivals_ps = [0] * len(rows)
        rows = [[cuts.cut(0, dot, f"row{n}_{i}") for n, dot in enumerate(dots)] for i, dots in enumerate(rows)]
        product = prefix_add(m, rows, structure="hybrid", arrivals_ps=arrivals_ps, name="add")
        product = named(m, "product", product)
        if config.subnormals:
            product = self._shifted(m, product, cuts.cut(0, shift, "shift"))

        for row in (0, 1):
            exponent, tiny = exponent.cut(cuts, row), cuts.cut(row, tiny, "tiny")
            flags = {name: cuts.cut(row, value, name) for name, value in flags.items()}
        mantissa, carry = self._rounded(m, cuts.cut(1, product, "product"), tiny)
        ones = mantissa.all()
        field, below, beyond = exponent.add(
            carry,
            second_is_beyond={"none": Const(0), "all-ones": carry & ones, "ieee": carry}[result.nan],
            highest_is_beyond={"none": carry, "all-ones": carry | ones, "ieee": Const(1)}[result.nan],
        )
        overflow = result.overflow_code(config.overflow)
        if config.overflow == "ieee" and config.rounding == "toward-zero":
            overflow = result.largest_code
        flags |= {"below": below, "beyond": beyond}
        code = answer(m, Cat(mantissa, field), form=result, enable=self.enable, overflow=overflow, **flags)
        m.d.comb += self.product.eq(code)
        return m

    @property
    def _bias(self):
        """What the sum of the operands' exponent fields is too large by."""
        return 2 * self._config.bias - self._config.product_format.bias

    def _exponents(self, a, b):
        """The operands' exponent fields, as wide as the product's."""
        bits = self._config.product_format.exponent_bits
        return [Cat(one.exponent, Const(0, bits - len(one.exponent))) for one in (a, b)]

    def _gradual_exponent(self, m, a, b):
        """With subnormal numbers: exponent field, places to shift, and whether the field is 0 before the carry.

        The field is the exponents' sum less the leading zeros, or 0 if that is negative. The places count to the left, from
        the furthest shift to the right that leaves anything to round.
        """
        config, result = self._config, self._config.product_format
        bits, right = result.exponent_bits, result.mantissa_bits + 2
        size = 1 << config.mantissa_bits.bit_length()
        ones = size - config.mantissa_bits - 1
        padding = Const((1 << ones) - 1, ones)
        zeros = [
            named(m, f"{name}_zeros", leading_zeros(Cat(padding, operand.mantissa, operand.hidden))[1])
            for operand, name in ((a, "a"), (b, "b"))
        ]
        # A subnormal number has the exponent of field 1.
        exponents = [a.exponent, b.exponent, ~a.hidden, ~b.hidden]
        # Two operands' fields, two leading zeros' counts, and the bias, of either sign.
        largest = (2 << config.exponent_bits) + 2 * size + abs(self._bias)
        width = max(bits + 1, largest.bit_length()) + 1
        minus_zeros = [~Cat(count, Const(0, width - len(count))) for count in zeros]
        normalised = _sum(m, [*exponents, *minus_zeros], 2 - self._bias, width, "normalised")
        reach = _sum(m, exponents, right - self._bias, width, "reach")
        left = _sum(m, zeros, right, (right + 2 * size).bit_length(), "left")

        negative = normalised[-1]
        reach = reach[: len(left)] & (~reach[-1]).replicate(len(left))
        shift = named(m, "shift", Mux(negative, reach, left))
        field = named(m, "field_before", normalised[:bits] & (~negative).replicate(bits))
        over = ~negative & normalised[bits:].any()
        exponent = ExponentField.of_bits(
            m,
            field,
            negative=Const(0),
            lowest=Const(0),
            beyond=over,
            second=~over & field[1:].all() & ~field[0],
            highest=~over & field.all(),
        )
        return exponent, shift, named(m, "tiny", negative | ~normalised.any())

    def _shifted(self, m, product, shift):
        """The product shifted to the left, with room below for what a shift to the right would drop."""
        word = Cat(product, Const(0, self._config.product_format.mantissa_bits + 2))
        return shifted_left(m, word, shift, "shifted")

    def _rounded(self, m, product, tiny):
        """Mantissa, and the carry into the exponent field."""
        bits = self._config.product_format.mantissa_bits
        # A product that is shorter than the mantissa and the bit below has zeros there.
        product = Cat(Const(0, max(bits + 3 - len(product), 0)), product)
        top, low = product[-1], len(product) - 2 - bits
        upper = named(m, "upper", top | tiny)
        # The mantissa and one bit below.
        kept = named(m, "kept", Mux(upper, product[low:-1], product[low - 1 : -2]))
        mantissa, half = kept[1:], kept[0]
        if self._config.rounding == "toward-zero":
            return mantissa, top
        sticky = product[: low - 1].any() | (upper & product[low - 1])
        columns = [[bit] for bit in mantissa]
        columns[0].append(named(m, "up", half & (mantissa[0] | sticky)))
        rounded = named(m, "rounded", prefix_add(m, [*columns, []], structure="sklansky", name="round"))
        return rounded[:-1], named(m, "carry", top | rounded[-1])


def place_float_multiplier_core(config):
    """A :class:`FloatMultiplierCore` as the shared module ``fmul_core``."""
    return Shared(lambda: FloatMultiplierCore(config), FloatMultiplierCore.ports(config), name="fmul_core")


class FloatMultiplier(FloatUnit):
    """Exact multiplier, one product a cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_multiply.FloatMultiplyConfig`

    Members
    -------
    i : ``In(stream)``
        Operands ``a`` and ``b``.
    o : ``Out(stream)``
        Their ``product``.
    """

    _place = staticmethod(place_float_multiplier_core)
