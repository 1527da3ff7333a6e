"""Shared modules: one definition in Verilog, the component itself in the simulator."""

import re

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from carrysave.hdl.shared import Shared
from carrysave.hdl.verilog import verilog_of


class Counter(wiring.Component):
    """Adds a step in every cycle."""

    def __init__(self, width):
        super().__init__(self.ports(width))

    @staticmethod
    def ports(width):
        return wiring.Signature({"step": In(width), "count": Out(width)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(len(self.count), init=3)
        m.d.sync += count.eq(count + self.step)
        m.d.comb += self.count.eq(count)
        return m


class Chain(wiring.Component):
    """Counters, given as (width, name, reset), each with a step of its number plus ``x``; their sum."""

    def __init__(self, placed):
        self._placed = placed
        super().__init__({"x": In(4), "total": Out(12)})

    def elaborate(self, platform):
        m = Module()
        total = 0
        for index, (width, name, reset) in enumerate(self._placed):
            shared = Shared(lambda width=width: Counter(width), Counter.ports(width), name=name, reset=reset)
            m.submodules[f"counter_{index}"] = shared
            m.d.comb += shared.step.eq(self.x + index)
            total = total + shared.count
        m.d.comb += self.total.eq(total)
        return m


def test_defined_once_by_name():
    text = verilog_of(Chain([(4, "nibble", True), (4, "nibble", True), (6, "six", True)]), "chain")
    assert sorted(re.findall(r"^module (\w+)", text, flags=re.MULTILINE)) == ["chain", "nibble", "six"]
    assert re.findall(r"^\s*(nibble|six) \S+ \($", text, flags=re.MULTILINE).count("nibble") == 2


def test_reset_only_where_wanted():
    for reset in (True, False):
        text = verilog_of(Chain([(4, "nibble", reset)]), "chain")
        body = re.search(r"^module nibble\s*\((.*?)\);", text, flags=re.MULTILINE | re.DOTALL)[1]
        assert ("rst" in re.split(r"[\s,]+", body)) == reset


@pytest.mark.parametrize("other", [(5, "nibble", True), (4, "nibble", False)])
def test_two_different_components_under_one_name(other):
    with pytest.raises(ValueError, match=r"^two different components are placed as the shared module 'nibble'$"):
        verilog_of(Chain([(4, "nibble", True), other]), "chain")


class Chains(wiring.Component):
    """Two chains, of counters of one name and two widths, each in a scope of its own."""

    def __init__(self):
        super().__init__({"x": In(4), "total": Out(13)})

    def elaborate(self, platform):
        m = Module()
        totals = []
        for width in (4, 5):
            chain = Chain([(width, "counter", True)] * 2)
            shared = Shared(lambda c=chain: c, chain.signature, name=f"chain{width}", reset=True, scope=True)
            m.submodules += shared
            m.d.comb += shared.x.eq(self.x)
            totals.append(shared.total)
        m.d.comb += self.total.eq(sum(totals))
        return m


def test_names_in_a_scope():
    text = verilog_of(Chains(), "chains")
    found = re.findall(r"^module (\w+)", text, flags=re.MULTILINE)
    assert sorted(found) == ["chain4", "chain4_counter", "chain5", "chain5_counter", "chains"]
    assert re.findall(r"^\s*(chain\d_counter) \S+ \($", text, flags=re.MULTILINE).count("chain5_counter") == 2


def test_simulates_as_the_component(clocked):
    chain = Chain([(4, "nibble", True), (4, "nibble", True), (6, "six", True)])

    async def bench(ctx):
        counts = [3, 3, 3]
        for x in (0, 5, 9, 15, 15, 2, 7):
            ctx.set(chain.x, x)
            assert ctx.get(chain.total) == sum(counts)
            await ctx.tick()
            counts = [
                (count + x + index) % (1 << width)
                for index, (count, width) in enumerate(zip(counts, (4, 4, 6), strict=True))
            ]
        assert ctx.get(chain.total) == sum(counts)

    clocked(chain, bench)
