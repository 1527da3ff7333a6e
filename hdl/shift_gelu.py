"""Design ``shift-gelu``: a row waits until its maximum is known, then each element is exponentiated, divided, multiplied."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import fifo

from ..models.shift_exp import SUM_LIMIT
from .dfp_stream import Rows
from .float_parts import named
from .recurrence import Lockstep, Quotient
from .row_parts import MaximumBuffer, clamped_sum, ends_width, filled, give_ends
from .shift_exp import RisingExpLane, place_shift_exp_lane
from .stream_unit import StreamUnit

__all__ = ["ShiftGELU"]


class ShiftGELU(StreamUnit):
    """ShiftGELU, rows of all lengths.

    Parameters
    ----------
    config : :class:`~carrysave.models.shift_gelu_unit.ShiftGELUConfig`

    Members
    -------
    i, o
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.

    Implementation notes
    --------------------
    ::

        i --> buffer --> x - maximum --> ShiftExp -----------------> buffer --> x --> shift --> x --> o
          \\-> maximum --^   - maximum --> ShiftExp -> + --> division --^

    The first buffer holds a longest row, see :class:`~carrysave.hdl.row_parts.MaximumBuffer`. Each element has a division of its
    own; the second buffer holds what comes while one goes on, or as many as are on their way. Elements of empty lanes are 0 from
    the first buffer on; for the maximum of the published function they are the smallest there, and 0 from the second one on.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        width, value_width = config.width, config.value_width
        source = MaximumBuffer(m, config, self.i, at_least=None if config.reference else 0)

        rows = 1 + config.exponential_cycles
        depth = config.factor_cycles + 1 if config.divider == "pipelined" else 2
        lane_width, ends_bits = width + value_width, ends_width(config)
        m.submodules.exponentials = buffer = fifo.SyncFIFO(width=config.lanes * lane_width + ends_bits, depth=depth)
        rows = Rows(m, rows, valid=source.r_rdy, ready=buffer.w_rdy)
        m.d.comb += source.r_en.eq(rows.advance[0])
        beat, highest = rows.register(0, source.beat, "beat"), rows.register(0, source.maximum, "highest")
        x = [beat[width * n :][:width] for n in range(config.lanes)]
        lanes = []
        for n, element in enumerate([*x, Const(0, signed(width))]):
            m.submodules[f"lane_{n}"] = lane = place_shift_exp_lane(config)
            m.d.comb += [lane.x.eq(element), lane.maximum.eq(highest), lane.advance.eq(Cat(rows.advance[1:]))]
            lanes.append(lane.e)
        *lanes, of_maximum = lanes
        if config.reference:
            of_maximum = self._of_any_maximum(m, rows, of_maximum, highest)
        for row in range(1, len(rows.advance)):
            beat = rows.register(row, beat, "beat")
        made = named(m, "made", rows.valid[-1] & buffer.w_rdy)
        x = [beat[width * n :][:width] for n in range(config.lanes)]
        if config.reference:
            x = filled(m, config, beat[-ends_bits:], x, "filled_element")
        kept = [Cat(element, e) for element, e in zip(x, lanes, strict=True)]
        m.d.comb += [buffer.w_data.eq(Cat(*kept, beat[-ends_bits:])), buffer.w_en.eq(made)]

        sums = Signal(config.lanes * SUM_LIMIT.bit_length(), reset_less=True)
        summed = Signal()
        m.d.sync += [sums.eq(Cat(clamped_sum(e + of_maximum) for e in lanes)), summed.eq(made)]
        recurrence = Quotient(
            dividend_width=SUM_LIMIT.bit_length(),
            divisor_width=SUM_LIMIT.bit_length(),
            quotient_width=config.factor_width,
        )
        m.submodules.division = division = Lockstep(
            recurrence, style=config.divider, depth=depth, core="factor_divider", lanes=config.lanes
        )
        m.submodules.factors = factors = fifo.SyncFIFO(width=len(division.quotient), depth=depth)
        m.d.comb += [
            division.dividend.eq(Const(SUM_LIMIT).replicate(config.lanes)),
            division.divisor.eq(sums),
            division.valid.eq(summed),
            factors.w_data.eq(division.quotient),
            factors.w_en.eq(division.done),
        ]

        rows = Rows(m, 4, valid=factors.r_rdy, ready=self.o.ready)
        m.d.comb += [
            buffer.r_en.eq(factors.r_rdy & rows.advance[0]),
            factors.r_en.eq(buffer.r_en),
            self.o.valid.eq(rows.valid[-1]),
        ]
        beat, factor = rows.register(0, buffer.r_data, "made"), rows.register(0, factors.r_data, "factor")
        ends = beat[-ends_bits:]
        for row in (1, 2, 3):
            ends = rows.register(row, ends, "ends_out")
        for n in range(config.lanes):
            word = beat[lane_width * n :][:lane_width]
            product = named(m, f"product{n}", word[width:] * factor.word_select(n, config.factor_width))
            product = rows.register(1, product, f"product{n}")
            element = rows.register(2, rows.register(1, word[:width], f"x{n}"), f"x{n}")
            sigmoid = rows.register(2, product[config.dropped :][: config.sigmoid_bits], f"sigmoid{n}")
            result = Signal(signed(config.result_width), name=f"result{n}")
            m.d.comb += result.eq(element.as_signed() * sigmoid)
            m.d.comb += self.o.p.y[n].eq(rows.register(3, result, f"result{n}"))
        give_ends(m, config, self.o.p, ends)
        return m

    def _of_any_maximum(self, m, rows, e, highest):
        """The exponential of minus the maximum, whichever sign that has, from those of 0 below it."""
        m.submodules.rising = rising = RisingExpLane(self.config)
        m.d.comb += [rising.maximum.eq(highest), rising.advance.eq(Cat(rows.advance[1:]))]
        negative = highest[-1]
        for row in range(1, len(rows.advance)):
            negative = rows.register(row, negative, "negative")
        return Mux(negative, rising.e, e)
