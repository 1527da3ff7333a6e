"""The multiplier-adder tree through its streams, against the golden model; its cycles one for one; its traps."""

import random

import numpy as np
import pytest

from carrysave.hdl.stationary import sums_config
from carrysave.hdl.tree import DotTile, MultiplierTree, digit_sum_width, tree_rows
from carrysave.models.stationary import TreeConfig, stationary_golden, stationary_stimulus
from carrysave.models.stationary_cycles import stationary_cycles

SMALL = {"a_width": 4, "b_width": 4, "max_k": 40}
CONFIGS = [
    TreeConfig(lanes=2, cols=3, **SMALL),
    TreeConfig(lanes=3, cols=2, tree_registers=2, partial_products="and", encode="pe", **SMALL),
    TreeConfig(lanes=5, cols=1, tree_registers=1, a_width=5, b_width=4, a_signed=False, max_k=50, tile_rows=3),
    TreeConfig(lanes=2, cols=4, encode="pe", acc_width=9, overflow="wrap", a_width=4, b_width=4, tile_rows=5),
    TreeConfig(lanes=2, cols=3, pe="mac", **SMALL),
    TreeConfig(lanes=5, cols=1, pe="mac", encode="pe", partial_products="and", b_signed=False, tile_rows=1, **SMALL),
    TreeConfig(lanes=1, cols=4, pe="mac", a_signed=False, b_signed=False, tile_rows=5, **SMALL),
    TreeConfig(lanes=2, cols=3, pe="opt2", **SMALL),
    TreeConfig(lanes=3, cols=2, pe="opt2", tree_registers=1, a_signed=False, tile_rows=5, **SMALL),
    TreeConfig(lanes=4, cols=1, pe="opt2", tree_registers=2, a_width=5, b_width=4, b_signed=False, max_k=50),
    TreeConfig(lanes=1, cols=4, pe="opt2", a_width=4, b_width=4, acc_width=9, overflow="wrap", tile_rows=1),
]


def played(stream_run, config, beats, **pauses):
    component, want = MultiplierTree(config), stationary_golden(config, beats)
    words, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(want), **pauses)
    assert config.o.from_ints(words)["c"].tolist() == want["c"].tolist()
    return component, taken_i, taken_o


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_results_and_cycles(stream_run, config):
    beats = stationary_stimulus(config, np.random.default_rng(3), 90)
    component, taken_i, taken_o = played(stream_run, config, beats)
    accepted, delivered = stationary_cycles(config, beats)
    assert taken_i == (accepted - accepted[0]).tolist()
    assert taken_o == (delivered - accepted[0]).tolist()
    assert (component.latency, component.initiation_interval) == (config.latency, 1)


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[6], CONFIGS[8]], ids=["opt1", "mac", "opt2"])
@pytest.mark.parametrize("shares", [(0.5, 0.0), (0.0, 0.6), (0.3, 0.5)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(9)
    beats = stationary_stimulus(config, np.random.default_rng(5), 70)
    played(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )


@pytest.mark.parametrize("pe", ["mac", "opt1", "opt2"])
def test_traps_of_eight_bits(stream_run, pe):
    config = TreeConfig(lanes=16, cols=1, pe=pe, tile_rows=4)
    a = np.repeat([-128, -42, 127], 16).reshape(3, 16)
    beats = config.schedule(a, np.full((16, 1), -128))
    assert stationary_golden(config, beats)["c"].ravel().tolist() == [262144, 86016, -260096]
    played(stream_run, config, beats)


def test_width_of_the_narrow_tree():
    # 16 * (-2 * -128) and as much of the constants: 14 bits, not 13.
    assert digit_sum_width(TreeConfig(lanes=16, pe="opt2")) == 14
    assert digit_sum_width(TreeConfig(lanes=1, pe="opt2", a_width=4, b_width=4)) == 6
    assert digit_sum_width(TreeConfig(lanes=4, pe="opt2", b_signed=False)) == 12


def test_rows_of_the_registers():
    assert tree_rows(72, 0) == []
    assert tree_rows(72, 1) == [13]
    assert tree_rows(72, 2) == [19, 6]
    assert tree_rows(3, 2) == [2, 2]


def test_dot_tile(clocked):
    config = sums_config(TreeConfig(lanes=3, cols=1, encode="pe", **SMALL))
    tile, rng = DotTile(config), np.random.default_rng(4)
    a = rng.integers(-8, 8, (40, 3))
    a[5:8] = -8
    b = rng.integers(-8, 8, 42)
    b[7:12] = -8

    async def bench(ctx):
        sums = []
        for cycle in range(40 + tile.latency):
            ctx.set(tile.a, sum((int(x) & 15) << 4 * lane for lane, x in enumerate(a[min(cycle, 39)])))
            ctx.set(tile.b, int(b[min(cycle, 39)]) & 15)
            sums.append(ctx.get(tile.sum))
            await ctx.tick()
        for cycle in range(2, 40):
            # The weight that goes in with a row is lane 0's; lane 1 has the one before.
            want = sum(int(a[cycle, lane]) * int(b[cycle - lane]) for lane in range(3))
            assert sums[cycle + tile.latency] == want % (1 << config.acc_width)

    clocked(tile, bench)
