"""Benchmarks of ``docs/benchmarks.md``: area-delay fronts side by side, and speeds as ratios, from one run."""

import time

import numpy as np

from . import __version__
from .asic.front import figure_of_merit, front
from .bench_dfp import dfp_speeds
from .bench_family import area_at, family_fronts, family_markdown, pareto
from .bench_fixed import block_speeds, function_speeds
from .bench_float import float_speeds
from .bench_float import markdown as float_markdown
from .bench_lmul import multiplier_fronts, multiplier_markdown
from .hdl.pe import MACPE, OPT1PE
from .hdl.verilog import verilog_of
from .models.gemm import gemm
from .models.mac import MACConfig, OPT1Config, mac_golden, mac_stimulus
from .sim.bench import verify
from .sim.player import play

__all__ = ["bench", "write_markdown"]

# Points (delay in ps, area in um2) of others' modules by the same recipe. Source of the published RTL: the authors' code of
# "Exploring the Performance Improvement of Tensor Processing Engines ..." (HPCA 2025), every front end tried.
PUBLISHED = {
    ("mac", 32): ((767, 1368), (798, 1205), (900, 1162), (1000, 993), (1211, 873), (1490, 844), (1957, 732)),
    ("mac", 24): ((768, 1276), (799, 1077), (873, 884), (1000, 784), (1496, 671), (1705, 633)),
    ("mac", 20): ((737, 1054), (767, 897), (803, 823), (998, 713), (1191, 686), (1554, 599)),
    ("mac", 16): ((585, 983), (663, 811), (704, 730), (794, 661), (1043, 616), (1300, 552)),
    ("opt1", 32): ((459, 1347), (592, 1228), (696, 1133), (798, 1053)),
    ("opt1", 16): ((420, 835), (530, 746), (692, 655), (827, 623)),
}
"""Published RTL at 8 x 8 bits, by PE and accumulator width."""

FIRST_CONSTRUCTIONS = {
    "mac": ((682, 875), (729, 810), (796, 801), (802, 766), (991, 742), (1024, 664), (1376, 680), (1499, 621)),
    "opt1": (
        *((331, 896), (333, 963), (334, 906), (346, 1020), (393, 829), (399, 799), (428, 823), (473, 771), (495, 747)),
        *((533, 713), (549, 714), (575, 715), (653, 672), (767, 650)),
    ),
    "opt1, edge": ((294, 909), (299, 870), (399, 748), (454, 713)),
}
"""The plain first constructions that ours must lie on or below, at 8 x 8 bits, accumulator 32."""

_COARSE = {"scripts": ("map", "area"), "targets_ps": (0, 1000, 600, 400)}


def _candidates(pe, width, acc_width):
    """Configurations whose points together make the front of one PE."""
    common = {"width": width, "acc_width": acc_width, "overflow": "wrap", "max_k": 1024}
    if pe == "mac":
        return [
            MACConfig.from_mapping({**common, "partial_products": kind, "adder": adder})
            for kind in ("booth", "and")
            for adder in ("hybrid", "kogge-stone", "brent-kung")
        ]
    encode = "edge" if pe == "opt1, edge" else "pe"
    # The widest choice where the first constructions are to be held against; elsewhere what pays there.
    wide = [(16, 1), (8, 1), (6, 1), (4, 1), (1, 1), (16, 2), (8, 2), (4, 2), (8, 4)]
    spacings = wide if acc_width == 32 else [(8, 1), (8, 2)]
    kinds = ("booth",) if encode == "edge" else ("booth", "and")
    return [
        OPT1Config.from_mapping(
            {**common, "partial_products": kind, "encode": encode, "carry_spacing": high, "carry_spacing_low": low}
        )
        for kind in kinds
        for high, low in spacings
    ]


def _pe_verilog(config):
    component = OPT1PE if isinstance(config, OPT1Config) else MACPE
    name = "opt1_pe" if isinstance(config, OPT1Config) else "mac_pe"
    return verilog_of(component(config), name, reset=False), name


def _plain_verilog(width, acc_width):
    """What one writes without this package: Yosys builds multiplier and adder."""
    return f"""module plain_pe(clk, clear, a, b, a_o, b_o, acc);
  input clk, clear;
  input signed [{width - 1}:0] a, b;
  output reg signed [{width - 1}:0] a_o, b_o;
  output reg signed [{acc_width - 1}:0] acc;
  always @(posedge clk) begin
    a_o <= a;
    b_o <= b;
    acc <= (clear ? {acc_width}'sd0 : acc) + a_o * b_o;
  end
endmodule
"""


