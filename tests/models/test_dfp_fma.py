"""Fused multiply-add of dynamic fixed point: golden model against plain Python, and the derived chains by brute force."""

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from carrysave.models.dfp_fma import (
    OPERANDS,
    SHIFT_ROUNDINGS,
    DFPFMAConfig,
    DFPFMACSConfig,
    chain_ends,
    dfp_fma_golden,
    dfp_fma_stimulus,
    in_order,
    pre_shift,
)
from carrysave.models.errors import ConfigError
from carrysave.sim.coverage import coverage, holes

CONFIGS = [
    {},
    {"input_shift": 0, "operands": "symmetric"},
    {"input_shift": 2, "shift_rounding": "toward-zero"},
    {"shift_rounding": "nearest-even", "operands": "symmetric"},
    {"width": 4, "acc_width": 9, "input_shift": 2, "shift_rounding": "nearest-even"},
    {"width": 5, "acc_width": 48, "input_shift": 3},
    {"overflow": "saturate", "chain": 9},
    {"overflow": "saturate", "chain": 5, "acc_width": 8, "input_shift": 0},
    {"overflow": "saturate", "chain": 70, "width": 8, "acc_width": 17, "shift_rounding": "nearest-even"},
    {"overflow": "flag", "chain": 9},
    {"overflow": "flag", "chain": 70, "input_shift": 0, "acc_width": 30},
    {"width": 8, "acc_width": 16, "chain": 1},
]


def naive_shift(config, value):
    if config.operands == "symmetric" and value == -(2 ** (config.width - 1)):
        value += 1
    exact = Fraction(value, 2**config.input_shift)
    if config.shift_rounding == "floor":
        return math.floor(exact)
    if config.shift_rounding == "toward-zero":
        return math.trunc(exact)
    return min(round(exact), 2 ** (config.width - 1 - config.input_shift) - 1)


def naive_golden(config, beats):
    results, total, told, taken = [], 0, 0, 0
    low, high = -(2 ** (config.acc_width - 1)), 2 ** (config.acc_width - 1) - 1
    for a, b, last in zip(*(beats[name].tolist() for name in ("a", "b", "last")), strict=True):
        total += sum(naive_shift(config, x) * naive_shift(config, y) for x, y in zip(a, b, strict=True))
        taken += 1
        if config.overflow == "saturate":
            told += not low <= total <= high
            total = max(low, min(high, total))
        if last or taken == config.chain:
            if config.overflow == "refuse":
                assert low <= total <= high
                results.append((total, last))
            elif config.overflow == "saturate":
                results.append((total, told, last))
            else:
                results.append(((total - low) % 2**config.acc_width + low, int(not low <= total <= high), last))
            total, told, taken = 0, 0, 0
    return results


@pytest.mark.parametrize("parameters", CONFIGS, ids=str)
def test_golden(parameters):
    config = DFPFMAConfig(**parameters)
    beats = dfp_fma_stimulus(config, np.random.default_rng(5), 1500)
    config.i.check(beats)
    results = dfp_fma_golden(config, beats)
    config.o.check(results)
    assert results.tolist() == naive_golden(config, beats)
    if config.overflow != "refuse":
        told = results["saturated" if config.overflow == "saturate" else "overflow"]
        assert (told > 0).any(), "nothing overflowed: the test shows nothing"
        assert (told == 0).any()


@pytest.mark.parametrize("parameters", [{}, {"overflow": "flag", "chain": 9}], ids=str)
def test_both_accumulators_give_the_same(parameters):
    config, other = DFPFMAConfig(**parameters), DFPFMACSConfig(**parameters)
    beats = dfp_fma_stimulus(config, np.random.default_rng(6), 500)
    assert (dfp_fma_golden(config, beats) == dfp_fma_golden(other, beats)).all()


@pytest.mark.parametrize(("rounding", "operands"), list(product(SHIFT_ROUNDINGS, OPERANDS)))
@pytest.mark.parametrize("shift", range(5))
def test_pre_shift(rounding, operands, shift):
    config = DFPFMAConfig(width=8, input_shift=shift, shift_rounding=rounding, operands=operands)
    values = range(-128, 128)
    shifted = pre_shift(config, np.array(values)).tolist()
    assert shifted == [naive_shift(config, value) for value in values]
    assert (min(shifted), max(shifted)) == config.operand_range
    assert -(1 << config.operand_width - 1) <= min(shifted)
    assert max(shifted) < 1 << config.operand_width - 1


