"""Benchmarks of products of dynamic fixed point: how fast the models are beside NumPy's own products."""

import numpy as np

from .bench_float import speed_rows
from .models.dfp import DFPFormat, DFPTensor
from .models.dfp_array import DFPArrayConfig
from .models.dfp_dot import DFPDotConfig
from .models.dfp_gemm import DFPArithmetic, dfp_gemm

__all__ = ["dfp_speeds"]


def dfp_speeds(*, size=512, seconds=1.0):
    """Products a second, each the best of as many runs as the time allows, all in one process.

    Parameters
    ----------
    size : :class:`int`
        M, K and N of the matrix products.
    seconds : :class:`float`
        Time for each row.

    Returns
    -------
    list of :class:`~carrysave.bench_float.FloatSpeed`
        Beside ``float64`` in NumPy.
    """
    rng = np.random.default_rng(1)
    a, b = (rng.normal(0, 1, (size, size)) for _ in range(2))
    array = DFPArrayConfig()
    pairs = {spill: DFPDotConfig(lanes=2, input_shift=1, spill=spill) for spill in ("int48", "float32")}
    saturating = DFPDotConfig(lanes=2, input_shift=0, chain=16, overflow="saturate", spill="float32")
    arithmetic = DFPArithmetic(form=DFPFormat(), accumulation=array)
    left, right = arithmetic.operands(a, b)
    # All operands at the largest magnitude, so that no chain is free of saturation.
    extreme = [
        DFPTensor(mantissas=np.where(tensor.mantissas < 0, -32768, 32767), exponents=tensor.exponents, width=16)
        for tensor in (left, right)
    ]
    reference = f"float64, NumPy, {size} x {size} x {size}"
    calls = {
        reference: lambda: a @ b,
        "DFP-16, exact sums": lambda: dfp_gemm(left, right, array),
        "the same, conversion from real numbers included": lambda: arithmetic.matmul(a, b),
        f"DFP-16, chains of {pairs['int48'].chain} pairs, 48-bit integers": lambda: dfp_gemm(
            left, right, pairs["int48"]
        ),
        f"DFP-16, chains of {pairs['float32'].chain} pairs, float32 in order": lambda: dfp_gemm(
            left, right, pairs["float32"]
        ),
        "DFP-16, chains of 16 pairs that saturate, step by step": lambda: dfp_gemm(*extreme, saturating),
    }
    return speed_rows(calls, size**3, seconds, reference)
