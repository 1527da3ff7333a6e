"""Payloads: packing against Python integers, and what is refused."""

import re

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.payload import Field, Payload

PAYLOAD = Payload((Field("a", 5, True, (3,)), Field("b", 7), Field("wide", 64, True), Field("last", 1)))


def naive_int(payload, beat):
    word, offset = 0, 0
    for field in payload.fields:
        for value in np.ravel(beat[field.name]).tolist():
            word |= (value % (1 << field.width)) << offset
            offset += field.width
    return word


def random_beats(payload, count):
    rng = np.random.default_rng(count)
    return payload.beats(
        **{
            field.name: rng.integers(field.minimum, field.maximum, (count, *field.shape), endpoint=True)
            for field in payload.fields
        }
    )


@pytest.mark.parametrize("count", [0, 1, 50])
def test_packing(count):
    beats = random_beats(PAYLOAD, count)
    words = PAYLOAD.to_ints(beats)
    assert words == [naive_int(PAYLOAD, beat) for beat in beats]
    assert (PAYLOAD.from_ints(words) == beats).all()
    packed = PAYLOAD.pack(beats)
    assert packed.shape == (count, 11)
    assert (PAYLOAD.unpack(packed) == beats).all()


def test_width_and_types():
    assert PAYLOAD.width == 15 + 7 + 64 + 1
    assert PAYLOAD.dtype.names == ("a", "b", "wide", "last")
    assert [field.describe() for field in PAYLOAD.fields] == [
        "signed(5)[3]",
        "unsigned(7)",
        "signed(64)",
        "unsigned(1)",
    ]
    assert (PAYLOAD.fields[0].minimum, PAYLOAD.fields[0].maximum) == (-16, 15)
    assert (PAYLOAD.fields[1].minimum, PAYLOAD.fields[1].maximum) == (0, 127)
    assert PAYLOAD.fields[2].maximum == np.iinfo(np.int64).max


def test_extremes_of_64_bits():
    payload = Payload((Field("x", 64, True),))
    beats = payload.beats(x=[np.iinfo(np.int64).min, -1, np.iinfo(np.int64).max])
    assert payload.to_ints(beats) == [1 << 63, (1 << 64) - 1, (1 << 63) - 1]
    assert (payload.from_ints(payload.to_ints(beats)) == beats).all()


SMALL = Payload((Field("a", 4, True, (2,)), Field("last", 1)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": [[0, 0]]}, "arrays must be named a, last, not a"),
        ({}, "arrays must be named a, last, not none"),
        ({"a": [[0, 0]], "last": [1, 0]}, "arrays must have one common length, not [1, 2]"),
        ({"a": [[0, 0]], "last": 1}, "arrays must have one common length, not [-1, 1]"),
        ({"a": [[0.0, 0]], "last": [1]}, "array 'a' must hold integers, not float64"),
        ({"a": [[0, 0, 0]], "last": [1]}, "array 'a' must have shape (1, 2), not (1, 3)"),
        ({"a": [[0, 8]], "last": [1]}, "field 'a' of beat 0 holds 8, signed(4)[2] takes -8..7"),
        ({"a": [[0, -9]], "last": [1]}, "field 'a' of beat 0 holds -9, signed(4)[2] takes -8..7"),
        ({"a": [[0, 0]], "last": [2]}, "field 'last' of beat 0 holds 2, unsigned(1) takes 0..1"),
        (
            {"a": [[0, 0]], "last": np.array([1 << 63], np.uint64)},
            "array 'last' holds 9223372036854775808, unsigned(1) is too narrow",
        ),
    ],
)
def test_refused(arrays, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        SMALL.beats(**arrays)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Field("2x", 4), "field name must be an identifier, not '2x'"),
        (lambda: Field("x", 0), "width of field 'x' must be 1..63 bits, not 0"),
        (lambda: Field("x", 64), "width of field 'x' must be 1..63 bits, not 64"),
        (lambda: Field("x", 65, True), "width of field 'x' must be 1..64 bits, not 65"),
        (
            lambda: Payload((Field("x", 1), Field("x", 2))),
            "field names of a payload must be distinct and at least one, not ['x', 'x']",
        ),
        (lambda: Payload(()), "field names of a payload must be distinct and at least one, not []"),
    ],
)
def test_description_refused(make, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make()
