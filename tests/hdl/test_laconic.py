"""Laconic through its streams, against plain Python; its cycles against the cycle model, one for one."""

import random

import numpy as np
import pytest

from carrysave.hdl.laconic import LaconicArray
from carrysave.hdl.laconic_pe import LaconicPE, step_width
from carrysave.hdl.laconic_terms import TermSource
from carrysave.models.laconic import LaconicConfig, laconic_cycles, laconic_stimulus, largest_terms

CONFIGS = [
    LaconicConfig(rows=2, cols=3, lanes=2, a_width=4, b_width=5, max_k=64, heaps=2),
    LaconicConfig(rows=3, cols=2, lanes=3, a_width=5, b_width=4, a_signed=False, max_k=64, terms="mbe", sync="array"),
    LaconicConfig(rows=1, cols=1, lanes=1, a_width=4, b_width=4, b_signed=False, max_k=64, terms="en-t"),
    LaconicConfig(rows=3, cols=1, lanes=2, a_width=4, b_width=4, acc_width=9, overflow="wrap", result_rows=7),
    LaconicConfig(
        rows=1, cols=2, lanes=2, a_width=4, b_width=4, a_signed=False, b_signed=False, max_k=64, terms="sign-magnitude"
    ),
    LaconicConfig(rows=2, cols=1, lanes=2, a_width=6, b_width=4, max_k=64, terms="twos-complement", sync="array"),
]


def expected(config, beats):
    """Rows of C as lists, by nested loops, and ``last``."""
    rows, tile = [], []
    for beat in beats:
        tile.append((beat["a"].reshape(config.rows, -1).tolist(), beat["b"].reshape(config.cols, -1).tolist()))
        if not beat["last"]:
            continue
        half = 1 << config.acc_width - config.result_signed
        for r in range(config.rows):
            row = [sum(x * y for a, b in tile for x, y in zip(a[r], b[c], strict=True)) for c in range(config.cols)]
            row = [(value + half) % (2 * half) - half if config.result_signed else value % half for value in row]
            rows.append((row, int(r == config.rows - 1)))
        tile = []
    return rows


def played(stream_run, config, beats, **pauses):
    component = LaconicArray(config)
    want = expected(config, beats)
    words, taken_i, taken_o = stream_run(component, config.i.to_ints(beats), len(want), **pauses)
    out = config.o.from_ints(words)
    assert list(zip(out["c"].tolist(), out["last"].tolist(), strict=True)) == want
    return component, taken_i, taken_o


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_results_and_cycles(stream_run, config):
    beats = laconic_stimulus(config, np.random.default_rng(3), 50)
    component, taken_i, taken_o = played(stream_run, config, beats)
    accepted, delivered = laconic_cycles(config, beats)
    assert taken_i == accepted.tolist()
    assert taken_o == delivered.ravel().tolist()
    # The first tile is a single step.
    assert taken_o[0] == component.latency
    assert component.initiation_interval == np.diff(accepted).min()


@pytest.mark.parametrize("config", CONFIGS[2:4], ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.6, 0.0), (0.0, 0.7), (0.3, 0.5)])
def test_stalls(stream_run, config, shares):
    rng = random.Random(9)
    beats = laconic_stimulus(config, np.random.default_rng(5), 50)
    _component, _taken_i, taken_o = played(
        stream_run,
        config,
        beats,
        i_pause=lambda cycle: rng.random() < shares[0],
        o_pause=lambda cycle: rng.random() < shares[1],
    )
    assert (taken_o >= laconic_cycles(config, beats)[1].ravel()).all()


def filled(config, a, b, count):
    """A tile of ``count`` beats of equal operands."""
    beats = config.i.zeros(count)
    beats["a"], beats["b"], beats["last"][-1] = a, b, 1
    return beats


@pytest.mark.parametrize("heaps", [1, 2])
def test_extremes(stream_run, heaps):
    config = LaconicConfig(rows=1, cols=1, lanes=16, max_k=48, heaps=heaps)
    assert config.acc_width == 21
    pairs = [(-128, -128), (-128, 127), (127, -128), (127, 127), (-85, 85), (85, 85), (0, 0), (-42, -128)]
    beats = np.concatenate([filled(config, a, b, 3) for a, b in pairs])
    _component, taken_i, _taken_o = played(stream_run, config, beats)
    assert taken_i == laconic_cycles(config, beats)[0].tolist()


def test_zeros_take_a_cycle_a_group(stream_run):
    config = LaconicConfig(rows=2, cols=2, lanes=2, a_width=4, b_width=4, max_k=64, result_rows=6)
    zeros = np.concatenate([filled(config, 0, 0, 6), filled(config, 7, 0, 6), filled(config, 0, 7, 6)])
    _component, taken_i, _taken_o = played(stream_run, config, zeros)
    assert taken_i == list(range(18))


def test_single_steps_wait_for_the_drain(stream_run):
    config = LaconicConfig(rows=4, cols=1, lanes=1, a_width=4, b_width=4, max_k=64, result_rows=16)
    beats = config.i.beats(a=[[1, 2, 4, -8]] * 6, b=[[-1]] * 6, last=[1] * 6)
    _component, taken_i, taken_o = played(stream_run, config, beats)
    assert np.diff(taken_i).tolist() == [1, 1, 4, 4, 4]
    assert np.diff(taken_o).tolist() == [1] * 23  # back to back


