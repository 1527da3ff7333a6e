"""The systolic array through its streams, against plain Python; its cycles against the cycle model, one for one."""

import random

import numpy as np
import pytest

from carrysave.hdl.systolic import SystolicArray, SystolicGrid
from carrysave.models.systolic import SystolicConfig, systolic_cycles
from carrysave.models.tile import tile_stimulus

CONFIGS = [
    SystolicConfig(rows=2, cols=3, a_width=4, b_width=4, max_k=40),
    SystolicConfig(rows=3, cols=2, a_width=4, b_width=5, a_signed=False, max_k=40, pe="mac", encode="edge"),
    SystolicConfig(rows=1, cols=1, a_width=5, b_width=4, b_signed=False, max_k=40, encode="edge"),
    SystolicConfig(
        rows=4, cols=1, a_width=4, b_width=4, acc_width=9, overflow="wrap", partial_products="and", pe="mac"
    ),
    SystolicConfig(rows=1, cols=4, a_width=4, b_width=4, max_k=40, carry_spacing=1, carry_spacing_low=1, result_rows=9),
]


def tiles_of(beats):
    tile, tiles = [], []
    for beat in beats:
        tile.append((beat["a"].tolist(), beat["b"].tolist()))
        if beat["last"]:
            tiles.append(tile)
            tile = []
    return tiles


def expected(config, tiles):
    """Rows of C as lists, by three nested loops, and ``last``."""
    rows = []
    for tile in tiles:
        for r in range(config.rows):
            row = [sum(a[r] * b[c] for a, b in tile) for c in range(config.cols)]
            half = 1 << config.acc_width - config.result_signed
            if config.result_signed:
                row = [(value + half) % (2 * half) - half for value in row]
            else:
                row = [value % half for value in row]
            rows.append((row, int(r == config.rows - 1)))
    return rows


def played(stream_run, config, beats, **pauses):
    tiles = tiles_of(beats)
    component = SystolicArray(config)
    words, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(tiles) * config.rows, **pauses)
    out = config.o.from_ints(words)
    assert list(zip(out["c"].tolist(), out["last"].tolist(), strict=True)) == expected(config, tiles)
    return component, [len(tile) for tile in tiles], taken_i, taken_o


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_results_and_cycles(stream_run, config):
    beats = tile_stimulus(config, np.random.default_rng(3), 90)
    component, lengths, taken_i, taken_o = played(stream_run, config, beats)
    accepted, delivered = systolic_cycles(config, lengths)
    assert [taken_i[end - 1] for end in np.cumsum(lengths)] == accepted.tolist()
    assert taken_o == delivered.ravel().tolist()
    # The first row comes `latency` cycles after the last step.
    assert taken_o[0] - accepted[0] == component.latency
    assert component.initiation_interval == 1


def test_back_to_back_tiles_keep_every_pe_busy(stream_run):
    config = SystolicConfig(rows=2, cols=2, a_width=4, b_width=4, max_k=40, result_rows=8)
    rng = np.random.default_rng(4)
    beats = config.i.beats(
        a=rng.integers(-8, 8, (40, 2)), b=rng.integers(-8, 8, (40, 2)), last=[k % 2 for k in range(40)]
    )
    _component, _lengths, taken_i, _taken_o = played(stream_run, config, beats)
    assert taken_i == list(range(40))


@pytest.mark.parametrize("config", CONFIGS[:2], ids=["opt1", "mac"])
@pytest.mark.parametrize("shares", [(0.5, 0.0), (0.0, 0.6), (0.3, 0.5)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(9)
    beats = tile_stimulus(config, np.random.default_rng(5), 80)
    played(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )


def test_extremes(stream_run):
    config = SystolicConfig(rows=2, cols=2, max_k=16, encode="edge", carry_spacing_low=1)
    beats = config.i.beats(a=np.full((16, 2), -128), b=np.full((16, 2), -128), last=[0] * 15 + [1])
    played(stream_run, config, beats)


def test_latency_of_the_grid():
    config = CONFIGS[0]
    grid = SystolicGrid(config)
    array = SystolicArray(config)
    grid._MustUse__used = array._MustUse__used = True
    assert (grid.latency, array.latency) == (config.cols + 3, config.cols + 4)
