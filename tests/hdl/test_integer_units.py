"""The units of integer functions through their streams: outputs, latency, interval, stalls."""

import math
import random
import re

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.hdl.recurrence import Iterative, Pipelined, Quotient, Root
from carrysave.hdl.shift_exp import RisingExpLane, ShiftExpLane
from carrysave.hdl.verilog import verilog
from carrysave.models.integer_errors import SCALES
from carrysave.models.layer_norm_unit import LayerNormConfig
from carrysave.models.requantise import ROUNDINGS
from carrysave.models.requantise_unit import RequantiseConfig
from carrysave.models.row_unit import row_lengths
from carrysave.models.shift_exp import HALVINGS, SUM_LIMIT, ShiftExpConfig, octave, shift_exp
from carrysave.models.shift_gelu import gelu_octave
from carrysave.models.shift_gelu_unit import ShiftGELUConfig
from carrysave.models.shiftmax_unit import ShiftmaxConfig

REQUANTISERS = [
    RequantiseConfig(),
    RequantiseConfig(lanes=1, table_beats=3, source_width=7, multiplier_bits=8, width=4, rounding="half-up"),
    RequantiseConfig(lanes=3, table_beats=4, source_width=13, multiplier_bits=9, residual=True, rounding="floor"),
    RequantiseConfig(lanes=2, residual=True, width=32),
    RequantiseConfig(lanes=3, table_beats=2, source_width=27, bias_width=31),
    RequantiseConfig(lanes=2, table_beats=3, source_width=9, bias_width=4, residual=True, multiplier_bits=8, width=4),
]

ROWS = [
    ShiftmaxConfig(),
    ShiftmaxConfig(divider="pipelined", octave=10, output_width=16),
    ShiftmaxConfig(lanes=3, row_beats=5, width=5, octave=3, halving="shift", divider="pipelined"),
    ShiftmaxConfig(lanes=1, row_beats=1, octave=1 << 17, reference=True),
    ShiftmaxConfig(lanes=1, row_beats=4, octave=1 << 17),
    ShiftmaxConfig(lanes=2, row_beats=3, width=16, octave=33, output_width=12),
    ShiftGELUConfig(),
    ShiftGELUConfig(divider="pipelined", lanes=3, row_beats=5, sigmoid_width=16, width=6, octave=128),
    ShiftGELUConfig(lanes=1, row_beats=1, octave=1, halving="shift"),
    ShiftGELUConfig(divider="pipelined", lanes=3, row_beats=5, width=6, octave=3, reference=True),
    ShiftGELUConfig(lanes=2, octave=300, halving="shift", reference=True),
    LayerNormConfig(),
    LayerNormConfig(divider="pipelined", lanes=3, row_beats=5, width=6, bias_width=12),
    LayerNormConfig(lanes=1, row_beats=1, width=3, bias_width=32),
    LayerNormConfig(lanes=1, row_beats=7, width=16, bias_width=40),
]


def stimulus(config, count, seed=1):
    entry = design(config.design)
    beats = entry.stimulus(config, np.random.default_rng(seed), count)
    return beats, entry.golden(config, beats)


@pytest.fixture
def run(stream_run):
    """A function that plays beats, checks what comes out, and gives when beats went in and came out."""

    def play(config, beats, expected, **pauses):
        component = design(config.design).component(config)
        outputs, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(expected), **pauses)
        assert outputs == config.o.to_ints(expected)
        return taken_i, taken_o

    return play


@pytest.mark.parametrize("config", REQUANTISERS, ids=lambda config: config.canonical())
def test_requantisers(run, config):
    beats, expected = stimulus(config, 150)
    taken_i, taken_o = run(config, beats, expected)
    assert taken_i == list(range(len(beats)))
    assert taken_o == (np.flatnonzero(beats["load"] == 0) + config.latency).tolist()


