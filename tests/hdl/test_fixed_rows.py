"""ReLU, residual addition and batch normalisation in fixed point through their streams."""

import itertools
import random
import re

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.hdl.verilog import verilog
from carrysave.models.batch_norm_unit import BatchNormConfig
from carrysave.models.fixed_cast import FIXED_OVERFLOWS, FIXED_ROUNDINGS
from carrysave.models.fixed_row_unit import ReLUConfig, ResidualAddConfig

CONFIGS = [
    ReLUConfig(rounding="rnd-conv", overflow="sat"),
    ReLUConfig(lanes=3, from_signed=False, rounding="stochastic", seed=5),
    ReLUConfig(
        lanes=1, from_width=63, from_fraction=-3, to_width=63, to_fraction=-40, to_signed=False, rounding="rnd-inf"
    ),
    ResidualAddConfig(rounding="rnd", overflow="sat", relu=True),
    ResidualAddConfig(lanes=3, residual_fraction=12, rounding="stochastic", overflow="wrap-sm", seed=9),
    ResidualAddConfig(lanes=1, from_fraction=11, residual_width=7, residual_signed=False, overflow="sat-zero"),
    ResidualAddConfig(lanes=2, from_signed=False, residual_signed=False, relu=True, to_signed=False, overflow="sat"),
    BatchNormConfig(rounding="rnd-conv", overflow="sat-sym"),
    BatchNormConfig(lanes=3, table_beats=3, rounding="stochastic", seed=7, relu=True, overflow="sat-zero"),
    BatchNormConfig(lanes=1, table_beats=1, from_signed=False, bias_fraction=25, bias_width=30),
    BatchNormConfig(
        lanes=2, table_beats=2, from_fraction=-4, scale_width=1, scale_fraction=0, bias_width=1, to_width=20
    ),
]


@pytest.fixture
def run(stream_run):
    """A function that plays beats, checks what comes out, and gives when beats went in and came out."""

    def play(config, beats, **pauses):
        entry = design(config.design)
        expected = entry.golden(config, beats)
        outputs, taken_i, taken_o = stream_run(
            entry.component(config), config.i.to_ints(beats), len(expected), **pauses
        )
        assert outputs == config.o.to_ints(expected)
        return taken_i, taken_o

    return play


def stimulus(config, count, seed=1):
    return design(config.design).stimulus(config, np.random.default_rng(seed), count)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_a_beat_a_cycle(run, config):
    beats = stimulus(config, 150)
    data = beats["load"] == 0 if config.design == "batch-norm" else np.ones(len(beats), bool)
    taken_i, taken_o = run(config, beats)
    assert taken_i == list(range(len(beats)))
    assert taken_o == (np.flatnonzero(data) + config.latency).tolist()


@pytest.mark.parametrize("config", [CONFIGS[1], CONFIGS[4], CONFIGS[8]], ids=lambda config: config.design)
@pytest.mark.parametrize("shares", [(0.0, 0.7), (0.6, 0.0), (0.5, 0.5)])
def test_stalls(run, config, shares):
    rng = random.Random(5)
    i_pause, o_pause = (lambda cycle, share=share: rng.random() < share for share in shares)
    run(config, stimulus(config, 80, seed=2), i_pause=i_pause, o_pause=o_pause)


@pytest.mark.parametrize(("rounding", "overflow"), list(itertools.product(FIXED_ROUNDINGS[:-1], FIXED_OVERFLOWS))[::2])
def test_every_operand(run, rounding, overflow):
    """All elements and scales of four bits, by all biases of three; every rounding and overflow comes by."""
    config = BatchNormConfig(
        lanes=16,
        table_beats=1,
        from_width=4,
        from_fraction=1,
        scale_width=4,
        scale_fraction=2,
        bias_width=3,
        bias_fraction=2,
        to_width=4,
        to_fraction=1,
        rounding=rounding,
        overflow=overflow,
        relu=rounding == "trn",
    )
    beats = config.i.zeros(2 * 16 * 8)
    beats["load"][::2] = 1
    beats["scale"][::2] = np.repeat(np.arange(-8, 8), 8)[:, None]
    beats["bias"][::2] = np.tile(np.arange(-4, 4), 16)[:, None]
    beats["x"][1::2] = np.arange(-8, 8)
    run(config, beats)


def test_lanes_share_a_module():
    text = verilog(BatchNormConfig(lanes=3))
    assert text.count("module fixed_row_lane(") == 1
    assert len(re.findall(r"\bfixed_row_lane \\?lane_\d", text)) == 3
