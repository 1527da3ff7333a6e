"""Dynamic fixed point against exact rationals, and stochastic rounding against a register that steps bit by bit."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.dfp import DFPCounts, DFPFormat, DFPTensor, down_convert, quantise, to_float32
from carrysave.models.dfp_arithmetic import add, multiply
from carrysave.models.dfp_rounding import DFP_ROUNDINGS, rounded_magnitude, rounded_right
from carrysave.models.errors import ConfigError
from carrysave.models.lfsr import LFSR, leap

SEED = 20180203


def stepped(state):
    """Draws of the register by single steps."""
    while True:
        draw = 0
        for place in range(16):
            draw |= (state & 1) << place
            state = state >> 1 | ((state ^ state >> 1 ^ state >> 2 ^ state >> 22) & 1) << 31
        yield draw


def rounded(value, rounding, draw=None):
    """A non-negative rational, rounded to an integer."""
    below = math.floor(value)
    if rounding == "toward-zero":
        return below
    if rounding == "nearest-even":
        return round(value)
    return below + (math.floor((value - below) * 65536) + draw >= 65536)


def floor_log2(value):
    """Of a positive rational."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if value >= Fraction(2) ** exponent else exponent - 1


def convert_block(values, wanted, form, draws):
    """Mantissas, exponent and counts of rationals that share the exponent ``wanted(maximum)``."""
    low, high = form.exponent_range
    largest = 2 ** (form.width - 1) - 1
    maximum = max(map(abs, values))
    if not maximum:
        return [0] * len(values), low, (0, 0, 0)
    exponent = wanted(maximum)
    if form.round_up == "exponent":
        scaled = maximum / Fraction(2) ** exponent
        up = {
            "toward-zero": False,
            "nearest-even": round(scaled) > largest,
            "stochastic": math.floor(scaled) == largest and scaled != largest,
        }[form.rounding]
        exponent += up
    clipped = min(max(exponent, low), high)
    mantissas, saturated = [], 0
    for value in values:
        magnitude = rounded(abs(value) / Fraction(2) ** clipped, form.rounding, next(draws) if draws else None)
        saturated += magnitude > largest
        magnitude = min(magnitude, largest)
        mantissas.append(-magnitude if value < 0 else magnitude)
    return mantissas, clipped, (saturated, exponent > high, exponent < low)


def naive(values, form, state, wanted):
    """A matrix converted in blocks along its last axis, element by element."""
    rows, length = len(values), len(values[0])
    draws = stepped(state) if form.rounding == "stochastic" else None
    if draws:  # drawn in C order, but used block by block
        table = [[next(draws) for _ in range(length)] for _ in range(rows)]
    size = {"tensor": length, "row": length}.get(form.block, form.block)
    groups = []
    for row in range(rows):
        for start in range(0, length, size):
            groups.append([(row, col) for col in range(start, min(start + size, length))])
    if form.block == "tensor":
        groups = [list(itertools.chain.from_iterable(groups))]
    mantissas = np.zeros((rows, length), np.int64)
    exponents, counts = [], np.zeros(3, int)
    for group in groups:
        block = [values[row][col] for row, col in group]
        found, exponent, extra = convert_block(
            block, wanted, form, iter([table[row][col] for row, col in group]) if draws else None
        )
        for place, mantissa in zip(group, found, strict=True):
            mantissas[place] = mantissa
        exponents.append(exponent)
        counts += extra
    return (
        mantissas,
        exponents,
        DFPCounts(saturated=int(counts[0]), exponent_overflow=int(counts[1]), exponent_underflow=int(counts[2])),
    )


def same(got, want, context):
    mantissas, exponents, counts = want
    where = np.argwhere(got.mantissas != mantissas)
    assert not len(where), (
        f"{context}: element {tuple(where[0])} is {got.mantissas[tuple(where[0])]}, expected {mantissas[tuple(where[0])]}"
    )
    assert got.exponents.ravel().tolist() == exponents, context
    assert got.counts == counts, context


FORMS = [
    DFPFormat(width=width, exponent_width=exponent_width, block=block, rounding=rounding, round_up=round_up)
    for width, exponent_width, block in ((16, 8, "tensor"), (4, 4, 3), (7, 8, "row"), (12, 6, 5))
    for rounding in DFP_ROUNDINGS
    for round_up in ("saturate", "exponent")
]


