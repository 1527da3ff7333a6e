"""What the stream of ``transformer-block`` brings, word by word: tokens, then for each phase its constants and weights.

An input is one row of words a token, the last word of the last token with ``last`` (or the last word of as many tokens as there
is room for). Then come sections, in the order of the phases:

===============================  ================================================================================================
``query``, ``key``, ``value``    of each head, for each word of columns: constants, weights
``scores``                       of each head: constants, the same for all columns
``context``                      of each head, for each word of columns: constants
``projection``, ``contraction``  for each word of columns: constants of the residual branch, constants, weights
``first_norm``, ``second_norm``  for each word of columns: constants
``expansion``                    for each word of columns: constants of what requantises ShiftGELU's results, constants, weights
===============================  ================================================================================================

Constants of a word of columns are words of bytes, each element a byte of its column, least significant byte first: the bias, the
multiplier, the shift; of the other branch the multiplier and the shift only. The weights of a word of columns are rows, in tiles
of ``lanes`` of them, the last row of a tile first, as the array takes them. The sections do not depend on the number of tokens.
"""

import dataclasses

import numpy as np

from .block_step import checked_array
from .errors import ConfigError
from .integer_block import Dense, IntegerBlock, Norm, Ratios
from .transformer_block import SHIFT_BYTES

