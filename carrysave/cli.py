"""The command line: ``carrysave COMMAND NAME -p key=value …``. What it does is in :mod:`carrysave.api`."""

import argparse
import errno
import json
import sys
import tomllib
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np

from . import __version__, api
from .hdl.catalogue import design
from .models.config import Config
from .models.errors import CarrysaveError, ConfigError

__all__ = ["main"]


def _arguments():
    parser = argparse.ArgumentParser(prog="carrysave", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--version", action="version", version=f"carrysave {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--build", default="build", metavar="FOLDER", help="build folder (default: build)")
    configured = argparse.ArgumentParser(add_help=False, parents=[common])
    configured.add_argument(
        "-p", dest="pairs", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="parameters of the design"
    )
    configured.add_argument("--config", type=Path, metavar="FILE.toml", help="parameters from a file; -p goes before")

    def add(name, text, *, names=None, parent=configured):
        command = commands.add_parser(name, help=text, description=text, parents=[parent])
        if names == "one":
            command.add_argument("name", metavar="NAME")
        elif names == "some":
            command.add_argument("names", metavar="NAME", nargs="+")
        return command

    add("list", "list all designs", parent=configured)
    add("show", "parameters, payload fields, latency and source of a design", names="one")
    command = add("generate", "write Verilog, interface description, FuseSoC core and clock constraints", names="one")
    command.add_argument("-o", dest="folder", type=Path, help="folder to write to")
    command.add_argument("--wrapper", choices=api.WRAPPERS, help="AXI4-Stream port names")
    command.add_argument("--testbench", action="store_true", help="add a self-checking test bench in plain Verilog")
    command.add_argument("--period", type=float, default=1000, metavar="PS", help="clock period for the constraints")
    command = add("run", "send your own vectors through model, RTL or netlist", names="one")
    command.add_argument("vectors", type=Path, metavar="IN.npz", help="arrays named after the fields of i")
    command.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT.npz")
    command.add_argument("--on", choices=api.LEVELS, default="model")
    command = add("sim", "verify a design against its golden model", names="one")
    command.add_argument("--exhaustive", action="store_true", help="all operand pairs")
    command.add_argument("--vectors", type=int, default=3000, help="input beats (default: 3000)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--simulator", choices=("verilator", "icarus"), default="verilator")
    command.add_argument("--on", choices=("rtl", "gates"), default="rtl")
    command = add("report", "area, clock and energy, side by side", names="some")
    command.add_argument("--library", help="a Liberty file, osu018 or osu035 (default: NanGate 45 nm)")
    command.add_argument("--period", type=float, metavar="PS", help="clock period to synthesise for (default: 1000)")
    command.add_argument("--workload", type=Path, metavar="IN.npz", help="vectors to measure the energy with")
    command.add_argument("--vectors", type=int, default=2000, help="else: so many beats of the design's stimulus")
    command.add_argument("--seed", type=int, default=1)
    command = add("front", "area against delay of the processing element, as numbers and a picture", names="some")
    command.add_argument("--effort", choices=("quick", "normal", "full"), default="normal")
    command.add_argument(
        "-o", dest="picture", type=Path, metavar="FILE.svg", help="default: front.svg in the build folder"
    )
    command = add("fpga", "place and route for a board, with a host link", names="one")
    command.add_argument("--board", required=True, help="icebreaker or ulx3s-85f")
    command.add_argument("--clock", type=float, metavar="MHZ", help="clock of the design (default: the board's)")
    command.add_argument("--seed", type=int, default=1)
    add("demo", "the digits network through systolic arrays: results, silicon figures, bitstream", parent=common)
    command = add("bench", "benchmarks of docs/benchmarks.md", parent=common)
    command.add_argument("-o", dest="output", type=Path, default=Path("docs/benchmarks.md"))
    command = add("verify", "the long verification campaign; continues where it stopped", parent=common)
    command.add_argument("-o", dest="output", type=Path, default=Path("docs/verification.md"))
    add("doctor", "which tools were found, and how to get the others", parent=common)
    return parser


def _configuration(args, name):
    base = {}
    if args.config:
        try:
            base = tomllib.loads(args.config.read_text())
        except OSError as error:
            raise ConfigError(f"cannot read {args.config}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{args.config} is not TOML: {error}") from None
    return design(name).config.from_pairs(args.pairs, base)


def _load(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        reason = (
            error.strerror if isinstance(error, OSError) and error.strerror else "not an .npz file of integer arrays"
        )
        raise ConfigError(f"cannot read {path}: {reason}") from None


def _say(line):
    print(line, file=sys.stderr, flush=True)


def _list(args):
    rows = api.designs()
    return rows, "\n".join(f"{row['name']:<14} {row['title']}" for row in rows)


def _show(args):
    shown = api.show(_configuration(args, args.name))
    lines = [f"{shown['design']}: {shown['title']}", f"source: {shown['source']}", "", "parameters (now; legal)"]
    for row in shown["parameters"]:
        now = shown["configuration"].get(row["name"], "")
        now = str(now).lower() if isinstance(now, bool) else now
        lines.append(f"  {row['name']:<18} {now!s:<12} {row['legal']:<18} {row['doc']}")
    for stream, text in (("i", "input stream i"), ("o", "output stream o")):
        lines += ["", f"{text}, {shown[stream]['width']} bits a beat (field, type, lowest bit)"]
        lines += [f"  {f['name']:<18} {f['type']:<18} {f['offset']}" for f in shown[stream]["fields"]]
    lines += [
        "",
        f"latency {shown['latency_cycles']} cycles, a beat every {shown['initiation_interval_cycles']} cycle(s)",
    ]
    lines += [f"limit: {limit}" for limit in shown["limits"]]
    return shown, "\n".join(lines)


def _generate(args):
    files = api.generate(
        _configuration(args, args.name),
        folder=args.folder,
        wrapper=args.wrapper,
        testbench=args.testbench,
        period_ps=args.period,
        build_folder=args.build,
    )
    return files, "\n".join(str(path) for path in files.values())


def _run(args):
    outputs = api.run(_configuration(args, args.name), _load(args.vectors), on=args.on, build_folder=args.build)
    scratch = args.output.with_name(f".{args.output.name}.part")
    with scratch.open("wb") as file:
        np.savez(file, **outputs)
    scratch.replace(args.output)
    shapes = {name: list(array.shape) for name, array in outputs.items()}
    return {"output": args.output, "shapes": shapes}, f"{args.output}: " + ", ".join(
        f"{n} {s}" for n, s in shapes.items()
    )


def _sim(args):
    verdict = api.verify(
        _configuration(args, args.name),
        vectors=args.vectors,
        seed=args.seed,
        exhaustive=args.exhaustive,
        simulator=args.simulator,
        on=args.on,
        build_folder=args.build,
        log=_say,
    )
    text = [str(verdict), *(f"corner not covered: {hole}" for hole in verdict.holes)]
    return verdict, "\n".join(text), 0 if verdict.passed else 1


def _report(args):
    made = []
    for name in args.names:
        _say(f"{name}: synthesis, timing, gate-level simulation")
        made.append(
            api.report(
                _configuration(args, name),
                library=args.library,
                period_ps=args.period,
                arrays=_load(args.workload) if args.workload else None,
                vectors=args.vectors,
                seed=args.seed,
                build_folder=args.build,
            )
        )
    rows = [
        ("", lambda r: r["design"]),
        ("configuration", lambda r: r["digest"]),
        ("area, um2", lambda r: f"{r['area']['total_um2']:.0f}"),
        ("  of it registers, um2", lambda r: f"{r['area']['register_um2']:.0f}"),
        ("smallest period, ps", lambda r: f"{r['timing']['period_ps']:.0f}"),
        ("target met", lambda r: "yes" if r["timing"]["met"] else f"no ({r['timing']['target_ps']:g} ps)"),
        ("clock of the energy, ps", lambda r: f"{r['energy']['clock_ps']:.0f}"),
        ("energy per MAC, fJ", lambda r: f"{r['energy']['per_mac_fj']:.1f}"),
        ("power, mW", lambda r: f"{r['energy']['power_mw']:.3f}"),
        ("leakage, nW", lambda r: f"{r['energy']['leakage_nw']:.0f}"),
        ("PE module", lambda r: r["pe"]["module"]),
        ("  instances", lambda r: str(r["pe"]["instances"])),
        ("  area of one, um2", lambda r: f"{r['pe']['area_um2']:.0f}"),
        ("  its smallest period, ps", lambda r: f"{r['pe']['period_ps']:.0f}"),
    ]
    lines = [f"{label:<26}" + "".join(f"{cell(entry):>18}" for entry in made) for label, cell in rows]
    origin = made[0]["provenance"]
    library = origin["library"]
    corner = f"{library['corner']}, {library['voltage_v']} V, {library['temperature_c']} C"
    lines += ["", f"{library['name']}, {corner}; wires: {origin['wires']}", f"activity: {origin['activity']}"]
    return made, "\n".join(lines)


def _front(args):
    from .asic.front import figure_of_merit
    from .pictures import fronts

    series, lines = {}, []
    for name in args.names:
        config = _configuration(args, name)
        _say(f"{name}: {args.effort} search")
        points = api.front(config, effort=args.effort, build_folder=args.build)
        series[name] = points
        lines.append(
            f"{name} {config.digest} ({design(name).pe(config)}): delay in ps, area in um2, 10^12 MAC/s per mm2"
        )
        for point in points:
            merit = figure_of_merit(point.delay_ps, point.area_um2)
            how = f"{point.front_end}, {point.script}, target {point.target_ps or 'none'}"
            lines.append(f"  {point.delay_ps:8.1f} {point.area_um2:9.1f} {merit:6.2f}   {how}")
    lines_of = [{"name": n, "points": [[p.delay_ps, p.area_um2] for p in ps]} for n, ps in series.items()]
    picture = fronts(lines_of, x_unit="delay, ps", y_unit="area, µm²")
    path = api.write_whole(args.picture or Path(args.build) / "front.svg", picture)
    lines.append(str(path))
    return {"fronts": {n: [asdict(p) for p in ps] for n, ps in series.items()}, "picture": path}, "\n".join(lines)


def _fpga(args):
    _say(f"{args.name}: synthesis, place and route for {args.board}")
    built = api.build(
        _configuration(args, args.name), args.board, clock_mhz=args.clock, seed=args.seed, build_folder=args.build
    )
    lines = [f"{built.bitstream}", f"{built.device} in {built.package}, {built.target_mhz:g} MHz asked for"]
    lines += [f"  {name}: {mhz:.1f} MHz reached" for name, mhz in built.fmax_mhz.items()]
    lines += [f"  {name}: {used} of {of} used" for name, (used, of) in built.utilisation.items()]
    return built, "\n".join(lines)


def _demo(args):
    from .demonstration import demo

    result = demo(build_folder=args.build, log=print if not args.json else _say)
    return result, ""


def _bench(args):
    from .bench import bench, write_markdown
    from .sim.store import Store

    result = bench(store=Store(args.build), log=_say)
    path = api.write_whole(args.output, write_markdown(result))
    return result, str(path)


def _verify(args):
    from .campaign import campaign, write_markdown

    results = campaign(build_folder=args.build, log=_say)
    write_markdown(results, args.output)
    failed = [row for row in results if not row["passed"]]
    return results, f"{len(results) - len(failed)} passed, {len(failed)} failed", 1 if failed else 0


def _doctor(args):
    from .health import doctor, healthy

    findings = doctor()
    lines = []
    for finding in findings:
        state = finding.version or "found" if finding.found else ("missing" if finding.required else "not found")
        line = f"{finding.name:<24} {state:<20} {finding.needed_for}"
        lines.append(line if finding.found else f"{line}; {finding.advice}")
    return findings, "\n".join(lines), 0 if healthy(findings) else 2


_COMMANDS = {
    "list": _list,
    "show": _show,
    "generate": _generate,
    "run": _run,
    "sim": _sim,
    "report": _report,
    "front": _front,
    "fpga": _fpga,
    "demo": _demo,
    "bench": _bench,
    "verify": _verify,
    "doctor": _doctor,
}


def _plain(value):
    if isinstance(value, Config):
        return value.to_mapping()
    if is_dataclass(value):
        return asdict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def main(arguments=None):
    """Entry point of the command ``carrysave``; returns the exit status.

    0 is success, 1 a verification that failed, 2 an error that the user can mend (one line says how), 130 Ctrl-C.
    """
    args = _arguments().parse_args(arguments)
    try:
        result, text, *status = _COMMANDS[args.command](args)
        print(json.dumps(result, indent=2, default=_plain) if args.json else text)
        return status[0] if status else 0
    except KeyboardInterrupt:
        print("carrysave: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever reads our output has seen enough.
        sys.stderr.close()
        return 0
    except CarrysaveError as error:
        if args.debug:
            raise
        print(f"carrysave: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except OSError as error:
        if args.debug or error.errno not in (
            errno.ENOSPC,
            errno.EDQUOT,
            errno.EACCES,
            errno.EROFS,
            errno.ENOTDIR,
            errno.EPERM,
        ):
            raise
        print(f"carrysave: {error.strerror}: {error.filename or 'writing a result'}", file=sys.stderr)
        return 2
