"""A component's logic as a graph of gates, cut at its flip-flops: what proofs and exhaustive evaluation work on.

Yosys elaborates and flattens the very Verilog that is exported, without any optimisation, and writes gates. A register's
output becomes an input of the graph and its data input becomes an output.
"""

import json
import re
import tempfile
from pathlib import Path

from ..hdl.verilog import verilog_of
from ..hdl.yosys import run_yosys
from ..models.errors import CarrysaveError

__all__ = ["Logic", "LogicError", "logic_of"]

_GATES = {
    "$_AND_": "and",
    "$_OR_": "or",
    "$_XOR_": "xor",
    "$_NOT_": "not",
    "$_BUF_": "buf",
    "$_XNOR_": "xnor",
    "$_NAND_": "nand",
    "$_NOR_": "nor",
    "$_ANDNOT_": "andnot",
    "$_ORNOT_": "ornot",
    "$_MUX_": "mux",
}
_FLIP_FLOP = "$_DFF_P_"


class LogicError(CarrysaveError, RuntimeError):
    """A netlist holds what a graph of gates cannot."""


class Logic:
    """Graph of gates.

    A node is an integer; a gate's node is greater than those it depends on. Equal gates are one node, and constants are
    folded, so that a constant is node 0 or 1 and nothing else.

    Members
    -------
    gates : list
        By node: ``None`` for constants and inputs, else ``(kind, node, ...)`` with kind ``and``, ``or``, ``xor``, ``not``.
    inputs : dict
        From an input's node to its label, ``name[bit]``.
    ports : dict
        From a port's name to its nodes, least significant first.
    registers : dict
        From a register's output node to the node of its data input.
    lags : dict
        From an output's name, for each of its bits, to a dictionary of how many registers lie between it and what it
        depends on: by label, inputs and registers that are cut. Where the output is itself a register that is cut, its
        data input counts.
    names : dict
        From a node to the names it has in the Verilog: hints for where to look, never a reason to believe anything.
    """

    def __init__(self):
        self.gates = [None, None]
        self.inputs, self.ports, self.registers, self.lags, self.names = ({}, {}, {}, {}, {})
        self._known = {}

    def input(self, label):
        """A new input."""
        self.gates.append(None)
        self.inputs[len(self.gates) - 1] = label
        return len(self.gates) - 1

    def gate(self, kind, *nodes):
        """Node of a gate of the kind ``and``, ``or``, ``xor`` or ``not``, made if there is none such."""
        if kind == "not":
            return self._inverted(*nodes)
        low, high = sorted(nodes)
        if low == high:
            return 0 if kind == "xor" else low
        if low < 2:
            if kind == "xor":
                return self._inverted(high) if low else high
            return high if low == (kind == "and") else low
        if self.gates[high] == ("not", low):
            return 0 if kind == "and" else 1
        return self._node((kind, low, high))

    def _inverted(self, node):
        if node < 2:
            return 1 - node
        gate = self.gates[node]
        return gate[1] if gate and gate[0] == "not" else self._node(("not", node))

    def _node(self, gate):
        if gate not in self._known:
            self.gates.append(gate)
            self._known[gate] = len(self.gates) - 1
        return self._known[gate]

    def cell(self, kind, *nodes):
        """Node of one of Yosys' gates, made of those of :meth:`gate`."""
        if kind in ("and", "or", "xor", "not"):
            return self.gate(kind, *nodes)
        if kind == "buf":
            return nodes[0]
        if kind in ("xnor", "nand", "nor"):
            return self._inverted(self.gate({"xnor": "xor", "nand": "and", "nor": "or"}[kind], *nodes))
        if kind in ("andnot", "ornot"):
            return self.gate(kind[:-3], nodes[0], self._inverted(nodes[1]))
        low, high, select = nodes
        return self.gate("or", self.gate("and", high, select), self.gate("and", low, self._inverted(select)))

    def labelled(self, name):
        """Inputs of a name, least significant first."""
        found = {}
        for node, label in self.inputs.items():
            base, _, index = label.rstrip("]").partition("[")
            if base == name:
                found[int(index)] = node
        return [found[index] for index in sorted(found)]

    def next_of(self, nodes):
        """Data inputs of the registers whose outputs are these nodes."""
        return [self.registers[node] for node in nodes]

    def cone(self, nodes, leaves=()):
        """Gates between leaves (and inputs) and the nodes, these included, in an order in which they can be evaluated."""
        found, stack, leaves = set(), list(nodes), set(leaves)
        while stack:
            node = stack.pop()
            if node in found or node in leaves or self.gates[node] is None:
                continue
            found.add(node)
            stack += self.gates[node][1:]
        return sorted(found)

    def evaluate(self, nodes, values, mask=1):
        """Values of nodes, bit-parallel.

        Parameters
        ----------
        nodes : iterable of :class:`int`
        values : mapping
            From each input's (or any other leaf's) node to an integer with one bit for each case.
        mask : :class:`int`
            A one for each case.

        Returns
        -------
        list of :class:`int`
        """
        nodes = list(nodes)
        known = {0: 0, 1: mask, **values}
        for node in self.cone(nodes, values):
            kind, *fanins = self.gates[node]
            first = known[fanins[0]]
            if kind == "not":
                known[node] = first ^ mask
            elif kind == "and":
                known[node] = first & known[fanins[1]]
            elif kind == "or":
                known[node] = first | known[fanins[1]]
            else:
                known[node] = first ^ known[fanins[1]]
        return [known[node] for node in nodes]

    def embed(self, other, nodes, leaves):
        """Copy the cone of another graph's nodes into this one.

        Parameters
        ----------
        other : :class:`Logic`
        nodes : iterable of :class:`int`
            Nodes of ``other``.
        leaves : mapping
            From nodes of ``other`` to those of this one that stand for them; all inputs in the cone are among them.

        Returns
        -------
        list of :class:`int`
            The copies of ``nodes``.
        """
        nodes, here = list(nodes), {0: 0, 1: 1, **leaves}
        for node in other.cone(nodes, leaves):
            kind, *fanins = other.gates[node]
            here[node] = self.gate(kind, *(here[fanin] for fanin in fanins))
        return [here[node] for node in nodes]

    def fixed(self, values):
        """A copy in which some inputs are constants, which are folded.

        Parameters
        ----------
        values : dict
            From nodes of inputs to 0 or 1.

        Returns
        -------
        :class:`Logic`, dict
            Its inputs are the same nodes as before, all of them; and what became of every node.
        """
        copy, here = Logic(), {0: 0, 1: 1}
        for node in range(2, len(self.gates)):
            if node in self.inputs:
                kept = copy.input(self.inputs[node])
                if kept != node:
                    raise LogicError("inputs must be made before gates")
                here[node] = values.get(node, node)
            else:
                kind, *fanins = self.gates[node]
                here[node] = copy.gate(kind, *(here[fanin] for fanin in fanins))
        for node, names in self.names.items():
            copy.names.setdefault(here[node], []).extend(names)
        return copy, here

    def add(self, *words):
        """Sum of words, modulo two to the width of the first: ripple-carry adders, nothing cleverer."""
        total = list(words[0])
        for word in words[1:]:
            carry = 0
            for index, bit in enumerate((*word, *[0] * len(total))[: len(total)]):
                half = self.gate("xor", total[index], bit)
                through = self.gate("and", half, carry)
                above = self.gate("or", self.gate("and", total[index], bit), through)
                total[index], carry = self.gate("xor", half, carry), above
        return total

    def mutated(self, node, kind):
        """A copy in which one gate is of another kind: what a proof must refuse."""
        copy = Logic()
        copy.gates, copy.inputs, copy.ports = list(self.gates), self.inputs, self.ports
        copy.registers, copy.names = self.registers, self.names
        copy.gates[node] = (kind, *self.gates[node][1:])
        return copy

    def blif(self, outputs, leaves, name="logic"):
        """The cone of some nodes in BLIF: inputs ``i0, i1, ...`` in the order of the leaves, outputs ``o0, o1, ...``."""
        label = {0: "zero", 1: "one"} | {leaf: f"i{index}" for index, leaf in enumerate(leaves)}
        rows = {"and": "11 1", "or": "1- 1\n-1 1", "xor": "10 1\n01 1", "not": "0 1"}
        lines = [f".model {name}", f".inputs {' '.join(label[leaf] for leaf in leaves)}"]
        lines += [f".outputs {' '.join(f'o{index}' for index in range(len(outputs)))}", ".names zero", ".names one\n1"]
        for node in self.cone(outputs, leaves):
            kind, *fanins = self.gates[node]
            label[node] = f"n{node}"
            lines.append(f".names {' '.join(label[fanin] for fanin in fanins)} n{node}\n{rows[kind]}")
        lines += [f".names {label[node]} o{index}\n1 1" for index, node in enumerate(outputs)]
        return "\n".join([*lines, ".end"]) + "\n"


