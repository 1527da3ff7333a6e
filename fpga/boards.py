"""Boards: what they are called, what is on them, and what of a device's resources there is."""

import dataclasses
import difflib
from collections.abc import Callable

from amaranth_boards.icebreaker import ICEBreakerPlatform
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from ..models.errors import ConfigError

__all__ = ["BOARDS", "Board", "board"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board.

    Parameters
    ----------
    name : :class:`str`
        Name, lower case.
    title : :class:`str`
        One line on what it is.
    platform : callable
        Makes the board's Amaranth platform, a new one for each build.
    family : ``"ice40"`` or ``"ecp5"``
        Family of the device; decides on the tools.
    device, package : :class:`str`
        Device and package.
    oscillator_hz : :class:`int`
        The oscillator on the board.
    baud : :class:`int`
        Bits a second that the board's USB adapter manages and its oscillator divides down to exactly.
    resources : :class:`dict`
        Names of the place-and-route tool's resources that limit a design, and how many there are.
    """

    name: str
    title: str
    platform: Callable
    family: str
    device: str
    package: str
    oscillator_hz: int
    baud: int
    resources: dict


BOARDS = {
    entry.name: entry
    for entry in (
        Board(
            name="icebreaker",
            title="1BitSquared iCEBreaker, Lattice iCE40UP5K",
            platform=ICEBreakerPlatform,
            family="ice40",
            device="iCE40UP5K",
            package="SG48",
            oscillator_hz=12_000_000,
            baud=1_000_000,
            resources={"ICESTORM_LC": 5280, "ICESTORM_RAM": 30, "ICESTORM_DSP": 8},
        ),
        Board(
            name="ulx3s-85f",
            title="Radiona ULX3S with Lattice ECP5 85F",
            platform=ULX3S_85F_Platform,
            family="ecp5",
            device="LFE5U-85F",
            package="BG381",
            oscillator_hz=25_000_000,
            baud=1_000_000,
            resources={"TRELLIS_COMB": 83640, "TRELLIS_FF": 83640, "DP16KD": 208, "MULT18X18D": 156},
        ),
    )
}


def board(name):
    """The board of that name; raises :exc:`~carrysave.models.errors.ConfigError` with the nearest names."""
    if name in BOARDS:
        return BOARDS[name]
    near = difflib.get_close_matches(str(name), BOARDS, n=2, cutoff=0.4) or list(BOARDS)
    raise ConfigError(f"no board is called {name!r}; did you mean {', '.join(near)}?")
