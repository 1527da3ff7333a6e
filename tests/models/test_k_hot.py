"""Weights of a few powers of two against searches over all sums of them."""

import itertools
import math

import numpy as np
import pytest

from carrysave.models.digits import Recoding
from carrysave.models.errors import ConfigError
from carrysave.models.k_hot import K_HOT_RECODINGS, LARGEST_MAGNITUDE, k_hot, k_hot_errors, k_hot_table

WIDTH = 9
WEIGHTS = np.arange(-(1 << WIDTH - 1), 1 << WIDTH - 1)


def published(weight, terms, nearest):
    """Greedy terms of one weight, by hand."""
    rest, total = abs(weight), 0
    for term in range(terms):
        if rest > 0:
            power = 1
            while 2 * power <= rest:
                power *= 2
            if nearest and term == terms - 1 and 2 * power - rest < rest - power:
                power *= 2
            rest -= power
            total += power
    return total if weight >= 0 else -total


def sums(terms):
    """All sums of at most so many signed powers, up to beyond the largest weight."""
    found = {0}
    for _ in range(terms):
        found |= {total + sign * 2**place for total in found for place in range(WIDTH + 1) for sign in (1, -1)}
    return np.array(sorted(found))


@pytest.mark.parametrize("terms", [1, 2, 3, 4])
@pytest.mark.parametrize("recoding", ["greedy", "greedy-nearest"])
def test_greedy_as_published(terms, recoding):
    found = k_hot(WEIGHTS, terms=terms, recoding=recoding)
    want = [published(weight, terms, recoding == "greedy-nearest") for weight in WEIGHTS.tolist()]
    assert found.values().tolist() == want
    assert ((found.signs == 0) | (found.signs == np.sign(WEIGHTS)[:, np.newaxis])).all()  # one sign a weight


@pytest.mark.parametrize("terms", [1, 2, 3, 4])
def test_no_sum_of_signed_powers_is_nearer(terms):
    errors = np.abs(k_hot(WEIGHTS, terms=terms).values() - WEIGHTS)
    best = np.abs(sums(terms) - WEIGHTS[:, np.newaxis]).min(axis=1)
    assert (errors == best).all(), WEIGHTS[errors != best]


def test_signed_terms_are_as_few_as_those_of_the_naf():
    found = k_hot(WEIGHTS, terms=8)
    assert (found.values() == WEIGHTS).all()
    naf = Recoding(encoding="naf", width=WIDTH, signed=True)
    assert (found.counts() == naf.nonzero_digits(WEIGHTS)).all()


@pytest.mark.parametrize("recoding", K_HOT_RECODINGS)
def test_positions_reach_the_width_at_most(recoding):
    for terms in (1, 2, 5):
        found = k_hot(WEIGHTS, terms=terms, recoding=recoding)
        assert found.positions.min() == 0
        assert found.positions.max() == WIDTH - 1
        assert (found.positions[found.signs == 0] == 0).all()
        assert set(np.unique(found.signs)) == {-1, 0, 1}


def test_large_weights_and_shapes():
    weights = np.array([[LARGEST_MAGNITUDE, -LARGEST_MAGNITUDE, LARGEST_MAGNITUDE - 1], [0, 3 << 50, (1 << 52) - 5]])
    assert (k_hot(weights, terms=3).values() == weights).all()
    greedy = k_hot(weights, terms=1, recoding="greedy").values()
    assert greedy.tolist() == [[1 << 52, -(1 << 52), 1 << 51], [0, 1 << 51, 1 << 51]]
    assert k_hot(7, terms=2).values() == 7
    assert k_hot(np.zeros((0, 4), np.int64), terms=2).positions.shape == (0, 4, 2)


def test_errors():
    found = k_hot_errors([0, 1, 3, -7], terms=1, recoding="greedy")
    assert (found.exact, found.mean, found.mean_absolute, found.maximum) == (0.5, 0.5, 1.0, 3.0)
    assert found.rms == math.sqrt(2.5)
    assert k_hot_errors([0, 1, 3, -7], terms=2).exact == 1


def test_table():
    rows = {(row.recoding, row.terms): row for row in k_hot_table(width=8, terms=4)}
    assert set(rows) == set(itertools.product(K_HOT_RECODINGS, range(1, 5)))
    for terms in range(1, 5):
        greedy, nearest, signed = (rows[recoding, terms] for recoding in K_HOT_RECODINGS)
        assert greedy.rms > nearest.rms >= signed.rms
        assert greedy.maximum == 2 ** (7 - terms) - 1  # a magnitude of 127 keeps its highest ones
    assert rows["greedy", 1].exact == 16 / 256  # 0, seven powers with each sign, and -128
    assert rows["signed", 4].exact == 1  # NAF of 8 digits has four at most
    squares = [(published(weight, 2, True) - weight) ** 2 for weight in range(-128, 128)]
    assert rows["greedy-nearest", 2].rms == pytest.approx(math.sqrt(sum(squares) / 256), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: k_hot([1], terms=0), r"terms must be an integer in 1\.\.16, not 0"),
        (lambda: k_hot([1], terms=2.0), r"terms must be an integer in 1\.\.16, not 2\.0"),
        (
            lambda: k_hot([1], terms=1, recoding="csd"),
            "recoding must be one of greedy, greedy-nearest, signed, not 'csd'",
        ),
        (lambda: k_hot([1.0], terms=1), "weights must be integers, not float64"),
        (
            lambda: k_hot([1 << 53], terms=1),
            r"weights must be in -4503599627370496\.\.4503599627370496, not 9007199254740992",
        ),
        (lambda: k_hot_errors(np.zeros(0, int), terms=1), r"weights must be at least one, not of shape \(0,\)"),
        (lambda: k_hot_table(width=21, terms=1), r"width of weights must be an integer in 2\.\.20, not 21"),
        (lambda: k_hot_table(width=8, terms=17), r"terms must be an integer in 1\.\.16, not 17"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        call()
