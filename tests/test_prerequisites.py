"""What ``make`` says on a machine that lacks something: one line that names it and its package."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci/prerequisites"


@pytest.fixture
def run(tmp_path):
    """Run the script with nothing on the PATH but fakes of the named programs."""

    def run(programs, python=sys.executable):
        for name in programs:
            (tmp_path / name).symlink_to(shutil.which("true"))
        done = subprocess.run(
            ["/bin/sh", SCRIPT, python],
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.fixture
def python_without(tmp_path):
    """A Python in which a script that holds some word fails."""

    def make(word):
        path = tmp_path / "python-without"
        # What the script gives on standard input comes with the argument "-".
        path.write_text(f'#!/bin/sh\ncase "$*" in {word}) exit 1;; esac\nexec {sys.executable} "$@"\n')
        path.chmod(0o755)
        return str(path)

    return make


def test_complete(run):
    assert run(["g++", "perl"]) == (0, "")


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        (["perl"], "carrysave needs a C++ compiler: install g++\n"),
        (["g++"], "carrysave needs perl: install perl\n"),
    ],
)
def test_missing_program(run, programs, message):
    assert run(programs) == (2, message)


def test_missing_python(run):
    message = (
        "carrysave needs Python 3.11 or later (no-python was not found): install python3, or call make PYTHON=...\n"
    )
    assert run(["g++", "perl"], python="no-python") == (2, message)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("*version_info?\\<*", "Python 3.11 or later ({python} is older): call make PYTHON=... with a newer one"),
        ("*ensurepip*", "Python's venv module: install python3-venv"),
        ("-", "Python's shared library: install libpython{version}"),
    ],
)
def test_python_lacks_something(run, python_without, word, message):
    python, version = python_without(word), "{}.{}".format(*sys.version_info)
    want = f"carrysave needs {message.format(python=python, version=version)}\n"
    assert run(["g++", "perl"], python=python) == (2, want)