def real_matrices(form):
    """Matrices of hard numbers: zeros, ties, maxima that round up, ends of float32, a wide spread."""
    rng = np.random.default_rng(SEED)
    top = float(2 ** (form.width - 1))
    yield "zeros", np.zeros((2, 7))
    yield "ties", np.array([[top - 1, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5], [top - 1.5, top - 2.5, 3.5, 0, -3.5, 4.5, 1]])
    yield "maxima that round up", np.array([[top - 0.5, 1, 2], [top - 0.25, -1, 0], [0.5 - top, 1, 3]])
    yield "an outlier", np.array([[1e30, 1e-3, -1e-3, 2.0, 5.0, 0.0], [-1.0, 1e-38, 2.0, 3.0, 0.25, 0.125]])
    yield "ends of float32", np.array([[3.4028234663852886e38, 1e38], [2.0**-149, -(2.0**-140)], [2.0**-126, 0.0]])
    yield "random", rng.normal(size=(5, 11)) * np.exp2(rng.integers(-20, 20, (5, 11)))
    yield "random rows", rng.normal(size=(9, 6)) * np.exp2(rng.integers(-150, 120, (9, 1)))


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.width}-{form.block}-{form.rounding}-{form.round_up}")
class TestConversions:
    def test_quantise(self, form):
        for name, matrix in real_matrices(form):
            values = [[Fraction(value) for value in row] for row in matrix.tolist()]
            want = naive(values, form, 77, lambda maximum: floor_log2(maximum) - (form.width - 2))
            same(quantise(matrix, form, lfsr=LFSR(77)), want, f"{name}, seed {SEED}")

    def test_down_convert(self, form):
        rng = np.random.default_rng(SEED)
        matrices = {
            "zeros": np.zeros((2, 7), np.int64),
            "extremes": np.array([[-(2**31), 1, 0], [2**31 - 1, -1, 2**30], [2 ** (form.width - 1) - 1, 5, -3]]),
            "ties": np.array([[2 ** (form.width + 1) - 2, 2, 6, 10], [2 ** (form.width + 2) - 4, 4, 12, -20]]),
            "wide": np.array([[2**47 - 1, -(2**47)], [2**46 + 1, 3]]),
            "random": rng.integers(-(2**31), 2**31, (6, 9)) >> rng.integers(0, 31, (6, 9)),
        }
        low, high = form.exponent_range
        for (name, matrix), exponent in itertools.product(matrices.items(), (0, low - 3, high - 2, 3, high - 20)):
            values = [[Fraction(value) * Fraction(2) ** exponent for value in row] for row in matrix.tolist()]

            def wanted(maximum, exponent=exponent):
                digits = floor_log2(maximum) - exponent + 1
                return exponent + max(0, digits - (form.width - 1))

            tensor = DFPTensor(mantissas=matrix, exponents=np.array(exponent), width=49)
            want = naive(values, form, 5, wanted)
            same(down_convert(tensor, form, lfsr=LFSR(5)), want, f"{name} at exponent {exponent}, seed {SEED}")


def test_integers_above_the_exponents_saturate():
    form = DFPFormat(width=8, exponent_width=4)
    tensor = DFPTensor(mantissas=np.array([1, -3, 0, 200]), exponents=np.array(9), width=16)
    got = down_convert(tensor, form)
    assert got.mantissas.tolist() == [127, -127, 0, 127]
    assert got.exponents == 7
    assert got.counts == DFPCounts(saturated=3, exponent_overflow=1)


def test_special_numbers():
    values = np.array([np.inf, -np.inf, np.nan, 1.0, -2.0], np.float32)
    got = quantise(values, DFPFormat(width=8))
    assert got.mantissas.tolist() == [127, -127, 0, 32, -64]
    assert got.exponents == -5
    assert got.counts == DFPCounts(special=3)
    assert quantise(np.array([np.nan, np.inf]), DFPFormat(width=8)).exponents == -128


def test_given_exponents():
    got = quantise(
        np.array([[1.0, 3.0], [100.0, -0.5]]), DFPFormat(width=4, block="row"), exponents=np.array([[0], [1]])
    )
    assert got.mantissas.tolist() == [[1, 3], [7, 0]]
    assert got.counts == DFPCounts(saturated=1)


