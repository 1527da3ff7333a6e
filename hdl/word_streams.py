"""Streams of words: cut into slices, put together of slices, and tiles of words transposed."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Narrow", "Transposer", "Widen"]


class Narrow(wiring.Component):
    """Cuts each word into slices, the lowest first; nothing is held.

    Parameters
    ----------
    width : :class:`int`
        Bits of a slice.
    slices : :class:`int`
        Slices of a word.

    Members
    -------
    i : ``In(stream)``
        Words.
    end : ``In``
        Number of the last slice of the word that is to go out.
    o : ``Out(stream)``
        ``slice``, and whether it is the ``last`` of its word.
    """

    def __init__(self, *, width, slices):
        self._slices = slices
        super().__init__({
            "i": In(stream.Signature(width * slices)),
            "end": In(range(slices)),
            "o": Out(stream.Signature(data.StructLayout({"slice": width, "last": 1}))),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        place = Signal(range(self._slices))
        m.d.comb += [
            self.o.valid.eq(self.i.valid),
            self.o.p.slice.eq(self.i.payload.word_select(place, len(self.o.p.slice))),
            self.o.p.last.eq(place == self.end),
            self.i.ready.eq(self.o.ready & self.o.p.last),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += place.eq(Mux(self.o.p.last, 0, place + 1))
        return m


class Widen(wiring.Component):
    """Puts words together of slices; a word goes out with its last slice.

    Parameters
    ----------
    width : :class:`int`
        Bits of a slice.
    slices : :class:`int`
        Slices of a word.

    Members
    -------
    i : ``In(stream)``
        ``slice``, and whether its word ends with it (``last``), the slices above being zero; the last of a whole word does by
        itself.
    o : ``Out(stream)``
        Words.
    """

    def __init__(self, *, width, slices):
        self._slices = slices
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"slice": width, "last": 1}))),
            "o": Out(stream.Signature(width * slices)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        width = len(self.i.p.slice)
        place, held = Signal(range(self._slices)), Signal(width * self._slices)
        complete, word = Signal(), Signal.like(held)
        m.d.comb += [
            complete.eq(self.i.p.last | (place == self._slices - 1)),
            word.eq(held),
            word.word_select(place, width).eq(self.i.p.slice),
            self.o.payload.eq(word),
            self.o.valid.eq(self.i.valid & complete),
            self.i.ready.eq(~complete | self.o.ready),
        ]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [place.eq(Mux(complete, 0, place + 1)), held.eq(Mux(complete, 0, word))]
        return m


class Transposer(wiring.Component):
    """Tiles of words: takes a tile, then gives its columns as words, the first element of all words first.

    Parameters
    ----------
    width : :class:`int`
        Bits of an element.
    size : :class:`int`
        Elements of a word, and words of a tile.

    Members
    -------
    i : ``In(stream)``
    o : ``Out(stream)``
    partial : ``Out(1)``
        Some words of a tile are in, and not all.

    Implementation notes
    --------------------
    Words move down while a tile comes in, and elements towards the first column while it goes out, so that each register has two
    sources; a tile takes twice as many cycles as it has words.
    """

    def __init__(self, *, width, size):
        self._width, self._size = width, size
        super().__init__({
            "i": In(stream.Signature(width * size)),
            "o": Out(stream.Signature(width * size)),
            "partial": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        size, width = self._size, self._width
        rows = [Signal(size * width, name=f"row{n}", reset_less=True) for n in range(size)]
        count, full = Signal(range(size)), Signal()
        m.d.comb += [
            self.i.ready.eq(~full),
            self.o.valid.eq(full),
            self.partial.eq(~full & (count != 0)),
            self.o.payload.eq(Cat(row[:width] for row in rows)),
        ]
        going_in, going_out = self.i.valid & ~full, self.o.ready & full
        with m.If(going_in):
            # The first word ends up in the first row.
            m.d.sync += [row.eq(source) for row, source in zip(rows, [*rows[1:], self.i.payload], strict=True)]
        with m.If(going_out):
            m.d.sync += [row.eq(row[width:]) for row in rows]
        with m.If(going_in | going_out):
            m.d.sync += [count.eq(count + 1), full.eq(full ^ (count == size - 1))]
        return m
