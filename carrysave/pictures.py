"""Pictures of reports, as SVG text that is the same for the same figures, byte for byte, and can stand inside HTML.

Colours are Okabe and Ito's, which people with any kind of colour blindness tell apart; whatever a colour says, a label,
a marker or a dash says, too.
"""

import io
import math
import re

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

__all__ = ["COLOURS", "bars", "breakdown", "curves", "fronts", "group_digits"]

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#7f7f7f")
_INK, _MUTED, _GRID = "#1f2933", "#52606d", "#e4e7eb"
_LIGHT = frozenset(("#e69f00", "#56b4e9", "#f0e442", "#cc79a7"))  # colours on which dark labels read better
_MARKERS = "osD^vPX*"
_WIDTH_IN = 7.2  # of every picture, so that their labels have one size where they stand below each other
_BAR_IN = 0.42

_STYLE = {
    "font.family": "DejaVu Sans",  # ships with Matplotlib, so that every machine draws the same
    "font.size": 9,
    "text.color": _INK,
    "text.parse_math": False,  # names are names, whatever characters are in them
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


def group_digits(value, digits=4):
    """A number for people: integers in full and in groups of three, others with so many significant digits."""
    if isinstance(value, int):
        return f"{value:,}"
    value = float(f"{value:.{digits}g}") if abs(value) < 10 ** (digits - 1) else float(round(value))
    if value == 0 or abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    if abs(value) < 1e-6:
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{places}f}".rstrip("0").rstrip(".")


def bars(rows, *, unit, maximum=None, name="bars"):
    """Horizontal bars with their values.

    Parameters
    ----------
    rows : list of (:class:`str`, :class:`float`)
        Name and value of each bar, from the top.
    unit : :class:`str`
        Label of the axis.
    maximum : :class:`float`, optional
        End of the axis; from the largest value without.
    name : :class:`str`
        Tells apart the identifiers of pictures that stand in one page.

    Returns
    -------
    :class:`str`
        An ``svg`` element.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure, axes = _axes(len(rows))
        values = [value for _name, value in rows]
        axes.barh(range(len(rows)), values, height=0.62, color=COLOURS[0])
        end = maximum or max(values, default=1) or 1
        for place, value in enumerate(values):
            axes.text(value + end * 0.01, place, group_digits(value), va="center", fontweight="bold")
        _name_rows(axes, [name for name, _value in rows])
        axes.set_xlim(0, end * 1.09)
        if maximum:
            axes.set_xticks([tick for tick in axes.get_xticks() if tick <= maximum])
        axes.set_xlabel(unit)
        return _svg(figure)


def breakdown(designs, *, unit, groups=None, name="breakdown"):
    """Stacked horizontal bars: what each design's total consists of.

    Parameters
    ----------
    designs : list of (:class:`str`, :class:`dict`)
        Name of a design, and its parts by group; none negative.
    unit : :class:`str`
        Label of the axis.
    groups : list of :class:`str`, optional
        Order of the groups; as they first appear without.
    name : :class:`str`
        Tells apart the identifiers of pictures that stand in one page.

    Returns
    -------
    :class:`str`
        An ``svg`` element.
    """
    groups = list(groups or dict.fromkeys(group for _name, parts in designs for group in parts))
    for design, parts in designs:
        for group, value in parts.items():
            if group not in groups or not value >= 0:
                raise ValueError(
                    f"part {group!r} of {design!r} is {value!r}; parts are not negative and of a known group"
                )
    totals = [sum(parts.values()) for _name, parts in designs]
    end = max(totals, default=1) or 1
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        legend_rows = -(-len(groups) // 4)
        figure, axes = _axes(len(designs), above_in=0.1 + 0.22 * legend_rows)
        left = [0.0] * len(designs)
        for index, group in enumerate(groups):
            colour = COLOURS[index % len(COLOURS)]
            values = [parts.get(group, 0) for _name, parts in designs]
            # A second round of the colours is hatched.
            hatch = "///" if index >= len(COLOURS) else None
            axes.barh(
                range(len(designs)), values, left=left, height=0.62, color=colour, label=group, hatch=hatch,
                edgecolor="white", linewidth=0.8,
            )  # fmt: skip
            for place, value in enumerate(values):
                if value / end > 0.075:
                    text = f"{100 * value / totals[place]:.0f} %"
                    ink = _INK if colour in _LIGHT else "white"
                    axes.text(left[place] + value / 2, place, text, ha="center", va="center", color=ink, fontsize=8)
            left = [start + value for start, value in zip(left, values, strict=True)]
        for place, total in enumerate(totals):
            axes.text(total + end * 0.01, place, group_digits(float(total)), va="center", fontweight="bold")
        _name_rows(axes, [name for name, _parts in designs])
        axes.set_xlim(0, end * 1.12)
        axes.set_xlabel(unit)
        _legend(figure, axes, 4, loc="upper left", borderaxespad=0.2, handlelength=1, handleheight=1, columnspacing=1.4)
        return _svg(figure)


def fronts(series, *, x_unit, y_unit, name="fronts"):
    """Lines through points, such as area against clock period; lower and further left is better.

    Parameters
    ----------
    series : list of :class:`dict`
        ``name``; ``points``, pairs of x and y; optionally ``reference``, true for others' figures, which are drawn
        dashed and hollow, and ``group``: lines of one group have one colour and one marker.
    x_unit, y_unit : :class:`str`
        Labels of the axes.
    name : :class:`str`
        Tells apart the identifiers of pictures that stand in one page.

    Returns
    -------
    :class:`str`
        An ``svg`` element.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        legend_rows = -(-len(series) // 2)
        figure = Figure(figsize=(_WIDTH_IN, 3.5 + 0.22 * legend_rows), layout="constrained")
        axes = figure.add_subplot()
        groups = list(dict.fromkeys(line.get("group", line["name"]) for line in series))
        for line in series:
            index = groups.index(line.get("group", line["name"]))
            points = sorted((float(x), float(y)) for x, y in line["points"])
            colour = COLOURS[index % len(COLOURS)]
            reference = line.get("reference", False)
            # A second round of the colours is dotted, with other markers.
            second = index // len(COLOURS)
            axes.plot(
                [x for x, _y in points],
                [y for _x, y in points],
                color=colour,
                marker=_MARKERS[(index + second) % len(_MARKERS)],
                markersize=5.5,
                markerfacecolor="white" if reference else colour,
                linestyle=(0, (4, 2.5)) if reference else ":" if second else "-",
                linewidth=1.5,
                label=line["name"],
            )
        axes.grid(True)
        axes.set_xlabel(x_unit)
        axes.set_ylabel(y_unit)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
            axis.set_major_formatter(FuncFormatter(lambda value, _place: group_digits(float(value))))
        axes.margins(0.06)
        _legend(figure, axes, 2, loc="outside upper left", handlelength=2.6, columnspacing=2)
        return _svg(figure)


def curves(panels, *, x_unit, name="curves"):
    """What several repetitions gave step by step: their means as lines, all between the lowest and the highest as bands.

    Parameters
    ----------
    panels : list of :class:`dict`
        Side by side: ``unit``, label of the y axis; ``log``, whether it is logarithmic; ``low``, where it begins, or None for
        where the values do; ``series``, pairs of a name and its repetitions, each a list of values at 1, 2 and so on. All
        panels have series of the same names.
    x_unit : :class:`str`
        Label of the x axes.
    name : :class:`str`
        Tells apart the identifiers of pictures that stand in one page.

    Returns
    -------
    :class:`str`
        An ``svg`` element.
    """
    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(_WIDTH_IN, 3.3), layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            for index, (label, repetitions) in enumerate(panel["series"]):
                steps = range(1, len(repetitions[0]) + 1)
                columns = list(zip(*repetitions, strict=True))
                colour = COLOURS[index % len(COLOURS)]
                axes.fill_between(
                    steps, [min(c) for c in columns], [max(c) for c in columns], color=colour, alpha=0.2, linewidth=0
                )
                axes.plot(
                    steps,
                    [sum(c) / len(c) for c in columns],
                    color=colour,
                    marker=_MARKERS[index % len(_MARKERS)],
                    markersize=3.5,
                    linestyle=("-", (0, (4, 2.5)))[index % 2],  # lines that lie on each other are both seen
                    linewidth=1.5,
                    label=label,
                )
            axes.grid(True)
            axes.set_xlabel(x_unit)
            axes.set_ylabel(panel["unit"])
            axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
            if panel["log"]:
                axes.set_yscale("log")
                axes.yaxis.set_minor_formatter(NullFormatter())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _place: group_digits(float(value))))
            if panel["low"] is not None:
                highest = max(value for _label, runs in panel["series"] for run in runs for value in run)
                axes.set_ylim(panel["low"], highest + 0.06 * (highest - panel["low"]))
        _legend(figure, figure.axes[0], 2, loc="outside upper left", handlelength=2.6, columnspacing=2)
        return _svg(figure)


