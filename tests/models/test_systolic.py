"""Systolic array: golden model against plain Python integers, cycle model, stimulus."""

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.systolic import SystolicConfig, systolic_cycles
from carrysave.models.tile import tile_golden, tile_stimulus

CONFIGS = [
    SystolicConfig(rows=4, cols=3),
    SystolicConfig(rows=1, cols=1, pe="mac"),
    SystolicConfig(rows=2, cols=5, a_width=4, b_width=16, a_signed=False, b_signed=False),
    SystolicConfig(rows=3, cols=2, acc_width=16, overflow="wrap"),
]


def naive_golden(config, beats):
    rows, a, b = [], [], []
    for beat in beats:
        a.append(beat["a"].tolist())
        b.append(beat["b"].tolist())
        if beat["last"]:
            for r in range(config.rows):
                row = []
                for c in range(config.cols):
                    total = sum(x[r] * y[c] for x, y in zip(a, b, strict=True)) % (1 << config.acc_width)
                    wraps = config.result_signed and total >= 1 << config.acc_width - 1
                    row.append(total - (1 << config.acc_width) if wraps else total)
                rows.append((row, int(r == config.rows - 1)))
            a, b = [], []
    return rows


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_golden(config):
    beats = tile_stimulus(config, np.random.default_rng(3), 300)
    out = tile_golden(config, beats)
    assert [(beat["c"].tolist(), int(beat["last"])) for beat in out] == naive_golden(config, beats)


def test_unfinished_tile_gives_nothing():
    config = SystolicConfig(rows=2, cols=2)
    beats = config.i.beats(a=[[1, 2]], b=[[3, 4]], last=[0])
    assert len(tile_golden(config, beats)) == 0
    assert len(tile_golden(config, beats[:0])) == 0


def test_too_long_a_tile():
    config = SystolicConfig(rows=1, cols=1, max_k=2)
    beats = config.i.beats(a=[[1]] * 3, b=[[1]] * 3, last=[0, 0, 1])
    with pytest.raises(ConfigError, match=r"^a reduction of 3 products exceeds max_k = 2$"):
        tile_golden(config, beats)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_stimulus(config):
    beats = tile_stimulus(config, np.random.default_rng(9), 400)
    assert len(beats) == 400
    assert beats["last"][-1] == 1
    config.i.check(beats)
    a_field, b_field, _ = config.i.fields
    for x in (a_field.minimum, a_field.maximum):
        for y in (b_field.minimum, b_field.maximum):
            assert ((beats["a"] == x).all(axis=1) & (beats["b"] == y).all(axis=1)).any()
    assert (tile_stimulus(config, np.random.default_rng(9), 400) == beats).all()


def test_payload_shapes():
    config = SystolicConfig(rows=4, cols=3)
    assert [field.describe() for field in config.i.fields] == ["signed(8)[4]", "signed(8)[3]", "unsigned(1)"]
    assert [field.describe() for field in config.o.fields] == ["signed(32)[3]", "unsigned(1)"]


def naive_cycles(config, lengths):
    """The rules, one cycle at a time: a step in, a row out of the drain, room for the results before a tile ends."""
    alone = systolic_cycles(config, [1])
    latency = int(alone[1][0, 0] - alone[0][0])
    accepted, delivered, cycle, step = [], [], 0, 0
    while len(accepted) < len(lengths):
        if step < lengths[len(accepted)] - 1:
            step += 1
        else:
            drained = not accepted or cycle >= accepted[-1] + config.rows
            waiting = sum(taken >= cycle for rows in delivered for taken in rows)
            if drained and waiting + config.rows <= config.result_rows:
                accepted.append(cycle)
                delivered.append([cycle + latency + row for row in range(config.rows)])
                step = 0
        cycle += 1
    return accepted, delivered


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (4, 4), (8, 8), (3, 7), (8, 2)])
@pytest.mark.parametrize("extra", [0, 1, 6, 40])
def test_cycles(rows, cols, extra):
    config = SystolicConfig(rows=rows, cols=cols, result_rows=rows + extra)
    rng = np.random.default_rng(rows + extra)
    for longest in (1, rows, 3 * rows):
        lengths = rng.integers(1, longest, 30, endpoint=True).tolist()
        accepted, delivered = systolic_cycles(config, lengths)
        assert (accepted.tolist(), delivered.tolist()) == naive_cycles(config, lengths)


def test_back_to_back():
    config = SystolicConfig(rows=8, cols=8, result_rows=8 + 8 + 4)
    accepted, _delivered = systolic_cycles(config, [8] * 20)
    assert np.diff(accepted).tolist() == [8] * 19


def test_result_rows_refused():
    with pytest.raises(ConfigError, match=r"^result_rows must be at least rows = 8, not 7$"):
        SystolicConfig(rows=8, result_rows=7)
