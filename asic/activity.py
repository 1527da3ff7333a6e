"""Switching activity: SAIF, as simulators write it, to toggles of every net of a netlist."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..models.errors import CarrysaveError
from .netlist import ONE, ZERO

__all__ = ["Activity", "ActivityError", "read_saif"]


class ActivityError(CarrysaveError, ValueError):
    """A SAIF file is not one, or does not belong to the netlist."""


@dataclass(frozen=True, kw_only=True)
class Activity:
    """How often each net of a flat netlist switched.

    Members
    -------
    toggles : array
        Changes of each net over the whole simulation.
    ones : array
        Fraction of the time that each net was 1.
    cycles : :class:`float`
        Clock cycles simulated.
    source : :class:`str`
        Where it comes from.
    """

    toggles: np.ndarray = field(repr=False)
    ones: np.ndarray = field(repr=False)
    cycles: float
    source: str

    @classmethod
    def from_saif(cls, path, netlist, *, cycles=None, skip_cycles=0):
        """Activity of a netlist from the SAIF file of its simulation.

        Parameters
        ----------
        path : path
        netlist : :class:`~carrysave.asic.netlist.Netlist`
            The very netlist that was simulated; its top may be anywhere in the file's hierarchy.
        cycles : :class:`float`, optional
            Clock cycles; by default half of the toggles of the clock, or an error if the netlist has none.
        skip_cycles : :class:`float`
            Cycles, of reset say, that are not to count; their toggles are taken to be none.

        Raises
        ------
        ActivityError
            If the file is no SAIF, or lacks a net of the netlist.
        """
        scopes, duration = read_saif(path)
        flat = netlist.flat
        base = _find_top(scopes, netlist, path)
        toggles, ones = np.full(flat.nets, np.nan), np.full(flat.nets, np.nan)
        for instance in flat.instances:
            nets = scopes.get(base + instance.path)
            if nets is None:
                raise ActivityError(f"{path} has no instance {'/'.join(instance.path)}; was this netlist simulated?")
            for bit, aliases in instance.module.names.items():
                net = instance.nets[bit]
                for name, index in aliases:
                    found = nets.get(name if index is None else f"{name}[{index}]")
                    if found is not None:
                        ones[net], toggles[net] = found[0] / duration, found[1]
                        break
        toggles[[ZERO, ONE]], ones[[ZERO, ONE]] = 0.0, (0.0, 1.0)
        used = np.zeros(flat.nets, bool)
        for group in flat.groups:
            for nets in group.pins.values():
                used[nets[nets >= 0]] = True
        missing = np.flatnonzero(used & np.isnan(toggles))
        if len(missing):
            raise ActivityError(
                f"{path} lacks {len(missing)} of {int(used.sum())} nets, {flat.net_names[missing[0]]} for one; "
                "was this netlist simulated with all its nets traced?"
            )
        if cycles is None:
            cycles = _clock_cycles(netlist, toggles)
        if not cycles - skip_cycles > 0:
            raise ActivityError(
                f"{path} covers {cycles:g} cycles, of which {skip_cycles:g} do not count: nothing is left"
            )
        return cls(
            toggles=np.nan_to_num(toggles),
            ones=np.nan_to_num(ones),
            cycles=float(cycles - skip_cycles),
            source=Path(path).name,
        )


_NET = re.compile(
    r"\(\s*([^\s()]+)\s+\(T0\s+(\d+)\)\s*\(T1\s+(\d+)\)\s*(?:\(T[ZXB]\s+\d+\)\s*)*\(TC\s+(\d+)\)\s*(?:\(IG\s+\d+\)\s*)?\)"
)
_SCOPE = re.compile(r"\(\s*INSTANCE\s+(?:\"[^\"]*\"\s+)?([^\s()]+)|\(\s*NET\b|\(\s*PORT\b|\)")


def read_saif(path):
    """Read a SAIF file.

    Parameters
    ----------
    path : path

    Returns
    -------
    tuple
        Scopes, a dictionary of instance paths (tuples of names) to dictionaries of nets (``name`` or ``name[3]``) to
        (time at 1, toggles); and the duration in the same unit of time.

    Raises
    ------
    ActivityError
    """
    try:
        text = Path(path).read_text(errors="replace")
    except OSError as error:
        raise ActivityError(f"cannot read {path}: {error.strerror}") from None
    text = re.sub(r"//[^\n]*", "", text)
    duration = re.search(r"\(\s*DURATION\s+([\d.]+)\s*\)", text)
    if not re.match(r"\s*\(\s*SAIFILE\b", text) or not duration or not float(duration.group(1)) > 0:
        raise ActivityError(f"{path} is not a SAIF file with a duration")
    scopes, stack, path_now, position = {}, ["file"], [], duration.end()
    while True:
        # Entries of nets are by far the most; they are taken as a whole.
        net = _NET.match(text, _skip_space(text, position))
        if net:
            if not path_now:
                raise ActivityError(f"{path} has a net outside of an instance")
            name = net.group(1).replace("\\", "")
            scopes[tuple(path_now)][name] = float(net.group(3)), float(net.group(4))
            position = net.end()
            continue
        found = _SCOPE.search(text, position)
        if not found:
            break
        if found.group() == ")":
            if not stack:
                raise ActivityError(f"{path} has a parenthesis too many")
            if stack.pop() == "instance":
                path_now.pop()
        elif found.group(1):
            stack.append("instance")
            path_now.append(found.group(1).replace("\\", ""))
            scopes.setdefault(tuple(path_now), {})
        else:
            stack.append("list")
        position = found.end()
    if stack or not scopes:
        raise ActivityError(f"{path} is cut short or has no instance")
    return scopes, float(duration.group(1))


def _skip_space(text, position):
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _find_top(scopes, netlist, path):
    """Path of the scope that is the netlist's top: it has its children and most of its nets."""
    top = netlist.flat.instances[0]
    children = [instance.path for instance in netlist.flat.instances if len(instance.path) == 1]
    names = [
        name if index is None else f"{name}[{index}]" for bits in top.module.names.values() for name, index in bits
    ]
    best, most = None, 0
    for scope, nets in scopes.items():
        if all(scope + child in scopes for child in children):
            count = sum(name in nets for name in names)
            if count >= most and count:
                best, most = scope, count
    if best is None:
        raise ActivityError(f"{path} has no instance that looks like {netlist.top}; was this netlist simulated?")
    return best


def _clock_cycles(netlist, toggles):
    for group in netlist.flat.groups:
        if group.cell.kind == "flip-flop":
            return toggles[group.pins[group.cell.clock_pin][0]] / 2
    raise ActivityError("the netlist has no clock; say how many cycles were simulated")
