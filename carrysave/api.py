"""What the command line does, as calls that return data.

A design is given by its name and parameters, or by a configuration that :func:`configure` (or the configuration's class)
has made::

    >>> import carrysave
    >>> config = carrysave.configure("mac", width=4, max_k=100)
    >>> config.acc_width
    14
    >>> carrysave.run(config, {"a": [3, -8], "b": [5, -8], "last": [0, 1]})["result"]
    array([79])

All results that take time are kept in a build folder, ``build`` unless ``build_folder`` names another.
"""

import dataclasses
import os
import tempfile
from pathlib import Path

import numpy as np

from .files import core_file, interface, interface_file, sdc_file
from .hdl.axis import axis_verilog
from .hdl.catalogue import DESIGNS, design
from .hdl.verilog import verilog
from .models.config import Config
from .models.errors import CarrysaveError, ConfigError
from .sim.store import Store

__all__ = ["build", "configure", "designs", "front", "generate", "report", "run", "show", "verify"]

LEVELS = ("model", "rtl", "gates")
WRAPPERS = ("axis",)
TESTBENCH_BEATS = 1000


def configure(name, /, **parameters):
    """Configuration of a design.

    Parameters
    ----------
    name : :class:`str` or :class:`~carrysave.models.config.Config`
        Name in the catalogue, or a configuration, which is returned as it is if there are no parameters.
    **parameters
        As :func:`show` lists them; what is not given takes its default.

    Raises
    ------
    UnknownDesign
        For a name that is not in the catalogue.
    ConfigError
        For a parameter that does not exist or a value that is not legal.
    """
    if isinstance(name, Config):
        return name.replace(**parameters) if parameters else name
    return design(name).config.from_mapping(parameters)


def designs():
    """The catalogue: a list of dictionaries with ``name``, ``pe``, ``title``, ``source``.

    A design that takes several processing elements has a row for each value of its parameter ``pe``; of others ``pe`` is
    None.
    """
    rows = []
    for name, entry in DESIGNS.items():
        fields = {field.name: field for field in dataclasses.fields(entry.config)}
        choices = fields["pe"].metadata["choices"] if "pe" in fields else (None,)
        rows += [{"name": name, "pe": pe, "title": entry.title, "source": entry.source} for pe in choices]
    return rows


def show(name, /, **parameters):
    """A design's parameters and, for this configuration, its interface.

    Returns
    -------
    dict
        ``parameters`` (name, default, legal values, documentation) and what :func:`carrysave.files.interface` gives.
    """
    config = configure(name, **parameters)
    return {"parameters": type(config).parameters(), **interface(config)}


def generate(
    name, /, *, folder=None, wrapper=None, testbench=False, period_ps=1000, build_folder="build", **parameters
):
    """Write a design's files: ``design.v``, ``design.json``, ``design.core``, ``design.sdc``.

    Parameters
    ----------
    folder : path, optional
        Where to; by default the configuration's folder below ``build_folder``.
    wrapper : ``"axis"``, optional
        Ports with AXI4-Stream names.
    testbench : :class:`bool`
        Write a self-checking test bench in plain Verilog and its vectors, too.
    period_ps : :class:`float`
        Clock period for the constraints.

    Returns
    -------
    dict
        Paths by file name.

    Raises
    ------
    CarrysaveError
        If an argument is not legal, or the folder cannot be written.
    """
    config = configure(name, **parameters)
    if wrapper is not None and wrapper not in WRAPPERS:
        raise ConfigError(f"wrapper must be one of {', '.join(WRAPPERS)}, not {wrapper!r}")
    if wrapper and testbench:
        raise ConfigError("the test bench drives the plain streams; leave out the wrapper or the test bench")
    if not 0 < period_ps < 1e9:
        raise ConfigError(f"period_ps must be positive and below 1e9, not {period_ps!r}")
    files = {"design.v": axis_verilog(config) if wrapper else verilog(config)}
    files["design.json"] = interface_file(config, wrapper)
    files["design.sdc"] = sdc_file(config, period_ps=period_ps, wrapper=wrapper)
    bench = {}
    if testbench:
        from .sim.testbench import testbench as make_testbench

        entry = design(config.design)
        beats = entry.stimulus(config, np.random.default_rng(1), TESTBENCH_BEATS)
        bench = make_testbench(config, beats, entry.golden(config, beats))
    files["design.core"] = core_file(config, testbench=tuple(bench))
    folder = Path(folder) if folder is not None else Store(build_folder).folder(config)
    return _write_set(folder, {**files, **bench})


