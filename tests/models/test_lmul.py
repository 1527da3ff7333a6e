"""L-Mul: the formula with exact rationals on every pair of small formats, the published vectors, corner cases, refusals."""

import dataclasses
import re
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_format import FORMATS
from carrysave.models.float_multiply import float_corners, float_stimulus
from carrysave.models.lmul import LMulConfig, lmul_golden, lmul_products, paper_offset
from carrysave.models.multiplier_error import CRITERIA, optimal_offset

SMALL = [name for name, form in FORMATS.items() if form.width <= 8]
WIDE = ["float16", "bfloat16", "float32"]
ROUNDED = {"carry": "formula", "rounding": "nearest-even"}
CUSTOM = {"format": "custom", "exponent_bits": 3, "mantissa_bits": 2}
CONFIGS = [
    *(LMulConfig(format=name, overflow="ieee") for name in SMALL),
    *(LMulConfig(format=name, carry="formula") for name in SMALL),
    *(LMulConfig(format=name, offset="none", **ROUNDED) for name in SMALL),
    *(LMulConfig(format=name, offset="optimal", guard_bits=2, specials=False) for name in SMALL[::2]),
    LMulConfig(format="float8_e3m4", offset=0.625, **ROUNDED),
    LMulConfig(format="float8_e4m3", offset=7, carry="formula"),
    LMulConfig(format="float8_e5m2", offset=3, overflow="nan"),
    LMulConfig(format="float8_e4m3", overflow="nan", specials=False),
    LMulConfig(format="float8_e5m2", overflow="saturate", specials=False, carry="formula"),
    LMulConfig(format="float8_e4m3fn", overflow="nan", guard_bits=1),
    LMulConfig(**CUSTOM, bias=0, signed=False, offset=3),
    LMulConfig(**CUSTOM, bias=12, infinities=False, **ROUNDED),
]


class Oracle:
    """The definition, with exact rationals, for codes without a sign."""

    def __init__(self, config):
        self.config, self.form = config, config.product_format
        self.bits, self.unit = config.mantissa_bits, Fraction(2, 1 << config.mantissa_bits + config.guard_bits)
        self.offset = offset_of(config)
        codes = range(self.form.smallest_normal_code, self.form.largest_code + 1)
        values = self.form.decode(np.array(codes)).tolist()
        self.codes = {Fraction(value): code for value, code in zip(values, codes, strict=True)}
        self.smallest, self.largest = Fraction(values[0]), Fraction(values[-1])

    def operand(self, code):
        """Power of two and mantissa of a normal number; ``None`` for a zero, a name for what is no number."""
        config = self.config
        exponent = code >> self.bits & (1 << config.exponent_bits) - 1
        field = code & (1 << self.bits) - 1
        if config.specials and exponent == (1 << config.exponent_bits) - 1:
            if config.nan == "ieee":
                return "infinity" if config.infinities and field == 0 else "nan"
            if config.nan == "all-ones" and field == (1 << self.bits) - 1:
                return "nan"
        return (Fraction(2) ** (exponent - config.bias), Fraction(field, 1 << self.bits)) if exponent else None

    def approximate(self, x, y):
        """The value that the definition gives for two normal numbers, and that fits the product's mantissa."""
        s = x[1] + y[1] + self.offset
        if self.config.carry == "adder":
            return (1 + s if s < 1 else 2 * s if s < 2 else 4 * (s - 1)) * x[0] * y[0]
        significand = 1 + s
        if significand >= 2:
            digits = significand / self.unit
            digits = round(digits) if self.config.rounding == "nearest-even" else digits.__floor__()
            significand = digits * self.unit
        return significand * x[0] * y[0]

    def products(self, a, b):
        """Codes of the products of two lists of codes without a sign, and whether each takes the sign of the product."""
        operands = {code: self.operand(code) for code in {*a, *b}}
        answers = [self.compute(operands[x], operands[y]) for x, y in zip(a, b, strict=True)]
        return (np.array(column) for column in zip(*answers, strict=True))

    def compute(self, x, y):
        if isinstance(x, str) or isinstance(y, str):
            nan = "nan" in (x, y) or x is None or y is None
            return (self.form.nan_code, False) if nan else (self.form.infinity_code, True)
        if x is None or y is None:
            return 0, True
        value = self.approximate(x, y)
        if value > self.largest:
            return self.beyond()
        return (self.codes[value] if value >= self.smallest else 0), True

    def beyond(self):
        config, form = self.config, self.form
        overflow = config.overflow
        if overflow == "ieee":
            overflow = "infinity" if config.infinities else "nan" if config.nan != "none" else "saturate"
        code = {"saturate": form.largest_code, "infinity": form.infinity_code, "nan": form.nan_code}[overflow]
        return code, overflow != "nan"


