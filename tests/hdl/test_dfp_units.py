"""The units of dynamic fixed point through their streams: outputs, latency, interval, stalls, counters, random bits."""

import random

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.hdl.lfsr import Draws
from carrysave.hdl.verilog import verilog
from carrysave.models.dfp_block import DFPDownConfig, DFPQuantiseConfig, block_ends
from carrysave.models.dfp_scalar import DFPExponentConfig, DFPFromFloatConfig, DFPToFloatConfig
from carrysave.models.dfp_units import dfp_counts
from carrysave.models.lfsr import LFSR

STOCHASTIC = {"rounding": "stochastic", "round_up": "exponent", "seed": 20180203}
BLOCKS = [
    DFPQuantiseConfig(),
    DFPQuantiseConfig(**STOCHASTIC, width=7, lanes=3, block_beats=5),
    DFPQuantiseConfig(lanes=1, block_beats=1, exponent_width=4, width=4, rounding="toward-zero"),
    DFPQuantiseConfig(exponent_width=10, width=4, lanes=2, round_up="exponent"),
    DFPQuantiseConfig(lanes=8, block_beats=2, rounding="stochastic"),
    DFPDownConfig(),
    DFPDownConfig(**STOCHASTIC, width=7, lanes=2, block_beats=5, source_width=48),
    DFPDownConfig(lanes=1, block_beats=1, exponent_width=4, width=16, source_width=8, rounding="toward-zero"),
    DFPDownConfig(exponent_width=10, width=12, source_width=13, lanes=2, round_up="exponent"),
]
SCALARS = [
    DFPExponentConfig(),
    DFPExponentConfig(exponent_width=4, offset=64),
    DFPToFloatConfig(),
    DFPToFloatConfig(stages=2, source_width=30, exponent_width=10),
    DFPFromFloatConfig(),
    DFPFromFloatConfig(rounding="stochastic", width=4, exponent_width=10),
    DFPFromFloatConfig(rounding="toward-zero", exponent_width=4),
]


def stimulus(config, count, seed=1):
    entry = design(config.design)
    beats = entry.stimulus(config, np.random.default_rng(seed), count)
    return beats, entry.golden(config, beats)


@pytest.fixture
def run(stream_run):
    """A function that plays beats, checks what comes out and what is counted, and gives when beats went in and came out."""

    def play(config, beats, expected, **pauses):
        component = design(config.design).component(config)
        words = config.i.to_ints(beats)
        outputs, taken_i, taken_o = stream_run(component, words, len(expected), **pauses)
        assert outputs == config.o.to_ints(expected)
        return taken_i, taken_o

    return play


@pytest.mark.parametrize("config", BLOCKS, ids=lambda config: config.canonical())
def test_blocks(run, config):
    beats, expected = stimulus(config, 100)
    taken_i, taken_o = run(config, beats, expected)
    assert taken_i == list(range(len(beats)))  # one a cycle, whatever the blocks' lengths
    first, second = np.flatnonzero(block_ends(config, beats["last"]))[:2]
    assert taken_o[0] == first + config.latency
    assert taken_o[-1] - taken_o[0] < len(beats) + config.block_beats
    assert taken_o[first + 1] == max(second + config.latency, taken_o[first] + 1)


@pytest.mark.parametrize("config", [BLOCKS[1], BLOCKS[7]], ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.0, 0.7), (0.6, 0.0), (0.5, 0.5)])
def test_stalls(run, config, shares):
    rng = random.Random(5)
    i_pause, o_pause = (lambda cycle, share=share: rng.random() < share for share in shares)
    run(config, *stimulus(config, 60, seed=2), i_pause=i_pause, o_pause=o_pause)


@pytest.mark.parametrize("kind", [DFPQuantiseConfig, DFPDownConfig])
@pytest.mark.parametrize("length", [1, 4, 9])
def test_blocks_of_one_length_sustain_a_beat_a_cycle(run, kind, length):
    """Also beyond the longest, 4; and while the output is blocked nothing is lost and nothing stops for good."""
    config = kind(block_beats=4, lanes=2, width=6)
    beats, _ = stimulus(config, 45)
    beats["last"] = np.arange(45) % length == length - 1
    if kind is DFPDownConfig:
        beats["exponent"] = 3
    expected = design(config.design).golden(config, beats)
    taken_i, taken_o = run(config, beats, expected)
    assert taken_i == list(range(45))
    assert taken_o == list(range(taken_o[0], taken_o[0] + len(expected)))
    taken_i, _ = run(config, beats, expected, o_pause=lambda cycle: cycle < 60)
    # What fits is the buffer, and three rows of registers.
    assert sum(cycle < 50 for cycle in taken_i) == config.block_beats + config.latency


@pytest.mark.parametrize("config", SCALARS, ids=lambda config: config.canonical())
def test_scalars(run, config):
    beats, expected = stimulus(config, 160)
    taken_i, taken_o = run(config, beats, expected)
    assert taken_i == list(range(len(beats)))
    assert taken_o == list(range(config.latency, config.latency + len(beats)))
    rng = random.Random(6)
    chance = lambda cycle: rng.random() < 0.5  # noqa: E731
    run(config, beats[:80], design(config.design).golden(config, beats[:80]), i_pause=chance, o_pause=chance)


@pytest.mark.parametrize("config", [BLOCKS[1], SCALARS[1], SCALARS[3], SCALARS[5]], ids=lambda c: c.canonical())
def test_counters(clocked, config):
    beats, expected = stimulus(config, 60)
    component, words = design(config.design).component(config), config.i.to_ints(beats)

    async def bench(ctx):
        ctx.set(component.o.ready, 1)
        sent = 0
        for _ in range(len(words) + 60):
            ctx.set(component.i.valid, sent < len(words))
            ctx.set(component.i.payload.as_value(), words[min(sent, len(words) - 1)])
            sent += sent < len(words) and ctx.get(component.i.ready)
            await ctx.tick()
        found = {name: ctx.get(component.counters[name]) for name in config.counted}
        assert found == dfp_counts(config, expected)
        assert sum(found.values()) > 0

    clocked(component, bench)


@pytest.mark.parametrize("count", [1, 3, 32])
def test_draws_are_the_models(clocked, count):
    component, seed = Draws(count, 0xDEADBEEF), 0xDEADBEEF

    async def bench(ctx):
        rng, words = random.Random(1), LFSR(seed).draws(6 * count).reshape(6, count)
        for row in words:
            for advance in (*([0] * rng.randrange(3)), 1):
                ctx.set(component.advance, advance)
                assert ctx.get(component.draws) == sum(int(draw) << 16 * lane for lane, draw in enumerate(row))
                await ctx.tick()

    clocked(component, bench)


def test_lanes_share_a_module():
    text = verilog(DFPQuantiseConfig(lanes=3))
    assert text.count("module float_to_dfp(") == 1
    assert text.count("float_to_dfp lane_") + text.count("float_to_dfp \\lane_") == 3
