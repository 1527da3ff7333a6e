"""The design ``dfp-dot``: dot products of dynamic fixed point, whose chains spill to float32 or to a wide integer."""

from amaranth.hdl import Cat, Const, Module, Signal

from ..models.float_format import FORMATS
from .adder import prefix_add
from .bit_heap import BitHeap
from .dfp_pe import (
    add_constant,
    add_extended,
    chain_carries,
    chain_control,
    place_carry_save_sum,
    place_dfp_pe,
    tell_chain,
)
from .float_adder import place_float_adder
from .int_to_float import place_int_to_float
from .stream_unit import StreamUnit

__all__ = ["DFPDot"]


class DFPDot(StreamUnit):
    """Dot-product engine, one step a cycle, however short the chains are.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_dot.DFPDotConfig`

    Members
    -------
    i : ``In(stream)``
        ``a`` and ``b``, an operand a lane, their exponents, ``spill``, which ends the chain, and ``last``, which ends the
        reduction. A chain has the exponents of its last step.
    o : ``Out(stream)``
        ``sum`` of a reduction, its ``exponent`` if it is an integer, and what the overflow policy tells.

    Implementation notes
    --------------------
    A pipeline: accumulator of the chain; the adder behind it, if it is in carry-save form; conversion to float32, in two cycles,
    if it spills there; wide accumulator; the adder behind that, if it is in carry-save form. All of it advances unless a
    result waits at the output. To be extended to the wide accumulator a chain's sum must be resolved: in carry-save form its
    sign is not known.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        advance = Signal()
        m.d.comb += [advance.eq(~self.o.valid | self.o.ready), self.i.ready.eq(advance)]
        valid, chain = self._chains(m, advance)
        if config.spill == "float32":
            valid, chain = self._converted(m, advance, valid, chain)
        done, result = self._reductions(m, advance, valid, chain)
        m.d.comb += self.o.valid.eq(done)
        for name in self.o.p.shape().members:
            m.d.comb += self.o.p[name].eq(result[name])
        return m

    @staticmethod
    def _row(m, advance, name, valid, values):
        """A row of registers: ``valid`` and values by name."""
        valid_r = Signal(name=f"{name}_valid")
        held = {key: Signal(len(value), name=f"{name}_{key}", reset_less=True) for key, value in values.items()}
        with m.If(advance):
            m.d.sync += valid_r.eq(valid)
            m.d.sync += [register.eq(values[key]) for key, register in held.items()]
        return valid_r, held

    def _chains(self, m, advance):
        """Finished chains: ``sum``, ``exponent``, ``last``, and what the overflow policy tells."""
        config = self.config
        m.submodules.pe = pe = place_dfp_pe(config)
        accepted = Signal()
        m.d.comb += accepted.eq(self.i.valid & advance)
        first, ends = chain_control(m, config, accepted, self.i.p.spill | self.i.p.last)
        m.d.comb += [pe.a.eq(self.i.p.a), pe.b.eq(self.i.p.b), pe.clear.eq(first), pe.enable.eq(accepted)]
        exponent = Signal(config.sum_exponent_width)
        m.d.comb += exponent.eq(self.i.p.a_exponent + self.i.p.b_exponent + 2 * config.input_shift)
        valid, held = self._row(m, advance, "chain", accepted & ends, {"exponent": exponent, "last": self.i.p.last})
        if config.carry_save:
            m.submodules.resolve = resolve = place_carry_save_sum(
                config.register_width, chain_carries(config), config.adder, "dfp_resolve"
            )
            m.d.comb += [resolve.s.eq(pe.s), resolve.c.eq(pe.c), resolve.enable.eq(advance)]
            valid, held = self._row(m, advance, "resolved", valid, held)
            total = resolve.sum
        else:
            total = pe.acc
        return valid, {**held, **tell_chain(config, total, getattr(pe, "saturated", None))}

    def _converted(self, m, advance, valid, chain):
        """The chains with codes of float32 numbers as their sums, two cycles later."""
        config = self.config
        m.submodules.convert = convert = place_int_to_float(config.acc_width, config.sum_exponent_width, 2)
        m.d.comb += [
            convert.value.eq(chain.pop("sum")),
            convert.exponent.eq(chain.pop("exponent")),
            convert.advance.eq(advance),
        ]
        valid, chain = self._row(m, advance, "converting", valid, chain)
        return self._row(m, advance, "converted", valid, {**chain, "sum": convert.code})

    def _reductions(self, m, advance, valid, chain):
        """Finished reductions: whether there is one, and the fields of ``o``."""
        config = self.config
        first = Signal(name="first_chain", init=1)  # the next chain begins a reduction
        with m.If(advance & valid):
            m.d.sync += first.eq(chain["last"])

        def kept(register):
            return register & (~first).replicate(len(register))

        def accumulated(name, width, following):
            register = Signal(width, name=name, reset_less=True)
            with m.If(advance & valid):
                m.d.sync += register.eq(following(kept(register)))
            return register

        told = {}
        if config.overflow == "saturate":
            width = len(self.o.p.saturated)
            told["saturated"] = accumulated("saturated", width, lambda count: count + chain["saturated"])
        if config.overflow == "flag":
            told["overflow"] = accumulated("overflow", 1, lambda flag: flag | chain["overflow"])
        values = {"exponent": chain["exponent"]} if "exponent" in chain else {}
        done, held = self._row(m, advance, "wide", valid & chain["last"], values)

        if config.spill == "float32":
            m.submodules.add = add = place_float_adder(FORMATS["float32"])
            m.d.comb += add.y.eq(chain["sum"])
            total = Signal(len(add.sum), name="total", reset_less=True)
            m.d.comb += add.x.eq(kept(total))
            with m.If(advance & valid):
                m.d.sync += total.eq(add.sum)
        elif config.spill == "int48":
            total = accumulated("total", config.wide_width, lambda word: self._sum(m, word, chain["sum"]))
        else:
            done, held, total = self._carry_save(m, advance, valid, kept, chain["sum"], done, {**held, **told})
            told = {}
        return done, {"sum": total, **held, **told}

    def _sum(self, m, word, term):
        extended = Cat(term, term[-1].replicate(len(word) - len(term)))
        return prefix_add(m, [list(dots) for dots in zip(word, extended, strict=True)], structure=self.config.adder)

    def _carry_save(self, m, advance, valid, kept, term, done, held):
        config = self.config
        width, carries = config.wide_width, range(config.carry_spacing, config.wide_width, config.carry_spacing)
        s, c = Signal(width, name="wide_s", reset_less=True), Signal(len(carries), name="wide_c", reset_less=True)
        heap = BitHeap(m, width=width)
        heap.add_word(kept(s))
        for column, dot in zip(carries, kept(c), strict=True):
            heap.add(column, dot)
        add_constant(heap, add_extended(heap, term), width)
        rest = heap.reduce(lambda column: column in carries)
        with m.If(advance & valid):
            m.d.sync += s.eq(Cat(dots[0][1] if dots else Const(0) for dots in rest))
            m.d.sync += c.eq(Cat(rest[column][1][1] if len(rest[column]) == 2 else Const(0) for column in carries))
        m.submodules.resolve_wide = resolve = place_carry_save_sum(width, carries, config.adder, "dfp_resolve_wide")
        m.d.comb += [resolve.s.eq(s), resolve.c.eq(c), resolve.enable.eq(advance)]
        done, held = self._row(m, advance, "result", done, held)
        return done, held, resolve.sum
