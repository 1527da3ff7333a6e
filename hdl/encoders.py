"""Encoders of bit-slice arrays: from operands to digits, and from a group of digits to its non-zero ones, one a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .partial_products import booth_digits
from .shared import Shared

__all__ = ["DigitEncoder", "SparseEncoder", "place_digit_encoder", "place_sparse_encoder"]


class DigitEncoder(wiring.Component):
    """Recodes an operand into digits; combinational.

    Parameters
    ----------
    recoding : :class:`~carrysave.models.digits.Recoding`

    Members
    -------
    value : ``In(width)``
        Operand, raw bits.
    nonzero : ``Out(n_digits)``
        A bit for each digit, least significant first: it is not zero.
    two : ``Out(n_digits)``
        Its magnitude is 2; constantly zero with radix 2.
    negative : ``Out(n_digits)``
        It is negative, a sign that is kept apart and the negative weight of a top bit included; anything for digit 0.
    """

    def __init__(self, recoding):
        self._recoding = recoding
        super().__init__(self.ports(recoding))

    @staticmethod
    def ports(recoding):
        """Signature for a recoding."""
        n = recoding.n_digits
        return wiring.Signature(
            {"value": In(recoding.width), "nonzero": Out(n), "two": Out(n), "negative": Out(n)},
        )

    def elaborate(self, platform):
        m = Module()
        make = {
            "mbe": self._mbe,
            "en-t": self._en_t,
            "naf": self._naf,
            "twos-complement": self._bits,
            "sign-magnitude": self._magnitude,
        }[self._recoding.encoding]
        nonzero, two, negative = zip(*make(m), strict=True)
        m.d.comb += [self.nonzero.eq(Cat(nonzero)), self.two.eq(Cat(two)), self.negative.eq(Cat(negative))]
        return m

    def _mbe(self, m):
        for digit in booth_digits(m, self.value, self._recoding.signed):
            yield digit.one | digit.two, digit.two, digit.sign

    def _en_t(self, m):
        # The magnitude of a negative value is its complement plus one. That one may enter as a carry of the recoding: it
        # ripples on only through slices of 3, which become 0 with a carry, as they do in the increment; and where it
        # ends, no carry of the recoding comes from below.
        sign = self.value[-1] if self._recoding.signed else Const(0)
        bits, carry = [bit ^ sign for bit in self.value], sign
        bits += [Const(0)] * (2 * self._recoding.n_digits - len(bits))
        for i in range(self._recoding.n_digits):
            low, high = bits[2 * i : 2 * i + 2]
            odd, two, following = Signal(name=f"odd{i}"), Signal(name=f"two{i}"), Signal(name=f"carry{i}")
            m.d.comb += [odd.eq(low ^ carry), two.eq(~odd & (high ^ carry)), following.eq(high & (low | carry))]
            yield odd | two, two, (odd & high) ^ sign
            carry = following

    def _naf(self, m):
        signed = self._recoding.signed
        bits = [*self.value, *[self.value[-1] if signed else Const(0)] * 2]
        carry = Const(0)
        for i in range(self._recoding.n_digits):
            nonzero, following = Signal(name=f"nonzero{i}"), Signal(name=f"carry{i}")
            x, above = bits[i], bits[i + 1]
            m.d.comb += [nonzero.eq(x ^ carry), following.eq((x & above) | (carry & (x | above)))]
            yield nonzero, Const(0), above
            carry = following

    def _bits(self, m):
        for i, bit in enumerate(self.value):
            yield bit, Const(0), Const(int(self._recoding.signed and i == len(self.value) - 1))

    def _magnitude(self, m):
        sign, below = self.value[-1] if self._recoding.signed else Const(0), Const(0)
        for i, bit in enumerate(self.value):
            through = Signal(name=f"below{i}")
            m.d.comb += through.eq(below | bit)
            # To negate, complement every bit above the lowest 1.
            yield bit ^ (sign & below), Const(0), sign
            below = through


class SparseEncoder(wiring.Component):
    """Holds a group of digits and issues its non-zero ones, one a cycle, lowest position first.

    A group of n non-zero digits occupies ``max(n, 1)`` cycles, the first one after ``load``. Without a new load the encoder
    then falls empty. The registers have a reset: the encoder begins empty.

    Parameters
    ----------
    count : :class:`int`
        Digits of a group.

    Members
    -------
    load : ``In(1)``
        Take the group at the inputs; what is left of the last one is dropped.
    nonzero, two, negative : ``In(count)``
        A group of digits, see :class:`DigitEncoder`.
    valid : ``Out(1)``
        A non-zero digit is issued.
    index : ``Out(range(count))``
        Its position; 0 if there is none.
    two_o, negative_o : ``Out(1)``
        Its magnitude is 2; it is negative. Both 0 if there is none: what a PE takes for a bubble.
    free : ``Out(1)``
        At most one digit is left: a load in this cycle follows without a gap.
    """

    def __init__(self, count=4):
        self._count = count
        super().__init__(self.ports(count))

    @staticmethod
    def ports(count=4):
        """Signature for a number of digits."""
        if type(count) is not int or count < 1:
            raise ValueError(f"count must be a positive integer, not {count!r}")
        return wiring.Signature({
            "load": In(1),
            "nonzero": In(count),
            "two": In(count),
            "negative": In(count),
            "valid": Out(1),
            "index": Out(range(count)),
            "two_o": Out(1),
            "negative_o": Out(1),
            "free": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        count = self._count
        left = Signal(count)  # digits not issued yet
        two, negative = (Signal(count, name=name, reset_less=True) for name in ("two_r", "negative_r"))
        with m.If(self.load):
            m.d.sync += [two.eq(self.two), negative.eq(self.negative)]
        below = [left[:i].any() for i in range(count)]
        remaining = [bit & lower for bit, lower in zip(left, below, strict=True)]
        m.d.sync += left.eq(Mux(self.load, self.nonzero, Cat(remaining)))
        issued = Signal(count)
        m.d.comb += [
            issued.eq(Cat(bit & ~lower for bit, lower in zip(left, below, strict=True))),
            self.valid.eq(left.any()),
            self.two_o.eq((issued & two).any()),
            self.negative_o.eq((issued & negative).any()),
            self.free.eq(~Cat(remaining).any()),
        ]
        for bit in range(len(self.index)):
            m.d.comb += self.index[bit].eq(Cat(issued[i] for i in range(count) if i >> bit & 1).any())
        return m


def place_digit_encoder(recoding):
    """A :class:`DigitEncoder` as the shared module ``digit_encoder``."""
    return Shared(lambda: DigitEncoder(recoding), DigitEncoder.ports(recoding), name="digit_encoder")


def place_sparse_encoder(count=4):
    """A :class:`SparseEncoder` as the shared module ``sparse_encoder``."""
    return Shared(lambda: SparseEncoder(count), SparseEncoder.ports(count), name="sparse_encoder", reset=True)
