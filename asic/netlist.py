"""A mapped netlist: read from Yosys' JSON, hierarchical as written, and flattened to arrays for analysis."""

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ..models.errors import CarrysaveError
from .liberty import Library

__all__ = ["CellGroup", "Flat", "Instance", "Module", "Netlist", "NetlistError"]

ZERO, ONE = 0, 1  # nets of the constants in a flat netlist
_CONSTANTS = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}
_MAX_INSTANCES = 1 << 20


class NetlistError(CarrysaveError, ValueError):
    """A netlist cannot be analysed: an unknown cell, a latch, several drivers, ..."""


@dataclass(frozen=True, kw_only=True)
class Module:
    """One module of a netlist; bits are numbered from 2, constants are 0 and 1.

    Members
    -------
    ports : dict of :class:`str` to (direction, bits)
    cells : list of (name, type, dict of pin to bits)
    names : dict of :class:`int` to list of (name, index)
        Names of each bit, those that Yosys made up left out; the index is None for a net of one bit.
    size : :class:`int`
        Number of bits, constants included.
    """

    name: str
    ports: dict
    cells: list = field(repr=False)
    names: dict = field(repr=False)
    size: int


@dataclass(frozen=True, kw_only=True)
class Instance:
    """A module in its place: ``path`` is the tuple of instance names below the top, ``nets`` its bits' flat nets."""

    path: tuple
    module: Module = field(repr=False)
    nets: np.ndarray = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class CellGroup:
    """All cells of one type in a flat netlist.

    Members
    -------
    cell : :class:`~carrysave.asic.liberty.Cell`
    pins : dict of :class:`str` to array of :class:`int`
        Net of each signal pin; -1 where it is not connected.
    instance : array of :class:`int`
        Index of the :class:`Instance` each cell is in.
    names : list of :class:`str`
        Name of each cell in its module.
    """

    cell: object
    pins: dict = field(repr=False)
    instance: np.ndarray = field(repr=False)
    names: list = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Flat:
    """A netlist without hierarchy.

    Members
    -------
    nets : :class:`int`
        Number of nets; net 0 and 1 are the constants.
    instances : list of :class:`Instance`
        The first is the top.
    groups : list of :class:`CellGroup`
    inputs, outputs : dict of :class:`str` to array of :class:`int`
        Nets of the top's ports, least significant bit first.
    """

    nets: int
    instances: list = field(repr=False)
    groups: list = field(repr=False)
    inputs: dict = field(repr=False)
    outputs: dict = field(repr=False)

    @cached_property
    def net_names(self):
        """A name for each net: path and name joined by ``/``, bits as ``name[3]``."""
        names = [""] * self.nets
        names[ZERO], names[ONE] = "1'b0", "1'b1"
        for instance in reversed(self.instances):  # the top's names win
            prefix = "".join(f"{part}/" for part in instance.path)
            for bit, aliases in instance.module.names.items():
                name, index = aliases[0]
                names[instance.nets[bit]] = prefix + (name if index is None else f"{name}[{index}]")
        return names