@pytest.mark.parametrize("config", [*REQUANTISERS[1:3], REQUANTISERS[5]], ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.0, 0.7), (0.6, 0.0), (0.5, 0.5)])
def test_requantisers_wait(run, config, shares):
    rng = random.Random(5)
    i_pause, o_pause = (lambda cycle, share=share: rng.random() < share for share in shares)
    run(config, *stimulus(config, 80, seed=2), i_pause=i_pause, o_pause=o_pause)


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_requantiser_on_every_element_and_shift(run, rounding):
    """All elements of 5 bits by all shifts, by multipliers of one bit, two bits, and many."""
    config = RequantiseConfig(lanes=32, source_width=5, multiplier_bits=8, width=4, rounding=rounding)
    rows = []
    for multiplier in (0, 1, 128, 192, 255):
        for shift in range(1 << config.shift_width):
            rows += [(multiplier, shift, 1), (multiplier, shift, 0)]
    multipliers, shifts, loads = np.array(rows).T
    beats = config.i.zeros(len(rows))
    beats["x"] = np.arange(-16, 16)
    beats["multiplier"], beats["shift"] = multipliers[:, None], shifts[:, None]
    beats["load"] = loads
    run(config, beats, design("requantise").golden(config, beats))


@pytest.mark.parametrize("config", ROWS, ids=lambda config: config.canonical())
def test_rows(run, config):
    beats, expected = stimulus(config, 120)
    taken_i, taken_o = run(config, beats, expected)
    data = beats["load"] == 0 if config.design == "layer-norm" else np.ones(len(beats), bool)
    end = np.flatnonzero(data)[row_lengths(config, beats["last"][data])[0] - 1]
    latency_of_beats = design(config.design).latency_of_beats
    latency = latency_of_beats(config, beats[: end + 1]) if latency_of_beats else config.latency
    assert taken_o[0] == taken_i[end] + latency


@pytest.mark.parametrize("config", [*ROWS[:3], *ROWS[6:8], *ROWS[9:13]], ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.0, 0.7), (0.6, 0.0), (0.5, 0.5)])
def test_rows_wait(run, config, shares):
    rng = random.Random(5)
    i_pause, o_pause = (lambda cycle, share=share: rng.random() < share for share in shares)
    run(config, *stimulus(config, 80, seed=2), i_pause=i_pause, o_pause=o_pause)


@pytest.mark.parametrize("kind", [ShiftmaxConfig, ShiftGELUConfig, LayerNormConfig])
@pytest.mark.parametrize("length", [1, 2, 4, 5])
def test_rows_of_one_length_sustain_a_beat_a_cycle(run, kind, length):
    """Also beyond the longest, 4; and while the output is blocked nothing is lost and nothing stops for good."""
    config = kind(lanes=2, row_beats=4, divider="pipelined")
    beats, _ = stimulus(config, 60)
    beats["last"] = np.arange(60) % length == length - 1
    if kind is LayerNormConfig:
        beats["load"] = np.arange(60) < 4
        beats["last"] = (np.arange(60) - 4) % length == length - 1
        beats["last"][:4] = 0
    expected = design(config.design).golden(config, beats)
    assert (expected["cut"].sum() > 0) == (length > 4)
    taken_i, taken_o = run(config, beats, expected)
    assert taken_i == list(range(60))
    assert taken_o == list(range(taken_o[0], taken_o[0] + len(expected)))
    run(config, beats, expected, o_pause=lambda cycle: cycle < 100)


# Integers in an octave, and octaves until the exponential stays where it is: of Shiftmax, then of ShiftGELU, with those of
# MiniLM's block, 4 and 3.
EXPONENTIALS = sorted({(octave(scale), 15) for scale in (*SCALES, 1.0)} | {(4, 15)})
EXPONENTIALS += sorted({(gelu_octave(scale), 23) for scale in SCALES} | {(3, 23)})


@pytest.mark.parametrize(("octave", "fraction_bits"), EXPONENTIALS)
@pytest.mark.parametrize("halving", HALVINGS)
def test_exponential_of_every_distance(clocked, octave, fraction_bits, halving):
    config = ShiftExpConfig(octave=octave, fraction_bits=fraction_bits, halving=halving)
    lane, found = ShiftExpLane(config), []

    async def bench(ctx):
        ctx.set(lane.advance, -1)
        ctx.set(lane.maximum, 127)
        for x in range(127, -129 - config.exponential_cycles, -1):
            ctx.set(lane.x, max(x, -128))
            await ctx.tick()
            found.append(ctx.get(lane.e))

    clocked(lane, bench)
    assert found[config.exponential_cycles - 1 :][:256] == shift_exp(config, -np.arange(256)).tolist()


