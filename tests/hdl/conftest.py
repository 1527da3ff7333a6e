"""Running components in Amaranth's own simulator, and large combinational ones as gates."""

import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from carrysave.sim.logic import logic_of


@pytest.fixture
def module():
    """A module that is never elaborated, without a warning."""
    m = Module()
    m._MustUse__used = True
    return m


@pytest.fixture
def combinational():
    """A function that builds a combinational circuit and gives its output for each tuple of inputs."""

    def run(build, widths, vectors):
        m = Module()
        inputs = [Signal(width, name=f"i{index}") for index, width in enumerate(widths)]
        value = build(m, *inputs)
        output = Signal(len(value))
        m.d.comb += output.eq(value)
        outputs = []

        async def bench(ctx):
            for vector in vectors:
                for signal, integer in zip(inputs, vector, strict=True):
                    ctx.set(signal, integer)
                outputs.append(ctx.get(output))

        simulator = Simulator(m)
        simulator.add_testbench(bench)
        simulator.run()
        return outputs

    return run


class Circuit(wiring.Component):
    """A combinational circuit with ports ``i0``, ``i1``, ..., and ``o``."""

    def __init__(self, build, widths):
        self._module = Module()
        self._inputs = [Signal(width) for width in widths]
        self._value = build(self._module, *self._inputs)
        ports = {f"i{index}": In(width) for index, width in enumerate(widths)}
        super().__init__({**ports, "o": Out(len(self._value))})

    def elaborate(self, platform):
        m = self._module
        for index, signal in enumerate(self._inputs):
            m.d.comb += signal.eq(getattr(self, f"i{index}"))
        m.d.comb += self.o.eq(self._value)
        return m


@pytest.fixture
def gates():
    """As ``combinational``, but evaluates the gates of the exported Verilog, for all tuples at once.

    That takes seconds to prepare and next to nothing for a tuple; the simulator takes milliseconds, in a large module.
    """

    def run(build, widths, vectors):
        logic = logic_of(Circuit(build, widths), "circuit")
        columns = {f"i{index}": column for index, column in enumerate(zip(*vectors, strict=True))}
        values = {}
        for node, label in logic.inputs.items():
            name, bit = label.rstrip("]").split("[")
            values[node] = sum((value >> int(bit) & 1) << row for row, value in enumerate(columns[name]))
        bits = logic.evaluate(logic.ports["o"], values, (1 << len(vectors)) - 1)
        return [sum((word >> row & 1) << bit for bit, word in enumerate(bits)) for row in range(len(vectors))]

    return run


@pytest.fixture
def clocked():
    """A function that runs a bench, an async function of the simulation context, against a component."""

    def run(component, bench):
        simulator = Simulator(component)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()

    return run


@pytest.fixture
def stream_run(clocked):
    """A function that plays beats into a component's stream ``i`` and takes those of ``o``.

    It returns the beats of ``o`` as integers, and in which cycles beats of ``i`` and of ``o`` were taken, counted from the
    first one; ``i_pause`` and ``o_pause`` say, from the number of the cycle, when a side waits.
    """

    def run(component, words, count, *, i_pause=lambda cycle: False, o_pause=lambda cycle: False, limit=4000):
        outputs, taken_i, taken_o = [], [], []

        async def bench(ctx):
            sent, offered = 0, False
            for cycle in range(limit):
                # A beat that was offered is not withdrawn.
                offered = offered or (sent < len(words) and not i_pause(cycle))
                ctx.set(component.i.valid, offered)
                if offered:
                    ctx.set(Value.cast(component.i.payload), words[sent])
                ready = not o_pause(cycle)  # asked once a cycle: it may be random
                ctx.set(component.o.ready, ready)
                went_in = offered and ctx.get(component.i.ready)
                if ready and ctx.get(component.o.valid):
                    outputs.append(ctx.get(Value.cast(component.o.payload)))
                    taken_o.append(cycle)
                if went_in:
                    taken_i.append(cycle)
                    sent, offered = sent + 1, False
                await ctx.tick()
                if len(outputs) == count and sent == len(words):
                    break
            # Nothing more comes out.
            ctx.set(component.i.valid, 0)
            ctx.set(component.o.ready, 1)
            for _ in range(30):
                assert not ctx.get(component.o.valid)
                await ctx.tick()

        clocked(component, bench)
        start = taken_i[0]
        return outputs, [cycle - start for cycle in taken_i], [cycle - start for cycle in taken_o]

    return run
