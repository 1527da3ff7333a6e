"""One transformer block on simulated RTL: a sentence through MiniLM-L6's first layer; cycles, utilisation, energy by unit."""

import math
import time

import numpy as np

from . import __version__
from .asic.estimate import energy, map_design
from .asic.liberty import default_library, load_library
from .asic.timing import analyse
from .comparison import QUICK_RECIPES, check_period, energy_grown_fj, is_row_buffer, library_facts, path_ps
from .models.block_stream import block_macs, block_unit_elements, transformer_block_golden
from .models.block_words import to_words
from .models.errors import ConfigError
from .models.gemm import to_beats
from .models.transformer_block import PHASES, TransformerBlockConfig
from .sim.player import play
from .sim.store import Store
from .tables import Table, tables_markdown, tables_text
from .workloads.minilm import load_minilm
from .workloads.minilm_block import block_deviation, block_inputs, quantised_block

__all__ = ["SCHEMA", "block_config", "block_markdown", "block_text", "run_block"]

SCHEMA = "carrysave-block/1"
#: What a user chooses; all else is the model's.
CHOICES = ("lanes", "unit_lanes", "array", "pe", "divider", "max_tokens", "gelu_row", "residual_width")
_DEFAULTS = {"lanes": 16, "unit_lanes": 4, "max_tokens": 64}
_OF_MODEL = ("max_tokens", "gelu_row", "residual_width")
# Rows of a sample of a unit's operands: energy is that of the second minus that of the first.
_FEW_ROWS, _MANY_ROWS = 16, 48
_FEW_TILES, _MANY_TILES = 2, 6


def block_config(parameters=None, *, model=None):
    """The block of the model and its hardware.

    Parameters
    ----------
    parameters : mapping, optional
        Of :class:`~carrysave.models.transformer_block.TransformerBlockConfig`, those of :data:`CHOICES`.
    model : :class:`~carrysave.workloads.minilm.MiniLM`, optional
        The installed one by default.

    Returns
    -------
    config : :class:`~carrysave.models.transformer_block.TransformerBlockConfig`
    quantised : :class:`~carrysave.workloads.minilm_block.QuantisedBlock`

    Raises
    ------
    ConfigError
        For a parameter that is not to be chosen, or a value that is not legal.
    """
    parameters = {**_DEFAULTS, **(parameters or {})}
    for name in parameters:
        if name not in CHOICES:
            raise ConfigError(f"of a block {', '.join(CHOICES)} can be chosen, not {name!r}: all else is the model's")
    # Refuses what is not legal before the model is looked at.
    TransformerBlockConfig(**parameters, head_width=32, hidden=1536)
    chosen = {name: parameters[name] for name in _OF_MODEL if name in parameters}
    quantised = quantised_block(model, **{"gelu_row": parameters["lanes"], **chosen})
    others = {name: value for name, value in parameters.items() if name not in _OF_MODEL}
    return TransformerBlockConfig(**quantised.block.config.to_mapping(), **others), quantised


def run_block(
    sentence,
    *,
    parameters=None,
    estimate=True,
    period_ps=2000.0,
    library=None,
    build_folder="build",
    log=None,
):
    """Run a sentence through the first layer of MiniLM-L6 on simulated RTL.

    Parameters
    ----------
    sentence : :class:`str`
    parameters : mapping, optional
        See :func:`block_config`.
    estimate : :class:`bool`
        Synthesise the units and estimate their energy.
    period_ps : :class:`float`
        Clock period that the units are synthesised for.
    library : path or :class:`str`, optional
        A Liberty file, ``osu018`` or ``osu035``; NanGate 45 nm if not given.
    build_folder : path
        Keeps simulations, runs and netlists.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``sentence``, ``pieces``, ``parameters``, ``passed`` (each output bit is the integer
        model's), ``failure``, ``cycles``, ``phases`` and ``units`` (see :func:`block_text`), ``deviation`` from the real layer,
        and times in seconds.

    Raises
    ------
    ConfigError
        For an empty sentence, one of more pieces than ``max_tokens``, and illegal parameters.
    """
    start, log = time.perf_counter(), log or (lambda line: None)
    check_period(period_ps)
    if not isinstance(sentence, str) or not sentence.strip():
        raise ConfigError(f"sentence must be a text that is not empty, not {sentence!r}")
    model = load_minilm()
    config, quantised = block_config(parameters, model=model)
    block = quantised.block
    (real,) = block_inputs(model, [sentence])
    if len(real) > config.max_tokens:
        raise ConfigError(
            f"the sentence has {len(real)} pieces, of {config.max_tokens} at most; shorten it, or raise max_tokens"
        )
    x = quantised.integers(real)
    beats = to_words(block, config, x)
    log(f"{len(x)} pieces, {len(beats)} words; building the simulation")
    store = Store(build_folder)
    expected = transformer_block_golden(config, beats)
    played = play(config, beats, store=store, expected=expected)
    log(f"{played.cycles} cycles, {played.seconds_build:.0f} s to build and {played.seconds_run:.0f} s to run")
    elements = block_unit_elements(config, len(x))
    deviation = block_deviation(quantised, model, sentences=[sentence])
    result = {
        "schema": SCHEMA,
        "carrysave": __version__,
        "sentence": sentence,
        "pieces": list(model.pieces(sentence)),
        "parameters": config.to_mapping(),
        "passed": played.passed,
        "failure": played.first_mismatch,
        "results_checked": len(expected) * config.unit_lanes,
        "words": len(beats),
        "cycles": played.cycles,
        "phases": _phases(config, len(x), played.counters),
        "units": {name: _unit(config, name, count, played.cycles) for name, count in elements.items()},
        "deviation": {
            "relative_rms": deviation.relative_rms,
            "mean_cosine": deviation.mean_cosine,
            "worst_rms": deviation.worst_rms,
            "worst_piece": deviation.worst_piece,
        },
        "seconds_build": played.seconds_build,
        "seconds_run": played.seconds_run,
    }
    if estimate:
        chosen = load_library(library) if library else default_library()
        result |= {"period_ps": period_ps, "library": library_facts(chosen)}
        tensors = block.run(x)
        for name, row in result["units"].items():
            row |= _energy(config, name, block, tensors, store=store, library=chosen, period_ps=period_ps)
            row["energy_nj"] = row["energy_per_operation_fj"] * row["operations"] * 1e-6
            row["buffer_energy_nj"] = row["buffer_energy_per_operation_fj"] * row["operations"] * 1e-6
            log(f"{name}: {row['energy_nj']:.0f} nJ, {row['energy_per_operation_fj']:.0f} fJ an operation")
    return result | {"seconds": time.perf_counter() - start}


