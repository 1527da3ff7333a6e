"""Laconic's term-serial array: the grid of PEs with the sources of terms at its edges, and the design with streams around it."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from .laconic_pe import LaconicPE, place_laconic_pe, step_width
from .laconic_terms import place_term_edge
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["LaconicArray", "LaconicGrid"]


def _any_of(edges, name, lanes):
    return Cat(getattr(edge, name)[lane] for edge in edges for lane in lanes).any()


class LaconicGrid(wiring.Component):
    """Edges with the sources of terms, their sequencer, PEs and drain.

    An operand's terms are broadcast along its row or column, so that all PEs work on the same indices of terms. Every lane
    goes through the pairs of indices by itself or, with ``sync="array"``, all do so together. The PEs finish a tile at
    once and hand their sums up a shift path, each column a row a cycle, while the next tile goes on.

    Parameters
    ----------
    config : :class:`~carrysave.models.laconic.LaconicConfig`

    Members
    -------
    a, b : ``In``
        A group of operands: ``lanes`` of each row and of each column, raw bits.
    take : ``In(1)``
        Let this group wait; the one that did is loaded in this cycle, or there was none.
    load : ``In(1)``
        Begin with the waiting group in the next cycle; only with ``final``.
    hold : ``In(1)``
        Wait with the last step of the group.
    final : ``Out(1)``
        The last step of the group is due, or there is none any more.
    first : ``In(1)``
        The group was loaded one cycle ago and begins a tile.
    ended : ``In(1)``
        The step of this cycle ends a tile. Two of them are at least ``rows`` cycles apart.
    c : ``Out``
        A row of C, raw bits.
    valid : ``Out(1)``
        ``c`` holds a row: in ``rows`` consecutive cycles, the first one ``latency`` cycles after ``ended``.
    tile_end : ``Out(1)``
        It is the tile's last row.
    """

    #: Cycles from a tile's last step to its first row: term, sum of the lanes, accumulator, drain, delay of the low part.
    latency = LaconicPE.summing + 4

    def __init__(self, config):
        self.config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "a": In(data.ArrayLayout(config.a_width * config.lanes, config.rows)),
            "b": In(data.ArrayLayout(config.b_width * config.lanes, config.cols)),
            "take": In(1),
            "load": In(1),
            "hold": In(1),
            "final": Out(1),
            "first": In(1),
            "ended": In(1),
            "c": Out(data.ArrayLayout(config.acc_width, config.cols)),
            "valid": Out(1),
            "tile_end": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self.config
        a = self._edge(m, "a", self.a, config.a_recoding, config.a_exponent, again=False)
        b = self._edge(m, "b", self.b, config.b_recoding, config.b_exponent, again=True)
        self._sequence(m, a, b)

        # What concerns a PE's high part, its drain too, is a cycle behind what concerns its low part.
        begun, drain = Signal(LaconicPE.summing + 2), Signal(self.latency - 1 + config.rows)
        m.d.sync += [begun.eq(Cat(self.first, begun)), drain.eq(Cat(self.ended, drain))]
        low = step_width(config)
        for c in range(config.cols):
            below = 0
            for r in reversed(range(config.rows)):
                m.submodules[f"pe_{r}_{c}"] = pe = place_laconic_pe(config)
                m.d.comb += [
                    pe.a.eq(a[r].term),
                    pe.b.eq(b[c].term),
                    pe.clear.eq(begun[-2:]),
                    pe.take.eq(drain[self.latency - 3 : self.latency - 1]),
                    pe.c_i.eq(below),
                ]
                below = pe.c_o
            late = Signal(low, name=f"c{c}_low", reset_less=True)
            m.d.sync += late.eq(below[:low])
            m.d.comb += self.c[c].eq(Cat(late, below[low:]))
        m.d.comb += [self.valid.eq(drain[self.latency - 1 :].any()), self.tile_end.eq(drain[-1])]
        return m

    def _edge(self, m, name, operands, recoding, exponent, *, again):
        """The terms' encoders and sources of all rows, or of all columns."""
        edges = []
        for index, operand in enumerate(operands):
            m.submodules[f"edge_{name}{index}"] = edge = place_term_edge(
                recoding, exponent, self.config.lanes, again=again
            )
            m.d.comb += [edge.value.eq(operand), edge.take.eq(self.take), edge.load.eq(self.load)]
            edges.append(edge)
        return edges

    def _sequence(self, m, a, b):
        """For each term of A, each term of B."""
        lanes = range(self.config.lanes)
        stop, following, onward = Signal(), Signal(len(lanes)), Signal(len(lanes))
        m.d.comb += stop.eq(self.hold & self.final)
        counts = []
        for index, group in enumerate([[lane] for lane in lanes] if self.config.sync == "lane" else [lanes]):
            a_count, b_count = (
                Signal(len(edges[0].count) // len(lanes), name=f"{name}_count{index}")
                for name, edges in (("a", a), ("b", b))
            )
            goes_on = Signal(name=f"goes_on{index}")
            m.d.comb += [
                # Once there is no term of A left, it does not matter where B is.
                goes_on.eq(_any_of(b, "more", group) & _any_of(a, "any", group)),
                a_count.eq(reduce(or_, (edge.count.word_select(lane, len(a_count)) for edge in a for lane in group))),
                b_count.eq(reduce(or_, (edge.count.word_select(lane, len(b_count)) for edge in b for lane in group))),
            ]
            m.d.comb += [(following[lane].eq(goes_on), onward[lane].eq(~goes_on & ~stop)) for lane in group]
            counts.append((a_count, b_count))
        m.d.comb += [(edge.following.eq(onward), edge.silent.eq(stop)) for edge in a]
        m.d.comb += [(edge.following.eq(following), edge.restart.eq(onward), edge.silent.eq(stop)) for edge in b]
        self._count_down(m, counts)

    def _count_down(self, m, counts):
        """Steps that follow the present one: those of the slowest lane, counted ahead of the terms."""
        a_terms, b_terms = (range(len(count)) for count in counts[0])
        products = {}
        for i in a_terms:
            for j in b_terms:
                # Some lane has more than i terms of A and more than j of B.
                reached = Signal(name=f"reached{i}_{j}")
                m.d.comb += reached.eq(Cat(a[i] & b[j] for a, b in counts).any())
                products.setdefault((i + 1) * (j + 1) - 1, []).append(reached)
        rest = Signal(range(max(products) + 1))
        waiting, above, bits = Signal.like(rest), Const(0), [Const(0)] * len(rest)
        for product, reached in sorted(products.items(), reverse=True):
            largest, beyond = Signal(name=f"largest{product}"), Signal(name=f"beyond{product}")
            m.d.comb += [largest.eq(Cat(reached).any() & ~above), beyond.eq(Cat(reached).any() | above)]
            above = beyond
            bits = [bit | largest if product >> place & 1 else bit for place, bit in enumerate(bits)]
        m.d.comb += [waiting.eq(Cat(bits)), self.final.eq(rest == 0)]
        with m.If(self.load):
            m.d.sync += rest.eq(waiting)
        with m.Elif(~self.final):
            m.d.sync += rest.eq(rest - 1)


class LaconicArray(StreamUnit):
    """Term-serial array with streams: any K, results overlapped with the next tile.

    Parameters
    ----------
    config : :class:`~carrysave.models.laconic.LaconicConfig`

    Members
    -------
    i : ``In(stream)``
        A group of ``lanes`` steps of K a beat: ``a``, ``b`` and ``last``, which ends the tile.
    o : ``Out(stream)``
        One row of C a beat: ``c`` and ``last``.

    Implementation notes
    --------------------
    One group waits, its steps counted, while another is worked through, so that groups follow each other without a gap.
    The last step of a tile waits until the rows of the tile before are out of the drain's way, and until the result
    buffer has room for all rows of this tile.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.grid = grid = Shared(
            lambda: LaconicGrid(config), LaconicGrid.ports(config), name="laconic_grid", reset=True
        )
        m.submodules.results = results = fifo.SyncFIFO(width=config.o.width, depth=config.result_rows)

        accepted, load, ending, room = Signal(), Signal(), Signal(), Signal()
        boundary = Signal(init=1)  # the next beat begins a tile
        # Of the waiting group, and of that in work: whether there is one, begins a tile (in its first cycle), ends one.
        waits, waits_first, waits_last, first, last = (
            Signal(name=name) for name in ("waits", "waits_first", "waits_last", "first", "last")
        )
        m.d.comb += [
            accepted.eq(self.i.valid & self.i.ready),
            load.eq(waits & grid.final & (room | ~last)),
            ending.eq(last & grid.final & room),
            self.i.ready.eq(load | ~waits),
        ]
        m.d.sync += [waits.eq(accepted | (waits & ~load)), first.eq(load & waits_first)]
        with m.If(accepted):
            m.d.sync += [boundary.eq(self.i.p.last), waits_first.eq(boundary), waits_last.eq(self.i.p.last)]
        with m.If(load | ending):
            m.d.sync += last.eq(load & waits_last)
        m.d.comb += [
            grid.a.eq(self.i.p.a.as_value()),
            grid.b.eq(self.i.p.b.as_value()),
            grid.take.eq(accepted),
            grid.load.eq(load),
            grid.hold.eq(last & ~room),
            grid.first.eq(first),
            grid.ended.eq(ending),
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
        m.d.comb += [
            room.eq((reserved <= config.result_rows - config.rows) & (apart == 0)),
            self.o.valid.eq(results.r_rdy),
            self.o.payload.eq(results.r_data),
            results.r_en.eq(self.o.ready),
        ]
        return m
