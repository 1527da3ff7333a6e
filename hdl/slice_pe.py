"""Processing elements of bit-slice arrays: one digit of a times b a cycle and lane, summed in carry-save form.

Only non-zero digits reach such a PE, as two select lines a lane; the digits' weights are applied outside, or with
``horner`` by shifting the accumulator as a reduction passes from one weight to the next lower one. Like the PEs of
:mod:`carrysave.hdl.pe` they neither reset, enable nor stall anything; a bubble is ``b = 0`` with ``select = 0``. The
accumulator gathers a constant with every cycle, bubbles included; :class:`SliceCorrection` runs along and gives what to add
to the final sum.
"""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import AND_PS, BitHeap
from .encoders import SparseEncoder, place_sparse_encoder
from .shared import Shared

__all__ = [
    "OPT3PE",
    "SliceCorrection",
    "SlicePE",
    "place_opt3_pe",
    "place_slice_correction",
    "place_slice_pe",
    "slice_carry_columns",
    "slice_constant",
]

SELECT_PS = 110  # from a select line to a row's dot


def _top(config):
    """Column of the sign of a multiple of b: with radix 4 it may be doubled, and an unsigned b has no sign of its own."""
    return config.b_width - config.b_signed + (config.radix == 4)


def slice_constant(config):
    """What the accumulator gathers beyond the multiples of b in every cycle, modulo ``2 ** acc_width``.

    The sign of a multiple has negative weight; it is added inverted, which is one too much in its column.
    """
    return (config.pe_lanes << _top(config)) % (1 << config.acc_width)


def slice_carry_columns(config):
    """Columns in which the carry word has a bit, ascending.

    ``carry_spacing_low`` counts through the columns that multiples of b reach, ``carry_spacing`` above them. Where there is
    no such bit, the carry ripples on within the cycle.
    """
    reach = _top(config) + 1 + (config.pe_lanes - 1).bit_length()
    low = range(config.carry_spacing_low, min(reach, config.acc_width), config.carry_spacing_low)
    return [*low, *range(reach, config.acc_width, config.carry_spacing)]


