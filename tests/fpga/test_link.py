"""The device's end of the link, spoken to byte by byte."""

import random

import numpy as np
import pytest

from carrysave.fpga.buffer import check_depth
from carrysave.fpga.protocol import Command, Counters, FrameDecoder, Identity, Status, encode_frame
from carrysave.models.errors import ConfigError


class Line:
    """One request at a time, and everything that comes back."""

    def __init__(self, transport):
        self.transport, self.decoder = transport, FrameDecoder()

    def raw(self, data):
        self.transport.write(data)
        messages = []
        while chunk := self.transport.read(self.transport.timeout_s):
            messages += self.decoder.feed(chunk)
        return messages

    def ask(self, *message):
        """Status and body of the one answer."""
        request = b"".join(part if isinstance(part, bytes) else bytes([part]) for part in message)
        (answer,) = self.raw(encode_frame(request))
        assert (answer[0], answer[1]) == (request[0] | 0x80, request[1])
        return Status(answer[2]), answer[3:]


def word(value):
    return value.to_bytes(2, "little")


@pytest.fixture
def line(triple):
    return Line(triple.transport(depth=32))


def test_identify(line, triple):
    status, body = line.ask(Command.IDENTIFY, 7)
    assert status is Status.OK
    config = triple.config()
    assert Identity.unpack(body) == Identity(
        name="triple",
        digest=config.digest,
        clock_hz=1_000_000,
        i_width=13,
        o_width=19,
        i_capacity=28,
        o_capacity=32,
    )


def test_write_read_counters_reset(line, triple):
    beats = triple.beats(np.random.default_rng(1), 4)
    packed = triple.config().i.pack(beats).tobytes()
    expected = triple.config().o.pack(triple.golden(beats)).tobytes()
    # Frames may cut beats anywhere: the link carries bytes.
    assert line.ask(Command.WRITE, 1, word(0), packed[:3]) == (Status.OK, word(3) + word(0))
    assert line.ask(Command.WRITE, 2, word(3), packed[3:]) == (Status.OK, word(8) + word(3))
    status, body = line.ask(Command.READ, 3, word(0), word(5))
    assert (status, body) == (Status.OK, word(0) + expected[:5])
    # Asking again for the same position gives the same bytes; a later position acknowledges.
    assert line.ask(Command.READ, 4, word(0), word(100)) == (Status.OK, word(0) + expected)
    assert line.ask(Command.READ, 5, word(7), word(2)) == (Status.OK, word(7) + expected[7:9])
    assert line.ask(Command.READ, 6, word(0), word(2)) == (Status.BAD_POSITION, word(7))
    assert line.ask(Command.READ, 7, word(13), word(2)) == (Status.BAD_POSITION, word(7))
    assert line.ask(Command.READ, 8, word(12), word(2)) == (Status.OK, word(12))
    counters = Counters.unpack(line.ask(Command.COUNTERS, 9)[1])
    assert (counters.beats_in, counters.beats_out, counters.bad_frames) == (4, 4, 2)
    assert line.ask(Command.RESET, 10) == (Status.OK, b"")
    counters = Counters.unpack(line.ask(Command.COUNTERS, 11)[1])
    assert (counters.beats_in, counters.beats_out, counters.bad_frames) == (0, 0, 0)
    assert counters.cycles < 5000
    assert line.ask(Command.READ, 12, word(0), word(9)) == (Status.OK, word(0))


@pytest.mark.parametrize("command", [0, 6, 0x7D, 0x7E, 0x81])
def test_unknown_commands_are_answered(line, command):
    assert line.ask(command, 0x7E) == (Status.UNKNOWN_COMMAND, b"")


def test_wrong_lengths_are_answered(line):
    assert line.ask(Command.IDENTIFY, 1, b"x") == (Status.BAD_LENGTH, b"")
    assert line.ask(Command.WRITE, 2, b"\0") == (Status.BAD_LENGTH, b"")
    assert line.ask(Command.READ, 3, word(0)) == (Status.BAD_LENGTH, b"")
    assert line.ask(Command.READ, 4, word(0), word(0), b"x") == (Status.BAD_LENGTH, b"")
    assert line.ask(Command.RESET, 5, bytes(40)) == (Status.BAD_LENGTH, b"")


