"""The stream of a transformer block: order of its words, what the golden model makes of them, what is refused."""

import re

import numpy as np
import pytest

from carrysave.models.block_stream import (
    block_macs,
    random_block,
    transformer_block_golden,
    transformer_block_macs,
    transformer_block_stimulus,
)
from carrysave.models.block_words import block_sections, sections_words, to_words, weights_of_words
from carrysave.models.errors import ConfigError
from carrysave.models.transformer_block import PHASES, TransformerBlockConfig

CONFIG = TransformerBlockConfig(heads=2, head_width=4, hidden=12, max_tokens=6, lanes=4, unit_lanes=2)


@pytest.fixture(scope="module")
def block():
    return random_block(CONFIG, np.random.default_rng(1))


def little_endian(values, count):
    """Bytes of integers, one word for each."""
    signed = [int(value).to_bytes(8, "little", signed=True)[:count] for value in values]
    return [[byte - 256 if byte > 127 else byte for byte in place] for place in zip(*signed, strict=True)]


def words_of(block, config):
    """The sections, written once more as their description has it."""
    lanes, words = config.lanes, []

    def constants(bias, ratios, columns):
        for values, count in ((bias, 4), (ratios.multiplier, 4), (ratios.shift, 1)):
            words.extend(little_endian(values[columns], count))

    def columns_of(count, first=0):
        return [slice(first + at, first + at + lanes) for at in range(0, count, lanes)]

    def weights(dense, columns):
        for tile in range(0, len(dense.weights), lanes):
            for row in reversed(range(tile, tile + lanes)):
                words.append(dense.weights[row, columns].tolist())

    def other(ratios, columns):
        for values, count in ((ratios.multiplier, 4), (ratios.shift, 1)):
            words.extend(little_endian(values[columns], count))

    nothing = np.zeros(config.width, int)
    for head in range(config.heads):
        mine = columns_of(config.head_width, head * config.head_width)
        for dense in (block.query, block.key, block.value):
            for columns in mine:
                constants(dense.bias, dense.ratios, columns)
                weights(dense, columns)
        constants(nothing, block.scores[[head] * lanes], slice(0, lanes))
        for columns in mine:
            constants(nothing, block.context, columns)
    for columns in columns_of(config.width):
        other(block.first_residual, columns)
        constants(block.projection.bias, block.projection.ratios, columns)
        weights(block.projection, columns)
    for columns in columns_of(config.width):
        constants(block.first.bias, block.first.ratios, columns)
    for columns in columns_of(config.hidden):
        other(block.gelu, columns)
        constants(block.expansion.bias, block.expansion.ratios, columns)
        weights(block.expansion, columns)
    for columns in columns_of(config.width):
        other(block.second_residual, columns)
        constants(block.contraction.bias, block.contraction.ratios, columns)
        weights(block.contraction, columns)
    for columns in columns_of(config.width):
        constants(block.second.bias, block.second.ratios, columns)
    return words


def test_order_of_words(block):
    assert sections_words(block, CONFIG).tolist() == words_of(block, CONFIG)
    assert len(words_of(block, CONFIG)) == sum(section.words for section in block_sections(CONFIG))


@pytest.mark.parametrize("tokens", [1, 5, 6])
def test_what_comes_out_is_the_block(block, tokens):
    x = np.random.default_rng(tokens).integers(-128, 128, (tokens, CONFIG.width))
    beats = to_words(block, CONFIG, x)
    assert beats["x"][: 2 * tokens].reshape(tokens, -1).tolist() == x.tolist()
    assert np.flatnonzero(beats["last"]).tolist() == [2 * tokens - 1]
    found = transformer_block_golden(CONFIG, beats)
    assert found["y"].reshape(tokens, -1).tolist() == block.run(x)["output"].tolist()
    assert np.flatnonzero(found["last"]).tolist() == [len(found) - 1]
    assert transformer_block_macs(CONFIG, beats) == sum(block_macs(CONFIG, tokens).values())
    assert len(transformer_block_golden(CONFIG, beats[:-1])) == 0


def test_an_input_ends_by_itself_and_flags_elsewhere_mean_nothing(block):
    x = np.random.default_rng(3).integers(-128, 128, (6, CONFIG.width))
    beats = to_words(block, CONFIG, x)
    expected = transformer_block_golden(CONFIG, np.concatenate([beats, beats]))
    beats["last"] = 1
    beats["last"][1:12:2] = 0  # of no token's last word
    assert (transformer_block_golden(CONFIG, np.concatenate([beats, beats])) == expected).all()
    assert len(expected) == 2 * 6 * 4


