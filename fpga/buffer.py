"""Buffers between the bytes of the host link and the beats of a design, in block RAM.

Both are rings of bytes with 16-bit positions that count bytes since the reset. The input ring takes the bytes of a
frame before its CRC is known and drops them again if it was wrong; the output ring keeps what it has sent until the
host has acknowledged it. So a frame that is lost on the line, either way, loses no beat.
"""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from ..models.errors import ConfigError
from .protocol import POSITION_BITS

__all__ = ["InputBuffer", "OutputBuffer", "check_depth"]

CRC_BYTES = 4


def check_depth(depth):
    """Raise :exc:`~carrysave.models.errors.ConfigError` unless a ring can have that many bytes."""
    if depth not in [1 << n for n in range(4, POSITION_BITS)]:
        raise ConfigError(f"depth of the link's buffers must be a power of two in 16..32768, not {depth!r}")


class InputBuffer(wiring.Component):
    """Makes beats of bytes.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat; it comes as ``ceil(width / 8)`` bytes, least significant first.
    depth : :class:`int`
        Bytes of the ring, a power of two.

    Members
    -------
    data, write : ``In(8)``, ``In(1)``
        A byte, kept for now.
    commit : ``In(1)``
        Keep what was written, but for the last four bytes, which were the CRC.
    discard : ``In(1)``
        Forget what was written since the last ``commit``.
    position : ``Out(16)``
        Bytes kept so far.
    taken : ``Out(16)``
        Bytes taken out of the ring so far.
    overflow : ``Out(1)``
        Bytes were lost since the last ``commit`` or ``discard`` because the ring was full.
    o : ``Out(stream.Signature(width))``
        Beats.
    """

    def __init__(self, *, width, depth):
        self._width, self._depth = width, depth
        super().__init__({
            "data": In(8),
            "write": In(1),
            "commit": In(1),
            "discard": In(1),
            "position": Out(POSITION_BITS),
            "taken": Out(POSITION_BITS),
            "overflow": Out(1),
            "o": Out(stream.Signature(unsigned(width))),
        })  # fmt: skip

    @property
    def capacity(self):
        """Bytes that can be kept; a frame's CRC needs room, too."""
        return self._depth - CRC_BYTES

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring = ring = Memory(shape=unsigned(8), depth=self._depth, init=[])
        write_port, read_port = ring.write_port(), ring.read_port()
        writing, reading = Signal(POSITION_BITS), self.taken
        used = Signal(POSITION_BITS)
        m.d.comb += [
            used.eq(writing - reading),
            write_port.addr.eq(writing),
            write_port.data.eq(self.data),
            write_port.en.eq(self.write & (used != self._depth)),
            read_port.addr.eq(reading),
        ]

        with m.If(self.commit):
            m.d.sync += [writing.eq(writing - CRC_BYTES), self.position.eq(writing - CRC_BYTES), self.overflow.eq(0)]
        with m.Elif(self.discard):
            m.d.sync += [writing.eq(self.position), self.overflow.eq(0)]
        with m.Elif(self.write):
            with m.If(write_port.en):
                m.d.sync += writing.eq(writing + 1)
            with m.Else():
                m.d.sync += self.overflow.eq(1)

        count = -(-self._width // 8)
        beat = Signal(8 * count)
        missing = Signal(range(count + 1), init=count)
        fetched = Signal()
        m.d.comb += [self.o.valid.eq(missing == 0), self.o.payload.eq(beat)]
        m.d.sync += fetched.eq(0)
        with m.If(self.o.valid), m.If(self.o.ready):
            m.d.sync += missing.eq(count)
        with m.Elif(fetched):
            m.d.sync += [beat.eq(Cat(beat[8:], read_port.data)), missing.eq(missing - 1)]
        with m.Elif(reading != self.position):
            m.d.sync += [fetched.eq(1), reading.eq(reading + 1)]
        return m


class OutputBuffer(wiring.Component):
    """Makes bytes of beats.

    Parameters
    ----------
    width : :class:`int`
        Bits of a beat; it goes as ``ceil(width / 8)`` bytes, least significant first, the unused bits zero.
    depth : :class:`int`
        Bytes of the ring, a power of two.

    Members
    -------
    i : ``In(stream.Signature(width))``
        Beats. Taken only while there is room.
    acknowledge, acknowledged : ``In(1)``, ``In(16)``
        Forget the bytes before position ``acknowledged``.
    begin, end : ``Out(16)``
        Positions of the first byte still kept, and of the next byte to come.
    used : ``Out(16)``
        Bytes between these two.
    address, data : ``In(16)``, ``Out(8)``
        The byte at a position, one cycle later.
    """

    def __init__(self, *, width, depth):
        self._width, self._depth = width, depth
        super().__init__({
            "i": In(stream.Signature(unsigned(width))),
            "acknowledge": In(1),
            "acknowledged": In(POSITION_BITS),
            "begin": Out(POSITION_BITS),
            "end": Out(POSITION_BITS),
            "used": Out(POSITION_BITS),
            "address": In(POSITION_BITS),
            "data": Out(8),
        })  # fmt: skip

    @property
    def capacity(self):
        """Bytes that can be kept."""
        return self._depth

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring = ring = Memory(shape=unsigned(8), depth=self._depth, init=[])
        write_port, read_port = ring.write_port(), ring.read_port()
        count = -(-self._width // 8)
        beat = Signal(8 * count)
        left = Signal(range(count + 1))
        m.d.comb += [
            self.used.eq(self.end - self.begin),
            write_port.addr.eq(self.end),
            write_port.data.eq(beat[:8]),
            write_port.en.eq((left != 0) & (self.used != self._depth)),
            read_port.addr.eq(self.address),
            self.data.eq(read_port.data),
            self.i.ready.eq(left == 0),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [beat.eq(self.i.payload), left.eq(count)]
        with m.If(write_port.en):
            m.d.sync += [beat.eq(beat >> 8), left.eq(left - 1), self.end.eq(self.end + 1)]
        with m.If(self.acknowledge):
            m.d.sync += self.begin.eq(self.acknowledged)
        return m
