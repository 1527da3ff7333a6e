"""Modules that only the benchmarks need: what published modules hold, made of our parts, to compare at equal function."""

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .hdl.edges import delayed, place_drain, place_row_encoder, place_train
from .hdl.encoders import SparseEncoder
from .hdl.final_adder import place_final_adder
from .hdl.pe import carry_columns, place_correction, place_pe
from .hdl.slice_pe import SlicePE

__all__ = ["BroadcastColumn", "EnTCodes", "RegisteredSparseEncoder", "SkewedArray", "Without"]


def _register(m, value, name):
    register = Signal(len(value), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _connect(m, outer, inner, names):
    """Connect ports of the same name, whichever way they point."""
    for name in names:
        ours, theirs = getattr(outer, name), getattr(inner, name)
        m.d.comb += theirs.eq(ours) if outer.signature.members[name].flow == In else ours.eq(theirs)


class Without(wiring.Component):
    """A component without some of its outputs: what only they need is not built.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
    names : :class:`str`
        Outputs to leave out.
    """

    def __init__(self, component, *names):
        self._component = component
        super().__init__({name: member for name, member in component.signature.members.items() if name not in names})

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = self._component
        _connect(m, self, self._component, self.signature.members)
        return m


class EnTCodes(wiring.Component):
    """EN-T encoder of a signed 8-bit operand between two registers: complemented, registered, recoded, registered.

    Members
    -------
    value : ``In(8)``
        Operand, two's complement.
    codes : ``Out(8)``
        Two bits a digit of the magnitude, least significant first, two cycles later: 0, 1, 2, and 3 for -1.
    negative : ``Out(1)``
        The operand's sign.
    """

    def __init__(self):
        super().__init__({"value": In(8), "codes": Out(8), "negative": Out(1)})

    def elaborate(self, platform):
        m = Module()
        sign = _register(m, self.value[7:], "sign_r")
        bits = [*_register(m, self.value[:7] ^ self.value[7].replicate(7), "bits_r"), Const(0)]
        # What completes the complement enters as the recoding's carry, see carrysave.hdl.encoders.
        carry, codes = sign, []
        for low, high in zip(bits[::2], bits[1::2], strict=True):
            codes += [low ^ carry, high ^ (low & carry)]
            carry = high & (low | carry)
        m.d.comb += [
            self.codes.eq(_register(m, Cat(codes), "codes_r")),
            self.negative.eq(_register(m, sign, "negative_r")),
        ]
        return m


class RegisteredSparseEncoder(wiring.Component):
    """Sparse encoder whose ``valid``, ``index``, ``two_o`` and ``negative_o`` come from registers, a cycle later."""

    def __init__(self, count=4):
        self._count = count
        super().__init__(SparseEncoder.ports(count))

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = SparseEncoder(self._count)
        _connect(m, self, inner, ["load", "nonzero", "two", "negative", "free"])
        for name in ("valid", "index", "two_o", "negative_o"):
            m.d.comb += getattr(self, name).eq(_register(m, getattr(inner, name), f"{name}_r"))
        return m


class BroadcastColumn(wiring.Component):
    """One sparse encoder and the OPT4C PEs it serves; every accumulator is an output.

    Parameters
    ----------
    config : object
        As for :class:`~carrysave.hdl.slice_pe.SlicePE`.
    count : :class:`int`
        PEs.
    registered : :class:`str`
        As for the PE; with ``"multiples"`` the encoder's outputs are registered, too.

    Members
    -------
    load, nonzero, two, negative, valid, index, free
        As in :class:`~carrysave.hdl.encoders.SparseEncoder`.
    b, clear, s, c
        As in the PE, those of all PEs side by side.
    """

    def __init__(self, config, count, *, registered):
        self._config = config
        self._count = count
        self._registered = registered
        encoder, pe = SparseEncoder.ports().members, SlicePE.ports(config).members
        super().__init__({
            **{name: encoder[name] for name in ("load", "nonzero", "two", "negative", "valid", "index", "free")},
            "b": In(config.b_width * count),
            "clear": In(1),
            "s": Out(config.acc_width * count),
            "c": Out(pe["c"].shape * count),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        encoder = SparseEncoder() if self._registered == "operands" else RegisteredSparseEncoder()
        m.submodules.encoder = encoder
        _connect(m, self, encoder, ["load", "nonzero", "two", "negative", "valid", "index", "free"])
        for index in range(self._count):
            m.submodules[f"pe{index}"] = pe = SlicePE(self._config, registered=self._registered)
            m.d.comb += [
                pe.select.eq(Cat(encoder.two_o, encoder.negative_o)),
                pe.b.eq(self.b.word_select(index, len(pe.b))),
                pe.clear.eq(self.clear),
                self.s.word_select(index, len(pe.s)).eq(pe.s),
                self.c.word_select(index, len(pe.c)).eq(pe.c),
            ]
        return m


class SkewedArray(wiring.Component):
    """Output-stationary array up to its final adders, without what brings operands and results into step.

    Operands come skewed, row r and column c as many cycles late, and each column's results leave as its PEs finish.

    Parameters
    ----------
    config : :class:`~carrysave.models.systolic.SystolicConfig`
        Or that of a cube.

    Members
    -------
    a, b : ``In``
        Operands at the edges, raw bits of all lanes of all rows, of all columns.
    first, last : ``In(1)``
        The step that comes to PE (0, 0) now begins a tile, ends one.
    c : ``Out``
        Results of all columns. Row r of column c is there ``r + c + 2 + adder_cycles`` cycles after ``last``, one more with
        ``product_rows``.
    """

    def __init__(self, config):
        self._config = config
        width = config.pe_lanes
        super().__init__({
            "a": In(config.a_width * width * config.rows),
            "b": In(config.b_width * width * config.cols),
            "first": In(1),
            "last": In(1),
            "c": Out(config.acc_width * config.cols),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config, rows, cols = self._config, self._config.rows, self._config.cols
        carries = () if config.pe == "mac" else carry_columns(config)
        started, ended = Signal(), Signal()
        m.d.sync += [started.eq(self.first), ended.eq(self.last)]
        late = config.register_cycles
        first = [self.first, started, *Signal(max(rows - 2, 0), name="first_r")][:rows]
        drain = [delayed(m, ended, late, "ended"), *Signal(cols - 1, name="drain_r")]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(first) if later is not started]
        m.d.sync += [later.eq(earlier) for earlier, later in pairwise(drain)]
        corrected = config.correction == "drain"
        if corrected:
            m.submodules.correction = correction = place_correction(config)
            m.d.comb += [correction.clear.eq(delayed(m, started, late, "started")), correction.last.eq(drain[0])]
            value = correction.correction

        down = [self.b.word_select(c, len(self.b) // cols) for c in range(cols)]
        states = [[] for _ in range(cols)]
        for r in range(rows):
            m.submodules[f"encoder_{r}"] = encoder = place_row_encoder(config)
            m.d.comb += encoder.a.eq(self.a.word_select(r, len(encoder.a)))
            clear, across = place_train(m, f"clear_{r}", first[r], cols, "clear"), encoder.encoded
            for c in range(cols):
                m.submodules[f"pe_{r}_{c}"] = pe = place_pe(config, config.pe)
                m.d.comb += [pe.a.eq(across), pe.b.eq(down[c]), pe.clear.eq(clear[c])]
                across, down[c] = pe.a_o, pe.b_o
                states[c].append(Cat(pe.s, pe.c) if carries else pe.acc)
        for c in range(cols):
            m.submodules[f"drain_{c}"] = mux = place_drain(len(states[c][0]), rows)
            m.submodules[f"final_{c}"] = final = place_final_adder(config, carries)
            m.d.comb += [
                mux.states.eq(Cat(states[c])),
                mux.select.eq(place_train(m, f"select_{c}", drain[c], rows, "select")),
                (Cat(final.s, final.c) if carries else final.s).eq(mux.chosen),
                self.c.word_select(c, config.acc_width).eq(final.result),
            ]
            if corrected:
                value = delayed(m, value, min(c, 1), f"correction{c}")
                m.d.comb += final.correction.eq(value)
        return m
