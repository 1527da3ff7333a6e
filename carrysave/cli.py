"""The command line: ``carrysave COMMAND NAME -p key=value …``. What it does is in :mod:`carrysave.api`."""

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

from . import __version__
from .hdl.tool import stop_tools
from .models.errors import CarrysaveError

__all__ = ["main"]

PATIENCE_S = 3
"""Seconds after which a second Ctrl-C does not wait for the first one's tidying."""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"carrysave: {message} (see '{self.prog} --help')\n")


def _arguments():
    parser = _Parser(prog="carrysave", description="Arithmetic for AI accelerators: RTL, silicon figures, bitstreams.")
    parser.add_argument("--version", action="version", version=f"carrysave {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = _Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    common.add_argument("--build", default="build", metavar="FOLDER", help="build folder (default: build)")
    configured = _Parser(add_help=False, parents=[common])
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
    command.add_argument("--wrapper", metavar="axis", help="AXI4-Stream port names")
    command.add_argument("--testbench", action="store_true", help="add a self-checking test bench in plain Verilog")
    command.add_argument("--period", type=float, default=1000, metavar="PS", help="clock period for the constraints")
    command = add("run", "send your own vectors through model, RTL or netlist", names="one")
    command.add_argument("vectors", type=Path, metavar="IN.npz", help="arrays named after the fields of i")
    command.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT.npz")
    command.add_argument("--on", metavar="model|rtl|gates", default="model", help="default: model")
    command = add("gemm", "multiply matrices of any shape on the simulated hardware")
    command.add_argument("a", type=Path, metavar="A.npy", help="M x K integers")
    command.add_argument("b", type=Path, metavar="B.npy", help="K x N integers")
    command.add_argument("--design", dest="name", required=True, metavar="NAME", help="an array, such as systolic-os")
    command.add_argument("-o", dest="output", type=Path, required=True, metavar="C.npy")
    command.add_argument("--initial", type=Path, metavar="I.npy", help="what to add to the product, such as a bias")
    command.add_argument("--simulator", metavar="verilator|icarus", default="verilator", help="default: verilator")
    command.add_argument("--on", metavar="rtl|gates", default="rtl", help="default: rtl")
    command = add("sim", "verify a design against its golden model", names="one")
    command.add_argument("--exhaustive", action="store_true", help="all operand pairs")
    command.add_argument("--bulk", action="store_true", help="millions of vectors in seconds; latency is not checked")
    command.add_argument("--vectors", type=int, default=3000, help="input beats (default: 3000)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--simulator", metavar="verilator|icarus", default="verilator", help="default: verilator")
    command.add_argument("--on", metavar="rtl|gates", default="rtl", help="default: rtl")
    command = add("report", "area, clock and energy, side by side", names="some")
    command.add_argument("--library", help="a Liberty file, osu018 or osu035 (default: NanGate 45 nm)")
    command.add_argument("--period", type=float, metavar="PS", help="clock period to synthesise for (default: 1000)")
    command.add_argument("--workload", type=Path, metavar="IN.npz", help="vectors to measure the energy with")
    command.add_argument("--vectors", type=int, default=2000, help="else: so many beats of the design's stimulus")
    command.add_argument("--seed", type=int, default=1)
    command = add("front", "area against delay of the processing element, as numbers and a picture", names="some")
    command.add_argument("--effort", metavar="quick|normal|full", default="normal", help="default: normal")
    command.add_argument(
        "-o", dest="picture", type=Path, metavar="FILE.svg", help="default: front.svg in the build folder"
    )
    command = add("fpga", "place and route for a board, with a host link", names="one")
    command.add_argument("--board", required=True, help="icebreaker or ulx3s-85f")
    command.add_argument("--clock", type=float, metavar="MHZ", help="clock of the design (default: the board's)")
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--timeout", type=float, default=1200, metavar="S", help="for each tool (default: 1200)")
    command = add("compare", "put designs side by side: area, clock, TOPS, energy, ratios", parent=common)
    command.add_argument(
        "what",
        metavar="tpe|lmul|fma|nonlinear|weights",
        choices=("tpe", "lmul", "fma", "nonlinear", "weights"),
        help="tpe: all arrays of the bit-weight family; lmul: L-Mul, Mitchell and exact floating-point products; fma: INT16 "
        "pairs, floating point and INT8 on a training's operands; nonlinear: softmax, GELU, layer normalisation, "
        "requantisation in integers; weights: sums of powers of two and constants beside ordinary multipliers",
    )
    command.add_argument("--size", type=int, help="tpe: rows, columns and lanes (default: 4)")
    command.add_argument("--library", metavar="FILE.lib", help="another Liberty library, or osu018, osu035")
    command.add_argument(
        "--workload", metavar="NAME|FILE.npz", help="tpe: normal (default), digits, a network, or A and B in int8"
    )
    command.add_argument("--sigma", type=float, help="tpe: of operands that are made up (default: 30)")
    command.add_argument("--sequence", type=int, metavar="TOKENS", help="tpe: for gpt-2")
    command.add_argument(
        "--period",
        type=float,
        metavar="PS",
        help="one clock period for all (default: tpe each one's best, lmul, nonlinear and weights 2000, fma 3000)",
    )
    command.add_argument("--formats", nargs="+", metavar="FORMAT", help="lmul: some formats only")
    command.add_argument(
        "--text", action="store_true", default=None, help="lmul: MiniLM on real text, too (takes minutes)"
    )
    command.add_argument("--row-length", type=int, help="nonlinear: elements of a row (default: 16)")
    command.add_argument("--designs", nargs="+", metavar="NAME[:PE]", help="tpe, nonlinear: some of them only")
    command.add_argument("--effort", help="tpe, fma: of synthesis: quick, normal or full (default: quick)")
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help="write .html, .md or .json")
    text = "one transformer block, MiniLM-L6's first layer, on simulated RTL: cycles, utilisation, energy by unit"
    command = add("block", text, parent=common)
    command.add_argument("--sentence", required=True, metavar="TEXT", help="what goes through it")
    command.add_argument(
        "-p",
        dest="pairs",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="lanes, unit_lanes, array, pe, divider, max_tokens, gelu_row, residual_width of transformer-block",
    )
    command.add_argument("--no-energy", action="store_true", help="without the syntheses that the estimate needs")
    command.add_argument("--period", type=float, metavar="PS", help="clock period of the estimate (default: 2000)")
    command.add_argument("--library", metavar="FILE.lib", help="another Liberty library, or osu018, osu035")
    command.add_argument("-o", dest="output", type=Path, metavar="FILE", help="write .md or .json")
    text = "train on real data by dynamic fixed point, float32 beside it; replay on simulated RTL"
    command = add("train", text, parent=common)
    command.add_argument(
        "what", metavar="digits", choices=("digits",), help="digits: 1,797 scanned digits, a small CNN"
    )
    command.add_argument("--arithmetic", default="dfp16", help="float32, or dfp4 to dfp16 (default: dfp16)")
    command.add_argument("--block", metavar="tensor|row|16|32", help="what shares an exponent (default: tensor)")
    command.add_argument("--rounding", metavar="MODE", help="nearest-even, toward-zero or stochastic")
    command.add_argument("--spill", metavar="wide|float32", help="exact sums, or chains of 32 bits (default: wide)")
    command.add_argument("--seeds", type=int, metavar="N", help="trainings, with seeds from 0 (default: 5)")
    command.add_argument("--epochs", type=int, help="passes over the images (default: 20)")
    command.add_argument(
        "-o", dest="output", type=Path, metavar="FILE.svg", help="default: curves.svg in the build folder"
    )
    command.add_argument("--replay", type=int, metavar="STEP", help="only the products of this step, on simulated RTL")
    command.add_argument("--design", metavar="NAME", help="replay: on which (default: dfp-array)")
    command.add_argument(
        "-p", dest="pairs", action="extend", nargs="+", default=[], metavar="KEY=VALUE", help="replay: its parameters"
    )
    command.add_argument("--simulator", metavar="verilator|icarus", help="replay: default verilator")
    command = add(
        "formats", "fixed-point formats for your tensors: width and binary point under an error budget", parent=common
    )
    command.add_argument("tensors", type=Path, metavar="IN.npz", help="arrays of real numbers")
    command.add_argument(
        "--budget", type=float, required=True, metavar="SHARE", help="largest rms error, as a share of the values' rms"
    )
    command.add_argument("--max-width", type=int, default=16, metavar="BITS", help="widest format tried (default: 16)")
    command.add_argument("--rounding", default="rnd", metavar="MODE", help="as of ap_fixed, such as trn (default: rnd)")
    command.add_argument(
        "-o", dest="picture", type=Path, metavar="FILE.svg", help="default: formats.svg in the build folder"
    )
    add("demo", "the digits network through systolic arrays: results, silicon figures, bitstream", parent=common)
    command = add("bench", "benchmarks of docs/benchmarks.md", parent=common)
    command.add_argument("-o", dest="output", type=Path, default=Path("docs/benchmarks.md"))
    command = add("verify", "the long verification campaign; continues where it stopped", parent=common)
    command.add_argument(
        "--scheduler", metavar="ADDRESS", help="a dask.distributed scheduler whose workers do the jobs"
    )
    command.add_argument("-o", dest="output", type=Path, default=Path("docs/verification.md"))
    add("doctor", "which tools were found, and how to get the others", parent=common)
    return parser


