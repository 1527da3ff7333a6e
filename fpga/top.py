"""What goes on a board: a design behind its host link, and around both clock, UART pins and LEDs."""

from amaranth.build import Platform
from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, ResetInserter, ResetSignal, Signal, Value
from amaranth.lib import io, wiring
from amaranth.lib.wiring import In, Out

from ..hdl.catalogue import design
from ..hdl.verilog import module_name, verilog
from .clock import PLL
from .link import DEPTH, Link

__all__ = ["BoardTop", "LinkedDesign"]


class LinkedDesign(wiring.Component):
    """A design behind a host link; the same in simulation and on any board.

    On a board the design is its exported Verilog, the very file that ``generate`` writes, in which a PE appears once
    however often it is placed; in Amaranth's simulator it is the component itself.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
        Configuration of the design.
    clock_hz, baud : :class:`int`
        Clock, and bits a second on the line.
    depth : :class:`int`
        Bytes of each of the link's buffers, a power of two.
    component : ``wiring.Component``, optional
        The design, if it is not the catalogue's: with streams ``i`` and ``o`` as ``config.i`` and ``config.o`` say.

    Members
    -------
    rx, tx : ``In(1)``, ``Out(1)``
        The line, from and to the host.
    good, bad : ``Out(1)``
        A frame was accepted, or was not; for one cycle.
    """

    def __init__(self, config, *, clock_hz, baud, depth=DEPTH, component=None):
        self._config, self._component = config, component
        self.link = Link(
            name=config.design,
            digest=config.digest,
            i_width=config.i.width,
            o_width=config.o.width,
            clock_hz=clock_hz,
            baud=baud,
            depth=depth,
        )
        super().__init__({"rx": In(1, init=1), "tx": Out(1, init=1), "good": Out(1), "bad": Out(1)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = self.link
        m.d.comb += [
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            self.good.eq(link.good),
            self.bad.eq(link.bad),
        ]
        if self._component is None and isinstance(platform, Platform):
            platform.add_file("design.v", verilog(self._config))
            m.submodules.design = Instance(
                module_name(self._config.design),
                i_clk=ClockSignal(),
                i_rst=ResetSignal(allow_reset_less=True) | link.reset,
                i_i__payload=link.o.payload,
                i_i__valid=link.o.valid,
                o_i__ready=link.o.ready,
                o_o__payload=link.i.payload,
                o_o__valid=link.i.valid,
                i_o__ready=link.i.ready,
            )
            return m
        inner = self._component
        if inner is None:
            inner = design(self._config.design).component(self._config)
        m.submodules.design = ResetInserter(link.reset)(inner)
        m.d.comb += [
            # The link carries plain bits, the design named fields.
            Value.cast(inner.i.payload).eq(link.o.payload),
            inner.i.valid.eq(link.o.valid),
            link.o.ready.eq(inner.i.ready),
            link.i.payload.eq(inner.o.payload),
            link.i.valid.eq(inner.o.valid),
            inner.o.ready.eq(link.i.ready),
        ]
        return m


class BoardTop(wiring.Component):
    """Top of an FPGA.

    LED 0 changes with each frame that is accepted, LED 1 stays on after one that was not.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
        Configuration of the design.
    board : :class:`~.boards.Board`
        The board.
    clock : :class:`~.clock.Clock`
        The clock of the design, made from the board's oscillator.
    baud : :class:`int`
        Bits a second on the line.
    """

    def __init__(self, config, *, board, clock, baud):
        self._board, self._clock = board, clock
        self.linked = LinkedDesign(config, clock_hz=clock.hz, baud=baud)
        super().__init__({})

    def elaborate(self, platform):
        m = Module()
        if self._clock.pll is not None:
            # Otherwise the platform makes the domain, of the oscillator and with a power-on reset, too.
            m.domains.sync = ClockDomain()
            m.submodules.pll = pll = PLL(self._clock, family=self._board.family)
            m.d.comb += [ClockSignal().eq(pll.clk), ResetSignal().eq(pll.rst)]
        m.submodules.linked = linked = self.linked
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.FFBuffer("o", uart.tx)  # a register at the pin, so that nothing glitches on the line
        m.d.comb += [linked.rx.eq(rx.i), tx.o.eq(linked.tx)]
        alive, failed = Signal(), Signal()
        for number, light in enumerate((alive, failed)):
            m.submodules[f"led{number}"] = led = io.Buffer("o", platform.request("led", number, dir="-"))
            m.d.comb += led.o.eq(light)
        with m.If(linked.good):
            m.d.sync += alive.eq(~alive)
        with m.If(linked.bad):
            m.d.sync += failed.eq(1)
        return m
