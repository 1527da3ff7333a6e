"""The AXI4-Stream wrapper: its ports, and every beat through it, with back-pressure."""

import re

import numpy as np
import pytest

from carrysave.hdl.axis import axis_verilog, axis_widths
from carrysave.hdl.catalogue import design
from carrysave.models.mac import MACConfig
from carrysave.models.systolic import SystolicConfig
from carrysave.sim.player import play
from carrysave.sim.store import Store

# Odd widths, so that both words need padding.
CONFIGS = {
    "mac": MACConfig(a_width=5, b_width=6, max_k=40),
    "systolic": SystolicConfig(a_width=4, b_width=5, rows=1, cols=3, max_k=40, pe="mac"),
}

# The player drives the plain streams: adapts them to the wrapper's. Padding of the input is noise; a padding of the
# output that is not zero spoils the payload.
ADAPTER = """
module {top}(input clk, input rst, input [{i_top}:0] i__payload, input i__valid, output i__ready,
             output [{o_top}:0] o__payload, output o__valid, input o__ready);
  wire [{s_top}:0] s_data;
  wire [{m_top}:0] m_data;
  wire m_last;
  assign s_data = {s_data};
  assign o__payload = {o_payload} ^ {{{o_width}{{{spoilt}}}}};
  {top}_axis dut(.aclk(clk), .aresetn(~rst), .s_axis_tdata(s_data), {s_last} .s_axis_tvalid(i__valid),
    .s_axis_tready(i__ready), .m_axis_tdata(m_data), {m_last} .m_axis_tvalid(o__valid), .m_axis_tready(o__ready));
endmodule
"""


def adapted(config):
    """The wrapper's Verilog behind the ports of the plain design."""
    top = config.design.replace("-", "_")
    text, found = re.subn(rf"^module {top}\(", f"module {top}_axis(", axis_verilog(config), flags=re.MULTILINE)
    assert found == 1
    (s_width, m_width), i_width, o_width = axis_widths(config), config.i.width, config.o.width
    i_last = config.i.fields[-1].name == "last"
    o_last = config.o.fields[-1].name == "last"
    i_data, o_data = i_width - i_last, o_width - o_last
    noise = f"{{{s_width - i_data}{{^i__payload}}}}, " if s_width > i_data else ""
    return text + ADAPTER.format(
        top=top,
        i_top=i_width - 1,
        o_top=o_width - 1,
        s_top=s_width - 1,
        m_top=m_width - 1,
        o_width=o_width,
        s_data=f"{{{noise}i__payload[{i_data - 1}:0]}}",
        o_payload=f"{{m_last, m_data[{o_data - 1}:0]}}" if o_last else f"m_data[{o_data - 1}:0]",
        spoilt=f"|m_data[{m_width - 1}:{o_data}]" if m_width > o_data else "1'b0",
        s_last=f".s_axis_tlast(i__payload[{i_width - 1}])," if i_last else "",
        m_last=".m_axis_tlast(m_last)," if o_last else "",
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_every_beat_passes_under_back_pressure(name, build_folder):
    config = CONFIGS[name]
    beats = design(config.design).stimulus(config, np.random.default_rng(8), 2000)
    store, sources = Store(build_folder), [adapted(config)]
    stalled = play(config, beats, store=store, sources=sources, stalls=1)
    assert stalled.passed, stalled.first_mismatch
    assert stalled.beats == 2000
    freely = play(config, beats, store=store, sources=sources)
    assert freely.passed, freely.first_mismatch
    assert freely.cycles < stalled.cycles, "the stalls did not stall"


def test_widths_are_whole_bytes():
    for config in CONFIGS.values():
        for payload, width in zip((config.i, config.o), axis_widths(config), strict=True):
            bits = payload.width - (payload.fields[-1].name == "last")
            assert width % 8 == 0
            assert bits <= width < bits + 8


def test_core_and_header():
    text = axis_verilog(CONFIGS["mac"])
    assert re.findall(r"^module (mac\w*)", text, re.MULTILINE).count("mac") == 1
    assert "mac_core" in text
    assert "// Made by: carrysave generate mac --wrapper axis -p a_width=5" in text
    assert text == axis_verilog(CONFIGS["mac"])