def main(arguments=None):
    """Entry point of the command ``carrysave``; returns the exit status.

    0 is success, 1 a verification that failed, 2 an error that the user can mend (one line says how), 130 Ctrl-C.
    """
    debug = False
    try:
        with _signals():
            args = _parse(arguments)
            debug = args.debug
            # Only now, so that help is quick and Ctrl-C finds its handler: the imports take a while.
            from .commands import COMMANDS, plain

            result, text, *status = COMMANDS[args.command](args)
            print(json.dumps(result, indent=2, default=plain) if args.json else text)
            _flush()
            return status[0] if status else 0
    except SystemExit as end:
        return end.code
    except KeyboardInterrupt as interrupt:
        return _complain("interrupted", status=128 + (interrupt.args or (signal.SIGINT,))[0])
    except BrokenPipeError:
        # Whoever reads our output has seen enough.
        _mute()
        return 0
    except CarrysaveError as error:
        if debug:
            raise
        return _complain(str(error))
    except MemoryError:
        if debug:
            raise
        return _complain("out of memory; make the design or the vectors smaller")
    except OSError as error:
        if debug:
            raise
        _mute(sys.stdout)
        return _complain(f"{error.strerror or error}: {error.filename or 'writing the result'}")


def _parse(arguments):
    try:
        return _arguments().parse_args(arguments)
    finally:
        _flush()  # help, too, may meet a closed pipe


def _complain(text, *, status=2):
    warnings.simplefilter("ignore")  # what was torn down half-way has nothing to add
    with contextlib.suppress(BrokenPipeError):
        print(f"carrysave: {' '.join(text.split())}", file=sys.stderr, flush=True)
    return status


def _flush():
    if sys.stdout is not None:
        sys.stdout.flush()


def _mute(*streams):
    """Nothing more is written to streams that take nothing, not even when the interpreter flushes them at its end."""
    for stream in streams or (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            descriptor = os.open(os.devnull, os.O_WRONLY)
            os.dup2(descriptor, stream.fileno())
            os.close(descriptor)


@contextlib.contextmanager
def _signals():
    """Ctrl-C, and being terminated, end the tools that run (each is a session of its own) and raise KeyboardInterrupt."""
    first = None

    def handle(number, _frame):
        nonlocal first
        now = time.monotonic()
        if first is None:
            first = now
            stop_tools()
            raise KeyboardInterrupt(number)
        if now - first > PATIENCE_S:
            os._exit(128 + number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {}
    if threading.current_thread() is threading.main_thread():
        # What is ignored, as nohup and background jobs do, stays ignored.
        before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
