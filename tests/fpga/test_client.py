"""The client against the simulated device."""

import os
import pty
import random
import re
import threading
import tty

import numpy as np
import pytest

from carrysave.fpga.client import HostLink
from carrysave.fpga.protocol import LinkError
from carrysave.fpga.serial import SerialTransport
from carrysave.fpga.simulation import SimulatedTransport
from carrysave.hdl.catalogue import design
from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig, OPT1Config
from carrysave.models.systolic import SystolicConfig


@pytest.fixture
def rng():
    return np.random.default_rng(7)


class BadLine:
    """A transport that loses and flips bytes, both ways."""

    def __init__(self, inner, *, rate, seed):
        self.inner, self.rate, self.rng = inner, rate, random.Random(seed)
        self.timeout_s, self.now, self.close = inner.timeout_s, inner.now, inner.close
        self.hurt = 0

    def write(self, data):
        self.inner.write(self._hurt(data))

    def read(self, timeout_s):
        return self._hurt(self.inner.read(timeout_s))

    def _hurt(self, data):
        out = bytearray()
        for byte in data:
            fate = self.rng.random()
            self.hurt += fate < self.rate
            if fate >= self.rate:
                out.append(byte)
            elif fate < self.rate / 2:
                out.append(byte ^ 1 << self.rng.randrange(8))
        return bytes(out)


def test_run(triple, rng):
    beats = triple.beats(rng, 30)
    with HostLink(triple.transport(), triple.config()) as link:
        np.testing.assert_array_equal(link.run(beats, len(beats)), triple.golden(beats))
        counters = link.counters()
        assert (counters.beats_in, counters.beats_out, counters.bad_frames) == (30, 30, 0)
        assert link.resent == 0
        link.reset()
        assert link.counters().beats_in == 0


def test_send_then_receive_through_small_buffers(triple, rng):
    """More beats than all buffers hold are sent before the first result is fetched."""
    beats = triple.beats(rng, 40)
    link = HostLink(triple.transport(depth=16, period=50), triple.config(period=50))
    link.send(beats[:30])
    first = link.receive(3)
    link.send(beats[30:])
    rest = link.receive(37)
    np.testing.assert_array_equal(np.concatenate([first, rest]), triple.golden(beats))


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bad_line_loses_nothing(triple, rng, seed):
    beats = triple.beats(rng, 24)
    line = BadLine(triple.transport(), rate=0.01, seed=seed)
    link = HostLink(line, triple.config(), retries=10)
    np.testing.assert_array_equal(link.run(beats, len(beats)), triple.golden(beats))
    assert line.hurt > 0
    assert link.resent > 0


def test_results_that_never_come(triple, rng):
    link = HostLink(triple.transport(), triple.config())
    with pytest.raises(LinkError, match=r"^2 of 3 output beats came, then none for 0\.01 s$"):
        link.run(triple.beats(rng, 2), 3, patience_s=0.01)


def test_a_design_that_takes_nothing(triple, rng):
    link = HostLink(triple.transport(depth=16, period=1 << 20), triple.config(period=1 << 20))
    with pytest.raises(LinkError, match=r"^the last 13 of 20 input beats were not taken for 0\.02 s$"):
        link.send(triple.beats(rng, 20), patience_s=0.02)


def test_another_configuration_is_refused(triple):
    with pytest.raises(LinkError, match=r"^the device runs triple with configuration \w{10}, not triple with \w{10}; "):
        HostLink(triple.transport(period=2), triple.config())


def test_silence_is_an_error(triple):
    line = BadLine(triple.transport(), rate=1.1, seed=1)
    line._hurt = lambda data: b""
    with pytest.raises(LinkError, match=r"^the device does not answer; check cable, bitstream and baud rate$"):
        HostLink(line, triple.config(), retries=2)


@pytest.mark.parametrize(
    "config",
    [
        MACConfig.from_mapping({"width": 4, "max_k": 64}),
        OPT1Config.from_mapping({"width": 4, "max_k": 64}),
        SystolicConfig.from_mapping({"width": 4, "max_k": 16, "rows": 2, "cols": 2}),
    ],
    ids=lambda config: config.design,
)
def test_designs_of_the_catalogue(config, rng):
    entry = design(config.design)
    beats = entry.stimulus(config, rng, 24)
    with HostLink(SimulatedTransport(config), config) as link:
        np.testing.assert_array_equal(link.run(beats), entry.golden(config, beats))


def test_serial_device(triple, rng):
    """The same through a terminal device, behind which the simulation runs."""
    transport = triple.transport()
    control, device = pty.openpty()
    tty.setraw(control)
    done = threading.Event()

    def relay():
        while not done.is_set():
            try:
                transport.write(os.read(control, 4096))
            except OSError:
                return
            while data := transport.read(transport.timeout_s / 16):
                os.write(control, data)

    thread = threading.Thread(target=relay)
    thread.start()
    try:
        beats = triple.beats(rng, 10)
        with HostLink(SerialTransport(os.ttyname(device), baud=1_000_000, timeout_s=5), triple.config()) as link:
            np.testing.assert_array_equal(link.run(beats, len(beats)), triple.golden(beats))
    finally:
        done.set()
        os.write(device, b"\0")  # wakes the relay
        thread.join()
        os.close(control)
        os.close(device)


def test_serial_errors(tmp_path):
    with pytest.raises(LinkError, match=r"^cannot open serial device /nowhere/tty: No such file or directory$"):
        SerialTransport("/nowhere/tty", baud=115_200)
    with pytest.raises(ConfigError, match=r"^baud must be a rate that terminals know, such as .*, not 12345$"):
        SerialTransport("/dev/null", baud=12345)
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(LinkError, match=rf"^{re.escape(str(path))} is not a serial device: "):
        SerialTransport(path, baud=115_200)
