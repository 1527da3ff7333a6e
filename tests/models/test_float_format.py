"""Floating-point formats: every code against ml_dtypes, gfloat and exact rationals; limits, classes, refusals."""

import dataclasses
import re
from fractions import Fraction

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_format import CLASSES, FORMATS, FloatFormat

NARROW = [name for name in FORMATS if name != "float32"]
GFLOAT = {
    "float32": gfloat.formats.format_info_binary32,
    "float16": gfloat.formats.format_info_binary16,
    "bfloat16": gfloat.formats.format_info_bfloat16,
    "float8_e5m2": gfloat.formats.format_info_ocp_e5m2,
    "float8_e4m3fn": gfloat.formats.format_info_ocp_e4m3,
    "float6_e3m2fn": gfloat.formats.format_info_ocp_e3m2,
    "float6_e2m3fn": gfloat.formats.format_info_ocp_e2m3,
    "float4_e2m1fn": gfloat.formats.format_info_ocp_e2m1,
}
CUSTOM = [
    FloatFormat(exponent_bits=2, mantissa_bits=1),
    FloatFormat(exponent_bits=3, mantissa_bits=2, infinities=False),
    FloatFormat(exponent_bits=3, mantissa_bits=2, subnormals=False),
    FloatFormat(exponent_bits=4, mantissa_bits=2, signed=False, bias=3),
    FloatFormat(exponent_bits=8, mantissa_bits=1, bias=0, infinities=False, nan="none"),
    FloatFormat(exponent_bits=8, mantissa_bits=1, bias=255, infinities=False, nan="all-ones"),
]


def type_of(name):
    """The type of NumPy or ml_dtypes of that name."""
    return np.dtype(getattr(np, name, None) or getattr(ml_dtypes, name))


def all_codes(form):
    return np.arange(1 << form.width).astype(form.dtype)


def sampled_codes(form, seed):
    """Every code up to 16 bits; above, the ends of each exponent and random ones."""
    if form.width <= 16:
        return all_codes(form)
    exponents = np.arange(1 << form.exponent_bits, dtype=np.uint32)[:, np.newaxis] << np.uint32(form.mantissa_bits)
    mantissas = np.array([0, 1, form.mantissa_mask - 1, form.mantissa_mask], np.uint32)
    codes = np.concatenate([
        (exponents + mantissas).ravel(),
        np.random.default_rng(seed).integers(0, 1 << form.width, 1 << 20, np.uint32),
    ])  # fmt: skip
    return np.concatenate([codes, codes ^ np.uint32(form.sign_mask)])


def same(got, want):
    """Equal values, zeros of one sign; NaNs are one class."""
    return ((got == want) & (np.signbit(got) == np.signbit(want))) | (np.isnan(got) & np.isnan(want))


def naive_value(form, code):
    """Class and value of a code, by the definition; ``None`` for what is no number."""
    sign = code >> form.exponent_bits + form.mantissa_bits
    exponent = code >> form.mantissa_bits & (1 << form.exponent_bits) - 1
    mantissa = code & (1 << form.mantissa_bits) - 1
    last = exponent == (1 << form.exponent_bits) - 1
    if form.nan == "ieee" and last:
        return ("infinity" if form.infinities and mantissa == 0 else "nan"), None
    if form.nan == "all-ones" and last and mantissa == (1 << form.mantissa_bits) - 1:
        return "nan", None
    fraction = Fraction(mantissa, 1 << form.mantissa_bits)
    if exponent:
        kind, value = "normal", (1 + fraction) * Fraction(2) ** (exponent - form.bias)
    elif mantissa and form.subnormals:
        kind, value = "subnormal", fraction * Fraction(2) ** (1 - form.bias)
    else:
        kind, value = "zero", Fraction(0)
    return kind, -value if sign else value


