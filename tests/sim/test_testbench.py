import re
import subprocess
import sys

import numpy as np
import pytest

from carrysave.hdl.tool import run_tool
from carrysave.hdl.verilog import verilog
from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig, mac_golden, mac_stimulus
from carrysave.sim.simulators import verilator_environment, verilator_program
from carrysave.sim.testbench import testbench as make_testbench

CONFIG = MACConfig.from_mapping({"width": 4, "max_k": 64})


@pytest.fixture
def folder(tmp_path):
    beats = mac_stimulus(CONFIG, np.random.default_rng(2), 400)
    files = make_testbench(CONFIG, beats, mac_golden(CONFIG, beats))
    assert sorted(files) == ["expected.hex", "inputs.hex", "mac_tb.v"]
    for name, text in {**files, "design.v": verilog(CONFIG)}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def icarus_says(folder):
    subprocess.run(
        ["iverilog", "-g2001", "-Wall", "-o", "tb", "mac_tb.v", "design.v"], cwd=folder, check=True, timeout=60
    )
    return subprocess.run(["vvp", "tb"], cwd=folder, check=True, timeout=60, capture_output=True, text=True).stdout


def test_passes_on_icarus(folder, icarus):
    assert re.search(r"^PASS: 400 input beats, \d+ output beats, \d+ cycles$", icarus_says(folder), re.MULTILINE)


def test_fails_on_icarus_when_a_vector_is_wrong(folder, icarus):
    lines = (folder / "expected.hex").read_text().split()
    lines[3] = f"{int(lines[3], 16) ^ 1:x}"
    (folder / "expected.hex").write_text("\n".join(lines) + "\n")
    said = icarus_says(folder)
    assert "output beat 3: got" in said
    assert re.search(rf"^FAIL: 1 mismatches, {len(lines)} of {len(lines)} output beats, 400 of 400", said, re.MULTILINE)


def test_passes_on_verilator(folder):
    run_tool(
        [
            *[verilator_program(), "--binary", "--timing", "-Wno-lint", "-Wno-style", "--top-module", "mac_tb"],
            *["-CFLAGS", "-std=c++20 -fcoroutines", "-MAKEFLAGS"],
            f"VK_PCH_I_FAST= VK_PCH_I_SLOW= OPT_GLOBAL=-O0 PYTHON3={sys.executable}",
            *["mac_tb.v", "design.v"],
        ],
        log=folder / "build.log",
        timeout_s=300,
        cwd=folder,
        env=verilator_environment(),
    )
    said = run_tool([folder / "obj_dir" / "Vmac_tb"], log=folder / "run.log", timeout_s=60, cwd=folder)
    assert re.search(r"^PASS: 400 input beats, \d+ output beats, \d+ cycles$", said, re.MULTILINE)


def test_no_outputs_are_refused():
    beats = CONFIG.i.zeros(3)
    with pytest.raises(ConfigError, match=r"^a test bench needs input and output beats, not 3 and 0$"):
        make_testbench(CONFIG, beats, mac_golden(CONFIG, beats))
