"""L-Mul: the core against the golden model on whole small formats and on samples of wide ones, and the unit's streams."""

import random

import numpy as np
import pytest
from amaranth.hdl import Signal

from carrysave.hdl.lmul import LMul, LMulCore, place_lmul_core
from carrysave.hdl.verilog import verilog_of
from carrysave.models.float_multiply import float_stimulus
from carrysave.models.lmul import LMulConfig, lmul_golden, lmul_products

ROUNDED = {"carry": "formula", "rounding": "nearest-even"}
CUSTOM = {"format": "custom", "exponent_bits": 2, "mantissa_bits": 2}

WHOLE = [
    *(
        LMulConfig(format=name, **options)
        for name in ("float4_e2m1fn", "float6_e3m2fn", "float6_e2m3fn")
        for options in ({}, {"offset": "none"}, {"carry": "formula"}, {**ROUNDED, "guard_bits": 1})
    ),
    LMulConfig(format="float6_e2m3fn", offset=1.25, overflow="ieee"),
    LMulConfig(format="float6_e3m2fn", offset="optimal", criterion="maximum", guard_bits=3),
    LMulConfig(**CUSTOM, **ROUNDED),
    LMulConfig(**CUSTOM, offset=3.5, specials=False),
    LMulConfig(**CUSTOM, infinities=False, bias=0, offset=3, overflow="nan"),
    LMulConfig(**CUSTOM, infinities=False, bias=4, signed=False),
    LMulConfig(**CUSTOM, nan="all-ones", bias=3, carry="formula", offset=3),
    LMulConfig(**CUSTOM, nan="all-ones", bias=1, overflow="nan", guard_bits=1),
    LMulConfig(**CUSTOM, nan="none", bias=2, offset="none", signed=False),
    LMulConfig(**CUSTOM, nan="none", bias=255),
    LMulConfig(format="custom", exponent_bits=4, mantissa_bits=1, signed=False, bias=2, **ROUNDED),
]
SAMPLED = [
    *(LMulConfig(format=f"float8_{name}") for name in ("e5m2", "e4m3", "e4m3fn", "e3m4")),
    *(LMulConfig(format=f"float8_{name}", offset="optimal", **ROUNDED) for name in ("e5m2", "e4m3", "e4m3fn", "e3m4")),
    LMulConfig(format="float8_e5m2", overflow="saturate", specials=False, carry="formula"),
    LMulConfig(format="float8_e4m3", overflow="nan", guard_bits=2, offset="none"),
    LMulConfig(format="float8_e4m3fn", overflow="nan", offset=0.625, **ROUNDED),
    LMulConfig(format="float8_e3m4", overflow="nan", specials=False),
    LMulConfig(format="float8_e5m2", overflow="nan", specials=False),
    *(LMulConfig(format=name) for name in ("bfloat16", "float16", "float32")),
    *(LMulConfig(format=name, **ROUNDED) for name in ("bfloat16", "float16", "float32")),
    LMulConfig(format="bfloat16", offset="none", specials=False, overflow="saturate"),
    LMulConfig(format="float16", offset="optimal", guard_bits=8, overflow="nan"),
    LMulConfig(format="float32", offset="none", carry="formula", specials=False, overflow="infinity"),
]


@pytest.fixture
def products(combinational):
    """A function that gives the core's products of codes."""

    def multiply(config, a, b):
        width = config.float_format.width

        def build(m, pair):
            m.submodules.core = core = LMulCore(config)
            m.d.comb += [core.a.eq(pair[:width]), core.b.eq(pair[width:]), core.enable.eq(1)]
            return core.product

        words = a.astype(np.int64) | b.astype(np.int64) << width
        return np.array(combinational(build, [2 * width], [(word,) for word in words.tolist()]))

    return multiply


@pytest.mark.parametrize("config", WHOLE, ids=lambda config: config.canonical())
def test_every_pair(products, config):
    a, b = (codes.ravel() for codes in np.indices((1 << config.float_format.width,) * 2))
    np.testing.assert_array_equal(products(config, a, b), lmul_products(config, a, b))


