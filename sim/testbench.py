"""A self-checking test bench in plain Verilog-2001, with its vectors, for any simulator; nothing of ours is needed to run it."""

from string import Template

from ..hdl.verilog import module_name
from ..models.errors import ConfigError

__all__ = ["testbench"]

_TESTBENCH = Template("""\
// Self-checking test bench of $dut: plays $beats input beats with pauses on both streams and compares $outputs output
// beats. Prints PASS or FAIL. Needs inputs.hex and expected.hex in the folder in which the simulator runs:
//   with Icarus: iverilog -o $top design.v $top.v && vvp $top
//   with Verilator: verilator --binary --timing -Wno-lint design.v $top.v --top-module $top && obj_dir/V$top
`timescale 1ns / 1ps

module $top;
  reg clk;
  reg rst;
  reg [$i_top:0] i_payload;
  reg i_valid;
  wire i_ready;
  wire [$o_top:0] o_payload;
  wire o_valid;
  reg o_ready;

  $dut dut (
    .clk(clk),
    .rst(rst),
    .i__payload(i_payload),
    .i__valid(i_valid),
    .i__ready(i_ready),
    .o__payload(o_payload),
    .o__valid(o_valid),
    .o__ready(o_ready)
  );

  reg [$i_top:0] inputs [0:$last_beat];
  reg [$o_top:0] expected [0:$last_output];
  reg [31:0] noise;
  integer sent, received, mismatches, idle, cycle;

  initial begin
    $$readmemh("inputs.hex", inputs);
    $$readmemh("expected.hex", expected);
    clk = 1'b0;
    rst = 1'b1;
    i_payload = 0;
    i_valid = 1'b0;
    o_ready = 1'b0;
    noise = 32'h2545f491;
    sent = 0;
    received = 0;
    mismatches = 0;
    idle = 0;
    cycle = 0;
  end

  always #5 clk = ~clk;

  always @(posedge clk) begin
    cycle = cycle + 1;
    if (cycle == 4) rst <= 1'b0;
    if (cycle > 4) begin
      // xorshift32: three beats of four are offered at once, and three of four cycles take one.
      noise = noise ^ (noise << 13);
      noise = noise ^ (noise >> 17);
      noise = noise ^ (noise << 5);
      o_ready <= noise[1:0] != 2'd0;
      idle = idle + 1;

      if (!i_valid || i_ready) begin
        if (i_valid) idle = 0;
        i_valid <= 1'b0;
        if (sent < $beats && noise[3:2] != 2'd0) begin
          i_valid <= 1'b1;
          i_payload <= inputs[sent];
          sent = sent + 1;
        end
      end

      if (o_valid === 1'b1 && o_ready) begin
        idle = 0;
        if (received >= $outputs) begin
          mismatches = mismatches + 1;
          $$display("output beat %0d is too many: %h", received, o_payload);
        end else if (o_payload !== expected[received]) begin
          mismatches = mismatches + 1;
          if (mismatches <= 10)
            $$display("output beat %0d: got %h, expected %h", received, o_payload, expected[received]);
        end
        received = received + 1;
      end

      if (idle == $patience) begin
        if (mismatches == 0 && received == $outputs && sent == $beats)
          $$display("PASS: %0d input beats, %0d output beats, %0d cycles", sent, received, cycle - $patience);
        else
          $$display("FAIL: %0d mismatches, %0d of $outputs output beats, %0d of $beats input beats", mismatches, received,
                   sent);
        $$finish;
      end
    end
  end
endmodule
""")

_PATIENCE_CYCLES = 2000


def testbench(config, beats, expected):
    """Test bench and vectors.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    beats : array of ``config.i.dtype``
    expected : array of ``config.o.dtype``
        What the golden model makes of them.

    Returns
    -------
    :class:`dict`
        File names to texts: ``<design>_tb.v``, ``inputs.hex``, ``expected.hex``. The files are the same for the same
        arguments.

    Raises
    ------
    ConfigError
        If there are no beats, or no outputs: nothing would be tested.
    """
    if not len(beats) or not len(expected):
        raise ConfigError(f"a test bench needs input and output beats, not {len(beats)} and {len(expected)}")
    dut = module_name(config.design)
    text = _TESTBENCH.substitute(
        top=f"{dut}_tb",
        dut=dut,
        i_top=config.i.width - 1,
        o_top=config.o.width - 1,
        beats=len(beats),
        outputs=len(expected),
        last_beat=len(beats) - 1,
        last_output=len(expected) - 1,
        patience=_PATIENCE_CYCLES,
    )
    return {f"{dut}_tb.v": text, "inputs.hex": _hex(config.i, beats), "expected.hex": _hex(config.o, expected)}


def _hex(payload, beats):
    digits = -(-payload.width // 4)
    return "".join(f"{word:0{digits}x}\n" for word in payload.to_ints(beats))
