"""Tables of a comparison, as text for a terminal, as Markdown, and as sections of an HTML page."""

from dataclasses import dataclass

__all__ = ["Table", "page_sections", "shown", "tables_markdown", "tables_text"]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Cells with their names, units and a note.

    Parameters
    ----------
    title : :class:`str`
    columns : list of (:class:`str`, :class:`str`)
        Name and unit, which may be empty.
    rows : list of list
        Strings, numbers, or None for what was not measured.
    note : :class:`str`
        May be empty.
    """

    title: str
    columns: list
    rows: list
    note: str = ""

    def lines(self):
        """Head and rows as lists of strings."""
        head = [f"{name}{', ' if unit else ''}{unit}" for name, unit in self.columns]
        return [head, *([shown(cell) for cell in row] for row in self.rows)]


def shown(value):
    """A cell as a string: integers with their digits grouped, other numbers with two to four significant ones."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{value:.{_places(value)}f}"


def _places(value):
    return 4 if abs(value) < 0.1 else 2 if abs(value) < 10 else 1


def tables_text(tables):
    """Tables for a terminal; lines."""
    lines = []
    for table in tables:
        cells = table.lines()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += ["", table.title]
        lines += [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
    return lines


def tables_markdown(tables):
    """The same in Markdown, with their notes; a text."""
    lines = []
    for table in tables:
        head, *rows = table.lines()
        lines += [f"### {table.title}", "", *([table.note, ""] if table.note else [])]
        lines += [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def page_sections(tables):
    """The same as :func:`carrysave.html.report_html` takes them for its ``results``."""
    return [
        {
            "title": table.title,
            "columns": [{"name": name, "unit": unit} for name, unit in table.columns],
            "rows": table.rows,
            "note": table.note,
        }
        for table in tables
    ]
