"""Every design by name. One entry ties a configuration to its component, golden model and stimulus."""

import dataclasses
import difflib
from collections.abc import Callable

from ..models.cube import CubeConfig
from ..models.errors import CarrysaveError
from ..models.mac import MACConfig, OPT1Config, mac_golden, mac_stimulus
from ..models.matrix import MatrixConfig, matrix_golden, matrix_stimulus
from ..models.systolic import SystolicConfig
from ..models.tile import tile_golden, tile_stimulus
from .mac import MAC, OPT1
from .systolic import SystolicArray

__all__ = ["DESIGNS", "Design", "UnknownDesign", "design"]


class UnknownDesign(CarrysaveError, KeyError):
    """No design of that name."""

    def __str__(self):
        return self.args[0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """One catalogue entry.

    Parameters
    ----------
    title : :class:`str`
        One line on what it is.
    config : type
        Configuration class; its ``design`` is the name of the entry.
    component : callable
        From a configuration to a ``wiring.Component`` with streams ``i`` and ``o`` and the configuration's attributes
        ``latency`` (cycles from the input beat that completes an output to that output, with nothing in the way) and
        ``initiation_interval`` (cycles between accepted input beats).
    golden : callable
        ``golden(config, beats) -> beats``, exact.
    stimulus : callable
        ``stimulus(config, rng, count) -> beats``, directed corners first.
    macs_per_beat : callable
        From a configuration to the multiply-accumulates that one input beat stands for, on average.
    pe : callable
        From a configuration to the name of the module that is the processing element in the exported Verilog.
    source : :class:`str`
        Paper and section.
    limits : tuple of :class:`str`
        Known limits, one sentence each.
    macs_of_beats : callable, optional
        ``macs_of_beats(config, beats)``, where not every beat stands for the same number of multiply-accumulates.
    """

    title: str
    config: type
    component: Callable
    golden: Callable
    stimulus: Callable
    macs_per_beat: Callable
    pe: Callable
    source: str
    limits: tuple = ()
    macs_of_beats: Callable | None = None

    def macs(self, config, beats):
        """Multiply-accumulates that some input beats stand for."""
        if self.macs_of_beats:
            return self.macs_of_beats(config, beats)
        return round(len(beats) * self.macs_per_beat(config))

    @property
    def name(self):
        """Name in the catalogue, lower case with hyphens."""
        return self.config.design


_TPE = "Bit-weight dimension of MACs, HPCA 2025 (arXiv 2503.06342)"

DESIGNS = {
    entry.name: entry
    for entry in (
        Design(
            title="multiply-accumulate unit, accumulator merged into the compressor tree",
            config=MACConfig,
            component=MAC,
            golden=mac_golden,
            stimulus=mac_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "mac_pe",
            source=f"{_TPE}, baseline",
        ),
        Design(
            title="multiply-accumulate unit with a carry-save accumulator",
            config=OPT1Config,
            component=OPT1,
            golden=mac_golden,
            stimulus=mac_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "opt1_pe",
            source=f"{_TPE}, OPT1",
        ),
        Design(
            title="output-stationary systolic array of MAC or OPT1 PEs",
            config=SystolicConfig,
            component=SystolicArray,
            golden=tile_golden,
            stimulus=tile_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols,
            pe=lambda config: f"{config.pe}_pe",
            source=f"{_TPE}, systolic array, baseline and OPT1",
            limits=(
                "tiles end at least `rows` cycles apart: the last step of a tile with K below rows waits for the drain",
            ),
        ),
        Design(
            title="3D cube of MAC or OPT1 PEs, each a dot product of several lanes",
            config=CubeConfig,
            component=SystolicArray,
            golden=tile_golden,
            stimulus=tile_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
            pe=lambda config: f"{config.pe}_pe",
            source=f"{_TPE}, 3D cube, baseline and OPT1",
            limits=("K is padded with zeros to a multiple of `lanes`", "tiles end at least `rows` cycles apart"),
        ),
        Design(
            title="2D matrix of MAC, OPT1 or OPT2 PEs with a broadcast operand",
            config=MatrixConfig,
            component=SystolicArray,
            golden=matrix_golden,
            stimulus=matrix_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes / config.bit_weights,
            pe=lambda config: f"{config.pe}_pe",
            source=f"{_TPE}, 2D matrix, baseline, OPT1 and OPT2",
            limits=(
                "with opt2 a tile is sent once for each bit weight, so operands are read that often",
                "tiles end at least `rows` cycles apart",
            ),
        ),
    )
}


def design(name):
    """The entry of that name; raises :exc:`UnknownDesign` with the nearest names."""
    if name in DESIGNS:
        return DESIGNS[name]
    near = difflib.get_close_matches(str(name), DESIGNS, n=3, cutoff=0.4) or sorted(DESIGNS)
    raise UnknownDesign(f"no design is called {name!r}; did you mean {', '.join(near)}?")
