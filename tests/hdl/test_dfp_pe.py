"""Arithmetic of the DFP designs: the pre-shift for every operand, the accumulator against plain Python in every cycle."""

import random
from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from carrysave.hdl.dfp_pe import DFPPE, CarrySaveSum, chain_carries, shifted_operand
from carrysave.models.dfp_dot import DFPDotConfig
from carrysave.models.dfp_fma import OPERANDS, SHIFT_ROUNDINGS, DFPFMAConfig, DFPFMACSConfig, pre_shift
from carrysave.sim.logic import logic_of
from carrysave.sim.polynomials import packed_bits, unpacked_bits


class PreShifts(wiring.Component):
    """An operand after the pre-shifts of several configurations of one width."""

    def __init__(self, configs):
        self._configs = configs
        outputs = {f"shifted{index}": Out(config.operand_width) for index, config in enumerate(configs)}
        super().__init__({"operand": In(configs[0].width), **outputs})

    def elaborate(self, platform):
        m = Module()
        for index, config in enumerate(self._configs):
            m.d.comb += getattr(self, f"shifted{index}").eq(shifted_operand(m, config, self.operand, f"x{index}"))
        return m


@pytest.mark.parametrize("width", [4, 16])
def test_pre_shift_of_every_operand(width):
    configs = [
        DFPFMAConfig(width=width, input_shift=shift, shift_rounding=rounding, operands=operands, acc_width=48)
        for shift, rounding, operands in product(range(min(4, width - 2) + 1), SHIFT_ROUNDINGS, OPERANDS)
    ]
    logic = logic_of(PreShifts(configs), "pre_shifts")
    raw = np.arange(1 << width)
    given = {node: packed_bits(raw >> index & 1) for index, node in enumerate(logic.ports["operand"])}
    values = np.where(raw >> width - 1, raw - (1 << width), raw)
    for index, config in enumerate(configs):
        bits = logic.evaluate(logic.ports[f"shifted{index}"], given, (1 << len(raw)) - 1)
        planes = [unpacked_bits(bit, len(raw)).astype(np.int64) for bit in bits]
        found = sum(plane << place for place, plane in enumerate(planes)) - (planes[-1] << len(planes))
        assert np.array_equal(found, pre_shift(config, values)), config.canonical()


@pytest.fixture
def held(clocked):
    """A function that checks a PE's accumulator in every cycle of a run of random steps, bubbles among them."""

    def check(config, cycles, seed):
        rng, pe, columns = random.Random(seed), DFPPE(config), chain_carries(config)
        top, size = 1 << config.width - 1, 1 << config.register_width
        low, high = -(1 << config.acc_width - 1), (1 << config.acc_width - 1) - 1
        mask = 2 * top - 1

        def operand():
            return rng.choice([-top, -top + 1, -1, 0, 1, top - 1]) if rng.random() < 0.5 else rng.randrange(-top, top)

        async def bench(ctx):
            total = taken = clamped = wrapped = saturated = 0
            for cycle in range(cycles):
                # Now and then a chain of extremes only.
                extreme = (cycle // 16) % 4 == 3
                a, b = ([-top] * config.lanes if extreme else [operand() for _ in range(config.lanes)] for _ in "ab")
                clear = taken in (0, config.chain) or rng.random() < 0.05
                enable = cycle == 0 or rng.random() < 0.8
                for port, values in ((pe.a, a), (pe.b, b)):
                    word = sum((value & mask) << config.width * lane for lane, value in enumerate(values))
                    ctx.set(port, word)
                ctx.set(pe.clear, clear)
                ctx.set(pe.enable, enable)
                await ctx.tick()
                if enable:
                    x, y = (pre_shift(config, np.array(values)).tolist() for values in (a, b))
                    exact = (0 if clear else total) + sum(p * q for p, q in zip(x, y, strict=True))
                    taken, saturated = (1, 0) if clear else (taken + 1, saturated)
                    if config.overflow == "saturate":
                        total = max(low, min(high, exact))
                        saturated += total != exact
                        clamped += total != exact
                    else:
                        total = exact
                        wrapped += not low <= exact <= high
                if config.carry_save:
                    carries = ctx.get(pe.c)
                    found = ctx.get(pe.s) + sum((carries >> i & 1) << column for i, column in enumerate(columns))
                else:
                    found = ctx.get(pe.acc)
                assert found % size == total % size
                assert -size // 2 <= total < size // 2
                if config.overflow == "saturate":
                    assert ctx.get(pe.saturated) == saturated
            assert clamped > 5 or config.overflow != "saturate"
            assert wrapped > 5 or config.overflow != "flag"

        clocked(pe, bench)

    return check


@pytest.mark.parametrize(
    "config",
    [
        DFPFMAConfig(width=6, acc_width=12, adder="brent-kung"),
        DFPFMAConfig(width=5, acc_width=10, input_shift=0, operands="symmetric", chain=1),
        DFPFMAConfig(width=7, acc_width=13, shift_rounding="toward-zero", operands="symmetric", input_shift=2),
        DFPFMAConfig(width=4, input_shift=2, acc_width=8, shift_rounding="nearest-even"),
        DFPFMAConfig(width=6, acc_width=11, input_shift=0, overflow="saturate", chain=9),
        DFPFMAConfig(width=9, acc_width=8, overflow="saturate", chain=5),
        DFPFMAConfig(width=5, acc_width=8, overflow="saturate", chain=40),
        DFPFMAConfig(width=6, acc_width=10, overflow="flag", chain=9),
        DFPFMACSConfig(width=6, acc_width=12),
        DFPFMACSConfig(width=6, acc_width=10, overflow="flag", chain=9, carry_spacing=1, carry_spacing_low=1),
        DFPFMACSConfig(width=4, input_shift=2, acc_width=8, carry_spacing=64, carry_spacing_low=64),
        DFPDotConfig(lanes=3, width=5, acc_width=12),
        DFPDotConfig(lanes=5, width=6, accumulator="carry-save", overflow="flag", chain=7, acc_width=10),
    ],
    ids=lambda config: config.canonical()[:150],
)
def test_accumulator(held, config):
    held(config, 100, 1)


def test_the_shift_makes_the_multiplier_narrower():
    logic = {
        shift: logic_of(DFPPE(DFPFMAConfig(width=8, input_shift=shift, acc_width=24)), "pe") for shift in (0, 2, 4)
    }
    gates = {shift: len(one.gates) for shift, one in logic.items()}
    assert gates[0] > 1.2 * gates[2] > 1.44 * gates[4]


@pytest.mark.parametrize("carries", [(), (2, 5, 9), tuple(range(12))], ids=str)
def test_carry_save_sum(clocked, carries):
    adder = CarrySaveSum(12, carries, "sklansky")
    rng = random.Random(3)

    async def bench(ctx):
        expected = None
        for cycle in range(100):
            s, c, enable = (
                rng.getrandbits(12),
                rng.getrandbits(12) >> 12 - len(carries),
                cycle == 0 or rng.random() < 0.5,
            )
            ctx.set(adder.s, s)
            ctx.set(adder.c, c)
            ctx.set(adder.enable, enable)
            await ctx.tick()
            if enable:
                expected = (s + sum((c >> i & 1) << column for i, column in enumerate(carries))) % (1 << 12)
            assert ctx.get(adder.sum) == expected

    clocked(adder, bench)
