"""Bit-slice column array: configuration and cycle model.

Operand A is recoded into digits at the edge of the array; each weight's non-zero digits are worked on one a cycle and lane.
A *column* of processing elements serves one row of A and its PEs differ in B only, so that a column takes as long as its row
of A has digits, whatever B is. Columns run asynchronously within a tile and meet at its end.

The unit of the sparse encoder is a *group*: the digits of one weight of :data:`GROUP` successive operands.
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import parameter
from .digits import Recoding
from .errors import ConfigError
from .mac import operand_samples
from .payload import Field, Payload
from .tile import TileConfig, tile_stimulus

__all__ = [
    "GROUP",
    "BitSliceConfig",
    "BitSliceCycles",
    "bit_slice_cycles",
    "bit_slice_gemm_cycles",
    "bit_slice_stimulus",
    "column_cycles",
]

GROUP = 4  # operands of a group

_COUNTERS = ("busy", "sync", "operands", "results")
_LONG_AGO = -(1 << 40)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitSliceConfig(TileConfig):
    """Array of bit-slice columns: OPT3, OPT4C or OPT4E PEs, sparse over A's digits.

    ``rows`` is the number of columns (each serves a row of A), ``cols`` the number of PEs in each.
    """

    design: ClassVar[str] = "bit-slice"

    #: The accumulator passes from one digit weight to the next lower one by a shift in its feedback.
    horner: ClassVar[bool] = True

    pe: str = parameter(
        "opt4c",
        "processing element: a sparse encoder in each (opt3), one in each column (opt4c), or one for each of four lanes "
        "that a PE sums (opt4e)",
        choices=("opt3", "opt4c", "opt4e"),
    )
    encoding: str = parameter("en-t", "digits of operand a", choices=("en-t", "mbe", "naf"))
    skip: bool = parameter(True, "groups without a non-zero digit are skipped; otherwise each costs a cycle")
    tile_k: int | None = parameter(
        None,
        "operands a row of A and a column of B have in the buffers, a power of two; derived as 64, as 256 for opt4e, whose "
        "lanes meet at the end of each digit weight",
        legal=(32, 1024),
    )
    max_k: int | None = parameter(None, "longest reduction in a tile, in products; derived as tile_k", legal=(1, 1024))
    lanes: int | None = parameter(
        None, "steps of K in a beat, 1 or 4; derived as 4 for opt4e, which would wait for operands with 1", legal=(1, 4)
    )
    overflow: str = parameter("refuse", "an accumulator narrower than the worst case is refused", choices=("refuse",))
    partial_products: str = parameter("booth", "one multiple of b for each digit", choices=("booth",))
    encode: str = parameter("edge", "digits are made once, at the array's edge", choices=("edge",))
    carry_spacing: int = parameter(
        8, "columns for each bit of the carry word above the multiples of b; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(2, "the same in the columns that multiples of b reach", legal=(1, 64))
    result_rows: int | None = parameter(
        None, "rows of C that can wait at the output, tiles of `rows`; derived as two tiles", legal=(2, 256)
    )

    def derive(self):
        if self.tile_k is None:
            self._set(tile_k=256 if self.pe == "opt4e" else 64)
        if self.tile_k & (self.tile_k - 1):
            raise ConfigError(f"tile_k must be a power of two, not {self.tile_k!r}")
        if self.lanes is None:
            self._set(lanes=4 if self.pe == "opt4e" else 1)
        if self.lanes not in (1, GROUP):
            raise ConfigError(f"lanes must be 1 or {GROUP}, not {self.lanes!r}")
        if self.max_k is None:
            self._set(max_k=self.tile_k)
        if self.max_k > self.tile_k or self.max_k % self.lanes:
            raise ConfigError(
                f"max_k must be a multiple of lanes = {self.lanes} and at most tile_k = {self.tile_k}, not {self.max_k!r}"
            )
        if self.result_rows is None:
            self._set(result_rows=2 * self.rows)
        if self.result_rows < 2 * self.rows:
            raise ConfigError(f"result_rows must hold two tiles, {2 * self.rows} rows, not {self.result_rows!r}")
        super().derive()

    @cached_property
    def recoding(self):
        """How operand a is recoded into digits."""
        return Recoding(encoding=self.encoding, width=self.a_width, signed=self.a_signed)

    @property
    def radix(self):
        """4 or 2: what one digit weight is worth in units of the next lower one."""
        return self.recoding.radix

    @property
    def pe_lanes(self):
        """Digits that a PE adds in a cycle."""
        return GROUP if self.pe == "opt4e" else 1

    @property
    def entries(self):
        """Groups of a lane and digit weight that a tile has at most."""
        return self.tile_k // (GROUP * self.pe_lanes)

    @property
    def result_tiles(self):
        """Tiles of C that can wait at the output."""
        return self.result_rows // self.rows

    @property
    def pipeline(self):
        """Cycles from a column's last digit to PE 0's accumulator: address, select and b (not OPT3), operands, sum."""
        return 2 if self.pe == "opt3" else 3

    @property
    def latency(self):
        """Cycles from a tile's last beat to its first row if no digit weight takes more than one cycle; else longer."""
        return 3 + self.recoding.n_digits + self.pipeline + self.cols + 1

    @property
    def counters(self):
        """What the hardware counts from reset on.

        ``busy``: digits issued, summed over lanes and columns. The others are cycles, summed over columns: ``sync``, waiting
        at the end of a tile for other columns, and a cycle to begin together; ``operands``, all columns waiting for a tile
        that is being loaded; ``results``, at the end of a tile waiting for room for its results.
        """
        return Payload(tuple(Field(name, 32) for name in _COUNTERS))


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitSliceCycles:
    """What the cycle model predicts, with input always valid and output always ready.

    Parameters
    ----------
    accepted : array of ``int64``
        Cycle in which each tile's last beat is accepted; the first beat of all is accepted in cycle 0.
    delivered : array of ``int64``, shape ``(tiles, rows)``
        Cycle in which each row of C is taken.
    counters : :class:`dict`
        Values of the hardware's counters at the end, by name.
    """

    accepted: np.ndarray
    delivered: np.ndarray
    counters: dict

    @property
    def cycles(self):
        """Cycles from the first accepted beat to the last row of C, both counted."""
        return int(self.delivered[-1, -1]) + 1 if len(self.delivered) else 0


