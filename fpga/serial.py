"""Bytes over a serial device, with nothing but the standard library (POSIX)."""

import contextlib
import os
import select
import termios
import time

from ..models.errors import ConfigError
from .protocol import LinkError

__all__ = ["SerialTransport"]


class SerialTransport:
    """A serial device, raw, 8 data bits, no parity, 1 stop bit, no flow control.

    Parameters
    ----------
    path : path
        The device, such as ``/dev/ttyUSB1``.
    baud : :class:`int`
        Bits a second; one of those that the system's terminals know, such as 115200 or 1000000.
    timeout_s : :class:`float`
        How long an answer may take. USB adapters hold back bytes for up to 16 ms.

    Raises
    ------
    ConfigError
        If the system does not know the baud rate.
    LinkError
        If the device cannot be opened.
    """

    def __init__(self, path, *, baud, timeout_s=0.25):
        speed = getattr(termios, f"B{baud}", None) if type(baud) is int else None
        if not speed:
            raise ConfigError(f"baud must be a rate that terminals know, such as 115200 or 1000000, not {baud!r}")
        self.timeout_s = timeout_s
        self._path = os.fspath(path)
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError as error:
            raise LinkError(f"cannot open serial device {self._path}: {error.strerror}") from None
        try:
            control = [b"\0"] * len(termios.tcgetattr(self._fd)[6])
            mode = termios.CS8 | termios.CREAD | termios.CLOCAL
            termios.tcsetattr(self._fd, termios.TCSANOW, [0, 0, mode, 0, speed, speed, control])
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        except termios.error as error:
            self.close()
            raise LinkError(f"{self._path} is not a serial device: {error.args[-1]}") from None

    def write(self, data):
        """Send bytes; returns when the system has taken them all."""
        view = memoryview(data)
        while view:
            with self._errors():
                if not select.select([], [self._fd], [], 10)[1]:
                    raise LinkError(f"serial device {self._path} takes no bytes; is it still there?")
                with contextlib.suppress(BlockingIOError):
                    view = view[os.write(self._fd, view) :]

    def read(self, timeout_s):
        """Bytes that came; empty if none came in time."""
        with self._errors():
            if select.select([self._fd], [], [], timeout_s)[0]:
                return os.read(self._fd, 65536)
        return b""

    def now(self):
        """Seconds, from some point on."""
        return time.monotonic()

    def close(self):
        """Close the device; closing it twice does no harm."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @contextlib.contextmanager
    def _errors(self):
        try:
            yield
        except OSError as error:
            if isinstance(error, LinkError):
                raise
            raise LinkError(f"serial device {self._path} failed: {error.strerror}; is it still there?") from None
