"""Weight-stationary arrays: golden model against a machine of plain integers, schedule, stimulus, cycle model."""

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.gemm import multiply, to_beats
from carrysave.models.stationary import (
    SystolicWSConfig,
    TreeConfig,
    stationary_golden,
    stationary_stimulus,
)
from carrysave.models.stationary_cycles import stationary_cycles, stationary_gemm_cycles

SMALL = {"a_width": 4, "b_width": 4, "max_k": 40}
CONFIGS = [
    SystolicWSConfig(lanes=2, cols=3, **SMALL),
    SystolicWSConfig(lanes=4, cols=2, pe="mac", tile_rows=3, **SMALL),
    SystolicWSConfig(lanes=1, cols=1, tile_rows=1, a_signed=False, b_signed=False, **SMALL),
    SystolicWSConfig(lanes=3, cols=4, acc_width=9, overflow="wrap", a_width=4, b_width=4),
    TreeConfig(lanes=5, cols=3, **SMALL),
    TreeConfig(lanes=4, cols=5, pe="opt2", tile_rows=6, b_signed=False, **SMALL),
    TreeConfig(lanes=3, cols=1, pe="mac", tile_rows=9, **SMALL),
]


def naive_golden(config, beats):
    """The protocol, beat by beat: a shift register of weights, the current ones, accumulator rows."""
    shadow, current, sums, number, out = [], [], {}, 0, []
    half = 1 << config.acc_width - config.result_signed
    for beat in beats:
        if beat["swap"]:
            current, number = list(shadow), 0
        if beat["row"]:
            sums.setdefault(number, [0] * config.cols)
            if beat["first"]:
                sums[number] = [0] * config.cols
            for c in range(config.cols):
                sums[number][c] += sum(int(x) * w[c] for x, w in zip(beat["a"], current, strict=True))
            if beat["last"]:
                out.append(list(sums[number]))
            number += 1
        if beat["load"]:
            shadow = [beat["b"].tolist(), *shadow][: config.lanes]
    if config.result_signed:
        return [[(value + half) % (2 * half) - half for value in row] for row in out]
    return [[value % half for value in row] for row in out]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_golden(config):
    beats = stationary_stimulus(config, np.random.default_rng(3), 600)
    out = stationary_golden(config, beats)
    assert len(out) > 50
    assert out["c"].tolist() == naive_golden(config, beats)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_stimulus(config):
    beats = stationary_stimulus(config, np.random.default_rng(9), 700)
    assert len(beats) == 700
    config.i.check(beats)
    a_field, b_field = config.i.fields[:2]
    assert (stationary_stimulus(config, np.random.default_rng(9), 700) == beats).all()
    used = beats["a"][beats["row"] != 0]
    assert (used == a_field.minimum).all(axis=1).any()
    assert (beats["b"][beats["load"] != 0] == b_field.minimum).all(axis=1).any()
    for name in ("load", "row", "first", "last"):
        assert set(beats[name].tolist()) == {0, 1}
    kinds = {tuple(beat) for beat in np.stack([beats["row"], beats["load"], beats["swap"]], axis=1).tolist()}
    assert {(1, 0, 1), (0, 1, 0), (0, 0, 0)} <= kinds
    assert (1, 1, 0) in kinds or config.tile_rows == 1
    assert not beats["load"][beats["swap"] != 0].any()


def beats_of(config, *kinds):
    """Beats with a 1 in every field of the given names."""
    beats = config.i.zeros(len(kinds))
    for index, names in enumerate(kinds):
        for name in names.split():
            beats[name][index] = 1
    return beats


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (("load", "load", "swap load"), r"^beat 2 has both swap and load$"),
        (("load", "swap row"), r"^beat 1 swaps before 2 rows of weights were loaded$"),
        (("load", "load", "row first"), r"^beat 2 has a row before the first swap$"),
        (
            ("load", "load", "swap row first", "row first", "row first"),
            r"^beat 4 is row 2 of its block, tile_rows is too small$",
        ),
        (
            ("load", "load", "swap row first last", "row first"),
            r"^beat 3 has another last than the row before, without a swap between them$",
        ),
        (
            ("load", "load", "swap row first", "swap row", "row"),
            r"^beat 4 goes on with a sum that was never begun$",
        ),
        (
            ("load", "load", "swap row first", "swap row", "swap row"),
            r"^a reduction of 6 products exceeds max_k = 4$",
        ),
    ],
)
def test_beats_that_mean_nothing(kinds, message):
    config = SystolicWSConfig(lanes=2, cols=2, tile_rows=2, max_k=3)
    with pytest.raises(ConfigError, match=message):
        stationary_golden(config, beats_of(config, *kinds))