def test_multiply_accumulates():
    macs = block_macs(TransformerBlockConfig(heads=12, head_width=32, hidden=1536, max_tokens=64), 64)
    assert macs["query"] == macs["projection"] == 64 * 384 * 384
    assert macs["scores"] == macs["context"] == 12 * 64 * 64 * 32
    assert macs["expansion"] == macs["contraction"] == 64 * 384 * 1536
    assert set(macs) < set(PHASES)


def test_stimulus_meets_all_lengths_and_clamps():
    beats = transformer_block_stimulus(CONFIG, np.random.default_rng(2), 20_000)
    CONFIG.i.check(beats)
    found = transformer_block_golden(CONFIG, beats)
    lengths = np.diff(np.flatnonzero(found["last"]), prepend=-1) // 4
    assert set(lengths.tolist()) == {1, 2, 3, 4, 5, 6}
    assert lengths[:3].tolist() == [3, 1, 6]
    assert {-128, 0, 127} <= set(found["y"].ravel().tolist())


def changed(block, place, section, by):
    """Words of a block with one byte changed: that of a section's first column."""
    words = sections_words(block, CONFIG)
    at = 0
    for one in block_sections(CONFIG):
        if one.phase == section:
            break
        at += one.words
    words[at + place, 0] = by
    return words


@pytest.mark.parametrize(
    ("place", "section", "byte", "message"),
    [
        (8, "query", 64, r"^a shift of query must be in 0\.\.63, not 64$"),
        (8, "query", -1, r"^a shift of query must be in 0\.\.63, not 255$"),
        (3, "key", 100, r"^bias of key must be in -1073741824\.\.1073741823, not \d+$"),
        (0, "scores", 1, r"^constants of scores must be the same for all columns, without a bias, not 1$"),
        (6, "scores", 1, r"^constants of scores must be the same for all columns, without a bias, not \d+$"),
        (0, "context", 1, r"^constants of context must be without a bias, not 1$"),
        (7, "context", -1, r"^multiplier of context must be in 0\.\.2147483647, not \d+$"),
        (3, "second_norm", -100, r"^bias of second must be in -1073741824\.\.1073741823, not -\d+$"),
        (4, "expansion", 70, r"^a shift of expansion must be in 0\.\.63, not 70$"),
    ],
)
def test_constants_that_are_refused(block, place, section, byte, message):
    with pytest.raises(ConfigError, match=message):
        weights_of_words(CONFIG, changed(block, place, section, byte))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"lanes": 6}, "lanes must be a power of two, not 6"),
        ({"unit_lanes": 3}, "unit_lanes must be a power of two, not 3"),
        ({"unit_lanes": 8}, "unit_lanes must divide lanes, 4, not 8"),
        ({"gelu_row": 8}, "gelu_row must divide lanes, 4, not 8"),
        ({"gelu_row": 1}, "gelu_row must be a multiple of unit_lanes, 2, not 1"),
        ({"head_width": 6}, "head_width must be a multiple of lanes, 4, not 6"),
        ({"hidden": 10}, "hidden must be a multiple of lanes, 4, not 10"),
        ({"array": "cube"}, "array must be one of tree, systolic-ws, not 'cube'"),
        ({"max_tokens": 257}, "max_tokens must be an integer in 1..256, not 257"),
    ],
)
def test_configurations_that_are_refused(parameters, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        TransformerBlockConfig(**parameters)


@pytest.mark.parametrize(
    ("change", "x", "message"),
    [
        ({}, np.zeros((7, 8), int), "an input must be an array of shape (1..6, 8), not (7, 8)"),
        ({}, np.zeros(8, int), "an input must be an array of shape (1..6, 8), not (8,)"),
        ({}, np.full((1, 8), 128), "an input must be in -128..127, not 128"),
        ({"octave": 5}, np.zeros((1, 8), int), "octave of the block must be 5, not 4"),
        ({"heads": 3}, np.zeros((1, 12), int), "heads of the block must be 3, not 2"),
    ],
)
def test_inputs_that_are_refused(block, change, x, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        to_words(block, CONFIG.replace(**change), x)


def test_units_have_the_arithmetic_of_the_block():
    config = TransformerBlockConfig(heads=3, head_width=8, hidden=32, lanes=8, unit_lanes=4, residual_width=12)
    units = config.units
    for name, arithmetic in (
        ("requantise", config.requantise),
        ("residual", config.residual),
        ("shiftmax", config.shiftmax),
        ("gelu", config.shift_gelu),
        ("layer_norm", config.layer_norm),
    ):
        wanted = arithmetic.to_mapping()
        for parameter in ("source_width", "max_length"):
            wanted.pop(parameter, None)
        assert wanted == {key: units[name].to_mapping()[key] for key in wanted}, name
    assert units["layer_norm"].max_length == config.width
    assert units["norm_requantise"].source_width == config.layer_norm.result_width
    assert units["gelu_requantise"].source_width == config.shift_gelu.result_width
    assert units["requantise"].source_width == units["array"].acc_width == 21
