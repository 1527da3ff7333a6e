"""The comparison of what stands between matrix products for the eye: as text, as Markdown, as an HTML page."""

from .comparison_page import page_html, page_text
from .tables import Table, tables_markdown

__all__ = ["comparison_html", "comparison_markdown", "comparison_text"]


def _tables(result):
    errors = result["errors"]
    return [
        _units(result),
        *_functions(errors["functions"]),
        _layer_norm(errors["layer_norm"]),
        _requantise(errors["requantise"]),
        _cast(errors["cast"]),
        _k_hot(errors["k_hot"]),
    ]


def _units(result):
    columns = [
        ("unit", ""),
        ("area", "um2"),
        ("of it buffers", "um2"),
        ("shortest period", "ps"),
        ("cycles a row", ""),
        ("energy", "fJ/element"),
        ("of it buffers", "fJ/element"),
    ]
    rows = [
        [
            row["label"],
            round(row["area_um2"]),
            round(row["buffer_area_um2"]),
            round(row["shortest_period_ps"]),
            row["cycles_per_row"],
            round(row["energy_fj"]),
            round(row["buffer_energy_fj"]),
        ]
        for row in result["units"]
    ]
    note = (
        f"Whole units of one lane, of which the FIFOs are shown apart, with room for rows of {result['row_length']} elements; "
        f"all rows have so many. Elements are normally distributed with a standard deviation of {result['deviation']} (those of "
        "requantise and cast so that the results have it), of Shiftmax and ShiftGELU at the scale "
        f"{result['scale']:g}. Cycles and energy are those of a row in a steady stream; every result was checked. A unit that "
        "does not reach the period is counted at its own. mac stands for an ordinary multiplier: a product and the adder of "
        "its accumulator."
    )
    return Table(title=f"Units at {result['period_ps']:g} ps", columns=columns, rows=rows, note=note)


def _functions(found):
    """A table for Shiftmax with its exponential, and one for ShiftGELU against two functions."""
    at = {(row["function"], row["scale"]): row for row in found}
    scales = list(dict.fromkeys(row["scale"] for row in found))
    shown = (
        (
            "Error of Shiftmax",
            {"shift-exp": "exponential", "shiftmax": "Shiftmax"},
            "Absolute error by scale of int8 elements: of the exponential over all that are not positive, of Shiftmax over "
            "random rows of 64, 8 bits of result.",
        ),
        (
            "Error of ShiftGELU",
            {"shift-gelu": "x sigmoid(1.702 x)", "shift-gelu, erf": "x Phi(x)"},
            "Absolute error by scale of int8 elements over a row of all of them, against the published approximation and "
            "against GELU; 8 bits of sigmoid.",
        ),
    )
    for title, names, note in shown:
        columns = [("scale", ""), *((f"{name}, {which}", "") for name in names.values() for which in ("max", "mean"))]
        rows = [
            [f"{scale:.4g}", *(at[name, scale][which] for name in names for which in ("maximum", "mean"))]
            for scale in scales
        ]
        yield Table(title=title, columns=columns, rows=rows, note=note)


def _pivot(found, by, across):
    """Rows by one key, and for each of another key's values its largest and its mean error."""
    at = {(row[by], row[across]): row for row in found}
    keys, names = (list(dict.fromkeys(row[key] for row in found)) for key in (by, across))
    return names, [
        [f"{key:.4g}", *(at[key, name][which] for name in names for which in ("maximum", "mean"))] for key in keys
    ]


def _layer_norm(found):
    names, rows = _pivot(found, "scale", "square_root")
    columns = [
        ("standard deviation", ""),
        *((f"root {name}, {which}", "") for name in names for which in ("max", "mean")),
    ]
    note = (
        "Absolute error by the standard deviation of rows of 384 normally distributed int8, with the exact square root and "
        "with the published ten steps."
    )
    return Table(title="Error of I-LayerNorm", columns=columns, rows=rows, note=note)


def _requantise(found):
    names, rows = _pivot(found, "ratio", "multiplier_bits")
    columns = [("ratio of scales", ""), *((f"{name} bits, {which}", "") for name in names for which in ("max", "mean"))]
    note = (
        "Absolute error of int8 results in units of their last place, by bits of the multiplier, rounded half to even: half a "
        "unit is rounding alone."
    )
    return Table(title="Error of requantisation", columns=columns, rows=rows, note=note)


def _cast(found):
    columns = [("rounding", ""), ("max", ""), ("mean", ""), ("bias", "")]
    rows = [[row["rounding"], row["maximum"], row["mean"], row["bias"]] for row in found]
    note = "Of all 16-bit numbers that fit in 8 bits with four fewer behind the point, in units of the last place."
    return Table(title="Error of casts", columns=columns, rows=rows, note=note)


def _k_hot(found):
    columns = [("terms", ""), ("recoding", ""), ("weights met", "%"), ("max", ""), ("mean", "")]
    rows = [
        [str(row["terms"]), row["recoding"], 100 * row["exact"], row["maximum"], row["mean_absolute"]] for row in found
    ]
    note = "Absolute error of all int8 weights as sums of powers of two, in units of their last place."
    return Table(title="Error of K-hot weights", columns=columns, rows=rows, note=note)


def _chart(result, figure, **described):
    """Bars of a figure, the buffers' share apart."""
    designs = []
    for row in result["units"]:
        buffers = row[f"buffer_{figure}"]
        designs.append({"name": row["label"], "parts": {"arithmetic": row[figure] - buffers, "buffers": buffers}})
    return {**described, "designs": designs, "groups": ["arithmetic", "buffers"]}


def comparison_text(result):
    """Tables for a terminal, from what :func:`~carrysave.compare_nonlinear.compare_nonlinear` returns."""
    return page_text(result, _tables(result))


def comparison_markdown(result):
    """The tables of :func:`comparison_text` in Markdown, with what was measured and how."""
    return tables_markdown(_tables(result))


def comparison_html(result):
    """The page: tables, and areas and energies as bars, buffers apart."""
    return page_html(
        result,
        _tables(result),
        title="Between matrix products: integer functions and their units",
        subtitle="Errors against the real functions, silicon figures and cycles of requantisation, Shiftmax, ShiftGELU and "
        "I-LayerNorm (arXiv 2207.01405), casts and K-hot multipliers (arXiv 2401.17544).",
        energy_source="gate-level runs of normally distributed elements",
        limits=(
            "Buffers and tables are flip-flops: long rows would have memories of a compiler, which are not modelled.",
        ),
        area=[_chart(result, "area_um2", title=f"Area at {result['period_ps']:g} ps")],
        energy=[_chart(result, "energy_fj", title="Energy of an element", unit="fJ/element")],
    )
