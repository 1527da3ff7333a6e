import subprocess
import sys

import pytest

from carrysave.hdl.tool import ToolError, run_tool
from carrysave.models.mac import MACConfig
from carrysave.sim.store import Store, digest

CONFIG = MACConfig()


def test_step_is_made_once(tmp_path):
    store, made = Store(tmp_path), []

    def make(folder):
        made.append(folder)
        (folder / "file").write_text("done")

    for _ in range(2):
        assert (store.step(CONFIG, "sim/one", ["key"], make) / "file").read_text() == "done"
    assert len(made) == 1
    assert store.fresh(CONFIG, "sim/one", ["key"])
    assert not store.fresh(CONFIG, "sim/one", ["other key"])
    store.step(CONFIG, "sim/one", ["other key"], make)
    assert len(made) == 2


def test_failed_step_keeps_its_log_and_the_error_names_it(tmp_path):
    store = Store(tmp_path)

    def make(folder):
        run_tool(["sh", "-c", "echo 'error: no luck'; exit 3"], log=folder / "tool.log", timeout_s=10)

    with pytest.raises(
        ToolError, match=r"^sh failed: error: no luck \(exit status 3; log: .*one\.failed/tool\.log\)$"
    ) as error:
        store.step(CONFIG, "sim/one", [], make)
    assert "error: no luck" in (store.folder(CONFIG) / "sim" / "one.failed" / "tool.log").read_text()
    assert str(store.folder(CONFIG).resolve() / "sim" / "one.failed" / "tool.log") in str(error.value)
    assert not store.fresh(CONFIG, "sim/one", [])


def test_interrupted_step_leaves_nothing(tmp_path):
    store = Store(tmp_path)

    def make(folder):
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.step(CONFIG, "sim/one", [], make)
    assert [entry.name for entry in (store.folder(CONFIG) / "sim").iterdir()] == [".one.lock"]


SHARER = """
import os, sys, time
from carrysave.models.mac import MACConfig
from carrysave.sim.store import Store

def make(folder):
    time.sleep(0.3)
    (folder / "maker").write_text(str(os.getpid()))

print((Store(sys.argv[1]).step(MACConfig(), "sim/one", [], make) / "maker").read_text())
"""


def test_processes_share_a_step(tmp_path):
    command = [sys.executable, "-c", SHARER, str(tmp_path)]
    sharers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    makers = {sharer.communicate(timeout=60)[0] for sharer in sharers}
    assert [sharer.returncode for sharer in sharers] == [0, 0, 0]
    assert len(makers) == 1


def test_step_stays_inside_the_folder(tmp_path):
    with pytest.raises(ValueError, match="outside of the build folder"):
        Store(tmp_path).step(CONFIG, "../../out", [], lambda folder: None)


def test_digest_tells_parts_apart(tmp_path):
    (tmp_path / "file").write_text("text")
    assert digest("a", "b") != digest("ab")
    assert digest(tmp_path / "file") == digest(b"text")


def test_steps_of_similar_names_leave_each_other_alone(tmp_path):
    store = Store(tmp_path)

    def outer(folder):
        # Meanwhile another process would make a step whose name begins like this one's.
        store.step(CONFIG, "verify/rtl", [], lambda inner: (inner / "file").write_text("inner"))
        (folder / "file").write_text("outer")

    assert (store.step(CONFIG, "verify/rtl-exhaustive", [], outer) / "file").read_text() == "outer"
    assert (store.folder(CONFIG) / "verify" / "rtl" / "file").read_text() == "inner"
