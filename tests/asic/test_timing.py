import itertools

import numpy as np
import pytest

from carrysave.asic.opensta import find_opensta, run_opensta
from carrysave.asic.synthesis import register_overhead_ps
from carrysave.asic.timing import TimingError, analyse, net_loads
from carrysave.hdl.tool import ToolError


def look_up(table, slew, load):
    """A second, plain implementation of bilinear interpolation."""
    slews, loads, values = table.grid("slew", "load")
    along = [np.interp(load, loads, row) for row in values]
    return float(np.interp(slew, slews, along))


def test_a_chain_by_hand(tmp_path, library, by_hand):
    # flip-flop, inverter, flip-flop: rising output of the first, falling of the inverter, or the other way round
    cells = {
        "a": ("DFF_X1", {"D": 2, "CK": 3, "Q": 4}),
        "b": ("INV_X1", {"A": 4, "ZN": 5}),
        "c": ("DFF_X1", {"D": 5, "CK": 3, "Q": 6}),
    }
    netlist = by_hand(tmp_path, library, cells, inputs={"d": 2, "clk": 3}, outputs={"q": 6})
    timing = analyse(netlist, wire_load=None, clock_slew_ps=10.0)
    flip_flop, inverter = library.cell("DFF_X1"), library.cell("INV_X1")
    launch = flip_flop.pins["Q"].arcs[0].tables
    stage = inverter.pins["ZN"].arcs[0].tables
    setup = next(arc for arc in flip_flop.pins["D"].arcs if arc.kind == "setup_rising").tables
    periods = []
    for first, second in (("rise", "fall"), ("fall", "rise")):
        load = getattr(inverter.pins["A"], f"{first}_capacitance_ff")
        arrival = look_up(launch[f"cell_{first}"], 10.0, load)
        slew = look_up(launch[f"{first}_transition"], 10.0, load)
        load = getattr(flip_flop.pins["D"], f"{second}_capacitance_ff")
        arrival += look_up(stage[f"cell_{second}"], slew, load)
        slew = look_up(stage[f"{second}_transition"], slew, load)
        points, related, values = setup[f"{second}_constraint"].grid("slew", "related")
        periods.append(arrival + np.interp(slew, points, [np.interp(10.0, related, row) for row in values]))
    assert timing.period_ps == pytest.approx(max(periods), rel=1e-9)
    assert [point.cell for point in timing.critical_path] == ["DFF_X1", "INV_X1"]
    assert timing.clock == "clk"
    assert timing.output_ps > 0
    assert timing.input_ps > 0
    assert timing.through_ps == 0


def test_wires_count_by_fanout(tmp_path, library, by_hand):
    cells = {f"g{number}": ("INV_X1", {"A": 2, "ZN": 3 + number}) for number in range(4)}
    netlist = by_hand(tmp_path, library, cells, inputs={"a": 2}, outputs={"y": 3})
    load, wire, model = net_loads(netlist, output_load_ff=2.0)
    names = netlist.flat.net_names
    pin = library.cell("INV_X1").pins["A"]
    assert wire[names.index("net2")] == pytest.approx(9.2201 * 0.1774)
    assert load[names.index("net2"), 0] == pytest.approx(4 * pin.rise_capacitance_ff + 9.2201 * 0.1774)
    assert load[names.index("net3")] == pytest.approx([2 + 1.746 * 0.1774] * 2)
    assert wire[names.index("net4")] == 0
    assert "5K_hvratio_1_1" in model
    assert not net_loads(netlist, wire_load=None)[1].any()
    with pytest.raises(TimingError, match="wire_load must be"):
        net_loads(netlist, wire_load="guess")


def test_paths_add_up(quad, library):
    timing = analyse(quad)
    path = timing.critical_path
    assert path[0].cell.startswith("DFF")
    assert all(first.arrival_ps < second.arrival_ps for first, second in itertools.pairwise(path))
    assert path[-1].arrival_ps < timing.period_ps < path[-1].arrival_ps + 100
    assert timing.register_ps == timing.period_ps
    assert 80 < register_overhead_ps(library) < 180
    assert analyse(quad, wire_load=None).period_ps < timing.period_ps < analyse(quad, input_slew_ps=100).input_ps + 1e3


def test_opensta_agrees(quad, tmp_path):
    try:
        find_opensta()
    except ToolError as error:
        pytest.skip(str(error))
    found = run_opensta(quad, folder=tmp_path, period_ps=2000)
    assert analyse(quad).period_ps == pytest.approx(found.period_ps, rel=0.01)
    assert found.power_mw == {}
