"""Steps of processing elements and adders, to be proven: what each of them adds up."""

import re

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..hdl.accumulator_rows import RowAdder, accumulator_parts
from ..hdl.final_adder import FinalAdder
from ..hdl.pe import MACPE, OPT1PE, OPT2PE, carry_columns, encode_operand, operand_width, step_constant
from ..hdl.slice_pe import SlicePE, slice_carry_columns, slice_constant
from ..hdl.tree import TreeColumn
from ..hdl.weight_stationary import ColumnAdder, WeightStationaryPE
from .bit_sums import NotProven, WordAdder, equal_by_abc
from .logic import Logic, logic_of
from .polynomials import Group
from .steps import Step, bit_weights, check_lags, feedback, lane_names, split, value_group

__all__ = [
    "PES",
    "ProductPE",
    "column_adder_step",
    "final_step",
    "product_step",
    "row_adder_step",
    "slice_step",
    "stationary_pe_step",
    "tree_column_step",
]

PES = {"mac": MACPE, "opt1": OPT1PE, "opt2": OPT2PE}


STATE = {"mac": ("acc",), "opt1": ("s", "c"), "opt2": ("s", "c")}


# The select lines neg, one, two of digits 0, 1, 2, -1, -2.
_BOOTH_LINES = ((0b11000, 0b01010, 0b10100), np.array([0, 1, 2, -1, -2]))


class _Edge(wiring.Component):
    """What stands before the PEs' operand registers with ``encode="edge"``."""

    def __init__(self, config):
        self._config = config
        super().__init__({"value": In(config.a_width), "word": Out(operand_width(config))})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.word.eq(encode_operand(m, self._config, self.value))
        return m


def edge_logic(config):
    """Logic of the encoder of one operand at the edge, if there is one."""
    if config.encode != "edge":
        return None
    return logic_of(_Edge(config.replace(lanes=1) if config.pe_lanes > 1 else config), "edge")


def as_words(graph, nodes, weights, width):
    """Bits at their weights as few words of a graph."""
    words = []
    for node, weight in zip(nodes, weights, strict=True):
        column = weight.bit_length() - 1
        word = next((word for word in words if not word[column]), None)
        if word is None:
            words.append(word := [0] * width)
        word[column] = node
    return words


class ProductPE:
    """A PE of :mod:`carrysave.hdl.pe`: operands in registers, an accumulator in one word or two.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.ProductConfig`
    kind : ``"mac"``, ``"opt1"`` or ``"opt2"``
    """

    def __init__(self, config, kind):
        self._config = config
        self._kind = kind
        self._logic = logic = logic_of(PES[kind](config), f"{kind}_pe", state=STATE[kind])
        self._encode = edge_logic(config)
        self._lanes = config.pe_lanes
        self._a, self._b = (split(logic.ports[name], self._lanes) for name in "ab")
        self._controls = tuple(node for name in ("clear", "shift") for node in logic.ports.get(name, ()))
        self._state = [node for name in STATE[kind] for node in logic.ports[name]]
        columns = () if kind == "mac" else carry_columns(config)
        self._weights = [*bit_weights(config.acc_width), *(1 << column for column in columns)]
        later = int(config.product_rows > 0)
        lags = {"a": later + (not config.broadcast), "b": later + 1, "clear": later, "shift": later}
        check_lags(logic, STATE[kind], lags)

    def step(self):
        """Its :class:`Step`."""
        config = self._config
        names = lane_names("digit" if self._kind == "opt2" else "a", self._lanes)
        if self._kind == "opt2":
            groups = [Group(name, tuple(lines), *_BOOTH_LINES) for name, lines in zip(names, self._a, strict=True)]
        else:
            groups = [
                value_group(name, nodes, config.a_width, config.a_signed, self._encode)
                for name, nodes in zip(names, self._a, strict=True)
            ]

        def specify(specification):
            for group, b in zip(groups, self._b, strict=True):
                specification.add_product(group, b, bit_weights(config.b_width, config.b_signed))
            specification.add_word(self._state, self._weights, feedback(self._controls))
            specification.add_constant(step_constant(config))

        following = self._logic.next_of(self._state)
        return Step(
            logic=self._logic,
            terms=tuple(zip(following, self._weights, strict=True)),
            width=config.acc_width,
            specify=specify,
            groups=tuple(groups),
            controls=self._controls,
            word=tuple(following) if self._kind == "mac" else (),
        )

    def by_abc(self):
        """Prove the whole step against shift-and-add multipliers and ripple-carry adders, by ABC and nothing else."""
        config, width = self._config, self._config.acc_width
        circuit, reference = Logic(), Logic()
        a_bits, b_bits = config.a_width * self._lanes, config.b_width * self._lanes
        inputs = [circuit.input(f"i{index}") for index in range(a_bits + b_bits + 1 + len(self._state))]
        for index in range(len(inputs)):  # the same nodes in both graphs, which have nothing else yet
            reference.input(f"i{index}")
        a, b = (split(inputs[:a_bits], self._lanes), split(inputs[a_bits : a_bits + b_bits], self._lanes))
        clear, state = inputs[a_bits + b_bits], inputs[a_bits + b_bits + 1 :]

        leaves = dict(zip([*self._controls, *self._state], [clear, *state], strict=True))
        for lane in range(self._lanes):
            value = a[lane]
            if self._encode:
                given = dict(zip(self._encode.ports["value"], value, strict=True))
                value = circuit.embed(self._encode, self._encode.ports["word"], given)
            leaves |= dict(zip([*self._a[lane], *self._b[lane]], [*value, *b[lane]], strict=True))
        following = circuit.embed(self._logic, self._logic.next_of(self._state), leaves)
        result = circuit.add(*as_words(circuit, following, self._weights, width))

        kept = [reference.gate("and", bit, reference.gate("not", clear)) for bit in state]
        parts = as_words(reference, kept, self._weights, width)
        parts.append([step_constant(config) >> index & 1 for index in range(width)])
        for x, y in zip(a, b, strict=True):
            x, y = (
                [bits[min(index, len(bits) - 1)] if signed or index < len(bits) else 0 for index in range(width)]
                for bits, signed in ((x, config.a_signed), (y, config.b_signed))
            )
            parts += [
                [0] * shift + [reference.gate("and", x[shift], bit) for bit in y[: width - shift]]
                for shift in range(width)
            ]
        expected = reference.add(*parts)
        if not equal_by_abc(circuit.blif(result, inputs), reference.blif(expected, inputs)):
            raise NotProven("ABC finds a counterexample")
        return f"ABC, {len(inputs)} inputs"


