"""Matrix products of any shape: every array's schedule on its golden model, one array on simulated RTL, the command."""

import re

import ml_dtypes
import numpy as np
import pytest

import carrysave
from carrysave import cli
from carrysave.hdl.catalogue import DESIGNS
from carrysave.models.digits import Recoding
from carrysave.models.errors import ConfigError
from carrysave.models.gemm import multiply

# Arrays of integers; those of other numbers have no bias and split no reduction.
ARRAYS = [
    name
    for name, entry in DESIGNS.items()
    if hasattr(entry.config, "schedule") and not hasattr(entry.config, "float_format") and name != "dfp-array"
]
SMALL = {
    "bit-slice": {"rows": 2, "cols": 3, "max_k": 32},
    "laconic": {"rows": 2, "cols": 3, "lanes": 4, "max_k": 16},
    "systolic-ws": {"lanes": 3, "cols": 2, "max_k": 15},
    "tree": {"lanes": 5, "cols": 2, "max_k": 15},
}
GRID = {"rows": 3, "cols": 2, "max_k": 16}


def operands(seed, m, k, n):
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (k, n)), rng.integers(-(10**6), 10**6, (m, n))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 16, 2), (7, 37, 5)], ids=str)
@pytest.mark.parametrize(
    ("name", "pe"),
    [(row["name"], row["pe"]) for row in carrysave.designs() if row["name"] in ARRAYS],
)
def test_every_array_multiplies_any_shape(name, pe, shape):
    """Edges are padded and a long K is split: 37 is more than any of the arrays may sum at once, and divides by nothing."""
    config = carrysave.configure(name, **SMALL.get(name, GRID), **({"pe": pe} if pe else {}))
    a, b, initial = operands(7, *shape)
    entry, calls = DESIGNS[name], []

    def execute(beats):
        calls.append(len(beats))
        return entry.golden(config, beats)

    assert np.array_equal(multiply(config, a, b, execute, initial=initial), a @ b + initial)
    assert np.array_equal(multiply(config, a, b, execute, initial=-5), a @ b - 5)
    assert len(calls) == 2
    assert shape[1] < 37 or config.max_k < 37


def test_product_that_wraps_around_wraps_once():
    config = carrysave.configure("systolic-os", rows=2, cols=2, acc_width=16, overflow="wrap", max_k=8)
    a, b = np.full((2, 40), -128), np.full((40, 2), -128)
    got = multiply(config, a, b, lambda beats: DESIGNS["systolic-os"].golden(config, beats), initial=1)
    assert (got == (40 * 128 * 128 + 1 + (1 << 15)) % (1 << 16) - (1 << 15)).all()


def test_answers_that_cannot_be():
    config = carrysave.configure("systolic-os", rows=2, cols=2, max_k=8)
    a, b, _initial = operands(1, 2, 9, 2)
    golden = DESIGNS["systolic-os"].golden
    with pytest.raises(ConfigError, match="2 parts of a reduction cannot answer with 3 output beats"):
        multiply(config, a, b, lambda beats: golden(config, beats)[:3])
    with pytest.raises(ConfigError, match=re.escape("initial of shape (3,) does not broadcast to (2, 2)")):
        multiply(config, a, b, lambda beats: golden(config, beats), initial=np.zeros(3, int))


def test_on_rtl_and_again(build_folder):
    a, b, initial = operands(3, 5, 9, 7)
    options = {"rows": 2, "cols": 3, "build_folder": build_folder, "initial": initial}
    made = carrysave.gemm("systolic-os", a, b, **options)
    assert np.array_equal(made.product, a @ b + initial)
    assert (made.shape, made.macs, made.cached, made.counters) == ((5, 9, 7), 315, False, None)
    # Nine tiles of nine steps, back to back.
    assert made.beats == 81
    assert made.utilisation == pytest.approx(315 / (6 * made.cycles))
    again = carrysave.gemm("systolic-os", a, b, **options)
    assert (again.cached, again.cycles) == (True, made.cycles)
    assert np.array_equal(again.product, made.product)


