"""OpenSTA as a second opinion: timing and power of the same netlist with the same activity."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..hdl.tool import ToolError, run_tool

__all__ = ["OpenSTAResult", "find_opensta", "run_opensta"]

# What may be pasted into Tcl, within braces: names of ports, instances and pins.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(\[[0-9]+\])?(/[A-Za-z_][A-Za-z0-9_$]*(\[[0-9]+\])?)*")
_ROW = re.compile(r"^(Sequential|Combinational|Total)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class OpenSTAResult:
    """What OpenSTA says.

    Members
    -------
    period_ps : :class:`float`
        Smallest period of register-to-register paths: the clock period minus the worst slack.
    power_mw : dict of :class:`str` to dict
        ``sequential``, ``combinational`` and ``total``, each with ``internal``, ``switching``, ``leakage``, ``total``;
        empty without an activity. Nets driven by input ports, the clock's among them, are not in it.
    version : :class:`str`
    """

    period_ps: float
    power_mw: dict = field(repr=False)
    version: str


def find_opensta():
    """Path of the program ``sta``.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    path = shutil.which("sta")
    if path is None:
        raise ToolError("OpenSTA is missing: install the Debian package opensta")
    return path


def run_opensta(netlist, *, folder, period_ps, activity=None, timeout_s=600):
    """Run OpenSTA.

    Parameters
    ----------
    netlist : :class:`~carrysave.asic.netlist.Netlist`
    folder : path
        Gets the script and the log.
    period_ps : :class:`float`
        Clock period.
    activity : :class:`~carrysave.asic.activity.Activity`, optional
        Set on every pin; power is reported only with it.
    timeout_s : :class:`float`

    Returns
    -------
    :class:`OpenSTAResult`

    Raises
    ------
    ToolError
        If OpenSTA is missing, fails, or prints what cannot be read.
    """
    program, folder = find_opensta(), Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    version = run_tool([program, "-version"], log=folder / "version.log", timeout_s=60).strip()
    # This version of OpenSTA does not know signed ports.
    text = re.sub(r"\b(input|output|wire|reg) signed\b", r"\1", netlist.verilog.read_text())
    (folder / "netlist.v").write_text(text)
    for number, path in enumerate(netlist.library.paths):
        link = folder / f"cells{number}.lib"
        link.unlink(missing_ok=True)
        link.symlink_to(path)
    clock = _clock(netlist)
    commands = [
        *(f"read_liberty cells{number}.lib" for number in range(len(netlist.library.paths))),
        "read_verilog netlist.v",
        f"link_design {_checked(netlist.top)}",
        f"create_clock -name clock -period {period_ps / _time_unit_ps(netlist):.6f} [get_ports {{{_checked(clock)}}}]",
        "puts MARK-TIMING",
        "report_checks -path_delay max -digits 6",
        *(_activity_commands(netlist, activity) if activity else ()),
        "puts MARK-POWER",
        *(("report_power -digits 9",) if activity else ()),
        "exit",
    ]
    (folder / "script.tcl").write_text("\n".join(commands) + "\n")
    log = run_tool(
        [program, "-no_splash", "-exit", "script.tcl"], log=folder / "sta.log", timeout_s=timeout_s, cwd=folder
    )
    # Errors do not change OpenSTA's exit status.
    error = re.search(r"^Error.*", log, re.MULTILINE)
    slack = re.search(r"MARK-TIMING.*?([-\d.]+)\s+slack", log, re.DOTALL)
    if error or not slack or "MARK-POWER" not in log:
        raise ToolError(f"sta failed: {error.group() if error else 'no slack reported'} (log: {folder / 'sta.log'})")
    rows = {}
    for group, *numbers in _ROW.findall(log.split("MARK-POWER")[1]):
        keys = ("internal", "switching", "leakage", "total")
        rows[group.lower()] = {key: float(number) * 1e3 for key, number in zip(keys, numbers, strict=True)}
    if activity and set(rows) != {"sequential", "combinational", "total"}:
        raise ToolError(f"sta reported no power (log: {folder / 'sta.log'})")
    return OpenSTAResult(
        period_ps=period_ps - float(slack.group(1)) * _time_unit_ps(netlist),
        power_mw=rows,
        version=f"OpenSTA {version}",
    )


def _checked(name):
    if not _NAME.fullmatch(name):
        raise ToolError(f"the name {name!r} cannot be given to OpenSTA safely")
    return name


def _time_unit_ps(netlist):
    """OpenSTA takes times in the unit of the first library it reads."""
    return netlist.library.time_unit_ps


def _clock(netlist):
    flat = netlist.flat
    for group in flat.groups:
        if group.cell.kind == "flip-flop":
            net = group.pins[group.cell.clock_pin][0]
            return next((name for name, nets in flat.inputs.items() if net in nets), "")
    raise ToolError("OpenSTA needs a clocked netlist; this one has no flip-flop")


def _activity_commands(netlist, activity):
    # The commands below `set_power_activity`, whose option -pins is broken in Debian's version.
    flat = netlist.flat
    prefixes = ["".join(f"{part}/" for part in instance.path) for instance in flat.instances]
    rate = activity.toggles / activity.cycles
    for name, nets in flat.inputs.items():
        for index, net in enumerate(nets):
            port = _checked(name if len(nets) == 1 else f"{name}[{index}]")
            yield f"sta::set_power_input_port_activity [get_ports {{{port}}}] {_values(rate, activity, net)}"
    for group in flat.groups:
        for pin, nets in group.pins.items():
            for place in np.flatnonzero(nets >= 0):
                path = _checked(f"{prefixes[group.instance[place]]}{group.names[place]}/{pin}")
                yield f"sta::set_power_pin_activity [get_pins {{{path}}}] {_values(rate, activity, nets[place])}"


def _values(rate, activity, net):
    return f"{rate[net]:.6f} {activity.ones[net]:.6f}"