@pytest.mark.parametrize(("rounding", "operands"), list(product(SHIFT_ROUNDINGS, OPERANDS)))
@pytest.mark.parametrize("width", [4, 5])
def test_chains_by_brute_force(width, rounding, operands):
    """All sums that chains of any length can have: their ends are what the derivation says, and so is the first overflow."""
    met = set()
    for shift, acc_width in product(range(width - 1), (8, 9, 10)):
        parameters = {"width": width, "input_shift": shift, "shift_rounding": rounding, "operands": operands}
        config = DFPFMAConfig(**parameters, acc_width=acc_width, overflow="flag", chain=1)
        shifted = {naive_shift(config, value) for value in range(-(2 ** (width - 1)), 2 ** (width - 1))}
        products = {x * y for x in shifted for y in shifted}
        steps = {x + y for x in products for y in products}
        limit, sums, length = 2 ** (acc_width - 1), {0}, 0
        while True:
            # Steps add sums to sums: of a set's sums only the ends can lead to the ends of the next.
            following = {x + y for x in {min(sums), max(sums)} for y in steps}
            least, most = config.step_range
            assert (min(following), max(following)) == ((length + 1) * least, (length + 1) * most)
            if min(following) < -limit or max(following) >= limit:
                break
            sums, length = following, length + 1
        assert config.safe_chain == length
        met.add(length)
        if length:
            assert DFPFMAConfig(**parameters, acc_width=acc_width).chain == length
        with pytest.raises(ConfigError, match=rf"^chain = {length + 1} can overflow: shifted operands are -"):
            DFPFMAConfig(**parameters, acc_width=acc_width, chain=length + 1)
    assert len(met) > 4
    assert 0 in met or width == 4


@pytest.mark.parametrize(
    ("parameters", "chain"),
    [
        ({"input_shift": 0, "operands": "symmetric"}, 1),
        ({}, 3),
        ({"shift_rounding": "nearest-even"}, 3),
        ({"operands": "symmetric", "shift_rounding": "toward-zero"}, 4),
        ({"input_shift": 2}, 15),
        ({"width": 4}, 65536),
        ({"acc_width": 48, "input_shift": 0}, 65535),
    ],
    ids=str,
)
def test_longest_chain(parameters, chain):
    config = DFPFMAConfig(**parameters)
    assert config.chain == config.safe_chain == chain
    # The worst that can come: the golden model sees nothing overflow, and something with one step more.
    beats = config.i.zeros(min(chain, 300))
    beats["a"] = beats["b"] = -(2 ** (config.width - 1))
    beats["last"][-1] = 1
    (result,) = dfp_fma_golden(config, beats).tolist()
    assert result == (len(beats) * config.step_range[1], 1)
    if chain < 300:
        flagged = config.replace(overflow="flag", chain=chain + 1)
        beats = np.concatenate([beats, beats[-1:]])
        beats["last"] = np.arange(chain + 1) == chain
        assert dfp_fma_golden(flagged, beats)["overflow"].tolist() == [1]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"input_shift": 0},
            "no chain is safe: shifted operands are -32768..32767, products -1073709056..1073741824, so 1 step of 2 reach "
            "2147483648, beyond 2147483647; set input_shift to 1, or set acc_width to 33, or choose a chain and "
            'overflow = "saturate" or "flag"',
        ),
        (
            {"chain": 4},
            "chain = 4 can overflow: shifted operands are -16384..16383, products -268419072..268435456, so 4 steps of 2 "
            "reach 2147483648, beyond 2147483647; set chain to 3 or less, or set input_shift to 2, or set acc_width to 33, "
            'or choose overflow = "saturate" or "flag"',
        ),
        (
            {"chain": 65536, "input_shift": 0},
            "chain = 65536 can overflow: shifted operands are -32768..32767, products -1073709056..1073741824, so 65536 steps "
            "of 2 reach 140737488355328, beyond 2147483647; no chain is safe: choose overflow = \"saturate\" or \"flag\"",
        ),
        ({"width": 4, "input_shift": 3}, "input_shift must leave 2 bits of 4 at least, not 1"),
        ({"chain": 0}, "chain must be an integer in 1..65536, not 0"),
        ({"shift_rounding": "up"}, "shift_rounding must be one of floor, toward-zero, nearest-even, not 'up'"),
    ],
)  # fmt: skip
def test_refused(parameters, message):
    with pytest.raises(ConfigError) as caught:
        DFPFMAConfig(**parameters)
    assert str(caught.value) == message


