"""Designs ``dfp-quantise`` and ``dfp-down``: a block waits until its maximum is known, then is shifted and rounded."""

from amaranth.hdl import Cat, Const, Mux, Signal, signed
from amaranth.lib import data, fifo

from ..models.dfp_units import exponent_range
from .dfp_lanes import base_offset, base_shape, place_float_to_dfp, place_int_to_dfp, shift_shape
from .dfp_parts import clamped, count_leading_zeros, may_round_up, negated_if
from .dfp_stream import DFPUnit, Rows
from .float_parts import named, shifted_left
from .lfsr import Draws

__all__ = ["DFPDown", "DFPQuantise"]


def _within(m, value, low, high, empty):
    """A signed value clipped to a range, or its low end; whether it was above and below."""
    over = named(m, "exponent_over", ((value > high) & ~empty)[:1])
    under = named(m, "exponent_under", ((value < low) & ~empty)[:1])
    clipped = Mux(over, high, Mux(under | empty, low, value))
    return clipped, over, under


class _BlockUnit(DFPUnit):
    """Base of both.

    Implementation notes
    --------------------
    Beats go into a FIFO as they come. Beside it a tree finds the largest magnitude of each, a register that of the block, and
    two more cycles make of it what the lanes need; that waits in a second FIFO until the block's beats have been taken from
    the first. Nothing on this side ever stalls: the second FIFO is as deep as the first, and a block has a beat there.

    The first FIFO holds a longest block and what comes until the first beat of it is taken, so that no block can fill it
    without its end. A beat a cycle goes through for ever, of blocks of any length: once a longest block was in the way the
    output lags behind by as many beats, which may be as many blocks.
    """

    def build(self, m):
        """The unit, but for its counters."""
        config = self.config
        rows = 3
        waiting = config.latency - rows  # cycles from a block's last beat to its first one leaving the buffer
        values = [self.i.p.value[n] for n in range(config.lanes)]
        lane_width = len(values[0])
        depth = config.block_beats + waiting
        m.submodules.beats = beats = fifo.SyncFIFO(width=lane_width * config.lanes + 1, depth=depth)
        accepted, ending = Signal(), Signal()
        place = Signal(range(config.block_beats))
        m.d.comb += [
            accepted.eq(self.i.valid & self.i.ready),
            ending.eq(self.i.p.last | (place == config.block_beats - 1)),
            beats.w_data.eq(Cat(*values, ending)),
            beats.w_en.eq(accepted),
        ]
        with m.If(accepted):
            m.d.sync += place.eq(Mux(ending, 0, place + 1))

        summary = self._summarised(m, values, accepted, ending)
        layout = data.StructLayout({name: value.shape() for name, value in summary.fields.items()})
        m.submodules.blocks = blocks = fifo.SyncFIFO(width=layout.size, depth=depth)
        m.d.comb += [blocks.w_data.eq(Cat(summary.fields.values())), blocks.w_en.eq(summary.valid)]

        rows = Rows(m, rows, valid=blocks.r_rdy, ready=self.o.ready)
        last = beats.r_data[-1]
        m.d.comb += [
            beats.r_en.eq(blocks.r_rdy & rows.advance[0]),
            blocks.r_en.eq(beats.r_en & last),
            self.i.ready.eq(beats.w_rdy),
            self.o.valid.eq(rows.valid[-1]),
        ]

        beat, head = rows.register(0, beats.r_data, "beat"), data.View(layout, rows.register(0, blocks.r_data, "block"))
        results = self._lanes(m, rows, [beat[lane_width * n :][:lane_width] for n in range(config.lanes)], head)
        results |= {name: head[name] for name in ("exponent_overflow", "exponent_underflow")}
        results |= {"exponent": self._exponent(head), "last": beat[-1]}
        for name, value in results.items():
            value = value if name in self._rounded else rows.register(1, named(m, f"{name}_shifted", value), name)
            m.d.comb += self.o.p[name].eq(rows.register(2, named(m, f"{name}_rounded", value), name))

    def _summarised(self, m, values, accepted, ending):
        """What the lanes need to know of a block, two cycles after its maximum."""
        words = [self._magnitude(m, value, n) for n, value in enumerate(values)]
        flow = Cat(accepted, ending)
        source = self._source()
        for level in range(self.config.tree_levels):
            words = [self._larger(words[n], *words[n + 1 : n + 2]) for n in range(0, len(words), 2)]
            words = [_held(m, word, f"largest{level}_{n}") for n, word in enumerate(words)]
            flow, source = _held(m, flow, f"flow{level}", reset=True), _held(m, source, f"source{level}")
        (word,), (valid, ends) = words, flow
        largest = Signal.like(word, name="largest", reset_less=True)
        first = Signal(init=1)
        with m.If(valid):
            m.d.sync += [first.eq(ends), largest.eq(Mux(first, word, self._larger(largest, word)))]
        source = _held(m, source, "source")
        ended = _held(m, valid & ends, "ended", reset=True)
        measured = {
            name: _held(m, named(m, f"{name}_of_largest", value), name)
            for name, value in self._measured(m, largest).items()
        }
        source, ended = _held(m, source, "source_measured"), _held(m, ended, "ended_measured", reset=True)
        return _Summary(ended, self._summary(m, source, **measured))

    def _draws(self, m, advance):
        """For each lane what its core takes besides the element: random bits, if any."""
        config = self.config
        if not config.stochastic:
            return [{}] * config.lanes
        m.submodules.draws = source = Draws(config.lanes, config.seed)
        m.d.comb += source.advance.eq(advance)
        bits = len(source.draws) // config.lanes
        return [{"draw": source.draws[bits * n :][:bits]} for n in range(config.lanes)]

    def _lanes(self, m, rows, values, head):
        """The fields of ``o`` that rounding makes, of what the registers in the lanes hold."""
        lanes = []
        draws = self._draws(m, rows.valid[1] & rows.advance[2])
        for n, (value, draw) in enumerate(zip(values, draws, strict=True)):
            m.submodules[f"lane_{n}"] = lane = self._place(self.config)
            inputs = {"advance": rows.advance[1], **self._inputs(value, head), **draw}
            m.d.comb += [getattr(lane, name).eq(signal) for name, signal in inputs.items()]
            lanes.append(lane)
        counted = {name: sum(getattr(lane, name) for lane in lanes) for name in self._rounded if name != "mantissa"}
        return {"mantissa": Cat(lane.mantissa for lane in lanes), **counted}


