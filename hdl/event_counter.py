"""A counter of events that slows nothing down."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .shared import Shared

__all__ = ["EventCounter", "place_event_counter"]


class EventCounter(wiring.Component):
    """Counts up to 256 events a cycle, modulo 2 ** 32; carries take a cycle a byte, so the count is true once it rests.

    Parameters
    ----------
    width : :class:`int`
        Bits of the number of events, 9 at most.

    Members
    -------
    events : ``In(width)``
    count : ``Out(32)``
    """

    def __init__(self, width):
        super().__init__(self.ports(width))

    @staticmethod
    def ports(width):
        """Signature for a width."""
        return wiring.Signature({"events": In(width), "count": Out(32)})

    def elaborate(self, platform):
        m = Module()
        carry = Signal.like(self.events, name="events_r")
        m.d.sync += carry.eq(self.events)
        for place in range(4):
            digit, following = Signal(8, name=f"byte{place}"), Signal(name=f"carry{place}")
            m.d.sync += Cat(digit, following).eq(digit + carry)
            m.d.comb += self.count[8 * place : 8 * place + 8].eq(digit)
            carry = following
        return m


def place_event_counter(width):
    """An :class:`EventCounter` as the shared module ``event_counter``; all of a design are equally wide."""
    return Shared(lambda: EventCounter(width), EventCounter.ports(width), name="event_counter", reset=True)
