"""The units of integer functions through their streams: outputs, latency, interval, stalls."""

import random

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.models.requantise import ROUNDINGS
from carrysave.models.requantise_unit import RequantiseConfig

REQUANTISERS = [
    RequantiseConfig(),
    RequantiseConfig(lanes=1, table_beats=3, source_width=7, multiplier_bits=8, width=4, rounding="half-up"),
    RequantiseConfig(lanes=3, table_beats=4, source_width=13, multiplier_bits=9, residual=True, rounding="floor"),
    RequantiseConfig(lanes=2, residual=True, width=32),
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


@pytest.mark.parametrize("config", REQUANTISERS[1:3], ids=lambda config: config.canonical())
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
