"""From Verilog to a simulator's program with the harness around the design, cached in the result store."""

import os
import re
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

from cocotb_tools import config as cocotb_config

from ..hdl.catalogue import design
from ..hdl.tool import ToolError, run_tool
from ..hdl.verilog import module_name, verilog
from .harness import TOP, harness
from .simulators import cocotb_environment, require, simulator_version, verilator_environment, verilator_program
from .store import digest

__all__ = ["Build", "build", "run"]

_OPTIMISED_BYTES = (1_000_000, 300_000)  # most C++ that is compiled with -O1, with -O2
BUILD_TIMEOUT_S = 1800

# Below this many instances of a processing element, flat code is built and runs faster than a library for each module.
HIERARCHICAL_INSTANCES = 16

_CXXFLAGS = "-std=c++20 -fcoroutines"  # coroutines carry --timing, the harness's own clock
_LIBRARIES = ("verilated", "verilated_vpi", "verilated_dpi", "verilated_timing", "verilated_threads")
_MAIN = "verilator"  # cocotb's main program, verilator.cpp

# What every build includes. Read anew, it is most of a small design's compilation, so it is compiled once. GCC takes what
# it compiled at any level but -O0, and passes over it, to the text, where that was compiled with other options.
_HEADERS = "".join(
    f"#include <{name}>\n"
    for name in (
        "verilated.h",
        "verilated_dpi.h",
        "verilated_timing.h",
        "verilated_vpi.h",
        "svdpi.h",
        "memory",
        "string",
    )
)
_HEADERS_MAKE = """\
headers.h.gch: headers.h
\t$(CXX) $(OPT_FAST) $(CXXFLAGS) $(CPPFLAGS) -x c++-header -c -o $@ $<
"""
# As the harness, it waits, and has what cocotb reads: the class that the main program sees is the same.
_EMPTY = f"""\
module {TOP};
  reg done /* verilator public_flat_rd */ = 1'b0;
  initial #1 $finish;
endmodule
"""


@dataclass(frozen=True, kw_only=True)
class Build:
    """A simulator's program.

    Parameters
    ----------
    folder : path
        Where it lies, with the sources and the logs of its making.
    key : :class:`str`
        Stands for everything that it depends on.
    simulator : :class:`str`
        ``"verilator"`` or ``"icarus"``.
    level : :class:`str`
        ``"rtl"``, or ``"netlist"`` where sources were given.
    seconds : :class:`float`
        Time it took to make now; next to nothing if it was found in the store.
    """

    folder: Path
    key: str
    simulator: str
    level: str
    seconds: float


class _Runtime:
    """Stands in for a configuration in the store: Verilator's runtime library belongs to no design."""

    design: ClassVar[str] = "verilator"
    digest: ClassVar[str] = "runtime"

    def canonical(self):
        return "verilator runtime"


def build(config, *, store, sources=None, simulator="verilator", saif=False):
    """Build the simulation of one configuration, unless the store has it.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    store : :class:`~carrysave.sim.store.Store`
    sources : list of :class:`str`, optional
        Verilog texts to simulate in place of the exported RTL: first the design, then the models of its cells.
    simulator : ``"verilator"`` or ``"icarus"``
    saif : :class:`bool`
        Trace the switching activity of every net of the design (not of the cell models' insides); Verilator only.

    Returns
    -------
    :class:`Build`

    Raises
    ------
    ToolError
        If a tool is missing or fails.
    """
    require(simulator)
    if saif and simulator != "verilator":
        raise ToolError(f"switching activity is traced with simulator verilator, not {simulator}")
    start = time.perf_counter()
    texts = [_rtl(config)] if sources is None else list(sources)
    top = module_name(config.design)
    files = {"harness.v": harness(config, top, saif=saif)}
    files |= {("design.v" if not index else f"cells{index}.v"): text for index, text in enumerate(texts)}
    steps = {"verilator": _verilator, "icarus": _icarus}
    pe = design(config.design).pe(config)
    blocks = [pe] if pe != top and _instances(texts[0], pe) >= HIERARCHICAL_INSTANCES else []
    key = [simulator, simulator_version(simulator), files, saif, blocks, str(cocotb_config.libs_dir), _CXXFLAGS]
    runtime = _runtime(store, saif=saif) if simulator == "verilator" else None
    name = f"sim/{simulator}{'-saif' if saif else ''}-{digest(key)[:10]}"

    def make(folder):
        for file, text in files.items():
            (folder / file).write_text(text)
        steps[simulator](folder, list(files), saif=saif, blocks=blocks, runtime=runtime)

    folder = store.step(config, name, key, make)
    return Build(
        folder=folder,
        key=digest(key),
        simulator=simulator,
        level="rtl" if sources is None else "netlist",
        seconds=time.perf_counter() - start,
    )


def run(build, *, folder, module, environment, plusargs, timeout_s):
    """Run a built simulation under cocotb.

    Parameters
    ----------
    build : :class:`Build`
    folder : path
        Working directory; gets ``run.log``.
    module : :class:`str`
        Dotted name of the module with the cocotb test.
    environment : mapping
        Further environment variables, for that module.
    plusargs : list of :class:`str`
        Plusargs of the harness.
    timeout_s : :class:`float`
        Seconds after which the simulator is killed.

    Returns
    -------
    :class:`str`
        What the simulator printed.
    """
    if build.simulator == "verilator":
        command = [build.folder / "obj" / "simulation"]
    else:
        command = ["vvp", "-m", cocotb_config.lib_entry("vpi", "icarus"), build.folder / "simulation.vvp"]
    return run_tool(
        [*command, *plusargs],
        log=Path(folder) / "run.log",
        timeout_s=timeout_s,
        cwd=folder,
        env={**cocotb_environment(module, TOP, folder), **environment},
    )


