"""Benchmarks of the multipliers: what the page says follows from the points; what is measured is what it is said to be."""

import re

import numpy as np
import pytest

from carrysave.bench_lmul import MULTIPLIERS, PUBLISHED_MULTIPLIERS, multiplier_fronts, multiplier_markdown
from carrysave.hdl.catalogue import design
from carrysave.sim.store import Store


def page(**fronts):
    """The page with the same front for every multiplier that is not named."""
    return "\n".join(multiplier_markdown({name: fronts.get(name, [(100.0, 90.0)]) for name in MULTIPLIERS}))


def test_published_points_are_fronts():
    assert PUBLISHED_MULTIPLIERS.keys() <= MULTIPLIERS.keys()
    for points in PUBLISHED_MULTIPLIERS.values():
        assert list(points) == sorted(points)
        areas = [area for _delay, area in points]
        assert areas == sorted(areas, reverse=True)


def test_ours_better_everywhere():
    text = page(exact=[(100.0, 400.0), (900.0, 300.0)])
    assert "Published points that ours does not match in area at their delay: none." in text
    assert "Points of our fronts that a published one beats in both figures: none." in text
    for delay, area in PUBLISHED_MULTIPLIERS["L-Mul"]:
        assert f"| L-Mul | {delay}: {area} | 100: 90 | {90 / area:.3f} |" in text
    # The smallest that is as fast, not the fastest.
    assert f"| exact | 841: 762 | 100: 400 | {400 / 762:.3f} |" in text
    assert f"| exact | 984: 701 | 900: 300 | {300 / 701:.3f} |" in text
    assert "| as published | 100 | 90 | 400 | 0.23 |" in text


def test_ours_worse():
    text = page(**{"L-Mul": [(450.0, 500.0), (700.0, 280.0), (950.0, 250.0)], "L-Mul, bfloat16": [(300.0, 99.0)]})
    assert "| L-Mul | 445: 360 | - | - |" in text
    assert f"| L-Mul | 478: 329 | 450: 500 | {500 / 329:.3f} |" in text
    assert f"| L-Mul | 978: 261 | 950: 250 | {250 / 261:.3f} |" in text
    beaten = "; ".join(f"L-Mul {delay}: {area}" for delay, area in PUBLISHED_MULTIPLIERS["L-Mul"] if delay < 978)
    assert f"Published points that ours does not match in area at their delay: {beaten}." in text
    assert "a published one beats in both figures: L-Mul 450: 500; L-Mul 700: 280." in text
    # L-Mul is slower there than the exact multiplier's point.
    assert "subnormal numbers are zeros | 100 | - | 90 | - |" in text


def test_every_multiplier_is_described_and_listed():
    text = page()
    for name in MULTIPLIERS:
        assert len(re.findall(rf"^- {name}: .+\.$", text, flags=re.MULTILINE)) == 1
        assert f"| {name} | 100 | 90 |" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1


# In bfloat16: smallest normal number, largest code, one, 1.5, a subnormal number; products worked out by hand.
PRODUCTS = {
    "L-Mul": [(0x3FC0, 0x3FC0, 0x4000), (0x7FFF, 0x4000, 0x7FFF), (0xFFFF, 0x4000, 0xFFFF), (0x0040, 0x4000, 0x0000)],
    "exact": [(0x3FC0, 0x3FC0, 0x4010), (0x7FFF, 0x4000, 0x7FFF), (0x3F81, 0x3F81, 0x3F82), (0x0040, 0x4000, 0x0000)],
    "L-Mul, offset": [(0x3FC0, 0x3FC0, 0x4008), (0x7FFF, 0x4000, 0x7FFF)],
    "L-Mul, largest finite": [(0x3FC0, 0x3FC0, 0x4000), (0x7F7F, 0x4000, 0x7F7F)],
    "exact, largest finite": [(0x3FC0, 0x3FC0, 0x4010), (0xFF7F, 0x4000, 0xFF7F), (0x3FFF, 0x3F81, 0x4000)],
    "L-Mul, bfloat16": [(0x3FC0, 0x3FC0, 0x4008), (0x7F7F, 0x4000, 0x7F80), (0x7F80, 0x0000, 0x7FC0)],
    "exact, bfloat16, flushing": [(0x3FC0, 0x3FC0, 0x4010), (0x0040, 0x4000, 0x0000), (0x7F80, 0x0000, 0x7FC0)],
    "exact, bfloat16": [(0x3FC0, 0x3FC0, 0x4010), (0x0040, 0x4000, 0x0080), (0x7F7F, 0x4000, 0x7F80)],
}


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_function_is_the_one_that_is_told(name):
    config = MULTIPLIERS[name].config
    assert (config.float_format.width, config.stages) == (16, 1)
    a, b, products = np.array(PRODUCTS[name]).T
    assert design(config.design).golden(config, config.i.beats(a=a, b=b))["product"].tolist() == products.tolist()


def test_front_of_a_multiplier(tmp_path):
    lines, options = [], {"scripts": ("map",), "targets_ps": (0, 400)}
    fronts = multiplier_fronts(Store(tmp_path), lines.append, ["L-Mul"], **options)
    assert list(fronts) == ["L-Mul"]
    assert all(200 < delay < 2000 and 150 < area < 500 for delay, area in fronts["L-Mul"])
    assert re.fullmatch(r"L-Mul: [12] points", lines[0])
    # The second time it comes from the store.
    assert multiplier_fronts(Store(tmp_path), lines.append, ["L-Mul"], **options) == fronts
