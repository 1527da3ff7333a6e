"""A report as one HTML file that needs nothing else: inline pictures, no scripts, no network; for screen and print.

:func:`report_html` takes plain data, as it could stand in a JSON file. Every section is optional, and they appear in
this order:

``title``, ``subtitle`` : :class:`str`
    Heading; a sentence below it.
``facts`` : list of ``{"label", "value", "unit", "note"}``
    The few figures to see first. ``unit`` and ``note`` are optional.
``checks`` : list of ``{"name", "passed", "detail"}``
    What was verified; ``detail`` is optional.
``accuracy`` : ``{"bars", "note"}``
    ``bars`` is a list of ``{"name", "fraction"}``, fractions of 0..1.
``results`` : list of tables
    A table is ``{"title", "columns", "rows", "note"}``: ``columns`` is a list of ``{"name", "unit"}``, ``rows`` a list
    of lists of strings, numbers, booleans or ``None``. Integers are printed in full, others with four digits.
``area`` : list of charts
    A chart is ``{"title", "designs", "groups", "unit", "note"}``: ``designs`` is a list of ``{"name", "parts"}``,
    ``parts`` maps groups to numbers; ``groups`` (their order) and ``unit`` (default square micrometres) are optional.
``energy`` : list of charts
    The same; the default unit is femtojoules per multiply-accumulate.
``fronts`` : list of ``{"title", "series", "x_unit", "y_unit", "note"}``
    ``series`` is a list of ``{"name", "points", "reference", "group"}``; ``points`` are pairs, by default of a clock
    period in picoseconds and an area in square micrometres; ``reference``, if true, marks figures of others, and
    lines of one ``group`` share a colour (both optional).
``fpga`` : list of tables
``files`` : list of ``{"name", "path"}``
    What was written and where.
``steps`` : list of ``{"name", "seconds", "cached"}``
    Time of each step; ``cached``, if true, marks a result of an earlier run.
``provenance`` : list of ``{"name", "value"}``
    Tools and their versions, library, corner, source of the activity.
``limits`` : list of :class:`str`
    What the figures do not say.
"""

from html import escape

from .pictures import bars, breakdown, fronts, group_digits

__all__ = ["SECTIONS", "report_html"]

_STYLE = """
:root { --ink: #1f2933; --muted: #52606d; --line: #d9dee4; --wash: #f5f7fa; --accent: #0072b2; --bad: #b3261e; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: #fff; font: 15px/1.5 system-ui, "Segoe UI", "Liberation Sans",
  "DejaVu Sans", Arial, sans-serif; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
main { max-width: 1040px; margin: 0 auto; padding: 36px 28px 48px; }
header { border-bottom: 3px solid var(--accent); padding-bottom: 16px; }
h1 { margin: 0; font-size: 28px; line-height: 1.2; letter-spacing: -0.01em; }
header p { margin: 8px 0 0; color: var(--muted); max-width: 75ch; }
section { margin-top: 34px; }
h2 { font-size: 19px; margin: 0 0 10px; padding-bottom: 5px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 20px 0 6px; }
h2 + h3, h2 + figure h3 { margin-top: 0; }
p { margin: 6px 0; max-width: 85ch; }
.note { color: var(--muted); font-size: 13px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(170px, 1fr)); gap: 12px; margin: 20px 0 0; }
.facts div { background: var(--wash); border-left: 3px solid var(--accent); padding: 10px 12px; }
.facts dt { color: var(--muted); font-size: 12.5px; line-height: 1.35; }
.facts dd { margin: 2px 0 0; font-size: 22px; font-weight: 650; line-height: 1.25; }
.facts dd small { font-size: 13px; font-weight: 400; color: var(--muted); }
.facts .note { display: block; font-size: 12px; font-weight: 400; line-height: 1.35; }
figure { margin: 18px 0 0; max-width: 800px; }
h2 + figure { margin-top: 0; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { color: var(--muted); font-size: 13px; margin-top: 4px; max-width: 85ch; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--muted); vertical-align: bottom; font-weight: 600; line-height: 1.3; }
thead small { display: block; color: var(--muted); font-weight: 400; font-size: 12px; }
th.number, td.number { text-align: right; padding: 5px 10px 5px 14px; }
tbody th { font-weight: 600; }
tfoot td, tfoot th { border-bottom: 0; font-weight: 650; }
.pass { color: #00664a; font-weight: 650; }
.fail { color: #fff; background: var(--bad); font-weight: 650; padding: 0 6px; }
.path { font-family: ui-monospace, "Liberation Mono", "DejaVu Sans Mono", monospace; font-size: 12.5px;
  overflow-wrap: anywhere; }
.time { width: 240px; min-width: 120px; }
.time span { display: block; height: 11px; margin-top: 5px; background: var(--accent); min-width: 1px; }
@page { size: A4; margin: 16mm 15mm; }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 18pt; }
  h2 { font-size: 13pt; }
  h3 { font-size: 10.5pt; }
  section { margin-top: 20pt; }
  h2, h3, thead { break-after: avoid; }
  figure, table, tr, li, .facts div { break-inside: avoid; }
  tfoot { display: table-row-group; }
  .facts { grid-template-columns: repeat(4, 1fr); gap: 8pt; }
  .facts dd { font-size: 13pt; }
  table { font-size: 8.8pt; }
  th, td { padding: 2.5pt 8pt 2.5pt 0; }
  th.number, td.number { padding: 2.5pt 4pt 2.5pt 8pt; }
  .note, figcaption { font-size: 8.5pt; }
  .path { font-size: 8pt; }
  figure { max-width: 165mm; }
  .scroll { overflow: visible; }
}
"""


