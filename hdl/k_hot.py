"""Run-time multiplier of K-hot weights, design ``k-hot``: K shifters and an adder tree, no multiplier.

Source: QFX (arXiv 2401.17544), section on multiplication-free quantization, where weights are constants; here they are data,
stored as positions and signs.
"""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .bit_heap import BitHeap
from .dfp_stream import Rows
from .layout import payload_layout
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["KHot", "KHotMultiplier", "place_k_hot_multiplier"]


class KHotMultiplier(wiring.Component):
    """Product of an operand and a K-hot weight, combinational.

    Parameters
    ----------
    config : :class:`~carrysave.models.k_hot_unit.KHotConfig`

    Members
    -------
    operands : ``In``
        Layout of ``config.i``.
    product : ``Out(signed(product_width))``

    Implementation notes
    --------------------
    A shifter gives the operand times a term, or zero; a negative term inverts it and adds one in the lowest column, which leaves
    zero as it is. Rows are not extended to the width of the product: the inverse of a row's sign is added in its column, and a
    constant makes up for it.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "operands": In(payload_layout(config.i)),
            "product": Out(Shape(config.product_width, True)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config, operands = self._config, self.operands
        # One bit more gives an unsigned operand the sign that a negative term asks for.
        row_width = config.a_width + (not config.a_signed) + config.largest_position
        heap = BitHeap(m, width=config.product_width)
        for term in range(config.terms):
            shifted = Signal(Shape(row_width, True), name=f"shifted{term}")
            row = Signal(row_width, name=f"row{term}")
            negative = operands.negative[term] if config.signs == "each" else operands.negative
            m.d.comb += [
                shifted.eq(Mux(operands.present[term], operands.a, 0) << operands.position[term]),
                row.eq(shifted ^ negative.replicate(row_width)),
            ]
            heap.add_word(row[:-1])
            heap.add(row_width - 1, ~row[-1])
            heap.add(0, negative)
        constant = -(config.terms << row_width - 1) % (1 << config.product_width)
        for column in range(config.product_width):
            heap.add(column, constant >> column & 1)
        columns = heap.reduce(lambda column: True)
        total = prefix_add(
            m,
            [[dot for _, dot in dots] for dots in columns],
            structure="hybrid",
            arrivals_ps=[max((ps for ps, _ in dots), default=0) for dots in columns],
        )
        m.d.comb += self.product.eq(total)
        return m


def place_k_hot_multiplier(config):
    """A :class:`KHotMultiplier` as the shared module ``k_hot_multiplier``."""
    return Shared(lambda: KHotMultiplier(config), KHotMultiplier.ports(config), name="k_hot_multiplier")


class KHot(StreamUnit):
    """K-hot multiplier between streams, one product a cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.k_hot_unit.KHotConfig`

    Members
    -------
    i : ``In(stream)``
        Operand ``a``; the weight's ``position``, ``negative`` and ``present``.
    o : ``Out(stream)``
        Their ``product``.
    """

    def elaborate(self, platform):
        m = Module()
        rows = Rows(m, self.config.latency, valid=self.i.valid, ready=self.o.ready)
        m.submodules.core = core = place_k_hot_multiplier(self.config)
        m.d.comb += [
            core.operands.eq(self.i.payload),
            self.i.ready.eq(rows.advance[0]),
            self.o.valid.eq(rows.valid[-1]),
            self.o.p.product.eq(rows.register(0, core.product, "product")),
        ]
        return m
