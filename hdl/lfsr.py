"""The linear-feedback shift register of stochastic rounding, many steps a cycle."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.lfsr import DRAW_BITS, LFSR_WIDTH, leap

__all__ = ["Draws"]


class Draws(wiring.Component):
    """Random bits, the same as those of :class:`carrysave.models.lfsr.LFSR`.

    Parameters
    ----------
    count : :class:`int`
        Draws of :data:`~carrysave.models.lfsr.DRAW_BITS` bits a cycle.
    seed : :class:`int`
        State after reset.

    Members
    -------
    advance : ``In(1)``
        The draws are taken: the next ones follow.
    draws : ``Out``
        The first draw lowest.

    Implementation notes
    --------------------
    Every bit, of the draws and of the register after them, is a sum modulo 2 of the register's bits.
    """

    def __init__(self, count, seed):
        self._seed = seed
        super().__init__({"advance": In(1), "draws": Out(count * DRAW_BITS)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(LFSR_WIDTH, init=self._seed)
        masks = (sum(1 << place for place in places) for places in leap(len(self.draws)))
        bits = Cat((state & mask).xor() for mask in masks)  # as a word: simulators are faster with it than bit by bit
        m.d.comb += self.draws.eq(bits[: len(self.draws)])
        with m.If(self.advance):
            m.d.sync += state.eq(bits[len(self.draws) :])
        return m