def _front(pe, width, acc_width, store, log):
    """Points (delay, area, structure) that none of the candidates' points beats in both figures."""
    options = {"effort": "normal"} if width == 8 else _COARSE
    options["cache_folder"] = store.root / "front"
    points = []
    if pe == "plain":
        options = {**options, "front_ends": ("plain", "booth", "booth, kogge-stone", "booth, han-carlson")}
        for point in front(_plain_verilog(width, acc_width), "plain_pe", **options):
            points.append((point.delay_ps, point.area_um2, f"{point.front_end}, {point.script}"))
    else:
        for config in _candidates(pe, width, acc_width):
            text, name = _pe_verilog(config)
            for point in front(text, name, **options):
                structure = config.partial_products
                if pe == "mac":
                    structure += f", {config.adder}"
                else:
                    structure += f", carries 1 in {config.carry_spacing} above, 1 in {config.carry_spacing_low} below"
                points.append((point.delay_ps, point.area_um2, structure))
    log(f"{pe}, {width} bits, accumulator {acc_width}: {len(points)} points")
    return pareto(points)


def _speeds(store, log):
    """Vectors, and multiply-accumulates, a second of what runs a MAC, measured in this run."""
    config, rng = MACConfig(), np.random.default_rng(1)
    beats = mac_stimulus(config, rng, 1_000_000)
    played = play(config, beats, store=store, fresh=True)
    log(f"bulk mode: {played.vectors_per_s:.0f} vectors/s")
    start = time.perf_counter()
    verify(config, store=store, vectors=100, seed=1)
    built = time.perf_counter()
    verdict = verify(config, store=store, vectors=40_000, seed=int(start) % 100_000)
    cocotb = verdict.beats_in / (time.perf_counter() - built)
    log(f"cocotb mode: {cocotb:.0f} vectors/s")
    amaranth = _amaranth_speed(config, beats[:2000])
    log(f"Amaranth's simulator: {amaranth:.0f} vectors/s")
    start = time.perf_counter()
    mac_golden(config, beats)
    golden = len(beats) / (time.perf_counter() - start)
    a, b = rng.integers(-128, 128, (512, 512)), rng.integers(-128, 128, (512, 512))
    seconds = {}
    for name, call in (("golden", lambda: gemm(a, b)), ("numpy", lambda: np.matmul(a, b))):
        call()
        start = time.perf_counter()
        call()
        seconds[name] = time.perf_counter() - start
    return {
        "bulk_vectors_per_s": played.vectors_per_s,
        "cocotb_vectors_per_s": cocotb,
        "amaranth_vectors_per_s": amaranth,
        "golden_macs_per_s": golden,
        "gemm_macs_per_s": 512**3 / seconds["golden"],
        "matmul_int64_macs_per_s": 512**3 / seconds["numpy"],
    }


def _amaranth_speed(config, beats):
    from amaranth.sim import Simulator

    from .hdl.mac import MAC

    dut, words = MAC(config), config.i.to_ints(beats)
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)

    async def put(ctx):
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        for word in words:
            ctx.set(dut.i.payload.as_value(), word)
            await ctx.tick()

    simulator.add_testbench(put)
    start = time.perf_counter()
    simulator.run()
    return len(words) / (time.perf_counter() - start)


def bench(*, store, log=print):
    """Run all benchmarks; the search of the fronts is cached and continues where it stopped.

    Parameters
    ----------
    store : :class:`~carrysave.sim.store.Store`
    log : callable
        Receives lines of progress.

    Returns
    -------
    dict
        ``fronts`` (rows with ``pe``, ``width``, ``acc_width``, ``points``), ``family`` (see
        :func:`~carrysave.bench_family.family_fronts`), ``multipliers`` (see
        :func:`~carrysave.bench_lmul.multiplier_fronts`), ``speeds``, ``float_speeds`` (see
        :func:`~carrysave.bench_float.float_speeds`), ``dfp_speeds`` (see :func:`~carrysave.bench_dfp.dfp_speeds`),
        ``function_speeds`` and ``block_speeds`` (see :mod:`carrysave.bench_fixed`).
    """
    rows = []
    for width, acc_widths in ((8, (32, 24, 20, 16)), (4, (24,)), (16, (48,))):
        for acc_width in acc_widths:
            for pe in ("mac", "opt1", *(["opt1, edge"] if acc_width == 32 else []), "plain"):
                points = _front(pe, width, acc_width, store, log)
                rows.append({"pe": pe, "width": width, "acc_width": acc_width, "points": points})
    found = {"fronts": rows, "family": family_fronts(store, log), "multipliers": multiplier_fronts(store, log)}
    log("speed of the models of floating point and of dynamic fixed point")
    return {
        **found,
        "speeds": _speeds(store, log),
        "float_speeds": float_speeds(),
        "dfp_speeds": dfp_speeds(),
        "function_speeds": function_speeds(),
        "block_speeds": block_speeds(),
    }


