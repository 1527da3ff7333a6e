"""Bit-slice PEs against plain Python, cycle by cycle; the constant and its correction."""

import dataclasses
import random

import pytest

from carrysave.hdl.slice_pe import (
    OPT3PE,
    SliceCorrection,
    SlicePE,
    place_opt3_pe,
    place_slice_correction,
    place_slice_pe,
    slice_carry_columns,
    slice_constant,
)


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What a PE asks of a configuration."""

    b_width: int = 8
    b_signed: bool = True
    acc_width: int = 26
    pe_lanes: int = 1
    radix: int = 4
    horner: bool = False
    carry_spacing: int = 8
    carry_spacing_low: int = 1


CONFIGS = [
    Parameters(),
    Parameters(carry_spacing=1),
    Parameters(horner=True, carry_spacing=1, carry_spacing_low=2),
    Parameters(horner=True, carry_spacing=5, carry_spacing_low=3),
    Parameters(radix=2),
    Parameters(radix=2, horner=True, b_signed=False),
    Parameters(b_signed=False, carry_spacing=4, carry_spacing_low=2),
    Parameters(pe_lanes=4),
    Parameters(pe_lanes=4, b_signed=False, carry_spacing=1, horner=True),
    Parameters(pe_lanes=4, radix=2, carry_spacing_low=3),
    Parameters(pe_lanes=2, b_width=5, acc_width=17, carry_spacing=64, carry_spacing_low=64),
    Parameters(pe_lanes=3, b_width=16, acc_width=40, horner=True, carry_spacing=7),
    Parameters(b_width=4, acc_width=8, carry_spacing=2),
    Parameters(b_width=8, acc_width=8, pe_lanes=4),
]


def extreme_or_random(rng, width):
    extremes = [0, 1, (1 << width - 1) - 1, 1 << width - 1, (1 << width) - 1]
    return rng.choice(extremes) if rng.random() < 0.5 else rng.getrandbits(width)


def integer(config, raw):
    return raw - (1 << config.b_width) if config.b_signed and raw >> (config.b_width - 1) else raw


def operands(config, rng):
    """(select, b) of a cycle as the ports take them, and the sum they stand for; one lane in four is a bubble."""
    select = b = total = 0
    for lane in range(config.pe_lanes):
        if rng.random() < 0.25:
            continue
        raw, negative = extreme_or_random(rng, config.b_width), rng.getrandbits(1)
        two = rng.getrandbits(1) if config.radix == 4 else 0
        select |= (two | negative << 1) << 2 * lane
        b |= raw << config.b_width * lane
        total += (1 - 2 * negative) * (1 + two) * integer(config, raw)
    return select, b, total


def fed_back(config, total, clear, shift):
    return 0 if clear else config.radix * total if shift else total


def read(ctx, config, pe):
    carries = ctx.get(pe.c) if len(pe.c) else 0
    word = sum((carries >> i & 1) << column for i, column in enumerate(slice_carry_columns(config)))
    return (ctx.get(pe.s) + word) % (1 << config.acc_width)


@pytest.fixture
def held(clocked):
    """A function that checks a PE's sum in every cycle of a run of (select, b, what they stand for, clear, shift)."""

    def check(config, run, **options):
        pe = SlicePE(config, **options)

        async def bench(ctx):
            expected = None
            for select, b, total, clear, shift in run:
                ctx.set(pe.select, select)
                ctx.set(pe.b, b)
                await ctx.tick()
                ctx.set(pe.clear, clear)
                if config.horner:
                    ctx.set(pe.shift, shift)
                assert ctx.get(pe.select_o) == select
                if expected is not None:
                    assert read(ctx, config, pe) == expected
                before = fed_back(config, expected, clear, shift)
                expected = (before + total + slice_constant(config)) % (1 << config.acc_width)

        clocked(pe, bench)

    return check


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("registered", ["operands", "multiples"])
def test_random_runs(held, config, registered):
    rng = random.Random(1)
    shift = 0.2 if config.horner else 0
    held(
        config,
        [
            (*operands(config, rng), int(cycle == 0 or rng.random() < 0.1), int(rng.random() < shift))
            for cycle in range(200)
        ],
        registered=registered,
    )


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("negative", [0, 1])
@pytest.mark.parametrize("high", [0, 1])
@pytest.mark.parametrize("registered", ["operands", "multiples"])
def test_long_runs_of_extremes(held, config, negative, high, registered):
    # The largest magnitude there is: twice the least or the greatest b in all lanes.
    raw = 1 << config.b_width - 1 if config.b_signed else (1 << config.b_width) - 1
    raw = raw - 1 if high and config.b_signed else raw
    two = int(config.radix == 4)
    select = sum((two | negative << 1) << 2 * lane for lane in range(config.pe_lanes))
    b = sum(raw << config.b_width * lane for lane in range(config.pe_lanes))
    total = config.pe_lanes * (1 - 2 * negative) * (1 + two) * integer(config, raw)
    held(config, [(select, b, total, int(cycle == 0), 0) for cycle in range(60)], registered=registered)


