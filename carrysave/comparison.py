"""What all comparisons at one clock period have in common: how they synthesise, their limits, what they say of the library."""

from .asic.estimate import map_design
from .asic.synthesis import Recipe
from .asic.timing import analyse
from .models.errors import ConfigError

__all__ = [
    "OUT_OF_REACH_PS",
    "QUICK_RECIPES",
    "check_period",
    "energy_grown_fj",
    "is_row_buffer",
    "library_facts",
    "mapped_at",
    "modules_inside",
    "path_ps",
]

PERIODS_PS = (100.0, 1e6)
OUT_OF_REACH_PS = 100.0
"""A target period that gives the shortest one: no flip-flop with a gate behind it is that fast in the libraries here."""
QUICK_RECIPES = (Recipe(script="map"), Recipe(script="keep", effort=0.9))
"""Ways through synthesis, of which the best counts."""

_ROW_BUFFERS = ("distances", "elements", "exponentials", "factors", "maxima", "means", "results", "waiting")


def check_period(period_ps):
    """Raise :exc:`ConfigError` for a period that is not legal."""
    if not PERIODS_PS[0] < period_ps <= PERIODS_PS[1]:
        raise ConfigError(f"period_ps must be above {PERIODS_PS[0]:g} and at most {PERIODS_PS[1]:g}, not {period_ps!r}")


def library_facts(library):
    """Name, digest and corner of a :class:`~carrysave.asic.liberty.Library`, as JSON takes them."""
    return {
        "name": library.name,
        "sha256": library.sha256,
        "corner": library.corner,
        "voltage_v": library.voltage_v,
        "temperature_c": library.temperature_c,
    }


def mapped_at(config, *, store, library, period_ps):
    """A design synthesised for a period, and for its shortest one.

    Returns
    -------
    netlist : :class:`~carrysave.asic.netlist.Netlist`
    timing : :class:`~carrysave.asic.timing.Timing`
        Both for ``period_ps``.
    reached_ps, shortest_ps : :class:`float`
        Period of that netlist, and the shorter one of both.
    """
    netlists = [
        map_design(config, store=store, library=library, period_ps=target, recipes=QUICK_RECIPES)
        for target in (period_ps, OUT_OF_REACH_PS)
    ]
    timings = [analyse(netlist) for netlist in netlists]
    periods = [path_ps(timing) for timing in timings]
    return netlists[0], timings[0], periods[0], min(periods)


def path_ps(timing):
    """The longest path that ends in a register; some designs have none in front, so that it may begin at an input."""
    return max(timing.register_ps, timing.input_ps)


def energy_grown_fj(runs, modules, period_ps):
    """Energy that some modules take in the second of two runs and not in the first, leakage included.

    Parameters
    ----------
    runs : pair of :class:`~carrysave.asic.estimate.Energy`
        Of a netlist's beats, and of more of them that begin the same: the difference is that of a steady stream.
    modules : iterable of :class:`str`
    period_ps : :class:`float`
    """
    spent = []
    for run in runs:
        used = run.power
        dynamic = sum(used.by_module[name] for name in modules)
        leakage = sum(used.leakage_by_module[name] for name in modules) * period_ps * 1e-6
        spent.append((dynamic + leakage) * used.cycles)
    return spent[1] - spent[0]


def is_row_buffer(module):
    """Whether a module of a netlist is one of the FIFOs in which elements, or values of rows, wait."""
    return module.rpartition("_")[2] in _ROW_BUFFERS


def modules_inside(netlist, module):
    """Names of a module of a netlist and of all modules in it, a set."""
    found = {module}
    for _cell, kind, _pins in netlist.modules[module].cells:
        if kind in netlist.modules:
            found |= modules_inside(netlist, kind)
    return found
