"""The design ``dfp-array``: an output-stationary array of integers, with the exponents of dynamic fixed point at its edges."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal, signed
from amaranth.lib import data, fifo

from .dfp_block import DFPDown
from .dfp_pe import shifted_operand
from .dfp_stream import Rows
from .float_parts import named
from .int_to_float import place_int_to_float
from .stream_unit import StreamUnit
from .systolic import SystolicArray

__all__ = ["DFPArray"]


class DFPArray(StreamUnit):
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
    counters : ``Out``
        With ``output="dfp"``: of elements that saturated and exponents that were clipped, since reset.

    Implementation notes
    --------------------
    The exponents of a tile wait beside the array until its last row has left. There are as many places for them as the array
    has for tiles, so they never make anything wait.
    """

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
        (self._float32 if config.output == "float32" else self._down)(m, array, self._exponents(m, array))
        return m

    def _exponents(self, m, array):
        """Exponents of the sums in the row that the array gives, one a column."""
        config = self.config
        given = Cat(self.i.p.a_exponent, self.i.p.b_exponent)
        tiles = -(-config.result_rows // config.rows)
        m.submodules.exponents = waiting = fifo.SyncFIFO(width=len(given), depth=tiles)
        m.d.comb += [
            waiting.w_data.eq(given),
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
        """Three rows of registers: in front of the conversions, in them, behind them."""
        config = self.config
        rows = Rows(m, 3, valid=array.o.valid, ready=self.o.ready)
        m.d.comb += [array.o.ready.eq(rows.advance[0]), self.o.valid.eq(rows.valid[-1])]
        last = array.o.p.last
        for row in range(3):
            last = rows.register(row, last, "last")
        m.d.comb += self.o.p.last.eq(last)
        scales = [rows.register(0, exponent, f"scale{col}") for col, exponent in enumerate(exponents)]
        for col in range(config.cols):
            convert = place_int_to_float(config.acc_width, config.sum_exponent_width, stages=2)
            m.submodules[f"convert_{col}"] = convert
            m.d.comb += [
                convert.value.eq(rows.register(0, array.o.p.c[col], f"sum{col}")),
                convert.exponent.eq(scales[min(col, len(scales) - 1)]),
                convert.advance.eq(rows.advance[1]),
                self.o.p.c[col].eq(rows.register(2, convert.code, f"code{col}")),
            ]

    def _down(self, m, array, exponents):
        """The down-converter behind the array; it does not tell where a tile ends if its blocks are rows."""
        config = self.config
        m.submodules.down = down = DFPDown(config.down)
        m.d.comb += [
            down.i.valid.eq(array.o.valid),
            array.o.ready.eq(down.i.ready),
            down.i.p.value.eq(array.o.p.c),
            down.i.p.exponent.eq(exponents[0].as_signed()),
            down.i.p.last.eq(array.o.p.last | (config.block == "row")),
            self.o.valid.eq(down.o.valid),
            down.o.ready.eq(self.o.ready),
            self.o.p.c.eq(down.o.p.mantissa),
            self.counters.eq(down.counters),
        ]
        for field in config.o.fields[1:-1]:
            m.d.comb += self.o.p[field.name].eq(down.o.p[field.name])
        row = Signal(range(config.rows))
        ends = row == config.rows - 1
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += row.eq(Mux(ends, 0, row + 1))
        m.d.comb += self.o.p.last.eq(ends)
