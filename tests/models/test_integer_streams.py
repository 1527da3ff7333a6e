"""Streams of the units of integer functions against loops over beats, in Python's integers."""

import math
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.layer_norm import layer_norm
from carrysave.models.layer_norm_unit import LayerNormConfig, layer_norm_golden, layer_norm_latency, layer_norm_stimulus
from carrysave.models.requantise import dyadic, requantise
from carrysave.models.requantise_unit import RequantiseConfig, requantise_golden, requantise_stimulus
from carrysave.models.row import row_places
from carrysave.models.shift_gelu import shift_gelu
from carrysave.models.shift_gelu_unit import ShiftGELUConfig, shift_gelu_golden, shift_gelu_stimulus
from carrysave.models.shiftmax import shiftmax
from carrysave.models.shiftmax_unit import ShiftmaxConfig, shiftmax_golden, shiftmax_latency, shiftmax_stimulus
from carrysave.sim.coverage import coverage, holes

ROUND = {"half-even": round, "half-up": lambda value: math.floor(value + Fraction(1, 2)), "floor": math.floor}


def test_places_in_rows():
    last = [0, 1, 1, 0, 0, 0, 0, 1, 0, 0]
    assert row_places(last, 3).tolist() == [0, 1, 0, 0, 1, 2, 0, 1, 0, 1]
    assert row_places([], 3).tolist() == []


@pytest.mark.parametrize(
    "config",
    [
        RequantiseConfig(),
        RequantiseConfig(lanes=3, table_beats=4, residual=True, rounding="half-up", source_width=9, multiplier_bits=8),
        RequantiseConfig(lanes=1, table_beats=2, width=16, rounding="floor"),
        RequantiseConfig(lanes=2, table_beats=3, residual=True, source_width=9, bias_width=12, multiplier_bits=8),
    ],
    ids=lambda config: config.canonical(),
)
def test_requantiser(config):
    beats = requantise_stimulus(config, np.random.default_rng(1), 400)
    assert not holes(coverage(config.i, beats, config.never))
    low, high = -(1 << config.width - 1), (1 << config.width - 1) - 1
    table, place, expected = {}, 0, []
    for beat in beats:
        if beat["load"]:
            table[place] = beat
        else:
            exact = []
            for lane in range(config.lanes):
                total = 0
                for branch in ("", "residual_") if config.residual else ("",):
                    m, c = (int(table[place][f"{branch}{name}"][lane]) for name in ("multiplier", "shift"))
                    bias = int(table[place]["bias"][lane]) if config.bias_width and not branch else 0
                    total += ROUND[config.rounding](Fraction((int(beat[f"{branch}x"][lane]) + bias) * m, 1 << c))
                exact.append(total)
            clamped = [min(max(value, low), high) for value in exact]
            saturated = sum(one != other for one, other in zip(exact, clamped, strict=True))
            expected.append((clamped, saturated, int(beat["last"])))
        place = 0 if beat["last"] or place == config.table_beats - 1 else place + 1
    found = requantise_golden(config, beats)
    assert [(one["y"].tolist(), int(one["saturated"]), int(one["last"])) for one in found] == expected
    assert 0 < found["saturated"].sum() < len(found) * config.lanes


def test_requantiser_refuses_what_no_beat_has_filled():
    config = RequantiseConfig(lanes=1, table_beats=3)
    beats = config.i.zeros(4)
    beats["load"][:2] = 1
    beats["last"][1] = 1
    message = r"^beat 3 takes row 1 of the table, which no beat before it has filled$"
    assert len(requantise_golden(config, beats)) == 2
    beats["last"][0], beats["last"][1] = 1, 1
    with pytest.raises(ConfigError, match=message):
        requantise_golden(config, beats)


def naive_rows(config, beats):
    """Rows as lists of elements; whether they were cut. What is not complete is left out."""
    rows, row, count = [], [], 0
    for beat in beats:
        row += beat["x"].tolist()
        count += 1
        if beat["last"] or count == config.row_beats:
            empty = int(beat["empty"]) if beat["last"] and config.lanes > 1 else 0
            rows.append((row[: len(row) - empty], not beat["last"]))
            row, count = [], 0
    return rows


def naive_results(config, y, cut):
    """Beats of a row's results, as tuples: ``y``, ``last``, ``cut``, and ``empty`` with more than one lane."""
    results = []
    for at in range(0, len(y), config.lanes):
        part = y[at : at + config.lanes]
        empty = config.lanes - len(part)
        end = at + config.lanes >= len(y)
        results.append((part + [0] * empty, int(end), int(end and cut), *([empty] if config.lanes > 1 else [])))
    return results


def as_tuples(results):
    return [(one["y"].tolist(), *(int(one[name]) for name in results.dtype.names[1:])) for one in results]


def published_shift_gelu(config, rows):
    return shift_gelu(config, rows, reference=True)


