"""Dot-product engine of dynamic fixed point: golden model against exact rationals, rounded once to float32 where it must be."""

from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.dfp_dot import DFPDotConfig, dfp_dot_golden, dfp_dot_stimulus, scaled_float32, spilled_float32
from carrysave.models.dfp_fma import pre_shift
from carrysave.models.errors import ConfigError
from carrysave.sim.coverage import coverage, holes

CONFIGS = [
    {},
    {"spill": "int48"},
    {"spill": "carry-save", "accumulator": "carry-save"},
    {"lanes": 3, "width": 4, "input_shift": 0, "exponent_width": 4, "chain": 1},
    {"lanes": 2, "exponent_width": 10, "shift_rounding": "nearest-even", "chain": 5},
    {"lanes": 5, "width": 8, "acc_width": 16, "input_shift": 0, "overflow": "saturate", "chain": 3},
    {"lanes": 8, "input_shift": 0, "overflow": "saturate", "chain": 4, "spill": "int48"},
    {"lanes": 4, "overflow": "flag", "chain": 20, "accumulator": "carry-save"},
    {"lanes": 4, "overflow": "flag", "chain": 20, "spill": "carry-save", "max_k": 160},
    {"lanes": 4, "max_k": 8, "spill": "int48"},
    {"lanes": 4, "max_k": 7, "input_shift": 0, "spill": "int48", "overflow": "flag", "chain": 2},
]
INFINITY = 0x7F800000
NAN = 0x7FC00000


def naive_code(value):
    """float32 code of a rational number, rounded to nearest even, in exact arithmetic."""
    sign, magnitude = (1 << 31 if value < 0 else 0), abs(value)
    if not magnitude:
        return 0
    # At least so much, or as much as leaves 24 digits.
    exponent = max(-149, magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - 25)
    while magnitude >= Fraction(2) ** (exponent + 24):
        exponent += 1
    digits = round(magnitude / Fraction(2) ** exponent)  # Python rounds halves to even
    if digits == 1 << 24:
        digits, exponent = 1 << 23, exponent + 1
    if exponent > 127 - 23:
        return sign | INFINITY
    return sign | (digits if digits < 1 << 23 else ((exponent + 150) << 23) | (digits & ((1 << 23) - 1)))


def naive_value(code):
    field, mantissa = code >> 23 & 255, code & ((1 << 23) - 1)
    magnitude = Fraction(mantissa | (1 << 23 if field else 0)) * Fraction(2) ** (max(field, 1) - 150)
    return -magnitude if code >> 31 else magnitude


def naive_add(x, y):
    """Sum of two codes; x is never -0."""
    specials = {code & ~(1 << 31) for code in (x, y)}
    if NAN in specials or {x, y} == {INFINITY, INFINITY | 1 << 31}:
        return NAN
    for code in (x, y):
        if code & ~(1 << 31) == INFINITY:
            return code
    return naive_code(naive_value(x) + naive_value(y))


def naive_golden(config, beats):
    results, chain, taken, told_chain, wide, told = [], 0, 0, 0, 0, 0
    low, high = -(2 ** (config.acc_width - 1)), 2 ** (config.acc_width - 1) - 1
    names = ("a", "b", "a_exponent", "b_exponent", "spill", "last")
    shifted = [pre_shift(config, beats[name]).tolist() for name in ("a", "b")]
    columns = [*shifted, *(beats[name].tolist() for name in names[2:])]
    for a, b, ea, eb, spill, last in zip(*columns, strict=True):
        chain += sum(x * y for x, y in zip(a, b, strict=True))
        taken += 1
        if config.overflow == "saturate":
            told_chain += not low <= chain <= high
            chain = max(low, min(high, chain))
        if not (spill or last or taken == config.chain):
            continue
        if config.overflow == "saturate":
            told += told_chain
        else:
            told |= not low <= chain <= high
            assert config.overflow == "flag" or not told
            chain = (chain - low) % 2**config.acc_width + low
        exponent = ea + eb + 2 * config.input_shift
        if config.spill == "float32":
            wide = naive_add(wide, naive_code(chain * Fraction(2) ** exponent))
        else:
            wide += chain
        chain = taken = told_chain = 0
        if last:
            row = (wide,) if config.spill == "float32" else (wide, exponent)
            results.append(row if config.overflow == "refuse" else (*row, int(told)))
            wide = told = 0
    return results


