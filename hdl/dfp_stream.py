"""Streams around units of dynamic fixed point: rows of registers with their handshake, and counters of what came out."""

from amaranth.hdl import Cat, Module, Signal

from .event_counter import place_event_counter
from .stream_unit import StreamUnit

__all__ = ["DFPUnit", "Rows"]


class Rows:
    """Rows of registers between two streams, each of which takes new values as soon as the next one does, or is empty.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    count : :class:`int`
        Rows, at least one.
    valid : 1-bit value
        There is something for the first row.
    ready : 1-bit value
        What the last row holds is taken, if it holds anything.

    Members
    -------
    advance : list of 1-bit values
        The row takes new values; of the first row, what is offered is taken.
    valid : ``Signal(count)``
        The row holds something.
    """

    def __init__(self, m, count, *, valid, ready):
        self._m = m
        self.valid = Signal(count, name="valid")
        self.advance = [Signal(name=f"advance{row}") for row in range(count)]
        for row, following in enumerate((*self.advance[1:], ready)):
            m.d.comb += self.advance[row].eq(~self.valid[row] | following)
        # A row that takes nothing new is full.
        m.d.sync += self.valid.eq(Cat(valid, self.valid[:-1]) | ~Cat(self.advance))

    def register(self, row, value, name):
        """The value from a register of that row."""
        held = Signal.like(value, name=f"{name}_r{row}", reset_less=True)
        with self._m.If(self.advance[row]):
            self._m.d.sync += held.eq(value)
        return held


class DFPUnit(StreamUnit):
    """Base of the units.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_units.DFPUnitConfig`

    Members
    -------
    i : ``In(stream)``
        See the configuration's ``i``.
    o : ``Out(stream)``
        See the configuration's ``o``.
    counters : ``Out``
        See :attr:`~carrysave.models.dfp_units.DFPUnitConfig.counters`.
    """

    def elaborate(self, platform):
        m = Module()
        self.build(m)
        taken = Signal()
        m.d.comb += taken.eq(self.o.valid & self.o.ready)
        width = self.config.lanes.bit_length()
        for name in self.config.counted:
            # What belongs to a block counts once.
            counts = taken & self.o.p.last if name.startswith("exponent_") else taken
            events = self.o.p[name] & counts.replicate(len(self.o.p[name]))
            m.submodules[name] = counter = place_event_counter(width)
            m.d.comb += [counter.events.eq(events), self.counters[name].eq(counter.count)]
        return m
