"""What tests of several rooms share."""

import os

import pytest

from carrysave import configure
from carrysave.hdl.catalogue import design

SIZES = {
    "systolic-os": {"rows": 2, "cols": 3},
    "cube": {"rows": 2, "cols": 2, "lanes": 2},
    "matrix-2d": {"rows": 3, "cols": 2},
    "systolic-ws": {"lanes": 3, "cols": 2},
    "tree": {"lanes": 3, "cols": 2},
    "bit-slice": {"rows": 2, "cols": 2, "max_k": 32, "tile_k": 32},
    "laconic": {"rows": 2, "cols": 2, "lanes": 2},
    "float-dot": {"lanes": 2, "max_k": 30},
    "float-array": {"rows": 2, "cols": 2, "max_k": 30, "accumulator": "sequential"},
    "dfp-fma": {"width": 8, "acc_width": 18},
    "dfp-fma-cs": {"width": 8, "acc_width": 18},
    "dfp-dot": {"lanes": 2, "width": 8, "acc_width": 18},
    "dfp-array": {"rows": 2, "cols": 2, "width": 6, "max_k": 30},
    "cast": {"rounding": "stochastic", "overflow": "sat-sym"},
    "relu": {"lanes": 2, "rounding": "stochastic"},
    "residual-add": {"lanes": 2, "relu": True, "overflow": "sat"},
    "batch-norm": {"lanes": 2, "table_beats": 3, "rounding": "stochastic"},
    "k-hot": {"a_width": 4},
    "constant-matrix": {"weights": "3,-7/0,5", "x_width": 5},
    "shiftmax": {"lanes": 3, "row_beats": 4, "octave": 10},
    "shift-gelu": {"lanes": 2, "row_beats": 4, "divider": "pipelined"},
    "layer-norm": {"lanes": 3, "row_beats": 4, "width": 6, "bias_width": 12},
    "transformer-block": {"heads": 1, "head_width": 2, "hidden": 4, "max_tokens": 3, "lanes": 2, "unit_lanes": 1},
    "requantise": {"lanes": 2, "table_beats": 3, "residual": True, "multiplier_bits": 12, "source_width": 16},
}


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory):
    """One build folder for the session, whichever process a test runs in.

    What one test builds, Verilator's runtime library above all, the next one finds.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # below it each worker has a folder of its own
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def small_config():
    """A function that gives a small configuration of any design, by its name and that of a processing element."""

    def small(name, pe=None):
        common = {"width": 4, "max_k": 30} if "width" in design(name).config.shorthands else {}
        return configure(name, **{**common, **SIZES.get(name, {}), **({"pe": pe} if pe else {})})

    return small