def test_swap_without_loads_keeps_the_weights():
    config = TreeConfig(lanes=2, cols=1, max_k=8)
    beats = beats_of(config, "load", "load", "swap row first", "swap", "swap row last")
    beats["b"][:2, 0] = 5, 7
    beats["a"][2], beats["a"][4] = (1, 10), (2, 20)
    assert stationary_golden(config, beats)["c"].tolist() == [[7 + 50 + 14 + 100]]


def test_no_beats():
    config = CONFIGS[0]
    assert len(stationary_golden(config, config.i.zeros(0))) == 0
    assert [len(times) for times in stationary_cycles(config, config.i.zeros(0))] == [0, 0]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 5), (7, 4, 3), (20, 11, 6)])
def test_products_of_any_shape(config, shape):
    m, k, n = shape
    rng = np.random.default_rng(m)
    (a_field, b_field), initial = config.i.fields[:2], 3
    a = rng.integers(a_field.minimum, a_field.maximum, (m, k), endpoint=True)
    b = rng.integers(b_field.minimum, b_field.maximum, (k, n), endpoint=True)
    want = a @ b + initial
    if config.overflow == "wrap":
        half = 1 << config.acc_width - 1
        want = (want + half) % (2 * half) - half
    got = multiply(config, a, b, lambda beats: stationary_golden(config, beats), initial=initial)
    assert (got == want).all()


def test_a_reduction_longer_than_max_k_is_split():
    config = SystolicWSConfig(lanes=2, cols=2, max_k=3)
    assert config.max_k == 4
    rng = np.random.default_rng(1)
    a, b = rng.integers(-128, 128, (5, 11)), rng.integers(-128, 128, (11, 3))
    assert (multiply(config, a, b, lambda beats: stationary_golden(config, beats)) == a @ b).all()


def test_collect_refuses_another_number_of_beats():
    config = CONFIGS[0]
    with pytest.raises(ConfigError, match=r"^a product of 2 by 4 is 4 output beats of this array, not 3$"):
        config.collect(config.o.zeros(3), 2, 4)


def test_weights_shared_by_tiles_are_loaded_once():
    config = SystolicWSConfig(lanes=4, cols=2, tile_rows=8, **SMALL)
    beats = to_beats(config, np.ones((30, 4), np.int64), np.ones((4, 2), np.int64))
    assert (int(beats["load"].sum()), int(beats["swap"].sum()), int(beats["row"].sum())) == (4, 4, 30)
    # Even tiles: a small one would leave no time to load.
    assert np.diff(np.flatnonzero(beats["swap"])).tolist() == [8, 8, 7]


def naive_cycles(config, beats):
    """The rules of the docstring, one cycle at a time."""
    never = -1000
    accepted, delivered, unread = [], [], []  # unread: block, number and cycle of reading of results
    cycle, block, number, last_number = 0, 0, 0, 0
    swapped = loaded = row_at = never
    for beat in beats:
        while True:
            unread = [result for result in unread if result[2] >= cycle]
            here = block + int(beat["swap"])
            place = 0 if beat["swap"] else number
            earlier = [result for result in unread if result[0] < here]
            ok = True
            if beat["load"]:
                ok = ok and cycle >= swapped + config.load_wait
            if beat["swap"]:
                ok = ok and cycle >= loaded + config.swap_wait
                ok = ok and cycle >= row_at + config.REUSE_CYCLES - last_number
                # Results of two blocks: only the latest may be unread, if it has any.
                ok = ok and len({result[0] for result in unread}) <= 1 + (block not in [r[0] for r in unread])
            if beat["row"]:
                # As long as a block's results are unread, so is its highest row.
                ok = ok and all(result[1] > place for result in earlier[:1])
            if ok:
                break
            cycle += 1
        if beat["swap"]:
            swapped, block, number = cycle, here, 0
        if beat["row"]:
            cycle += config.row_cycles - 1
            row_at, last_number = cycle, number
            if beat["last"]:
                delivered.append(cycle + config.latency)
                unread.append((block, number, cycle + config.latency - 1))
            number += 1
        if beat["load"]:
            loaded = cycle
        accepted.append(cycle)
        cycle += 1
    return accepted, delivered


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_cycles(config):
    for seed in range(4):
        beats = stationary_stimulus(config, np.random.default_rng(seed), 500)
        accepted, delivered = stationary_cycles(config, beats)
        assert (accepted.tolist(), delivered.tolist()) == naive_cycles(config, beats)


