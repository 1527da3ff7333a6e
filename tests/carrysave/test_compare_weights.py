"""The comparison of multiplier-free weights: kinds of weights, units of equal accuracy, their operands, the pages."""

import json
import re

import numpy as np
import pytest

from carrysave.asic.synthesis import Recipe
from carrysave.cli import main
from carrysave.compare_weights import Layer, Unit, adders, compare_weights, digits_layers, kinds, units
from carrysave.compare_weights_page import comparison_html, comparison_markdown, comparison_text
from carrysave.hdl.catalogue import design
from carrysave.hdl.verilog import verilog
from carrysave.models.constant_matrix_unit import ConstantMatrixConfig
from carrysave.models.errors import ConfigError
from carrysave.models.k_hot_unit import KHotConfig
from carrysave.models.mac import MACConfig
from carrysave.models.stationary import TreeConfig


@pytest.fixture(scope="module")
def layer():
    return digits_layers()[-1]


@pytest.fixture(scope="module")
def tried(layer):
    return kinds(layer)


def tiny():
    """A layer of two inputs and two outputs that is always right, whose weights have two terms."""
    operands = np.random.default_rng(1).integers(0, 128, (60, 2))
    weights, bias = np.array([[96, -5], [-96, 12]]), np.array([3, -3])
    labels = np.argmax(operands @ weights.T + bias, axis=1)
    return Layer(name="tiny", weights=weights, operands=operands, bias=bias, labels=labels)


def test_kinds_of_weights(layer, tried):
    found = {row["kind"]: row for row in tried}
    assert len(found) == len(tried) == 1 + 4 * 3 + 6
    assert (tried[0]["kind"], tried[0]["error"], round(tried[0]["accuracy"], 4)) == ("exact", 0, 0.975)
    assert found["4 terms, signed"]["error"] == 0  # they meet every int8
    for terms in range(1, 5):
        assert found[f"{terms} terms, signed"]["error"] <= found[f"{terms} terms, greedy"]["error"]
    narrow = found["5-bit integers"]
    assert np.abs(narrow["weights"]).max() == 15
    assert np.abs(narrow["weights"] * narrow["unit"] - layer.weights).max() <= narrow["unit"] / 2
    # Error and accuracy of one kind, output by output.
    one, exact, right = found["1 terms, greedy"], [], 0
    assert set(np.abs(one["weights"]).ravel().tolist()) <= {0, 1, 2, 4, 8, 16, 32, 64}
    errors = []
    for x, label in zip(layer.operands.tolist(), layer.labels.tolist(), strict=True):
        wanted, got = ([sum(map(int.__mul__, row, x)) for row in w.tolist()] for w in (layer.weights, one["weights"]))
        logits = [value + int(bias) for value, bias in zip(got, layer.bias, strict=True)]
        right += logits.index(max(logits)) == label
        exact += [value**2 for value in wanted]
        errors += [(a - b) ** 2 for a, b in zip(wanted, got, strict=True)]
    assert one["accuracy"] == pytest.approx(right / len(layer.labels))
    assert one["error"] == pytest.approx((sum(errors) / sum(exact)) ** 0.5)


def test_units_are_of_equal_accuracy(layer, tried):
    by_kind = {row["kind"]: row for row in tried}
    found = units(layer, tried)
    assert len({unit.name for unit in found}) == len(found)
    exact = by_kind["exact"]["accuracy"]
    assert all(by_kind[unit.kind]["accuracy"] >= exact for unit in found)
    assert {unit.kind for unit in found} == {"exact", "2 terms, signed", "6-bit integers"}
    assert by_kind["1 terms, signed"]["accuracy"] < exact
    assert (
        by_kind["6-bit integers"]["error"] <= by_kind["2 terms, signed"]["error"] < by_kind["5-bit integers"]["error"]
    )
    for unit in found:
        if unit.config.design == "constant-matrix":
            assert (unit.config.matrix == unit.weights).all()
    assert {unit.config.design for unit in found} == {"tree", "mac", "k-hot", "constant-matrix"}


