"""Products of dynamic fixed point: element by element in Python's integers, as the engine's own model has it, and their error."""

import itertools
import re

import numpy as np
import pytest

from carrysave.models.dfp import DFPFormat, DFPTensor, quantise
from carrysave.models.dfp_array import DFPArrayConfig
from carrysave.models.dfp_dot import DFPDotConfig, dfp_dot_golden
from carrysave.models.dfp_fma import pre_shift
from carrysave.models.dfp_gemm import DFPArithmetic, dfp_gemm
from carrysave.models.errors import ConfigError
from carrysave.models.lfsr import LFSR

SEED = 1802


def operands(seed, shape, *, width=16, block="tensor", scale=1.0, extreme=False):
    """Two tensors; extreme ones have the largest magnitudes throughout, of either sign, -2^(P-1) among them."""
    rng = np.random.default_rng(seed)
    m, k, n = shape
    made = []
    for size, axis in (((m, k), 1), ((k, n), 0)):
        tensor = quantise(rng.normal(0, scale, size), DFPFormat(width=width, block=block), axis=axis)
        if extreme:
            top = 1 << width - 1
            mantissas = rng.choice([-top, 1 - top, top - 1], size, p=[0.5, 0.2, 0.3])
            tensor = DFPTensor(mantissas=mantissas, exponents=tensor.exponents, width=width, block=block, axis=axis)
        made.append(tensor)
    return made


