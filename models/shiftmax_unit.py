"""Design ``shiftmax``: a stream of rows of integers becomes one of their Shiftmax.

:mod:`carrysave.models.shiftmax` has the arithmetic (arXiv 2207.01405, section 3.3), :mod:`carrysave.models.row_unit` what rows
are in a stream.
"""

import dataclasses
from typing import ClassVar

from .row_unit import RowUnitConfig, row_golden, row_lengths, row_stimulus
from .shiftmax import ShiftmaxArithmetic, shiftmax

__all__ = ["ShiftmaxConfig", "shiftmax_golden", "shiftmax_latency", "shiftmax_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftmaxConfig(ShiftmaxArithmetic, RowUnitConfig):
    """Lanes that exponentiate, and buffers for a row of elements and one of exponentials."""

    design: ClassVar[str] = "shiftmax"
    signed_result: ClassVar[bool] = False

    @property
    def maximum_cycles(self):
        """Cycles from a row's last beat to its first one leaving the first buffer: tree, maximum, and the maximum's buffer."""
        return self.tree_levels + 2

    @property
    def division_cycles(self):
        """Cycles from a divisor to its quotient: a bit each, and the buffer in front of an iterative divider."""
        return self.factor_width + (self.divider == "iterative")

    @property
    def factor_cycles(self):
        """Cycles from a row's last exponentials to its first ones leaving the second buffer: tree, sum, division, its buffer."""
        return self.tree_levels + 2 + self.division_cycles

    @property
    def latency(self):
        """Cycles from the beat of a row of one to its results; a row takes a cycle more for each beat more.

        Until the maximum is known, a register and the exponentials', until the factor is known, three registers: read, product,
        shift.
        """
        return self.maximum_cycles + 1 + self.exponential_cycles + self.factor_cycles + 3


def shiftmax_golden(config, beats):
    """Shiftmax of the rows that are complete.

    Parameters
    ----------
    config : :class:`ShiftmaxConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    return row_golden(config, beats, lambda rows, which: shiftmax(config, rows))


def shiftmax_latency(config, beats):
    """Cycles from the last of the beats of a row to its first results."""
    return config.latency + int(row_lengths(config, beats["last"])[0]) - 1


def shiftmax_stimulus(config, rng, count):
    """Input beats; see :func:`~carrysave.models.row_unit.row_stimulus`.

    Parameters
    ----------
    config : :class:`ShiftmaxConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
    """
    return config.i.beats(**row_stimulus(config, rng, count))
