"""What the pages of comparisons have in common: the library's line, provenance, limits."""

from .html import report_html
from .tables import page_sections, tables_text

__all__ = ["page_html", "page_text"]

_LIMITS = (
    "Silicon figures stop before layout: wires are the library's wire-load estimate, the clock is ideal.",
    "Gate-level activity has no delays, so glitches are not counted.",
)


def page_text(result, tables):
    """A comparison's tables for a terminal, a string.

    Parameters
    ----------
    result : dict
        Of the comparison, with ``library``.
    tables : list of :class:`~carrysave.tables.Table`
    """
    library = result["library"]
    lines = [f"{library['name']}, {library['corner']}, {library['voltage_v']} V"]
    return "\n".join(lines + tables_text(tables))


def page_html(result, tables, *, title, subtitle, energy_source, limits=(), **charts):
    """A comparison's page: tables, charts, where figures come from and what they leave out; a string.

    Parameters
    ----------
    result : dict
        Of the comparison, with ``library`` and ``carrysave``.
    tables : list of :class:`~carrysave.tables.Table`
    title, subtitle : :class:`str`
    energy_source : :class:`str`
        What the energies were measured on.
    limits : tuple of :class:`str`
        Behind those of all comparisons.
    **charts
        As :func:`~carrysave.html.report_html` takes them: ``area``, ``energy``, ``fronts``.
    """
    return report_html({
        "title": title,
        "subtitle": subtitle,
        "results": page_sections(tables),
        **charts,
        "provenance": [
            {"name": "carrysave", "value": result["carrysave"]},
            {"name": "library", "value": f"{result['library']['name']}, {result['library']['corner']}"},
            {"name": "energy", "value": f"{energy_source}, every result checked"},
        ],
        "limits": [*_LIMITS, *limits],
    })  # fmt: skip
