"""The verification campaign: what is planned, that it resumes, what it writes."""

import dataclasses
import sys

import pytest

from carrysave.api import configure
from carrysave.campaign import campaign, write_markdown
from carrysave.campaign_plan import _FORMAL_ARRAYS, _configured, formal_plan, plan, simulation_plan
from carrysave.campaign_tables import ARRAYS, MULTIPLIERS
from carrysave.hdl.catalogue import DESIGNS
from carrysave.models.errors import CarrysaveError
from carrysave.models.float_dot import ACCUMULATORS
from carrysave.models.float_format import FORMATS
from carrysave.models.mac import ProductConfig
from carrysave.sim import bit_sums, formal

SMALL = {"a_width": 4, "b_width": 5, "b_signed": False, "max_k": 40}


def test_plan_covers_what_is_promised():
    jobs = simulation_plan()
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
    products = {name for name, entry in DESIGNS.items() if issubclass(entry.config, ProductConfig)}
    assert {"systolic-os", "cube", "matrix-2d", "systolic-ws", "tree", "bit-slice", "laconic"} < products
    for name in products - {"mac", "opt1"}:
        mine = [(config, options) for config, options in jobs if config.design == name]
        assert {options["on"] for _, options in mine} == {"rtl", "gates"}
        for on in ("rtl", "gates"):
            pes = {getattr(config, "pe", None) for config, options in mine if options["on"] == on}
            assert pes == set(choices(DESIGNS[name].config, "pe"))
        widths = {width for config, _ in mine for width in (config.a_width, config.b_width)}
        assert len(widths) > 1
        assert len({(config.a_signed, config.b_signed) for config, _ in mine}) > 1


@pytest.mark.parametrize("name", ["float-dot", "float-array"])
def test_plan_of_the_floating_point_sums(name):
    mine = [(config, options["on"]) for config, options in simulation_plan() if config.design == name]
    for on in ("rtl", "gates"):
        assert {config.accumulator for config, where in mine if where == on} == set(ACCUMULATORS)
    assert {(config.multiplier, config.accumulator) for config, _ in mine} == {
        (multiplier, accumulator) for multiplier in ("lmul", "exact") for accumulator in ACCUMULATORS
    }


@pytest.mark.parametrize("name", ["dfp-quantise", "dfp-down", "dfp-exponent", "dfp-to-float", "dfp-from-float"])
def test_plan_of_the_units_of_dynamic_fixed_point(name):
    mine = [(config, options) for config, options in simulation_plan() if config.design == name]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    for on in ("rtl", "gates"):
        met = [config for config, options in mine if options["on"] == on]
        for field in ("rounding", "round_up"):
            assert {getattr(config, field, None) for config in met} == set(choices(DESIGNS[name].config, field)), field
    assert {4, 10} <= {config.exponent_width for config, _ in mine}


def test_plan_of_casts():
    mine = [(config, options) for config, options in simulation_plan() if config.design == "cast"]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    for on in ("rtl", "gates"):
        met = [config for config, options in mine if options["on"] == on]
        for field in ("rounding", "overflow"):
            assert {getattr(config, field) for config in met} == set(choices(DESIGNS["cast"].config, field)), field
    assert {config.from_signed for config, _ in mine} == {config.to_signed for config, _ in mine} == {True, False}


@pytest.mark.parametrize("name", ["relu", "residual-add", "batch-norm"])
def test_plan_of_rows_of_fixed_point(name):
    mine = [(config, options) for config, options in simulation_plan() if config.design == name]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    for on in ("rtl", "gates"):
        met = [config for config, options in mine if options["on"] == on]
        assert {"trn", "rnd", "rnd-conv", "stochastic"} <= {config.rounding for config in met}
        assert {"wrap", "sat", "sat-sym", "wrap-sm"} <= {config.overflow for config in met}
    assert True in {config.relu for config, _ in mine}


def test_plan_of_k_hot_multipliers():
    mine = [(config, options) for config, options in simulation_plan() if config.design == "k-hot"]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    for on in ("rtl", "gates"):
        assert {config.signs for config, options in mine if options["on"] == on} == {"each", "one"}
    assert {config.a_signed for config, _ in mine} == {True, False}
    assert {1, 8} <= {config.terms for config, _ in mine}


def test_plan_of_constant_matrices():
    mine = [(config, options) for config, options in simulation_plan() if config.design == "constant-matrix"]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    for on in ("rtl", "gates"):
        assert {config.share for config, options in mine if options["on"] == on} == {True, False}
    assert {config.x_signed for config, _ in mine} == {True, False}
    assert len({config.latency for config, _ in mine}) >= 4
    assert {(1, 1), (1, 3), (3, 2), (4, 4)} <= {config.matrix.shape for config, _ in mine}


