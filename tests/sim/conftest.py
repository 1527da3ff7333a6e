"""One result store for all tests of the room: what one builds, the next one finds. And designs that are wrong."""

import shutil

import pytest

from carrysave.hdl.verilog import verilog
from carrysave.sim.store import Store

WRAPPER = """
module {top}(clk, rst, i__payload, i__valid, i__ready, o__payload, o__valid, o__ready);
  input clk, rst, i__valid, o__ready;
  input [{i_top}:0] i__payload;
  output i__ready, o__valid;
  output [{o_top}:0] o__payload;
  wire ready, valid;
  wire [{o_top}:0] payload;
  reg late = 1'b0;
  reg half = 1'b0;
  always @(posedge clk) begin
    late <= valid & ~(o__valid & o__ready);
    half <= ~half;
  end
  right right(.clk(clk), .rst(rst), .i__payload(i__payload), .i__valid({i_valid}), .i__ready(ready),
              .o__payload(payload), .o__valid(valid), .o__ready({o_ready}));
  assign i__ready = {i_ready};
  assign o__payload = {o_payload};
  assign o__valid = {o_valid};
endmodule
"""


@pytest.fixture(scope="session")
def store(build_folder):
    return Store(build_folder)


@pytest.fixture
def icarus():
    if shutil.which("iverilog") is None:
        pytest.skip("needs Debian's iverilog")


@pytest.fixture
def wrapped():
    """A function that wraps a design's RTL and replaces what its ports carry, by expressions."""

    def wrap(config, **ports):
        right = {
            "i_valid": "i__valid",
            "o_ready": "o__ready",
            "i_ready": "ready",
            "o_payload": "payload",
            "o_valid": "valid",
        }
        top = config.design.replace("-", "_")
        text = verilog(config).replace(f"module {top}(", "module right(")
        wrapper = WRAPPER.format(top=top, i_top=config.i.width - 1, o_top=config.o.width - 1, **{**right, **ports})
        return [text + wrapper]

    return wrap
