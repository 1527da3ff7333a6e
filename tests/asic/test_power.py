"""Activity and power against a plain gate-level simulation, sums by hand, and OpenSTA."""

import dataclasses

import numpy as np
import pytest

from carrysave.asic.activity import Activity, ActivityError, read_saif
from carrysave.asic.boolean import expression
from carrysave.asic.opensta import find_opensta, run_opensta
from carrysave.asic.power import GROUPS, power
from carrysave.asic.timing import analyse
from carrysave.hdl.tool import ToolError

CYCLES = 200


def simulate(netlist, rng):
    """Values of all nets in each half of each cycle, clock high first: a cell at a time, no delays, one top clock."""
    flat = netlist.flat
    clock = int(flat.inputs["clk"][0])
    cells, registers = [], []
    for group in flat.groups:
        for place in range(len(group.names)):
            pins = {name: int(nets[place]) for name, nets in group.pins.items()}
            (registers if group.cell.kind == "flip-flop" else cells).append((group.cell, pins))
    known = {0, 1, *(int(net) for nets in flat.inputs.values() for net in nets)}
    known |= {pins[name] for cell, pins in registers for name in cell.outputs}
    order = []
    while cells:
        ready = [entry for entry in cells if all(entry[1][name] in known for name in entry[0].inputs)]
        assert ready
        order += ready
        known |= {pins[name] for cell, pins in ready for name in cell.outputs}
        cells = [entry for entry in cells if entry not in ready]
    now = np.zeros(flat.nets, np.uint8)
    now[1] = 1
    history = []

    def settle():
        for cell, pins in order:
            for name in cell.outputs:
                function = expression(cell.pins[name].function)
                index = 0
                for pin in function.names:
                    index = index << 1 | int(now[pins[pin]])
                now[pins[name]] = function.table[index]

    for cycle in range(CYCLES):
        settle()
        states = [now[pins[cell.next_state]] for cell, pins in registers]
        for (cell, pins), state in zip(registers, states, strict=True):
            for name in cell.outputs:
                inverse = cell.pins[name].function == cell.state[1]
                now[pins[name]] = state ^ inverse
        for name, nets in flat.inputs.items():
            now[nets] = (cycle < 2) if name == "clear" else rng.integers(0, 2, len(nets))
        settle()
        for now[clock] in (1, 0):
            history.append(now.copy())
    return np.array(history)


def write_saif(path, netlist, history, leave_out=()):
    toggles = (history[1:] != history[:-1]).sum(axis=0)
    ones = history.sum(axis=0)
    flat, lines = netlist.flat, []
    for instance in flat.instances:
        lines += [f"(INSTANCE {name}" for name in ("TOP", "bench", "dut", *instance.path)] + ["(NET"]
        for bit, aliases in instance.module.names.items():
            net = instance.nets[bit]
            for name, index in aliases:
                if name not in leave_out:
                    text = name if index is None else f"{name}\\[{index}\\]"
                    time = f"(T0 {len(history) - ones[net]}) (T1 {ones[net]}) (TZ 0) (TX 0) (TB 0)"
                    lines.append(f"  ({text} {time} (TC {toggles[net]}))")
        lines += [")"] + [")"] * (3 + len(instance.path))
    head = f'// a comment\n(SAIFILE\n(SAIFVERSION "2.0")\n(DIVIDER / )\n(TIMESCALE 1ps)\n(DURATION {len(history)})\n'
    path.write_text(head + "\n".join(lines) + "\n)\n")
    return toggles, ones / len(history)


@pytest.fixture(scope="module")
def run(quad, tmp_path_factory):
    """Four units, their simulation, and its activity read from SAIF."""
    path = tmp_path_factory.mktemp("saif") / "activity.saif"
    history = simulate(quad, np.random.default_rng(1))
    toggles, ones = write_saif(path, quad, history)
    return quad, Activity.from_saif(path, quad, cycles=CYCLES), toggles, ones


def test_saif_gives_each_net_its_toggles(run):
    netlist, activity, toggles, ones = run
    used = np.unique(np.concatenate([nets for group in netlist.flat.groups for nets in group.pins.values()]))
    np.testing.assert_array_equal(activity.toggles[used], toggles[used])
    np.testing.assert_allclose(activity.ones[used], ones[used])
    assert toggles[used].sum() > 1000
    assert activity.toggles[netlist.flat.inputs["clk"][0]] == 2 * CYCLES - 1


def test_cycles_come_from_the_clock(run, tmp_path):
    netlist, _activity, _toggles, _ones = run
    history = np.zeros((8, netlist.flat.nets), np.uint8)
    history[::2, netlist.flat.inputs["clk"]] = 1
    write_saif(tmp_path / "a.saif", netlist, history)
    assert Activity.from_saif(tmp_path / "a.saif", netlist).cycles == 3.5
    with pytest.raises(ActivityError, match="nothing is left"):
        Activity.from_saif(tmp_path / "a.saif", netlist, skip_cycles=4)


