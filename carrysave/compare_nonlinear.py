"""What stands between a network's matrix products, side by side: errors, silicon figures, cycles and energy of its units.

Every unit is counted whole: streams, arithmetic, and the buffers in which rows wait, whose share is shown apart. It is
synthesised twice: for a period that is out of reach, which gives the shortest one, and for a common one, at which areas and
energies are held against each other. Cycles and energy are those of rows in a steady stream: of a gate-level run of many rows,
less one of the first few of them, so that the filling of pipelines does not count. Every result of both is checked.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from . import __version__
from .asic.estimate import energy
from .asic.liberty import default_library, load_library
from .comparison import check_period, energy_grown_fj, is_row_buffer, library_facts, mapped_at
from .models.cast_unit import CastConfig
from .models.errors import ConfigError
from .models.k_hot_unit import KHotConfig, k_hot_fields
from .models.layer_norm import fold_bias
from .models.layer_norm_unit import LayerNormConfig
from .models.mac import MACConfig
from .models.requantise import dyadic
from .models.requantise_unit import RequantiseConfig
from .models.row_unit import DIVIDERS
from .models.shift_exp import octave
from .models.shift_gelu import gelu_octave
from .models.shift_gelu_unit import ShiftGELUConfig
from .models.shiftmax_unit import ShiftmaxConfig
from .nonlinear_errors import nonlinear_errors
from .sim.store import Store

__all__ = ["SCHEMA", "Unit", "compare_nonlinear", "units"]

SCHEMA = "carrysave-compare-nonlinear/1"

ROW_LENGTHS = (1, 64)
_SEED = 1
_FEW, _MANY = 96, 480  # elements of the two runs: fewer than what a gate-level run would cut into streams
_DEVIATION = 30  # of int8 elements, or of results that are int8
_SCALE = 2.0**-5  # of the elements of Shiftmax and ShiftGELU
_RATIO = 1 / 240  # of the scales of sums of 64 products of int8 and of int8


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One row of the comparison.

    Parameters
    ----------
    option : :class:`str`
        What sets it apart from the design's other rows.
    config : :class:`~carrysave.models.config.Config`
        Of a unit that takes an element a beat.
    deviation : :class:`float`
        Standard deviation of the integers it is measured with.
    """

    option: str
    config: object = field(repr=False)
    deviation: float = _DEVIATION

    @property
    def label(self):
        """Design and option."""
        return f"{self.config.design}, {self.option}"


def units(*, row_length=16):
    """All units that are compared.

    Parameters
    ----------
    row_length : :class:`int`
        Elements of the longest row that they have room for.
    """
    found = []
    for make in (
        lambda row: ShiftmaxConfig(octave=octave(_SCALE), **row),
        lambda row: ShiftGELUConfig(octave=gelu_octave(_SCALE), **row),
        lambda row: LayerNormConfig(**row),
    ):
        found += [
            Unit(option=f"{divider} divider", config=make({"lanes": 1, "row_beats": row_length, "divider": divider}))
            for divider in DIVIDERS
        ]
    sums = {"deviation": _DEVIATION / _RATIO}
    found += [
        Unit(option="31-bit multiplier", config=RequantiseConfig(lanes=1), **sums),
        Unit(option="8-bit multiplier", config=RequantiseConfig(lanes=1, multiplier_bits=8), **sums),
        Unit(option="a channel an element", config=RequantiseConfig(lanes=1, table_beats=row_length), **sums),
    ]
    for rounding, overflow in (("trn", "wrap"), ("rnd-conv", "sat")):
        config = CastConfig(rounding=rounding, overflow=overflow)
        dropped = config.from_fraction - config.to_fraction
        found.append(Unit(option=f"{rounding}, {overflow}", config=config, deviation=_DEVIATION * 2.0**dropped))
    found += [Unit(option=f"{terms} signed terms", config=KHotConfig(terms=terms)) for terms in (2, 3, 4)]
    found.append(Unit(option="sums of one product", config=MACConfig(max_k=1)))
    return found


