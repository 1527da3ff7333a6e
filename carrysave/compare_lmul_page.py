"""The comparison of L-Mul with exact multiplication for the eye: as text, as Markdown, as an HTML page."""

from .comparison_page import page_html, page_text
from .tables import Table, tables_markdown

__all__ = ["comparison_html", "comparison_markdown", "comparison_text"]

_UNIT_COLUMNS = (
    ("area", "um2", lambda row: round(row["area_um2"])),
    ("critical path", "ps", lambda row: round(row["critical_path_ps"])),
    ("energy", "fJ/product", lambda row: row["energy_fj"]),
)
_RATIO_COLUMNS = (("area / exact", "area_ratio"), ("energy / exact", "energy_ratio"))
_ERROR_COLUMNS = ("mean", "mean_absolute", "rms", "maximum")
_TEXT_COLUMNS = ("mean_change", "maximum_change", "rank_correlation", "retrieval")


def _with_ratios(rows):
    """Rows of one kind, with ratios to the exact unit of the same format and the same way of adding."""
    exact = {}
    for row in rows:
        head, _, rest = row["arithmetic"].partition(", ")
        if head == "exact":
            exact[row["format"], rest if row["kind"] == "dot product" else ""] = row
    for row in rows:
        rest = row["arithmetic"].partition(", ")[2] if row["kind"] == "dot product" else ""
        base = exact.get((row["format"], rest))
        ratio = {"area_ratio": None, "energy_ratio": None}
        if base is not None:
            ratio = {
                "area_ratio": row["area_um2"] / base["area_um2"],
                "energy_ratio": row["energy_fj"] / base["energy_fj"],
            }
        yield {**row, **ratio}


def _tables(result):
    """All tables."""
    tables = []
    for kind, title in (("multiplier", "Multipliers"), ("dot product", "Dot products")):
        rows = list(_with_ratios([row for row in result["units"] if row["kind"] == kind]))
        if rows:
            columns = [
                ("unit", ""),
                *(column[:2] for column in _UNIT_COLUMNS),
                *((name, "") for name, _ in _RATIO_COLUMNS),
            ]
            cells = [
                [row["label"], *(value(row) for *_, value in _UNIT_COLUMNS), *(row[key] for _, key in _RATIO_COLUMNS)]
                for row in rows
            ]
            title = f"{title} at {result['period_ps']:g} ps"
            tables.append(Table(title=title, columns=columns, rows=cells, note=_NOTES[kind]))
    columns = [("mantissa bits", ""), ("arithmetic", ""), ("offset", "ulp"), *((name, "") for name in _ERROR_COLUMNS)]
    cells = [
        [str(row["mantissa_bits"]), row["arithmetic"], row["offset_ulp"], *(row[name] for name in _ERROR_COLUMNS)]
        for row in result["errors"]
    ]
    tables.append(Table(title="Relative error of one product", columns=columns, rows=cells, note=_NOTES["errors"]))
    names = ("claim", "published", "measured", "verdict")
    cells = [[row[name] for name in names] for row in result["claims"]]
    tables.append(Table(title="The paper's claims", columns=[(name, "") for name in names], rows=cells))
    if result["text"]:
        columns = [("arithmetic", ""), ("products", ""), *((name.replace("_", " "), "") for name in _TEXT_COLUMNS)]
        cells = [[row["arithmetic"], row["replaced"], *(row[name] for name in _TEXT_COLUMNS)] for row in result["text"]]
        title = "Similarities of sentences, MiniLM-L6"
        tables.append(Table(title=title, columns=columns, rows=cells, note=_NOTES["text"]))
        columns = [("mantissas of", ""), *((name, "ulp") for name in result["offsets"][0]["offsets"])]
        cells = [[row["where"], *row["offsets"].values()] for row in result["offsets"]]
        title = "Optimal offsets of bfloat16 over MiniLM's operands"
        tables.append(Table(title=title, columns=columns, rows=cells, note=_NOTES["offsets"]))
    return tables


_NOTES = {
    "multiplier": "Area and energy of the arithmetic between registers, without streams; subnormal numbers count as zeros in "
    "all. The critical path is that of the fastest netlist, from operands or a register to a register, set-up included. "
    "Ratios to the exact multiplier of the format.",
    "dot product": "Area and energy of the whole unit, energy of one product; the name says how products are made and added, "
    "and the number of lanes. A unit that does not reach the period is counted at its own. Ratios to exact products, added "
    "the same way.",
    "errors": "Over all pairs of mantissas, each pair once; exact figures, nothing is sampled.",
    "text": "Change of the cosine similarities of 24 sentences against float32; retrieval is the fraction whose nearest "
    "neighbour is the paraphrase. Products in attention only, or all of the network's.",
    "offsets": "In units in the last place, by what they minimise; the paper's is 8.",
}


def comparison_text(result):
    """Tables for a terminal, from what :func:`~carrysave.compare_lmul.compare_lmul` returns."""
    return page_text(result, _tables(result))


def comparison_markdown(result):
    """The tables of :func:`comparison_text` in Markdown."""
    return tables_markdown(_tables(result))


def comparison_html(result):
    """The page: tables, and energies as bars."""
    energies = [
        {
            "title": f"Energy of one product, {kind}s, at {result['period_ps']:g} ps",
            "designs": [
                {"name": row["label"], "parts": {"product": row["energy_fj"]}}
                for row in result["units"]
                if row["kind"] == kind
            ],
            "groups": ["product"],
        }
        for kind in ("multiplier", "dot product")
    ]
    return page_html(
        result,
        _tables(result),
        title="L-Mul beside exact multiplication",
        subtitle="Errors, silicon figures and the paper's claims (arXiv 2410.00907), each measured the same way.",
        energy_source="gate-level runs with normally distributed operands",
        energy=[chart for chart in energies if chart["designs"]],
    )
