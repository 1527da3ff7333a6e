"""Laconic's term-serial PE: in each lane a term of A times a term of B, and the sum over the lanes accumulated."""

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.integer import width_of_range
from .adder import prefix_add
from .bit_heap import BitHeap
from .laconic_terms import term_width
from .shared import Shared

__all__ = ["LaconicPE", "place_laconic_pe", "step_width"]

TERM_PS = 200  # from a PE's inputs to the dots of a lane


def step_width(config):
    """Bits of what all lanes add in a step, and of the low part of a PE's accumulator.

    Up to ``lanes`` times plus or minus the largest power of two, or all of the accumulator if that is narrower.
    """
    power = config.lanes << config.a_exponent + config.b_exponent
    return min(width_of_range(-power, power), config.acc_width)


class LaconicPE(wiring.Component):
    """Multiplies a term of A with a term of B in each lane, and accumulates the sum over the lanes.

    A lane adds the exponents; the power of two, negated in two's complement if the signs differ, makes a dot in each
    column of a bit heap, which counts the lanes' powers exponent by exponent and sums the counts at once. Nothing in it
    ever waits or needs a reset; a lane without a pair of terms adds nothing.

    The pipeline: terms to a heap for each part of the lanes, to one heap, to a resolved sum, to the accumulator. Of that
    the high part, which a step reaches with a carry only, is one cycle behind the low part of :func:`step_width` bits.

    Parameters
    ----------
    config : :class:`~carrysave.models.laconic.LaconicConfig`

    Members
    -------
    a, b : ``In``
        Terms of all lanes, see :mod:`carrysave.hdl.laconic_terms`.
    clear : ``In(2)``
        For the low and the high part: the terms of ``summing`` cycles ago, or one more, begin a new sum.
    take : ``In(2)``
        For the low and the high part: keep it, as it is before it changes in this cycle, for the drain.
    c_i : ``In(acc_width)``
        Sum that the next PE of the column drains.
    c_o : ``Out(acc_width)``
        Sum that was kept; one cycle later that of the next PE, and so on.
    """

    #: Cycles from terms to their sum, which the accumulator adds in that cycle.
    summing = 3

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "a": In(config.lanes * term_width(config.a_exponent)),
            "b": In(config.lanes * term_width(config.b_exponent)),
            "clear": In(2),
            "take": In(2),
            "c_i": In(config.acc_width),
            "c_o": Out(config.acc_width),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        step = self._lanes_sum(m)
        acc, kept = (Signal(len(self.c_o), name=name, reset_less=True) for name in ("acc_r", "kept_r"))
        low, high = (
            [bit & ~clear for bit in part]
            for part, clear in zip((acc[: len(step)], acc[len(step) :]), self.clear, strict=True)
        )
        low_sum = Signal(len(step) + 1)
        m.d.comb += low_sum.eq(self._resolved(m, "low", [*map(list, zip(low, step, strict=True)), []]))
        m.d.sync += acc[: len(step)].eq(low_sum)
        if high:
            # A carry counts up; the sign of the step, which extends through the high part, counts down.
            up, down = (Signal(name=name, reset_less=True) for name in ("up", "down"))
            m.d.sync += [up.eq(low_sum[-1] & ~step[-1]), down.eq(step[-1] & ~low_sum[-1])]
            changes = [up | down, *[down] * (len(high) - 1)]
            m.d.sync += acc[len(step) :].eq(self._resolved(m, "high", map(list, zip(high, changes, strict=True))))
        for part, take in zip((slice(0, len(step)), slice(len(step), len(acc))), self.take, strict=True):
            m.d.sync += kept[part].eq(Mux(take, acc[part], self.c_i[part]))
        m.d.comb += self.c_o.eq(kept)
        return m

    def _resolved(self, m, name, columns):
        return prefix_add(m, list(columns), structure=self._config.adder, name=name)

    def _lanes_sum(self, m):
        """The step's sum over the lanes, in a register, two's complement."""
        config = self._config
        # Columns of the powers; the sign of a lane weighs twice the largest one.
        columns = config.a_exponent + config.b_exponent + 1
        width = step_width(config)
        whole = BitHeap(m, width=width, name="lanes")
        for part in range(config.heaps):
            heap = BitHeap(m, width=width, name=f"lanes{part}")
            for lane in range(part, config.lanes, config.heaps):
                self._add_lane(m, heap, lane, columns)
            for column, dots in enumerate(_registered(m, heap, f"part{part}")):
                for dot in dots:
                    whole.add(column, dot)
        # Every lane's sign was inverted.
        constant = -(config.lanes << columns) % (1 << width)
        for column in range(width):
            whole.add(column, Const(constant >> column & 1, 1))
        step = Signal(width, name="step_r", reset_less=True)
        m.d.sync += step.eq(self._resolved(m, "step", _registered(m, whole, "whole")))
        return step

    def _add_lane(self, m, heap, lane, columns):
        """Dots of one lane: plus or minus ``2 ** exponent``, or nothing, plus ``2 ** columns``."""
        a, b = (word.word_select(lane, len(word) // self._config.lanes) for word in (self.a, self.b))
        present, minus = Signal(name=f"present{lane}"), Signal(name=f"minus{lane}")
        exponent = Signal(range(columns), name=f"exponent{lane}")
        m.d.comb += [
            present.eq(a[0] & b[0]),
            minus.eq(present & (a[1] ^ b[1])),
            exponent.eq(a[2:] + b[2:]),
        ]
        # Minus a power of two has ones from its exponent up. The exponent is compared in two halves.
        low_bits = len(exponent) // 2
        low, high = exponent[:low_bits], exponent[low_bits:]
        tails = [Signal(name=f"tail{lane}_{i}") for i in range(1 << low_bits)]
        for i, tail in enumerate(tails):
            m.d.comb += tail.eq((low == i) | ((low < i) & minus))
        for h in range(-(-columns >> low_bits)):
            here, beyond = Signal(name=f"here{lane}_{h}"), Signal(name=f"beyond{lane}_{h}")
            m.d.comb += [here.eq(present & (high == h)), beyond.eq(minus & (high < h))]
            for i in range(min(1 << low_bits, columns - (h << low_bits))):
                column = (h << low_bits) + i
                dot = Signal(name=f"dot{lane}_{column}")
                m.d.comb += dot.eq(beyond | (here & tails[i]))
                heap.add(column, dot, TERM_PS)
        heap.add(columns, ~minus)


def _registered(m, heap, name):
    """Two dots a column that are left of a heap, in registers."""
    columns = []
    for column, dots in enumerate(heap.reduce(lambda column: True)):
        columns.append([Signal(name=f"{name}_{column}_{index}", reset_less=True) for index in range(len(dots))])
        m.d.sync += [register.eq(dot) for register, (_, dot) in zip(columns[-1], dots, strict=True)]
    return columns


def place_laconic_pe(config):
    """A :class:`LaconicPE` as the shared module ``laconic_pe``."""
    return Shared(lambda: LaconicPE(config), LaconicPE.ports(config), name="laconic_pe")
