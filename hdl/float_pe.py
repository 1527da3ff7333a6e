"""Processing element of floating-point dot products: multipliers of all lanes and an accumulator of one of three kinds."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .bit_heap import AND_PS, BitHeap
from .edges import delayed
from .fixed_sum import FixedRounder, Product, carry_columns, has_flags, place_significand_core, product_of_code
from .float_adder import place_float_adder, widened
from .float_multiply import place_float_multiplier_core
from .lmul import place_lmul_core
from .shared import Shared

__all__ = ["FloatPE", "place_float_pe"]


class FloatPE(wiring.Component):
    """Operand registers, a multiplier for each lane, accumulator.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_dot.FloatDotConfig`

    Members
    -------
    a, b : ``In``
        Codes of all lanes.
    clear : ``In(1)``
        The products of the operands *now in the registers* begin a new sum.
    a_o, b_o : ``Out``
        Operands, one cycle later.
    acc : ``Out``
        Sum of the products up to ``register_cycles + 1`` cycles ago: a code, or with ``accumulator="kulisch"`` what
        :class:`~carrysave.hdl.fixed_sum.FixedRounder` takes.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def state_width(config):
        """Bits of the accumulator."""
        return FixedRounder.state_width(config) if config.accumulator == "kulisch" else config.acc_width

    @classmethod
    def ports(cls, config):
        """Signature for a configuration."""
        width = config.a_width * config.lanes
        return wiring.Signature({
            "a": In(width),
            "b": In(width),
            "clear": In(1),
            "a_o": Out(width),
            "b_o": Out(width),
            "acc": Out(cls.state_width(config)),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        a, b = (Signal(len(self.a), name=name, reset_less=True) for name in ("a_r", "b_r"))
        m.d.sync += [a.eq(self.a), b.eq(self.b)]
        m.d.comb += [self.a_o.eq(a), self.b_o.eq(b)]
        clear = delayed(m, self.clear, config.register_cycles, "clear")
        acc = Signal(len(self.acc), name="acc_r", reset_less=True)
        kept = acc & (~clear).replicate(len(acc))
        lanes = [
            self._multiplier(m, index, *(word.word_select(index, config.a_width) for word in (a, b)))
            for index in range(config.lanes)
        ]
        m.d.sync += acc.eq(
            self._exact(m, kept, lanes) if config.accumulator == "kulisch" else self._rounded(m, kept, lanes)
        )
        m.d.comb += self.acc.eq(acc)
        return m

    def _multiplier(self, m, index, a, b):
        """Outputs of a lane's multiplier by name, from the last of its registers."""
        config = self._config.multiplier_config
        if self._config.multiplier == "lmul":
            core, outputs = place_lmul_core(config), ("product",)
        elif self._config.accumulator == "kulisch":
            core, outputs = place_significand_core(config), ("significand", "place", "sign", "nan", "infinite")
        else:
            core, outputs = place_float_multiplier_core(config), ("product",)
        m.submodules[f"multiplier_{index}"] = core
        m.d.comb += [core.a.eq(a), core.b.eq(b)]
        if hasattr(core, "enable"):
            m.d.comb += core.enable.eq(1)
        if config.stages > 1:
            m.d.comb += core.advance.eq(-1)  # nothing ever waits
        last = min(config.stages, 1)
        return {name: delayed(m, getattr(core, name), last, f"{name}{index}_r") for name in outputs}

    def _rounded(self, m, kept, lanes):
        """Accumulator and products through rounded additions, in order or in a tree."""
        config = self._config
        narrow, wide = config.multiplier_config.product_format, config.sum_float_format
        terms = [widened(m, lane["product"], narrow, wide, f"product{index}") for index, lane in enumerate(lanes)]

        def add(x, y, name):
            m.submodules[name] = adder = place_float_adder(wide)
            m.d.comb += [adder.x.eq(x), adder.y.eq(y)]
            return adder.sum

        if config.accumulator == "sequential":
            for index, term in enumerate(terms):
                kept = add(kept, term, f"add_{index}")
            return kept
        level = 0
        while len(terms) > 1:
            pairs = [terms[index : index + 2] for index in range(0, len(terms), 2)]
            sums = [
                add(*pair, f"add_{level}_{index}") if len(pair) == 2 else pair[0] for index, pair in enumerate(pairs)
            ]
            terms = [delayed(m, value, 1, f"level{level}_{index}") for index, value in enumerate(sums)]
            level += 1
        return add(kept, terms[0], "accumulate")

    def _exact(self, m, kept, lanes):
        """Accumulator in carry-save form, with all products compressed into it at once."""
        config = self._config
        if config.multiplier == "lmul":
            form = config.multiplier_config.product_format
            products = [product_of_code(m, lane["product"], form, f"product{i}") for i, lane in enumerate(lanes)]
        else:
            products = [Product(**lane, below=2) for lane in lanes]
        width, columns = config.fixed_width, carry_columns(config)
        digits = config.fixed_point[1].bit_length()
        heap = BitHeap(m, width=width)
        heap.add_word(kept[:width], AND_PS)
        for index, column in enumerate(columns):
            heap.add(column, kept[width + index], AND_PS)
        for index, product in enumerate(products):
            product.add_to(m, heap, digits=digits, name=f"product{index}")
        constant = len(products) * Product.constant(digits) % (1 << width)
        for column in range(digits, width):
            heap.add(column, constant >> column & 1)
        rest = heap.reduce(lambda column: column in columns)
        words = [[dot for _, dot in dots] for dots in rest]
        s = Cat(dots[0] if dots else 0 for dots in words)
        c = Cat(words[column][1] if len(words[column]) == 2 else 0 for column in columns)
        if not has_flags(config):
            return Cat(s, c)
        flags = kept[width + len(columns) :]
        for product in products:
            flags = flags | product.flags
        return Cat(s, c, flags)


def place_float_pe(config):
    """A :class:`FloatPE` as the shared module ``float_pe``."""
    return Shared(lambda: FloatPE(config), FloatPE.ports(config), name="float_pe")