def _axes(count, above_in=0.1):
    """A figure for so many horizontal bars, its first at the top."""
    height = above_in + 0.5 + _BAR_IN * max(count, 1)
    figure = Figure(figsize=(_WIDTH_IN, height))
    axes = figure.add_subplot()
    figure.subplots_adjust(top=1 - above_in / height, bottom=0.47 / height, right=0.99, left=0.2)
    axes.set_ylim(max(count, 1) - 0.5, -0.5)
    axes.grid(True, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _place: group_digits(float(value))))
    axes.spines["left"].set_visible(False)
    return figure, axes


def _name_rows(axes, names):
    """Names at the left of the bars; the axes begin where the longest ends."""
    axes.set_yticks(range(len(names)), names, color=_INK)
    axes.tick_params(axis="y", length=0)
    figure = axes.figure
    widths = [label.get_window_extent().width for label in axes.get_yticklabels()]
    share = (max(widths, default=0) / figure.dpi + 0.12) / _WIDTH_IN
    figure.subplots_adjust(left=min(share, 0.5))


def _legend(figure, axes, columns, **style):
    """A legend that reads along the rows; Matplotlib's own goes down the columns."""
    handles, labels = axes.get_legend_handles_labels()
    rows = -(-len(labels) // columns) or 1
    columns = -(-len(labels) // rows) or 1
    order = [index for column in range(columns) for index in range(column, len(labels), columns)]
    figure.legend([handles[index] for index in order], [labels[index] for index in order], ncols=columns, **style)


def _svg(figure):
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # The page sets the size; the aspect comes from the view box.
    return re.sub(r'<svg ([^>]*?)(?:width|height)="[^"]*"([^>]*?)(?:width|height)="[^"]*"', r"<svg \1\2", text, count=1)
