"""``carrysave train``: trainings beside float32, kept and continued; captured products on simulated RTL; refusals."""

import dataclasses
import json
import os
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from carrysave import train
from carrysave.cli import main
from carrysave.models.dfp_array import DFPArrayConfig
from carrysave.workloads.digits_training import Epoch, captured_products
from carrysave.workloads.training_arithmetic import TrainingConfig


def epochs(*accuracies):
    blank = {"elements": 10, "saturated": 1, "special": 0, "exponent_overflow": 0, "exponent_underflow": 2}
    return tuple(Epoch(loss=1 - value, train_accuracy=value, test_accuracy=value, **blank) for value in accuracies)


@pytest.fixture
def trainings(monkeypatch):
    """Trainings that are over at once; those that were done are noted."""
    done = []

    def fake(config, *, seed, log):
        done.append((config.arithmetic, seed))
        ends = {"float32": (0.90, 0.92, 0.97), "dfp16": (0.91, 0.92, 0.96), "dfp4": (0.5, 0.6, 0.7)}
        made = epochs(0.3, ends[config.arithmetic][seed])
        for number, epoch in enumerate(made, 1):
            log(number, epoch)
        return made

    monkeypatch.setattr("carrysave.train.train_digits", fake)
    return done


def test_command(carrysave, tmp_path):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # threads for small matrices slow down tests beside it
    arguments = ["train", "digits", "--arithmetic", "dfp8", "--block", "row", "--seeds", 1, "--epochs", 1, "--json"]
    done = carrysave(*arguments, "-o", "c.svg", env=environment)
    assert done.returncode == 0, done.stderr
    assert "dfp8, block row, seed 0, epoch 1: loss" in done.stderr
    result = json.loads(done.stdout)
    assert [row["label"] for row in result["arithmetics"]] == ["float32", "dfp8, block row"]
    for row in result["arithmetics"]:
        assert row["mean"] == row["runs"][0]["epochs"][0]["test_accuracy"] > 0.5
    assert result["picture"] == "c.svg"
    ET.parse(tmp_path / "c.svg")
    again = carrysave(*arguments, env=environment)
    # Trainings go side by side.
    assert sorted(again.stderr.splitlines()) == [
        "dfp8, block row, seed 0: trained before",
        "float32, seed 0: trained before",
    ]
    repeated = json.loads(again.stdout)
    assert repeated["arithmetics"] == result["arithmetics"]
    assert (tmp_path / repeated["picture"]).read_bytes() == (tmp_path / "c.svg").read_bytes()


def test_figures_follow_from_the_runs(trainings, tmp_path):
    result = train.compare_training(TrainingConfig(epochs=2), seeds=3, build_folder=tmp_path)
    assert sorted(trainings) == [
        ("dfp16", 0),
        ("dfp16", 1),
        ("dfp16", 2),
        ("float32", 0),
        ("float32", 1),
        ("float32", 2),
    ]
    reference, other = result["arithmetics"]
    assert (reference["minimum"], reference["maximum"]) == (0.90, 0.97)
    assert reference["mean"] == pytest.approx(0.93)
    assert reference["deviation"] == pytest.approx(0.0360555, rel=1e-5)
    assert other["counters"] == {
        "elements": 60, "saturated": 6, "special": 0, "exponent_overflow": 0, "exponent_underflow": 12,
    }  # fmt: skip
    assert result["difference"] == pytest.approx({"mean": 0, "minimum": -0.01, "maximum": 0.01, "within_spread": True})
    text = train.training_text(result)
    assert "  seed 2                                97.00%            96.00%" in text
    assert "  exponents too small                       12                12" in text
    assert "dfp16 against float32, seed by seed: +0.00 points on average, -1.00 to +1.00" in text
    assert text.endswith("the mean of dfp16 is within float32's spread over the seeds")


def test_worse_is_told(trainings, tmp_path):
    result = train.compare_training(TrainingConfig(arithmetic="dfp4", epochs=2), seeds=3, build_folder=tmp_path)
    assert result["difference"]["within_spread"] is False
    assert train.training_text(result).endswith("the mean of dfp4 is outside float32's spread over the seeds")


def test_float32_alone(trainings, tmp_path):
    result = train.compare_training(
        TrainingConfig(arithmetic="float32", epochs=2), seeds=1, build_folder=tmp_path, log=print
    )
    assert trainings == [("float32", 0)]
    assert "difference" not in result
    assert train.training_text(result).splitlines()[-1].split() == ["exponents", "too", "small", "4"]


def test_stopped_trainings_continue(trainings, tmp_path, monkeypatch):
    config = TrainingConfig(epochs=2)
    train.compare_training(config, seeds=2, build_folder=tmp_path)
    trainings.clear()
    train.compare_training(config, seeds=3, build_folder=tmp_path)
    assert sorted(trainings) == [("dfp16", 2), ("float32", 2)]
    trainings.clear()
    monkeypatch.setattr("carrysave.train.__version__", "another")
    train.compare_training(config, seeds=1, build_folder=tmp_path)
    assert sorted(trainings) == [("dfp16", 0), ("float32", 0)]


