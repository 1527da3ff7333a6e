"""Design ``shift-gelu``: a stream of rows of integers becomes one of their ShiftGELU.

:mod:`carrysave.models.shift_gelu` has the arithmetic (arXiv 2207.01405, section 3.4), :mod:`carrysave.models.row_unit` what rows
are in a stream.
"""

import dataclasses
from typing import ClassVar

from .config import parameter
from .row_unit import RowUnitConfig, row_golden, row_stimulus
from .shift_exp import SUM_LIMIT
from .shift_gelu import ShiftGELUArithmetic, shift_gelu

__all__ = ["ShiftGELUConfig", "shift_gelu_golden", "shift_gelu_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftGELUConfig(ShiftGELUArithmetic, RowUnitConfig):
    """Lanes that exponentiate, divide and multiply, and a buffer for a row of elements."""

    design: ClassVar[str] = "shift-gelu"
    signed_result: ClassVar[bool] = True

    reference: bool = parameter(
        False, "whether a row's maximum counts where it is negative, too, as in the published one, or 0 does"
    )

    @property
    def rising_octaves(self):
        """Octaves of the largest exponential of a negative maximum, or those above which all are clamped."""
        height = 1 << self.width - 1
        scaled = height + height // 2 - height // 16
        return min(-(-scaled // self.octave), SUM_LIMIT.bit_length() - self.fraction_bits)

    @property
    def exponential_cycles(self):
        """As of other units; the published function takes those of a negative maximum if they are more."""
        falling = super().exponential_cycles
        return max(falling, 3 + self.rising_octaves.bit_length()) if self.reference else falling

    @property
    def maximum_cycles(self):
        """Cycles from a row's last beat to its first one leaving the first buffer: tree, maximum, and the maximum's buffer."""
        return self.tree_levels + 2

    @property
    def factor_cycles(self):
        """Cycles from exponentials to their leaving the second buffer with factors: sum, a bit each, buffers around them."""
        return 2 + self.factor_width + (self.divider == "iterative")

    @property
    def latency(self):
        """Cycles from the last beat of a row to its first results.

        Until the maximum is known, a register and the exponentials', until the factors are known, four registers: read,
        product, sigmoid, result.
        """
        return self.maximum_cycles + 1 + self.exponential_cycles + self.factor_cycles + 4


def shift_gelu_golden(config, beats):
    """ShiftGELU of the rows that are complete.

    Parameters
    ----------
    config : :class:`ShiftGELUConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    return row_golden(config, beats, lambda rows, which: shift_gelu(config, rows, reference=config.reference))


def shift_gelu_stimulus(config, rng, count):
    """Input beats; see :func:`~carrysave.models.row_unit.row_stimulus`.

    Parameters
    ----------
    config : :class:`ShiftGELUConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
    """
    return config.i.beats(**row_stimulus(config, rng, count))
