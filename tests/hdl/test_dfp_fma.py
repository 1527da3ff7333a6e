"""The streams of the DFP designs: latency, rate, what waits at the output, chains that end early.

Small ones; the float32 sums of ``dfp-dot`` take too long in this simulator, the generic bench plays them.
"""

import random
from itertools import pairwise

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.models.dfp_dot import DFPDotConfig
from carrysave.models.dfp_fma import DFPFMAConfig, DFPFMACSConfig

CONFIGS = [
    DFPFMAConfig(width=4, input_shift=2, acc_width=8, chain=1),
    DFPFMAConfig(width=4, acc_width=8, chain=2),
    DFPFMAConfig(width=4, acc_width=8, input_shift=0, overflow="saturate", chain=5),
    DFPFMACSConfig(width=4, acc_width=8, chain=1),
    DFPFMACSConfig(width=4, acc_width=8, input_shift=0, overflow="flag", chain=5),
    DFPDotConfig(width=4, lanes=2, acc_width=8, chain=1, spill="int48", wide_width=20),
    DFPDotConfig(
        width=4,
        lanes=2,
        acc_width=8,
        chain=3,
        spill="carry-save",
        wide_width=20,
        accumulator="carry-save",
        overflow="flag",
    ),
]
LATENCY = [1, 1, 1, 2, 2, 2, 4]


def workload(config, count):
    entry = design(config.design)
    beats = entry.stimulus(config, np.random.default_rng(3), 700)
    # Directed and random ones.
    beats = np.concatenate([beats[: count // 2], beats[-(count - count // 2) :]])
    if config.design == "dfp-dot":
        beats["last"][count // 2 - 1] = 1  # so that exponents may change
    return entry.component(config), beats, entry.golden(config, beats)


def completing(config, beats):
    """Numbers of the beats that complete an output."""
    if config.design == "dfp-dot":
        return np.flatnonzero(beats["last"]).tolist()
    golden = design(config.design).golden
    counts = [len(golden(config, beats[:number])) for number in range(len(beats) + 1)]
    return [number for number, (few, more) in enumerate(pairwise(counts)) if more > few]


@pytest.mark.parametrize(("config", "latency"), list(zip(CONFIGS, LATENCY, strict=True)), ids=str)
def test_back_to_back(stream_run, config, latency):
    component, beats, expected = workload(config, 120)
    assert component.latency == config.latency == latency
    outputs, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(expected))
    assert outputs == config.o.to_ints(expected)
    assert taken_i == list(range(len(beats)))
    assert taken_o == [number + latency for number in completing(config, beats)]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize(("i_rate", "o_rate"), [(1, 0.3), (0.5, 0.5)])
def test_pauses(stream_run, config, i_rate, o_rate):
    rng = random.Random(4)
    component, beats, expected = workload(config, 80)
    outputs, _taken_i, _taken_o = stream_run(
        component,
        config.i.to_ints(beats),
        len(expected),
        i_pause=lambda cycle: rng.random() >= i_rate,
        o_pause=lambda cycle: rng.random() >= o_rate,
    )
    assert outputs == config.o.to_ints(expected)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_what_waits_is_held(clocked, config):
    """Nobody takes the first output for a long time: it stays, valid, and the design fills up and no more."""
    component, beats, expected = workload(config, 40)
    words, wanted = config.i.to_ints(beats), config.o.to_ints(expected)
    sent = 0

    async def bench(ctx):
        nonlocal sent
        ctx.set(component.i.valid, 1)
        seen = []
        for _cycle in range(40):
            ctx.set(component.i.payload.as_value(), words[sent])
            went_in = ctx.get(component.i.ready)
            if ctx.get(component.o.valid):
                seen.append(ctx.get(component.o.payload.as_value()))
            await ctx.tick()
            sent += went_in
        assert len(seen) > 20
        assert set(seen) == {wanted[0]}
        assert not ctx.get(component.i.ready)

    clocked(component, bench)
    assert sent < len(words)
