"""Integer with an exponent to float32: the core against exact rationals, at both ends of float32 and where rounding ties."""

from fractions import Fraction

import numpy as np
import pytest

from carrysave.hdl.int_to_float import IntToFloat
from carrysave.hdl.verilog import verilog_of
from carrysave.models.dfp_scalar import DFPToFloatConfig, dfp_to_float_stimulus


def expected(value, exponent):
    """Code, inexact, overflow."""
    if not value:
        return 0
    exact, sign = abs(Fraction(value)) * Fraction(2) ** exponent, (value < 0) << 31
    place = max(abs(value).bit_length() - 1 + exponent, -126)
    unit = Fraction(2) ** (place - 23)
    digits = round(exact / unit)
    if digits * unit >= Fraction(2) ** 128:
        return sign | 0x7F800000 | 1 << 32 | 1 << 33
    return (sign | (place + 126 << 23) + digits) | (digits * unit != exact) << 32


@pytest.fixture
def codes(combinational):
    """A function that gives what the core makes of integers and exponents."""

    def convert(source_width, exponent_width, pairs):
        def build(m, value, exponent):
            m.submodules.core = core = IntToFloat(source_width, exponent_width)
            m.d.comb += [core.value.eq(value), core.exponent.eq(exponent)]
            return core.code | core.inexact << 32 | core.overflow << 33

        masks = (1 << source_width) - 1, (1 << exponent_width) - 1
        return combinational(build, [source_width, exponent_width], [(v & masks[0], e & masks[1]) for v, e in pairs])

    return convert


@pytest.mark.parametrize(("source_width", "exponent_width"), [(4, 6), (5, 4)])
def test_every_integer_and_exponent(codes, source_width, exponent_width):
    value, exponent = (1 << source_width - 1), (1 << exponent_width - 1)
    pairs = [(v, e) for v in range(-value, value) for e in range(-exponent, exponent)]
    assert codes(source_width, exponent_width, pairs) == [expected(*pair) for pair in pairs]


# Exponents from where nothing but normal numbers comes out, to where zeros and infinities do.
@pytest.mark.parametrize(("source_width", "exponent_width"), [(4, 10), (16, 8), (24, 10), (25, 9), (26, 4), (48, 10)])
def test_corners_and_samples(codes, source_width, exponent_width):
    config = DFPToFloatConfig(source_width=source_width, exponent_width=exponent_width)
    beats = dfp_to_float_stimulus(config, np.random.default_rng(1), 300)
    pairs = list(zip(beats["value"].tolist(), beats["exponent"].tolist(), strict=True))
    assert codes(source_width, exponent_width, pairs) == [expected(*pair) for pair in pairs]


def test_no_registers_with_one_stage():
    assert "always" not in verilog_of(IntToFloat(16, 8), "core", reset=False)
    assert "always" in verilog_of(IntToFloat(16, 8, 2), "core", reset=False)
