"""Design ``shiftmax``: a row waits until its maximum is known, its exponentials until their sum is, then they are multiplied."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import fifo

from ..models.shift_exp import SUM_LIMIT
from .dfp_stream import Rows
from .float_parts import named
from .recurrence import Lockstep, Quotient
from .row_parts import MaximumBuffer, RowValue, clamped_sum, ends_width, filled, give_ends
from .shift_exp import place_shift_exp_lane
from .stream_unit import StreamUnit

__all__ = ["Shiftmax"]


class Shiftmax(StreamUnit):
    """Shiftmax, rows of all lengths.

    Parameters
    ----------
    config : :class:`~carrysave.models.shiftmax_unit.ShiftmaxConfig`

    Members
    -------
    i, o
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.

    Implementation notes
    --------------------
    ::

        i --> buffer -----> - --> ShiftExp --> buffer -----> x --> shift --> o
          \\-> maximum --^               \\-> sum --> division --^

    Each buffer of beats holds a longest row and what comes until the first beat of it is taken, so that no row can fill it
    without its end. Beside it is one of values of rows, as deep: a row has a beat there. Trees, sums and divisions therefore
    never wait. With a pipelined divider a beat a cycle goes through for ever, of rows of any length.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        source = MaximumBuffer(m, config, self.i)

        width, depth = config.lanes * config.value_width, config.row_beats + config.factor_cycles + 1
        m.submodules.exponentials = buffer = fifo.SyncFIFO(width=width + ends_width(config), depth=depth)
        rows = Rows(m, 1 + config.exponential_cycles, valid=source.r_rdy, ready=buffer.w_rdy)
        m.d.comb += source.r_en.eq(rows.advance[0])
        beat, highest = rows.register(0, source.beat, "beat"), rows.register(0, source.maximum, "highest")
        ends = beat[-ends_width(config) :]
        lanes = []
        for n in range(config.lanes):
            m.submodules[f"lane_{n}"] = lane = place_shift_exp_lane(config)
            m.d.comb += [
                lane.x.eq(beat[config.width * n :][: config.width]),
                lane.maximum.eq(highest),
                lane.advance.eq(Cat(rows.advance[1:])),
            ]
            lanes.append(lane.e)
        for row in range(1, len(rows.advance)):
            ends = rows.register(row, ends, "ends")
        # Those of empty lanes are no part of the sum, and make results of 0.
        lanes = filled(m, config, ends, lanes, "filled")
        made = named(m, "made", rows.valid[-1] & buffer.w_rdy)
        m.d.comb += [buffer.w_data.eq(Cat(*lanes, ends)), buffer.w_en.eq(made)]

        total = RowValue(
            m,
            lanes,
            valid=made,
            ends=ends[0],
            pair=lambda a, b: a + b,
            shape=SUM_LIMIT.bit_length(),
            limited=clamped_sum,
            name="total",
        )
        recurrence = Quotient(
            dividend_width=SUM_LIMIT.bit_length(),
            divisor_width=len(total.value),
            quotient_width=config.factor_width,
        )
        m.submodules.division = division = Lockstep(
            recurrence, style=config.divider, depth=depth, core="factor_divider"
        )
        m.submodules.factors = factors = fifo.SyncFIFO(width=config.factor_width, depth=depth)
        m.d.comb += [
            division.dividend.eq(SUM_LIMIT),
            division.divisor.eq(total.value),
            division.valid.eq(total.valid),
            factors.w_data.eq(division.quotient),
            factors.w_en.eq(division.done),
        ]

        rows = Rows(m, 3, valid=factors.r_rdy, ready=self.o.ready)
        m.d.comb += [
            buffer.r_en.eq(factors.r_rdy & rows.advance[0]),
            factors.r_en.eq(buffer.r_en & buffer.r_data[width]),
            self.o.valid.eq(rows.valid[-1]),
        ]
        exponentials = rows.register(0, buffer.r_data, "exponentials")
        factor, ends = rows.register(0, factors.r_data, "factor"), exponentials[width:]
        for row in (1, 2):
            ends = rows.register(row, ends, "ends_out")
        for n in range(config.lanes):
            product = named(m, f"product{n}", exponentials[config.value_width * n :][: config.value_width] * factor)
            product = rows.register(1, product, f"product{n}")[config.dropped :]
            result = Signal(config.result_width, name=f"result{n}")
            largest = (1 << config.result_width) - 1
            m.d.comb += result.eq(Mux(product > largest, largest, product))
            m.d.comb += self.o.p.y[n].eq(rows.register(2, result, f"result{n}"))
        give_ends(m, config, self.o.p, ends)
        return m
