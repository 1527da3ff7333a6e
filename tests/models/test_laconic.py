"""Laconic: cycle model against the rules played one cycle at a time, stimulus, refusals."""

import numpy as np
import pytest

from carrysave.models.digits import ENCODINGS
from carrysave.models.errors import ConfigError
from carrysave.models.gemm import gemm_for, multiply
from carrysave.models.laconic import (
    LaconicConfig,
    laconic_cycles,
    laconic_gemm_cycles,
    laconic_steps,
    laconic_stimulus,
)
from carrysave.models.tile import tile_golden

CONFIGS = [
    LaconicConfig(rows=2, cols=3, lanes=4),
    LaconicConfig(rows=4, cols=1, lanes=1, a_width=5, terms="mbe", sync="array", result_rows=9),
    LaconicConfig(rows=3, cols=2, lanes=16, a_signed=False, terms="en-t", sync="array"),
    LaconicConfig(rows=1, cols=1, lanes=2, a_width=4, b_width=6, terms="sign-magnitude"),
]


def naf_terms(value):
    """Non-zero digits of the non-adjacent form, by the textbook's loop."""
    count = 0
    while value:
        if value & 1:
            value -= 2 - value % 4
            count += 1
        value //= 2
    return count


def test_steps_of_naf():
    rng = np.random.default_rng(1)
    beats = laconic_stimulus(CONFIGS[0], rng, 200)
    for sync in ("lane", "array"):
        config = CONFIGS[0].replace(sync=sync)
        want = []
        for beat in beats:
            a = [max(naf_terms(int(x)) for x in beat["a"][:, lane]) for lane in range(4)]
            b = [max(naf_terms(int(x)) for x in beat["b"][:, lane]) for lane in range(4)]
            want.append(max(1, max(x * y for x, y in zip(a, b, strict=True)) if sync == "lane" else max(a) * max(b)))
        assert laconic_steps(config, beats).tolist() == want


def naive_cycles(config, beats):
    """The rules, one cycle at a time: a beat waits, a step, a row out of the drain, room for the results of a tile."""
    steps = laconic_steps(config, beats).tolist()
    accepted, delivered, ended, left, cycle, ends, waiting = [], [], None, 0, 0, False, None
    while len(accepted) < len(beats) or left or waiting is not None:
        if left > 1:
            left -= 1
        elif left == 1:
            rows = sum(taken >= cycle for rows in delivered for taken in rows)
            drained = ended is None or cycle >= ended + config.rows
            if not ends or (drained and rows + config.rows <= config.result_rows):
                left = 0
                if ends:
                    ended = cycle
                    # The step's terms, three registers of its sum, accumulator, drain, delay, result buffer.
                    delivered.append([cycle + 8 + row for row in range(config.rows)])
        if left == 0 and waiting is not None:
            left, ends, waiting = steps[waiting], bool(beats["last"][waiting]), None
        if waiting is None and len(accepted) < len(beats):
            waiting = len(accepted)
            accepted.append(cycle)
        cycle += 1
    return accepted, delivered


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("extra", [0, 1, 5, 30])
def test_cycles(config, extra):
    config = config.replace(result_rows=config.rows + extra)
    beats = laconic_stimulus(config, np.random.default_rng(extra), 150)
    beats["last"][-1] = extra % 2  # an unfinished tile is accepted all the same
    accepted, delivered = laconic_cycles(config, beats)
    assert (accepted.tolist(), delivered.tolist()) == naive_cycles(config, beats)


def test_no_beats():
    config = CONFIGS[0]
    accepted, delivered = laconic_cycles(config, config.i.zeros(0))
    assert (accepted.shape, delivered.shape) == ((0,), (0, 2))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 40, 7), (8, 16, 3)])
def test_gemm(config, shape):
    m, k, n = shape
    rng = np.random.default_rng(k)
    a, b = (
        rng.integers(field.minimum, field.maximum, size, endpoint=True)
        for field, size in zip(config.i.fields, ((m, k), (k, n)), strict=False)
    )
    c = multiply(config, a, b, lambda beats: tile_golden(config, beats))
    assert (c == gemm_for(config, a, b)).all()
    assert (c == a @ b).all()
    assert laconic_gemm_cycles(config, a, b) == laconic_cycles(config, config.schedule(a, b))[1][-1, -1]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("width", [4, 7, 8, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_largest_exponent(encoding, width, signed):
    config = LaconicConfig(terms=encoding, a_width=width, a_signed=signed)
    recoding = config.a_recoding
    digits = recoding.signed_digits(recoding.values)
    powers = {
        abs(int(digit) * int(weight))
        for row in digits[::7].tolist() + digits[[0, -1]].tolist()
        for digit, weight in zip(row, recoding.weights, strict=True)
    }
    assert max(powers) <= 1 << config.a_exponent
    # The operand of largest magnitude needs that exponent, or with NAF and the like the one above its top bit.
    assert 1 << config.a_exponent in powers


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_stimulus(config):
    beats = laconic_stimulus(config, np.random.default_rng(9), 200)
    assert len(beats) == 200
    assert beats["last"][-1] == 1
    config.i.check(beats)
    assert (laconic_steps(config, beats)[:8] == 1).all()
    assert beats["last"][:8].all()
    assert laconic_steps(config, beats).max() > 3
    assert (laconic_stimulus(config, np.random.default_rng(9), 200) == beats).all()
    assert len(laconic_stimulus(config, np.random.default_rng(9), 3)) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lanes": 17}, r"^lanes must be an integer in 1\.\.16, not 17$"),
        ({"lanes": 2, "heaps": 3}, r"^heaps must be at most lanes = 2, not 3$"),
        ({"lanes": 8, "max_k": 7}, r"^max_k must be at least lanes = 8, the products of one beat, not 7$"),
        ({"partial_products": "and"}, r'^laconic has no partial products: leave partial_products = "booth" and'),
        ({"encode": "edge"}, r'^laconic has no partial products: leave partial_products = "booth" and'),
    ],
)
def test_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        LaconicConfig(**values)


def test_operands_out_of_range():
    config = LaconicConfig(rows=1, cols=1, lanes=1)
    with pytest.raises(ConfigError, match=r"^-129 is out of range: signed\(8\) takes -128\.\.127$"):
        laconic_gemm_cycles(config, np.array([[-129]]), np.array([[1]]))
