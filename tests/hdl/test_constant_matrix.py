"""Constant matrices in logic: every input of small ones, stages and signs of random ones, with stalls."""

import itertools
import random

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.models.constant_matrix_unit import ConstantMatrixConfig


def run(stream_run, config, x, **pauses):
    """What comes out for vectors, and when."""
    entry = design("constant-matrix")
    beats = config.i.beats(x=np.array(x, np.int64))
    words, taken_i, taken_o = stream_run(entry.component(config), config.i.to_ints(beats), len(beats), **pauses)
    return config.o.from_ints(words)["y"], taken_i, taken_o


@pytest.mark.parametrize(
    "parameters",
    [
        {"weights": "1,2/-3,0/0,0/-4,0"},
        {"weights": "-1,-2/7,-7/2,5", "x_signed": False},
        {"weights": "11,-13/-11,13/22,-26", "share": False, "levels_per_stage": 1},
        {"weights": "93/-93/1", "x_width": 5, "adder": "ripple"},
        {"weights": "0,0", "x_signed": False},
        {"weights": "5", "x_width": 1},
    ],
    ids=lambda parameters: parameters["weights"],
)
def test_every_input(stream_run, parameters):
    config = ConstantMatrixConfig(**{"x_width": 3, **parameters})
    values = range(config.x.minimum, config.x.maximum + 1)
    x = list(itertools.product(values, repeat=config.matrix.shape[1]))
    found, _, _ = run(stream_run, config, x)
    assert found.tolist() == [[sum(map(int.__mul__, row, one)) for row in config.matrix.tolist()] for one in x]


@pytest.mark.parametrize(("levels_per_stage", "share", "signed"), [
    (1, True, True), (2, True, False), (2, False, True), (3, False, False), (8, True, True),
])  # fmt: skip
def test_streams(stream_run, levels_per_stage, share, signed):
    rng = np.random.default_rng(levels_per_stage)
    weights = rng.integers(-100, 101, (3, 4)) * (rng.random((3, 4)) < 0.8)
    weights[1] = -weights[0]
    config = ConstantMatrixConfig.of(
        weights, x_width=6, x_signed=signed, share=share, levels_per_stage=levels_per_stage
    )
    beats = design("constant-matrix").stimulus(config, rng, 40)
    expected = [[sum(map(int.__mul__, row, x)) for row in weights.tolist()] for x in beats["x"].tolist()]
    found, taken_i, taken_o = run(stream_run, config, beats["x"])
    assert found.tolist() == expected
    assert taken_i == list(range(40))
    assert taken_o == [cycle + config.latency for cycle in taken_i]
    pause = random.Random(5)
    stalls = {name: lambda cycle: pause.random() < 0.5 for name in ("i_pause", "o_pause")}
    assert run(stream_run, config, beats["x"], **stalls)[0].tolist() == expected


def test_stages():
    config = ConstantMatrixConfig(weights="99,0,77/-99,51,77/3,3,3")
    latencies = [config.replace(levels_per_stage=levels).latency for levels in range(1, config.depth + 2)]
    assert latencies[0] == config.depth > 3
    assert latencies[-2:] == [1, 1]
    assert latencies == [-(-config.depth // levels) for levels in range(1, config.depth + 2)]