def element(a, b, row, col, config):
    """One element, step by step: its sum, and how often it saturated and overflowed."""
    block = None if isinstance(a.block, str) else a.block
    low, high = -(1 << config.acc_width - 1), (1 << config.acc_width - 1) - 1
    left = [int(value) for value in pre_shift(config, a.mantissas[row])]
    right = [int(value) for value in pre_shift(config, b.mantissas[:, col])]
    floating = config.spill == "float32"
    total, saturated, overflowed = np.float32(0) if floating else 0, 0, 0
    acc, steps, place = 0, 0, 0
    while place < len(left):
        end = min(place + config.lanes, len(left))
        if block:
            end = min(end, (place // block + 1) * block)
        acc += sum(left[i] * right[i] for i in range(place, end))
        if config.overflow == "saturate" and not low <= acc <= high:
            acc, saturated = min(max(acc, low), high), saturated + 1
        steps += 1
        of = place // block if block else 0
        place = end
        if steps == config.chain or place == len(left) or (block and place % block == 0):
            if not low <= acc <= high:
                assert config.overflow == "flag", "a safe chain overflowed"
                overflowed += 1
                acc = (acc - low) % (1 << config.acc_width) + low
            exponent = 2 * config.input_shift
            for operand, index in ((a, (row, of)), (b, (of, col))):
                each = np.broadcast_to(operand.exponents, (99, 99)) if operand.block == "tensor" else operand.exponents
                exponent += int(each[index])
            if floating:
                total = np.float32(total + np.float32(acc * 2.0**exponent))
            else:
                total += acc
            acc, steps = 0, 0
    return total, saturated, overflowed


CASES = {
    "float32": {"spill": "float32"},
    "chains of one": {"spill": "float32", "chain": 1, "input_shift": 2},
    "pairs": {"spill": "float32", "lanes": 2, "input_shift": 1},
    "float32, saturating": {"spill": "float32", "overflow": "saturate", "chain": 9, "input_shift": 0},
    "float32, flagged": {"spill": "float32", "overflow": "flag", "chain": 4, "input_shift": 0},
    "integers": {"spill": "int48"},
    "integers, saturating": {"spill": "int48", "overflow": "saturate", "chain": 5, "input_shift": 0, "lanes": 4},
    "integers, flagged": {"spill": "carry-save", "overflow": "flag", "chain": 7, "input_shift": 1},
    "narrow": {
        "spill": "float32",
        "width": 7,
        "acc_width": 16,
        "lanes": 4,
        "input_shift": 1,
        "shift_rounding": "nearest-even",
    },
    "symmetric": {
        "spill": "int48",
        "operands": "symmetric",
        "shift_rounding": "toward-zero",
        "input_shift": 2,
        "lanes": 4,
    },
}


@pytest.mark.parametrize("extreme", [False, True], ids=["normal", "extreme"])
@pytest.mark.parametrize("block", ["tensor", "row", 16])
@pytest.mark.parametrize("name", CASES)
def test_every_element(name, block, extreme):
    config = DFPDotConfig(**CASES[name])
    shape = (3, 53, 4)
    a, b = operands(SEED, shape, width=config.width, block=block, extreme=extreme)
    if block == 16 and config.spill != "float32":
        with pytest.raises(ConfigError, match=r"^blocks of 16 along K need sums in float32"):
            dfp_gemm(a, b, config)
        return
    got = dfp_gemm(a, b, config)
    told = np.zeros(2, int)
    for row, col in np.ndindex(3, 4):
        want, *counts = element(a, b, row, col, config)
        found = got.float32[row, col] if config.spill == "float32" else got.sums[row, col]
        assert found == want, f"element ({row}, {col}), seed {SEED}: expected {want!r}, got {found!r}"
        told += counts
    assert (got.saturated, got.overflowed) == tuple(told)
    if extreme and config.overflow != "refuse" and config.width == 16:
        assert told.any()


@pytest.mark.parametrize("name", CASES)
def test_the_engine_gives_the_same(name):
    """The engine's golden model, fed beat by beat."""
    config = DFPDotConfig(**CASES[name])
    k = 6 * config.lanes
    a, b = operands(SEED + 1, (2, k, 3), width=config.width, extreme=config.overflow != "refuse")
    product = dfp_gemm(a, b, config)
    beats = config.i.zeros(6 * 6)
    for index, (row, col) in enumerate(np.ndindex(2, 3)):
        part = beats[6 * index : 6 * index + 6]
        part["a"] = a.mantissas[row].reshape(6, config.lanes)
        part["b"] = b.mantissas[:, col].reshape(6, config.lanes)
        part["a_exponent"], part["b_exponent"] = a.exponents, b.exponents
        part["last"][-1] = 1
    out = dfp_dot_golden(config, beats)
    if config.spill == "float32":
        assert (out["sum"].astype(np.uint32).view(np.float32).reshape(2, 3) == product.float32).all()
    else:
        assert (out["sum"].reshape(2, 3) == product.sums).all()
        assert (out["exponent"] == product.exponents).all()
    assert out["saturated"].sum() == product.saturated if config.overflow == "saturate" else product.saturated == 0


@pytest.mark.parametrize(("block", "shift"), [("tensor", 0), ("row", 0), ("tensor", 2), ("row", 1)])
def test_sums_of_the_array_are_exact(block, shift):
    config = DFPArrayConfig(input_shift=shift)
    a, b = operands(SEED, (5, 700, 6), block=block, extreme=True)
    got = dfp_gemm(a, b, config)
    left, right = (pre_shift(config, tensor.mantissas).astype(object) for tensor in (a, b))
    want = left @ right
    assert (got.sums == want).all()
    exponents = np.broadcast_to(a.exponents + b.exponents + 2 * shift, (5, 6))
    assert (got.exponents == exponents).all()
    for place in np.ndindex(5, 6):
        exact = np.float32(float(want[place]) * 2.0 ** int(exponents[place]))  # 46 bits: float64 holds them
        assert got.float32[place] == exact, place


def test_the_longest_sums_are_exact():
    config = DFPArrayConfig(max_k=(1 << 17) - 1)
    a = DFPTensor(mantissas=np.full((1, config.max_k), -32768), exponents=np.array(-8), width=16)
    b = DFPTensor(mantissas=np.full((config.max_k, 2), -32768), exponents=np.array(3), width=16)
    b.mantissas[:, 1] = 32767
    b.mantissas[0, 1] = 32766
    want = [2**30 * config.max_k, -(2**15) * ((2**15 - 1) * config.max_k - 1)]
    assert dfp_gemm(a, b, config).sums.tolist() == [want]
    assert want[0] < 1 << config.acc_width - 1


BOUNDED = list(
    itertools.product((4, 8, 12, 16), ("tensor", "row", 16), ("nearest-even", "toward-zero", "stochastic"), range(3))
)


@pytest.mark.parametrize(("width", "block", "rounding", "kind"), BOUNDED)
def test_error_is_within_the_bound_of_the_format(width, block, rounding, kind):
    """Against the exact product: each operand is off by a unit at most, half of one where nothing saturates or is truncated."""
    rng = np.random.default_rng((SEED, width, kind))
    m, k, n = 6, 90, 5
    a, b = rng.normal(size=(m, k)), rng.normal(size=(k, n))
    if kind == 1:  # an outlier in each, which takes the digits of all others
        a[2, 3], b[7, 1] = 1000, -1000
    if kind == 2:  # magnitudes all over
        a *= np.exp2(rng.integers(-8, 8, a.shape))
        b *= np.exp2(rng.integers(-8, 8, (k, 1)))
    form = DFPFormat(width=width, block=block, rounding=rounding)
    chained = DFPDotConfig(
        width=width, spill="float32", input_shift=0, lanes=2, chain=1, acc_width=34, exponent_width=8
    )
    accumulations = [chained] if block == 16 else [chained, DFPArrayConfig(width=width)]
    for accumulation in accumulations:
        arithmetic = DFPArithmetic(form=form, accumulation=accumulation)
        left, right = arithmetic.operands(a, b, lfsr=LFSR(kind + 1))
        product = dfp_gemm(left, right, accumulation).float32.astype(np.float64)
        off = []
        for tensor in (left, right):
            unit = np.broadcast_to(np.exp2(tensor.element_exponents()), tensor.shape)
            half = (rounding == "nearest-even") & (np.abs(tensor.mantissas) < form.largest)
            off.append(np.where(half, unit / 2, unit))
        bound = off[0] @ np.abs(b) + np.abs(left.values()) @ off[1]
        # Every conversion to float32 and every addition there is off by 2^-24 of what has been added up so far.
        roundings = 1 if isinstance(accumulation, DFPArrayConfig) else k
        bound += roundings * 2.0**-23 * (np.abs(left.values()) @ np.abs(right.values()))
        error = np.abs(product - a @ b)
        assert (error <= bound).all(), f"{(error / bound).max()} of the bound, seed {(SEED, width, kind)}"
        if width <= 8 and kind == 0:
            assert error.max() > bound.max() / 200, "a bound far from what happens proves nothing"


def test_sums_beyond_float64_are_infinite():
    """Exponents of 10 bits: products of 2^1052, whose sum is zero or has a sign, but is never NaN within a chain."""
    config = DFPDotConfig(exponent_width=10, spill="float32", lanes=2, input_shift=1)
    a = DFPTensor(mantissas=np.array([[32766, 32766], [-32768, 32766]]), exponents=np.array(511), width=16)
    b = DFPTensor(mantissas=np.array([[32766], [-32766]]), exponents=np.array(511), width=16)
    assert dfp_gemm(a, b, config).float32.ravel().tolist() == [0, -np.inf]


def test_arithmetic_counts_and_repeats():
    form = DFPFormat(rounding="stochastic", width=8)
    arithmetic = DFPArithmetic(form=form, accumulation=DFPArrayConfig(width=8))
    rng = np.random.default_rng(SEED)
    a, b = rng.normal(size=(4, 9)).astype(np.float32), rng.normal(size=(9, 3)).astype(np.float32)
    a[0, 0] = 255.9
    one, counts = arithmetic.matmul(a, b, lfsr=LFSR(3))
    other, _counts = arithmetic.matmul(a, b, lfsr=LFSR(3))
    assert (one == other).all()
    assert one.dtype == np.float32
    assert (arithmetic.matmul(a, b, lfsr=LFSR(4))[0] != one).any()
    nearest = DFPArithmetic(form=DFPFormat(width=8), accumulation=DFPArrayConfig(width=8))
    assert nearest.matmul(a, b)[1].saturated == 1
    assert counts.special == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a, b: (a, a, DFPArrayConfig()), "matrices of shapes (3, 20) and (3, 20) have no product"),
        (
            lambda a, b: (a, b, DFPArrayConfig(width=8)),
            "mantissas of a have 16 bits, operands of the configuration 8",
        ),
        (lambda a, b: (a, b, DFPArrayConfig(max_k=19)), "a reduction of 20 products exceeds max_k = 19"),
        (
            lambda a, b: (quantise(np.ones((3, 20)), DFPFormat(block=4), axis=1), b, DFPArrayConfig()),
            "matrices must have blocks of one size along K, not 4 and 'tensor'",
        ),
        (
            lambda a, b: (quantise(np.ones((3, 20)), DFPFormat(block="row"), axis=0), b, DFPArrayConfig()),
            "blocks of a must lie along axis 1, the reduction, not axis 0",
        ),
    ],
)
def test_refusals(call, message):
    a, b = operands(SEED, (3, 20, 4))
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        dfp_gemm(*call(a, b))
