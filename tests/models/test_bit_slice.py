"""Bit-slice array: cycle model against a naive one, the published cycles per operand and utilisation, configuration."""

import time

import numpy as np
import pytest

from carrysave.models.bit_slice import (
    BitSliceConfig,
    bit_slice_cycles,
    bit_slice_gemm_cycles,
    bit_slice_stimulus,
    column_cycles,
)
from carrysave.models.digits import Recoding
from carrysave.models.errors import ConfigError
from carrysave.models.gemm import multiply
from carrysave.models.tile import tile_golden

SHAPES = [
    {"rows": 4, "cols": 3},
    {"rows": 8, "cols": 1, "encoding": "mbe", "skip": False},
    {"rows": 2, "cols": 16, "pe": "opt3", "encoding": "naf", "a_width": 5, "lanes": 4},
    {"rows": 6, "cols": 5, "pe": "opt4e", "result_rows": 20, "tile_k": 32},
    {"rows": 3, "cols": 7, "pe": "opt4e", "skip": False, "encoding": "mbe", "a_signed": False, "lanes": 1},
]


def normal(rng, sigma, shape):
    return np.clip(np.rint(rng.normal(0, sigma, shape)), -128, 127).astype(np.int64)


def naive_column(config, operands):
    """Cycles and digits of one row of A in one tile, digit by digit."""
    recoding = Recoding(encoding=config.encoding, width=config.a_width, signed=config.a_signed)
    digits = [[int(digit) for digit in recoding.signed_digits(np.array(value))] for value in operands]
    lanes = 4 if config.pe == "opt4e" else 1
    total = 0
    for weight in range(recoding.n_digits):
        taken = [0] * lanes
        for group in range(0, len(digits), 4):
            count = sum(digit[weight] != 0 for digit in digits[group : group + 4])
            taken[group // 4 % lanes] += count if config.skip else max(count, 1)
        total += max(1, *taken)
    return total, sum(digit != 0 for row in digits for digit in row)


def naive_cycles(config, beats):
    """The rules, one cycle at a time, with a queue of tiles and the columns' states."""
    ends = np.flatnonzero(beats["last"])
    tiles = np.split(beats["a"].reshape(len(beats), config.rows, -1), ends + 1)[:-1]
    work = [[naive_column(config, tile[:, row].ravel().tolist()) for row in range(config.rows)] for tile in tiles]
    pipeline = 2 if config.pe == "opt3" else 3
    accepted, starts, tile_ends, delivered = [], [], [], []
    counters = {"busy": sum(digits for tile in work for _, digits in tile), "sync": 0, "operands": 0, "results": 0}
    beat, left, cycle = 0, [0] * config.rows, 0
    begun = None
    while len(delivered) < len(tiles) * config.rows:
        loaded = sum(at < cycle for at in accepted)
        written = sum(at + 1 < cycle for at in accepted)
        released = sum(max(row) + config.cols < cycle for row in tile_ends if None not in row)
        idle = [not tile_ends or tile_ends[-1][m] is not None for m in range(config.rows)]
        if all(idle) and written == len(starts) and (loaded > written or (begun is not None and begun < cycle)):
            counters["operands"] += config.rows
        elif not all(idle) or written > len(starts):
            counters["sync"] += sum(idle)
        # Columns: what is issued in this cycle, and whether a column ends with it.
        for m in range(config.rows):
            # What begins together is loaded in the next cycle and issued from the one after on.
            if not idle[m] and cycle > starts[-1] + 1:
                if left[m]:
                    left[m] -= 1
                elif left[m] == 0:
                    counters["results"] += 1
                before = [row[m] for row in tile_ends[:-1]]
                taken = sum(1 for at in delivered[m :: config.rows] if at < cycle)
                apart = not before or cycle - before[-1] >= config.cols
                if left[m] == 0 and apart and len(before) - taken < config.result_tiles:
                    tile_ends[-1][m] = cycle
        if written > len(starts) and all(idle):
            left = [cycles for cycles, _ in work[len(starts)]]
            starts.append(cycle)
            tile_ends.append([None] * config.rows)
        if beat < len(beats) and loaded - released < 2:
            begun = cycle if begun is None else begun
            if beats["last"][beat]:
                accepted.append(cycle)
                begun = None
            beat += 1
        tile, m = divmod(len(delivered), config.rows)
        end = tile_ends[tile][m] if tile < len(tile_ends) else None
        if end is not None and cycle >= end + pipeline + config.cols + 1:
            delivered.append(cycle)
        cycle += 1
    return accepted, delivered, counters


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.get("pe", "opt4c"))
@pytest.mark.parametrize("longest", [8, 32])
def test_cycles(shape, longest):
    config = BitSliceConfig(**{"tile_k": 64, **shape}, max_k=longest)
    beats = bit_slice_stimulus(config, np.random.default_rng(longest), 250)
    model = bit_slice_cycles(config, beats)
    accepted, delivered, counters = naive_cycles(config, beats)
    assert model.accepted.tolist() == accepted
    assert model.delivered.ravel().tolist() == delivered
    assert model.counters == counters
    assert model.cycles == delivered[-1] + 1


def test_no_tile():
    config = BitSliceConfig(rows=2, cols=2)
    model = bit_slice_cycles(config, config.i.zeros(3))
    assert (model.cycles, len(model.accepted), model.delivered.shape) == (0, 0, (0, 2))
    assert set(model.counters.values()) == {0}


