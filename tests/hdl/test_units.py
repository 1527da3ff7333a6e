"""The designs ``mac`` and ``opt1`` through their streams: every result, stalls on both sides, latency, one beat a cycle."""

import random

import numpy as np
import pytest

from carrysave.hdl.mac import MAC, OPT1
from carrysave.models.mac import MACConfig, OPT1Config, mac_stimulus

CONFIGS = [
    MACConfig(max_k=64),
    MACConfig(a_width=4, b_width=8, a_signed=False, max_k=64, encode="edge", adder="sklansky"),
    MACConfig(a_width=5, b_width=5, acc_width=10, overflow="wrap", partial_products="and", adder="ripple"),
    OPT1Config(max_k=64),
    OPT1Config(a_width=4, b_width=4, max_k=64, encode="edge", carry_spacing_low=1),
    OPT1Config(a_width=8, b_width=5, b_signed=False, acc_width=13, overflow="wrap", carry_spacing=1, encode="edge"),
]


def unit(config):
    return (OPT1 if isinstance(config, OPT1Config) else MAC)(config)


def expected(config, beats):
    """Plain Python, apart from the golden model."""
    results, total = [], 0
    for a, b, last in beats.tolist():
        total += a * b
        if last:
            results.append(total % (1 << config.acc_width))
            total = 0
    return results


def stimulus(config, count, seed):
    beats = mac_stimulus(config, np.random.default_rng(seed), count)
    return beats, config.i.to_ints(beats)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_results_latency_and_interval(stream_run, config):
    beats, words = stimulus(config, 330, 1)
    component = unit(config)
    results = expected(config, beats)
    outputs, taken_i, taken_o = stream_run(component, words, len(results))
    assert outputs == results
    assert taken_i == list(range(0, len(words) * component.initiation_interval, component.initiation_interval))
    ends = [cycle for cycle, last in zip(taken_i, beats["last"], strict=True) if last]
    assert [out - end for out, end in zip(taken_o, ends, strict=True)] == [component.latency] * len(results)


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[4]], ids=["mac", "opt1"])
@pytest.mark.parametrize("shares", [(0.5, 0.0), (0.0, 0.5), (0.4, 0.7), (0.8, 0.2)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(7)
    beats, words = stimulus(config, 250, 2)
    results = expected(config, beats)
    outputs, _taken_i, _taken_o = stream_run(
        unit(config),
        words,
        len(results),
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )
    assert outputs == results


def test_output_blocked_for_long_loses_nothing(stream_run):
    config = MACConfig(a_width=4, b_width=4, max_k=1)
    beats = config.i.beats(a=[1, 2, 3, 4, 5, 6, 7, -8] * 3, b=[1, -1, 2, -2, 7, -8, 0, -8] * 3, last=[1] * 24)
    outputs, taken_i, _taken_o = stream_run(MAC(config), config.i.to_ints(beats), 24, o_pause=lambda cycle: cycle < 60)
    assert outputs == expected(config, beats)
    # What was taken while nothing could leave has a place in the unit.
    assert sum(cycle < 50 for cycle in taken_i) == config.latency + 1


@pytest.mark.parametrize(("a", "total"), [(-128, 262144), (-42, 86016), (127, -260096)])
def test_directed(stream_run, a, total):
    for config in (MACConfig(max_k=16), OPT1Config(max_k=16), OPT1Config(max_k=16, encode="edge")):
        beats = config.i.beats(a=[a] * 16, b=[-128] * 16, last=[0] * 15 + [1])
        outputs, _taken_i, _taken_o = stream_run(unit(config), config.i.to_ints(beats), 1)
        assert config.o.from_ints(outputs)["result"].tolist() == [total]


def test_bubbles_within_a_reduction(stream_run):
    config = OPT1Config(max_k=16)
    beats = config.i.beats(a=[-128] * 4, b=[-128] * 4, last=[0, 0, 0, 1])
    outputs, taken_i, _taken_o = stream_run(
        OPT1(config), config.i.to_ints(beats), 1, i_pause=lambda cycle: cycle % 7 != 0
    )
    assert (outputs, taken_i) == ([4 * 128 * 128], [0, 7, 14, 21])
