"""Floating-point adder, and dot products through streams against their golden model."""

import random

import numpy as np
import pytest

from carrysave.hdl.catalogue import design
from carrysave.hdl.fixed_sum import FixedRounder
from carrysave.hdl.float_adder import FloatAdder
from carrysave.models.float_dot import (
    FloatArrayConfig,
    FloatDotConfig,
    float_dot_golden,
    float_dot_stimulus,
    rounded_sum,
)
from carrysave.models.float_format import FORMATS
from carrysave.models.float_multiply import float_corners
from carrysave.models.float_rounding import encode

SEED = 5


def pairs(form, rng):
    """Corners with corners, numbers of like size, subnormal ones, any."""
    corners = float_corners(form)
    corners = np.concatenate([corners, corners | form.sign_mask])
    directed = np.stack(np.meshgrid(corners, corners), -1).reshape(-1, 2)
    like = rng.integers(0, 1 << form.width, (700, 2))
    steps = rng.integers(-3 << form.mantissa_bits, 3 << form.mantissa_bits, len(like))
    like[:, 1] = ((like[:, 0] + steps) % (1 << form.width)) ^ np.where(rng.random(len(like)) < 0.5, form.sign_mask, 0)
    small = rng.integers(0, 3 << form.mantissa_bits, (300, 2)) | rng.integers(0, 2, (300, 2)) * form.sign_mask
    return np.concatenate([directed, like, small, rng.integers(0, 1 << form.width, (300, 2))])


@pytest.mark.parametrize("name", ["float8_e5m2", "float8_e4m3", "float16", "bfloat16", "float32"])
def test_adder(gates, name):
    form = FORMATS[name]
    codes = pairs(form, np.random.default_rng(SEED))
    x, y = (form.decode(column) for column in codes.T)
    with np.errstate(over="ignore", invalid="ignore"):
        # float64 has more than twice the digits of any of these formats: rounding to it first changes nothing.
        want = encode(x + y, form, overflow="ieee")

    def build(m, x, y):
        m.submodules.adder = adder = FloatAdder(form)
        m.d.comb += [adder.x.eq(x), adder.y.eq(y)]
        return adder.sum

    got = gates(build, [form.width, form.width], codes.tolist())
    for (a, b), expected, found in zip(codes.tolist(), want.tolist(), got, strict=True):
        assert found == expected, f"seed {SEED}: {a:#x} + {b:#x} is {found:#x}, expected {expected:#x}"


@pytest.mark.parametrize(
    "parameters",
    [
        {"format": "float8_e4m3fn", "sum_format": "float32"},
        {"format": "float8_e5m2", "sum_format": "float16", "multiplier": "exact"},
        {"format": "float8_e3m4", "sum_format": "bfloat16", "multiplier": "exact", "carry_spacing": 3},
        {"format": "float16", "sum_format": "bfloat16"},
        {"format": "float4_e2m1fn", "max_k": 64, "carry_spacing": 64},
    ],
    ids=str,
)
def test_rounder(clocked, parameters):
    config = FloatDotConfig(**parameters)
    width = config.fixed_width
    rng = random.Random(SEED)
    bound = config.max_k * config.fixed_point[1]
    sums = [0, 1, -1, bound, -bound]
    for _ in range(40):
        digits = rng.randrange(1, width)
        near = 1 << digits - 1
        sums += [rng.getrandbits(digits), -rng.getrandbits(digits), near - 1, near + (1 << max(digits - 9, 0))]
    sums = [max(min(n, bound), -bound) for n in sums]
    none = np.zeros(len(sums), bool)
    want = rounded_sum(config, np.array(sums, object), none, none, none).tolist()
    rounder, got = FixedRounder(config), []

    async def bench(ctx):
        for cycle in range(len(sums) + rounder.latency):
            if cycle < len(sums):
                ctx.set(rounder.s, sums[cycle] % (1 << width))
            await ctx.tick()
            if cycle >= rounder.latency - 1:
                got.append(ctx.get(rounder.result))

    clocked(rounder, bench)
    for n, expected, found in zip(sums, want, got, strict=False):
        assert found == expected, f"seed {SEED}: {n} is rounded to {found:#x}, expected {expected:#x}"
    assert len(got) >= len(sums)


CONFIGS = [
    *(
        FloatDotConfig(format="float8_e4m3fn", multiplier=multiplier, accumulator=accumulator, lanes=lanes)
        for multiplier in ("lmul", "exact")
        for accumulator, lanes in (("sequential", 1), ("tree", 2), ("kulisch", 3))
    ),
    FloatDotConfig(format="bfloat16", accumulator="tree", lanes=2, stages=2),
    FloatDotConfig(format="float16", accumulator="sequential", lanes=1, multiplier="exact", stages=3, subnormals=False),
    FloatDotConfig(format="float8_e5m2", accumulator="kulisch", lanes=1, multiplier="exact", stages=3),
    FloatDotConfig(
        format="float8_e5m2", accumulator="kulisch", lanes=1, multiplier="exact", subnormals=False, stages=0
    ),
    FloatDotConfig(format="float8_e3m4", guard_bits=2, offset=0.75, carry="formula", specials=False, carry_spacing=4),
    FloatDotConfig(format="float6_e3m2fn", accumulator="sequential", lanes=1, sum_format="bfloat16"),
    FloatArrayConfig(format="float8_e4m3fn", rows=1, cols=2),
    FloatArrayConfig(format="float8_e5m2", rows=2, cols=1, lanes=2, accumulator="tree", stages=2),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.digest)
def test_streams(stream_run, config):
    beats = float_dot_stimulus(config, np.random.default_rng(SEED), 45)
    want = config.o.to_ints(float_dot_golden(config, beats))
    rng = random.Random(SEED)
    got, _, _ = stream_run(
        design(config.design).component(config),
        config.i.to_ints(beats),
        len(want),
        i_pause=lambda cycle: rng.random() < 0.2,
        o_pause=lambda cycle: rng.random() < 0.2,
    )
    for index, (expected, found) in enumerate(zip(want, got, strict=True)):
        assert found == expected, f"{config.canonical()}, seed {SEED}, beat {index}: {found:#x}, expected {expected:#x}"


@pytest.mark.parametrize("config", [*CONFIGS[:3], *CONFIGS[-2:]], ids=lambda config: config.digest)
def test_latency(stream_run, config):
    beats = float_dot_stimulus(config, np.random.default_rng(SEED), 1)
    want = config.o.to_ints(float_dot_golden(config, beats))
    component = design(config.design).component(config)
    _, _, taken = stream_run(component, config.i.to_ints(beats), len(want))
    assert taken == [config.latency + row for row in range(config.rows)]
    assert component.latency == config.latency
