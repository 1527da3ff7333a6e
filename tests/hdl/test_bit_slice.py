"""The bit-slice array through its streams, against plain Python; its cycles and counters against the cycle model."""

import random
import shutil

import numpy as np
import pytest
from amaranth.sim import Simulator

from carrysave.hdl.bit_slice import BitSliceArray
from carrysave.hdl.catalogue import DESIGNS, Design
from carrysave.models.bit_slice import BitSliceConfig, bit_slice_cycles, bit_slice_stimulus
from carrysave.models.mac import MACConfig
from carrysave.models.tile import tile_golden
from carrysave.sim.player import play
from carrysave.sim.store import Store

COUNTERS = ("busy", "sync", "operands", "results")
SMALL = {"a_width": 4, "b_width": 4, "tile_k": 32}
CONFIGS = [
    BitSliceConfig(rows=2, cols=3, pe="opt4c", encoding="en-t", skip=True, **SMALL),
    BitSliceConfig(rows=3, cols=2, pe="opt4c", encoding="mbe", skip=False, **SMALL | {"a_width": 5}, a_signed=False),
    BitSliceConfig(rows=2, cols=1, pe="opt4c", encoding="naf", skip=True, **SMALL, max_k=30, carry_spacing_low=1),
    BitSliceConfig(rows=1, cols=4, pe="opt3", encoding="en-t", skip=False, **SMALL | {"b_width": 5}, b_signed=False),
    BitSliceConfig(rows=2, cols=2, pe="opt3", encoding="mbe", skip=True, **SMALL, lanes=4),
    BitSliceConfig(rows=2, cols=2, pe="opt3", encoding="naf", skip=False, **SMALL | {"a_width": 5}, result_rows=7),
    BitSliceConfig(rows=2, cols=2, pe="opt4e", encoding="en-t", skip=False, **SMALL, carry_spacing=1),
    BitSliceConfig(rows=3, cols=1, pe="opt4e", encoding="mbe", skip=True, **SMALL | {"tile_k": 64}, lanes=1),
    BitSliceConfig(rows=1, cols=3, pe="opt4e", encoding="naf", skip=True, **SMALL, a_signed=False, b_signed=False),
]


ENTRY = Design(
    title="bit-slice columns",
    config=BitSliceConfig,
    component=BitSliceArray,
    golden=tile_golden,
    stimulus=bit_slice_stimulus,
    macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
    pe=lambda config: "opt3_pe" if config.pe == "opt3" else "slice_pe",
    source="test",
)
COUNTED = {}


@pytest.fixture
def clocked():
    """As that of all components, and keeps what the counters hold in the end."""

    def run(component, bench):
        async def counted(ctx):
            await bench(ctx)
            COUNTED.update({name: ctx.get(component.counters[name]) for name in COUNTERS})

        simulator = Simulator(component)
        simulator.add_clock(1e-6)
        simulator.add_testbench(counted)
        simulator.run()

    return run


def identity(config):
    return f"{config.pe}-{config.encoding}-{'skip' if config.skip else 'all'}-{config.rows}x{config.cols}"


def tiles_of(config, beats):
    """K pairs (column of A, row of B) of each tile."""
    tile, tiles = [], []
    for beat in beats:
        a = beat["a"].reshape(config.rows, config.lanes).T.tolist()
        b = beat["b"].reshape(config.cols, config.lanes).T.tolist()
        tile += zip(a, b, strict=True)
        if beat["last"]:
            tiles.append(tile)
            tile = []
    return tiles


def expected(config, tiles):
    return [
        ([sum(a[r] * b[c] for a, b in tile) for c in range(config.cols)], int(r == config.rows - 1))
        for tile in tiles
        for r in range(config.rows)
    ]


def played(stream_run, config, beats, **pauses):
    tiles = tiles_of(config, beats)
    component = BitSliceArray(config)
    assert (component.latency, component.initiation_interval) == (config.latency, 1)
    words, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(tiles) * config.rows, **pauses)
    out = config.o.from_ints(words)
    assert list(zip(out["c"].tolist(), out["last"].tolist(), strict=True)) == expected(config, tiles)
    return taken_i, taken_o


