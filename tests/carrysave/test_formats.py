"""The command that finds fixed-point formats: table, figures, picture, errors in one line."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from carrysave import cli
from carrysave.formats import PICTURED, formats_svg, formats_text, search_file
from carrysave.models.fixed_cast import from_real
from carrysave.models.fixed_point import FixedFormat, to_real


@pytest.fixture
def main(tmp_path, monkeypatch, capsys):
    """The command within this process, in a folder with a file of tensors: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(7)
    np.savez("t.npz", weight=rng.normal(size=(30, 20)).astype(np.float32), zero=np.zeros(3), counts=np.arange(200))

    def run(*arguments):
        status = cli.main(["formats", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_table_and_picture(main):
    status, out, err = main("t.npz", "--budget", 0.02)
    assert (status, err) == (0, "")
    table, last, picture = out.split("\n\n")
    rows = [re.split(r" {2,}", line) for line in table.splitlines()]
    assert rows[0] == ["tensor", "elements", "format", "relative error", "dB"]
    assert rows[1][:2] == ["weight", "600"]
    assert rows[2] == ["zero", "3", "ap_ufixed<1, 1>", "0", "exact"]
    assert rows[3][:3] == ["counts", "200", "ap_ufixed<6, 8>"]
    assert last.endswith("an element; budget 0.02, rounding rnd, saturating")
    with open(picture.strip()) as file:
        svg = file.read()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert picture.strip().endswith("formats.svg")


def test_json_says_what_the_models_give(main):
    status, out, _err = main("t.npz", "--budget", 0.05, "--rounding", "trn", "--max-width", 9, "-o", "p.svg", "--json")
    result = json.loads(out)
    assert status == 0
    assert (result["budget"], result["rounding"], result["file"], result["picture"]) == (0.05, "trn", "t.npz", "p.svg")
    tensors = {row["name"]: row for row in result["tensors"]}
    assert result["bits"] == sum(row["elements"] * row["chosen"]["width"] for row in tensors.values())
    with np.load("t.npz") as file:
        values = file["weight"].astype(np.float64)
    assert [point["width"] for point in tensors["weight"]["by_width"]] == list(range(1, 10))
    for point in tensors["weight"]["by_width"]:
        form = FixedFormat(width=point["width"], fraction=point["fraction"], signed=point["signed"])
        assert str(form) == point["type"]
        errors = to_real(from_real(values, form, rounding="trn", overflow="sat"), form) - values
        assert point["mean_square"] == pytest.approx(np.square(errors).mean(), rel=1e-12)
        assert point["decibels"] == pytest.approx(10 * np.log10(np.square(errors).mean() / np.square(values).mean()))
    assert tensors["counts"]["by_width"][7]["decibels"] is None


def test_many_tensors_and_none_with_an_error(tmp_path):
    np.savez(tmp_path / "many.npz", **{f"t{index}": np.arange(index + 2) * 0.37 for index in range(PICTURED + 3)})
    result = search_file(tmp_path / "many.npz", budget=0.3, max_width=3)
    assert len(result["tensors"]) == PICTURED + 3
    assert formats_text(result).count("\n") == PICTURED + 3 + 2
    assert formats_svg(result) == formats_svg(result)
    np.savez(tmp_path / "zeros.npz", a=np.zeros(4))
    assert formats_svg(search_file(tmp_path / "zeros.npz", budget=0.3, max_width=3)).startswith("<svg")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no.npz", "--budget", 0.1), r"cannot read no\.npz: No such file or directory"),
        (("t.npz", "--budget", 2), r"budget must be a relative error above 0 and at most 1, not 2\.0"),
        (("t.npz", "--budget", 0.1, "--max-width", 40), r"max_width must be an integer in 1\.\.32, not 40"),
        (("t.npz", "--budget", 0.1, "--rounding", "up"), "rounding must be one of trn, .*, rnd-conv, not 'up'"),
        (
            ("t.npz", "--budget", 1e-6),
            r"the budget 1e-06 needs more than 16 bits for 'weight', whose .*; raise one of them",
        ),
        (("t.npz", "--budget", 0.1, "-o", "x.png"), r"output must end in \.svg, not 'x\.png'"),
        (("t.npz",), r"the following arguments are required: --budget \(see 'carrysave formats --help'\)"),
    ],
)
def test_errors_in_one_line(main, arguments, message):
    status, out, err = main(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(f"carrysave: {message}\n", err)
