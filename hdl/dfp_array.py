"""The design ``dfp-array``: an output-stationary array of integers, with the exponents of dynamic fixed point at its edges."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .dfp_pe import shifted_operand
from .float_parts import named
from .int_to_float import place_int_to_float
from .layout import payload_layout
from .systolic import SystolicArray

__all__ = ["DFPArray"]


class DFPArray(wiring.Component):
    """Output-stationary array of DFP operands with streams.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_array.DFPArrayConfig`

    Members
    -------
    i : ``In(stream)``
        One step of K a beat: mantissas ``a`` and ``b``, their exponents, which count with ``last``, and ``last``, which ends
        the tile.
    o : ``Out(stream)``
        One row of C a beat, and ``last``.

    Implementation notes
    --------------------
    The exponents of a tile wait beside the array until its last row has left. There are as many places for them as the array
    has for tiles, so they never make anything wait.
    """

    def __init__(self, config):
        self.config = config
        self.latency = config.latency
        self.initiation_interval = config.initiation_interval
        super().__init__(
            {"i": In(stream.Signature(payload_layout(config.i))), "o": Out(stream.Signature(payload_layout(config.o)))}
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.array = array = SystolicArray(config.array)
        m.d.comb += [
            array.i.valid.eq(self.i.valid),
            self.i.ready.eq(array.i.ready),
            array.i.p.last.eq(self.i.p.last),
        ]
        for name in ("a", "b"):
            given, taken = self.i.p[name].as_value(), array.i.p[name].as_value()
            operands = [
                shifted_operand(m, config, given.word_select(index, config.width), f"{name}{index}")
                for index in range(len(given) // config.width)
            ]
            m.d.comb += taken.eq(Cat(operands))
        self._float32(m, array, self._exponents(m, array))
        return m

    def _exponents(self, m, array):
        """Exponents of the sums in the row that the array gives, one a column."""
        config = self.config
        given = (self.i.p.a_exponent, self.i.p.b_exponent)
        width = sum(len(exponent.as_value() if hasattr(exponent, "as_value") else exponent) for exponent in given)
        tiles = -(-config.result_rows // config.rows)
        m.submodules.exponents = waiting = fifo.SyncFIFO(width=width, depth=tiles)
        m.d.comb += [
            waiting.w_data.eq(Cat(given)),
            waiting.w_en.eq(self.i.valid & self.i.ready & self.i.p.last),
            waiting.r_en.eq(array.o.valid & array.o.ready & array.o.p.last),
        ]
        one = signed(config.exponent_width)
        each = config.exponents == "row"
        layout = data.StructLayout({
            "a": data.ArrayLayout(one, config.rows) if each else one,
            "b": data.ArrayLayout(one, config.cols) if each else one,
        })  # fmt: skip
        held = data.View(layout, waiting.r_data)
        a = held.a
        if each:
            row = Signal(range(config.rows))
            with m.If(array.o.valid & array.o.ready):
                m.d.sync += row.eq(Mux(array.o.p.last, 0, row + 1))
            a = Array(held.a[index] for index in range(config.rows))[row]
        offset = 2 * config.input_shift
        width = config.sum_exponent_width
        return [
            named(m, f"exponent{col}", (a + (held.b[col] if each else held.b) + offset)[:width])
            for col in range(config.cols if each else 1)
        ]

    def _float32(self, m, array, exponents):
        """Three rows of registers: in front of the conversions, in them, behind them; they move together."""
        config = self.config
        ready = Signal()
        m.d.comb += [ready.eq(~self.o.valid | self.o.ready), array.o.ready.eq(ready)]
        valid, last = array.o.valid, array.o.p.last
        for stage in range(3):
            later = Signal(name=f"valid{stage}"), Signal(name=f"last{stage}", reset_less=True)
            with m.If(ready):
                m.d.sync += [later[0].eq(valid), later[1].eq(last)]
            valid, last = later
        for col in range(config.cols):
            sums = Signal(config.acc_width, name=f"sum{col}", reset_less=True)
            scale = Signal(config.sum_exponent_width, name=f"scale{col}", reset_less=True)
            m.submodules[f"convert_{col}"] = convert = place_int_to_float(
                config.acc_width, config.sum_exponent_width, stages=2
            )
            code = Signal(32, name=f"code{col}", reset_less=True)
            with m.If(ready):
                m.d.sync += [
                    sums.eq(array.o.p.c[col]),
                    scale.eq(exponents[min(col, len(exponents) - 1)]),
                    code.eq(convert.code),
                ]
            m.d.comb += [
                convert.value.eq(sums),
                convert.exponent.eq(scale),
                convert.advance.eq(ready),
                self.o.p.c[col].eq(code),
            ]
        m.d.comb += [self.o.valid.eq(valid), self.o.p.last.eq(last)]