@dataclass(frozen=True, kw_only=True)
class Netlist:
    """A design mapped to the cells of a library.

    Members
    -------
    top : :class:`str`
    library : :class:`~carrysave.asic.liberty.Library`
    modules : dict of :class:`str` to :class:`Module`
    verilog : path
        The netlist as plain Verilog.
    cell_models : path
        Functional Verilog models of the library's cells.
    provenance : dict
        How it was made: recipe, target period, tool versions.
    """

    top: str
    library: Library
    modules: dict = field(repr=False)
    verilog: Path
    cell_models: Path
    provenance: dict = field(default_factory=dict)

    @classmethod
    def read(cls, path, *, top, library, verilog, cell_models, provenance=None):
        """Read what Yosys' ``write_json`` wrote.

        Raises
        ------
        NetlistError
            If the file is no such JSON, lacks the top, or has cells that the library has not.
        """
        try:
            content = json.loads(Path(path).read_text())["modules"]
        except (ValueError, KeyError, OSError) as error:
            raise NetlistError(f"{path} is not a netlist in Yosys' JSON: {error}") from None
        modules = {}
        todo = [top]
        while todo:
            name = todo.pop()
            if name in modules or (name in library.cells and name != top):
                continue
            if name not in content:
                raise NetlistError(
                    f"{path} uses {name!r}, which is neither one of its modules nor a cell of {library.name}"
                )
            modules[name] = _module(name, content[name])
            todo += sorted({kind for _name, kind, _pins in modules[name].cells})
        return cls(
            top=top,
            library=library,
            modules=modules,
            verilog=Path(verilog),
            cell_models=Path(cell_models),
            provenance=dict(provenance or {}),
        )

    @cached_property
    def flat(self):
        """The :class:`Flat` netlist."""
        return _Flattening(self).result()

    @cached_property
    def instances_of(self):
        """How often each module occurs in the design, the top once."""
        counts = Counter()

        def visit(name, depth=0):
            counts[name] += 1
            if depth > len(self.modules):
                raise NetlistError(f"module {name} contains itself")
            for _cell, kind, _pins in self.modules[name].cells:
                if kind in self.modules:
                    visit(kind, depth + 1)

        visit(self.top)
        return dict(counts)

    def cell_counts(self, module=None):
        """Number of library cells by type, of one module (without those within it) or of the whole design."""
        counts = Counter()
        for name, times in self.instances_of.items() if module is None else [(module, 1)]:
            for _cell, kind, _pins in self.modules[name].cells:
                if kind not in self.modules:
                    counts[kind] += times
        return dict(sorted(counts.items()))

    def area_um2(self, module=None):
        """Area of the whole design, or of one module with what is in it."""
        total = 0.0
        for _name, kind, _pins in self.modules[module or self.top].cells:
            total += self.area_um2(kind) if kind in self.modules else self.library.cell(kind).area_um2
        return total

    def area_report(self):
        """Rows by module.

        Returns
        -------
        list of dict
            ``module``, ``instances``, ``area_um2`` of one with all in it; ``own_um2``, ``register_um2`` and ``cells``
            of its own cells.
        """
        rows = []
        for name, times in self.instances_of.items():
            own = [
                self.library.cell(kind) for _cell, kind, _pins in self.modules[name].cells if kind not in self.modules
            ]
            rows.append({
                "module": name,
                "instances": times,
                "area_um2": self.area_um2(name),
                "own_um2": sum(cell.area_um2 for cell in own),
                "register_um2": sum(cell.area_um2 for cell in own if cell.kind == "flip-flop"),
                "cells": len(own),
            })  # fmt: skip
        return rows


def _module(name, content):
    numbers = {}

    def local(bit):
        if isinstance(bit, str):
            return _CONSTANTS[bit]
        return numbers.setdefault(bit, len(numbers) + 2)

    def located(entries):
        return {_plain(name): tuple(local(bit) for bit in bits) for name, bits in entries.items()}

    bits_of = located({port: entry["bits"] for port, entry in content["ports"].items()})
    ports = {_plain(port): (entry["direction"], bits_of[_plain(port)]) for port, entry in content["ports"].items()}
    cells = [
        (_plain(cell), entry["type"], located(entry["connections"]))
        for cell, entry in content["cells"].items()
        if entry["type"] != "$scopeinfo"
    ]
    names = {}
    public = {net: entry for net, entry in content["netnames"].items() if not entry.get("hide_name")}
    for net, entry in public.items():
        offset, upto, bits = entry.get("offset", 0), entry.get("upto", 0), entry["bits"]
        for place, bit in enumerate(bits):
            index = None if len(bits) == 1 and not offset else offset + (len(bits) - 1 - place if upto else place)
            if not isinstance(bit, str):
                names.setdefault(local(bit), []).append((_plain(net), index))
    return Module(name=name, ports=ports, cells=cells, names=names, size=len(numbers) + 2)


def _plain(name):
    """Yosys keeps the backslash of a Verilog name that looks like one of its own."""
    return name.removeprefix("\\")