@pytest.mark.parametrize(
    "config", [SystolicWSConfig(lanes=8, cols=8), TreeConfig(lanes=8, cols=8), TreeConfig(lanes=4, cols=24)]
)
def test_a_product_keeps_the_array_busy(config):
    m, steps = 2 * config.tile_rows, 5
    k, n = steps * config.lanes, 2 * config.cols
    beats = config.schedule(np.ones((m, k), np.int64), np.ones((k, n), np.int64))
    accepted, _delivered = stationary_cycles(config, beats)
    # Nothing but the first loads, and at most one cycle after them, is not a row.
    assert accepted[-1] + 1 - 2 * m * steps - config.lanes in (0, 1)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 9, 40), (17, 4, 31), (50, 11, 6), (40, 30, 25), (5, 3, 60)])
def test_cycles_of_whole_products(config, shape):
    m, k, n = shape
    beats = config.schedule(np.ones((m, k), np.int64), np.ones((k, n), np.int64))
    assert stationary_gemm_cycles(config, m, k, n) == stationary_cycles(config, beats)[1].max() + 1


@pytest.mark.parametrize(
    ("shape", "message"), [((0, 1, 1), "^m must be positive, not 0$"), ((1, 41, 1), "^k must be .* 40, not 41$")]
)
def test_products_without_cycles(shape, message):
    with pytest.raises(ConfigError, match=message):
        stationary_gemm_cycles(CONFIGS[0], *shape)


def test_digits_take_turns():
    config = TreeConfig(lanes=4, cols=2, pe="opt2", tile_rows=16)
    beats = config.schedule(np.ones((16, 8), np.int64), np.ones((8, 2), np.int64))
    accepted, _delivered = stationary_cycles(config, beats)
    assert np.diff(accepted[4:]).tolist() == [4] * 31


def test_widths():
    assert SystolicWSConfig(lanes=4, cols=4).sum_width == 18
    assert TreeConfig(lanes=16).sum_width == 20
    assert TreeConfig(lanes=3, a_signed=False, b_signed=False).sum_width == 18
    assert SystolicWSConfig(lanes=4, acc_width=16, overflow="wrap").sum_width == 16
    assert [field.describe() for field in TreeConfig(lanes=4, cols=3).i.fields[:2]] == ["signed(8)[4]", "signed(8)[3]"]
    assert [field.describe() for field in SystolicWSConfig(cols=3).o.fields] == ["signed(32)[3]"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SystolicWSConfig(lanes=8, acc_width=18, max_k=4),
            r'^acc_width must hold the products of all lanes, 19 bits at least, not 18; widen it or choose overflow = "wrap"$',
        ),
        (lambda: TreeConfig(pe="mac", tree_registers=1), r'^tree_registers must be 0 with pe = "mac"'),
        (
            lambda: TreeConfig(pe="opt2", encode="pe"),
            r'^pe = "opt2" needs partial_products = "booth" and encode = "edge"',
        ),
        (lambda: SystolicWSConfig(lanes=0), r"^lanes must be an integer in 1\.\.64, not 0$"),
        (lambda: SystolicWSConfig(tile_rows=257), r"^tile_rows must be an integer in 1\.\.256, not 257$"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
