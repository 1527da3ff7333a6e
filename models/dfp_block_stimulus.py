"""Stimulus of ``dfp-quantise`` and ``dfp-down``: directed blocks first, then random ones of all lengths and scales."""

import numpy as np

from .dfp_block import block_ends
from .dfp_units import exponent_range
from .float_format import FORMATS

__all__ = ["dfp_down_stimulus", "dfp_quantise_stimulus"]

_FLOAT = FORMATS["float32"]


def _spread(values, lanes):
    """Values in turn over the lanes of as many beats as they fill, a different one first in each round."""
    return np.resize(np.asarray(values, np.int64), (-(-len(values) // lanes), lanes))


def _in_blocks(config, beats, block, values):
    """A directed block: rows of values, or a list that is spread over lanes; the last beat ends it."""
    rows = _spread(values, config.lanes) if np.ndim(values) == 1 else np.asarray(values, np.int64)
    last = np.zeros(len(rows), np.int64)
    last[-1] = 1
    beats.append({"value": rows, "last": last, **{name: np.full(len(rows), value) for name, value in block.items()}})


def _joined(config, blocks, count):
    joined = {name: np.concatenate([block[name] for block in blocks])[:count] for name in blocks[0]}
    if count:
        joined["last"][-1] = 1
    return config.i.beats(**joined)


def _random_blocks(config, rng, beats):
    """Ends of random blocks, some longer than legal, and from beats to their blocks."""
    lengths = rng.integers(1, config.block_beats + 2, beats + 1)
    ends = np.cumsum(lengths)
    last = np.zeros(beats, np.int64)
    last[ends[ends <= beats] - 1] = 1
    last[-1:] = 1
    # Longer ones end by themselves: their beats belong to different blocks.
    ended = block_ends(config, last)
    return last, np.concatenate([[0], np.cumsum(ended)[:-1]])[:beats]


def _digits(rng, shape, bits):
    """Words of so many bits: uniform; a few digits and zeros, which makes ties; a run of ones on top, which rounds up."""
    words = rng.integers(0, 1 << bits, shape)
    low = (np.int64(1) << rng.integers(0, bits + 1, shape)) - 1
    return np.choose(rng.integers(0, 3, shape), [words, words & ~low, words | (~low & (1 << bits) - 1)])


def _codes(significands, exponents):
    """float32 codes of integers of up to 24 digits with exponents; what float32 cannot hold ends at its ends."""
    with np.errstate(over="ignore"):
        values = np.ldexp(np.asarray(significands, np.float64), exponents).astype(np.float32)
    return values.view(np.uint32).astype(np.int64)


def _ratios(config):
    """Directed magnitudes in units of 2^-8 of a mantissa's last place: ties, near ties, the largest mantissa last."""
    top = config.largest << 8
    small = [0, 1, 127, 128, 129, 255, 256, 257, 383, 384, 385, 511, 640, 896]
    return [*small, top >> 1, top - 128, top - 127, top]


def dfp_quantise_stimulus(config, rng, count):
    """Input beats: codes one by one, special values, ties, exponents at their ends, subnormal numbers, then random blocks.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_block.DFPQuantiseConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; directed ones come first and are cut where they do not fit. The last beat ends its block.
    """
    sign, infinity, nan = _FLOAT.sign_mask, _FLOAT.infinity_code, _FLOAT.nan_code
    subnormal, largest, one = _FLOAT.smallest_normal_code, _FLOAT.largest_code, _FLOAT.bias << 23
    blocks = []

    def add(*values):
        _in_blocks(config, blocks, {}, *values)

    # Alone, and with one beat more.
    corners = [
        0,
        1,
        one,
        (1 << 32) - 1,
        subnormal - 1,
        subnormal,
        largest,
        infinity,
        nan,
        sign,
        sign | 1,
        sign | infinity,
    ]
    for code in corners:
        for beats in (1, 2):
            add(np.full((beats, config.lanes), code))
    low, high = exponent_range(config.exponent_width)
    ratios = np.array(_ratios(config))
    tops = [config.largest << 8, (config.largest << 8) + 127, (config.largest << 8) + 128, (config.largest << 8) + 255]
    for exponent in dict.fromkeys((0, low - 1, low, low + 1, high - 1, high, high + 1)):
        for top in tops:
            add(_codes([128, top, 384, -top], exponent - 8))
    add(_codes(ratios * np.resize([1, -1], len(ratios)), -8))
    # One element beyond all others, which vanish, by just more than powers of two; subnormal numbers alone; special values.
    add([*_codes([1, -1, 3, 1, 7], [20 - 33, 20 - 35, 20 - 65, 20 - 67, -100]), *_codes([-1], 20)])
    add([1, sign | 2, 3, subnormal - 1])
    add([*_codes([5, -3], 0), nan, infinity, sign | infinity, sign | nan, infinity | 1])
    add([nan, sign | infinity, infinity, nan])
    add(np.zeros((1, config.lanes)))
    long = np.ones((2 * config.block_beats + 1, config.lanes), np.int64) * one
    long += np.arange(len(long))[:, None] << 21
    add(long[: config.block_beats])
    add(long)

    beats = max(count - sum(len(block["last"]) for block in blocks), 0)
    last, of_block = _random_blocks(config, rng, beats)
    # Scales of which every second gives an exponent that is legal, or nearly so.
    near = np.clip(np.array([low - 3, high + 3]) + config.width - 2, -150, 127)
    scales = np.where(
        rng.random(beats + 1) < 0.5, rng.integers(*near, beats + 1, endpoint=True), rng.integers(-150, 128, beats + 1)
    )[of_block]
    shape = (beats, config.lanes)
    fields = scales[:, None] + _FLOAT.bias + 1 - np.minimum(rng.geometric(0.2, shape), 40)
    values = np.clip(fields, 0, 254) << 23 | _digits(rng, shape, 23)
    values = np.where(rng.random(shape) < 0.04, 0, values)
    values = np.where(rng.random(shape) < 0.02, rng.choice([infinity, nan, infinity | 1], shape), values)
    values |= rng.integers(0, 2, shape) * sign
    return _joined(config, [*blocks, {"value": values, "last": last}], count)


def dfp_down_stimulus(config, rng, count):
    """Input beats: extremes with all extreme exponents, ties, exponents at their ends, then random blocks.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_block.DFPDownConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; directed ones come first and are cut where they do not fit. The last beat ends its block.
    """
    value, exponent, _last = config.i.fields
    blocks = []

    def add(at, *values):
        _in_blocks(config, blocks, {"exponent": at}, *values)

    extremes = [value.minimum, -1, 0, 1, value.maximum, value.minimum + 1]
    for at in (exponent.minimum, -1, 0, 1, exponent.maximum):
        for code in extremes:
            add(at, np.full((1, config.lanes), code))
        add(at, np.array([np.roll(np.resize(extremes, config.lanes), turn) for turn in (0, 1)]))
    low, high = exponent_range(config.exponent_width)
    most = config.source_width - config.width  # places by which the longest magnitudes but -2^(W-1) are shifted
    for shift in sorted({0, 1, max(most - 1, 0), max(most, 0)}):
        top = config.largest << shift
        tops = [top, top + (1 << shift >> 1) - 1, top + (1 << shift >> 1), top + (1 << shift) - 1]
        ends = [0, low - shift - 1, low - shift, high - shift, high - shift + 1, high + 1]
        for at in np.clip(ends, exponent.minimum, exponent.maximum).tolist():
            parts = [number for number in tops if number <= value.maximum] or [value.maximum]
            half = 1 << shift >> 1
            add(at, [half, -3 * half, *parts, half + 1, -parts[-1]])
    add(0, np.zeros((1, config.lanes)))
    long = np.arange(1, (2 * config.block_beats + 1) * config.lanes + 1).reshape(-1, config.lanes) % value.maximum
    add(0, long[: config.block_beats])
    add(0, long)

    beats = max(count - sum(len(block["last"]) for block in blocks), 0)
    last, of_block = _random_blocks(config, rng, beats)
    shape = (beats, config.lanes)
    lost = rng.integers(0, config.source_width, beats + 1)[of_block]
    magnitudes = _digits(rng, shape, config.source_width - 1) >> np.minimum(
        lost[:, None] + rng.geometric(0.4, shape) - 1, config.source_width - 1
    )
    values = np.where(rng.random(shape) < 0.5, magnitudes, -magnitudes - rng.integers(0, 2, shape))
    near = (low - config.source_width, high + 2)
    at = np.where(
        rng.random(beats + 1) < 0.75,
        rng.integers(*near, beats + 1, endpoint=True),
        rng.integers(exponent.minimum, exponent.maximum, beats + 1, endpoint=True),
    )
    at = np.clip(at, exponent.minimum, exponent.maximum)[of_block]
    return _joined(config, [*blocks, {"value": values, "exponent": at, "last": last}], count)