@pytest.mark.parametrize("name", ["requantise", "shiftmax", "shift-gelu", "layer-norm"])
def test_plan_of_the_integer_functions(name):
    mine = [(config, options) for config, options in simulation_plan() if config.design == name]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    fields = {"rounding", "halving", "divider"} & {row["name"] for row in DESIGNS[name].config.parameters()}
    for on in ("rtl", "gates"):
        met = [config for config, options in mine if options["on"] == on]
        for field in fields:
            assert {getattr(config, field) for config in met} == set(choices(DESIGNS[name].config, field)), field


@pytest.mark.parametrize("name", MULTIPLIERS)
def test_plan_of_the_multipliers(name):
    mine = [(config, options) for config, options in simulation_plan() if config.design == name]
    whole = [(config, options["on"]) for config, options in mine if options.get("exhaustive")]
    small = {form for form in FORMATS if FORMATS[form].width <= 8}
    assert {config.format for config, on in whole if on == "rtl"} == small | {"custom"}
    assert {config.format for config, on in whole if on == "gates"} == {form for form in small if "float8" in form}
    ways, turns, extremes = MULTIPLIERS[name]
    assert {config.stages for config, _ in whole} == {0, 1, 2, 3}
    for form in small:
        met = [config for config, on in whole if on == "rtl" and config.format == form]
        answers = {FORMATS[form].overflow_code(config.overflow) for config in met}
        special = {FORMATS[form].infinity_code, FORMATS[form].nan_code, FORMATS[form].largest_code} - {None}
        assert answers == special
        assert {config.specials for config in met} == ({True, False} if FORMATS[form].nan_code else {True})
        for way in ways:
            assert any(all(getattr(config, key) == value for key, value in way.items()) for config in met), (form, way)
    for turn in turns:
        hit = {config.stages for config, _ in whole if turn.items() <= config.to_mapping().items()}
        assert hit == {0, 1, 2, 3}, turn
    wide = {config.format for config, options in mine if options["on"] == "rtl" and options.get("vectors", 0) > 3000}
    assert wide == {"bfloat16", "float16", "float32"}
    assert any(config.format == "bfloat16" and options["on"] == "gates" for config, options in mine)
    assert len(extremes) > 1


@pytest.mark.parametrize("name", ["dfp-fma", "dfp-fma-cs", "dfp-dot"])
def test_plan_of_the_chains_of_dynamic_fixed_point(name):
    mine = [(config, options) for config, options in simulation_plan() if config.design == name]
    assert any(options.get("bulk") and options["vectors"] == 1_000_000 for _, options in mine)
    policies = set(choices(DESIGNS[name].config, "overflow")) - ({"saturate"} if name == "dfp-fma-cs" else set())
    assert {config.overflow for config, _ in mine} == policies
    for field in ("shift_rounding", "operands", "spill", "accumulator"):
        assert {getattr(config, field, None) for config, _ in mine} == set(choices(DESIGNS[name].config, field)), field
    assert {4, 16} <= {config.width for config, _ in mine}
    assert {options["on"] for _, options in mine} == {"rtl", "gates"}
    assert {config.overflow for config, _ in formal_plan() if config.design == name} >= {"refuse"}


def test_no_two_jobs_share_a_step():
    """What the campaign keeps of a job stands under its configuration, its level and whether it is exhaustive or in bulk."""
    jobs = [(config.canonical(), *map(options.get, ("on", "exhaustive", "bulk"))) for config, options in plan()]
    assert len(set(jobs)) == len(jobs)


def choices(config, name):
    return next((field.metadata["choices"] for field in dataclasses.fields(config) if field.name == name), (None,))


def test_plan_of_proofs():
    jobs = formal_plan()
    assert {options["on"] for _, options in jobs} == {"formal"}
    for name in ("mac", "opt1"):
        mine = [config for config, _ in jobs if config.design == name]
        for width in (4, 8):
            for structure in (("booth", "pe"), ("booth", "edge"), ("and", "pe")):
                signs = {
                    (config.a_signed, config.b_signed)
                    for config in mine
                    if (config.a_width, config.b_width) == (width, width)
                    and (config.partial_products, config.encode) == structure
                }
                assert len(signs) == 4
    assert len({(config.carry_spacing, config.carry_spacing_low) for config, _ in jobs if config.design == "opt1"}) == 4
    assert {"systolic-os", "cube", "matrix-2d"} <= {config.design for config, _ in jobs}


