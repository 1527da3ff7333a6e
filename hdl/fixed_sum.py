"""Exact fixed-point sums of floating-point products: products as integers, and the rounding of a finished sum.

An accumulator that holds every product and every sum exactly (Kulisch, "Computer Arithmetic and Validity", chapter 8) needs
no alignment, normalisation or rounding a term: a product is shifted to its place and added in carry-save form.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .float_adder import rounded
from .float_multiply import significand_rows
from .float_parts import Operand, leading_zeros, named, shifted_left, special_answers
from .float_unit import Cuts
from .shared import Shared

__all__ = [
    "FixedRounder",
    "Product",
    "SignificandCore",
    "carry_columns",
    "has_flags",
    "place_fixed_rounder",
    "place_significand_core",
    "product_of_code",
]


def has_flags(config):
    """Whether products can be infinite or NaN."""
    return config.term_format.nan != "none"


def carry_columns(config):
    """Columns that have a bit in the carry word."""
    return range(config.carry_spacing, config.fixed_width, config.carry_spacing)


class Product:
    """An exact product on its way to the accumulator.

    Parameters
    ----------
    significand : value
        Its digits; zero for what is not finite.
    place : value
        Places by which they are shifted, more than the unit's by ``below``.
    below : :class:`int`
    sign : 1-bit value
    nan, infinite : 1-bit value
    """

    def __init__(self, *, significand, place, below, sign, nan, infinite):
        self.significand = significand
        self.place = place
        self.below = below
        self.sign = sign
        self.nan = nan
        self.infinite = infinite

    def add_to(self, m, heap, *, digits, name):
        """Add the product to a heap, but for the constant :meth:`constant`; ``digits`` hold the largest magnitude.

        A negative one is inverted and one added; its sign's dots above its digits are one inverted dot and the constant.
        """
        word = Cat(self.significand, Const(0, max(digits + self.below - len(self.significand), 0)))
        word = shifted_left(m, word, self.place, f"{name}_shifted")[self.below :][:digits]
        for column, digit in enumerate(word):
            heap.add(column, digit ^ self.sign)
        heap.add(0, self.sign)
        heap.add(digits, ~self.sign)

    @staticmethod
    def constant(digits):
        """What the sum is to be increased by for each product."""
        return -(1 << digits)

    @property
    def flags(self):
        """Whether the product is NaN, infinity, minus infinity."""
        return Cat(self.nan, self.infinite & ~self.sign, self.infinite & self.sign)


def product_of_code(m, code, form, name):
    """The :class:`Product` that a code of a format without subnormal numbers stands for."""
    operand = Operand(m, code, form, name)
    special = operand.special if form.nan != "none" else Const(0)
    nan = operand.nan if form.nan != "none" else Const(0)
    finite = operand.hidden & ~special
    return Product(
        significand=Cat(operand.mantissa, Const(1)) & finite.replicate(form.mantissa_bits + 1),
        place=operand.exponent,
        below=1,  # the smallest normal number has field 1
        sign=code[-1] if form.signed else Const(0),
        nan=nan,
        infinite=special & ~nan,
    )


class SignificandCore(wiring.Component):
    """Exact multiplier that neither normalises nor rounds: significands multiplied, exponents added.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_multiply.FloatMultiplyConfig`

    Members
    -------
    a, b : ``In``
        Codes of the operands.
    advance : ``In(stages - 1)``
        As in :class:`~carrysave.hdl.float_unit.FloatCore`.
    significand : ``Out``
        Product of the significands, zero for what is not finite.
    place : ``Out``
        Sum of the exponent fields, a subnormal number's taken for 1: two more than the places above the unit.
    sign, nan, infinite : ``Out(1)``
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        form = config.operand_format
        advance = {"advance": In(config.stages - 1)} if config.stages > 1 else {}
        return wiring.Signature({
            "a": In(form.width),
            "b": In(form.width),
            **advance,
            "significand": Out(2 * form.mantissa_bits + 2),
            "place": Out(form.exponent_bits + 1),
            "sign": Out(1),
            "nan": Out(1),
            "infinite": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config, cuts = self._config, Cuts(m, self)
        form = config.operand_format
        a, b = (Operand(m, code, form, name) for code, name in ((self.a, "a"), (self.b, "b")))
        nan, special = special_answers(a, b, form)
        finite = named(m, "finite", ~special & (Const(1) if config.subnormals else a.hidden & b.hidden))
        x, y = (Cat(one.mantissa & finite.replicate(form.mantissa_bits), one.hidden & finite) for one in (a, b))
        rows, arrivals_ps = significand_rows(m, x, y)
        place = (a.exponent + b.exponent + ~a.hidden + ~b.hidden)[: len(self.place)]
        flags = {
            "place": named(m, "places", place),
            "sign": self.a[-1] ^ self.b[-1] if form.signed else Const(0),
            "nan": nan,
            "infinite": special & ~nan,
        }
        if 0 in cuts:
            arrivals_ps = [0] * len(rows)
        rows = [[cuts.cut(0, dot, f"row{n}_{i}") for n, dot in enumerate(dots)] for i, dots in enumerate(rows)]
        product = prefix_add(m, rows, structure="hybrid", arrivals_ps=arrivals_ps, name="add")
        m.d.comb += self.significand.eq(cuts.cut(1, named(m, "product", product), "product"))
        for name, value in flags.items():
            m.d.comb += getattr(self, name).eq(cuts.cut(1, cuts.cut(0, value, name), name))
        return m


def place_significand_core(config):
    """A :class:`SignificandCore` as the shared module ``significand_core``."""
    return Shared(lambda: SignificandCore(config), SignificandCore.ports(config), name="significand_core")


class FixedRounder(wiring.Component):
    """From an exact accumulator to the rounded result, in four cycles.

    The words are resolved, made a magnitude, normalised as far as the format's exponent reaches, and rounded, each behind a
    register.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_dot.FloatDotConfig`

    Members
    -------
    s : ``In``
        Sum word, carry word, flags, from the lowest bit up.
    result : ``Out``
        Code of the sum ``latency`` cycles ago, straight from the gates.
    """

    latency = 4

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def state_width(config):
        """Bits of an accumulator: sum word, carry word, flags."""
        return config.fixed_width + len(carry_columns(config)) + 3 * has_flags(config)

    @classmethod
    def ports(cls, config):
        """Signature for a configuration."""
        return wiring.Signature({"s": In(cls.state_width(config)), "result": Out(config.acc_width)})

    def elaborate(self, platform):
        m = Module()
        config, form = self._config, self._config.sum_float_format
        width, columns = config.fixed_width, carry_columns(config)

        def register(value, name):
            held = Signal(len(value), name=name, reset_less=True)
            m.d.sync += held.eq(value)
            return held

        state = register(self.s, "state")
        flags = state[width + len(columns) :]
        dots = [[bit] for bit in state[:width]]
        for index, column in enumerate(columns):
            dots[column].append(state[width + index])
        total = register(prefix_add(m, dots, structure="brent-kung", name="resolve"), "total")
        flags = register(flags, "flags1")

        sign = total[-1]
        negated = prefix_add(
            m, [[bit ^ sign, *([sign] if column == 0 else [])] for column, bit in enumerate(total)],
            structure="brent-kung", name="negate",
        )  # fmt: skip
        magnitude, sign, flags = register(negated, "magnitude"), register(sign, "sign2"), register(flags, "flags2")

        # Place of the hidden one of the smallest normal number, above the unit; the sum need not reach down to it.
        lowest = 1 - form.bias - config.fixed_point[0]
        size = 1 << (width - 1).bit_length()
        ones = Const((1 << size - width) - 1, size - width)
        zeros = named(m, "zeros", leading_zeros(Cat(ones, magnitude))[1])
        limit = min(max(width - 1 - lowest, 0), width - 1)
        low = named(m, "low", (zeros > limit)[:1])
        amount = named(m, "amount", Mux(low, limit, zeros)[: len(zeros)])
        normal = shifted_left(m, magnitude, amount, "normal")
        # Hidden one, mantissa, half a unit; and whether there is more below them.
        kept = form.mantissa_bits + 2
        normal = Cat(Const(0, max(kept + 1 - width, 0)), normal)
        top, sticky = register(normal[-kept:], "top"), register(normal[:-kept].any(), "sticky")
        amount = register(amount, "amount3")
        sign, flags = register(sign, "sign3"), register(flags, "flags3")

        # Field of a number whose hidden one is at the highest place.
        highest = width - lowest
        bits = max(highest.bit_length(), form.exponent_bits) + 1
        field = named(m, "field", (highest - amount)[:bits] & top[-1].replicate(bits))
        code = rounded(m, Cat(top[1:-1], field), top[0], sticky)
        over = code[form.mantissa_bits :] >= (1 << form.exponent_bits) - 1
        nan, positive, negative = flags if len(flags) else (Const(0), Const(0), Const(0))
        infinite = Const(form.infinity_code, form.width - 1)
        with m.If(nan | (positive & negative)):
            m.d.comb += self.result.eq(form.nan_code)
        with m.Elif(positive | negative):
            m.d.comb += self.result.eq(Cat(infinite, negative))
        with m.Elif(over):
            m.d.comb += self.result.eq(Cat(infinite, sign))
        with m.Else():
            m.d.comb += self.result.eq(Cat(code[: form.width - 1], sign))
        return m


def place_fixed_rounder(config):
    """A :class:`FixedRounder` as the shared module ``fixed_rounder``."""
    return Shared(lambda: FixedRounder(config), FixedRounder.ports(config), name="fixed_rounder")
