"""What the streaming units of integer functions of rows have in common: lanes, longest row, golden model, stimulus."""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .payload import Field, Payload
from .row import row_places, split_rows

__all__ = ["DIVIDERS", "RowUnitConfig", "row_golden", "row_lengths", "row_stimulus"]

#: A quotient's bits one after the other in one place, or each in a place of its own, so that a division can begin every cycle.
DIVIDERS = ("iterative", "pipelined")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowUnitConfig(Config):
    """Base of the units: rows of beats, each of which ends with ``last``, ``row_beats`` at most."""

    shorthands: ClassVar[dict] = {}

    #: Cycles between beats, as long as there is room for them.
    initiation_interval: ClassVar[int] = 1

    lanes: int = parameter(4, "elements of a beat; a row has a multiple of them", legal=(1, 32))
    row_beats: int = parameter(16, "longest row in beats; a longer one ends by itself", legal=(1, 1024))
    divider: str = parameter(
        "iterative", "whether divisions follow each other, a bit a cycle, or begin every cycle", choices=DIVIDERS
    )

    @property
    def tree_levels(self):
        """Levels, each behind a register, of the trees that make one value of a beat's."""
        return (self.lanes - 1).bit_length()

    @property
    def i(self):
        """``x``: elements; ``last`` ends a row."""
        return Payload((Field("x", self.width, True, (self.lanes,)), Field("last", 1)))

    @property
    def o(self):
        """A beat for each of data: ``y``; ``last`` of a row; whether it was ``cut`` there, being longer than ``row_beats``."""
        return Payload((
            Field("y", self.result_width, self.signed_result, (self.lanes,)),
            Field("last", 1),
            Field("cut", 1),
        ))  # fmt: skip

    def to_beats(self, rows):
        """Input beats of whole rows.

        Parameters
        ----------
        rows : array of integers, (rows, elements)

        Returns
        -------
        array of ``i.dtype``

        Raises
        ------
        ConfigError
            Unless the elements fit and a row is a number of whole beats, ``row_beats`` at most.
        """
        parts = split_rows(rows, width=self.width, lanes=self.lanes, longest=self.row_beats)
        beats = self.i.zeros(parts.shape[0] * parts.shape[1])
        beats["x"] = parts.reshape(len(beats), self.lanes)
        beats["last"][parts.shape[1] - 1 :: parts.shape[1]] = 1
        return beats

    def from_beats(self, results, length):
        """Rows of so many elements from beats of ``o``, an array ``(rows, length)``."""
        return results["y"].reshape(-1, length)


def row_lengths(config, last):
    """Beats of the rows that are complete.

    Parameters
    ----------
    config : :class:`RowUnitConfig`
    last : array of 0 and 1
        Of the beats of data.
    """
    places = row_places(last, config.row_beats)
    return places[(np.asarray(last) != 0) | (places == config.row_beats - 1)] + 1


def row_golden(config, beats, function):
    """Results of the rows that are complete.

    Parameters
    ----------
    config : :class:`RowUnitConfig`
    beats : array with fields ``x`` and ``last``
        Beats of data.
    function : callable
        ``function(rows, which)``: results of rows of one length, an array ``(rows, elements)``; ``which`` are the indices of
        their beats, ``(rows, beats)``.

    Returns
    -------
    array of ``config.o.dtype``
    """
    lengths = row_lengths(config, beats["last"])
    starts = np.cumsum(lengths) - lengths
    results = config.o.zeros(int(lengths.sum()))
    for length in np.unique(lengths).tolist():
        which = starts[lengths == length][:, None] + np.arange(length)
        y = function(beats["x"][which].reshape(len(which), -1), which)
        results["y"][which] = y.reshape(*which.shape, config.lanes)
    ends = starts + lengths - 1
    results["last"][ends] = 1
    results["cut"][ends] = beats["last"][ends] == 0
    config.o.check(results)
    return results


def row_stimulus(config, rng, count):
    """``x`` and ``last`` of beats of data: short rows of extremes, a longest and a longer row, then random ones of all lengths.

    Parameters
    ----------
    config : :class:`RowUnitConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; directed ones come first and are cut where they do not fit. The last beat ends its row.

    Returns
    -------
    x, last : array of ``int64``
    """
    half = 1 << config.width - 1
    ends = [-half, half - 1]
    directed = [np.full((beats, config.lanes), value) for value in (*ends, 0, 1, -1) for beats in (1, 2)]
    for beats in (1, 2, 3):
        alternating = np.resize(ends, (beats, config.lanes)) if config.lanes > 1 else np.resize(ends, (beats, 1))
        directed += [alternating, alternating[:, ::-1], np.sort(alternating, axis=None).reshape(beats, -1)]
    lone = np.full((min(3, config.row_beats), config.lanes), -half)
    for place in range(min(len(lone) * config.lanes, 8)):
        row = lone.copy()
        row.flat[place] = half - 1
        directed.append(row)
    for beats in (config.row_beats, config.row_beats + 1, 2 * config.row_beats):
        directed.append(rng.integers(-half, half, (beats, config.lanes)))
    lengths = [len(row) for row in directed]
    while sum(lengths) < count:
        longest = config.row_beats if rng.random() < 0.2 else min(config.row_beats, 4)
        length = int(rng.integers(1, longest + 2))
        spread = half >> int(rng.integers(0, config.width))
        centre = int(rng.integers(-half, half))
        row = centre + rng.integers(-max(spread, 1), max(spread, 1), (length, config.lanes))
        directed.append(np.clip(row, -half, half - 1))
        lengths.append(length)
    last = np.zeros(sum(lengths), np.int64)
    last[np.cumsum(lengths) - 1] = 1
    last = last[:count]
    last[-1:] = 1
    return np.concatenate(directed)[:count], last
