"""Bit heap against integers, and what it promises about the dots that remain."""

import random

import pytest
from amaranth.hdl import Cat, Const, Signal

from carrysave.hdl.bit_heap import BitHeap


def reduced(m, width, columns, word, two, arrivals=None):
    """Two words that sum to the dots; bit i of ``word`` goes to column ``columns[i]``."""
    heap = BitHeap(m, width=width)
    for index, column in enumerate(columns):
        heap.add(column, word[index], arrivals[index] if arrivals else 0)
    rest = heap.reduce(two)
    assert len(rest) == width
    assert all(len(dots) <= (2 if two(column) else 1) for column, dots in enumerate(rest))
    rows = [Cat((dots[row][1] if len(dots) > row else Const(0)) for dots in rest) for row in range(2)]
    return (rows[0] + rows[1])[:width]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("two", [lambda column: False, lambda column: True, lambda column: column % 3 == 1])
def test_sum_of_any_shape(combinational, seed, two):
    rng = random.Random(seed)
    width = rng.randrange(1, 12)
    columns = [rng.randrange(width) for _ in range(rng.randrange(1, 40))]
    arrivals = [rng.randrange(300) for _ in columns]
    vectors = [(0,), ((1 << len(columns)) - 1,), *((rng.getrandbits(len(columns)),) for _ in range(60))]
    outputs = combinational(lambda m, word: reduced(m, width, columns, word, two, arrivals), [len(columns)], vectors)
    for (word,), output in zip(vectors, outputs, strict=True):
        assert output == sum((word >> index & 1) << column for index, column in enumerate(columns)) % (1 << width)


def test_columns_of_every_height_exhaustively(combinational):
    for height in range(1, 9):
        vectors = [(word,) for word in range(1 << height)]
        outputs = combinational(
            lambda m, word, h=height: reduced(m, 4, [0] * h, word, lambda column: False), [height], vectors
        )
        assert outputs == [word.bit_count() for (word,) in vectors]


def test_words_and_heights(module):
    heap = BitHeap(module, width=5)
    heap.add_word(Signal(4), column=3)
    heap.add(0, Signal())
    heap.add(0, Const(1))
    heap.add(0, Const(0))
    assert heap.heights == [2, 0, 0, 1, 1]


def test_early_dots_first(module):
    heap = BitHeap(module, width=1)
    for arrival_ps in (400, 0, 10, 20):
        heap.add(0, Signal(), arrival_ps)
    ((arrival_ps, _dot),) = heap.reduce(lambda column: False)[0]
    # The late dot meets one exclusive-or only, so it delays the result by less than two.
    other = BitHeap(module, width=1)
    for early_ps in (0, 0, 10, 20):
        other.add(0, Signal(), early_ps)
    ((early_ps, _dot),) = other.reduce(lambda column: False)[0]
    assert 400 < arrival_ps < 400 + early_ps


def test_dots_of_one_bit_only(module):
    with pytest.raises(ValueError, match=r"^a dot must be one bit wide, not 2$"):
        BitHeap(module, width=4).add(0, Signal(2))
