"""Energy of a mapped netlist from the switching activity of its own simulation; defined in ``docs/asic.md``."""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .boolean import expression
from .lookup import TableBank
from .timing import analyse

__all__ = ["GROUPS", "Power", "power"]

GROUPS = ("registers", "combinational", "clock", "inputs")
"""Where dynamic energy goes: flip-flops without their clock pins and the nets they drive; all other cells and the nets
they drive; clock pins and the clock net; nets driven from outside."""


@dataclass(frozen=True, kw_only=True)
class Power:
    """Result of :func:`power`; energies in fJ for one clock cycle, averaged over the simulation.

    Members
    -------
    cycles : :class:`float`
        Clock cycles the activity covers.
    internal_fj, switching_fj : dict of :class:`str` to :class:`float`
        By :data:`GROUPS`: energy within the cells, and energy of charging nets.
    leakage_nw : :class:`float`
        Leakage power.
    by_module : dict of :class:`str` to :class:`float`
        Dynamic energy by module, all its instances together, without those of modules within it. Clock and nets driven
        from outside belong to the module whose cells they load.
    by_cell : dict of :class:`str` to :class:`float`
        Dynamic energy by type of the driving cell; ``"(inputs)"`` for nets driven from outside.
    leakage_by_module : dict of :class:`str` to :class:`float`
        nW.
    voltage_v : :class:`float`
    wire_model : :class:`str`
    """

    cycles: float
    internal_fj: dict
    switching_fj: dict
    leakage_nw: float
    by_module: dict = field(repr=False)
    by_cell: dict = field(repr=False)
    leakage_by_module: dict = field(repr=False)
    voltage_v: float
    wire_model: str

    @cached_property
    def dynamic_fj(self):
        """Dynamic energy of one cycle."""
        return sum(self.internal_fj.values()) + sum(self.switching_fj.values())

    @cached_property
    def groups_fj(self):
        """Dynamic energy of one cycle by group, internal and switching together."""
        return {name: self.internal_fj[name] + self.switching_fj[name] for name in GROUPS}

    def leakage_fj(self, period_ps):
        """Energy that leaks in one cycle of that length."""
        return self.leakage_nw * period_ps * 1e-6  # nW ps = 1e-21 J

    def energy_fj(self, period_ps):
        """Energy of one cycle of that length, leakage included."""
        return self.dynamic_fj + self.leakage_fj(period_ps)

    def power_mw(self, period_ps):
        """Power at that clock period."""
        return self.energy_fj(period_ps) / period_ps  # fJ/ps = mW


def power(netlist, activity, *, timing=None):
    """Energy of a netlist.

    Parameters
    ----------
    netlist : :class:`~carrysave.asic.netlist.Netlist`
    activity : :class:`~carrysave.asic.activity.Activity`
        Of the same netlist.
    timing : :class:`~carrysave.asic.timing.Timing`, optional
        Where slews and loads come from; by default :func:`~carrysave.asic.timing.analyse` of the netlist.

    Returns
    -------
    :class:`Power`
    """
    return _Accounting(netlist, activity, timing or analyse(netlist)).result()


