"""Units that multiply floating-point numbers: a core between two streams, with its registers and their handshake."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .stream_unit import StreamUnit

__all__ = ["Cuts", "FloatCore", "FloatUnit"]


class FloatCore(wiring.Component):
    """A multiplier's arithmetic, from two operands to their product.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_multiply.FloatProductConfig`

    Members
    -------
    a, b : ``In``
        Codes of the operands.
    enable : ``In(1)``
        The product is wanted; otherwise all its bits are zero. It belongs to ``product``, whatever registers there are.
    advance : ``In(stages - 1)``
        One bit for each row of registers, the first row's lowest: it takes new values. Absent with one stage or none: then
        the core is combinational.
    product : ``Out``
        Code of the product, straight from the gates that choose it.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        width = config.float_format.width
        advance = {"advance": In(config.stages - 1)} if config.stages > 1 else {}
        return wiring.Signature(
            {"a": In(width), "b": In(width), "enable": In(1), **advance, "product": Out(config.product_format.width)}
        )


class Cuts:
    """Rows of registers in a core; a row is ``in`` it if the core has that many stages.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    core : :class:`FloatCore`
    """

    def __init__(self, m, core):
        self._m = m
        self._advance = getattr(core, "advance", ())

    def __contains__(self, row):
        return row < len(self._advance)

    def cut(self, row, value, name):
        """The value from a register of that row, 0 or 1, if there is one; else, or if it is constant, the value itself."""
        if row not in self or isinstance(value, Const):
            return value
        register = Signal(len(value), name=f"{name}_r{row}", reset_less=True)
        with self._m.If(self._advance[row]):
            self._m.d.sync += register.eq(value)
        return register


class FloatUnit(StreamUnit):
    """Stream in, core, stream out.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_multiply.FloatProductConfig`

    Members
    -------
    i : ``In(stream)``
        Operands ``a`` and ``b``.
    o : ``Out(stream)``
        Their ``product``.

    Implementation notes
    --------------------
    The last register holds the product, those before it are in the core; each row takes new values as soon as the next row
    does, or is empty. With ``stages=0`` there is none, and the streams are one.
    """

    def elaborate(self, platform):
        m = Module()
        m.submodules.core = core = self._place(self.config)
        m.d.comb += [core.a.eq(self.i.p.a), core.b.eq(self.i.p.b)]
        stages = self.config.stages
        if not stages:
            m.d.comb += [
                core.enable.eq(1),
                self.o.p.product.eq(core.product),
                self.o.valid.eq(self.i.valid),
                self.i.ready.eq(self.o.ready),
            ]
            return m

        valid = Signal(stages)
        ready = [Signal(name=f"ready{row}") for row in range(stages)]
        for row, following in enumerate((*ready[1:], self.o.ready)):
            m.d.comb += ready[row].eq(~valid[row] | following)
        product = Signal(len(core.product), reset_less=True)
        held = Signal()
        m.d.comb += [
            self.i.ready.eq(ready[0]),
            self.o.valid.eq(valid[-1]),
            self.o.p.product.eq(product),
            core.enable.eq(ready[-1]),
            held.eq(~ready[-1]),
        ]
        if stages > 1:
            m.d.comb += core.advance.eq(Cat(ready))
        # A row that takes nothing new is full. The product is held where it is chosen, and takes no multiplexer for that.
        m.d.sync += [
            valid.eq(Cat(self.i.valid, valid[:-1]) | ~Cat(ready)),
            product.eq(core.product | (product & held.replicate(len(product)))),
        ]
        return m
