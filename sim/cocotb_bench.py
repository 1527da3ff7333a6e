"""The one generic cocotb bench: any catalogue entry through its streams ``i`` and ``o``.

Runs inside the simulator. The environment variable ``CARRYSAVE_JOB`` names a JSON file with ``design``, ``parameters``,
``vectors``, ``seed`` and ``verdict``, the file to write.

The harness hands the bench's values on to the design at the rising edge. At the falling edge all has settled, in any
simulator: the bench reads there which handshakes the coming rising edge completes, and says what to apply after it.
"""

import json
import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import cocotb
import numpy as np
from cocotb.triggers import FallingEdge

from carrysave.hdl.catalogue import design
from carrysave.models.errors import CarrysaveError
from carrysave.sim.telling import mismatch

# Chance of offering an input beat, chance of taking an output beat, and the mean length of a run of either in cycles.
STALLS = {
    "never stalled": (1.0, 1.0, 1),
    "slow source": (0.3, 1.0, 1),
    "slow sink": (1.0, 0.3, 1),
    "both at random": (0.5, 0.5, 1),
    "bursts": (0.6, 0.6, 12),
    "long stops": (0.9, 0.1, 40),
}
PATIENCE_CYCLES = 4096
ISOLATED_OUTPUTS = 4


class Failure(Exception):
    """The design did something wrong; the text says what."""


@dataclass
class Bench:
    """State of the bench: what went in, what came out, when."""

    dut: object
    config: object
    entry: object
    beats: np.ndarray
    expected: np.ndarray
    words: list
    wanted: list
    random: random.Random
    limit: int = 0
    sent: int = 0
    got: int = 0
    cycle: int = 0
    idle: int = 0
    accepted_at: list = field(default_factory=list)
    received_at: list = field(default_factory=list)
    offering: bool = False
    taking: bool = False
    held: object = None

    async def step(self, offer, take):
        """One clock cycle; ``offer`` and ``take`` say whether to offer an input beat and take an output beat in the next."""
        dut = self.dut
        await FallingEdge(dut.clk)
        self.cycle += 1
        self.idle += self.taking  # while nothing is taken, nothing need come
        self._output()
        ready = dut.i_ready.value
        if not ready.is_resolvable:
            raise Failure(f"i.ready is unknown (x) in cycle {self.cycle}")
        if self.offering and int(ready):
            self.accepted_at.append(self.cycle)
            self.sent, self.offering, self.idle = self.sent + 1, False, 0
        if not self.offering:
            self.offering = offer and self.sent < self.limit
            dut.cocotb_i_valid.value = int(self.offering)
            if self.offering:
                dut.cocotb_i_payload.value = self.words[self.sent]
        self.taking = take
        dut.cocotb_o_ready.value = int(take)
        if self.idle > PATIENCE_CYCLES and (self.offering or self.got < len(self.wanted)):
            raise Failure(
                f"the design stopped in cycle {self.cycle}: {self.sent} of {len(self.words)} input beats taken, "
                f"{self.got} of {len(self.wanted)} output beats given, nothing for {PATIENCE_CYCLES} cycles"
            )

    def _output(self):
        dut, valid = self.dut, self.dut.o_valid.value
        if not valid.is_resolvable:
            raise Failure(f"o.valid is unknown (x) in cycle {self.cycle}")
        if not int(valid):
            if self.held is not None:
                raise Failure(f"o.valid dropped in cycle {self.cycle} before output beat {self.got} was taken")
            return
        payload = dut.o_payload.value
        if self.held is not None and payload != self.held:
            raise Failure(f"o.payload changed in cycle {self.cycle} before output beat {self.got} was taken")
        if not self.taking:
            self.held = payload
            return
        self.held = None
        word = int(payload) if payload.is_resolvable else None
        if self.got >= len(self.wanted) or word != self.wanted[self.got]:
            got = None if word is None else self.config.o.from_ints([word])
            raise Failure(mismatch(self.config, self.beats, self.expected, index=self.got, got=got, cycle=self.cycle))
        self.received_at.append(self.cycle)
        self.got, self.idle = self.got + 1, 0

    async def isolated(self, latency):
        """Reductions on their own, nothing in their way: each one's first output comes after exactly ``latency`` cycles."""
        for _ in range(ISOLATED_OUTPUTS):
            if self.sent == len(self.words):
                return
            first, begin = self.got, self.sent
            count = first
            while count == first and self.limit < len(self.words):
                self.limit += 1
                count = len(self.entry.golden(self.config, self.beats[: self.limit]))
            while self.sent < self.limit or self.got < count:
                await self.step(True, True)
            if count > first:
                took = self.received_at[first] - self.accepted_at[-1]
                if self.entry.latency_of_beats:
                    latency = self.entry.latency_of_beats(self.config, self.beats[begin : self.limit])
                if took != latency:
                    raise Failure(
                        f"output beat {first} came {took} cycles after input beat {self.sent - 1}, which completes it; "
                        f"the design's latency is {latency}"
                    )

    async def stalled(self, name, until):
        """Offer input beats up to index ``until`` by one pattern of stalls."""
        offers, takes, run = STALLS[name]
        offer, take = True, True
        while self.sent < until:
            if run == 1 or self.random.random() < 1 / run:
                offer = self.random.random() < offers
            if run == 1 or self.random.random() < 1 / run:
                take = self.random.random() < takes
            await self.step(offer, take)

    async def drained(self, cycles):
        """Take all that is still to come, and then nothing more for a while."""
        while self.got < len(self.wanted):
            await self.step(False, True)
        for _ in range(cycles):
            await self.step(False, True)


