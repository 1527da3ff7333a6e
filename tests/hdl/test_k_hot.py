"""The multiplier of K-hot weights: every operand with every weight of small ones, then through its streams."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from carrysave.hdl.catalogue import design
from carrysave.hdl.k_hot import KHotMultiplier
from carrysave.models.errors import ConfigError
from carrysave.models.k_hot_unit import KHotConfig, k_hot_fields, k_hot_golden


def by_hand(config, beat):
    """Product of one beat."""
    weight = 0
    for term in range(config.terms):
        negative = beat["negative"][term] if config.signs == "each" else beat["negative"]
        if beat["present"][term]:
            weight += (-1) ** int(negative) * 2 ** int(beat["position"][term])
    return int(beat["a"]) * weight


@pytest.mark.parametrize(
    "config",
    [
        KHotConfig(a_width=3, terms=2, position_bits=1),
        KHotConfig(a_width=2, a_signed=False, terms=3, position_bits=1, signs="one"),
        KHotConfig(a_width=5, terms=1, position_bits=2),
        KHotConfig(a_width=2, a_signed=False, terms=1, position_bits=3),
    ],
    ids=lambda config: config.canonical(),
)
def test_every_operand_with_every_weight(config):
    count = 1 << config.i.width
    beats = config.i.from_ints(range(count))
    multiplier, found = KHotMultiplier(config), []

    async def bench(ctx):
        for word in range(count):
            ctx.set(multiplier.operands.as_value(), word)
            found.append(ctx.get(multiplier.product))

    simulator = Simulator(multiplier)
    simulator.add_testbench(bench)
    simulator.run()
    assert found == [by_hand(config, beat) for beat in beats]
    assert k_hot_golden(config, beats)["product"].tolist() == found
    low, high = config.product_range
    assert (min(found), max(found)) == (low, high)  # the width is not larger than it must be


CONFIGS = [
    KHotConfig(),
    KHotConfig(a_width=24, terms=8, position_bits=5),
    KHotConfig(a_width=13, a_signed=False, terms=3, position_bits=4, signs="one"),
    KHotConfig(a_width=16, terms=1, position_bits=5, signs="one"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.4, 0.6)])
def test_streams(stream_run, config, shares):
    entry = design("k-hot")
    beats = entry.stimulus(config, np.random.default_rng(1), 90)
    expected = entry.golden(config, beats)
    assert expected["product"].tolist() == [by_hand(config, beat) for beat in beats]
    rng = random.Random(5)
    i_pause, o_pause = (lambda cycle, share=share: rng.random() < share for share in shares)
    words, taken_i, taken_o = stream_run(
        entry.component(config), config.i.to_ints(beats), len(expected), i_pause=i_pause, o_pause=o_pause
    )
    assert words == config.o.to_ints(expected)
    if not any(shares):
        assert taken_i == list(range(len(beats)))
        assert taken_o == [cycle + config.latency for cycle in taken_i]


@pytest.mark.parametrize(("signs", "exact"), [("each", 4), ("one", 7)])
def test_weights_become_fields(signs, exact):
    config = KHotConfig(terms=exact, position_bits=3, signs=signs)
    weights = np.arange(-128, 128)
    fields = k_hot_fields(config, weights)
    beats = config.i.beats(a=np.full(256, -77), **fields)
    assert k_hot_golden(config, beats)["product"].tolist() == (-77 * weights).tolist()
    with pytest.raises(ConfigError, match=r"^position_bits 3 reach position 7; these weights have 8$"):
        k_hot_fields(config, [5, 256])
