"""Laconic's terms: signed powers of two, found at the edge of the array.

A term travels as a word: bit 0 is set if there is one, bit 1 if it is negative, and its exponent lies above.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.laconic import largest_terms
from .encoders import DigitEncoder
from .shared import Shared

__all__ = ["TermEdge", "TermSource", "place_term_edge", "term_width"]


def term_width(exponent):
    """Bits of a term whose largest exponent is given."""
    return 2 + max(exponent.bit_length(), 1)


class TermSource(wiring.Component):
    """Holds the digits of one operand and gives its terms one after another, least exponent first; another operand waits.

    The register of the digits that are still to come has a reset: the source begins empty.

    Parameters
    ----------
    recoding : :class:`~carrysave.models.digits.Recoding`
    exponent : :class:`int`
        Largest exponent.
    terms : :class:`int`
        Largest number of terms.
    again : :class:`bool`
        It can start anew from the first term.

    Members
    -------
    nonzero, two, negative : ``In(n_digits)``
        Digits of an operand, as :class:`~carrysave.hdl.encoders.DigitEncoder` gives them.
    take : ``In(1)``
        Let this operand wait; the one that did is loaded in this cycle, or lost.
    count : ``Out(terms)``
        Bit k is set if the waiting operand has more than k terms.
    load : ``In(1)``
        Go on to the waiting operand; goes before ``following`` and ``restart``.
    following : ``In(1)``
        Go on to the next term; after the last one, to none.
    restart : ``In(1)``
        Go back to the first term; only with ``again``, where it goes before ``following``.
    silent : ``In(1)``
        Give no term in this cycle.
    any, more : ``Out(1)``
        There is a term now; there is another one after it.
    term : ``Out``
        The term, one cycle later.
    """

    def __init__(self, recoding, exponent, terms, *, again):
        self._recoding = recoding
        self._again = again
        super().__init__(self.ports(recoding, exponent, terms, again=again))

    @staticmethod
    def ports(recoding, exponent, terms, *, again):
        """Signature for a recoding."""
        digits = recoding.n_digits
        return wiring.Signature({
            "nonzero": In(digits),
            "two": In(digits),
            "negative": In(digits),
            "take": In(1),
            "count": Out(terms),
            "load": In(1),
            "following": In(1),
            **({"restart": In(1)} if again else {}),
            "silent": In(1),
            "any": Out(1),
            "more": Out(1),
            "term": Out(term_width(exponent)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        arriving = self._digits()
        count = len(arriving[0])
        waiting = [Signal(count, name=f"waiting_{name}", reset_less=True) for name in ("nonzero", "two", "negative")]
        with m.If(self.take):
            m.d.sync += [register.eq(digits) for register, digits in zip(waiting, arriving, strict=True)]
        waiting_terms = Signal(range(count + 1))
        m.d.comb += [
            waiting_terms.eq(sum(waiting[0])),
            self.count.eq(Cat(waiting_terms > k for k in range(len(self.count)))),
        ]

        left = Signal(count)  # digits not yet gone past
        two, negative = (Signal(count, name=name, reset_less=True) for name in ("two_r", "negative_r"))
        # Each position knows whether a digit below it is still to come.
        below, first = Signal(count), Signal(count)
        m.d.comb += [below.eq(Cat(left[:i].any() for i in range(count))), first.eq(left & ~below)]
        with m.If(self.following):
            m.d.sync += left.eq(left & below)
        if self._again:
            whole = Signal(count, reset_less=True)
            with m.If(self.restart):
                m.d.sync += left.eq(whole)
            with m.If(self.load):
                m.d.sync += whole.eq(waiting[0])
        with m.If(self.load):
            m.d.sync += [register.eq(digits) for register, digits in zip((left, two, negative), waiting, strict=True)]

        def chosen(bits):
            return (first & bits).any()

        scale = 2 if self._recoding.radix == 4 or self._recoding.encoding == "naf" else 1
        exponent = [
            chosen(Const(sum(1 << i for i in range(count) if scale * i >> bit & 1), count))
            for bit in range(len(self.term) - 2)
        ]
        if scale == 2:
            exponent[0] = chosen(two)
        term = Signal(len(self.term), name="term_r", reset_less=True)
        m.d.sync += term.eq(Cat(self.any & ~self.silent, chosen(negative), exponent))
        m.d.comb += [self.any.eq(left.any()), self.more.eq((left & below).any()), self.term.eq(term)]
        return m

    def _digits(self):
        """The operand's digits; pairs of those of the non-adjacent form, where one at most is not zero, as one of radix 4."""
        digits = (self.nonzero, self.two, self.negative)
        if self._recoding.encoding != "naf":
            return digits
        even, odd = self.nonzero[::2], self.nonzero[1::2]
        negative = [
            Mux(bit, upper, lower)
            for bit, upper, lower in zip(odd, self.negative[1::2], self.negative[::2], strict=False)
        ]
        if len(even) > len(odd):
            negative.append(self.negative[-1])
        return even | odd, odd, Cat(negative)


