"""Processing elements against plain Python over long random runs; the constant and its correction."""

import random

import pytest

from carrysave.hdl.final_adder import FinalAdder
from carrysave.hdl.pe import (
    MACPE,
    OPT1PE,
    Correction,
    carry_columns,
    encode_operand,
    operand_width,
    step_constant,
)
from carrysave.models.mac import ADDERS, MACConfig, OPT1Config
from carrysave.models.systolic import SystolicConfig


def integer(value, width, signed):
    return value - (1 << width) if signed and value >> (width - 1) else value


def operands(rng, config):
    """Raw bits of a pair: extremes half of the time."""

    def one(width):
        extremes = [0, 1, (1 << width - 1) - 1, 1 << width - 1, (1 << width) - 1]
        return rng.choice(extremes) if rng.random() < 0.5 else rng.getrandbits(width)

    return one(config.a_width), one(config.b_width)


@pytest.fixture
def encoded(combinational):
    """A function that gives operand a as it reaches a PE."""

    def encode(config, values):
        if config.encode == "pe":
            return values
        return combinational(lambda m, a: encode_operand(m, config, a), [config.a_width], [(a,) for a in values])

    return encode


@pytest.fixture
def held(clocked, encoded):
    """A function that checks a PE's accumulator, operands passed on included, in every cycle of a random run."""

    def check(pe, config, pairs, clears):
        words = encoded(config, [a for a, _b in pairs])
        columns = carry_columns(config) if isinstance(pe, OPT1PE) else []
        modulus = 1 << config.acc_width

        async def bench(ctx):
            expected = None
            for (a, b), word, clear in zip(pairs, words, clears, strict=True):
                ctx.set(pe.a, word)
                ctx.set(pe.b, b)
                await ctx.tick()
                ctx.set(pe.clear, clear)
                assert (ctx.get(pe.a_o), ctx.get(pe.b_o)) == (word, b)
                if expected is not None:
                    if columns:
                        carries = ctx.get(pe.c)
                        total = ctx.get(pe.s) + sum((carries >> i & 1) << column for i, column in enumerate(columns))
                    else:
                        total = ctx.get(pe.s if isinstance(pe, OPT1PE) else pe.acc)
                    assert total % modulus == expected
                product = integer(a, config.a_width, config.a_signed) * integer(b, config.b_width, config.b_signed)
                before = 0 if clear else expected
                expected = (before + product + step_constant(config)) % modulus

        clocked(pe, bench)

    return check


COMMON = [
    {},
    {"encode": "edge"},
    {"partial_products": "and"},
    {"a_width": 4, "b_width": 4, "max_k": 20, "encode": "edge"},
    {"a_width": 4, "b_width": 4, "max_k": 20, "a_signed": False, "b_signed": False, "encode": "edge"},
    {"a_width": 5, "b_width": 7, "a_signed": False, "max_k": 50},
    {"a_width": 5, "b_width": 7, "a_signed": False, "max_k": 50, "encode": "edge"},
    {"a_width": 7, "b_width": 4, "b_signed": False, "max_k": 50, "partial_products": "and"},
    {"a_width": 4, "b_width": 8, "b_signed": False, "max_k": 300, "encode": "edge"},
    {"a_width": 16, "b_width": 16, "encode": "edge"},
    {"a_width": 9, "b_width": 16, "a_signed": False, "b_signed": False, "max_k": 1000},
    {"a_width": 8, "b_width": 8, "acc_width": 16, "overflow": "wrap"},
    {"a_width": 8, "b_width": 8, "acc_width": 17, "overflow": "wrap", "partial_products": "and"},
    {"a_width": 8, "b_width": 8, "a_signed": False, "b_signed": False, "acc_width": 20, "overflow": "wrap"},
]
OPT1S = [
    {"carry_spacing": 1, "carry_spacing_low": 1},
    {"carry_spacing": 3, "carry_spacing_low": 4, "encode": "edge"},
    {"carry_spacing": 64, "carry_spacing_low": 64},
    {"carry_spacing": 1, "carry_spacing_low": 64, "acc_width": 60, "max_k": 1},
    {"carry_spacing": 64, "carry_spacing_low": 1, "acc_width": 16, "overflow": "wrap"},
]


