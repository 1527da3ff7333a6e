"""Golden model and stimulus of design ``transformer-block``: inputs with all of their weights, one after the other."""

import numpy as np

from .block_words import block_sections, to_words, weights_of_words
from .integer_block import Dense, IntegerBlock, Norm, Ratios

__all__ = [
    "block_macs",
    "block_unit_elements",
    "random_block",
    "transformer_block_golden",
    "transformer_block_macs",
    "transformer_block_macs_per_word",
    "transformer_block_stimulus",
]

# Root mean square of integers all equally likely, of 8 bits.
_RMS = 73


def _inputs(config, beats):
    """Of each input that is complete: its tokens, and the words of its sections."""
    row, words = config.width_words, sum(section.words for section in block_sections(config))
    at = 0
    while True:
        ends = np.flatnonzero(beats["last"][at + row - 1 :: row][: config.max_tokens])
        tokens = int(ends[0]) + 1 if len(ends) else config.max_tokens
        end = at + tokens * row
        if end + words > len(beats):
            return
        yield beats["x"][at:end].reshape(tokens, config.width), beats["x"][end : end + words]
        at = end + words


def transformer_block_golden(config, beats):
    """Results of the inputs that are complete.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`
    beats : array of ``config.i.dtype``
        From reset on.

    Returns
    -------
    array of ``config.o.dtype``

    Raises
    ------
    ConfigError
        For weights or constants that the block refuses.
    """
    found = [config.o.zeros(0)]
    for x, words in _inputs(config, beats):
        y = weights_of_words(config, words).run(x)["output"].reshape(-1, config.unit_lanes)
        last = np.zeros(len(y), np.int64)
        last[-1] = 1
        found.append(config.o.beats(y=y, last=last))
    return np.concatenate(found)


def block_macs(config, tokens):
    """Multiply-accumulates of each phase for an input of so many tokens, a dict; of all heads together.

    Parameters
    ----------
    config : :class:`~carrysave.models.integer_block.BlockConfig`
    tokens : :class:`int`
    """
    dense, attention = tokens * config.width**2, tokens**2 * config.width
    mlp = tokens * config.width * config.hidden
    macs = dict.fromkeys(("query", "key", "value", "projection"), dense)
    return macs | dict.fromkeys(("scores", "context"), attention) | dict.fromkeys(("expansion", "contraction"), mlp)


def block_unit_elements(config, tokens):
    """What each unit does for an input of so many tokens, a dict by the names of ``config.units``.

    Multiply-accumulates of the array; elements of the other units.
    """
    width, hidden, scores = tokens * config.width, tokens * config.hidden, tokens**2 * config.heads
    return {
        "array": sum(block_macs(config, tokens).values()),
        "requantise": 4 * width + scores + hidden,
        "shiftmax": scores,
        "residual": 2 * width,
        "layer_norm": 2 * width,
        "norm_requantise": 2 * width,
        "gelu": hidden,
        "gelu_requantise": hidden,
    }


def transformer_block_macs(config, beats):
    """Multiply-accumulates of the inputs that are complete."""
    return sum(sum(block_macs(config, len(x)).values()) for x, _words in _inputs(config, beats))


def transformer_block_macs_per_word(config):
    """The same for each word of an input of as many tokens as there is room for, on average."""
    words = config.max_tokens * config.width_words + sum(section.words for section in block_sections(config))
    return sum(block_macs(config, config.max_tokens).values()) / words


def random_block(config, rng):
    """A block with random weights, and scales by which all tensors fill their bits.

    Parameters
    ----------
    config : :class:`~carrysave.models.integer_block.BlockConfig`
    rng : :class:`numpy.random.Generator`
    """
    width, hidden = config.width, config.hidden
    bits = config.multiplier_bits
    largest = 1 << config.residual_width - 1

    def ratios(count, ratio):
        # Up to twice as large or small, so that some elements are clamped.
        return Ratios.of(ratio * 2.0 ** rng.uniform(-1, 1, count), bits=bits)

    def dense(rows, columns, top):
        scale = _RMS * _RMS * rows**0.5
        bias = np.rint(rng.normal(0, scale, columns)).astype(np.int64)
        weights = rng.integers(-128, 128, (rows, columns))
        weights = np.where(rng.random(weights.shape) < 0.05, rng.choice([-128, 127], weights.shape), weights)
        return Dense(weights=weights, bias=bias, ratios=ratios(columns, top / 2 / scale))

    def norm():
        # A normalised element is of about 2^30 / sqrt(n).
        scale = 2**30 / width**0.5
        half = 1 << config.bias_width - 1
        bias = np.clip(np.rint(rng.normal(0, scale / 2, width)), -half, half - 1).astype(np.int64)
        return Norm(bias=bias, ratios=ratios(width, 60 / scale))

    return IntegerBlock(
        config=config,
        query=dense(width, width, 128),
        key=dense(width, width, 128),
        value=dense(width, width, 128),
        scores=ratios(config.heads, 10 / _RMS**2 / config.head_width**0.5),
        context=ratios(width, 1 / 128),
        projection=dense(width, width, largest / 2),
        first_residual=ratios(width, largest / 4 / _RMS),
        first=norm(),
        expansion=dense(width, hidden, 64),
        gelu=ratios(hidden, 1 / 128),
        contraction=dense(hidden, width, largest / 2),
        second_residual=ratios(width, largest / 4 / _RMS),
        second=norm(),
    )


def transformer_block_stimulus(config, rng, count):
    """Input beats: inputs of three tokens, one, and as many as there is room for, then of any number; extremes among them.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; the last input may lack some.
    """
    parts, total = [], 0
    lengths = [min(3, config.max_tokens), 1, config.max_tokens]
    while total < count:
        tokens = lengths.pop(0) if lengths else int(rng.integers(1, config.max_tokens + 1))
        x = rng.integers(-128, 128, (tokens, config.width))
        x = np.where(rng.random(x.shape) < 0.1, rng.choice([-128, -1, 0, 1, 127], x.shape), x)
        if rng.random() < 0.2:
            x[:] = rng.choice([-128, 0, 127], (tokens, 1))
        beats = to_words(random_block(config, rng), config, x)
        # Where it does not end the tokens it means nothing.
        inside = np.arange(len(beats)) < tokens * config.width_words
        ends = np.arange(len(beats)) % config.width_words == config.width_words - 1
        beats["last"] |= (rng.random(len(beats)) < 0.2) & ~(inside & ends)
        if tokens == config.max_tokens:
            beats["last"][tokens * config.width_words - 1] = 0  # ends by itself
        parts.append(beats)
        total += len(beats)
    return np.concatenate(parts)[:count]
