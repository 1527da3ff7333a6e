"""Final adder: from a PE's accumulator and the shared correction to the finished integer."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .bit_heap import BitHeap
from .shared import Shared

__all__ = ["FinalAdder", "place_final_adder"]


class FinalAdder(wiring.Component):
    """Adds sum word, carry word and correction, modulo ``2 ** acc_width``; one register inside, latency 1 cycle.

    Before the register the three are compressed to two dots a column, after it one carry-propagate adder resolves them.

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
        See :class:`~carrysave.hdl.pe.Correction`.
    result : ``Out(acc_width)``
        Sum of the three one cycle ago, straight from the adder.
    """

    latency = 1

    def __init__(self, config, carries=()):
        self._config = config
        self._carries = tuple(carries)
        super().__init__(self.ports(config, carries))

    @staticmethod
    def ports(config, carries=()):
        """Signature for a configuration."""
        width = config.acc_width
        carry_word = {"c": In(len(carries))} if carries else {}
        return wiring.Signature({"s": In(width), **carry_word, "correction": In(width), "result": Out(width)})

    def elaborate(self, platform):
        m = Module()
        heap = BitHeap(m, width=len(self.s))
        heap.add_word(self.s)
        for index, column in enumerate(self._carries):
            heap.add(column, self.c[index])
        heap.add_word(self.correction)
        columns = []
        for column, dots in enumerate(heap.reduce(lambda column: True)):
            columns.append([])
            for index, (_, dot) in enumerate(dots):
                register = Signal(name=f"row{index}_{column}", reset_less=True)
                m.d.sync += register.eq(dot)
                columns[-1].append(register)
        m.d.comb += self.result.eq(prefix_add(m, columns, structure=self._config.adder))
        return m


def place_final_adder(config, carries=()):
    """A :class:`FinalAdder` as the shared module ``final_adder``."""
    return Shared(lambda: FinalAdder(config, carries), FinalAdder.ports(config, carries), name="final_adder")