def test_a_net_that_is_not_traced_is_named(run, tmp_path):
    netlist = run[0]
    history = np.zeros((4, netlist.flat.nets), np.uint8)
    name = next(aliases[0][0] for aliases in netlist.modules["mac_pe"].names.values() if aliases[0][0].startswith("n"))
    write_saif(tmp_path / "a.saif", netlist, history, leave_out=[name])
    with pytest.raises(ActivityError, match=f"lacks [0-9]+ of [0-9]+ nets, p[01][01]/{name}"):
        Activity.from_saif(tmp_path / "a.saif", netlist)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a SAIF file"),
        ("$date today $end", "is not a SAIF file"),
        ("(SAIFILE (DURATION 0) (INSTANCE a))", "is not a SAIF file with a duration"),
        ("(SAIFILE (DURATION 10))", "has no instance"),
        ("(SAIFILE (DURATION 10) (INSTANCE a (NET (x (T0 1) (T1 2) (TC 3)))", "is cut short"),
        ("(SAIFILE (DURATION 10) (INSTANCE a)))", "a parenthesis too many"),
        ("(SAIFILE (DURATION 10) (x (T0 1) (T1 2) (TC 3)) (INSTANCE a))", "outside of an instance"),
        ("(SAIFILE (DURATION 10) (INSTANCE a (NET (x (T0 1) (T1 2) (TC 3)))))", "has no instance that looks like quad"),
    ],
)
def test_what_is_not_saif_is_refused(quad, tmp_path, text, message):
    path = tmp_path / "a.saif"
    path.write_text(text)
    with pytest.raises(ActivityError, match=message):
        Activity.from_saif(path, quad)


def test_a_missing_saif_is_refused(tmp_path):
    with pytest.raises(ActivityError, match=r"cannot read .*: No such file"):
        read_saif(tmp_path / "none.saif")


def test_sums(run):
    netlist, activity, _toggles, _ones = run
    found = power(netlist, activity)
    assert set(found.groups_fj) == set(GROUPS)
    assert all(energy > 0 for energy in found.groups_fj.values())
    assert sum(found.by_module.values()) == pytest.approx(found.dynamic_fj)
    assert sum(found.by_cell.values()) == pytest.approx(found.dynamic_fj)
    assert sum(found.leakage_by_module.values()) == pytest.approx(found.leakage_nw)
    assert found.power_mw(1000) == pytest.approx((found.dynamic_fj + found.leakage_nw * 1e-3) / 1000)
    assert found.by_module["quad"] == 0


def test_switching_energy_is_half_c_v_squared(run):
    netlist, activity, _toggles, _ones = run
    timing = analyse(netlist)
    found = power(netlist, activity, timing=timing)
    by_net = activity.toggles / CYCLES * timing.load_ff.mean(axis=1) * 1.1**2 / 2
    assert sum(found.switching_fj.values()) == pytest.approx(by_net.sum())
    assert found.switching_fj["clock"] == pytest.approx(by_net[netlist.flat.inputs["clk"][0]])


def test_twice_the_activity_is_twice_the_energy_of_logic(run):
    netlist, activity, _toggles, _ones = run
    once, twice = power(netlist, activity), power(netlist, dataclasses.replace(activity, toggles=2 * activity.toggles))
    for name in ("combinational", "inputs"):
        assert twice.groups_fj[name] == pytest.approx(2 * once.groups_fj[name])
    assert once.leakage_nw == pytest.approx(twice.leakage_nw, rel=0.05)


def test_an_inverter_by_hand(tmp_path, library, by_hand):
    netlist = by_hand(tmp_path, library, {"g": ("INV_X1", {"A": 2, "ZN": 3})}, inputs={"a": 2}, outputs={"y": 3})
    toggles, ones = np.array([0, 0, 30, 30.0]), np.array([0, 1, 0.25, 0.75])
    activity = Activity(toggles=toggles, ones=ones, cycles=10.0, source="by hand")
    found = power(netlist, activity, timing=analyse(netlist, wire_load=None, input_slew_ps=20.0, output_load_ff=3.0))
    (entry,) = library.cell("INV_X1").pins["ZN"].power
    tables = [entry.tables[name].grid("slew", "load") for name in ("rise_power", "fall_power")]
    energies = [np.interp(20, s, [np.interp(3, loads, row) for row in values]) for s, loads, values in tables]
    assert found.internal_fj["combinational"] == pytest.approx(3 * np.mean(energies))
    assert found.switching_fj["combinational"] == pytest.approx(3 * 3.0 * 1.21 / 2)
    assert found.switching_fj["inputs"] == pytest.approx(3 * library.cell("INV_X1").pins["A"].capacitance_ff * 1.21 / 2)
    states = dict(library.cell("INV_X1").leakage_when)
    assert found.leakage_nw == pytest.approx(0.25 * states["A"] + 0.75 * states["!A"])


