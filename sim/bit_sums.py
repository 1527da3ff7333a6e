"""Weighted sums of bits of some logic, rewritten from the outputs back towards the inputs.

Each step is an identity that is checked on the gates themselves:

- *adders*: two bits of the sum, one of double the weight, whose truth tables over two or three common nodes make
  ``n + 2 m`` an affine function of these nodes (half and full adders, whatever gates they are made of), give way to that
  function; a bit of the highest weight counts modulo 2 only, so that a parity does as well;
- *carry-propagate adders*: a word that ABC proves equal to the sum of two words gives way to these (:class:`WordAdder`).

What then remains is a sum of nodes each of which depends on few bits; :mod:`carrysave.sim.polynomials` compares it with a
specification.
"""

import dataclasses
import importlib.util
import re
import tempfile
from pathlib import Path

from ..hdl.tool import run_tool

__all__ = ["NotProven", "Reduced", "WordAdder", "equal_by_abc", "reduce_sum"]

ABC_TIMEOUT_S = 600


class NotProven(Exception):
    """A proof failed; the text says at which step."""


def equal_by_abc(one, other, *, timeout_s=ABC_TIMEOUT_S):
    """Whether two combinational circuits in BLIF are equivalent: ``cec`` of the ABC that comes with Yosys.

    Raises
    ------
    ToolError
        If ABC takes longer than ``timeout_s``.
    NotProven
        If it gives up.
    """
    abc = Path(importlib.util.find_spec("pyosys").origin).with_name("yosys-abc")
    with tempfile.TemporaryDirectory(prefix="carrysave-") as folder:
        for name, text in (("one.blif", one), ("other.blif", other)):
            (Path(folder) / name).write_text(text)
        log = run_tool(
            [abc, "-q", "cec one.blif other.blif"], log=Path(folder) / "abc.log", timeout_s=timeout_s, cwd=folder
        )
    if "Networks are equivalent" in log:
        return True
    if "NOT EQUIVALENT" in log:
        return False
    raise NotProven(f"ABC gave up: {' '.join(log.split())[:200]}")


def _affine(vector, count):
    """Constant and coefficients of a function given by its values for all assignments of ``count`` bits, or None."""
    coefficients = [vector[1 << index] - vector[0] for index in range(count)]
    for case, value in enumerate(vector):
        if value != vector[0] + sum(coefficients[index] for index in range(count) if case >> index & 1):
            return None
    return vector[0], coefficients


_PATTERNS = ((0b10,), (0b1010, 0b1100), (0b10101010, 0b11001100, 0b11110000))


class _Cuts:
    """Cuts of up to three leaves of each node, with the truth table over the leaves."""

    def __init__(self, logic):
        self._logic, self._cuts, self._tables = logic, {}, {}

    def of(self, node):
        """Sets of leaves, a frozenset each, the node alone left out."""
        for one in self._logic.cone([node], self._cuts):
            fanins = self._logic.gates[one][1:]
            options = [[frozenset([fanin]), *self._cuts.get(fanin, ())] for fanin in fanins]
            merged = {left | right for left in options[0] for right in options[-1]}
            self._cuts[one] = {cut for cut in merged if len(cut) <= 3}
        return self._cuts.get(node, ())

    def table(self, node, cut):
        """Values of the node for all assignments of a cut's leaves in ascending order."""
        if (node, cut) not in self._tables:
            cases = 1 << len(cut)
            values = dict(zip(sorted(cut), _PATTERNS[len(cut) - 1], strict=True))
            (value,) = self._logic.evaluate([node], values, (1 << cases) - 1)
            self._tables[node, cut] = [value >> case & 1 for case in range(cases)]
        return self._tables[node, cut]


class _Sum:
    """A sum of nodes modulo ``2 ** width`` that is rewritten in place."""

    def __init__(self, logic, terms, width):
        self.logic, self.modulus = logic, 1 << width
        self.weights, self.constant, self.replaced = {}, 0, 0
        self._cuts, self._by_cut, self._fresh = _Cuts(logic), {}, set()
        for node, weight in terms:
            self.add(node, weight)

    def add(self, node, weight):
        while (gate := self.logic.gates[node]) and gate[0] == "not":
            self.constant, node, weight = self.constant + weight, gate[1], -weight
        if node < 2:
            self.constant += node * weight
            weight = 0
        self.constant %= self.modulus
        weight = (self.weights.pop(node, 0) + weight) % self.modulus
        if weight:
            self.weights[node] = weight
            self._fresh.add(node)
            for cut in self._cuts.of(node):
                self._by_cut.setdefault(cut, set()).add(node)

    def rewrite(self):
        """Replace adders until none is found."""
        while self._fresh:
            # From the outputs back: later nodes depend on earlier ones.
            node = max(self._fresh)
            if node not in self.weights or not self._replace(node):
                self._fresh.discard(node)

    def _replace(self, node):
        weight = self.weights[node]
        for cut in self._cuts.of(node):
            # Of the highest weight only the parity counts.
            if 2 * weight % self.modulus == 0 and self._exchange_parity(node, cut, weight):
                return True
            for partner in self._by_cut[cut]:
                if partner == node or partner not in self.weights:
                    continue
                for low, high in ((node, partner), (partner, node)):
                    base, twice = self.weights[low], self.weights[high]
                    for factor in (2, -2):  # a sum bit may stand inverted
                        if twice == factor * base % self.modulus and self._exchange(
                            [(low, 1), (high, factor)], cut, base
                        ):
                            return True
        # A bit that is constant, or one of its leaves, though that takes more than folding to see.
        return any(self._exchange([(node, 1)], cut, weight) for cut in self._cuts.of(node))

    def _exchange_parity(self, node, cut, weight):
        table = self._cuts.table(node, cut)
        flips = [table[1 << index] ^ table[0] for index in range(len(cut))]
        for case, value in enumerate(table):
            if value != (table[0] + sum(flip & case >> index for index, flip in enumerate(flips))) % 2:
                return False
        self._give_way([(node, 1)], weight, (table[0], flips), cut)
        return True

    def _exchange(self, members, cut, weight):
        tables = [(factor, self._cuts.table(node, cut)) for node, factor in members]
        vector = [sum(factor * table[case] for factor, table in tables) for case in range(1 << len(cut))]
        affine = _affine(vector, len(cut))
        if affine is None:
            return False
        self._give_way(members, weight, affine, cut)
        return True

    def _give_way(self, members, weight, affine, cut):
        for node, factor in members:
            self.add(node, -factor * weight)
        self.constant += affine[0] * weight
        for leaf, coefficient in zip(sorted(cut), affine[1], strict=True):
            self.add(leaf, coefficient * weight)
        self.replaced += 1


