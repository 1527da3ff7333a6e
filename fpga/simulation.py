"""A design behind its host link, simulated: the client talks to it as to a board, bit by bit over the UART."""

from collections import deque

from amaranth.sim import Simulator

from .link import DEPTH
from .top import LinkedDesign

__all__ = ["SimulatedTransport"]

_DIVISOR = 4  # the fastest that the UART can, to simulate as few cycles as possible
_CYCLES_A_BYTE = 10 * _DIVISOR
_PATIENCE_BYTES = 64  # silence, in byte times, after which an answer is taken for lost


class SimulatedTransport:
    """Bytes to and from a simulated device.

    Time passes only while :meth:`read` waits, so results do not depend on the speed of the machine.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
        Configuration of the design.
    clock_hz : :class:`int`
        Clock of the simulated device; its baud rate is a quarter of it.
    depth : :class:`int`
        Bytes of each of the link's buffers, a power of two.
    component : ``wiring.Component``, optional
        The design, if it is not the catalogue's.
    """

    def __init__(self, config, *, clock_hz=1_000_000, depth=DEPTH, component=None):
        baud = clock_hz // _DIVISOR
        self.device = LinkedDesign(config, clock_hz=clock_hz, baud=baud, depth=depth, component=component)
        self.timeout_s = _PATIENCE_BYTES * _CYCLES_A_BYTE / clock_hz
        self._clock_hz, self._cycles = clock_hz, 0
        self._to_device, self._from_device = deque(), bytearray()
        self._sending = False
        self._simulator = Simulator(self.device)
        self._simulator.add_clock(1 / clock_hz)
        self._simulator.add_testbench(self._send, background=True)
        self._simulator.add_testbench(self._receive, background=True)

    def write(self, data):
        """Put bytes on their way."""
        self._to_device.extend(data)

    def read(self, timeout_s):
        """Simulate until bytes come; empty if none do within the time, which starts when the last byte is sent."""
        deadline = None
        while not self._from_device:
            if self._sending or self._to_device:
                deadline = None
            elif deadline is None:
                deadline = self.now() + timeout_s
            elif self.now() >= deadline:
                return b""
            self._advance(_CYCLES_A_BYTE)
        data = bytes(self._from_device)
        self._from_device.clear()
        return data

    def now(self):
        """Simulated seconds."""
        return self._cycles / self._clock_hz

    def close(self):
        """End the simulation; nothing to release."""

    def _advance(self, cycles):
        self._cycles += cycles
        self._simulator.run_until(self.now())

    async def _send(self, ctx):
        bit_s = _DIVISOR / self._clock_hz
        while True:
            self._sending = bool(self._to_device)
            if self._sending:
                byte = self._to_device.popleft()
                for bit in (0, *(byte >> n & 1 for n in range(8))):
                    ctx.set(self.device.rx, bit)
                    await ctx.delay(bit_s)
                ctx.set(self.device.rx, 1)
            await ctx.delay(bit_s)

    async def _receive(self, ctx):
        bit_s = _DIVISOR / self._clock_hz
        while True:
            await ctx.negedge(self.device.tx)
            await ctx.delay(bit_s / 2)
            byte = 0
            for bit in range(8):
                await ctx.delay(bit_s)
                byte |= ctx.get(self.device.tx) << bit
            await ctx.delay(bit_s)
            self._from_device.append(byte)