def product_step(config, kind):
    """The :class:`Step` of a PE of :mod:`carrysave.hdl.pe`, of the kind ``"mac"``, ``"opt1"`` or ``"opt2"``."""
    return ProductPE(config, kind).step()


def slice_step(config):
    """The :class:`Step` of a :class:`~carrysave.hdl.slice_pe.SlicePE`."""
    logic, lanes = (logic_of(SlicePE(config), "slice_pe", state=("s", "c")), config.pe_lanes)
    check_lags(logic, ("s", "c"), {"select": 1, "b": 1})
    state = [*logic.ports["s"], *logic.ports["c"]]
    weights = [*bit_weights(config.acc_width), *(1 << column for column in slice_carry_columns(config))]
    select, b = (split(logic.ports[name], lanes) for name in ("select", "b"))
    controls = tuple(node for name in ("clear", "shift") for node in logic.ports.get(name, ()))
    # The line of magnitude 2 means nothing with radix 2, where it is constantly 0.
    digits = np.array([1, 2, -1, -2]) if config.radix == 4 else np.array([1, -1])
    patterns = (0b1010, 0b1100) if config.radix == 4 else (0b00, 0b10)
    names = lane_names("digit", lanes)
    groups = [Group(name, tuple(lines), patterns, digits) for name, lines in zip(names, select, strict=True)]

    def specify(specification):
        for group, word in zip(groups, b, strict=True):
            specification.add_product(group, word, bit_weights(config.b_width, config.b_signed))
        specification.add_word(state, weights, feedback(controls, config.radix))
        specification.add_constant(slice_constant(config))

    return Step(
        logic=logic,
        terms=tuple(zip(logic.next_of(state), weights, strict=True)),
        width=config.acc_width,
        specify=specify,
        groups=tuple(groups),
        controls=controls,
    )


def final_step(config, carries):
    """The :class:`Step` of the final adder: sum word, carry word and correction, its registers left out."""
    final = FinalAdder(config, carries)
    logic = logic_of(final, "final_adder", state=())
    result, width = logic.ports["result"], config.acc_width
    check_lags(logic, ("result",), dict.fromkeys(("s", "c", "correction"), final.latency))

    def specify(specification):
        specification.add_word(logic.ports["s"], bit_weights(width))
        if "correction" in logic.ports:
            specification.add_word(logic.ports["correction"], bit_weights(width))
        if carries:
            specification.add_word(logic.ports["c"], [1 << column for column in carries])

    return Step(
        logic=logic,
        terms=tuple(zip(result, bit_weights(width), strict=True)),
        width=width,
        specify=specify,
        word=tuple(result) if final.latency == 1 else (),
        # An adder in parts is told by what its first registers hold.
        adder=WordAdder(tuple(result), _registered_dots(logic, width)) if final.latency > 1 else None,
    )


def _registered_dots(logic, width):
    """Nodes that a final adder's registers ``row0_<column>_0`` and ``row1_<column>_0`` hold, by column."""
    columns = [[] for _ in range(width)]
    for node, names in logic.names.items():
        for column in {int(found[1]) for name in names if (found := re.fullmatch(r"row[01]_(\d+)_0", name))}:
            columns[column].append(node)
    return tuple(map(tuple, columns))


