"""Designs of the bit-weight family: multiply-accumulate units and arrays of integers."""

import numpy as np

from ..models.bit_slice import BitSliceConfig, bit_slice_cycles, bit_slice_stimulus
from ..models.cube import CubeConfig
from ..models.laconic import LaconicConfig, laconic_cycles, laconic_stimulus
from ..models.mac import MACConfig, OPT1Config, mac_golden, mac_stimulus
from ..models.matrix import MatrixConfig, matrix_golden, matrix_stimulus
from ..models.stationary import SystolicWSConfig, TreeConfig, stationary_golden, stationary_stimulus
from ..models.systolic import SystolicConfig
from ..models.tile import tile_golden, tile_stimulus
from .bit_slice import BitSliceArray
from .design import Design
from .laconic import LaconicArray
from .mac import MAC, OPT1
from .systolic import SystolicArray
from .tree import MultiplierTree
from .weight_stationary import WeightStationaryArray

__all__ = ["INTEGER_DESIGNS"]


def _rows_macs(config, beats):
    """Only beats with a row of A multiply."""
    return int(np.count_nonzero(beats["row"])) * config.lanes * config.cols


def _latency_by(cycles):
    """Latency of a tile by itself, from a cycle model."""

    def latency(config, beats):
        times = cycles(config, beats)
        accepted, delivered = (times.accepted, times.delivered) if hasattr(times, "accepted") else times
        return int(delivered.ravel()[0] - accepted[-1])

    return latency


_TPE = "Bit-weight dimension of MACs, HPCA 2025 (arXiv 2503.06342)"


INTEGER_DESIGNS = (
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
    Design(
        title="weight-stationary systolic array of MAC or OPT1 PEs",
        config=SystolicWSConfig,
        component=WeightStationaryArray,
        golden=stationary_golden,
        stimulus=stationary_stimulus,
        macs_per_beat=lambda config: config.lanes * config.cols,
        macs_of_beats=_rows_macs,
        pe=lambda config: "weight_stationary_pe",
        source=f"{_TPE}, weight-stationary systolic array, baseline and OPT1",
        limits=(
            "K is padded with zeros to a multiple of `lanes`",
            "all rows of A between two swaps have the same `last`",
        ),
    ),
    Design(
        title="multiplier-adder tree: multipliers and adders, OPT1, or OPT2 with temporal bit weights",
        config=TreeConfig,
        component=MultiplierTree,
        golden=stationary_golden,
        stimulus=stationary_stimulus,
        macs_per_beat=lambda config: config.lanes * config.cols,
        macs_of_beats=_rows_macs,
        pe=lambda config: "tree_column",
        source=f"{_TPE}, multiplier-adder tree, baseline, OPT1 and OPT2",
        limits=(
            "K is padded with zeros to a multiple of `lanes`",
            "all rows of A between two swaps have the same `last`",
        ),
    ),
    Design(
        title="bit-slice columns of OPT3, OPT4C or OPT4E PEs, sparse over the digits of operand a",
        config=BitSliceConfig,
        component=BitSliceArray,
        golden=tile_golden,
        stimulus=bit_slice_stimulus,
        macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
        latency_of_beats=_latency_by(bit_slice_cycles),
        pe=lambda config: "opt3_pe" if config.pe == "opt3" else "slice_pe",
        source=f"{_TPE}, OPT3, OPT4C and OPT4E",
        limits=(
            "a tile's K is at most `tile_k`; longer reductions are split by the tile scheduler",
            "`latency` is that of a tile with one digit group a weight at most; the cycle model gives any other",
        ),
    ),
    Design(
        title="Laconic's term-serial array, the baseline of the bit-slice columns",
        config=LaconicConfig,
        component=LaconicArray,
        golden=tile_golden,
        stimulus=laconic_stimulus,
        macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
        latency_of_beats=_latency_by(laconic_cycles),
        pe=lambda config: "laconic_pe",
        source="Laconic Deep Learning Inference Acceleration, ISCA 2019, processing element and tile",
        limits=(
            "a group takes as long as its slowest lane over all rows and columns, whose PEs run in lockstep",
            "`latency` is that of a group of one step; each further step of a tile's last group adds a cycle",
        ),
    ),
)
