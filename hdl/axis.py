"""AXI4-Stream wrapper around a design, as Verilog text with the port names that vendors' tools look for."""

from .catalogue import DESIGNS
from .verilog import header, module_name, verilog_of

__all__ = ["axis_verilog", "axis_widths"]


def _data(payload):
    """Width of the part that travels in ``tdata``, and whether ``tlast`` carries the field ``last``."""
    has_last = payload.fields[-1].name == "last" and payload.fields[-1].width == 1
    return payload.width - has_last, has_last


def axis_widths(config):
    """Bits of ``s_axis_tdata`` and ``m_axis_tdata``: the payloads without ``last``, filled up to whole bytes."""
    return tuple((_data(payload)[0] + 7) // 8 * 8 for payload in (config.i, config.o))


def axis_verilog(config):
    """Verilog-2001 of a design with AXI4-Stream ports; the top module has the design's name.

    ``tdata`` carries the payload's bits in order, zeros (ignored on input) above them; a field ``last`` travels as
    ``tlast`` instead. ``aclk`` is the clock, ``aresetn`` the synchronous, active-low reset.
    """
    name = module_name(config.design)
    core = f"{name}_core"
    (s_width, m_width), (i_width, i_last), (o_width, o_last) = axis_widths(config), _data(config.i), _data(config.o)
    i_payload = f"s_axis_tdata[{i_width - 1}:0]"
    if i_last:
        i_payload = f"{{s_axis_tlast, {i_payload}}}"
    padding = m_width - o_width
    o_data = f"o_payload[{o_width - 1}:0]"
    if padding:
        o_data = f"{{{padding}'b0, {o_data}}}"
    lines = [
        f"module {name}(",
        "  input aclk,",
        "  input aresetn,",
        f"  input [{s_width - 1}:0] s_axis_tdata,",
        *(["  input s_axis_tlast,"] if i_last else []),
        "  input s_axis_tvalid,",
        "  output s_axis_tready,",
        f"  output [{m_width - 1}:0] m_axis_tdata,",
        *(["  output m_axis_tlast,"] if o_last else []),
        "  output m_axis_tvalid,",
        "  input m_axis_tready",
        ");",
        f"  wire [{config.o.width - 1}:0] o_payload;",
        f"  assign m_axis_tdata = {o_data};",
        *([f"  assign m_axis_tlast = o_payload[{o_width}];"] if o_last else []),
        f"  {core} core (",
        "    .clk(aclk),",
        "    .rst(~aresetn),",
        f"    .i__payload({i_payload}),",
        "    .i__valid(s_axis_tvalid),",
        "    .i__ready(s_axis_tready),",
        "    .o__payload(o_payload),",
        "    .o__valid(m_axis_tvalid),",
        "    .o__ready(m_axis_tready)",
        "  );",
        "endmodule",
        "",
    ]
    component = DESIGNS[config.design].component(config)
    return verilog_of(component, core, header=header(config, "--wrapper axis")) + "\n" + "\n".join(lines)
