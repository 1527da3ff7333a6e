"""A claim that a weighted sum of a logic's bits is a polynomial of its inputs, and how it is proven."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from .bit_sums import NotProven, WordAdder, reduce_sum
from .logic import Logic
from .polynomials import Group, Specification, packed_bits

__all__ = ["Step", "bit_weights", "check_lags", "feedback", "lane_names", "split", "value_group"]


@dataclass(frozen=True)
class Step:
    """One step of a state in carry-save form, or any other weighted sum of bits, and what it should be.

    Parameters
    ----------
    logic : :class:`~carrysave.sim.logic.Logic`
    terms : tuple of (node, weight)
        The sum.
    width : :class:`int`
        It counts modulo ``2 ** width``.
    specify : callable
        Adds what the sum should be to a :class:`~carrysave.sim.bit_sums.Specification`.
    groups : tuple of :class:`~carrysave.sim.bit_sums.Group`
        Operands of which every value is tried.
    controls : tuple of :class:`int`
        Inputs that are proven case by case; no two of them are ever 1 together.
    word : tuple of :class:`int`
        Outputs of a carry-propagate adder among the terms, if there is one.
    adder : :class:`~carrysave.sim.bit_sums.WordAdder`, optional
        That adder, where it is not to be found by its names.
    """

    logic: Logic
    terms: tuple
    width: int
    specify: object
    groups: tuple = ()
    controls: tuple = ()
    word: tuple = ()
    adder: WordAdder | None = None

    def prove(self):
        """Prove it; the text says how. Raises :exc:`~carrysave.sim.bit_sums.NotProven`."""
        replaced, adder = (0, self.adder or (WordAdder.find(self.logic, self.word) if self.word else None))
        for case in product((0, 1), repeat=len(self.controls)):
            if sum(case) > 1:  # never together
                continue
            values = dict(zip(self.controls, case, strict=True))
            logic, node = self.logic.fixed(values)
            terms = [(node[bit], weight) for bit, weight in self.terms]
            specification = Specification(logic, self.width)
            self.specify(specification)
            specification.fix(values)
            told = "".join(f" with {logic.inputs[bit]} = {value}" for bit, value in values.items())
            example = specification.counterexample(terms)
            if example:
                raise NotProven(f"wrong{told} for {example}")
            try:
                reduced = reduce_sum(logic, terms, self.width, adders=[adder.renamed(node)] if adder else [])
                specification.check(reduced)
            except NotProven as error:
                raise NotProven(f"{error}{told}") from None
            replaced += reduced.replaced
        how = [f"{replaced} half and full adders by identities"] if replaced else []
        how += ["carry-propagate adder by ABC"] if adder else []
        how += (
            [f"every {' '.join(self.logic.inputs[bit].partition('[')[0] for bit in self.controls)}"]
            if self.controls
            else []
        )
        if self.groups:
            lanes = f" of each of {len(self.groups)} lanes" if len(self.groups) > 1 else ""
            how.append(f"every {self.groups[0].name.split()[0]} ({len(self.groups[0].values)}){lanes}")
        return ", ".join([*how, "all other bits as symbols"])


def bit_weights(width, signed=False):
    weights = [1 << index for index in range(width)]
    return [*weights[:-1], -weights[-1]] if signed else weights


def value_group(name, nodes, width, signed, encode=None):
    """A group of all values of an operand, in its raw bits or as ``encode`` (a :class:`Logic` from value to word) has it."""
    raw = np.arange(1 << width)
    patterns = [packed_bits(raw >> index & 1) for index in range(width)]
    if encode:
        given = dict(zip(encode.ports["value"], patterns, strict=True))
        patterns = encode.evaluate(encode.ports["word"], given, (1 << len(raw)) - 1)
    values = np.where(raw >> width - 1 & 1, raw - (1 << width), raw) if signed else raw
    return Group(name, tuple(nodes), tuple(patterns), values.astype(np.int64))


def split(nodes, parts):
    size = len(nodes) // parts
    return [nodes[index * size : (index + 1) * size] for index in range(parts)]


def lane_names(name, lanes):
    return [name] if lanes == 1 else [f"{name} of lane {lane}" for lane in range(lanes)]


def feedback(controls, radix=4):
    """Polynomial of ``clear ? 0 : shift ? radix : 1``."""
    clear, *shift = (frozenset([control]) for control in controls)
    return {frozenset(): 1, clear: -1} | dict.fromkeys(shift, radix - 1)


def check_lags(logic, outputs, expected):
    """Raise :exc:`NotProven` unless every input reaches the outputs as many cycles late as it should.

    Parameters
    ----------
    logic : :class:`~carrysave.sim.logic.Logic`
    outputs : iterable of :class:`str`
    expected : dict
        From the name of an input, or of a register that is cut, to its lag in cycles: 0 for those that are left out, or a
        function of the output's bit and the input's.
    """
    for output in outputs:
        for bit, lags in enumerate(logic.lags[output]):
            for label, lag in lags.items():
                name, _, index = label.rstrip("]").partition("[")
                want = expected.get(name, 0)
                want = want(bit, int(index)) if callable(want) else want
                if lag != want:
                    raise NotProven(f"{label} reaches {output}[{bit}] {lag} cycles late, not {want}")
