"""Output-stationary systolic array: configuration, golden model, stimulus, cycle model.

A tile is ``C[R, N] = A[R, K] B[K, N]`` with R rows and N columns of PEs and any K. One input beat is one step of K: a
column of A and a row of B. Operands are skewed inside, so that PE (r, c) works r + c cycles behind PE (0, 0).
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .integer import wrap
from .mac import ProductConfig, check_lengths, operand_corners, operand_samples
from .payload import Field, Payload

__all__ = ["SystolicConfig", "systolic_cycles", "systolic_golden", "systolic_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystolicConfig(ProductConfig):
    """Output-stationary systolic array of MAC or OPT1 PEs."""

    design: ClassVar[str] = "systolic-os"

    #: Cycles between steps of K.
    initiation_interval: ClassVar[int] = 1

    rows: int = parameter(8, "rows of PEs", legal=(1, 64))
    cols: int = parameter(8, "columns of PEs", legal=(1, 64))
    pe: str = parameter("opt1", "processing element", choices=("mac", "opt1"))
    carry_spacing: int = parameter(
        8, "opt1: columns for each bit of the carry word above the product; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(2, "opt1: the same in the columns that partial products reach", legal=(1, 64))

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

    @property
    def latency(self):
        """Cycles from a tile's last step to its first row: as in a MAC, and one column of PEs after another."""
        return self.cols + 4

    @property
    def i(self):
        """One step of K a beat: ``a`` (a column of A), ``b`` (a row of B), and ``last``, which ends the tile."""
        return Payload((
            Field("a", self.a_width, self.a_signed, (self.rows,)),
            Field("b", self.b_width, self.b_signed, (self.cols,)),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """One row of C a beat, from row 0; ``last`` is set with the last row of a tile."""
        return Payload((
            Field("c", self.acc_width, self.result_signed, (self.cols,)),
            Field("last", 1),
        ))  # fmt: skip


def _tiles(beats):
    ends = np.flatnonzero(beats["last"]) + 1
    return np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends, ends


def systolic_golden(config, beats):
    """Rows of the tiles that the beats complete; ``rows`` beats of ``config.o.dtype`` a tile.

    Raises
    ------
    ConfigError
        If a tile's K is larger than ``max_k``, unless ``overflow="wrap"``.
    """
    starts, ends = _tiles(beats)
    check_lengths(config, ends - starts)
    out = config.o.zeros(len(ends) * config.rows)
    for tile, (start, end) in enumerate(zip(starts, ends, strict=True)):
        rows = slice(tile * config.rows, (tile + 1) * config.rows)
        product = beats["a"][start:end].T @ beats["b"][start:end]
        out["c"][rows] = wrap(product, config.acc_width, config.result_signed)
        out["last"][rows.stop - 1] = 1
    return out


def systolic_stimulus(config, rng, count):
    """Input beats: tiles of extremes and of single steps first, then random tiles of K from 1 to three times the rows.

    Parameters
    ----------
    config : :class:`SystolicConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats. The last beat ends its tile.
    """
    a_field, b_field, _last = config.i.fields
    parts = []
    for x in (a_field.minimum, a_field.maximum):
        for y in (b_field.minimum, b_field.maximum):
            length = min(config.max_k, 2)
            parts.append((np.full((length, config.rows), x), np.full((length, config.cols), y), length))
    corners = (
        rng.choice(operand_corners(a_field), (4, config.rows)),
        rng.choice(operand_corners(b_field), (4, config.cols)),
    )
    parts += [(corners[0][k : k + 1], corners[1][k : k + 1], 1) for k in range(4)]
    used = sum(len(part[0]) for part in parts)
    while used < count:
        length = int(rng.integers(1, min(config.max_k, 3 * config.rows), endpoint=True))
        a = operand_samples(a_field, rng, (length, config.rows))
        b = operand_samples(b_field, rng, (length, config.cols))
        parts.append((a, b, length))
        used += length
    a, b = (np.concatenate([part[column] for part in parts])[:count] for column in range(2))
    last = np.concatenate([np.arange(length) == length - 1 for _a, _b, length in parts])[:count].astype(np.int64)
    if count:
        last[-1] = 1
    return config.i.beats(a=a, b=b, last=last)


def systolic_cycles(config, lengths):
    """When the array accepts and delivers, with input always valid and output always ready.

    Parameters
    ----------
    config : :class:`SystolicConfig`
    lengths : sequence of :class:`int`
        K of each tile, in order.

    Returns
    -------
    accepted : array of ``int64``
        Cycle in which each tile's last step is accepted; the first step of all is accepted in cycle 0.
    delivered : array of ``int64``, shape ``(tiles, rows)``
        Cycle in which each row of C is taken.
    """
    accepted = np.zeros(len(lengths), np.int64)
    for tile, length in enumerate(lengths):
        cycle = int(length) - 1
        if tile:
            # One step a cycle; the drain serves a row a cycle.
            cycle = accepted[tile - 1] + max(int(length), config.rows)
            # The result buffer must have let go of this many rows.
            gone = (tile + 1) * config.rows - config.result_rows
            if gone > 0:
                owner, row = divmod(gone - 1, config.rows)
                cycle = max(cycle, accepted[owner] + config.latency + row + 1)
        accepted[tile] = cycle
    return accepted, accepted[:, np.newaxis] + config.latency + np.arange(config.rows)
