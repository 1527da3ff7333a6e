"""Frames of the host link in hardware: flags, escapes and CRC-32 around a message (see :mod:`.protocol`)."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.crc.catalog import CRC32_ISO_HDLC
from amaranth.lib.wiring import In, Out

from .protocol import ESCAPE, ESCAPED, FLAG

__all__ = ["FrameReceiver", "FrameTransmitter"]

RECEIVED = data.StructLayout({"data": 8, "end": 1, "good": 1})
SENT = data.StructLayout({"data": 8, "last": 1})


class FrameReceiver(wiring.Component):
    """Takes bytes from the line apart into frames.

    Members
    -------
    i : ``In(stream.Signature(8, always_ready=True))``
        Bytes from the line.
    o : ``Out(stream.Signature(StructLayout(data=8, end=1, good=1), always_ready=True))``
        The bytes of a message and its CRC, one by one; then, when the closing flag came, one beat with ``end`` set, in
        which ``good`` says whether the CRC was right. Nothing comes between two adjacent flags.
    """

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(unsigned(8), always_ready=True)),
            "o": Out(stream.Signature(RECEIVED, always_ready=True)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        escaped, started = Signal(), Signal()
        m.d.comb += [
            self.o.p.data.eq(Mux(escaped, self.i.payload ^ ESCAPED, self.i.payload)),
            self.o.p.good.eq(crc.match_detected & ~escaped),
            crc.data.eq(self.o.p.data),
        ]
        with m.If(self.i.valid):
            with m.If(self.i.payload == FLAG):
                m.d.comb += [self.o.valid.eq(started), self.o.p.end.eq(1), crc.start.eq(1)]
                m.d.sync += [started.eq(0), escaped.eq(0)]
            with m.Elif((self.i.payload == ESCAPE) & ~escaped):
                m.d.sync += [started.eq(1), escaped.eq(1)]
            with m.Else():
                m.d.comb += [self.o.valid.eq(1), crc.valid.eq(1)]
                m.d.sync += [started.eq(1), escaped.eq(0)]
        return m


class FrameTransmitter(wiring.Component):
    """Makes frames of messages.

    Members
    -------
    i : ``In(stream.Signature(StructLayout(data=8, last=1)))``
        Bytes of a message, ``last`` with its last.
    o : ``Out(stream.Signature(8))``
        Bytes for the line.
    """

    def __init__(self):
        super().__init__({"i": In(stream.Signature(SENT)), "o": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = CRC32_ISO_HDLC(data_width=8).create()
        escaped = Signal()
        byte = Signal(8)
        special = Signal()
        index = Signal(2)
        done = Signal()  # the byte itself, not its escape, leaves in this cycle
        m.d.comb += [
            special.eq((byte == FLAG) | (byte == ESCAPE)),
            crc.data.eq(self.i.p.data),
        ]

        def send(valid):
            m.d.comb += [
                self.o.valid.eq(valid),
                self.o.payload.eq(Mux(escaped, byte ^ ESCAPED, Mux(special, ESCAPE, byte))),
                done.eq(valid & self.o.ready & (escaped | ~special)),
            ]
            with m.If(valid & self.o.ready):
                m.d.sync += escaped.eq(special & ~escaped)

        def send_flag(following):
            m.d.comb += [self.o.valid.eq(1), self.o.payload.eq(FLAG)]
            with m.If(self.o.ready):
                m.next = following

        with m.FSM():
            with m.State("IDLE"), m.If(self.i.valid):
                m.d.comb += crc.start.eq(1)
                m.next = "OPEN"
            with m.State("OPEN"):
                send_flag("MESSAGE")
            with m.State("MESSAGE"):
                m.d.comb += byte.eq(self.i.p.data)
                send(self.i.valid)
                m.d.comb += [self.i.ready.eq(done), crc.valid.eq(done)]
                with m.If(done & self.i.p.last):
                    m.next = "CRC"
            with m.State("CRC"):
                m.d.comb += byte.eq(crc.crc.word_select(index, 8))
                send(1)
                with m.If(done):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index == 3):
                        m.next = "CLOSE"
            with m.State("CLOSE"):
                send_flag("IDLE")
        return m