def _write_set(folder, texts):
    # All of them on the disk before the first takes its place: a full disk leaves what was there.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".generate-") as scratch:
            for name, text in texts.items():
                (Path(scratch) / name).write_text(text)
            return {name: (Path(scratch) / name).replace(folder / name) for name in texts}
    except OSError as error:
        raise CarrysaveError(f"cannot write to {folder}: {_reason(error)}") from None


def _reason(error):
    if isinstance(error, FileExistsError):  # met where a folder was to be made
        return f"{error.filename} is no folder"
    return getattr(error, "strerror", None) or str(error)


def write_whole(path, content):
    """Write a whole file or nothing.

    Parameters
    ----------
    path : path
        Where to; folders are made. What is there and is no file, such as ``/dev/stdout``, is written to as it is.
    content : :class:`str` or :class:`bytes`

    Returns
    -------
    path

    Raises
    ------
    CarrysaveError
        If it cannot be written.
    """
    path, content = Path(path), content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)
            return path
        place = path.resolve()  # a link stays one
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:100]}-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.chmod(scratch, 0o644)
            os.replace(scratch, place)
        except BaseException:
            os.unlink(scratch)
            raise
    except (OSError, RuntimeError) as error:  # links in a circle are a RuntimeError
        raise CarrysaveError(f"cannot write {path}: {_reason(error)}") from None
    return path


def run(name, arrays, /, *, on="model", build_folder="build", **parameters):
    """Send the caller's own vectors through a design.

    Parameters
    ----------
    arrays : mapping of :class:`str` to array
        One array of integers for each field of ``i``, the beats along the first axis.
    on : :class:`str`
        ``"model"`` is the golden model, ``"rtl"`` the exported Verilog in Verilator, ``"gates"`` the netlist mapped to
        the default library in Verilator.

    Returns
    -------
    dict
        One array for each field of ``o``: what came out, be it right or wrong.

    Raises
    ------
    ConfigError
        If an array is missing, has the wrong shape, or holds a value that its field cannot.
    """
    config = configure(name, **parameters)
    if on not in LEVELS:
        raise ConfigError(f"on must be one of {', '.join(LEVELS)}, not {on!r}")
    beats = _beats(config, arrays)
    outputs = design(config.design).golden(config, beats)  # refuses what would overflow, at every level
    if on != "model" and len(beats):
        from .sim.player import play

        store = Store(build_folder)
        sources = None
        if on == "gates":
            from .asic.estimate import map_design

            netlist = map_design(config, store=store)
            sources = [netlist.verilog.read_text(), netlist.cell_models.read_text()]
        played = play(config, beats, store=store, sources=sources, check=False)
        if not played.passed:
            raise CarrysaveError(f"{config.design} on {on}: {played.first_mismatch}")
        outputs = played.outputs
    return {field.name: outputs[field.name] for field in config.o.fields}


def _beats(config, arrays):
    # Names come from files of others; one such as "self" is no keyword argument.
    names, given = [field.name for field in config.i.fields], list(arrays)
    if sorted(given) != sorted(names):
        shown = ", ".join(map(repr, sorted(map(str, given)))) or "none"
        raise ConfigError(f"{config.design} takes arrays named {', '.join(names)}, not {shown}")
    return config.i.beats(**arrays)


def verify(
    name,
    /,
    *,
    vectors=3000,
    seed=1,
    exhaustive=False,
    bulk=False,
    simulator="verilator",
    on="rtl",
    build_folder="build",
    log=None,
    **parameters,
):
    """Verify a design against its golden model with the generic cocotb bench.

    Returns
    -------
    :class:`~carrysave.sim.bench.Verdict`
        See :func:`carrysave.sim.bench.verify` for the parameters; ``on="gates"`` verifies the mapped netlist.
    """
    from .sim.bench import verify as verify_config
    from .sim.simulators import require

    config, store, sources = configure(name, **parameters), Store(build_folder), None
    if on not in ("rtl", "gates"):
        raise ConfigError(f"on must be rtl or gates, not {on!r}")
    require(simulator)  # before the netlist is made, which takes a while
    if on == "gates":
        from .asic.estimate import map_design

        netlist = map_design(config, store=store)
        sources = [netlist.verilog.read_text(), netlist.cell_models.read_text()]
    return verify_config(
        config,
        store=store,
        vectors=vectors,
        seed=seed,
        exhaustive=exhaustive,
        bulk=bulk,
        simulator=simulator,
        sources=sources,
        log=log,
    )