def test_a_register_that_holds_its_value(tmp_path, library, by_hand):
    cells = {"g": ("DFF_X1", {"D": 2, "CK": 3, "Q": 4})}
    netlist = by_hand(tmp_path, library, cells, inputs={"d": 2, "clk": 3}, outputs={"q": 4})
    activity = Activity(
        toggles=np.array([0, 0, 0, 200.0, 0]), ones=np.array([0, 1, 1, 0.5, 1.0]), cycles=100.0, source="by hand"
    )
    found = power(netlist, activity)
    # data and state are 1: of the clock pin's four states only "D & Q & !QN" counts
    entry = next(entry for entry in library.cell("DFF_X1").pins["CK"].power if entry.when == "D & Q & !QN")
    energies = [extrapolated(entry.tables[name]) for name in ("rise_power", "fall_power")]
    assert found.internal_fj["clock"] == pytest.approx(sum(energies))
    assert found.internal_fj["registers"] == 0
    assert found.groups_fj["combinational"] == 0


def extrapolated(table):
    """Value at a slew of 0."""
    (points,), values = table.index, table.values
    return values[0] - points[0] * (values[1] - values[0]) / (points[1] - points[0])


def opensta_internal_fj(netlist, activity, timing):
    """Internal energy of combinational cells a cycle by the rules of OpenSTA 2.0.17, which are not ours.

    It charges the energies of both edges for every transition, and it weighs the entries of an output by duties that
    need not add up to 1: of the state that an entry names; else, for a function of two inputs, of the other input times
    the ratio of the input's activity and the output's; else one half.
    """
    rate, total = activity.toggles / activity.cycles, 0.0
    for group in netlist.flat.groups:
        cell = group.cell
        if cell.kind == "flip-flop":
            continue
        ones = {name: activity.ones[nets] for name, nets in group.pins.items()}
        for name in cell.outputs:
            function = expression(cell.pins[name].function)
            out = rate[group.pins[name]]
            for entry in cell.pins[name].power:
                source = group.pins[entry.related]
                if entry.when:
                    duty = expression(entry.when).probability(ones)
                elif len(function.names) <= 2:
                    duty = np.divide(rate[source], out, out=np.zeros(len(out)), where=out > 0)
                    for other in function.names:
                        if other != entry.related:
                            one = ones[other]
                            joined = "&" in cell.pins[name].function or "*" in cell.pins[name].function
                            duty = duty * (one if joined else 1 - one)
                else:
                    duty = np.full(len(out), 0.5)
                for edge, table_name in enumerate(("rise_power", "fall_power")):
                    slews, loads, values = entry.tables[table_name].grid("slew", "load")
                    at = zip(timing.slew_ps[source, edge], timing.load_ff[group.pins[name]].max(axis=1), strict=True)
                    energies = [
                        np.interp(slew, slews, [np.interp(load, loads, row) for row in values]) for slew, load in at
                    ]
                    total += float((np.array(energies) * duty * out).sum())
    return total


def test_opensta(run, tmp_path):
    """Where the rules are the same, OpenSTA's figures are ours; where they differ, its rules explain all of it."""
    try:
        find_opensta()
    except ToolError:
        pytest.skip("needs the Debian package opensta")
    netlist, activity, _toggles, _ones = run
    timing = analyse(netlist)
    ours = power(netlist, activity, timing=timing)
    theirs = run_opensta(netlist, folder=tmp_path, period_ps=1000, activity=activity)
    per_cycle = {group: {key: mw * 1000 for key, mw in row.items()} for group, row in theirs.power_mw.items()}
    # It charges nets at the larger of the capacitances of both edges, we at their mean.
    assert ours.switching_fj["combinational"] == pytest.approx(per_cycle["combinational"]["switching"], rel=0.05)
    assert ours.switching_fj["registers"] == pytest.approx(per_cycle["sequential"]["switching"], rel=0.05)
    # It takes states as equally likely, we as they were.
    assert ours.leakage_nw == pytest.approx(per_cycle["total"]["leakage"] * 1e3, rel=0.2)
    by_its_rules = opensta_internal_fj(netlist, activity, timing)
    assert by_its_rules == pytest.approx(per_cycle["combinational"]["internal"], rel=0.05)
    assert ours.internal_fj["combinational"] < per_cycle["combinational"]["internal"] / 2