def offset_of(config):
    if config.offset == "none":
        return Fraction(0)
    if config.offset == "paper":
        return Fraction(1, 2 ** {1: 1, 2: 2, 3: 3, 4: 3}.get(config.mantissa_bits, 4))
    if config.offset == "optimal":
        return Fraction(config.offset_units, 1 << config.mantissa_bits + config.guard_bits)
    return Fraction(config.offset) / (1 << config.mantissa_bits)


def check(config, a, b, seed=None):
    """Products of two arrays of codes against the oracle."""
    form = config.float_format
    both = form.magnitudes(a).astype(np.int64) << 32 | form.magnitudes(b)
    pairs, places = np.unique(both, return_inverse=True)
    magnitudes = (pairs >> 32).tolist(), (pairs & 0xFFFFFFFF).tolist()
    want, takes_sign = (column[places] for column in Oracle(config).products(*magnitudes))
    want = want | np.where(takes_sign & (form.is_negative(a) ^ form.is_negative(b)), config.product_format.sign_mask, 0)
    got = lmul_products(config, a, b)
    assert got.dtype == config.product_format.dtype
    for wrong in np.flatnonzero(got != want):
        pytest.fail(f"seed {seed}, {a[wrong]:#x} x {b[wrong]:#x}: expected {want[wrong]:#x}, got {got[wrong]:#x}")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_every_pair(config):
    form = config.float_format
    codes = np.arange(1 << form.width).astype(form.dtype)
    check(config, np.repeat(codes, len(codes)), np.tile(codes, len(codes)))


@pytest.mark.parametrize("options", [{}, {"carry": "formula"}, {**ROUNDED, "offset": 21}, {"specials": False}])
@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_wide_formats(name, options):
    config, seed = LMulConfig(format=name, **options), 1
    beats = float_stimulus(config, np.random.default_rng(seed), 6000)
    check(config, *(beats[operand].astype(np.uint16) for operand in "ab"), seed)


def bits_oracle(config, a, b):
    """The paper's integer addition, with Python integers, for two finite codes."""
    form, m = config.float_format, config.mantissa_bits
    sign, mask = (a ^ b) & form.sign_mask, form.magnitude_mask
    if (a & mask) >> m == 0 or (b & mask) >> m == 0:
        return sign
    total = (a & mask) + (b & mask) - (config.bias << m) + (1 << m - (m if m <= 3 else 3 if m == 4 else 4))
    if total >> m <= 0:
        return sign
    return sign | (total if total <= form.largest_code else form.overflow_code(config.overflow))


@pytest.mark.parametrize("name", FORMATS)
def test_paper_in_integers(name):
    config, seed = LMulConfig(format=name), 2
    form = config.float_format
    beats = float_stimulus(config, np.random.default_rng(seed), 20_000)
    beats = beats[form.is_finite(beats["a"]) & form.is_finite(beats["b"])]
    got = lmul_golden(config, beats)
    assert got.dtype == config.o.dtype
    for (a, b), product in zip(beats.tolist(), got["product"].tolist(), strict=True):
        want = bits_oracle(config, a, b)
        assert product == want, f"seed {seed}, {a:#x} x {b:#x}: expected {want:#x}, got {product:#x}"


@pytest.mark.parametrize(
    ("a", "b", "adder", "formula"),
    [
        (0x3F80, 0x3F80, 1.0625, 1.0625),
        (0x3FC0, 0x3FC0, 2.125, 2.0625),
        (0xC000, 0x3F40, -1.5625, -1.5625),
    ],
)
def test_vectors(a, b, adder, formula):
    form = FORMATS["bfloat16"]
    assert form.decode(lmul_products(LMulConfig(), a, b)) == adder
    assert form.decode(lmul_products(LMulConfig(carry="formula"), a, b)) == formula


def test_codes_of_the_vectors():
    products = lmul_products(LMulConfig(), [0x3F80, 0x3FC0, 0xC000], [0x3F80, 0x3FC0, 0x3F40])
    assert products.tolist() == [0x3F88, 0x4008, 0xBFC8]


def test_all_three_ranges_of_the_sum():
    config = LMulConfig(offset=127)
    got = FORMATS["bfloat16"].decode(lmul_products(config, [0x3F80, 0x3FC0, 0x3FFF], [0x3F80, 0x3FC0, 0x3FFF]))
    last = 2.0**-7
    s = np.array([1 - last, 2 - last, 3 - 3 * last])
    assert got.tolist() == [1 + s[0], 2 * s[1], 4 * (s[2] - 1)]


