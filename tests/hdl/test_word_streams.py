"""Words cut, put together and transposed, and the walk through a matrix."""

import itertools
import random

import numpy as np
import pytest

from carrysave.hdl.walker import Walker
from carrysave.hdl.word_streams import Narrow, Transposer, Widen

SHARES = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.6), (0.4, 0.4)]


def pauses(shares):
    rng = random.Random(3)
    return {
        name: (lambda cycle, share=share: rng.random() < share)
        for name, share in zip(("i_pause", "o_pause"), shares, strict=True)
    }


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("slices", [1, 3, 4])
def test_narrow(stream_run, shares, slices):
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << 5 * slices, 30).tolist()
    expected = [(word >> 5 * place & 31) | (place == slices - 1) << 5 for word in words for place in range(slices)]
    outputs, _, taken = stream_run(_Ended(slices - 1, width=5, slices=slices), words, len(expected), **pauses(shares))
    assert outputs == expected
    if shares == (0.0, 0.0):
        assert taken == list(range(1 - slices, len(expected) + 1 - slices))


class _Ended(Narrow):
    """Words of which so many slices are wanted."""

    def __init__(self, end, **parameters):
        self._end = end
        super().__init__(**parameters)

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.comb += self.end.eq(self._end)
        return m


def test_narrow_leaves_the_rest_of_a_word(stream_run):
    outputs, taken_i, _ = stream_run(_Ended(1, width=8, slices=4), [0x44332211, 0x88776655], 4)
    assert outputs == [0x11, 0x122, 0x55, 0x166]
    assert taken_i == [0, 2]


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("slices", [1, 3, 4])
def test_widen(stream_run, shares, slices):
    rng = np.random.default_rng(2)
    inputs, expected = [], []
    for length in rng.integers(1, slices + 1, 40).tolist():
        parts = rng.integers(0, 32, length).tolist()
        # A whole word ends by itself.
        flags = [0] * (length - 1) + [1 if length < slices else int(rng.integers(2))]
        inputs += [part | flag << 5 for part, flag in zip(parts, flags, strict=True)]
        expected.append(sum(part << 5 * place for place, part in enumerate(parts)))
    outputs, taken_i, _ = stream_run(Widen(width=5, slices=slices), inputs, len(expected), **pauses(shares))
    assert outputs == expected
    if shares == (0.0, 0.0):
        assert taken_i == list(range(len(inputs)))


@pytest.mark.parametrize("shares", SHARES)
@pytest.mark.parametrize("size", [2, 4])
def test_transposer(stream_run, shares, size):
    tiles = np.random.default_rng(4).integers(0, 8, (6, size, size))

    def words(rows):
        return [sum(int(value) << 3 * place for place, value in enumerate(row)) for row in rows.reshape(-1, size)]

    outputs, taken_i, taken_o = stream_run(Transposer(width=3, size=size), words(tiles), 6 * size, **pauses(shares))
    assert outputs == words(tiles.transpose(0, 2, 1))
    if shares == (0.0, 0.0):
        # In and out by turns.
        assert taken_i == [cycle for cycle in range(12 * size) if cycle // size % 2 == 0]
        assert taken_o == [cycle for cycle in range(12 * size) if cycle // size % 2]


@pytest.mark.parametrize("row_major", [0, 1])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 2, 1, 1), (2, 3, 4, 1), (2, 1, 2, 3), (5, 4, 3, 2)])
def test_walker(clocked, row_major, sizes):
    rows, words, parts, passes = sizes
    walker = Walker(rows=5, words=4, parts=4, passes=3)
    lines = itertools.product(range(rows), range(words)) if row_major else (
        (row, word) for word, row in itertools.product(range(words), range(rows))
    )  # fmt: skip
    one_pass = [(row, word, part) for row, word in lines for part in range(parts)]
    expected = [(*place, number) for number in range(passes) for place in one_pass]
    rng = random.Random(6)

    async def bench(ctx):
        for name, size in zip(("rows_last", "words_last", "parts_last", "passes_last"), sizes, strict=True):
            ctx.set(getattr(walker, name), size - 1)
        ctx.set(walker.row_major, row_major)
        for _ in range(2):
            ctx.set(walker.step, 0)
            ctx.set(walker.restart, 1)
            await ctx.tick()
            ctx.set(walker.restart, 0)
            for index, place in enumerate(expected):
                ctx.set(walker.step, 0)
                for _ in range(rng.randrange(2)):
                    await ctx.tick()
                assert tuple(ctx.get(getattr(walker, name)) for name in ("row", "word", "part", "number")) == place
                assert ctx.get(walker.active)
                assert ctx.get(walker.final) == (index == len(expected) - 1)
                ctx.set(walker.step, 1)
                await ctx.tick()
            ctx.set(walker.step, 0)
            assert not ctx.get(walker.active)

    clocked(walker, bench)