@pytest.mark.parametrize("name", FORMATS)
def test_decode_as_ml_dtypes(name):
    form, seed = FORMATS[name], 1
    codes = sampled_codes(form, seed)
    with np.errstate(invalid="ignore"):  # of signalling NaNs
        got, want = form.decode(codes), codes.view(type_of(name)).astype(np.float64)
    bad = np.flatnonzero(~same(got, want))
    assert not len(bad), f"seed {seed}, code {codes[bad[0]]:#x}: expected {want[bad[0]]}, got {got[bad[0]]}"


@pytest.mark.parametrize("name", GFLOAT)
def test_decode_as_gfloat(name):
    form, seed = FORMATS[name], 2
    codes = sampled_codes(form, seed)[: 1 << 16]
    got, want = form.decode(codes), gfloat.decode_ndarray(GFLOAT[name], codes.astype(np.int64))
    bad = np.flatnonzero(~same(got, want))
    assert not len(bad), f"seed {seed}, code {codes[bad[0]]:#x}: expected {want[bad[0]]}, got {got[bad[0]]}"


@pytest.mark.parametrize("form", [form for form in FORMATS.values() if form.width <= 8] + CUSTOM, ids=repr)
def test_every_code_by_the_definition(form):
    codes = all_codes(form)
    values, classes = form.decode(codes), form.classify(codes)
    for code, value, index in zip(codes.tolist(), values.tolist(), classes.tolist(), strict=True):
        kind, want = naive_value(form, code)
        assert CLASSES[index] == kind, f"code {code:#x}"
        assert bool(np.signbit(value)) == bool(code & form.sign_mask) or kind == "nan", f"code {code:#x}"
        if want is None:
            assert np.isinf(value) == (kind == "infinity"), f"code {code:#x}"
            assert np.isnan(value) == (kind == "nan"), f"code {code:#x}"
        else:
            assert Fraction(value) == want, f"code {code:#x}: expected {want}, got {value}"


@pytest.mark.parametrize("form", [*FORMATS.values(), *CUSTOM], ids=repr)
def test_predicates_agree_with_classes(form):
    codes = sampled_codes(form, 3)
    classes = form.classify(codes)
    predicates = (form.is_zero, form.is_subnormal, form.is_normal, form.is_infinite, form.is_nan)
    for index, predicate in enumerate(predicates):
        assert (predicate(codes) == (classes == index)).all(), CLASSES[index]
    assert (form.is_finite(codes) == (classes < 3)).all()
    assert (form.is_negative(codes) == (codes & form.sign_mask != 0)).all()
    expected = {"zero", "normal"}
    expected |= {"subnormal"} if form.subnormals else set()
    expected |= {"infinity"} if form.infinities else set()
    expected |= {"nan"} if form.nan != "none" else set()
    assert {CLASSES[index] for index in np.unique(classes)} == expected


@pytest.mark.parametrize("name", FORMATS)
def test_limits_as_ml_dtypes(name):
    form, info = FORMATS[name], ml_dtypes.finfo(type_of(name))
    assert form.width == info.bits
    assert form.largest == float(info.max)
    assert form.smallest_normal == float(info.smallest_normal)
    assert form.smallest_subnormal == float(info.smallest_subnormal)
    assert (form.exponent_bits, form.mantissa_bits) == (info.nexp, info.nmant)
    assert form.bias == 1 - info.minexp