def test_curves(trainings, tmp_path):
    result = train.compare_training(TrainingConfig(epochs=2), seeds=3, build_folder=tmp_path)
    picture = train.curves_svg(result)
    assert picture == train.curves_svg(result)
    root = ET.fromstring(picture)
    assert root.tag.endswith("svg")
    for text in ("<!-- float32 -->", "<!-- dfp16 -->", "<!-- epoch -->", "<!-- test accuracy, % -->"):
        assert text in picture
    # A band a series in each of the panels.
    assert picture.count('id="FillBetweenPolyCollection') + picture.count('id="PolyCollection') == 4


@pytest.fixture(scope="module")
def captured():
    return captured_products(TrainingConfig(arithmetic="dfp8", block="row"), seed=0, step=1)


def test_replay_on_rtl(captured, build_folder):
    config = DFPArrayConfig(rows=1, cols=2, lanes=1, width=8, exponents="row", pe="mac", max_k=1024)
    dense = [one for one in captured if one.layer == "dense"]
    found = train.replay(dense, config, build_folder=build_folder)
    assert [(row.layer, row.role, row.mismatches, row.first_mismatch) for row in found] == [
        ("dense", role, 0, None) for role in ("forward", "backward-weights", "backward-data")
    ]
    assert found[0].shape == (64, 128, 10)
    assert found[0].macs == 64 * 128 * 10
    # 64 rows and 5 columns of tiles of 128 steps each.
    assert 0 < found[0].cycles - 64 * 5 * 128 < 64

    changed = dense[0].product.copy()
    changed[3, 2] = np.nextafter(changed[3, 2], np.float32(9))
    told = train.replay([dataclasses.replace(dense[0], product=changed)], config, build_folder=build_folder)[0]
    assert told.cached
    assert told.mismatches == 1
    assert told.first_mismatch.startswith("element (3, 2) is ")
    assert train.replay_text([told]).splitlines()[-1] == (
        f"1 products, 81,920 MACs, {told.cycles:,} cycles, 1 mismatches"
    )


@pytest.mark.parametrize(("mismatches", "status"), [(0, 0), (2, 1)])
def test_replay_command(monkeypatch, tmp_path, capsys, captured, mismatches, status):
    asked = []

    def replay(products, config, **options):
        asked.append((products, config))
        common = {"shape": (1, 2, 3), "macs": 6, "cycles": 9, "first_mismatch": None, "cached": False}
        return [train.Replayed(layer=one.layer, role=one.role, mismatches=mismatches, **common) for one in products]

    monkeypatch.setattr("carrysave.train.replay", replay)
    arguments = ["--arithmetic", "dfp8", "--block", "row", "--replay", "1", "-p", "rows=2", "--build", str(tmp_path)]
    assert main(["train", "digits", *arguments]) == status
    assert capsys.readouterr().out.splitlines()[-1] == (f"8 products, 48 MACs, 72 cycles, {8 * mismatches} mismatches")
    [(products, config)] = asked
    assert (config.rows, config.width, config.exponents) == (2, 8, "row")
    for one, other in zip(products, captured, strict=True):
        assert np.array_equal(one.product, other.product)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--arithmetic", "int8"], "arithmetic must be one of float32, dfp4, .*, dfp16, not 'int8'"),
        (["--arithmetic", "float32", "--spill", "float32"], "spill is DFP's: float32 has none, so leave it out"),
        (["--block", "7"], "block must be one of tensor, row, 16, 32, not '7'"),
        (["--rounding", "up"], "rounding must be one of nearest-even, toward-zero, stochastic, not 'up'"),
        (["--spill", "int48"], "spill must be one of wide, float32, not 'int48'"),
        (["--seeds", "0"], r"seeds must be an integer in 1\.\.100, not 0"),
        (["--epochs", "0"], r"epochs must be an integer in 1\.\.1000, not 0"),
        (["-o", "curves.png"], r"output must end in \.svg, not 'curves\.png'"),
        (["--seeds", "x"], r"argument --seeds: invalid int value: 'x' \(see 'carrysave train --help'\)"),
        (["--replay", "-1"], r"step must be an integer in 0\.\.439, not -1"),
        (["--replay", "0", "--simulator", "spice"], "simulator must be one of .*, not 'spice'"),
        (["--replay", "0", "--design", "systolic-os"], "products of DFP are replayed on dfp-array, not on 'systolic-os'"),
        (["--replay", "0", "--block", "16"], "dfp-array does not compute as dfp16, block 16 does: choose .*"),
        (["--replay", "0", "--arithmetic", "float32"], "dfp-array does not compute as float32 does: choose .*"),
        (["--replay", "0", "--seeds", "2"], "--seeds means nothing to a replay"),
        (["--replay", "0", "-o", "c.svg"], "-o means nothing to a replay"),
        (["-p", "rows=2"], "-p means nothing to a training without --replay"),
        (["--replay", "0", "-p", "width=8"], "width must be 16 to compute as the training does, not 8"),
        (["--replay", "0", "-p", "input_shift=1"], "input_shift must be 0 to compute as the training does, not 1"),
    ],
)  # fmt: skip
def test_refused(arguments, text, capsys, tmp_path):
    assert main(["train", "digits", *arguments, "--build", str(tmp_path)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert re.fullmatch(f"carrysave: {text}", last)


def test_other_data_are_refused(capsys):
    assert main(["train", "imagenet"]) == 2
    assert "invalid choice: 'imagenet'" in capsys.readouterr().err
