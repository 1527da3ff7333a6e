"""Benchmarks: what the page says follows from the points, whichever they are."""

import re

import pytest

from carrysave.asic.front import figure_of_merit
from carrysave.bench import FIRST_CONSTRUCTIONS, PUBLISHED, write_markdown

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
    return {"fronts": rows, "speeds": SPEEDS}


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


def test_tables_are_whole(excellent, poor):
    for text in (excellent, poor):
        for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_others_points_are_fronts():
    for points in PUBLISHED.values():
        assert list(points) == sorted(points)
        areas = [area for _delay, area in points]
        assert areas == sorted(areas, reverse=True)
