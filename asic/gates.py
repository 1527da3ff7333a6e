"""Gate-level simulation in NumPy: a netlist plays a workload, is checked against the golden model, its toggles counted.

No delays, two values, one settling a cycle: what :mod:`carrysave.sim.player` does with Verilator, without a C++
compiler, whose time for arrays of tens of thousands of cells is counted in minutes. All cells of one level are looked
up at once, and a workload of many reductions is cut into streams that run side by side.
"""

import itertools
import json
from dataclasses import dataclass, field

import numpy as np

from ..hdl.catalogue import design
from ..models.errors import CarrysaveError
from ..sim.store import digest
from .activity import Activity
from .boolean import expression

__all__ = ["GateRun", "GateSimulator", "SimulationError", "play_gates"]

_RESET_CYCLES = 8
_PATIENCE_CYCLES = 4096
_MAX_STREAMS = 64
_STREAM_BEATS = 256  # shorter streams would be mostly the filling and draining of pipelines


class SimulationError(CarrysaveError, RuntimeError):
    """A netlist cannot be simulated, or does not do what the golden model says."""


@dataclass(frozen=True, kw_only=True)
class GateRun:
    """Result of :func:`play_gates`: activity, and how much was checked on the way."""

    activity: Activity = field(repr=False)
    beats: int
    outputs: int
    streams: int


class GateSimulator:
    """A netlist of combinational cells and plain flip-flops, several independent copies at a time.

    Parameters
    ----------
    netlist : :class:`~carrysave.asic.netlist.Netlist`
    copies : :class:`int`

    Members
    -------
    values : array of ``uint8``, shape (nets, copies)
    """

    def __init__(self, netlist, copies):
        self.flat = netlist.flat
        self.values = np.zeros((self.flat.nets, copies), np.uint8)
        self.values[1] = 1
        self._tables, outputs, inputs, offsets = [], [], [], []
        self._registers = []
        for group in self.flat.groups:
            if group.cell.kind == "flip-flop":
                self._add_registers(group)
                continue
            for name in group.cell.outputs:
                self._check(group, name)
                function = expression(group.cell.pins[name].function)
                used = group.pins[name] >= 0
                outputs.append(group.pins[name][used])
                # padded with the constant 0, which adds nothing to an index
                pins = [np.maximum(group.pins[pin], 0)[used] for pin in reversed(function.names)]
                inputs.append(np.array([*pins, *[np.zeros(used.sum(), np.int64)] * (6 - len(pins))]))
                offsets.append(np.full(used.sum(), 64 * len(self._tables), np.int64))
                self._tables.append(np.resize(function.table, 64).astype(np.uint8))
        self._table = np.concatenate(self._tables) if self._tables else np.zeros(64, np.uint8)
        if outputs:
            self._levels = self._sort(np.concatenate(outputs), np.concatenate(inputs, axis=1), np.concatenate(offsets))
        else:
            self._levels = []

    @staticmethod
    def _check(group, name):
        pin = group.cell.pins[name]
        if group.cell.kind != "combinational" or pin.three_state or not pin.function:
            raise SimulationError(f"cell {group.names[0]} of type {group.cell.name} cannot be simulated")
        names = expression(pin.function).names
        if len(names) > 6 or not set(names) <= set(group.cell.inputs):
            raise SimulationError(f"the function of cell {group.cell.name} cannot be simulated")

    def _add_registers(self, group):
        cell = group.cell
        following = expression(cell.next_state)
        if not set(cell.inputs) <= {*following.names, cell.clock_pin} or not set(following.names) <= set(cell.inputs):
            raise SimulationError(f"flip-flop {cell.name} has more than a clock and data; it cannot be simulated")
        pins = np.array([np.maximum(group.pins[pin], 0) for pin in reversed(following.names)])
        inverse = {name: expression(cell.pins[name].function).names != cell.state[:1] for name in cell.outputs}
        self._registers.append(
            (following.table.astype(np.uint8), pins, [(group.pins[n], inverse[n]) for n in cell.outputs])
        )

    def _sort(self, outputs, inputs, offsets):
        level = np.zeros(self.flat.nets, np.int64)
        for _round in range(len(outputs) + 1):
            now = level[inputs].max(axis=0) + 1
            if (now == level[outputs]).all():
                break
            level[outputs] = now
            if _round > 4096:
                raise SimulationError("the netlist has a combinational loop, or is more than 4096 cells deep")
        order = np.argsort(level[outputs], kind="stable")
        bounds = np.flatnonzero(np.diff(level[outputs][order], prepend=-1, append=-1))
        levels = []
        for start, end in itertools.pairwise(bounds):
            chosen = order[start:end]
            # within a level by number of inputs, so that short functions are not looked up with six
            counts = (inputs[:, chosen] > 0).cumsum(axis=0).max(axis=0)
            depth = 6 - (inputs[::-1, chosen] > 0).argmax(axis=0)
            depth = np.where(counts > 0, depth, 1)
            for size in np.unique(depth):
                part = chosen[depth == size]
                levels.append((outputs[part], inputs[:size, part], offsets[part, None].astype(np.int32)))
        return levels

    def settle(self):
        """Let the combinational cells follow their inputs."""
        values = self.values
        for outputs, inputs, offsets in self._levels:
            index = values[inputs[0]]
            for place in range(1, len(inputs)):
                index |= values[inputs[place]] << place
            values[outputs] = self._table[offsets + index]

    def clock(self):
        """One rising edge: all flip-flops take their next state."""
        states = []
        for table, pins, _outputs in self._registers:
            index = self.values[pins[0]]
            for place in range(1, len(pins)):
                index |= self.values[pins[place]] << place
            states.append(table[index])
        for (_table, _pins, outputs), state in zip(self._registers, states, strict=True):
            for nets, inverse in outputs:
                used = nets >= 0
                self.values[nets[used]] = state[used] ^ np.uint8(inverse)


