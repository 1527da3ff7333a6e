"""Benchmarks: what the page says follows from the points, whichever they are."""

import dataclasses
import re

import pytest

from carrysave.asic.front import figure_of_merit
from carrysave.bench import FIRST_CONSTRUCTIONS, PUBLISHED, write_markdown
from carrysave.bench_family import FAMILY, MODULES, area_at, family_fronts, family_markdown, merit, pareto
from carrysave.bench_float import FloatSpeed
from carrysave.bench_lmul import MULTIPLIERS
from carrysave.models.digits import Recoding
from carrysave.sim.store import Store

SPEEDS = {
    "bulk_vectors_per_s": 3e6,
    "cocotb_vectors_per_s": 2e4,
    "amaranth_vectors_per_s": 5e3,
    "golden_macs_per_s": 8e7,
    "gemm_macs_per_s": 3e9,
    "matmul_int64_macs_per_s": 5e8,
}


def result(points):
    """A result in which every front is the same."""
    keys = {*((pe, acc_width) for pe, acc_width in PUBLISHED), *((pe, 32) for pe in FIRST_CONSTRUCTIONS), ("plain", 32)}
    rows = [{"pe": pe, "width": 8, "acc_width": acc_width, "points": points} for pe, acc_width in sorted(keys)]
    multipliers = {name: [(delay, area) for delay, area, _how in points] for name in MULTIPLIERS}
    family = dict.fromkeys(MODULES, points)
    found = {"fronts": rows, "family": family, "multipliers": multipliers, "speeds": SPEEDS}
    return {
        **found,
        "float_speeds": [FloatSpeed(name="ours", rate=2e8, ratio=0.5, beside="theirs")],
        "dfp_speeds": [FloatSpeed(name="integers", rate=3e8, ratio=0.75, beside="NumPy")],
        "function_speeds": [FloatSpeed(name="Shiftmax", rate=4e8, ratio=0.25, beside="softmax")],
        "block_speeds": [FloatSpeed(name="block", rate=5e3, ratio=0.125, beside="real")],
    }


@pytest.fixture
def excellent():
    return write_markdown(result([(100.0, 500.0, "booth")]))


@pytest.fixture
def poor():
    return write_markdown(result([(700.0, 5000.0, "booth"), (3000.0, 4000.0, "and")]))


def test_ours_better_everywhere(excellent):
    assert "Published points that ours does not match in area at their delay: 0." in excellent
    assert "Points of the first constructions that ours does not match: none." in excellent
    best = min(500 / area for _delay, area in FIRST_CONSTRUCTIONS["mac"])
    assert f"against the first constructions: mac {best:.2f}," in excellent


def test_ours_worse_everywhere(poor):
    count = sum(map(len, PUBLISHED.values()))
    assert f"Published points that ours does not match in area at their delay: {count}." in poor
    for pe, points in FIRST_CONSTRUCTIONS.items():
        for delay, area in points:
            ours = "5000" if delay >= 700 else "-"
            assert f"{pe} {delay}: {area} (ours {ours})" in poor


def test_every_point_of_others_has_a_row(excellent):
    for (pe, acc_width), points in PUBLISHED.items():
        for delay, area in points:
            assert f"| {pe}, published | {acc_width} | {delay}: {area} | 500 | {500 / area:.2f} |" in excellent


def test_merit_and_speeds(excellent):
    assert f"| 100 | 500 | {figure_of_merit(100, 500):.2f} | booth |" in excellent
    assert "3e+06 vectors | 150.00 |" in excellent
    assert "3e+09 MACs | 6.00 |" in excellent
    assert "| ours | 200 | 0.5 | theirs |" in excellent
    assert "| integers | 300 | 0.75 | NumPy |" in excellent
    assert "| Shiftmax | 400 | 0.25 | softmax |" in excellent
    assert "| block | 0.005 | 0.125 | real |" in excellent


def test_tables_are_whole(excellent, poor):
    for text in (excellent, poor):
        for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_others_points_are_fronts():
    for points in [*PUBLISHED.values(), *FAMILY.values()]:
        assert list(points) == sorted(points)
        areas = [area for _delay, area in points]
        assert areas == sorted(areas, reverse=True)


def test_every_published_module_of_the_family_has_one_of_ours():
    assert MODULES.keys() == FAMILY.keys()


def test_family_better_everywhere():
    text = "\n".join(family_markdown({name: [(100.0, 80.0, "small")] for name in MODULES}))
    assert "Published points that ours does not match in area at their delay: none." in text
    assert "Points of our fronts that a published one beats in both figures: none." in text
    digits = Recoding(encoding="en-t").mean_nonzero_digits(sigma=30)
    assert f"{digits:.3f} digits an operand" in text
    for name, published in FAMILY.items():
        label = f"{name}, against four OPT4C" if name == "OPT4E PE" else name
        for delay, area in published:
            assert f"| {label} | {delay}: {area} | 80 | {80 / area:.2f} |" in text
    # 16 PEs add 16 digits a cycle.
    assert f"| OPT4C column, 16 PEs | 100 | 80 | {16 / digits * figure_of_merit(100, 80):.2f} | small |" in text
    assert f"| systolic 4 x 4, MAC | 100 | 80 | {16 * figure_of_merit(100, 80):.2f} | small |" in text
    assert "| 215 | 320 | 80 | 0.25 |" in text


def test_family_worse_everywhere():
    text = "\n".join(family_markdown({name: [(300.0, 99999.0, "large")] for name in MODULES}))
    for name, published in FAMILY.items():
        for delay, area in published:
            assert f"{name} {delay}: {area}" in text
    assert "| OPT4C PE | 215: 596 | - | - | 2.08 | - |" in text
    worse = "Points of our fronts that a published one beats in both figures: OPT4C PE 300: 99999; "
    assert worse in text
    assert "| 215 | - | - | - |" in text


def test_merit_counts_what_a_module_does_in_a_cycle():
    assert merit(370, 1000, 4) == pytest.approx(8.0)
    assert MODULES["OPT4E PE"].macs_per_cycle == 4 * MODULES["OPT4C PE"].macs_per_cycle
    assert MODULES["sparse encoder"].macs_per_cycle == 0


def test_area_at_and_pareto():
    points = [(300, 50, "c"), (100, 90, "a"), (200, 95, "worse"), (200, 60, "b")]
    assert pareto(points) == [(100, 90, "a"), (200, 60, "b"), (300, 50, "c")]
    assert [area_at(points, delay) for delay in (99, 100, 250, 1000)] == [None, 90, 60, 50]


@pytest.fixture
def small_front(monkeypatch):
    module = MODULES["EN-T encoder"]
    options = {"front_ends": ("plain",), "scripts": ("map",), "targets_ps": (0, 300)}
    monkeypatch.setitem(MODULES, "EN-T encoder", dataclasses.replace(module, options=options))
    return "EN-T encoder"


def test_front_of_a_module(tmp_path, small_front):
    lines = []
    fronts = family_fronts(Store(tmp_path), lines.append, [small_front])
    assert list(fronts) == [small_front]
    assert all(0 < delay < 1000 and 50 < area < 300 for delay, area, _how in fronts[small_front])
    assert re.fullmatch(r"EN-T encoder: [12] points", lines[0])
    # The second time it comes from the store.
    assert family_fronts(Store(tmp_path), lines.append, [small_front]) == fronts
