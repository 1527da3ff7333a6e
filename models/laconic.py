"""Laconic's term-serial array: configuration, stimulus and cycle model.

After Sharify et al., "Laconic Deep Learning Inference Acceleration", ISCA 2019: both operands are written as sums of
signed powers of two, their *terms*, and a lane multiplies one term of A with one term of B a cycle, which takes no more
than the sum of two exponents and the product of two signs. A product costs ``terms of A`` times ``terms of B`` cycles.

Our reading of it, for an array: the terms of an operand are found once, at the array's edge, and broadcast, those of A
along a row of PEs and those of B down a column. All PEs therefore see the same term of an operand at the same time and
run in lockstep. Lane l of a group of operands (one input beat) takes ``TA[l] * TB[l]`` cycles, where ``TA[l]`` is the
largest number of terms that any of the rows' operands has in that lane, and ``TB[l]`` that of the columns' operands: for
each index of a term of A, each index of a term of B; where an operand has no term of that index its PEs add nothing. The
group is over with its slowest lane, after one cycle at least.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from .config import parameter
from .digits import ENCODINGS, Recoding
from .errors import ConfigError
from .mac import ADDERS
from .tile import TileConfig, tile_stimulus

__all__ = [
    "LaconicConfig",
    "laconic_cycles",
    "laconic_gemm_cycles",
    "laconic_steps",
    "laconic_stimulus",
    "largest_terms",
]

# One-step tiles at the head of the stimulus.
SINGLE_TERMS = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaconicConfig(TileConfig):
    """Array of term-serial PEs, each with lanes along K."""

    design: ClassVar[str] = "laconic"

    #: Cycles from a tile's last beat to its first row if the beat takes one step: waiting digits, digits, term, sum of the
    #: lanes (3), accumulator, drain, delay of the low part, output FIFO. Each further step adds one.
    latency: ClassVar[int] = 10

    lanes: int = parameter(16, "lanes of a PE: operands of each row and column in a beat", legal=(1, 16))
    terms: str = parameter("naf", "digits whose non-zero ones are the terms of an operand", choices=ENCODINGS)
    sync: str = parameter(
        "lane",
        "what goes on to its next term by itself: each lane, or all lanes of the array together",
        choices=("lane", "array"),
    )
    heaps: int | None = parameter(
        None,
        "parts of a PE's lanes that are summed apart in its first pipeline stage: more are faster; derived as lanes / 4",
        legal=(1, 16),
    )
    adder: str = parameter(
        "kogge-stone",
        "parallel-prefix structure of the carry-propagate adders; hybrid follows the bits' arrival",
        choices=ADDERS,
    )

    def derive(self):
        super().derive()
        if (self.partial_products, self.encode) != ("booth", "pe"):
            raise ConfigError('laconic has no partial products: leave partial_products = "booth" and encode = "pe"')
        if self.max_k < self.lanes:
            raise ConfigError(
                f"max_k must be at least lanes = {self.lanes}, the products of one beat, not {self.max_k!r}"
            )
        if self.heaps is None:
            self._set(heaps=-(-self.lanes // 4))
        if self.heaps > self.lanes:
            raise ConfigError(f"heaps must be at most lanes = {self.lanes}, not {self.heaps!r}")

    @property
    def a_recoding(self):
        """Digits of operand a."""
        return Recoding(encoding=self.terms, width=self.a_width, signed=self.a_signed)

    @property
    def b_recoding(self):
        """Digits of operand b."""
        return Recoding(encoding=self.terms, width=self.b_width, signed=self.b_signed)

    @property
    def a_exponent(self):
        """Largest exponent of a term of operand a."""
        return _largest_exponent(self.a_recoding)

    @property
    def b_exponent(self):
        """Largest exponent of a term of operand b."""
        return _largest_exponent(self.b_recoding)


@functools.cache
def _largest_exponent(recoding):
    digits = np.abs(recoding.encode(recoding.values)[0].astype(np.int64))
    return int((digits * np.abs(recoding.weights)).max()).bit_length() - 1


def largest_terms(recoding):
    """Largest number of terms of an operand."""
    return int(_term_counts(recoding).max())


@functools.cache
def _term_counts(recoding):
    return recoding.nonzero_digits(recoding.values)


def _terms(recoding, values):
    """Number of terms of each value; raises :exc:`ConfigError` for one out of range."""
    values = np.asarray(values)
    if values.size:
        recoding.nonzero_digits(np.stack([values.min(), values.max()]))
    return _term_counts(recoding)[values - recoding.minimum]


def _steps(config, a_terms, b_terms):
    """Steps of groups from the largest numbers of terms in each lane, the last axis."""
    if config.sync == "array":
        a_terms, b_terms = a_terms.max(axis=-1), b_terms.max(axis=-1)
        return np.maximum(a_terms * b_terms, 1)
    return np.maximum((a_terms * b_terms).max(axis=-1), 1)


def laconic_steps(config, beats):
    """Cycles for which each beat occupies the PEs.

    Parameters
    ----------
    config : :class:`LaconicConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    ``int64`` array, one element a beat
    """
    a, b = _terms(config.a_recoding, beats["a"]), _terms(config.b_recoding, beats["b"])
    return _steps(
        config,
        a.reshape(len(beats), config.rows, config.lanes).max(axis=1),
        b.reshape(len(beats), config.cols, config.lanes).max(axis=1),
    )


def _tile_ends(config, totals):
    """Cycle of each tile's last step, from its number of steps; the first beat of all is accepted in cycle 0."""
    ends = np.zeros(len(totals), np.int64)
    end = 1  # the cycle in which the first group is loaded
    for tile, total in enumerate(totals.tolist()):
        before, end = end, end + total
        if tile:
            # The drain serves a row a cycle.
            end = max(end, before + config.rows)
            # The result buffer must have let go of this many rows.
            gone = (tile + 1) * config.rows - config.result_rows
            if gone > 0:
                owner, row = divmod(gone - 1, config.rows)
                end = max(end, int(ends[owner]) + config.latency - 1 + row)
        ends[tile] = end
    return ends


def _delivered(config, ends):
    # A beat's step comes two cycles after it, if it is alone.
    return ends[:, np.newaxis] + config.latency - 2 + np.arange(config.rows)


def laconic_cycles(config, beats):
    """When the array accepts and delivers, with input always valid and output always ready.

    Parameters
    ----------
    config : :class:`LaconicConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    accepted : array of ``int64``
        Cycle in which each beat is accepted, the first one in cycle 0. It is loaded with the last step of the beat before,
        when the beat after it is accepted, too, and its steps follow in the cycles after that.
    delivered : array of ``int64``, shape ``(tiles, rows)``
        Cycle in which each row of C is taken.
    """
    steps = laconic_steps(config, beats)
    # Steps before each beat, as if no tile ever waited for the drain.
    before = np.concatenate([[0], np.cumsum(steps)])
    last = np.flatnonzero(beats["last"])
    totals = np.diff(before[last + 1], prepend=0)
    ends = _tile_ends(config, totals)
    waited = ends - np.cumsum(totals)
    tile = np.cumsum(beats["last"]) - beats["last"]
    loaded = before[:-1] + np.concatenate([[1], waited])[tile]
    accepted = np.concatenate([[0], loaded])[: len(beats)]
    return accepted, _delivered(config, ends)


def laconic_gemm_cycles(config, a, b):
    """Cycles of a whole matrix product, without its beats: for matrices of which they would fill the memory.

    Parameters
    ----------
    config : :class:`LaconicConfig`
    a : array of integers, shape (M, K)
    b : array of integers, shape (K, N)
        Neither may be empty.

    Returns
    -------
    :class:`int`
        Cycle in which the last row of the last tile is taken, counted from the first beat accepted; tiles and groups in the
        order of ``config.schedule``, input always valid and output always ready.

    Raises
    ------
    ConfigError
        If an operand is out of range.
    """
    (m, k), n = a.shape, b.shape[1]
    down, across, groups = -(-m // config.rows), -(-n // config.cols), -(-k // config.lanes)
    # Zeros, with which matrices are padded, have no terms.
    a_terms = np.zeros((down * config.rows, groups * config.lanes), np.int64)
    b_terms = np.zeros((groups * config.lanes, across * config.cols), np.int64)
    a_terms[:m, :k] = _terms(config.a_recoding, a)
    b_terms[:k, :n] = _terms(config.b_recoding, b)
    a_terms = a_terms.reshape(down, config.rows, groups, config.lanes).max(axis=1)
    b_terms = b_terms.reshape(groups, config.lanes, across, config.cols).max(axis=3).transpose(2, 0, 1)
    totals = np.concatenate([_steps(config, row, b_terms).sum(axis=1) for row in a_terms])
    return int(_delivered(config, _tile_ends(config, totals))[-1, -1])


def laconic_stimulus(config, rng, count):
    """Input beats: tiles of a single step with operands of one term, every exponent among them, then those of
    :func:`~carrysave.models.tile.tile_stimulus`.

    Parameters
    ----------
    config : :class:`LaconicConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats. The last beat ends its tile.
    """
    head = config.i.zeros(min(SINGLE_TERMS, count))
    for name, recoding in (("a", config.a_recoding), ("b", config.b_recoding)):
        single = recoding.values[_term_counts(recoding) == 1]
        head[name] = rng.choice(single, head[name].shape)
    head["last"] = 1
    return np.concatenate([head, tile_stimulus(config, rng, count - len(head))])