def _phases(config, tokens, counters):
    """Of each phase: cycles, multiply-accumulates, and how much of the array's they are."""
    macs = block_macs(config, tokens)
    return {
        phase: {
            "cycles": counters[phase],
            "macs": macs.get(phase, 0),
            "utilisation": macs.get(phase, 0) / (counters[phase] * config.lanes**2),
        }
        for phase in PHASES
    }


def _unit(config, name, count, cycles):
    """Of a unit: operations, and the share of all cycles in which it takes some."""
    lanes = config.lanes**2 if name == "array" else config.unit_lanes
    return {"operations": count, "busy": math.ceil(count / lanes) / cycles}


def _energy(config, name, block, tensors, *, store, library, period_ps):
    """Energy of an operation of a unit, on a sample of the operands that it has met."""
    unit, runs = _samples(config, name, block, tensors)
    netlist = map_design(unit, store=store, library=library, period_ps=period_ps, recipes=QUICK_RECIPES[:1])
    timing = analyse(netlist)
    spent = [energy(unit, beats, netlist, store=store, timing=timing) for beats, _count in runs]
    areas = {row["module"]: row["own_um2"] * row["instances"] for row in netlist.area_report()}
    buffers = [module for module in areas if module == "accumulator_rows" or is_row_buffer(module)]
    shortest_ps = path_ps(timing)
    operations = runs[1][1] - runs[0][1]
    grown, buffers_grown = (
        energy_grown_fj(spent, modules, max(shortest_ps, period_ps)) / operations for modules in (list(areas), buffers)
    )
    return {
        "area_um2": sum(areas.values()),
        "buffer_area_um2": sum(areas[module] for module in buffers),
        "shortest_period_ps": shortest_ps,
        "energy_per_operation_fj": grown,
        "buffer_energy_per_operation_fj": buffers_grown,
        "sample_parameters": unit.to_mapping(),
    }


def _samples(config, name, block, tensors):
    """A unit's configuration for the estimate, and two runs of beats with how many operations they are.

    Tables, and buffers of rows but those of scores, are as large as one word of columns needs.
    """
    unit, lanes = config.units[name], config.lanes
    if name == "array":
        a = _resized(tensors["context"], _MANY_ROWS)
        runs = []
        for tiles in (_FEW_TILES, _MANY_TILES):
            k = min(tiles * lanes, config.width)
            beats = to_beats(unit, a[:, :k], block.projection.weights[:k, :lanes])
            runs.append((beats, len(a) * k * lanes))
        return unit, runs
    ratios = {
        "requantise": block.query.ratios,
        "residual": block.projection.ratios,
        "norm_requantise": block.first.ratios,
        "gelu_requantise": block.gelu,
    }
    source = {
        "requantise": lambda: tensors["head0.query.accumulators"] - block.query.bias[: config.head_width],
        "residual": lambda: tensors["projection.accumulators"] - block.projection.bias,
        "shiftmax": lambda: tensors["head0.scores"],
        "layer_norm": lambda: tensors["first.sum"],
        "norm_requantise": lambda: tensors["first.norm"],
        "gelu": lambda: tensors["expansion"].reshape(-1, config.gelu_row),
        "gelu_requantise": lambda: tensors["gelu.wide"],
    }[name]()
    if name == "layer_norm":
        unit = unit.replace(row_beats=config.slices)
    elif name == "norm_requantise":
        unit = unit.replace(table_beats=config.slices)
    rows = _resized(source if name == "shiftmax" else source[:, :lanes], _MANY_ROWS)
    runs = []
    for count in (_FEW_ROWS, _MANY_ROWS):
        chosen = rows[:count]
        if name in ratios:
            constants = ratios[name][:lanes]
            given = {}
            if name in ("requantise", "residual"):
                dense = block.query if name == "requantise" else block.projection
                given["bias"] = dense.bias[:lanes]
            if name == "residual":
                other = block.first_residual[:lanes]
                branch = _resized(tensors["input"][:, :lanes], _MANY_ROWS)[:count]
                given["residual"] = (branch, other.multiplier, _shift(unit, other))
            beats = unit.to_beats(chosen, constants.multiplier, _shift(unit, constants), **given)
        elif name == "layer_norm":
            beats = unit.to_beats(chosen, block.first.bias[:lanes])
        else:
            beats = unit.to_beats(chosen)
        runs.append((beats, chosen.size))
    return unit, runs


