"""Design ``requantise``: dyadic requantisation, a beat a cycle, by multipliers and shifts from a table."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .dfp_stream import Rows
from .float_parts import named
from .row_table import RowTable
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["DyadicLane", "Requantise", "place_dyadic_lane"]


class DyadicLane(wiring.Component):
    """One element: bias, product, shift, rounding, sum of the branches and clamp, each behind a register.

    Parameters
    ----------
    config : :class:`~carrysave.models.requantise_unit.RequantiseConfig`

    Members
    -------
    x, multiplier, shift : ``In``
        Of one branch; the same with ``residual_`` before it of the other, if there is one.
    bias : ``In(signed(bias_width))``
        Of the first branch; absent without.
    advance : ``In``
        The rows of registers take new values: four, and one for the bias.
    y : ``Out(signed(width))``
    saturated : ``Out(1)``
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        ports = {}
        for prefix in config.branches:
            ports |= {
                f"{prefix}x": In(signed(config.source_width)),
                f"{prefix}multiplier": In(config.multiplier_bits),
                f"{prefix}shift": In(config.shift_width),
            }
        if config.bias_width:
            ports["bias"] = In(signed(config.bias_width))
        # The row before the lane's holds what comes in.
        advance = In(config.latency - 1)
        return wiring.Signature({**ports, "advance": advance, "y": Out(signed(config.width)), "saturated": Out(1)})

    def elaborate(self, platform):
        m = Module()
        config = self._config

        first = int(config.bias_width > 0)

        def register(row, value, name):
            held = Signal.like(value, name=f"{name}_r{row}", reset_less=True)
            with m.If(self.advance[first + row]):
                m.d.sync += held.eq(value)
            return held

        rounded = [self._branch(m, prefix, register) for prefix in config.branches]
        total = Signal(signed(config.product_width + len(rounded) - 1), name="total")
        m.d.comb += total.eq(sum(rounded))
        low, high = config.bounds
        above, below = named(m, "above", (total > high)[:1]), named(m, "below", (total < low)[:1])
        clamped = Signal(signed(config.width), name="clamped")
        m.d.comb += clamped.eq(Mux(above, high, Mux(below, low, total)))
        m.d.comb += [
            self.y.eq(register(3, clamped, "y")),
            self.saturated.eq(register(3, named(m, "clamps", above | below), "saturated")),
        ]
        return m

    def _branch(self, m, prefix, register):
        """The rounded product of a branch, behind its third register."""
        config = self._config
        x, multiplier, shift = (getattr(self, f"{prefix}{name}") for name in ("x", "multiplier", "shift"))
        if config.bias_width:
            operand = Signal(signed(config.operand_width), name=f"{prefix}operand")
            m.d.comb += operand.eq(x if prefix else x + self.bias)
            x, multiplier, shift = (
                register(-1, value, f"{prefix}{name}")
                for value, name in ((operand, "operand"), (multiplier, "multiplier"), (shift, "shift"))
            )
        product = Signal(signed(config.product_width), name=f"{prefix}product")
        m.d.comb += product.eq(x * multiplier)
        product, shift = register(0, product, f"{prefix}product"), register(0, shift, f"{prefix}shift")
        # One bit more below: of what is dropped the highest is looked at by itself.
        word, rest = Cat(Const(0, 1), product), Const(0, 1)
        for level, by in enumerate(shift):
            step = min(1 << level, len(word))
            rest = named(m, f"{prefix}rest{level}", rest | (by & word[:step].any()))
            moved = Cat(word[step:], product[-1].replicate(step))
            word = named(m, f"{prefix}shifted{level}", Mux(by, moved, word))
        word, rest = register(1, word, f"{prefix}word"), register(1, rest, f"{prefix}rest")
        half, kept = word[0], word[1:]
        up = {"half-even": half & (rest | kept[0]), "half-up": half, "floor": Const(0, 1)}[config.rounding]
        rounded = Signal(signed(config.product_width), name=f"{prefix}rounded")
        m.d.comb += rounded.eq(kept.as_signed() + up)
        return register(2, rounded, f"{prefix}rounded")


def place_dyadic_lane(config):
    """A :class:`DyadicLane` as the shared module ``dyadic_lane``."""
    return Shared(lambda: DyadicLane(config), DyadicLane.ports(config), name="dyadic_lane")


class Requantise(StreamUnit):
    """Requantiser, a beat a cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.requantise_unit.RequantiseConfig`

    Members
    -------
    i, o
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        names = [f"{prefix}{name}" for prefix in config.branches for name in ("multiplier", "shift")]
        names += ["bias"] if config.bias_width else []
        table = RowTable(m, self.i, names=names, table_beats=config.table_beats)
        rows = Rows(m, config.latency, valid=self.i.valid & ~self.i.p.load, ready=self.o.ready)
        m.d.comb += [self.i.ready.eq(rows.advance[0]), self.o.valid.eq(rows.valid[-1])]
        operands = {name: rows.register(0, word, name) for name, word in table.words.items()}
        for prefix in config.branches:
            operands[f"{prefix}x"] = rows.register(0, self.i.p[f"{prefix}x"].as_value(), f"{prefix}x")
        last = self.i.p.last
        for row in range(config.latency):
            last = rows.register(row, last, "last")
        lanes = []
        for n in range(config.lanes):
            m.submodules[f"lane_{n}"] = lane = place_dyadic_lane(config)
            for name, words in operands.items():
                port = getattr(lane, name)
                m.d.comb += port.eq(words[len(port) * n :][: len(port)])
            m.d.comb += lane.advance.eq(Cat(rows.advance[1:]))
            lanes.append(lane)
        m.d.comb += [
            *(self.o.p.y[n].eq(lane.y) for n, lane in enumerate(lanes)),
            self.o.p.saturated.eq(sum(lane.saturated for lane in lanes)),
            self.o.p.last.eq(last),
        ]
        return m