def test_floating_point_matrices(build_folder):
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(3, 7)), rng.normal(size=(7, 4))
    options = {"rows": 2, "cols": 1, "build_folder": build_folder, "format": "float8_e4m3fn"}
    made = carrysave.gemm("float-array", a, b, multiplier="exact", **options)
    x, y = (matrix.astype(ml_dtypes.float8_e4m3fn).astype(np.float64) for matrix in (a, b))
    assert np.array_equal(made.product, (x @ y).astype(np.float32))
    with pytest.raises(ConfigError, match="float-array takes no initial C: its sums start from zero"):
        carrysave.gemm("float-array", a, b, initial=1, **options)
    with pytest.raises(ConfigError, match="a has 7 columns, but b has 3 rows; the two must be equal"):
        carrysave.gemm("float-array", a, a, **options)
    for bad in (1e9, -np.inf):
        with pytest.raises(
            ConfigError, match=re.escape(f"matrix a holds {bad!r}, float6_e3m2fn takes numbers up to 28;")
        ):
            carrysave.gemm("float-array", [[1.0, bad]], [[1], [1]], **{**options, "format": "float6_e3m2fn"})
    with pytest.raises(ConfigError, match="matrix b holds nan, float6_e3m2fn takes"):
        carrysave.gemm("float-array", [[1]], [[np.nan]], **{**options, "format": "float6_e3m2fn"})
    with pytest.raises(ConfigError, match="a must be a matrix of numbers, not an array of <U1"):
        carrysave.gemm("float-array", [["x"]], b, **options)


@pytest.mark.parametrize(
    ("options", "digits"),
    [({"width": 8}, 7), ({"exponents": "row", "lanes": 1}, 15), ({"width": 8, "output": "dfp", "pe": "mac"}, 6)],
    ids=["float32", "row", "dfp"],
)
def test_matrices_in_dynamic_fixed_point(build_folder, options, digits):
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=(3, 7)), 100 * rng.normal(size=(7, 4))
    options = {"rows": 2, "cols": 2, "build_folder": build_folder, **options}
    made = carrysave.gemm("dfp-array", a, b, **options)
    bound = 2.0**-digits * 7 * (np.abs(a).max() * np.abs(b).max()) * 2
    assert 0 < np.abs(made.product - a @ b).max() < bound
    with pytest.raises(ConfigError, match="dfp-array takes no initial C: its sums start from zero"):
        carrysave.gemm("dfp-array", a, b, initial=1, **options)
    with pytest.raises(
        ConfigError, match="matrix b holds numbers that exponents up to 127 do not reach, infinities or NaN"
    ):
        carrysave.gemm("dfp-array", [[1.0]], [[np.inf]], **options)
    with pytest.raises(ConfigError, match="a reduction of 70000 products exceeds max_k = 65536"):
        carrysave.gemm("dfp-array", np.ones((1, 70000)), np.ones((70000, 1)), **options)


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        np.save("a.npy", np.arange(-4, 4).reshape(2, 4))
        np.save("b.npy", np.arange(12).reshape(4, 3))
        status = cli.main([*map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_command(main, tmp_path, build_folder):
    sizes = ("-p", "rows=2", "cols=2", "max_k=32")
    status, out, _err = main(
        "gemm", "a.npy", "b.npy", "--design", "bit-slice", *sizes, "-o", "c.npy", "--build", build_folder
    )
    assert status == 0
    # Two tiles side by side take the digits of a.npy that are not zero, each tile all of them.
    busy = 2 * Recoding(encoding="en-t").nonzero_digits(np.arange(-4, 4)).sum()
    assert f"counted in hardware: busy {busy}, " in out
    assert "2 x 3 int64" in out
    assert "utilisation" in out
    want = np.arange(-4, 4).reshape(2, 4) @ np.arange(12).reshape(4, 3)
    assert np.array_equal(np.load(tmp_path / "c.npy"), want)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.npy", "b.npy", "--design", "mac"), "mac has no tile schedule"),
        (("a.npy", "b.npy", "--design", "tre"), "did you mean tree"),
        (("a.npy", "nothing.npy", "--design", "tree"), "cannot read nothing.npy"),
        (("a.npy", "a.npy", "--design", "tree"), "a has 4 columns, but b has 2 rows"),
        (("a.npy", "b.npy", "--design", "tree", "-p", "width=4", "max_k=16"), "matrix b holds 11"),
        (("a.npy", "b.npy", "--design", "tree", "--on", "paper"), "on must be one of rtl, gates"),
    ],
)
def test_nonsense_is_refused_in_one_line(main, arguments, message):
    status, out, err = main("gemm", *arguments, "-o", "c.npy")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err
