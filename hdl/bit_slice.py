"""Bit-slice column array: asynchronous columns, their barrier, the layout of operands, and streams around it."""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..models.bit_slice import GROUP
from .encoders import place_digit_encoder
from .event_counter import place_event_counter
from .operand_bank import digit_layout, place_digit_bank, place_operand_bank
from .shared import Shared
from .slice_column import place_slice_column
from .stream_unit import StreamUnit

__all__ = ["BitSliceArray", "ResultBank"]


class ResultBank(wiring.Component):
    """Collects the results of one column of PEs, which come one a cycle, to rows of C; a few tiles' rows wait here.

    Parameters
    ----------
    config : :class:`~carrysave.models.bit_slice.BitSliceConfig`

    Members
    -------
    reserve : ``In(1)``
        Takes room for a row that is to come.
    room : ``Out(1)``
        There is room.
    write : ``In(cols)``
        Which element of the row to write; the last one completes it.
    value : ``In(acc_width)``
    row : ``Out``
        The oldest row.
    ready : ``Out(1)``
        It is complete.
    taken : ``In(1)``
        Let go of it.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "reserve": In(1),
            "room": Out(1),
            "write": In(config.cols),
            "value": In(config.acc_width),
            "row": Out(config.cols * config.acc_width),
            "ready": Out(1),
            "taken": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        depth = config.result_tiles
        m.submodules.rows = rows = memory.Memory(shape=len(self.row), depth=depth, init=())
        write, read = rows.write_port(granularity=config.acc_width), rows.read_port(domain="comb")
        reserved, complete = Signal(range(depth + 1)), Signal(range(depth + 1))
        completes = self.write[-1]
        m.d.comb += [
            write.en.eq(self.write),
            write.data.eq(self.value.replicate(config.cols)),
            self.row.eq(read.data),
            self.room.eq(reserved != depth),
            self.ready.eq(complete != 0),
        ]
        m.d.sync += [
            reserved.eq(reserved + self.reserve - self.taken),
            complete.eq(complete + completes - self.taken),
        ]
        for port, event in ((write, completes), (read, self.taken)):
            slot = Signal(range(depth))
            m.d.comb += port.addr.eq(slot)
            with m.If(event):
                m.d.sync += slot.eq(Mux(slot == depth - 1, 0, slot + 1))
        return m


def place_result_bank(config):
    """A :class:`ResultBank` as the shared module ``result_bank``."""
    return Shared(lambda: ResultBank(config), ResultBank.ports(config), name="result_bank", reset=True)


def _total(values):
    """Sum of values, by a tree."""
    values = list(values)
    while len(values) > 1:
        values = [sum(values[i + 1 : i + 2], values[i]) for i in range(0, len(values), 2)]
    return values[0]


class BitSliceArray(StreamUnit):
    """Array of bit-slice columns with streams; sparse over the digits of A.

    Parameters
    ----------
    config : :class:`~carrysave.models.bit_slice.BitSliceConfig`

    Members
    -------
    i : ``In(stream)``
        One step of K a beat, or four: ``a``, ``b`` and ``last``, which ends the tile.
    o : ``Out(stream)``
        One row of C a beat: ``c`` and ``last``.
    counters : ``Out``
        See :attr:`~carrysave.models.bit_slice.BitSliceConfig.counters`.

    Implementation notes
    --------------------
    Two tiles of operands fit in: while the columns work on one, the next is loaded. A beat waits while both are occupied.
    All columns begin a tile in the same cycle and run asynchronously from there to its end. The barrier is pipelined: after
    the last digit of the slowest column two cycles pass before the next tile's first. A column ends a tile when its results
    have room.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        columns, results, digit_banks, operand_banks = [], [], [], []
        for row in range(config.rows):
            m.submodules[f"column_{row}"] = column = place_slice_column(config)
            m.submodules[f"results_{row}"] = result = place_result_bank(config)
            m.d.comb += [
                column.room.eq(result.room),
                result.reserve.eq(column.ends),
                result.write.eq(column.write),
                result.value.eq(column.result),
            ]
            columns.append(column)
            results.append(result)
            digit_banks.append([])
            for lane in range(config.pe_lanes):
                m.submodules[f"digits_{row}_{lane}"] = bank = place_digit_bank(config)
                m.d.comb += [
                    *(getattr(bank, name).eq(getattr(column, name)[lane]) for name in ("half", "weight", "entry")),
                    column.group[lane].eq(bank.group),
                    column.digits[lane].eq(bank.read),
                    column.last_entry[lane].eq(bank.last_entry),
                ]
                digit_banks[row].append(bank)
        for n in range(config.cols):
            operand_banks.append([])
            for lane in range(config.pe_lanes):
                m.submodules[f"operands_{n}_{lane}"] = bank = place_operand_bank(config)
                place, width = n * config.pe_lanes + lane, len(bank.address) // config.rows
                m.d.comb += bank.address.eq(Cat(column.address.word_select(place, width) for column in columns))
                operand_banks[n].append(bank)
        for row, column in enumerate(columns):
            operands = [bank.b.word_select(row, config.b_width) for banks in operand_banks for bank in banks]
            m.d.comb += column.b.eq(Cat(operands))

        release, started = Signal(), Signal()
        closed, begun = self._load(m, digit_banks, operand_banks, release)
        written = Signal()
        m.d.sync += written.eq(closed)
        waiting = self._barrier(m, columns, written, started, release)
        self._count(m, columns, begun | written, waiting)
        self._deliver(m, results)
        return m

    def _load(self, m, digit_banks, operand_banks, release):
        """Writes operands into the half whose turn it is; returns pulses at tiles' ends, and whether one is being loaded."""
        config = self.config
        accepted, closed = Signal(), Signal()
        loaded = Signal(range(3))  # tiles in the banks, that being loaded left out
        half, begun = Signal(), Signal()
        group = Signal(range(config.tile_k // GROUP))
        position = Signal(range(GROUP))
        finish, write = Signal(), Signal(GROUP)
        m.d.comb += [
            self.i.ready.eq(loaded != 2),
            accepted.eq(self.i.valid & self.i.ready),
            closed.eq(accepted & self.i.p.last),
        ]
        m.d.sync += loaded.eq(loaded + closed - release)
        if config.lanes == GROUP:
            m.d.comb += [finish.eq(accepted), write.eq(accepted.replicate(GROUP))]
        else:
            # The first operand of a group clears the places of the others, which may not come.
            m.d.comb += [
                finish.eq(accepted & ((position == GROUP - 1) | self.i.p.last)),
                write.eq(Mux(position == 0, -1, 1 << position) & accepted.replicate(GROUP)),
            ]
        with m.If(accepted):
            m.d.sync += [begun.eq(~self.i.p.last), position.eq(Mux(finish, 0, position + 1))]
        with m.If(finish):
            m.d.sync += group.eq(Mux(closed, 0, group + 1))
        with m.If(closed):
            m.d.sync += half.eq(~half)

        later = Signal()
        a, b = (
            Signal.like(field, name=f"{name}_r", reset_less=True)
            for name, field in (("a", self.i.p.a), ("b", self.i.p.b))
        )
        m.d.sync += [a.eq(self.i.p.a), b.eq(self.i.p.b), later.eq(position != 0)]
        lane_bits = (config.pe_lanes - 1).bit_length()
        writes = [Signal(GROUP, name=f"write{lane}") for lane in range(config.pe_lanes)]
        finishes = [Signal(name=f"finish{lane}") for lane in range(config.pe_lanes)]
        for lane in range(config.pe_lanes):
            chosen = group[:lane_bits] == lane
            m.d.comb += [
                writes[lane].eq(write & chosen.replicate(GROUP)),
                finishes[lane].eq(finish & chosen),
            ]
        for row, banks in enumerate(digit_banks):
            digits = self._digits(m, row, a[row], later)
            for lane, bank in enumerate(banks):
                m.d.comb += [
                    bank.write.eq(writes[lane]),
                    bank.digits.eq(digits),
                    bank.w_half.eq(half),
                    bank.w_group.eq(group[lane_bits:]),
                    bank.finish.eq(finishes[lane]),
                    bank.close.eq(closed),
                ]
        for n, banks in enumerate(operand_banks):
            value = b[n] if config.lanes > 1 else b[n].as_unsigned().replicate(GROUP)
            for lane, bank in enumerate(banks):
                m.d.comb += [
                    bank.write.eq(writes[lane]),
                    bank.w_group.eq(Cat(group[lane_bits:], half)),
                    bank.value.eq(value),
                ]
        return closed, begun

    def _digits(self, m, row, operands, later):
        """The digits of a beat's operands of A as the banks take them."""
        config = self.config
        encoders = []
        for lane in range(config.lanes):
            m.submodules[f"encoder_{row}_{lane}"] = encoder = place_digit_encoder(config.recoding)
            value = operands[lane] if config.lanes > 1 else operands
            m.d.comb += encoder.value.eq(value)
            encoders.append(encoder)
        digits = []
        for weight in range(config.recoding.n_digits):
            for name in digit_layout(config).members:
                lines = [getattr(encoder, name)[weight] for encoder in encoders]
                if config.lanes == 1:
                    lines += [lines[0] & later] * (GROUP - 1)
                digits += lines
        return Cat(digits)

    def _barrier(self, m, columns, written, started, release):
        """All columns begin together; returns whether a tile waits for them."""
        config = self.config
        waiting = Signal(range(3))
        met, before, finished = Signal(), Signal(init=1), Signal()
        m.d.comb += [
            met.eq(Cat(column.idle for column in columns).all()),
            started.eq(met & (waiting != 0)),
            finished.eq(met & ~before),
        ]
        m.d.comb += [column.start.eq(started) for column in columns]
        m.d.sync += [waiting.eq(waiting + written - started), before.eq(met)]
        # The last PE of a column reads B that much longer.
        late = finished
        for cycle in range(config.cols - 1):
            register = Signal(name=f"finished_{cycle}")
            m.d.sync += register.eq(late)
            late = register
        m.d.comb += release.eq(late)
        return waiting != 0

    def _count(self, m, columns, loading, waiting):
        config = self.config
        width = (config.rows * config.pe_lanes).bit_length()
        idle = Signal(config.rows)  # a cycle late, like all events: none of this may slow down the columns
        everyone, loading_r, waiting_r = Signal(), Signal(), Signal()
        issued = [Signal.like(column.issued, name=f"issued{row}") for row, column in enumerate(columns)]
        blocked = Signal(config.rows)
        m.d.sync += [
            idle.eq(Cat(column.idle for column in columns)),
            loading_r.eq(loading),
            waiting_r.eq(waiting),
            *(register.eq(column.issued) for register, column in zip(issued, columns, strict=True)),
            blocked.eq(Cat(column.blocked for column in columns)),
        ]
        m.d.comb += everyone.eq(idle.all())
        events = {
            "busy": _total(issued),
            "sync": Mux(everyone & ~waiting_r, 0, _total(idle)),
            "operands": Mux(everyone & loading_r & ~waiting_r, config.rows, 0),
            "results": _total(blocked),
        }
        for name, event in events.items():
            m.submodules[name] = counter = place_event_counter(width)
            m.d.comb += [counter.events.eq(event), self.counters[name].eq(counter.count)]

    def _deliver(self, m, results):
        config = self.config
        row = Signal(range(config.rows))
        taken, final = Signal(), Signal()
        m.d.comb += [
            self.o.valid.eq(Array(result.ready for result in results)[row]),
            self.o.payload.eq(Cat(Array(result.row for result in results)[row], final)),
            final.eq(row == config.rows - 1),
            taken.eq(self.o.valid & self.o.ready),
        ]
        m.d.comb += [result.taken.eq(taken & (row == index)) for index, result in enumerate(results)]
        with m.If(taken):
            m.d.sync += row.eq(Mux(final, 0, row + 1))
