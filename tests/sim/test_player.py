import re

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig, OPT1Config, mac_golden, mac_stimulus
from carrysave.models.systolic import SystolicConfig
from carrysave.models.tile import tile_golden, tile_stimulus
from carrysave.sim.player import play

CONFIG = MACConfig.from_mapping({"width": 4, "max_k": 64})
SMALL_ARRAY = SystolicConfig.from_mapping({"rows": 2, "cols": 3, "width": 4, "max_k": 64})


@pytest.fixture(scope="module")
def beats():
    return mac_stimulus(CONFIG, np.random.default_rng(3), 3000)


@pytest.mark.parametrize("stalls", [None, 1, 2])
def test_outputs_are_the_golden_models(store, beats, stalls):
    played = play(CONFIG, beats, store=store, stalls=stalls)
    assert played.passed
    assert played.first_mismatch is None
    assert (played.beats, played.mismatches, played.violations, played.hung) == (len(beats), 0, 0, False)
    assert np.array_equal(played.outputs, mac_golden(CONFIG, beats))
    assert (played.cycles > len(beats) * 1.1) == (stalls is not None)


def test_icarus_plays_the_same(store, beats, icarus):
    one = play(CONFIG, beats[:200], store=store, stalls=7, check=False)
    other = play(CONFIG, beats[:200], store=store, stalls=7, check=False, simulator="icarus")
    assert one.cycles == other.cycles
    assert np.array_equal(one.outputs, other.outputs)


def test_array_wide_payloads(store):
    beats = tile_stimulus(SMALL_ARRAY, np.random.default_rng(1), 500)
    played = play(SMALL_ARRAY, beats, store=store, stalls=3)
    assert played.passed, played.first_mismatch
    assert np.array_equal(played.outputs, tile_golden(SMALL_ARRAY, beats))


def test_unchecked_run_records_what_comes(store, beats):
    played = play(CONFIG, beats, store=store, check=False)
    assert played.passed
    assert np.array_equal(played.outputs, mac_golden(CONFIG, beats))


def test_wrong_expectation_is_reported(store, beats):
    expected = mac_golden(CONFIG, beats)
    expected["result"][20] ^= 1
    played = play(CONFIG, beats, store=store, expected=expected)
    assert not played.passed
    assert played.mismatches == 1
    want = rf"^output beat 20, cycle \d+: got result={expected['result'][20] ^ 1}, expected result={expected['result'][20]}; "
    assert re.search(want + r"inputs up to the beat that completes it: 17: a=.* last=1$", played.first_mismatch)


def test_too_many_and_too_few_outputs_are_caught(store, beats):
    expected = mac_golden(CONFIG, beats)
    played = play(CONFIG, beats, store=store, expected=expected[:-1])
    assert not played.passed
    assert "expected no more than" in played.first_mismatch
    played = play(CONFIG, beats, store=store, expected=np.concatenate([expected, expected[:1]]))
    assert not played.passed
    assert re.match(
        r"^the design stopped after 3000 of 3000 input beats and \d+ of \d+ output beats", played.first_mismatch
    )


def test_inverted_bit_is_caught(store, beats, wrapped):
    played = play(CONFIG, beats, store=store, sources=wrapped(CONFIG, o_payload="payload ^ 4"))
    assert not played.passed
    assert played.mismatches == len(mac_golden(CONFIG, beats))


def test_dropped_valid_is_caught(store, beats, wrapped):
    played = play(CONFIG, beats, store=store, sources=wrapped(CONFIG, o_valid="valid & half"))
    assert not played.passed
    assert "output beat" in played.first_mismatch


def test_changing_payload_is_caught(store, beats, wrapped):
    # The payload is right when it is taken, and wrong while it waits.
    sources = wrapped(CONFIG, o_payload="o__ready ? payload : ~payload")
    played = play(CONFIG, beats, store=store, sources=sources, stalls=1)
    assert not played.passed
    assert played.violations > 0
    assert played.mismatches == 0


def test_run_is_found_again(store, beats):
    first, again = (play(CONFIG, beats, store=store, stalls=11) for _ in range(2))
    assert not first.cached
    assert again.cached
    assert np.array_equal(first.outputs, again.outputs)
    assert not play(CONFIG, beats, store=store, stalls=11, fresh=True).cached


def test_bulk_speed(store):
    # A tenth of the promised million, so that a busy machine does not fail it; cocotb's own pace is fifty times less.
    config = OPT1Config(acc_width=32, overflow="wrap")
    beats = mac_stimulus(config, np.random.default_rng(5), 200_000)
    played = play(config, beats, store=store)
    assert played.passed, played.first_mismatch
    assert played.vectors_per_s > 100_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beats": mac_stimulus(CONFIG, np.random.default_rng(1), 0)}, r"^there are no beats to play$"),
        ({"stalls": -1}, r"^stalls must be a seed in 0\.\.4294967295 or none, not -1$"),
    ],
)
def test_illegal_arguments(store, beats, arguments, message):
    with pytest.raises(ConfigError, match=message):
        play(CONFIG, arguments.pop("beats", beats), store=store, **arguments)


def test_saif_covers_all_nets(store, beats):
    played = play(CONFIG, beats, store=store, saif=True)
    assert played.passed
    text = played.saif.read_text()
    toggles = int(re.search(r"\(clk \(T0 \d+\) .*\(TC (\d+)\)", text)[1])
    assert abs(toggles - 2 * played.cycles) <= 4
    # Each bit of the input stream, counted on the stimulus itself.
    bits = CONFIG.i.bits(beats)
    for bit in range(CONFIG.i.width):
        found = int(re.search(rf"\(i__payload\\\[{bit}\\\] .*\(TC (\d+)\)", text)[1])
        assert abs(found - np.count_nonzero(np.diff(bits[:, bit]))) <= 2
