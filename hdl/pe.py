"""Processing elements: MAC, with a resolved accumulator, and OPT1, with one in carry-save form.

Both hold their operands in registers, pass them on, and never stall: a bubble is a pair of zero operands. Neither resets
nor enables anything; ``clear`` drops the previous sum as the first product of a new one is added.

The accumulator gathers ``product_constant`` (see :mod:`carrysave.hdl.partial_products`) with every cycle, bubbles
included; :class:`Correction` runs along and gives what to add to the final sum.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .bit_heap import AND_PS, BitHeap
from .partial_products import (
    and_array,
    booth_digits,
    digit_count,
    digit_rows,
    digits_from_word,
    digits_to_word,
    minimal_digits,
    product_constant,
)
from .shared import Shared

__all__ = [
    "MACPE",
    "OPT1PE",
    "Correction",
    "carry_columns",
    "encode_operand",
    "operand_width",
    "place_correction",
    "place_pe",
    "step_constant",
]

# From an operand register through the encoder to a digit's select lines; what each further digit takes with a carry.
ENCODE_PS = 30
ENCODE_CARRY_PS = 40


def operand_width(config):
    """Bits in which operand a reaches a PE: itself, or three bits a digit with ``encode="edge"``."""
    return 3 * digit_count(config.a_width, config.a_signed) if config.encode == "edge" else config.a_width


def encode_operand(m, config, a, name="edge"):
    """Operand a as it reaches a PE; the encoder is here with ``encode="edge"``."""
    if config.encode == "pe":
        return a
    return digits_to_word(minimal_digits(m, a, config.a_signed, name=name))


def step_constant(config):
    """What the accumulator gathers beyond the product in every cycle, modulo ``2 ** acc_width``."""
    return product_constant(
        config.partial_products, config.a_width, config.a_signed, config.b_width, config.b_signed
    ) % (1 << config.acc_width)


def _add_product(m, heap, config, a, b, recode):
    if config.partial_products == "and":
        and_array(m, heap, a, b, config.a_signed, config.b_signed)
    elif config.encode == "edge":
        digit_rows(m, heap, digits_from_word(a, config.a_signed), b, config.b_signed)
    else:
        digits = recode(m, a, config.a_signed)
        step_ps = 0 if recode is booth_digits else ENCODE_CARRY_PS
        arrivals_ps = [ENCODE_PS + step_ps * i for i in range(len(digits))]
        digit_rows(m, heap, digits, b, config.b_signed, arrivals_ps=arrivals_ps)


class _PE(wiring.Component):
    """Operand registers, common to both PEs."""

    def __init__(self, config):
        self._config = config
        super().__init__(type(self).ports(config))

    @staticmethod
    def _ports(config, state):
        width = operand_width(config)
        return wiring.Signature({
            "a": In(width),
            "b": In(config.b_width),
            "clear": In(1),
            "a_o": Out(width),
            "b_o": Out(config.b_width),
            **state,
        })  # fmt: skip

    def _operands(self, m):
        a = Signal(len(self.a), name="a_r", reset_less=True)
        b = Signal(len(self.b), name="b_r", reset_less=True)
        m.d.sync += [a.eq(self.a), b.eq(self.b)]
        m.d.comb += [self.a_o.eq(a), self.b_o.eq(b)]
        return a, b


class MACPE(_PE):
    """PE of the baseline: the accumulator enters the compressor tree, one adder resolves the whole.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.ProductConfig`

    Members
    -------
    a, b : ``In``
        Operands, raw bits; ``a`` as :func:`encode_operand` gives it.
    clear : ``In(1)``
        The product of the operands *now in the registers* begins a new sum.
    a_o, b_o : ``Out``
        Operands, one cycle later.
    acc : ``Out(acc_width)``
        Sum of the products up to the last cycle, plus the constant once a cycle.
    """

    @classmethod
    def ports(cls, config):
        """Signature for a configuration."""
        return cls._ports(config, {"acc": Out(config.acc_width)})

    def elaborate(self, platform):
        m = Module()
        a, b = self._operands(m)
        acc = Signal(len(self.acc), name="acc_r", reset_less=True)
        heap = BitHeap(m, width=len(acc))
        # Where the adder takes most of the time, the smaller rows are worth the slower encoder.
        _add_product(m, heap, self._config, a, b, minimal_digits)
        heap.add_word(acc & (~self.clear).replicate(len(acc)), AND_PS)
        # The low columns arrive so early that a carry ripples through them before the others are there.
        rest = heap.reduce(lambda column: 2 * column >= self._config.a_width + self._config.b_width)
        arrivals_ps = [max((arrival_ps for arrival_ps, _ in dots), default=0) for dots in rest]
        columns = [[dot for _, dot in dots] for dots in rest]
        m.d.sync += acc.eq(prefix_add(m, columns, structure=self._config.adder, arrivals_ps=arrivals_ps))
        m.d.comb += self.acc.eq(acc)
        return m


def carry_columns(config):
    """Columns in which OPT1's carry word has a bit, ascending.

    ``carry_spacing_low`` counts through the columns that partial products reach, ``carry_spacing`` above them. Where there
    is no such bit, the carry ripples on within the cycle. At both ends of the product columns are low and ripple in any
    case: there the carry word has no bits.
    """
    product = config.a_width + config.b_width
    low = range(3 + config.carry_spacing_low, product - 1, config.carry_spacing_low)
    high = range(product, config.acc_width, config.carry_spacing)
    return [*low, *high]


class OPT1PE(_PE):
    """PE with a carry-save accumulator: no carry is propagated further than to the next bit of the carry word.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.OPT1Config`

    Members
    -------
    a, b, clear, a_o, b_o
        As in :class:`MACPE`.
    s : ``Out(acc_width)``
        Sum word.
    c : ``Out(len(carry_columns(config)))``
        Bits of the carry word, lowest column first. Sum and carry word together are what ``acc`` of :class:`MACPE` is.
    """

    @classmethod
    def ports(cls, config):
        """Signature for a configuration."""
        return cls._ports(config, {"s": Out(config.acc_width), "c": Out(len(carry_columns(config)))})

    def elaborate(self, platform):
        m = Module()
        a, b = self._operands(m)
        positions = carry_columns(self._config)
        s = Signal(len(self.s), name="s_r", reset_less=True)
        c = Signal(len(self.c), name="c_r", reset_less=True)
        heap = BitHeap(m, width=len(s))
        _add_product(m, heap, self._config, a, b, booth_digits)
        heap.add_word(s & (~self.clear).replicate(len(s)), AND_PS)
        carries = c & (~self.clear).replicate(len(c))
        for index, column in enumerate(positions):
            heap.add(column, carries[index], AND_PS)
        rest = heap.reduce(lambda column: column in positions)
        for column, dots in enumerate(rest):
            m.d.sync += s[column].eq(dots[0][1] if dots else 0)
        for index, column in enumerate(positions):
            m.d.sync += c[index].eq(rest[column][1][1] if len(rest[column]) == 2 else 0)
        m.d.comb += [self.s.eq(s), self.c.eq(c)]
        return m


class Correction(wiring.Component):
    """Minus what the accumulators gather beyond the products: cycles since ``clear`` times the step's constant.

    One serves all PEs that start and end together.

    Members
    -------
    clear : ``In(1)``
        As the PE's.
    last : ``In(1)``
        The operands now in the PE's registers end the reduction.
    correction : ``Out(acc_width)``
        To be added to the PE's sum, modulo ``2 ** acc_width``; from the cycle after ``last`` until that after the next.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({"clear": In(1), "last": In(1), "correction": Out(config.acc_width)})

    def elaborate(self, platform):
        m = Module()
        constant = step_constant(self._config)
        if not constant:
            return m
        # The constant's low zeros need no adder and no flip-flops.
        zeros = (constant & -constant).bit_length() - 1
        running, held, following = (
            Signal(self._config.acc_width - zeros, name=name, reset_less=True)
            for name in ("running", "held", "following")
        )
        m.d.comb += following.eq((running & (~self.clear).replicate(len(running))) - (constant >> zeros))
        m.d.sync += running.eq(following)
        with m.If(self.last):
            m.d.sync += held.eq(following)
        m.d.comb += self.correction[zeros:].eq(held)
        return m


def place_pe(config, kind):
    """A PE of the kind ``"mac"`` or ``"opt1"`` as the shared module ``mac_pe`` or ``opt1_pe``."""
    component = {"mac": MACPE, "opt1": OPT1PE}[kind]
    return Shared(lambda: component(config), component.ports(config), name=f"{kind}_pe")


def place_correction(config):
    """A :class:`Correction` as the shared module ``correction``."""
    return Shared(lambda: Correction(config), Correction.ports(config), name="correction")
