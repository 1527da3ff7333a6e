"""Accumulator rows of weight-stationary arrays: the memory of a column, and the adder between it and the array.

An accumulator is cut into parts of 12 bits at most, each of which works a cycle behind the one below it, so
that no carry runs along the whole of it in a cycle.
"""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from .adder import adder_parts, prefix_add
from .shared import Shared

__all__ = [
    "AccumulatorRows",
    "RowAdder",
    "accumulator_parts",
    "place_accumulator_rows",
    "place_row_adder",
    "row_number_width",
]


def row_number_width(config):
    """Bits of the number of an accumulator row, one at least."""
    return max((config.tile_rows - 1).bit_length(), 1)


def accumulator_parts(config):
    """Bits of an accumulator in the order in which they are added, a cycle apart; list of :class:`slice`."""
    return adder_parts(config.acc_width, config.accumulator_cycles)


class AccumulatorRows(wiring.Component):
    """One column's accumulator rows: sums under way, and finished ones until the output has taken them.

    As in a memory macro, what goes in and what comes out is registered: a row can be read two cycles after its write.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.StationaryConfig`

    Members
    -------
    row : ``In``
        Row to read for the addition, for each part of the accumulator.
    old : ``Out(acc_width)``
        What was in it, one cycle later.
    write : ``In``
        For each part: write that of ``sum`` to row ``write_row``.
    write_row : ``In``
    sum : ``In(acc_width)``
    take : ``In(1)``
        Read row ``result_row`` for the output.
    result_row : ``In``
    result : ``Out(acc_width)``
        The row read last by ``take``, from the next cycle on.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        number, width, parts = row_number_width(config), config.acc_width, config.accumulator_cycles
        return wiring.Signature({
            "row": In(data.ArrayLayout(number, parts)),
            "old": Out(width),
            "write": In(parts),
            "write_row": In(data.ArrayLayout(number, parts)),
            "sum": In(width),
            "take": In(1),
            "result_row": In(number),
            "result": Out(width),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        for index, part in enumerate(accumulator_parts(self._config)):
            width = part.stop - part.start
            rows = memory.Memory(shape=unsigned(width), depth=max(self._config.tile_rows, 2), init=[])
            m.submodules[f"part_{index}"] = rows
            write, read, result = rows.write_port(), rows.read_port(), rows.read_port()
            registers = []
            for value, name in ((self.write[index], "enable"), (self.write_row[index], "row"), (self.sum[part], "sum")):
                registers.append(Signal(len(value), name=f"{name}_{index}", reset_less=True))
                m.d.sync += registers[-1].eq(value)
            m.d.comb += [
                Cat(write.en, write.addr, write.data).eq(Cat(registers)),
                read.en.eq(1),
                read.addr.eq(self.row[index]),
                self.old[part].eq(read.data),
                result.en.eq(self.take),
                result.addr.eq(self.result_row),
                self.result[part].eq(result.data),
            ]
        return m


class RowAdder(wiring.Component):
    """Adds the sum of all lanes to an accumulator row, modulo ``2 ** acc_width``.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.StationaryConfig`

    Members
    -------
    lanes : ``In(sum_width)``
        Sum of all lanes.
    old : ``In(acc_width)``
        The accumulator row, each part a cycle after the one below it.
    keep : ``In``
        For each part: add to it; else begin anew.
    sum : ``Out(acc_width)``
        Each part a cycle after the one below it; the lowest in the same cycle.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        width, parts = config.acc_width, config.accumulator_cycles
        return wiring.Signature({"lanes": In(config.sum_width), "old": In(width), "keep": In(parts), "sum": Out(width)})

    def elaborate(self, platform):
        m = Module()
        # What the parts not yet added need of the sum of the lanes; beyond its width, only its sign.
        rest, start, carry = self.lanes, 0, None
        for index, part in enumerate(accumulator_parts(self._config)):
            if index:
                kept = rest[min(part.start - start, len(rest) - 1) :]
                start, rest = part.start, Signal(len(kept), name=f"rest_{index}", reset_less=True)
                m.d.sync += rest.eq(kept)
            columns = [] if carry is None else [[carry, carry]]  # makes a carry into the next column
            for offset, old in enumerate(self.old[part]):
                dots = [old & self.keep[index]]
                if offset < len(rest) and part.start < len(self.lanes):
                    dots.append(rest[offset])
                elif self._config.result_signed:
                    dots.append(rest[-1])
                columns.append(dots)
            total = prefix_add(m, [*columns, []], structure=self._config.adder, name=f"sum_{index}")
            m.d.comb += self.sum[part].eq(total[carry is not None : -1])
            carry = Signal(name=f"carry_{index}", reset_less=True)
            m.d.sync += carry.eq(total[-1])
        return m


def place_accumulator_rows(config):
    """:class:`AccumulatorRows` as the shared module ``accumulator_rows``."""
    return Shared(lambda: AccumulatorRows(config), AccumulatorRows.ports(config), name="accumulator_rows")


def place_row_adder(config):
    """A :class:`RowAdder` as the shared module ``row_adder``."""
    return Shared(lambda: RowAdder(config), RowAdder.ports(config), name="row_adder")
