"""A table that the stream itself fills: see :mod:`carrysave.models.row_table`."""

from amaranth.hdl import Mux, Signal
from amaranth.lib import data, memory

__all__ = ["RowTable"]


class RowTable:
    """Words of a beat's lanes for each row of the table, read while a beat is taken.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    i : stream
        Of the fields, ``load`` and ``last``.
    names : iterable of :class:`str`
        Fields that the table holds.
    table_beats : :class:`int`
        Rows.

    Members
    -------
    words : dict of values
        By field, all lanes' of the row whose turn it is. A beat right behind one that fills its row finds that there.
    """

    def __init__(self, m, i, *, names, table_beats):
        fields = {name: i.p[name].as_value() for name in names}
        # A memory of one row has no address.
        depth = max(table_beats, 2)
        layout = data.StructLayout({name: value.shape() for name, value in fields.items()})
        m.submodules.table = table = memory.Memory(shape=layout, depth=depth, init=[])
        write, read = table.write_port(), table.read_port(domain="comb")
        place, accepted = Signal(range(depth), name="table_row"), Signal(name="accepted")
        m.d.comb += [
            accepted.eq(i.valid & i.ready),
            write.addr.eq(place),
            read.addr.eq(place),
            write.en.eq(accepted & i.p.load),
            *(write.data[name].eq(value) for name, value in fields.items()),
        ]
        with m.If(accepted):
            m.d.sync += place.eq(Mux(i.p.last | (place == table_beats - 1), 0, place + 1))
        self.words = {name: read.data[name] for name in fields}
