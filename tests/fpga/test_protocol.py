import random
import re

import pytest

from carrysave.fpga.protocol import ESCAPE, FLAG, Counters, FrameDecoder, Identity, LinkError, encode_frame

IDENTITY = Identity(
    name="systolic-os",
    digest="0123456789",
    clock_hz=12_000_000,
    i_width=33,
    o_width=129,
    i_capacity=2044,
    o_capacity=2048,
)


def test_frame_of_known_bytes():
    # The CRC-32 check value of "123456789" is 0xCBF43926 in every catalogue of CRCs.
    assert encode_frame(b"123456789") == b"~123456789\x26\x39\xf4\xcb~"


def test_flags_and_escapes_are_escaped():
    frame = encode_frame(bytes([FLAG, 1, ESCAPE]))
    assert frame[1:6] == bytes([ESCAPE, 0x5E, 1, ESCAPE, 0x5D])
    assert FLAG not in frame[1:-1]


@pytest.mark.parametrize("chunk", [1, 2, 7, 10_000])
def test_messages_survive_any_chunking(chunk):
    rng = random.Random(1)
    messages = [rng.choices([FLAG, ESCAPE, 0x5E, 0x5D, 0, 255], k=rng.randrange(1, 40)) for _ in range(50)]
    line = b"".join(encode_frame(bytes(message)) for message in messages)
    decoder = FrameDecoder()
    found = [message for at in range(0, len(line), chunk) for message in decoder.feed(line[at : at + chunk])]
    assert found == [bytes(message) for message in messages]
    assert decoder.bad_frames == 0


def test_every_flipped_bit_is_found():
    frame = encode_frame(b"a message")
    for bit in range(8, 8 * len(frame) - 8):
        broken = bytearray(frame)
        broken[bit // 8] ^= 1 << bit % 8
        # A flip may make a flag, which cuts the frame in two, both bad.
        assert FrameDecoder().feed(broken) == []


def test_garbage_before_a_frame_costs_nothing_but_itself():
    rng = random.Random(2)
    for _ in range(100):
        garbage = rng.randbytes(rng.randrange(60))
        decoder = FrameDecoder()
        assert decoder.feed(garbage + encode_frame(b"hello")) == [b"hello"]


def test_escape_before_a_flag_makes_a_frame_bad():
    decoder = FrameDecoder()
    assert decoder.feed(encode_frame(b"hello")[:-1] + bytes([ESCAPE, FLAG])) == []
    assert decoder.bad_frames == 1


def test_identity_round_trip():
    assert Identity.unpack(IDENTITY.pack()) == IDENTITY


def test_identity_of_another_version_is_refused():
    body = bytes([9]) + IDENTITY.pack()[1:]
    with pytest.raises(LinkError, match=r"^the device speaks protocol version 9, not 1; rebuild its bitstream$"):
        Identity.unpack(body)


def test_torn_bodies_are_refused():
    with pytest.raises(LinkError, match=r"^the device's identity has 5 bytes, at least 18 were expected$"):
        Identity.unpack(IDENTITY.pack()[:5])
    with pytest.raises(LinkError, match=re.escape("the device's counters have 3 bytes, 14 were expected")):
        Counters.unpack(bytes(3))
