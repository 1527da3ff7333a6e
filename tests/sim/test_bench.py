import re

import numpy as np
import pytest

from carrysave import configure, designs
from carrysave.hdl.catalogue import design
from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig, OPT1Config
from carrysave.models.systolic import SystolicConfig
from carrysave.sim import build as sim_build
from carrysave.sim.bench import verify

CONFIG = MACConfig.from_mapping({"width": 4, "max_k": 64})
SMALL = {
    "mac": CONFIG,
    "opt1": OPT1Config.from_mapping({"width": 4, "max_k": 64}),
    "systolic-os": SystolicConfig.from_mapping({"rows": 2, "cols": 3, "width": 4, "max_k": 64}),
}


@pytest.mark.parametrize(("name", "pe"), [(row["name"], row["pe"]) for row in designs()])
def test_every_design_passes(store, small_config, name, pe):
    config, lines = small_config(name, pe), []
    verdict = verify(config, store=store, vectors=800, log=lines.append)
    assert verdict.passed, verdict.failure
    assert verdict.beats_in == len(design(name).stimulus(config, np.random.default_rng(1), 800)) > 700
    assert verdict.beats_out > 0
    assert not verdict.holes
    assert (verdict.design, verdict.level, verdict.simulator, verdict.seed) == (name, "rtl", "verilator", 1)
    assert lines[0] == f"{name}: building its simulation on verilator"
    assert re.match(
        rf"^{name} \(rtl, verilator\): passed, {verdict.beats_in} beats in, .* seed 1, [\d.]+ s$", lines[-1]
    )


def test_random_bits_run_on_over_blocks_and_stalls(store):
    config = configure("dfp-quantise", rounding="stochastic", lanes=1, width=5, block_beats=2, exponent_width=5)
    verdict = verify(config, store=store, vectors=600)
    assert verdict.passed, verdict.failure
    assert not verdict.holes


def test_many_processing_elements_share_a_library(store, monkeypatch):
    monkeypatch.setattr(sim_build, "HIERARCHICAL_INSTANCES", 4)
    config = configure("systolic-os", rows=2, cols=2, width=4, max_k=30)
    folder = sim_build.build(config, store=store).folder
    assert 'hier_block -module "opt1_pe"' in (folder / "control.vlt").read_text()
    verdict = verify(config, store=store, vectors=300)
    assert verdict.passed, verdict.failure


@pytest.mark.parametrize("name", ["mac", "systolic-os"])
def test_icarus_agrees(store, name, icarus):
    verdicts = [verify(SMALL[name], store=store, vectors=300, simulator=one) for one in ("verilator", "icarus")]
    assert all(verdict.passed for verdict in verdicts)
    assert verdicts[0].cycles == verdicts[1].cycles


def test_exhaustive(store):
    verdict = verify(CONFIG, store=store, exhaustive=True)
    assert verdict.passed, verdict.failure
    assert verdict.beats_in == verdict.beats_out == 256
    assert verdict.exhaustive


def test_every_integer_with_every_exponent(store):
    config = configure("dfp-to-float", source_width=5, exponent_width=10, stages=2)
    verdict = verify(config, store=store, exhaustive=True)
    assert verdict.passed, verdict.failure
    assert verdict.beats_out == 1 << 15


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            MACConfig.from_mapping({"width": 9}),
            r"^exhaustive .* 16 bits in all; those of mac are a signed\(9\), b signed\(9\)$",
        ),
        (SMALL["systolic-os"], r"^exhaustive .* those of systolic-os are a signed\(4\)\[2\], b signed\(4\)\[3\]$"),
    ],
)
def test_exhaustive_refuses_wide_designs(store, config, message):
    with pytest.raises(ConfigError, match=message):
        verify(config, store=store, exhaustive=True)


@pytest.mark.parametrize(("name", "value"), [("vectors", 0), ("vectors", 1.5), ("seed", -1)])
def test_illegal_arguments(store, name, value):
    with pytest.raises(ConfigError, match=rf"^{name} must be an integer in \d+\.\.4294967295, not {value}$"):
        verify(CONFIG, store=store, **{name: value})


@pytest.mark.parametrize(
    ("ports", "failure"),
    [
        pytest.param(
            {"o_payload": "payload ^ 1"},
            r"^output beat 0, cycle \d+: got result=65, expected result=64; inputs up to the beat that completes it: "
            r"0: a=-8 b=-8 last=1 \(stalls: isolated reductions; seed 5\)$",
            id="inverted bit",
        ),
        pytest.param(
            {"o_valid": "valid & late", "o_ready": "o__ready & late"},
            r"^output beat 0 came 5 cycles after input beat 0, which completes it; the design's latency is 4 ",
            id="late",
        ),
        pytest.param({"o_valid": "1'b0"}, r"^the design stopped in cycle \d+: 1 of 400 input beats taken", id="silent"),
        pytest.param(
            {"o_valid": "valid & (half | o__ready)", "o_ready": "o__ready"},
            r"^o\.valid dropped in cycle \d+ before output beat \d+ was taken ",
            id="valid drops",
        ),
        pytest.param(
            {"o_payload": "o__ready ? payload : ~payload"},
            r"^o\.payload changed in cycle \d+ before output beat \d+ was taken ",
            id="payload changes",
        ),
        pytest.param(
            {"i_ready": "ready & half", "i_valid": "i__valid & half"},
            r"^input beats were taken every 2 cycles at best; the design's initiation interval is 1 ",
            id="half the rate",
        ),
        pytest.param(
            {"o_ready": "o__ready & (half | payload != 0)"},
            r"^output beat \d+, cycle \d+: got ",
            id="beats repeated",
        ),
    ],
)
def test_wrong_designs_are_caught(store, wrapped, ports, failure):
    verdict = verify(CONFIG, store=store, vectors=400, seed=5, sources=wrapped(CONFIG, **ports))
    assert not verdict.passed
    assert verdict.level == "netlist"
    assert re.search(failure, verdict.failure), verdict.failure
    assert "seed 5" in verdict.failure
    assert "FAILED" in str(verdict)
