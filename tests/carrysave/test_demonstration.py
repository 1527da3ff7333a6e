"""The demonstration, on arrays small enough for a test."""

import dataclasses
import re

import pytest

from carrysave import demonstration
from carrysave.models.errors import CarrysaveError


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(demonstration, "SIZE", 2)
    monkeypatch.setattr(demonstration, "FPGA_SIZE", 1)
    network, split, accuracies = demonstration.trained_network()
    few = dataclasses.replace(split, test_images=split.test_images[:6], test_labels=split.test_labels[:6])
    monkeypatch.setattr(demonstration, "trained_network", lambda: (network, few, accuracies))


def test_runs_to_the_end_and_again_from_what_it_kept(small, build_folder):
    lines = []
    result = demonstration.demo(build_folder=build_folder, log=lines.append)
    text = "\n".join(lines)
    assert result["html"].read_text().startswith("<!")
    assert result["fpga"].bitstream.stat().st_size > 1000
    for pe in ("mac", "opt1"):
        found = result["pes"][pe]
        assert found["equal"]
        # 3 x 16 tiles of the first layer's 6 x 32 results, 3 x 5 of the second's 6 x 10.
        assert found["tiles"] == 3 * 16 + 3 * 5
        assert found["report"]["energy"]["outputs_checked"] == 2 * found["tiles"]
        assert f"2 x 2 array of {pe.upper()} PEs: all 60 logits equal the golden model's" in text
        assert re.search(
            rf"energy per MAC, array, fJ +{round(result['pes']['mac']['report']['energy']['per_mac_fj'])} ", text
        )
    again = demonstration.demo(build_folder=build_folder, log=lines.append)
    assert again["fpga"].bitstream == result["fpga"].bitstream
    assert again["pes"] == result["pes"]
    assert again["seconds"] < result["seconds"] / 2


def test_a_wrong_result_stops_it(small, build_folder, monkeypatch):
    play = demonstration.play

    def wrong(config, beats, **options):
        played = play(config, beats, **options)
        played.outputs["c"][-1, 0] ^= 1
        return played

    monkeypatch.setattr(demonstration, "play", wrong)
    with pytest.raises(CarrysaveError, match=r"^2 x 2 array of \w+ PEs: \d+ of 60 logits differ$"):
        demonstration.demo(build_folder=build_folder, log=lambda line: None)