@pytest.mark.parametrize("parameters", CONFIGS, ids=str)
def test_golden(parameters):
    config = DFPDotConfig(**parameters)
    beats = dfp_dot_stimulus(config, np.random.default_rng(5), 1200)
    config.i.check(beats)
    results = dfp_dot_golden(config, beats)
    config.o.check(results)
    assert results.tolist() == naive_golden(config, beats)
    if config.overflow != "refuse":
        assert (results["saturated" if config.overflow == "saturate" else "overflow"] > 0).any()
    if config.spill == "float32" and config.exponent_width >= 8:
        kinds = {code & ~(1 << 31) for code in results["sum"].tolist()}
        assert {INFINITY, NAN} <= kinds
        assert any(0 < kind < 1 << 23 for kind in kinds), "no subnormal numbers"


def test_conversion_rounds_once():
    """Every exponent that there can be, integers whose halves and neighbours decide, against exact rationals."""
    values = [
        0,
        1,
        -1,
        3,
        (1 << 24) + 1,
        (1 << 24) + 3,
        -(1 << 25) - 3,
        (1 << 31) - 1,
        -(1 << 31),
        (1 << 47) - 1,
        0x5555_5557,
    ]
    exponents = [*range(-1024, -1000), *range(-200, -100), *range(60, 130), *range(1000, 1055)]
    grid_v, grid_e = (grid.ravel() for grid in np.meshgrid(values, exponents, indexing="ij"))
    codes = scaled_float32(grid_v, grid_e).view(np.uint32).tolist()
    for value, exponent, code in zip(grid_v.tolist(), grid_e.tolist(), codes, strict=True):
        expected = naive_code(value * Fraction(2) ** exponent)
        assert code == expected, (value, exponent)


def test_sums_begin_from_positive_zero():
    starts, lengths = np.array([0, 1, 3]), np.array([1, 2, 2])
    terms = np.array([-0.0, 1.5, -1.5, np.inf, -np.inf], np.float32)
    assert spilled_float32(terms, starts, lengths).tolist() == [0, 0, NAN]


def test_order_counts():
    config = DFPDotConfig(chain=1, lanes=2, input_shift=0, width=8)
    beats = config.i.zeros(6)
    beats["a"][:, 0], beats["b"][:, 0] = [64, 1, -64] * 2, [64, 1, 64] * 2
    beats["a_exponent"] = [20, 0, 20, 20, 20, 0]
    beats["last"] = [0, 0, 1, 0, 0, 1]
    # 2^32 + 1 - 2^32 loses the one; the second sum is 2^32 + 2^20 - 2^12.
    values = [float(np.uint32(code).view(np.float32)) for code in dfp_dot_golden(config, beats)["sum"].tolist()]
    assert values == [0.0, 2.0**32 + 2.0**20 - 2.0**12]


def test_exponents_change_with_a_chain_only():
    config = DFPDotConfig(chain=3)
    beats = config.i.zeros(6)
    beats["a_exponent"], beats["spill"] = [1, 1, 1, 2, 2, 3], [0, 0, 0, 0, 1, 0]
    beats["last"][-1] = 1
    assert len(dfp_dot_golden(config, beats)) == 1
    beats["spill"] = 0
    message = r"^beat 5 changes a_exponent from 2 to 3 within a chain; set spill in beat 4, which ends the chain there$"
    with pytest.raises(ConfigError, match=message):
        dfp_dot_golden(config, beats)
    beats["a_exponent"], beats["b_exponent"] = 0, [0, 0, 0, 0, -1, -1]
    with pytest.raises(ConfigError, match=r"^beat 4 changes b_exponent from 0 to -1 within a chain; "):
        dfp_dot_golden(config, beats)
    beats["spill"] = 1
    message = (
        r"^beat 4 changes b_exponent from 0 to -1 within a reduction, whose sum has one exponent; "
        r'set spill = "float32" of the configuration$'
    )
    with pytest.raises(ConfigError, match=message):
        dfp_dot_golden(DFPDotConfig(chain=3, spill="int48"), beats)
    beats["last"][3] = 1
    assert dfp_dot_golden(DFPDotConfig(chain=3, spill="int48"), beats)["exponent"].tolist() == [4, 3]


def test_too_long_a_reduction():
    config = DFPDotConfig(lanes=4, max_k=11)
    beats = config.i.zeros(3)
    beats["last"] = [0, 0, 1]
    with pytest.raises(ConfigError, match=r"^a reduction of 12 products exceeds max_k = 11$"):
        dfp_dot_golden(config, beats)
    assert len(dfp_dot_golden(config, beats[1:])) == 1
    assert len(dfp_dot_golden(config, beats[:2])) == 0


