"""A design so small that the link around it is what is simulated: three times its input, at a pace of its own."""

import dataclasses
import random
from typing import ClassVar

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from carrysave.fpga.simulation import SimulatedTransport
from carrysave.hdl.layout import payload_layout
from carrysave.models.config import Config, parameter
from carrysave.models.payload import Field, Payload


@dataclasses.dataclass(frozen=True, kw_only=True)
class TripleConfig(Config):
    design: ClassVar[str] = "triple"
    shorthands: ClassVar[dict] = {}

    period: int = parameter(1, "cycles between the beats that are taken", legal=(1, 1 << 20))

    @property
    def i(self):
        return Payload((Field("x", 11, signed=True), Field("tag", 2)))

    @property
    def o(self):
        return Payload((Field("y", 13, signed=True), Field("tag", 2), Field("parity", 1), Field("spare", 3)))


class Triple(wiring.Component):
    def __init__(self, config):
        self._period = config.period
        super().__init__({
            "i": In(stream.Signature(payload_layout(config.i))),
            "o": Out(stream.Signature(payload_layout(config.o))),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        timer = Signal(range(self._period), init=self._period - 1)
        m.d.comb += self.i.ready.eq((timer == 0) & (~self.o.valid | self.o.ready))
        with m.If(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                timer.eq(self._period - 1),
                self.o.valid.eq(1),
                self.o.p.y.eq(3 * self.i.p.x),
                self.o.p.tag.eq(self.i.p.tag),
                self.o.p.parity.eq(self.i.p.as_value().xor()),
            ]
        return m


class TripleCase:
    """The design's configuration, input beats, expected output beats, and simulations of it."""

    def config(self, **parameters):
        return TripleConfig(**parameters)

    def beats(self, rng, count):
        return TripleConfig().i.beats(x=rng.integers(-1024, 1024, count), tag=rng.integers(0, 4, count))

    def golden(self, beats):
        bits = TripleConfig().i.bits(beats)
        return TripleConfig().o.beats(
            y=3 * beats["x"], tag=beats["tag"], parity=bits.sum(axis=1) % 2, spare=0 * beats["x"]
        )

    def transport(self, *, depth=2048, **parameters):
        config = self.config(**parameters)
        return SimulatedTransport(config, depth=depth, component=Triple(config))


@pytest.fixture
def triple():
    return TripleCase()


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(1)  # the client's first sequence number
