"""All 65,536 pairs of float8_e4m3fn through the multipliers, and over a million pairs of bfloat16 through L-Mul."""

import numpy as np
import pytest

import carrysave
from carrysave.models.float_multiply import float_stimulus
from carrysave.models.lmul import LMulConfig
from carrysave.sim.player import play
from carrysave.sim.store import Store


@pytest.mark.parametrize(("name", "on"), [("lmul", "rtl"), ("lmul", "gates"), ("fmul", "rtl")])
def test_all_pairs_of_float8(name, on, build_folder):
    verdict = carrysave.verify(name, format="float8_e4m3fn", exhaustive=True, on=on, build_folder=build_folder)
    assert verdict.passed, verdict.failure
    assert verdict.exhaustive
    assert (verdict.beats_in, verdict.beats_out) == (65536, 65536)


def test_a_million_pairs_of_bfloat16(build_folder):
    """Corners first, then borders of overflow and underflow, then random codes and normally distributed numbers."""
    config = LMulConfig()
    beats = float_stimulus(config, np.random.default_rng(11), 1_100_000)
    played = play(config, beats, store=Store(build_folder), stalls=11)
    assert played.passed, played.first_mismatch
    assert played.beats == len(played.outputs) == len(beats)
    # What the numbers are for went in: every class of operand, and every kind of answer came out.
    form = config.float_format
    for codes in (beats["a"], beats["b"], played.outputs["product"]):
        kinds = np.bincount(form.classify(codes), minlength=5)
        assert kinds[[0, 2, 3, 4]].all(), kinds
