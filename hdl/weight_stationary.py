"""Weight-stationary systolic array: its PEs, the grid, and the design with streams around it."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .adder import prefix_add
from .bit_heap import BitHeap
from .partial_products import booth_digits, minimal_digits
from .pe import add_products, carry_columns, encode_operand, operand_width, step_constant
from .shared import Shared
from .stationary import StationaryArray, grid_ports, sums_config

__all__ = ["ColumnAdder", "WeightStationaryArray", "WeightStationaryGrid", "WeightStationaryPE", "place_column_adder"]


class WeightStationaryPE(wiring.Component):
    """PE with a weight of its own: adds its product to the partial sum from above and passes that on, a cycle later.

    With MAC the partial sum is resolved, with OPT1 it is a sum and a carry word. ``product_constant`` (see
    :mod:`carrysave.hdl.partial_products`) comes in with every product; the grid takes it out.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.SystolicWSConfig`
        That of the sums (:func:`~carrysave.hdl.stationary.sums_config`).

    Members
    -------
    a, a_o
        Operand as :func:`~carrysave.hdl.pe.encode_operand` gives it; the same one cycle later.
    swap, swap_o
        The shadow weight becomes the current one for the operand that comes in now; the same one cycle later.
    b : ``In(b_width)``
        Shadow weight of the PE above.
    b_o : ``Out(b_width)``
        Shadow weight.
    load : ``In(1)``
        ``b`` becomes the shadow weight.
    s, c : ``In``
        Partial sum from above: sum word, and with OPT1 the carry word's bits in ``carry_columns(config)``.
    s_o, c_o : ``Out``
        Partial sum.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        members = {
            "a": In(operand_width(config)),
            "swap": In(1),
            "b": In(config.b_width),
            "load": In(1),
            "s": In(config.acc_width),
            "a_o": Out(operand_width(config)),
            "swap_o": Out(1),
            "b_o": Out(config.b_width),
            "s_o": Out(config.acc_width),
        }
        if config.pe == "opt1":
            members["c"] = In(len(carry_columns(config)))
            members["c_o"] = Out(len(carry_columns(config)))
        return wiring.Signature(members)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        a = Signal(len(self.a), name="a_r", reset_less=True)
        swap = Signal(name="swap_r", reset_less=True)
        shadow, weight = (Signal(config.b_width, name=name, reset_less=True) for name in ("shadow", "weight"))
        m.d.sync += [a.eq(self.a), swap.eq(self.swap)]
        with m.If(self.load):
            m.d.sync += shadow.eq(self.b)
        with m.If(self.swap):
            m.d.sync += weight.eq(shadow)
        m.d.comb += [self.a_o.eq(a), self.swap_o.eq(swap), self.b_o.eq(shadow)]

        heap = BitHeap(m, width=config.acc_width)
        s = Signal(len(self.s), name="s_r", reset_less=True)
        m.d.comb += self.s_o.eq(s)
        if config.pe == "mac":
            add_products(m, heap, config, a, weight, minimal_digits)
            heap.add_word(self.s)
            # The low columns arrive so early that a carry ripples through them before the others are there.
            rest = heap.reduce(lambda column: 2 * column >= config.a_width + config.b_width)
            arrivals_ps = [max((arrival_ps for arrival_ps, _ in dots), default=0) for dots in rest]
            columns = [[dot for _, dot in dots] for dots in rest]
            m.d.sync += s.eq(prefix_add(m, columns, structure=config.adder, arrivals_ps=arrivals_ps))
            return m
        positions = carry_columns(config)
        c = Signal(len(self.c), name="c_r", reset_less=True)
        m.d.comb += self.c_o.eq(c)
        add_products(m, heap, config, a, weight, booth_digits)
        heap.add_word(self.s)
        for index, column in enumerate(positions):
            heap.add(column, self.c[index])
        rest = heap.reduce(lambda column: column in positions)
        for column, dots in enumerate(rest):
            m.d.sync += s[column].eq(dots[0][1] if dots else 0)
        for index, column in enumerate(positions):
            m.d.sync += c[index].eq(rest[column][1][1] if len(rest[column]) == 2 else 0)
        return m


class ColumnAdder(wiring.Component):
    """Resolves the sum and carry word at the end of a column into a register.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.SystolicWSConfig`
        That of the sums.

    Members
    -------
    s, c : ``In``
        As those of the last PE.
    sum : ``Out(acc_width)``
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        width = config.acc_width
        return wiring.Signature({"s": In(width), "c": In(len(carry_columns(config))), "sum": Out(width)})

    def elaborate(self, platform):
        m = Module()
        columns = [[bit] for bit in self.s]
        for index, column in enumerate(carry_columns(self._config)):
            columns[column].append(self.c[index])
        total = Signal(len(self.sum), name="sum_r", reset_less=True)
        m.d.sync += total.eq(prefix_add(m, columns, structure=self._config.adder))
        m.d.comb += self.sum.eq(total)
        return m


