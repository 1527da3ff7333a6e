import pytest

from carrysave.fpga.clock import clock
from carrysave.models.errors import ConfigError


def ice40_hz(pll, oscillator_hz):
    return oscillator_hz * (pll["DIVF"] + 1) / (1 << pll["DIVQ"])


def ecp5_hz(pll, oscillator_hz):
    return oscillator_hz / pll["CLKI_DIV"] * pll["CLKFB_DIV"]


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
def test_the_oscillator_needs_no_pll(family):
    assert clock(oscillator_hz=12_000_000, family=family).pll is None
    assert clock(oscillator_hz=12_000_000, family=family, wanted_hz=12_000_000).pll is None


@pytest.mark.parametrize("wanted_mhz", [17, 20, 30, 48, 99, 200])
def test_ice40(wanted_mhz):
    made = clock(oscillator_hz=12_000_000, family="ice40", wanted_hz=wanted_mhz * 1_000_000)
    assert made.hz == int(ice40_hz(made.pll, 12e6))
    assert wanted_mhz * 1e6 <= made.hz <= wanted_mhz * 1.05e6
    # Limits of the data sheet: the voltage-controlled oscillator at 533..1066 MHz, DIVF of 7 bits, DIVQ 1..6.
    assert 533e6 <= 12e6 * (made.pll["DIVF"] + 1) <= 1066e6
    assert 0 <= made.pll["DIVF"] < 128
    assert 1 <= made.pll["DIVQ"] <= 6


@pytest.mark.parametrize("wanted_mhz", [10, 27.5, 50, 66, 100, 210])
def test_ecp5(wanted_mhz):
    made = clock(oscillator_hz=25_000_000, family="ecp5", wanted_hz=round(wanted_mhz * 1e6))
    assert made.hz == int(ecp5_hz(made.pll, 25e6))
    assert wanted_mhz * 1e6 <= made.hz <= wanted_mhz * 1.05e6
    assert 400e6 <= ecp5_hz(made.pll, 25e6) * made.pll["CLKOP_DIV"] <= 800e6
    assert all(1 <= made.pll[name] <= 128 for name in ("CLKFB_DIV", "CLKOP_DIV"))


@pytest.mark.parametrize(("family", "wanted_hz"), [("ice40", 1_000_000), ("ice40", 400_000_000), ("ecp5", 900_000_000)])
def test_out_of_reach(family, wanted_hz):
    with pytest.raises(ConfigError, match=r"^clock_mhz must be 12, the oscillator's, or one that the PLL reaches"):
        clock(oscillator_hz=12_000_000, family=family, wanted_hz=wanted_hz)
