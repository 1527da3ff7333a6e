"""The comparison of fused multiply-adds: what is compared, on whose operands, the figures that follow, the pages."""

import numpy as np
import pytest

from carrysave.compare_fma import Unit, _beats, compare_fma, units
from carrysave.compare_fma_page import comparison_html, comparison_markdown, comparison_text
from carrysave.models.cube import CubeConfig
from carrysave.models.dfp import DFPFormat, quantise
from carrysave.models.errors import ConfigError
from carrysave.models.float_dot import FloatDotConfig
from carrysave.models.float_format import FORMATS
from carrysave.workloads.training_arithmetic import CapturedProduct


def product(role, seed, scale=1.0):
    rng = np.random.default_rng(seed)
    a = (scale * rng.normal(size=(20, 30))).astype(np.float32)
    b = rng.normal(size=(30, 10)).astype(np.float32)
    form = DFPFormat(width=16)
    return CapturedProduct(
        layer="conv1",
        role=role,
        a=a,
        b=b,
        product=a @ b,
        a_dfp=quantise(a, form, axis=1),
        b_dfp=quantise(b, form, axis=0),
    )


def test_what_is_compared():
    found = {unit.name: unit for unit in units()}
    assert next(iter(found)).startswith("float32")
    assert {unit.operands for unit in found.values()} == {"float32", "float16", "bfloat16", "dfp", "int8"}
    for unit in found.values():
        assert unit.whole or (unit.config.rows, unit.config.cols) == (1, 1)
        assert unit.reduction <= unit.config.max_k
    chains = [unit for unit in found.values() if "32-bit chains" in unit.name]
    # What the pair-FMA's own derivation allows: three steps of two.
    assert [(unit.config.acc_width, unit.macs) for unit in chains] == [(32, 2)] * 4
    assert [unit.config.chain * unit.macs if unit.whole else unit.reduction for unit in chains] == [6] * 4
    assert {unit.module for unit in chains} == {"mac_pe", "opt1_pe", "dfp_dot"}


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.name)
def test_operands_are_those_of_the_products(unit):
    one = product("forward", 3, scale=1e-9)
    beats = _beats(unit, [one])
    macs = len(beats) * unit.macs
    assert 1800 < macs < 2400
    ends = np.flatnonzero(beats["last"])
    assert np.diff(ends, prepend=-1).max() * unit.macs <= unit.reduction
    used = np.unique(beats["a"])
    if unit.operands == "dfp":
        assert np.isin(used, np.append(one.a_dfp.mantissas, 0)).all()
    elif unit.operands == "int8":
        assert (used.min() < -60) & (used.max() > 60)
    else:
        # Scaled: slopes of 1e-9 would be zeros in float16.
        values = np.abs(FORMATS[unit.operands].decode(used))
        assert 0.25 <= values.max() <= 1
        assert len(used) > 100


def test_refused():
    with pytest.raises(ConfigError, match="period_ps must be above 100 and at most 1e\\+06, not 3"):
        compare_fma(period_ps=3)
    with pytest.raises(ConfigError, match="effort must be one of quick, normal, full, not 'none'"):
        compare_fma(effort="none")


def test_measured_for_real(build_folder, monkeypatch):
    small = [
        Unit(
            name="float8 products, bfloat16 sums",
            operands="float8_e5m2",
            config=FloatDotConfig(
                format="float8_e5m2", multiplier="exact", accumulator="sequential", lanes=1, sum_format="bfloat16"
            ),
        ),
        Unit(name="INT8 pair", operands="int8", config=CubeConfig(rows=1, cols=1, lanes=2, acc_width=32)),
    ]
    monkeypatch.setattr("carrysave.compare_fma.units", lambda: small)
    captured = [product(role, 5) for role in ("forward", "backward-data", "backward-weights")]
    monkeypatch.setattr("carrysave.compare_fma.captured_products", lambda *_args, **_options: captured)
    monkeypatch.setattr("carrysave.compare_fma._PRODUCTS", 120)
    result = compare_fma(build_folder=build_folder)
    floating, integer = result["units"]
    assert (floating["speedup"], floating["speedup_at_best"]) == (1, 1)
    assert integer["speedup"] == pytest.approx(2 * floating["area_um2"] / integer["area_um2"])
    for row in result["units"]:
        assert all(energy > 0 for energy in row["energy_fj"].values())
        assert row["area_um2"] == min(area for period, area in row["front"] if period <= 3000)
        assert row["results_checked"] >= 12
    text = comparison_text(result)
    assert f"{integer['speedup']:.2f}" in text
    assert "published" in text
    assert "1.80" in text
    markdown = comparison_markdown(result)
    assert f"| INT8 pair | 2 | {round(integer['area_um2']):,} |" in markdown
    page = comparison_html(result)
    assert page.startswith("<!DOCTYPE html>")
    assert page.count("<svg") == 2
    with pytest.raises(
        ConfigError, match=r"^float8 products, bfloat16 sums does not reach 200 ps; its shortest period is "
    ):
        compare_fma(build_folder=build_folder, period_ps=200)
