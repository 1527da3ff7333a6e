"""3D cube: an output-stationary array whose PEs each add up a dot product of K lanes a cycle.

The third dimension of an N x N x N cube is K: a step brings ``lanes`` columns of A and rows of B. Operands travel from
PE to PE as in the systolic array, so the cycle model is :func:`~carrysave.models.systolic.systolic_cycles`.
"""

import dataclasses
from typing import ClassVar

from .config import parameter
from .systolic import SystolicConfig

__all__ = ["CubeConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CubeConfig(SystolicConfig):
    """3D cube of MAC or OPT1 PEs: one compressor tree a PE for the products of all lanes."""

    design: ClassVar[str] = "cube"

    rows: int = parameter(4, "rows of PEs", legal=(1, 64))
    cols: int = parameter(4, "columns of PEs", legal=(1, 64))
    lanes: int = parameter(4, "products that one PE adds up in a cycle", legal=(1, 64))

    @property
    def pe_lanes(self):
        """Products that one processing element adds up in a cycle."""
        return self.lanes