def report_html(data):
    """The report's text.

    Parameters
    ----------
    data : :class:`dict`
        See the module's text. All strings in it are escaped.

    Returns
    -------
    :class:`str`
        A whole HTML document, the same for the same data.

    Raises
    ------
    ValueError
        For a section of an unknown name.
    """
    unknown = set(data) - {"title", "subtitle", "facts", *SECTIONS}
    if unknown:
        raise ValueError(f"unknown sections {', '.join(sorted(unknown))}; legal are {', '.join(SECTIONS)}")
    title = escape(data.get("title", "carrysave report"))
    subtitle = f"<p>{escape(data['subtitle'])}</p>" if data.get("subtitle") else ""
    sections = [
        f"<section>\n<h2>{heading}</h2>\n{render(data[name])}</section>\n"
        for name, (heading, render) in SECTIONS.items()
        if data.get(name)
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Nothing may be loaded or run, whatever a name in the data looks like.
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header>\n<h1>{title}</h1>\n{subtitle}\n</header>\n"
        f"{_facts(data.get('facts') or ())}{''.join(sections)}</main>\n</body>\n</html>\n"
    )


def _facts(facts):
    if not facts:
        return ""
    cards = []
    for fact in facts:
        unit = f" <small>{escape(fact['unit'])}</small>" if fact.get("unit") else ""
        note = f'<span class="note">{escape(fact["note"])}</span>' if fact.get("note") else ""
        cards.append(f"<div><dt>{escape(fact['label'])}</dt><dd>{_cell(fact['value'])}{unit}{note}</dd></div>\n")
    return f'<dl class="facts">\n{"".join(cards)}</dl>\n'


def _checks(checks):
    rows = []
    for check in checks:
        verdict = '<td class="pass">✓ pass</td>' if check["passed"] else '<td><span class="fail">✗ FAIL</span></td>'
        rows.append(f"<tr>{verdict}<td>{escape(check['name'])}</td><td>{escape(check.get('detail') or '')}</td></tr>\n")
    return _wrap(f"<table>\n<tbody>\n{''.join(rows)}</tbody>\n</table>\n")


def _accuracy(accuracy):
    rows = [(bar["name"], 100.0 * bar["fraction"]) for bar in accuracy["bars"]]
    picture = bars(rows, unit="test images classified rightly (%)", maximum=100, name="accuracy")
    return _figure("", picture, accuracy.get("note"), "; ".join(f"{name} {value:.2f} %" for name, value in rows))


def _breakdowns(kind, unit):
    def render(charts):
        texts = []
        for index, chart in enumerate(charts):
            designs = [(design["name"], design["parts"]) for design in chart["designs"]]
            picture = breakdown(
                designs, unit=chart.get("unit", unit), groups=chart.get("groups"), name=f"{kind}{index}"
            )
            spoken = "; ".join(f"{name} {group_digits(float(sum(parts.values())))}" for name, parts in designs)
            texts.append(_figure(chart.get("title"), picture, chart.get("note"), spoken))
        return "".join(texts)

    return render


