"""The command line as a process of its own, and workloads."""

import os
import subprocess
import sys

import numpy as np
import pytest


@pytest.fixture
def carrysave(tmp_path):
    """A function that runs a command in a folder of its own."""

    def run(*arguments, **options):
        return subprocess.run(
            [sys.executable, "-m", "carrysave", *map(str, arguments)],
            **{"cwd": tmp_path, "capture_output": True, "text": True, "timeout": 300, "check": False, **options},
        )

    return run


@pytest.fixture
def without(tmp_path):
    """A function that gives an environment whose PATH lacks programs."""

    def make(*missing):
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in {"g++", "make", "perl", "iverilog", "vvp"} - set(missing):
            (folder / name).write_text("#!/bin/sh\necho 1.0\n")
            (folder / name).chmod(0o755)
        return {**os.environ, "PATH": str(folder)}

    return make


def reductions(rng, config, lengths):
    """Random operands for reductions of these lengths, ``last`` at the end of each."""
    a, b = config.i.fields[:2]
    shapes = [(sum(lengths), *field.shape) for field in (a, b)]
    last = np.zeros(sum(lengths), np.int64)
    last[np.cumsum(lengths) - 1] = 1
    return {
        "a": rng.integers(a.minimum, a.maximum, shapes[0], endpoint=True),
        "b": rng.integers(b.minimum, b.maximum, shapes[1], endpoint=True),
        "last": last,
    }


@pytest.fixture
def workload():
    return reductions
