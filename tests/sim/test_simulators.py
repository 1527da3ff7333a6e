import pytest

from carrysave.hdl.tool import ToolError
from carrysave.sim import simulators


def test_all_that_is_needed_is_described():
    names = [requirement.name for requirement in simulators.requirements()]
    assert names == ["verilator", "perl", "make", "g++", "libpython", "iverilog"]
    assert [one.name for one in simulators.requirements() if one.optional] == ["iverilog"]


def test_unknown_simulator():
    with pytest.raises(ToolError, match=r"^simulator must be one of verilator, icarus, not 'questa'$"):
        simulators.require("questa")


@pytest.mark.parametrize(
    ("simulator", "program", "complaint"),
    [
        ("verilator", "make", r"^make is missing, simulation with Verilator needs it: install Debian's make$"),
        ("icarus", "iverilog", r"^iverilog is missing, simulation with Icarus needs it: install Debian's iverilog$"),
    ],
)
def test_missing_program_is_named_with_its_package(monkeypatch, simulator, program, complaint):
    which = simulators.shutil.which
    monkeypatch.setattr(simulators.shutil, "which", lambda name: None if name == program else which(name))
    simulators._program.cache_clear()
    try:
        with pytest.raises(ToolError, match=complaint):
            simulators.require(simulator)
    finally:
        simulators._program.cache_clear()


def test_missing_libpython(monkeypatch):
    monkeypatch.setattr(simulators.find_libpython, "find_libpython", lambda: None)
    with pytest.raises(
        ToolError, match=r"^libpython is missing, cocotb, as a shared library, needs it: install Debian's"
    ):
        simulators.require("verilator")


def test_verilator_runs():
    environment = simulators.verilator_environment()
    assert (simulators.verilator_program()).is_file()
    assert environment["VERILATOR_ROOT"] in environment["PATH"]
    assert simulators.simulator_version("verilator").startswith("5.")
