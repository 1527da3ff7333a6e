"""Rows: what functions of whole rows take, and how streams are cut into them.

In a stream a row is the beats up to one with ``last``. One that has more than the longest legal row ends by itself, and the next
beat begins another, as if ``last`` had been set: no input can stop a unit.
"""

import numpy as np

from .errors import ConfigError

__all__ = ["row_places", "rows_of_integers"]


def rows_of_integers(rows, width):
    """Rows as an array of ``int64``.

    Parameters
    ----------
    rows : array of integers
        A row along the last axis, of at least one element.
    width : :class:`int`
        Bits of an element, two's complement.

    Raises
    ------
    ConfigError
        For what is no integer, for the first that does not fit, for empty rows.
    """
    rows = np.asarray(rows)
    if rows.dtype.kind not in "iu":
        raise ConfigError(f"rows must hold integers, not {rows.dtype.name!r}")
    if rows.ndim == 0 or rows.shape[-1] == 0:
        raise ConfigError(f"a row must have at least one element; the shape is {rows.shape!r}")
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    wrong = (rows < low) | (rows > high)
    if wrong.any():
        raise ConfigError(f"an element of {width} bits must be in {low}..{high}, not {int(rows[wrong][0])!r}")
    return rows.astype(np.int64)


def row_places(last, longest):
    """Each beat's place in its row, from 0 on.

    Parameters
    ----------
    last : array of 0 and 1
    longest : :class:`int`
        Beats of the longest row.

    Returns
    -------
    array of ``int64``
    """
    places = np.arange(len(last))
    begins = np.ones(len(last), bool)
    begins[1:] = np.asarray(last)[:-1] != 0
    return (places - np.maximum.accumulate(np.where(begins, places, 0))) % longest