def test_dropped_bit():
    # 1.75 x 1.5 without an offset: 1 + s = 2.25, of which 2 mantissa bits keep 2 or 2.5.
    codes = {"toward-zero": 0x40, "nearest-even": 0x40}
    for rounding, code in codes.items():
        config = LMulConfig(format="float8_e5m2", offset="none", carry="formula", rounding=rounding)
        assert lmul_products(config, 0x3F, 0x3E) == code
    # 1.75 x 1.75 with the paper's: 1 + s = 2.75, between 2.5 and 3; the even one is 3.
    codes = {"toward-zero": 0x41, "nearest-even": 0x42}
    for rounding, code in codes.items():
        config = LMulConfig(format="float8_e5m2", carry="formula", rounding=rounding)
        assert lmul_products(config, 0x3F, 0x3F) == code


@pytest.mark.parametrize(
    ("options", "a", "b", "product"),
    [
        ({}, 0x7F7F, 0xFF7F, 0xFF80),
        ({"overflow": "saturate"}, 0x7F7F, 0xFF7F, 0xFF7F),
        ({"overflow": "nan"}, 0x7F7F, 0xFF7F, 0x7FC0),
        ({}, 0x0080, 0x8080, 0x8000),
        ({}, 0x007F, 0xBF80, 0x8000),
        ({}, 0x7F80, 0xBF80, 0xFF80),
        ({"overflow": "saturate"}, 0x7F80, 0xBF80, 0xFF80),
        ({}, 0x7F80, 0x8000, 0x7FC0),
        ({}, 0x7F80, 0x0001, 0x7FC0),
        ({}, 0x7F81, 0x0000, 0x7FC0),
        ({}, 0xFFFF, 0xFF80, 0x7FC0),
        ({"specials": False}, 0x7F80, 0x0000, 0x0000),
        ({"specials": False, "offset": "none"}, 0x7FC0, 0x3F00, 0x7F40),
        ({"format": "float8_e4m3fn"}, 0x7E, 0xFE, 0xFE),
        ({"format": "float8_e4m3fn", "overflow": "ieee"}, 0x7E, 0xFE, 0x7F),
        ({"format": "float8_e4m3fn"}, 0xFF, 0x38, 0x7F),
        ({"format": "float8_e4m3fn", "specials": False, "offset": "none"}, 0x7F, 0x30, 0x77),
        ({"format": "float4_e2m1fn"}, 0x7, 0xF, 0xF),
        ({"format": "float8_e5m2", "guard_bits": 2, "offset": 0.75}, 0x3C, 0xBC, 0x2F3),
        ({"format": "float32"}, 0x3F800000, 0x3F800000, 0x3F880000),
        ({"format": "float32"}, 0x7F7FFFFF, 0x7F7FFFFF, 0x7F800000),
    ],
)
def test_corner_cases(options, a, b, product):
    got = lmul_products(LMulConfig(**options), a, b)
    assert got == product, f"expected {product:#x}, got {got:#x}"


@pytest.mark.parametrize(
    ("mantissa_bits", "offset"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 4), (7, 8), (10, 64), (23, 1 << 19)]
)
def test_paper_offset(mantissa_bits, offset):
    assert paper_offset(mantissa_bits) == offset


@pytest.mark.parametrize("name", SMALL + WIDE)
def test_powers_of_two_are_exact_without_an_offset(name):
    form, seed = FORMATS[name], 3
    rng = np.random.default_rng(seed)
    a = rng.integers(form.smallest_normal_code, form.largest_code, 3000)
    power = rng.integers(1, form.largest_code >> form.mantissa_bits, 3000) << form.mantissa_bits
    exact = form.decode(a) * form.decode(power)
    fits = (exact <= form.largest) & (exact >= form.smallest_normal)
    assert fits.sum() > 100
    for carry in ("adder", "formula"):
        got = form.decode(lmul_products(LMulConfig(format=name, offset="none", carry=carry), a, power))
        assert (got[fits] == exact[fits]).all(), f"seed {seed}, {carry}"


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("options", [{}, {"carry": "formula"}, ROUNDED, {"guard_bits": 2}])
def test_optimal_offset_is_that_of_the_search(options, criterion):
    config = LMulConfig(format="float8_e3m4", offset="optimal", criterion=criterion, **options)
    rounding = config.rounding if config.carry == "formula" else "none"
    best = optimal_offset(
        mantissa_bits=4, guard_bits=config.guard_bits, carry=config.carry, rounding=rounding, criterion=criterion
    )
    assert config.offset_units == best * 2**config.guard_bits
    assert config.offset == "optimal"


