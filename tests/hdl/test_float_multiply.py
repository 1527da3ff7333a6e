"""Exact multiplier: the core against the golden model on whole small formats and on samples of wide ones, and the streams."""

import random

import numpy as np
import pytest
from amaranth.hdl import Signal

from carrysave.hdl.float_multiply import FloatMultiplier, FloatMultiplierCore, place_float_multiplier_core
from carrysave.hdl.verilog import verilog_of
from carrysave.models.float_multiply import (
    FloatMultiplyConfig,
    float_multiply_golden,
    float_products,
    float_stimulus,
)

CUT = {"rounding": "toward-zero"}
FLUSHED = {"subnormals": False}
CUSTOM = {"format": "custom", "exponent_bits": 2, "mantissa_bits": 2}

WHOLE = [
    *(FloatMultiplyConfig(format="float4_e2m1fn", **options) for options in ({}, CUT, FLUSHED, {**CUT, **FLUSHED})),
    FloatMultiplyConfig(format="float6_e3m2fn"),
    FloatMultiplyConfig(format="float6_e3m2fn", **CUT, **FLUSHED),
    FloatMultiplyConfig(format="float6_e2m3fn", **CUT),
    FloatMultiplyConfig(format="float6_e2m3fn", **FLUSHED),
    FloatMultiplyConfig(**CUSTOM),
    FloatMultiplyConfig(**CUSTOM, **CUT, **FLUSHED, overflow="ieee"),
    FloatMultiplyConfig(**CUSTOM, infinities=False, bias=0, signed=False, overflow="nan"),
    FloatMultiplyConfig(**CUSTOM, infinities=False, bias=3, signed=False, **FLUSHED),
    FloatMultiplyConfig(**CUSTOM, nan="all-ones", bias=3, signed=False, overflow="nan"),
    FloatMultiplyConfig(**CUSTOM, nan="all-ones", bias=2, signed=False, **FLUSHED),
    FloatMultiplyConfig(**CUSTOM, nan="none", bias=255, signed=False, **CUT),
]
SAMPLED = [
    *(FloatMultiplyConfig(format=f"float8_{name}") for name in ("e5m2", "e4m3", "e4m3fn", "e3m4")),
    FloatMultiplyConfig(format="float8_e5m2", overflow="saturate", specials=False, **CUT),
    FloatMultiplyConfig(format="float8_e4m3", overflow="nan", **FLUSHED),
    FloatMultiplyConfig(format="float8_e4m3fn", overflow="nan", **CUT, **FLUSHED),
    FloatMultiplyConfig(format="float8_e3m4", overflow="ieee", **CUT),
    FloatMultiplyConfig(format="float8_e4m3fn", product="float32"),
    FloatMultiplyConfig(format="float8_e5m2", product="float16", **FLUSHED),
    FloatMultiplyConfig(format="bfloat16", product="float32", **CUT),
    FloatMultiplyConfig(format="bfloat16"),
    FloatMultiplyConfig(format="bfloat16", overflow="saturate", specials=False, **CUT, **FLUSHED),
    FloatMultiplyConfig(format="float16"),
    FloatMultiplyConfig(format="float16", overflow="nan", **CUT, **FLUSHED),
    FloatMultiplyConfig(format="float32"),
    FloatMultiplyConfig(format="float32", specials=False, **FLUSHED),
]


@pytest.fixture
def products(gates):
    """A function that gives the core's products of codes."""

    def multiply(config, a, b):
        width = config.float_format.width

        def build(m, pair):
            m.submodules.core = core = FloatMultiplierCore(config)
            m.d.comb += [core.a.eq(pair[:width]), core.b.eq(pair[width:]), core.enable.eq(1)]
            return core.product

        words = a.astype(np.int64) | b.astype(np.int64) << width
        return np.array(gates(build, [2 * width], [(word,) for word in words.tolist()]))

    return multiply


@pytest.mark.parametrize("config", WHOLE, ids=lambda config: config.canonical())
def test_every_pair(products, config):
    a, b = (codes.ravel() for codes in np.indices((1 << config.float_format.width,) * 2))
    np.testing.assert_array_equal(products(config, a, b), float_products(config, a, b))