def _shift(unit, ratios):
    """Shifts as a table holds them: more than the largest changes nothing."""
    return np.minimum(ratios.shift, unit.largest_shift)


def _resized(rows, count):
    """So many rows, the given ones over and over."""
    return np.resize(rows, (count, rows.shape[1]))


def _tables(result):
    parameters = result["parameters"]
    phases, units, cycles = result["phases"], result["units"], result["cycles"]
    estimated = "period_ps" in result
    counted = sum(row["cycles"] for row in phases.values())
    rows = [
        [phase.replace("_", " "), row["cycles"], 100 * row["cycles"] / cycles, row["macs"] or None]
        + [100 * row["utilisation"] if row["macs"] else None]
        for phase, row in phases.items()
    ]
    macs = sum(row["macs"] for row in phases.values())
    rows.append(["all", counted, 100 * counted / cycles, macs, 100 * macs / (cycles * parameters["lanes"] ** 2)])
    tables = [
        Table(
            title="Phases, all heads together",
            columns=[("phase", ""), ("cycles", ""), ("share", "%"), ("MACs", ""), ("utilisation of the array", "%")],
            rows=rows,
        )
    ]
    columns = [("unit", ""), ("operations", ""), ("busy", "%")]
    rows = [[name.replace("_", " "), row["operations"], 100 * row["busy"]] for name, row in units.items()]
    note = "an operation is a multiply-accumulate of the array, an element of the other units"
    if estimated:
        columns += [("energy", "nJ"), ("of it buffers", "nJ"), ("energy", "fJ/operation")]
        columns += [("area", "um2"), ("of it buffers", "um2"), ("shortest period", "ps")]
        for cells, row in zip(rows, units.values(), strict=True):
            cells += [row["energy_nj"], row["buffer_energy_nj"], row["energy_per_operation_fj"]]
            cells += [round(row["area_um2"]), round(row["buffer_area_um2"]), round(row["shortest_period_ps"])]
        sums = {key: sum(row[key] for row in units.values()) for key in ("energy_nj", "buffer_energy_nj")}
        areas = [round(sum(row[key] for row in units.values())) for key in ("area_um2", "buffer_area_um2")]
        rows.append(["all", None, None, *sums.values(), None, *areas, None])
        library = result["library"]
        note += (
            f"; {library['name']}, {result['period_ps']:g} ps, on samples of this sentence's operands, without cycles in which a "
            f"unit waits. Buffers are the array's accumulator rows and the rows that wait in a unit, all of flip-flops that are "
            f"clocked in every cycle; rows of I-LayerNorm and tables are a word long in the samples. Without the memories of "
            f"activations"
        )
    tables.append(Table(title="Units", columns=columns, rows=rows, note=note))
    return tables


def _head(result):
    parameters, deviation = result["parameters"], result["deviation"]
    state = "equal to the integer model, bit for bit" if result["passed"] else f"FAILED: {result['failure']}"
    return [
        f"{len(result['pieces'])} pieces through MiniLM-L6's first layer on {parameters['array']} {parameters['lanes']} x "
        f"{parameters['lanes']} ({parameters['pe']}), {parameters['unit_lanes']} elements a cycle in the other units",
        f"{result['results_checked']} results {state}",
        f"{result['cycles']} cycles, {result['words']} words in; built in {result['seconds_build']:.0f} s, simulated in "
        f"{result['seconds_run']:.0f} s",
        f"from the real layer: rms {deviation['relative_rms']:.3f}, cosine {deviation['mean_cosine']:.4f}, worst "
        f"{deviation['worst_rms']:.3f} ({deviation['worst_piece']!r})",
    ]


def block_text(result):
    """A result of :func:`run_block` for a terminal, a list of lines.

    Phases: cycles, their share of all, multiply-accumulates and how much of what the array could do that is. Units: operations,
    the share of cycles in which they take some, and, where estimated, energy, area and shortest period.
    """
    return [*_head(result), *tables_text(_tables(result))]


def block_markdown(result):
    """The same as Markdown, a string."""
    head = "\n".join(f"- {line}" for line in _head(result))
    return f"# One transformer block: {result['sentence']!r}\n\n{head}\n\n{tables_markdown(_tables(result))}"
