"""Digit recodings against naive Python-integer recodings and the published tables."""

import re

import numpy as np
import pytest

from carrysave.models.digits import ENCODINGS, Recoding, value_probabilities
from carrysave.models.errors import ConfigError

# Average non-zero digits of an INT8 operand: uniform, then round(N(0, sigma)) clipped, sigma 10, 20, 30, 40, 50.
TABLE = {
    "mbe": ("3.000", "1.9255", "2.2942", "2.5303", "2.6716", "2.7556"),
    "en-t": ("2.918", "1.7619", "2.1148", "2.3347", "2.4889", "2.5930"),
    "naf": ("2.777", "1.7310", "2.0634", "2.2588", "2.3954", "2.4898"),
    "twos-complement": ("4.000", "3.93", "3.98", "3.99", "3.99", "4.00"),
    "sign-magnitude": ("3.504", "1.8896", "2.3435", "2.6192", "2.8172", "2.9797"),
}
COLUMNS = [(encoding, column) for encoding in TABLE for column in range(6)]


def naive_mbe(value, width, signed):
    width += width % 2
    bits = [value >> i & 1 for i in range(width + 2)] if signed else [value >> i & 1 for i in range(width)] + [0, 0]
    count = width // 2 if signed else width // 2 + 1
    return [-2 * bits[2 * i + 1] + bits[2 * i] + (bits[2 * i - 1] if i else 0) for i in range(count)]