@cocotb.test()
async def verify(dut):
    """Every pattern of stalls in turn, without a reset between; then silence."""
    job = json.loads(Path(os.environ["CARRYSAVE_JOB"]).read_text())
    entry = design(job["design"])
    config = entry.config.from_mapping(job["parameters"])
    latency, interval = job["latency"], job["initiation_interval"]
    cocotb.log.info("seed %d", job["seed"])
    beats = entry.stimulus(config, np.random.default_rng(job["seed"]), job["vectors"])
    expected = entry.golden(config, beats)
    words, wanted = config.i.to_ints(beats), config.o.to_ints(expected)
    bench = Bench(dut, config, entry, beats, expected, words, wanted, random.Random(job["seed"]))
    failure, intervals = None, {}
    pattern = "isolated reductions"
    try:
        if not words or not wanted:
            raise Failure("the stimulus has no beats, or completes no output: nothing would be proved")
        dut.cocotb_i_payload.value = 0
        dut.cocotb_i_valid.value = 0
        dut.cocotb_o_ready.value = 0
        await FallingEdge(dut.clk)
        while dut.rst.value != 0:  # before the first edge it may be anything, whatever its initial value
            await FallingEdge(dut.clk)
        await bench.isolated(latency)
        left, bench.limit = len(words) - bench.sent, len(words)
        for number, pattern in enumerate(STALLS, 1):
            start = bench.sent
            await bench.stalled(pattern, len(words) - left + left * number // len(STALLS))
            if len(times := bench.accepted_at[start:]) > 1:
                intervals[pattern] = [int(np.diff(times).min()), (times[-1] - times[0]) / (len(times) - 1)]
        shortest = min((pair[0] for pair in intervals.values()), default=interval)
        if shortest != interval:
            raise Failure(
                f"input beats were taken every {shortest} cycles at best; the design's initiation interval is {interval}"
            )
        pattern = "end of the run"
        await bench.drained(64 + 4 * latency)
        if not bench.sent or not bench.got:
            raise Failure("ran 0 beats")
    except (Failure, CarrysaveError) as error:
        failure = f"{error} (stalls: {pattern}; seed {job['seed']})"
    verdict = {
        "failure": failure,
        "beats_in": bench.sent,
        "beats_out": bench.got,
        "cycles": bench.cycle,
        "intervals": intervals,
    }
    Path(job["verdict"]).write_text(json.dumps(verdict))
    assert failure is None, failure