class SlicePE(wiring.Component):
    """PE that adds one digit times b in each of its lanes: OPT4C with one lane, OPT4E with four.

    Parameters
    ----------
    config : object
        With ``b_width``, ``b_signed``, ``acc_width``, ``pe_lanes``, ``radix`` (4 or 2), ``horner``, ``carry_spacing``,
        ``carry_spacing_low``.
    registered : ``"operands"`` or ``"multiples"``
        What the registers at the inputs hold: ``select`` and ``b``, or the multiples of b that ``select`` picks, those of
        more than two lanes compressed. The second balances the pipeline where both come straight from registers; the
        function is the same in every cycle.

    Members
    -------
    select : ``In(2 * pe_lanes)``
        Two lines a lane: magnitude 2 (not with radix 2), negative.
    b : ``In(b_width * pe_lanes)``
        Operand b of each lane, raw bits.
    clear : ``In(1)``
        The operands *now in the registers* begin a new sum.
    shift : ``In(1)``
        They are added to ``radix`` times the sum; only with ``horner``. ``clear`` wins.
    select_o : ``Out``
        ``select``, one cycle later.
    s : ``Out(acc_width)``
        Sum word.
    c : ``Out``
        Bits of the carry word in the columns of :func:`slice_carry_columns`. Sum and carry word together are the sum up to
        the last cycle, plus the constant once a cycle.
    """

    def __init__(self, config, *, registered="operands"):
        if registered not in ("operands", "multiples"):
            raise ValueError(f"registered must be 'operands' or 'multiples', not {registered!r}")
        self._config = config
        self._registered = registered
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "select": In(2 * config.pe_lanes),
            "b": In(config.b_width * config.pe_lanes),
            "clear": In(1),
            **({"shift": In(1)} if config.horner else {}),
            "select_o": Out(2 * config.pe_lanes),
            "s": Out(config.acc_width),
            "c": Out(len(slice_carry_columns(config))),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        positions = slice_carry_columns(self._config)
        select = _register(m, self.select, "select_r")
        s = Signal(len(self.s), name="s_r", reset_less=True)
        c = Signal(len(self.c), name="c_r", reset_less=True)
        m.d.comb += [self.select_o.eq(select), self.s.eq(s), self.c.eq(c)]

        heap = BitHeap(m, width=len(s))
        if self._registered == "operands":
            self._add_rows(m, heap, select, _register(m, self.b, "b_r"))
        else:
            self._add_registered_rows(m, heap)
        self._add_feedback(m, heap, s, dict(zip(positions, c, strict=True)))
        rest = heap.reduce(lambda column: column in positions)
        kept = ~self.clear
        for column, dots in enumerate(rest):
            dot = dots[0][1] if dots else Const(0)
            m.d.sync += s[column].eq(dot if column < self._reach else dot & kept)
        for index, column in enumerate(positions):
            dot = rest[column][1][1] if len(rest[column]) == 2 else Const(0)
            m.d.sync += c[index].eq(dot if column < self._reach else dot & kept)
        return m

    @property
    def _reach(self):
        """First column that the multiples of b, carries included, never reach by themselves."""
        return (self._config.pe_lanes << _top(self._config) + 1).bit_length()

    def _rows(self, m, select, b):
        """For each lane the dots of its multiple of b by column, and the one in column 0 that completes a negative one."""
        top = _top(self._config)
        for lane in range(self._config.pe_lanes):
            two, negative = select.word_select(lane, 2)
            bits = list(b.word_select(lane, self._config.b_width))
            bits += [bits[-1] if self._config.b_signed else Const(0)] * (top + 1 - len(bits))
            row = Signal(top + 1, name=f"row{lane}")
            for column, bit in enumerate(bits):
                if self._config.radix == 4:
                    bit = (two & (bits[column - 1] if column else Const(0))) | (~two & bit)
                m.d.comb += row[column].eq(bit ^ negative ^ (column == top))
            yield row, negative

    def _add_rows(self, m, heap, select, b):
        for row, negative in self._rows(m, select, b):
            heap.add_word(row, SELECT_PS)
            heap.add(0, negative)

    def _add_registered_rows(self, m, heap):
        """Where there are many lanes, all but the last are compressed before the register, to two dots a column."""
        *earlier, (last, negative) = self._rows(m, self.select, self.b)
        first = BitHeap(m, width=len(self.s), name="first")
        for row, _ in earlier:
            first.add_word(row, SELECT_PS)
        # One of the dots in column 0 is compressed with them; the others meet no carry there and may as well wait.
        negatives = [negative for _, negative in earlier] + [negative]
        if earlier:
            first.add(0, negatives.pop())
        for column, dots in enumerate(first.reduce(lambda column: True)):
            for index, (_, dot) in enumerate(dots):
                heap.add(column, _register(m, dot, f"first{index}_{column}_r"))
        heap.add_word(_register(m, last, "last_r"))
        for lane, dot in enumerate(negatives):
            heap.add(0, _register(m, dot, f"negative{lane}_r"))

    def _add_feedback(self, m, heap, s, carries):
        """What is fed back; ``clear`` takes it away here only where multiples of b arrive, elsewhere behind the adders."""
        horner, step = self._config.horner, 2 if self._config.radix == 4 else 1
        for kind, word in (("s", dict(enumerate(s))), ("c", carries)):
            for column in range(len(s)):
                if column not in word and not (horner and column - step in word):
                    continue
                value = word.get(column, Const(0))
                if horner:
                    value = (word.get(column - step, Const(0)) & self.shift) | (value & ~self.shift)
                dot = Signal(name=f"{kind}_fed_{column}")
                m.d.comb += dot.eq(value & ~self.clear if column < self._reach else value)
                heap.add(column, dot, AND_PS)


