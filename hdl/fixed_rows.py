"""Designs ``relu``, ``residual-add`` and ``batch-norm``: rows of fixed-point numbers, element by element, a beat a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.lfsr import DRAW_BITS
from .dfp_stream import Rows
from .fixed_point import fixed_cast, fixed_shape
from .lfsr import Draws
from .row_table import RowTable
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["BatchNorm", "FixedRowLane", "FixedRows", "place_fixed_row_lane"]


class FixedRowLane(wiring.Component):
    """One element: product and sum, if there are any, each behind a register, then ReLU and cast behind the last.

    Parameters
    ----------
    config : :class:`~carrysave.models.fixed_row_unit.FixedRowConfig`

    Members
    -------
    x : ``In``
        Mantissa of ``config.source``; the other ``config.operands`` beside it.
    draw : ``In(16)``
        Random bits for the cast. Absent unless rounding is stochastic.
    advance : ``In``
        The rows of registers take new values.
    y : ``Out``
        Mantissa of ``config.target``.
    overflow : ``Out(1)``
        The rounded number did not fit.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def stages(config):
        """Rows of registers: product, sum, cast."""
        return 1 + ("residual" in config.operands) + 2 * ("scale" in config.operands)

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            **{name: In(fixed_shape(form)) for name, form in config.operands.items()},
            **({"draw": In(DRAW_BITS)} if config.stochastic else {}),
            "advance": In(FixedRowLane.stages(config)),
            "y": Out(fixed_shape(config.target)),
            "overflow": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        exact = self._exact(m)
        if config.relu and config.exact.signed:
            positive = Signal(fixed_shape(config.exact), name="positive")
            m.d.comb += positive.eq(Mux(exact[-1], 0, exact))
            exact = positive
        y, overflow = fixed_cast(
            m,
            exact,
            config.exact,
            config.target,
            rounding=config.rounding,
            overflow=config.overflow,
            draw=self.draw if config.stochastic else None,
        )
        m.d.comb += [
            self.y.eq(self._register(m, -1, y, "y")),
            self.overflow.eq(self._register(m, -1, overflow, "overflow")),
        ]
        return m

    def _register(self, m, row, value, name):
        held = Signal.like(value, name=f"{name}_held", reset_less=True)
        with m.If(self.advance[row]):
            m.d.sync += held.eq(value)
        return held

    def _exact(self, m):
        """The number that is cast."""
        config = self._config
        if "scale" in config.operands:
            product = Signal(fixed_shape(config.product), name="product")
            m.d.comb += product.eq(self.x * self.scale)
            product, bias = self._register(m, 0, product, "product"), self._register(m, 0, self.bias, "bias")
            return self._register(m, 1, self._sum(m, (product, config.product), (bias, config.bias)), "sum")
        if "residual" in config.operands:
            total = self._sum(m, (self.x, config.source), (self.residual, config.residual))
            return self._register(m, 0, total, "sum")
        return self.x

    def _sum(self, m, *terms):
        form = self._config.exact
        total = Signal(fixed_shape(form), name="sum")
        aligned = []
        for value, of in terms:
            word = Cat(Const(0, form.fraction - of.fraction), value)
            aligned.append(word.as_signed() if of.signed else word)
        m.d.comb += total.eq(sum(aligned))
        return total


def place_fixed_row_lane(config):
    """A :class:`FixedRowLane` as the shared module ``fixed_row_lane``."""
    return Shared(lambda: FixedRowLane(config), FixedRowLane.ports(config), name="fixed_row_lane")


class FixedRows(StreamUnit):
    """Lanes between two streams: the whole of ``relu`` and ``residual-add``.

    Parameters
    ----------
    config : :class:`~carrysave.models.fixed_row_unit.FixedRowConfig`

    Members
    -------
    i, o
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.
    """

    def elaborate(self, platform):
        m = Module()
        rows = Rows(m, self.config.latency, valid=self.i.valid, ready=self.o.ready)
        operands = {name: self.i.p[name].as_value() for name in self.config.operands}
        self._lanes(m, rows, operands, self.i.p.last)
        return m

    def _lanes(self, m, rows, operands, last):
        """Lanes in the last rows of registers, from the words of all lanes' operands and ``last``, which they take first."""
        config = self.config
        first = len(rows.advance) - FixedRowLane.stages(config)
        for row in range(first, len(rows.advance)):
            last = rows.register(row, last, "last")
        lanes = []
        for n in range(config.lanes):
            m.submodules[f"lane_{n}"] = lane = place_fixed_row_lane(config)
            for name, words in operands.items():
                width = config.operands[name].width
                m.d.comb += getattr(lane, name).eq(words[width * n :][:width])
            m.d.comb += [lane.advance.eq(Cat(rows.advance[first:])), self.o.p.y[n].eq(lane.y)]
            lanes.append(lane)
        if config.stochastic:
            # Of what the last row of registers takes.
            offered = rows.valid[-2] if len(rows.advance) > 1 else self.i.valid
            m.submodules.draws = draws = Draws(config.lanes, config.seed)
            m.d.comb += [
                draws.advance.eq(offered & rows.advance[-1]),
                *(lane.draw.eq(draws.draws.word_select(n, DRAW_BITS)) for n, lane in enumerate(lanes)),
            ]
        m.d.comb += [
            self.i.ready.eq(rows.advance[0]),
            self.o.valid.eq(rows.valid[-1]),
            self.o.p.overflow.eq(sum(lane.overflow for lane in lanes)),
            self.o.p.last.eq(last),
        ]


class BatchNorm(FixedRows):
    """Product with a channel's scale, sum with its bias, ReLU on option, and cast.

    Parameters
    ----------
    config : :class:`~carrysave.models.batch_norm_unit.BatchNormConfig`

    Members
    -------
    i, o
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        table = RowTable(m, self.i, names=("scale", "bias"), table_beats=config.table_beats)
        rows = Rows(m, config.latency, valid=self.i.valid & ~self.i.p.load, ready=self.o.ready)
        operands = {"x": self.i.p.x.as_value(), **table.words}
        operands = {name: rows.register(0, words, name) for name, words in operands.items()}
        self._lanes(m, rows, operands, rows.register(0, self.i.p.last, "last"))
        return m
