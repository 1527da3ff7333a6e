"""What tests of several rooms share."""

import pytest


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory):
    """One build folder for the session: what one test builds, Verilator's runtime library above all, the next one finds."""
    return tmp_path_factory.mktemp("build")