class TermEdge(wiring.Component):
    """Encoders and sources of terms of one row or column: one of each for every lane.

    Parameters
    ----------
    recoding : :class:`~carrysave.models.digits.Recoding`
    exponent : :class:`int`
        Largest exponent.
    lanes : :class:`int`
    again : :class:`bool`
        As for :class:`TermSource`.

    Members
    -------
    value : ``In(lanes * width)``
        Operands, raw bits.
    take, load, silent : ``In(1)``
        As the sources', for all lanes.
    following, restart, any, more : ``lanes`` bits
        As the sources', a bit for each lane.
    count, term : ``Out``
        As the sources', one lane after another.
    """

    def __init__(self, recoding, exponent, lanes, *, again):
        self._recoding = recoding
        self._exponent = exponent
        self._lanes = lanes
        self._again = again
        super().__init__(self.ports(recoding, exponent, lanes, again=again))

    @staticmethod
    def ports(recoding, exponent, lanes, *, again):
        """Signature for a recoding and a number of lanes."""
        return wiring.Signature({
            "value": In(lanes * recoding.width),
            "take": In(1),
            "load": In(1),
            "silent": In(1),
            "following": In(lanes),
            **({"restart": In(lanes)} if again else {}),
            "any": Out(lanes),
            "more": Out(lanes),
            "count": Out(lanes * largest_terms(recoding)),
            "term": Out(lanes * term_width(exponent)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        recoding, kind = self._recoding, "again" if self._again else "once"
        arguments = (recoding, self._exponent, largest_terms(recoding))
        for lane in range(self._lanes):
            m.submodules[f"encoder_{lane}"] = encoder = Shared(
                lambda: DigitEncoder(recoding), DigitEncoder.ports(recoding), name=f"digit_encoder_{kind}"
            )
            m.submodules[f"source_{lane}"] = source = Shared(
                lambda: TermSource(*arguments, again=self._again),
                TermSource.ports(*arguments, again=self._again),
                name=f"term_source_{kind}",
                reset=True,
            )
            m.d.comb += [
                encoder.value.eq(self.value.word_select(lane, recoding.width)),
                source.nonzero.eq(encoder.nonzero),
                source.two.eq(encoder.two),
                source.negative.eq(encoder.negative),
                source.take.eq(self.take),
                source.load.eq(self.load),
                source.silent.eq(self.silent),
                source.following.eq(self.following[lane]),
                self.any[lane].eq(source.any),
                self.more[lane].eq(source.more),
                self.count.word_select(lane, len(source.count)).eq(source.count),
                self.term.word_select(lane, len(source.term)).eq(source.term),
            ]
            if self._again:
                m.d.comb += source.restart.eq(self.restart[lane])
        return m


def place_term_edge(recoding, exponent, lanes, *, again):
    """A :class:`TermEdge` as the shared module ``term_edge_once`` or ``term_edge_again``."""
    return Shared(
        lambda: TermEdge(recoding, exponent, lanes, again=again),
        TermEdge.ports(recoding, exponent, lanes, again=again),
        name=f"term_edge_{'again' if again else 'once'}",
        reset=True,
    )