def place_column_adder(config):
    """A :class:`ColumnAdder` as the shared module ``column_adder``."""
    return Shared(lambda: ColumnAdder(config), ColumnAdder.ports(config), name="column_adder")


class WeightStationaryGrid(wiring.Component):
    """Rows (one a lane) and columns of PEs, with the skew of the operands; nothing in it ever waits.

    PE (r, c) works r + c cycles behind PE (0, 0). What the partial products' constants add up to goes in with the sum word
    at the top, negated.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.SystolicWSConfig`

    Members
    -------
    See :func:`~carrysave.hdl.stationary.grid_ports`. Between a swap and a load lie ``lanes - 1`` cycles at least.
    """

    def __init__(self, config):
        self.config = config
        super().__init__(grid_ports(config))

    def elaborate(self, platform):
        m = Module()
        config, inner = self.config, sums_config(self.config)
        opt1 = config.pe == "opt1"

        def delayed(value, cycles, name):
            for cycle in range(cycles):
                register = Signal(len(value), name=f"{name}_{cycle}", reset_less=True)
                m.d.sync += register.eq(value)
                value = register
            return value

        across = []
        swap = self.swap
        for r in range(config.lanes):
            a = encode_operand(m, inner, delayed(self.a[r], r, f"a{r}"), name=f"row{r}_digit")
            swap = delayed(swap, min(r, 1), f"swap{r}")
            across.append((a, swap))
        load = self.load
        for c in range(config.cols):
            load = delayed(load, min(c, 1), f"load{c}")
            b, s, carries = delayed(self.b[c], c, f"b{c}"), -config.lanes * step_constant(inner), 0
            for r in range(config.lanes):
                m.submodules[f"pe_{r}_{c}"] = pe = Shared(
                    lambda: WeightStationaryPE(inner), WeightStationaryPE.ports(inner), name="weight_stationary_pe"
                )
                m.d.comb += [pe.a.eq(across[r][0]), pe.swap.eq(across[r][1]), pe.load.eq(load), pe.b.eq(b), pe.s.eq(s)]
                across[r], b, s = (pe.a_o, pe.swap_o), pe.b_o, pe.s_o
                if opt1:
                    m.d.comb += pe.c.eq(carries)
                    carries = pe.c_o
            if opt1:
                m.submodules[f"column_{c}"] = adder = place_column_adder(inner)
                m.d.comb += [adder.s.eq(s), adder.c.eq(carries)]
                s = adder.sum
            m.d.comb += self.sums[c].eq(s)
        return m


class WeightStationaryArray(StationaryArray):
    """Weight-stationary systolic array with streams: any K, loads overlapped with the rows before them.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.SystolicWSConfig`

    Members
    -------
    i, o
        As those of :class:`~carrysave.hdl.stationary.StationaryArray`.
    """

    def place_grid(self):
        """The grid as the shared module ``weight_stationary_grid``."""
        return Shared(lambda: WeightStationaryGrid(self.config), grid_ports(self.config), name="weight_stationary_grid")
