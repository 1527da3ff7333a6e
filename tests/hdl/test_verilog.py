"""Exported Verilog: stable, plain, every processing element once."""

import re

import pytest

from carrysave.hdl.catalogue import DESIGNS, design
from carrysave.hdl.pe import MACPE
from carrysave.hdl.verilog import module_name, verilog, verilog_of
from carrysave.models.mac import MACConfig, OPT1Config
from carrysave.models.systolic import SystolicConfig

ARRAY = SystolicConfig(rows=3, cols=4, a_width=4, b_width=4, max_k=40)


@pytest.fixture(scope="module")
def texts():
    configs = [MACConfig(max_k=16), OPT1Config(max_k=16), ARRAY]
    return {config: verilog(config) for config in configs}


def test_stable_byte_for_byte(texts):
    assert verilog(ARRAY) == texts[ARRAY]


def test_every_pe_once(texts):
    for config, text in texts.items():
        pe = design(config.design).pe(config)
        assert len(re.findall(rf"^module {pe}\(", text, re.MULTILINE)) == 1
        instances = re.findall(rf"^  {pe} \w+ \(", text, re.MULTILINE)
        assert len(instances) == (12 if config is ARRAY else 1)
        modules = re.findall(r"^module (\S+)\(", text, re.MULTILINE)
        assert len(set(modules)) == len(modules)


def test_grows_with_instances_not_copies(texts):
    larger = verilog(ARRAY.replace(rows=6, cols=8, result_rows=6))
    assert len(larger) < 6 * len(texts[ARRAY])
    assert len(re.findall(r"^  opt1_pe \w+ \(", larger, re.MULTILINE)) == 48


def test_top_ports_and_header(texts):
    for config, text in texts.items():
        lines = text.splitlines()
        assert lines[0] == f"// {config.design}: {DESIGNS[config.design].title}"
        assert config.digest in lines[1]
        top = module_name(config.design)
        ports = re.search(rf"^module {top}\((.*)\);", text, re.MULTILINE)[1].split(", ")
        assert sorted(ports) == sorted(
            ["clk", "rst", "i__payload", "i__valid", "i__ready", "o__payload", "o__valid", "o__ready"]
        )
        # Regenerating it is what the header says.
        pairs = re.search(r"carrysave generate \S+ -p (.*)", text)[1].split()
        assert type(config).from_pairs(pairs) == config


def test_plain_verilog(texts):
    for text in texts.values():
        # Names of modules are plain; ports that Amaranth makes up between them may be escaped.
        assert not re.search(r"^\s*module\s+\\", text, re.MULTILINE)
        code = re.sub(r"//.*|\\\S+ ", "", text)  # without comments and escaped identifiers
        assert "\\" not in code
        assert set(re.findall(r"(?<![\w$])\$\w+", code)) <= {"$signed"}
        assert not re.search(r"\b(logic|always_ff|always_comb|bit|int)\b", code)


def test_pe_has_no_reset(texts):
    text = verilog_of(MACPE(MACConfig(max_k=16)), "mac_pe", reset=False)
    ports = re.search(r"^module mac_pe\((.*)\);", text, re.MULTILINE)[1].split(", ")
    assert sorted(ports) == ["a", "a_o", "acc", "b", "b_o", "clear", "clk"]


@pytest.mark.parametrize("name", ["1st", "a b", "mac;", ""])
def test_names_that_are_no_identifiers(name):
    with pytest.raises(ValueError, match=r"^a design's name must make a Verilog identifier, "):
        module_name(name)
