"""Designs ``dfp-exponent``, ``dfp-to-float`` and ``dfp-from-float``: units of single elements of dynamic fixed point."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.dfp_units import exponent_range
from .dfp_lanes import base_offset, place_float_to_dfp
from .dfp_stream import DFPUnit, Rows
from .float_parts import named
from .int_to_float import place_int_to_float
from .lfsr import Draws
from .shared import Shared

__all__ = ["DFPExponent", "DFPFromFloat", "DFPToFloat", "ExponentAdder", "place_exponent_adder"]


class _ScalarUnit(DFPUnit):
    """Base of the three: a core between rows of registers, the last of which holds what is put out."""

    def build(self, m):
        """The unit, but for its counters."""
        rows = Rows(m, self.config.latency, valid=self.i.valid, ready=self.o.ready)
        m.d.comb += [self.i.ready.eq(rows.advance[0]), self.o.valid.eq(rows.valid[-1])]
        for name, value in self._results(m, rows).items():
            m.d.comb += self.o.p[name].eq(rows.register(len(rows.advance) - 1, named(m, f"{name}_made", value), name))


class ExponentAdder(wiring.Component):
    """Saturating sum of two exponents and an offset.

    Parameters
    ----------
    exponent_width, offset : :class:`int`

    Members
    -------
    a, b : ``In(signed(exponent_width))``
    sum : ``Out(signed(exponent_width))``
    overflow, underflow : ``Out(1)``
    """

    def __init__(self, exponent_width, offset):
        self._offset = offset
        super().__init__(self.ports(exponent_width))

    @staticmethod
    def ports(exponent_width):
        """Signature for a width."""
        shape = signed(exponent_width)
        return wiring.Signature(
            {"a": In(shape), "b": In(shape), "sum": Out(shape), "overflow": Out(1), "underflow": Out(1)}
        )

    def elaborate(self, platform):
        m = Module()
        low, high = exponent_range(len(self.a))
        exact = Signal(signed((2 * high + self._offset).bit_length() + 1))  # 2 * low is no longer
        m.d.comb += [
            exact.eq(self.a + self.b + self._offset),
            self.overflow.eq(exact > high),
            self.underflow.eq(exact < low),
            self.sum.eq(Mux(self.overflow, high, Mux(self.underflow, low, exact))),
        ]
        return m


def place_exponent_adder(exponent_width, offset):
    """An :class:`ExponentAdder` as the shared module ``exponent_adder``."""
    return Shared(
        lambda: ExponentAdder(exponent_width, offset), ExponentAdder.ports(exponent_width), name="exponent_adder"
    )


class DFPExponent(_ScalarUnit):
    """Exponent adder.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_scalar.DFPExponentConfig`

    Members
    -------
    i, o, counters
        As in :class:`~carrysave.hdl.dfp_stream.DFPUnit`.
    """

    def _results(self, m, rows):
        m.submodules.core = core = place_exponent_adder(self.config.exponent_width, self.config.offset)
        m.d.comb += [core.a.eq(self.i.p.a), core.b.eq(self.i.p.b)]
        return {"sum": core.sum, "overflow": core.overflow, "underflow": core.underflow}


class DFPToFloat(_ScalarUnit):
    """Integers with exponents to float32.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_scalar.DFPToFloatConfig`

    Members
    -------
    i, o, counters
        As in :class:`~carrysave.hdl.dfp_stream.DFPUnit`.
    """

    def _results(self, m, rows):
        config = self.config
        m.submodules.core = core = place_int_to_float(config.source_width, config.exponent_width, config.stages)
        m.d.comb += [core.value.eq(self.i.p.value), core.exponent.eq(self.i.p.exponent)]
        if config.stages > 1:
            m.d.comb += core.advance.eq(rows.advance[0])
        return {"value": core.code, "inexact": core.inexact, "overflow": core.overflow}


class DFPFromFloat(_ScalarUnit):
    """float32 numbers to mantissas at given exponents.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_scalar.DFPFromFloatConfig`

    Members
    -------
    i, o, counters
        As in :class:`~carrysave.hdl.dfp_stream.DFPUnit`.
    """

    def _results(self, m, rows):
        m.submodules.core = core = place_float_to_dfp(self.config)
        m.d.comb += [
            core.code.eq(self.i.p.value),
            core.base.eq(self.i.p.exponent + base_offset(self.config)),
            core.advance.eq(rows.advance[0]),
        ]
        if self.config.stochastic:
            m.submodules.draws = draws = Draws(1, self.config.seed)
            m.d.comb += [core.draw.eq(draws.draws), draws.advance.eq(rows.valid[0] & rows.advance[1])]
        return {name: getattr(core, name) for name in ("mantissa", "saturated", "special", "inexact")}