@pytest.mark.parametrize("config", SAMPLED, ids=lambda config: config.canonical())
def test_corners_and_samples(products, config):
    beats = float_stimulus(config, np.random.default_rng(3), 800)
    a, b = beats["a"], beats["b"]
    np.testing.assert_array_equal(products(config, a, b), float_products(config, a, b))


@pytest.mark.parametrize("overflow", ["saturate", "nan"])
def test_without_enable_all_bits_are_zero(combinational, overflow):
    config = FloatMultiplyConfig(format="float8_e4m3fn", overflow=overflow)

    def build(m, a, b):
        m.submodules.core = core = place_float_multiplier_core(config)
        m.d.comb += [core.a.eq(a), core.b.eq(b)]
        return core.product

    vectors = [(0xB8, 0x38), (0x7F, 0xFF), (0xFE, 0x7E), (0x80, 0x38), (0xFF, 0x00)]
    assert combinational(build, [8, 8], vectors) == [0] * len(vectors)


STREAMS = [
    *(FloatMultiplyConfig(format="float6_e3m2fn", stages=stages) for stages in range(4)),
    *(FloatMultiplyConfig(format="float8_e5m2", **CUT, **FLUSHED, stages=stages) for stages in range(4)),
    FloatMultiplyConfig(**CUSTOM, nan="all-ones", signed=False, stages=3, **FLUSHED),
]


class Unit(FloatMultiplier):
    """With a clock in any case: the simulator asks for one."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.sync += Signal(name="unused").eq(0)
        return m


def stimulus(config, count, seed):
    beats = float_stimulus(config, np.random.default_rng(seed), count)
    return config.i.to_ints(beats), config.o.to_ints(float_multiply_golden(config, beats))


@pytest.mark.parametrize("config", STREAMS, ids=lambda config: config.canonical())
def test_latency_and_interval(stream_run, config):
    unit = Unit(config)
    words, expected = stimulus(config, 100, 4)
    outputs, taken_i, taken_o = stream_run(unit, words, len(words))
    assert outputs == expected
    assert taken_i == list(range(len(words)))
    assert taken_o == list(range(config.stages, config.stages + len(words)))
    assert (unit.config, unit.latency, unit.initiation_interval) == (config, config.stages, 1)


@pytest.mark.parametrize("config", STREAMS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.4, 0.7), (0.7, 0.2)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(5)
    words, expected = stimulus(config, 100, 6)
    outputs, _taken_i, _taken_o = stream_run(
        Unit(config),
        words,
        len(words),
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )
    assert outputs == expected


@pytest.mark.parametrize("stages", range(4))
def test_output_blocked_for_long_loses_nothing(stream_run, stages):
    config = FloatMultiplyConfig(stages=stages)
    words, expected = stimulus(config, 12, 7)
    outputs, taken_i, _taken_o = stream_run(Unit(config), words, 12, o_pause=lambda cycle: cycle < 30)
    assert outputs == expected
    # Each register holds one; without any, a product waits for its taker.
    assert sum(cycle < 20 for cycle in taken_i) == (stages or 12)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_product_is_stable_until_taken(clocked, stages):
    config = FloatMultiplyConfig(format="float8_e4m3", stages=stages)
    unit, rng = FloatMultiplier(config), random.Random(8)
    words, expected = stimulus(config, 20, 9)

    async def bench(ctx):
        ctx.set(unit.i.valid, 1)
        ctx.set(unit.i.payload.as_value(), words[10])
        for _ in range(stages):
            await ctx.tick()
        for _ in range(20):
            # Neither what is offered next nor whether anything is shows in what is held.
            assert (ctx.get(unit.o.valid), ctx.get(unit.o.payload.as_value())) == (1, expected[10])
            ctx.set(unit.i.valid, rng.getrandbits(1))
            ctx.set(unit.i.payload.as_value(), rng.choice(words))
            await ctx.tick()

    clocked(unit, bench)


def test_core_is_a_module_without_registers_up_to_one_stage():
    text = verilog_of(FloatMultiplier(FloatMultiplyConfig(format="float4_e2m1fn")), "fmul")
    core = text[text.index("module fmul_core") :]
    core = core[: core.index("endmodule")]
    assert "always" not in core
    assert text.count("fmul_core") == 2  # defined and instantiated