class _Flattening:
    """Numbers the nets of the whole design; a net of a child that is a port is its parent's net."""

    def __init__(self, netlist):
        self.netlist, self.instances, self.parents, self.count = netlist, [], {}, 2
        self.templates = {name: _Template(module, netlist) for name, module in netlist.modules.items()}
        top = netlist.modules[netlist.top]
        self._place((), top, {})

    def _place(self, path, module, ports):
        if len(path) > len(self.netlist.modules):
            raise NetlistError(f"module {module.name} contains itself")
        if len(self.instances) >= _MAX_INSTANCES:
            raise NetlistError(f"the design has more than {_MAX_INSTANCES} module instances")
        nets = np.full(module.size, -1, np.int64)
        nets[ZERO], nets[ONE] = ZERO, ONE
        for port, outer in ports.items():
            for bit, net in zip(module.ports[port][1], outer, strict=True):
                if net >= 0 and nets[bit] < 0:
                    nets[bit] = net
                elif net >= 0:
                    self._join(net, int(nets[bit]))  # two ports are one net inside
        new = np.flatnonzero(nets < 0)
        nets[new] = self.count + np.arange(len(new))
        self.count += len(new)
        self.instances.append(Instance(path=path, module=module, nets=nets))
        for name, kind, pins in self.templates[module.name].children:
            child = self.netlist.modules[kind]
            for pin in pins:
                if pin not in child.ports or len(pins[pin]) != len(child.ports[pin][1]):
                    raise NetlistError(f"cell {name!r} connects pin {pin!r} in a way that module {kind} has not")
            self._place((*path, name), child, {pin: nets[list(bits)].tolist() for pin, bits in pins.items()})

    def _root(self, net):
        while net in self.parents:
            net = self.parents[net]
        return net

    def _join(self, first, second):
        first, second = sorted((self._root(first), self._root(second)))
        if first != second:
            self.parents[second] = first

    def result(self):
        root = np.arange(self.count)
        for net in self.parents:
            root[net] = self._root(net)
        instances = [
            Instance(path=instance.path, module=instance.module, nets=root[instance.nets])
            for instance in self.instances
        ]
        groups = {}
        for number, instance in enumerate(instances):
            nets = np.append(instance.nets, -1)  # an unconnected pin has bit -1
            for kind, (names, bits) in self.templates[instance.module.name].leaves.items():
                groups.setdefault(kind, []).append((number, names, nets[bits]))
        top = instances[0]
        return Flat(
            nets=self.count,
            instances=instances,
            groups=[self._group(kind, parts) for kind, parts in sorted(groups.items())],
            inputs={name: top.nets[list(bits)] for name, (way, bits) in top.module.ports.items() if way == "input"},
            outputs={name: top.nets[list(bits)] for name, (way, bits) in top.module.ports.items() if way == "output"},
        )

    def _group(self, kind, parts):
        cell = self.netlist.library.cell(kind)
        nets = np.concatenate([part for _number, _names, part in parts])
        return CellGroup(
            cell=cell,
            pins={pin: nets[:, place] for place, pin in enumerate((*cell.inputs, *cell.outputs))},
            instance=np.repeat(
                [number for number, _names, _nets in parts], [len(names) for _number, names, _nets in parts]
            ),
            names=[name for _number, names, _nets in parts for name in names],
        )


class _Template:
    """A module's cells, sorted into library cells (as arrays of bits) and children."""

    def __init__(self, module, netlist):
        self.children, leaves = [], {}
        for name, kind, pins in module.cells:
            if kind in netlist.modules:
                self.children.append((name, kind, pins))
                continue
            cell = netlist.library.cell(kind)
            order = (*cell.inputs, *cell.outputs)
            for pin, bits in pins.items():
                if pin not in order or len(bits) > 1:
                    raise NetlistError(f"cell {name!r} of type {kind} connects pin {pin!r}, which the library has not")
            names, rows = leaves.setdefault(kind, ([], []))
            names.append(name)
            rows.append([pins[pin][0] if pins.get(pin) else -1 for pin in order])
        self.leaves = {
            kind: (names, np.array(rows, np.int64).reshape(len(names), -1)) for kind, (names, rows) in leaves.items()
        }