def column_cycles(config, a):
    """How long columns work on rows of A, barriers apart.

    For each digit weight a lane takes a cycle for each non-zero digit and, without ``skip``, one for each group that has
    none; the slowest lane counts, and at least one cycle, in which the accumulators are shifted.

    Parameters
    ----------
    config : :class:`BitSliceConfig`
    a : array of integers, shape ``(..., K)``
        Rows of A, each of one tile.

    Returns
    -------
    cycles : ``int64`` array of shape ``(...)``
    digits : ``int64`` array of shape ``(...)``
        Non-zero digits.
    """
    a = np.asarray(a, np.int64)  # room for the offset into the table
    recoding, lanes = config.recoding, config.pe_lanes
    table = (recoding.encode(recoding.values)[0] != 0).astype(np.int16)
    padding = -a.shape[-1] % GROUP
    zero = -recoding.minimum
    index = np.pad(a - recoding.minimum, [(0, 0)] * (a.ndim - 1) + [(0, padding)], constant_values=zero)
    digits = table[index].reshape(*a.shape[:-1], -1, GROUP, recoding.n_digits).sum(axis=-2, dtype=np.int16)
    groups = digits if config.skip else np.maximum(digits, 1)
    groups = np.pad(groups, [(0, 0)] * (a.ndim - 1) + [(0, -groups.shape[-2] % lanes), (0, 0)])
    by_lane = groups.reshape(*a.shape[:-1], -1, lanes, recoding.n_digits).sum(axis=-3, dtype=np.int64)
    cycles = np.maximum(by_lane.max(axis=-2), 1).sum(axis=-1)
    return cycles, digits.sum(axis=(-2, -1), dtype=np.int64)


def bit_slice_cycles(config, beats):
    """The cycle model for input beats; beats after the last complete tile are ignored.

    Parameters
    ----------
    config : :class:`BitSliceConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    :class:`BitSliceCycles`
    """
    ends = np.flatnonzero(beats["last"]) + 1
    lengths = np.diff(ends, prepend=0)
    cycles = np.zeros((len(ends), config.rows), np.int64)
    digits = np.zeros_like(cycles)
    a = beats["a"].reshape(len(beats), config.rows, config.lanes)
    for length in np.unique(lengths):
        chosen = np.flatnonzero(lengths == length)
        steps = a[(ends[chosen] - length)[:, np.newaxis] + np.arange(length)]
        rows = steps.transpose(0, 2, 1, 3).reshape(len(chosen), config.rows, -1)
        cycles[chosen], digits[chosen] = column_cycles(config, rows)
    return _timeline(config, lengths, cycles, int(digits.sum()))


