"""Rows: what functions of whole rows take, and how streams are cut into them.

In a stream a row is the beats up to one with ``last``. One that has more than the longest legal row ends by itself, and the next
beat begins another, as if ``last`` had been set: no input can stop a unit.
"""

import numpy as np

from .errors import ConfigError

__all__ = ["one_or_each", "row_places", "rows_of_integers", "split_rows"]


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


def split_rows(rows, *, width, lanes, longest=None, whole=True):
    """Rows cut into beats.

    Parameters
    ----------
    rows : array of integers, (rows, elements)
    width, lanes : :class:`int`
        Bits of an element, elements of a beat.
    longest : :class:`int`, optional
        Beats of the longest row.
    whole : :class:`bool`
        Rows must be whole beats; others are filled up with zeros.

    Returns
    -------
    array of ``int64``, (rows, beats, lanes)

    Raises
    ------
    ConfigError
        For elements that do not fit, for rows that are longer than the longest, and for those that must be whole beats but
        are not.
    """
    rows = rows_of_integers(rows, width)
    if rows.ndim != 2:
        raise ConfigError(f"rows must be an array of two dimensions, not {rows.ndim!r}")
    count, length = rows.shape
    missing = -length % lanes
    if longest is None and whole and missing:
        raise ConfigError(f"a row must have a multiple of {lanes} elements, not {length!r}; change lanes")
    if longest is not None and (length > lanes * longest or (whole and missing)):
        legal = f"a multiple of {lanes} elements, {lanes * longest}" if whole else f"{lanes * longest} elements"
        raise ConfigError(f"a row must have {legal} at most, not {length!r}; change lanes or the longest row")
    return np.pad(rows, ((0, 0), (0, missing))).reshape(count, -1, lanes)


def one_or_each(what, values, count):
    """An array of so many values, from one or from as many; raises :exc:`ConfigError` for any other number of them."""
    values = np.atleast_1d(np.asarray(values))
    if values.shape not in ((1,), (count,)):
        raise ConfigError(f"{what} must be one, or {count}, not an array of shape {values.shape!r}")
    return np.broadcast_to(values, count)