__all__ = ["Section", "block_sections", "largest_shift", "sections_words", "to_words", "weights_of_words"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """Words for a word of columns.

    Members
    -------
    phase : :class:`str`
        One of :data:`~carrysave.models.transformer_block.PHASES`.
    head : :class:`int`
        Of the phases of a head.
    columns : :class:`slice`
        Among those of the phase's constants, of all heads.
    rows : :class:`int`
        Of weights.
    other : :class:`str` or ``None``
        Whose constants of the other branch come first, an attribute of the block.
    bytes : tuple of :class:`int`
        Words of the other branch's multiplier and shift, none without; of the bias, the multiplier and the shift.
    """

    phase: str
    head: int
    columns: slice
    rows: int
    other: str | None
    bytes: tuple

    @property
    def words(self):
        """How many words."""
        return sum(self.bytes) + self.rows


def block_sections(config):
    """All sections of a :class:`~carrysave.models.transformer_block.TransformerBlockConfig`, a list, in order."""
    lanes = config.lanes
    bias, multiplier = config.bias_bytes, config.multiplier_bytes

    def sections(phase, words, *, head=0, first=0, rows=0, other=None):
        before = (multiplier, SHIFT_BYTES) if other else (0, 0)
        for word in range(first, first + words):
            columns = slice(word * lanes, (word + 1) * lanes)
            given = (*before, bias, multiplier, SHIFT_BYTES)
            yield Section(phase=phase, head=head, columns=columns, rows=rows, other=other, bytes=given)

    found, width = [], config.width
    for head in range(config.heads):
        mine = {"head": head, "first": head * config.head_words}
        for phase in ("query", "key", "value"):
            found += sections(phase, config.head_words, rows=width, **mine)
        found += sections("scores", 1, head=head)
        found += sections("context", config.head_words, **mine)
    found += sections("projection", config.width_words, rows=width, other="first_residual")
    found += sections("first_norm", config.width_words)
    found += sections("expansion", config.hidden_words, rows=width, other="gelu")
    found += sections("contraction", config.width_words, rows=config.hidden, other="second_residual")
    found += sections("second_norm", config.width_words)
    return found


def _constants(block, section):
    """Weights, bias, multiplier and shift of a section; the last three one for each of its columns."""
    phase, columns = section.phase, section.columns
    zeros = np.zeros(columns.stop - columns.start, np.int64)
    none = np.zeros((0, len(zeros)), np.int64)
    if phase == "scores":
        ratios = block.scores[section.head]
        return none, zeros, zeros + ratios.multiplier, zeros + ratios.shift
    if phase == "context":
        ratios = block.context[columns]
        return none, zeros, ratios.multiplier, ratios.shift
    if phase.endswith("_norm"):
        norm = getattr(block, phase.removesuffix("_norm"))
        return none, norm.bias[columns], norm.ratios.multiplier[columns], norm.ratios.shift[columns]
    dense = getattr(block, phase)
    ratios = dense.ratios[columns]
    return dense.weights[:, columns], dense.bias[columns], ratios.multiplier, ratios.shift


def largest_shift(config, section, *, other=False):
    """Largest shift that a section's constants may have; more is of no use."""
    units = config.units
    if other and section.other == "gelu":
        return units["gelu_requantise"].largest_shift
    if section.phase in ("projection", "contraction"):
        return units["residual"].largest_shift
    return units["norm_requantise" if section.phase.endswith("_norm") else "requantise"].largest_shift


def sections_words(block, config):
    """Words of all sections of a block, array of ``int64`` (words, lanes).

    Parameters
    ----------
    block : :class:`~carrysave.models.integer_block.IntegerBlock`
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`

    Raises
    ------
    ConfigError
        For a bias of a product with weights that does not fit in ``dense_bias_width``.
    """
    half, lanes, words = 1 << config.dense_bias_width - 1, config.lanes, []
    for section in block_sections(config):
        weights, bias, multiplier, shift = _constants(block, section)
        if not section.phase.endswith("_norm"):
            checked_array(f"bias of {section.phase}", bias, bias.shape, -half, half - 1)
        if section.other:
            ratios = getattr(block, section.other)[section.columns]
            other = (ratios.multiplier, np.minimum(ratios.shift, largest_shift(config, section, other=True)))
        else:
            other = (bias, bias)  # of no bytes
        values = (*other, bias, multiplier, np.minimum(shift, largest_shift(config, section)))
        words += [_bytes(value, count) for value, count in zip(values, section.bytes, strict=True)]
        words.append(_tiles(weights, lanes))
    return np.concatenate(words)


def _bytes(values, count):
    """Bytes of integers as signed ones, (count, lanes), least significant first."""
    parts = (np.asarray(values, np.int64) >> 8 * np.arange(count)[:, None]) & 0xFF
    return parts - ((parts & 0x80) << 1)


def _integers(words, *, signed):
    """The inverse of :func:`_bytes`."""
    if not len(words):
        return np.zeros(words.shape[1], np.int64)
    parts = words & 0xFF
    if signed:
        parts[-1] = words[-1]
    return (parts << 8 * np.arange(len(words))[:, None]).sum(axis=0)


def _tiles(weights, lanes):
    """Rows of weights in tiles of ``lanes``, each tile's in reverse; its own inverse."""
    return weights.reshape(-1, lanes, weights.shape[1])[:, ::-1].reshape(weights.shape)


def to_words(block, config, x):
    """Input beats for one input.

    Parameters
    ----------
    block : :class:`~carrysave.models.integer_block.IntegerBlock`
        Of the arithmetic of ``config``.
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`
    x : array of int8, (tokens, width)

    Returns
    -------
    array of ``config.i.dtype``

    Raises
    ------
    ConfigError
        For a block of other arithmetic; for another shape of ``x``, or an element that is no int8; see :func:`sections_words`.
    """
    for field in dataclasses.fields(block.config):
        wanted, given = getattr(config, field.name), getattr(block.config, field.name)
        if wanted != given:
            raise ConfigError(f"{field.name} of the block must be {wanted!r}, not {given!r}")
    x = np.asarray(x)
    if x.ndim != 2 or x.shape[1] != config.width or not 1 <= len(x) <= config.max_tokens:
        raise ConfigError(
            f"an input must be an array of shape (1..{config.max_tokens}, {config.width}), not {x.shape!r}"
        )
    tokens = checked_array("an input", x, x.shape, -128, 127).reshape(-1, config.lanes)
    words = sections_words(block, config)
    beats = config.i.zeros(len(tokens) + len(words))
    beats["x"] = np.concatenate([tokens, words])
    beats["last"][len(tokens) - 1] = 1
    return beats


def weights_of_words(config, words):
    """The block whose sections these words are.

    Parameters
    ----------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`
    words : array of integers, (words, lanes)
        All of the sections.

    Returns
    -------
    :class:`~carrysave.models.integer_block.IntegerBlock`

    Raises
    ------
    ConfigError
        For constants that are out of range; for constants of ``scores`` that differ from column to column.
    """
    sizes = dict.fromkeys(("query", "key", "value", "projection", "context"), config.width)
    sizes |= dict.fromkeys(("contraction", "first_norm", "second_norm"), config.width)
    sizes |= {"expansion": config.hidden, "scores": config.heads}
    sizes |= {"first_residual": config.width, "second_residual": config.width, "gelu": config.hidden}
    bias, multiplier, shift = ({name: np.zeros(size, np.int64) for name, size in sizes.items()} for _ in range(3))
    weights = {
        name: np.zeros((config.hidden if name == "contraction" else config.width, sizes[name]), np.int64)
        for name in ("query", "key", "value", "projection", "expansion", "contraction")
    }
    at = 0
    for section in block_sections(config):
        parts = []
        for place, count in enumerate(section.bytes):
            parts.append(_integers(words[at : at + count], signed=place == 2))
            at += count
        phase, columns = section.phase, section.columns
        if section.other:
            _check_shift(config, section, parts[1], other=True)
            multiplier[section.other][columns], shift[section.other][columns] = parts[:2]
        _check_shift(config, section, parts[4])
        if phase == "scores":
            odd = [*parts[2][parts[2] != 0], *(value for part in parts[3:] for value in part if value != part[0])]
            if odd:
                raise ConfigError(
                    f"constants of scores must be the same for all columns, without a bias, not {int(odd[0])!r}"
                )
            columns, parts = section.head, [part[0] for part in parts]
        bias[phase][columns], multiplier[phase][columns], shift[phase][columns] = parts[2:]
        if section.rows:
            weights[phase][:, columns] = _tiles(words[at : at + section.rows], config.lanes)
            at += section.rows
    if bias["context"].any():
        odd = int(bias["context"][np.flatnonzero(bias["context"])[0]])
        raise ConfigError(f"constants of context must be without a bias, not {odd!r}")
    half = 1 << config.dense_bias_width - 1
    for name in weights:
        checked_array(f"bias of {name}", bias[name], bias[name].shape, -half, half - 1)
    ratios = {name: Ratios(multiplier=multiplier[name], shift=shift[name]) for name in sizes}
    parts = {name: Dense(weights=weights[name], bias=bias[name], ratios=ratios[name]) for name in weights}
    for half in ("first", "second"):
        parts[half] = Norm(bias=bias[f"{half}_norm"], ratios=ratios[f"{half}_norm"])
        parts[f"{half}_residual"] = ratios[f"{half}_residual"]
    parts |= {name: ratios[name] for name in ("scores", "context", "gelu")}
    return IntegerBlock(config=config, **parts)


def _check_shift(config, section, shift, *, other=False):
    """A shift of more bits than its table has would lose them."""
    top = (1 << largest_shift(config, section, other=other).bit_length()) - 1
    if (shift < 0).any() or (shift > top).any():
        raise ConfigError(
            f"a shift of {section.phase} must be in 0..{top}, not {int(shift[(shift < 0) | (shift > top)][0])!r}"
        )