def logic_of(component, name, *, state=None, reset=False):
    """The :class:`Logic` of a component.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
    name : :class:`str`
        Name for its Verilog module.
    state : iterable of :class:`str`, optional
        Outputs whose registers are cut, with all registers that keep themselves in some cycles; every other register is
        a wire, and :attr:`Logic.lags` tells how many of them each input passes. Without it all registers are cut.
    reset : :class:`bool`
        Whether registers in it have a reset; ``rst`` is then an input.

    Raises
    ------
    LogicError
        If there is something else than gates and plain flip-flops, a loop of registers that are wires, or an input that
        arrives somewhere at two different times.
    """
    with tempfile.TemporaryDirectory(prefix="carrysave-") as folder:
        path = Path(folder)
        (path / "design.v").write_text(verilog_of(component, name, reset=reset))
        run_yosys(
            [
                "read_verilog -noopt design.v",
                f"hierarchy -check -top {name}",
                "proc -noopt",
                "flatten -noscopeinfo",
                "techmap",
                "simplemap",
                "opt_clean",
                "write_json design.json",
            ],
            folder=folder,
        )
        module = json.loads((path / "design.json").read_text())["modules"][name]
    return _Reader(module, state).logic


class _Reader:
    """From Yosys' JSON to a graph."""

    def __init__(self, module, state):
        self._drivers, self._node, self._lags, registers = ({}, {"0": 0, "1": 1}, {"0": {}, "1": {}}, {})
        self.logic = logic = Logic()
        labels = {
            bit: f"{net}[{index}]"
            for net, entry in sorted(module["netnames"].items(), reverse=True)
            if not entry["hide_name"] and re.fullmatch(r"[a-z]\w*", net)
            for index, bit in enumerate(entry["bits"])
        }
        for port, entry in module["ports"].items():
            if entry["direction"] == "input" and port != "clk":
                for index, bit in enumerate(entry["bits"]):
                    self._node[bit] = logic.input(f"{port}[{index}]")
                    self._lags[bit] = {f"{port}[{index}]": 0}
        flip_flops = {}
        for name, cell in module["cells"].items():
            pins = {pin: bits[0] for pin, bits in cell["connections"].items()}
            if cell["type"] == _FLIP_FLOP:
                flip_flops[pins["Q"]] = pins["D"]
            elif cell["type"] in _GATES:
                kind = _GATES[cell["type"]]
                self._drivers[pins["Y"]] = (kind, *(pins[pin] for pin in "ABS" if pin in pins))
            else:
                raise LogicError(f"{name} is a {cell['type']}: only gates and plain flip-flops are known here")
        cut = set(flip_flops)
        if state is not None:
            cut &= {bit for port in state for bit in module["ports"][port]["bits"]}
            cut |= {bit for bit in flip_flops if self._holds(bit, flip_flops)}
        for bit, data in flip_flops.items():
            if bit in cut:
                label = labels.get(bit, f"register_{bit}[0]")
                self._node[bit] = logic.input(label)
                self._lags[bit] = {label: 0}
                registers[bit] = data
            else:
                self._drivers[bit] = ("register", data)
        for port, entry in module["ports"].items():
            if port != "clk":
                logic.ports[port] = [self._made(bit) for bit in entry["bits"]]
        for output, data in registers.items():
            logic.registers[self._node[output]] = self._made(data)
        for port, entry in module["ports"].items():
            if entry["direction"] == "output":
                logic.lags[port] = [self._lags[registers.get(bit, bit)] for bit in entry["bits"]]
        for net, entry in module["netnames"].items():
            if not entry["hide_name"]:
                for index, bit in enumerate(entry["bits"]):
                    if bit in self._node:
                        name = net if len(entry["bits"]) == 1 else f"{net}[{index}]"
                        logic.names.setdefault(self._node[bit], []).append(name)

    def _holds(self, bit, flip_flops):
        """Whether a flip-flop's next value depends on its own without another register between them."""
        stack, seen = [flip_flops[bit]], set()
        while stack:
            one = stack.pop()
            if one == bit:
                return True
            if one not in seen and one in self._drivers:
                seen.add(one)
                stack += self._drivers[one][1:]
        return False

    def _made(self, wanted):
        stack, entered = [wanted], set()
        while stack:
            bit = stack[-1]
            if bit in self._node:
                stack.pop()
                continue
            if bit not in self._drivers:
                raise LogicError(f"nothing drives bit {bit} of the netlist")
            kind, *fanins = self._drivers[bit]
            missing = [fanin for fanin in fanins if fanin not in self._node]
            if not missing:
                if kind == "register":
                    self._node[bit] = self._node[fanins[0]]
                    self._lags[bit] = {name: lag + 1 for name, lag in self._lags[fanins[0]].items()}
                else:
                    self._node[bit] = self.logic.cell(kind, *(self._node[fanin] for fanin in fanins))
                    self._lags[bit] = _merged([self._lags[fanin] for fanin in fanins], bit)
                stack.pop()
            elif bit in entered:
                raise LogicError("there is a loop without a register to cut it")
            else:
                entered.add(bit)
                stack += missing
        return self._node[wanted]


def _merged(lags, where):
    merged = {}
    for one in lags:
        for name, lag in one.items():
            if merged.setdefault(name, lag) != lag:
                raise LogicError(f"{name} arrives at {where} both {merged[name]} and {lag} cycles late")
    return merged
