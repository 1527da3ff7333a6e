"""The golden GEMM and the tile scheduler against Python integers."""

import re

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.gemm import from_beats, gemm, gemm_for, tiles, to_beats
from carrysave.models.systolic import SystolicConfig
from carrysave.models.tile import tile_golden


def naive_gemm(a, b):
    a, b = a.tolist(), b.tolist()
    return [[sum(row[k] * b[k][n] for k in range(len(b))) for n in range(len(b[0]))] for row in a]


def operands(rng, config, m, k, n):
    fields = config.i.fields
    a = rng.integers(fields[0].minimum, fields[0].maximum, (m, k), endpoint=True)
    b = rng.integers(fields[1].minimum, fields[1].maximum, (k, n), endpoint=True)
    return a, b


@pytest.mark.parametrize("bits", [4, 8, 16, 26, 30])  # 26 and 30: beyond what float64 holds exactly
def test_against_python(bits):
    rng = np.random.default_rng(bits)
    a = rng.integers(-(1 << bits - 1), 1 << bits - 1, (7, 13))
    b = rng.integers(-(1 << bits - 1), 1 << bits - 1, (13, 5))
    assert gemm(a, b, acc_width=63).tolist() == naive_gemm(a, b)


def test_exact_where_float64_is_not():
    a = np.array([[(1 << 26) + 1, 1]])
    b = np.array([[(1 << 27) + 1], [-(1 << 27)]])
    assert gemm(a, b, acc_width=60).item() == ((1 << 26) + 1) * ((1 << 27) + 1) - (1 << 27)


def test_all_minimal():
    a, b = np.full((2, 16), -128, np.int8), np.full((16, 3), -128, np.int8)
    assert (gemm(a, b, acc_width=20) == 262144).all()
    with pytest.raises(
        ConfigError, match=r"^element \(0, 0\) of the product is 262144, an accumulator of 19 bits takes"
    ):
        gemm(a, b, acc_width=19)
    assert (gemm(a, b, acc_width=19, overflow="wrap") == -262144).all()
    assert (gemm(a, b, acc_width=19, signed=False) == 262144).all()


def test_partial_sums_may_wrap():
    a, b = np.array([[100, 100, -100]]), np.array([[1], [1], [1]])
    assert gemm(a, b, acc_width=8).item() == 100


@pytest.mark.parametrize("acc_width", [8, 13, 24, 40, 60])
@pytest.mark.parametrize("signed", [True, False])
def test_wrap_against_python(acc_width, signed):
    rng = np.random.default_rng(acc_width)
    a, b = rng.integers(-(1 << 29), 1 << 29, (4, 300)), rng.integers(-(1 << 29), 1 << 29, (300, 3))
    want = [[value % (1 << acc_width) for value in row] for row in naive_gemm(a, b)]
    if signed:
        half = 1 << acc_width - 1
        want = [[value - 2 * half if value >= half else value for value in row] for row in want]
    assert gemm(a, b, acc_width=acc_width, signed=signed, overflow="wrap").tolist() == want


def test_initial():
    a, b = np.array([[1, 2], [3, 4]]), np.array([[5], [6]])
    assert gemm(a, b, initial=np.array([100])).tolist() == [[117], [139]]
    assert gemm(a, b, initial=np.array([[1], [2]])).tolist() == [[18], [41]]
    with pytest.raises(ConfigError, match=r"^element \(1, 0\) of the product is 128,"):
        gemm(a, b, initial=np.array([[0], [89]]), acc_width=8)
    with pytest.raises(ConfigError, match=r"^initial of shape \(3,\) does not broadcast to \(2, 1\)$"):
        gemm(a, b, initial=np.arange(3))


def test_ends_of_the_accumulator():
    for value in (-128, 127):
        assert gemm(np.array([[value]]), np.array([[1]]), acc_width=8).item() == value
    for value in (-129, 128):
        with pytest.raises(
            ConfigError, match=rf"^element \(0, 0\) of the product is {value}, .* of 8 bits takes -128\.\.127;"
        ):
            gemm(np.array([[value]]), np.array([[1]]), acc_width=8)


def test_initial_may_not_overflow_unseen():
    a = np.array([[1 << 31]])
    assert gemm(a, a, acc_width=63, signed=False).item() == 1 << 62
    with pytest.raises(ConfigError, match=r"^operands are so large that the sum may not fit 63 bits;"):
        gemm(a, a, acc_width=63, initial=np.array([1 << 62]))


def test_empty_reduction():
    assert gemm(np.zeros((2, 0), int), np.zeros((0, 3), int)).tolist() == [[0, 0, 0]] * 2


