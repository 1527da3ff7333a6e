"""What tests of several rooms share."""

import os

import pytest


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory):
    """One build folder for the session, whichever process a test runs in.

    What one test builds, Verilator's runtime library above all, the next one finds.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # below it each worker has a folder of its own
    folder = root / "build"
    folder.mkdir(exist_ok=True)
    return folder