def test_what_is_advised_is_accepted():
    for parameters in ({"input_shift": 1}, {"input_shift": 0, "acc_width": 33}):
        assert DFPFMAConfig(**parameters).chain >= 1
    for parameters in ({"chain": 3}, {"chain": 4, "input_shift": 2}, {"chain": 4, "acc_width": 33}):
        assert DFPFMAConfig(**parameters)


def test_no_saturation_in_carry_save_form():
    with pytest.raises(ConfigError, match=r'^overflow = "saturate" needs a resolved accumulator: .*"flag"$'):
        DFPFMACSConfig(overflow="saturate", chain=2)
    with pytest.raises(ConfigError, match=r'or choose overflow = "flag"$'):
        DFPFMACSConfig(chain=4)


@pytest.mark.parametrize(
    ("steps", "sums", "saturated"),
    [
        # 20 000 a step: the third is too large, the clamped sum then comes back from 32767 and not from 60000.
        ([1, 1, -1], [12767], [1]),
        ([-1, -1, -1, -1, 1], [-12768], [3]),
    ],
)
def test_saturation_is_step_by_step(steps, sums, saturated):
    config = DFPFMAConfig(width=8, acc_width=16, input_shift=0, overflow="saturate", chain=8)
    beats = config.i.zeros(len(steps))
    beats["a"], beats["b"] = np.array([[100, 100]] * len(steps)), np.array([[100 * step] * 2 for step in steps])
    beats["last"][-1] = 1
    results = dfp_fma_golden(config, beats)
    assert results["sum"].tolist() == sums
    assert results["saturated"].tolist() == saturated


def test_chain_ends():
    config = DFPFMAConfig(chain=3)
    ends = chain_ends(config, [0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0])
    assert ends.astype(int).tolist() == [0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 0]
    assert chain_ends(config, []).tolist() == []


def test_in_order():
    runs = [(found.tolist(), index.tolist()) for found, index in in_order(np.array([0, 2, 3]), np.array([2, 1, 3]))]
    assert [(sorted(zip(*pair, strict=True))) for pair in runs] == [
        [(0, 0), (1, 2), (2, 3)], [(0, 1), (2, 4)], [(2, 5)]
    ]  # fmt: skip
    assert list(in_order(np.zeros(0, int), np.zeros(0, int))) == []


def test_unfinished_chain_gives_nothing():
    config = DFPFMAConfig(chain=3)
    beats = config.i.zeros(5)
    beats["a"], beats["b"] = 2, 4
    assert dfp_fma_golden(config, beats).tolist() == [(3 * 2 * 1 * 2, 0)]
    assert len(dfp_fma_golden(config, beats[:2])) == 0
    assert len(dfp_fma_golden(config, beats[:0])) == 0


@pytest.mark.parametrize("parameters", CONFIGS, ids=str)
def test_stimulus(parameters):
    config = DFPFMAConfig(**parameters)
    beats = dfp_fma_stimulus(config, np.random.default_rng(7), 3000)
    assert len(beats) == 3000
    assert beats["last"][-1] == 1
    assert holes(coverage(config.i, beats)) == []
    low, high = config.i.fields[0].minimum, config.i.fields[0].maximum
    corners = {low, low + 1, -1, 0, 1, high}
    for lane in range(2):
        pairs = set(zip(beats["a"][:, lane].tolist(), beats["b"][:, lane].tolist(), strict=True))
        assert set(product(corners, corners)) <= pairs
    if config.input_shift:
        rest = np.abs(beats["a"]) % (1 << config.input_shift)
        assert (rest == 1 << config.input_shift - 1).any(), "no ties"
    lengths = np.diff(np.flatnonzero(beats["last"]), prepend=-1)
    if config.chain < 50:  # else the count leaves no room for so long ones
        extreme = ((beats["a"] == low) & (beats["b"] == low)).all(axis=1)
        runs = {
            int(length) for end, length in zip(np.cumsum(lengths), lengths, strict=True) if extreme[end - length : end].all()
        }  # fmt: skip
        assert {config.chain, config.chain + 1, 2 * config.chain + 1} <= runs
    assert (beats == dfp_fma_stimulus(config, np.random.default_rng(7), 3000)).all()


@pytest.mark.parametrize("count", [0, 1, 10])
def test_short_stimulus(count):
    beats = dfp_fma_stimulus(DFPFMAConfig(), np.random.default_rng(0), count)
    assert len(beats) == count
    assert beats["last"][-1:].tolist() == [1] * min(count, 1)
