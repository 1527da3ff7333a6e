"""Clocks of a board: its oscillator as it is, or multiplied by a PLL of the device."""

import dataclasses

from amaranth.hdl import ClockDomain, ClockSignal, Const, Instance, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Out

from ..models.errors import ConfigError

__all__ = ["PLL", "Clock", "clock"]

# Block RAM of an iCE40 reads as zero for about 3 us after configuration, whatever the clock; Amaranth waits for 15 us
# where it makes the clock itself, and so does this.
_POWER_ON_S = 15e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clock:
    """The clock of a design.

    Parameters
    ----------
    hz : :class:`int`
        Frequency, rounded down to whole hertz.
    pll : :class:`dict` or ``None``
        Parameters of the PLL's primitive, or ``None`` for the oscillator itself.
    """

    hz: int
    pll: dict | None = None


def clock(*, oscillator_hz, family, wanted_hz=None):
    """The nearest clock at or above a wanted frequency that a PLL makes of an oscillator.

    Parameters
    ----------
    oscillator_hz : :class:`int`
        Frequency of the oscillator.
    family : ``"ice40"`` or ``"ecp5"``
        Family of the device.
    wanted_hz : :class:`int`, optional
        Wanted frequency; ``None`` or the oscillator's own needs no PLL.

    Returns
    -------
    :class:`Clock`

    Raises
    ------
    ConfigError
        If the PLL reaches no frequency within 5 % above the wanted one.
    """
    if wanted_hz is None or wanted_hz == oscillator_hz:
        return Clock(hz=oscillator_hz)
    candidates = [
        (frequency, parameters)
        for frequency, parameters in _SETTINGS[family](oscillator_hz)
        if wanted_hz <= frequency <= min(1.05 * wanted_hz, _RANGES_MHZ[family][1] * 1e6)
    ]
    if not candidates:
        raise ConfigError(
            f"clock_mhz must be {oscillator_hz / 1e6:g}, the oscillator's, or one that the PLL reaches, "
            f"about {_RANGES_MHZ[family][0]}..{_RANGES_MHZ[family][1]}, not {wanted_hz / 1e6:g}"
        )
    frequency, parameters = min(candidates, key=lambda candidate: candidate[0])
    return Clock(hz=int(frequency), pll=parameters)


def _ice40_settings(oscillator_hz):
    """Feedback "simple": the oscillator times DIVF + 1, through the oscillator at 533..1066 MHz, down by 2**DIVQ."""
    for multiplier in range(1, 129):
        vco = oscillator_hz * multiplier
        if 533e6 <= vco <= 1066e6:
            for shift in range(1, 7):
                yield vco / (1 << shift), {"DIVF": multiplier - 1, "DIVQ": shift}


def _ecp5_settings(oscillator_hz):
    """Feedback from the output: the oscillator / CLKI_DIV * CLKFB_DIV; the VCO, CLKOP_DIV times that, 400..800 MHz."""
    for divider in range(1, oscillator_hz // 3_125_000 + 1):  # the phase detector needs 3.125 MHz
        for multiplier in range(1, 81):
            frequency = oscillator_hz / divider * multiplier
            for ratio in range(1, 129):
                # 600 MHz is the middle of the range, and one setting a frequency is enough.
                if abs(frequency * ratio - 600e6) <= min(frequency / 2, 200e6):
                    yield frequency, {"CLKI_DIV": divider, "CLKFB_DIV": multiplier, "CLKOP_DIV": ratio}
                    break


_SETTINGS = {"ice40": _ice40_settings, "ecp5": _ecp5_settings}
_RANGES_MHZ = {"ice40": (16, 275), "ecp5": (7, 400)}


class PLL(wiring.Component):
    """Makes a clock of the board's oscillator, and a power-on reset for it.

    Parameters
    ----------
    clock : :class:`Clock`
        With a PLL.
    family : ``"ice40"`` or ``"ecp5"``
        Family of the device.

    Members
    -------
    clk : ``Out(1)``
        Clock.
    rst : ``Out(1)``
        Reset, synchronous; high until the clock is steady and block RAM is awake.
    """

    def __init__(self, clock, *, family):
        self._clock, self._family = clock, family
        super().__init__({"clk": Out(1), "rst": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        oscillator = platform.request(platform.default_clk, 0, dir="-")
        locked = Signal()
        if self._family == "ice40":
            # The oscillator's pin is the PLL's own pad, from which nothing else may read.
            m.submodules.pll = Instance(
                "SB_PLL40_PAD",
                p_FEEDBACK_PATH="SIMPLE",
                p_DIVR=Const(0, 4),
                p_DIVF=Const(self._clock.pll["DIVF"], 7),
                p_DIVQ=Const(self._clock.pll["DIVQ"], 3),
                p_FILTER_RANGE=Const(1, 3),  # phase detector at 10..17 MHz
                i_PACKAGEPIN=oscillator.io,
                i_RESETB=Const(1),
                i_BYPASS=Const(0),
                o_PLLOUTGLOBAL=self.clk,
                o_LOCK=locked,
            )
        else:
            m.submodules.buffer = buffer = io.Buffer("i", oscillator)
            parameters = {f"p_{name}": value for name, value in self._clock.pll.items()}
            m.submodules.pll = Instance(
                "EHXPLLL",
                p_FEEDBK_PATH="CLKOP",
                p_CLKOP_ENABLE="ENABLED",
                p_CLKOP_CPHASE=self._clock.pll["CLKOP_DIV"] // 2,
                **parameters,
                i_CLKI=buffer.i,
                i_CLKFB=self.clk,
                i_RST=Const(0),
                i_STDBY=Const(0),
                o_CLKOP=self.clk,
                o_LOCK=locked,
            )
        platform.add_clock_constraint(self.clk, self._clock.hz)

        m.domains.power_on = ClockDomain(reset_less=True, local=True)
        m.d.comb += ClockSignal("power_on").eq(self.clk)
        steady = Signal()
        m.submodules.synchronizer = FFSynchronizer(locked, steady, o_domain="power_on")
        delay = int(_POWER_ON_S * self._clock.hz)
        timer = Signal(range(delay + 1))
        with m.If(~steady):
            m.d.power_on += [timer.eq(0), self.rst.eq(1)]
        with m.Elif(timer != delay):
            m.d.power_on += timer.eq(timer + 1)
        with m.Else():
            m.d.power_on += self.rst.eq(0)
        return m