RISING = [*EXPONENTIALS, (1, 1), (1, 15), (2, 4), (1 << 20, 8)]


@pytest.mark.parametrize(("octave", "fraction_bits"), RISING)
@pytest.mark.parametrize("halving", HALVINGS)
def test_exponential_of_every_negative_maximum(clocked, octave, fraction_bits, halving):
    config = ShiftGELUConfig(octave=octave, fraction_bits=fraction_bits, halving=halving, reference=True)
    lane, found = RisingExpLane(config), []

    async def bench(ctx):
        ctx.set(lane.advance, -1)
        for maximum in range(-1, -129 - config.exponential_cycles, -1):
            ctx.set(lane.maximum, max(maximum, -128))
            await ctx.tick()
            found.append(ctx.get(lane.e))

    clocked(lane, bench)
    want = np.minimum(shift_exp(config, np.arange(1, 129), reference=True), SUM_LIMIT)
    assert found[config.exponential_cycles - 1 :][:128] == want.tolist()


QUOTIENTS = [((a, b), divmod(a, b)) for b in range(1, 16) for a in range(128) if a // b < 32]
ROOTS = [((value,), (math.isqrt(value),)) for value in range(1 << 10)]


@pytest.mark.parametrize("kind", [Iterative, Pipelined])
@pytest.mark.parametrize(
    ("recurrence", "cases"),
    [
        (Quotient(dividend_width=7, divisor_width=4, quotient_width=5), QUOTIENTS),
        (Root(root_width=5), ROOTS),
    ],
    ids=["quotient", "root"],
)
def test_recurrences(clocked, kind, recurrence, cases):
    """All operands, one on the heels of the other."""
    unit, found, begun = kind(recurrence), [], []

    async def bench(ctx):
        sent = 0
        for cycle in range(6 * len(cases)):
            ctx.set(unit.valid, sent < len(cases))
            for name, value in zip(recurrence.operands, cases[min(sent, len(cases) - 1)][0], strict=True):
                ctx.set(getattr(unit, name), value)
            if ctx.get(unit.done):
                assert cycle == begun[len(found)] + 5
                found.append(tuple(ctx.get(getattr(unit, name)) for name in recurrence.results))
            if sent < len(cases) and ctx.get(unit.ready):
                begun.append(cycle)
                sent += 1
            await ctx.tick()
            if len(found) == len(cases):
                break

    clocked(unit, bench)
    assert found == [results for _, results in cases]
    assert begun[-1] == (len(cases) - 1) * (5 if kind is Iterative else 1)


def test_iterative_dividers_work_without_a_pause(run):
    """A row, or a beat, for every so many cycles as a quotient has bits."""
    for kind, length in ((ShiftmaxConfig, 1), (ShiftGELUConfig, 2), (LayerNormConfig, 1)):
        config = kind(lanes=1, row_beats=2)
        beats = config.i.zeros(20)
        beats["x"][:, 0] = np.arange(20)
        beats["last"] = np.arange(20) % length == length - 1
        if kind is LayerNormConfig:
            beats = np.concatenate([config.i.zeros(1), beats])
            beats["load"][0] = beats["last"][0] = 1
        _, taken_o = run(config, beats, design(config.design).golden(config, beats))
        assert np.diff(taken_o).tolist() == [config.factor_width] * 19


def test_lanes_share_modules():
    text = verilog(ShiftGELUConfig(lanes=3))
    for module, instances in (("shift_exp_lane", 4), ("factor_divider", 3)):  # one of the maximum's exponential
        assert text.count(f"module {module}(") == 1
        assert len(re.findall(rf"\b{module} \\?lane_\d", text)) == instances