def _sum_step(logic, config, width, output, *, words, b, lags, encode=None, constant=0, carried=False):
    """The :class:`Step` of logic without feedback: an output is words, each a list of (node, weight), and products.

    ``output`` names the sum word's port, and with ``carried`` the carry word's is ``c_o``; operand a is the port ``a``, and
    ``b`` lists the nodes of each lane's other operand, empty without products.
    """
    names = ("s_o", "c_o") if carried else (output,)
    check_lags(logic, names, lags)
    bits = [node for name in names for node in logic.ports[name]]
    weights = [*bit_weights(width), *(1 << column for column in (carry_columns(config) if carried else ()))]
    groups = (
        [
            value_group(name, nodes, config.a_width, config.a_signed, encode)
            for name, nodes in zip(lane_names("a", len(b)), split(logic.ports["a"], len(b)), strict=True)
        ]
        if b
        else []
    )

    def specify(specification):
        for group, word in zip(groups, b, strict=True):
            specification.add_product(group, word, bit_weights(config.b_width, config.b_signed))
        for word in words:
            for node, weight, factor in word:
                specification.add_word([node], [weight], factor)
        specification.add_constant(constant)

    return Step(
        logic=logic,
        terms=tuple(zip(bits, weights, strict=True)),
        width=width,
        specify=specify,
        groups=tuple(groups),
        word=() if carried else tuple(bits),
    )


def _word(nodes, weights, factor=None):
    return [(node, weight, factor) for node, weight in zip(nodes, weights, strict=True)]


def stationary_pe_step(inner):
    """The :class:`Step` of a :class:`~carrysave.hdl.weight_stationary.WeightStationaryPE`."""
    logic, width = logic_of(WeightStationaryPE(inner), "pe", state=()), inner.acc_width
    words = [_word(logic.ports["s"], bit_weights(width))]
    if inner.pe == "opt1":
        words.append(_word(logic.ports["c"], [1 << column for column in carry_columns(inner)]))
    return _sum_step(
        logic,
        inner,
        width,
        "s_o",
        words=words,
        b=[logic.labelled("weight")],
        lags={"a": 2, "s": 1, "c": 1, "weight": 1},
        encode=edge_logic(inner),
        constant=step_constant(inner),
        carried=inner.pe == "opt1",
    )


def column_adder_step(inner):
    """The :class:`Step` of a :class:`~carrysave.hdl.weight_stationary.ColumnAdder`."""
    logic, width = (logic_of(ColumnAdder(inner), "column_adder", state=()), inner.acc_width)
    carries = [1 << column for column in carry_columns(inner)]
    words = [_word(logic.ports["s"], bit_weights(width)), _word(logic.ports["c"], carries)]
    return _sum_step(logic, inner, width, "sum", words=words, b=(), lags={"s": 1, "c": 1})


def row_adder_step(config):
    """The :class:`Step` of a :class:`~carrysave.hdl.accumulator_rows.RowAdder`, each part a cycle later than the one below."""
    logic, width = logic_of(RowAdder(config), "row_adder", state=()), config.acc_width
    part = [
        index for index, columns in enumerate(accumulator_parts(config)) for _ in range(columns.start, columns.stop)
    ]
    lags = {
        "lanes": lambda bit, _index: part[bit],
        "old": lambda bit, index: part[bit] - part[index],
        "keep": lambda bit, index: part[bit] - index,
    }
    check_lags(logic, ("sum",), lags)
    result, old, keep, lanes = (logic.ports[name] for name in ("sum", "old", "keep", "lanes"))

    def specify(specification):
        specification.add_word(lanes, bit_weights(config.sum_width, config.result_signed))
        for column, bit in enumerate(old):
            specification.add_word([bit], [1 << column], {frozenset([keep[part[column]]]): 1})

    columns = []
    for column, bit in enumerate(old):
        extended = lanes[column : column + 1] or (lanes[-1:] if config.result_signed else [])
        columns.append((logic.gate("and", bit, keep[part[column]]), *extended))
    return Step(
        logic=logic,
        terms=tuple(zip(result, bit_weights(width), strict=True)),
        width=width,
        specify=specify,
        adder=WordAdder(tuple(result), tuple(columns)),
    )


def tree_column_step(inner):
    """The :class:`Step` of an OPT1 :class:`~carrysave.hdl.tree.TreeColumn`."""
    logic = logic_of(TreeColumn(inner), "tree_column", state=())
    depth = inner.depth
    return _sum_step(
        logic,
        inner,
        inner.acc_width,
        "sum",
        words=(),
        b=split(logic.labelled("weights"), inner.lanes),
        lags={"a": depth + 1, "weights": depth},
        encode=edge_logic(inner),
    )