def bit_slice_gemm_cycles(config, a, b_shape):
    """The cycle model for ``a @ b`` of any shape, as :func:`~carrysave.models.gemm.multiply` schedules it.

    Parameters
    ----------
    config : :class:`BitSliceConfig`
    a : array of integers, shape (M, K)
    b_shape : tuple (K, N)
        B's values do not matter.

    Returns
    -------
    :class:`BitSliceCycles`
    """
    a = np.asarray(a)
    (m, k), n = a.shape, b_shape[1]
    if k != b_shape[0] or 0 in (m, k, n):
        raise ConfigError(f"matrices of shapes {a.shape!r} and {tuple(b_shape)!r} have no product to stream")
    across = -(-n // config.cols)
    rows = np.pad(a, ((0, -m % config.rows), (0, 0)))
    lengths, cycles, total = [], [], 0
    for low in range(0, k, config.max_k):
        part = rows[:, low : low + config.max_k]
        taken, digits = column_cycles(config, part)
        cycles.append(np.repeat(taken.reshape(-1, config.rows), across, axis=0))
        lengths.append(np.full(len(cycles[-1]), -(-part.shape[1] // config.lanes)))
        total += int(digits.sum()) * across
    return _timeline(config, np.concatenate(lengths), np.concatenate(cycles), total)


def _timeline(config, lengths, cycles, digits):
    """What happens when, from the beats of each tile and the cycles of each of its columns."""
    if not len(lengths):
        none = np.zeros((0, config.rows), np.int64)
        return BitSliceCycles(accepted=none[:, 0], delivered=none, counters=dict.fromkeys(_COUNTERS, 0))
    # Nearly always results find room; then a column's end depends on the others through the barrier alone.
    begun, accepted, started = _barriers(config, lengths.tolist(), cycles.max(axis=1).tolist())
    ends = started[:, np.newaxis] + cycles
    delivered = _delivered(config, ends, -1)
    if not _room(config, ends, delivered):
        begun, accepted, started, ends, delivered = _tile_by_tile(config, lengths.tolist(), cycles)
    done = ends.max(axis=1)
    before = np.concatenate([begun[:1], done[:-1]])
    counters = {
        "busy": digits,
        # Beginning together takes each column a cycle more.
        "sync": int((done[:, np.newaxis] - ends + 1).sum()),
        # What is not yet being loaded is not waited for.
        "operands": int(np.maximum(accepted + 1 - np.maximum(before, begun), 0).sum()) * config.rows,
        "results": int((ends - started[:, np.newaxis] - cycles).sum()),
    }
    return BitSliceCycles(accepted=accepted, delivered=delivered, counters=counters)


def _barriers(config, lengths, longest):
    """First and last beat and start of each tile if its slowest column takes so long and no result waits."""
    rows, accepted, done, done_before = [], -1, _LONG_AGO, _LONG_AGO
    for length, cycles in zip(lengths, longest, strict=True):
        # A tile's buffers are those of the tile before the last one; its last PE reads `cols` cycles longer.
        begun = max(accepted + 1, done_before + config.cols + 1)
        accepted = begun + length - 1
        started = max(accepted + 3, done + 2)
        done_before, done = done, started + cycles
        rows.append((begun, accepted, started))
    return np.array(rows, np.int64).T


def _delivered(config, ends, last):
    """When rows are taken, in order, one a cycle, after cycle ``last``; ``ends`` of shape ``(tiles, rows)``."""
    place = np.arange(ends.size)
    ready = ends.ravel() + config.pipeline + config.cols + 1
    ready[0] = max(ready[0], last + 1)
    return (np.maximum.accumulate(ready - place) + place).reshape(ends.shape)


def _room(config, ends, delivered):
    """Whether each column's final adder is free again and each row has a place as the column ends."""
    tiles = config.result_tiles
    return (np.diff(ends, axis=0) >= config.cols).all() and (ends[tiles:] > delivered[:-tiles]).all()


def _tile_by_tile(config, lengths, cycles):
    rows, ends, delivered = [], [], []
    accepted, done, done_before = -1, _LONG_AGO, _LONG_AGO
    for tile, length in enumerate(lengths):
        begun = max(accepted + 1, done_before + config.cols + 1)
        accepted = begun + length - 1
        started = max(accepted + 3, done + 2)
        end = started + cycles[tile]
        if tile:
            end = np.maximum(end, ends[-1] + config.cols)
        if tile >= config.result_tiles:
            end = np.maximum(end, delivered[-config.result_tiles] + 1)
        delivered.append(_delivered(config, end, delivered[-1][-1] if tile else -1))
        ends.append(end)
        done_before, done = done, int(end.max())
        rows.append((begun, accepted, started))
    return *np.array(rows, np.int64).T, np.array(ends), np.array(delivered)


def bit_slice_stimulus(config, rng, count):
    """Input beats: a tile of zeros, the longest tile of extremes, the tiles of every array, and sparse ones between random.

    Parameters
    ----------
    config : :class:`BitSliceConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats. The last beat ends its tile.
    """
    a_field, b_field = config.i.fields[:2]
    longest = config.max_k // config.lanes
    parts = [_tile(config, np.zeros((min(longest, 3), *a_field.shape), np.int64), b_field.minimum)]
    parts.append(_tile(config, np.full((longest, *a_field.shape), a_field.minimum), b_field.minimum))
    parts.append(tile_stimulus(config, rng, max((count - sum(map(len, parts))) // 2, 1)))
    while (used := sum(map(len, parts))) < count:
        length = min(int(rng.integers(1, longest, endpoint=True)), count - used)
        a = operand_samples(a_field, rng, (length, *a_field.shape))
        # Whole columns may be empty, and single operands.
        a *= rng.random(a.shape) < rng.choice([0, 0.1, 0.4, 1], (1, config.rows, *[1] * (a.ndim - 2)))
        parts.append(_tile(config, a, operand_samples(b_field, rng, (length, *b_field.shape))))
    beats = np.concatenate(parts)[:count]
    if count:
        beats["last"][-1] = 1
    return beats


def _tile(config, a, b):
    tile = config.i.zeros(len(a))
    tile["a"], tile["b"] = a, b
    tile["last"][-1] = 1
    return tile
