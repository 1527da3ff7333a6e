"""Block diagrams as SVG: boxes with registers marked, wires with widths, readable on light and dark pages."""

from html import escape
from itertools import pairwise
from pathlib import Path

__all__ = ["MEM", "MUX", "OPT", "REG", "Drawing"]

FOLDER = Path(__file__).parent
INK = "#222"
REG, MEM, OPT, MUX = "register", "memory", "option", "mux"
FILLS = {REG: "#dfe7f2", OPT: "#dfe7f2", MEM: "#f5ecd2"}


class Box:
    """A rectangle with points on its sides, to fix wires to."""

    def __init__(self, x, y, w, h):
        self.x, self.y, self.w, self.h = x, y, w, h

    def left(self, part=0.5):
        return self.x, self.y + self.h * part

    def right(self, part=0.5):
        return self.x + self.w, self.y + self.h * part

    def top(self, part=0.5):
        return self.x + self.w * part, self.y

    def bottom(self, part=0.5):
        return self.x + self.w * part, self.y + self.h


class Drawing:
    """Boxes, wires and texts on white; 13 px sans-serif."""

    def __init__(self, name, width, height, title):
        self.name, self.parts, self.texts = name, [], []
        self.head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="13" fill="{INK}" stroke-width="1.4">\n<title>{escape(title)}</title>\n'
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
            f'<path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>\n'
            f'<rect width="{width}" height="{height}" fill="#fff"/>\n'
        )

    def text(self, x, y, text, anchor="start", halo=True, bold=False):
        style = ' stroke="#fff" stroke-width="4" paint-order="stroke"' if halo else ""
        style += ' font-weight="bold"' if bold else ""
        self.texts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{style}>{escape(text)}</text>')

    def box(self, x, y, w, h, text="", kind=""):
        """A box; lines of its text are parted by ``|``. A register has a clock's triangle, an option a dashed edge."""
        dash = ' stroke-dasharray="5 3"' if kind == OPT else ""
        slant = 0.15 * w if kind == MUX else 0  # narrow at the bottom
        path = f"M{x} {y}h{w}l{-slant:g} {h}h{2 * slant - w:g}z"
        self.parts.append(f'<path d="{path}" fill="{FILLS.get(kind, "#fff")}" stroke="{INK}"{dash}/>')
        if kind in (REG, OPT):
            self.parts.append(f'<path d="M{x + 4} {y + h}l4 -7l4 7" fill="none" stroke="{INK}" stroke-width="1"/>')
        lines = text.split("|") if text else []
        for number, line in enumerate(lines):
            self.text(x + w / 2, y + h / 2 + 4.5 + 16 * (number - (len(lines) - 1) / 2), line, "middle", halo=False)
        return Box(x, y, w, h)

    def row(self, y, labels, *boxes):
        """Boxes ``(x, width, height, text, kind)`` centred on a line, and a wire with a label from each to the next."""
        placed = [self.box(x, y - h / 2, w, h, *rest) for x, w, h, *rest in boxes]
        for (one, other), label in zip(pairwise(placed), labels, strict=True):
            self.wire((one.right()[0], y), (other.left()[0], y), label=label)
        return placed

    def delays(self, start, count, down=False):
        """Some registers in a line, 36 px apart, and where the wire goes on."""
        for n in range(count):
            (x, y), step = start, 14 if n else 0
            delay = self.box(x - 11, y + step, 22, 22, "", REG) if down else self.box(x + step, y - 11, 22, 22, "", REG)
            if n:
                self.wire(start, delay.top() if down else delay.left())
            start = delay.bottom() if down else delay.right()
        return start

    def frame(self, x, y, w, h, text="", title_at=8):
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="none" stroke="#777" stroke-dasharray="2 3"/>'
        )
        self.text(x + title_at, y + 15, text, bold=True)

    def wire(self, *points, label="", on=None, end=True, note=0):
        """A wire with an arrow; a point ``(x, None)`` or ``(None, y)`` keeps the other coordinate.

        The label stands on segment ``on``, by default the longest, moved along it by ``note``.
        """
        path = [points[0]]
        vertical_first = False
        for x, y in points[1:]:
            (x0, y0), elbow = path[-1], x is not None and y is not None
            x, y = (x0 if x is None or abs(x - x0) < 1 else x), (y0 if y is None or abs(y - y0) < 1 else y)
            if elbow and x != x0 and y != y0:
                path.append((x0, y) if vertical_first else (x, y0))
            path.append((x, y))
            vertical_first = not elbow and x != x0
        line = "L".join(f"{x:g} {y:g}" for x, y in path)
        tip = ' marker-end="url(#tip)"' if end else ""
        self.parts.append(f'<path d="M{line}" fill="none" stroke="{INK}"{tip}/>')
        if label:
            segments = list(pairwise(path))
            lengths = [abs(x1 - x0) + abs(y1 - y0) for (x0, y0), (x1, y1) in segments]
            (x0, y0), (x1, y1) = segments[lengths.index(max(lengths)) if on is None else on]
            x, y = (x0 + x1) / 2, (y0 + y1) / 2
            if y0 == y1:
                self.text(x + note, y - 5, label, "middle")
            else:
                self.text(x + 5, y + 4 + note, label)

    def pin(self, box, y, label, x=20):
        """An input at the left edge."""
        self.wire((x, y), (box.x, y))
        self.text(x + 4, y - 5, label)

    def fork(self, x, y, *points, **more):
        """A wire that branches off."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="2.6"/>')
        self.wire((x, y), *points, **more)

    def save(self):
        (FOLDER / f"{self.name}.svg").write_text("\n".join([self.head, *self.parts, *self.texts, "</svg>\n"]))
