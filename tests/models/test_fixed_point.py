"""Fixed point against exact rationals, against apytypes, and the examples of the vendor's manual."""

import itertools
import math
from fractions import Fraction

import apytypes
import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.fixed_cast import (
    FIXED_OVERFLOWS,
    FIXED_ROUNDINGS,
    cast,
    cast_flagged,
    from_real,
    range_of,
)
from carrysave.models.fixed_point import (
    FixedFormat,
    add,
    difference_format,
    multiply,
    product_format,
    subtract,
    sum_format,
    to_real,
)

SEED = 24011754
APY_OVERFLOWS = {"wrap": apytypes.OverflowMode.WRAP, "sat": apytypes.OverflowMode.SAT}
APY_ROUNDINGS = {
    name: getattr(apytypes.QuantizationMode, name.upper().replace("-", "_"))
    for name in FIXED_ROUNDINGS
    if name != "stochastic"
}


def form(width, fraction, signed=True):
    return FixedFormat(width=width, fraction=fraction, signed=signed)


def value(mantissa, source):
    """The number as a rational."""
    return mantissa * Fraction(2) ** -source.fraction


def rounded(number, rounding, draw=None):
    """A rational rounded to an integer, from the modes' definitions."""
    below, above = math.floor(number), math.ceil(number)
    toward_zero = below if number >= 0 else above
    if rounding == "trn":
        return below
    if rounding == "trn-zero":
        return toward_zero
    if rounding == "stochastic":
        return below + (math.floor((number - below) * 65536) + draw >= 65536)
    if number - below != above - number:
        return below if number - below < above - number else above
    return {
        "rnd": above,
        "rnd-zero": toward_zero,
        "rnd-inf": above if number >= 0 else below,
        "rnd-min-inf": below,
        "rnd-conv": below if below % 2 == 0 else above,
    }[rounding]


