"""Training on real data by dynamic fixed point beside float32: accuracies seed by seed, curves, and a replay on simulated RTL."""

import json
import math
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from . import __version__
from .hdl.catalogue import design
from .models import convolution, dfp, dfp_array, dfp_dot, dfp_fma, dfp_gemm, dfp_rounding, lfsr
from .models.errors import ConfigError
from .pictures import curves, group_digits
from .sim.player import play
from .sim.simulators import require
from .sim.store import Store, digest
from .workloads import convolutional_network, digits_training, training_arithmetic
from .workloads.digits_training import BATCH, MOMENTUM, RATE, captured_products, train_digits
from .workloads.training_arithmetic import TrainingConfig

__all__ = [
    "SCHEMA",
    "Replayed",
    "compare_training",
    "curves_svg",
    "replay",
    "replay_step",
    "replay_text",
    "training_text",
]

SCHEMA = "carrysave-train/1"
COUNTERS = ("elements", "saturated", "special", "exponent_overflow", "exponent_underflow")
_MOST_SEEDS = 100
_NARROWEST = 18  # column of a table
_BELOW_POINTS = 5  # percent below the lowest final accuracy, where its axis begins
_TOLD_EPOCHS = 5  # one line of progress for so many
# What a training's figures depend on besides its configuration; those of float32 not on DFP.
_NETWORK = (convolution, convolutional_network, digits_training, training_arithmetic)
_DFP = (dfp, dfp_array, dfp_dot, dfp_fma, dfp_gemm, dfp_rounding, lfsr)


def compare_training(config, *, seeds=5, build_folder="build", log=None):
    """Train with an arithmetic and, unless it is that, with float32: same seeds, same hyper-parameters.

    Parameters
    ----------
    config : :class:`~carrysave.workloads.training_arithmetic.TrainingConfig`
    seeds : :class:`int`
        How many, from 0 on; 1..100.
    build_folder : path
        Keeps finished trainings; what was stopped continues with the seed it was at.
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    dict
        As JSON takes it: ``schema``, ``hyper_parameters``, ``arithmetics`` (float32 first; each with its ``runs`` and what
        follows from them) and, with two arithmetics, ``difference``. Accuracies are those on the test images after the last
        epoch.

    Raises
    ------
    ConfigError
        If the number of seeds is not legal.
    """
    if type(seeds) is not int or not 1 <= seeds <= _MOST_SEEDS:
        raise ConfigError(f"seeds must be an integer in 1..{_MOST_SEEDS}, not {seeds!r}")
    start, log, store = time.perf_counter(), log or (lambda line: None), Store(build_folder)
    configs = [config]
    if config.arithmetic != "float32":
        configs.insert(0, TrainingConfig(arithmetic="float32", epochs=config.epochs))
    # Products this small gain nothing from several threads each; seeds side by side do.
    with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [[pool.submit(_run, each, seed, store, log) for seed in range(seeds)] for each in configs]
        try:
            rows = [_arithmetic(each, [job.result() for job in own]) for each, own in zip(configs, jobs, strict=True)]
        finally:
            pool.shutdown(cancel_futures=True)
    result = {
        "schema": SCHEMA,
        "carrysave": __version__,
        "workload": "digits",
        "hyper_parameters": {"epochs": config.epochs, "batch": BATCH, "rate": RATE, "momentum": MOMENTUM},
        "arithmetics": rows,
    }
    if len(rows) == 2:
        result["difference"] = _difference(*rows)
    return {**result, "seconds": time.perf_counter() - start}


def _label(config):
    """The arithmetic, and of its parameters those that are not the usual ones."""
    usual = TrainingConfig()
    special = [f"{name} {getattr(config, name)}" for name in ("block", "rounding", "spill")
               if getattr(config, name) != getattr(usual, name)]  # fmt: skip
    return ", ".join([config.arithmetic, *special])


def _arithmetic(config, runs):
    accuracies = [run["epochs"][-1]["test_accuracy"] for run in runs]
    return {
        "label": _label(config),
        "parameters": config.to_mapping(),
        "digest": config.digest,
        "runs": runs,
        "mean": statistics.fmean(accuracies),
        "minimum": min(accuracies),
        "maximum": max(accuracies),
        "deviation": statistics.stdev(accuracies) if len(runs) > 1 else 0.0,
        "loss": statistics.fmean(run["epochs"][-1]["loss"] for run in runs),
        "counters": {name: sum(epoch[name] for run in runs for epoch in run["epochs"]) for name in COUNTERS},
    }


