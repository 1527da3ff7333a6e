import time

import numpy as np
import pytest

from carrysave.asic.liberty import LibertyError, load_library
from carrysave.asic.liberty_text import parse_liberty
from carrysave.models.errors import CarrysaveError

SMALL = """
/* a library in other units, /* with a comment */
library(small) {
  time_unit : "1ps"; leakage_power_unit : "1uW"; voltage_unit : "1V"; nom_voltage : 0.8
  nom_temperature : -40;
  capacitive_load_unit (1, pf);
  lu_table_template(t) { variable_1 : total_output_net_capacitance; variable_2 : input_net_transition;
    index_1 ("0.001, 0.002"); index_2 ("10, 20, 30"); }
  cell (INV) {
    area : 2.5;
    cell_leakage_power : 0.25;
    pin (A) { direction : input; capacitance : 0.003; }
    pin (Y) { direction : output; function : "!A";
      timing () { related_pin : "A"; timing_sense : negative_unate;
        cell_rise (t) { values ("1, 2, 3", \\
                                "4, 5, 6"); }
        rise_transition (scalar) { values ("7"); } } }
  }
}
"""


def write(folder, text, name="small.lib"):
    path = folder / name
    path.write_text(text)
    return path


def test_units_and_axis_order(tmp_path):
    library = load_library(write(tmp_path, SMALL))
    cell = library.cell("INV")
    assert (library.voltage_v, library.temperature_c, library.time_unit_ps) == (0.8, -40.0, pytest.approx(1.0))
    assert cell.leakage_nw == pytest.approx(250.0)
    assert cell.pins["A"].capacitance_ff == pytest.approx(3.0)
    table = cell.pins["Y"].arcs[0].tables["cell_rise"]
    slews, loads, values = table.grid("slew", "load")
    np.testing.assert_allclose(slews, [10, 20, 30])
    np.testing.assert_allclose(loads, [1, 2])
    np.testing.assert_allclose(values, [[1, 4], [2, 5], [3, 6]])
    assert cell.pins["Y"].arcs[0].tables["rise_transition"].grid("slew", "load")[2].tolist() == [[7.0]]


def test_nangate(library):
    assert len(library.cells) == 135
    flip_flop = library.cell("DFF_X1")
    assert (flip_flop.kind, flip_flop.clock_pin, flip_flop.next_state) == ("flip-flop", "CK", "D")
    assert flip_flop.area_um2 == pytest.approx(4.522)
    assert flip_flop.leakage_nw == pytest.approx(79.112308)
    assert {arc.kind for arc in flip_flop.pins["D"].arcs} == {"hold_rising", "setup_rising"}
    assert flip_flop.pins["Q"].power[0].tables["fall_power"].values[0, 0] == pytest.approx(3.976646)  # fJ
    kinds = {name: cell.kind for name, cell in library.cells.items()}
    assert (kinds["DLH_X1"], kinds["CLKGATE_X1"], kinds["FILLCELL_X1"]) == ("latch", "clock gate", "other")
    assert library.driver == "BUF_X2"
    assert (library.tie(0), library.tie(1)) == (("LOGIC0_X1", "Z"), ("LOGIC1_X1", "Z"))
    assert library.wire_load.capacitance(np.array([0, 1, 11, 13])) == pytest.approx(
        [0, 1.746 * 0.1774, 27.032 * 0.1774, (27.032 + 2 * 5) * 0.1774]
    )


def test_parsing_is_fast(library):
    text = library.paths[0].read_text("latin-1")
    start = time.perf_counter()
    parse_liberty(text, source="stdcells.lib")
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("name", ["osu018", "osu035"])
def test_osu_libraries(name):
    try:
        library = load_library(name)
    except LibertyError as error:
        pytest.skip(str(error))
    assert library.cell("DFFPOSX1").clock_pin == "CLK"


def test_several_files_are_one_library(tmp_path):
    other = SMALL.replace("library(small)", "library(other)").replace("cell (INV)", "cell (INV2)")
    library = load_library(write(tmp_path, SMALL), write(tmp_path, other, "other.lib"))
    assert (library.name, sorted(library.cells)) == ("small", ["INV", "INV2"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no library group"),
        ("\n\n", "has no library group"),
        ("module adder(a, b);\nendmodule\n", "is not a Liberty file"),
        ('{"json": 1}', "is not a Liberty file: cannot read line 1"),
        (SMALL[: len(SMALL) * 2 // 3], "is cut short|cannot read line"),
        (SMALL + "}", "a '}' too many"),
        (SMALL.replace("nom_voltage : 0.8", ""), "does not say its nom_voltage"),
        (SMALL.replace("nom_voltage : 0.8", "nom_voltage : high"), "nom_voltage must be a number, not 'high'"),
        (SMALL.replace('"1ps"', '"soon"'), "cannot read the unit 'soon'"),
        ("library(none) { nom_voltage : 1; }", "has no cells"),
    ],
)
def test_what_is_not_liberty_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(LibertyError, match=message) as caught:
        load_library(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, CarrysaveError)


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "binary.lib"
    path.write_bytes(bytes(range(256)) * 100)
    with pytest.raises(LibertyError, match="is not a Liberty file"):
        load_library(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(LibertyError, match=r"there is no Liberty file .*nowhere\.lib"):
        load_library(tmp_path / "nowhere.lib")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"4, 5, 6"', '"4, 5"', r"a table of \(2, 3\) points has 5 values"),
        ('"4, 5, 6"', '"4, five, 6"', "a table holds something that is not a number"),
        ("input_net_transition", "frequency", "tables over 'frequency' are not supported"),
    ],
)
def test_a_broken_table_names_its_cell(tmp_path, old, new, message):
    library = load_library(write(tmp_path, SMALL.replace(old, new)))
    with pytest.raises(LibertyError, match=f"cell INV, pin Y: {message}"):
        library.cell("INV").pins["Y"].arcs[0].tables["cell_rise"].grid("slew", "load")
