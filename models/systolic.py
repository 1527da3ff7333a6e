"""Output-stationary systolic array: configuration and cycle model.

Operands are skewed inside the array, so that PE (r, c) works r + c cycles behind PE (0, 0).
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .mac import correction_parameter
from .tile import TileConfig

__all__ = ["SystolicConfig", "systolic_cycles"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystolicConfig(TileConfig):
    """Output-stationary systolic array of MAC or OPT1 PEs."""

    design: ClassVar[str] = "systolic-os"

    pe: str = parameter("opt1", "processing element", choices=("mac", "opt1"))
    carry_spacing: int = parameter(
        8, "opt1: columns for each bit of the carry word above the product; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(2, "opt1: the same in the columns that partial products reach", legal=(1, 64))
    product_rows: int = parameter(
        0,
        "rows of dots in a register between products and accumulator, for a shorter period; 0: no register",
        legal=(0, 16),
    )
    correction: str = correction_parameter()
    adder_cycles: int = parameter(
        1, "cycles over which the final carry-propagate adder is spread, for a shorter period", legal=(1, 4)
    )

    def derive(self):
        super().derive()
        if self.product_rows == 1:
            raise ConfigError("product_rows must be 0, or 2 and more: one row would take a carry-propagate adder")

    @property
    def latency(self):
        """Cycles from a tile's last step to its first row: as in a MAC, and one column of PEs after another."""
        return self.cols + 3 + self.adder_cycles + self.register_cycles

    @property
    def register_cycles(self):
        """Cycles that the register between products and accumulator takes."""
        return int(self.product_rows > 0)


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