def naive_ent(value, width, signed):
    magnitude, carry, digits = abs(value), 0, []
    for _ in range((width + 1) // 2 + (not signed)):
        digit = magnitude % 4 + carry
        magnitude //= 4
        carry = int(digit in (3, 4))
        digits.append({3: -1, 4: 0}.get(digit, digit))
    assert carry == 0
    return digits


def naive_naf(value, width, signed):
    digits = []
    for _ in range(width + (not signed)):
        digit = 2 - value % 4 if value % 2 else 0
        value = (value - digit) // 2
        digits.append(digit)
    assert value == 0
    return digits


def naive_bits(value, width, signed):
    return [int(bit) for bit in reversed(format(value % (1 << width), f"0{width}b"))]


def naive_magnitude(value, width, signed):
    return naive_bits(abs(value), width, signed)


NAIVE = {
    "mbe": naive_mbe,
    "en-t": naive_ent,
    "naf": naive_naf,
    "twos-complement": naive_bits,
    "sign-magnitude": naive_magnitude,
}


def values_of(recoding):
    """All values up to 12 bits; above, the ends of the range, what surrounds zero, and a sample."""
    if recoding.width <= 12:
        return recoding.values
    sample = np.random.default_rng(recoding.width).choice(recoding.values, 2000)
    middle = recoding.values[(recoding.values >= -40) & (recoding.values <= 40)]
    return np.concatenate([recoding.values[:40], middle, recoding.values[-40:], sample])


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("width", range(4, 17))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_recoding(encoding, width, signed):
    recoding = Recoding(encoding=encoding, width=width, signed=signed)
    values = values_of(recoding)
    digits, negative = recoding.encode(values)
    assert digits.dtype == np.int8
    assert digits.shape == (len(values), recoding.n_digits)
    expected = [NAIVE[encoding](int(value), width, signed) for value in values]
    for row, want in zip(digits.tolist(), expected, strict=True):
        want = want + [0] * (len(row) - len(want))
        assert row == want[: len(row)]
        assert not any(want[len(row) :])
    assert set(np.unique(digits).tolist()) <= set(recoding.digit_set)
    assert negative.tolist() == [recoding.has_sign and int(value) < 0 for value in values]
    assert (recoding.decode(digits, negative) == values).all()
    assert (recoding.decode(recoding.signed_digits(values)) == values).all()
    assert digits[:, -1].any(), "the top digit is never used"


@pytest.mark.parametrize(
    ("encoding", "width", "signed", "count"),
    [
        ("mbe", 8, True, 4),
        ("mbe", 8, False, 5),
        ("mbe", 7, True, 4),
        ("mbe", 7, False, 4),
        ("en-t", 8, True, 4),
        ("en-t", 8, False, 5),
        ("naf", 8, True, 8),
        ("naf", 8, False, 9),
        ("twos-complement", 8, True, 8),
        ("sign-magnitude", 8, True, 8),
    ],
)
def test_digit_count(encoding, width, signed, count):
    assert Recoding(encoding=encoding, width=width, signed=signed).n_digits == count


@pytest.mark.parametrize(
    ("value", "digits"), [(91, [1, 2, -1, -1]), (124, [2, 0, -1, 0]), (-128, [2, 0, 0, 0]), (-91, [1, 2, -1, -1])]
)
def test_ent_examples(value, digits):
    encoded, negative = Recoding(encoding="en-t").encode(value)
    assert encoded.tolist() == digits[::-1]
    assert negative == (value < 0)


def test_unsigned_ent_needs_fifth_digit_from_171_on():
    recoding = Recoding(encoding="en-t", signed=False)
    needs = recoding.encode(recoding.values)[0][:, 4] != 0
    assert np.flatnonzero(needs).tolist() == list(range(171, 256))


def test_naf_is_non_adjacent():
    digits, _ = Recoding(encoding="naf", width=12).encode(np.arange(-2048, 2048))
    assert not (digits[:, 1:] * digits[:, :-1]).any()


def test_shape_is_kept():
    recoding = Recoding(encoding="mbe")
    values = np.arange(-12, 12).reshape(2, 3, 4)
    digits, negative = recoding.encode(values)
    assert digits.shape == (2, 3, 4, 4)
    assert negative.shape == (2, 3, 4)
    assert (recoding.decode(digits) == values).all()


@pytest.mark.parametrize(("encoding", "column"), COLUMNS)
def test_mean_nonzero_digits(encoding, column):
    printed = TABLE[encoding][column]
    mean = Recoding(encoding=encoding).mean_nonzero_digits((None, 10, 20, 30, 40, 50)[column])
    assert format(mean, f".{len(printed.partition('.')[2])}f") == printed


@pytest.mark.parametrize(("encoding", "histogram"), [("mbe", [1, 12, 54, 108, 81]), ("en-t", [1, 15, 60, 108, 72])])
def test_histogram(encoding, histogram):
    assert Recoding(encoding=encoding).nonzero_histogram().tolist() == histogram


@pytest.mark.parametrize(
    ("encoding", "published"),
    [("mbe", 2.44), ("en-t", 2.26), ("naf", 2.19), ("twos-complement", 3.99), ("sign-magnitude", 2.53)],
)
def test_scaled_normal_matrix(encoding, published):
    matrix = np.random.default_rng(1).normal(size=(1024, 1024))
    matrix = np.rint(matrix * (127 / np.abs(matrix).max())).astype(np.int64)
    # The largest of a million samples sets the scale, so that one matrix differs from the next by a few hundredths.
    assert Recoding(encoding=encoding).nonzero_digits(matrix).mean() == pytest.approx(published, abs=0.08)


def test_probabilities():
    weights = value_probabilities(width=8, signed=True, sigma=50)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert weights[2:128] == pytest.approx(weights[254:128:-1], rel=1e-9)
    assert weights[0] > weights[1], "the tail is clipped to the ends"
    assert value_probabilities(width=4, signed=False).tolist() == [1 / 16] * 16


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"encoding": "booth"},
            "encoding must be one of mbe, en-t, naf, twos-complement, sign-magnitude, not 'booth'",
        ),
        ({"encoding": "mbe", "width": 3}, "width must be an integer in 4..16, not 3"),
        ({"encoding": "mbe", "width": 17}, "width must be an integer in 4..16, not 17"),
        ({"encoding": "mbe", "width": 8.0}, "width must be an integer in 4..16, not 8.0"),
        ({"encoding": "mbe", "signed": 1}, "signed must be true or false, not 1"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Recoding(**arguments)


@pytest.mark.parametrize(
    ("signed", "values", "message"),
    [
        (True, [0, 128], "128 is out of range: signed(8) takes -128..127"),
        (True, [-129], "-129 is out of range: signed(8) takes -128..127"),
        (False, [-1], "-1 is out of range: unsigned(8) takes 0..255"),
        (True, [0.5], "values to recode must be integers, not float64"),
    ],
)
def test_values_refused(signed, values, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        Recoding(encoding="mbe", signed=signed).encode(values)


def test_decode_refuses_shape():
    with pytest.raises(ConfigError, match=r"^digits must have 4 elements in the last axis, not shape \(2, 3\)$"):
        Recoding(encoding="mbe").decode(np.zeros((2, 3), int))


@pytest.mark.parametrize("sigma", [0, -1, float("inf"), float("nan")])
def test_sigma_refused(sigma):
    with pytest.raises(ConfigError, match=r"^sigma must be a positive number, not "):
        value_probabilities(width=8, signed=True, sigma=sigma)
