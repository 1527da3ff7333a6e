"""Output-stationary arrays: the grid of PEs with its edges, and the design with streams around it.

Systolic array, 3D cube and 2D matrix are one grid: PEs of one lane or of several, operand A handed on from PE to PE or
broadcast along a row.
"""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from .edges import delayed, place_drain, place_row_encoder, place_train
from .final_adder import place_final_adder
from .pe import carry_columns, place_correction, place_pe, temporal
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["SystolicArray", "SystolicGrid"]


class SystolicGrid(wiring.Component):
    """Rows and columns of PEs, operand skew, drain and final adders; nothing in it ever waits.

    PE (r, c) works r + c cycles behind PE (0, 0), or r cycles where operand A is broadcast along the row. The PEs of a
    column finish one a cycle, so that one multiplexer and one final adder serve a column; the columns' results are
    delayed to make whole rows.

    Parameters
    ----------
    config : :class:`~carrysave.models.systolic.SystolicConfig`

    Members
    -------
    a, b : ``In``
        A step of K: what goes to each row and to each column, raw bits of all lanes; all zero in a bubble.
    first, last : ``In(1)``
        This step begins a tile, ends one. Two steps with ``last`` are at least ``rows`` cycles apart.
    weight : ``In(bit_weights)``
        OPT2 only: the bit weight of the step, one-hot.
    shift : ``In(1)``
        OPT2 only: this step is the first of a bit weight other than a tile's first.
    c : ``Out``
        A row of C, raw bits.
    valid : ``Out(1)``
        ``c`` holds a row: in ``rows`` consecutive cycles, the first one ``latency`` cycles after ``last``.
    tile_end : ``Out(1)``
        It is the tile's last row.
    """

    def __init__(self, config):
        self.config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        passes = {"weight": In(config.bit_weights), "shift": In(1)} if temporal(config) else {}
        return wiring.Signature({
            "a": In(data.ArrayLayout(config.a_width * config.lanes, config.rows)),
            "b": In(data.ArrayLayout(config.b_width * config.lanes, config.cols)),
            "first": In(1),
            "last": In(1),
            **passes,
            "c": Out(data.ArrayLayout(config.acc_width, config.cols)),
            "valid": Out(1),
            "tile_end": Out(1),
        })  # fmt: skip

    def _carries(self):
        return () if self.config.pe == "mac" else carry_columns(self.config)

    def _encoded(self, m, r, a):
        m.submodules[f"encoder_{r}"] = encoder = place_row_encoder(self.config)
        m.d.comb += encoder.a.eq(a)
        if temporal(self.config):
            m.d.comb += encoder.weight.eq(delayed(m, self.weight, r, f"weight{r}"))
        return encoder.encoded

    def _place_pe(self):
        return place_pe(self.config, self.config.pe)

    def _place_final(self, carries):
        return place_final_adder(self.config, carries)

    @property
    def latency(self):
        """Cycles from ``last`` to the first row: operand register, accumulator, final adder, result, and the skew."""
        return self.config.latency - 1

    def elaborate(self, platform):
        m = Module()
        config = self.config
        rows, cols = config.rows, config.cols
        carries = self._carries()
        # Cycles by which the last column is behind the first.
        skew = 0 if config.broadcast else cols - 1

        started, ended, shifted = Signal(), Signal(), Signal()
        m.d.sync += [started.eq(self.first), ended.eq(self.last)]
        # Row r clears r cycles after row 0, column c drains c cycles after column 0.
        first = [self.first, started, *Signal(max(rows - 2, 0), name="first_r")][:rows]
        late = config.register_cycles
        drain = [delayed(m, ended, late, "ended"), *Signal(skew + rows + config.adder_cycles, name="drain_r")]
        trains = [first, drain]
        clear = [place_train(m, f"clear_{r}", first[r], skew + 1, "clear") for r in range(rows)]
        select = [place_train(m, f"select_{c}", drain[c], rows, "select") for c in range(skew + 1)]
        if temporal(config):
            m.d.sync += shifted.eq(self.shift)
            shift = [self.shift, shifted, *Signal(max(rows - 2, 0), name="shift_r")][:rows]
            trains.append(shift)
            shift = [place_train(m, f"shift_{r}", shift[r], skew + 1, "clear") for r in range(rows)]
        for train in trains:
            m.d.sync += [
                later.eq(earlier) for earlier, later in pairwise(train) if later is not started and later is not shifted
            ]

        across = [self._encoded(m, r, delayed(m, self.a[r], r, f"a{r}")) for r in range(rows)]
        down = [delayed(m, self.b[c], 0 if config.broadcast else c, f"b{c}") for c in range(cols)]
        grid = [[None] * cols for _ in range(rows)]
        for r in range(rows):
            for c in range(cols):
                behind = min(c, skew)
                m.submodules[f"pe_{r}_{c}"] = pe = grid[r][c] = self._place_pe()
                m.d.comb += [pe.a.eq(across[r]), pe.b.eq(down[c]), pe.clear.eq(clear[r][behind])]
                if temporal(config):
                    m.d.comb += pe.shift.eq(shift[r][behind])
                if not config.broadcast:
                    across[r] = pe.a_o
                down[c] = pe.b_o

        corrected = config.correction == "drain"
        if corrected:
            m.submodules.correction = correction = place_correction(config)
            m.d.comb += [correction.clear.eq(delayed(m, started, late, "started")), correction.last.eq(drain[0])]
            if temporal(config):
                m.d.comb += correction.shift.eq(delayed(m, shifted, late, "shifted"))
            value = correction.correction
        for c in range(cols):
            behind = min(c, skew)
            m.submodules[f"final_{c}"] = final = self._place_final(carries)
            if corrected:
                value = delayed(m, value, min(behind, 1), f"correction{c}")
                m.d.comb += final.correction.eq(value)
            states = [Cat(pe.s, pe.c) if carries else pe.acc for pe in (grid[r][c] for r in range(rows))]
            m.submodules[f"drain_{c}"] = mux = place_drain(len(states[0]), rows)
            m.d.comb += [mux.states.eq(Cat(states)), mux.select.eq(select[behind])]
            m.d.comb += (Cat(final.s, final.c) if carries else final.s).eq(mux.chosen)
            m.d.comb += self.c[c].eq(delayed(m, final.result, skew + 1 - behind, f"c{c}"))

        # With drain[r + c] PE (r, c) adds its last product; two cycles on, row r of column c is in the final adder's
        # register, and some cycles after that, the skew made up for, it stands with its row at the output.
        out = drain[skew + 1 + config.adder_cycles :]
        m.d.sync += [self.valid.eq(Cat(out).any()), self.tile_end.eq(out[-1])]
        return m


