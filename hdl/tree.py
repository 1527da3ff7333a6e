"""Multiplier-adder tree: columns that sum the products of all lanes at once, the grid, and the design with streams."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.integer import width_of_range
from .adder import prefix_add
from .bit_heap import AND_PS, BitHeap
from .partial_products import booth_digits, minimal_digits, product_constant, row_top
from .pe import add_products, encode_operand, encode_weight, operand_width, step_constant
from .shared import Shared
from .stationary import StationaryArray, grid_ports, sums_config

__all__ = ["DotTile", "MultiplierTree", "TreeColumn", "TreeGrid", "digit_sum_width", "tree_rows"]


def tree_rows(height, registers):
    """Rows of dots that registers inside a compressor hold: they cut its levels of full adders into equal parts.

    Parameters
    ----------
    height : :class:`int`
        Rows of dots that go in.
    registers : :class:`int`
    """
    limits = [2]  # what that many levels can bring down to two rows
    while limits[-1] < height:
        limits.append(limits[-1] * 3 // 2)
    levels = len(limits) - 1
    return [limits[levels * left // (registers + 1)] for left in range(registers, 0, -1)]


def _register(m, value, name):
    register = Signal(len(value), name=name, reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _constant(heap, value):
    for column in range(len(heap.heights)):
        heap.add(column, Const(value >> column & 1, 1))


def _dots(rest):
    """Dots by column, and when the later of each arrives."""
    arrivals_ps = [max((arrival_ps for arrival_ps, _ in dots), default=0) for dots in rest]
    return [[dot for _, dot in dots] for dots in rest], arrivals_ps


class TreeColumn(wiring.Component):
    """One column: operand registers, weights of all lanes, and the sum of their products.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.TreeConfig`
        That of the sums (:func:`~carrysave.hdl.stationary.sums_config`).

    Members
    -------
    a, a_o
        Operands of all lanes as :func:`~carrysave.hdl.pe.encode_operand` or, with OPT2,
        :func:`~carrysave.hdl.pe.encode_weight` give them; the same one cycle later.
    swap, swap_o
        The shadow weights become the current ones for the operands that come in now; the same one cycle later.
    leading, leading_o
        OPT2 only: ``a`` is the most significant digit; the same one cycle later.
    b : ``In(b_width)``
        Weight to be shifted in as that of lane 0.
    load : ``In(1)``
        Shift it in, two cycles later.
    sum : ``Out(acc_width)``
        Sum of the products, resolved, ``depth`` cycles after the operands are registered.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        width = operand_width(config)
        members = {
            "a": In(width),
            "swap": In(1),
            "b": In(config.b_width),
            "load": In(1),
            "a_o": Out(width),
            "swap_o": Out(1),
            "sum": Out(config.acc_width),
        }
        if config.pe == "opt2":
            members.update(leading=In(1), leading_o=Out(1))
        return wiring.Signature(members)

    def elaborate(self, platform):
        m = Module()
        config = self._config
        a, swap = _register(m, self.a, "a_r"), _register(m, self.swap, "swap_r")
        b, load = _register(m, self.b, "b_r"), _register(m, self.load, "load_r")
        m.d.comb += [self.a_o.eq(a), self.swap_o.eq(swap)]
        shadow, weights = (
            Signal(config.lanes * config.b_width, name=name, reset_less=True) for name in ("shadow", "weights")
        )
        with m.If(load):
            m.d.sync += shadow.eq(Cat(b, shadow))
        with m.If(self.swap):
            m.d.sync += weights.eq(shadow)
        if config.pe == "mac":
            total = _adder_tree(m, config, a, weights)
        elif config.pe == "opt1":
            total = _compressor(m, config, a, weights)
        else:
            leading = _register(m, self.leading, "leading_r")
            m.d.comb += self.leading_o.eq(leading)
            total = _horner(m, config, a, weights, leading)
        m.d.comb += self.sum.eq(total)
        return m


def _adder_tree(m, config, a, weights):
    """Every product and every sum of two resolved, and registered."""
    low, high = config.product_range
    width = min(width_of_range(low, high), config.acc_width)
    constant = product_constant(
        config.partial_products, config.a_width, config.a_signed, config.b_width, config.b_signed
    )
    lane = config.replace(lanes=1)
    terms, step = [], len(a) // config.lanes
    for index in range(config.lanes):
        heap = BitHeap(m, width=width, name=f"lane{index}")
        operands = a[step * index : step * (index + 1)], weights.word_select(index, config.b_width)
        add_products(m, heap, lane, *operands, minimal_digits)
        _constant(heap, -constant % (1 << width))
        columns, arrivals_ps = _dots(heap.reduce(lambda column: 2 * column >= config.a_width + config.b_width))
        product = prefix_add(m, columns, structure=config.adder, arrivals_ps=arrivals_ps)
        terms.append((1, _register(m, product, f"product{index}")))
    level = 0
    while len(terms) > 1:
        level += 1
        sums = []
        for index in range(0, len(terms), 2):
            pair = terms[index : index + 2]
            count = sum(number for number, _ in pair)
            width = min(width_of_range(count * low, count * high), config.acc_width)
            value = pair[0][1]
            if len(pair) == 2:
                columns = [
                    [_extended(word, column, config.result_signed) for _, word in pair] for column in range(width)
                ]
                columns = [[dot for dot in dots if dot is not None] for dots in columns]
                value = prefix_add(m, columns, structure=config.adder)
            sums.append((count, _register(m, value, f"level{level}_{index // 2}")))
        terms = sums
    return terms[0][1]


def _extended(word, column, is_signed):
    if column < len(word):
        return word[column]
    return word[-1] if is_signed else None


def _compressor(m, config, a, weights):
    """All partial products in one heap; sum and carry word are registered, then resolved into another register."""
    heap = BitHeap(m, width=config.acc_width)
    add_products(m, heap, config, a, weights, booth_digits)
    for rows in tree_rows(max(heap.heights), config.tree_registers):
        heap.register(rows)
    # Behind the registers the constants cost the fewest flip-flops.
    _constant(heap, -step_constant(config) % (1 << config.acc_width))
    heap.register(2)
    columns, arrivals_ps = _dots(heap.reduce(lambda column: True))
    return _register(m, prefix_add(m, columns, structure=config.adder, arrivals_ps=arrivals_ps), "sum_r")


def digit_sum_width(config):
    """Bits of the sum of all lanes' rows for one digit, constants included, none of them negative.

    A lane's row is -2..2 times b plus the constant of its inverted sign dot: ``ceil(log2(lanes)) + b_width + 2`` bits for
    powers of two. With 16 lanes of 8 bits, all digits -2 and all b -128 sum to 4096 and the constants to as much: 14 bits.
    """
    largest = 1 << config.b_width - 1 if config.b_signed else (1 << config.b_width) - 1
    most = 2 * largest + (1 << row_top(config.b_width, config.b_signed))
    return (config.lanes * most).bit_length()


def _horner(m, config, a, weights, leading):
    """One digit of all lanes a cycle: a narrow heap of one bit weight, and four times what was before added outside."""
    narrow = BitHeap(m, width=digit_sum_width(config), name="narrow")
    add_products(m, narrow, config, a, weights, booth_digits)
    rows = [*tree_rows(max(narrow.heights), config.tree_registers - 1), 2] if config.tree_registers else []
    for index, count in enumerate(rows):
        narrow.register(count)
        leading = _register(m, leading, f"leading_{index}")
    heap = BitHeap(m, width=config.acc_width, name="horner")
    for column, dots in enumerate(narrow.reduce(lambda column: True)):
        for arrival_ps, dot in dots:
            heap.add(column, dot, arrival_ps)
    # The rows' constants, summed over the digits, are taken out before the first digit, and what no multiple of its
    # weight can take out, at the end.
    digits = config.row_cycles
    constant = -step_constant(config) * sum(4**digit for digit in range(digits)) % (1 << config.acc_width)
    start, rest = divmod(constant, 4 ** (digits - 1))
    s = Signal(config.acc_width, name="s_r", reset_less=True)
    c = Signal(config.acc_width, name="c_r", reset_less=True)
    for column in range(config.acc_width):
        begins = start >> column & 1
        if column < 2:
            heap.add(column, leading if begins else Const(0), AND_PS)
        else:
            fed = s[column - 2]
            heap.add(column, fed | leading if begins else fed & ~leading, AND_PS)
            heap.add(column, c[column - 2] & ~leading, AND_PS)
    columns, _ = _dots(heap.reduce(lambda column: True))
    for column, dots in enumerate(columns):
        m.d.sync += [word[column].eq(dots[index] if index < len(dots) else 0) for index, word in enumerate((s, c))]
    final = BitHeap(m, width=config.acc_width, name="final")
    final.add_word(s)
    for column, dots in enumerate(columns):
        if len(dots) == 2:
            final.add(column, c[column])
    _constant(final, rest)
    columns, arrivals_ps = _dots(final.reduce(lambda column: True))
    return _register(m, prefix_add(m, columns, structure=config.adder, arrivals_ps=arrivals_ps), "sum_r")


class DotTile(wiring.Component):
    """A column on its own, for benchmarks: one chain of weights that moves on every cycle, and no second set of them.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.TreeConfig`
        That of the sums (:func:`~carrysave.hdl.stationary.sums_config`), with OPT1 columns.

    Members
    -------
    a, a_o
        Operands of all lanes as :func:`~carrysave.hdl.pe.encode_operand` gives them; the same one cycle later.
    b : ``In(b_width)``
        Weight that becomes that of lane 0, while each lane takes that of the lane before.
    sum : ``Out(acc_width)``
        Sum of the products, ``latency`` cycles after operands and weights went in.
    """

    def __init__(self, config):
        self._config = config
        self.latency = config.tree_registers + 3
        width = operand_width(config)
        super().__init__({"a": In(width), "b": In(config.b_width), "a_o": Out(width), "sum": Out(config.acc_width)})

    def elaborate(self, platform):
        m = Module()
        config = self._config
        a = _register(m, self.a, "a_r")
        weights = Signal(config.lanes * config.b_width, reset_less=True)
        m.d.sync += weights.eq(Cat(self.b, weights))
        m.d.comb += [self.a_o.eq(a), self.sum.eq(_compressor(m, config, a, weights))]
        return m


class TreeGrid(wiring.Component):
    """Columns side by side, each a cycle behind the one before; nothing in it ever waits.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.TreeConfig`

    Members
    -------
    See :func:`~carrysave.hdl.stationary.grid_ports`.
    """

    def __init__(self, config):
        self.config = config
        super().__init__(grid_ports(config))

    def elaborate(self, platform):
        m = Module()
        config, inner = self.config, sums_config(self.config)
        swap, leading = self.swap, self.leading
        if config.pe == "opt2":
            a = encode_weight(m, inner, self.a.as_value(), self.weight)
        else:
            a = encode_operand(m, inner, self.a.as_value())
        for c in range(config.cols):
            m.submodules[f"column_{c}"] = column = Shared(
                lambda: TreeColumn(inner), TreeColumn.ports(inner), name="tree_column"
            )
            m.d.comb += [column.a.eq(a), column.swap.eq(swap), column.b.eq(self.b[c]), column.load.eq(self.load)]
            a, swap = column.a_o, column.swap_o
            if config.pe == "opt2":
                m.d.comb += column.leading.eq(leading)
                leading = column.leading_o
            m.d.comb += self.sums[c].eq(column.sum)
        return m


class MultiplierTree(StationaryArray):
    """Multiplier-adder tree with streams: any K, loads overlapped with the rows before them.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.TreeConfig`

    Members
    -------
    i, o
        As those of :class:`~carrysave.hdl.stationary.StationaryArray`.
    """

    def place_grid(self):
        """The grid as the shared module ``tree_grid``."""
        return Shared(lambda: TreeGrid(self.config), grid_ports(self.config), name="tree_grid")