def play_gates(config, beats, netlist, *, store):
    """Play a workload through a netlist, check every output, count every toggle.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    beats : array of ``config.i.dtype``
    netlist : :class:`~carrysave.asic.netlist.Netlist`
        Of that configuration: a stream ``i`` and a stream ``o``, ``clk`` and ``rst``.
    store : :class:`~carrysave.sim.store.Store`
        Keeps the result.

    Returns
    -------
    :class:`GateRun`
        Activity from each stream's first accepted beat to its last output.

    Raises
    ------
    SimulationError
        If an output differs from the golden model's, or does not come.
    """
    if not len(beats):
        raise SimulationError("there are no beats to play")
    streams = _streams(config, beats)
    key = [netlist.verilog.read_text(), netlist.library.sha256, digest(config.i.pack(beats).tobytes()), len(streams)]

    def make(folder):
        player = _Player(config, netlist, streams)
        player.run()
        np.savez(folder / "activity.npz", toggles=player.toggles, ones=player.ones)
        (folder / "run.json").write_text(json.dumps({"cycles": int(player.cycles), "outputs": player.outputs}))

    folder = store.step(config, f"asic/gates-{digest(key)[:10]}", key, make)
    run = json.loads((folder / "run.json").read_text())
    with np.load(folder / "activity.npz", allow_pickle=False) as arrays:
        activity = Activity(
            toggles=arrays["toggles"],
            ones=arrays["ones"],
            cycles=float(run["cycles"]),
            source=f"gate-level simulation without delays, {len(beats)} beats checked against the golden model",
        )
    return GateRun(activity=activity, beats=len(beats), outputs=run["outputs"], streams=len(streams))


def _streams(config, beats):
    """Beats cut into streams, where a reduction ends."""
    count = min(_MAX_STREAMS, len(beats) // _STREAM_BEATS)
    if count < 2 or config.continuous or "last" not in beats.dtype.names:
        return [beats]
    ends = np.flatnonzero(beats["last"]) + 1
    wanted = np.arange(1, count) * len(beats) // count
    cuts = np.unique(ends[np.searchsorted(ends, wanted).clip(max=len(ends) - 1)]) if len(ends) else []
    return [part for part in np.split(beats, cuts) if len(part)]


class _Player:
    def __init__(self, config, netlist, streams):
        self.config, self.flat, self.streams = config, netlist.flat, streams
        self.simulator = GateSimulator(netlist, len(streams))
        self.inputs, self.outs = self.flat.inputs, self.flat.outputs
        self.lengths = np.array([len(stream) for stream in streams])
        self.bits = np.zeros((max(self.lengths), config.i.width, len(streams)), np.uint8)
        for place, stream in enumerate(streams):
            self.bits[: len(stream), :, place] = config.i.bits(stream)
        self.expected = [design(config.design).golden(config, stream) for stream in streams]
        self.wanted = np.array([len(part) for part in self.expected])
        self.toggles, self.ones = np.zeros(self.flat.nets), np.zeros(self.flat.nets)
        self.cycles, self.outputs = 0, int(self.wanted.sum())

    def run(self):
        simulator, values = self.simulator, self.simulator.values
        self._set("o__ready", 1)
        self._set("rst", 1)
        for _cycle in range(_RESET_CYCLES):
            simulator.settle()
            simulator.clock()
        self._set("rst", 0)
        columns = np.arange(len(self.streams))
        sent, received = np.zeros(len(columns), np.int64), np.zeros(len(columns), np.int64)
        got = np.zeros((max(self.wanted.max(), 1), self.config.o.width, len(columns)), np.uint8)
        before, started, idle = None, np.zeros(len(columns), bool), 0
        while ((received < self.wanted) | (sent < self.lengths)).any():
            sending = sent < self.lengths
            self._set("i__valid", sending)
            values[self.inputs["i__payload"]] = self.bits[np.minimum(sent, self.lengths - 1), :, columns].T
            simulator.settle()
            accepted = sending & (values[self.outs["i__ready"][0]] == 1)
            came = (values[self.outs["o__valid"][0]] == 1) & (received < self.wanted)
            got[received[came], :, columns[came]] = values[self.outs["o__payload"]][:, came].T
            running = started & ((received < self.wanted) | sending)
            if running.any():
                self.toggles += ((values != before) & running).sum(axis=1)
                self.ones += (values & running).sum(axis=1)
                self.cycles += int(running.sum())
            before = values.copy()
            started |= accepted
            sent += accepted
            received += came
            idle = 0 if accepted.any() or came.any() else idle + 1
            if idle > _PATIENCE_CYCLES:
                raise SimulationError(
                    f"the netlist of {self.config.design} hangs after {int(received.sum())} output beats"
                )
            simulator.clock()
        self._compare(got)
        clock = self.inputs["clk"]
        self.ones /= self.cycles
        self.toggles[clock], self.ones[clock] = 2.0 * self.cycles, 0.5

    def _set(self, name, value):
        self.simulator.values[self.inputs[name]] = value

    def _compare(self, got):
        for place, expected in enumerate(self.expected):
            wrong = np.flatnonzero((self.config.o.bits(expected) != got[: len(expected), :, place]).any(axis=1))
            if len(wrong):
                raise SimulationError(
                    f"the netlist of {self.config.design} fails against the golden model: output {int(wrong[0])} "
                    f"of stream {place} of {len(self.streams)} differs"
                )
