"""The comparison of integer functions: what is compared, with which beats, errors, cycles and buffers, the pages."""

import json
import re

import numpy as np
import pytest

from carrysave.asic.synthesis import Recipe
from carrysave.cli import main
from carrysave.compare_nonlinear import Unit, _beats, _integers, compare_nonlinear, units
from carrysave.compare_nonlinear_page import comparison_html, comparison_markdown, comparison_text
from carrysave.comparison import is_row_buffer
from carrysave.hdl.catalogue import design
from carrysave.hdl.verilog import verilog
from carrysave.models.cast_unit import CastConfig
from carrysave.models.errors import ConfigError
from carrysave.models.shift_gelu_unit import ShiftGELUConfig
from carrysave.nonlinear_errors import cast_errors, nonlinear_errors, requantise_errors


@pytest.mark.parametrize("unit", units(row_length=4), ids=lambda unit: unit.label)
def test_beats_are_rows_and_their_beginning_is_that_of_fewer(unit):
    rows = _integers(unit, (40, 4))
    beats, fewer = _beats(unit.config, rows), _beats(unit.config, rows[:7])
    assert (beats[: len(fewer)] == fewer).all()
    results = design(unit.config.design).golden(unit.config, beats)
    assert len(results) == rows.size  # an element a beat; what loads tables gives none
    assert 0.8 * unit.deviation < rows.std() < 1.2 * unit.deviation
    if "last" in results.dtype.names:
        assert np.flatnonzero(results["last"]).tolist() == list(range(3, 160, 4))
    values = results[results.dtype.names[0]].astype(np.float64)
    assert len(np.unique(values)) > 20  # neither clamped nor all zero


def test_what_is_compared():
    found = units(row_length=5)
    assert len({unit.label for unit in found}) == len(found)
    designs = {unit.config.design for unit in found}
    assert designs == {"shiftmax", "shift-gelu", "layer-norm", "requantise", "cast", "k-hot", "mac"}
    rows = [unit.config for unit in found if hasattr(unit.config, "divider")]
    assert {(config.design, config.divider) for config in rows} == {
        (name, divider) for name in ("shiftmax", "shift-gelu", "layer-norm") for divider in ("iterative", "pipelined")
    }
    assert {(config.lanes, config.row_beats) for config in rows} == {(1, 5)}


@pytest.mark.parametrize("unit", units(row_length=4), ids=lambda unit: unit.label)
def test_buffers_are_the_modules_that_are_fifos(unit):
    modules = dict(re.findall(r"^module (\w+)\((.*?)^endmodule", verilog(unit.config), re.MULTILINE | re.DOTALL))
    fifos = {name for name, text in modules.items() if re.search(r"\bstorage \[", text)}
    assert fifos == {name for name in modules if is_row_buffer(name)}


def test_refused():
    with pytest.raises(ConfigError, match=r"^period_ps must be above 100 and at most 1e\+06, not 100$"):
        compare_nonlinear(period_ps=100)
    for wrong in (0, 65, 2.0, True):
        with pytest.raises(ConfigError, match=rf"^row_length must be an integer in 1\.\.64, not {wrong!r}$"):
            compare_nonlinear(row_length=wrong)
    with pytest.raises(ConfigError, match=r"^designs must be of shiftmax, shift-gelu, layer-norm, .*, not 'softmax'$"):
        compare_nonlinear(designs=["shiftmax", "softmax"])


def test_errors_of_requantisation():
    (exact, coarse) = requantise_errors([0.25, 0.003], multiplier_bits=(8,))
    # A quarter has a multiplier that is exact: errors are those of rounding, evenly spread over four.
    assert exact["maximum"] == 0.5
    assert exact["mean"] == pytest.approx(0.25, abs=0.002)
    # 8 bits of 0.003: the multiplier is 197 / 2^16; the largest result that is not clamped is off by a share of 127.
    drift = abs(round(0.003 * 2**16) / 2**16 / 0.003 - 1)
    assert 0.5 < coarse["maximum"] <= 0.5 + 128.5 * drift
    (fine,) = requantise_errors([0.003], multiplier_bits=(31,))
    assert fine["maximum"] == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(ConfigError, match=r"^ratio of scales must be positive and finite, not -1\.0$"):
        requantise_errors([-1.0], multiplier_bits=(8,))


