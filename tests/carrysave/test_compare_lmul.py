"""The comparison of L-Mul with exact multiplication: what is compared, what the claims follow from, the pages."""

import pytest

from carrysave.compare_lmul import Unit, compare_lmul, units
from carrysave.compare_lmul_page import comparison_html, comparison_markdown, comparison_text
from carrysave.lmul_claims import claims, precision_rows
from carrysave.models.errors import ConfigError


def row(kind, name, arithmetic, energy_fj, area_um2=100.0):
    return {
        "kind": kind,
        "format": name,
        "arithmetic": arithmetic,
        "label": f"{name} {arithmetic}",
        "area_um2": area_um2,
        "critical_path_ps": 400.0,
        "energy_fj": energy_fj,
    }


def verdicts(rows, text=()):
    return {found["claim"]: (found["measured"], found["verdict"]) for found in claims(rows, text)}


def test_units_have_their_counterparts():
    found = units()
    assert len({unit.label for unit in found}) == len(found)
    labels = {(unit.kind, unit.format, unit.arithmetic) for unit in found}
    for kind, name, arithmetic in labels:
        if arithmetic.startswith("L-Mul"):
            rest = arithmetic.partition(", ")[2] if kind == "dot product" else ""
            assert (kind, name, ", ".join(filter(None, ("exact", rest)))) in labels
    assert {unit.config.subnormals for unit in found if hasattr(unit.config, "subnormals")} == {False}


def test_energy_claims_follow_from_the_rows():
    rows = [
        row("multiplier", "float32", "exact", 1000.0),
        row("multiplier", "float32", "L-Mul", 40.0),
        row("dot product", "bfloat16", "exact, tree, 4", 1000.0),
        row("dot product", "bfloat16", "L-Mul, tree, 4", 700.0),
    ]
    found = verdicts(rows)
    assert found["energy saved, element by element, float32"] == ("96.0%", "confirmed")
    assert found["energy saved, dot product, bfloat16, tree"] == ("30.0%", "not confirmed, 50 points less")
    assert "energy saved, element by element, bfloat16" not in found  # not measured


def test_offsets_and_precision():
    found = verdicts([])
    # Reference figures of the adder: mean magnitudes .0514 with the paper's offset, .0383 without.
    measured, verdict = found["l(M) minimises the mean error, adder, M = 4"]
    assert "0.0514 with the paper's 2 ulp, 0.0383 without" in measured
    assert verdict == "not confirmed"
    assert found["L-Mul with 3 mantissa bits is more precise than float8_e5m2 multiplication"][1] == "confirmed"
    errors = {one["arithmetic"]: one["mean_absolute"] for one in precision_rows()}
    assert errors["exact, 2 mantissa bits"] > errors["exact, 3 mantissa bits"] > errors["exact, 7 mantissa bits"]
    assert errors["L-Mul, 7 mantissa bits"] == pytest.approx(0.0266, rel=0.1)  # over uniform mantissas


@pytest.mark.parametrize(("mean", "verdict"), [(0.001, "confirmed"), (0.05, "not confirmed")])
def test_attention_claim(mean, verdict):
    moved = {
        "arithmetic": "L-Mul bfloat16, paper's offset",
        "replaced": "attention",
        "mean_change": mean,
        "maximum_change": 0.06,
        "rank_correlation": 0.999,
        "retrieval": 1.0,
    }
    assert verdicts([], [moved])["attention with L-Mul is almost lossless"][1] == verdict


def test_refused():
    with pytest.raises(ConfigError, match=r"formats must be of float32, .*, not 'float9'"):
        compare_lmul(formats=["float9"])
    with pytest.raises(ConfigError, match="period_ps must be above 100 and at most 1e\\+06, not 3"):
        compare_lmul(period_ps=3)


def test_measured_for_real(build_folder, monkeypatch):
    small = [unit for unit in units() if unit.kind == "multiplier" and unit.format == "float8_e5m2"][:2]
    assert [type(unit) for unit in small] == [Unit, Unit]
    monkeypatch.setattr("carrysave.compare_lmul.units", lambda: small)
    result = compare_lmul(build_folder=build_folder)
    exact, lmul = result["units"]
    assert 0 < lmul["energy_fj"] < exact["energy_fj"]
    assert 0 < lmul["area_um2"] < exact["area_um2"]
    assert lmul["products_checked"] == 1024
    ratio = lmul["energy_fj"] / exact["energy_fj"]
    assert f"{ratio:.2f}" in comparison_text(result)
    markdown = comparison_markdown(result)
    assert f"| float8_e5m2 L-Mul | {round(lmul['area_um2'])} |" in markdown
    assert "### The paper's claims" in markdown
    page = comparison_html(result)
    assert page.startswith("<!DOCTYPE html>")
    assert "L-Mul beside exact multiplication" in page