def _fronts(charts):
    texts = []
    for index, chart in enumerate(charts):
        picture = fronts(
            chart["series"],
            x_unit=chart.get("x_unit", "clock period (ps)"),
            y_unit=chart.get("y_unit", "area (µm²)"),
            name=f"fronts{index}",
        )
        spoken = ", ".join(line["name"] for line in chart["series"])
        texts.append(_figure(chart.get("title"), picture, chart.get("note"), spoken))
    return "".join(texts)


def _tables(tables):
    texts = []
    for table in tables:
        rows = [list(row) for row in table["rows"]]
        numeric = [
            any(map(_is_number, column)) and all(value is None or _is_number(value) for value in column)
            for column in zip(*rows, strict=True)
        ] or [False] * len(table["columns"])
        head = "".join(
            f"<th{_class(number)}>{escape(column['name'])}{_unit(column)}</th>"
            for column, number in zip(table["columns"], numeric, strict=True)
        )
        body = "".join(f"<tr>{''.join(map(_td, row, numeric, range(len(row))))}</tr>\n" for row in rows)
        title = f"<h3>{escape(table['title'])}</h3>\n" if table.get("title") else ""
        text = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n"
        texts.append(title + _wrap(text) + _note(table))
    return "".join(texts)


def _td(value, number, place):
    tag = "td" if place else "th"
    return f"<{tag}{_class(number)}>{_cell(value)}</{tag}>"


def _files(files):
    rows = "".join(
        f'<tr><th>{escape(file["name"])}</th><td class="path">{escape(file["path"])}</td></tr>\n' for file in files
    )
    return _wrap(f"<table>\n<tbody>\n{rows}</tbody>\n</table>\n")


def _steps(steps):
    longest = max(step["seconds"] for step in steps) or 1
    rows = []
    for step in steps:
        share = 100 * step["seconds"] / longest
        cached = "from an earlier run" if step.get("cached") else ""
        rows.append(
            f'<tr><td>{escape(step["name"])}</td><td class="number">{step["seconds"]:.1f}</td>'
            f'<td class="time"><span style="width:{share:.1f}%"></span></td><td class="note">{cached}</td></tr>\n'
        )
    sums = [("together", sum(step["seconds"] for step in steps))]
    if any(step.get("cached") for step in steps):
        sums.append(("of which in this run", sum(step["seconds"] for step in steps if not step.get("cached"))))
    foot = "".join(f'<tr><th>{name}</th><td class="number">{seconds:.1f}</td></tr>\n' for name, seconds in sums)
    head = '<tr><th>step</th><th class="number">time<small>s</small></th><th></th><th></th></tr>'
    return _wrap(
        f"<table>\n<thead>{head}</thead>\n<tbody>\n{''.join(rows)}</tbody>\n<tfoot>\n{foot}</tfoot>\n</table>\n"
    )


def _provenance(rows):
    rows = "".join(f"<tr><th>{escape(row['name'])}</th><td>{_cell(row['value'])}</td></tr>\n" for row in rows)
    return _wrap(f"<table>\n<tbody>\n{rows}</tbody>\n</table>\n")


def _limits(limits):
    return f"<ul>\n{''.join(f'<li>{escape(limit)}</li>' for limit in limits)}\n</ul>\n"


def _figure(title, picture, note, spoken):
    title = f"<h3>{escape(title)}</h3>\n" if title else ""
    note = f"<figcaption>{escape(note)}</figcaption>\n" if note else ""
    picture = picture.replace("<svg ", f'<svg role="img" aria-label="{escape(spoken)}" ', 1)
    return f"<figure>\n{title}{picture}{note}</figure>\n"


def _wrap(table):
    return f'<div class="scroll">\n{table}</div>\n'


def _note(section):
    return f'<p class="note">{escape(section["note"])}</p>\n' if section.get("note") else ""


def _unit(column):
    return f"<small>{escape(column['unit'])}</small>" if column.get("unit") else ""


def _class(number):
    return ' class="number"' if number else ""


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value):
    if value is None:
        return "&ndash;"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return group_digits(value) if _is_number(value) else escape(str(value))


SECTIONS = {
    "checks": ("What was checked", _checks),
    "accuracy": ("Accuracy", _accuracy),
    "results": ("Results", _tables),
    "area": ("Area", _breakdowns("area", "cell area (µm²)")),
    "energy": ("Energy", _breakdowns("energy", "energy (fJ per MAC)")),
    "fronts": ("Area against clock period", _fronts),
    "fpga": ("FPGA", _tables),
    "files": ("Files", _files),
    "steps": ("Time of each step", _steps),
    "provenance": ("Provenance", _provenance),
    "limits": ("Limits", _limits),
}