def test_registered_is_checked():
    pe = SlicePE.__new__(SlicePE)
    pe._MustUse__used = True
    with pytest.raises(ValueError, match=r"^registered must be 'operands' or 'multiples', not 'b'$"):
        pe.__init__(Parameters(), registered="b")


def test_carry_columns():
    assert slice_carry_columns(Parameters(carry_spacing=8)) == [*range(1, 9), 9, 17, 25]
    assert slice_carry_columns(Parameters(carry_spacing=5, carry_spacing_low=4)) == [4, 8, 9, 14, 19, 24]
    assert slice_carry_columns(Parameters(radix=2, carry_spacing=9)) == [*range(1, 8), 8, 17]
    assert slice_carry_columns(Parameters(pe_lanes=4, carry_spacing=64)) == list(range(1, 12))
    assert slice_carry_columns(Parameters(acc_width=8, carry_spacing_low=64)) == []


@pytest.mark.parametrize("config", [CONFIGS[0], CONFIGS[2], CONFIGS[5], CONFIGS[8]], ids=str)
def test_correction_is_minus_the_constant_of_every_cycle(clocked, config):
    correction, rng = SliceCorrection(config), random.Random(2)

    async def bench(ctx):
        for length in (1, 2, 9, 1, 40):
            total = 0
            for cycle in range(length):
                shift = config.horner and rng.random() < 0.2
                ctx.set(correction.clear, cycle == 0)
                if config.horner:
                    ctx.set(correction.shift, shift)
                ctx.set(correction.last, cycle == length - 1)
                await ctx.tick()
                total = fed_back(config, total, cycle == 0, shift) + slice_constant(config)
            assert ctx.get(correction.correction) == -total % (1 << config.acc_width)

    clocked(correction, bench)


@pytest.mark.parametrize("config", [Parameters(), Parameters(horner=True), Parameters(radix=2)], ids=str)
def test_opt3(clocked, config):
    pe, rng = OPT3PE(config), random.Random(3)

    async def bench(ctx):
        queue, expected, pending = [], None, None
        for _ in range(400):
            # The operands that went in a cycle ago are in the registers now.
            if pending is not None:
                clear, shift = int(expected is None or rng.random() < 0.1), int(config.horner and rng.random() < 0.2)
                ctx.set(pe.clear, clear)
                if config.horner:
                    ctx.set(pe.shift, shift)
                if expected is not None:
                    assert read(ctx, config, pe) == expected
                before = fed_back(config, expected, clear, shift)
                expected = (before + pending + slice_constant(config)) % (1 << config.acc_width)
            assert ctx.get(pe.valid) == bool(queue)
            assert ctx.get(pe.free) == (len(queue) <= 1)
            b, pending = rng.getrandbits(config.b_width), 0
            ctx.set(pe.b, b)
            if queue:
                index, digit = queue.pop(0)
                assert ctx.get(pe.index) == index
                pending = digit * integer(config, b)
            nonzero, two, negative = (rng.getrandbits(4) for _ in range(3))
            two = two if config.radix == 4 else 0
            load = not queue and rng.random() < 0.8
            for port, value in ((pe.load, load), (pe.nonzero, nonzero), (pe.two, two), (pe.negative, negative)):
                ctx.set(port, value)
            if load:
                queue = [
                    (i, (1 + (two >> i & 1)) * (1 - 2 * (negative >> i & 1))) for i in range(4) if nonzero >> i & 1
                ]
            await ctx.tick()

    clocked(pe, bench)


def test_opt3_has_one_lane():
    with pytest.raises(ValueError, match=r"^OPT3 has one lane, not 4$"):
        OPT3PE.ports(Parameters(pe_lanes=4))


def test_placed_by_name():
    config = Parameters()
    for place, name in (
        (place_slice_pe, "slice_pe"),
        (place_opt3_pe, "opt3_pe"),
        (place_slice_correction, "slice_correction"),
    ):
        placed = place(config)
        placed._MustUse__used = True
        assert placed._name == name
