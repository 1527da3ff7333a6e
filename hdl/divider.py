"""Unsigned division: a bit of the quotient a cycle, in one place or in a pipeline."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Division", "IterativeDivider", "PipelinedDivider"]


def _step(rest, word, divisor):
    """A bit of the quotient more: from the rest and the word of what is left of the dividend, over the quotient so far."""
    larger = Cat(word[-1], rest)
    difference = larger - divisor  # one bit longer, which is set if there was a borrow
    fits = ~difference[-1]
    return Mux(fits, difference, larger)[: len(rest)], Cat(fits, word[:-1])


class _Divider(wiring.Component):
    """Base of both.

    Parameters
    ----------
    dividend_width, divisor_width, quotient_width : :class:`int`

    Members
    -------
    dividend : ``In``
    divisor : ``In``
        Such that the quotient fits.
    valid : ``In(1)``
    ready : ``Out(1)``
    quotient, rest : ``Out``
        From registers, ``quotient_width`` cycles later.
    done : ``Out(1)``
        They are there, for this cycle only.
    """

    def __init__(self, *, dividend_width, divisor_width, quotient_width):
        super().__init__({
            "dividend": In(dividend_width),
            "divisor": In(divisor_width),
            "valid": In(1),
            "ready": Out(1),
            "quotient": Out(quotient_width),
            "rest": Out(divisor_width),
            "done": Out(1),
        })  # fmt: skip

    def _first(self, m):
        """Rest and word before the first step."""
        rest, word = Signal.like(self.rest, name="first_rest"), Signal.like(self.quotient, name="first_word")
        m.d.comb += [rest.eq(self.dividend[len(word) :]), word.eq(self.dividend)]
        return rest, word


class PipelinedDivider(_Divider):
    """A division a cycle; never waits."""

    def elaborate(self, platform):
        m = Module()
        rest, word = self._first(m)
        divisor, valid = self.divisor, self.valid
        for step in range(len(word)):
            values = {"rest": None, "word": None, "divisor": divisor, "valid": valid}
            values["rest"], values["word"] = _step(rest, word, divisor)
            held = {
                name: Signal(len(like), name=f"{name}{step}", reset_less=name != "valid")
                for name, like in (("rest", rest), ("word", word), ("divisor", divisor), ("valid", valid))
            }
            m.d.sync += [held[name].eq(values[name]) for name in held]
            rest, word, divisor, valid = (held[name] for name in ("rest", "word", "divisor", "valid"))
        m.d.comb += [self.ready.eq(1), self.rest.eq(rest), self.quotient.eq(word), self.done.eq(valid)]
        return m


class IterativeDivider(_Divider):
    """One division at a time; the next one may begin in the cycle in which the last one is done."""

    def elaborate(self, platform):
        m = Module()
        first_rest, first_word = self._first(m)
        rest, word = Signal.like(self.rest, reset_less=True), Signal.like(self.quotient, reset_less=True)
        divisor = Signal.like(self.divisor, reset_less=True)
        left = Signal(range(len(word) + 1))  # steps to go, of one that has begun, and 1 for being done
        begins = Signal()
        m.d.comb += [self.ready.eq(left <= 1), begins.eq(self.valid & self.ready)]
        operand = Mux(begins, self.divisor, divisor)
        next_rest, next_word = _step(Mux(begins, first_rest, rest), Mux(begins, first_word, word), operand)
        m.d.sync += [rest.eq(next_rest), word.eq(next_word), divisor.eq(operand)]
        with m.If(begins):
            m.d.sync += left.eq(len(word))
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        m.d.comb += [self.rest.eq(rest), self.quotient.eq(word), self.done.eq(left == 1)]
        return m


class Division(wiring.Component):
    """Divisions in lockstep with buffers around them, for divisors whose number on the way is bounded: nothing waits in front.

    Parameters
    ----------
    style : :class:`str`
        One of :data:`~carrysave.models.row_unit.DIVIDERS`.
    dividend : :class:`int`
        The same for all.
    lanes, divisor_width, quotient_width : :class:`int`
    depth : :class:`int`
        Most sets of divisors whose quotients have not been taken.

    Members
    -------
    divisors : ``In``
        Of all lanes, lane 0 lowest.
    valid : ``In(1)``
    quotients : ``Out``
    r_rdy : ``Out(1)``
        There are quotients, ``quotient_width + 1`` cycles later, and one more with an iterative divider.
    r_en : ``In(1)``
        They are taken.
    """

    def __init__(self, *, style, dividend, lanes, divisor_width, quotient_width, depth):
        self._style, self._dividend, self._lanes, self._depth = style, dividend, lanes, depth
        self._widths = divisor_width, quotient_width
        super().__init__({
            "divisors": In(lanes * divisor_width),
            "valid": In(1),
            "quotients": Out(lanes * quotient_width),
            "r_rdy": Out(1),
            "r_en": In(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        divisor_width, quotient_width = self._widths
        divisors, valid = self.divisors, self.valid
        if self._style == "iterative":
            m.submodules.divisor_buffer = waiting = fifo.SyncFIFO(width=len(divisors), depth=self._depth)
            m.d.comb += [waiting.w_data.eq(divisors), waiting.w_en.eq(valid)]
            divisors, valid = waiting.r_data, waiting.r_rdy
        kind = IterativeDivider if self._style == "iterative" else PipelinedDivider
        dividers = []
        for lane in range(self._lanes):
            m.submodules[f"divider_{lane}"] = divider = kind(
                dividend_width=self._dividend.bit_length(), divisor_width=divisor_width, quotient_width=quotient_width
            )
            m.d.comb += [
                divider.dividend.eq(self._dividend),
                divider.divisor.eq(divisors[divisor_width * lane :][:divisor_width]),
                divider.valid.eq(valid),
            ]
            dividers.append(divider)
        if self._style == "iterative":
            m.d.comb += waiting.r_en.eq(dividers[0].ready)
        m.submodules.quotient_buffer = found = fifo.SyncFIFO(width=len(self.quotients), depth=self._depth)
        m.d.comb += [
            found.w_data.eq(Cat(divider.quotient for divider in dividers)),
            found.w_en.eq(dividers[0].done),
            self.quotients.eq(found.r_data),
            self.r_rdy.eq(found.r_rdy),
            found.r_en.eq(self.r_en),
        ]
        return m