def fitted(integer, target, overflow):
    """An integer made to fit, from the modes' definitions, and whether it did not."""
    size = 2**target.width
    low, high = (-size // 2, size // 2 - 1) if target.signed else (0, size - 1)
    if overflow == "sat-sym" and target.signed:
        low = -high
    outside = not low <= integer <= high
    if overflow == "wrap-sm":
        # Up to the largest number, there twice, down to the smallest, there twice, and up again.
        walk = [*range(high + 1), *range(high, low - 1, -1), *range(low, 0)]
        return walk[integer % len(walk)], outside
    if not outside:
        return integer, False
    if overflow == "wrap":
        return (integer - low) % size + low, True
    return {"sat-zero": 0}.get(overflow, low if integer < low else high), True


def legal(target, overflow):
    return target.signed or overflow != "wrap-sm", not (target.signed and target.width == 1 and overflow == "sat-sym")


SMALL = [
    form(width, fraction, signed)
    for width, fraction in ((1, 0), (1, 3), (2, -3), (3, 1), (5, 2), (6, -1), (6, 9))
    for signed in (True, False)
]


@pytest.mark.parametrize("source", SMALL, ids=str)
def test_cast_of_every_mantissa(source):
    mantissas = np.arange(source.minimum, source.maximum + 1)
    draws = np.random.default_rng(SEED).integers(0, 1 << 16, len(mantissas))
    for target, rounding in itertools.product(SMALL, FIXED_ROUNDINGS):
        integers = [
            rounded(value(mantissa, source) * Fraction(2) ** target.fraction, rounding, draw)
            for mantissa, draw in zip(mantissas.tolist(), draws.tolist(), strict=True)
        ]
        for overflow in FIXED_OVERFLOWS:
            if all(legal(target, overflow)):
                got, outside = cast_flagged(
                    mantissas, source, target, rounding=rounding, overflow=overflow, draws=draws
                )
                want = [fitted(integer, target, overflow) for integer in integers]
                context = f"{source} to {target}, {rounding}, {overflow}"
                assert list(zip(got.tolist(), outside.tolist(), strict=True)) == want, context


@pytest.mark.parametrize("rounding", FIXED_ROUNDINGS)
@pytest.mark.parametrize("overflow", FIXED_OVERFLOWS)
def test_cast_between_large_formats(rounding, overflow):
    rng = np.random.default_rng(SEED)
    for _ in range(60):
        source = form(int(rng.integers(20, 64)), int(rng.integers(-256, 257)), bool(rng.integers(2)))
        near = source.fraction + (rng.integers(-70, 90) if rng.random() < 0.5 else rng.integers(-10, 60) - source.width)
        target = form(int(rng.integers(2, 64)), int(np.clip(near, -256, 256)), True)
        if overflow != "wrap-sm" and rng.random() < 0.5:
            target = form(target.width, target.fraction, False)
        mantissas = rng.integers(source.minimum, source.maximum, 24, endpoint=True)
        mantissas[8:] >>= rng.integers(0, source.width, 16)
        mantissas[16:] &= np.int64(-1) << rng.integers(0, 19, 8)
        mantissas[:4] = source.minimum, source.maximum, 0, source.maximum // 2 + 1
        draws = rng.integers(0, 1 << 16, len(mantissas))
        got, outside = cast_flagged(mantissas, source, target, rounding=rounding, overflow=overflow, draws=draws)
        for mantissa, draw, *found in zip(
            mantissas.tolist(), draws.tolist(), got.tolist(), outside.tolist(), strict=True
        ):
            integer = rounded(value(mantissa, source) * Fraction(2) ** target.fraction, rounding, draw)
            want = large_fitted(integer, target, overflow)
            assert tuple(found) == want, f"{mantissa} of {source} to {target}, {rounding}, {overflow}"


@pytest.mark.parametrize("rounding", FIXED_ROUNDINGS)
@pytest.mark.parametrize("signed", [True, False])
def test_cast_that_drops_all_digits(rounding, signed):
    source = form(63, 70, signed)
    mantissas = [source.minimum, source.minimum + 1, source.maximum, source.maximum // 2 + 1, 1 << 60, 1, 0]
    draws = np.full(len(mantissas), 0xC000)
    for fraction in range(-20, 20):
        target = form(8, fraction)
        got = cast(mantissas, source, target, rounding=rounding, draws=draws)
        for mantissa, found in zip(mantissas, got.tolist(), strict=True):
            integer = rounded(value(mantissa, source) * Fraction(2) ** fraction, rounding, 0xC000)
            assert found == fitted(integer, target, "wrap")[0], (mantissa, fraction)


def large_fitted(integer, target, overflow):
    """As :func:`fitted`, without a list of all numbers."""
    if overflow != "wrap-sm":
        return fitted(integer, target, overflow)
    low, high = -(2 ** (target.width - 1)), 2 ** (target.width - 1) - 1
    place = (integer - low) % (4 * -low)  # 0 at the smallest number, on the way up
    return (place + low if place <= high - low else high - (place - 2 * -low)), not low <= integer <= high


@pytest.mark.parametrize("rounding", APY_ROUNDINGS)
@pytest.mark.parametrize("overflow", APY_OVERFLOWS)
def test_cast_as_in_apytypes(rounding, overflow):
    rng = np.random.default_rng(SEED)
    formats = [form(width, fraction) for width, fraction in ((8, 3), (7, 12), (9, -2), (40, 17), (63, 33), (30, -20))]
    for source, target in itertools.product(formats, repeat=2):
        if source.width + target.fraction - source.fraction > 64:
            continue  # apytypes 0.5.1 then loses what it shifts out of a word before it saturates
        everything = source.width < 10
        mantissas = (
            np.arange(source.minimum, source.maximum + 1)
            if everything
            else rng.integers(source.minimum, source.maximum, 500, endpoint=True) >> rng.integers(0, 60, 500)
        )
        array = apytypes.APyFixedArray(mantissas.tolist(), bits=source.width, frac_bits=source.fraction)
        found = array.cast(
            bits=target.width,
            frac_bits=target.fraction,
            quantization=APY_ROUNDINGS[rounding],
            overflow=APY_OVERFLOWS[overflow],
        )
        want = [bits - (bits > target.maximum) * (1 << target.width) for bits in found.to_bits()]
        got = cast(mantissas, source, target, rounding=rounding, overflow=overflow)
        assert got.tolist() == want, f"{source} to {target}"


# AMD UG1399, overview of arbitrary precision fixed-point data types: rounding to ap_fixed<3, 2>, overflow of 4 bits.
@pytest.mark.parametrize(
    ("rounding", "number", "answer"),
    [
        ("rnd", 1.25, 1.5),
        ("rnd", -1.25, -1.0),
        ("rnd-zero", 1.25, 1.0),
        ("rnd-zero", -1.25, -1.0),
        ("rnd-min-inf", 1.25, 1.0),
        ("rnd-min-inf", -1.25, -1.5),
        ("rnd-inf", 1.25, 1.5),
        ("rnd-inf", -1.25, -1.5),
        ("rnd-conv", 0.75, 1.0),
        ("rnd-conv", -1.25, -1.0),
        ("trn", 1.25, 1.0),
        ("trn", -1.25, -1.5),
        ("trn-zero", 1.25, 1.0),
        ("trn-zero", -1.25, -1.0),
    ],
)
def test_rounding_examples_of_the_manual(rounding, number, answer):
    target = form(3, 1)
    assert to_real(from_real(np.array(number), target, rounding=rounding, overflow="sat"), target) == answer


@pytest.mark.parametrize(
    ("overflow", "signed", "number", "answer"),
    [
        ("sat", True, 19.0, 7),
        ("sat", True, -19.0, -8),
        ("sat", False, 19.0, 15),
        ("sat", False, -19.0, 0),
        ("sat-zero", True, 19.0, 0),
        ("sat-zero", True, -19.0, 0),
        ("sat-zero", False, 19.0, 0),
        ("sat-zero", False, -19.0, 0),
        ("sat-sym", True, 19.0, 7),
        ("sat-sym", True, -19.0, -7),
        ("sat-sym", False, 19.0, 15),
        ("sat-sym", False, -19.0, 0),
        ("wrap", True, 31.0, -1),
        ("wrap", True, -19.0, -3),
        ("wrap", False, 19.0, 3),
        ("wrap", False, -19.0, 13),
        ("wrap-sm", True, 19.0, -4),
        ("wrap-sm", True, -19.0, 2),
    ],
)
def test_overflow_examples_of_the_manual(overflow, signed, number, answer):
    assert from_real(np.array(number), form(4, 0, signed), rounding="rnd", overflow=overflow) == answer


def test_rounding_comes_before_overflow():
    # 7.5 becomes 8 = 01000, whose lowest lost bit is set; that of 7.5 itself is not.
    assert from_real(np.array([7.5]), form(3, 0), rounding="rnd", overflow="wrap-sm") == [-1]


@pytest.mark.parametrize("rounding", FIXED_ROUNDINGS)
@pytest.mark.parametrize(
    "target", [form(8, 4), form(5, -7, False), form(16, 40), form(63, 256), form(12, -256)], ids=str
)
def test_real_numbers(rounding, target):
    rng = np.random.default_rng(SEED)
    values = rng.normal(size=300) * np.exp2(rng.integers(-12, 12, 300) + target.integer)
    ties = (rng.integers(-9, 9, 20) + 0.5) * 2.0**-target.fraction
    values = np.concatenate([values, ties, [0.0, -0.0, 5e-324, -5e-324, 1.7e308, -1.7e308]])
    draws = rng.integers(0, 1 << 16, len(values))
    for overflow in ("wrap", "sat"):
        got = from_real(values, target, rounding=rounding, overflow=overflow, draws=draws)
        for number, draw, found in zip(values.tolist(), draws.tolist(), got.tolist(), strict=True):
            integer = rounded(Fraction(number) * Fraction(2) ** target.fraction, rounding, draw)
            assert found == fitted(integer, target, overflow)[0], (number, overflow)


def test_real_numbers_of_every_type_and_shape():
    values = np.array([[1.25, -2.5], [0.0, 3.0]])
    for dtype in (np.float64, np.float32, np.float16):
        assert from_real(values.astype(dtype), form(8, 4)).tolist() == [[20, -40], [0, 48]]
    assert from_real(np.zeros((0, 3)), form(8, 4)).shape == (0, 3)


@pytest.mark.parametrize("source", [form(8, 4), form(63, 0), form(63, 256, False), form(7, -256)], ids=str)
def test_to_real_and_back(source):
    rng = np.random.default_rng(SEED)
    mantissas = rng.integers(source.minimum, source.maximum, 100, endpoint=True)
    mantissas &= np.int64(-1) << max(source.width - 53, 0)
    values = to_real(mantissas, source)
    for mantissa, number in zip(mantissas.tolist(), values.tolist(), strict=True):
        assert Fraction(number) == value(mantissa, source)
    assert (from_real(values, source, overflow="sat") == mantissas).all()


@pytest.mark.parametrize("forms", list(itertools.product(SMALL, repeat=2)), ids=lambda pair: f"{pair[0]}, {pair[1]}")
def test_results_grow_as_they_must(forms):
    a_form, b_form = forms
    a, b = np.meshgrid(*(np.arange(one.minimum, one.maximum + 1)[:: one.maximum // 8 + 1] for one in forms))
    for operate, grow, exact in (
        (add, sum_format, lambda x, y: x + y),
        (subtract, difference_format, lambda x, y: x - y),
        (multiply, product_format, lambda x, y: x * y),
    ):
        result = grow(*forms)
        found = result.checked(operate(a, a_form, b, b_form))
        for x, y, z in zip(a.ravel().tolist(), b.ravel().tolist(), found.ravel().tolist(), strict=True):
            assert value(z, result) == exact(value(x, a_form), value(y, b_form))


def test_result_formats_of_synthesis():
    a, b, u = form(8, 4), form(10, 2), form(6, 6, False)
    assert sum_format(a, b) == form(13, 4)  # 8 integer bits and one more
    assert sum_format(a, u) == form(11, 6)
    assert sum_format(u, form(4, -1, False)) == form(12, 6, False)
    assert difference_format(u, form(4, -1, False)) == form(12, 6)
    assert sum_format(form(4, 0), form(4, 0, False)) == form(6, 0)  # the sign costs a bit, the carry another
    assert product_format(a, u) == form(14, 10)
    assert product_format(u, u) == form(12, 12, False)


def test_format():
    assert (form(8, 3).minimum, form(8, 3).maximum, form(8, 3).integer) == (-128, 127, 5)
    assert (form(8, 11, False).minimum, form(8, 11, False).maximum) == (0, 255)
    assert str(form(8, 3)) == "ap_fixed<8, 5>"
    assert str(form(8, 11, False)) == "ap_ufixed<8, -3>"
    assert range_of(form(8, 3), "sat-sym") == (-127, 127)
    assert range_of(form(8, 3), "sat") == (-128, 127)


BYTE = form(8, 4)
WIDE = form(60, 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: form(0, 0), r"width of a fixed-point format must be an integer in 1\.\.63, not 0"),
        (lambda: form(64, 0), r"width of a fixed-point format must be an integer in 1\.\.63, not 64"),
        (lambda: form(8, 2.0), r"fraction of a fixed-point format must be an integer in -256\.\.256, not 2\.0"),
        (lambda: form(8, 257), r"fraction of a fixed-point format must be an integer in -256\.\.256, not 257"),
        (lambda: form(8, 2, 1), "signed must be true or false, not 1"),
        (lambda: BYTE.checked([1.5]), "mantissas must be integers, not float64"),
        (lambda: cast([128], BYTE, BYTE), r"mantissas of ap_fixed<8, 4> must be in -128\.\.127, not 128\.\.128"),
        (lambda: cast(np.array([1 << 63], np.uint64), BYTE, BYTE), r"mantissas of .*, not 9223372036854775808\.\..*"),
        (
            lambda: cast([1], BYTE, BYTE, rounding="RND"),
            "rounding must be one of trn, trn-zero, rnd, rnd-zero, rnd-inf, rnd-min-inf, rnd-conv, stochastic, not 'RND'",
        ),
        (
            lambda: cast([1], BYTE, BYTE, overflow="clip"),
            "overflow must be one of wrap, sat, sat-zero, sat-sym, wrap-sm, not 'clip'",
        ),
        (
            lambda: cast([1], BYTE, form(8, 4, False), overflow="wrap-sm"),
            "overflow 'wrap-sm' needs a signed format, not ap_ufixed<8, 4>: the others have no sign to wrap",
        ),
        (
            lambda: from_real(np.zeros(1), form(1, 0), overflow="sat-sym"),
            "overflow 'sat-sym' needs 2 bits or more, not ap_fixed<1, 1>: it would have zero only",
        ),
        (
            lambda: cast([1], BYTE, BYTE, rounding="stochastic"),
            "stochastic rounding needs draws, such as those of an LFSR, not None",
        ),
        (lambda: from_real([1], BYTE), "values to cast must be float64 or narrower, not int64"),
        (lambda: from_real([1.0, math.nan], BYTE), "values to cast must be finite, not nan"),
        (lambda: from_real([-math.inf], BYTE), "values to cast must be finite, not -inf"),
        (
            lambda: add([1], WIDE, [1], BYTE),
            r"a sum of ap_fixed<60, 60> and ap_fixed<8, 4> needs 65 bits, 4 of them behind the point; "
            r"formats have at most 63, and -256\.\.256: cast to narrower ones first",
        ),
        (lambda: multiply([1], WIDE, [1], BYTE), "a product of .* needs 68 bits, 4 of them behind the point; .*"),
        (
            lambda: product_format(form(4, 200), form(4, 60)),
            "a product of .* needs 8 bits, 260 of them behind the point; .*",
        ),
        (
            lambda: to_real([(1 << 53) + 1], WIDE),
            "mantissa 9007199254740993 of ap_fixed<60, 60> has more digits than the 53 of float64; cast to .* first",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        call()
