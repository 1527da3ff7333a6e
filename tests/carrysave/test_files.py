"""What ``generate`` writes: complete, the same every time, and true."""

import json
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest

import carrysave
from carrysave.hdl.catalogue import DESIGNS
from carrysave.models.errors import CarrysaveError

SMALL = {"mac": {"width": 4}, "opt1": {"width": 4}, "systolic-os": {"width": 4, "rows": 2, "cols": 3}}


def read(files):
    return {name: path.read_bytes() for name, path in files.items()}


@pytest.mark.parametrize("name", SMALL)
def test_files_are_complete_and_the_same_every_time(name, tmp_path):
    first = carrysave.generate(name, build_folder=tmp_path, testbench=True, **SMALL[name])
    second = carrysave.generate(name, folder=tmp_path / "again", testbench=True, **SMALL[name])
    bench = {f"{name.replace('-', '_')}_tb.v", "inputs.hex", "expected.hex"}
    assert set(first) == {"design.v", "design.json", "design.core", "design.sdc"} | bench
    assert read(first) == read(second)
    config = carrysave.configure(name, **SMALL[name])
    assert {path.parent for path in first.values()} == {tmp_path / f"{name}-{config.digest}"}
    assert {path.name for path in (tmp_path / "again").iterdir()} == set(second)


def test_files_do_not_depend_on_the_process(tmp_path):
    files = carrysave.generate("mac", folder=tmp_path / "here", width=4)
    command = [sys.executable, "-m", "carrysave", "generate", "mac", "-o", "there", "-p", "width=4"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=100, env={"PYTHONHASHSEED": "7"}, capture_output=True)
    assert read(files) == {name: (tmp_path / "there" / name).read_bytes() for name in files}


def test_header_says_how_to_make_the_file_again(tmp_path):
    text = carrysave.generate("opt1", folder=tmp_path / "one", width=4, max_k=30, signed=False)["design.v"].read_text()
    command = re.search(r"^// Made by: carrysave (.*)$", text, re.MULTILINE)[1].split()
    run = [sys.executable, "-m", "carrysave", *command, "-o", "two"]
    # `-p` takes all that follow, another option ends it.
    subprocess.run(run, cwd=tmp_path, check=True, timeout=100, capture_output=True)
    assert (tmp_path / "two" / "design.v").read_text() == text


@pytest.mark.parametrize("name", sorted(DESIGNS))
def test_offsets_are_where_the_payload_packs(name):
    config = carrysave.configure(name, **SMALL.get(name, {}))
    rng = np.random.default_rng(6)
    for stream, payload in (("i", config.i), ("o", config.o)):
        described = carrysave.show(config)[stream]
        assert described["width"] == payload.width
        arrays = {
            field.name: rng.integers(field.minimum, field.maximum, (20, *field.shape), endpoint=True)
            for field in payload.fields
        }
        words = payload.to_ints(payload.beats(**arrays))
        assert [field["name"] for field in described["fields"]] == [field.name for field in payload.fields]
        for field in described["fields"]:
            for beat, word in enumerate(words):
                for index, value in enumerate(arrays[field["name"]][beat].reshape(-1).tolist()):
                    found = word >> field["offset"] + index * field["width"] & (1 << field["width"]) - 1
                    assert found == value % (1 << field["width"])


@pytest.mark.parametrize("wrapper", [None, "axis"])
def test_interface_names_the_ports_of_the_verilog(wrapper, tmp_path):
    files = carrysave.generate("systolic-os", folder=tmp_path, wrapper=wrapper, **SMALL["systolic-os"])
    said, text = json.loads(files["design.json"].read_text()), files["design.v"].read_text()
    module = re.search(rf"^module {said['module']}\s*\(.*?^endmodule", text, re.MULTILINE | re.DOTALL)[0]
    ports = {
        name: int(high or 0) + 1
        for high, name in re.findall(r"^\s*(?:input|output)\s*(?:\[(\d+):0\]\s*)?(\w+)", module, re.MULTILINE)
    }
    expected = {said["clock"]: 1, said["reset"]["port"]: 1}
    for stream in ("i", "o"):
        named = dict(said[stream]["ports"])
        wide = named.pop("data" if wrapper else "payload")
        expected[wide] = said[stream]["tdata_width" if wrapper else "width"]
        expected |= dict.fromkeys(named.values(), 1)
    assert ports == expected
    assert said["wrapper"] == wrapper
    assert said["configuration"] == carrysave.configure("systolic-os", **SMALL["systolic-os"]).to_mapping()


