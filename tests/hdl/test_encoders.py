"""Encoders: digits of every operand against the models, sparse issue against a list that is worked off."""

import random

import numpy as np
import pytest
from amaranth.hdl import Cat, Module
from amaranth.sim import Simulator

from carrysave.hdl.encoders import DigitEncoder, SparseEncoder, place_digit_encoder, place_sparse_encoder
from carrysave.models.digits import ENCODINGS, Recoding


def digits_of(lines, n):
    """Signed digits from the encoder's lines as integers; the sign of a digit 0 is free."""
    nonzero, two, negative = ([line >> i & 1 for i in range(n)] for line in lines)
    assert not any(t and not nz for t, nz in zip(two, nonzero, strict=True))
    return [nz * (1 + t) * (1 - 2 * neg) for nz, t, neg in zip(nonzero, two, negative, strict=True)]


def encoded(recoding, values):
    """Digits by the encoder, one row for each value."""
    encoder = DigitEncoder(recoding)
    rows = []

    async def bench(ctx):
        for value in values:
            ctx.set(encoder.value, int(value) % (1 << recoding.width))
            lines = [ctx.get(line) for line in (encoder.nonzero, encoder.two, encoder.negative)]
            rows.append(digits_of(lines, recoding.n_digits))

    simulator = Simulator(encoder)
    simulator.add_testbench(bench)
    simulator.run()
    return np.array(rows)


def expected(recoding, values):
    # The negative weight of a top bit is the encoder's sign, not the digit's.
    return recoding.signed_digits(values) * np.sign(recoding.weights)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", range(4, 10))
def test_every_operand(encoding, signed, width):
    recoding = Recoding(encoding=encoding, width=width, signed=signed)
    np.testing.assert_array_equal(encoded(recoding, recoding.values), expected(recoding, recoding.values))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", [15, 16])
def test_wide_operands(encoding, signed, width):
    recoding = Recoding(encoding=encoding, width=width, signed=signed)
    corners = [recoding.minimum, recoding.minimum + 1, -1 if signed else 0, 0, 1, recoding.maximum, 0x2AAA, 0x5555 >> 1]
    rng = np.random.default_rng(1)
    values = np.r_[corners, rng.integers(recoding.minimum, recoding.maximum, 200, endpoint=True)]
    np.testing.assert_array_equal(encoded(recoding, values), expected(recoding, values))


def issued_by(group, count):
    """What a group gives, cycle by cycle: (valid, index, two, negative)."""
    nonzero, two, negative = group
    digits = [(1, i, two >> i & 1, negative >> i & 1) for i in range(count) if nonzero >> i & 1]
    return digits or [(0, 0, 0, 0)]


def outputs(ctx, encoder):
    return tuple(ctx.get(port) for port in (encoder.valid, encoder.index, encoder.two_o, encoder.negative_o))


async def offer(ctx, encoder, group):
    ctx.set(encoder.load, group is not None)
    for port, line in zip((encoder.nonzero, encoder.two, encoder.negative), group or (0, 0, 0), strict=True):
        ctx.set(port, line)


def test_every_group_back_to_back(clocked):
    encoder = SparseEncoder()
    patterns = [
        (nonzero, two & nonzero, negative) for nonzero in range(16) for two in range(16) for negative in (0, 9, 6, 15)
    ]
    random.Random(2).shuffle(patterns)
    want = [digit for group in patterns for digit in issued_by(group, 4)]

    async def bench(ctx):
        got, waiting = [], iter([*patterns, None])
        await offer(ctx, encoder, next(waiting))
        await ctx.tick()
        while True:
            got.append(outputs(ctx, encoder))
            if ctx.get(encoder.free):
                group = next(waiting)
                if group is None:
                    break
                await offer(ctx, encoder, group)
            else:
                await offer(ctx, encoder, None)
            await ctx.tick()
        assert got == want

    clocked(encoder, bench)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_loads_at_any_time(clocked, count):
    encoder, rng = SparseEncoder(count), random.Random(count)

    async def bench(ctx):
        queue = []
        for _ in range(600):
            assert outputs(ctx, encoder) == (queue[0] if queue else (0, 0, 0, 0))
            assert ctx.get(encoder.free) == (len(queue) <= 1)
            group = tuple(rng.getrandbits(count) for _ in range(3)) if rng.random() < 0.4 else None
            await offer(ctx, encoder, group)
            queue = queue[1:] if group is None else issued_by(group, count)
            await ctx.tick()

    clocked(encoder, bench)


@pytest.mark.parametrize("count", [0, -1, True, 2.0])
def test_count_is_checked(count):
    with pytest.raises(ValueError, match=r"^count must be a positive integer, not "):
        SparseEncoder.ports(count)


def test_placed(clocked):
    recoding = Recoding(encoding="en-t")
    m = Module()
    m.submodules.digits = digits = place_digit_encoder(recoding)
    m.submodules.sparse = sparse = place_sparse_encoder(4)
    m.d.comb += Cat(sparse.nonzero, sparse.two, sparse.negative).eq(Cat(digits.nonzero, digits.two, digits.negative))

    async def bench(ctx):
        ctx.set(digits.value, 91)  # 1, 2, -1, -1 from the top
        ctx.set(sparse.load, 1)
        await ctx.tick()
        ctx.set(sparse.load, 0)
        for want in ((1, 0, 0, 1), (1, 1, 0, 1), (1, 2, 1, 0), (1, 3, 0, 0), (0, 0, 0, 0)):
            assert outputs(ctx, sparse) == want
            await ctx.tick()

    clocked(m, bench)
