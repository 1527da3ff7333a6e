"""Fixed-point formats for a file of tensors: the search's result as figures, text and a picture of error against bits."""

from dataclasses import asdict

from .arrays import read_arrays
from .models.format_search import search_formats
from .pictures import fronts, group_digits

__all__ = ["formats_svg", "formats_text", "search_file"]

PICTURED = 16  # lines that a picture shows at most


def search_file(path, *, budget, max_width=16, rounding="rnd"):
    """Search formats for all arrays of an ``.npz`` file.

    Parameters
    ----------
    path : path
    budget, max_width, rounding
        As in :func:`~carrysave.models.format_search.search_formats`.

    Returns
    -------
    :class:`dict`
        What was asked for, ``bits`` of all tensors together, and ``tensors``, in the file's order: name, elements, the format
        ``chosen`` and, ``by_width``, the best one of each width with its error; no error is ``null`` in decibels.

    Raises
    ------
    ConfigError
        If the file cannot be read, a value is not legal, or a tensor needs more bits.
    """
    found = search_formats(read_arrays(path), budget=budget, max_width=max_width, rounding=rounding)
    return {
        "file": str(path),
        "budget": budget,
        "rounding": rounding,
        "bits": sum(row.elements * row.chosen.form.width for row in found),
        "tensors": [
            {
                "name": row.name,
                "elements": row.elements,
                "chosen": _figures(row.chosen),
                "by_width": [_figures(point) for point in row.by_width],
            }
            for row in found
        ],
    }


def _figures(point):
    return {
        **asdict(point.form),
        "type": str(point.form),
        "mean_square": point.mean_square,
        "relative": point.relative,
        "decibels": point.decibels if point.relative else None,
    }


def formats_text(result):
    """Result of :func:`search_file` as a table."""
    rows = [("tensor", "elements", "format", "relative error", "dB")]
    for row in result["tensors"]:
        chosen = row["chosen"]
        level = "exact" if chosen["decibels"] is None else f"{chosen['decibels']:.1f}"
        rows.append((
            row["name"], group_digits(row["elements"]), chosen["type"], f"{chosen['relative']:.3g}", level,
        ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    elements = sum(row["elements"] for row in result["tensors"])
    lines += [
        "",
        f"{group_digits(result['bits'])} bits, {result['bits'] / elements:.2f} an element; budget {result['budget']:g}, "
        f"rounding {result['rounding']}, saturating",
    ]
    return "\n".join(lines)


def formats_svg(result):
    """Error against bits of each tensor, of the largest ones if they are many; an ``svg`` element.

    Widths at which nothing is lost are left out: they lie at minus infinity.
    """
    largest = sorted(result["tensors"], key=lambda row: -row["elements"])[:PICTURED]
    names = {row["name"] for row in largest}
    series = [
        {
            "name": row["name"],
            "points": [
                (point["width"], point["decibels"]) for point in row["by_width"] if point["decibels"] is not None
            ],
        }
        for row in result["tensors"]
        if row["name"] in names
    ]
    return fronts(
        series, x_unit="bits of an element", y_unit="error, dB of the values' root mean square", name="formats"
    )