@pytest.mark.parametrize("parameters", CONFIGS, ids=str)
def test_wide_accumulator_holds_the_longest_reduction(parameters):
    config = DFPDotConfig(**{**parameters, "spill": "int48"})
    for value in (config.i.fields[0].minimum, config.i.fields[0].maximum):
        beats = config.i.zeros(config.max_steps)
        beats["a"], beats["b"], beats["last"][-1] = config.i.fields[0].minimum, value, 1
        results = dfp_dot_golden(config, beats)
        config.o.check(results)
        if config.overflow == "refuse":
            low = int(pre_shift(config, config.i.fields[0].minimum))
            product = low * int(pre_shift(config, value))
            assert results["sum"].tolist() == [config.max_steps * config.lanes * product]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_k": 7}, "max_k must be at least lanes = 8, one step, not 7"),
        (
            {"spill": "int48", "wide_width": 31},
            "wide_width must hold a chain's sum, 32 bits at least, not 31",
        ),
        (
            {"spill": "int48", "wide_width": 38, "max_k": 4096},
            "wide_width = 38 can overflow: a step of 8 products adds up to 536870912, 512 of them 274877906944, beyond "
            "137438953471; set max_k to 2040 or less, or wide_width to 40",
        ),
        (
            {"spill": "int48", "wide_width": 32, "input_shift": 0, "overflow": "saturate", "chain": 1, "max_k": 8},
            "wide_width = 32 can overflow: a step of 8 products adds up to 2147483648, 1 of them 2147483648, beyond "
            "2147483647; set wide_width to 33",
        ),
        (
            {"input_shift": 1},
            "no chain is safe: shifted operands are -16384..16383, products -268419072..268435456, so 1 step of 8 reach "
            "2147483648, beyond 2147483647; set input_shift to 2, or set acc_width to 33, or choose a chain and "
            'overflow = "saturate" or "flag"',
        ),
        (
            {"accumulator": "carry-save", "overflow": "saturate"},
            'overflow = "saturate" needs a resolved accumulator: whether a sum in carry-save form is too large only its '
            'carry-propagate addition tells; choose overflow = "flag"',
        ),
    ],
)
def test_refused(parameters, message):
    with pytest.raises(ConfigError) as caught:
        DFPDotConfig(**parameters)
    assert str(caught.value) == message


def test_longest_reduction_is_derived():
    assert DFPDotConfig(spill="int48", wide_width=38).max_k == 2040
    with pytest.raises(ConfigError, match=r"^wide_width = 38 can overflow: "):
        DFPDotConfig(spill="int48", wide_width=38, max_k=2048)
    assert DFPDotConfig(spill="int48", wide_width=38, max_k=2047).max_steps == 255
    assert DFPDotConfig(spill="int48", wide_width=40, max_k=4096).max_steps == 512  # as is advised for 38 bits
    assert DFPDotConfig(spill="int48").max_k == 65536


@pytest.mark.parametrize("exponent_width", [4, 8, 10])
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_exponents_of_sums_fit(exponent_width, shift):
    config = DFPDotConfig(exponent_width=exponent_width, input_shift=shift, spill="int48", width=8)
    field = config.o.fields[1]
    low, high = -(2 ** (exponent_width - 1)), 2 ** (exponent_width - 1) - 1
    assert field.minimum <= 2 * low + 2 * shift
    assert 2 * high + 2 * shift <= field.maximum
    assert field.width <= exponent_width + 2


@pytest.mark.parametrize("parameters", CONFIGS, ids=str)
def test_stimulus(parameters):
    config = DFPDotConfig(**parameters)
    beats = dfp_dot_stimulus(config, np.random.default_rng(7), 800)
    assert len(beats) == 800
    assert beats["last"][-1] == 1
    assert holes(coverage(config.i, beats, config.never)) == []
    assert np.diff(np.flatnonzero(beats["last"]), prepend=-1).max() <= config.max_steps
    assert (beats == dfp_dot_stimulus(config, np.random.default_rng(7), 800)).all()
    if config.max_steps == 1:
        assert "last: minimum" in config.never
        assert set(holes(coverage(config.i, beats))) == set(config.never)


def test_stimulus_has_the_longest_reduction_if_there_is_room():
    config = DFPDotConfig(lanes=2, width=8, max_k=600)
    for count, there in ((1500, True), (800, False)):
        beats = dfp_dot_stimulus(config, np.random.default_rng(7), count)
        lengths = np.diff(np.flatnonzero(beats["last"]), prepend=-1)
        assert (lengths.max() == 300) == there


@pytest.mark.parametrize("count", [0, 1, 10, 120])
def test_short_stimulus(count):
    beats = dfp_dot_stimulus(DFPDotConfig(), np.random.default_rng(0), count)
    assert len(beats) == count
    assert beats["last"][-1:].tolist() == [1] * min(count, 1)