def test_plan_has_no_job_twice():
    jobs = plan()
    assert len({(config.canonical(), str(options)) for config, options in jobs}) == len(jobs)
    assert len(jobs) == len(formal_plan()) + len(simulation_plan())


@pytest.mark.parametrize("name", [name for name in ARRAYS if name in DESIGNS])
def test_every_entry_of_the_tables_is_of_use(name):
    """A parameter that a design does not have, or only values that it refuses, would go unnoticed otherwise."""
    sizes, variants, small = ARRAYS[name]
    for size in [*sizes, small, *_FORMAL_ARRAYS.get(name, ())]:
        assert any(_configured(name, size, variant) for variant in variants), size
    for variant in variants:
        assert any(_configured(name, size, variant) for size in sizes), variant


def test_campaign_resumes(build_folder, monkeypatch, tmp_path):
    jobs = [(configure("mac", **SMALL), {"on": "rtl"}), (configure("mac", **SMALL), {"on": "rtl", "exhaustive": True})]
    lines = []
    rows = campaign(build_folder=build_folder, jobs=jobs, processes=1, log=lines.append)
    assert [row["passed"] for row in rows] == [True, True]
    assert rows[1]["beats_in"] == 1 << 9
    assert rows[0]["parameters"] == {**SMALL, "acc_width": configure("mac", **SMALL).acc_width}
    assert lines[1].startswith("2 of 2: mac a_width=4 b_width=5 b_signed=False max_k=40")
    assert lines[1].endswith("on rtl, all operand pairs: passed")

    def again(*_arguments, **_options):
        raise AssertionError("verified again what was verified already")

    monkeypatch.setattr("carrysave.campaign.verify", again)
    assert campaign(build_folder=build_folder, jobs=jobs, processes=1) == rows
    assert campaign(build_folder=build_folder, jobs=jobs, processes=2) == rows  # the processes find it in the store

    text = write_markdown([rows[0], {**rows[1], "passed": False, "failure": "bit 3"}], tmp_path / "x.md").read_text()
    table = [line for line in text.splitlines() if line.startswith("| mac")]
    assert len(table) == 2
    assert table[0].endswith("| passed |")
    assert "| 512 (all) |" in table[1]
    assert table[1].endswith("| FAILED: bit 3 |")
    assert "2 jobs, 1 passed, 1 failed" in text
    assert "Partial" not in text
    assert "## Formal proofs" not in text
    text = write_markdown(rows, tmp_path / "x.md", planned=7).read_text()
    assert "**Partial run: 2 of 7 jobs.** 2 jobs, 2 passed, 0 failed" in text


def test_proofs_are_jobs(build_folder, monkeypatch, tmp_path):
    jobs = [(configure("opt1", width=4, max_k=4), {"on": "formal"})]
    lines = []
    rows = campaign(build_folder=build_folder, jobs=jobs, processes=1, log=lines.append)
    assert rows[0]["passed"]
    assert [proof["failure"] for proof in rows[0]["proofs"]] == [None] * 4
    assert lines[0].endswith("formally: passed")
    monkeypatch.setattr(formal, "prove", None)
    assert campaign(build_folder=build_folder, jobs=jobs, processes=1) == rows

    text = write_markdown(rows, tmp_path / "x.md").read_text()
    assert text.count("| opt1 | a_width=4") == 4
    assert "| final adder: result is s + c + correction |" in text


def test_a_proof_that_fails(build_folder, monkeypatch, tmp_path):
    def fails():
        raise bit_sums.NotProven("for a reason")

    monkeypatch.setattr(formal, "subjects", lambda config: [("thing", "it is so", fails)])
    config = configure("opt1", width=4, max_k=5)
    rows = campaign(build_folder=build_folder, jobs=[(config, {"on": "formal"})], processes=1)
    assert not rows[0]["passed"]
    assert rows[0]["failure"] == "thing: for a reason"
    text = write_markdown(rows, tmp_path / "x.md").read_text()
    assert "| thing: it is so | - | FAILED: for a reason |" in text


def test_a_scheduler_needs_its_extra(build_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)  # not installed
    with pytest.raises(CarrysaveError, match=r"^a scheduler needs the extra dask: pip install 'carrysave\[dask\]'$"):
        campaign(build_folder=build_folder, jobs=[], scheduler="tcp://127.0.0.1:9")


def test_jobs_on_a_cluster(build_folder):
    distributed = pytest.importorskip("distributed", reason="needs the extra dask")
    jobs = [(configure("mac", **SMALL), {"on": "rtl"})]
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        rows = campaign(build_folder=build_folder, jobs=jobs, scheduler=cluster.scheduler_address)
    assert rows == campaign(build_folder=build_folder, jobs=jobs, processes=1)
