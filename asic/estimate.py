"""What a configuration costs: one call from configuration and workload to area, clock and energy, with provenance."""

from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from .. import __version__
from ..hdl.catalogue import design
from ..hdl.verilog import module_name, verilog
from ..models.errors import CarrysaveError
from ..sim.player import play
from ..sim.store import digest
from .activity import Activity
from .gates import play_gates
from .liberty import default_library
from .power import Power, power
from .synthesis import ABC_SCRIPTS, FRONT_ENDS, RECIPES, read_netlist, synthesise
from .timing import analyse

__all__ = ["SCHEMA", "Energy", "EnergyError", "Recorded", "energy", "map_design", "report"]

SCHEMA = "carrysave-report/1"
"""Name and version of the schema of :func:`report`; ``docs/asic.md`` documents it."""

DEFAULT_PERIOD_PS = 1000.0


class EnergyError(CarrysaveError, RuntimeError):
    """A netlist does not do what the golden model says, so that nobody should believe its energy."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Switching activity from elsewhere: the SAIF file of a simulation of the very netlist that is reported on.

    Parameters
    ----------
    saif : path
    macs : :class:`int`
        Multiply-accumulates that the simulation did.
    cycles : :class:`float`, optional
        Clock cycles it covers; by default half of the clock's toggles.
    source : :class:`str`
        What was simulated, for the report.
    """

    saif: Path
    macs: int
    cycles: float | None = None
    source: str = "SAIF file of the caller"


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of a workload on a netlist.

    Members
    -------
    power : :class:`~carrysave.asic.power.Power`
    macs : :class:`int`
        Multiply-accumulates of the workload.
    beats, outputs : :class:`int`
        Input beats played and output beats that equalled the golden model's; None with activity from elsewhere.
    source : :class:`str`
        Where the activity comes from.
    """

    power: Power
    macs: int
    beats: int | None
    outputs: int | None
    source: str
    activity: Activity = field(repr=False)

    def energy_per_mac_fj(self, period_ps):
        """Energy of one multiply-accumulate at that clock period, leakage included, idle cycles shared out."""
        return self.power.energy_fj(period_ps) * self.power.cycles / self.macs


def map_design(config, *, store, library=None, period_ps=DEFAULT_PERIOD_PS, recipes=RECIPES):
    """Netlist of a configuration, synthesised or from the store.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    store : :class:`~carrysave.sim.store.Store`
    library : :class:`~carrysave.asic.liberty.Library`, optional
        By default the NanGate 45 nm library.
    period_ps : :class:`float`
        Clock period to meet.
    recipes : iterable of :class:`~carrysave.asic.synthesis.Recipe`

    Returns
    -------
    :class:`~carrysave.asic.netlist.Netlist`
    """
    library, recipes = library or default_library(), tuple(recipes)
    text, top = verilog(config), module_name(config.design)
    key = [text, library.sha256, period_ps, [repr(recipe) for recipe in recipes]]
    key += [FRONT_ENDS, ABC_SCRIPTS, version("pyosys"), __version__]

    def make(folder):
        synthesise(text, top, library=library, target_ps=period_ps, folder=folder, recipes=recipes)

    # Several periods and libraries of one configuration are kept side by side.
    return read_netlist(store.step(config, f"asic/mapped-{digest(key)[:10]}", key, make), library=library)


def energy(config, beats, netlist, *, store, timing=None, simulator="gates"):
    """Play a workload through the netlist, check every output against the golden model, and account for its energy.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    beats : array of ``config.i.dtype``
        The workload, or a sample of it.
    netlist : :class:`~carrysave.asic.netlist.Netlist`
        Of that configuration.
    store : :class:`~carrysave.sim.store.Store`
    timing : :class:`~carrysave.asic.timing.Timing`, optional
        Of the netlist, if it is known already.
    simulator : ``"gates"`` or ``"verilator"``
        :func:`carrysave.asic.gates.play_gates`, which needs no compiler, or :func:`carrysave.sim.player.play`.
        Both count the same toggles; long workloads of small designs are faster with the latter.

    Returns
    -------
    :class:`Energy`

    Raises
    ------
    EnergyError, SimulationError
        If an output differs: names the first.
    """
    macs = design(config.design).macs(config, beats)
    if simulator == "gates":
        run = play_gates(config, beats, netlist, store=store)
        return Energy(
            power=power(netlist, run.activity, timing=timing),
            macs=macs,
            beats=run.beats,
            outputs=run.outputs,
            source=run.activity.source,
            activity=run.activity,
        )
    if simulator != "verilator":
        raise EnergyError(f"simulator must be gates or verilator, not {simulator!r}")
    sources = [netlist.verilog.read_text(), netlist.cell_models.read_text()]
    played = play(config, beats, store=store, sources=sources, saif=True)
    if not played.passed:
        raise EnergyError(f"the netlist of {config.design} fails against the golden model: {played.first_mismatch}")
    activity = Activity.from_saif(played.saif, netlist)
    return Energy(
        power=power(netlist, activity, timing=timing),
        macs=macs,
        beats=len(beats),
        outputs=len(played.outputs),
        source=f"gate-level simulation without delays, {len(beats)} beats checked against the golden model",
        activity=activity,
    )


def report(config, *, store, library=None, period_ps=None, beats=None, activity=None, recipes=RECIPES):
    """Area, clock and energy of a configuration.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    store : :class:`~carrysave.sim.store.Store`
    library : :class:`~carrysave.asic.liberty.Library`, optional
        By default the NanGate 45 nm library.
    period_ps : :class:`float`, optional
        Clock period to meet, 1000 ps by default. Energy is given at this period, or at the netlist's own
        where that is longer.
    beats : array of ``config.i.dtype``, optional
        Workload to measure the energy of.
    activity : :class:`Recorded`, optional
        Activity from elsewhere, in place of ``beats``. With neither there is no energy in the report.
    recipes : iterable of :class:`~carrysave.asic.synthesis.Recipe`

    Returns
    -------
    dict
        As JSON takes it; schema :data:`SCHEMA`.
    """
    if beats is not None and activity is not None:
        raise EnergyError("give beats or activity, not both")
    library = library or default_library()
    target_ps = DEFAULT_PERIOD_PS if period_ps is None else float(period_ps)
    netlist = map_design(config, store=store, library=library, period_ps=target_ps, recipes=recipes)
    timing = analyse(netlist)
    spent = None
    if beats is not None:
        spent = energy(config, beats, netlist, store=store, timing=timing)
    elif activity is not None:
        spent = _recorded(activity, netlist, timing)
    clock_ps = max(target_ps, timing.period_ps)
    return {
        "schema": SCHEMA,
        "design": config.design,
        "configuration": config.to_mapping(),
        "digest": config.digest,
        "area": _area(netlist),
        "timing": _timing(timing, target_ps),
        "pe": _pe(config, netlist, spent, clock_ps),
        "energy": spent and _energy(spent, clock_ps),
        "provenance": {
            "carrysave": __version__,
            "library": {
                "name": library.name,
                "sha256": library.sha256,
                "corner": library.corner,
                "voltage_v": library.voltage_v,
                "temperature_c": library.temperature_c,
            },
            "synthesis": {
                "tool": f"Yosys with ABC (pyosys {netlist.provenance['yosys']})",
                "recipe": netlist.provenance["recipe"],
                "tries": netlist.provenance["tries"],
                "hierarchical": netlist.provenance["hierarchical"],
            },
            "timing": "carrysave static timing, ideal clock",
            "wires": timing.wire_model,
            "activity": spent.source if spent else None,
        },
        "files": {"netlist": str(netlist.verilog), "cell_models": str(netlist.cell_models)},
    }


def _recorded(recorded, netlist, timing):
    activity = Activity.from_saif(recorded.saif, netlist, cycles=recorded.cycles)
    return Energy(
        power=power(netlist, activity, timing=timing),
        macs=recorded.macs,
        beats=None,
        outputs=None,
        source=recorded.source,
        activity=activity,
    )


def _area(netlist):
    rows = netlist.area_report()
    return {
        "total_um2": netlist.area_um2(),
        "register_um2": sum(row["register_um2"] * row["instances"] for row in rows),
        "by_module": rows,
        "cells": netlist.cell_counts(),
    }


def _timing(timing, target_ps):
    return {
        "target_ps": target_ps,
        "period_ps": timing.period_ps,
        "met": timing.period_ps <= target_ps,
        "frequency_mhz": 1e6 / timing.period_ps,
        "register_ps": timing.register_ps,
        "input_ps": timing.input_ps,
        "output_ps": timing.output_ps,
        "through_ps": timing.through_ps,
        "critical_path": [vars(point) for point in timing.critical_path],
    }


def _pe(config, netlist, spent, clock_ps):
    """The processing element by itself: one instance's area, its own smallest period, its share of the energy."""
    name = design(config.design).pe(config)
    if name not in netlist.modules:
        return None
    instances = netlist.instances_of[name]
    figures = {
        "module": name,
        "instances": instances,
        "area_um2": netlist.area_um2(name),
        "period_ps": analyse(replace(netlist, top=name)).period_ps,
    }
    if spent:
        used = spent.power
        per_cycle = used.by_module[name] + used.leakage_by_module[name] * clock_ps * 1e-6
        figures["per_mac_fj"] = per_cycle * used.cycles / spent.macs
    return figures


def _energy(spent, clock_ps):
    used = spent.power
    return {
        "clock_ps": clock_ps,
        "cycles": used.cycles,
        "macs": spent.macs,
        "beats_checked": spent.beats,
        "outputs_checked": spent.outputs,
        "per_cycle_fj": used.energy_fj(clock_ps),
        "per_mac_fj": spent.energy_per_mac_fj(clock_ps),
        "power_mw": used.power_mw(clock_ps),
        "groups_fj": {**used.groups_fj, "leakage": used.leakage_fj(clock_ps)},
        "internal_fj": used.internal_fj,
        "switching_fj": used.switching_fj,
        "leakage_nw": used.leakage_nw,
        "by_module_fj": used.by_module,
        "by_cell_fj": used.by_cell,
    }
