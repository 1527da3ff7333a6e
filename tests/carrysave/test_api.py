"""The Python calls, against oracles in plain Python."""

import doctest
import json

import numpy as np
import pytest

import carrysave
from carrysave import api
from carrysave.models.errors import CarrysaveError, ConfigError

LENGTHS = (1, 3, 7, 2, 12, 1, 1)


def plain_mac(arrays, width, signed):
    """Sums of products, one Python integer at a time, modulo ``2 ** width``."""
    results, total = [], 0
    for a, b, last in zip(*(arrays[name].tolist() for name in ("a", "b", "last")), strict=True):
        total += a * b
        if last:
            total %= 1 << width
            results.append(total - (1 << width) if signed and total >> width - 1 else total)
            total = 0
    return results


def plain_gemm(arrays):
    rows, step = [], []
    for a, b, last in zip(*(arrays[name].tolist() for name in ("a", "b", "last")), strict=True):
        step.append((a, b))
        if last:
            for row in range(len(a)):
                rows.append([sum(x[row] * y[col] for x, y in step) for col in range(len(b))])
            step = []
    return rows


def test_example_of_the_module():
    assert doctest.testmod(api, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_every_call_of_the_front_door_is_there():
    assert all(callable(getattr(carrysave, name)) for name in carrysave.__all__)
    with pytest.raises(AttributeError, match="'nothing'"):
        carrysave.nothing  # noqa: B018


@pytest.mark.parametrize("on", ["model", "rtl", "gates"])
def test_run_is_the_plain_sum_of_products(on, build_folder, workload):
    config = carrysave.configure("mac", a_width=4, b_width=5, b_signed=False, max_k=40)
    arrays = workload(np.random.default_rng(3), config, LENGTHS)
    outputs = carrysave.run(config, arrays, on=on, build_folder=build_folder)
    assert list(outputs) == ["result"]
    assert outputs["result"].tolist() == plain_mac(arrays, config.acc_width, True)


@pytest.mark.parametrize("on", ["model", "rtl"])
def test_run_wraps_as_asked(on, build_folder, workload):
    config = carrysave.configure("opt1", width=4, signed=False, acc_width=9, overflow="wrap")
    arrays = workload(np.random.default_rng(4), config, LENGTHS)
    outputs = carrysave.run(config, arrays, on=on, build_folder=build_folder)["result"].tolist()
    assert outputs == plain_mac(arrays, 9, False)
    assert outputs != plain_mac(arrays, 20, False), "nothing wrapped: the test shows nothing"


@pytest.mark.parametrize("on", ["model", "rtl"])
def test_run_multiplies_matrices(on, build_folder, workload):
    config = carrysave.configure("systolic-os", width=4, rows=2, cols=3, max_k=40, pe="mac")
    arrays = workload(np.random.default_rng(5), config, LENGTHS)
    outputs = carrysave.run(config, arrays, on=on, build_folder=build_folder)
    assert outputs["c"].tolist() == plain_gemm(arrays)
    assert outputs["last"].tolist() == [0, 1] * len(LENGTHS)


@pytest.mark.parametrize("on", ["model", "rtl"])
def test_beats_that_complete_nothing(on, build_folder):
    config = carrysave.configure("mac", a_width=4, b_width=5, b_signed=False, max_k=40)
    nothing = {name: np.zeros(0, np.int64) for name in ("a", "b", "last")}
    assert carrysave.run(config, nothing, on=on, build_folder=build_folder)["result"].tolist() == []
    one = {"a": [3], "b": [2], "last": [0]}
    assert carrysave.run(config, one, on=on, build_folder=build_folder)["result"].tolist() == []


@pytest.mark.parametrize("on", ["model", "rtl", "gates"])
def test_reduction_too_long_is_refused_at_every_level(on, build_folder):
    arrays = {"a": [1] * 41, "b": [1] * 41, "last": [0] * 40 + [1]}
    with pytest.raises(ConfigError, match=r"^a reduction of 41 products exceeds max_k = 40$"):
        carrysave.run("mac", arrays, on=on, build_folder=build_folder, width=4, max_k=40)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [1], "b": [1]}, "mac takes arrays named a, b, last, not 'a', 'b'"),
        ({}, "mac takes arrays named a, b, last, not none"),
        ({"self": [1], "a": [1], "b": [1]}, "mac takes arrays named a, b, last, not 'a', 'b', 'self'"),
        ({"a": [1.0], "b": [1], "last": [1]}, "array 'a' must hold integers, not float64"),
        ({"a": [8], "b": [1], "last": [1]}, r"field 'a' of beat 0 holds 8, signed\(4\) takes -8..7"),
        ({"a": [[1]], "b": [1], "last": [1]}, r"array 'a' must have shape \(1,\), not \(1, 1\)"),
        ({"a": [1, 2], "b": [1], "last": [1]}, r"arrays must have one common length, not \[1, 2\]"),
    ],
)
def test_arrays_that_do_not_fit(arrays, message):
    arrays = {name: np.array(array) for name, array in arrays.items()}
    with pytest.raises(ConfigError, match=f"^{message}$"):
        carrysave.run("mac", arrays, width=4)


