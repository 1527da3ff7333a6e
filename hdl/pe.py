"""Processing elements: MAC, with a resolved accumulator, OPT1, with one in carry-save form, and OPT2, digit by digit.

They hold their operands in registers, pass them on, and never stall: a bubble is a pair of zero operands. None resets
or enables anything; ``clear`` drops the previous sum as the first product of a new one is added. With ``pe_lanes`` of a
configuration a PE adds up that many products a cycle; with ``broadcast`` operand a comes from a register of the whole row;
with ``product_rows`` the products are compressed to that many rows, which enter the accumulator a cycle later.

The accumulator gathers ``product_constant`` (see :mod:`carrysave.hdl.partial_products`) with every cycle, bubbles
included; :class:`Correction` runs along and gives what to add to the final sum. With ``correction="pe"`` of a configuration
the PE takes the constant out itself, in every cycle.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .bit_heap import AND_PS, BitHeap
from .partial_products import (
    BoothDigit,
    and_array,
    booth_digits,
    digit_count,
    digit_rows,
    digits_from_word,
    digits_to_word,
    minimal_digits,
    product_constant,
    row_top,
)
from .shared import Shared

__all__ = [
    "MACPE",
    "OPT1PE",
    "OPT2PE",
    "Correction",
    "add_products",
    "carry_columns",
    "encode_operand",
    "encode_weight",
    "operand_width",
    "place_correction",
    "place_pe",
    "step_constant",
    "temporal",
]

# From an operand register through the encoder to a digit's select lines; what each further digit takes with a carry.
ENCODE_PS = 30
ENCODE_CARRY_PS = 40


def operand_width(config):
    """Bits in which the a operands reach a PE.

    For each lane the operand itself, or three bits a digit with ``encode="edge"``; one digit with OPT2.
    """
    if temporal(config):
        return 3 * config.pe_lanes
    lane = 3 * digit_count(config.a_width, config.a_signed) if config.encode == "edge" else config.a_width
    return lane * config.pe_lanes


def temporal(config):
    """Whether the bit weights of operand a follow one another in time."""
    return getattr(config, "pe", None) == "opt2"


def encode_operand(m, config, a, name="edge"):
    """The a operands of all lanes as they reach a PE; the encoders are here with ``encode="edge"``."""
    if config.encode == "pe":
        return a
    return Cat(
        digits_to_word(minimal_digits(m, lane, config.a_signed, name=f"{name}{index}_"))
        for index, lane in enumerate(_lanes(config, a))
    )


def encode_weight(m, config, a, weight, name="edge"):
    """The digits of one bit weight of the a operands of all lanes, as they reach an OPT2 PE.

    Parameters
    ----------
    a : value
        Raw bits, zero in a bubble.
    weight : value
        One-hot, one bit a digit of an operand.
    """
    lines = []
    for index, lane in enumerate(_lanes(config, a)):
        digits = booth_digits(m, lane, config.a_signed, name=f"{name}{index}_")
        for part in ("neg", "one", "two"):
            lines.append((Cat(getattr(digit, part) for digit in digits) & weight).any())
    return Cat(lines)


def _lanes(config, word):
    width = len(word) // config.pe_lanes
    return [word[width * lane : width * (lane + 1)] for lane in range(config.pe_lanes)]


def step_constant(config):
    """What the accumulator gathers beyond the products in every cycle, modulo ``2 ** acc_width``."""
    return 0 if config.correction == "pe" else _dots_constant(config)


def _dots_constant(config):
    if temporal(config):
        constant = 1 << row_top(config.b_width, config.b_signed)
    else:
        constant = product_constant(
            config.partial_products, config.a_width, config.a_signed, config.b_width, config.b_signed
        )
    return constant * config.pe_lanes % (1 << config.acc_width)


def add_products(m, heap, config, a, b, recode):
    """Add the products of all lanes to a heap, ``step_constant`` with them.

    Parameters
    ----------
    a, b : value
        Operands of all lanes, raw bits; ``a`` as :func:`encode_operand` or :func:`encode_weight` gives it.
    recode : callable
        How ``a`` is recoded where that is done here: ``booth_digits`` or ``minimal_digits``.
    """
    if config.correction == "pe":
        minus = -_dots_constant(config) % (1 << config.acc_width)
        heap.add_word([Const(minus >> column & 1) for column in range(config.acc_width)])
    for lane_a, lane_b in zip(_lanes(config, a), _lanes(config, b), strict=True):
        if temporal(config):
            neg, one, two = lane_a
            digit_rows(m, heap, [BoothDigit(neg=neg, one=one, two=two, sign=neg)], lane_b, config.b_signed)
        elif config.partial_products == "and":
            and_array(m, heap, lane_a, lane_b, config.a_signed, config.b_signed)
        elif config.encode == "edge":
            digit_rows(m, heap, digits_from_word(lane_a, config.a_signed), lane_b, config.b_signed)
        else:
            digits = recode(m, lane_a, config.a_signed)
            step_ps = 0 if recode is booth_digits else ENCODE_CARRY_PS
            arrivals_ps = [ENCODE_PS + step_ps * i for i in range(len(digits))]
            digit_rows(m, heap, digits, lane_b, config.b_signed, arrivals_ps=arrivals_ps)


class _PE(wiring.Component):
    """Operand registers, common to all PEs."""

    def __init__(self, config):
        self._config = config
        super().__init__(type(self).ports(config))

    @staticmethod
    def _ports(config, state):
        width, b_width = operand_width(config), config.b_width * config.pe_lanes
        passed = {} if config.broadcast else {"a_o": Out(width)}
        return wiring.Signature({
            "a": In(width),
            "b": In(b_width),
            "clear": In(1),
            **passed,
            "b_o": Out(b_width),
            **state,
        })  # fmt: skip

    def _products(self, m, heap, a, b, recode, *controls):
        """Add the products of all lanes to a heap; the controls as they belong to what is in it then."""
        add_products(m, heap, self._config, a, b, recode)
        if not self._config.product_rows:
            return controls
        heap.register(self._config.product_rows)
        later = [Signal(name=f"{control.name}_r", reset_less=True) for control in controls]
        m.d.sync += [register.eq(control) for register, control in zip(later, controls, strict=True)]
        return later

    def _operands(self, m):
        b = Signal(len(self.b), name="b_r", reset_less=True)
        m.d.sync += b.eq(self.b)
        m.d.comb += self.b_o.eq(b)
        if self._config.broadcast:
            return self.a, b
        a = Signal(len(self.a), name="a_r", reset_less=True)
        m.d.sync += a.eq(self.a)
        m.d.comb += self.a_o.eq(a)
        return a, b


class MACPE(_PE):
    """PE of the baseline: the accumulator enters the compressor tree, one adder resolves the whole.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.ProductConfig`

    Members
    -------
    a, b : ``In``
        Operands of all lanes, raw bits; ``a`` as :func:`encode_operand` gives it. With ``broadcast`` ``a`` comes straight
        from a register, one cycle later than ``b``.
    clear : ``In(1)``
        The product of the operands *now in the registers* begins a new sum.
    a_o, b_o : ``Out``
        Operands, one cycle later; no ``a_o`` with ``broadcast``.
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
        (clear,) = self._products(m, heap, a, b, minimal_digits, self.clear)
        heap.add_word(acc & (~clear).replicate(len(acc)), AND_PS)
        # The low columns arrive so early that a carry ripples through them before the others are there.
        rest = heap.reduce(lambda column: 2 * column >= self._config.a_width + self._config.b_width)
        arrivals_ps = [max((arrival_ps for arrival_ps, _ in dots), default=0) for dots in rest]
        columns = [[dot for _, dot in dots] for dots in rest]
        m.d.sync += acc.eq(prefix_add(m, columns, structure=self._config.adder, arrivals_ps=arrivals_ps))
        m.d.comb += self.acc.eq(acc)
        return m


def carry_columns(config):
    """Columns in which a carry-save accumulator's carry word has a bit, ascending.

    ``carry_spacing_low`` counts through the columns that partial products reach, ``carry_spacing`` above them. Where there
    is no such bit, the carry ripples on within the cycle. At both ends of the product columns are low and ripple in any
    case: there the carry word has no bits.
    """
    # What several lanes carry into the columns above one product keeps those high, too.
    extra = (config.pe_lanes - 1).bit_length()
    if temporal(config):
        product, first = config.b_width + 1 + extra, 1
    else:
        product, first = config.a_width + config.b_width + extra, 3
    low = range(first + config.carry_spacing_low, min(product - 1, config.acc_width), config.carry_spacing_low)
    high = range(product, config.acc_width, config.carry_spacing)
    return [*low, *high]


class _CarrySavePE(_PE):
    """Accumulator of a sum word and a carry word; the products enter the same compressor."""

    _shifts = False

    @classmethod
    def ports(cls, config):
        """Signature for a configuration."""
        shift = {"shift": In(1)} if cls._shifts else {}
        return cls._ports(config, {**shift, "s": Out(config.acc_width), "c": Out(len(carry_columns(config)))})

    @staticmethod
    def _feedback(heap, s, c, positions, clear, shift=None):
        """Add what the accumulator keeps: nothing with ``clear``, four times itself with ``shift``."""
        keep = ~clear if shift is None else ~(clear | shift)
        for word, columns in ((s, range(len(s))), (c, positions)):
            dots = {column: word[index] & keep for index, column in enumerate(columns)}
            if shift is not None:
                for index, column in enumerate(columns):
                    moved = word[index] & shift
                    dots[column + 2] = dots[column + 2] | moved if column + 2 in dots else moved
            for column, dot in dots.items():
                heap.add(column, dot, AND_PS)

    def elaborate(self, platform):
        m = Module()
        a, b = self._operands(m)
        positions = carry_columns(self._config)
        s = Signal(len(self.s), name="s_r", reset_less=True)
        c = Signal(len(self.c), name="c_r", reset_less=True)
        heap = BitHeap(m, width=len(s))
        controls = (self.clear, self.shift) if self._shifts else (self.clear,)
        controls = self._products(m, heap, a, b, booth_digits, *controls)
        self._feedback(heap, s, c, positions, *controls)
        rest = heap.reduce(lambda column: column in positions)
        for column, dots in enumerate(rest):
            m.d.sync += s[column].eq(dots[0][1] if dots else 0)
        for index, column in enumerate(positions):
            m.d.sync += c[index].eq(rest[column][1][1] if len(rest[column]) == 2 else 0)
        m.d.comb += [self.s.eq(s), self.c.eq(c)]
        return m


class OPT1PE(_CarrySavePE):
    """PE with a carry-save accumulator: no carry is propagated further than to the next bit of the carry word.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.OPT1Config` or another with its parameters

    Members
    -------
    a, b, clear, a_o, b_o
        As in :class:`MACPE`.
    s : ``Out(acc_width)``
        Sum word.
    c : ``Out(len(carry_columns(config)))``
        Bits of the carry word, lowest column first. Sum and carry word together are what ``acc`` of :class:`MACPE` is.
    """


class OPT2PE(_CarrySavePE):
    """PE that works on one bit weight of operand a at a time: as many narrow rows as lanes, all of the same weight.

    The shift by the bit weight has left the reduction over K: between two bit weights, the most significant first, the
    accumulator is fed back shifted by one digit.

    Parameters
    ----------
    config : :class:`~carrysave.models.matrix.MatrixConfig`

    Members
    -------
    a : ``In``
        One digit of each lane, as :func:`encode_weight` gives it.
    shift : ``In(1)``
        The operands now in the registers are the first ones of the next lower bit weight.
    b, clear, a_o, b_o, s, c
        As in :class:`OPT1PE`.
    """

    _shifts = True


class Correction(wiring.Component):
    """Minus what the accumulators gather beyond the products: cycles since ``clear`` times the step's constant.

    One serves all PEs that start and end together. With OPT2 it is shifted as they are.

    Members
    -------
    clear : ``In(1)``
        As the PE's.
    shift : ``In(1)``
        As the PE's; OPT2 only.
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
        shift = {"shift": In(1)} if temporal(config) else {}
        return wiring.Signature({"clear": In(1), **shift, "last": In(1), "correction": Out(config.acc_width)})

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
        kept = running & (~self.clear).replicate(len(running))
        if temporal(self._config):
            kept = Mux(self.shift, kept << 2, kept)
        m.d.comb += following.eq(kept - (constant >> zeros))
        m.d.sync += running.eq(following)
        with m.If(self.last):
            m.d.sync += held.eq(following)
        m.d.comb += self.correction[zeros:].eq(held)
        return m


def place_pe(config, kind):
    """A PE of the kind ``"mac"``, ``"opt1"`` or ``"opt2"`` as the shared module ``mac_pe``, ``opt1_pe`` or ``opt2_pe``."""
    component = {"mac": MACPE, "opt1": OPT1PE, "opt2": OPT2PE}[kind]
    return Shared(lambda: component(config), component.ports(config), name=f"{kind}_pe")


def place_correction(config):
    """A :class:`Correction` as the shared module ``correction``."""
    return Shared(lambda: Correction(config), Correction.ports(config), name="correction")
