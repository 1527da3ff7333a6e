"""Small designs that the tests of this room share; each is synthesised once."""

import json

import pytest

from carrysave.asic.liberty import default_library
from carrysave.asic.netlist import Netlist
from carrysave.asic.synthesis import Recipe, synthesise

MAC = """
module mac_pe(input clk, input clear, input signed [3:0] a, input signed [3:0] b, output reg signed [11:0] acc);
  reg signed [3:0] ar, br;
  always @(posedge clk) begin ar <= a; br <= b; if (clear) acc <= 0; else acc <= acc + ar * br; end
endmodule
module quad(input clk, input clear, input [7:0] a, input [7:0] b, output [47:0] acc);
  mac_pe p00(.clk(clk), .clear(clear), .a(a[3:0]), .b(b[3:0]), .acc(acc[11:0]));
  mac_pe p01(.clk(clk), .clear(clear), .a(a[3:0]), .b(b[7:4]), .acc(acc[23:12]));
  mac_pe p10(.clk(clk), .clear(clear), .a(a[7:4]), .b(b[3:0]), .acc(acc[35:24]));
  mac_pe p11(.clk(clk), .clear(clear), .a(a[7:4]), .b(b[7:4]), .acc(acc[47:36]));
endmodule
"""


@pytest.fixture(scope="session")
def library():
    return default_library()


@pytest.fixture(scope="session")
def mac_verilog():
    return MAC


@pytest.fixture(scope="session")
def quad(library, tmp_path_factory):
    """Netlist of four instances of one small multiply-accumulate unit."""
    folder = tmp_path_factory.mktemp("quad")
    return synthesise(
        MAC, "quad", library=library, target_ps=700, folder=folder, recipes=[Recipe(), Recipe(script="area")]
    )


@pytest.fixture(scope="session")
def by_hand():
    """A function that makes a netlist of cells given by hand; nets are numbers from 2, or constants."""
    return netlist


def netlist(folder, library, cells, *, inputs=(), outputs=(), modules=None):
    ports = {name: {"direction": "input", "bits": [bit]} for name, bit in dict(inputs).items()}
    ports |= {name: {"direction": "output", "bits": [bit]} for name, bit in dict(outputs).items()}
    cells = {
        name: {"type": kind, "connections": {pin: [] if bit is None else [bit] for pin, bit in pins.items()}}
        for name, (kind, pins) in cells.items()
    }
    bits = sorted(
        {bit for cell in cells.values() for pin in cell["connections"].values() for bit in pin if bit != str(bit)}
    )
    nets = {f"net{bit}": {"bits": [bit]} for bit in bits}
    content = {"modules": {"top": {"ports": ports, "cells": cells, "netnames": nets}, **(modules or {})}}
    path = folder / "netlist.json"
    path.write_text(json.dumps(content))
    return Netlist.read(path, top="top", library=library, verilog=folder / "none.v", cell_models=folder / "none.v")
