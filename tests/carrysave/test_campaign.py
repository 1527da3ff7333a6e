"""The verification campaign: what is planned, that it resumes, what it writes."""

import sys

import pytest

from carrysave.api import configure
from carrysave.campaign import campaign, plan, write_markdown
from carrysave.hdl.catalogue import DESIGNS
from carrysave.models.errors import CarrysaveError

SMALL = {"a_width": 4, "b_width": 5, "b_signed": False, "max_k": 40}


def test_plan_covers_what_is_promised():
    jobs = plan()
    assert {config.design for config, _ in jobs} == set(DESIGNS)
    for name in ("mac", "opt1"):
        mine = [(config, options) for config, options in jobs if config.design == name]
        assert {options["on"] for _, options in mine if options.get("exhaustive")} == {"rtl", "gates"}
        widths = {width for config, _ in mine for width in (config.a_width, config.b_width)}
        assert {4, 16} <= widths
        assert any(config.a_width != config.b_width for config, _ in mine)
        assert {(config.a_signed, config.b_signed) for config, _ in mine} == {
            (a, b) for a in (True, False) for b in (True, False)
        }
        assert {config.partial_products for config, _ in mine} == {"booth", "and"}
        assert {config.encode for config, _ in mine} == {"pe", "edge"}
        assert any(config.overflow == "wrap" for config, _ in mine)
    assert {config.pe for config, _ in jobs if config.design == "systolic-os"} == {"mac", "opt1"}
    assert len({(config.canonical(), str(options)) for config, options in jobs}) == len(jobs), "a job twice"


def test_campaign_resumes(build_folder, monkeypatch, tmp_path):
    jobs = [(configure("mac", **SMALL), {"on": "rtl"}), (configure("mac", **SMALL), {"on": "rtl", "exhaustive": True})]
    lines = []
    rows = campaign(build_folder=build_folder, jobs=jobs, log=lines.append)
    assert [row["passed"] for row in rows] == [True, True]
    assert rows[1]["beats_in"] == 1 << 9
    assert rows[0]["parameters"] == {**SMALL, "acc_width": configure("mac", **SMALL).acc_width}
    assert lines[1].startswith("2 of 2: mac a_width=4 b_width=5 b_signed=False max_k=40")
    assert lines[1].endswith("on rtl, all operand pairs: passed")

    def again(*_arguments, **_options):
        raise AssertionError("verified again what was verified already")

    monkeypatch.setattr("carrysave.campaign.verify", again)
    assert campaign(build_folder=build_folder, jobs=jobs) == rows

    text = write_markdown([rows[0], {**rows[1], "passed": False, "failure": "bit 3"}], tmp_path / "x.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| mac")]
    assert len(table) == 2
    assert table[0].endswith("| passed |")
    assert "| 512 (all) |" in table[1]
    assert table[1].endswith("| FAILED: bit 3 |")


def test_a_scheduler_needs_its_extra(build_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # not installed
    with pytest.raises(CarrysaveError, match=r"^a scheduler needs the extra dask: pip install 'carrysave\[dask\]'$"):
        campaign(build_folder=build_folder, jobs=[], scheduler="tcp://127.0.0.1:9")


def test_jobs_on_a_cluster(build_folder):
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    jobs = [(configure("mac", **SMALL), {"on": "rtl"})]
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        rows = campaign(build_folder=build_folder, jobs=jobs, scheduler=cluster.scheduler_address)
    assert rows == campaign(build_folder=build_folder, jobs=jobs)
