"""Static timing of a mapped netlist: NLDM tables, rise and fall apart, one ideal clock, worst case over all states.

What is computed, and what is left out, is defined in ``docs/asic.md``.
"""

import itertools
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..models.errors import CarrysaveError
from .liberty import WireLoad
from .lookup import TableBank
from .netlist import Netlist

__all__ = ["PathPoint", "Timing", "TimingError", "analyse", "net_loads"]

_RISE, _FALL = 0, 1
_FROM_REGISTER, _FROM_INPUT = 0, 1
_NAMES = (("cell_rise", "rise_transition"), ("cell_fall", "fall_transition"))


class TimingError(CarrysaveError, ValueError):
    """Timing cannot be analysed: a combinational loop, a latch, a second clock, ..."""


@dataclass(frozen=True, kw_only=True)
class PathPoint:
    """One step of a critical path; times in ps, ``edge`` is ``"rise"`` or ``"fall"``."""

    net: str
    edge: str
    cell: str
    arrival_ps: float
    load_ff: float


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Result of :func:`analyse`.

    Members
    -------
    register_ps : :class:`float`
        Longest register-to-register path: clock-to-q, logic, set-up; 0 if there is none.
    input_ps : :class:`float`
        Longest path from an input to a register, set-up included.
    output_ps : :class:`float`
        Longest path from a register to an output, clock-to-q included.
    through_ps : :class:`float`
        Longest path from an input to an output.
    slew_ps : array
        Slew of each net, rise and fall.
    load_ff : array
        Load of each net in fF, pins and wire, rise and fall.
    wire_ff : array
        The wire's part of it.
    wire_model : :class:`str`
    clock : :class:`str` or None
        Name of the clock port.
    critical_path : list of :class:`PathPoint`
        The longest register-to-register path.
    """

    register_ps: float
    input_ps: float
    output_ps: float
    through_ps: float
    slew_ps: np.ndarray = field(repr=False)
    load_ff: np.ndarray = field(repr=False)
    wire_ff: np.ndarray = field(repr=False)
    wire_model: str
    clock: str | None
    critical_path: list = field(repr=False)

    @cached_property
    def period_ps(self):
        """Smallest clock period: register to register; where there is no such path, the longest path of any kind."""
        return self.register_ps or max(self.input_ps, self.output_ps, self.through_ps)


@dataclass(kw_only=True)
class _Edges:
    """Timing arcs as arrays; a node is ``2 * net + edge``."""

    source: np.ndarray
    target: np.ndarray
    delay: np.ndarray
    slew: np.ndarray
    group: np.ndarray
    launch: np.ndarray


def net_loads(netlist, *, wire_load="library", output_load_ff=0.0):
    """Load of every net.

    Parameters
    ----------
    netlist : :class:`~carrysave.asic.netlist.Netlist`
    wire_load : ``"library"``, ``None`` or :class:`~carrysave.asic.liberty.WireLoad`
        The library's default model (none where it has none), no wires, or a model of the caller's.
    output_load_ff : :class:`float`
        What hangs on each output port.

    Returns
    -------
    tuple
        Load in fF, array of shape (nets, 2): rise, fall; the wire's part of it, array of nets; name of the model.
    """
    flat = netlist.flat
    load, fanout = np.zeros((flat.nets, 2)), np.zeros(flat.nets, np.int64)
    for group in flat.groups:
        for name in group.cell.inputs:
            pin, nets = group.cell.pins[name], group.pins[name]
            count = np.bincount(nets[nets >= 0], minlength=flat.nets)
            load[:, _RISE] += count * pin.rise_capacitance_ff
            load[:, _FALL] += count * pin.fall_capacitance_ff
            fanout += count
    for nets in flat.outputs.values():
        count = np.bincount(nets, minlength=flat.nets)
        load += count[:, None] * output_load_ff
        fanout += count
    model = netlist.library.wire_load if wire_load == "library" else wire_load
    wire = np.zeros(flat.nets)
    if model is not None:
        if not isinstance(model, WireLoad):
            raise TimingError(f'wire_load must be "library", None or a WireLoad, not {wire_load!r}')
        wire = model.capacitance(fanout)
    wire[:2] = 0.0
    load[:2] = 0.0
    return load + wire[:, None], wire, f"wire load {model.name!r} by fanout" if model else "no wires"


def analyse(netlist, *, wire_load="library", input_slew_ps=0.0, output_load_ff=0.0, clock_slew_ps=0.0):
    """Static timing analysis, latest arrivals.

    Parameters
    ----------
    netlist : :class:`~carrysave.asic.netlist.Netlist`
    wire_load : ``"library"``, ``None`` or :class:`~carrysave.asic.liberty.WireLoad`
        See :func:`net_loads`.
    input_slew_ps, clock_slew_ps : :class:`float`
        Slews at input ports and at clock pins.
    output_load_ff : :class:`float`
        Load of each output port.

    Returns
    -------
    :class:`Timing`

    Raises
    ------
    TimingError
        For a combinational loop, a latch or clock gate, a gated or second clock, several drivers on a net, or a cell
        without tables: names the culprit.
    """
    if not isinstance(netlist, Netlist):
        raise TimingError(f"netlist must be a Netlist, not {netlist!r}")
    flat = netlist.flat
    load, wire, model = net_loads(netlist, wire_load=wire_load, output_load_ff=output_load_ff)
    clock_net, clock = _clock(netlist)
    _check_drivers(netlist)
    bank = TableBank("slew", "load")
    edges = _edges(netlist, bank)
    level = _levels(netlist, edges)

    arrival = np.full((2 * flat.nets, 2), -np.inf)
    slew = np.zeros(2 * flat.nets)
    for nets in flat.inputs.values():
        nodes = np.concatenate([2 * nets, 2 * nets + 1])
        arrival[nodes, _FROM_INPUT] = 0.0
        slew[nodes] = input_slew_ps
    if clock_net is not None:
        nodes = [2 * clock_net, 2 * clock_net + 1]
        arrival[nodes] = -np.inf
        slew[nodes] = clock_slew_ps
    load_of_node = load.reshape(-1)
    order = np.argsort(level, kind="stable")
    bounds = np.searchsorted(level[order], np.arange(level.max(initial=0) + 2))
    for start, end in itertools.pairwise(bounds):
        now = order[start:end]
        if not len(now):
            continue
        source, target = edges.source[now], edges.target[now]
        delay = bank.look_up(edges.delay[now], slew[source], load_of_node[target])
        then = arrival[source].copy()
        launch = edges.launch[now]
        then[launch] = [0.0, -np.inf]  # the clock edge
        np.maximum.at(arrival, target, then + delay[:, None])
        np.maximum.at(slew, target, bank.look_up(edges.slew[now], slew[source], load_of_node[target]))
    slew = np.maximum(slew, 0.0)

    setup, ends = _setup(netlist, slew, clock_slew_ps)
    at_registers = arrival[ends] + setup[:, None] if len(ends) else np.zeros((0, 2))
    out_nets = np.concatenate([*flat.outputs.values(), np.zeros(0, np.int64)]).astype(np.int64)
    at_outputs = arrival[np.concatenate([2 * out_nets, 2 * out_nets + 1])]

    def worst(times, start):
        return max(0.0, float(times[:, start].max(initial=0.0)))

    path = []
    if len(ends) and np.isfinite(at_registers[:, _FROM_REGISTER]).any():
        end = int(np.argmax(at_registers[:, _FROM_REGISTER]))
        path = _trace(netlist, edges, bank, arrival[:, _FROM_REGISTER], slew, load_of_node, int(ends[end]))
    return Timing(
        register_ps=worst(at_registers, _FROM_REGISTER),
        input_ps=worst(at_registers, _FROM_INPUT),
        output_ps=worst(at_outputs, _FROM_REGISTER),
        through_ps=worst(at_outputs, _FROM_INPUT),
        slew_ps=slew.reshape(-1, 2),
        load_ff=load,
        wire_ff=wire,
        wire_model=model,
        clock=clock,
        critical_path=path,
    )


def _clock(netlist):
    """Net and port name of the one clock, or None twice."""
    flat, found = netlist.flat, {}
    for group in flat.groups:
        if group.cell.kind in ("latch", "clock gate"):
            raise TimingError(
                f"cell {group.names[0]} is a {group.cell.kind} ({group.cell.name}); these are not supported"
            )
        if group.cell.kind == "flip-flop":
            for net in np.unique(group.pins[group.cell.clock_pin]).tolist():
                found[net] = group.names[0]
    if not found:
        return None, None
    ports = {int(nets[0]): name for name, nets in flat.inputs.items() if len(nets) == 1}
    for net, name in found.items():
        if net not in ports:
            raise TimingError(
                f"the clock of flip-flop {name} is not an input port; gated and derived clocks are not supported"
            )
    if len(found) > 1:
        raise TimingError(f"the design has several clocks: {', '.join(sorted(ports[net] for net in found))}")
    net = next(iter(found))
    return net, ports[net]


def _check_drivers(netlist):
    flat = netlist.flat
    drivers = np.zeros(flat.nets, np.int64)
    for group in flat.groups:
        for name in group.cell.outputs:
            nets = group.pins[name]
            np.add.at(drivers, nets[nets >= 0], 1)
    for nets in flat.inputs.values():
        np.add.at(drivers, nets, 1)
    drivers[:2] += 1
    if (drivers > 1).any():
        net = int(np.argmax(drivers > 1))
        raise TimingError(
            f"net {flat.net_names[net]} has {int(drivers[net])} drivers; three-state buses are not supported"
        )


def _edges(netlist, bank):
    columns = {name: [] for name in ("source", "target", "delay", "slew", "group", "launch")}
    for number, group in enumerate(netlist.flat.groups):
        cell = group.cell
        for name in cell.outputs:
            targets = group.pins[name]
            if not (targets >= 0).any():
                continue
            arcs = [arc for arc in cell.pins[name].arcs if _is_delay(cell, arc)]
            if not arcs and cell.inputs:
                raise TimingError(f"cell {cell.name} has no timing tables for its output {name}")
            for arc in arcs:
                if arc.related not in group.pins:
                    raise TimingError(f"cell {cell.name} has a timing arc from {arc.related!r}, which is no input")
                sources = group.pins[arc.related]
                used = (targets >= 0) & (sources > 1)  # a constant input never switches
                if not used.any():
                    continue
                launch = cell.kind == "flip-flop" and arc.related == cell.clock_pin
                for out, (delay_name, slew_name) in enumerate(_NAMES):
                    if delay_name not in arc.tables or slew_name not in arc.tables:
                        continue
                    delay, slew = bank.add(arc.tables[delay_name]), bank.add(arc.tables[slew_name])
                    for came in _causes(arc, out, launch):
                        size = int(used.sum())
                        columns["source"].append(2 * sources[used] + came)
                        columns["target"].append(2 * targets[used] + out)
                        for column, value in (("delay", delay), ("slew", slew), ("group", number), ("launch", launch)):
                            columns[column].append(np.full(size, value))
    return _Edges(**{
        name: np.concatenate(parts) if parts else np.zeros(0, bool if name == "launch" else np.int64)
        for name, parts in columns.items()
    })  # fmt: skip


def _is_delay(cell, arc):
    if cell.kind == "flip-flop":
        return arc.related == cell.clock_pin and arc.kind == "rising_edge"
    return arc.kind.startswith("combinational") or arc.kind == "three_state_enable"


def _causes(arc, out, launch):
    """Input edges that can cause an output edge."""
    if launch:
        return (_RISE,)
    return {"positive_unate": (out,), "negative_unate": (1 - out,)}.get(arc.sense, (_RISE, _FALL))


def _levels(netlist, edges):
    """Level of each edge; those of one level do not depend on each other."""
    nodes = 2 * netlist.flat.nets
    waiting = np.bincount(edges.target, minlength=nodes)
    order = np.argsort(edges.source, kind="stable")
    starts = np.searchsorted(edges.source[order], np.arange(nodes + 1))
    node_level = np.zeros(nodes, np.int64)
    ready = np.flatnonzero(waiting == 0)
    done, level = 0, 0
    while len(ready):
        done += len(ready)
        node_level[ready] = level
        counts = starts[ready + 1] - starts[ready]
        first = np.repeat(starts[ready] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        targets = edges.target[order[first + np.arange(counts.sum())]]
        np.subtract.at(waiting, targets, 1)
        ready = np.unique(targets[waiting[targets] == 0])
        level += 1
    if done < nodes:
        raise TimingError(f"there is a combinational loop through net {_net_in_loop(netlist, edges, waiting > 0)}")
    return node_level[edges.target]


def _net_in_loop(netlist, edges, stuck):
    """A net that is in the loop, not only behind it: going back from a stuck node along stuck nodes ends up in one."""
    inside = stuck[edges.source] & stuck[edges.target]
    before = dict(zip(edges.target[inside].tolist(), edges.source[inside].tolist(), strict=True))
    node, seen = next(iter(before)), set()
    while node not in seen:
        seen.add(node)
        node = before[node]
    return netlist.flat.net_names[node // 2]


def _setup(netlist, slew, clock_slew_ps):
    """Set-up times and the nodes they apply to."""
    bank, parts = TableBank("slew", "related"), []
    for group in netlist.flat.groups:
        if group.cell.kind != "flip-flop":
            continue
        for name in group.cell.inputs:
            nets = group.pins[name][group.pins[name] > 1]
            for arc in group.cell.pins[name].arcs:
                if arc.kind != "setup_rising" or arc.related != group.cell.clock_pin or not len(nets):
                    continue
                for edge, table in enumerate(("rise_constraint", "fall_constraint")):
                    if table in arc.tables:
                        parts.append((np.full(len(nets), bank.add(arc.tables[table])), 2 * nets + edge))
    if not parts:
        return np.zeros(0), np.zeros(0, np.int64)
    tables, nodes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return bank.look_up(tables, slew[nodes], np.full(len(nodes), clock_slew_ps)), nodes


def _trace(netlist, edges, bank, arrival, slew, load, node):
    """Points of the path to a node, first to last."""
    flat, points = netlist.flat, []
    for _step in range(len(edges.source) + 1):
        into = np.flatnonzero(edges.target == node)
        if not len(into):
            break
        source = edges.source[into]
        then = np.where(edges.launch[into], 0.0, arrival[source])
        times = then + bank.look_up(edges.delay[into], slew[source], load[np.full(len(into), node)])
        best = int(np.argmax(times))
        points.append(
            PathPoint(
                net=flat.net_names[node // 2],
                edge=("rise", "fall")[node % 2],
                cell=flat.groups[edges.group[into[best]]].cell.name,
                arrival_ps=float(arrival[node]),
                load_ff=float(load[node]),
            )
        )
        if edges.launch[into[best]]:
            break
        node = int(source[best])
    return points[::-1]
