"""The guide: its example of a new design works as it stands, and its commands print what it says."""

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs" / "guide.md").read_text()
ROOMS = ("models", "workloads", "hdl", "sim", "asic", "fpga")
# What the others print depends on the time, the machine, or takes long.
CHECKED = ("list", "show", "generate", "run")


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy of the package with the guide's design in it; the folder to put on PYTHONPATH."""
    root = tmp_path_factory.mktemp("extended")
    ignored = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(ROOT / "carrysave", root / "carrysave", ignore=ignored)
    for room in ROOMS:
        shutil.copytree(ROOT / room, root / "carrysave" / room, ignore=ignored)
    blocks = dict(re.findall(r"```python\n# (\w+/\w+\.py(?:: [\w ]+)?)\n(.*?)```", GUIDE, re.DOTALL))
    assert len(blocks) == 4
    for place in ("models/dot.py", "hdl/dot.py"):
        (root / "carrysave" / place).write_text(blocks[place])
    family = root / "carrysave" / "hdl" / "designs_integer.py"
    text = family.read_text()
    imports, end = "from .design import Design\n", "\n)\n"
    assert text.count(imports) == 1
    assert text.endswith(end)
    text = text.replace(imports, blocks["hdl/designs_integer.py: with the imports"] + imports)
    family.write_text(f"{text.removesuffix(end)}\n{blocks['hdl/designs_integer.py: in INTEGER_DESIGNS']}{end.lstrip()}")
    return root


@pytest.fixture(scope="module")
def command(extended, build_folder):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "carrysave", *arguments, "--build", build_folder],
            env={**os.environ, "PYTHONPATH": str(extended)},
            cwd=extended,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_new_design_is_listed_and_described(command):
    assert re.search(r"^dot +dot product of short vectors$", command("list"), re.MULTILINE)
    shown = command("show", "dot", "-p", "lanes=3")
    assert "  a  signed(8)[3]  0\n" in shown
    assert "  b  signed(8)[3]  24\n" in shown
    assert "latency 1 cycle, a beat every cycle\n" in shown


def test_new_design_is_verified(command):
    line = re.search(r"^\$ carrysave (sim dot .*)$", GUIDE, re.MULTILINE)[1]
    assert re.search(r"dot \(rtl, verilator\): passed, 300 beats in, 300 out", command(*shlex.split(line)))


def test_new_design_has_an_area(command):
    assert re.search(r"^area, um2 +\d+$", command("report", "dot", "-p", "lanes=2", "width=4"), re.MULTILINE)


def console():
    """The guide's commands and what they print."""
    for block in re.findall(r"```console\n(.*?)```", GUIDE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            arguments = shlex.split(line)
            assert arguments[0] == "carrysave"
            fast = arguments[1] in CHECKED and "rtl" not in arguments
            if fast or output.startswith("carrysave: "):
                yield pytest.param(arguments[1:], output, id=" ".join(arguments[1:]))


@pytest.mark.parametrize(("arguments", "output"), [*console()])
def test_commands_print_what_the_guide_says(arguments, output, tmp_path):
    if arguments[0] == "run":
        example = re.search(r"```python\n(import numpy.*?)```", GUIDE, re.DOTALL)[1]
        subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True, timeout=60, capture_output=True)
    done = subprocess.run(
        [sys.executable, "-m", "carrysave", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.stderr + done.stdout == output


def test_guide_names_every_command():
    from carrysave.commands import COMMANDS

    titles = {name for title in re.findall(r"^### (.*)$", GUIDE, re.MULTILINE) for name in title.split(", ")}
    assert titles == set(COMMANDS)


def test_python_examples_of_the_guide():
    blocks = re.findall(r"```pycon\n(.*?)```", GUIDE, re.DOTALL)
    assert blocks
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for block in blocks:
        runner.run(doctest.DocTestParser().get_doctest(block, {}, "guide", "docs/guide.md", 0))
    assert runner.summarize().failed == 0
