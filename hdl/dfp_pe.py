"""Arithmetic of the DFP designs without their streams: pre-shift, products and accumulator of one step, resolving of its sum.

All products of a step and the accumulator enter one compressor tree. The operands come as they are, no register before
them, and the accumulator takes the step's sum at the end of the same cycle, if it is told to.
"""

import dataclasses

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .bit_heap import AND_PS, BitHeap
from .float_parts import named
from .partial_products import booth_digits, minimal_digits
from .pe import add_products, carry_columns, step_constant
from .shared import Shared

__all__ = [
    "DFPPE",
    "CarrySaveSum",
    "add_constant",
    "add_extended",
    "chain_carries",
    "chain_control",
    "place_carry_save_sum",
    "place_dfp_pe",
    "shifted_operand",
    "tell_chain",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Products:
    """The products of a step, as ``add_products`` and ``carry_columns`` ask a configuration for them."""

    pe_lanes: int
    a_width: int
    b_width: int
    acc_width: int
    carry_spacing: int = 0
    carry_spacing_low: int = 0
    a_signed: bool = True
    b_signed: bool = True
    partial_products: str = "booth"
    encode: str = "pe"
    correction: str = "drain"  # the constant of the sign dots joins another one here


def _products(config):
    spacing = {name: getattr(config, name) for name in ("carry_spacing", "carry_spacing_low") if config.carry_save}
    width = config.operand_width
    return _Products(pe_lanes=config.lanes, a_width=width, b_width=width, acc_width=config.total_width, **spacing)


def chain_carries(config):
    """Columns of the carry word's bits, ascending; none where the accumulator is resolved."""
    return carry_columns(_products(config)) if config.carry_save else []


def shifted_operand(m, config, operand, name):
    """An operand after the pre-shift, in ``operand_width`` bits; see :func:`carrysave.models.dfp_fma.pre_shift`."""
    if config.operands == "symmetric":
        lowest = named(m, f"{name}_lowest", operand[-1] & ~operand[:-1].any())
        operand = Cat(operand[0] | lowest, operand[1:])
    dropped, kept = operand[: config.input_shift], operand[config.input_shift :]
    if not config.input_shift or config.shift_rounding == "floor":
        return kept
    if config.shift_rounding == "toward-zero":
        up = kept[-1] & dropped.any()
    else:
        largest = kept[:-1].all() & ~kept[-1]  # would become its own opposite's neighbour
        up = dropped[-1] & (dropped[:-1].any() | kept[0]) & ~largest
    return named(m, f"{name}_shifted", (kept + named(m, f"{name}_up", up))[: len(kept)])


def add_constant(heap, constant, width):
    """Add a constant to a heap, modulo ``2 ** width``."""
    heap.add_word([Const(constant >> column & 1) for column in range(width)])


def add_extended(heap, word, arrival_ps=0):
    """Add a two's complement word to a wider heap; returns what is to be added beside it, the same for every word.

    The sign's dot has negative weight: its complement less one.
    """
    heap.add_word(word[:-1], arrival_ps)
    heap.add(len(word) - 1, ~word[-1], arrival_ps)
    return -1 << len(word) - 1


class DFPPE(wiring.Component):
    """Pre-shift, products, accumulator of one step.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`

    Members
    -------
    a, b : ``In``
        Operands of all lanes, raw bits.
    clear : ``In(1)``
        This step begins a chain.
    enable : ``In(1)``
        There is a step; without it everything is held.
    acc : ``Out(register_width)``
        Sum of the chain's steps up to the last cycle, straight from its register. Not with a carry-save accumulator.
    s, c : ``Out``
        The same as sum word and carry word, whose bits belong to :func:`chain_carries`. Only with a carry-save accumulator.
    saturated : ``Out``
        Steps of the chain at which ``acc`` was clamped; only with ``overflow="saturate"``.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        if config.carry_save:
            state = {"s": Out(config.register_width), "c": Out(len(chain_carries(config)))}
        else:
            state = {"acc": Out(config.register_width)}
        if config.overflow == "saturate":
            state["saturated"] = Out(config.chain.bit_length())
        operands = {name: In(config.lanes * config.width) for name in ("a", "b")}
        return wiring.Signature({**operands, "clear": In(1), "enable": In(1), **state})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        heap = BitHeap(m, width=config.total_width)
        recode = booth_digits if config.carry_save else minimal_digits
        a, b = (
            Cat(
                shifted_operand(m, config, word[low : low + config.width], f"{name}{low // config.width}")
                for low in range(0, len(word), config.width)
            )
            for name, word in (("a", self.a), ("b", self.b))
        )
        add_products(m, heap, _products(config), a, b, recode)
        constant = -step_constant(_products(config))
        if config.carry_save:
            add_constant(heap, constant, config.total_width)
            self._carry_save(m, heap)
        else:
            self._resolved(m, heap, constant)
        return m

    def _resolved(self, m, heap, constant):
        config = self._config
        acc = Signal(len(self.acc), name="acc_r", reset_less=True)
        kept = acc & (~self.clear).replicate(len(acc))
        if config.overflow == "saturate":
            constant += add_extended(heap, named(m, "kept", kept), AND_PS)
        else:
            heap.add_word(kept, AND_PS)
        add_constant(heap, constant, config.total_width)
        # The low columns arrive so early that a carry ripples through them before the others are there.
        rest = heap.reduce(lambda column: column >= config.operand_width)
        arrivals_ps = [max((arrival_ps for arrival_ps, _ in dots), default=0) for dots in rest]
        columns = [[dot for _, dot in dots] for dots in rest]
        total = named(m, "total", prefix_add(m, columns, structure=config.adder, arrivals_ps=arrivals_ps))
        if config.overflow == "saturate":
            sign, top = total[-1], total[len(acc) - 1 :]
            clamped = named(m, "clamped", top.any() & ~top.all())
            saturated = Signal(len(self.saturated), name="saturated_r", reset_less=True)
            total = Mux(clamped, Cat((~sign).replicate(len(acc) - 1), sign), total[: len(acc)])
            with m.If(self.enable):
                m.d.sync += saturated.eq(Mux(self.clear, 0, saturated) + clamped)
            m.d.comb += self.saturated.eq(saturated)
        with m.If(self.enable):
            m.d.sync += acc.eq(total)
        m.d.comb += self.acc.eq(acc)

    def _carry_save(self, m, heap):
        positions = chain_carries(self._config)
        s = Signal(len(self.s), name="s_r", reset_less=True)
        c = Signal(len(self.c), name="c_r", reset_less=True)
        for word, columns in ((s, range(len(s))), (c, positions)):
            for index, column in enumerate(columns):
                heap.add(column, word[index] & ~self.clear, AND_PS)
        rest = heap.reduce(lambda column: column in positions)
        with m.If(self.enable):
            m.d.sync += s.eq(Cat(dots[0][1] if dots else Const(0) for dots in rest))
            m.d.sync += c.eq(Cat(rest[column][1][1] if len(rest[column]) == 2 else Const(0) for column in positions))
        m.d.comb += [self.s.eq(s), self.c.eq(c)]


def place_dfp_pe(config):
    """A :class:`DFPPE` as the shared module ``dfp_fma_pe``."""
    return Shared(lambda: DFPPE(config), DFPPE.ports(config), name="dfp_fma_pe")


class CarrySaveSum(wiring.Component):
    """Carry-propagate adder of a sum word and a carry word, and the register behind it.

    Parameters
    ----------
    width : :class:`int`
        Bits of the sum word.
    carries : sequence of :class:`int`
        Columns of the carry word's bits.
    adder : :class:`str`
        See :func:`~carrysave.hdl.adder.prefix_add`.

    Members
    -------
    s, c : ``In``
        The two words.
    enable : ``In(1)``
        Take them; without it the sum is held.
    sum : ``Out(width)``
        Straight from the register.
    """

    def __init__(self, width, carries, adder):
        self._carries = tuple(carries)
        self._adder = adder
        super().__init__(self.ports(width, carries))

    @staticmethod
    def ports(width, carries):
        """Signature for a width and the carry word's columns."""
        return wiring.Signature({"s": In(width), "c": In(len(carries)), "enable": In(1), "sum": Out(width)})

    def elaborate(self, platform):
        m = Module()
        dots = [[bit] for bit in self.s]
        for index, column in enumerate(self._carries):
            dots[column].append(self.c[index])
        total = Signal(len(self.sum), name="sum_r", reset_less=True)
        with m.If(self.enable):
            m.d.sync += total.eq(prefix_add(m, dots, structure=self._adder))
        m.d.comb += self.sum.eq(total)
        return m


def place_carry_save_sum(width, carries, adder, name):
    """A :class:`CarrySaveSum` as a shared module of that name."""
    return Shared(lambda: CarrySaveSum(width, carries, adder), CarrySaveSum.ports(width, carries), name=name)


def chain_control(m, config, accepted, forced):
    """Counts the steps of chains.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`
    accepted : 1-bit value
        A step is taken.
    forced : 1-bit value
        It ends its chain in any case.

    Returns
    -------
    first, ends : 1-bit value
        The step, taken or not, begins a chain; it ends one.
    """
    if config.chain == 1:
        return Const(1), Const(1)
    first, ends = Signal(init=1), Signal(name="chain_ends")
    position = Signal(range(config.chain))
    m.d.comb += ends.eq(forced | (position == config.chain - 1))
    with m.If(accepted):
        m.d.sync += [first.eq(ends), position.eq(Mux(ends, 0, position + 1))]
    return first, ends


def tell_chain(config, total, saturated=None):
    """Values of a finished chain by name: ``sum``, and what the overflow policy tells of it.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`
    total : value
        The accumulator, resolved, in ``register_width`` bits.
    saturated : value, optional
        Of the :class:`DFPPE`, with ``overflow="saturate"``.
    """
    told = {"sum": total[: config.acc_width]}
    if config.overflow == "flag":
        top = total[config.acc_width - 1 :]
        told["overflow"] = top.any() & ~top.all()
    if config.overflow == "saturate":
        told["saturated"] = saturated
    return told
