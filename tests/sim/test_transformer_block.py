"""A transformer block of 16 tokens by 64 columns through its RTL, every output against the block in integers."""

import numpy as np

from carrysave.models.block_stream import block_macs, random_block, transformer_block_golden
from carrysave.models.block_words import to_words
from carrysave.models.transformer_block import PHASES, TransformerBlockConfig
from carrysave.sim.player import play

CONFIG = TransformerBlockConfig(heads=2, head_width=32, hidden=128, max_tokens=16, lanes=8, unit_lanes=2, gelu_row=8)


def test_block_of_16_by_64(store):
    rng = np.random.default_rng(7)
    block = random_block(CONFIG, rng)
    inputs = [rng.integers(-128, 128, (tokens, CONFIG.width)) for tokens in (16, 1, 11)]
    beats = np.concatenate([to_words(block, CONFIG, x) for x in inputs])
    expected = np.concatenate([block.run(x)["output"] for x in inputs])
    assert (transformer_block_golden(CONFIG, beats)["y"].reshape(-1, CONFIG.width) == expected).all()

    played = play(CONFIG, beats, store=store)
    assert played.passed, played.first_mismatch
    assert len(played.outputs) == expected.size // CONFIG.unit_lanes
    # No cycle belongs to two phases; between two inputs there is none, or a word would not go in.
    assert set(played.counters) == set(PHASES)
    assert 0 <= played.cycles - sum(played.counters.values()) <= 40
    # An array of 64 lanes does 64 a cycle.
    macs = {phase: sum(block_macs(CONFIG, len(x))[phase] for x in inputs) for phase in block_macs(CONFIG, 1)}
    assert all(played.counters[phase] >= count / 64 for phase, count in macs.items())
    stalled = play(CONFIG, beats, store=store, stalls=9)
    assert stalled.passed, stalled.first_mismatch
    assert stalled.cycles > played.cycles
