"""The host link's frames and messages, as bytes; both ends of the line follow this file.

A frame is a message and its CRC-32, least significant byte first, between two flags. Flags and escapes inside are
escaped, as in PPP's HDLC-like framing (RFC 1662), so that a receiver which lost its way finds the next frame at the
next flag, whatever came before. ``docs/fpga.md`` tells the whole protocol.
"""

import dataclasses
import enum
import struct
import zlib

from ..models.errors import CarrysaveError

__all__ = [
    "ESCAPE",
    "ESCAPED",
    "FLAG",
    "HEADER_BYTES",
    "POSITION_BITS",
    "RESPONSE",
    "VERSION",
    "Command",
    "Counters",
    "FrameDecoder",
    "Identity",
    "LinkError",
    "Status",
    "encode_frame",
]

VERSION = 1
FLAG, ESCAPE, ESCAPED = 0x7E, 0x7D, 0x20
RESPONSE = 0x80  # set in the command byte of a response
POSITION_BITS = 16
HEADER_BYTES = 3  # of a response: command, sequence number, status
_CRC_BYTES = 4


class LinkError(CarrysaveError, ConnectionError):
    """The other end of a host link does not answer, or not as it should."""


class Command(enum.IntEnum):
    """First byte of a request."""

    IDENTIFY = 1
    WRITE = 2
    READ = 3
    COUNTERS = 4
    RESET = 5


class Status(enum.IntEnum):
    """Third byte of a response."""

    OK = 0
    BAD_CRC = 1
    UNKNOWN_COMMAND = 2
    BAD_LENGTH = 3
    TOO_LONG = 4
    BAD_POSITION = 5


def encode_frame(message):
    """The bytes on the line for one message."""
    body = bytes(message) + zlib.crc32(message).to_bytes(_CRC_BYTES, "little")
    body = body.replace(bytes([ESCAPE]), bytes([ESCAPE, ESCAPE ^ ESCAPED]))
    return bytes([FLAG]) + body.replace(bytes([FLAG]), bytes([ESCAPE, FLAG ^ ESCAPED])) + bytes([FLAG])


class FrameDecoder:
    """Finds the messages in bytes from a line; :attr:`bad_frames` counts what was none."""

    def __init__(self):
        self.bad_frames = 0
        self._buffer = bytearray()

    def feed(self, data):
        """Take bytes from the line; returns the list of messages they complete, frames with a bad CRC left out."""
        *frames, rest = (bytes(self._buffer) + bytes(data)).split(bytes([FLAG]))
        self._buffer = bytearray(rest)
        return [message for frame in frames if (message := self._decode(frame)) is not None]

    def _decode(self, frame):
        if not frame:
            return None
        head, *parts = frame.split(bytes([ESCAPE]))
        body = head + b"".join(bytes([part[0] ^ ESCAPED]) + part[1:] for part in parts if part)
        message, crc = body[:-_CRC_BYTES], body[-_CRC_BYTES:]
        if not all(parts) or zlib.crc32(message).to_bytes(_CRC_BYTES, "little") != crc:
            self.bad_frames += 1
            return None
        return message


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """What a device says it is.

    Parameters
    ----------
    name : :class:`str`
        Name of the design in the catalogue, at most 32 characters.
    digest : :class:`str`
        Ten hexadecimal digits, :attr:`Config.digest <carrysave.models.config.Config.digest>` of its configuration.
    clock_hz : :class:`int`
        Clock of the design.
    i_width, o_width : :class:`int`
        Bits of an input beat and of an output beat.
    i_capacity, o_capacity : :class:`int`
        Bytes that the input buffer and the output buffer hold.
    version : :class:`int`
        Version of the protocol.
    """

    name: str
    digest: str
    clock_hz: int
    i_width: int
    o_width: int
    i_capacity: int
    o_capacity: int
    version: int = VERSION

    _FORMAT = "<B5sIHHHH"

    def pack(self):
        """The body of the answer to ``IDENTIFY``."""
        head = struct.pack(
            self._FORMAT,
            self.version,
            bytes.fromhex(self.digest),
            self.clock_hz,
            self.i_width,
            self.o_width,
            self.i_capacity,
            self.o_capacity,
        )
        return head + self.name.encode("ascii")

    @classmethod
    def unpack(cls, body):
        """Inverse of :meth:`pack`; raises :exc:`LinkError` for another version of the protocol, or for no identity."""
        size = struct.calcsize(cls._FORMAT)
        if body and body[0] != VERSION:
            raise LinkError(f"the device speaks protocol version {body[0]}, not {VERSION}; rebuild its bitstream")
        if len(body) < size:
            raise LinkError(f"the device's identity has {len(body)} bytes, at least {size} were expected")
        version, digest, clock_hz, i_width, o_width, i_capacity, o_capacity = struct.unpack(cls._FORMAT, body[:size])
        return cls(
            name=body[size:].decode("ascii", "replace"),
            digest=digest.hex(),
            clock_hz=clock_hz,
            i_width=i_width,
            o_width=o_width,
            i_capacity=i_capacity,
            o_capacity=o_capacity,
            version=version,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counters:
    """What a device counted since its reset.

    Parameters
    ----------
    cycles : :class:`int`
        Clock cycles, modulo 2**32.
    beats_in, beats_out : :class:`int`
        Beats that the design took and gave, modulo 2**32.
    bad_frames : :class:`int`
        Frames that were not answered with ``OK``, modulo 2**16.
    """

    cycles: int
    beats_in: int
    beats_out: int
    bad_frames: int

    FORMAT = "<IIIH"
    BYTES = struct.calcsize(FORMAT)

    @classmethod
    def unpack(cls, body):
        """From the body of the answer to ``COUNTERS``."""
        if len(body) != cls.BYTES:
            raise LinkError(f"the device's counters have {len(body)} bytes, {cls.BYTES} were expected")
        cycles, beats_in, beats_out, bad_frames = struct.unpack(cls.FORMAT, body)
        return cls(cycles=cycles, beats_in=beats_in, beats_out=beats_out, bad_frames=bad_frames)