@cache
def _rtl(config):
    return verilog(config)  # takes a Yosys run; one configuration is often built, verified and played in turn


def _instances(text, module):
    return len(re.findall(rf"^\s*{re.escape(module)}\s+[^;(]*\(", text, re.MULTILINE))


def _icarus(folder, files, **_options):
    run_tool(
        ["iverilog", "-g2005", "-s", TOP, "-o", "simulation.vvp", *files],
        log=folder / "build.log",
        timeout_s=BUILD_TIMEOUT_S,
        cwd=folder,
    )


def _verilator(folder, files, *, saif, blocks, runtime):
    control = ["`verilator_config"]
    control += [f'hier_block -module "{module}"' for module in blocks]
    if saif:
        control.append('tracing_off -file "*cells*.v"')  # insides of cells repeat the nets they connect to
    (folder / "control.vlt").write_text("\n".join(control) + "\n")
    arguments = [*_verilator_arguments(saif), *(["--hierarchical"] if blocks else []), "control.vlt", *files]
    environment = verilator_environment()
    run_tool(arguments, log=folder / "verilator.log", timeout_s=BUILD_TIMEOUT_S, cwd=folder, env=environment)
    same_class = (folder / "obj" / "Vtop.h").read_bytes() == (runtime / "Vtop.h").read_bytes()
    for library in runtime.glob("*.o"):
        if library.stem != _MAIN or same_class:
            shutil.copyfile(library, folder / "obj" / library.name)  # newer than its sources: make leaves it alone
    # Tracing code is most of a traced netlist's, is slow to compile, and runs no faster optimised. The compiler's time grows
    # faster than the code: minutes for megabytes, which a test bench that runs seconds never wins back.
    size = sum(file.stat().st_size for file in (folder / "obj").glob("*.cpp"))
    level = 0 if saif else 1 if blocks else sum(size <= limit for limit in _OPTIMISED_BYTES)
    run_tool(
        _make_arguments(level, include=runtime / "headers.h"),
        log=folder / "make.log",
        timeout_s=BUILD_TIMEOUT_S,
        cwd=folder / "obj",
        env=environment,
    )
    _thin(folder / "obj")


def _thin(folder):
    """Drop what only the making needed: it is hundreds of times as large as the program."""
    program = folder / "simulation"
    if not program.is_file():
        raise ToolError(f"Verilator made no program; its log is {folder.parent / 'make.log'}")
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif entry != program:
            entry.unlink()


def _verilator_arguments(saif):
    libraries = cocotb_config.libs_dir
    return [
        *[verilator_program(), "--cc", "--exe", "--vpi", "--timing", "-O3", "-Mdir", "obj"],
        *["--top-module", TOP, "--prefix", "Vtop", "-o", "simulation", "--timescale", "1ns/1ps"],
        # One C++ file a module tree: the headers cost more than the code, and libraries of blocks build in parallel.
        *["--output-split", "0"],
        *["-Wno-fatal", "-Wno-lint", "-Wno-style"],
        *["-CFLAGS", _CXXFLAGS],
        *["-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"],
        *(["--trace-saif", "--trace-underscore"] if saif else []),
        cocotb_config.share_dir / "lib" / "verilator" / f"{_MAIN}.cpp",
    ]


def _make_arguments(level, *targets, include=None):
    # Precompiled headers do not pay for a handful of files. The wheel's own idea of compiler and Python is of the
    # machine it was made on.
    fast = f"-O{level}"
    if include is not None:
        fast += f" -include {shlex.quote(os.fspath(include))}".replace("$", "$$")
    return [
        *["make", "-f", "Vtop.mk", f"-j{os.cpu_count() or 1}", f"OPT_FAST={fast}", "OPT_SLOW=-O0", "OPT_GLOBAL=-O2"],
        *["VK_PCH_I_FAST=", "VK_PCH_I_SLOW=", "CXX=g++", "LINK=g++", "PERL=perl", f"PYTHON3={sys.executable}"],
        *targets,
    ]


def _runtime(store, *, saif):
    """Folder with what depends on no design, most of the work of a small build, compiled once.

    Objects of Verilator's runtime library and of the main program, with the class ``Vtop.h`` that this one sees, and the
    headers.
    """
    libraries = [*_LIBRARIES, *(["verilated_saif_c"] if saif else []), _MAIN]
    environment = verilator_environment()
    versions = [simulator_version("verilator"), environment["VERILATOR_ROOT"]]
    key = [*versions, _CXXFLAGS, libraries, _HEADERS, _HEADERS_MAKE, _EMPTY, *_make_arguments(2)]

    def make(folder):
        (folder / "empty.v").write_text(_EMPTY)
        arguments = [*_verilator_arguments(saif), "empty.v"]
        run_tool(arguments, log=folder / "verilator.log", timeout_s=BUILD_TIMEOUT_S, cwd=folder, env=environment)
        (folder / "obj" / "headers.h").write_text(_HEADERS)
        (folder / "obj" / "headers.mk").write_text(_HEADERS_MAKE)
        for name, arguments in (
            ("headers", _make_arguments(0 if saif else 2, "-f", "headers.mk", "headers.h.gch")),
            ("make", _make_arguments(2, *(f"{library}.o" for library in libraries))),
        ):
            run_tool(
                arguments,
                log=folder / f"{name}.log",
                timeout_s=BUILD_TIMEOUT_S,
                cwd=folder / "obj",
                env=environment,
            )
        for file in (*(f"{library}.o" for library in libraries), "Vtop.h", "headers.h", "headers.h.gch"):
            shutil.move(folder / "obj" / file, folder)
        shutil.rmtree(folder / "obj")

    return store.step(_Runtime(), "saif" if saif else "plain", key, make)
