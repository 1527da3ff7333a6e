"""What travels in one beat of a stream: named integer fields, and their packing to bits.

One description serves the NumPy side (a structured dtype), the hardware (``hdl.payload`` turns it into an
``amaranth.lib.data.StructLayout``) and the files in between (hexadecimal vectors, AXI4-Stream words). Fields lie from
the least significant bit up, in the order given, without padding; an array field has its element 0 lowest.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from .errors import ConfigError

__all__ = ["Field", "Payload"]


@dataclass(frozen=True)
class Field:
    """One integer, or an array of integers, of a payload.

    Parameters
    ----------
    name : :class:`str`
        Name, a Python identifier.
    width : :class:`int`
        Bits of one element, 1..64.
    signed : :class:`bool`
        Two's complement if true.
    shape : tuple of :class:`int`
        Empty for a scalar; else the lengths of the array's dimensions.
    """

    name: str
    width: int
    signed: bool = False
    shape: tuple = ()

    def __post_init__(self):
        if not self.name.isidentifier():
            raise ConfigError(f"field name must be an identifier, not {self.name!r}")
        limit = 64 if self.signed else 63
        if not 1 <= self.width <= limit:
            raise ConfigError(f"width of field {self.name!r} must be 1..{limit} bits, not {self.width!r}")

    @property
    def size(self):
        """Number of elements."""
        return prod(self.shape)

    @property
    def minimum(self):
        """Smallest value an element can take."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def maximum(self):
        """Largest value an element can take."""
        return (1 << self.width - self.signed) - 1

    def describe(self):
        """The type in words, such as ``signed(8)[4]``."""
        return f"{'signed' if self.signed else 'unsigned'}({self.width})" + "".join(f"[{n}]" for n in self.shape)


@dataclass(frozen=True)
class Payload:
    """The fields of one beat, least significant first.

    Parameters
    ----------
    fields : tuple of :class:`Field`
    """

    fields: tuple

    def __post_init__(self):
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names) or not names:
            raise ConfigError(f"field names of a payload must be distinct and at least one, not {names!r}")

    @cached_property
    def width(self):
        """Bits of one beat."""
        return sum(field.width * field.size for field in self.fields)

    @cached_property
    def dtype(self):
        """Structured NumPy type of one beat; every element is an ``int64``."""
        return np.dtype([(field.name, np.int64, field.shape) for field in self.fields])

    def zeros(self, count):
        """An array of ``count`` beats, all fields zero."""
        return np.zeros(count, self.dtype)

    def beats(self, **arrays):
        """An array of beats from one array a field; raises :exc:`ConfigError` unless they fit.

        Every field needs its array, of shape ``(count, *field.shape)`` with one common count.
        """
        names = [field.name for field in self.fields]
        if set(arrays) != set(names):
            raise ConfigError(f"arrays must be named {', '.join(names)}, not {', '.join(sorted(arrays)) or 'none'}")
        arrays = {name: np.asarray(array) for name, array in arrays.items()}
        counts = {len(array) if array.ndim else -1 for array in arrays.values()}
        if len(counts) != 1 or -1 in counts:
            raise ConfigError(f"arrays must have one common length, not {sorted(counts)!r}")
        beats = self.zeros(counts.pop())
        for field in self.fields:
            array = arrays[field.name]
            if array.dtype.kind not in "biu":
                raise ConfigError(f"array {field.name!r} must hold integers, not {array.dtype}")
            if array.shape != beats[field.name].shape:
                raise ConfigError(
                    f"array {field.name!r} must have shape {beats[field.name].shape!r}, not {array.shape!r}"
                )
            if array.dtype.kind == "u" and array.size and int(array.max()) > field.maximum:
                raise ConfigError(f"array {field.name!r} holds {int(array.max())}, {field.describe()} is too narrow")
            beats[field.name] = array
        self.check(beats)
        return beats

    def check(self, beats):
        """Raise :exc:`ConfigError` for the first field with a value outside of its range."""
        for field in self.fields:
            values = beats[field.name]
            bad = (values < field.minimum) | (values > field.maximum)
            if bad.any():
                index = tuple(int(i) for i in np.argwhere(bad)[0])
                raise ConfigError(
                    f"field {field.name!r} of beat {index[0]} holds {int(values[index])}, "
                    f"{field.describe()} takes {field.minimum}..{field.maximum}"
                )

    def bits(self, beats):
        """Beats as an array of bits, ``uint8`` of shape ``(count, width)``, least significant first."""
        self.check(beats)
        columns = []
        for field in self.fields:
            values = beats[field.name].reshape(len(beats), field.size, 1)
            columns.append(
                ((values >> np.arange(field.width)) & 1).astype(np.uint8).reshape(len(beats), field.size * field.width)
            )
        return np.concatenate(columns, axis=1)

    def pack(self, beats):
        """Beats as little-endian bytes, ``uint8`` of shape ``(count, ceil(width / 8))``."""
        return np.packbits(self.bits(beats), axis=1, bitorder="little")

    def unpack(self, packed):
        """Inverse of :meth:`pack`; bits beyond the width are ignored."""
        packed = np.asarray(packed, np.uint8)
        bits = np.unpackbits(packed, axis=1, bitorder="little").astype(np.int64)
        beats, offset = self.zeros(len(packed)), 0
        for field in self.fields:
            span = field.width * field.size
            part = bits[:, offset : offset + span].reshape(len(packed), field.size, field.width)
            weights = np.int64(1) << np.arange(field.width, dtype=np.int64)
            if field.signed:
                weights[-1] = -weights[-1] if field.width < 64 else np.iinfo(np.int64).min
            beats[field.name] = (part * weights).sum(axis=2).reshape(beats[field.name].shape)
            offset += span
        return beats

    def to_ints(self, beats):
        """Beats as a list of Python integers."""
        return [int.from_bytes(row.tobytes(), "little") for row in self.pack(beats)]

    def from_ints(self, words):
        """Inverse of :meth:`to_ints`."""
        count = (self.width + 7) // 8
        data = b"".join(int(word).to_bytes(count, "little") for word in words)
        return self.unpack(np.frombuffer(data, np.uint8).reshape(-1, count))
