"""A comparison of tensor processing engines for the eye: as text, as Markdown, as an HTML page."""

from .compare import GROUPS
from .html import report_html

__all__ = ["comparison_html", "comparison_markdown", "comparison_text"]

_COLUMNS = (
    ("area", "um2", lambda row: round(row["best"]["area_um2"])),
    ("period", "ps", lambda row: round(row["best"]["period_ps"])),
    ("utilisation", "%", lambda row: 100 * row["utilisation"]),
    ("throughput", "TOPS", lambda row: row["best"]["tops"]),
    ("TOPS/mm2", "", lambda row: row["best"]["tops_per_mm2"]),
    ("energy", "fJ/MAC", lambda row: row["best"]["energy_per_mac_fj"]),
    ("TOPS/W", "", lambda row: row["best"]["tops_per_w"]),
    ("merit, PE", "", lambda row: row["best"]["merit_pe"]),
    ("merit, array", "", lambda row: row["best"]["merit_array"]),
    ("outside", "um2", lambda row: round(row["best"]["outside_um2"])),
)

_RATIOS = (
    ("area efficiency", "area_efficiency"),
    ("area at equal throughput", "area_at_equal_throughput"),
    ("the same at the baseline's fastest", "area_at_baselines_fastest"),
    ("paper, area", "paper_area_efficiency"),
    ("energy efficiency", "energy_efficiency"),
    ("energy at equal throughput", "energy_at_equal_throughput"),
    ("paper, energy", "paper_energy_efficiency"),
)

_NOTE = (
    "Each design at its period of most TOPS/mm2. Merit: 10^12 MAC/s per mm2, of a PE at full use, of the array at its "
    "utilisation. Outside: memories, not counted in the area."
)
_RATIO_NOTE = (
    "Over the baseline of the architecture, above 1 is better. Efficiencies compare both at their best; at equal "
    "throughput the design has the smallest netlist that delivers what the baseline does at its best, or fastest, point."
)


def _shown(value):
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{2 if abs(value) < 10 else 1}f}"


def _title(result):
    return f"Arrays of size {result['size']}, {result['workload']['description']}"


def _ratio_cells(row):
    return [row["ratios"][key] for _name, key in _RATIOS]


def comparison_text(result):
    """Tables for a terminal.

    Parameters
    ----------
    result : dict
        Of :func:`~carrysave.compare.compare_tpe`.
    """
    lines = [_title(result), f"{result['library']['name']}; {result['boundary']}", ""]
    head = ["", *(f"{name}{', ' if unit else ''}{unit}" for name, unit, _value in _COLUMNS)]
    lines += _aligned(
        [head, *([row["label"], *(_shown(value(row)) for *_, value in _COLUMNS)] for row in result["rows"])]
    )
    held = [row for row in result["rows"] if row["ratios"]]
    if held:
        head = ["over the baseline", *(name for name, _key in _RATIOS)]
        lines += ["", *_aligned([head, *([row["label"], *map(_shown, _ratio_cells(row))] for row in held)])]
    lines += [f"{row['design']}: skipped, {row['reason']}" for row in result["skipped"]]
    return "\n".join(lines)


def _aligned(rows):
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) if not place else cell.rjust(width) for place, (cell, width) in cells)
        for cells in (list(enumerate(zip(row, widths, strict=True))) for row in rows)
    ]


def comparison_markdown(result):
    """The two tables of :func:`comparison_text` in Markdown."""
    head = ["design", *(f"{name}{', ' if unit else ''}{unit}" for name, unit, _value in _COLUMNS)]
    rows = [[f"`{row['label']}`", *(_shown(value(row)) for *_, value in _COLUMNS)] for row in result["rows"]]
    lines = [f"{_title(result)}. {_NOTE}", "", *_piped(head, rows)]
    held = [[f"`{row['label']}`", *map(_shown, _ratio_cells(row))] for row in result["rows"] if row["ratios"]]
    if held:
        lines += ["", _RATIO_NOTE, "", *_piped(["design", *(name for name, _key in _RATIOS)], held)]
    return "\n".join(lines) + "\n"


def _piped(head, rows):
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def comparison_html(result):
    """The page: tables, where area and energy go, and area against period of every point tried."""
    rows = result["rows"]
    held = [row for row in rows if row["ratios"]]
    tables = [
        {
            "title": "Side by side",
            "columns": [{"name": "design", "unit": ""}, *({"name": name, "unit": unit} for name, unit, _ in _COLUMNS)],
            "rows": [[row["label"], *(value(row) for *_, value in _COLUMNS)] for row in rows],
            "note": _NOTE,
        }
    ]
    if held:
        tables.append({
            "title": "Over the baseline of the architecture",
            "columns": [{"name": "design", "unit": ""}, *({"name": name, "unit": ""} for name, _key in _RATIOS)],
            "rows": [[row["label"], *_ratio_cells(row)] for row in held],
            "note": _RATIO_NOTE,
        })  # fmt: skip
    best = max(rows, key=lambda row: row["best"]["tops_per_mm2"])
    frugal = min(rows, key=lambda row: row["best"]["energy_per_mac_fj"])
    architectures = dict.fromkeys(row["architecture"] for row in rows)
    return report_html({
        "title": "Tensor processing engines side by side",
        "subtitle": f"{_title(result)}. {result['boundary']}",
        "facts": [
            {"label": "most TOPS/mm2", "value": best["best"]["tops_per_mm2"], "note": best["label"]},
            {
                "label": "least energy",
                "value": frugal["best"]["energy_per_mac_fj"],
                "unit": "fJ/MAC",
                "note": frugal["label"],
            },
        ],
        "results": tables,
        "area": [
            {
                "title": "Inside the boundary, at the best point",
                "designs": [
                    {
                        "name": row["label"],
                        "parts": {g: a for g, a in row["best"]["area_parts_um2"].items() if g in GROUPS[:-1]},
                    }
                    for row in rows
                ],
                "groups": list(GROUPS[:-1]),
            }
        ],
        "energy": [
            {
                "title": "Inside the boundary, at the best point",
                "designs": [
                    {
                        "name": row["label"],
                        "parts": {g: e for g, e in row["best"]["energy_parts_fj"].items() if g in GROUPS[:-1]},
                    }
                    for row in rows
                ],
                "groups": list(GROUPS[:-1]),
            }
        ],
        "fronts": [
            {
                "title": architecture,
                "series": [
                    {"name": row["label"], "points": [(p["period_ps"], p["area_um2"]) for p in row["points"]]}
                    for row in rows
                    if row["architecture"] == architecture
                ],
            }
            for architecture in architectures
        ],
        "provenance": [
            {"name": "carrysave", "value": result["carrysave"]},
            {
                "name": "library",
                "value": f"{result['library']['name']}, {result['library']['corner']}, {result['library']['voltage_v']} V",
            },
            {"name": "synthesis", "value": "; ".join(result["recipes"])},
            {
                "name": "energy",
                "value": f"gate-level runs of samples that stand for {result['workload']['sampled_fraction']:.0%} of the "
                "workload, every result checked",
            },
        ],
        "limits": [
            "Silicon figures stop before layout: wires are the library's wire-load estimate, the clock is ideal.",
            "Gate-level activity has no delays, so glitches are not counted.",
            *(f"{row['design']} was skipped: {row['reason']}." for row in result["skipped"]),
        ],
    })  # fmt: skip
