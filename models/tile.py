"""Tiles of an output-stationary array: what all such arrays have in common.

A tile is ``C[R, N] = A[R, K] B[K, N]`` with R rows and N columns of processing elements and any K. One input beat is one
step of K: a column of A and a row of B, or ``lanes`` of each where a processing element sums that many products a cycle.
Every array that takes such beats shares this golden model, this stimulus and this schedule, whatever happens inside.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .integer import wrap
from .mac import ProductConfig, check_lengths, operand_corners, operand_samples
from .payload import Field, Payload

__all__ = ["TileConfig", "TileStreams", "tile_ends", "tile_golden", "tile_stimulus"]


class TileStreams:
    """What travels in the streams of an array that takes one step of K a beat, and the cutting of a product into beats.

    For configurations that have ``rows``, ``cols``, ``lanes``, operands of ``a_width`` and ``b_width`` bits and results of
    ``acc_width`` bits, each with its signedness.
    """

    @property
    def i(self):
        """One step of K a beat: ``a`` (of A's rows), ``b`` (of B's columns), and ``last``, which ends the tile.

        With more than one lane ``a`` is of shape ``(rows, lanes)`` and ``b`` of shape ``(cols, lanes)``.
        """
        inner = (self.lanes,) if self.lanes > 1 else ()
        return Payload((
            Field("a", self.a_width, self.a_signed, (self.rows, *inner)),
            Field("b", self.b_width, self.b_signed, (self.cols, *inner)),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """One row of C a beat, from row 0; ``last`` is set with the last row of a tile."""
        return Payload((
            Field("c", self.acc_width, self.result_signed, (self.cols,)),
            Field("last", 1),
        ))  # fmt: skip

    def schedule(self, a, b):
        """Input beats that compute ``a @ b``, tile by tile along a row of tiles first; edges are padded with zeros.

        Parameters
        ----------
        a : ``int64`` array, shape (M, K)
        b : ``int64`` array, shape (K, N)
            Operands in range; see :func:`~carrysave.models.gemm.to_beats`, which checks them.
        """
        (m, k), n = a.shape, b.shape[1]
        down, across, steps = -(-m // self.rows), -(-n // self.cols), -(-k // self.lanes)
        a = np.pad(a, ((0, down * self.rows - m), (0, steps * self.lanes - k)))
        b = np.pad(b, ((0, steps * self.lanes - k), (0, across * self.cols - n)))
        a = a.reshape(down, self.rows, steps, self.lanes).transpose(0, 2, 1, 3)
        b = b.reshape(steps, self.lanes, across, self.cols).transpose(2, 0, 3, 1)
        beats = self.i.zeros(down * across * steps)
        shaped = beats.reshape(down, across, steps)
        shaped["a"] = a.reshape(down, 1, steps, *beats["a"].shape[1:])
        shaped["b"] = b.reshape(1, across, steps, *beats["b"].shape[1:])
        shaped["last"][:, :, -1] = 1
        return beats

    def collect(self, beats, m, n):
        """C of shape (M, N) from the output beats that answer :meth:`schedule`; raises :exc:`ConfigError` for others."""
        down, across = -(-m // self.rows), -(-n // self.cols)
        want = down * across * self.rows
        if len(beats) != want:
            raise ConfigError(f"a product of {m} by {n} is {want} output beats of this array, not {len(beats)}")
        ends = np.arange(1, want + 1) % self.rows == 0
        if (beats["last"] != ends).any():
            raise ConfigError(f"output beat {int(np.argmax(beats['last'] != ends))} has last set wrongly")
        c = beats["c"].reshape(down, across, self.rows, self.cols).transpose(0, 2, 1, 3)
        return np.ascontiguousarray(c.reshape(down * self.rows, across * self.cols)[:m, :n])


@dataclasses.dataclass(frozen=True, kw_only=True)
class TileConfig(TileStreams, ProductConfig):
    """Array with R rows and N columns of accumulators that takes one step of K a beat."""

    #: Cycles between steps of K.
    initiation_interval: ClassVar[int] = 1

    #: Products that one processing element sums in a step: K is padded with zeros to a multiple of it.
    lanes: ClassVar[int] = 1

    rows: int = parameter(8, "rows of PEs", legal=(1, 64))
    cols: int = parameter(8, "columns of PEs", legal=(1, 64))

    result_rows: int | None = parameter(
        None,
        "rows of C that can wait at the output; derived as rows, rows + cols + 4 keeps tiles of K = rows back to back",
        legal=(1, 256),
    )

    def derive(self):
        super().derive()
        if self.result_rows is None:
            self._set(result_rows=self.rows)
        if self.result_rows < self.rows:
            raise ConfigError(f"result_rows must be at least rows = {self.rows}, not {self.result_rows!r}")


def tile_ends(beats):
    """Where the tiles that the beats complete start and end: two arrays of indices."""
    ends = np.flatnonzero(beats["last"]) + 1
    return np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends, ends


def tile_golden(config, beats):
    """Rows of the tiles that the beats complete; ``rows`` beats of ``config.o.dtype`` a tile.

    Raises
    ------
    ConfigError
        If a tile's K is larger than ``max_k``, unless ``overflow="wrap"``.
    """
    starts, ends = tile_ends(beats)
    check_lengths(config, (ends - starts) * config.lanes)
    a = beats["a"].reshape(len(beats), config.rows, config.lanes)
    b = beats["b"].reshape(len(beats), config.cols, config.lanes)
    out = config.o.zeros(len(ends) * config.rows)
    for tile, (start, end) in enumerate(zip(starts, ends, strict=True)):
        rows = slice(tile * config.rows, (tile + 1) * config.rows)
        left = a[start:end].transpose(1, 0, 2).reshape(config.rows, -1)
        right = b[start:end].transpose(1, 0, 2).reshape(config.cols, -1)
        out["c"][rows] = wrap(left @ right.T, config.acc_width, config.result_signed)
        out["last"][rows.stop - 1] = 1
    return out


def tile_stimulus(config, rng, count):
    """Input beats: tiles of extremes and of single steps first, then random tiles of K from 1 to three times the rows.

    Parameters
    ----------
    config : :class:`TileConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats. The last beat ends its tile.
    """
    a_field, b_field = config.i.fields[:2]
    longest = max(config.max_k // config.lanes, 1)
    parts = []
    for x in (a_field.minimum, a_field.maximum):
        for y in (b_field.minimum, b_field.maximum):
            length = min(longest, 2)
            parts.append((np.full((length, *a_field.shape), x), np.full((length, *b_field.shape), y), length))
    corners = (
        rng.choice(operand_corners(a_field), (4, *a_field.shape)),
        rng.choice(operand_corners(b_field), (4, *b_field.shape)),
    )
    parts += [(corners[0][k : k + 1], corners[1][k : k + 1], 1) for k in range(4)]
    used = sum(len(part[0]) for part in parts)
    while used < count:
        length = int(rng.integers(1, min(longest, 3 * config.rows), endpoint=True))
        a = operand_samples(a_field, rng, (length, *a_field.shape))
        b = operand_samples(b_field, rng, (length, *b_field.shape))
        parts.append((a, b, length))
        used += length
    a, b = (np.concatenate([part[column] for part in parts])[:count] for column in range(2))
    last = np.concatenate([np.arange(length) == length - 1 for _a, _b, length in parts])[:count].astype(np.int64)
    if count:
        last[-1] = 1
    beats = config.i.zeros(len(a))
    beats["a"], beats["b"], beats["last"] = a, b, last
    return beats
