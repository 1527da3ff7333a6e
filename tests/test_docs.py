"""The pages in docs: their examples do what they say, their links lead somewhere."""

import doctest
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["lmul.md", "dfp.md", "fixed-point.md"])
def test_examples(page):
    failed, tried = doctest.testfile(str(DOCS / page), module_relative=False)
    assert tried >= 5
    assert not failed


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    targets = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if not (DOCS / target).exists()]
    assert not missing
