"""cocotb's part of bulk mode: start the player, wait until it is done, take its verdict.

Runs inside the simulator. The environment variable ``CARRYSAVE_JOB`` is a JSON object with ``verdict``, the file to write,
and ``counters``, whether the design has a port of that name.
"""

import json
import os
import time
from pathlib import Path

import cocotb
from cocotb.triggers import FallingEdge, RisingEdge

COUNTERS = ("accepted", "received", "cycles", "mismatches", "violations", "wrong_index", "wrong_cycle")


@cocotb.test()
async def play(dut):
    """Wait for the harness, which plays at the simulator's own speed."""
    start = time.perf_counter()
    await RisingEdge(dut.done)
    seconds = time.perf_counter() - start
    await FallingEdge(dut.clk)  # by now all counters have settled in any simulator
    verdict = {name: int(getattr(dut, name).value) for name in COUNTERS}
    verdict["hung"] = bool(int(dut.hung.value))
    wrong = dut.wrong_got.value
    verdict["wrong_got"] = int(wrong) if wrong.is_resolvable else None
    verdict["seconds"] = seconds
    job = json.loads(os.environ["CARRYSAVE_JOB"])
    if job["counters"]:
        counters = dut.counters.value
        verdict["counters"] = int(counters) if counters.is_resolvable else None
    Path(job["verdict"]).write_text(json.dumps(verdict))
