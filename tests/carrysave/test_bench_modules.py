"""What the benchmarks measure computes what it is said to compute."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from carrysave.bench_family import SliceParameters
from carrysave.bench_modules import BroadcastColumn, EnTCodes, RegisteredSparseEncoder, SkewedArray, Without
from carrysave.hdl.slice_pe import SlicePE, slice_carry_columns, slice_constant
from carrysave.models.cube import CubeConfig
from carrysave.models.digits import Recoding
from carrysave.models.systolic import SystolicConfig


def simulate(component, bench):
    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_en_t_codes_of_every_operand():
    encoder, recoding = EnTCodes(), Recoding(encoding="en-t")
    digits, negative = recoding.encode(recoding.values)

    async def bench(ctx):
        for value in [*recoding.values, 0, 0]:
            ctx.set(encoder.value, int(value) % 256)
            await ctx.tick()
            codes = ctx.get(encoder.codes)
            seen.append(([codes >> 2 * i & 3 for i in range(4)], ctx.get(encoder.negative)))

    seen = []
    simulate(encoder, bench)
    assert seen[1:-1] == list(zip((digits % 4).tolist(), negative.tolist(), strict=True))


def test_sparse_encoder_with_registered_outputs():
    encoder = RegisteredSparseEncoder()

    async def bench(ctx):
        for cycle in range(6):
            ctx.set(encoder.load, cycle == 0)
            for port, lines in ((encoder.nonzero, 0b1011), (encoder.two, 0b0010), (encoder.negative, 0b1001)):
                ctx.set(port, lines)
            await ctx.tick()
            seen.append([ctx.get(port) for port in (encoder.valid, encoder.index, encoder.two_o, encoder.negative_o)])

    seen = []
    simulate(encoder, bench)
    assert seen == [[0, 0, 0, 0], [1, 0, 0, 1], [1, 1, 1, 0], [1, 3, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("registered", ["operands", "multiples"])
def test_column(registered):
    """Every cycle one digit of a group times the operands, in all PEs; the clear comes when it is in the registers."""
    config, count, rng = SliceParameters(8, 2), 3, random.Random(5)
    column, positions = BroadcastColumn(config, count, registered=registered), slice_carry_columns(config)
    late = int(registered == "multiples")

    def state(ctx, index):
        s, c = ctx.get(column.s) >> 26 * index, ctx.get(column.c) >> len(positions) * index
        return (s + sum((c >> i & 1) << position for i, position in enumerate(positions))) % (1 << 26)

    async def bench(ctx):
        digits, waiting, products, sums = [], [0] * late, [0] * count, [None] * count
        for cycle in range(300):
            ctx.set(column.clear, clear := int(cycle == 1 or rng.random() < 0.1))
            digit = digits.pop(0) if digits else 0
            waiting.append(digit)
            digit = waiting.pop(0)
            words = [rng.getrandbits(8) if digit else 0 for _ in range(count)]
            ctx.set(column.b, sum(word << 8 * index for index, word in enumerate(words)))
            nonzero, two, negative = (rng.getrandbits(4) for _ in range(3))
            for port, lines in ((column.nonzero, nonzero), (column.two, two), (column.negative, negative)):
                ctx.set(port, lines)
            load = ctx.get(column.free) and rng.random() < 0.8
            ctx.set(column.load, load)
            if load:
                digits = [(1 + (two >> i & 1)) * (1 - 2 * (negative >> i & 1)) for i in range(4) if nonzero >> i & 1]
            if cycle:
                sums = [
                    ((0 if clear else total) + product + slice_constant(config)) % (1 << 26)
                    for total, product in zip(sums, products, strict=True)
                ]
            products = [digit * (word - 256 if word >> 7 else word) for word in words]
            await ctx.tick()
            if cycle:
                assert [state(ctx, index) for index in range(count)] == sums

    simulate(column, bench)


@pytest.mark.parametrize(
    "config",
    [
        SystolicConfig(rows=2, cols=3, a_width=4, b_width=4, max_k=40, encode="edge"),
        SystolicConfig(rows=3, cols=2, a_width=4, b_width=4, max_k=40, pe="mac"),
        CubeConfig(rows=2, cols=2, lanes=3, a_width=4, b_width=4, max_k=40, encode="edge"),
        CubeConfig(rows=2, cols=3, lanes=3, a_width=4, b_width=4, max_k=40, product_rows=3, adder_cycles=2),
        SystolicConfig(rows=2, cols=3, a_width=4, b_width=4, max_k=40, encode="edge", correction="pe"),
    ],
    ids=lambda config: config.canonical(),
)
def test_skewed_array(config):
    rows, cols, lanes, tiles, steps = config.rows, config.cols, config.pe_lanes, 3, 4
    late = steps + 1 + config.adder_cycles + config.register_cycles
    rng = np.random.default_rng(6)
    a = rng.integers(-8, 8, (tiles * steps, rows, lanes))
    b = rng.integers(-8, 8, (tiles * steps, cols, lanes))
    array = SkewedArray(config)

    def word(values, cycle):
        """Operands at one edge, each row or column as many cycles late as it is far."""
        raw = 0
        for index in range(values.shape[1]):
            step = cycle - index
            if 0 <= step < len(values):
                for lane in range(lanes):
                    raw |= int(values[step, index, lane] % 16) << 4 * (index * lanes + lane)
        return raw

    async def bench(ctx):
        seen = []
        for cycle in range((tiles - 1) * steps + late + rows + cols):
            seen.append(ctx.get(array.c))
            ctx.set(array.a, word(a, cycle))
            ctx.set(array.b, word(b, cycle))
            ctx.set(array.first, cycle < tiles * steps and cycle % steps == 0)
            ctx.set(array.last, cycle < tiles * steps and cycle % steps == steps - 1)
            await ctx.tick()
        mask = (1 << config.acc_width) - 1
        for tile in range(tiles):
            part = slice(tile * steps, (tile + 1) * steps)
            want = np.einsum("krl,kcl->rc", a[part], b[part])
            for r in range(rows):
                for c in range(cols):
                    got = seen[tile * steps + late + r + c] >> config.acc_width * c & mask
                    assert got == int(want[r, c]) & mask

    simulate(array, bench)


def test_an_output_left_out():
    config = SliceParameters(4, 1)
    left = Without(SlicePE(config), "select_o")
    assert "select_o" not in left.signature.members

    async def bench(ctx):
        ctx.set(left.select, 1)
        ctx.set(left.b, 5)
        ctx.set(left.clear, 1)
        await ctx.tick().repeat(2)
        carries = ctx.get(left.c)
        word = sum((carries >> i & 1) << column for i, column in enumerate(slice_carry_columns(config)))
        assert ctx.get(left.s) + word == 2 * 5 + slice_constant(config)

    simulate(left, bench)