def test_errors_of_casts():
    found = {row["rounding"]: row for row in cast_errors()}
    # Sixteen numbers between two neighbours: 0, 1, ..., 15 sixteenths are dropped.
    assert found["trn"]["maximum"] == 15 / 16
    assert found["trn"]["bias"] == -found["trn"]["mean"] == pytest.approx(-15 / 32, abs=1e-3)
    nearest = [row for name, row in found.items() if name.startswith("rnd")]
    assert len(nearest) == 5
    assert {row["maximum"] for row in nearest} == {0.5}
    assert abs(found["rnd-conv"]["bias"]) < 1e-3 < found["rnd"]["bias"]


def test_errors_are_complete():
    found = nonlinear_errors()
    assert {row["square_root"] for row in found["layer_norm"]} == {"exact", "ten steps"}
    assert {row["function"] for row in found["functions"]} == {"shift-exp", "shiftmax", "shift-gelu", "shift-gelu, erf"}
    met = {(row["terms"], row["recoding"]): row["exact"] for row in found["k_hot"]}
    assert met[4, "signed"] == 1 > met[4, "greedy"]


def test_measured_for_real(build_folder, tmp_path, monkeypatch, capsys):
    gelu = ShiftGELUConfig(lanes=1, row_beats=2, width=3, octave=2, fraction_bits=12)
    small = [
        Unit(option="small", config=gelu, deviation=2),
        Unit(option="a pair", config=CastConfig(from_width=6, from_fraction=2, to_width=4, to_fraction=0), deviation=9),
    ]
    monkeypatch.setattr("carrysave.compare_nonlinear.units", lambda *, row_length: small)
    monkeypatch.setattr("carrysave.compare_nonlinear._FEW", 8)
    monkeypatch.setattr("carrysave.compare_nonlinear._MANY", 24)
    monkeypatch.setattr("carrysave.comparison.QUICK_RECIPES", (Recipe(script="map"),))
    written = tmp_path / "made.json"
    assert main(["compare", "nonlinear", "--row-length", "2", "--build", str(build_folder), "-o", str(written)]) == 0
    result = json.loads(written.read_text())
    function, cast = result["units"]
    # A division of a bit a cycle for every element; a number a cycle.
    assert (function["cycles_per_row"], cast["cycles_per_row"]) == (2 * gelu.factor_width, 2)
    assert function["results_checked"] == cast["results_checked"] == 8 + 24
    assert 0 == cast["buffer_area_um2"] < cast["area_um2"] < function["buffer_area_um2"] < function["area_um2"]
    assert 0 == cast["buffer_energy_fj"] < cast["energy_fj"] < function["buffer_energy_fj"] < function["energy_fj"]
    assert 0 < function["shortest_period_ps"] < function["period_ps"] == 2000

    assert "shift-gelu, small" in comparison_text(result)
    assert comparison_text(result) in capsys.readouterr().out
    markdown = comparison_markdown(result)
    assert f"| cast, a pair | {round(cast['area_um2'])} | 0 | {round(cast['shortest_period_ps'])} | 2.00 |" in markdown
    titles = re.findall("^### (.*)$", markdown, re.MULTILINE)
    assert titles[0] == "Units at 2000 ps"
    assert len(titles) == 7
    page = comparison_html(result)
    assert page.startswith("<!DOCTYPE html>")
    assert "fJ/element" in page

    # A unit that misses the common period is counted at its own.
    (slow,) = compare_nonlinear(build_folder=build_folder, row_length=2, designs=["cast"], period_ps=101)["units"]
    assert slow["period_ps"] > 101
    assert slow["energy_fj"] > 0
