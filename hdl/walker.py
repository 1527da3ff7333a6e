"""Counters that walk through the elements of a matrix in words."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Walker"]


class Walker(wiring.Component):
    """Rows and words of a matrix, one inside of the other, each in parts, all of it in passes.

    Parameters
    ----------
    rows, words, parts, passes : :class:`int`
        Most of each; 1 by default.

    Members
    -------
    rows_last, words_last, parts_last, passes_last : ``In``
        Largest numbers; they stay the same while it walks.
    row_major : ``In(1)``
        A row's words come one after the other; else the rows of a word do.
    restart : ``In(1)``
        To the beginning.
    step : ``In(1)``
        To the next place; not once all are done.
    row, word, part, number : ``Out``
        Where it is; ``number`` is that of the pass. Parts count fastest, passes slowest.
    first : ``Out(1)``
        This is the first place of a pass's inner line: the first row of a word, or the first word of a row.
    final : ``Out(1)``
        This is the last place of all.
    active : ``Out(1)``
        There is a place left.
    """

    def __init__(self, *, rows=1, words=1, parts=1, passes=1):
        sizes = {"row": rows, "word": words, "part": parts, "number": passes}
        lasts = {"rows_last": rows, "words_last": words, "parts_last": parts, "passes_last": passes}
        super().__init__({
            **{name: In(range(size)) for name, size in lasts.items()},
            "row_major": In(1),
            "restart": In(1),
            "step": In(1),
            **{name: Out(range(size)) for name, size in sizes.items()},
            "first": Out(1),
            "final": Out(1),
            "active": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        ends = {name: Signal(name=f"{name}_ends") for name in ("row", "word", "part", "number")}
        m.d.comb += [
            ends["row"].eq(self.row == self.rows_last),
            ends["word"].eq(self.word == self.words_last),
            ends["part"].eq(self.part == self.parts_last),
            ends["number"].eq(self.number == self.passes_last),
            self.first.eq(Mux(self.row_major, self.word == 0, self.row == 0) & (self.part == 0)),
            self.final.eq(ends["row"] & ends["word"] & ends["part"] & ends["number"]),
        ]
        moves = {
            "part": self.step,
            "row": self.step & ends["part"] & (~self.row_major | ends["word"]),
            "word": self.step & ends["part"] & (self.row_major | ends["row"]),
            "number": self.step & ends["part"] & ends["row"] & ends["word"],
        }
        for name, moved in moves.items():
            place = getattr(self, name)
            with m.If(self.restart):
                m.d.sync += place.eq(0)
            with m.Elif(moved):
                m.d.sync += place.eq(Mux(ends[name], 0, place + 1))
        with m.If(self.restart):
            m.d.sync += self.active.eq(1)
        with m.Elif(self.step & self.final):
            m.d.sync += self.active.eq(0)
        return m
