"""All lookup tables of a netlist as arrays, so that one call looks up a whole level of a timing graph."""

import numpy as np

__all__ = ["TableBank"]


class TableBank:
    """Tables over two axes, interpolated linearly, and extrapolated linearly beyond their ends.

    Parameters
    ----------
    axes : tuple of two :class:`str`
        Names of the axes, see :class:`~carrysave.asic.liberty.Table`.
    """

    def __init__(self, *axes):
        self._axes, self._tables, self._numbers = axes, [], {}
        self._packed = None

    def add(self, table):
        """Number of a table in the bank; a table added twice has one number, None is a table of zeros."""
        key = id(table)
        if key not in self._numbers:
            self._numbers[key] = len(self._tables)
            grid = (np.zeros(1), np.zeros(1), np.zeros((1, 1))) if table is None else table.grid(*self._axes)
            self._tables.append((table, grid))  # keeps the table, whose id is the key
            self._packed = None
        return self._numbers[key]

    def _pack(self):
        grids = [grid for _table, grid in self._tables]
        rows, columns = (max(2, *(len(grid[axis]) for grid in grids), 0) for axis in (0, 1))
        firsts = np.full((len(grids), rows), np.inf)
        seconds = np.full((len(grids), columns), np.inf)
        values = np.zeros((len(grids), rows, columns))
        for number, (first, second, table) in enumerate(grids):
            if len(first) == 1:  # does not depend on this axis: two equal points
                first, table = np.array([0.0, 1.0]), np.repeat(table, 2, axis=0)
            if len(second) == 1:
                second, table = np.array([0.0, 1.0]), np.repeat(table, 2, axis=1)
            firsts[number, : len(first)] = first
            seconds[number, : len(second)] = second
            values[number, : len(first), : len(second)] = table
        self._packed = firsts, seconds, values

    def look_up(self, numbers, first, second):
        """Values of the tables with those numbers at those points (arrays of one length)."""
        if not len(numbers):
            return np.zeros(0)
        if self._packed is None:
            self._pack()
        firsts, seconds, values = self._packed
        row, across = _segment(firsts[numbers], first)
        column, along = _segment(seconds[numbers], second)
        low = values[numbers, row, column] * (1 - along) + values[numbers, row, column + 1] * along
        high = values[numbers, row + 1, column] * (1 - along) + values[numbers, row + 1, column + 1] * along
        return low * (1 - across) + high * across


def _segment(points, position):
    """Segment of each row of points that a position lies in (or is nearest to), and how far along."""
    last = np.isfinite(points).sum(axis=1) - 2
    segment = np.clip((points <= position[:, None]).sum(axis=1) - 1, 0, last)
    rows = np.arange(len(points))
    start, end = points[rows, segment], points[rows, segment + 1]
    return segment, (position - start) / (end - start)