@pytest.mark.parametrize("config", CONFIGS, ids=identity)
def test_results_cycles_and_counters(stream_run, config):
    beats = bit_slice_stimulus(config, np.random.default_rng(3), 80)
    taken_i, taken_o = played(stream_run, config, beats)
    model = bit_slice_cycles(config, beats)
    assert [taken_i[end] for end in np.flatnonzero(beats["last"])] == model.accepted.tolist()
    assert taken_o == model.delivered.ravel().tolist()
    assert model.counters == COUNTED


@pytest.mark.parametrize(
    ("config", "shares"),
    [
        *((config, (0.3, 0.5)) for config in CONFIGS),
        (CONFIGS[0], (0.5, 0.0)),
        (CONFIGS[0], (0.0, 0.95)),
        (CONFIGS[3], (0.0, 0.9)),
        (CONFIGS[6], (0.0, 0.9)),
    ],
    ids=lambda value: identity(value) if isinstance(value, BitSliceConfig) else None,
)
def test_stalls(stream_run, config, shares):
    rng = random.Random(9)
    beats = bit_slice_stimulus(config, np.random.default_rng(5), 70)
    played(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )
    # Whoever waits, each digit is issued once.
    assert COUNTED["busy"] == bit_slice_cycles(config, beats).counters["busy"]


@pytest.mark.parametrize("pe", ["opt3", "opt4c", "opt4e"])
def test_extremes(stream_run, pe):
    # The longest reduction of the largest products: 64 * 128 * 128; then one whose digits are all odd: -42 is 1, -1, -1, -1
    # and a sign.
    config = BitSliceConfig(rows=2, cols=2, pe=pe, tile_k=64, lanes=4)
    beats = config.i.beats(
        a=np.broadcast_to(np.repeat([-128, -42], 16)[:, np.newaxis, np.newaxis], (32, 2, 4)),
        b=np.full((32, 2, 4), -128),
        last=([0] * 15 + [1]) * 2,
    )
    _taken_i, taken_o = played(stream_run, config, beats)
    assert taken_o == bit_slice_cycles(config, beats).delivered.ravel().tolist()


@pytest.mark.parametrize("skip", [False, True])
def test_empty_groups_cost(stream_run, skip):
    # 5 groups of each of 4 weights, one digit in all: 20 cycles, or one for each weight.
    config = BitSliceConfig(rows=1, cols=1, skip=skip, tile_k=32)
    beats = config.i.beats(a=[[0]] * 16 + [[1]] + [[0]] * 3, b=[[7]] * 20, last=[0] * 19 + [1])
    taken_i, taken_o = played(stream_run, config, beats)
    assert taken_o[0] - taken_i[-1] == config.latency + (0 if skip else 4 * 4)


def test_shortest_tiles(stream_run):
    # Tiles of one beat, all of equal work: as fast as their digits allow, or as their rows are taken.
    for pe in ("opt3", "opt4c"):
        config = BitSliceConfig(rows=2, cols=4, pe=pe, **SMALL, result_rows=8)
        beats = config.i.beats(a=[[1, 1]] * 12, b=[[1, 2, 3, 4]] * 12, last=[1] * 12)
        taken_i, taken_o = played(stream_run, config, beats)
        assert taken_o[0] - taken_i[0] == config.latency
        assert taken_o == bit_slice_cycles(config, beats).delivered.ravel().tolist()


def test_counters_in_the_simulator(monkeypatch, build_folder):
    if shutil.which("iverilog") is None:
        pytest.skip("needs Debian's iverilog")
    monkeypatch.setitem(DESIGNS, "bit-slice", ENTRY)
    config = CONFIGS[0]
    beats = bit_slice_stimulus(config, np.random.default_rng(7), 80)
    run = play(config, beats, store=Store(build_folder), simulator="icarus")
    model = bit_slice_cycles(config, beats)
    assert run.passed
    assert (run.cycles, run.counters) == (model.cycles, model.counters)


def test_no_counters(build_folder):
    if shutil.which("iverilog") is None:
        pytest.skip("needs Debian's iverilog")
    config = MACConfig()
    assert play(config, config.i.zeros(3), store=Store(build_folder), simulator="icarus").counters is None
