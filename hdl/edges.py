"""What surrounds a grid of PEs: skew, pulse trains, operand encoders of the rows, drain multiplexers of the columns."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from .pe import encode_operand, encode_weight, operand_width, temporal
from .shared import Shared

__all__ = ["Drain", "PulseTrain", "RowEncoder", "delayed", "place_drain", "place_row_encoder", "place_train"]


def delayed(m, value, cycles, name):
    """The value some cycles later."""
    for cycle in range(cycles):
        register = Signal(len(value), name=f"{name}_{cycle}", reset_less=True)
        m.d.sync += register.eq(value)
        value = register
    return value


class PulseTrain(wiring.Component):
    """A pulse, once a cycle later from each of its outputs.

    As a module of its own, a row's or a column's train is not merged with its neighbours', which carry the same pulses
    at the same time: one flip-flop would have to drive a whole diagonal of the array.

    Parameters
    ----------
    length : :class:`int`
        Number of outputs.

    Members
    -------
    pulse : ``In(1)``
    train : ``Out(length)``
        Bit ``n`` is ``pulse`` of ``n + 1`` cycles ago.
    """

    def __init__(self, length):
        super().__init__(self.ports(length))

    @staticmethod
    def ports(length):
        """Signature for a length."""
        return wiring.Signature({"pulse": In(1), "train": Out(length)})

    def elaborate(self, platform):
        m = Module()
        train = Signal(len(self.train), name="train_r", reset_less=True)
        m.d.sync += train.eq(Cat(self.pulse, train)[: len(train)])
        m.d.comb += self.train.eq(train)
        return m


def place_train(m, name, pulse, length, kind):
    """Place a :class:`PulseTrain` as the shared module ``<kind>_train`` and return its outputs."""
    m.submodules[name] = placed = Shared(lambda: PulseTrain(length), PulseTrain.ports(length), name=f"{kind}_train")
    m.d.comb += placed.pulse.eq(pulse)
    return placed.train


class RowEncoder(wiring.Component):
    """Operand A of a row as its PEs receive it: recoded, and with ``broadcast`` in the register of the whole row.

    Parameters
    ----------
    config : :class:`~carrysave.models.systolic.SystolicConfig`

    Members
    -------
    a : ``In``
        The operands of all lanes, raw bits.
    weight : ``In(bit_weights)``
        OPT2 only: the bit weight whose digits are wanted, one-hot; zero gives digits 0.
    encoded : ``Out``
        See :func:`~carrysave.hdl.pe.encode_operand` and :func:`~carrysave.hdl.pe.encode_weight`.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        weight = {"weight": In(config.bit_weights)} if temporal(config) else {}
        width = config.a_width * config.pe_lanes
        return wiring.Signature({"a": In(width), **weight, "encoded": Out(operand_width(config))})

    def elaborate(self, platform):
        m = Module()
        if temporal(self._config):
            encoded = encode_weight(m, self._config, self.a, self.weight, name="digit")
        else:
            encoded = encode_operand(m, self._config, self.a, name="digit")
        m.d.comb += self.encoded.eq(delayed(m, encoded, int(self._config.broadcast), "row"))
        return m


def place_row_encoder(config):
    """A :class:`RowEncoder` as the shared module ``row_encoder``."""
    return Shared(lambda: RowEncoder(config), RowEncoder.ports(config), name="row_encoder")


class Drain(wiring.Component):
    """Multiplexer of a column: the accumulator of the PE that has just finished.

    Parameters
    ----------
    width : :class:`int`
        Bits of an accumulator.
    rows : :class:`int`
        PEs of the column.

    Members
    -------
    states : ``In``
        Accumulators of all PEs.
    select : ``In(rows)``
        One-hot.
    chosen : ``Out(width)``
        Zero with nothing selected.
    """

    def __init__(self, width, rows):
        super().__init__(self.ports(width, rows))

    @staticmethod
    def ports(width, rows):
        """Signature for a width and a number of rows."""
        return wiring.Signature({
            "states": In(data.ArrayLayout(width, rows)),
            "select": In(rows),
            "chosen": Out(width),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        chosen = 0
        for row, enable in enumerate(self.select):
            chosen = (self.states[row] & enable.replicate(len(self.chosen))) | chosen
        m.d.comb += self.chosen.eq(chosen)
        return m


def place_drain(width, rows):
    """A :class:`Drain` as the shared module ``drain``."""
    return Shared(lambda: Drain(width, rows), Drain.ports(width, rows), name="drain")
