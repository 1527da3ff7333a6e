"""The HTML report: well-formed, self-contained, escaped, the same for the same data."""

import re
from html.parser import HTMLParser

import pytest

from carrysave.html import SECTIONS, report_html
from carrysave.pictures import bars, breakdown, fronts, group_digits

HOSTILE = '<script src="//x">alert("1")</script> & $\\frac{a}{b}$ --> \'quoted\''
VOID = {"meta", "link", "br", "img", "hr"}

DATA = {
    "title": "Two designs",
    "subtitle": "A sentence.",
    "facts": [{"label": "accuracy", "value": 97.5, "unit": "%", "note": "int8"}, {"label": "images", "value": 360}],
    "checks": [{"name": "logits", "passed": True, "detail": "360 of 360"}, {"name": "gates", "passed": False}],
    "accuracy": {"bars": [{"name": "float64", "fraction": 0.975}, {"name": "int8", "fraction": 0.97}], "note": "n"},
    "results": [
        {
            "title": "PEs",
            "columns": [{"name": "design"}, {"name": "area", "unit": "µm²"}, {"name": "beats"}, {"name": "ok"}],
            "rows": [["mac", 810.24, 1234567, True], ["opt1", None, 12, False]],
            "note": "a note",
        }
    ],
    "area": [{"title": "PEs", "designs": [{"name": "mac", "parts": {"registers": 96.0, "tree": 200}}]}],
    "energy": [{"designs": [{"name": "mac", "parts": {"clock": 16.5}}, {"name": "opt1", "parts": {"leakage": 3.0}}]}],
    "fronts": [
        {
            "title": "front",
            "series": [
                {"name": "ours", "points": [(300, 900), (400, 800)], "group": "mac"},
                {"name": "theirs", "points": [(700.5, 1300)], "group": "mac", "reference": True},
            ],
        }
    ],
    "fpga": [{"columns": [{"name": "board"}], "rows": [["iCEBreaker"]]}],
    "files": [{"name": "bitstream", "path": "build/x/top.bit"}],
    "steps": [{"name": "train", "seconds": 1.25}, {"name": "power", "seconds": 0.0, "cached": True}],
    "provenance": [{"name": "library", "value": "NanGate 45 nm"}],
    "limits": ["no layout"],
}