def run_of(config, cycles, seed):
    rng = random.Random(seed)
    pairs = [operands(rng, config) for _ in range(cycles)]
    return pairs, [int(cycle == 0 or rng.random() < 0.1) for cycle in range(cycles)]


@pytest.mark.parametrize("parameters", COMMON, ids=str)
def test_mac(held, parameters):
    config = MACConfig(**parameters)
    held(MACPE(config), config, *run_of(config, 100, 1))


@pytest.mark.parametrize("adder", ADDERS)
def test_mac_adders(held, adder):
    config = MACConfig(adder=adder, acc_width=24, max_k=256)
    held(MACPE(config), config, *run_of(config, 100, 2))


@pytest.mark.parametrize("parameters", COMMON + OPT1S, ids=str)
def test_opt1(held, parameters):
    config = OPT1Config(**parameters)
    held(OPT1PE(config), config, *run_of(config, 100, 3))


@pytest.mark.parametrize("parameters", [{}, {"encode": "edge"}, {"partial_products": "and"}], ids=str)
@pytest.mark.parametrize(("a", "b"), [(0x80, 0x80), (0x80, 0x7F), (0xD6, 0x80), (0, 0)])
def test_long_runs_of_extremes(held, parameters, a, b):
    for config, pe in ((MACConfig(**parameters), MACPE), (OPT1Config(**parameters), OPT1PE)):
        held(pe(config), config, [(a, b)] * 130, [1] + [0] * 129)


def test_carry_columns():
    columns = carry_columns(OPT1Config(acc_width=32, overflow="wrap", carry_spacing=8, carry_spacing_low=1))
    assert columns == [*range(4, 15), 16, 24]
    columns = carry_columns(OPT1Config(acc_width=32, overflow="wrap", carry_spacing=5, carry_spacing_low=4))
    assert columns == [7, 11, 16, 21, 26, 31]
    assert carry_columns(OPT1Config(acc_width=16, overflow="wrap", carry_spacing_low=64)) == []


def test_operand_width():
    assert operand_width(MACConfig(a_width=7)) == 7
    assert operand_width(MACConfig(a_width=8, encode="edge")) == 12
    assert operand_width(MACConfig(a_width=8, a_signed=False, encode="edge")) == 15


@pytest.mark.parametrize(
    "parameters", [{}, {"partial_products": "and"}, {"acc_width": 16, "overflow": "wrap"}], ids=str
)
def test_correction_is_minus_the_constant_a_cycle(clocked, parameters):
    config = MACConfig(**parameters)
    correction = Correction(config)
    lengths = [1, 2, 7, 1, 30]

    async def bench(ctx):
        for length in lengths:
            for cycle in range(length):
                ctx.set(correction.clear, cycle == 0)
                ctx.set(correction.last, cycle == length - 1)
                await ctx.tick()
            expected = -length * step_constant(config) % (1 << config.acc_width)
            assert ctx.get(correction.correction) == expected

    clocked(correction, bench)


@pytest.mark.parametrize("carries", [(), (0, 5, 9), tuple(range(12))])
@pytest.mark.parametrize(("adder", "cycles"), [("hybrid", 1), ("brent-kung", 1), ("hybrid", 2), ("ripple", 3)])
def test_final_adder(clocked, carries, adder, cycles):
    config = SystolicConfig(a_width=4, b_width=4, acc_width=12, max_k=10, adder=adder, adder_cycles=cycles)
    final = FinalAdder(config, carries)
    rng = random.Random(4)

    async def bench(ctx):
        wanted = []
        for _ in range(100):
            s, c, correction = rng.getrandbits(12), rng.getrandbits(len(carries) or 1), rng.getrandbits(12)
            ctx.set(final.s, s)
            if carries:
                ctx.set(final.c, c)
            ctx.set(final.correction, correction)
            await ctx.tick()
            word = sum((c >> i & 1) << column for i, column in enumerate(carries))
            wanted.append((s + word + correction) % (1 << 12))
            if len(wanted) >= cycles:
                assert ctx.get(final.result) == wanted[-cycles]

    clocked(final, bench)
    assert final.latency == cycles
