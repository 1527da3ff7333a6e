"""The weight-stationary systolic array through its streams, against the golden model; its cycles one for one."""

import random

import numpy as np
import pytest

from carrysave.hdl.accumulator_rows import AccumulatorRows, RowAdder, accumulator_parts
from carrysave.hdl.weight_stationary import WeightStationaryArray
from carrysave.models.stationary import SystolicWSConfig, stationary_golden, stationary_stimulus
from carrysave.models.stationary_cycles import stationary_cycles

SMALL = {"a_width": 4, "b_width": 4, "max_k": 40}
CONFIGS = [
    SystolicWSConfig(lanes=2, cols=3, acc_width=33, **SMALL),
    SystolicWSConfig(lanes=3, cols=2, pe="mac", tile_rows=5, encode="edge", **SMALL),
    SystolicWSConfig(lanes=1, cols=1, tile_rows=1, a_signed=False, **SMALL),
    SystolicWSConfig(lanes=4, cols=1, tile_rows=3, b_signed=False, encode="edge", **SMALL),
    SystolicWSConfig(lanes=2, cols=4, a_width=5, b_width=4, a_signed=False, b_signed=False, pe="mac"),
    SystolicWSConfig(
        lanes=4, cols=2, partial_products="and", acc_width=9, a_width=4, b_width=4, overflow="wrap", tile_rows=7
    ),
    SystolicWSConfig(lanes=2, cols=2, carry_spacing=1, carry_spacing_low=1, tile_rows=4, **SMALL),
]


def played(stream_run, config, beats, **pauses):
    component, want = WeightStationaryArray(config), stationary_golden(config, beats)
    words, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(want), **pauses)
    assert config.o.from_ints(words)["c"].tolist() == want["c"].tolist()
    return component, taken_i, taken_o


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_results_and_cycles(stream_run, config):
    beats = stationary_stimulus(config, np.random.default_rng(3), 110)
    component, taken_i, taken_o = played(stream_run, config, beats)
    accepted, delivered = stationary_cycles(config, beats)
    assert taken_i == (accepted - accepted[0]).tolist()
    assert taken_o == (delivered - accepted[0]).tolist()
    assert (component.latency, component.initiation_interval) == (config.latency, 1)


@pytest.mark.parametrize("config", CONFIGS[:3], ids=["opt1", "mac", "one row"])
@pytest.mark.parametrize("shares", [(0.5, 0.0), (0.0, 0.6), (0.3, 0.5)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(9)
    beats = stationary_stimulus(config, np.random.default_rng(5), 80)
    played(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )


@pytest.mark.parametrize("pe", ["mac", "opt1"])
def test_extremes_of_eight_bits(stream_run, pe):
    config = SystolicWSConfig(lanes=4, cols=1, pe=pe)
    beats = config.schedule(np.full((2, 8), -128), np.full((8, 1), -128))
    played(stream_run, config, beats)


def test_output_that_waits_long_keeps_the_results(stream_run):
    config = SystolicWSConfig(lanes=2, cols=2, tile_rows=4, **SMALL)
    rng = np.random.default_rng(2)
    beats = config.schedule(rng.integers(-8, 8, (12, 2)), rng.integers(-8, 8, (2, 6)))
    played(stream_run, config, beats, o_pause=lambda cycle: cycle < 100)


def test_accumulator_rows(clocked):
    rows = AccumulatorRows(SystolicWSConfig(lanes=1, cols=1, tile_rows=3, **SMALL))

    async def bench(ctx):
        for number, value in ((0, 11), (2, 22)):
            ctx.set(rows.write, 1)
            ctx.set(rows.write_row[0], number)
            ctx.set(rows.sum, value)
            await ctx.tick()
        ctx.set(rows.write, 0)
        await ctx.tick()
        ctx.set(rows.row[0], 2)
        ctx.set(rows.take, 1)
        await ctx.tick()
        assert (ctx.get(rows.old), ctx.get(rows.result)) == (22, 11)
        ctx.set(rows.take, 0)
        ctx.set(rows.result_row, 2)
        await ctx.tick()
        assert ctx.get(rows.result) == 11  # held for the output

    clocked(rows, bench)


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("acc_width", [14, 32, 40])
def test_row_adder(clocked, signed, acc_width):
    config = SystolicWSConfig(lanes=2, a_signed=signed, b_signed=signed, acc_width=acc_width, **SMALL)
    parts, rng = accumulator_parts(config), random.Random(1)
    assert [part.start for part in parts] == {14: [0, 7], 32: [0, 10, 21], 40: [0, 10, 20, 30]}[acc_width]
    adder, width, half = RowAdder(config), config.sum_width, 1 << config.sum_width - 1
    vectors = [(rng.randrange(1 << width), rng.getrandbits(acc_width), rng.randrange(2)) for _ in range(100)]
    vectors += [(0, (1 << acc_width) - 1, 1), ((1 << width) - 1, (1 << acc_width) - 1, 1), (half, 0, 1)]

    async def bench(ctx):
        sums = [0] * len(vectors)
        for cycle in range(len(vectors) + len(parts) - 1):
            old = keep = 0
            for index, part in enumerate(parts):
                if 0 <= cycle - index < len(vectors):
                    vector = vectors[cycle - index]
                    old |= vector[1] & (1 << part.stop) - (1 << part.start)
                    keep |= vector[2] << index
            ctx.set(adder.lanes, vectors[min(cycle, len(vectors) - 1)][0])
            ctx.set(adder.old, old)
            ctx.set(adder.keep, keep)
            for index, part in enumerate(parts):
                if 0 <= cycle - index < len(vectors):
                    sums[cycle - index] |= ctx.get(adder.sum[part]) << part.start
            await ctx.tick()
        for (lanes, old, keep), total in zip(vectors, sums, strict=True):
            value = (lanes + half) % (2 * half) - half if signed else lanes
            assert total == (keep * old + value) % (1 << acc_width)

    clocked(adder, bench)