def compare_nonlinear(*, library=None, period_ps=2000.0, designs=None, row_length=16, build_folder="build", log=None):
    """Errors of the functions, and what their units cost.

    Parameters
    ----------
    library : path or :class:`str`, optional
        A Liberty file, ``osu018`` or ``osu035``; NanGate 45 nm if not given.
    period_ps : :class:`float`
        The common period at which areas and energies are compared.
    designs : list of :class:`str`, optional
        Only units of these designs; all without.
    row_length : :class:`int`
        Elements of a row, and of the longest row that buffers hold.
    build_folder : path
        Keeps netlists and runs; a comparison that was stopped continues there.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``library``, ``period_ps``, ``row_length``, ``errors`` (see
        :func:`~carrysave.nonlinear_errors.nonlinear_errors`), ``units``, ``seconds``.

    Raises
    ------
    ConfigError
        If an argument is not legal.
    """
    start, log = time.perf_counter(), log or (lambda line: None)
    check_period(period_ps)
    if type(row_length) is not int or not ROW_LENGTHS[0] <= row_length <= ROW_LENGTHS[1]:
        raise ConfigError(f"row_length must be an integer in {ROW_LENGTHS[0]}..{ROW_LENGTHS[1]}, not {row_length!r}")
    chosen = units(row_length=row_length)
    legal = list(dict.fromkeys(unit.config.design for unit in chosen))
    for name in designs or ():
        if name not in legal:
            raise ConfigError(f"designs must be of {', '.join(legal)}, not {name!r}")
    chosen = [unit for unit in chosen if not designs or unit.config.design in designs]
    library = load_library(library) if library else default_library()
    store, rows = Store(build_folder), []
    for unit in chosen:
        rows.append(_measured(unit, row_length, store=store, library=library, period_ps=period_ps))
        log(
            "{label}: {area_um2:.0f} um2, {shortest_period_ps:.0f} ps at best, {cycles_per_row:.1f} cycles a row, "
            "{energy_fj:.0f} fJ an element".format(**rows[-1])
        )
    return {
        "schema": SCHEMA,
        "carrysave": __version__,
        "library": library_facts(library),
        "period_ps": period_ps,
        "row_length": row_length,
        "scale": _SCALE,
        "deviation": _DEVIATION,
        "errors": nonlinear_errors(),
        "units": rows,
        "seconds": time.perf_counter() - start,
    }


def _measured(unit, row_length, *, store, library, period_ps):
    config = unit.config
    netlist, timing, reached_ps, shortest_ps = mapped_at(config, store=store, library=library, period_ps=period_ps)
    # A unit that does not reach the common period is held against the others at its own.
    own_ps = max(reached_ps, period_ps)
    areas = {row["module"]: row["own_um2"] * row["instances"] for row in netlist.area_report()}
    buffers = [name for name in areas if is_row_buffer(name)]

    few, many = max(_FEW // row_length, 1), _MANY // row_length
    rows = _integers(unit, (many, row_length))
    runs = [energy(config, _beats(config, rows[:count]), netlist, store=store, timing=timing) for count in (few, many)]
    cycles = runs[1].power.cycles - runs[0].power.cycles
    elements = (many - few) * row_length
    return {
        "design": config.design,
        "option": unit.option,
        "label": unit.label,
        "parameters": config.to_mapping(),
        "digest": config.digest,
        "area_um2": sum(areas.values()),
        "buffer_area_um2": sum(areas[name] for name in buffers),
        "period_ps": own_ps,
        "shortest_period_ps": shortest_ps,
        "cycles_per_row": cycles / (many - few),
        "energy_fj": energy_grown_fj(runs, list(areas), own_ps) / elements,
        "buffer_energy_fj": energy_grown_fj(runs, buffers, own_ps) / elements,
        "results_checked": sum(run.outputs for run in runs),
    }


def _integers(unit, shape):
    """Normally distributed, as activations and sums are."""
    first = unit.config.i.fields[0]  # the elements
    values = np.random.default_rng(_SEED).normal(0, unit.deviation, shape)
    return np.clip(np.rint(values), first.minimum, first.maximum).astype(np.int64)


def _beats(config, rows):
    """Rows of integers as beats of a unit that takes one a beat, with tables that are loaded and weights."""
    rng, length = np.random.default_rng(_SEED), rows.shape[1]
    if isinstance(config, LayerNormConfig):
        bias = fold_bias(1.0, rng.normal(0, 0.5, length), length=length, bias_width=config.bias_width)
        return config.to_beats(rows, bias)
    if isinstance(config, RequantiseConfig):
        ratios = _RATIO if config.table_beats == 1 else _RATIO * rng.uniform(0.5, 2, length)
        return config.to_beats(rows, *dyadic(ratios, bits=config.multiplier_bits))
    if isinstance(config, CastConfig):
        return config.i.beats(value=rows.ravel())
    if isinstance(config, (KHotConfig, MACConfig)):
        weights = np.clip(np.rint(rng.normal(0, _DEVIATION, rows.size)), -128, 127).astype(np.int64)
        second = (
            {"b": weights, "last": np.ones_like(weights)}
            if isinstance(config, MACConfig)
            else k_hot_fields(config, weights)
        )
        return config.i.beats(a=rows.ravel(), **second)
    return config.to_beats(rows)
