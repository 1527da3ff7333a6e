"""The comparison of multiplier-free weights for the eye: as text, as Markdown, as an HTML page."""

from .comparison_page import page_html, page_text
from .tables import Table, tables_markdown

__all__ = ["comparison_html", "comparison_markdown", "comparison_text"]


def _tables(result):
    return [_units(result), _kinds(result), _adders(result)]


def _units(result):
    columns = [
        ("unit", ""),
        ("weights", ""),
        ("accuracy", "%"),
        ("error of outputs", "%"),
        ("area", "um2/product"),
        ("of it registers", "um2/product"),
        ("shortest period", "ps"),
        ("latency", "cycles"),
        ("energy", "fJ/product"),
    ]
    kinds = {row["kind"]: row for row in result["kinds"]}
    rows = [
        [
            row["name"],
            row["kind"],
            100 * kinds[row["kind"]]["accuracy"],
            100 * kinds[row["kind"]]["error"],
            row["area_um2"],
            row["register_area_um2"],
            round(row["shortest_period_ps"]),
            row["latency"],
            row["energy_fj"],
        ]
        for row in result["units"]
    ]
    counted = "; ".join(f"{name}: {what}" for name, what in result["boundary"].items())
    note = (
        f"The layer {result['layer']} on {result['images']} test images, area and energy divided by the products that a unit "
        f"does in a cycle and in all. What is counted: {counted}. Every result was checked."
    )
    return Table(title=f"Products of one layer at {result['period_ps']:g} ps", columns=columns, rows=rows, note=note)


def _kinds(result):
    columns = [("weights", ""), ("accuracy", "%"), ("error of outputs", "%")]
    rows = [[row["kind"], 100 * row["accuracy"], 100 * row["error"]] for row in result["kinds"]]
    note = (
        "Right answers of the network with such weights in that layer, rounded after training; root of the mean square of the "
        "outputs' error, relative to that of the outputs."
    )
    return Table(title="Accuracy by kind of weights", columns=columns, rows=rows, note=note)


def _adders(result):
    columns = [
        ("layer", ""),
        ("signed terms", ""),
        ("additions", ""),
        ("depth", ""),
        ("shared", ""),
        ("depth, shared", ""),
        ("saved", "%"),
    ]
    rows = [
        [
            row["layer"],
            row["terms"],
            row["adders"],
            row["depth"],
            row["shared_adders"],
            row["shared_depth"],
            100 * (1 - row["shared_adders"] / row["adders"]),
        ]
        for row in result["adders"]
    ]
    note = "Additions of two operands, and how many follow each other, if every output is a tree of them."
    return Table(title="Additions of constant networks", columns=columns, rows=rows, note=note)


def _chart(result, figure, **described):
    designs = [{"name": row["name"], "parts": {"product": row[figure]}} for row in result["units"]]
    return {**described, "designs": designs, "groups": ["product"]}


def comparison_text(result):
    """Tables for a terminal, from what :func:`~carrysave.compare_weights.compare_weights` returns."""
    return page_text(result, _tables(result))


def comparison_markdown(result):
    """The tables of :func:`comparison_text` in Markdown, with what was measured and how."""
    return tables_markdown(_tables(result))


def comparison_html(result):
    """The page: tables, and areas and energies as bars."""
    return page_html(
        result,
        _tables(result),
        title="Weights without multipliers",
        subtitle="Sums of few powers of two (arXiv 2401.17544) and constants with shared sums beside ordinary products, at "
        "equal accuracy.",
        energy_source="gate-level runs of the layer's own operands",
        limits=("Deep networks have most of the glitches that are not counted.",),
        area=[_chart(result, "area_um2", title=f"Area of a product at {result['period_ps']:g} ps")],
        energy=[_chart(result, "energy_fj", title="Energy of a product", unit="fJ/product")],
    )
