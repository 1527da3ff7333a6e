"""Golden models of the units of dynamic fixed point against exact rationals, element by element and draw by draw."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.dfp import DFPFormat, quantise
from carrysave.models.dfp_block import (
    DFPDownConfig,
    DFPQuantiseConfig,
    block_ends,
    dfp_down_golden,
    dfp_quantise_golden,
)
from carrysave.models.dfp_block_stimulus import dfp_down_stimulus, dfp_quantise_stimulus
from carrysave.models.dfp_rounding import DFP_ROUNDINGS
from carrysave.models.dfp_scalar import (
    DFPExponentConfig,
    DFPFromFloatConfig,
    DFPToFloatConfig,
    dfp_exponent_golden,
    dfp_exponent_stimulus,
    dfp_from_float_golden,
    dfp_from_float_stimulus,
    dfp_to_float_golden,
    dfp_to_float_stimulus,
)
from carrysave.models.dfp_units import dfp_counts
from carrysave.models.errors import ConfigError
from carrysave.models.lfsr import LFSR
from carrysave.sim.coverage import coverage, holes


def number(code):
    """Value of a float32 code as a rational, None for what is not finite."""
    field, mantissa = code >> 23 & 255, code & (1 << 23) - 1
    if field == 255:
        return None
    magnitude = Fraction(mantissa | (1 << 23 if field else 0)) * Fraction(2) ** (max(field, 1) - 150)
    return -magnitude if code >> 31 else magnitude


def float32(value, negative):
    """Code of a rational rounded to nearest even, whether it is inexact, whether it overflows."""
    magnitude, sign = abs(value), negative << 31
    exponent = max(floor_log2(magnitude), -126) if magnitude else -126
    unit = Fraction(2) ** (exponent - 23)
    digits = round(magnitude / unit)
    if digits * unit >= Fraction(2) ** 128:
        return sign | 0x7F800000, 1, 1
    # The hidden one, if there is one, makes the field one more; a carry out of the mantissa, another one.
    return sign | (exponent + 126 << 23) + digits, int(digits * unit != magnitude), 0


def floor_log2(value):
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if value >= Fraction(2) ** exponent else exponent - 1


def stepped(state):
    """Draws of the shift register by single steps."""
    while True:
        draw = 0
        for place in range(16):
            draw |= (state & 1) << place
            state = state >> 1 | ((state ^ state >> 1 ^ state >> 2 ^ state >> 22) & 1) << 31
        yield draw


def rounded(value, rounding, draws):
    below = math.floor(value)
    if rounding == "stochastic":
        return below + (math.floor((value - below) * 65536) + next(draws) >= 65536)
    return below if rounding == "toward-zero" else round(value)


def blocks_of(config, beats):
    block = []
    for index, beat in enumerate(beats):
        block.append(index)
        if beat["last"] or len(block) == config.block_beats:
            yield block
            block = []


def naive_block(config, rows, wanted, draws):
    """Mantissas, exponent, saturated ones a row, overflow, underflow; rows of rationals."""
    low, high = -(2 ** (config.exponent_width - 1)), 2 ** (config.exponent_width - 1) - 1
    largest = 2 ** (config.width - 1) - 1
    maximum = max(abs(value) for row in rows for value in row)
    exponent = wanted(maximum) if maximum else low
    if config.round_up == "exponent":
        scaled = maximum / Fraction(2) ** exponent
        exponent += {
            "toward-zero": False,
            "nearest-even": round(scaled) > largest,
            "stochastic": math.floor(scaled) == largest != scaled,
        }[config.rounding]
    clipped = min(max(exponent, low), high)
    mantissas, saturated = [], []
    for row in rows:
        magnitudes = [rounded(abs(value) / Fraction(2) ** clipped, config.rounding, draws) for value in row]
        saturated.append(sum(magnitude > largest for magnitude in magnitudes))
        pairs = zip(row, magnitudes, strict=True)
        mantissas.append([min(magnitude, largest) * (-1 if value < 0 else 1) for value, magnitude in pairs])
    return mantissas, clipped, saturated, exponent > high, exponent < low


def naive_quantise(config, beats):
    draws, out = stepped(config.seed), []
    largest = 2 ** (config.width - 1) - 1
    for block in blocks_of(config, beats):
        codes = beats["value"][block].tolist()
        rows = [[number(code) or Fraction(0) for code in row] for row in codes]
        mantissas, exponent, saturated, over, under = naive_block(
            config, rows, lambda maximum: floor_log2(maximum) - (config.width - 2), draws
        )
        for place, row in enumerate(codes):
            special = [code for code in row if number(code) is None]
            for lane, code in enumerate(row):
                if number(code) is None and not code & (1 << 23) - 1:
                    mantissas[place][lane] = -largest if code >> 31 else largest
            end = place == len(codes) - 1
            out.append((mantissas[place], exponent, saturated[place], len(special), over, under, end))
    return out


def naive_down(config, beats):
    draws, out = stepped(config.seed), []
    for block in blocks_of(config, beats):
        source = int(beats["exponent"][block[0]])
        rows = [[Fraction(value) * Fraction(2) ** source for value in row] for row in beats["value"][block].tolist()]

        def wanted(maximum, source=source):
            return max(source, floor_log2(maximum) + 1 - (config.width - 1))

        mantissas, exponent, saturated, over, under = naive_block(config, rows, wanted, draws)
        if exponent < source and over:
            # Beyond any exponent: whatever is not zero saturates.
            largest = 2 ** (config.width - 1) - 1
            mantissas = [[largest * ((value > 0) - (value < 0)) for value in row] for row in rows]
            saturated = [sum(value != 0 for value in row) for row in rows]
        for place in range(len(block)):
            out.append((mantissas[place], exponent, saturated[place], over, under, place == len(block) - 1))
    return out


BLOCKS = [
    {},
    {"round_up": "exponent"},
    {"rounding": "toward-zero", "round_up": "exponent", "width": 8},
    {"rounding": "stochastic", "lanes": 3, "seed": 12345},
    {"rounding": "stochastic", "round_up": "exponent", "width": 5, "seed": (1 << 32) - 1},
    {"exponent_width": 4, "width": 4, "lanes": 1, "block_beats": 1},
    {"exponent_width": 10, "width": 11, "round_up": "exponent", "lanes": 2, "block_beats": 3},
]


@pytest.mark.parametrize("parameters", BLOCKS, ids=str)
def test_quantise(parameters):
    config = DFPQuantiseConfig(**parameters)
    beats = dfp_quantise_stimulus(config, np.random.default_rng(1), 500)
    assert_beats(dfp_quantise_golden(config, beats), config, naive_quantise(config, beats))


@pytest.mark.parametrize("source_width", [8, 32, 48])
@pytest.mark.parametrize("parameters", BLOCKS, ids=str)
def test_down(parameters, source_width):
    config = DFPDownConfig(**parameters, source_width=source_width)
    beats = dfp_down_stimulus(config, np.random.default_rng(2), 450)
    assert_beats(dfp_down_golden(config, beats), config, naive_down(config, beats))


def assert_beats(found, config, rows):
    columns = zip(config.o.dtype.names, zip(*rows, strict=True), strict=True)
    expected = config.o.beats(**{name: np.array(column, np.int64) for name, column in columns})
    for name in config.o.dtype.names:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("rounding", DFP_ROUNDINGS)
@pytest.mark.parametrize("round_up", ["saturate", "exponent"])
def test_quantiser_is_the_tensors_conversion(rounding, round_up):
    config = DFPQuantiseConfig(rounding=rounding, round_up=round_up, block_beats=64)
    values = np.random.default_rng(3).normal(0, 1, (64, 4)).astype(np.float32)
    beats = config.i.beats(value=values.view(np.uint32), last=np.arange(64) == 63)
    form = DFPFormat(rounding=rounding, round_up=round_up)
    tensor = quantise(values, form, lfsr=LFSR(1))
    found = dfp_quantise_golden(config, beats)
    np.testing.assert_array_equal(found["mantissa"], tensor.mantissas)
    assert (found["exponent"] == tensor.exponents).all()
    assert dfp_counts(config, found)["saturated"] == tensor.counts.saturated


def test_blocks_end_by_themselves():
    config = DFPQuantiseConfig(block_beats=3)
    last = [0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    ends = [0, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 1]
    assert block_ends(config, last).tolist() == [end == 1 for end in ends]
    assert block_ends(config, np.zeros(0)).tolist() == []
    assert len(dfp_quantise_golden(config, config.i.zeros(8))) == 6  # the last two are no block yet
    assert len(dfp_quantise_golden(config, config.i.zeros(2))) == 0
    assert len(dfp_down_golden(DFPDownConfig(), DFPDownConfig().i.zeros(0))) == 0


def test_exponents_of_a_block_are_one():
    config = DFPDownConfig(block_beats=2)
    beats = config.i.zeros(4)
    beats["exponent"] = [3, 3, -4, -4]
    assert len(dfp_down_golden(config, beats)) == 4
    beats["exponent"] = [3, 3, -4, 5]
    with pytest.raises(
        ConfigError, match=r"^exponent must not change inside a block; at beat 3 it does, from -4 to 5$"
    ):
        dfp_down_golden(config, beats)


@pytest.mark.parametrize("parameters", [{"exponent_width": 4}, {"exponent_width": 5, "offset": 3}, {"offset": 64}])
def test_exponent_every_pair(parameters):
    config = DFPExponentConfig(**parameters)
    half = 2 ** (config.exponent_width - 1)
    for a in range(-half, half):
        b = np.arange(-half, half)
        found = dfp_exponent_golden(config, config.i.beats(a=np.full(len(b), a), b=b))
        exact = [a + other + config.offset for other in b.tolist()]
        assert found["sum"].tolist() == [min(max(one, -half), half - 1) for one in exact]
        assert found["overflow"].tolist() == [one >= half for one in exact]
        assert found["underflow"].tolist() == [one < -half for one in exact]


def to_float(config, beats):
    pairs = zip(beats["value"].tolist(), beats["exponent"].tolist(), strict=True)
    return [float32(Fraction(value) * Fraction(2) ** exponent, value < 0) for value, exponent in pairs]


@pytest.mark.parametrize("width", [4, 5])
def test_to_float_every_integer_and_exponent(width):
    config = DFPToFloatConfig(source_width=width, exponent_width=10)
    value, exponent = (grid.ravel() for grid in np.indices((1 << width, 1 << 10)))
    beats = config.i.beats(value=value - (1 << width - 1), exponent=exponent - 512)
    found = dfp_to_float_golden(config, beats)
    step = slice(None, None, 1 if width == 4 else 7)
    assert found[step].tolist() == to_float(config, beats[step])
    with np.errstate(over="ignore"):
        expected = np.ldexp((value - (1 << width - 1)).astype(np.float64), exponent - 512).astype(np.float32)
    np.testing.assert_array_equal(found["value"], expected.view(np.uint32))


@pytest.mark.parametrize(
    "parameters",
    [{}, {"source_width": 48, "exponent_width": 10}, {"source_width": 25, "exponent_width": 9}, {"exponent_width": 4}],
)
def test_to_float(parameters):
    config = DFPToFloatConfig(**parameters)
    beats = dfp_to_float_stimulus(config, np.random.default_rng(4), 3000)
    found = dfp_to_float_golden(config, beats)
    assert found.tolist() == to_float(config, beats)
    if config.source_width == 48:
        # Both ends of float32, ties among them, are met.
        fields = found["value"] >> 23 & 255
        assert all(np.count_nonzero(part) > 50 for part in (fields == 0, fields == 255, found["inexact"]))


@pytest.mark.parametrize("rounding", DFP_ROUNDINGS)
@pytest.mark.parametrize(("width", "exponent_width"), [(16, 8), (4, 10), (9, 4)])
def test_from_float(rounding, width, exponent_width):
    seed = 77 if rounding == "stochastic" else 1
    config = DFPFromFloatConfig(rounding=rounding, width=width, exponent_width=exponent_width, seed=seed)
    beats = dfp_from_float_stimulus(config, np.random.default_rng(5), 1500)
    draws, expected, largest = stepped(seed), [], 2 ** (width - 1) - 1
    for code, exponent in zip(beats["value"].tolist(), beats["exponent"].tolist(), strict=True):
        value = number(code)
        scaled = abs(value or Fraction(0)) / Fraction(2) ** exponent
        magnitude = rounded(scaled, rounding, draws)
        mantissa = min(magnitude, largest)
        if value is None:
            mantissa = 0 if code & (1 << 23) - 1 else largest
        sign = -1 if code >> 31 else 1
        flags = (magnitude > largest, value is None, value is not None and mantissa != scaled)
        expected.append((sign * mantissa, *map(int, flags)))
    found = dfp_from_float_golden(config, beats)
    assert found.tolist() == expected
    # Not only rare cases are met.
    assert all(np.count_nonzero(found[name]) > 30 for name in config.counted)
    assert np.count_nonzero(found["mantissa"]) > 300


STIMULI = [
    *(
        (DFPQuantiseConfig, dfp_quantise_stimulus, parameters)
        for parameters in [*BLOCKS, {"lanes": 32, "block_beats": 64}]
    ),
    *((DFPDownConfig, dfp_down_stimulus, parameters) for parameters in [*BLOCKS, {"lanes": 32, "block_beats": 64}]),
    (DFPDownConfig, dfp_down_stimulus, {"source_width": 8}),
    (DFPDownConfig, dfp_down_stimulus, {"source_width": 48, "exponent_width": 4}),
    (DFPExponentConfig, dfp_exponent_stimulus, {"exponent_width": 4, "offset": 64}),
    (DFPExponentConfig, dfp_exponent_stimulus, {"exponent_width": 10}),
    (DFPToFloatConfig, dfp_to_float_stimulus, {"source_width": 4, "exponent_width": 4}),
    (DFPToFloatConfig, dfp_to_float_stimulus, {"source_width": 48, "exponent_width": 10}),
    (DFPFromFloatConfig, dfp_from_float_stimulus, {"width": 4, "exponent_width": 10}),
]


@pytest.mark.parametrize(
    ("kind", "stimulus", "parameters"), STIMULI, ids=lambda one: getattr(one, "__name__", str(one))
)
def test_stimulus_meets_every_corner(kind, stimulus, parameters):
    config = kind(**parameters)
    beats = stimulus(config, np.random.default_rng(6), 900)
    assert len(beats) == 900
    assert not holes(coverage(config.i, beats, config.never))
    assert [len(stimulus(config, np.random.default_rng(6), count)) for count in (0, 1, 50)] == [0, 1, 50]


@pytest.mark.parametrize("rounding", DFP_ROUNDINGS)
def test_stimulus_meets_what_units_are_for(rounding):
    """Saturation by rounding up, exponents clipped at both ends, special values, blocks of all lengths."""
    for kind, stimulus, golden in (
        (DFPQuantiseConfig, dfp_quantise_stimulus, dfp_quantise_golden),
        (DFPDownConfig, dfp_down_stimulus, dfp_down_golden),
    ):
        config = kind(rounding=rounding, exponent_width=6, width=8)
        beats = stimulus(config, np.random.default_rng(7), 2000)
        found = golden(config, beats)
        assert min(dfp_counts(config, found).values()) > 10
        if rounding != "toward-zero":
            fitting = (found["exponent_overflow"] == 0) & (found["saturated"] > 0)
            assert np.count_nonzero(fitting) > 10
        lengths = np.diff(np.flatnonzero(found["last"]))
        assert set(range(1, config.block_beats + 1)) == set(lengths.tolist())
        raised = kind(rounding=rounding, exponent_width=6, width=8, round_up="exponent")
        assert (golden(raised, beats)["exponent"] != found["exponent"]).any() == (rounding != "toward-zero")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DFPQuantiseConfig(width=3), "width must be an integer in 4..16, not 3"),
        (lambda: DFPQuantiseConfig(exponent_width=11), "exponent_width must be an integer in 4..10, not 11"),
        (lambda: DFPQuantiseConfig(lanes=0), "lanes must be an integer in 1..32, not 0"),
        (lambda: DFPQuantiseConfig(block_beats=65), "block_beats must be an integer in 1..64, not 65"),
        (lambda: DFPQuantiseConfig(seed=2), 'seed 2 needs rounding = "stochastic": others take no random bits'),
        (
            lambda: DFPQuantiseConfig(rounding="stochastic", seed=0),
            "seed must be an integer in 1..4294967295, not 0",
        ),
        (
            lambda: DFPDownConfig(rounding="up"),
            "rounding must be one of nearest-even, toward-zero, stochastic, not 'up'",
        ),
        (lambda: DFPDownConfig(source_width=49), "source_width must be an integer in 8..48, not 49"),
        (lambda: DFPExponentConfig(offset=65), "offset must be an integer in 0..64, not 65"),
        (lambda: DFPToFloatConfig(stages=3), "stages must be an integer in 1..2, not 3"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()


def test_random_bits_make_a_workload_continuous():
    assert DFPQuantiseConfig(rounding="stochastic").continuous
    assert not DFPQuantiseConfig().continuous
    assert not DFPToFloatConfig().continuous
