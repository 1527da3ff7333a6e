"""The designs ``dfp-fma`` and ``dfp-fma-cs``: two products and an accumulator a cycle, in dynamic fixed point."""

from amaranth.hdl import Module, Signal

from .dfp_pe import chain_carries, chain_control, place_carry_save_sum, place_dfp_pe, tell_chain
from .stream_unit import StreamUnit

__all__ = ["DFPFMA", "DFPFMACS"]


class _Unit(StreamUnit):
    def _tell(self, m, total, saturated=None):
        for name, value in tell_chain(self.config, total, saturated).items():
            m.d.comb += self.o.p[name].eq(value)

    def _steps(self, m):
        """The PE, fed; returns it with whether a step is taken that ends a chain."""
        m.submodules.pe = pe = place_dfp_pe(self.config)
        accepted, ending = Signal(), Signal()
        m.d.comb += accepted.eq(self.i.valid & self.i.ready)
        first, ends = chain_control(m, self.config, accepted, self.i.p.last)
        m.d.comb += [
            pe.a.eq(self.i.p.a),
            pe.b.eq(self.i.p.b),
            pe.clear.eq(first),
            pe.enable.eq(accepted),
            ending.eq(accepted & ends),
        ]
        return pe, ending


class DFPFMA(_Unit):
    """Fused multiply-add of two pairs, accumulator merged into the compressor tree, latency and initiation interval 1.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPFMAConfig`

    Members
    -------
    i : ``In(stream)``
        ``a`` and ``b``, two operands each, and ``last``, which ends the reduction.
    o : ``Out(stream)``
        ``sum`` of a chain, what the overflow policy tells of it, and ``last``.

    Implementation notes
    --------------------
    The accumulator itself waits at the output: the next step is taken when its sum is.
    """

    def elaborate(self, platform):
        m = Module()
        pe, ending = self._steps(m)
        valid, last = Signal(), Signal(reset_less=True)
        m.d.comb += [self.o.valid.eq(valid), self.i.ready.eq(~valid | self.o.ready), self.o.p.last.eq(last)]
        with m.If(self.i.ready):
            m.d.sync += [valid.eq(ending), last.eq(self.i.p.last)]
        self._tell(m, pe.acc, getattr(pe, "saturated", None))
        return m


class DFPFMACS(_Unit):
    """Fused multiply-add of two pairs with a carry-save accumulator; a carry-propagate adder resolves the finished chain.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPFMACSConfig`

    Members
    -------
    i, o
        As in :class:`DFPFMA`.

    Implementation notes
    --------------------
    A finished chain waits in the accumulator while the resolved one before it waits at the output.
    """

    def elaborate(self, platform):
        m = Module()
        pe, ending = self._steps(m)
        config, carries = self.config, chain_carries(self.config)
        m.submodules.resolve = resolve = place_carry_save_sum(
            config.register_width, carries, config.adder, "dfp_resolve"
        )
        done, valid = Signal(), Signal()
        done_last, last = Signal(reset_less=True), Signal(reset_less=True)
        free = Signal()
        m.d.comb += [
            free.eq(~valid | self.o.ready),
            self.i.ready.eq(~done | free),
            resolve.s.eq(pe.s),
            resolve.c.eq(pe.c),
            resolve.enable.eq(free),
            self.o.valid.eq(valid),
            self.o.p.last.eq(last),
        ]
        with m.If(free):
            m.d.sync += [valid.eq(done), last.eq(done_last)]
        with m.If(self.i.ready):
            m.d.sync += [done.eq(ending), done_last.eq(self.i.p.last)]
        self._tell(m, resolve.sum)
        return m
