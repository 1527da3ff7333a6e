"""Design ``layer-norm``: a row waits until its mean is known, its distances until their root is, then they are multiplied."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import fifo, memory, wiring
from amaranth.lib.wiring import In, Out

from ..models.shift_exp import SUM_LIMIT
from .dfp_stream import Rows
from .float_parts import named
from .recurrence import Lockstep, Quotient, Root
from .row_parts import RowCounter, RowValue, ends_width, filled, give_ends
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["LayerNorm", "NormLane", "place_norm_lane"]


class NormLane(wiring.Component):
    """One element's distance from the mean, times the factor, halved, and the bias; behind registers.

    Parameters
    ----------
    config : :class:`~carrysave.models.layer_norm_unit.LayerNormConfig`

    Members
    -------
    distance : ``In(signed)``
    factor : ``In``
    bias : ``In(signed)``
        A row of registers later than the others.
    advance : ``In(2)``
        The rows of registers take new values.
    y : ``Out(signed)``
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "distance": In(signed(config.difference_width)),
            "factor": In(config.factor_width),
            "bias": In(signed(config.bias_width)),
            "advance": In(2),
            "y": Out(signed(config.result_width)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        # What is dropped is one bit more than the halved product has.
        product = Signal(signed(self._config.normal_width + 1), reset_less=True)
        y = Signal.like(self.y, name="y_held", reset_less=True)
        with m.If(self.advance[0]):
            m.d.sync += product.eq(self.distance * self.factor)
        with m.If(self.advance[1]):
            m.d.sync += y.eq((product >> 1) + self.bias)
        m.d.comb += self.y.eq(y)
        return m


def place_norm_lane(config):
    """A :class:`NormLane` as the shared module ``norm_lane``."""
    return Shared(lambda: NormLane(config), NormLane.ports(config), name="norm_lane")


class LayerNorm(StreamUnit):
    """I-LayerNorm, rows of all lengths.

    Parameters
    ----------
    config : :class:`~carrysave.models.layer_norm_unit.LayerNormConfig`

    Members
    -------
    i, o
        As in :class:`~carrysave.hdl.stream_unit.StreamUnit`.

    Implementation notes
    --------------------
    ::

        i --> buffer --------------> - --> buffer ----------------------------> x --> shift --> + --> o
          \\-> sum --> division --^    \\-> squares --> sum --> root --> division --^      biases --^

    Buffers are as in ``shiftmax``: a longest row, and what comes until the first beat of it is taken. The mean is rounded by a
    division of twice the sum and the count by twice the count, which rounds a half up; it was a half if nothing is left.
    Elements are taken for unsigned ones there, more by ``2^(width - 1)``, which is even. Of empty lanes elements, distances and
    biases are 0.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        data = named(m, "data", self.i.valid & self.i.ready & ~self.i.p.load)
        counter = RowCounter(m, config, payload=self.i.p, accepted=data)
        source, mean = self._means(m, counter, data)
        factors, buffer = self._factors(m, source, mean)

        rows = Rows(m, 3, valid=factors.r_rdy, ready=self.o.ready)
        m.d.comb += [
            buffer.r_en.eq(factors.r_rdy & rows.advance[0]),
            factors.r_en.eq(buffer.r_en & buffer.r_data[-ends_width(config)]),
            self.o.valid.eq(rows.valid[-1]),
        ]
        beat, factor = rows.register(0, buffer.r_data, "distances"), rows.register(0, factors.r_data, "factor")
        biases = rows.register(1, rows.register(0, self._biases(m, buffer), "biases"), "biases")
        ends = beat[-ends_width(config) :]
        for row in (1, 2):
            ends = rows.register(row, ends, "ends")
        for n in range(config.lanes):
            m.submodules[f"lane_{n}"] = lane = place_norm_lane(config)
            m.d.comb += [
                lane.distance.eq(beat.word_select(n, config.difference_width)),
                lane.factor.eq(factor),
                lane.bias.eq(biases.word_select(n, config.bias_width)),
                lane.advance.eq(Cat(rows.advance[1:])),
                self.o.p.y[n].eq(lane.y),
            ]
        give_ends(m, config, self.o.p, ends)
        return m

    def _means(self, m, counter, data):
        """Buffers of elements and of means."""
        config = self.config
        values = filled(m, config, counter.ends, [self.i.p.x[n] for n in range(config.lanes)], "filled")
        width, depth = config.lanes * config.width, config.row_beats + config.mean_cycles + 1
        m.submodules.elements = elements = fifo.SyncFIFO(width=width + ends_width(config), depth=depth)
        m.submodules.means = means = fifo.SyncFIFO(width=config.width, depth=depth)

        # Loading waits for rows that are complete and have not left.
        complete = Signal(range(depth + config.row_beats + config.factor_cycles + 8))
        left = named(m, "left", self.o.valid & self.o.ready & self.o.p.last)
        m.d.sync += complete.eq(complete + (data & counter.ending) - left)
        m.d.comb += [
            elements.w_data.eq(Cat(self.i.p.x.as_value(), counter.ends)),
            elements.w_en.eq(data),
            self.i.ready.eq(Mux(self.i.p.load, complete == 0, elements.w_rdy)),
        ]

        total = RowValue(
            m,
            values,
            valid=data,
            ends=counter.ending,
            pair=lambda a, b: a + b,
            shape=signed(config.sum_width),
            name="sum",
        )
        count = Signal(range(config.max_length + 1))
        m.d.comb += count.eq((counter.place + 1) * config.lanes - counter.empty)
        for level in range(config.tree_levels + 1):
            held = Signal.like(count, name=f"count{level}", reset_less=True)
            m.d.sync += held.eq(count)
            count = held
        recurrence = Quotient(
            dividend_width=(2 * config.max_length << config.width).bit_length(),
            divisor_width=(2 * config.max_length).bit_length(),
            quotient_width=config.width,
        )
        m.submodules.mean_division = division = Lockstep(
            recurrence, style=config.divider, depth=depth, core="mean_divider"
        )
        dividend, divisor = Signal.like(division.dividend), Signal.like(division.divisor)
        valid = Signal(name="dividend_valid")
        m.d.sync += [
            dividend.eq(2 * total.value + (count << config.width) + count),
            divisor.eq(2 * count),
            valid.eq(total.valid),
        ]
        rounded = division.quotient - ((division.rest == 0) & division.quotient[0])
        m.d.comb += [
            division.dividend.eq(dividend),
            division.divisor.eq(divisor),
            division.valid.eq(valid),
            # Back to a signed number.
            means.w_data.eq(Cat(rounded[: config.width - 1], ~rounded[config.width - 1])),
            means.w_en.eq(division.done),
        ]
        return elements, means

    def _factors(self, m, elements, means):
        """Buffers of factors and of distances."""
        config = self.config
        width = config.difference_width
        depth = config.row_beats + config.factor_cycles + 1
        m.submodules.distances = buffer = fifo.SyncFIFO(width=config.lanes * width + ends_width(config), depth=depth)
        m.submodules.factors = factors = fifo.SyncFIFO(width=config.factor_width, depth=depth)
        rows = Rows(m, 2, valid=means.r_rdy, ready=buffer.w_rdy)
        m.d.comb += [
            elements.r_en.eq(means.r_rdy & rows.advance[0]),
            means.r_en.eq(elements.r_en & elements.r_data[-ends_width(config)]),
        ]
        beat, mean = rows.register(0, elements.r_data, "beat"), rows.register(0, means.r_data, "mean")
        distances = []
        for n in range(config.lanes):
            distance = Signal(signed(width), name=f"distance{n}")
            m.d.comb += distance.eq(beat.word_select(n, config.width).as_signed() - mean.as_signed())
            distances.append(distance)
        ends = beat[-ends_width(config) :]
        distances = filled(m, config, ends, distances, "filled_distance")
        distances = [rows.register(1, distance, f"distance{n}") for n, distance in enumerate(distances)]
        ends = rows.register(1, ends, "ends_of_distances")
        made = named(m, "made", rows.valid[-1] & buffer.w_rdy)
        m.d.comb += [buffer.w_data.eq(Cat(*distances, ends)), buffer.w_en.eq(made)]

        squares, squared, ending = [], Signal(), Signal(name="squares_end")
        for n, distance in enumerate(distances):
            # No distance is -2^width: its square would need two bits more.
            square = Signal(2 * width - 2, name=f"square{n}", reset_less=True)
            m.d.sync += square.eq(distance * distance)
            squares.append(square)
        m.d.sync += [squared.eq(made), ending.eq(ends[0])]
        variance = RowValue(
            m,
            squares,
            valid=squared,
            ends=ending,
            pair=lambda a, b: a + b,
            shape=config.variance_width,
            name="variance",
        )
        m.submodules.square_root = root = Lockstep(
            Root(root_width=config.root_width), style=config.divider, depth=depth, core="root_core"
        )
        recurrence = Quotient(
            dividend_width=SUM_LIMIT.bit_length(),
            divisor_width=config.root_width,
            quotient_width=config.factor_width,
        )
        m.submodules.factor_division = division = Lockstep(
            recurrence, style=config.divider, depth=depth, core="factor_divider"
        )
        m.d.comb += [
            root.radicand.eq(variance.value),
            root.valid.eq(variance.valid),
            division.dividend.eq(SUM_LIMIT),
            # Where all elements are equal any factor does.
            division.divisor.eq(root.root | ~root.root.any()),
            division.valid.eq(root.done),
            factors.w_data.eq(division.quotient),
            factors.w_en.eq(division.done),
        ]
        return factors, buffer

    def _biases(self, m, buffer):
        """Biases of the beat that leaves a buffer."""
        config = self.config
        # A memory of one row has no address.
        depth = max(config.row_beats, 2)
        m.submodules.biases = table = memory.Memory(shape=config.lanes * config.bias_width, depth=depth, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        w_place, r_place = Signal(range(depth)), Signal(range(depth))
        ends = buffer.r_data[-ends_width(config) :]
        m.d.comb += [
            write.en.eq(self.i.valid & self.i.ready & self.i.p.load),
            write.addr.eq(w_place),
            write.data.eq(self.i.p.bias.as_value()),
            read.addr.eq(r_place),
        ]
        with m.If(write.en):
            m.d.sync += w_place.eq(Mux(self.i.p.last | (w_place == config.row_beats - 1), 0, w_place + 1))
        with m.If(buffer.r_en):
            m.d.sync += r_place.eq(Mux(ends[0], 0, r_place + 1))
        biases = [read.data.word_select(n, config.bias_width) for n in range(config.lanes)]
        return Cat(filled(m, config, ends, biases, "filled_bias"))
