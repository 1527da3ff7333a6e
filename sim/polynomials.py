"""Multilinear polynomials of a logic's inputs modulo a power of two: what a sum of its bits should be, and is."""

import dataclasses
from itertools import combinations

import numpy as np

from .bit_sums import NotProven

__all__ = ["Group", "Specification", "packed_bits", "unpacked_bits"]

MAX_SYMBOLS = 10  # of one node: it is tabulated for each of their assignments

_ZERO = np.zeros(1, np.uint64)  # an array: its arithmetic is modulo 2 ** 64 without a word


@dataclasses.dataclass(frozen=True)
class Group:
    """Inputs for which every legal value is tried.

    Parameters
    ----------
    name : :class:`str`
    nodes : tuple of :class:`int`
        The inputs.
    patterns : tuple of :class:`int`
        For each of the nodes, an integer with one bit for each value.
    values : ``int64`` array
        What each pattern stands for.
    """

    name: str
    nodes: tuple
    patterns: tuple
    values: np.ndarray

    @property
    def mask(self):
        """A one for each value."""
        return (1 << len(self.values)) - 1


class Specification:
    """A polynomial of the inputs modulo ``2 ** width``, to compare a sum of nodes with.

    A polynomial here is a dictionary from a monomial (frozenset of nodes) to its coefficients: one for each group (an array
    over the group's values) and, under ``None``, a plain number, all modulo ``2 ** 64``.

    Parameters
    ----------
    logic : :class:`~carrysave.sim.logic.Logic`
    width : :class:`int`
        At most 64.
    """

    def __init__(self, logic, width):
        self._logic, self._mask = logic, np.uint64((1 << width) - 1)
        self._polynomial, self._groups = {}, {}

    def add_constant(self, value):
        """Add a number."""
        _accumulate(self._polynomial, frozenset(), None, value)
        return self

    def add_product(self, group, nodes, weights):
        """Add the group's value times the word of these nodes."""
        self._groups[group.name] = group
        for node, weight in zip(nodes, weights, strict=True):
            _accumulate(self._polynomial, frozenset([node]), group.name, group.values * np.int64(weight))
        return self

    def add_word(self, nodes, weights, factor=None):
        """Add a word of these nodes, times a polynomial ``{frozenset of nodes: number}`` of control inputs."""
        for node, weight in zip(nodes, weights, strict=True):
            for monomial, number in (factor or {frozenset(): 1}).items():
                _accumulate(self._polynomial, monomial | {node}, None, weight * number)
        return self

    def fix(self, values):
        """Let inputs be constants: ``values`` is a dictionary from their nodes to 0 or 1."""
        polynomial, self._polynomial = self._polynomial, {}
        for monomial, row in polynomial.items():
            if all(values.get(node, 1) for node in monomial):
                rest = frozenset(node for node in monomial if node not in values)
                for group, amount in row.items():
                    _accumulate(self._polynomial, rest, group, amount)
        return self

    def check(self, reduced):
        """Raise :exc:`NotProven` unless a :class:`Reduced` sum is this polynomial."""
        polynomial = {monomial: dict(row) for monomial, row in self._polynomial.items()}
        _accumulate(polynomial, frozenset(), None, -reduced.constant)
        owner = {node: group for group in self._groups.values() for node in group.nodes}
        for node, weight in reduced.weights.items():
            self._subtract(polynomial, node, weight, owner)
        for monomial, row in polynomial.items():
            total, varies = _ZERO, False
            for part in row.values():
                values = part & self._mask
                varies |= bool((values != values[0]).any())
                total = total + values[:1]
            if varies or (total & self._mask).any():
                names = " ".join(sorted(self._logic.inputs[node] for node in monomial))
                raise NotProven(f"the coefficient of {names or '1'} differs from the specification's")

    def _subtract(self, polynomial, node, weight, owner):
        logic = self._logic
        used = {fanin for gate in logic.cone([node]) for fanin in logic.gates[gate][1:] if fanin in logic.inputs} or {
            node
        }
        groups = {owner[leaf].name: owner[leaf] for leaf in used if leaf in owner}
        symbols = sorted(leaf for leaf in used if leaf not in owner)
        if len(groups) > 1 or len(symbols) > MAX_SYMBOLS:
            some = ", ".join(logic.inputs[leaf] for leaf in sorted(used)[:4])
            raise NotProven(f"a bit that depends on {len(used)} inputs ({some}, ...) is part of no adder")
        group = next(iter(groups.values()), None)
        name, mask = (group.name, group.mask) if group else (None, 1)
        given = dict(zip(group.nodes, group.patterns, strict=True)) if group else {}
        table = {}
        for size in range(len(symbols) + 1):
            for chosen in combinations(symbols, size):
                values = given | {symbol: mask * (symbol in chosen) for symbol in symbols}
                vector = unpacked_bits(*logic.evaluate([node], values, mask), len(group.values) if group else 1)
                # Moebius: the coefficient is what smaller monomials have not given yet.
                for part in range(size):
                    for smaller in combinations(chosen, part):
                        vector = vector - table[smaller]
                table[chosen] = vector
                if vector.any():
                    _accumulate(polynomial, frozenset(chosen), name, vector * np.uint64(-weight % (1 << 64)))

    def counterexample(self, terms, *, cases=512, seed=1):
        """Inputs for which a weighted sum of nodes is not this polynomial, as text, out of random ones; or None."""
        rng, terms, known = np.random.default_rng(seed), list(terms), {}
        picked = {group.name: rng.integers(len(group.values), size=cases) for group in self._groups.values()}
        for group in self._groups.values():
            for node, pattern in zip(group.nodes, group.patterns, strict=True):
                known[node] = unpacked_bits(pattern, len(group.values))[picked[group.name]]
        # Mostly ones and mostly zeros, too: carries run far in these.
        density = rng.choice([0.05, 0.5, 0.95], cases)
        for node in self._logic.inputs:
            known.setdefault(node, (rng.random(cases) < density).astype(np.uint64))
        packed = {node: packed_bits(vector) for node, vector in known.items()}
        outputs = self._logic.evaluate([node for node, _weight in terms], packed, (1 << cases) - 1)
        total = np.zeros(cases, np.uint64)
        for bits, (_node, weight) in zip(outputs, terms, strict=True):
            total += unpacked_bits(bits, cases) * np.uint64(weight % (1 << 64))
        for monomial, row in self._polynomial.items():
            present = np.ones(cases, np.uint64)
            for node in monomial:
                present = present * known[node]
            for name, part in row.items():
                total -= present * (part if name is None else part[picked[name]])
        wrong = np.flatnonzero(total & self._mask)
        if not len(wrong):
            return None
        words = {}
        for node, label in self._logic.inputs.items():
            name, _, index = label.rstrip("]").partition("[")
            words[name] = words.get(name, 0) | int(known[node][wrong[0]]) << int(index or 0)
        return ", ".join(f"{name} = {value:#x}" for name, value in sorted(words.items()))


def _accumulate(polynomial, monomial, group, amount):
    if isinstance(amount, int):
        amount = np.array([amount % (1 << 64)], np.uint64)
    row = polynomial.setdefault(monomial, {})
    row[group] = row.get(group, _ZERO) + amount.astype(np.uint64)


def packed_bits(vector):
    """An integer with one bit for each element of a vector of zeros and ones."""
    return int.from_bytes(np.packbits(np.asarray(vector, np.uint8), bitorder="little").tobytes(), "little")


def unpacked_bits(bits, count):
    """Inverse of :func:`packed_bits`; a ``uint64`` array."""
    data = np.frombuffer(bits.to_bytes(-(-count // 8), "little"), np.uint8)
    return np.unpackbits(data, count=count, bitorder="little").astype(np.uint64)