def test_blocks_along_the_first_axis():
    values = np.random.default_rng(SEED).normal(size=(7, 4))
    form = DFPFormat(width=6, block=3)
    along, across = quantise(values, form, axis=0), quantise(values.T, form)
    assert (along.mantissas == across.mantissas.T).all()
    assert (along.exponents == across.exponents.T).all()
    assert along.exponents.shape == (3, 4)
    assert (along.values() == across.values().T).all()


@pytest.mark.parametrize("width", [4, 11, 16])
def test_float32_and_back(width):
    """Every mantissa at exponents all over comes back, and agrees with NumPy's float32."""
    mantissas = np.unique(np.linspace(-(2 ** (width - 1)), 2 ** (width - 1) - 1, 1 << min(width, 12)).astype(np.int64))
    form = DFPFormat(width=width)
    for exponent in (-128, -127, -20, 0, 50, 127 - width, 127):
        tensor = DFPTensor(mantissas=mantissas, exponents=np.array(exponent), width=width)
        codes = to_float32(tensor)
        with np.errstate(over="ignore"):
            want = np.array([np.float32(m) * np.float32(2.0**exponent) for m in mantissas.tolist()])
        fits = np.abs(mantissas.astype(float)) * 2.0**exponent < 2.0**128
        assert (codes[fits] == want[fits]).all()
        assert np.isinf(codes[~fits]).all()
        legal = fits & (mantissas > -(2 ** (width - 1)))
        back = quantise(codes[legal], form, exponents=np.array(exponent))
        assert (back.mantissas == mantissas[legal]).all()
        assert back.counts == DFPCounts()


def test_wide_integers_round_to_float32_once():
    rng = np.random.default_rng(SEED)
    mantissas = rng.integers(-(2**47), 2**47, 4000) >> rng.integers(0, 47, 4000)
    for exponent in (-190, -175, -160, 0, 80):
        got = to_float32(DFPTensor(mantissas=mantissas, exponents=np.array(exponent), width=48))
        for mantissa, code in zip(mantissas.tolist(), got.tolist(), strict=True):
            value = abs(Fraction(mantissa) * Fraction(2) ** exponent)
            unit = max(floor_log2(value) - 23, -149) if value else 0
            assert abs(Fraction(code)) == round(value / Fraction(2) ** unit) * Fraction(2) ** unit, (mantissa, exponent)


@pytest.mark.parametrize("rounding", DFP_ROUNDINGS)
def test_arithmetic_of_tensors(rounding):
    rng = np.random.default_rng(SEED)
    for block, far in itertools.product(("tensor", "row", 3), (0, 1, 5, 17, 40)):
        form = DFPFormat(width=9, block=block)
        a = quantise(rng.normal(size=(4, 8)), form)
        b = quantise(rng.normal(size=(4, 8)) * 2.0**far, form)
        product = multiply(a, b)
        assert (product.values() == a.values() * b.values()).all()
        assert product.width == 18
        total = add(a, b, rounding=rounding, lfsr=LFSR(9))
        assert total.width == 10
        assert (total.exponents == np.maximum(a.exponents, b.exponents)).all()
        draws = stepped(9)
        for place in np.ndindex(4, 8):
            draw, want = next(draws), 0
            unit = Fraction(2) ** int(np.broadcast_to(total.element_exponents(), (4, 8))[place])
            for operand in (a, b):
                value = Fraction(float(operand.values()[place])) / unit
                magnitude = rounded(abs(value), rounding, draw)
                want += -magnitude if value < 0 else magnitude
            assert total.mantissas[place] == want, (block, far, place, SEED)


@pytest.mark.parametrize("rounding", DFP_ROUNDINGS)
def test_roundings_on_every_small_number(rounding):
    magnitudes, shifts = np.meshgrid(np.arange(300), [0, 1, 2, 5, 8, 9, 15, 16, 17, 24, 40, 62, 63, 80, 200])
    for draw in (0, 1, 255, 32767, 32768, 65535):
        draws = np.full(magnitudes.shape, draw)
        got = rounded_right(magnitudes, shifts, rounding, draws)
        for magnitude, shift, answer in zip(magnitudes.flat, shifts.flat, got.flat, strict=True):
            want = rounded(Fraction(int(magnitude), 2 ** int(shift)), rounding, draw)
            assert answer == want, (magnitude, shift, draw)
        near = shifts <= 40
        scaled = magnitudes[near] * 2.0 ** -shifts[near]
        assert (rounded_magnitude(scaled, rounding, draws[near]) == got[near]).all()