def plain_yaml(text):
    """The subset of YAML that our core files need: nested mappings and lists by indentation; scalars stay text."""
    lines = [(len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines() if line.strip()]

    def block(at, indent):
        items = [] if lines[at][1].startswith("- ") else {}
        while at < len(lines) and lines[at][0] == indent:
            line = lines[at][1]
            if isinstance(items, list):
                assert line.startswith("- ")
                items.append(line[2:])
                at += 1
                continue
            key, colon, value = line.partition(":")
            assert colon, line
            assert not value or value.startswith((" ", "=")) or line == "CAPI=2:", line
            assert key not in items, f"{key} twice"
            value, at = value.strip(), at + 1
            if at < len(lines) and lines[at][0] > indent:
                value, at = block(at, lines[at][0])
            items[key] = value
        return (items, at) if at == len(lines) or lines[at][0] < indent else pytest.fail(lines[at][1])

    items, end = block(0, 0)
    assert end == len(lines)
    return items


@pytest.mark.parametrize("testbench", [False, True])
def test_core_names_the_files(testbench, tmp_path):
    files = carrysave.generate("systolic-os", folder=tmp_path, testbench=testbench, **SMALL["systolic-os"])
    text = files["design.core"].read_text()
    assert text.startswith("CAPI=2:\n")
    core = plain_yaml(text)
    digest = carrysave.configure("systolic-os", **SMALL["systolic-os"]).digest
    assert core["name"] == f"carrysave:generated:systolic_os_{digest}:{carrysave.__version__}"
    named = {file.split(":")[0] for part in core["filesets"].values() for file in part["files"]}
    assert named == set(files) - {"design.core", "design.json"}
    assert core["targets"]["default"]["toplevel"] == "systolic_os"
    assert core["targets"]["synth"]["filesets"] == "[rtl, constraints]"
    assert ("sim" in core["targets"]) == testbench
    if testbench:
        assert core["targets"]["sim"]["toplevel"] == "systolic_os_tb"


def test_constraints_are_of_the_clock(tmp_path):
    plain = carrysave.generate("mac", folder=tmp_path, period_ps=750, width=4)["design.sdc"].read_text()
    assert "create_clock -name clk -period 0.75 [get_ports clk]" in plain
    assert "set_input_delay 0.15 -clock clk" in plain
    axis = carrysave.generate("mac", folder=tmp_path, wrapper="axis", width=4)["design.sdc"].read_text()
    assert "create_clock -name aclk -period 1 [get_ports aclk]" in axis


def test_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CarrysaveError, match=r"^cannot write to .*/file: .*/file is no folder$"):
        carrysave.generate("mac", folder=tmp_path / "file", width=4)


def test_failing_half_way_leaves_the_old_files(tmp_path, monkeypatch):
    before = read(carrysave.generate("mac", folder=tmp_path, width=4))
    monkeypatch.setattr("carrysave.api.core_file", lambda *_, **__: "\ud800")  # cannot be encoded
    with pytest.raises(UnicodeEncodeError):
        carrysave.generate("mac", folder=tmp_path, width=5)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_configuration_of_the_interface_makes_it_again(tmp_path):
    config = carrysave.configure("systolic-os", **SMALL["systolic-os"])
    assert type(config).from_mapping(tomllib.loads(config.to_toml())) == config
    assert type(config).from_mapping(carrysave.show(config)["configuration"]) == config