def _run(config, seed, store, log):
    """One training, from the store or into it."""
    label = f"{_label(config)}, seed {seed}"
    judges = _NETWORK + (_DFP if config.dfp else ())
    key = [__version__, np.__version__, *(digest(Path(module.__file__)) for module in judges)]

    def tell(number, epoch):
        if number % _TOLD_EPOCHS == 0 or number == config.epochs:
            log(f"{label}, epoch {number}: loss {epoch.loss:.4f}, test accuracy {epoch.test_accuracy:.2%}")

    def make(folder):
        start = time.perf_counter()
        epochs = [asdict(epoch) for epoch in train_digits(config, seed=seed, log=tell)]
        content = {"seed": seed, "epochs": epochs, "seconds": time.perf_counter() - start}
        (folder / "run.json").write_text(json.dumps(content))

    name = f"seed-{seed}"
    if store.fresh(config, name, key):
        log(f"{label}: trained before")
    return json.loads((store.step(config, name, key, make) / "run.json").read_text())


def _difference(reference, other):
    """Of an arithmetic's final test accuracies and float32's, seed by seed."""
    pairs = [
        [run["epochs"][-1]["test_accuracy"] for run in both]
        for both in zip(reference["runs"], other["runs"], strict=True)
    ]
    each = [ours - theirs for theirs, ours in pairs]
    return {
        "mean": statistics.fmean(each),
        "minimum": min(each),
        "maximum": max(each),
        "within_spread": reference["minimum"] <= other["mean"] <= reference["maximum"],
    }


def training_text(result):
    """A table of what :func:`compare_training` gives, for people."""
    rows, parameters = result["arithmetics"], result["hyper_parameters"]
    width = max(_NARROWEST, *(len(row["label"]) + 2 for row in rows))
    lines = [
        "scanned digits, {epochs} epochs, batches of {batch}, rate {rate:g} falling to 0, momentum {momentum:g}".format(
            **parameters
        ),
        "",
        f"{'test accuracy':<28}" + "".join(f"{row['label']:>{width}}" for row in rows),
    ]

    def add(name, cell):
        lines.append(f"  {name:<26}" + "".join(f"{cell(row):>{width}}" for row in rows))

    for place, run in enumerate(rows[0]["runs"]):
        add(f"seed {run['seed']}", lambda row, place=place: f"{row['runs'][place]['epochs'][-1]['test_accuracy']:.2%}")
    add("mean", lambda row: f"{row['mean']:.2%}")
    add("lowest, highest", lambda row: f"{row['minimum']:.2%}, {row['maximum']:.2%}")
    add("standard deviation", lambda row: f"{100 * row['deviation']:.2f} points")
    lines.append("training")
    add("loss of the last epoch", lambda row: f"{row['loss']:.5f}")
    add("seconds a seed", lambda row: f"{statistics.fmean(run['seconds'] for run in row['runs']):.1f}")
    lines.append("counted over all seeds")
    texts = ("numbers converted", "saturated", "infinite or NaN", "exponents too large", "exponents too small")
    for counter, text in zip(COUNTERS, texts, strict=True):
        add(text, lambda row, counter=counter: group_digits(row["counters"][counter]))
    if "difference" in result:
        found, label = result["difference"], rows[1]["label"]
        lines += [
            "",
            f"{label} against float32, seed by seed: {100 * found['mean']:+.2f} points on average, "
            f"{100 * found['minimum']:+.2f} to {100 * found['maximum']:+.2f}",
            f"the mean of {label} is {'within' if found['within_spread'] else 'outside'} float32's spread over the seeds",
        ]
    return "\n".join(lines)