class _Summary:
    def __init__(self, valid, fields):
        self.valid = valid
        self.fields = fields


def _held(m, value, name, *, reset=False):
    register = Signal(value.shape(), name=f"{name}_held", reset_less=not reset)
    m.d.sync += register.eq(value)
    return register


def _greater(a, b=None):
    return a if b is None else Mux(a > b, a, b)


def _either(a, b=None):
    return a if b is None else a | b


class DFPQuantise(_BlockUnit):
    """Quantiser: a block of float32 numbers becomes integers with one exponent.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_block.DFPQuantiseConfig`

    Members
    -------
    i, o, counters
        As in :class:`~carrysave.hdl.dfp_stream.DFPUnit`.

    Implementation notes
    --------------------
    Exponents are kept with an offset, such that one is the field of the block's largest number, as a normalised one.
    """

    _rounded = ("mantissa", "saturated", "special")
    _place = staticmethod(place_float_to_dfp)
    _larger = staticmethod(_greater)

    def _source(self):
        return Const(0, 0)

    def _magnitude(self, m, code, n):
        finite = named(m, f"finite{n}", ~code[23:31].all())
        return code[:31] & finite.replicate(31)

    def _measured(self, m, largest):
        hidden = largest[23:].any()
        significand = Cat(largest[:23], hidden)
        zeros = count_leading_zeros(m, significand, "zeros")
        normal = shifted_left(m, significand, zeros, "normal")
        up = may_round_up(normal, self.config.width, self.config.rounding)
        return {
            "empty": ~largest.any(),
            "up": up if self.config.round_up == "exponent" else Const(0),
            "zeros": zeros,
            "field": largest[23:] | ~hidden,
        }

    def _summary(self, m, source, *, empty, up, zeros, field):
        offset = base_offset(self.config)
        low, high = (bound + offset for bound in exponent_range(self.config.exponent_width))
        base, over, under = _within(m, field - zeros + up, low, high, empty)
        held = Signal(base_shape(self.config), name="base")
        m.d.comb += held.eq(base)
        return {"base": held, "exponent_overflow": over, "exponent_underflow": under}

    def _exponent(self, head):
        return (head.base - base_offset(self.config))[: self.config.exponent_width]

    def _inputs(self, value, head):
        return {"code": value, "base": head.base}


class DFPDown(_BlockUnit):
    """Down-converter: a block of wide integers with one exponent becomes a block of fewer bits.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_block.DFPDownConfig`

    Members
    -------
    i, o, counters
        As in :class:`~carrysave.hdl.dfp_stream.DFPUnit`.

    Implementation notes
    --------------------
    Where only the digits of the largest magnitude count, not which of them are ones, all magnitudes are or'ed instead.
    """

    _rounded = ("mantissa", "saturated")
    _place = staticmethod(place_int_to_dfp)

    @property
    def _larger(self):
        config = self.config
        return _greater if config.round_up == "exponent" and config.rounding != "toward-zero" else _either

    def _source(self):
        return self.i.p.exponent

    def _magnitude(self, m, value, n):
        return negated_if(m, value, value[-1], f"magnitude{n}")

    def _measured(self, m, largest):
        zeros = count_leading_zeros(m, largest, "zeros")
        up = Const(0)
        if self._larger is _greater:
            normal = shifted_left(m, largest, zeros, "normal")
            up = may_round_up(normal, self.config.width, self.config.rounding)
        return {"empty": ~largest.any(), "up": up, "zeros": zeros}

    def _summary(self, m, source, *, empty, up, zeros):
        config = self.config
        low, high = exponent_range(config.exponent_width)
        # Digits that do not fit, if all there are count.
        most = max(config.source_width - (config.width - 1), 0)
        places = named(m, "places", Mux(zeros < most, most - zeros, 0)[: max(most.bit_length(), 1)])
        clipped, over, under = _within(m, source + places + up, low, high, empty)
        exponent = Signal(signed(config.exponent_width), name="exponent")
        m.d.comb += exponent.eq(clipped)
        distance = named(m, "distance", exponent - source).as_signed()
        return {
            "exponent": exponent,
            "shift": clamped(m, distance, shift_shape(config), "shift"),
            "negative": named(m, "negative", distance[-1]),
            "exponent_overflow": over,
            "exponent_underflow": under,
        }

    def _exponent(self, head):
        return head.exponent

    def _inputs(self, value, head):
        return {"value": value, "shift": head.shift, "negative": head.negative}
