"""Product with a constant matrix, design ``constant-matrix``: shifts, shared sums, and one carry-save sum an output.

Source: multiple constant multiplication with sharing of the commonest pattern of two terms; see
:mod:`carrysave.models.constant_matrix`.
"""

from amaranth.hdl import Cat, Const, Module, Shape, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..models.constant_matrix_unit import ROWS_PER_LEVEL
from ..models.integer import width_of_range
from .adder import prefix_add
from .bit_heap import BitHeap
from .dfp_stream import Rows
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["ConstantMatrix", "ConstantNetwork", "place_constant_network"]


class ConstantNetwork(wiring.Component):
    """The additions, with their rows of registers.

    Parameters
    ----------
    config : :class:`~carrysave.models.constant_matrix_unit.ConstantMatrixConfig`

    Members
    -------
    x : ``In``
        As ``x`` of ``config.i``.
    advance : ``In(latency)``
        One bit for each row of registers, the first row's lowest: it takes new values.
    y : ``Out``
        As ``y`` of ``config.o``, from the last row.

    Implementation notes
    --------------------
    A shared sum is a carry-propagate adder: others need all its bits. An output's terms are added in carry-save form, and
    resolved once; what the inverses of negative digits add up to is a constant there. Two terms alone take an adder, which
    subtracts by inverting what it is subtracted from, and its result.

    Level l of the network lies in stage ``(l - 1) // levels_per_stage``. A node that is used in later stages waits in registers,
    from where all its users take it.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        x, y = config.i.fields[0], config.o.fields[0]
        return wiring.Signature({
            "x": In(data.ArrayLayout(Shape(x.width, x.signed), x.size)),
            "advance": In(config.latency),
            "y": Out(data.ArrayLayout(Shape(y.width, y.signed), y.size)),
        })  # fmt: skip

    def elaborate(self, platform):
        self._m = m = Module()
        config, network = self._config, self._config.network
        self._nodes = [_Delayed(m, word, self.advance, 0, f"x{j}") for j, word in enumerate(self.x)]
        lows, highs = network.ranges(config.x.minimum, config.x.maximum)
        for node, one in enumerate(network.sums, network.inputs):
            stage = self._stage(network.levels[node])
            first, second = (self._nodes[term].at(stage) for term in (one.first, one.second))
            shape = Shape(width_of_range(lows[node], highs[node]), lows[node] < 0)
            total = self._add(shape, (first, 0), (second, one.shift), one.negative, f"node{node}")
            self._nodes.append(_Delayed(m, total, self.advance, stage, f"node{node}"))
        for number, terms in enumerate(network.outputs):
            low, high = config.y_ranges[number]
            shape = Shape(width_of_range(low, high), low < 0)
            m.d.comb += self.y[number].eq(self._output(shape, terms, f"y{number}"))
        return m

    def _stage(self, level):
        """The stage in which what is ready after a level is computed."""
        return max(level - 1, 0) // self._config.levels_per_stage

    def _output(self, shape, terms, name):
        """The sum of terms, from a register of the last row."""
        ready, rows, last = self._config.output_levels(terms)
        stage = self._stage(last)
        words = [(self._nodes[term.node].at(self._stage(ready + 1 if last > ready else ready)), term) for term in terms]
        if not terms:
            return Const(0)
        if last == ready:
            ((word, term),) = words
            total = Signal(shape, name=name)
            self._m.d.comb += total.eq(word << term.shift)
        elif not rows and len(terms) == 2:
            (one, term), (other, other_term) = sorted(words, key=lambda word: word[1].negative)
            pair = (one, term.shift), (other, other_term.shift)
            total = self._add(shape, *pair, other_term.negative, name)
        else:
            total = self._carry_save(shape, words, ready, rows, name)
        return _Delayed(self._m, total, self.advance, stage, name).at(self._config.latency)

    def _add(self, shape, one, other, negative, name):
        """Sum or difference of two words with their shifts, by a carry-propagate adder."""
        columns = []
        for column in range(shape.width):
            minuend, dot = (_bit(word, column - shift) for word, shift in (one, other))
            dots = [~minuend if negative else minuend, dot]
            columns.append([dot for dot in dots if not (isinstance(dot, Const) and dot.value == 0)])
        bits = prefix_add(self._m, columns, structure=self._config.adder, name=name)
        total = Signal(shape, name=name)
        self._m.d.comb += total.eq(~bits if negative else bits)
        return total

    def _carry_save(self, shape, words, ready, rows, name):
        """Sum of words and terms by full adders and one carry-propagate adder."""
        per_stage = self._config.levels_per_stage
        heap, constant = BitHeap(self._m, width=shape.width, name=name), 0
        for word, term in words:
            for place, bit in enumerate(word):
                # The sign's bit counts negative; a bit that does is the inverse less one.
                minus = term.negative != (word.shape().signed and place == len(word) - 1)
                heap.add(term.shift + place, ~bit if minus else bit)
                constant -= minus << term.shift + place
        for column in range(shape.width):
            heap.add(column, Const(constant >> column & 1, 1))
        levels = -(-rows // ROWS_PER_LEVEL)
        heights = [2]
        while len(heights) <= rows:
            heights.append(heights[-1] * 3 // 2)
        for level in range(1, levels + 1):
            if (ready + level) % per_stage == 0:
                height = heights[max(rows - ROWS_PER_LEVEL * level, 0)]
                heap.register(height, self.advance[(ready + level) // per_stage - 1])
        columns = heap.reduce(lambda column: True)
        bits = prefix_add(
            self._m,
            [[dot for _, dot in dots] for dots in columns],
            structure=self._config.adder,
            arrivals_ps=[max((ps for ps, _ in dots), default=0) for dots in columns],
            name=name,
        )
        total = Signal(shape, name=name)
        self._m.d.comb += total.eq(bits)
        return total


class _Delayed:
    """A word, and the registers in which it waits for later stages; those are made when they are asked for."""

    def __init__(self, m, word, advance, stage, name):
        self._m, self._advance, self._name = m, advance, name
        self._first, self._words = stage, [word]

    def at(self, stage):
        """The word as that stage sees it."""
        while self._first + len(self._words) <= stage:
            row = self._first + len(self._words) - 1
            held = Signal.like(self._words[-1], name=f"{self._name}_r{row}", reset_less=True)
            with self._m.If(self._advance[row]):
                self._m.d.sync += held.eq(self._words[-1])
            self._words.append(held)
        return self._words[stage - self._first]


def _bit(word, place):
    """A bit of a word that is extended at both ends."""
    if place < 0:
        return Const(0)
    if place < len(word):
        return word[place]
    return word[-1] if word.shape().signed else Const(0)


def place_constant_network(config):
    """A :class:`ConstantNetwork` as the shared module ``constant_network``."""
    return Shared(lambda: ConstantNetwork(config), ConstantNetwork.ports(config), name="constant_network")


class ConstantMatrix(StreamUnit):
    """Constant matrix between streams, one product a cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.constant_matrix_unit.ConstantMatrixConfig`

    Members
    -------
    i : ``In(stream)``
        A vector ``x``.
    o : ``Out(stream)``
        The product ``y``.
    """

    def elaborate(self, platform):
        m = Module()
        rows = Rows(m, self.config.latency, valid=self.i.valid, ready=self.o.ready)
        m.submodules.network = network = place_constant_network(self.config)
        m.d.comb += [
            network.x.eq(self.i.p.x),
            network.advance.eq(Cat(rows.advance)),
            self.i.ready.eq(rows.advance[0]),
            self.o.valid.eq(rows.valid[-1]),
            self.o.p.y.eq(network.y),
        ]
        return m