class _Accounting:
    def __init__(self, netlist, activity, timing):
        self.netlist, self.activity, self.timing = netlist, activity, timing
        self.flat, self.bank = netlist.flat, TableBank("slew", "load")
        self.voltage_v = netlist.library.voltage_v
        self.rate = activity.toggles / activity.cycles
        self.internal = dict.fromkeys(GROUPS, 0.0)
        self.switching = dict.fromkeys(GROUPS, 0.0)
        self.by_module, self.by_cell = defaultdict(float), defaultdict(float)
        self.leakage_by_module = defaultdict(float)
        modules = [instance.module.name for instance in self.flat.instances]
        self.module_names = sorted(set(modules))
        self.module_of = np.array([self.module_names.index(name) for name in modules])

    def result(self):
        for group in self.flat.groups:
            self._add_group(_Cells(group, self.activity.ones, self.rate, self.activity.cycles))
        self._add_outside()
        return Power(
            cycles=self.activity.cycles,
            internal_fj=self.internal,
            switching_fj=self.switching,
            leakage_nw=sum(self.leakage_by_module.values()),
            by_module=dict(self.by_module),
            by_cell=dict(sorted(self.by_cell.items())),
            leakage_by_module=dict(self.leakage_by_module),
            voltage_v=self.voltage_v,
            wire_model=self.timing.wire_model,
        )

    def _book(self, place, name, cells, energy, cell=None):
        place[name] += float(energy.sum())
        self.by_cell[cell or cells.cell.name] += float(energy.sum())
        self._by_module(self.by_module, cells.group.instance, energy)

    def _by_module(self, where, instances, amounts):
        sums = np.bincount(self.module_of[instances], amounts, len(self.module_names))
        for name, amount in zip(self.module_names, sums.tolist(), strict=True):
            where[name] += amount

    def _add_group(self, cells):
        cell, register = cells.cell, cells.cell.kind == "flip-flop"
        home = "registers" if register else "combinational"
        for name in cell.outputs:
            rate = cells.output_rate(name)
            self._book(self.internal, home, cells, rate * self._output_energy(cells, name))
            nets = cells.group.pins[name]
            charge = np.where(nets >= 0, self.timing.load_ff[nets].mean(axis=1), 0.0)
            self._book(self.switching, home, cells, rate * charge * self.voltage_v**2 / 2)
        for name in cell.inputs:
            place = "clock" if register and name == cell.clock_pin else home
            self._book(self.internal, place, cells, cells.rate[name] * self._input_energy(cells, name))
        self._by_module(self.leakage_by_module, cells.group.instance, cells.leakage_nw())

    def _output_energy(self, cells, name):
        """Internal energy of one transition of an output, averaged over what may have caused it."""
        entries = cells.cell.pins[name].power
        total, weights = np.zeros(cells.size), np.zeros(cells.size)
        flat_total = np.zeros(cells.size)
        for entry in entries:
            weight = cells.cause(name, entry)
            energy = self._energy(cells, entry, name)
            total += weight * energy
            weights += weight
            flat_total += energy / len(entries)
        return np.where(weights > 0, total / np.where(weights > 0, weights, 1.0), flat_total)

    def _input_energy(self, cells, name):
        """Internal energy of one transition of an input that does not show at an output."""
        total = np.zeros(cells.size)
        for entry in cells.cell.pins[name].power:
            total += cells.probability(entry.when) * self._energy(cells, entry, name)
        return total

    def _energy(self, cells, entry, pin):
        """Mean of the energies of both edges."""
        related = entry.related if entry.related in cells.group.pins else pin
        slew = self._at(cells, related, self.timing.slew_ps)
        load = self._at(cells, pin, self.timing.load_ff)
        if cells.inverts(related, pin):
            slew = slew[:, ::-1]
        total = np.zeros(cells.size)
        for edge, name in enumerate(("rise_power", "fall_power")):
            table = entry.tables.get(name, entry.tables.get("power"))
            if table is not None:
                number = np.full(cells.size, self.bank.add(table))
                total += self.bank.look_up(number, slew[:, edge], load[:, edge]) / 2
        return total

    @staticmethod
    def _at(cells, pin, values):
        nets = cells.group.pins[pin]
        return np.where((nets >= 0)[:, None], values[nets], 0.0)

    def _add_outside(self):
        """Nets driven by input ports, the clock's among them; booked where their loads are, by capacitance."""
        outside = np.zeros(self.flat.nets, bool)
        clock = np.zeros(self.flat.nets, bool)
        for name, nets in self.flat.inputs.items():
            outside[nets] = True
            if name == self.timing.clock:
                clock[nets] = True
        factor = self.rate * self.voltage_v**2 / 2
        fanout = np.zeros(self.flat.nets)
        for group in self.flat.groups:
            for name in group.cell.inputs:
                np.add.at(fanout, group.pins[name][group.pins[name] >= 0], 1)
        share = np.divide(self.timing.wire_ff, fanout, out=np.zeros(self.flat.nets), where=fanout > 0)
        for group in self.flat.groups:
            for name in group.cell.inputs:
                nets = group.pins[name]
                charge = group.cell.pins[name].capacitance_ff + share[nets]
                energy = np.where((nets >= 0) & outside[nets], charge * factor[nets], 0.0)
                for place, chosen in (("clock", clock[nets]), ("inputs", ~clock[nets])):
                    self.switching[place] += float(energy[chosen].sum())
                self.by_cell["(inputs)"] += float(energy.sum())
                self._by_module(self.by_module, group.instance, energy)


