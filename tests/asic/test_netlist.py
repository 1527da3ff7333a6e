import re

import pytest

from carrysave.asic.netlist import Netlist, NetlistError
from carrysave.asic.timing import TimingError, analyse


def test_names_are_those_of_the_written_verilog(quad):
    text = quad.verilog.read_text()
    declared = set(re.findall(r"^\s*(?:wire|input|output)(?: signed)? (?:\[\d+:\d+\] )?(\S+?);", text, re.MULTILINE))
    declared = {name.removeprefix("\\") for name in declared}
    for module in quad.modules.values():
        assert {name for aliases in module.names.values() for name, _index in aliases} <= declared
        for name, kind, _pins in module.cells:
            assert re.search(rf"^\s*{re.escape(kind)} \\?{re.escape(name)} \(", text, re.MULTILINE)


def test_hierarchy_is_kept_and_counted(quad, library):
    assert quad.instances_of == {"quad": 1, "mac_pe": 4}
    assert quad.area_um2() == pytest.approx(4 * quad.area_um2("mac_pe"))
    by_hand = sum(library.cell(kind).area_um2 * count for kind, count in quad.cell_counts("mac_pe").items())
    assert quad.area_um2("mac_pe") == pytest.approx(by_hand)
    assert quad.cell_counts()["DFF_X1"] == 4 * 20
    rows = {row["module"]: row for row in quad.area_report()}
    assert rows["mac_pe"]["register_um2"] == pytest.approx(20 * 4.522)
    assert rows["quad"]["own_um2"] == 0


def test_flattening_joins_ports(quad):
    flat = quad.flat
    assert len(flat.instances) == 5
    assert sum(len(group.names) for group in flat.groups) == sum(quad.cell_counts().values())
    registers = next(group for group in flat.groups if group.cell.name == "DFF_X1")
    assert set(registers.pins["CK"].tolist()) == {int(flat.inputs["clk"][0])}
    assert flat.net_names[flat.outputs["acc"][13]] == "acc[13]"
    assert any(name.startswith("p10/n") for name in flat.net_names)


def test_a_feedthrough_joins_its_parents_nets(tmp_path, library, by_hand):
    through = {
        "ports": {"i": {"direction": "input", "bits": [2]}, "o": {"direction": "output", "bits": [2]}},
        "cells": {},
        "netnames": {"i": {"bits": [2]}, "o": {"bits": [2]}},
    }
    cells = {
        "g": ("INV_X1", {"A": 2, "ZN": 3}),
        "u": ("through", {"i": 3, "o": 4}),
        "h": ("INV_X1", {"A": 4, "ZN": 5}),
    }
    found = by_hand(tmp_path, library, cells, inputs={"a": 2}, outputs={"y": 5}, modules={"through": through})
    group = found.flat.groups[0]
    assert group.pins["ZN"][0] == group.pins["A"][1]
    assert analyse(found).through_ps > 0


def test_constants_and_unconnected_pins(tmp_path, library, by_hand):
    cells = {
        "g": ("NAND2_X1", {"A1": 2, "A2": "1", "ZN": 3}),
        "h": ("NAND2_X1", {"A1": 3, "A2": None, "ZN": 4}),
        "k": ("NAND2_X1", {"A1": "0", "A2": "x", "ZN": 5}),
        "l": ("INV_X1", {"A": 4}),
    }
    found = by_hand(tmp_path, library, cells, inputs={"a": 2}, outputs={"y": 4, "z": 5, "one": "1"})
    timing = analyse(found)
    assert timing.period_ps == timing.through_ps > 0
    assert timing.clock is None


def test_an_unknown_cell_is_refused(tmp_path, library, by_hand):
    with pytest.raises(
        NetlistError, match="uses 'NAND9_X1', which is neither one of its modules nor a cell of Nangate"
    ):
        by_hand(tmp_path, library, {"g": ("NAND9_X1", {"A": 2, "ZN": 3})})


