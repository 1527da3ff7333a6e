import shutil
from importlib.metadata import version

import pytest

from carrysave.asic.front import Point, figure_of_merit, front, pareto, tries
from carrysave.asic.synthesis import SynthesisError

REFERENCE = [
    (529.98, 358.0, "map", 0),
    (569.12, 341.3, "map", 600),
    (594.8, 340.2, "map", 1000),
    (951.46, 328.8, "area", 0),
    (996.88, 306.7, "area", 1000),
]
ONE = {"front_ends": ["plain"], "scripts": ["map"]}


def point(delay_ps, area_um2):
    return Point(delay_ps=delay_ps, area_um2=area_um2, front_end="plain", script="map", target_ps=0)


def test_pareto():
    points = [point(3, 5), point(1, 9), point(2, 9), point(2, 7), point(4, 5), point(5, 1)]
    assert pareto(points) == [point(1, 9), point(2, 7), point(3, 5), point(5, 1)]
    assert pareto([]) == []


def test_figure_of_merit():
    # the published MAC at 1211 ps and 873 um2, and the best OPT1 point 495 ps, 747 um2
    assert figure_of_merit(1211, 873) == pytest.approx(0.854, abs=1e-3)
    assert figure_of_merit(495, 747) == pytest.approx(2.142, abs=1e-3)


def test_the_reference_recipes_numbers(mac_verilog, tmp_path):
    """What the recipe that this one takes over gives for the same module with its quick options."""
    if version("pyosys") != "0.70":
        pytest.skip("the reference numbers are those of pyosys 0.70")
    found = front(mac_verilog, "mac_pe", cache_folder=tmp_path, effort="quick", jobs=2)
    assert [(p.delay_ps, p.area_um2, p.script, p.target_ps) for p in found] == REFERENCE


def test_a_killed_search_continues(mac_verilog, tmp_path, monkeypatch):
    seen = []
    first = tries(
        mac_verilog, "mac_pe", cache_folder=tmp_path, targets_ps=[0], progress=lambda *a: seen.append(a), **ONE
    )
    assert seen == [(0, 1), (1, 1)]
    (batch,) = tmp_path.glob("*/plain.map")
    shutil.copy(batch / "0.log", batch / "600.log")
    (batch / "600.json").write_text('{"design": {"ar')  # as a killed Yosys leaves it
    both = tries(
        mac_verilog, "mac_pe", cache_folder=tmp_path, targets_ps=[0, 600], progress=lambda *a: seen.append(a), **ONE
    )
    assert seen[2:] == [(1, 2), (2, 2)]
    assert set(first) < set(both)
    monkeypatch.setattr("carrysave.asic.front.run_yosys", None)  # nothing is left to do
    assert tries(mac_verilog, "mac_pe", cache_folder=tmp_path, targets_ps=[600, 0], **ONE) == both


def test_another_module_has_another_place(mac_verilog, tmp_path):
    inverter = "module mac_pe(input a, output y); assign y = ~a; endmodule\n"
    one = tries(mac_verilog, "mac_pe", cache_folder=tmp_path, targets_ps=[0], **ONE)
    other = tries(inverter, "mac_pe", cache_folder=tmp_path, targets_ps=[0], **ONE)
    assert other[0].area_um2 < 5 < one[0].area_um2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": "a;b"}, "top must be a Verilog identifier"),
        ({"effort": "heroic"}, "effort must be one of quick, normal, full"),
        ({"jobs": 0}, "jobs must be a positive integer"),
        ({"front_ends": ["x"]}, "front_end must be one of"),
        ({"scripts": ["x"]}, "script must be one of"),
        ({"targets_ps": [-1]}, "targets_ps must be integers"),
        ({"targets_ps": ["1; shell"]}, "targets_ps must be integers"),
    ],
)
def test_options_are_checked(tmp_path, options, message):
    with pytest.raises(SynthesisError, match=message):
        front("", **{"top": "mac_pe", "cache_folder": tmp_path, **options})