class Page(HTMLParser):
    """Keeps what a browser would: elements, attributes and text. Checks that tags nest."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module")
def text():
    return report_html(DATA)


def test_sections_in_order(text):
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == [heading for heading, _render in SECTIONS.values()]
    assert set(DATA) - {"title", "subtitle", "facts"} == set(SECTIONS)


def test_well_formed(text):
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>\n")
    assert page.tags.count("svg") == 4
    assert page.tags.count("h1") == 1
    words = " ".join("".join(page.text).split())
    for expected in (
        "Two designs",
        "97.5 %",
        "810.2",
        "1,234,567",
        "✓ pass",
        "✗ FAIL",
        "from an earlier run",
        "no layout",
    ):
        assert expected in words


def test_self_contained(text):
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(page.tags)
    for name, value in page.attributes:
        if name.endswith(("href", "src")) or "url(" in (value or ""):
            target = re.fullmatch(r"(?:url\()?(#.*?)\)?", value)
            assert target, (name, value)
        assert not name.startswith("on")
    assert "@import" not in text
    assert "http-equiv" in text


def test_references_within_pictures_are_unique(text):
    identifiers = re.findall(r'\bid="([^"]+)"', text)
    paths = [name for name in identifiers if re.fullmatch(r"[mp][0-9a-f]{10}", name)]
    assert len(paths) == len(set(paths)), "two pictures share an identifier"
    for target in re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', text):
        assert target in identifiers


def test_deterministic(text):
    assert report_html(DATA) == text
    assert not re.search(r"20\d\d-\d\d-\d\d", text), "a date makes each report a new one"


def test_everything_is_optional():
    page = Page(report_html({}))
    assert "carrysave report" in page.text
    assert "section" not in page.tags
    for name in DATA:
        Page(report_html({name: DATA[name]}))
    assert "section" not in Page(report_html({name: [] for name in SECTIONS})).tags


def replace_strings(value, names=()):
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, dict):
        return {(HOSTILE if "parts" in names else key): replace_strings(v, (*names, key)) for key, v in value.items()}
    if isinstance(value, list):
        return [replace_strings(item, names) for item in value]
    return value


def test_hostile_strings():
    text = report_html(replace_strings(DATA))
    page = Page(text)
    assert page.tags.count("script") == 0
    assert "".join(page.text).count('<script src="//x">alert("1")</script> & $\\frac') > 20
    assert "<script" not in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def test_unknown_section():
    with pytest.raises(ValueError, match=r"^unknown sections areas; legal are checks, accuracy, results, area, "):
        report_html({"areas": []})


def test_step_sums():
    page = Page(report_html({"steps": [{"name": "a", "seconds": 2}, {"name": "b", "seconds": 3.5, "cached": True}]}))
    words = " ".join(" ".join(page.text).split())
    assert words.endswith("together 5.5 of which in this run 2.0")
    page = Page(report_html({"steps": [{"name": "a", "seconds": 2}]}))
    assert " ".join(" ".join(page.text).split()).endswith("together 2.0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (0.0, "0"),
        (97.5, "97.5"),
        (810.24, "810.2"),
        (58230.4, "58,230"),
        (1e9, "1,000,000,000"),
        (0.000012, "0.000012"),
        (0.1, "0.1"),
        (0.00012345, "0.0001234"),
        (1.5e-9, "1.5e-09"),
        (1000.0, "1,000"),
        (100.0, "100"),
        (-3.14159, "-3.142"),
        (999.96, "1,000"),
    ],
)
def test_group_digits(value, text):
    assert group_digits(value) == text


def test_pictures_say_what_they_show():
    # Text is drawn as paths; Matplotlib leaves each string in a comment beside it.
    picture = breakdown([("mac", {"tree": 30, "registers": 10}), ("opt1", {"tree": 60})], unit="µm²")
    for label in ("mac", "opt1", "tree", "registers", "75 %", "25 %", "100 %", "40", "60", "µm²"):
        assert f"<!-- {label} -->" in picture
    picture = bars([("float64", 97.5)], unit="%", maximum=100)
    for label in ("float64", "97.5", "%", "100"):
        assert f"<!-- {label} -->" in picture
    picture = fronts([{"name": "mac", "points": [(1, 2), (3, 4)]}], x_unit="period (ps)", y_unit="area (µm²)")
    for label in ("mac", "period (ps)", "area (µm²)"):
        assert f"<!-- {label} -->" in picture


def test_group_order():
    designs = [("one", {"b": 1, "a": 2}), ("two", {"c": 3})]
    assert re.findall("<!-- ([abc]) -->", breakdown(designs, unit="u")) == ["b", "a", "c"]
    assert re.findall("<!-- ([abc]) -->", breakdown(designs, unit="u", groups=["c", "a", "b"])) == ["c", "a", "b"]


@pytest.mark.parametrize("parts", [{"a": -1}, {"a": float("nan")}, {"z": 1}])
def test_bad_parts(parts):
    with pytest.raises(ValueError, match=r"^part '[az]' of 'mac' is .*; parts are not negative and of a known group$"):
        breakdown([("mac", parts)], unit="u", groups=["a"])


def test_many_groups_and_designs():
    designs = [(f"design with a rather long name {n}", {f"group {g}": g + n for g in range(12)}) for n in range(9)]
    picture = breakdown(designs, unit="u")
    assert "<pattern" in picture, "the second round of colours is hatched"


def test_view_box_without_size():
    head = re.match(r"<svg [^>]*>", bars([("a", 1.0)], unit="u"))[0]
    assert "viewBox" in head
    assert not re.search(r"\b(width|height)=", head)


@pytest.mark.parametrize("draw", [lambda: bars([], unit="u"), lambda: breakdown([], unit="u")])
def test_empty_pictures(draw):
    assert draw().startswith("<svg ")