def _register(m, value, name):
    register = Signal(len(value), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


class OPT3PE(wiring.Component):
    """PE with its own sparse encoder: takes groups of digits and adds their non-zero ones, one a cycle.

    Parameters
    ----------
    config : object
        As for :class:`SlicePE`, with one lane.
    count : :class:`int`
        Digits of a group.

    Members
    -------
    load, nonzero, two, negative, valid, index, free
        As in :class:`~carrysave.hdl.encoders.SparseEncoder`.
    b : ``In(b_width)``
        The operand that belongs to digit ``index``, in the same cycle; anything while ``valid`` is 0.
    clear, shift, s, c
        As in :class:`SlicePE`.
    """

    def __init__(self, config, count=4):
        self._config = config
        self._count = count
        super().__init__(self.ports(config, count))

    @staticmethod
    def ports(config, count=4):
        """Signature for a configuration."""
        if config.pe_lanes != 1:
            raise ValueError(f"OPT3 has one lane, not {config.pe_lanes!r}")
        encoder = SparseEncoder.ports(count).members
        pe = SlicePE.ports(config).members
        return wiring.Signature({
            **{name: encoder[name] for name in ("load", "nonzero", "two", "negative", "valid", "index", "free")},
            **{name: member for name, member in pe.items() if name not in ("select", "select_o")},
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        m.submodules.encoder = encoder = place_sparse_encoder(self._count)
        m.submodules.pe = pe = place_slice_pe(self._config)
        m.d.comb += [getattr(encoder, name).eq(getattr(self, name)) for name in ("load", "nonzero", "two", "negative")]
        m.d.comb += [getattr(self, name).eq(getattr(encoder, name)) for name in ("valid", "index", "free")]
        m.d.comb += [
            pe.select.eq(Cat(encoder.two_o, encoder.negative_o)),
            pe.b.eq(self.b & encoder.valid.replicate(len(self.b))),
            pe.clear.eq(self.clear),
            self.s.eq(pe.s),
            self.c.eq(pe.c),
        ]
        if self._config.horner:
            m.d.comb += pe.shift.eq(self.shift)
        return m


class SliceCorrection(wiring.Component):
    """Minus what the accumulators gather beyond the multiples of b; one serves all PEs that clear and shift together.

    Members
    -------
    clear, shift : ``In(1)``
        As the PE's.
    last : ``In(1)``
        The operands now in the PE's registers end the reduction.
    correction : ``Out(acc_width)``
        To be added to the PE's sum, modulo ``2 ** acc_width``; from the cycle after ``last`` until that after the next.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        shift = {"shift": In(1)} if config.horner else {}
        return wiring.Signature({"clear": In(1), **shift, "last": In(1), "correction": Out(config.acc_width)})

    def elaborate(self, platform):
        m = Module()
        constant = slice_constant(self._config)
        if not constant:
            return m
        # The constant's low zeros need no adder and no flip-flops; shifting leaves them zero.
        zeros = (constant & -constant).bit_length() - 1
        running, held, following, fed = (
            Signal(self._config.acc_width - zeros, name=name, reset_less=True)
            for name in ("running", "held", "following", "fed")
        )
        with m.If(self.clear):
            m.d.comb += fed.eq(0)
        if self._config.horner:
            with m.Elif(self.shift):
                m.d.comb += fed.eq(running * self._config.radix)
        with m.Else():
            m.d.comb += fed.eq(running)
        m.d.comb += following.eq(fed - (constant >> zeros))
        m.d.sync += running.eq(following)
        with m.If(self.last):
            m.d.sync += held.eq(following)
        m.d.comb += self.correction[zeros:].eq(held)
        return m


def place_slice_pe(config, *, registered="operands"):
    """A :class:`SlicePE` as the shared module ``slice_pe``."""
    return Shared(lambda: SlicePE(config, registered=registered), SlicePE.ports(config), name="slice_pe")


def place_opt3_pe(config, count=4):
    """An :class:`OPT3PE` as the shared module ``opt3_pe``."""
    return Shared(lambda: OPT3PE(config, count), OPT3PE.ports(config, count), name="opt3_pe", reset=True)


def place_slice_correction(config):
    """A :class:`SliceCorrection` as the shared module ``slice_correction``."""
    return Shared(lambda: SliceCorrection(config), SliceCorrection.ports(config), name="slice_correction")