@pytest.mark.parametrize(
    ("sigma", "cycles", "digits"),
    [(10, 2.08, 1.7619), (20, 2.34, 2.1148), (30, 2.47, 2.3347), (40, 2.56, 2.4889), (50, 2.63, 2.5930)],
)
def test_true_cycles_per_operand(sigma, cycles, digits):
    # An empty group costs a cycle unless it is skipped.
    a = normal(np.random.default_rng(1), sigma, (1000, 1024))
    everything, _ = column_cycles(BitSliceConfig(skip=False), a)
    skipping, count = column_cycles(BitSliceConfig(skip=True), a)
    assert everything.mean() / 1024 == pytest.approx(cycles, abs=0.006)
    assert skipping.mean() / 1024 == pytest.approx(digits, abs=0.006)
    # No more than the shifts past the weights that have no digit at all.
    assert ((skipping >= count) & (skipping <= count + 3)).all()


def test_extremes():
    # Without skip: an empty group for each of three weights; with skip each such weight still takes the cycle of its shift.
    config = BitSliceConfig(rows=1, cols=1, tile_k=64)
    a = np.full(64, -128)  # 2, 0, 0, 0
    assert column_cycles(config.replace(skip=False), a) == (64 + 3 * 16, 64)
    assert column_cycles(config, a) == (64 + 3, 64)
    assert column_cycles(config, np.zeros(64, int)) == (4, 0)
    assert column_cycles(config.replace(skip=False), np.zeros(64, int)) == (64, 0)
    assert column_cycles(config.replace(pe="opt4e", lanes=None), a) == (16 + 3, 64)


@pytest.mark.parametrize("k", [16, 256])
@pytest.mark.parametrize(("rows", "spread"), [(8, 1.42), (32, 2.07)])
def test_utilisation(k, rows, spread):
    # Columns that meet after K operands each: 1 / (1 + (s / mu) c / sqrt(K)), s and mu of EN-T at sigma 30. Several hundred
    # tiles, so that filling and draining the array once does not show.
    config = BitSliceConfig(rows=rows, cols=4, tile_k=max(k, 32))
    a = normal(np.random.default_rng(2), 30, (rows * 300, k))
    model = bit_slice_gemm_cycles(config, a, (k, 4))
    # The barrier's own two cycles are not part of the formula.
    assert model.counters["busy"] / (rows * (model.cycles - 2 * 300)) == pytest.approx(
        1 / (1 + 0.85 / 2.335 * spread / k**0.5), rel=0.015
    )
    # All a column does that is not busy is waiting for the others, and a cycle to begin.
    assert model.counters["busy"] + model.counters["sync"] + 300 * rows == pytest.approx(rows * model.cycles, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES[:4], ids=lambda shape: shape.get("pe", "opt4c"))
@pytest.mark.parametrize(("m", "k", "n"), [(9, 70, 11), (1, 1, 1), (5, 33, 40)])
def test_gemm_of_any_shape(shape, m, k, n):
    config = BitSliceConfig(**shape)
    rng = np.random.default_rng(m)
    field = config.i.fields[0]
    a = rng.integers(field.minimum, field.maximum, (m, k), endpoint=True)
    b = rng.integers(-128, 128, (k, n))
    streamed = []

    def execute(beats):
        streamed.append(beats)
        return tile_golden(config, beats)

    assert (multiply(config, a, b, execute) == a @ b).all()
    one, other = bit_slice_gemm_cycles(config, a, b.shape), bit_slice_cycles(config, streamed[0])
    assert (one.delivered == other.delivered).all()
    assert one.counters == other.counters


def test_a_layer_in_seconds():
    start = time.process_time()
    a = normal(np.random.default_rng(3), 30, (1024, 768))
    model = bit_slice_gemm_cycles(BitSliceConfig(rows=16, cols=16), a, (768, 3072))
    assert len(model.accepted) == 64 * 192 * 12
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tile_k": 48}, r"^tile_k must be a power of two, not 48$"),
        ({"lanes": 2}, r"^lanes must be 1 or 4, not 2$"),
        ({"max_k": 65}, r"^max_k must be a multiple of lanes = 1 and at most tile_k = 64, not 65$"),
        ({"max_k": 6, "lanes": 4}, r"^max_k must be a multiple of lanes = 4 and at most tile_k = 64, not 6$"),
        ({"rows": 4, "result_rows": 7}, r"^result_rows must hold two tiles, 8 rows, not 7$"),
        ({"overflow": "wrap"}, r"^overflow must be one of refuse, not 'wrap'$"),
        ({"acc_width": 21}, r"^acc_width 21 can overflow: 64 products need 22 bits; "),
    ],
)
def test_refused(parameters, message):
    with pytest.raises(ConfigError, match=message):
        BitSliceConfig(**parameters)


def test_shapes_that_do_not_match():
    with pytest.raises(ConfigError, match=r"^matrices of shapes \(2, 3\) and \(4, 5\) have no product to stream$"):
        bit_slice_gemm_cycles(BitSliceConfig(), np.zeros((2, 3), int), (4, 5))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.get("pe", "opt4c"))
def test_stimulus(shape):
    config = BitSliceConfig(**shape)
    beats = bit_slice_stimulus(config, np.random.default_rng(9), 300)
    assert len(beats) == 300
    assert beats["last"][-1] == 1
    config.i.check(beats)
    assert len(tile_golden(config, beats)) == config.rows * beats["last"].sum()
    a_field = config.i.fields[0]
    assert (beats["a"] == a_field.minimum).reshape(300, -1).all(axis=1).sum() >= config.max_k // config.lanes
    assert (bit_slice_stimulus(config, np.random.default_rng(9), 300) == beats).all()
