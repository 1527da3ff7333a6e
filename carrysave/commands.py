"""The commands of :mod:`carrysave.cli`: each takes the parsed arguments and gives a result, its text and an exit status."""

import io
import json
import sys
import tomllib
from dataclasses import asdict, is_dataclass
from pathlib import Path

import numpy as np

from . import api
from .arrays import read_array, read_arrays
from .hdl.catalogue import design
from .models.config import Config
from .models.errors import ConfigError

__all__ = ["COMMANDS", "plain"]

LEGAL_COLUMNS = 20
VALUE_COLUMNS = 60


def _configuration(args, name):
    base = {}
    if args.config:
        try:
            base = tomllib.loads(args.config.read_text())
        except OSError as error:
            raise ConfigError(f"cannot read {args.config}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{args.config} is not TOML: {error}") from None
        except RecursionError:
            raise ConfigError(f"{args.config} is nested too deeply: give one key = value a line") from None
    return design(name).config.from_pairs(args.pairs, base)


def _say(line):
    print(line, file=sys.stderr, flush=True)


def _list(args):
    rows = api.designs()
    cells = [(row["name"], f"pe={row['pe']}" if row["pe"] else "", row["title"]) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return rows, "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)


def _show(args):
    shown = api.show(_configuration(args, args.name))
    rows = []
    for row in shown["parameters"]:
        now = shown["configuration"].get(row["name"], "")
        now = str(now).lower() if isinstance(now, bool) else str(now)
        if len(now) > VALUE_COLUMNS:  # a large matrix; --json has all of it
            now = f"{now[: VALUE_COLUMNS - 3]}..."
        legal, doc = row["legal"], row["doc"]
        if len(legal) > LEGAL_COLUMNS:  # a long list of names would push all else to the right
            legal, doc = "a name", f"{doc}; {legal}"
        rows.append((row["name"], now, legal, doc))
    lines = [f"{shown['design']}: {shown['title']}", f"source: {shown['source']}", "", "parameters (now; legal)"]
    lines += _columns(rows)
    for stream, text in (("i", "input stream i"), ("o", "output stream o")):
        lines += ["", f"{text}, {shown[stream]['width']} bits a beat (field, type, lowest bit)"]
        lines += _columns([(f["name"], f["type"], str(f["offset"])) for f in shown[stream]["fields"]])
    latency, interval = (_cycles(shown[name]) for name in ("latency_cycles", "initiation_interval_cycles"))
    lines += ["", f"latency {latency}, a beat every {interval.removeprefix('1 ')}"]
    lines += [f"limit: {limit}" for limit in shown["limits"]]
    return shown, "\n".join(lines)


def _columns(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _cycles(count):
    return f"{count} cycle{'' if count == 1 else 's'}"


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
    outputs = api.run(_configuration(args, args.name), read_arrays(args.vectors), on=args.on, build_folder=args.build)
    content = io.BytesIO()
    np.savez(content, **outputs)
    api.write_whole(args.output, content.getvalue())
    shapes = {name: list(array.shape) for name, array in outputs.items()}
    return {"output": args.output, "shapes": shapes}, f"{args.output}: " + ", ".join(
        f"{n} {s}" for n, s in shapes.items()
    )


def _gemm(args):
    from .multiply import gemm

    config = _configuration(args, args.name)
    a, b = read_array(args.a), read_array(args.b)
    made = gemm(
        config,
        a,
        b,
        initial=read_array(args.initial) if args.initial else None,
        simulator=args.simulator,
        on=args.on,
        build_folder=args.build,
        log=_say,
    )
    content = io.BytesIO()
    np.save(content, made.product)
    api.write_whole(args.output, content.getvalue())
    (m, k, n), ends = made.shape, [made.product.min().item(), made.product.max().item()]
    low, high = (end if isinstance(end, int) else f"{end:.6g}" for end in ends)
    figures = {name: value for name, value in vars(made).items() if name != "product"}
    lines = [
        f"{args.output}: {m} x {n} {made.product.dtype}, {low}..{high}, equal to the golden product",
        f"{made.design} on {args.on}: {m} x {k} x {n}, {made.macs} MACs in {_cycles(made.cycles)}, "
        f"{made.macs_per_cycle:.1f} MACs/cycle of {made.peak_macs_per_cycle:g}, utilisation {made.utilisation:.1%}",
        f"{made.seconds:.1f} s"
        + (", simulated before" if made.cached else f", of it building {made.seconds_build:.1f} s"),
    ]
    if made.counters:
        counted = ", ".join(f"{name} {count}" for name, count in made.counters.items())
        lines.insert(2, f"counted in hardware: {counted}")
    return {"output": args.output, **figures}, "\n".join(lines)


def _sim(args):
    verdict = api.verify(
        _configuration(args, args.name),
        vectors=args.vectors,
        seed=args.seed,
        exhaustive=args.exhaustive,
        bulk=args.bulk,
        simulator=args.simulator,
        on=args.on,
        build_folder=args.build,
        log=_say,
    )
    text = [str(verdict), *(f"corner not covered: {hole}" for hole in verdict.holes)]
    return verdict, "\n".join(text), 0 if verdict.passed else 1


def _report(args):
    configs = [_configuration(args, name) for name in args.names]
    arrays = read_arrays(args.workload) if args.workload else None
    made = [
        api.report(
            config,
            library=args.library,
            period_ps=args.period,
            arrays=arrays,
            vectors=args.vectors,
            seed=args.seed,
            build_folder=args.build,
            log=_say,
        )
        for config in configs
    ]
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
    for name, config in [(name, _configuration(args, name)) for name in args.names]:
        points = api.front(config, effort=args.effort, build_folder=args.build, log=_say)
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
    built = api.build(
        _configuration(args, args.name),
        args.board,
        clock_mhz=args.clock,
        seed=args.seed,
        timeout_s=args.timeout,
        build_folder=args.build,
        log=_say,
    )
    lines = [f"{built.bitstream}", f"{built.device} in {built.package}, {built.target_mhz:g} MHz asked for"]
    lines += [f"  {name}: {mhz:.1f} MHz reached" for name, mhz in built.fmax_mhz.items()]
    lines += [f"  {name}: {used} of {of} used" for name, (used, of) in built.utilisation.items()]
    return built, "\n".join(lines)


def _demo(args):
    from .demonstration import demo

    result = demo(build_folder=args.build, log=print if not args.json else _say)
    return result, ""


_COMPARE_OPTIONS = {
    "tpe": ("size", "workload", "sigma", "sequence", "designs", "effort"),
    "lmul": ("formats", "text"),
    "fma": ("effort",),
    "nonlinear": ("designs", "row_length"),
    "weights": (),
}


def _given(args, what, options, others):
    """Those of the options that are given; one of the others is refused, for it would do nothing."""
    for name in others:
        if name not in options and getattr(args, name) not in (None, []):
            option = {"pairs": "-p", "output": "-o"}.get(name, f"--{name.replace('_', '-')}")
            raise ConfigError(f"{option} means nothing to {what}")
    return {name: getattr(args, name) for name in options if getattr(args, name) not in (None, [])}


def _compare(args):
    from . import compare_fma_page, compare_lmul_page, compare_nonlinear_page, compare_page, compare_weights_page
    from .compare import compare_tpe
    from .compare_fma import compare_fma
    from .compare_lmul import compare_lmul
    from .compare_nonlinear import compare_nonlinear
    from .compare_weights import compare_weights

    page, compare = {
        "tpe": (compare_page, compare_tpe),
        "lmul": (compare_lmul_page, compare_lmul),
        "fma": (compare_fma_page, compare_fma),
        "nonlinear": (compare_nonlinear_page, compare_nonlinear),
        "weights": (compare_weights_page, compare_weights),
    }[args.what]
    everyones = {name for options in _COMPARE_OPTIONS.values() for name in options}
    given = _given(args, f"compare {args.what}", _COMPARE_OPTIONS[args.what], sorted(everyones))
    writers = {
        ".html": page.comparison_html,
        ".md": page.comparison_markdown,
        ".json": lambda made: json.dumps(made, indent=1),
    }
    if args.output and args.output.suffix not in writers:
        raise ConfigError(f"output must end in {', '.join(writers)}, not {str(args.output)!r}")
    if args.period is not None:
        given["period_ps"] = args.period
    result = compare(library=args.library, **given, build_folder=args.build, log=_say)
    text = page.comparison_text(result)
    if args.output:
        text += f"\n\n{api.write_whole(args.output, writers[args.output.suffix](result))}"
    return result, text


def _block(args):
    from . import block
    from .models.config import parse_pairs

    writers = {".md": block.block_markdown, ".json": lambda made: json.dumps(made, indent=1, default=plain)}
    if args.output and args.output.suffix not in writers:
        raise ConfigError(f"output must end in {', '.join(writers)}, not {str(args.output)!r}")
    if args.no_energy:
        _given(args, "a block without an estimate", (), ("period", "library"))
    result = block.run_block(
        args.sentence,
        parameters=parse_pairs(args.pairs),
        estimate=not args.no_energy,
        **({} if args.period is None else {"period_ps": args.period}),
        library=args.library,
        build_folder=args.build,
        log=_say,
    )
    text = "\n".join(block.block_text(result))
    if args.output:
        text += f"\n\n{api.write_whole(args.output, writers[args.output.suffix](result))}"
    return result, text, int(not result["passed"])


def _train(args):
    from . import train
    from .workloads.training_arithmetic import TrainingConfig

    given = {name: getattr(args, name) for name in ("arithmetic", "block", "rounding", "spill", "epochs")}
    training = TrainingConfig(**{name: value for name, value in given.items() if value is not None})
    trained, replayed = ("seeds", "output"), ("design", "pairs", "simulator")
    if args.replay is not None:
        given = _given(args, "a replay", replayed, trained)
        result = train.replay_step(
            training,
            args.replay,
            name=given.get("design", "dfp-array"),
            parameters=given.get("pairs", ()),
            simulator=given.get("simulator", "verilator"),
            build_folder=args.build,
            log=_say,
        )
        return result, train.replay_text(result), 1 if any(row.mismatches for row in result) else 0
    given = _given(args, "a training without --replay", trained, replayed)
    if args.output and args.output.suffix != ".svg":
        raise ConfigError(f"output must end in .svg, not {str(args.output)!r}")
    result = train.compare_training(training, seeds=given.get("seeds", 5), build_folder=args.build, log=_say)
    path = api.write_whole(args.output or Path(args.build) / "curves.svg", train.curves_svg(result))
    return {**result, "picture": path}, f"{train.training_text(result)}\n\n{path}"


def _formats(args):
    from . import formats

    if args.picture and args.picture.suffix != ".svg":
        raise ConfigError(f"output must end in .svg, not {str(args.picture)!r}")
    result = formats.search_file(args.tensors, budget=args.budget, max_width=args.max_width, rounding=args.rounding)
    path = api.write_whole(args.picture or Path(args.build) / "formats.svg", formats.formats_svg(result))
    return {**result, "picture": path}, f"{formats.formats_text(result)}\n\n{path}"


def _bench(args):
    from .bench import bench, write_markdown
    from .sim.store import Store

    result = bench(store=Store(args.build), log=_say)
    path = api.write_whole(args.output, write_markdown(result))
    return result, str(path)


def _verify(args):
    from .campaign import campaign, write_markdown

    results = campaign(build_folder=Path(args.build).resolve(), scheduler=args.scheduler, log=_say)
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


COMMANDS = {
    "list": _list,
    "show": _show,
    "generate": _generate,
    "run": _run,
    "gemm": _gemm,
    "sim": _sim,
    "report": _report,
    "front": _front,
    "fpga": _fpga,
    "compare": _compare,
    "block": _block,
    "train": _train,
    "formats": _formats,
    "demo": _demo,
    "bench": _bench,
    "verify": _verify,
    "doctor": _doctor,
}
"""Functions by the name of their command."""


def plain(value):
    """What JSON takes in place of a value that it does not know."""
    if isinstance(value, Config):
        return value.to_mapping()
    if is_dataclass(value):
        return asdict(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