def test_a_repeated_write_is_not_taken_twice(line):
    assert line.ask(Command.WRITE, 1, word(0), b"abcd") == (Status.OK, word(4) + word(0))
    assert line.ask(Command.WRITE, 2, word(0), b"abcd") == (Status.BAD_POSITION, word(4) + word(4))
    assert line.ask(Command.WRITE, 3, word(4)) == (Status.OK, word(4) + word(4))


def test_a_write_beyond_the_free_room_is_refused_whole(triple):
    # A design that never takes its second beat: two bytes in the beat register, the rest stays in the ring.
    line = Line(triple.transport(depth=32, period=1 << 20))
    status, _body = line.ask(Command.WRITE, 1, word(0), bytes(28))
    assert status is Status.OK
    status, body = line.ask(Command.WRITE, 2, word(28))
    assert (status, body) == (Status.OK, word(28) + word(2))
    assert line.ask(Command.WRITE, 3, word(28), bytes(3)) == (Status.TOO_LONG, word(28) + word(2))
    assert line.ask(Command.WRITE, 4, word(28), bytes(2)) == (Status.OK, word(30) + word(2))
    assert line.ask(Command.WRITE, 5, word(30), bytes(1)) == (Status.TOO_LONG, word(30) + word(2))


def test_a_frame_with_a_bad_crc_changes_nothing(line):
    frame = bytearray(encode_frame(bytes([Command.WRITE, 1]) + word(0) + b"abcd"))
    frame[6] ^= 0x10
    (answer,) = line.raw(frame)
    assert answer[2] == Status.BAD_CRC
    assert line.ask(Command.WRITE, 2, word(0)) == (Status.OK, word(0) + word(0))


def test_resynchronises_after_garbage(line):
    rng = random.Random(3)
    for _ in range(4):
        # Whatever it answers to garbage, the next good frame is answered, and nothing was written or read.
        garbage = rng.randbytes(rng.randrange(1, 40)) + bytes([0x7E, 0x7D, 0x7E])
        assert all(answer[2] != Status.OK for answer in line.raw(garbage))
        assert line.ask(Command.WRITE, 9, word(0)) == (Status.OK, word(0) + word(0))
    assert Counters.unpack(line.ask(Command.COUNTERS, 1)[1]).bad_frames > 0


def test_back_pressure_loses_nothing(triple):
    """Results are left in the device until input, output and design are full; then all come, in order."""
    line = Line(triple.transport(depth=16))
    beats = triple.beats(np.random.default_rng(5), 40)
    packed = triple.config().i.pack(beats).tobytes()
    expected = triple.config().o.pack(triple.golden(beats)).tobytes()
    written, taken, stuck = 0, 0, False
    while not stuck:
        room = 12 - (written - taken)
        status, body = line.ask(Command.WRITE, 1, word(written), packed[written : written + room])
        assert status is Status.OK
        stuck = room == 0 and taken == int.from_bytes(body[2:], "little")
        written, taken = (int.from_bytes(part, "little") for part in (body[:2], body[2:]))
    assert 16 < written < len(packed)
    received = b""
    while len(received) < len(expected):
        status, body = line.ask(Command.READ, 2, word(len(received)), word(16))
        assert status is Status.OK
        received += body[2:]
        if room := 12 - (written - taken):
            _status, body = line.ask(Command.WRITE, 3, word(written), packed[written : written + room])
        else:
            _status, body = line.ask(Command.WRITE, 3, word(written))
        written, taken = (int.from_bytes(part, "little") for part in (body[:2], body[2:]))
    assert received == expected


def test_two_requests_may_be_on_their_way(line):
    requests = [encode_frame(bytes([Command.IDENTIFY, sequence])) for sequence in (1, 2)]
    assert [answer[1] for answer in line.raw(b"".join(requests))] == [1, 2]


@pytest.mark.parametrize("depth", [0, 8, 100, 65536])
def test_depth_must_be_a_power_of_two(depth):
    with pytest.raises(ConfigError, match=rf"^depth of .* power of two in 16\.\.32768, not {depth}$"):
        check_depth(depth)