@dataclasses.dataclass(frozen=True)
class Reduced:
    """A sum that no adder is left in.

    Parameters
    ----------
    weights : dict
        Weight of each node.
    constant : :class:`int`
    replaced : :class:`int`
        Half and full adders that gave way.
    """

    weights: dict
    constant: int
    replaced: int


def reduce_sum(logic, terms, width, *, adders=()):
    """Rewrite a weighted sum of nodes towards the inputs.

    Parameters
    ----------
    logic : :class:`~carrysave.sim.logic.Logic`
    terms : iterable of (node, weight)
    width : :class:`int`
        The sum counts modulo ``2 ** width``.
    adders : iterable of :class:`WordAdder`
        Carry-propagate adders whose words appear in the sum; each is proven first.

    Returns
    -------
    :class:`Reduced`
    """
    found = _Sum(logic, terms, width)
    for adder in adders:
        adder.prove(logic)
        weight = found.weights.get(adder.word[0]) if adder.word[0] > 1 else None
        if weight is None:
            raise NotProven("the adder's word is not in the sum")
        for index, node in enumerate(adder.word):
            found.add(node, -weight << index)
        for index, dots in enumerate(adder.columns):
            for dot in dots:
                found.add(dot, weight << index)
    found.rewrite()
    return Reduced(found.weights, found.constant % found.modulus, found.replaced)


@dataclasses.dataclass(frozen=True)
class WordAdder:
    """A carry-propagate adder: ``word`` is the sum of one or two dots a column, modulo ``2 ** len(word)``.

    Parameters
    ----------
    word : tuple of :class:`int`
        Nodes, least significant first.
    columns : tuple of tuple of :class:`int`
        Nodes of the dots of each column.
    """

    word: tuple
    columns: tuple

    @classmethod
    def find(cls, logic, word):
        """What the names that :func:`carrysave.hdl.adder.prefix_add` gives say is added; None if there is no such name.

        A wrong guess cannot do harm: :meth:`prove` refuses it.
        """

        def named(node, pattern):
            return any(re.search(pattern, name) for name in logic.names.get(node, ()))

        columns, found = [], False
        for index, node in enumerate(word):
            half, gate = node, logic.gates[node]
            if named(node, rf"_g{index - 1}_\d+(\$\d+)?$"):
                half = 0  # no dot, the carry alone
            elif gate and gate[0] == "not" and named(gate[1], rf"_g{index - 1}_\d+(\$\d+)?$"):
                half = 1  # a constant dot, folded with the carry
            elif gate and gate[0] == "xor" and not named(node, r"_h(\d+)_\1(\$\d+)?$"):
                carries = [fanin for fanin in gate[1:] if named(fanin, rf"_g{index - 1}_\d+(\$\d+)?$")]
                if carries:
                    half = next(fanin for fanin in gate[1:] if fanin != carries[-1])
            if named(half, r"_h(\d+)_\1(\$\d+)?$"):
                found = True
                kind, *dots = logic.gates[half] or ("", half)
                columns.append((*dots, 1) if kind == "not" else tuple(dots))  # a constant 1 has been folded
            else:
                columns.append((half,) if half else ())
        return cls(tuple(word), tuple(columns)) if found else None

    def renamed(self, nodes):
        """The same adder in another graph, given what became of each node."""
        columns = tuple(tuple(nodes[dot] for dot in dots) for dots in self.columns)
        return WordAdder(tuple(nodes[bit] for bit in self.word), columns)

    def prove(self, logic):
        """Let ABC compare the word's logic, from the dots on, with a ripple-carry adder; raises :exc:`NotProven`."""
        leaves = sorted({dot for dots in self.columns for dot in dots if dot > 1})
        reference = type(logic)()
        inputs = {0: 0, 1: 1} | {leaf: reference.input(f"i{index}") for index, leaf in enumerate(leaves)}
        rows = [[inputs[dots[row]] if row < len(dots) else 0 for dots in self.columns] for row in range(2)]
        total = reference.add(*rows)
        free = [
            node for node in logic.cone(self.word, leaves) for node in logic.gates[node][1:] if node in logic.inputs
        ]
        if set(free) - set(leaves):
            raise NotProven(f"the adder depends on more than its dots: {logic.inputs[free[0]]}")
        if not equal_by_abc(logic.blif(self.word, leaves), reference.blif(total, list(inputs.values())[2:])):
            raise NotProven("a carry-propagate adder is not the sum of its dots")
