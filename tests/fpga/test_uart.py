import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from carrysave.fpga.uart import UARTReceiver, UARTTransmitter, uart_divisor
from carrysave.models.errors import ConfigError


def loop(divisor, data):
    """Bytes that arrive when ``data`` goes through transmitter, line and receiver."""
    transmitter, receiver = UARTTransmitter(divisor=divisor), UARTReceiver(divisor=divisor)
    m = Module()
    m.submodules += [transmitter, receiver]
    m.d.comb += receiver.rx.eq(transmitter.tx)
    received = []

    async def send(ctx):
        for byte in data:
            ctx.set(transmitter.i.payload, byte)
            ctx.set(transmitter.i.valid, 1)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)
        for _ in range(13 * divisor):
            await ctx.tick()

    async def receive(ctx):
        async for _clk, _rst, valid, byte in ctx.tick().sample(receiver.o.valid, receiver.o.payload):
            if valid:
                received.append(byte)

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_process(receive)
    simulator.run()
    return bytes(received)


@pytest.mark.parametrize("divisor", [4, 5, 12])
def test_bytes_go_through(divisor):
    data = bytes([0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7E])
    assert loop(divisor, data) == data


@pytest.mark.parametrize("error", [-0.03, 0.03])
def test_receiver_stands_another_clock(error):
    """A sender 3 % off, back to back."""
    divisor, data = 16, bytes([0x00, 0xFF, 0x55, 0xAA, 0x0F])
    receiver = UARTReceiver(divisor=divisor)
    received = []

    async def send(ctx):
        await ctx.delay(20e-6)
        for byte in data:
            for bit in (0, *(byte >> n & 1 for n in range(8)), 1):
                ctx.set(receiver.rx, bit)
                await ctx.delay(divisor * 1e-6 * (1 + error))
        await ctx.delay(200e-6)

    async def receive(ctx):
        async for _clk, _rst, valid, byte in ctx.tick().sample(receiver.o.valid, receiver.o.payload):
            if valid:
                received.append(byte)

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_process(receive)
    simulator.run()
    assert bytes(received) == data


def test_divisors():
    assert uart_divisor(clock_hz=12_000_000, baud=1_000_000) == 12
    assert uart_divisor(clock_hz=12_000_000, baud=115_200) == 104


@pytest.mark.parametrize("baud", [0, -1, 5_000_000, 2_800_000])
def test_impossible_baud_rates_are_refused(baud):
    with pytest.raises(ConfigError, match=rf"^baud must be within 2 % of .*, not {baud}$"):
        uart_divisor(clock_hz=12_000_000, baud=baud)