def test_lanes_by_themselves_are_no_slower(stream_run):
    # Three terms of A meet one of B in lane 0, and the other way round in lane 1.
    beats = {"a": [[[21, 1]]] * 4, "b": [[[1, 21]]] * 4, "last": [0, 0, 0, 1]}
    intervals = {}
    for sync in ("lane", "array"):
        config = LaconicConfig(rows=1, cols=1, lanes=2, max_k=64, sync=sync)
        _component, taken_i, _taken_o = played(stream_run, config, config.i.beats(**beats))
        intervals[sync] = np.diff(taken_i).tolist()
    assert intervals == {"lane": [1, 3, 3], "array": [1, 9, 9]}


@pytest.mark.parametrize("encoding", ["naf", "mbe", "en-t", "twos-complement", "sign-magnitude"])
def test_term_source(clocked, encoding):
    """Every value's terms add up to it, twice over."""
    config = LaconicConfig(terms=encoding, a_width=5, b_width=5)
    recoding, exponent = config.b_recoding, config.b_exponent
    most = largest_terms(recoding)
    source = TermSource(recoding, exponent, most, again=True)

    async def terms(ctx, count):
        total = 0
        for index in range(count):
            assert ctx.get(source.any)
            assert ctx.get(source.more) == (index < count - 1)
            ctx.set(source.restart, index == count - 1)
            ctx.set(source.following, 1)
            await ctx.tick()
            term = ctx.get(source.term)
            assert term & 1
            total += (-1 if term & 2 else 1) << (term >> 2)
        return total

    async def bench(ctx):
        for value in recoding.values.tolist():
            digits = recoding.signed_digits(value) * np.sign(recoding.weights)
            for name, bits in (("nonzero", digits != 0), ("two", abs(digits) == 2), ("negative", digits < 0)):
                ctx.set(getattr(source, name), sum(1 << i for i, bit in enumerate(bits.tolist()) if bit))
            ctx.set(source.take, 1)
            await ctx.tick()
            ctx.set(source.take, 0)
            ctx.set(source.load, 1)
            count = int(recoding.nonzero_digits(value))
            assert ctx.get(source.count) == (1 << count) - 1
            assert count <= most
            await ctx.tick()
            ctx.set(source.load, 0)
            if count:
                assert await terms(ctx, count) == value
                assert await terms(ctx, count) == value
            else:
                assert not ctx.get(source.any)
                await ctx.tick()
                assert not ctx.get(source.term) & 1
        # Held back, a term is not given; after the last one there is none.
        ctx.set(source.silent, 1)
        ctx.set(source.restart, 0)
        for _ in range(recoding.n_digits):
            await ctx.tick()
            assert not ctx.get(source.term) & 1
        assert not ctx.get(source.any)

    clocked(source, bench)


@pytest.mark.parametrize(("lanes", "heaps"), [(1, 1), (5, 2), (16, 1), (16, 4)])
def test_pe(clocked, lanes, heaps):
    config = LaconicConfig(lanes=lanes, heaps=heaps, max_k=1 << 10)
    rng = random.Random(lanes)
    steps = [[(1, 0, 7, 1, sign, 7)] * lanes for sign in (0, 1, 1, 0)]
    for _ in range(60):
        steps.append([tuple(rng.randrange(size) for size in (2, 2, 8, 2, 2, 8)) for _ in range(lanes)])
    pe = LaconicPE(config)

    def word(terms):
        return sum(
            (present | minus << 1 | exponent << 2) << 5 * i for i, (present, minus, exponent) in enumerate(terms)
        )

    low, width = step_width(config), config.acc_width

    async def bench(ctx):
        acc, before, clears, takes, drained = 0, [0] * LaconicPE.summing, [0] * 2, [0] * 2, [(0, 0)] * 2
        for index, step in enumerate(steps):
            clears = [index in (3, 20), clears[0]]
            takes = [rng.random() < 0.7, takes[0]]
            ctx.set(pe.a, word([lane[:3] for lane in step]))
            ctx.set(pe.b, word([lane[3:] for lane in step]))
            ctx.set(pe.clear, clears[0] | clears[1] << 1)
            ctx.set(pe.take, takes[0] | takes[1] << 1)
            ctx.set(pe.c_i, 0)
            await ctx.tick()
            # The low part shows the sum now, the high part a cycle later.
            drained = [acc % (1 << width) if takes[0] else 0, drained[0]]
            if index > 4:
                low_o, high_o = ctx.get(pe.c_o) % (1 << low), ctx.get(pe.c_o) >> low
                assert (low_o, high_o) == (drained[0] % (1 << low), drained[1] >> low)
            acc = before[-1] + (0 if clears[0] else acc)
            step_sum = sum((1 - 2 * (s ^ t)) << e + f for v, s, e, w, t, f in step if v & w)
            before = [step_sum, *before[:-1]]

    clocked(pe, bench)