def _verdicts(result):
    fronts = {(row["pe"], row["width"], row["acc_width"]): row["points"] for row in result["fronts"]}
    yield "| PE | accumulator | other's point, ps: um2 | ours at that delay, um2 | ours / other's |"
    yield "|---|---|---|---|---|"
    beaten = 0
    for (pe, acc_width), points in PUBLISHED.items():
        for delay, area in points:
            ours = area_at(fronts[pe, 8, acc_width], delay)
            beaten += ours is None or ours > area
            yield f"| {pe}, published | {acc_width} | {delay}: {area} | {_or_dash(ours)} | {_ratio(ours, area)} |"
    short, margin = [], {}
    for pe, points in FIRST_CONSTRUCTIONS.items():
        for delay, area in points:
            ours = area_at(fronts[pe, 8, 32], delay)
            if ours is None or ours > area:
                short.append(f"{pe} {delay}: {area} (ours {_or_dash(ours)})")
            else:
                margin[pe] = min(margin.get(pe, 1.0), ours / area)
            yield f"| {pe}, first construction | 32 | {delay}: {area} | {_or_dash(ours)} | {_ratio(ours, area)} |"
    yield ""
    yield f"Published points that ours does not match in area at their delay: {beaten}."
    yield f"Points of the first constructions that ours does not match: {'; '.join(short) or 'none'}."
    best = ", ".join(f"{pe} {ratio:.2f}" for pe, ratio in margin.items())
    yield f"Smallest ratio of areas at equal delay against the first constructions: {best}."


def _or_dash(value):
    return "-" if value is None else f"{value:.0f}"


def _ratio(ours, theirs):
    return "-" if ours is None else f"{ours / theirs:.2f}"


def write_markdown(result):
    """Text of ``docs/benchmarks.md``."""
    lines = [
        "# Benchmarks",
        "",
        f"Made by `make bench` (`carrysave bench`) with carrysave {__version__}. Fronts are the same in every run and kept from",
        "one to the next; speeds are all of one run.",
        "",
        "## Area against delay",
        "",
        "NanGate 45 nm, typical corner, by the recipe of `carrysave.asic.front`: ABC's delay from register to register,",
        "without clock-to-q and set-up (about 130 ps), area with flip-flops. Merit: 10^12 MAC/s per mm2 with those 130 ps. A",
        "front is that of all structures tried for a PE; `plain` is Yosys' own `a * b + s`, best of its front ends. Sums that",
        "the longest reduction does not fit wrap around. Widths 4 and 16 are coarse. Operand a is encoded in the PE, with `edge`",
        "before it: there the encoder is outside and 12 bits travel in place of 8.",
        "",
    ]
    for row in result["fronts"]:
        lines += [f"### {row['pe']}, {row['width']} bits, accumulator {row['acc_width']}", ""]
        lines += ["| delay, ps | area, um2 | merit | structure |", "|---|---|---|---|"]
        for delay, area, how in row["points"]:
            lines.append(f"| {delay:.0f} | {area:.0f} | {figure_of_merit(delay, area):.2f} | {how} |")
        lines.append("")
    lines += ["## Beside others", "", *_verdicts(result), "", *family_markdown(result["family"]), ""]
    lines += [*multiplier_markdown(result["multipliers"]), "", "## Speed", ""]
    speeds = result["speeds"]
    rows = (
        ("bulk mode, 8-bit `mac`, Verilator", "bulk_vectors_per_s", "vectors", "cocotb_vectors_per_s"),
        ("cocotb mode, the same", "cocotb_vectors_per_s", "vectors", "cocotb_vectors_per_s"),
        ("Amaranth's simulator, the same", "amaranth_vectors_per_s", "vectors", "cocotb_vectors_per_s"),
        ("golden model of `mac`", "golden_macs_per_s", "MACs", "matmul_int64_macs_per_s"),
        ("golden GEMM, 512 x 512 x 512", "gemm_macs_per_s", "MACs", "matmul_int64_macs_per_s"),
        ("`numpy.matmul` in int64, the same", "matmul_int64_macs_per_s", "MACs", "matmul_int64_macs_per_s"),
    )
    lines += ["| what | a second | ratio |", "|---|---|---|"]
    for label, key, unit, reference in rows:
        lines.append(f"| {label} | {speeds[key]:.3g} {unit} | {speeds[key] / speeds[reference]:.2f} |")
    lines += ["", "Floating-point products of the golden models, each beside the row that it is held against:", ""]
    lines += [*float_markdown(result["float_speeds"]), ""]
    for title, key, unit in (
        ("Matrix products of dynamic fixed point, beside NumPy's:", "dfp_speeds", "products"),
        ("Integer functions, beside a real one:", "function_speeds", "elements"),
        ("MiniLM-L6's first layer:", "block_speeds", "tokens"),
    ):
        lines += [title, "", *float_markdown(result[key], unit), ""]
    return "\n".join(lines)
