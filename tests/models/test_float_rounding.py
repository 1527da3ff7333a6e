"""Rounding to a format and conversion: ml_dtypes, gfloat, and exact rationals as oracles; stochastic rounding's statistics."""

import bisect
import dataclasses
import re
from fractions import Fraction

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_format import FORMATS, OVERFLOWS, FloatFormat
from carrysave.models.float_rounding import ROUNDINGS, convert, encode

NARROW = [name for name in FORMATS if name != "float32"]
GFLOAT = {
    "float16": gfloat.formats.format_info_binary16,
    "bfloat16": gfloat.formats.format_info_bfloat16,
    "float8_e5m2": gfloat.formats.format_info_ocp_e5m2,
    "float8_e4m3fn": gfloat.formats.format_info_ocp_e4m3,
    "float6_e3m2fn": gfloat.formats.format_info_ocp_e3m2,
    "float6_e2m3fn": gfloat.formats.format_info_ocp_e2m3,
    "float4_e2m1fn": gfloat.formats.format_info_ocp_e2m1,
}
# Small enough to list their numbers.
LISTED = [
    *(form for form in FORMATS.values() if form.width <= 8),
    FloatFormat(exponent_bits=3, mantissa_bits=2, infinities=False),
    FloatFormat(exponent_bits=4, mantissa_bits=2, subnormals=False),
    FloatFormat(exponent_bits=3, mantissa_bits=3, bias=0, infinities=False, nan="none", subnormals=False),
    FloatFormat(exponent_bits=8, mantissa_bits=1, bias=255, infinities=False, nan="all-ones"),
]


def type_of(name):
    """The type of NumPy or ml_dtypes of that name."""
    return np.dtype(getattr(np, name, None) or getattr(ml_dtypes, name))


def reference(values, name):
    """Codes of values by ml_dtypes or NumPy, to nearest even."""
    with np.errstate(all="ignore"):
        return values.astype(type_of(name)).view(FORMATS[name].dtype)


def differ(form, got, want):
    """Where codes differ; NaNs are one class."""
    return (got != want) & ~(form.is_nan(got) & form.is_nan(want))


