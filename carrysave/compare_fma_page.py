"""The comparison of fused multiply-adds for the eye: as text, as Markdown, as an HTML page."""

from .comparison_page import page_html, page_text
from .tables import Table, tables_markdown

__all__ = ["comparison_html", "comparison_markdown", "comparison_text"]

_ROLES = {"forward": "forward", "backward-data": "backward", "backward-weights": "update"}


def _tables(result):
    columns = [
        ("unit", ""),
        ("products a cycle", ""),
        ("area", "um2"),
        ("area of a product", "um2"),
        ("shortest period", "ps"),
        *((f"energy {short}", "fJ/product") for short in _ROLES.values()),
    ]
    rows = [
        [
            row["name"],
            row["macs_per_cycle"],
            round(row["area_um2"]),
            round(row["area_um2"] / row["macs_per_cycle"]),
            round(row["shortest_period_ps"]),
            *(round(row["energy_fj"][role]) for role in _ROLES),
        ]
        for row in result["units"]
    ]
    tables = [Table(title=f"Units at {result['period_ps']:g} ps", columns=columns, rows=rows, note=_note(result))]
    columns = [("array of", ""), ("at one clock", ""), ("each at its best", ""), ("energy of a step", "")]
    base = result["units"][0]
    rows = [
        [
            row["name"],
            row["speedup"],
            row["speedup_at_best"],
            sum(row["energy_fj"].values()) / sum(base["energy_fj"].values()),
        ]
        for row in result["units"]
    ]
    paper = result["paper"]
    rows.append([
        f"published: INT16 pairs for float32, one processor, {paper['peak']:g} times the peak",
        paper["speedup"],
        None,
        None,
    ])  # fmt: skip
    note = (
        f"Products a second of an array as large as one of {base['name']}: at the common period, and with every unit at "
        "the period and area of its front where that is highest. Energy of the three products of a step of training, those of "
        f"{base['name']} being 1. The published figure is of whole trainings on a processor whose vector unit has both "
        "instructions, not of equal area."
    )
    tables.append(Table(title="Arrays of equal area", columns=columns, rows=rows, note=note))
    return tables


def _note(result):
    training = result["training"]
    return (
        f"{result['boundary']} Area: the smallest at that period. Operands are those of step {training['step']} of "
        f"`train digits --arithmetic {training['parameters']['arithmetic']}`, seed {training['seed']}, some "
        f"{training['products']} products of each kind; every result was checked. Floating-point operands are the same numbers, "
        "each matrix scaled by a power of two so that float16 loses none to its range; INT8 ones are the same in 8 bits."
    )


def comparison_text(result):
    """Tables for a terminal, from what :func:`~carrysave.compare_fma.compare_fma` returns."""
    return page_text(result, _tables(result))


def comparison_markdown(result):
    """The tables of :func:`comparison_text` in Markdown, with what was measured and how."""
    return tables_markdown(_tables(result))


def comparison_html(result):
    """The page: tables, energies as bars, fronts of area against period."""
    energies = {
        "title": f"Energy of one product in each of a training's three products, at {result['period_ps']:g} ps",
        "designs": [
            {"name": row["name"], "parts": {short: row["energy_fj"][role] for role, short in _ROLES.items()}}
            for row in result["units"]
        ],
        "groups": list(_ROLES.values()),
    }
    series = [
        {
            "name": row["name"],
            "points": [[period, area / row["macs_per_cycle"]] for period, area in row["front"]],
        }
        for row in result["units"]
    ]
    return page_html(
        result,
        _tables(result),
        title="Fused multiply-adds for training: INT16 pairs beside floating point",
        subtitle="Silicon figures on the operands of a training in dynamic fixed point (arXiv 1802.00930).",
        energy_source="gate-level runs on a training's own operands",
        limits=(
            "The floating-point accumulators are single-path adders of one cycle, products rounded before they are added.",
        ),
        energy=[energies],
        fronts=[{"title": "Area of one product against period", "series": series, "y_unit": "area of a product (µm²)"}],
    )
