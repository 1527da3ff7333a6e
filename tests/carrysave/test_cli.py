"""The command line as a user meets it: results, errors in one line, Ctrl-C, closed pipes."""

import errno
import json
import os
import pickle
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

import carrysave as package
from carrysave import cli
from carrysave.models.errors import CarrysaveError

GOOD = {"a": [3, -8, 7], "b": [5, -8, 2], "last": [0, 1, 1]}
SMALL = ("-p", "a_width=4", "b_width=5", "b_signed=false", "max_k=40")


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    """The command within this process: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        status = cli.main([*map(str, arguments)])
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(main):
    """A function that runs a command, which must be refused in one line, and gives the line."""

    def run(*arguments):
        status, out, err = main(*arguments)
        assert (status, out) == (2, "")
        assert err.startswith("carrysave: ")
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err[len("carrysave: ") : -1]

    return run


def test_list(main):
    status, out, err = main("list")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [row["name"] for row in package.designs()]
    assert json.loads(main("list", "--json")[1]) == package.designs()


@pytest.mark.parametrize("name", [row["name"] for row in package.designs()])
def test_show(name, main):
    status, out, err = main("show", name)
    assert (status, err) == (0, "")
    shown = package.show(name)
    for row in shown["parameters"]:
        assert f"\n  {row['name']} " in out
        assert row["doc"] in out
    assert json.loads(main("show", name, "--json")[1]) == json.loads(json.dumps(shown))


def test_a_large_matrix_is_shown_by_its_beginning(main):
    weights = "/".join(["17,-3,120"] * 20)
    _, out, _ = main("show", "constant-matrix", "-p", f"weights={weights}")
    assert f"\n  weights           {weights[:57]}...  rows a,b/c,d  " in out
    assert weights in main("show", "constant-matrix", "-p", f"weights={weights}", "--json")[1]


def test_pairs_go_before_the_file(main, tmp_path):
    (tmp_path / "some.toml").write_text('width = 4\nmax_k = 30\noverflow = "wrap"\n')
    shown = json.loads(main("show", "mac", "--config", "some.toml", "-p", "max_k=20", "-p", "b_width=6", "--json")[1])
    found = shown["configuration"]
    assert [found[name] for name in ("a_width", "b_width", "max_k", "overflow")] == [4, 6, 20, "wrap"]


def test_generate(main, tmp_path):
    status, out, err = main("generate", "mac", "-o", "there", "--testbench", *SMALL)
    assert (status, err) == (0, "")
    assert sorted(out.split()) == sorted(f"there/{path.name}" for path in (tmp_path / "there").iterdir())
    files = json.loads(main("generate", "mac", "-o", "there", "--wrapper", "axis", "--json", *SMALL)[1])
    assert files["design.v"] == "there/design.v"
    assert "s_axis_tdata" in (tmp_path / "there" / "design.v").read_text()


@pytest.mark.parametrize("on", ["model", "rtl", "gates"])
def test_run(on, main, tmp_path, build_folder):
    np.savez(tmp_path / "in.npz", **GOOD)
    arguments = ("run", "mac", "in.npz", "-o", "new/out.npz", "--on", on, "--build", build_folder)
    status, out, err = main(*arguments, "-p", "width=5", "max_k=40")
    assert (status, out, err) == (0, "new/out.npz: result [2]\n", "")
    with np.load(tmp_path / "new" / "out.npz") as file:
        assert {name: file[name].tolist() for name in file} == {"result": [79, 14]}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.npz"]


def test_sim_and_its_exit_status(main, build_folder, monkeypatch):
    arguments = ("sim", "mac", "--vectors", 300, "--build", build_folder, *SMALL)
    status, out, err = main(*arguments)
    assert status == 0
    assert out.startswith("mac (rtl, verilator): passed, 300 beats in, ")
    assert "corner not covered" not in out
    assert err.startswith("mac: building")
    status, out, _err = main(*arguments, "--json")
    assert json.loads(out)["passed"] is True
    golden = package.verify

    def wrong(*args, **options):
        import dataclasses

        return dataclasses.replace(golden(*args, **options), passed=False, failure="a bit is wrong")

    monkeypatch.setattr("carrysave.api.verify", wrong)
    status, out, _err = main(*arguments)
    assert status == 1
    assert "FAILED" in out
    assert "a bit is wrong" in out


def test_report_and_front(main, build_folder, tmp_path):
    status, out, err = main("report", "mac", "mac", "--build", build_folder, "--vectors", 50, *SMALL)
    assert status == 0, err
    rows = {line[:26].strip(): line[26:].split() for line in out.splitlines()}
    assert rows["energy per MAC, fJ"][0] == rows["energy per MAC, fJ"][1]
    assert float(rows["area, um2"][0]) > 100
    status, out, err = main("front", "mac", "--effort", "quick", "--build", build_folder, "-o", "x/y.svg", *SMALL)
    assert status == 0, err
    assert out.splitlines()[-1] == "x/y.svg"
    assert (tmp_path / "x" / "y.svg").read_text().rstrip().endswith("</svg>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("show nac", "no design is called 'nac'; did you mean mac"),
        ("generate ../x", "no design is called '../x'; did you mean "),
        ("show mac -p width", "a parameter is given as key=value, not 'width'"),
        ("show mac -p =3", "a parameter is given as key=value, not '=3'"),
        ("show mac -p width=99", "a_width must be an integer in 4..16, not 99"),
        ("show mac -p width=3.5", "a_width must be an integer in 4..16, not '3.5'"),
        ("show mac -p rows=2", "mac has no parameter 'rows'; it has width, signed, a_signed"),
        (
            "show mac -p acc_width=20",
            "acc_width 20 can overflow: 65536 products need 32 bits; widen it, set max_k to 31",
        ),
        (
            "show constant-matrix -p weights=1,2;3",
            "weights must be rows of integers such as 1,-2,3/4,0,-6, not '1,2;3'",
        ),
        ("generate constant-matrix -p weights=1,2/3", "weights must have as many integers in every row, not [1, 2]"),
        ("show mac --config no.toml", "cannot read no.toml: No such file or directory"),
        ("show mac --config .", "cannot read .: Is a directory"),
        ("report mac opt1 -p carry_spacing=3", "mac has no parameter 'carry_spacing'"),
        ("report mac --library no.lib", "there is no Liberty file no.lib"),
        ("sim mac --vectors 0", "vectors must be an integer in 1..4294967295, not 0"),
        ("sim mac --simulator vcs", "simulator must be one of verilator, icarus, not 'vcs'"),
        ("sim mac --exhaustive -p width=16", "exhaustive verification takes scalar operands of 16 bits in all"),
        ("front mac --effort some", "effort must be one of quick, normal, full, not 'some'"),
        ("fpga mac --board arty", "no board is called 'arty'; did you mean icebreaker, ulx3s-85f?"),
        ("fpga mac --board icebreaker --timeout 0", "timeout_s must be positive, not 0.0"),
        ("fpga mac --board icebreaker --clock nan", "clock_mhz must be positive and below 1e6, not nan"),
        ("compare fma --designs mac", "--designs means nothing to compare fma"),
        ("compare lmul --row-length 8", "--row-length means nothing to compare lmul"),
        ("compare tpe --text", "--text means nothing to compare tpe"),
        ("compare weights --row-length 8", "--row-length means nothing to compare weights"),
        ("compare weights --period 20", "period_ps must be above 100 and at most 1e+06, not 20.0"),
        ("compare nonlinear -o x.pdf", "output must end in .html, .md, .json, not 'x.pdf'"),
        ("run mac no.npz -o out.npz", "cannot read no.npz: No such file or directory"),
        ("run mac . -o out.npz", "cannot read .: Is a directory"),
        # Usage, too, is one line.
        ("", "the following arguments are required: COMMAND (see 'carrysave --help')"),
        ("show", "the following arguments are required: NAME (see 'carrysave show --help')"),
        ("sim mac --vectors x", "argument --vectors: invalid int value: 'x' (see 'carrysave sim --help')"),
    ],
)
def test_errors_are_one_line(arguments, message, refused, tmp_path):
    assert refused(*arguments.split()).startswith(message)
    assert not list(tmp_path.iterdir()), "a refused command has written something"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"x = [", "is not TOML: "),
        (b"\xff\xfe", "is not TOML: "),
        (b"x = " + b"[" * 5000, "is nested too deeply"),
        (b"width = 1.5", "a_width must be an integer in 4..16, not 1.5"),
        (b"[mac]\nwidth = 4", "mac has no parameter 'mac'"),
    ],
)
def test_files_that_are_no_configuration(text, message, refused, tmp_path):
    (tmp_path / "bad.toml").write_bytes(text)
    assert message in refused("show", "mac", "--config", "bad.toml")


def npz_damaged(path):
    np.savez(path, **GOOD)
    data = bytearray(path.read_bytes())
    data[130] ^= 0xFF
    path.write_bytes(data)


def npz_cut(path):
    np.savez(path, **GOOD)
    path.write_bytes(path.read_bytes()[:200])


def npz_huge(path):
    text = b"{'descr': '<i8', 'fortran_order': False, 'shape': (100000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as file:
        for name in GOOD:
            file.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)


def npz_pickled(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", pickle.dumps(GOOD))


def npz_self(path):
    np.savez(path, a=[1], b=[1])
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("self.npy", zipfile.ZipFile(path).read("a.npy"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "not an .npz file of plain arrays, or damaged"),
        (lambda path: path.write_text("hello"), "not an .npz file of plain arrays, or damaged"),
        (lambda path: path.write_bytes(b"PK\x03\x04hello"), "not an .npz file of plain arrays, or damaged"),
        (lambda path: path.write_bytes(pickle.dumps(GOOD)), "not an .npz file of plain arrays, or damaged"),
        (lambda path: np.savez(path, a=np.array([None])), "not an .npz file of plain arrays, or damaged"),
        (npz_damaged, "not an .npz file of plain arrays, or damaged"),
        (npz_cut, "not an .npz file of plain arrays, or damaged"),
        (npz_huge, "what it holds does not fit into memory"),
        (npz_pickled, "mac takes arrays named a, b, last, not 'a'"),
        (npz_self, "mac takes arrays named a, b, last, not 'a', 'b', 'self'"),
        (lambda path: np.savez(path, **GOOD, c=[1]), "mac takes arrays named a, b, last, not 'a', 'b', 'c', 'last'"),
        (lambda path: np.savez(path, **{**GOOD, "a": [1.0, 2, 3]}), "array 'a' must hold integers, not float64"),
        (lambda path: np.savez(path, **{**GOOD, "a": [1, 2]}), "arrays must have one common length, not [2, 3]"),
        (lambda path: np.savez(path, **{**GOOD, "a": [1, 2, 999]}), "field 'a' of beat 2 holds 999, signed(8) takes"),
    ],
)
def test_vectors_that_do_not_fit(make, message, refused, tmp_path):
    make(tmp_path / "in.npz")
    assert message in refused("run", "mac", "in.npz", "-o", "out.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


def test_one_array_without_a_name(refused, tmp_path):
    np.save(tmp_path / "in.npy", np.zeros(3, int))
    assert refused("run", "mac", "in.npy", "-o", "out.npz").startswith("in.npy holds one array without a name")


@pytest.mark.parametrize("output", [".", "/", "file/out.npz"])
def test_output_that_cannot_be_written(output, refused, tmp_path):
    np.savez(tmp_path / "in.npz", **GOOD)
    (tmp_path / "file").touch()
    assert refused("run", "mac", "in.npz", "-o", output).startswith(f"cannot write {output}: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in.npz"]


@pytest.mark.parametrize("text", ["", "library", "library (x) { }", "not Liberty", "library (x) { cell (A { } }"])
def test_library_that_is_none(text, refused, tmp_path):
    (tmp_path / "x.lib").write_text(text)
    assert "x.lib" in refused("report", "mac", "--library", "x.lib")


@pytest.mark.parametrize("command", ["sim mac", "run mac in.npz -o out.npz --on rtl"])
def test_build_folder_that_is_a_file(command, main, tmp_path):
    np.savez(tmp_path / "in.npz", **GOOD)
    (tmp_path / "file").touch()
    status, out, err = main(*command.split(), "--build", "file")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("carrysave: Not a directory: ")
    assert "Traceback" not in err


@pytest.mark.parametrize("missing", ["g++", "make", "perl"])
def test_missing_tools(missing, carrysave, without):
    done = carrysave("sim", "mac", env=without(missing))
    assert (done.returncode, done.stdout) == (2, "")
    expected = f"carrysave: {missing} is missing, simulation with Verilator needs it: install Debian's {missing}\n"
    assert done.stderr == expected


def test_missing_icarus(carrysave, without):
    done = carrysave("sim", "mac", "--simulator", "icarus", env=without("iverilog"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "carrysave: iverilog is missing, simulation with Icarus needs it: install Debian's iverilog\n"


def test_debug_shows_the_traceback(main):
    with pytest.raises(CarrysaveError, match="no design is called"):
        main("show", "nac", "--debug")


def test_help_is_quick_and_complete(carrysave):
    done = carrysave("--help")
    assert (done.returncode, done.stderr) == (0, "")
    from carrysave.commands import COMMANDS

    assert re.findall(r"^    (\w+) ", done.stdout, re.MULTILINE) == list(COMMANDS)
    code = "import sys, carrysave.cli; sys.exit('numpy' in sys.modules or 'amaranth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("arguments", [("list",), ("--help",), ("show", "mac", "--json"), ("show", "nac")])
def test_whoever_reads_may_have_seen_enough(arguments, carrysave):
    reader, writer = os.pipe()
    os.close(reader)
    done = carrysave(*arguments, capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == (2 if "nac" in arguments else 0)
    assert "Exception" not in done.stderr
    assert "Traceback" not in done.stderr


def test_output_that_takes_nothing(carrysave):
    with open("/dev/full", "w") as full:
        done = carrysave("list", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (2, "carrysave: No space left on device: writing the result\n")


def test_device_stays_one(carrysave, tmp_path):
    np.savez(tmp_path / "in.npz", **GOOD)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert carrysave("run", "mac", "in.npz", "-o", "pipe").returncode == 0
    assert os.read(reader, 2) == b"PK"
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()


def test_full_disk(carrysave, tmp_path):
    def small_files():
        # Stands in for a full disk: writing more than this to one file fails with an OSError, too.
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "out.npz").write_text("old")
    count = 1000
    np.savez(tmp_path / "in.npz", a=[1] * count, b=[1] * count, last=[1] * count)
    done = carrysave("run", "mac", "in.npz", "-o", "there/out.npz", preexec_fn=small_files)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"carrysave: cannot write there/out.npz: {os.strerror(errno.EFBIG)}\n"
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["out.npz"]
    assert (tmp_path / "there" / "out.npz").read_text() == "old"


def processes(mark):
    """Processes whose environment has a mark."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/environ", "rb") as file:
                    if mark.encode() in file.read():
                        found.append(entry)
            except OSError:
                continue
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("number", "command", "wait_for"),
    [
        (signal.SIGINT, "sim mac", ".verilator-*"),
        (signal.SIGINT, "report mac", ".mapped-*"),
        (signal.SIGTERM, "sim opt1", ".verilator-*"),
        (signal.SIGINT, "show mac", None),
    ],
)
def test_interrupted(number, command, wait_for, tmp_path, build_folder):
    """In the middle of a tool's work, or while Python is still importing."""
    folder = tmp_path / "build"
    folder.mkdir()
    # The runtime library takes longest to build and is the same for all: where an earlier test has made it, take it.
    if (build_folder / "verilator-runtime").is_dir():
        shutil.copytree(build_folder / "verilator-runtime", folder / "verilator-runtime")
    mark = f"INTERRUPTED_TEST={tmp_path}"
    process = subprocess.Popen(
        [sys.executable, "-m", "carrysave", *command.split(), "--build", folder],
        env={**os.environ, "INTERRUPTED_TEST": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 100
    if wait_for is None:
        while not listens(process.pid):
            assert time.monotonic() < end
    else:
        while not any(path.is_dir() for path in folder.rglob(wait_for)) or len(processes(mark)) < 2:
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
    process.send_signal(number)
    _out, err = process.communicate(timeout=100)
    assert process.returncode == 128 + number
    assert err.splitlines()[-1] == "carrysave: interrupted"
    assert "Traceback" not in err
    assert "Warning" not in err
    assert processes(mark) == []
    left = [path for path in folder.rglob("*") if path.is_dir() and path.name.startswith(".")]
    assert left == [], "half a result"


def listens(pid):
    """Whether a process has its own handler for SIGTERM, as the command line has and Python alone has not."""
    with open(f"/proc/{pid}/status") as file:
        mask = next(int(line.split()[1], 16) for line in file if line.startswith("SigCgt"))
    return mask >> signal.SIGTERM - 1 & 1
