"""The main job, end to end: a network trained on scanned digits, through RTL, to silicon figures and a bitstream."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .api import write_whole
from .asic.estimate import report
from .asic.front import front
from .asic.liberty import default_library
from .fpga.build import build as build_fpga
from .hdl.verilog import verilog
from .html import report_html
from .models.errors import CarrysaveError
from .models.gemm import from_beats, to_beats
from .models.mac import MACConfig, OPT1Config
from .models.systolic import SystolicConfig
from .sim.player import play
from .sim.store import Store
from .workloads.digits import accuracy, trained_network

__all__ = ["demo"]

PES = ("mac", "opt1")
SIZE = 8
BOARD = "icebreaker"
FPGA_SIZE = 2
PERIOD_PS = 600


class _Steps:
    """Names, times and progress of the steps; steps may run side by side."""

    def __init__(self, log):
        self._log, self._lock, self._begin = log, threading.Lock(), time.perf_counter()
        self.rows = []

    def say(self, text):
        with self._lock:
            self._log(f"[{time.perf_counter() - self._begin:6.1f} s] {text}")

    def run(self, name, make):
        self.say(f"{name} ...")
        start = time.perf_counter()
        result = make()
        seconds = time.perf_counter() - start
        with self._lock:
            self.rows.append({"name": name, "seconds": seconds})
        self.say(f"{name}: {seconds:.1f} s")
        return result

    @property
    def seconds(self):
        return time.perf_counter() - self._begin


def demo(*, build_folder="build", log=print):
    """Run the demonstration.

    Parameters
    ----------
    build_folder : path
        Where results are kept; a rerun finds them there and continues where an earlier run stopped.
    log : callable
        Receives the lines of progress and of the closing table.

    Returns
    -------
    dict
        ``accuracy``, ``pes`` (by PE: whether all logits are the golden model's, tiles, cycles, and the report), ``fpga``,
        ``html`` (path), ``steps``, ``seconds``.

    Raises
    ------
    CarrysaveError
        If a logit differs, or a tool is missing or fails.
    """
    store, steps = Store(build_folder), _Steps(log)
    network, split, accuracies = steps.run("training the int8 network on 1,437 digits", trained_network)
    steps.say(
        f"accuracy on {len(split.test_images)} test images: "
        f"{accuracies['float']:.2%} in floating point, {accuracies['int8']:.2%} in int8"
    )
    configs = {pe: SystolicConfig(rows=SIZE, cols=SIZE, pe=pe) for pe in PES}
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        on_rtl = {pe: pool.submit(_on_rtl, configs[pe], network, split, store, steps) for pe in PES}
        bitstream = pool.submit(_bitstream, store, steps)
        try:
            rtl = {pe: job.result() for pe, job in on_rtl.items()}
            costs = {pe: pool.submit(_cost, configs[pe], rtl[pe]["beats"], store, steps) for pe in PES}
            curves = {pe: pool.submit(_front, pe, store, steps) for pe in PES}
            costs = {pe: job.result() for pe, job in costs.items()}
            curves = {pe: job.result() for pe, job in curves.items()}
            fpga = bitstream.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    page = Path(build_folder) / "demo" / "report.html"
    data = _page(accuracies, rtl, costs, curves, fpga, configs, steps)
    write_whole(page, report_html(data))
    for line in _table(accuracies, rtl, costs, fpga):
        log(line)
    log("")
    log("time of each step (two run side by side):")
    for row in steps.rows:
        log(f"  {row['seconds']:6.1f} s  {row['name']}")
    log(f"  {steps.seconds:6.1f} s  in all")
    log("")
    log(f"bitstream: {fpga.bitstream}")
    log(f"report:    {page.resolve()}")
    return {
        "accuracy": accuracies,
        "pes": {
            pe: {"equal": True, "tiles": rtl[pe]["tiles"], "cycles": rtl[pe]["cycles"], "report": costs[pe]}
            for pe in PES
        },
        "fpga": fpga,
        "html": page.resolve(),
        "steps": steps.rows,
        "seconds": steps.seconds,
    }


def _on_rtl(config, network, split, store, steps):
    """The test images through the RTL; every logit must be the golden model's."""
    name = f"{config.rows} x {config.cols} array of {config.pe.upper()} PEs"
    found = {"tiles": 0, "cycles": 0, "beats": [], "accuracy": None}

    def gemm(a, b):
        beats = to_beats(config, a, b)
        played = play(config, beats, store=store)
        if not played.passed:
            raise CarrysaveError(f"{name}: the RTL differs from the golden model: {played.first_mismatch}")
        tiles = int(beats["last"].sum())
        found["tiles"] += tiles
        found["cycles"] += played.cycles
        found["beats"].append(beats)
        steps.say(
            f"{name}: GEMM {len(a)} x {a.shape[1]} x {b.shape[1]}: {tiles} of {tiles} tiles equal, {played.cycles} cycles"
        )
        return from_beats(config, played.outputs, len(a), b.shape[1])

    def make():
        logits = network.logits(split.test_images, gemm=gemm)
        golden = network.logits(split.test_images)
        if not np.array_equal(logits, golden):
            raise CarrysaveError(f"{name}: {int((logits != golden).sum())} of {golden.size} logits differ")
        steps.say(f"{name}: all {golden.size} logits equal the golden model's, bit for bit")
        found["logits"] = golden.size
        found["accuracy"] = accuracy(logits, split.test_labels)
        return found

    return steps.run(f"{name}: cocotb on Verilator, build and run", make)


def _cost(config, beats, store, steps):
    name = f"{config.rows} x {config.cols} array of {config.pe.upper()} PEs"

    def make():
        return report(config, store=store, beats=np.concatenate(beats), period_ps=PERIOD_PS)

    return steps.run(f"{name}: synthesis, timing, gate-level run of the workload, energy", make)


def _front(pe, store, steps):
    config = {"mac": MACConfig, "opt1": OPT1Config}[pe]()

    def make():
        return front(verilog(config), f"{pe}_pe", cache_folder=store.root / "front", effort="normal")

    return steps.run(f"{pe.upper()} PE: area against clock period", make)


def _bitstream(store, steps):
    config = SystolicConfig(rows=FPGA_SIZE, cols=FPGA_SIZE, pe="mac", max_k=1024)
    name = f"{FPGA_SIZE} x {FPGA_SIZE} array with host link: place and route for {BOARD}"
    return steps.run(name, lambda: build_fpga(config, BOARD, store=store))


def _rows(costs):
    """Figures of arrays and PEs: label, unit, and how to read it from a report."""
    return [
        ("area of the array", "µm²", lambda r: round(r["area"]["total_um2"])),
        ("area of the result buffer in it", "µm²", lambda r: round(_module_area(r, "_results"))),
        ("smallest clock period of the array", "ps", lambda r: round(r["timing"]["period_ps"])),
        ("energy per MAC, array", "fJ", lambda r: round(r["energy"]["per_mac_fj"])),
        ("power at the clock of the energy", "mW", lambda r: round(r["energy"]["power_mw"], 1)),
        ("clock of the energy", "ps", lambda r: round(r["energy"]["clock_ps"])),
        ("area of one PE", "µm²", lambda r: round(r["pe"]["area_um2"])),
        ("smallest clock period of the PE", "ps", lambda r: round(r["pe"]["period_ps"])),
        ("energy per MAC, PEs alone", "fJ", lambda r: round(r["pe"]["per_mac_fj"])),
    ]


def _module_area(made, suffix):
    return sum(row["own_um2"] * row["instances"] for row in made["area"]["by_module"] if row["module"].endswith(suffix))


def _table(accuracies, rtl, costs, fpga):
    yield ""
    yield f"{'':<44}" + "".join(f"{pe.upper():>12}" for pe in PES)
    yield f"{'logits equal to the golden model':<44}" + "".join(f"{rtl[pe]['logits']:>12}" for pe in PES)
    yield f"{'accuracy on the RTL':<44}" + "".join(f"{rtl[pe]['accuracy']:>12.2%}" for pe in PES)
    yield f"{'tiles':<44}" + "".join(f"{rtl[pe]['tiles']:>12}" for pe in PES)
    yield f"{'clock cycles':<44}" + "".join(f"{rtl[pe]['cycles']:>12}" for pe in PES)
    for label, unit, read in _rows(costs):
        yield f"{f'{label}, {unit}':<44}" + "".join(f"{read(costs[pe]):>12}" for pe in PES)
    library = costs["mac"]["provenance"]["library"]
    yield f"({library['name']}, {library['corner']}, {library['voltage_v']} V; activity of this very workload)"
    yield ""
    used = ", ".join(f"{name} {count} of {of}" for name, (count, of) in fpga.utilisation.items())
    fmax = ", ".join(f"{mhz:.1f} MHz" for mhz in fpga.fmax_mhz.values())
    yield f"{FPGA_SIZE} x {FPGA_SIZE} array on {fpga.board} ({fpga.device}): {fmax} reached, {fpga.target_mhz:g} MHz needed"
    yield f"  {used}"


def _groups(made):
    """Area by what it is for, in um2."""
    modules = {row["module"]: row["own_um2"] * row["instances"] for row in made["area"]["by_module"]}
    pe = modules.pop(made["pe"]["module"])
    final = modules.pop("final_adder", 0) + modules.pop("correction", 0)
    buffer = sum(modules.pop(name) for name in list(modules) if name.endswith("_results"))
    return {
        "processing elements": pe,
        "final adders": final,
        "operand skew, drain, control": sum(modules.values()),
        "result buffer": buffer,
    }


def _page(accuracies, rtl, costs, curves, fpga, configs, steps):
    library = default_library()
    made = costs["opt1"]
    names = {pe: f"{SIZE} x {SIZE}, {pe.upper()}" for pe in PES}
    return {
        "title": "Digits on systolic arrays",
        "subtitle": f"An int8 network on {SIZE} x {SIZE} output-stationary arrays of MAC and OPT1 PEs: "
        "proven on RTL and netlist, costed in silicon, placed on an FPGA",
        "facts": [
            {"label": "accuracy, int8", "value": f"{accuracies['int8']:.1%}"},
            {
                "label": "energy per MAC, MAC array",
                "value": f"{costs['mac']['energy']['per_mac_fj']:.0f}",
                "unit": "fJ",
            },
            {"label": "energy per MAC, OPT1 array", "value": f"{made['energy']['per_mac_fj']:.0f}", "unit": "fJ"},
            {
                "label": "clock, OPT1 against MAC array",
                "value": f"{costs['mac']['timing']['period_ps'] / made['timing']['period_ps']:.2f}",
                "unit": "x",
            },
        ],
        "checks": [
            {
                "name": f"{names[pe]}: RTL equals the golden model",
                "passed": True,
                "detail": f"{rtl[pe]['logits']} logits, {rtl[pe]['tiles']} tiles, {rtl[pe]['cycles']} cycles",
            }
            for pe in PES
        ]
        + [
            {
                "name": f"{names[pe]}: netlist equals the golden model",
                "passed": True,
                "detail": f"{costs[pe]['energy']['outputs_checked']} rows of results",
            }
            for pe in PES
        ],
        "accuracy": {
            "bars": [
                {"name": "floating point", "fraction": accuracies["float"]},
                {"name": "int8, golden model", "fraction": accuracies["int8"]},
                *({"name": f"int8, {pe.upper()} RTL", "fraction": rtl[pe]["accuracy"]} for pe in PES),
            ],
            "note": "360 test images that the training has not seen.",
        },
        "results": [
            {
                "title": "Arrays and processing elements",
                "columns": [{"name": "figure"}, {"name": "unit"}, *({"name": pe.upper()} for pe in PES)],
                "rows": [[label, unit, *(read(costs[pe]) for pe in PES)] for label, unit, read in _rows(costs)],
                "note": "Operand memories are outside. The PE's own period ends at its registers; the array's includes "
                "drain and final adders.",
            }
        ],
        "area": [
            {
                "title": f"Area of the {SIZE} x {SIZE} array",
                "designs": [{"name": names[pe], "parts": _groups(costs[pe])} for pe in PES],
            }
        ],
        "energy": [
            {
                "title": "Energy per MAC, this workload",
                "designs": [
                    {
                        "name": names[pe],
                        "parts": {
                            group: value * costs[pe]["energy"]["cycles"] / costs[pe]["energy"]["macs"]
                            for group, value in costs[pe]["energy"]["groups_fj"].items()
                            if value
                        },
                    }
                    for pe in PES
                ],
            }
        ],
        "fronts": [
            {
                "title": "Area of one PE against its delay",
                "series": [
                    {"name": f"{pe.upper()} PE", "points": [[p.delay_ps, p.area_um2] for p in curves[pe]]} for pe in PES
                ],
                "note": "ABC's delay between registers; clock-to-q and set-up, about 130 ps, come on top.",
            }
        ],
        "fpga": [
            {
                "title": f"{FPGA_SIZE} x {FPGA_SIZE} array with host link on {fpga.board}",
                "columns": [{"name": "resource"}, {"name": "used"}, {"name": "available"}],
                "rows": [[name, used, of] for name, (used, of) in fpga.utilisation.items()],
                "note": "; ".join(
                    f"{name}: {mhz:.1f} MHz reached, {fpga.target_mhz:g} MHz needed"
                    for name, mhz in fpga.fmax_mhz.items()
                ),
            }
        ],
        "files": [
            {"name": "bitstream", "path": str(fpga.bitstream)},
            *({"name": f"netlist, {pe.upper()}", "path": costs[pe]["files"]["netlist"]} for pe in PES),
        ],
        "steps": steps.rows,
        "provenance": [
            {"name": "library", "value": f"{library.name}, {library.corner}, SHA-256 {library.sha256}"},
            {"name": "synthesis", "value": made["provenance"]["synthesis"]["tool"]},
            {"name": "timing", "value": made["provenance"]["timing"]},
            {"name": "wires", "value": made["provenance"]["wires"]},
            {"name": "activity", "value": made["provenance"]["activity"]},
            *({"name": f"configuration, {pe.upper()}", "value": configs[pe].canonical()} for pe in PES),
            *({"name": f"tool, {name}", "value": text} for name, text in fpga.tools.items()),
        ],
        "limits": [
            "Gate-level simulation has no delays, so glitches are not counted.",
            "Wires are estimated; there is no clock tree.",
        ],
    }