class _Cells:
    """All cells of one type, with the probabilities and rates of their pins."""

    def __init__(self, group, ones, rate, cycles):
        self.group, self.cell, self.size = group, group.cell, len(group.names)
        self.ones = {name: np.where(nets >= 0, ones[nets], 0.0) for name, nets in group.pins.items()}
        self.rate = {name: np.where(nets >= 0, rate[nets], 0.0) for name, nets in group.pins.items()}
        self.register = self.cell.kind == "flip-flop"
        if self.register:
            self._register_state()

    def _register_state(self):
        """Probability of the state, its rate, and of each pair of data and state.

        Data and state of a flip-flop are not independent: they differ in just those cycles in which it will switch.
        """
        self.state_rate, self.state = np.zeros(self.size), np.zeros(self.size)
        for name in self.cell.outputs:
            connected = self.group.pins[name] >= 0
            inverted = self._inverted_state(name)
            self.state = np.where(connected, 1 - self.ones[name] if inverted else self.ones[name], self.state)
            self.state_rate = np.where(connected, self.rate[name], self.state_rate)
        data = self.cell.next_state.strip("() ")
        self.data = data if data in self.cell.inputs else None
        if self.data:
            one, differ = self.ones[self.data], np.minimum(self.state_rate, 1.0)
            only_data = np.clip((differ + one - self.state) / 2, 0, 1)
            only_state = np.clip((differ - one + self.state) / 2, 0, 1)
            both = np.clip(one - only_data, 0, 1)
            neither = np.clip(1 - only_data - only_state - both, 0, 1)
            self.pairs = {(0, 0): neither, (1, 0): only_data, (0, 1): only_state, (1, 1): both}
        else:
            self.pairs = {(None, 0): 1 - self.state, (None, 1): self.state}

    def _inverted_state(self, name):
        table = expression(self.cell.pins[name].function)
        return len(self.cell.state) > 1 and (
            (table.names == (self.cell.state[1],) and bool(table.table[1]))
            or (table.names == (self.cell.state[0],) and not table.table[1])
        )

    def output_rate(self, name):
        """Toggles a cycle of an output, connected or not."""
        nets = self.group.pins[name]
        if (nets >= 0).all() or not self.cell.pins[name].function:
            return self.rate[name]
        if self.register:
            guess = self.state_rate
        else:
            function = expression(self.cell.pins[name].function)
            guess = sum((self.rate[pin] * self._sensitive(name, pin) for pin in function.names), np.zeros(self.size))
        return np.where(nets >= 0, self.rate[name], guess)

    def probability(self, when):
        """Probability of a state, 1 if the text is empty."""
        if not when:
            return np.ones(self.size)
        condition = expression(when)
        values = dict(self.ones)
        if not self.register:
            return condition.probability(values) + np.zeros(self.size)
        total = np.zeros(self.size)
        for (data, state), chance in self.pairs.items():
            if self.data:
                values[self.data] = np.full(self.size, float(data))
            for name in self.cell.outputs:
                values[name] = np.full(self.size, float(state != self._inverted_state(name)))
            total += chance * condition.probability(values)
        return total

    def _sensitive(self, output, pin):
        """Probability that an output follows (or inverts) a pin."""
        function = expression(self.cell.pins[output].function)
        if pin not in function.names:
            return np.zeros(self.size)
        others, table = function.difference(pin)
        total = np.zeros(self.size)
        for index in np.flatnonzero(table):
            term = np.ones(self.size)
            for place, name in enumerate(others):
                bit = index >> (len(others) - 1 - place) & 1
                term = term * (self.ones[name] if bit else 1 - self.ones[name])
            total += term
        return total

    def cause(self, output, entry):
        """Weight of an entry among those of its output."""
        if self.register:
            return self.probability(entry.when)
        rate = self.rate.get(entry.related, np.ones(self.size))
        if entry.when:
            return rate * self.probability(entry.when)
        return (
            rate * self._sensitive(output, entry.related) if entry.related and self.cell.pins[output].function else rate
        )

    def inverts(self, related, pin):
        return any(arc.related == related and arc.sense == "negative_unate" for arc in self.cell.pins[pin].arcs)

    def leakage_nw(self):
        """Leakage of each cell: by state where the library has it, the rest of the time the cell's mean."""
        total, covered = np.zeros(self.size), np.zeros(self.size)
        for when, value in self.cell.leakage_when:
            if when:
                chance = self.probability(when)
                total += chance * value
                covered += chance
        default = self.cell.leakage_nw or next((value for when, value in self.cell.leakage_when if not when), 0.0)
        return total + np.clip(1 - covered, 0, 1) * default
