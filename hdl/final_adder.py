"""Final adder: from a PE's accumulator and the shared correction to the finished integer."""

from amaranth.hdl import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import adder_parts, prefix_add
from .bit_heap import BitHeap
from .edges import delayed
from .shared import Shared

__all__ = ["FinalAdder", "place_final_adder"]


class FinalAdder(wiring.Component):
    """Adds sum word, carry word and correction, as far as there are any, modulo ``2 ** acc_width``.

    Before a register the three are compressed to two dots a column, after it a carry-propagate adder resolves them: in one
    cycle, or in several, each of which adds a part of the columns and hands its carry on. The latency is the configuration's
    ``adder_cycles``.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.ProductConfig`
    carries : sequence of :class:`int`
        Columns of the bits of the carry word; empty for a resolved accumulator.

    Members
    -------
    s : ``In(acc_width)``
        Sum word, or resolved accumulator.
    c : ``In(len(carries))``
        Carry word; absent if there are no carries.
    correction : ``In(acc_width)``
        See :class:`~carrysave.hdl.pe.Correction`; absent with ``correction="pe"``.
    result : ``Out(acc_width)``
        Sum of the three ``latency`` cycles ago, straight from the adder.
    """

    def __init__(self, config, carries=()):
        self._config = config
        self._carries = tuple(carries)
        self.latency = config.adder_cycles
        super().__init__(self.ports(config, carries))

    @staticmethod
    def ports(config, carries=()):
        """Signature for a configuration."""
        width = config.acc_width
        carry_word = {"c": In(len(carries))} if carries else {}
        correction = {"correction": In(width)} if config.correction == "drain" else {}
        return wiring.Signature({"s": In(width), **carry_word, **correction, "result": Out(width)})

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, width=len(self.s))
        heap.add_word(self.s)
        for index, column in enumerate(self._carries):
            heap.add(column, self.c[index])
        if self._config.correction == "drain":
            heap.add_word(self.correction)
        rows, carry, sums = heap.reduce(lambda column: True), None, []
        for cycle, part in enumerate(adder_parts(len(self.s), self.latency)):
            columns = [] if carry is None else [[carry, carry]]  # makes a carry into the next column
            low, waits = len(columns), self.latency - 1 - cycle
            columns += [
                [delayed(m, dot, cycle + 1, f"row{index}_{column}") for index, (_, dot) in enumerate(dots)]
                for column, dots in enumerate(rows[part], part.start)
            ]
            total = prefix_add(m, columns + [[]] * (waits > 0), structure=self._config.adder, name=f"sum{cycle}")
            sums.append(delayed(m, total[low : len(columns)], waits, f"sum{cycle}_r"))
            if waits:
                carry = delayed(m, total[-1], 1, f"carry{cycle}")
        m.d.comb += self.result.eq(Cat(sums))
        return m


def place_final_adder(config, carries=()):
    """A :class:`FinalAdder` as the shared module ``final_adder``."""
    return Shared(lambda: FinalAdder(config, carries), FinalAdder.ports(config, carries), name="final_adder")
