"""Floating-point dot products with streams: one unit, design ``float-dot``, or an array of them, design ``float-array``."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .edges import delayed
from .fixed_sum import place_fixed_rounder
from .float_pe import place_float_pe
from .shared import Shared
from .systolic import SystolicArray, SystolicGrid

__all__ = ["FloatArray", "FloatGrid"]


class _Passed(wiring.Component):
    """What ends a column whose accumulators are finished numbers: a register."""

    def __init__(self, width):
        super().__init__(self.ports(width))

    @staticmethod
    def ports(width):
        """Signature for a width."""
        return wiring.Signature({"s": In(width), "result": Out(width)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.result.eq(delayed(m, self.s, 1, "s"))
        return m


class FloatGrid(SystolicGrid):
    """Grid of floating-point PEs; a column's exact accumulators share the rounding of their sums.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_dot.FloatDotConfig`

    Members
    -------
    As in :class:`~carrysave.hdl.systolic.SystolicGrid`; ``a``, ``b`` and ``c`` are codes.
    """

    def _carries(self):
        return ()

    def _encoded(self, m, r, a):
        return a

    def _place_pe(self):
        return place_float_pe(self.config)

    def _place_final(self, carries):
        if self.config.accumulator == "kulisch":
            return place_fixed_rounder(self.config)
        width = self.config.acc_width
        return Shared(lambda: _Passed(width), _Passed.ports(width), name="result_register")


class FloatArray(SystolicArray):
    """Output-stationary array of floating-point dot products: any K, results overlapped with the next tile.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_dot.FloatDotConfig`

    Members
    -------
    i : ``In(stream)``
        One step of K a beat: codes ``a`` and ``b``, and ``last``, which ends the tile.
    o : ``Out(stream)``
        One row of C a beat: codes ``c`` and ``last``.

    Implementation notes
    --------------------
    A bubble is a step of zeros: their product is +0, which changes no sum, for a sum that started from +0 is never -0.
    """

    def place_grid(self):
        """The grid as the shared module ``float_grid``."""
        return Shared(lambda: FloatGrid(self.config), FloatGrid.ports(self.config), name="float_grid", reset=True)