ROW_UNITS = [
    (ShiftmaxConfig(), shiftmax_golden, shiftmax_stimulus, shiftmax),
    (ShiftmaxConfig(lanes=3, row_beats=5, width=5, octave=3), shiftmax_golden, shiftmax_stimulus, shiftmax),
    (ShiftmaxConfig(lanes=1, row_beats=1), shiftmax_golden, shiftmax_stimulus, shiftmax),
    (ShiftGELUConfig(lanes=2), shift_gelu_golden, shift_gelu_stimulus, shift_gelu),
    (ShiftGELUConfig(lanes=7, row_beats=2), shift_gelu_golden, shift_gelu_stimulus, shift_gelu),
    (
        ShiftGELUConfig(lanes=3, row_beats=5, width=6, octave=3, reference=True),
        shift_gelu_golden,
        shift_gelu_stimulus,
        published_shift_gelu,
    ),
]


@pytest.mark.parametrize(
    ("config", "golden", "stimulus", "function"), ROW_UNITS, ids=lambda one: getattr(one, "__name__", str(one)[:60])
)
def test_rows(config, golden, stimulus, function):
    beats = stimulus(config, np.random.default_rng(1), 400)
    assert not holes(coverage(config.i, beats, config.never))
    lengths = set()
    expected = []
    for row, cut in naive_rows(config, beats):
        lengths.add(len(row))
        expected += naive_results(config, function(config, row).tolist(), cut)
    found = golden(config, beats)
    assert as_tuples(found) == expected
    lanes = config.lanes
    assert {1, lanes, min(2, config.row_beats) * lanes - lanes // 2, config.row_beats * lanes} <= lengths
    assert found["cut"].any()
    # A row that is not complete gives nothing yet.
    unfinished = beats[: np.flatnonzero(beats["last"] == 0)[0] + 1]
    if config.row_beats > 1:
        assert len(golden(config, unfinished)) == len(unfinished) - 1


def test_latency_grows_with_the_row():
    config = ShiftmaxConfig(lanes=1)
    for length in (1, 2, 16):
        beats = config.i.zeros(length)
        beats["last"][-1] = 1
        assert shiftmax_latency(config, beats) == config.latency + length - 1


@pytest.mark.parametrize(
    "config",
    [
        LayerNormConfig(),
        LayerNormConfig(lanes=3, row_beats=5, width=6, bias_width=12),
        LayerNormConfig(lanes=1, row_beats=1),
    ],
    ids=lambda config: config.canonical(),
)
def test_layer_norm_takes_the_biases_of_a_rows_end(config):
    beats = layer_norm_stimulus(config, np.random.default_rng(1), 400)
    assert not holes(coverage(config.i, beats, config.never))
    table, place, row, expected, loads_inside = {}, 0, config.i.zeros(0), [], 0
    for beat in beats:
        if beat["load"]:
            table[place] = beat["bias"].tolist()
            place = 0 if beat["last"] or place == config.row_beats - 1 else place + 1
            loads_inside += len(row) > 0
            continue
        row = np.append(row, beat)
        for elements, cut in naive_rows(config, row):
            biases = [one for at in range(len(row)) for one in table[at]][: len(elements)]
            expected += naive_results(config, layer_norm(config, elements, biases).tolist(), cut)
            row = row[:0]
    found = layer_norm_golden(config, beats)
    assert as_tuples(found) == expected
    assert loads_inside or config.row_beats == 1


def test_layer_norm_refuses_biases_that_no_beat_has_filled():
    config = LayerNormConfig(lanes=1, row_beats=3)
    beats = config.i.zeros(4)
    beats["load"][:2] = 1
    beats["last"] = [0, 0, 0, 1]
    assert len(layer_norm_golden(config, beats)) == 2
    assert layer_norm_latency(config, beats) == config.latency + 1
    beats["last"][0] = 1
    message = r"^beat 3 takes biases of place 1, which no beat before has filled$"
    with pytest.raises(ConfigError, match=message):
        layer_norm_golden(config, beats)


@pytest.mark.parametrize(("config", "golden", "function"), [(one[0], one[1], one[3]) for one in ROW_UNITS])
@pytest.mark.parametrize("length", [1, 2, 6, 7, 14, "longest"])
def test_arrays_there_and_back(config, golden, function, length):
    length = config.lanes * config.row_beats if length == "longest" else min(length, config.row_beats * config.lanes)
    half = 1 << config.width - 1
    rows = np.random.default_rng(3).integers(-half, half, (5, length))
    found = config.from_beats(golden(config, config.to_beats(rows)), length)
    assert (found == function(config, rows)).all()


def test_layer_norm_there_and_back():
    config = LayerNormConfig(lanes=2, row_beats=3)
    rng = np.random.default_rng(4)
    rows, bias = rng.integers(-128, 128, (4, 6)), rng.integers(-100, 100, 6)
    found = config.from_beats(layer_norm_golden(config, config.to_beats(rows, bias)), 6)
    assert (found == layer_norm(config, rows, bias)).all()
    found = config.from_beats(layer_norm_golden(config, config.to_beats(rows, 7)), 6)
    assert (found == layer_norm(config, rows, 7)).all()
    found = config.from_beats(layer_norm_golden(config, config.to_beats(rows[:, :5], bias[:5])), 5)
    assert (found == layer_norm(config, rows[:, :5], bias[:5])).all()


def test_a_row_has_an_element_in_its_last_beat():
    """Of a beat inside a row, and of one that is cut, ``empty`` means nothing."""
    config = ShiftmaxConfig(lanes=3, row_beats=2)
    beats = config.i.zeros(2)
    beats["empty"] = 3
    assert shiftmax_golden(config, beats)["empty"].tolist() == [0, 0]
    beats["last"][1] = 1
    message = r"^empty must be less than lanes, 3, in a row's last beat, not 3$"
    with pytest.raises(ConfigError, match=message):
        shiftmax_golden(config, beats)
    beats["empty"][1] = 2
    assert shiftmax_golden(config, beats)["empty"].tolist() == [0, 2]


def test_requantiser_there_and_back():
    rng = np.random.default_rng(5)
    rows, other = rng.integers(-1000, 1000, (2, 3, 8))
    config = RequantiseConfig(lanes=2, table_beats=4)
    ratios = dyadic(rng.uniform(0.01, 0.2, 8))
    found = config.from_beats(requantise_golden(config, config.to_beats(rows, *ratios)), 8)
    assert (found == requantise(config, rows, *ratios)).all()
    config, one = RequantiseConfig(lanes=4, residual=True), dyadic(0.07)
    beats = config.to_beats(rows, *one, residual=(other, *dyadic(0.03)))
    found = config.from_beats(requantise_golden(config, beats), 8)
    assert (found == requantise(config, rows, *one, identity=(other, *dyadic(0.03)))).all()
    config, bias = (
        RequantiseConfig(lanes=2, table_beats=4, source_width=12, bias_width=14),
        rng.integers(-8000, 8000, 8),
    )
    found = config.from_beats(requantise_golden(config, config.to_beats(rows, *ratios, bias=bias)), 8)
    assert (found == requantise(config, rows + bias, *ratios)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ShiftmaxConfig().to_beats(np.zeros((2, 68), int)),
            r"^a row must have 64 elements at most, not 68; change lanes or the longest row$",
        ),
        (
            lambda: ShiftGELUConfig(lanes=1, row_beats=3).to_beats(np.zeros((2, 4), int)),
            r"^a row must have 3 elements at most, not 4; change lanes or the longest row$",
        ),
        (
            lambda: LayerNormConfig().to_beats(np.zeros((2, 65), int)),
            r"^a row must have 64 elements at most, not 65; change lanes or the longest row$",
        ),
        (
            lambda: RequantiseConfig(table_beats=2).to_beats(np.zeros((1, 6), int), 1, 0),
            r"^a row must have a multiple of 4 elements, 8 at most, not 6; change lanes or the longest row$",
        ),
        (
            lambda: LayerNormConfig(bias_width=4).to_beats(np.zeros((2, 4), int), 8),
            r"^an element of 4 bits must be in -8\.\.7, not 8$",
        ),
        (
            lambda: ShiftmaxConfig().to_beats(np.zeros(4, int)),
            r"^rows must be an array of two dimensions, not 1$",
        ),
        (
            lambda: RequantiseConfig(table_beats=2).to_beats(np.zeros((1, 12), int), 1, 0),
            r"^a row must have a multiple of 4 elements, 8 at most, not 12; change lanes or the longest row$",
        ),
        (
            lambda: RequantiseConfig(table_beats=2).to_beats(np.zeros((1, 8), int), [1, 2, 3], 0),
            r"^multipliers must be one, or 8, not an array of shape \(3,\)$",
        ),
        (
            lambda: LayerNormConfig().to_beats(np.zeros((2, 4), int), [1, 2]),
            r"^biases must be one, or 4, not an array of shape \(2,\)$",
        ),
        (
            lambda: RequantiseConfig().to_beats(np.zeros((1, 8), int), 1, 0, bias=1),
            r"^a bias needs bias_width, which is 0$",
        ),
        (
            lambda: RequantiseConfig(bias_width=8),
            r"^a sum of 32 bits and a bias has 33, 32 at most; source_width and bias_width must be less than 32, not 32 and 8$",
        ),
        (
            lambda: RequantiseConfig(residual=True).to_beats(np.zeros((1, 12), int), 1, 0),
            r"^a residual operand must be there exactly if residual is true, not True$",
        ),
        (
            lambda: RequantiseConfig(residual=True).to_beats(
                np.zeros((1, 12), int), 1, 0, residual=(np.zeros((2, 12), int), 1, 0)
            ),
            r"^a residual operand must have shape \(1, 12\), not \(2, 12\)$",
        ),
    ],
)
def test_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
