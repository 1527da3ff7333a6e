"""From a configuration to its report: synthesis, gate-level simulation against the golden model, energy."""

import json

import numpy as np
import pytest

from carrysave.asic.estimate import SCHEMA, EnergyError, Recorded, energy, map_design, report
from carrysave.asic.gates import SimulationError, play_gates
from carrysave.asic.synthesis import Recipe
from carrysave.asic.timing import analyse
from carrysave.hdl.catalogue import design
from carrysave.models.mac import MACConfig
from carrysave.models.systolic import SystolicConfig
from carrysave.sim.store import Store

RECIPES = [Recipe()]
SMALL = {"a_width": 4, "b_width": 4, "max_k": 16}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(tmp_path_factory.mktemp("build"))


def stimulus(config, count):
    return design(config.design).stimulus(config, np.random.default_rng(7), count)


@pytest.mark.parametrize(
    "config", [MACConfig(**SMALL), SystolicConfig(**SMALL, rows=2, cols=2)], ids=["mac", "systolic"]
)
def test_report(config, store):
    beats = stimulus(config, 700)  # enough for two streams side by side
    content = report(config, store=store, beats=beats, recipes=RECIPES)
    assert json.loads(json.dumps(content)) == content
    assert content["schema"] == SCHEMA
    assert content["digest"] == config.digest
    area, timing, spent = content["area"], content["timing"], content["energy"]
    assert area["total_um2"] == pytest.approx(sum(row["own_um2"] * row["instances"] for row in area["by_module"]))
    assert timing["frequency_mhz"] == pytest.approx(1e6 / timing["period_ps"])
    assert spent["macs"] == 700 * design(config.design).macs_per_beat(config)
    assert spent["beats_checked"] == 700
    assert spent["outputs_checked"] == len(design(config.design).golden(config, beats))
    assert spent["per_cycle_fj"] == pytest.approx(sum(spent["groups_fj"].values()))
    assert spent["per_mac_fj"] == pytest.approx(spent["per_cycle_fj"] * spent["cycles"] / spent["macs"])
    assert spent["power_mw"] == pytest.approx(spent["per_cycle_fj"] / spent["clock_ps"])
    assert content["pe"]["instances"] == design(config.design).macs_per_beat(config)
    assert 0 < content["pe"]["per_mac_fj"] < spent["per_mac_fj"]
    assert content["provenance"]["library"]["name"] == "NangateOpenCellLibrary"
    assert "golden model" in content["provenance"]["activity"]


def test_without_a_workload_there_is_no_energy(store):
    content = report(MACConfig(**SMALL), store=store, recipes=RECIPES)
    assert content["energy"] is None
    assert "per_mac_fj" not in content["pe"]


def test_a_netlist_that_computes_wrong_gives_no_power(store):
    config = MACConfig(**SMALL)
    netlist = map_design(config, store=store, recipes=RECIPES)
    good, other = stimulus(config, 64), MACConfig(**{**SMALL, "a_signed": False, "max_k": 14})
    assert other.o.width == config.o.width
    assert play_gates(config, good, netlist, store=store).outputs == len(design("mac").golden(config, good))
    with pytest.raises(SimulationError, match=r"fails against the golden model: output \d+ of stream 0 of 1 differs"):
        energy(other, stimulus(other, 64), netlist, store=store)
    with pytest.raises(EnergyError, match="simulator must be gates or verilator"):
        energy(config, good, netlist, store=store, simulator="guess")
    with pytest.raises(SimulationError, match="no beats"):
        energy(config, good[:0], netlist, store=store)


def test_activity_from_elsewhere(store, tmp_path):
    config = MACConfig(**SMALL)
    netlist = map_design(config, store=store, recipes=RECIPES)
    own = energy(config, stimulus(config, 64), netlist, store=store)
    lines = [f"(SAIFILE (DURATION {int(own.power.cycles)})"]
    for instance in netlist.flat.instances:
        lines += [f"(INSTANCE {name}" for name in ("dut", *instance.path)] + ["(NET"]
        for bit, aliases in instance.module.names.items():
            net, (name, index) = instance.nets[bit], aliases[0]
            one, toggles = own.activity.ones[net] * own.power.cycles, own.activity.toggles[net]
            text = name if index is None else f"{name}[{index}]"
            lines.append(f"({text} (T0 0) (T1 {round(one)}) (TC {round(toggles)}))")
        lines += [")"] * (2 + len(instance.path))
    (tmp_path / "own.saif").write_text("\n".join(lines) + ")\n")
    recorded = Recorded(saif=tmp_path / "own.saif", macs=own.macs, source="a test")
    content = report(config, store=store, activity=recorded, recipes=RECIPES)
    assert content["energy"]["per_mac_fj"] == pytest.approx(
        own.energy_per_mac_fj(content["energy"]["clock_ps"]), rel=1e-3
    )
    assert content["provenance"]["activity"] == "a test"
    with pytest.raises(EnergyError, match="not both"):
        report(config, store=store, activity=recorded, beats=stimulus(config, 8))


def test_what_is_done_is_not_done_again(store, monkeypatch):
    config = MACConfig(**SMALL)
    netlist = map_design(config, store=store, recipes=RECIPES)
    monkeypatch.setattr("carrysave.asic.estimate.synthesise", None)
    assert map_design(config, store=store, recipes=RECIPES).verilog == netlist.verilog
    assert analyse(netlist).period_ps > 0
