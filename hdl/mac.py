"""The designs ``mac`` and ``opt1``: one processing element with everything it needs to deliver finished integers."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo

from .final_adder import place_final_adder
from .pe import carry_columns, encode_operand, place_correction, place_pe
from .stream_unit import StreamUnit

__all__ = ["MAC", "OPT1"]


class _Unit(StreamUnit):
    """Stream in, PE, final adder, stream out.

    Implementation notes
    --------------------
    The PE never stalls. A result's place in the output FIFO is reserved when its reduction's last beat is accepted, so
    that back-pressure acts on ``i`` only; five places are what one result a cycle needs.
    """

    def elaborate(self, platform):
        m = Module()
        carries = carry_columns(self.config) if self._kind == "opt1" else ()
        m.submodules.pe = pe = place_pe(self.config, self._kind)
        m.submodules.final_adder = final = place_final_adder(self.config, carries)
        depth = self.latency + 1
        m.submodules.results = results = fifo.SyncFIFO(width=self.config.acc_width, depth=depth)

        accepted = self.i.valid & self.i.ready
        ending = Signal()
        first = Signal(init=1)  # the next beat begins a reduction
        with m.If(accepted):
            m.d.sync += first.eq(self.i.p.last)
        m.d.comb += ending.eq(accepted & self.i.p.last)

        # A bubble is a pair of zero operands.
        operands = Signal.like(self.i.p.a.as_unsigned()), Signal.like(self.i.p.b.as_unsigned())
        m.d.comb += [
            operands[0].eq(Mux(accepted, self.i.p.a, 0)),
            operands[1].eq(Mux(accepted, self.i.p.b, 0)),
            pe.a.eq(encode_operand(m, self.config, operands[0])),
            pe.b.eq(operands[1]),
        ]
        clear, last = Signal(), Signal(3)
        m.d.sync += [clear.eq(accepted & first), last.eq((last << 1) | ending)]
        m.d.comb += [
            pe.clear.eq(clear),
            results.w_data.eq(final.result),
            results.w_en.eq(last[2]),
        ]
        m.d.comb += [final.s.eq(pe.s), final.c.eq(pe.c)] if carries else final.s.eq(pe.acc)
        if self.config.correction == "drain":
            m.submodules.correction = correction = place_correction(self.config)
            m.d.comb += [
                correction.clear.eq(clear),
                correction.last.eq(last[0]),
                final.correction.eq(correction.correction),
            ]

        taken = self.o.valid & self.o.ready
        reserved = Signal(range(depth + 1))
        m.d.sync += reserved.eq(reserved + ending - taken)
        m.d.comb += [
            self.i.ready.eq(reserved != depth),
            self.o.valid.eq(results.r_rdy),
            self.o.p.result.eq(results.r_data),
            results.r_en.eq(self.o.ready),
        ]
        return m


class MAC(_Unit):
    """Multiply-accumulate unit, one product a cycle, accumulator resolved in every cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.MACConfig`

    Members
    -------
    i : ``In(stream)``
        ``a``, ``b`` and ``last``, which ends a reduction.
    o : ``Out(stream)``
        One ``result`` a reduction.
    """

    _kind = "mac"


class OPT1(_Unit):
    """Multiply-accumulate unit, one product a cycle, accumulator in carry-save form until the end of the reduction.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.OPT1Config`

    Members
    -------
    i, o
        As in :class:`MAC`.
    """

    _kind = "opt1"
