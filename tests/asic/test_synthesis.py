import json

import pytest

from carrysave.asic.liberty import LibertyError, load_library
from carrysave.asic.synthesis import Recipe, SynthesisError, read_netlist, synthesise
from carrysave.asic.timing import analyse
from carrysave.hdl.tool import ToolError


def test_the_best_try_is_the_smallest_that_meets_the_period(quad):
    tries = quad.provenance["tries"]
    assert len(tries) == 2
    met = [row for row in tries if row["met"]]
    period_ps = analyse(quad).period_ps
    if met:
        assert period_ps <= quad.provenance["target_ps"]
        assert quad.area_um2() <= min(row["area_um2"] for row in met) + 1e-6
    else:
        assert period_ps <= min(row["period_ps"] for row in tries) + 1e-6
    assert set(quad.provenance["recipe"]) == set(quad.modules)


def test_a_period_that_none_meets_gives_the_fastest(library, mac_verilog, tmp_path):
    recipes = [Recipe(script="area", effort=0), Recipe()]
    netlist = synthesise(mac_verilog, "mac_pe", library=library, target_ps=50, folder=tmp_path, recipes=recipes)
    tries = netlist.provenance["tries"]
    assert not any(row["met"] for row in tries)
    assert analyse(netlist).period_ps == min(row["period_ps"] for row in tries)
    assert json.loads((tmp_path / "synthesis.json").read_text())["tries"] == tries
    assert not list(tmp_path.glob("*/*.json"))


def test_flat_synthesis_has_one_module(library, mac_verilog, tmp_path):
    netlist = synthesise(
        mac_verilog, "quad", library=library, target_ps=700, folder=tmp_path, recipes=[Recipe()], hierarchical=False
    )
    assert list(netlist.modules) == ["quad"]


def test_the_library_of_a_kept_netlist_must_be_the_same(quad, tmp_path):
    text = "library(other) { nom_voltage : 1; cell (X) { area : 1; } }"
    (tmp_path / "other.lib").write_text(text)
    with pytest.raises(SynthesisError, match="was mapped to another library than other"):
        read_netlist(quad.verilog.parent, library=load_library(tmp_path / "other.lib"))


@pytest.mark.parametrize("top", ["quad; exec rm", "a b", "", "quad\n"])
def test_a_top_that_is_no_name_is_refused(library, mac_verilog, tmp_path, top):
    with pytest.raises(SynthesisError, match="top must be a Verilog identifier"):
        synthesise(mac_verilog, top, library=library, target_ps=700, folder=tmp_path)


def test_verilog_that_is_none_keeps_its_log(library, tmp_path):
    with pytest.raises(ToolError, match="syntax error") as caught:
        synthesise("this is no Verilog", "quad", library=library, target_ps=700, folder=tmp_path, recipes=[Recipe()])
    assert "\n" not in str(caught.value)
    assert (tmp_path / "plain" / "yosys.log").is_file()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"front_end": "fancy"}, "front_end must be one of"),
        ({"script": "fancy"}, "script must be one of"),
        ({"effort": -1}, r"effort must be in 0\.\.2"),
    ],
)
def test_recipes_are_checked(values, message):
    with pytest.raises(SynthesisError, match=message):
        Recipe(**values)


def test_another_library(mac_verilog, tmp_path):
    try:
        library = load_library("osu018")
    except LibertyError:
        pytest.skip("needs the Debian package qflow-tech-osu018")
    netlist = synthesise(mac_verilog, "quad", library=library, target_ps=4000, folder=tmp_path, recipes=[Recipe()])
    assert analyse(netlist).period_ps > 1000
