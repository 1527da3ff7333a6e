"""All 65,536 pairs of INT8 through MAC and OPT1, in RTL and in the mapped netlist; corner cases of the specification."""

import numpy as np
import pytest

import carrysave


@pytest.mark.parametrize("on", ["rtl", "gates"])
@pytest.mark.parametrize("name", ["mac", "opt1"])
def test_all_pairs_of_int8(name, on, build_folder):
    verdict = carrysave.verify(name, exhaustive=True, on=on, build_folder=build_folder)
    assert verdict.passed, verdict.failure
    assert verdict.exhaustive
    assert (verdict.beats_in, verdict.beats_out) == (65536, 65536)


def test_extremes_over_long_reductions(build_folder):
    """-128 is a legal operand everywhere: 16 and 4096 products of extremes, beside what plain integers say."""
    cases = [(-128, -128, 16), (-42, -128, 16), (-128, 127, 4096), (-128, -128, 4096), (127, 127, 4096), (0, -128, 3)]
    arrays = {
        "a": np.concatenate([np.full(k, a) for a, _, k in cases]),
        "b": np.concatenate([np.full(k, b) for _, b, k in cases]),
        "last": np.concatenate([np.arange(k) == k - 1 for *_, k in cases]).astype(int),
    }
    expected = [a * b * k for a, b, k in cases]
    assert expected[:2] == [262144, 86016]
    for name in ("mac", "opt1"):
        # The narrowest accumulator that the longest reduction allows, and the digits encoded before the register.
        for parameters in ({"max_k": 4096}, {"max_k": 4096, "encode": "edge"}):
            results = carrysave.run(name, arrays, on="rtl", build_folder=build_folder, **parameters)["result"]
            assert results.tolist() == expected, (name, parameters)