def curves_svg(result):
    """Loss and test accuracy by epoch of all arithmetics, the spread of seeds as a band; an ``svg`` element."""

    def runs(row, name, factor):
        return [[factor * epoch[name] for epoch in run["epochs"]] for run in row["runs"]]

    rows = result["arithmetics"]
    # What the first epochs reach does not matter: the axis shows where they end.
    low = math.floor(100 * min(row["minimum"] for row in rows)) - _BELOW_POINTS
    panels = [
        {"unit": unit, "log": log, "low": low, "series": [(row["label"], runs(row, name, factor)) for row in rows]}
        for name, unit, log, low, factor in (
            ("loss", "loss in training, nats", True, None, 1),
            ("test_accuracy", "test accuracy, %", False, max(low, 0), 100),
        )
    ]
    return curves(panels, x_unit="epoch")


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A matrix product of a training on simulated RTL.

    Members
    -------
    layer, role : :class:`str`
    shape : tuple of :class:`int`
        M, K, N.
    macs : :class:`int`
        Multiply-accumulates, padding not counted.
    cycles : :class:`int`
        Clock cycles from the first accepted beat to the last result, both counted.
    mismatches : :class:`int`
        Elements of the product whose bits are not those that the training computed with.
    first_mismatch : :class:`str` or None
        One line on what failed first.
    cached : :class:`bool`
        The run was found in the build folder.
    """

    layer: str
    role: str
    shape: tuple
    macs: int
    cycles: int
    mismatches: int
    first_mismatch: str | None
    cached: bool


def replay(captured, config, *, simulator="verilator", build_folder="build", log=None):
    """Compute captured products on the simulated RTL of an array and compare them bit for bit.

    Parameters
    ----------
    captured : sequence of :class:`~carrysave.workloads.training_arithmetic.CapturedProduct`
        With operands in DFP, whose exponents are those that the array takes.
    config : :class:`~carrysave.models.dfp_array.DFPArrayConfig`
        Of the training's width and without a pre-shift, which would be another arithmetic.
    simulator : ``"verilator"`` or ``"icarus"``
    build_folder : path
    log : callable, optional
        Receives lines of progress.

    Returns
    -------
    list of :class:`Replayed`

    Raises
    ------
    ConfigError
        If the array does not take the operands.
    """
    log, store, found = log or (lambda line: None), Store(build_folder), []
    require(simulator)
    for one in captured:
        log(f"{one.layer}, {one.role}: {one.a.shape[0]} x {one.a.shape[1]} x {one.b.shape[1]} on {config.design}")
        played = play(config, config.schedule(one.a_dfp, one.b_dfp), store=store, simulator=simulator)
        mismatches, first = played.mismatches or int(not played.passed), played.first_mismatch
        if played.passed:
            product = config.collect(played.outputs, *one.product.shape).astype(np.float32)
            wrong = np.argwhere(product.view(np.uint32) != one.product.view(np.uint32))
            mismatches = len(wrong)
            if mismatches:
                place = tuple(wrong[0].tolist())
                first = f"element {place} is {product[place]!r}, the training had {one.product[place]!r}"
        found.append(
            Replayed(
                layer=one.layer,
                role=one.role,
                shape=(*one.a.shape, one.b.shape[1]),
                macs=one.macs,
                cycles=played.cycles,
                mismatches=mismatches,
                first_mismatch=first,
                cached=played.cached,
            )
        )
    return found


def replay_step(
    training, step, *, name="dfp-array", parameters=(), simulator="verilator", build_folder="build", log=None
):
    """Train up to a step, seed 0, and :func:`replay` the products of that step.

    Parameters
    ----------
    training : :class:`~carrysave.workloads.training_arithmetic.TrainingConfig`
    step : :class:`int`
        From 0.
    name : :class:`str`
        A design that multiplies matrices of DFP.
    parameters : sequence of :class:`str`
        Of the design, each as ``key=value``; width and exponents are the training's.
    simulator, build_folder, log
        As for :func:`replay`.

    Returns
    -------
    list of :class:`Replayed`

    Raises
    ------
    ConfigError
        If the training is not in an arithmetic that the design has, or there is no such step.
    """
    kind = design(name).config
    if kind is not dfp_array.DFPArrayConfig:
        raise ConfigError(f"products of DFP are replayed on {dfp_array.DFPArrayConfig.design}, not on {name!r}")
    accumulation = training.dfp.accumulation if training.dfp else None
    if not isinstance(accumulation, kind):
        raise ConfigError(
            f"{name} does not compute as {_label(training)} does: choose an arithmetic such as dfp16, blocks of a tensor or row, "
            "and spill = wide"
        )
    own = {"width": accumulation.width, "exponents": accumulation.exponents}
    config = kind.from_pairs(parameters, own)
    for key, value in {**own, "input_shift": 0, "output": "float32"}.items():
        if getattr(config, key) != value:
            raise ConfigError(f"{key} must be {value!r} to compute as the training does, not {getattr(config, key)!r}")
    require(simulator)
    if log:
        log(f"training {_label(training)}, seed 0, up to step {step}")
    captured = captured_products(training, seed=0, step=step)
    return replay(captured, config, simulator=simulator, build_folder=build_folder, log=log)


def replay_text(found):
    """A table of what :func:`replay` gives, for people."""
    lines = [f"{'layer':<8}{'product':<18}{'M x K x N':>18}{'MACs':>12}{'cycles':>12}{'mismatches':>12}"]
    for row in found:
        size = " x ".join(map(str, row.shape))
        lines.append(
            f"{row.layer:<8}{row.role:<18}{size:>18}{row.macs:>12,}{row.cycles:>12,}{row.mismatches:>12,}"
            + (f"  {row.first_mismatch}" if row.first_mismatch else "")
        )
    macs, cycles, mismatches = (sum(getattr(row, name) for row in found) for name in ("macs", "cycles", "mismatches"))
    lines.append(f"{len(found)} products, {macs:,} MACs, {cycles:,} cycles, {mismatches:,} mismatches")
    return "\n".join(lines)