def hard_values(form, seed, count):
    """Values of ``float32``: corners, borders of rounding, ties and their neighbours, subnormals, overflow, random bits."""
    rng = np.random.default_rng(seed)
    magnitudes = np.arange(form.largest_code + 1)
    if len(magnitudes) > 1 << 15:
        near = [form.smallest_normal_code, form.largest_code, (form.largest_code + form.smallest_normal_code) // 2]
        near = np.add.outer(near, np.arange(-64, 65)).ravel()
        magnitudes = np.concatenate([np.arange(64), near, rng.integers(0, form.largest_code, 1 << 14, endpoint=True)])
        magnitudes = np.unique(np.clip(magnitudes, 0, form.largest_code))
    numbers = form.decode(magnitudes)
    after = form.decode(np.minimum(magnitudes + 1, form.largest_code))
    step = 2.0 ** (np.floor(np.log2(form.largest)) - form.mantissa_bits)
    after[magnitudes == form.largest_code] = form.largest + step
    with np.errstate(over="ignore"):
        borders = np.concatenate([numbers, (numbers + after) / 2, form.largest + step * np.arange(4) / 4]).astype(
            np.float32
        )
        borders = np.concatenate(
            [borders, np.nextafter(borders, np.float32(np.inf)), np.nextafter(borders, np.float32(0))]
        )
        corners = np.array([0, np.inf, np.nan, 1, 3e38, 1e-45, 1e-38, 2**-126, 65504, 65519.9, 65520], np.float32)
        room = count - 2 * len(borders)
        scales = rng.uniform(
            np.log2(form.smallest_normal) - 4 - form.mantissa_bits, np.log2(form.largest) + 2, room // 2
        )
        spread = (rng.uniform(0.5, 1, room // 2) * 2.0 ** np.clip(scales, -150, 127)).astype(np.float32)
    bits = rng.integers(0, 1 << 32, room - len(spread), np.uint32).view(np.float32)
    values = np.concatenate([corners, borders, spread])
    return np.concatenate([values, -values, bits])


def report(seed, values, got, want, wrong):
    """What a failure prints."""
    first = np.flatnonzero(wrong)[0]
    return f"seed {seed}, {wrong.sum()} wrong, {values[first]!r}: expected {want[first]:#x}, got {got[first]:#x}"


@pytest.mark.parametrize("target", NARROW)
@pytest.mark.parametrize("source", NARROW)
def test_conversion_of_every_code(source, target):
    form, goal = FORMATS[source], FORMATS[target]
    codes = np.arange(1 << form.width).astype(form.dtype)
    got, want = convert(codes, form, goal, overflow="ieee"), reference(codes.view(type_of(source)), target)
    assert got.dtype == goal.dtype
    numbers = ~form.is_nan(codes)
    wrong = numbers & differ(goal, got, want)
    assert not wrong.any(), report(None, codes, got, want, wrong)
    if goal.nan == "none":
        assert not got[~numbers].any()
    else:
        assert (got[~numbers] == goal.nan_code).all()


@pytest.mark.parametrize("target", NARROW)
def test_float32_as_ml_dtypes(target):
    seed, goal = 4, FORMATS[target]
    values = hard_values(goal, seed, 1_000_000)
    assert len(values) >= 1_000_000
    got, want = encode(values, goal, overflow="ieee"), reference(values, target)
    numbers = ~np.isnan(values)
    wrong = numbers & differ(goal, got, want)
    assert not wrong.any(), report(seed, values, got, want, wrong)
    assert (got[~numbers] == (goal.nan_code or 0)).all()


def test_float64_to_float32_as_numpy():
    seed, goal = 5, FORMATS["float32"]
    rng = np.random.default_rng(seed)
    values = rng.normal(size=300_000) * 2.0 ** rng.uniform(-155, 130, 300_000)
    codes = rng.integers(0, goal.largest_code, 200_000)
    ties = (goal.decode(codes) + goal.decode(codes + 1)) / 2
    corners = [
        2.0**128,
        (2 - 2.0**-24) * 2.0**127,
        (2 - 2.0**-23) * 2.0**127,
        5e-324,
        -5e-324,
        2.0**-150,
        3 * 2.0**-150,
    ]
    values = np.concatenate([values, ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf), corners])
    got, want = encode(values, goal), reference(values, "float32")
    wrong = got != want
    assert not wrong.any(), report(seed, values, got, want, wrong)


@pytest.mark.parametrize("rounding", ["nearest-even", "toward-zero"])
@pytest.mark.parametrize("saturate", [True, False])
@pytest.mark.parametrize("target", GFLOAT)
def test_as_gfloat(target, saturate, rounding):
    seed, goal, info = 6, FORMATS[target], GFLOAT[target]
    if not saturate and goal.nan == "none":
        saturate = True  # gfloat refuses anything else, and "ieee" means the same
    values = hard_values(goal, seed, 600_000 if goal.width > 8 else 40_000)[:40_000].astype(np.float64)
    values = values[np.isfinite(values)]
    mode = {"nearest-even": gfloat.RoundMode.TiesToEven, "toward-zero": gfloat.RoundMode.TowardZero}[rounding]
    want = gfloat.round_ndarray(info, values, rnd=mode, sat=saturate)
    got = goal.decode(encode(values, goal, rounding=rounding, overflow="saturate" if saturate else "ieee"))
    wrong = ~((got == want) & (np.signbit(got) == np.signbit(want)) | np.isnan(got) & np.isnan(want))
    assert not wrong.any(), f"seed {seed}: {values[wrong][:3]} expected {want[wrong][:3]}, got {got[wrong][:3]}"


class Listed:
    """A format as the list of its numbers: rounding by looking for the neighbours, with exact rationals.

    The list goes on above the largest number as if the exponent had no upper limit and, in a format without subnormal
    numbers, below the smallest normal one as if it had no lower limit.
    """

    def __init__(self, form):
        self.form = form
        mantissas = [Fraction(k, 1 << form.mantissa_bits) for k in range(1 << form.mantissa_bits)]
        lowest = 1 if form.subnormals else -8
        self.numbers = [m * Fraction(2) ** (1 - form.bias) for m in mantissas] if form.subnormals else [Fraction(0)]
        for exponent in range(lowest, (1 << form.exponent_bits) + 4):
            self.numbers += [(1 + m) * Fraction(2) ** (exponent - form.bias) for m in mantissas]
        self.first = self.numbers.index(Fraction(2) ** (1 - form.bias)) - form.smallest_normal_code

    def round(self, value, rounding, overflow):
        place = bisect.bisect_right(self.numbers, abs(value)) - 1
        low, high = self.numbers[place : place + 2]
        code = place - self.first
        if rounding == "nearest-even":
            twice = 2 * (abs(value) - low)
            code += twice > high - low or (twice == high - low and code % 2)
        if not self.form.subnormals and code < self.form.smallest_normal_code:
            code = 0
        if code > self.form.largest_code:
            code = self.beyond(rounding, overflow)
        nan = self.form.nan != "none" and code == self.form.nan_code
        return code | (self.form.sign_mask if value < 0 and not nan else 0)

    def beyond(self, rounding, overflow):
        largest = self.form.largest_code
        if overflow == "saturate" or (overflow == "ieee" and rounding == "toward-zero"):
            return largest
        if overflow == "infinity" or (overflow == "ieee" and self.form.infinities):
            return largest + 1
        return largest if self.form.nan == "none" else self.form.nan_code


@pytest.mark.parametrize("rounding", ["nearest-even", "toward-zero"])
@pytest.mark.parametrize("form", LISTED, ids=repr)
def test_by_neighbours(form, rounding):
    seed, listed = 7, Listed(form)
    rng = np.random.default_rng(seed)
    values = form.decode(np.arange(form.largest_code + 1))
    values = np.concatenate([values, (values[1:] + values[:-1]) / 2, form.largest * (1 + np.arange(1, 17) / 64)])
    values = np.concatenate([values, form.smallest_normal * (1 - np.arange(40) / 320), [form.largest * 8]])
    values = np.concatenate([values, np.nextafter(values, np.inf), np.nextafter(values, 0)])
    values = np.concatenate([values, rng.uniform(0, 1.2, 300) ** 4 * form.largest])
    values = np.concatenate([values, -values]) if form.signed else values
    for overflow in OVERFLOWS:
        if (overflow == "infinity" and not form.infinities) or (overflow == "nan" and form.nan == "none"):
            continue
        got = encode(values, form, rounding=rounding, overflow=overflow)
        for value, code in zip(values.tolist(), got.tolist(), strict=True):
            want = listed.round(Fraction(value), rounding, overflow)
            if value == 0:
                want |= form.sign_mask * bool(np.signbit(value))  # a Fraction of -0.0 has lost its sign
            assert code == want, f"seed {seed}, {overflow}, {value!r}: expected {want:#x}, got {code:#x}"


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_numbers_stay_what_they_are(name, rounding):
    form = FORMATS[name]
    codes = np.arange(min(1 << form.width, 1 << 16)).astype(form.dtype)
    codes = codes if form.width <= 16 else codes * form.dtype.type(65537)
    codes = codes[form.is_finite(codes)]
    got = encode(form.decode(codes), form, rounding=rounding, rng=8)
    assert (got == codes).all()


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ["nearest-even", "toward-zero"])
def test_infinity_overflows_with_any_rounding(rounding, overflow):
    form = FORMATS["float8_e5m2"]
    code = form.overflow_code(overflow)
    sign = 0 if overflow == "nan" else 0x80
    assert encode(np.array([np.inf, -np.inf]), form, rounding=rounding, overflow=overflow).tolist() == [
        code,
        code | sign,
    ]


def test_default_overflow_follows_the_format():
    values = np.array([1e9, -1e9])
    assert encode(values, FORMATS["float8_e5m2"]).tolist() == [0x7C, 0xFC]
    assert encode(values, FORMATS["float8_e4m3fn"]).tolist() == [0x7E, 0xFE]
    assert encode(values, FORMATS["float8_e4m3fn"], overflow="ieee").tolist() == [0x7F, 0x7F]
    assert encode(values, FORMATS["float4_e2m1fn"]).tolist() == [0x7, 0xF]


@pytest.mark.parametrize(
    ("name", "value", "low"),
    [
        ("bfloat16", 1.0 + 0.3 * 2**-7, 0x3F80),
        ("float8_e5m2", 3.0 + 0.0625, 0x42),
        ("float8_e4m3fn", 2.0**-9 * 2.75, 0x02),
        ("float4_e2m1fn", 0.125, 0x0),
        ("float32", 2.0**-149 * 1.6, 0x1),
        ("float8_e5m2", 2.0**-16 * 2.0**-4, 0x0),
    ],
)
def test_stochastic_probability(name, value, low):
    form, seed, count = FORMATS[name], 9, 200_000
    got = encode(np.full(count, value), form, rounding="stochastic", rng=seed)
    assert set(np.unique(got).tolist()) == {low, low + 1}
    below, above = form.decode([low, low + 1])
    chance = (value - below) / (above - below)
    spread = 5 * np.sqrt(chance * (1 - chance) / count)
    assert np.mean(got == low + 1) == pytest.approx(chance, abs=spread), f"seed {seed}"


def test_stochastic_far_below_the_smallest_number():
    form, seed, count = FORMATS["float8_e5m2"], 13, 1 << 20
    got = encode(np.full(count, 2.0 ** (-16 - 12)), form, rounding="stochastic", rng=seed)
    assert got.sum() == pytest.approx(count / 4096, abs=5 * np.sqrt(count / 4096)), f"seed {seed}"
    assert not encode(np.full(1000, 5e-324), form, rounding="stochastic", rng=seed).any(), f"seed {seed}"


def test_stochastic_is_reproducible_and_symmetric():
    values, form = np.random.default_rng(10).normal(size=50_000), FORMATS["float8_e4m3fn"]
    first = encode(values, form, rounding="stochastic", rng=1)
    assert (first == encode(values, form, rounding="stochastic", rng=np.random.default_rng(1))).all()
    assert (first != encode(values, form, rounding="stochastic", rng=2)).any()
    assert (first ^ 0x80 == encode(-values, form, rounding="stochastic", rng=1)).all()


def test_stochastic_overflow():
    form = FORMATS["float8_e5m2"]
    values = np.full(20_000, 57344 + 2048.0)  # a quarter of the way to the number that does not exist
    got = encode(values, form, rounding="stochastic", rng=11)
    assert set(np.unique(got).tolist()) == {0x7B, 0x7C}
    assert np.mean(got == 0x7C) == pytest.approx(0.25, abs=0.02), "seed 11"
    assert (encode(values, form, rounding="stochastic", overflow="saturate", rng=11) == 0x7B).all()


def test_unsigned():
    form = FloatFormat(exponent_bits=4, mantissa_bits=4, signed=False)
    assert encode(np.array([1.0, -0.0, np.nan]), form).tolist() == [0x70, 0, form.nan_code]
    with pytest.raises(ConfigError, match=r"^e4m4 is unsigned: it has no code for -2\.0$"):
        encode(np.array([1.0, -2.0]), form)


def test_shapes_and_types():
    form = FORMATS["float16"]
    assert encode(np.ones((2, 3), np.float32), form).shape == (2, 3)
    assert encode(1.0, form).shape == ()
    assert encode(np.ones((4, 6))[:, ::2], form).tolist() == [[0x3C00] * 3] * 4
    assert encode(np.zeros(0), form).dtype == np.uint16
    signalling = np.array([0x7F800001, 0xFF800001], np.uint32).view(np.float32)
    assert encode(signalling, form).tolist() == [0x7E00, 0x7E00]


def test_flushed_target_has_no_subnormal_codes():
    form = dataclasses.replace(FORMATS["float16"], subnormals=False)
    values = np.ldexp(np.random.default_rng(12).uniform(-1, 1, 10_000), -14)
    codes = encode(values, form)
    assert form.is_zero(codes).any()
    assert (form.magnitudes(codes)[form.is_zero(codes)] == 0).all(), "seed 12"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rounding": "up"}, "rounding must be one of nearest-even, toward-zero, stochastic, not 'up'"),
        ({"rounding": "stochastic"}, "stochastic rounding needs rng, a generator or a seed, not None"),
        ({"overflow": "infinity"}, "overflow cannot be 'infinity': float8_e4m3fn has no such code"),
        ({"values": np.array([1])}, "values to encode must be float64 or narrower, not int64"),
        ({"values": np.array([1j])}, "values to encode must be float64 or narrower, not complex128"),
    ],
)
def test_refused(arguments, message):
    arguments = {"values": np.ones(1), "target": FORMATS["float8_e4m3fn"], **arguments}
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        encode(**arguments)
