"""The Verilog test harness around a design: its clock, its reset, a player of vectors, and hooks for a cocotb bench.

One harness serves both ways of simulating, so that a design is built once. With the plusarg ``+manual`` cocotb drives the
streams; without it the harness reads packed beats from a file, drives them into ``i``, compares what comes out of ``o``
with the expected beats and counts, with no Python between the cycles.

Files of beats are binary, each beat as many bytes as its payload needs, most significant byte first (``$fread``'s order).
It is plain Verilog-2001, read alike by Verilator (``--timing``) and Icarus.
"""

from string import Template

__all__ = ["RESET_CYCLES", "TOP", "harness"]

TOP = "carrysave_harness"
RESET_CYCLES = 4

_SAIF = """
  // The activity window opens with the first accepted beat; it closes when the simulation ends, at the last output.
  reg tracing = 1'b0;
  always @(negedge clk)
    if (!tracing && !rst && i_valid && i_ready) begin
      tracing <= 1'b1;
      $$value$$plusargs("saif=%s", name);
      $$dumpfile(name);
      $$dumpvars;
    end
"""

_COUNTERS = Template("""
  // What the design itself counts, from reset on.
  wire [$top:0] counters /* verilator public_flat_rd */;
""")

_HARNESS = Template("""\
`timescale 1ns / 1ps

module $top;
  // verilator tracing_off
  reg clk /* verilator public_flat_rd */ = 1'b0;
  always #5 clk = ~clk;
  reg rst /* verilator public_flat_rd */ = 1'b1;

  // All inputs of the design change with the rising edge, whoever drives them. (Verilator's hierarchical blocks miss
  // inputs that change without one.)
  reg [$i_top:0] i_payload = 0;
  reg i_valid = 1'b0;
  wire i_ready /* verilator public_flat_rd */;
  wire [$o_top:0] o_payload /* verilator public_flat_rd */;
  wire o_valid /* verilator public_flat_rd */;
  reg o_ready = 1'b0;

  // In manual mode cocotb says here what to apply after the next rising edge.
  reg manual = 1'b0;
  reg [$i_top:0] cocotb_i_payload /* verilator public_flat_rw */ = 0;
  reg cocotb_i_valid /* verilator public_flat_rw */ = 1'b0;
  reg cocotb_o_ready /* verilator public_flat_rw */ = 1'b0;
$counters
  // verilator tracing_on
  $dut dut (
    .clk(clk),
    .rst(rst),
    .i__payload(i_payload),
    .i__valid(i_valid),
    .i__ready(i_ready),
    .o__payload(o_payload),
    .o__valid(o_valid),
    .o__ready(o_ready)$counters_port
  );
  // verilator tracing_off
$saif
  // What cocotb reads when all is done.
  reg done /* verilator public_flat_rd */ = 1'b0;
  reg hung /* verilator public_flat_rd */ = 1'b0;
  reg [63:0] accepted /* verilator public_flat_rd */ = 0;
  reg [63:0] received /* verilator public_flat_rd */ = 0;
  reg [63:0] cycles /* verilator public_flat_rd */ = 0;
  reg [63:0] mismatches /* verilator public_flat_rd */ = 0;
  reg [63:0] violations /* verilator public_flat_rd */ = 0;
  reg [63:0] wrong_index /* verilator public_flat_rd */ = 0;
  reg [63:0] wrong_cycle /* verilator public_flat_rd */ = 0;
  reg [$o_top:0] wrong_got /* verilator public_flat_rd */ = 0;
  reg [$o_top:0] wrong_expected /* verilator public_flat_rd */ = 0;

  reg [63:0] beats, outputs, patience, drain, cycle = 0, idle = 0, offered = 0;
  reg [31:0] noise = 0;
  reg [7:0] i_stall = 0, o_stall = 0;
  reg stalls = 1'b0, check = 1'b0, record = 1'b0, quiet = 1'b0;
  reg held = 1'b0;
  reg [$o_top:0] held_payload = 0;
  reg [$i_word_top:0] i_word;
  reg [$o_word_top:0] o_word;
  reg [8191:0] name;
  integer i_file, o_file, r_file, count;
  // Without expected beats there is no telling how many outputs are all.
  wire complete = accepted == beats && (!check || received == outputs);
  reg [2:0] reset_left = $reset_cycles;

  initial begin
    manual = $$test$$plusargs("manual");
    if (!manual) begin
      count = $$value$$plusargs("inputs=%s", name);
      i_file = $$fopen(name, "rb");
      check = $$value$$plusargs("expected=%s", name);
      if (check) o_file = $$fopen(name, "rb");
      record = $$value$$plusargs("record=%s", name);
      if (record) r_file = $$fopen(name, "wb");
      count = $$value$$plusargs("beats=%d", beats);
      count = $$value$$plusargs("outputs=%d", outputs);
      count = $$value$$plusargs("patience=%d", patience);
      count = $$value$$plusargs("drain=%d", drain);
      stalls = $$value$$plusargs("stalls=%d", noise);
    end
  end

  always @(posedge clk)
    if (reset_left != 0) begin
      reset_left <= reset_left - 3'd1;
      if (reset_left == 3'd1) begin
        rst <= 1'b0;
        o_ready <= !manual && !stalls;
      end
    end else if (manual) begin
      i_payload <= cocotb_i_payload;
      i_valid <= cocotb_i_valid;
      o_ready <= cocotb_o_ready;
    end else if (!done) begin
      if (accepted != 0 || (i_valid && i_ready === 1'b1)) cycle = cycle + 64'd1;
      idle = idle + 64'd1;

      if (stalls) begin
        // xorshift32, and thresholds that change every 64 cycles or so: bursts, trickles and everything between.
        noise = noise ^ (noise << 13);
        noise = noise ^ (noise >> 17);
        noise = noise ^ (noise << 5);
        if (noise[5:0] == 6'd0) begin
          i_stall = noise[6] ? 8'd0 : noise[31:24] - (noise[31:24] >> 3);
          o_stall = noise[7] ? 8'd0 : noise[23:16] - (noise[23:16] >> 3);
        end
        o_ready <= noise[15:8] >= o_stall;
      end

      if (i_valid && i_ready === 1'b1) begin
        accepted <= accepted + 64'd1;
        idle = 64'd0;
      end
      if (!i_valid || i_ready === 1'b1) begin
        if (offered != beats && (!stalls || noise[23:16] >= i_stall)) begin
          count = $$fread(i_word, i_file);
          i_payload <= i_word[$i_top:0];
          i_valid <= 1'b1;
          offered = offered + 64'd1;
        end else i_valid <= 1'b0;
      end

      // A beat once offered stays, unchanged, until it is taken.
      if (o_valid === 1'bx) violations <= violations + 64'd1;
      if (held && (o_valid !== 1'b1 || o_payload !== held_payload)) violations <= violations + 64'd1;
      held = o_valid === 1'b1 && !o_ready;
      held_payload = o_payload;

      if (o_valid === 1'b1 && o_ready) begin
        idle = 64'd0;
        if (received == outputs) o_word = {$o_bytes{8'd0}};
        else if (check) count = $$fread(o_word, o_file);
        if (received == outputs || (check && o_payload !== o_word[$o_top:0])) begin
          if (mismatches == 0) begin
            wrong_index <= received;
            wrong_cycle <= cycle;
            wrong_got <= o_payload;
            wrong_expected <= o_word[$o_top:0];
          end
          mismatches <= mismatches + 64'd1;
        end
        if (record) $$fwrite(r_file, "%u", o_payload);
        if (received != outputs) begin
          received <= received + 64'd1;
          cycles <= cycle;
        end else quiet <= 1'b1;
        if (received + 64'd1 == outputs && accepted == beats && drain == 0) done <= 1'b1;
      end
      if (quiet || (complete && idle >= drain)) done <= 1'b1;
      if (idle >= patience) begin
        hung <= !complete;
        done <= 1'b1;
      end
    end
endmodule
""")


def harness(config, dut, *, saif=False):
    """Text of the harness of one configuration.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
        Says how wide the streams are; and with an attribute ``counters``, a
        :class:`~carrysave.models.payload.Payload`, what the design's port of that name holds.
    dut : :class:`str`
        Name of the design's top module.
    saif : :class:`bool`
        Trace switching activity, in the file named by the plusarg ``saif``.

    Returns
    -------
    :class:`str`
        A module called :data:`TOP`, without ports.
    """
    counters = getattr(config, "counters", None)
    i_bytes, o_bytes = (-(-payload.width // 8) for payload in (config.i, config.o))
    return _HARNESS.substitute(
        top=TOP,
        dut=dut,
        i_top=config.i.width - 1,
        o_top=config.o.width - 1,
        i_word_top=8 * i_bytes - 1,
        o_word_top=8 * o_bytes - 1,
        o_bytes=o_bytes,
        reset_cycles=RESET_CYCLES,
        saif=Template(_SAIF).substitute() if saif else "",
        counters=_COUNTERS.substitute(top=counters.width - 1) if counters else "",
        counters_port=",\n    .counters(counters)" if counters else "",
    )
