"""The comparison: its entries, its figures against one another, its page, and nonsense."""

import json

import numpy as np
import pytest

import carrysave
from carrysave import cli
from carrysave.compare import GROUPS
from carrysave.compare_designs import ENTRIES
from carrysave.compare_page import comparison_html, comparison_markdown, comparison_text
from carrysave.compare_work import BUILT_IN, load_workload
from carrysave.models.errors import ConfigError
from carrysave.models.gemm import multiply
from carrysave.pictures import group_digits


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_entries(entry):
    assert entry.known
    for size in (2, 4, 8, 32):
        config = entry.config(size)
        assert config.acc_width == 32
        assert getattr(config, "pe", entry.pe) == entry.pe


def test_one_baseline_an_architecture():
    assert len({entry.label for entry in ENTRIES}) == len(ENTRIES)
    architectures = {entry.architecture for entry in ENTRIES}
    assert sum(entry.baseline for entry in ENTRIES) == len(architectures) == 6


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.label)
def test_cycles_of_a_product_are_those_of_the_schedule(entry):
    """The shortcut of equal tiles gives what the cycle model says of every beat."""
    from carrysave.models.bit_slice import bit_slice_cycles
    from carrysave.models.laconic import laconic_cycles
    from carrysave.models.stationary_cycles import stationary_cycles
    from carrysave.models.systolic import systolic_cycles

    config, product = entry.config(2), load_workload("normal").products[0]
    cycles, ideal = entry.cycles(config, product)
    ends = []

    def execute(beats):
        if entry.design == "bit-slice":
            ends.append(bit_slice_cycles(config, beats).delivered)
        elif entry.design == "laconic":
            ends.append(laconic_cycles(config, beats)[1])
        elif entry.design in ("systolic-ws", "tree"):
            ends.append(stationary_cycles(config, beats)[1])
        else:
            lengths = np.diff(np.flatnonzero(beats["last"]), prepend=-1)
            ends.append(systolic_cycles(config, lengths)[1])
        from carrysave.hdl.catalogue import design

        return design(config.design).golden(config, beats)

    a, b = product.block(64, 64, 64)
    multiply(config, a, b, execute)
    assert cycles == pytest.approx(ends[0].max() + 1, rel=1e-3)
    assert 0 < ideal <= cycles * 1.0001


@pytest.fixture(scope="module")
def result(build_folder):
    return carrysave.compare_tpe(
        size=2, designs=["systolic-os:mac", "systolic-os:opt1"], period_ps=900, build_folder=build_folder
    )


def test_figures_agree_with_one_another(result):
    mac, opt1 = result["rows"]
    assert (mac["label"], mac["baseline"], mac["ratios"]) == ("systolic-os:mac", True, None)
    for row in (mac, opt1):
        best = row["best"]
        inside = sum(area for group, area in best["area_parts_um2"].items() if group in GROUPS[:-1])
        assert best["area_um2"] == pytest.approx(inside)
        assert best["tops"] == pytest.approx(2 * row["macs_per_cycle"] / best["period_ps"])
        assert best["tops_per_mm2"] == pytest.approx(1e6 * best["tops"] / best["area_um2"])
        assert best["tops_per_w"] == pytest.approx(2000 / best["energy_per_mac_fj"])
        assert 0.9 < row["utilisation"] <= 1
        assert row["peak_macs_per_cycle"] == 4
        assert best["pe"]["instances"] == 4
    ratios = opt1["ratios"]
    assert ratios["area_efficiency"] == pytest.approx(opt1["best"]["tops_per_mm2"] / mac["best"]["tops_per_mm2"])
    assert ratios["energy_efficiency"] == pytest.approx(
        mac["best"]["energy_per_mac_fj"] / opt1["best"]["energy_per_mac_fj"]
    )
    assert (ratios["paper_area_efficiency"], ratios["paper_energy_efficiency"]) == (1.27, 1.04)


def test_pages(result):
    ratio = result["rows"][1]["ratios"]["area_efficiency"]
    shown = f"{ratio:.2f}"
    for text, number in (
        (comparison_text(result), shown),
        (comparison_markdown(result), shown),
        (comparison_html(result), group_digits(ratio)),
    ):
        assert "systolic-os:opt1" in text
        assert number in text
    assert comparison_html(result).startswith("<!DOCTYPE html>")
    json.dumps(result)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 1}, "size must be an integer in 2..32, not 1"),
        ({"effort": "heroic"}, "effort must be one of quick, normal, full, not 'heroic'"),
        ({"designs": ["mac"]}, "designs must be of systolic-os, .* not 'mac'"),
        ({"workload": "poems"}, "workload must be one of normal, digits, .* not 'poems'"),
        ({"sigma": 0.0}, "sigma must be positive"),
        ({"period_ps": 1.0}, "period_ps must be in 100..1e[+]06, not 1.0"),
    ],
)
def test_nonsense(options, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        carrysave.compare_tpe(build_folder=tmp_path, **options)


def test_command_refuses_an_output_that_it_cannot_write(capsys):
    assert cli.main(["compare", "tpe", "-o", "page.pdf"]) == 2
    assert "output must end in .html, .md, .json" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name != "digits"])
def test_built_in_workloads(name):
    work = load_workload(name)
    assert work.macs > 0
    samples = work.samples(4)
    assert samples
    assert sum(sample.macs for sample in samples) <= work.macs


def test_workload_from_a_file(tmp_path):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((5, 9), (9, 3)))
    np.savez(tmp_path / "work.npz", A=a, B=b)
    assert load_workload(tmp_path / "work.npz").macs == 135
    np.savez(tmp_path / "bad.npz", A=a, B=a)
    with pytest.raises(ConfigError, match=r"A in .* has 9 columns, but B has 5 rows"):
        load_workload(tmp_path / "bad.npz")
