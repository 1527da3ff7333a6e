"""Prefix structures: every adder exhaustively at small widths, sampled at large ones, and what the structures promise."""

import itertools
import random

import pytest
from amaranth.hdl import Const, Signal

from carrysave.hdl.adder import NODE_PS, arrival_prefix, prefix_add, prefix_levels
from carrysave.hdl.bit_heap import AND_PS
from carrysave.models.mac import ADDERS

REGULAR = tuple(adder for adder in ADDERS if adder != "hybrid")


@pytest.mark.parametrize("structure", ADDERS)
def test_exhaustively(combinational, structure):
    for width in range(1, 6):
        vectors = list(itertools.product(range(1 << width), repeat=2))
        outputs = combinational(
            lambda m, x, y: prefix_add(m, list(zip(x, y, strict=True)), structure=structure), [width, width], vectors
        )
        assert outputs == [(x + y) % (1 << width) for x, y in vectors]


@pytest.mark.parametrize("structure", ADDERS)
@pytest.mark.parametrize("width", [7, 16, 32, 41, 60])
def test_columns_of_any_height(combinational, structure, width):
    rng = random.Random(width)
    heights = [rng.choice((0, 1, 1, 2, 2, 2)) for _ in range(width)]
    heights[: width // 3] = [1] * (width // 3)
    arrivals_ps = [rng.randrange(400) for _ in range(width)]
    masks = [sum(1 << i for i, height in enumerate(heights) if height > row) for row in range(2)]
    full = (1 << width) - 1
    vectors = [(0, 0), (full, full), (full, 1 << width // 3), (full, 0)]
    vectors += [(rng.getrandbits(width), rng.getrandbits(width)) for _ in range(100)]

    def circuit(m, x, y):
        columns = [[x[i], y[i]][: heights[i]] for i in range(width)]
        return prefix_add(m, columns, structure=structure, arrivals_ps=arrivals_ps)

    outputs = combinational(circuit, [width, width], vectors)
    assert outputs == [((x & masks[0]) + (y & masks[1])) & full for x, y in vectors]


def test_constants_and_nothing(combinational, module):
    assert combinational(
        lambda m, x: prefix_add(m, [[Const(1), x[0]], [Const(1)], []], structure="hybrid"), [1], [(1,)]
    ) == [4]
    assert len(prefix_add(module, [], structure="kogge-stone")) == 0
    assert len(prefix_add(module, [], structure="hybrid")) == 0


@pytest.mark.parametrize("structure", REGULAR)
@pytest.mark.parametrize("width", [1, 2, 3, 8, 13, 32])
def test_levels_reach_down_to_zero(structure, width):
    spans = [{i} for i in range(width)]
    for level in prefix_levels(structure, width):
        before = [set(span) for span in spans]
        for i, j in level:
            assert max(before[j]) == min(before[i]) - 1  # neighbours
            spans[i] = before[i] | before[j]
    assert spans == [set(range(i + 1)) for i in range(width)]


def test_structures_mean_what_they_say():
    def shape(structure):
        levels = prefix_levels(structure, 32)
        return len(levels), sum(map(len, levels))

    assert shape("kogge-stone") == (5, 129)
    assert shape("sklansky") == (5, 80)
    assert shape("brent-kung") == (9, 57)
    assert shape("han-carlson") == (6, 80)
    assert shape("ripple") == (31, 31)


def depths(leaves):
    """Arrival of every carry of the hybrid structure."""
    arrival = {(i, i): leaf for i, leaf in enumerate(leaves)}
    nodes = arrival_prefix(tuple(leaves))
    for high, split, low in nodes:
        (g, p), (low_g, low_p) = arrival[high, split], arrival[split - 1, low]
        arrival[high, low] = (max(g, p + NODE_PS, low_g + NODE_PS), max(p, low_p) + AND_PS)
    return nodes, [arrival[i, 0][0] for i in range(len(leaves))]


def test_hybrid_is_a_fast_prefix_structure_where_all_bits_arrive_at_once():
    nodes, arrivals = depths([(0, 0)] * 32)
    assert max(arrivals) <= 5 * NODE_PS  # the logarithm of the width
    assert len(nodes) < 129  # and smaller than Kogge-Stone's


def test_hybrid_ripples_where_bits_arrive_one_after_the_other():
    nodes, _arrivals = depths([(i * 2 * NODE_PS, i * 2 * NODE_PS) for i in range(16)])
    assert sorted(nodes) == [(i, i, 0) for i in range(1, 16)]


def test_hybrid_with_constants_everywhere():
    assert len(arrival_prefix(((-1, 0),) * 60)) >= 59
    assert arrival_prefix(((-1, -1),)) == []


def test_what_is_refused(module):
    with pytest.raises(ValueError, match=r"^prefix structure must be one of the known ones, not 'fast'$"):
        prefix_levels("fast", 4)
    bits = Signal(3)
    with pytest.raises(ValueError, match=r"^column 0 holds 3 dots, an adder takes two at most$"):
        prefix_add(module, [list(bits)], structure="ripple")