def test_shapes_types_and_blocks():
    config = LMulConfig(format="float8_e5m2")
    codes = np.arange(256)
    table = lmul_products(config, codes[:, np.newaxis], codes)
    assert table.shape == (256, 256)
    assert table.dtype == np.uint8
    assert (table == table.T).all()
    flat = lmul_products(config, np.repeat(codes, 256).astype(np.uint8), np.tile(codes, 256).astype(np.uint64))
    assert (flat == table.ravel()).all()
    assert lmul_products(config, codes[:0], codes[:0]).shape == (0,)


@pytest.mark.parametrize("name", FORMATS)
def test_stimulus_hits_both_sides_of_the_borders(name):
    config, seed = LMulConfig(format=name, overflow="ieee"), 4
    form = config.float_format
    beats = float_stimulus(config, np.random.default_rng(seed), 3000)
    products = form.magnitudes(lmul_golden(config, beats)["product"])
    normal = form.is_normal(beats["a"]) & form.is_normal(beats["b"])
    # The smallest normal number of a format with bias 1 is 1: no product of normal numbers is smaller.
    low = (0, form.smallest_normal_code) if form.bias > 1 else ()
    for code in (*low, form.largest_code, form.overflow_code("ieee")):
        assert (products[normal] == code).sum() > 3, f"seed {seed}, code {code:#x}"
    corners = set(float_corners(form).tolist())
    assert corners <= set(form.magnitudes(beats["a"]).tolist())


@pytest.mark.parametrize(
    ("pairs", "offset", "guard_bits", "units"),
    [
        (["offset=8"], 8, 0, 8),
        (["offset=0.75"], 0.75, 2, 3),
        (["offset=2.0"], 2, 0, 2),
        (["offset=1.5", "guard_bits=4"], 1.5, 4, 24),
        (["offset=none", "guard_bits=4"], "none", 4, 0),
        (["offset=paper", "guard_bits=4"], "paper", 4, 128),
        ([], "paper", 0, 8),
    ],
)
def test_offsets(pairs, offset, guard_bits, units):
    config = LMulConfig.from_pairs(pairs)
    assert (config.offset, config.guard_bits, config.offset_units) == (offset, guard_bits, units)
    assert type(config.offset) is type(offset)
    assert LMulConfig.from_toml(config.to_toml()) == config
    product = dataclasses.replace(config.float_format, mantissa_bits=7 + guard_bits)
    assert config.product_format == product
    assert config.o.width == product.width


def test_numbers_that_name_the_paper_offset():
    codes = np.random.default_rng(5).integers(0, 1 << 16, (2, 10_000))
    named, number = (lmul_products(LMulConfig(offset=offset), *codes) for offset in ("paper", 8))
    assert (named == number).all()
    assert (named != lmul_products(LMulConfig(offset=7), *codes)).any()


OFFSET = "offset must be one of paper, none, optimal, or a number of units in the last place, not "


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"offset": "best"}, OFFSET + "'best'"),
        ({"offset": True}, OFFSET + "True"),
        ({"offset": None}, OFFSET + "None"),
        ({"offset": "-1"}, OFFSET + "'-1'"),
        ({"offset": "1e3"}, OFFSET + "'1e3'"),
        (
            {"offset": -1},
            "offset must be at least 0 and less than 128 units in the last place, a significand of one, not -1",
        ),
        (
            {"offset": 128},
            "offset must be at least 0 and less than 128 units in the last place, a significand of one, not 128",
        ),
        (
            {"offset": float("nan")},
            "offset must be at least 0 and less than 128 units in the last place, a significand of one, not nan",
        ),
        ({"offset": 0.1}, "offset must be a multiple of 2^-8, the last of the guard bits, not 0.1"),
        (
            {"offset": 0.75, "guard_bits": 1},
            "offset must be a multiple of 2^-1, the last of the guard bits, not 0.75",
        ),
        ({"guard_bits": 9}, "guard_bits must be an integer in 0..8, not 9"),
        (
            {"format": "float32", "guard_bits": 1},
            "guard_bits must be in 0..0 for 23 mantissa bits, not 1",
        ),
        ({"carry": "shift"}, "carry must be one of adder, formula, not 'shift'"),
        (
            {"rounding": "nearest-even"},
            "rounding 'nearest-even' needs carry = \"formula\": an adder drops no bit",
        ),
        ({"criterion": "mean"}, f"criterion must be one of {', '.join(CRITERIA)}, not 'mean'"),
        ({"format": "float4_e2m1fn", "overflow": "nan"}, "overflow cannot be 'nan': float4_e2m1fn has no such code"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        LMulConfig(**arguments)


def test_codes_refused():
    with pytest.raises(ConfigError, match=r"^-1 is no code of bfloat16: it takes 0\.\.65535$"):
        lmul_products(LMulConfig(), [-1], [0])
