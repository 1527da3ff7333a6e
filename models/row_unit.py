"""What the streaming units of integer functions of rows have in common: lanes, longest row, golden model, stimulus."""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError
from .payload import Field, Payload
from .row import row_places, split_rows

__all__ = ["DIVIDERS", "RowUnitConfig", "row_golden", "row_lengths", "row_stimulus"]

#: A quotient's bits one after the other in one place, or each in a place of its own, so that a division can begin every cycle.
DIVIDERS = ("iterative", "pipelined")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowUnitConfig(Config):
    """Base of the units: rows of beats, each of which ends with ``last``, ``row_beats`` at most.

    The highest lanes of a row's last beat can be empty.
    """

    shorthands: ClassVar[dict] = {}

    #: Cycles between beats, as long as there is room for them.
    initiation_interval: ClassVar[int] = 1

    lanes: int = parameter(4, "elements of a beat", legal=(1, 32))
    row_beats: int = parameter(16, "longest row in beats; a longer one ends by itself", legal=(1, 1024))
    divider: str = parameter(
        "iterative", "whether divisions follow each other, a bit a cycle, or begin every cycle", choices=DIVIDERS
    )

    @property
    def tree_levels(self):
        """Levels, each behind a register, of the trees that make one value of a beat's."""
        return (self.lanes - 1).bit_length()

    @property
    def empty_width(self):
        """Bits of ``empty``, which is less than ``lanes``."""
        return (self.lanes - 1).bit_length()

    @property
    def empty_fields(self):
        """The field ``empty`` of both streams; none with one lane, which a row cannot do without."""
        return (Field("empty", self.empty_width),) if self.lanes > 1 else ()

    @property
    def never(self):
        """More empty lanes than there are, where ``lanes`` is no power of two."""
        return ("last x empty: 1, maximum",) if self.lanes < 1 << self.empty_width else ()

    @property
    def i(self):
        """``x``: elements; ``last`` ends a row; ``empty``: with ``last``, how many of the highest lanes hold no element."""
        return Payload((Field("x", self.width, True, (self.lanes,)), Field("last", 1), *self.empty_fields))

    @property
    def o(self):
        """A beat for each of data; its fields.

        =========  =================================================================
        ``y``      results, 0 in empty lanes
        ``last``   ends a row
        ``cut``    it does so because the row was longer than ``row_beats``
        ``empty``  how many of the highest lanes were empty; absent with one lane
        =========  =================================================================
        """
        return Payload((
            Field("y", self.result_width, self.signed_result, (self.lanes,)),
            Field("last", 1),
            Field("cut", 1),
            *self.empty_fields,
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
            Unless the elements fit and a row fits ``row_beats``.
        """
        parts = split_rows(rows, width=self.width, lanes=self.lanes, longest=self.row_beats, whole=False)
        beats = self.i.zeros(parts.shape[0] * parts.shape[1])
        beats["x"] = parts.reshape(len(beats), self.lanes)
        ends = slice(parts.shape[1] - 1, None, parts.shape[1])
        beats["last"][ends] = 1
        for field in self.empty_fields:
            beats[field.name][ends] = -np.shape(rows)[1] % self.lanes
        return beats

    def from_beats(self, results, length):
        """Rows of so many elements from beats of ``o``, an array ``(rows, length)``."""
        return results["y"].reshape(-1, -(-length // self.lanes) * self.lanes)[:, :length]


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
    beats : array with fields ``x``, ``last``, and ``empty`` with more than one lane
        Beats of data.
    function : callable
        ``function(rows, which)``: results of rows of one length, an array ``(rows, elements)``; ``which`` are the indices of
        their beats, ``(rows, beats)``.

    Returns
    -------
    array of ``config.o.dtype``

    Raises
    ------
    ConfigError
        For a row whose last beat would have no element.
    """
    lengths = row_lengths(config, beats["last"])
    starts = np.cumsum(lengths) - lengths
    ends = starts + lengths - 1
    results = config.o.zeros(int(lengths.sum()))
    results["last"][ends] = 1
    results["cut"][ends] = beats["last"][ends] == 0
    elements = lengths * config.lanes
    for field in config.empty_fields:
        empty = np.where(results["cut"][ends] == 1, 0, beats[field.name][ends])
        if (empty >= config.lanes).any():
            raise ConfigError(
                f"empty must be less than lanes, {config.lanes}, in a row's last beat, not {int(empty.max())!r}"
            )
        elements = elements - empty
        results[field.name][ends] = empty
    for count in np.unique(elements).tolist():
        which = starts[elements == count][:, None] + np.arange(-(-count // config.lanes))
        y = np.zeros((len(which), which.shape[1] * config.lanes), np.int64)
        y[:, :count] = function(beats["x"][which].reshape(y.shape)[:, :count], which)
        results["y"][which] = y.reshape(*which.shape, config.lanes)
    config.o.check(results)
    return results


def row_stimulus(config, rng, count):
    """Fields of beats of data: short rows of extremes, a longest and a longer row, then random ones of all lengths.

    Some rows have empty lanes, which hold elements like the others; ``empty`` without ``last`` is random.

    Parameters
    ----------
    config : :class:`RowUnitConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; directed ones come first and are cut where they do not fit. The last beat ends its row.

    Returns
    -------
    dict of arrays of ``int64``
        ``x``, ``last``, and with more than one lane ``empty``.
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
    fields = {"x": np.concatenate(directed)[:count], "last": last}
    for field in config.empty_fields:
        most = np.where(last == 1, config.lanes - 1, field.maximum)
        corner = np.choose(rng.integers(0, 4, count), [0, 0, np.minimum(1, most), most])
        fields[field.name] = np.where(rng.random(count) < 0.6, corner, rng.integers(0, most, endpoint=True))
    return fields