def test_configure():
    config = carrysave.configure("opt1", width=4)
    assert carrysave.configure(config) is config
    assert carrysave.configure(config, carry_spacing=3).carry_spacing == 3
    with pytest.raises(
        CarrysaveError, match=r"^no design is called '\.\./x'; did you mean batch-norm, bit-slice, .*\?$"
    ):
        carrysave.configure("../x")


def test_verify_tells_right_from_wrong(build_folder):
    verdict = carrysave.verify(
        "mac", a_width=4, b_width=5, b_signed=False, max_k=40, vectors=300, build_folder=build_folder
    )
    assert verdict.passed
    assert verdict.beats_in == 300


def test_report(build_folder, workload):
    config = carrysave.configure("mac", a_width=4, b_width=5, b_signed=False, max_k=40)
    arrays = workload(np.random.default_rng(3), config, LENGTHS)
    lines = []
    made = carrysave.report(config, arrays=arrays, build_folder=build_folder, log=lines.append)
    assert lines == ["mac: synthesis, timing, gate-level simulation"]
    assert made["energy"]["macs"] == sum(LENGTHS)
    assert made["energy"]["outputs_checked"] == len(LENGTHS)
    assert 0 < made["pe"]["area_um2"] < made["area"]["total_um2"]
    kept = build_folder / f"mac-{config.digest}" / "report.json"
    assert json.loads(kept.read_text())["area"] == json.loads(json.dumps(made["area"]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: carrysave.run("mac", {}, on="paper"), "on must be one of model, rtl, gates, not 'paper'"),
        (lambda: carrysave.verify("mac", on="model"), "on must be rtl or gates, not 'model'"),
        (lambda: carrysave.verify("mac", simulator="x"), "simulator must be one of verilator, icarus, not 'x'"),
        (lambda: carrysave.report("mac", vectors=0), "vectors must be an integer in 1..4294967295, not 0"),
        (lambda: carrysave.report("mac", seed=-1), "seed must be an integer in 0..4294967295, not -1"),
        (lambda: carrysave.report("mac", period_ps=float("nan")), "period_ps must be positive and below 1e6, not nan"),
        (lambda: carrysave.report("mac", library="no.lib"), "there is no Liberty file no.lib"),
        (
            lambda: carrysave.report("mac", arrays={name: np.zeros(0, int) for name in ("a", "b", "last")}),
            "the workload has no beats; its arrays are empty",
        ),
        (lambda: carrysave.front("mac", effort="none"), "effort must be one of quick, normal, full, not 'none'"),
        (lambda: carrysave.build("mac", "arty"), r"no board is called 'arty'; did you mean icebreaker, ulx3s-85f\?"),
        (
            lambda: carrysave.build("mac", "icebreaker", clock_mhz=float("inf")),
            "clock_mhz must be positive and below 1e6, not inf",
        ),
        (lambda: carrysave.generate("mac", wrapper="ahb"), "wrapper must be one of axis, not 'ahb'"),
        (lambda: carrysave.generate("mac", period_ps=0), "period_ps must be positive and below 1e9, not 0"),
        (
            lambda: carrysave.generate("mac", wrapper="axis", testbench=True),
            "the test bench drives the plain streams; leave out the wrapper or the test bench",
        ),
    ],
)
def test_arguments_that_are_not_legal(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CarrysaveError, match=f"^{message}$"):
        call()
    assert not list(tmp_path.iterdir()), "a refused call has written something"


def test_write_whole_leaves_what_was_there(tmp_path):
    target = tmp_path / "folder" / "file"
    assert api.write_whole(target, "one") == target
    link = tmp_path / "link"
    link.symlink_to(target)
    api.write_whole(link, b"two")
    assert link.is_symlink()
    assert target.read_text() == "two"
    with pytest.raises(CarrysaveError, match=r"^cannot write .*/folder: Is a directory$"):
        api.write_whole(tmp_path / "folder", "three")
    with pytest.raises(CarrysaveError, match=r"^cannot write .*/file/x: .*/file is no folder$"):
        api.write_whole(target / "x", "three")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "link"]
