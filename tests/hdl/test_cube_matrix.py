"""3D cube and 2D matrix through their streams, against plain Python; their cycles against the cycle model."""

import random

import numpy as np
import pytest

from carrysave.hdl.systolic import SystolicArray
from carrysave.models.cube import CubeConfig
from carrysave.models.errors import ConfigError
from carrysave.models.matrix import MatrixConfig, matrix_golden, matrix_stimulus
from carrysave.models.systolic import systolic_cycles
from carrysave.models.tile import tile_golden, tile_stimulus

SMALL = {"a_width": 4, "b_width": 4, "max_k": 40}
CUBES = [
    CubeConfig(rows=2, cols=3, lanes=2, **SMALL),
    CubeConfig(rows=3, cols=2, lanes=4, pe="mac", **SMALL),
    CubeConfig(rows=1, cols=1, lanes=3, encode="edge", a_signed=False, **SMALL),
    CubeConfig(rows=2, cols=2, lanes=2, partial_products="and", carry_spacing=1, carry_spacing_low=1, **SMALL),
    CubeConfig(rows=2, cols=3, lanes=4, product_rows=3, **SMALL),
    CubeConfig(rows=2, cols=2, lanes=2, pe="mac", product_rows=2, **SMALL),
    CubeConfig(rows=3, cols=2, lanes=2, product_rows=2, adder_cycles=2, **SMALL),
    CubeConfig(rows=2, cols=2, lanes=2, correction="pe", product_rows=4, **SMALL),
    CubeConfig(rows=2, cols=3, lanes=2, pe="mac", correction="pe", b_signed=False, **SMALL),
    CubeConfig(rows=2, cols=2, lanes=1, pe="mac", encode="edge", b_signed=False, **SMALL),
]
MATRICES = [
    MatrixConfig(rows=2, cols=3, **SMALL),
    MatrixConfig(rows=3, cols=2, pe="mac", encode="edge", **SMALL),
    MatrixConfig(rows=1, cols=4, lanes=2, encode="edge", result_rows=5, **SMALL),
    MatrixConfig(rows=2, cols=3, pe="opt2", **SMALL),
    MatrixConfig(rows=2, cols=2, pe="opt2", correction="pe", **SMALL),
    MatrixConfig(rows=3, cols=1, pe="opt2", lanes=3, a_width=5, b_width=4, a_signed=False, max_k=60),
    MatrixConfig(rows=1, cols=2, pe="opt2", lanes=1, b_signed=False, carry_spacing=1, carry_spacing_low=1, **SMALL),
    MatrixConfig(rows=3, cols=2, pe="opt2", lanes=5, product_rows=2, adder_cycles=3, **SMALL),
    MatrixConfig(rows=4, cols=2, pe="opt2", lanes=4, a_width=6, b_width=5, acc_width=14, overflow="wrap"),
]


def parts(config):
    is_cube = isinstance(config, CubeConfig)
    return (tile_golden, tile_stimulus) if is_cube else (matrix_golden, matrix_stimulus)


def expected(config, beats):
    """Rows of C, by nested loops over plain integers."""
    rows, tile, inner = [], [], config.lanes
    for beat in beats:
        if config.i.fields[-1].name != "weight" or beat["weight"] == 0:
            tile.append((beat["a"].reshape(-1, inner).tolist(), beat["b"].reshape(-1, inner).tolist()))
        if beat["last"]:
            for r in range(config.rows):
                row = [sum(x * y for a, b in tile for x, y in zip(a[r], b[c], strict=True)) for c in range(config.cols)]
                if config.overflow == "wrap":
                    half = 1 << config.acc_width - 1
                    row = [(value + half) % (2 * half) - half for value in row]
                rows.append((row, int(r == config.rows - 1)))
            tile = []
    return rows


def played(stream_run, config, beats, **pauses):
    want = expected(config, beats)
    component = SystolicArray(config)
    words, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(want), **pauses)
    out = config.o.from_ints(words)
    assert list(zip(out["c"].tolist(), out["last"].tolist(), strict=True)) == want
    assert (parts(config)[0](config, beats) == out).all()
    return component, taken_i, taken_o


@pytest.mark.parametrize("config", [*CUBES, *MATRICES], ids=lambda config: config.canonical())
def test_results_and_cycles(stream_run, config):
    beats = parts(config)[1](config, np.random.default_rng(3), 90)
    component, taken_i, taken_o = played(stream_run, config, beats)
    ends = np.flatnonzero(beats["last"])
    accepted, delivered = systolic_cycles(config, np.diff(ends, prepend=-1))
    assert [taken_i[end] for end in ends] == accepted.tolist()
    assert taken_o == delivered.ravel().tolist()
    assert taken_o[0] - accepted[0] == component.latency
    assert component.initiation_interval == 1


@pytest.mark.parametrize("config", [CUBES[0], MATRICES[1], MATRICES[3]], ids=["cube", "mac", "opt2"])
@pytest.mark.parametrize("shares", [(0.5, 0.0), (0.0, 0.6), (0.3, 0.5)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(9)
    beats = parts(config)[1](config, np.random.default_rng(5), 80)
    played(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )


@pytest.mark.parametrize("a", [-128, -42, 127])
@pytest.mark.parametrize("lanes", [4, 16])
def test_extremes_of_temporal_bit_weights(stream_run, a, lanes):
    """Sixteen lanes of the same weight sum to 4096 and -4096: the width that a published tree lacks."""
    config = MatrixConfig(rows=1, cols=1, pe="opt2", lanes=lanes, max_k=16)
    beats = config.schedule(np.full((1, 16), a), np.full((16, 1), -128))
    _component, _taken_i, _taken_o = played(stream_run, config, beats)
    assert matrix_golden(config, beats)["c"].tolist() == [[16 * a * -128]]


def test_passes_must_be_complete():
    config = MatrixConfig(rows=1, cols=1, pe="opt2", max_k=16)
    beats = config.schedule(np.full((1, 8), 3), np.full((8, 1), 5))
    for broken in (beats[2:], beats[::-1], np.concatenate([beats[:2], beats[4:]])):
        with pytest.raises(ConfigError, match="the same steps 4 times, weight from 3 down to 0"):
            matrix_golden(config, broken)


def test_configuration():
    assert MatrixConfig().lanes == 1
    assert MatrixConfig(pe="opt2").lanes == 4
    assert MatrixConfig(pe="opt2", a_width=16).lanes == 8
    with pytest.raises(ConfigError, match="one row would take a carry-propagate adder"):
        CubeConfig(product_rows=1)
    with pytest.raises(ConfigError, match="an AND-array has no digits"):
        MatrixConfig(pe="opt2", partial_products="and")
