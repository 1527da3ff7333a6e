"""The device's end of the host link: answers requests, feeds a design and collects its results."""

from amaranth.hdl import Cat, Const, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out, connect

from .buffer import InputBuffer, OutputBuffer, check_depth
from .frame import FrameReceiver, FrameTransmitter
from .protocol import HEADER_BYTES, POSITION_BITS, RESPONSE, Command, Counters, Identity, Status
from .uart import UARTReceiver, UARTTransmitter, uart_divisor

__all__ = ["DEPTH", "Link"]

DEPTH = 2048  # bytes of each buffer; four block RAMs of an iCE40, one of an ECP5
_REQUEST_BYTES = 6  # the shortest frame: command, sequence number, CRC
_WRITE_BYTES = 8  # and a position
_READ_BYTES = 10  # and a position and a limit


class Link(wiring.Component):
    """Host link over a UART.

    Parameters
    ----------
    name, digest : :class:`str`
        Name and digest of the design, for the answer to ``IDENTIFY``.
    i_width, o_width : :class:`int`
        Bits of the design's input and output beats.
    clock_hz, baud : :class:`int`
        Clock, and bits a second on the line.
    depth : :class:`int`
        Bytes of each of the two buffers, a power of two in 16..32768.

    Members
    -------
    rx, tx : ``In(1)``, ``Out(1)``
        The line, from and to the host.
    o : ``Out(stream.Signature(i_width))``
        Beats for the design.
    i : ``In(stream.Signature(o_width))``
        Beats from the design.
    reset : ``Out(1)``
        Resets the design, for one cycle; also in the first one after power-on, whatever reset the board has.
    good, bad : ``Out(1)``
        A frame was accepted, or was not; for one cycle.

    Attributes
    ----------
    identity : :class:`~.protocol.Identity`
        What the device says it is.
    """

    def __init__(self, *, name, digest, i_width, o_width, clock_hz, baud, depth=DEPTH):
        check_depth(depth)
        self._divisor = uart_divisor(clock_hz=clock_hz, baud=baud)
        self._input = InputBuffer(width=i_width, depth=depth)
        self._output = OutputBuffer(width=o_width, depth=depth)
        self.identity = Identity(
            name=name[:32],
            digest=digest,
            clock_hz=clock_hz,
            i_width=i_width,
            o_width=o_width,
            i_capacity=self._input.capacity,
            o_capacity=self._output.capacity,
        )
        super().__init__({
            "rx": In(1, init=1),
            "tx": Out(1, init=1),
            "o": Out(stream.Signature(unsigned(i_width))),
            "i": In(stream.Signature(unsigned(o_width))),
            "reset": Out(1, init=1),
            "good": Out(1),
            "bad": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.input = ResetInserter(self.reset)(self._input)
        m.submodules.output = ResetInserter(self.reset)(self._output)
        connect(m, self._input.o, wiring.flipped(self.o))
        connect(m, wiring.flipped(self.i), self._output.i)

        request = _Request()
        self._receive(m, request)
        self._respond(m, request, self._counters(m))
        return m

    def _receive(self, m, request):
        """From the line to ``request``, with its effects on the buffers."""
        m.submodules.uart_rx = uart = UARTReceiver(divisor=self._divisor)
        m.submodules.deframer = deframer = FrameReceiver()
        connect(m, uart.o, deframer.i)
        m.d.comb += uart.rx.eq(self.rx)

        command, sequence, position, limit = Signal(8), Signal(8), Signal(POSITION_BITS), Signal(POSITION_BITS)
        count = Signal(range(_READ_BYTES + 2))  # stays at _READ_BYTES + 1
        good = Signal()
        byte = deframer.o.p.data
        m.d.comb += self._input.data.eq(byte)

        available = Signal(POSITION_BITS)
        can_write, can_read, limited = Signal(), Signal(), Signal()
        status, verdict = Signal(Status), Signal(Status)
        m.d.sync += self.reset.eq(0)
        with m.If(~good | (count < _REQUEST_BYTES)):
            m.d.comb += verdict.eq(Status.BAD_CRC)
        with m.Elif(command == Command.WRITE):
            with m.If(count < _WRITE_BYTES):
                m.d.comb += verdict.eq(Status.BAD_LENGTH)
            with m.Elif(~can_write):
                m.d.comb += verdict.eq(Status.BAD_POSITION)
            with m.Elif(self._input.overflow):
                m.d.comb += verdict.eq(Status.TOO_LONG)
        with m.Elif(command == Command.READ):
            with m.If(count != _READ_BYTES):
                m.d.comb += verdict.eq(Status.BAD_LENGTH)
            with m.Elif(~can_read):
                m.d.comb += verdict.eq(Status.BAD_POSITION)
        with m.Elif(~((command == Command.IDENTIFY) | (command == Command.COUNTERS) | (command == Command.RESET))):
            m.d.comb += verdict.eq(Status.UNKNOWN_COMMAND)
        with m.Elif(count != _REQUEST_BYTES):
            m.d.comb += verdict.eq(Status.BAD_LENGTH)

        with m.If(request.taken):
            m.d.sync += request.valid.eq(0)
        m.d.comb += self._output.acknowledged.eq(position)

        with m.FSM():
            with m.State("RECEIVE"), m.If(deframer.o.valid):
                with m.If(deframer.o.p.end):
                    m.d.sync += good.eq(deframer.o.p.good)
                    m.next = "COMPARE"
                with m.Else():
                    with m.If(count <= _READ_BYTES):
                        m.d.sync += count.eq(count + 1)
                    with m.Switch(count):
                        for index, target in enumerate(
                            (command, sequence, position[:8], position[8:], limit[:8], limit[8:])
                        ):
                            with m.Case(index):
                                m.d.sync += target.eq(byte)
                    # Bytes 4 and up are data if this will turn out to be a WRITE, and are discarded otherwise.
                    m.d.comb += self._input.write.eq(count >= 4)
            # There is time to check step by step, in short paths: a byte takes forty cycles at least.
            with m.State("COMPARE"):
                m.d.sync += [available.eq(self._output.end - position), can_write.eq(position == self._input.position)]
                m.next = "COMPARE MORE"
            with m.State("COMPARE MORE"):
                m.d.sync += [can_read.eq(available <= self._output.used), limited.eq(limit < available)]
                m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += status.eq(verdict)
                m.next = "ACCEPT"
            with m.State("ACCEPT"):
                m.d.sync += count.eq(0)
                m.next = "RECEIVE"
                # One request may wait while another is being answered; a third is lost, as if the line had lost it.
                with m.If(request.valid & ~request.taken):
                    m.d.comb += [self.bad.eq(1), self._input.discard.eq(1)]
                with m.Else():
                    accept = status == Status.OK
                    write = accept & (command == Command.WRITE)
                    m.d.comb += [
                        self.good.eq(accept),
                        self.bad.eq(~accept),
                        self._input.commit.eq(write),
                        self._input.discard.eq(~write),
                        self._output.acknowledge.eq(accept & (command == Command.READ)),
                    ]
                    m.d.sync += [
                        self.reset.eq(accept & (command == Command.RESET)),
                        request.valid.eq(1),
                        request.command.eq(command),
                        request.sequence.eq(sequence),
                        request.status.eq(status),
                        request.size.eq(Mux(limited, limit, available)),
                    ]

    def _counters(self, m):
        """The body of the answer to ``COUNTERS``."""
        cycles, beats_in, beats_out, bad_frames = Signal(32), Signal(32), Signal(32), Signal(16)
        m.d.sync += [
            cycles.eq(cycles + 1),
            beats_in.eq(beats_in + (self.o.valid & self.o.ready)),
            beats_out.eq(beats_out + (self.i.valid & self.i.ready)),
            bad_frames.eq(bad_frames + self.bad),
        ]
        with m.If(self.reset):
            m.d.sync += [counter.eq(0) for counter in (cycles, beats_in, beats_out, bad_frames)]
        return Cat(cycles, beats_in, beats_out, bad_frames)

    def _respond(self, m, request, counters):
        """From ``request`` to the line."""
        m.submodules.framer = framer = FrameTransmitter()
        m.submodules.uart_tx = uart = UARTTransmitter(divisor=self._divisor)
        connect(m, framer.o, uart.i)
        m.d.comb += self.tx.eq(uart.tx)

        content = self.identity.pack()
        m.submodules.rom = rom = Memory(shape=unsigned(8), depth=len(content), init=content)
        rom_port = rom.read_port()

        identify = request.command == Command.IDENTIFY
        read = request.command == Command.READ
        ok = request.status == Status.OK
        body = Signal(8 * (HEADER_BYTES + Counters.BYTES))
        left = Signal(range(HEADER_BYTES + Counters.BYTES + 1))
        tail = Signal(POSITION_BITS)
        address = Signal(POSITION_BITS)
        from_rom = Signal()
        byte = Signal(8)
        m.d.comb += [self._output.address.eq(address), rom_port.addr.eq(address)]

        with m.FSM():
            with m.State("IDLE"), m.If(request.valid):
                m.d.comb += request.taken.eq(1)
                position = Mux(read, self._output.begin, self._input.position)
                fields = Cat(position, self._input.taken)
                is_counters = request.command == Command.COUNTERS
                m.d.sync += [
                    body.eq(Cat(
                        request.command | RESPONSE,
                        request.sequence,
                        Cat(request.status, Const(0, 8 - len(request.status))),
                        Mux(is_counters, counters, fields),
                    )),
                    left.eq(HEADER_BYTES),
                    tail.eq(0),
                    from_rom.eq(identify),
                    address.eq(Mux(identify, 0, self._output.begin)),
                ]  # fmt: skip
                positioned = (request.status == Status.TOO_LONG) | (request.status == Status.BAD_POSITION)
                with m.If(ok | positioned), m.Switch(request.command):
                    with m.Case(Command.IDENTIFY):
                        m.d.sync += tail.eq(len(content))
                    with m.Case(Command.WRITE):
                        m.d.sync += left.eq(HEADER_BYTES + 4)
                    with m.Case(Command.READ):
                        m.d.sync += [left.eq(HEADER_BYTES + 2), tail.eq(Mux(ok, request.size, 0))]
                    with m.Case(Command.COUNTERS):
                        m.d.sync += left.eq(HEADER_BYTES + Counters.BYTES)
                m.next = "BODY"
            with m.State("BODY"):
                m.d.comb += [
                    framer.i.valid.eq(1),
                    framer.i.p.data.eq(body[:8]),
                    framer.i.p.last.eq((left == 1) & (tail == 0)),
                ]
                with m.If(framer.i.ready):
                    m.d.sync += [body.eq(body >> 8), left.eq(left - 1)]
                    with m.If(left == 1):
                        m.next = "IDLE"
                        with m.If(tail != 0):
                            m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.sync += byte.eq(Mux(from_rom, rom_port.data, self._output.data))
                m.next = "TAIL"
            with m.State("TAIL"):
                m.d.comb += [
                    framer.i.valid.eq(1),
                    framer.i.p.data.eq(byte),
                    framer.i.p.last.eq(tail == 1),
                ]
                with m.If(framer.i.ready):
                    m.d.sync += [address.eq(address + 1), tail.eq(tail - 1)]
                    m.next = "FETCH"
                    with m.If(tail == 1):
                        m.next = "IDLE"


class _Request:
    """Registers between the receiving and the responding half."""

    def __init__(self):
        self.valid, self.taken = Signal(name="request_valid"), Signal(name="request_taken")
        self.command = Signal(8, name="request_command")
        self.sequence = Signal(8, name="request_sequence")
        self.status = Signal(Status, name="request_status")
        self.size = Signal(POSITION_BITS, name="request_size")