def report(
    name,
    /,
    *,
    library=None,
    period_ps=None,
    arrays=None,
    vectors=2000,
    seed=1,
    build_folder="build",
    log=None,
    **parameters,
):
    """Area, clock and energy of a design.

    Parameters
    ----------
    library : path or :class:`str`, optional
        A Liberty file, or ``osu018`` or ``osu035`` where Debian's qflow-tech packages are installed; NanGate 45 nm if
        not given.
    period_ps : :class:`float`, optional
        Clock period to synthesise for.
    arrays : mapping of :class:`str` to array, optional
        Workload for the energy, as for :func:`run`; else ``vectors`` beats of the design's stimulus with ``seed``.
    log : callable, optional
        Receives a line once the arguments are found to be good.

    Returns
    -------
    dict
        Schema ``carrysave-report/1``, documented in ``docs/asic.md``. Kept as ``report.json`` in the configuration's
        folder, too.
    """
    import json

    from .asic.estimate import report as make_report
    from .asic.liberty import load_library

    config, store = configure(name, **parameters), Store(build_folder)
    if period_ps is not None and not 0 < period_ps < 1e6:
        raise ConfigError(f"period_ps must be positive and below 1e6, not {period_ps!r}")
    for what, value, low in (("vectors", vectors, 1), ("seed", seed, 0)):
        if type(value) is not int or not low <= value < 1 << 32:
            raise ConfigError(f"{what} must be an integer in {low}..{(1 << 32) - 1}, not {value!r}")
    if arrays is not None:
        beats = _beats(config, arrays)
        if not len(beats):
            raise ConfigError("the workload has no beats; its arrays are empty")
    else:
        beats = design(config.design).stimulus(config, np.random.default_rng(seed), vectors)
    chosen = load_library(library) if library else None
    if log:
        log(f"{config.design}: synthesis, timing, gate-level simulation")
    made = make_report(
        config,
        store=store,
        library=chosen,
        period_ps=period_ps,
        beats=beats,
    )
    write_whole(store.folder(config) / "report.json", json.dumps(made, indent=2, default=str) + "\n")
    return made


def front(name, /, *, effort="normal", build_folder="build", log=None, **parameters):
    """Area against delay of a design's processing element, by the recipe of :mod:`carrysave.asic.front`.

    Parameters
    ----------
    effort : ``"quick"``, ``"normal"`` or ``"full"``
        How many ways through synthesis are tried.
    log : callable, optional
        Receives a line once the arguments are found to be good.

    Returns
    -------
    list of :class:`~carrysave.asic.front.Point`
        Those that no other beats in both area and delay, fastest first.
    """
    from .asic.front import EFFORTS
    from .asic.front import front as make_front

    config = configure(name, **parameters)
    if effort not in EFFORTS:
        raise ConfigError(f"effort must be one of {', '.join(EFFORTS)}, not {effort!r}")
    pe = design(config.design).pe(config)
    if log:
        log(f"{config.design}: {effort} search")
    return make_front(verilog(config), pe, cache_folder=Store(build_folder).root / "front", effort=effort)


def build(name, board, /, *, build_folder="build", clock_mhz=None, seed=1, timeout_s=1200, log=None, **parameters):
    """Bitstream of a design behind a host link.

    Parameters
    ----------
    board : :class:`str`
        ``"icebreaker"`` or ``"ulx3s-85f"``.
    clock_mhz : :class:`float`, optional
        Clock of the design; the board's own by default.
    seed : :class:`int`
        Seed of the placer.
    timeout_s : :class:`float`
        Time for synthesis, and for place and route: large designs need more.
    log : callable, optional
        Receives a line once the arguments are found to be good.

    Returns
    -------
    :class:`~carrysave.fpga.build.Built`
    """
    from .fpga.boards import board as board_of
    from .fpga.build import build as make_bitstream

    config, board = configure(name, **parameters), board_of(board)
    if clock_mhz is not None and not 0 < clock_mhz < 1e6:
        raise ConfigError(f"clock_mhz must be positive and below 1e6, not {clock_mhz!r}")
    if not timeout_s > 0:
        raise ConfigError(f"timeout_s must be positive, not {timeout_s!r}")
    if log:
        log(f"{config.design}: synthesis, place and route for {board.name}")
    return make_bitstream(config, board, store=Store(build_folder), clock_mhz=clock_mhz, seed=seed, timeout_s=timeout_s)