class SystolicArray(StreamUnit):
    """Output-stationary array with streams: any K, results overlapped with the next tile.

    Parameters
    ----------
    config : :class:`~carrysave.models.systolic.SystolicConfig`
        Or one derived from it: of a cube, of a 2D matrix.

    Members
    -------
    i : ``In(stream)``
        One step of K a beat: ``a``, ``b`` and ``last``, which ends the tile; with OPT2 also ``weight``.
    o : ``Out(stream)``
        One row of C a beat: ``c`` and ``last``.

    Implementation notes
    --------------------
    Only the last step of a tile ever waits: until the rows of the tile before are out of the drain's way, and until the
    result buffer has room for all rows of this tile. The grid meanwhile runs on with zero operands, which change no sum.
    ``i.ready`` therefore depends on ``i.p.last``.
    """

    def place_grid(self):
        """The grid as the shared module ``systolic_grid``."""
        return Shared(
            lambda: SystolicGrid(self.config), SystolicGrid.ports(self.config), name="systolic_grid", reset=True
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.grid = grid = self.place_grid()
        m.submodules.results = results = fifo.SyncFIFO(width=config.o.width, depth=config.result_rows)

        accepted, ending = Signal(), Signal()
        first = Signal(init=1)  # the next beat begins a tile
        with m.If(accepted):
            m.d.sync += first.eq(self.i.p.last)
        m.d.comb += [accepted.eq(self.i.valid & self.i.ready), ending.eq(accepted & self.i.p.last)]
        m.d.comb += [
            grid.a.eq(Mux(accepted, self.i.p.a.as_value(), 0)),
            grid.b.eq(Mux(accepted, self.i.p.b.as_value(), 0)),
            grid.first.eq(accepted & first),
            grid.last.eq(ending),
            results.w_data.eq(Cat(grid.c, grid.tile_end)),
            results.w_en.eq(grid.valid),
        ]
        if temporal(config):
            # The first step of a bit weight shifts, but for the first step of a tile.
            before = Signal.like(self.i.p.weight)
            with m.If(accepted):
                m.d.sync += before.eq(self.i.p.weight)
            m.d.comb += [
                grid.weight.eq(Mux(accepted, 1 << self.i.p.weight, 0)),
                grid.shift.eq(accepted & ~first & (self.i.p.weight != before)),
            ]

        taken = self.o.valid & self.o.ready
        reserved = Signal(range(config.result_rows + 1))
        apart = Signal(range(config.rows + 1))  # cycles until the drain is free again
        m.d.sync += reserved.eq(reserved + Mux(ending, config.rows, 0) - taken)
        with m.If(ending):
            m.d.sync += apart.eq(config.rows - 1)
        with m.Elif(apart != 0):
            m.d.sync += apart.eq(apart - 1)
        room = (reserved <= config.result_rows - config.rows) & (apart == 0)
        m.d.comb += [
            self.i.ready.eq(room | ~self.i.p.last),
            self.o.valid.eq(results.r_rdy),
            self.o.payload.eq(results.r_data),
            results.r_en.eq(self.o.ready),
        ]
        return m
