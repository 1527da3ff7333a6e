"""The wheel: every room is in it, with every file, and nothing else."""

import email
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/__init__.py"))
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


def files_of(room):
    """Files of a room as they should lie in the wheel."""
    place = "carrysave" if room == "carrysave" else f"carrysave/{room}"
    for path in (ROOT / room).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield f"{place}/{path.relative_to(ROOT / room)}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    # Built from a copy: setuptools leaves a build folder behind, and would ship what an old one holds.
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, "dist"], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_rooms_are_known():
    assert {"models", "workloads", "hdl", "sim", "asic", "fpga", "carrysave"} <= set(ROOMS)


def test_contents(wheel):
    packaged = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packaged == {name for room in ROOMS for name in files_of(room)}


def test_metadata(wheel):
    names = {name.partition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    metadata = email.message_from_bytes(wheel.read(names["METADATA"]))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Name"] == "carrysave"
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert len(metadata.get_all("Requires-Dist")) == len(project["dependencies"]) + sum(
        map(len, project["optional-dependencies"].values())
    )
    assert "carrysave = carrysave.cli:main" in wheel.read(names["entry_points.txt"]).decode()
    assert "licenses/LICENSE" in names


def test_version_is_one():
    import carrysave

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert carrysave.__version__ == project["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in ("Unreleased", project["version"])


def test_every_bound_has_its_reason():
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    bounds = [line for line in lines if re.match(r' *"[\w.-]+(\[[\w,]+\])?(>=|==|<)', line)]
    lines = [line for line in lines if re.match(r"(requires|requires-python) =", line)] + bounds
    assert len(bounds) > 10
    assert [line for line in lines if "#" not in line] == []
