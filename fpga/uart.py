"""UART: asynchronous serial receiver and transmitter, 8 data bits, no parity, 1 stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..models.errors import ConfigError

__all__ = ["UARTReceiver", "UARTTransmitter", "uart_divisor"]

# A receiver that resynchronises at each start bit and samples bit centres has half a bit of slack over ten bits; 2 % a
# side leaves half of that to the other end.
_MAX_ERROR = 0.02
_MIN_DIVISOR = 4


def uart_divisor(*, clock_hz, baud):
    """Clock cycles a bit.

    Parameters
    ----------
    clock_hz : :class:`int`
        Clock of the UART.
    baud : :class:`int`
        Bits a second on the line.

    Raises
    ------
    ConfigError
        If the clock cannot make the baud rate within 2 %, or not with four cycles a bit.
    """
    divisor = round(clock_hz / baud) if baud > 0 else 0
    if divisor < _MIN_DIVISOR or abs(clock_hz / divisor / baud - 1) > _MAX_ERROR:
        raise ConfigError(f"baud must be within 2 % of {clock_hz} / n with n >= {_MIN_DIVISOR}, not {baud!r}")
    return divisor


class UARTReceiver(wiring.Component):
    """Receives bytes.

    Parameters
    ----------
    divisor : :class:`int`
        Clock cycles a bit, see :func:`uart_divisor`.

    Members
    -------
    rx : ``In(1)``
        The line; idles high. May be asynchronous.
    o : ``Out(stream.Signature(8, always_ready=True))``
        Bytes. One whose stop bit is missing is left out; the CRC of its frame tells.
    """

    def __init__(self, *, divisor):
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(unsigned(8), always_ready=True))})

    def elaborate(self, platform):
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self._divisor + self._divisor // 2))
        bits = Signal(9)
        # A one walks down; when it arrives, eight data bits have followed it in.
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)

        m.d.comb += self.o.payload.eq(bits[1:])
        with m.FSM():
            with m.State("IDLE"), m.If(~line):
                m.d.sync += [timer.eq(self._divisor + self._divisor // 2 - 2), bits.eq(1 << 8)]
                m.next = "DATA"
            with m.State("DATA"), m.If(timer == 0):
                m.d.sync += [timer.eq(self._divisor - 1), bits.eq(Cat(bits[1:], line))]
                with m.If(bits[1]):
                    m.next = "STOP"
            with m.State("STOP"), m.If(timer == 0):
                m.d.comb += self.o.valid.eq(line)
                m.next = "GAP"
            # Without this state a break (line held low) would be taken for a sequence of start bits.
            with m.State("GAP"), m.If(line):
                m.next = "IDLE"
        return m


class UARTTransmitter(wiring.Component):
    """Transmits bytes.

    Parameters
    ----------
    divisor : :class:`int`
        Clock cycles a bit, see :func:`uart_divisor`.

    Members
    -------
    i : ``In(stream.Signature(8))``
        Bytes.
    tx : ``Out(1)``
        The line; idles high.
    """

    def __init__(self, *, divisor):
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(unsigned(8))), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._divisor))
        bits = Signal(10, init=1)  # bit 0 is on the line; all that follows a stop bit is zero
        m.d.comb += self.tx.eq(bits[0])
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits != 1):
            m.d.sync += [timer.eq(self._divisor - 1), bits.eq(bits >> 1)]
        with m.Else():
            m.d.comb += self.i.ready.eq(1)
            with m.If(self.i.valid):
                m.d.sync += [timer.eq(self._divisor - 1), bits.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))]
        return m