@pytest.mark.parametrize("form", [*FORMATS.values(), *CUSTOM], ids=repr)
def test_named_codes(form):
    numbers = form.decode([form.largest_code, form.smallest_normal_code])
    assert numbers.tolist() == [form.largest, form.smallest_normal]
    if form.subnormals:
        assert form.decode(1) == form.smallest_subnormal
    else:
        assert form.smallest_subnormal is None
    assert form.sign_mask | form.exponent_mask | form.mantissa_mask == (1 << form.width) - 1
    assert form.sign_mask + form.exponent_mask + form.mantissa_mask == (1 << form.width) - 1
    assert (form.infinity_code is not None) == form.infinities
    assert (form.nan_code is not None) == (form.nan != "none")
    if form.infinities:
        assert form.decode(form.infinity_code) == np.inf
    if form.nan != "none":
        assert np.isnan(form.decode(form.nan_code))
    assert form.dtype.itemsize * 8 >= form.width


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("float8_e4m3fn", {"ieee": 0x7F, "saturate": 0x7E, "nan": 0x7F}),
        ("float8_e5m2", {"ieee": 0x7C, "saturate": 0x7B, "infinity": 0x7C, "nan": 0x7E}),
        ("float4_e2m1fn", {"ieee": 0x7, "saturate": 0x7}),
        ("bfloat16", {"ieee": 0x7F80, "saturate": 0x7F7F, "infinity": 0x7F80, "nan": 0x7FC0}),
    ],
)
def test_overflow_codes(name, codes):
    form = FORMATS[name]
    assert {overflow: form.overflow_code(overflow) for overflow in codes} == codes
    for overflow in {"infinity", "nan"} - set(codes):
        message = f"overflow cannot be '{overflow}': {name} has no such code"
        with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
            form.overflow_code(overflow)


def test_default_overflow():
    defaults = {name: form.default_overflow for name, form in FORMATS.items()}
    saturating = {name for name, overflow in defaults.items() if overflow == "saturate"}
    assert saturating == {"float8_e4m3fn", "float6_e3m2fn", "float6_e2m3fn", "float4_e2m1fn"}
    assert {defaults[name] for name in set(FORMATS) - saturating} == {"ieee"}


def test_names():
    assert [str(form) for form in FORMATS.values()] == list(FORMATS)
    assert str(dataclasses.replace(FORMATS["float8_e4m3"], bias=8)) == "e4m3"
    assert str(dataclasses.replace(FORMATS["bfloat16"], subnormals=False)) == "bfloat16"


def test_shape_and_type_are_kept():
    form = FORMATS["bfloat16"]
    codes = np.full((2, 3), 0x3F80)
    assert form.decode(codes).shape == (2, 3)
    assert form.decode(codes.astype(np.uint32)).dtype == np.float64
    assert form.checked(codes).dtype == np.uint16
    assert form.decode(0x4000) == 2
    assert form.decode(0x4000).shape == ()
    assert form.decode(np.zeros(0, np.uint16)).shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"exponent_bits": 1}, "exponent_bits must be an integer in 2..8, not 1"),
        ({"exponent_bits": 9}, "exponent_bits must be an integer in 2..8, not 9"),
        ({"exponent_bits": True}, "exponent_bits must be an integer in 2..8, not True"),
        ({"mantissa_bits": 0}, "mantissa_bits must be an integer in 1..23, not 0"),
        ({"mantissa_bits": 24}, "mantissa_bits must be an integer in 1..23, not 24"),
        ({"bias": -1}, "bias must be an integer in 0..255, not -1"),
        ({"bias": 256}, "bias must be an integer in 0..255, not 256"),
        ({"signed": 1}, "signed must be true or false, not 1"),
        ({"nan": "quiet"}, "nan must be one of ieee, all-ones, none, not 'quiet'"),
        ({"nan": "none"}, "infinities need nan = \"ieee\", not 'none'"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FloatFormat(**{"exponent_bits": 4, "mantissa_bits": 3, **arguments})


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([0, 256], "256 is no code of float8_e5m2: it takes 0..255"),
        ([0, -1], "-1 is no code of float8_e5m2: it takes 0..255"),
        ([0.5], "codes of float8_e5m2 must be integers, not float64"),
    ],
)
def test_codes_refused(codes, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        FORMATS["float8_e5m2"].decode(codes)


def test_overflow_refused():
    with pytest.raises(ConfigError, match=r"^overflow must be one of ieee, saturate, infinity, nan, not 'wrap'$"):
        FORMATS["float16"].overflow_code("wrap")