ONES = np.ones((2, 2), int)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((ONES, ONES), {"overflow": "clip"}, "overflow must be one of refuse, wrap, not 'clip'"),
        ((ONES, ONES), {"acc_width": 64}, "acc_width must be an integer in 1..63, not 64"),
        ((ONES, np.ones((3, 2), int)), {}, "a has 2 columns, but b has 3 rows; the two must be equal"),
        ((ONES, ONES), {"max_k": 1}, "a reduction of 2 products exceeds max_k = 1"),
        ((ONES * 1.5, ONES), {}, "a must hold integers, not float64"),
        ((ONES, np.ones(2, int)), {}, "b must be a matrix, not an array of shape (2,)"),
        ((ONES, np.full((2, 2), 1 << 63, np.uint64)), {}, "b holds 9223372036854775808, which does not fit 63 bits"),
        (
            (ONES << 31, ONES << 31),
            {"acc_width": 63},
            "operands are so large that the sum may not fit 63 bits; no accumulator of ours holds it",
        ),
    ],
)
def test_refused(arguments, options, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        gemm(*arguments, **options)


def test_max_k_does_not_bind_when_wrapping():
    assert gemm(ONES, ONES, max_k=1, overflow="wrap").tolist() == [[2, 2], [2, 2]]


@pytest.mark.parametrize(("m", "n", "rows", "cols"), [(8, 8, 8, 8), (9, 7, 4, 3), (1, 1, 8, 8), (5, 12, 2, 12)])
def test_tiles_cover_once(m, n, rows, cols):
    covered = np.zeros((m, n), int)
    for place in tiles(m, n, rows, cols):
        covered[place] += 1
        assert covered[place].shape[0] <= rows
        assert covered[place].shape[1] <= cols
    assert (covered == 1).all()


@pytest.mark.parametrize(
    "config",
    [
        SystolicConfig(rows=4, cols=3, max_k=64),
        SystolicConfig(rows=3, cols=4, max_k=64, a_width=4, a_signed=False, b_signed=False),
        SystolicConfig(rows=2, cols=2, max_k=64, a_width=16, b_width=16, b_signed=False),
        SystolicConfig(rows=1, cols=5, max_k=64, acc_width=16, overflow="wrap"),
    ],
)
@pytest.mark.parametrize(("m", "k", "n"), [(4, 6, 3), (9, 1, 10), (1, 17, 1), (5, 8, 5)])
def test_beats_round_trip(config, m, k, n):
    a, b = operands(np.random.default_rng(m), config, m, k, n)
    beats = to_beats(config, a, b)
    grid = tiles(m, n, config.rows, config.cols)
    assert len(beats) == k * len(grid)
    assert np.flatnonzero(beats["last"]).tolist() == [k * (index + 1) - 1 for index in range(len(grid))]
    for index, (rows, cols) in enumerate(grid):
        beat = beats[index * k]
        for r in range(config.rows):
            assert beat["a"][r] == (a[rows.start + r, 0] if rows.start + r < m else 0)
        for c in range(config.cols):
            assert beat["b"][c] == (b[0, cols.start + c] if cols.start + c < n else 0)
    out = tile_golden(config, beats)
    c = from_beats(config, out, m, n)
    assert (c == gemm_for(config, a, b)).all()
    if config.overflow == "refuse":
        assert c.tolist() == naive_gemm(a, b)


@pytest.mark.parametrize("call", [gemm_for, to_beats])
@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((2, 5), int), np.ones((5, 2), int), "a reduction of 5 products exceeds max_k = 4"),
        (np.full((2, 2), 128), ONES, "matrix a holds 128, the array's operand takes -128..127"),
        (ONES, np.full((2, 2), -129), "matrix b holds -129, the array's operand takes -128..127"),
        (ONES, np.ones((3, 2), int), "a has 2 columns, but b has 3 rows; the two must be equal"),
    ],
)
def test_beats_refused(call, a, b, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        call(SystolicConfig(rows=2, cols=2, max_k=4), a, b)


def test_empty_refused():
    message = r"^matrices to stream must not be empty: a is \(2, 0\), b is \(0, 2\)$"
    with pytest.raises(ConfigError, match=message):
        to_beats(SystolicConfig(rows=2, cols=2), np.zeros((2, 0), int), np.zeros((0, 2), int))


def test_wrong_output_refused():
    config = SystolicConfig(rows=2, cols=2, max_k=4)
    out = tile_golden(config, to_beats(config, ONES, ONES))
    with pytest.raises(ConfigError, match=r"^a product of 3 by 2 is 4 output beats of this array, not 2$"):
        from_beats(config, out, 3, 2)
    out["last"] = [1, 0]
    with pytest.raises(ConfigError, match=r"^output beat 0 has last set wrongly$"):
        from_beats(config, out, 2, 2)
