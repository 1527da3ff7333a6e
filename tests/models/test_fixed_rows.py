"""ReLU, residual addition and batch normalisation in fixed point against exact rationals, apytypes, and loops over beats."""

import itertools
import math
from fractions import Fraction

import apytypes
import numpy as np
import pytest

from carrysave.models.batch_norm_unit import (
    BatchNormConfig,
    batch_norm,
    batch_norm_golden,
    batch_norm_stimulus,
    fold_statistics,
)
from carrysave.models.errors import ConfigError
from carrysave.models.fixed_cast import FIXED_OVERFLOWS, FIXED_ROUNDINGS, from_real
from carrysave.models.fixed_point import to_real
from carrysave.models.fixed_row_unit import (
    ReLUConfig,
    ResidualAddConfig,
    relu,
    relu_golden,
    relu_stimulus,
    residual_add,
    residual_add_golden,
    residual_add_stimulus,
)
from carrysave.models.lfsr import LFSR
from carrysave.sim.coverage import coverage, holes

MODES = list(itertools.product(FIXED_ROUNDINGS, FIXED_OVERFLOWS))
SMALL = {"from_width": 4, "from_fraction": 2, "to_width": 3, "to_fraction": 1, "seed": 1}


def cast_of(number, config, draw):
    """A rational, rounded and made to fit, and whether it did not."""
    number = max(number, 0) if config.relu else number
    number *= Fraction(2) ** config.to_fraction
    below = math.floor(number)
    part, half = number - below, Fraction(1, 2)
    rounded = (
        below
        + {
            "trn": False,
            "trn-zero": number < 0 and part > 0,
            "rnd": part >= half,
            "rnd-zero": part > half or (part == half and number < 0),
            "rnd-inf": part > half or (part == half and number > 0),
            "rnd-min-inf": part > half,
            "rnd-conv": part > half or (part == half and below % 2 == 1),
            "stochastic": math.floor(part * 65536) + draw >= 65536,
        }[config.rounding]
    )
    size = 2**config.to_width
    low = -size // 2 if config.to_signed else 0
    high = low + size - 1
    if config.overflow == "sat-sym" and config.to_signed:
        low = -high
    fits = low <= rounded <= high
    if config.overflow == "wrap-sm":
        at = (rounded + size // 2) % (2 * size)  # up, and back down
        return (at if at < size else 2 * size - 1 - at) - size // 2, not fits
    if fits:
        return rounded, False
    wrapped = (rounded + size // 2) % size - size // 2 if config.to_signed else rounded % size
    nearest = low if rounded < low else high
    return {"wrap": wrapped, "sat-zero": 0}.get(config.overflow, nearest), True


def real(mantissa, form):
    return int(mantissa) * Fraction(2) ** -form.fraction


def exact_of(config, lane):
    """The rational that is cast, from an element's operands by name."""
    number = {name: real(mantissa, config.operands[name]) for name, mantissa in lane.items()}
    return number["x"] * number.get("scale", 1) + number.get("bias", 0) + number.get("residual", 0)


def every(config):
    """Every combination of mantissas, an array for each operand."""
    ranges = [np.arange(form.minimum, form.maximum + 1) for form in config.operands.values()]
    return dict(zip(config.operands, (grid.ravel() for grid in np.meshgrid(*ranges, indexing="ij")), strict=True))


CASES = [
    (ReLUConfig, relu, {}),
    (ReLUConfig, relu, {"from_signed": False, "to_fraction": -1}),
    (ResidualAddConfig, residual_add, {"residual_width": 4, "residual_fraction": 3}),
    (
        ResidualAddConfig,
        residual_add,
        {"residual_width": 3, "residual_fraction": -1, "residual_signed": False, "relu": True},
    ),
    (BatchNormConfig, batch_norm, {"scale_width": 3, "scale_fraction": 1, "bias_width": 4, "bias_fraction": 4}),
    (
        BatchNormConfig,
        batch_norm,
        {"scale_width": 3, "scale_fraction": 3, "bias_width": 3, "bias_fraction": 0, "relu": True},
    ),
]


@pytest.mark.parametrize(("kind", "function", "parameters"), CASES)
@pytest.mark.parametrize("to_signed", [True, False])
def test_every_operand_with_every_mode(kind, function, parameters, to_signed):
    parameters = {**SMALL, **parameters, "to_signed": to_signed}
    arrays = every(kind(**parameters))
    lanes = (dict(zip(arrays, lane, strict=True)) for lane in zip(*arrays.values(), strict=True))
    numbers = [exact_of(kind(**parameters), lane) for lane in lanes]
    for rounding, overflow in MODES:
        if overflow == "wrap-sm" and not to_signed:
            continue
        config = kind(**parameters, rounding=rounding, overflow=overflow)
        draws = LFSR(1).draws(len(numbers)).tolist() if config.stochastic else [0] * len(numbers)
        # Many are the same number.
        cases = list(zip(numbers, draws, strict=True))
        answers = {(number, draw): cast_of(number, config, draw)[0] for number, draw in set(cases)}
        assert function(config, *arrays.values()).tolist() == [answers[case] for case in cases], config


def test_multiply_add_as_in_apytypes():
    rng = np.random.default_rng(3)
    for rounding, overflow in itertools.product(FIXED_ROUNDINGS[:-1], ("wrap", "sat")):
        config = BatchNormConfig(rounding=rounding, overflow=overflow, to_width=9, to_fraction=5)
        forms = config.operands
        numbers = {
            name: rng.integers(form.minimum, form.maximum, 500, endpoint=True) >> rng.integers(0, 12, 500)
            for name, form in forms.items()
        }
        x, scale, bias = (
            apytypes.APyFixedArray(numbers[name].tolist(), bits=form.width, frac_bits=form.fraction)
            for name, form in forms.items()
        )
        answer = (x * scale + bias).cast(
            bits=9,
            frac_bits=5,
            quantization=getattr(apytypes.QuantizationMode, rounding.upper().replace("-", "_")),
            overflow=getattr(apytypes.OverflowMode, overflow.upper()),
        )
        want = [bits - (bits > 255) * 512 for bits in answer.to_bits()]
        assert batch_norm(config, *numbers.values()).tolist() == want, (rounding, overflow)


STREAMS = [
    (ReLUConfig(rounding="rnd-conv", overflow="sat"), relu_golden, relu_stimulus),
    (ReLUConfig(lanes=3, from_signed=False, rounding="stochastic", seed=5), relu_golden, relu_stimulus),
    (ResidualAddConfig(rounding="rnd", overflow="sat", relu=True), residual_add_golden, residual_add_stimulus),
    (
        ResidualAddConfig(lanes=1, residual_fraction=12, rounding="stochastic", overflow="wrap-sm"),
        residual_add_golden,
        residual_add_stimulus,
    ),
    (BatchNormConfig(rounding="rnd-conv", overflow="sat-sym"), batch_norm_golden, batch_norm_stimulus),
    (
        BatchNormConfig(lanes=3, table_beats=3, rounding="stochastic", seed=7, relu=True, overflow="sat-zero"),
        batch_norm_golden,
        batch_norm_stimulus,
    ),
    (BatchNormConfig(lanes=1, table_beats=1, from_signed=False), batch_norm_golden, batch_norm_stimulus),
]


@pytest.mark.parametrize(("config", "golden", "stimulus"), STREAMS, ids=lambda one: getattr(one, "design", "-"))
def test_streams(config, golden, stimulus):
    beats = stimulus(config, np.random.default_rng(1), 300)
    assert not holes(coverage(config.i, beats, config.never))
    draws = iter(LFSR(config.seed).draws(len(beats) * config.lanes).tolist())
    table, place, expected = {}, 0, []
    for beat in beats:
        if "load" in beats.dtype.names and beat["load"]:
            table[place] = beat
        else:
            taken = {name: beat[name] if name in ("x", "residual") else table[place][name] for name in config.operands}
            lanes = [{name: words[n] for name, words in taken.items()} for n in range(config.lanes)]
            results = [cast_of(exact_of(config, lane), config, next(draws)) for lane in lanes]
            y, beyond = zip(*results, strict=True)
            expected.append((list(y), sum(beyond), int(beat["last"])))
        place = 0 if beat["last"] or place == getattr(config, "table_beats", 0) - 1 else place + 1
    found = golden(config, beats)
    assert [(one["y"].tolist(), int(one["overflow"]), int(one["last"])) for one in found] == expected


@pytest.mark.parametrize(("config", "golden", "stimulus"), STREAMS[::2], ids=lambda one: getattr(one, "design", "-"))
def test_stimulus_meets_borders_and_ties(config, golden, stimulus):
    beats = stimulus(config, np.random.default_rng(2), 400)
    made = golden(config, beats)
    assert 0 < made["overflow"].sum() < made["y"].size / 1.2
    low = -config.target.maximum if config.overflow == "sat-sym" else config.target.minimum
    assert {0 if config.relu else low, -1 + config.relu, 0, 1, config.target.maximum} <= set(made["y"].ravel().tolist())
    if config.design != "batch-norm":
        lanes = [{name: beat[name][n] for name in config.operands} for beat in beats for n in range(config.lanes)]
        numbers = [exact_of(config, lane) for lane in lanes]
        parts = [number * 2**config.to_fraction % 1 for number in numbers if number > 0 or not config.relu]
        assert parts.count(Fraction(1, 2)) > 10


def test_arrays_there_and_back():
    rng = np.random.default_rng(3)
    x, other = rng.integers(-900, 900, (2, 5, 8))
    config = ReLUConfig(lanes=2)
    assert (config.from_beats(relu_golden(config, config.to_beats(x)), 8) == relu(config, x)).all()
    config = ResidualAddConfig(relu=True)
    found = config.from_beats(residual_add_golden(config, config.to_beats(x, other)), 8)
    assert (found == residual_add(config, x, other)).all()
    config, scale, bias = BatchNormConfig(lanes=2), rng.integers(-9000, 9000, 8), rng.integers(-900, 900, 8)
    found = config.from_beats(batch_norm_golden(config, config.to_beats(x, scale, bias)), 8)
    assert (found == batch_norm(config, x, scale, bias)).all()
    config = BatchNormConfig(table_beats=1)
    found = config.from_beats(batch_norm_golden(config, config.to_beats(x, 5000, [1, 2, 3, 4])), 8)
    assert (found == batch_norm(config, x, 5000, np.tile([1, 2, 3, 4], 2))).all()


def test_trained_statistics():
    rng = np.random.default_rng(4)
    weight, bias, mean = rng.normal(0, 1, (3, 6))
    variance, x = rng.uniform(0.5, 2, 6), rng.normal(0, 2, (50, 6))
    folded = fold_statistics(weight, bias, mean, variance)
    want = (x - mean) / np.sqrt(variance + 1e-5) * weight + bias
    assert np.allclose(x * folded[0] + folded[1], want)
    config = BatchNormConfig(to_width=16, to_fraction=8, rounding="rnd", overflow="sat")
    forms = config.operands.values()
    mantissas = [from_real(values, form, rounding="rnd") for values, form in zip((x, *folded), forms, strict=True)]
    found = to_real(batch_norm(config, *mantissas), config.target)
    assert np.abs(found - want).max() < 4 / 256


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: BatchNormConfig(from_width=40, scale_width=30),
            r"a product of ap_fixed<40, 32> and ap_fixed<30, 18> needs 70 bits, .*: cast to narrower ones first",
        ),
        (
            lambda: ResidualAddConfig(residual_fraction=70),
            r"a sum of ap_fixed<16, 8> and ap_fixed<16, -54> needs 79 bits, .*: cast to narrower ones first",
        ),
        (
            lambda: ReLUConfig(overflow="wrap-sm", to_signed=False),
            r"overflow 'wrap-sm' needs a signed format, not ap_ufixed<8, 4>: the others have no sign to wrap",
        ),
        (
            lambda: ReLUConfig().to_beats(np.zeros((2, 6), int)),
            r"a row must have a multiple of 4 elements, not 6; change lanes",
        ),
        (
            lambda: ReLUConfig(from_width=4, from_signed=False).to_beats(np.full((1, 4), 16)),
            r"mantissas of ap_ufixed<4, -4> must be in 0\.\.15, not 16\.\.16",
        ),
        (
            lambda: ResidualAddConfig().to_beats(np.zeros((2, 4), int), np.zeros((1, 4), int)),
            r"residual must have shape \(2, 4\), not \(1, 4\)",
        ),
        (
            lambda: BatchNormConfig(table_beats=2).to_beats(np.zeros((1, 12), int), 1, 0),
            r"a row must have at most 2 beats, as the table has, not 3; change lanes or table_beats",
        ),
        (
            lambda: BatchNormConfig().to_beats(np.zeros((1, 8), int), [1, 2, 3], 0),
            r"scales must be one, or 8, not an array of shape \(3,\)",
        ),
        (
            lambda: batch_norm_golden(BatchNormConfig(), BatchNormConfig().i.zeros(1)),
            r"beat 0 takes row 0 of the table, which no beat before it has filled",
        ),
        (
            lambda: fold_statistics(1, 0, 0, -1.0),
            r"a variance and epsilon must be above zero together, not -0\.99999",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        call()
