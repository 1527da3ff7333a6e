"""Tables that a stream brings along: a beat with ``load`` fills a row of the table, any other takes one.

Both begin at row 0, go on by one, and begin again behind ``last`` or behind the table's end.
"""

import numpy as np

from .errors import ConfigError
from .row import row_places

__all__ = ["table_rows", "table_stimulus"]


def table_rows(beats, table_beats):
    """Which row of the table each beat of data takes.

    Parameters
    ----------
    beats : array with fields ``load`` and ``last``
        From reset on.
    table_beats : :class:`int`
        Rows of the table.

    Returns
    -------
    data, filled : array of ``int64``
        Indices of the beats of data, and of the beats that filled what these take.

    Raises
    ------
    ConfigError
        If a beat takes a row of the table that no beat before it has filled.
    """
    places = row_places(beats["last"], table_beats)
    loads = beats["load"] == 1
    filled = np.full(len(beats), -1)
    for place in range(table_beats):
        here = places == place
        filled[here] = np.maximum.accumulate(np.where(loads[here], np.flatnonzero(here), -1))
    data = np.flatnonzero(~loads)
    missing = data[filled[data] < 0]
    if len(missing):
        at = int(missing[0])
        raise ConfigError(f"beat {at} takes row {int(places[at])} of the table, which no beat before it has filled")
    return data, filled[data]


def table_stimulus(rng, count, table_beats):
    """``load`` and ``last`` of beats: a whole table, then rows of all lengths up to one beat more, some of which load.

    Parameters
    ----------
    rng : :class:`numpy.random.Generator`
    count, table_beats : :class:`int`

    Returns
    -------
    load, last : array of ``int64``
    """
    load, last = np.zeros(count, np.int64), np.zeros(count, np.int64)
    at, filling = 0, True
    while at < count:
        length = table_beats if at == 0 else int(rng.integers(1, table_beats + 2))
        load[at : at + length] = filling
        # The table's end ends a row, too.
        last[min(at + length, count) - 1] = length != table_beats or rng.random() < 0.5
        at, filling = at + length, rng.random() < 0.2
    return load, last
