"""``carrysave block``: what it refuses, what it reports, and samples of the units' operands."""

import dataclasses
import json

import numpy as np
import pytest

from carrysave import block
from carrysave.asic.liberty import default_library
from carrysave.cli import main
from carrysave.hdl.catalogue import design
from carrysave.models.block_stream import block_unit_elements, random_block, transformer_block_golden
from carrysave.models.errors import ConfigError
from carrysave.models.transformer_block import PHASES, TransformerBlockConfig
from carrysave.sim.player import Played
from carrysave.sim.store import Store

SMALL = TransformerBlockConfig(heads=6, head_width=8, hidden=32, max_tokens=8, lanes=8, unit_lanes=4)


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(3)
    made = random_block(SMALL, rng)
    return made, made.run(rng.integers(-128, 128, (7, SMALL.width)))


@pytest.fixture
def played(monkeypatch):
    """A simulator that has the answers already: its runs take a thousand cycles a phase."""
    runs = []

    def play(config, beats, *, store, expected):
        runs.append((config, beats))
        assert (expected == transformer_block_golden(config, beats)).all()
        return Played(
            outputs=expected,
            passed=True,
            beats=len(beats),
            cycles=1000 * len(PHASES) + 20,
            mismatches=0,
            violations=0,
            hung=False,
            first_mismatch=None,
            seconds_build=2.0,
            seconds_run=1.0,
            vectors_per_s=1.0,
            cached=False,
            saif=None,
            counters=dict.fromkeys(PHASES, 1000),
        )

    monkeypatch.setattr("carrysave.block.play", play)
    return runs


@pytest.mark.parametrize("name", SMALL.units)
def test_samples_are_operands_that_the_unit_takes(small, name):
    unit, runs = block._samples(SMALL, name, *small)
    entry = design(unit.design)
    few, many = (len(entry.golden(unit, beats)) + entry.macs(unit, beats) for beats, _count in runs)
    assert 0 < few < many
    # The second run is the first one and more.
    data = [beats[beats["load"] == 0] if "load" in beats.dtype.names else beats for beats, _count in runs]
    assert name == "array" or (data[0] == data[1][: len(data[0])]).all()
    assert runs[1][1] > runs[0][1] > 0
    if name == "array":
        assert [entry.macs(unit, beats) for beats, _count in runs] == [count for _beats, count in runs]


def test_requantised_samples_are_the_block_s_own(small):
    made, tensors = small
    unit, ((_, _), (beats, _)) = block._samples(SMALL, "residual", made, tensors)
    found = unit.from_beats(design(unit.design).golden(unit, beats), SMALL.lanes)
    assert found[:7].tolist() == tensors["first.sum"][:, : SMALL.lanes].tolist()


def test_energy_of_a_unit(small, tmp_path):
    store, library = Store(tmp_path), default_library()
    found = block._energy(SMALL, "gelu_requantise", *small, store=store, library=library, period_ps=4000.0)
    assert found["area_um2"] > 1000
    assert 100 < found["energy_per_operation_fj"] < 100_000
    assert found["shortest_period_ps"] > 300
    assert found["buffer_area_um2"] == found["buffer_energy_per_operation_fj"] == 0


def test_report(played, tmp_path, capsys):
    output = tmp_path / "block.json"
    arguments = ["block", "--sentence", "Adders are cheap.", "--no-energy", "-p", "lanes=8", "max_tokens=16"]
    assert main([*arguments, "--build", str(tmp_path), "-o", str(output)]) == 0
    text = capsys.readouterr().out
    result = json.loads(output.read_text())
    ((config, _beats),) = played
    assert (config.heads, config.head_width, config.hidden, config.lanes, config.max_tokens) == (12, 32, 1536, 8, 16)
    tokens = len(result["pieces"])
    assert result["results_checked"] == tokens * 384
    macs = tokens * 384 * (4 * 384 + 2 * 1536) + 2 * tokens**2 * 384
    assert sum(row["macs"] for row in result["phases"].values()) == macs
    assert result["phases"]["query"]["utilisation"] == tokens * 384**2 / (1000 * 64)
    assert result["units"]["array"] == {"operations": macs, "busy": -(-macs // 64) / result["cycles"]}
    assert result["units"]["gelu"]["operations"] == tokens * 1536
    assert 0 < result["deviation"]["relative_rms"] < 0.2
    assert "equal to the integer model, bit for bit" in text
    assert "second norm" in text
    assert "period_ps" not in result
    page = block.block_markdown(result)
    assert f"| query | 1,000 | 8.32 | {tokens * 384**2:,} |" in page


def test_a_wrong_result_is_told(played, monkeypatch, tmp_path, capsys):
    right = block.play

    def wrong(*arguments, **options):
        return dataclasses.replace(right(*arguments, **options), passed=False, first_mismatch="output beat 3")

    monkeypatch.setattr("carrysave.block.play", wrong)
    assert main(["block", "--sentence", "a", "--no-energy", "--build", str(tmp_path)]) == 1
    assert "FAILED: output beat 3" in capsys.readouterr().out


def test_operations_add_up():
    elements = block_unit_elements(SMALL, 5)
    assert elements["requantise"] == 5 * (4 * 48 + 32) + 6 * 25
    assert elements["shiftmax"] == 6 * 25
    assert set(elements) == set(SMALL.units)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sentence", " "], "sentence must be a text that is not empty, not ' '"),
        (
            ["--sentence", "a", "-p", "heads=2"],
            "of a block lanes, unit_lanes, array, pe, divider, max_tokens, gelu_row, ",
        ),
        (["--sentence", "a", "-p", "lanes=12"], "lanes must be a power of two, not 12"),
        (["--sentence", "a", "-p", "lanes"], "a parameter is given as key=value, not 'lanes'"),
        (
            ["--sentence", "a b c", "-p", "max_tokens=4"],
            "the sentence has 5 pieces, of 4 at most; shorten it, or raise ",
        ),
        (["--sentence", "a", "-o", "x.html"], "output must end in .md, .json, not 'x.html'"),
        (
            ["--sentence", "a", "--no-energy", "--period", "900"],
            "--period means nothing to a block without an estimate",
        ),
        (["--sentence", "a", "--period", "1"], "period_ps must be above 100 and at most 1e+06, not 1.0"),
    ],
)
def test_refused(arguments, message, capsys, tmp_path):
    assert main(["block", *arguments, "--build", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"carrysave: {message}")


def test_parameters_of_the_model_are_kept():
    with pytest.raises(ConfigError, match=r"^of a block .* can be chosen, not 'octave': all else is the model's$"):
        block.block_config({"octave": 5})