def test_an_unmapped_cell_is_refused(tmp_path, library, by_hand):
    with pytest.raises(NetlistError, match=r"uses '\$_DLATCH_P_'"):
        by_hand(tmp_path, library, {"g": ("$_DLATCH_P_", {"D": 2, "E": 3, "Q": 4})})


def test_an_unknown_pin_is_refused(tmp_path, library, by_hand):
    found = by_hand(tmp_path, library, {"g": ("INV_X1", {"B": 2, "ZN": 3})})
    with pytest.raises(NetlistError, match="connects pin 'B', which the library has not"):
        analyse(found)


def test_a_file_that_is_no_netlist_is_refused(tmp_path, library):
    path = tmp_path / "none.json"
    for text in ("", "{}", "module x; endmodule"):
        path.write_text(text)
        with pytest.raises(NetlistError, match="is not a netlist in Yosys' JSON"):
            Netlist.read(path, top="top", library=library, verilog=path, cell_models=path)


@pytest.mark.parametrize("feedback", [False, True])
def test_a_combinational_loop_is_named(tmp_path, library, feedback, by_hand):
    cells = {
        "a": ("INV_X1", {"A": 2, "ZN": 3}),
        "b": ("NAND2_X1", {"A1": 3, "A2": 6 if feedback else 2, "ZN": 4}),
        "c": ("INV_X1", {"A": 4, "ZN": 5}),
        "d": ("INV_X1", {"A": 5, "ZN": 6}),
        "e": ("INV_X1", {"A": 6, "ZN": 7}),
    }
    found = by_hand(tmp_path, library, cells, inputs={"i": 2}, outputs={"o": 7})
    if feedback:
        with pytest.raises(TimingError, match=r"combinational loop through net net[456]"):
            analyse(found)
    else:
        assert analyse(found).through_ps > 0


def test_several_drivers_are_refused(tmp_path, library, by_hand):
    cells = {"a": ("INV_X1", {"A": 2, "ZN": 3}), "b": ("INV_X1", {"A": 2, "ZN": 3})}
    with pytest.raises(TimingError, match="net net3 has 2 drivers"):
        analyse(by_hand(tmp_path, library, cells, inputs={"i": 2}))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"g": ("DLH_X1", {"D": 2, "G": 3, "Q": 4})}, r"cell g is a latch \(DLH_X1\)"),
        ({"g": ("CLKGATE_X1", {"E": 2, "CK": 3, "GCK": 4})}, "cell g is a clock gate"),
        (
            {"g": ("DFF_X1", {"D": 2, "CK": 3, "Q": 4}), "h": ("DFF_X1", {"D": 4, "CK": 2, "Q": 5})},
            "several clocks: a, b",
        ),
        (
            {"g": ("INV_X1", {"A": 3, "ZN": 4}), "h": ("DFF_X1", {"D": 2, "CK": 4, "Q": 5})},
            "clock of flip-flop h is not an input port",
        ),
    ],
)
def test_latches_and_derived_clocks_are_refused(tmp_path, library, cells, message, by_hand):
    with pytest.raises(TimingError, match=message):
        analyse(by_hand(tmp_path, library, cells, inputs={"a": 2, "b": 3}))


def test_a_cell_without_tables_is_refused(tmp_path, library, by_hand):
    bare = library.cell("INV_X1")
    pins = {name: type(pin)(**{**vars(pin), "arcs": ()}) for name, pin in bare.pins.items()}
    broken = type(library)(**{**vars_of(library), "cells": {"INV_X1": type(bare)(**{**vars_of(bare), "pins": pins})}})
    found = by_hand(tmp_path, broken, {"g": ("INV_X1", {"A": 2, "ZN": 3})}, inputs={"a": 2}, outputs={"y": 3})
    with pytest.raises(TimingError, match="cell INV_X1 has no timing tables for its output ZN"):
        analyse(found)


def vars_of(instance):
    return {name: getattr(instance, name) for name in type(instance).__dataclass_fields__}
