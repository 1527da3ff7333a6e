"""Array of dynamic fixed point: its golden model and schedule against products of whole matrices, its refusals."""

import re

import numpy as np
import pytest

from carrysave.models.dfp import DFPFormat, DFPTensor, down_convert, quantise
from carrysave.models.dfp_array import DFPArrayConfig, dfp_array_golden, dfp_array_stimulus
from carrysave.models.dfp_gemm import dfp_gemm
from carrysave.models.errors import ConfigError
from carrysave.models.lfsr import LFSR

SEED = 1930


def matrices(seed, m, k, n, width=16, block="tensor"):
    rng = np.random.default_rng(seed)
    form = DFPFormat(width=width, block=block)
    return quantise(rng.normal(size=(m, k)), form, axis=1), quantise(rng.normal(size=(k, n)) * 9, form, axis=0)


@pytest.mark.parametrize(
    "parameters",
    [
        {"rows": 2, "cols": 3},
        {"rows": 4, "cols": 1, "lanes": 1, "exponents": "row", "input_shift": 2, "shift_rounding": "nearest-even"},
        {"rows": 3, "cols": 5, "lanes": 4, "exponents": "row", "operands": "symmetric", "width": 9},
    ],
)
def test_float32_results_are_the_products(parameters):
    config = DFPArrayConfig(**parameters)
    a, b = matrices(SEED, 7, 23, 8, config.width, config.exponents)
    beats = config.schedule(a, b)
    got = config.collect(dfp_array_golden(config, beats), 7, 8)
    assert (got == dfp_gemm(a, b, config).float32).all()


@pytest.mark.parametrize("block", ["row", "tile"])
@pytest.mark.parametrize("rounding", ["nearest-even", "toward-zero", "stochastic"])
@pytest.mark.parametrize("round_up", ["saturate", "exponent"])
def test_down_converted_results(block, rounding, round_up):
    """Tile by tile, row by row, with the tensors' own conversion."""
    config = DFPArrayConfig(rows=3, cols=4, width=6, output="dfp", block=block, rounding=rounding, round_up=round_up)
    a, b = matrices(SEED, 6, 31, 8, 6)
    out = dfp_array_golden(config, config.schedule(a, b))
    product, lfsr = dfp_gemm(a, b, config), LFSR(1)
    form = DFPFormat(width=6, block="row" if block == "row" else "tensor", rounding=rounding, round_up=round_up)
    want, place = np.zeros((6, 8)), 0
    for row, col in ((0, 0), (0, 4), (3, 0), (3, 4)):
        tile = product.sums[row : row + 3, col : col + 4]
        tensor = DFPTensor(mantissas=tile, exponents=product.exponents, width=config.acc_width)
        converted = down_convert(tensor, form, lfsr=lfsr)
        want[row : row + 3, col : col + 4] = converted.values()
        beats = out[place : place + 3]
        assert (beats["exponent"] == converted.exponents.ravel()).all()
        assert beats["saturated"].sum() == converted.counts.saturated
        assert beats["last"].tolist() == [0, 0, 1]
        place += 3
    assert (config.collect(out, 6, 8) == want).all()


def test_accumulators_are_derived():
    assert DFPArrayConfig().acc_width == 48
    assert DFPArrayConfig(input_shift=1, acc_width=32, max_k=7).acc_width == 32
    # 8 bits, 100 products of 2^14 at most: 21 bits and a sign.
    assert DFPArrayConfig(width=8, max_k=100).acc_width == 22
    assert DFPArrayConfig(width=8, max_k=100, operands="symmetric").acc_width == 22
    assert DFPArrayConfig(width=4, max_k=1).acc_width == 8


def test_exponents_of_a_tile_agree():
    config = DFPArrayConfig(rows=1, cols=1, lanes=1)
    beats = config.i.zeros(3)
    beats["last"][2] = 1
    beats["b_exponent"][1:] = 4
    message = "b_exponent of beat 0 is not that of the beat that ends its tile"
    with pytest.raises(ConfigError, match=f"^{message}$"):
        dfp_array_golden(config, beats)
    beats["b_exponent"] = 4
    assert dfp_array_golden(config, beats)["c"].tolist() == [[0]]


def test_long_reductions_are_refused():
    config = DFPArrayConfig(rows=1, cols=1, max_k=4)
    beats = config.i.zeros(3)
    beats["last"][2] = 1
    with pytest.raises(ConfigError, match=r"^a reduction of 6 products exceeds max_k = 4$"):
        dfp_array_golden(config, beats)


def test_stimulus_reaches_both_ends_of_float32():
    config = DFPArrayConfig(rows=2, cols=2)
    codes = dfp_array_golden(config, dfp_array_stimulus(config, np.random.default_rng(SEED), 2000))["c"]
    field = codes >> 23 & 255
    assert {0, 255} <= set(field.ravel().tolist())
    assert ((field == 0) & (codes & 0x7FFFFFFF != 0)).any(), "no subnormal result"
    assert np.count_nonzero((field > 0) & (field < 255)) > len(codes) / 4


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"acc_width": 32, "max_k": 100},
            "acc_width = 32 can overflow: shifted operands are -32768..32767, so 100 products reach 107374182400, beyond "
            "2147483647; set max_k to 1 or less, or widen it to 38",
        ),
        (
            {"max_k": 1 << 20},
            "max_k = 1048576 needs accumulators of 52 bits, 48 is the most; set max_k to 131071 or less, or input_shift to "
            "more than 0",
        ),
        ({"width": 5, "input_shift": 2}, "input_shift must leave 4 bits of 5 at least, not 3"),
        ({"rounding": "toward-zero"}, "rounding = 'toward-zero' needs output = \"dfp\": float32 has no such choice"),
        (
            {"output": "dfp", "exponents": "row"},
            'exponents = "row" needs output = "float32": what is down-converted together has one exponent',
        ),
        ({"output": "dfp", "cols": 40}, 'cols must be 32 at most with output = "dfp", not 40'),
        ({"output": "dfp", "seed": 4}, 'seed 4 needs rounding = "stochastic": others take no random bits'),
        ({"rows": 8, "result_rows": 7}, "result_rows must be at least rows = 8, not 7"),
    ],
)
def test_refusals(parameters, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        DFPArrayConfig(**parameters)


def test_blocks_of_the_wrong_kind_are_refused():
    a, b = matrices(SEED, 2, 8, 2, block="row")
    with pytest.raises(
        ConfigError, match=r"^a has an exponent for each 'row'; this array takes one for the whole matrix$"
    ):
        DFPArrayConfig().schedule(a, b)
    a, b = matrices(SEED, 2, 8, 2, block=4)
    with pytest.raises(ConfigError, match=r"^a has an exponent for each block of 4; this array takes one a row$"):
        DFPArrayConfig(exponents="row").schedule(a, b)
