"""Operand memories of the bit-slice array: B by PE, A's digits by row of A, both for two tiles in turn.

They lie outside of the array proper: what an array is compared by leaves operand memories out. Reading is combinational,
as in a register file; the address registers belong to the array.
"""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..models.bit_slice import GROUP
from .shared import Shared

__all__ = ["DigitBank", "OperandBank", "digit_layout", "place_digit_bank", "place_operand_bank"]


class OperandBank(wiring.Component):
    """One column of B, or what one lane takes of it; a read port for each column of PEs.

    An address is, from the most significant bit, half, group and index in the group: the digits' sparse encoder gives the
    index, so that B is fetched by digit.

    Parameters
    ----------
    config : :class:`~carrysave.models.bit_slice.BitSliceConfig`

    Members
    -------
    write : ``In(4)``
        Operands of the group to write.
    w_group : ``In``
        Half and group.
    value : ``In``
        A group of operands, raw bits; a cycle later than ``write`` and ``w_group``.
    address : ``In``
        Half, group and index for each row of A. (No layout: in Verilog, each element of an array would be a wire more.)
    b : ``Out``
        The operands at these addresses, raw bits.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        groups = 2 * config.entries
        return wiring.Signature({
            "write": In(GROUP),
            "w_group": In(range(groups)),
            "value": In(GROUP * config.b_width),
            "address": In(config.rows * (groups * GROUP - 1).bit_length()),
            "b": Out(config.rows * config.b_width),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        width = self._config.b_width
        m.submodules.words = words = memory.Memory(shape=GROUP * width, depth=2 * self._config.entries, init=())
        port = words.write_port(granularity=width)
        # Registers on this side of what goes to all banks; the operands come a cycle later than it.
        m.d.sync += [port.en.eq(self.write), port.addr.eq(self.w_group)]
        m.d.comb += port.data.eq(self.value)
        index_bits = (GROUP - 1).bit_length()
        operands = []
        for row in range(self._config.rows):
            port = words.read_port(domain="comb")
            address = self.address.word_select(row, index_bits + len(port.addr))
            m.d.comb += port.addr.eq(address[index_bits:])
            operands.append(port.data.word_select(address[:index_bits], width))
        m.d.comb += self.b.eq(Cat(operands))
        return m


def digit_layout(config):
    """A group of digits as it is kept: with radix 2 no digit is of magnitude 2."""
    return data.StructLayout({
        "nonzero": GROUP,
        **({"two": GROUP} if config.radix == 4 else {}),
        "negative": GROUP,
    })  # fmt: skip


class DigitBank(wiring.Component):
    """The digits of one row of A, or of one lane of it, by weight; with ``skip`` only groups that have a non-zero digit.

    Parameters
    ----------
    config : :class:`~carrysave.models.bit_slice.BitSliceConfig`

    Members
    -------
    write : ``In(4)``
        Positions of the present group to write.
    digits : ``In``
        A group for each weight, least significant first; a cycle later than what says where to write it.
    w_half : ``In(1)``
    w_group : ``In``
        Number of the group among those of the lane.
    finish : ``In(1)``
        These are the last positions of the group.
    close : ``In(1)``
        These are the last of the tile, whichever lane they belong to.
    half, weight, entry : ``In``
        What to read.
    group : ``Out``
        Its number.
    read : ``Out``
        Its digits; all zero if the weight has no entry at all.
    last_entry : ``Out(1)``
        No entry of this weight follows.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        n_digits = config.recoding.n_digits
        return wiring.Signature({
            "write": In(GROUP),
            "digits": In(digit_layout(config).size * n_digits),
            "w_half": In(1),
            "w_group": In(range(config.entries)),
            "finish": In(1),
            "close": In(1),
            "half": In(1),
            "weight": In(range(n_digits)),
            "entry": In(range(config.entries)),
            "group": Out(range(config.entries)),
            "read": Out(digit_layout(config)),
            "last_entry": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        # Registers on this side of what goes to all banks; the digits come a cycle later than it.
        late = {
            name: Signal(len(getattr(self, name)), name=f"{name}_r")
            for name in ("write", "w_half", "w_group", "finish", "close")
        }
        m.d.sync += [register.eq(getattr(self, name)) for name, register in late.items()]
        parts = [self._weight(m, weight, **late) for weight in range(config.recoding.n_digits)]
        group, read, count = (Array(column)[self.weight] for column in zip(*parts, strict=True))
        m.d.comb += [
            self.group.eq(group),
            self.read.eq(read),
            self.last_entry.eq(self.entry + 1 >= count),
        ]
        with m.If(count == 0):
            m.d.comb += self.read.nonzero.eq(0)
        return m

    def _weight(self, m, weight, *, write, w_half, w_group, finish, close):
        """Entries of one weight: its number, digits, and how many entries there are."""
        config = self._config
        layout = digit_layout(config)
        digits = data.View(layout, self.digits.word_select(weight, layout.size))
        fields = layout.size // GROUP
        fill = Signal(range(config.entries + 1), name=f"fill{weight}")
        counts = [Signal(range(config.entries + 1), name=f"count{weight}_{half}", reset_less=True) for half in range(2)]
        following = Signal.like(fill, name=f"following{weight}")
        worth = Const(1)
        if config.skip:
            # A group is written position by position; it stays if any of them is not zero.
            found, worth = Signal(name=f"found{weight}"), Signal(name=f"worth{weight}")
            m.d.comb += worth.eq(found | (digits.nonzero & write).any())
            with m.If(write.any()):
                m.d.sync += found.eq(worth & ~finish)
        m.d.comb += following.eq(fill + (finish & worth))
        m.d.sync += fill.eq(Mux(close, 0, following))
        for half in range(2):
            with m.If(close & (w_half == half)):
                m.d.sync += counts[half].eq(following)

        m.submodules[f"digits{weight}"] = store = memory.Memory(shape=fields * GROUP, depth=2 * config.entries, init=())
        port, read = store.write_port(granularity=1), store.read_port(domain="comb")
        m.d.comb += [
            port.en.eq(write.replicate(fields)),
            port.addr.eq(Cat(fill[:-1], w_half)),
            port.data.eq(digits),
            read.addr.eq(Cat(self.entry, self.half)),
        ]
        number = self.entry
        if config.skip:
            m.submodules[f"groups{weight}"] = store = memory.Memory(
                shape=range(config.entries), depth=2 * config.entries, init=()
            )
            keep, kept = store.write_port(), store.read_port(domain="comb")
            m.d.comb += [
                keep.en.eq(write.any()),
                keep.addr.eq(port.addr),
                keep.data.eq(w_group),
                kept.addr.eq(read.addr),
            ]
            number = kept.data
        return number, read.data, Mux(self.half, counts[1], counts[0])


def place_operand_bank(config):
    """An :class:`OperandBank` as the shared module ``operand_bank``."""
    return Shared(lambda: OperandBank(config), OperandBank.ports(config), name="operand_bank")


def place_digit_bank(config):
    """A :class:`DigitBank` as the shared module ``digit_bank``."""
    return Shared(lambda: DigitBank(config), DigitBank.ports(config), name="digit_bank", reset=True)
