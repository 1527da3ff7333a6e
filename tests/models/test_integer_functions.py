"""ShiftExp, Shiftmax, ShiftGELU and I-LayerNorm against Python's integers, written from their definitions."""

import math
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.integer_errors import SCALES, function_errors, layer_norm_errors, root_steps
from carrysave.models.layer_norm import (
    LayerNormArithmetic,
    fold_bias,
    integer_sqrt,
    layer_norm,
    newton_sqrt,
    newton_start,
    newton_steps,
)
from carrysave.models.shift_exp import HALVINGS, ShiftExpConfig, octave, shift_exp
from carrysave.models.shift_gelu import ShiftGELUArithmetic, gelu_octave, shift_gelu
from carrysave.models.shiftmax import ShiftmaxArithmetic, shiftmax

LIMIT = 2**31 - 1


def naive_exp(x, x0, n, halving="exact"):
    x = x + math.floor(Fraction(x, 2)) - math.floor(Fraction(x, 16))
    x = max(x, n * x0)
    q = math.floor(Fraction(x, x0))
    r = x - x0 * q
    assert x0 < r <= 0
    half = Fraction(r, 2) if halving == "exact" else Fraction(r // 2)
    return max(math.floor((half - x0) * Fraction(2) ** (n - q)), 0)


def naive_shiftmax(row, x0, b, *, reference, halving="exact"):
    e = [naive_exp(x - max(row), x0, 15, halving) for x in row]
    factor = LIMIT // min(sum(e), LIMIT)
    y = [math.floor(Fraction(one * factor, 2 ** (31 - b + 1))) for one in e]
    return y if reference else [min(one, 2**b - 1) for one in y]


def naive_gelu(row, x0, b, *, reference):
    top = max(row) if reference else max(0, *row)
    of_top = naive_exp(-top, x0, 23)
    found = []
    for x in row:
        e = naive_exp(x - top, x0, 23)
        factor = LIMIT // min(e + of_top, LIMIT)
        found.append(x * math.floor(Fraction(e * factor, 2 ** (31 - b + 1))))
    return found


def naive_layer_norm(row, bias, *, reference):
    mean = round(Fraction(sum(row), len(row)))
    y = [x - mean for x in row]
    var = sum(one**2 for one in y)
    if reference:
        k = 2**16
        for _ in range(10):
            k = math.floor(Fraction(k + math.floor(Fraction(var, k)), 2))
    else:
        k = max(math.isqrt(var), 1)
    return [math.floor(Fraction(one * (LIMIT // k), 2)) + add for one, add in zip(y, bias, strict=True)]


# Last the octave of 3 integers of the ShiftGELU in MiniLM's block; that of its Shiftmax, 4, is the one of 2^-2.
@pytest.mark.parametrize("scale", [*SCALES, *(1.702 * scale for scale in SCALES), 1 / 3])
def test_every_distance_of_bytes(scale):
    x0 = math.floor(-1 / scale)
    assert octave(scale) == -x0
    x = np.arange(-255, 1)
    for n in (1, 15, 23):
        for halving in HALVINGS:
            config = ShiftExpConfig(octave=-x0, fraction_bits=n, halving=halving)
            found = shift_exp(config, x)
            assert found.tolist() == [naive_exp(one, x0, n, halving) for one in x.tolist()]
            assert found.max() == config.largest
            assert found[0] == found.min() == config.smallest
            distances = [-(one + (one >> 1) - (one >> 4)) for one in x.tolist()]
            assert max(distances).bit_length() == config.scaled_width
            assert max(min(one, -n * x0) for one in distances) == config.largest_distance


def test_halvings_differ():
    x = np.arange(-255, 1)
    exact, shifted = (shift_exp(ShiftExpConfig(octave=33, halving=one), x) for one in HALVINGS)
    assert (exact >= shifted).all()
    assert (exact != shifted).any()


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("b", [8, 16])
def test_shiftmax(reference, b):
    rng = np.random.default_rng(1)
    for scale in (*SCALES, 2.0**-16, 2.0**-17, 2.0**-20):
        for halving in HALVINGS:
            config = ShiftmaxArithmetic(octave=octave(scale), output_width=b, reference=reference, halving=halving)
            rows = np.concatenate([rng.integers(-128, 128, (6, 7)), [[127] * 7, [-128] * 7, [127] + [-128] * 6]])
            found = shiftmax(config, rows)
            x0 = math.floor(-1 / scale)
            want = [naive_shiftmax(row, x0, b, reference=reference, halving=halving) for row in rows.tolist()]
            assert found.tolist() == want
            assert found.max() < 1 << config.result_width
            assert shiftmax(config, [[5]]).tolist() == [naive_shiftmax([5], x0, b, reference=reference)]


def test_shiftmax_exceeds_its_bits_only_as_published():
    at = {"octave": octave(2.0**-17)}
    assert shiftmax(ShiftmaxArithmetic(**at, reference=True), [3]).tolist() == [256]
    assert shiftmax(ShiftmaxArithmetic(**at), [3]).tolist() == [255]
    assert shiftmax(ShiftmaxArithmetic(octave=octave(2.0**-16)), [3]).tolist() == [128]
    assert ShiftmaxArithmetic(**at, reference=True).result_width == 9
    assert ShiftmaxArithmetic(**at).result_width == 8


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("b", [8, 16])
def test_shift_gelu(reference, b):
    rng = np.random.default_rng(2)
    for scale in (*SCALES, 2.0**-14):
        x0 = math.floor(-1 / (1.702 * scale))
        assert gelu_octave(scale) == -x0
        config = ShiftGELUArithmetic(octave=-x0, sigmoid_width=b)
        rows = [range(-128, 128), range(-128, 0), [-128] * 2, [-1, -128], [127, -128], *rng.integers(-128, 128, (5, 9))]
        for row in map(list, rows):
            found = shift_gelu(config, row, reference=reference)
            assert found.tolist() == naive_gelu([int(x) for x in row], x0, b, reference=reference)
            assert -(1 << config.result_width - 1) <= found.min() <= found.max() < 1 << config.result_width - 1


def test_shift_gelus_maximum_where_all_is_negative():
    config = {"octave": gelu_octave(2.0**-4)}
    row = [-3, -100]
    ours, published = (shift_gelu(ShiftGELUArithmetic(**config), row, reference=one).tolist() for one in (False, True))
    assert ours == shift_gelu(ShiftGELUArithmetic(**config), [*row, 0]).tolist()[:2]
    assert ours != published


def test_shift_gelus_clamp_matters_from_an_octave_of_128_on():
    for octaves, clamped in ((127, False), (128, True)):
        config = ShiftGELUArithmetic(octave=octaves)
        total = 2 * int(shift_exp(config, 0))
        assert (total > LIMIT) is clamped
        # Of a row of 0 the sum is its largest.
        assert config.largest == total // 2


@pytest.mark.parametrize("width", [2, 5, 8, 16])
def test_shift_gelus_widths_are_reached(width):
    for octaves in (1, 3, 38, 128):
        config = ShiftGELUArithmetic(width=width, octave=octaves)
        half = 1 << width - 1
        row = np.array([-half, half - 1])
        e, of_top = shift_exp(config, row - (half - 1)), shift_exp(config, 1 - half)
        assert config.smallest_sum == min(int(e[0] + of_top), LIMIT)
        assert (LIMIT // config.smallest_sum).bit_length() == config.factor_width


@pytest.mark.parametrize("reference", [False, True])
def test_layer_norm(reference):
    rng = np.random.default_rng(3)
    for length in (1, 2, 3, 16, 64, 384):
        config = LayerNormArithmetic(max_length=length, bias_width=20)
        bias = rng.integers(-(1 << 19), 1 << 19, length)
        rows = [rng.integers(-spread - 1, spread + 1, length) for spread in (0, 1, 3, 20, 127)]
        extremes = np.resize([-128, 127], length)
        for row in (*rows, extremes, np.sort(extremes), np.full(length, 127), np.full(length, -128)):
            found = layer_norm(config, row, bias, reference=reference)
            assert found.tolist() == naive_layer_norm(row.tolist(), bias.tolist(), reference=reference)
            assert -(1 << config.result_width - 1) <= found.min() <= found.max() < 1 << config.result_width - 1


@pytest.mark.parametrize("reference", [False, True])
def test_equal_elements_give_the_bias(reference):
    config = LayerNormArithmetic()
    assert layer_norm(config, [7, 7, 7], [1, -2, 3], reference=reference).tolist() == [1, -2, 3]


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5])
def test_widths_of_layer_norm_hold_every_row(width, length):
    config = LayerNormArithmetic(width=width, max_length=length)
    rows = np.array(np.meshgrid(*[np.arange(-(1 << width - 1), 1 << width - 1)] * length)).reshape(length, -1).T
    totals = rows.sum(axis=1)
    y = rows - np.array([round(Fraction(total, length)) for total in totals.tolist()])[:, None]
    assert max(max(y.max(), 0), -y.min() - 1) < 1 << config.difference_width - 1
    assert -(1 << config.sum_width - 1) <= totals.min() <= totals.max() < 1 << config.sum_width - 1
    assert (y * y).sum(axis=1).max() <= config.largest_variance
    result = layer_norm(config, rows)
    assert -(1 << config.normal_width - 1) <= result.min() <= result.max() < 1 << config.normal_width - 1


def test_ten_steps_are_too_few():
    values = np.arange(1 << 18)
    found = newton_sqrt(values)
    off = np.abs(found - [math.isqrt(one) for one in values.tolist()])
    assert found[0] == 64
    # "Off by more than one for nearly every variance up to 34,595": for all up to 26,243, then for most.
    assert off[:26244].min() > 1
    assert off[26244] <= 1
    assert off[34595] > 1
    assert off[34596:].max() == 1
    assert np.count_nonzero(off[:34596] > 1) == 29964
    # Below a square the steps go up and down between two integers for ever.
    assert found[362**2 - 1] == newton_sqrt(362**2 - 1, steps=12) == 362
    assert newton_sqrt(362**2 - 1, steps=13) == 361


def test_steps_of_newton():
    values = np.array([0, 1, 2, 3, 4, 15, 16, 17, 255, 256, 10**6, 2**32, 2**40 - 1])
    assert integer_sqrt(values).tolist() == [math.isqrt(one) for one in values.tolist()]
    for start in (1 << 16, newton_start(values)):
        steps = newton_steps(values, start=start)
        for value, count, first in zip(
            values.tolist(), steps.tolist(), np.broadcast_to(start, values.shape), strict=True
        ):
            assert newton_sqrt(value, steps=count, start=int(first)) == math.isqrt(value)
            assert count == 0 or newton_sqrt(value, steps=count - 1, start=int(first)) != math.isqrt(value)
    by_bits = {row.bits: row for row in root_steps()}
    assert by_bits[0].reference == max(row.reference for row in by_bits.values()) == 17
    assert max(row.fast for row in by_bits.values()) == 5


def test_square_roots_of_squares_and_their_neighbours():
    roots = np.unique(np.geomspace(1, 1 << 26, 3000).astype(np.int64))
    for offset in (-1, 0, 1):
        values = roots[:-1] ** 2 + offset
        assert integer_sqrt(values).tolist() == [math.isqrt(one) for one in values.tolist()]
    assert integer_sqrt(np.int64((1 << 52) - 1)) == (1 << 26) - 1


def test_folded_bias():
    weight, bias = [0.5, -1.25, 2.0], [0.1, 0.3, -0.7]
    scale = math.sqrt(48) / 2**30
    found = fold_bias(weight, bias, length=48)
    assert found.tolist() == [math.floor(b / w / scale) for w, b in zip(weight, bias, strict=True)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: octave(0), r"^scale must be in 9\.5\d*e-07\.\.1\.0, not 0\.0$"),
        (lambda: octave(-0.5), r"^scale must be .*, not -0\.5$"),
        (lambda: octave(math.inf), r"^scale must be .*, not inf$"),
        (lambda: octave(math.nan), r"^scale must be .*, not nan$"),
        (lambda: octave(1.5), r"^scale must be .*, not 1\.5$"),
        (lambda: gelu_octave(0.6), r"^scale must be .*, not 1\.02\d*$"),
        (lambda: ShiftExpConfig(octave=0), r"^octave must be an integer in 1\.\.1048576, not 0$"),
        (lambda: shift_exp(ShiftExpConfig(), [0, 1]), r"^exponent must be in -4294967296\.\.0, not 1$"),
        (lambda: shift_exp(ShiftExpConfig(), [0.5]), r"^exponents must be integers, not 'float64'$"),
        (lambda: shiftmax(ShiftmaxArithmetic(), [[1, 128]]), r"^an element of 8 bits must be in -128\.\.127, not 128$"),
        (lambda: shiftmax(ShiftmaxArithmetic(), [[]]), r"^rows must hold integers, not 'float64'$"),
        (
            lambda: shiftmax(ShiftmaxArithmetic(), np.zeros((2, 0), int)),
            r"^a row must have at least one element; the shape is \(2, 0\)$",
        ),
        (
            lambda: layer_norm(LayerNormArithmetic(max_length=2), [1, 2, 3]),
            r"^a row must have at most 2 elements, not 3$",
        ),
        (lambda: fold_bias([1, 0.0], [1, 2], length=2), r"^weight of element 1 is 0\.0: it has no scale; .*$"),
        (lambda: fold_bias([1, math.inf], [1, 2], length=2), r"^weights and biases must be finite$"),
        (
            lambda: fold_bias([1, 1e-9], [0, 2.0], length=2),
            r"^bias of element 1 must fit in 32 bits; 2\.0 over its weight 1e-09 does not$",
        ),
    ],
)
def test_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_reported_errors():
    by_name = {}
    for row in function_errors():
        by_name.setdefault(row.function, {})[row.scale] = row
        assert 0 < row.mean <= row.maximum
    assert set(by_name["shiftmax"]) == set(SCALES)
    assert by_name["shift-exp"][0.0625].maximum == pytest.approx(0.06495, abs=1e-5)
    # Where the row's maximum is more than n octaves above 0, small elements are halved instead of kept.
    assert by_name["shift-gelu"][0.5].maximum == 31.5
    assert by_name["shift-gelu"][0.03125].maximum < 0.25
    ours, published = layer_norm_errors(), layer_norm_errors(reference=True)
    assert ours[0].maximum < 0.25 < 2 < published[0].maximum
    assert ours[-1] == published[-1]
