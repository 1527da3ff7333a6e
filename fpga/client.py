"""The host's end of the host link: beats in, beats out, over a serial device or into a simulation."""

import random
import struct
from itertools import count as counting

import numpy as np

from ..hdl.catalogue import design
from ..models.errors import ConfigError
from .protocol import (
    POSITION_BITS,
    RESPONSE,
    Command,
    Counters,
    FrameDecoder,
    Identity,
    LinkError,
    Status,
    encode_frame,
)

__all__ = ["HostLink"]

_MASK = (1 << POSITION_BITS) - 1
_BLOCK = 1024  # bytes a frame brings at most; what is lost with one bad bit


class HostLink:
    """Drives a design through its host link.

    Requests are repeated until they are answered, and each says which bytes of the stream it is about, so that no beat
    is lost or doubled whatever the line does. One ``WRITE`` and one ``READ`` are on their way at a time, so both
    directions of the line work at once.

    Parameters
    ----------
    transport : :class:`~.serial.SerialTransport`, :class:`~.simulation.SimulatedTransport` or alike
        Carries bytes: ``write(data)``, ``read(timeout_s) -> bytes`` (what came, at least one byte unless the time is
        over), ``now()`` (seconds), ``close()``, and ``timeout_s``, how long an answer may take.
    config : :class:`~carrysave.models.config.Config`
        The design that is expected behind it.
    retries : :class:`int`
        Repetitions of a request before the device is taken for dead.

    Raises
    ------
    LinkError
        If nothing answers, or another design does.
    """

    def __init__(self, transport, config, *, retries=5):
        self.config = config
        self.resent = 0
        self._transport, self._retries = transport, retries
        self._decoder = FrameDecoder()
        self._sequence = counting(random.randrange(256))
        self._i_bytes, self._o_bytes = ((payload.width + 7) // 8 for payload in (config.i, config.o))
        self._start_over()
        self.identity = self.identify()
        expected = (config.design[:32], config.digest, config.i.width, config.o.width)
        found = (self.identity.name, self.identity.digest, self.identity.i_width, self.identity.o_width)
        if expected != found:
            raise LinkError(
                f"the device runs {found[0]} with configuration {found[1]}, not {expected[0]} with {expected[1]}; "
                "load the bitstream of this configuration"
            )
        self.reset()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Close the transport."""
        self._transport.close()

    def identify(self):
        """What the device says it is, an :class:`~.protocol.Identity`."""
        return Identity.unpack(self._ask(Command.IDENTIFY))

    def counters(self):
        """What the device counted since its reset, a :class:`~.protocol.Counters`."""
        return Counters.unpack(self._ask(Command.COUNTERS))

    def reset(self):
        """Reset design, buffers and counters; beats on their way are dropped."""
        self._ask(Command.RESET)
        self._start_over()

    def send(self, beats, *, patience_s=None):
        """Send input beats; returns when the device has them all.

        Results that come meanwhile are kept for :meth:`receive`, so that a design whose results nobody fetches yet
        cannot stop the input.

        Parameters
        ----------
        beats : array of ``config.i.dtype``
        patience_s : :class:`float`, optional
            Seconds, in the transport's time, that may pass without a byte being taken or given; eight times the
            transport's ``timeout_s`` by default.

        Raises
        ------
        LinkError
            If the design does not take the beats.
        """
        patience_s = self._patience(patience_s)
        self._outgoing += self.config.i.pack(beats).tobytes()
        if not self._pump(lambda: not self._outgoing, patience_s):
            left = -(-len(self._outgoing) // self._i_bytes)
            raise LinkError(f"the last {left} of {len(beats)} input beats were not taken for {patience_s:g} s")

    def receive(self, count, *, patience_s=None):
        """Receive output beats.

        Parameters
        ----------
        count : :class:`int`
            Beats.
        patience_s : :class:`float`, optional
            See :meth:`send`.

        Returns
        -------
        array of ``config.o.dtype``

        Raises
        ------
        LinkError
            If the beats do not come; those that came are kept for the next call.
        """
        patience_s = self._patience(patience_s)
        need = count * self._o_bytes
        if not self._pump(lambda: len(self._incoming) >= need, patience_s):
            got = len(self._incoming) // self._o_bytes
            raise LinkError(f"{got} of {count} output beats came, then none for {patience_s:g} s")
        packed = np.frombuffer(bytes(self._incoming[:need]), np.uint8).reshape(count, self._o_bytes)
        del self._incoming[:need]
        return self.config.o.unpack(packed)

    def run(self, beats, count=None, *, patience_s=None):
        """Send beats and receive their results, both at once.

        Parameters
        ----------
        beats : array of ``config.i.dtype``
        count : :class:`int`, optional
            Beats of output to wait for; as many as the golden model gives, by default.
        patience_s : :class:`float`, optional
            See :meth:`send`.

        Returns
        -------
        array of ``config.o.dtype``
        """
        if count is None:
            count = len(design(self.config.design).golden(self.config, beats))
        if type(count) is not int or count < 0:
            raise ConfigError(f"count must be a number of output beats, not {count!r}")
        self._outgoing += self.config.i.pack(beats).tobytes()
        return self.receive(count, patience_s=patience_s)

    def _patience(self, patience_s):
        return 8 * self._transport.timeout_s if patience_s is None else patience_s

    def _start_over(self):
        self._outgoing, self._incoming = bytearray(), bytearray()
        self._written = self._read = 0  # positions, modulo 2**16
        self._free = 0
        self._pending = {}  # sequence number to command, oldest first
        self._silent = 0

    def _request(self, command, *arguments, data=b""):
        sequence = next(self._sequence) & 0xFF
        self._pending[sequence] = command
        head = bytes([command, sequence]) + struct.pack(f"<{len(arguments)}H", *arguments)
        self._transport.write(encode_frame(head + data))

    def _responses(self):
        """Answers to pending requests, as (command, status, body); gives up if there is only silence."""
        data = self._transport.read(self._transport.timeout_s)
        if not data:
            self._silent += 1
            if self._silent > self._retries:
                raise LinkError("the device does not answer; check cable, bitstream and baud rate")
            self.resent += len(self._pending)
            self._pending.clear()
            # Ends what may be a torn frame, so that the next one is not taken for its tail.
            self._transport.write(encode_frame(b"")[:1])
        for message in self._decoder.feed(data):
            if len(message) < 3 or message[1] not in self._pending:
                continue
            self._silent = 0
            command = self._pending[message[1]]
            # Answers come in order: older requests that still wait were lost on the line.
            while message[1] in self._pending:
                oldest = next(iter(self._pending))
                self.resent += oldest != message[1]
                del self._pending[oldest]
            if message[0] != command | RESPONSE:
                continue
            try:
                status = Status(message[2])
            except ValueError:
                raise LinkError(f"the device answered with status {message[2]}, which is not one") from None
            yield command, status, message[3:]

    def _ask(self, command):
        """Body of the answer to a request that stands alone."""
        self._pending.clear()
        self._silent = 0
        requests = 0
        while requests <= self._retries or self._pending:
            if not self._pending:
                self._request(command)
                requests += 1
            for answered, status, body in self._responses():
                if answered == command and status is Status.OK:
                    return body
        raise LinkError(f"the device does not answer {command.name}; the line may be bad, check cable and baud rate")

    def _pump(self, done, patience_s):
        """Move bytes both ways until ``done()`` (true) or until nothing has moved for ``patience_s`` (false)."""
        self._silent = 0
        since = self._transport.now()
        while not done():
            if self._transport.now() - since > patience_s:
                return False
            if self._outgoing and Command.WRITE not in self._pending.values():
                data = bytes(self._outgoing[: min(self._free, _BLOCK)])
                self._request(Command.WRITE, self._written, data=data)
            if Command.READ not in self._pending.values():
                self._request(Command.READ, self._read, _BLOCK)
            for command, status, body in self._responses():
                if self._take(command, status, body):
                    since = self._transport.now()
        return True

    def _take(self, command, status, body):
        """Act on the answer to a ``WRITE`` or ``READ``; whether it moved anything."""
        if status not in (Status.OK, Status.TOO_LONG, Status.BAD_POSITION) or len(body) < 2:
            self.resent += 1
            return False
        position = int.from_bytes(body[:2], "little")
        if command is Command.WRITE and len(body) == 4:
            moved = position - self._written & _MASK
            # A repeated request whose first answer was lost finds the device ahead of us, never by more than we sent.
            if moved > min(_BLOCK, len(self._outgoing)):
                raise LinkError("the device lost track of what was sent, as after a reset; call reset() and start over")
            del self._outgoing[:moved]
            taken = int.from_bytes(body[2:], "little")
            self._written, self._free = position, self.identity.i_capacity - (position - taken & _MASK)
            return moved > 0
        if command is Command.READ and status is Status.OK and position == self._read:
            self._incoming += body[2:]
            self._read = self._read + len(body) - 2 & _MASK
            return len(body) > 2
        if command is Command.READ and status is Status.BAD_POSITION:
            raise LinkError("the device lost track of what was received, as after a reset; call reset() and start over")
        return False
