"""Output-stationary systolic array: the grid of PEs with its edges, and the design with streams around it."""

from itertools import pairwise

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from .final_adder import place_final_adder
from .layout import payload_layout
from .pe import carry_columns, encode_operand, place_correction, place_pe
from .shared import Shared

__all__ = ["PulseTrain", "SystolicArray", "SystolicGrid"]


def _delayed(m, value, cycles, name):
    """The value some cycles later."""
    for cycle in range(cycles):
        register = Signal(len(value), name=f"{name}_{cycle}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class PulseTrain(wiring.Component):
    """A pulse, once a cycle later from each of its outputs.

    As a module of its own, a row's or a column's train is not merged with its neighbours', which carry the same pulses
    at the same time: one flip-flop would have to drive a whole diagonal of the array.

    Parameters
    ----------
    length : :class:`int`
        Number of outputs.

    Members
    -------
    pulse : ``In(1)``
    train : ``Out(length)``
        Bit ``n`` is ``pulse`` of ``n + 1`` cycles ago.
    """

    def __init__(self, length):
        super().__init__(self.ports(length))

    @staticmethod
    def ports(length):
        """Signature for a length."""
        return wiring.Signature({"pulse": In(1), "train": Out(length)})

    def elaborate(self, platform):
        m = Module()
        train = Signal(len(self.train), name="train_r", reset_less=True)
        m.d.sync += train.eq(Cat(self.pulse, train)[: len(train)])
        m.d.comb += self.train.eq(train)
        return m


def _place_train(m, name, pulse, length, kind):
    m.submodules[name] = placed = Shared(lambda: PulseTrain(length), PulseTrain.ports(length), name=f"{kind}_train")
    m.d.comb += placed.pulse.eq(pulse)
    return placed.train


class SystolicGrid(wiring.Component):
    """Rows and columns of PEs, operand skew, drain and final adders; nothing in it ever waits.

    PE (r, c) works r + c cycles behind PE (0, 0). The PEs of a column finish one a cycle, so that one multiplexer and one
    final adder serve a column; the columns' results are delayed to make whole rows.

    Parameters
    ----------
    config : :class:`~carrysave.models.systolic.SystolicConfig`

    Members
    -------
    a, b : ``In``
        A column of A and a row of B, raw bits; all zero in a bubble.
    first, last : ``In(1)``
        This step begins a tile, ends one. Two steps with ``last`` are at least ``rows`` cycles apart.
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
        return wiring.Signature({
            "a": In(data.ArrayLayout(config.a_width, config.rows)),
            "b": In(data.ArrayLayout(config.b_width, config.cols)),
            "first": In(1),
            "last": In(1),
            "c": Out(data.ArrayLayout(config.acc_width, config.cols)),
            "valid": Out(1),
            "tile_end": Out(1),
        })  # fmt: skip

    @property
    def latency(self):
        """Cycles from ``last`` to the first row: operand register, accumulator, final adder, result, and the skew."""
        return self.config.cols + 3

    def elaborate(self, platform):
        m = Module()
        config = self.config
        rows, cols = config.rows, config.cols
        carries = carry_columns(config) if config.pe == "opt1" else ()

        started, ended = Signal(), Signal()
        m.d.sync += [started.eq(self.first), ended.eq(self.last)]
        # Row r clears r cycles after row 0, column c drains c cycles after column 0.
        first = [self.first, started, *Signal(max(rows - 2, 0), name="first_r")][:rows]
        drain = [ended, *Signal(cols + rows, name="drain_r")]
        for train in (first, drain):
            m.d.sync += [later.eq(earlier) for earlier, later in pairwise(train) if later is not started]
        clear = [_place_train(m, f"clear_{r}", first[r], cols, "clear") for r in range(rows)]
        select = [_place_train(m, f"select_{c}", drain[c], rows, "select") for c in range(cols)]

        across = [
            encode_operand(m, config, _delayed(m, self.a[r], r, f"a{r}"), name=f"row{r}_digit") for r in range(rows)
        ]
        down = [_delayed(m, self.b[c], c, f"b{c}") for c in range(cols)]
        grid = [[None] * cols for _ in range(rows)]
        for r in range(rows):
            for c in range(cols):
                m.submodules[f"pe_{r}_{c}"] = pe = grid[r][c] = place_pe(config, config.pe)
                m.d.comb += [pe.a.eq(across[r]), pe.b.eq(down[c]), pe.clear.eq(clear[r][c])]
                across[r], down[c] = pe.a_o, pe.b_o

        m.submodules.correction = correction = place_correction(config)
        m.d.comb += [correction.clear.eq(started), correction.last.eq(ended)]
        value = correction.correction
        for c in range(cols):
            m.submodules[f"final_{c}"] = final = place_final_adder(config, carries)
            value = _delayed(m, value, min(c, 1), f"correction{c}")
            chosen = 0
            for r in range(rows):
                state = Cat(grid[r][c].s, grid[r][c].c) if carries else grid[r][c].acc
                chosen = (state & select[c][r].replicate(len(state))) | chosen
            m.d.comb += [(Cat(final.s, final.c) if carries else final.s).eq(chosen), final.correction.eq(value)]
            m.d.comb += self.c[c].eq(_delayed(m, final.result, cols - c, f"c{c}"))

        # With drain[r + c] PE (r, c) adds its last product; two cycles on, row r of column c is in the final adder's
        # register, and cols - c cycles after that it stands with its row at the output.
        m.d.sync += [self.valid.eq(Cat(drain[cols + 1 :]).any()), self.tile_end.eq(drain[cols + rows])]
        return m


class SystolicArray(wiring.Component):
    """Output-stationary systolic array with streams: any K, results overlapped with the next tile.

    Parameters
    ----------
    config : :class:`~carrysave.models.systolic.SystolicConfig`

    Members
    -------
    i : ``In(stream)``
        One step of K a beat: ``a``, ``b`` and ``last``, which ends the tile.
    o : ``Out(stream)``
        One row of C a beat: ``c`` and ``last``.

    Implementation notes
    --------------------
    Only the last step of a tile ever waits: until the rows of the tile before are out of the drain's way, and until the
    result buffer has room for all rows of this tile. The grid meanwhile runs on with zero operands, which change no sum.
    ``i.ready`` therefore depends on ``i.p.last``.
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
        m.submodules.grid = grid = Shared(
            lambda: SystolicGrid(config), SystolicGrid.ports(config), name="systolic_grid", reset=True
        )
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