@pytest.mark.parametrize("config", SAMPLED, ids=lambda config: config.canonical())
def test_corners_and_samples(products, config):
    beats = float_stimulus(config, np.random.default_rng(3), 450 if config.mantissa_bits < 23 else 300)
    a, b = beats["a"], beats["b"]
    np.testing.assert_array_equal(products(config, a, b), lmul_products(config, a, b))


@pytest.mark.parametrize(
    ("a", "b", "product"), [(0x3F80, 0x3F80, 0x3F88), (0x3FC0, 0x3FC0, 0x4008), (0xC000, 0x3F40, 0xBFC8)]
)
def test_published_vectors(products, a, b, product):
    assert products(LMulConfig(), np.array([a]), np.array([b])).tolist() == [product]


@pytest.mark.parametrize("overflow", ["saturate", "nan"])
def test_without_enable_all_bits_are_zero(combinational, overflow):
    config = LMulConfig(format="float8_e4m3fn", overflow=overflow)

    def build(m, a, b):
        m.submodules.core = core = place_lmul_core(config)
        m.d.comb += [core.a.eq(a), core.b.eq(b)]
        return core.product

    vectors = [(0xB8, 0x38), (0x7F, 0xFF), (0xFE, 0x7E), (0x80, 0x38), (0xFF, 0x00)]
    assert combinational(build, [8, 8], vectors) == [0] * len(vectors)


STREAMS = [
    *(LMulConfig(format="float8_e5m2", stages=stages) for stages in range(4)),
    LMulConfig(format="float8_e4m3fn", offset=1.5, stages=2, **ROUNDED),
    LMulConfig(format="float8_e4m3", stages=3, **ROUNDED),
    LMulConfig(**CUSTOM, nan="all-ones", signed=False, stages=3, carry="formula"),
]


class Unit(LMul):
    """With a clock in any case: the simulator asks for one."""

    def elaborate(self, platform):
        m = super().elaborate(platform)
        m.d.sync += Signal(name="unused").eq(0)
        return m


def stimulus(config, count, seed):
    beats = float_stimulus(config, np.random.default_rng(seed), count)
    return config.i.to_ints(beats), config.o.to_ints(lmul_golden(config, beats))


@pytest.mark.parametrize("config", STREAMS, ids=lambda config: config.canonical())
def test_latency_and_interval(stream_run, config):
    unit = Unit(config)
    words, expected = stimulus(config, 120, 4)
    outputs, taken_i, taken_o = stream_run(unit, words, len(words))
    assert outputs == expected
    assert taken_i == list(range(len(words)))
    assert taken_o == list(range(config.stages, config.stages + len(words)))
    assert (unit.config, unit.latency, unit.initiation_interval) == (config, config.stages, 1)


@pytest.mark.parametrize("config", STREAMS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.0, 0.5), (0.4, 0.7), (0.8, 0.2)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(5)
    words, expected = stimulus(config, 120, 6)
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
    config = LMulConfig(stages=stages)
    words, expected = stimulus(config, 12, 7)
    outputs, taken_i, _taken_o = stream_run(Unit(config), words, 12, o_pause=lambda cycle: cycle < 30)
    assert outputs == expected
    # Each register holds one; without any, a product waits for its taker.
    assert sum(cycle < 20 for cycle in taken_i) == (stages or 12)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_product_is_stable_until_taken(clocked, stages):
    config = LMulConfig(format="float8_e4m3", stages=stages)
    unit, rng = LMul(config), random.Random(8)
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
    text = verilog_of(LMul(LMulConfig(format="float4_e2m1fn")), "lmul")
    core = text[text.index("module lmul_core") :]
    core = core[: core.index("endmodule")]
    assert "always" not in core
    assert "*" not in core
    assert text.count("lmul_core") == 2  # defined and instantiated
