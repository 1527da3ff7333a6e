"""Products with weights of few powers of two, and of constants, beside ordinary ones: accuracy, area, period and energy.

The weights are those of the last layer of the digits network, the operands its activations on test images. First the layer is
tried with weights of every kind, which says what an equal accuracy is: as many signed powers of two as keep the network's
share of right answers, and integers narrow enough to come as near. Then units for such weights are held against each other,
each counted as :data:`BOUNDARY` says, by the products that it does in a cycle.

Energy is that of a steady stream: of a gate-level run of many operands, less one of the first few of them. Every result of
both is checked.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from . import __version__
from .asic.estimate import energy
from .asic.liberty import default_library, load_library
from .comparison import (
    check_period,
    energy_grown_fj,
    library_facts,
    mapped_at,
    modules_inside,
)
from .hdl.catalogue import design
from .hdl.verilog import module_name
from .models.constant_matrix import matrix_network
from .models.constant_matrix_unit import ConstantMatrixConfig
from .models.errors import ConfigError
from .models.k_hot import K_HOT_RECODINGS, k_hot
from .models.k_hot_unit import KHotConfig, k_hot_fields
from .models.mac import MACConfig
from .models.stationary import TreeConfig
from .sim.store import Store
from .workloads.digits import accuracy, trained_network

__all__ = ["BOUNDARY", "SCHEMA", "Layer", "Unit", "adders", "compare_weights", "digits_layers", "kinds", "units"]

SCHEMA = "carrysave-compare-weights/1"

BOUNDARY = {
    "tree": "columns of multipliers and adders, with two registers for each weight; not the accumulators below",
    "mac": "a multiplier with its accumulator and operand registers",
    "k-hot": "a product alone with its register: nothing adds it to others, and the weight comes from outside",
    "constant-matrix": "the whole design: all sums, registers, handshake",
}

_MOST_TERMS = 4  # of an int8 weight
_FEW, _MANY = 48, 200  # beats of the two runs: fewer than what a gate-level run would cut into streams
_ONE_STAGE = 64


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """A layer of the network.

    Parameters
    ----------
    name : :class:`str`
    weights : ``int64`` array, outputs by inputs
    operands : ``int64`` array, images by inputs
    bias : ``int64`` array
        Of its outputs.
    labels : ``int64`` array
        Of the images.
    """

    name: str
    weights: np.ndarray
    operands: np.ndarray
    bias: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """One row of the comparison.

    Parameters
    ----------
    name : :class:`str`
    weights : ``int64`` array, outputs by inputs
        Integers that stand for the layer's weights.
    kind : :class:`str`
        What kind of weights these are, as in :func:`kinds`.
    config : :class:`~carrysave.models.config.Config`
    """

    name: str
    weights: np.ndarray = field(repr=False)
    kind: str
    config: object = field(repr=False)

    @property
    def products(self):
        """Products a cycle."""
        return self.weights.size if self.config.design in ("tree", "constant-matrix") else 1

    @property
    def module(self):
        """Name of the module that is counted, with all that is in it."""
        inside = {"tree": "tree_grid", "mac": design("mac").pe(self.config)}
        return inside.get(self.config.design, module_name(self.config.design))

    def beats(self, layer, most):
        """Input beats for operands of the layer, about so many; those of fewer are the beginning of those of more."""
        config, x = self.config, layer.operands
        if config.design == "constant-matrix":
            return config.i.beats(x=x[:most])
        if config.design == "tree":
            return config.schedule(x[: min(most, config.tile_rows)], self.weights.T)
        outputs, inputs = self.weights.shape
        if config.design == "mac":
            # Sums for one image after another, each of another output.
            count = max(most // inputs, 1)
            weights = self.weights[np.arange(count) % outputs]
            last = np.tile(np.arange(inputs) == inputs - 1, count).astype(np.int64)
            return config.i.beats(a=x[:count].ravel(), b=weights.ravel(), last=last)
        # The weight stays for many images, as in an array, then comes the next.
        images = min(16, len(x))
        count = min(max(most // images, 1), self.weights.size)
        chosen = np.linspace(0, self.weights.size - 1, min(_MANY // images, self.weights.size)).astype(int)[:count]
        fields = k_hot_fields(config, np.repeat(self.weights.ravel()[chosen], images))
        return config.i.beats(a=x[:images, chosen % inputs].T.ravel(), **fields)


def digits_layers():
    """Both layers of the digits network on its test images, the last one last; list of :class:`Layer`."""
    network, split, _accuracies = trained_network()
    return [
        Layer(
            name=f"digits, {layer.name}",
            weights=layer.b.astype(np.int64).T,
            operands=layer.a.astype(np.int64),
            bias=bias.astype(np.int64),
            labels=split.test_labels,
        )
        for layer, bias in zip(network.layers(split.test_images), network.biases, strict=True)
    ]


def kinds(layer):
    """The layer with weights of every kind.

    Parameters
    ----------
    layer : :class:`Layer`
        A last one.

    Returns
    -------
    list of dict
        ``kind``; ``weights``, integers, and their ``unit``; ``accuracy`` of the network; ``error``, the root of the mean
        square by which outputs differ from those of the exact weights, relative to that of these. The exact ones come first.
    """
    exact = layer.operands @ layer.weights.T
    largest = int(np.abs(layer.weights).max())
    found = [("exact", layer.weights, 1.0)]
    for terms in range(1, _MOST_TERMS + 1):
        for recoding in K_HOT_RECODINGS:
            rounded = k_hot(layer.weights, terms=terms, recoding=recoding).values()
            found.append((f"{terms} terms, {recoding}", rounded, 1.0))
    for bits in range(2, 8):
        unit = largest / ((1 << bits - 1) - 1)
        found.append((f"{bits}-bit integers", np.rint(layer.weights / unit).astype(np.int64), unit))
    rows = []
    for kind, weights, unit in found:
        outputs = (layer.operands @ weights.T) * unit
        rows.append({
            "kind": kind,
            "weights": weights,
            "unit": unit,
            "accuracy": accuracy(outputs + layer.bias, layer.labels),
            "error": float(np.sqrt(np.square(outputs - exact).mean() / np.square(exact).mean())),
        })  # fmt: skip
    return rows


def units(layer, found):
    """What is compared: units for the exact weights, and for those of equal accuracy.

    Parameters
    ----------
    layer : :class:`Layer`
    found : list of dict
        What :func:`kinds` gives.

    Returns
    -------
    list of :class:`Unit`
    """
    rows = {row["kind"]: row for row in found}
    exact = rows["exact"]
    signed = [(terms, rows[f"{terms} terms, signed"]) for terms in range(1, _MOST_TERMS + 1)]
    terms, few = next((count, row) for count, row in signed if row["accuracy"] >= exact["accuracy"])
    # As near as these, and as often right.
    bits, narrow = next(
        (
            (bits, row)
            for bits in range(2, 8)
            for row in [rows[f"{bits}-bit integers"]]
            if row["error"] <= few["error"] and row["accuracy"] >= exact["accuracy"]
        ),
        (8, exact),
    )
    outputs, inputs = layer.weights.shape

    def tree(width):
        return TreeConfig(lanes=inputs, cols=outputs, b_width=max(width, 4), max_k=inputs, tile_rows=256)

    def constant(row, **options):
        return ConstantMatrixConfig.of(row["weights"], **{"levels_per_stage": _ONE_STAGE, **options})

    made = [
        ("8-bit multipliers, tree", exact, tree(8)),
        ("8-bit multiply-accumulate", exact, MACConfig(max_k=inputs)),
        (f"k-hot, {_MOST_TERMS} terms", exact, KHotConfig(terms=_MOST_TERMS)),
        ("constants, each for itself", exact, constant(exact, share=False)),
        ("constants, shared sums", exact, constant(exact)),
        (f"8 by {max(bits, 4)}-bit multipliers, tree", narrow, tree(bits)),
        (f"k-hot, {terms} terms", few, KHotConfig(terms=terms)),
        (f"constants, {terms} terms, each for itself", few, constant(few, share=False)),
        (f"constants, {terms} terms, shared sums", few, constant(few)),
        (f"constants, {bits} bits, shared sums", narrow, constant(narrow)),
        (f"constants, {terms} terms, each for itself, pipelined", few, constant(few, share=False, levels_per_stage=2)),
        (f"constants, {terms} terms, shared sums, pipelined", few, constant(few, levels_per_stage=2)),
    ]
    return [Unit(name=name, weights=row["weights"], kind=row["kind"], config=config) for name, row, config in made]


def adders(layers):
    """Additions of networks of constants, by layer and number of signed terms; list of dict."""
    rows = []
    for layer in layers:
        for terms in range(1, _MOST_TERMS + 1):
            weights = k_hot(layer.weights, terms=terms).values()
            plain, shared = (matrix_network(weights, share=share) for share in (False, True))
            rows.append({
                "layer": layer.name,
                "terms": terms,
                "adders": plain.adders,
                "depth": plain.depth,
                "shared_adders": shared.adders,
                "shared_depth": shared.depth,
            })  # fmt: skip
    return rows


def compare_weights(*, library=None, period_ps=2000.0, build_folder="build", log=None):
    """Accuracy of weights of every kind, and what units for them cost.

    Parameters
    ----------
    library : path or :class:`str`, optional
        A Liberty file, ``osu018`` or ``osu035``; NanGate 45 nm if not given.
    period_ps : :class:`float`
        The common period at which areas and energies are compared.
    build_folder : path
        Keeps netlists and runs; a comparison that was stopped continues there.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``library``, ``period_ps``, ``boundary``, ``layer``, ``kinds``, ``adders``, ``units``,
        ``seconds``.

    Raises
    ------
    ConfigError
        If an argument is not legal, or a unit does not reach the period.
    """
    start, log = time.perf_counter(), log or (lambda line: None)
    check_period(period_ps)
    library = load_library(library) if library else default_library()
    layers, store = digits_layers(), Store(build_folder)
    layer = layers[-1]
    found = kinds(layer)
    counted, rows = adders(layers), []
    for unit in units(layer, found):
        rows.append(_measured(unit, layer, store=store, library=library, period_ps=period_ps))
        log(
            "{name}: {area_um2:.0f} um2, {shortest_period_ps:.0f} ps at best, {energy_fj:.0f} fJ, each for a product".format(
                **rows[-1]
            )
        )
    return {
        "schema": SCHEMA,
        "carrysave": __version__,
        "library": library_facts(library),
        "period_ps": period_ps,
        "boundary": BOUNDARY,
        "layer": layer.name,
        "images": len(layer.operands),
        "kinds": [{name: value for name, value in row.items() if name != "weights"} for row in found],
        "adders": counted,
        "units": rows,
        "seconds": time.perf_counter() - start,
    }


def _measured(unit, layer, *, store, library, period_ps):
    config = unit.config
    netlist, timing, reached_ps, shortest_ps = mapped_at(config, store=store, library=library, period_ps=period_ps)
    if reached_ps > period_ps:
        raise ConfigError(f"{unit.name} does not reach {period_ps:g} ps but {reached_ps:.0f} ps; lengthen the period")
    inside = modules_inside(netlist, unit.module)
    areas = [row for row in netlist.area_report() if row["module"] in inside]
    runs = [energy(config, unit.beats(layer, most), netlist, store=store, timing=timing) for most in (_FEW, _MANY)]
    return {
        "name": unit.name,
        "design": config.design,
        "kind": unit.kind,
        "parameters": config.to_mapping(),
        "products": unit.products,
        "latency": config.latency,
        "area_um2": sum(row["own_um2"] * row["instances"] for row in areas) / unit.products,
        "register_area_um2": sum(row["register_um2"] * row["instances"] for row in areas) / unit.products,
        "shortest_period_ps": shortest_ps,
        "energy_fj": energy_grown_fj(runs, sorted(inside), period_ps) / (runs[1].macs - runs[0].macs),
        "results_checked": sum(run.outputs for run in runs),
    }