def test_operands_are_the_layers(layer, tried):
    for unit in units(layer, tried):
        beats, fewer = (unit.beats(layer, most) for most in (200, 48))
        assert 0 < len(fewer) < len(beats) < 256
        assert (beats[: len(fewer)] == fewer).all(), unit.name
        results = design(unit.config.design).golden(unit.config, beats)
        if unit.products > 1:
            y = results[results.dtype.names[0]]
            assert (y == layer.operands[: len(y)] @ unit.weights.T).all()
        if unit.config.design == "mac":
            y = layer.operands @ unit.weights.T
            assert results["result"].tolist() == [y[image, image % 10] for image in range(len(results))]
        if unit.config.design == "k-hot":
            stand = (results["product"] != 0) & (beats["a"] != 0)
            weights = np.where(stand, results["product"] // np.where(stand, beats["a"], 1), 0)
            for start in range(0, len(beats), 16):
                assert len({w for w in weights[start : start + 16].tolist() if w}) <= 1  # it stands still
            assert set(weights.tolist()) - {0} <= set(unit.weights.ravel().tolist())


@pytest.mark.parametrize(
    "config",
    [TreeConfig(lanes=2, cols=2), MACConfig(), KHotConfig(), ConstantMatrixConfig()],
    ids=lambda config: config.design,
)
def test_what_is_counted_is_a_module(config):
    unit = Unit(name="one", weights=np.ones((2, 2), np.int64), kind="exact", config=config)
    assert f"\nmodule {unit.module}(" in verilog(config)


def test_counts_of_additions():
    (row,) = adders([tiny()])[1:2]
    # 96 = 64 + 32, 5 = 4 + 1, 12 = 8 + 4: four terms an output; what is shared is 3 x, once with each sign.
    assert row == {"layer": "tiny", "terms": 2, "adders": 6, "depth": 2, "shared_adders": 5, "shared_depth": 2}


def test_refused():
    with pytest.raises(ConfigError, match=r"^period_ps must be above 100 and at most 1e\+06, not 100$"):
        compare_weights(period_ps=100)


def test_measured_for_real(tmp_path, monkeypatch, capsys):
    layer = tiny()
    monkeypatch.setattr("carrysave.compare_weights.digits_layers", lambda: [layer])
    monkeypatch.setattr("carrysave.comparison.QUICK_RECIPES", (Recipe(script="map"),))
    exact = {"weights": layer.weights, "kind": "exact"}
    small = [
        Unit(name="k-hot", config=KHotConfig(terms=2), **exact),
        Unit(name="plain", config=ConstantMatrixConfig.of(layer.weights, share=False), **exact),
        Unit(name="shared", config=ConstantMatrixConfig.of(layer.weights, levels_per_stage=64), **exact),
    ]
    monkeypatch.setattr("carrysave.compare_weights.units", lambda layer, found: small)
    monkeypatch.setattr("carrysave.compare_weights._MANY", 96)
    written = tmp_path / "made.json"
    assert main(["compare", "weights", "--build", str(tmp_path), "-o", str(written)]) == 0
    result = json.loads(written.read_text())
    product, plain, shared = result["units"]
    assert [row["products"] for row in result["units"]] == [1, 4, 4]
    assert (plain["latency"], shared["latency"]) == (2, 1)
    assert plain["results_checked"] == shared["results_checked"] == 48 + 60  # all images
    assert 0 < shared["register_area_um2"] < shared["area_um2"] < plain["area_um2"] < product["area_um2"]
    assert 0 < shared["energy_fj"] < plain["energy_fj"] < product["energy_fj"]
    assert 0 < plain["shortest_period_ps"] < 2000

    assert comparison_text(result) in capsys.readouterr().out
    markdown = comparison_markdown(result)
    assert re.findall("^### (.*)$", markdown, re.MULTILINE) == [
        "Products of one layer at 2000 ps",
        "Accuracy by kind of weights",
        "Additions of constant networks",
    ]
    assert f"| shared | exact | 100.0 | 0.0000 | {shared['area_um2']:.1f} |" in markdown
    page = comparison_html(result)
    assert page.startswith("<!DOCTYPE html>")
    assert "fJ/product" in page

    monkeypatch.setattr("carrysave.compare_weights.units", lambda layer, found: small[1:2])
    with pytest.raises(ConfigError, match=r"^plain does not reach 101 ps but [\d]+ ps; lengthen the period$"):
        compare_weights(build_folder=tmp_path, period_ps=101)