def test_stochastic_rounding_is_unbiased():
    """The mean of many roundings: within five standard errors."""
    lfsr, count = LFSR(0xC0FFEE), 1 << 16
    for fraction in (0.125, 0.3, 0.5, 0.9):
        got = rounded_magnitude(np.full(count, 7 + fraction), "stochastic", lfsr.draws(count))
        error = np.sqrt(fraction * (1 - fraction) / count)
        assert abs(got.mean() - 7 - fraction) < 5 * error, fraction
        assert set(got.tolist()) == {7.0, 8.0}


def test_register_steps_like_single_steps_and_leaps():
    register, steps = LFSR(12345), stepped(12345)
    for count in (1, 2, 3, 0, 700, 5):
        assert register.draws(count).tolist() == [next(steps) for _ in range(count)]
    first = [12345 >> place & 1 for place in range(32)]
    bits = first + [0] * 64
    state = 12345
    for place in range(32, 96):
        bits[place] = (state ^ state >> 1 ^ state >> 2 ^ state >> 22) & 1
        state = state >> 1 | bits[place] << 31
    assert [sum(first[tap] for tap in taps) % 2 for taps in leap(64)] == bits


def test_register_has_the_longest_period():
    """Its step, a matrix modulo 2, has order 2^32 - 1: its power is one, and no power by a largest proper divisor is."""

    def times(x, y):
        rows = []
        for row in x:
            total = 0
            for place in range(32):
                if row >> place & 1:
                    total ^= y[place]
            rows.append(total)
        return rows

    def power(exponent):
        result, base = [1 << place for place in range(32)], [sum(1 << tap for tap in taps) for taps in leap(1)[1:]]
        while exponent:
            if exponent & 1:
                result = times(result, base)
            base, exponent = times(base, base), exponent >> 1
        return result

    one, order = [1 << place for place in range(32)], 2**32 - 1
    assert power(order) == one
    assert math.prod((3, 5, 17, 257, 65537)) == order
    assert all(power(order // prime) != one for prime in (3, 5, 17, 257, 65537))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: DFPFormat(width=17), "width must be an integer in 4..16, not 17"),
        (lambda: DFPFormat(exponent_width=3), "exponent_width must be an integer in 4..10, not 3"),
        (lambda: DFPFormat(block=1), "block must be one of tensor, row, or 2..65536 elements, not 1"),
        (
            lambda: DFPFormat(rounding="up"),
            "rounding must be one of nearest-even, toward-zero, stochastic, not 'up'",
        ),
        (lambda: DFPFormat(round_up="wrap"), "round_up must be one of saturate, exponent, not 'wrap'"),
        (lambda: quantise(np.arange(3), DFPFormat()), "values to quantise must be float64 or narrower, not int64"),
        (
            lambda: quantise(np.ones(3), DFPFormat(rounding="stochastic")),
            "stochastic rounding needs lfsr, the source of its random bits, not None",
        ),
        (lambda: LFSR(0), "state of an LFSR must be an integer in 1..4294967295, not 0"),
        (
            lambda: DFPTensor(mantissas=np.array([8]), exponents=np.array(0), width=4),
            "mantissas 8..8 do not fit 4 bits, -8..7",
        ),
        (
            lambda: DFPTensor(mantissas=np.zeros((2, 5), int), exponents=np.zeros((2, 2), int), width=4, block=2),
            "mantissas of shape (2, 5) in blocks of 2 need exponents of shape (2, 3), not (2, 2)",
        ),
        (
            lambda: quantise(np.ones(3), DFPFormat(), exponents=np.array(128)),
            "exponents must be in -128..127, not 128..128",
        ),
        (
            lambda: add(quantise(np.ones(3), DFPFormat()), quantise(np.ones(4), DFPFormat())),
            "tensors must have one shape, not (3,) and (4,)",
        ),
        (
            lambda: down_convert(quantise(np.ones((3, 4)), DFPFormat(block=2)), DFPFormat(block="row")),
            "blocks of 2 cannot become blocks of 'row'; they must be the same",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        call()
