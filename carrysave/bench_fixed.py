"""Benchmarks of integer functions and of the transformer block made of them: the models beside real ones in NumPy."""

import numpy as np

from .bench_float import speed_rows
from .models.fixed_cast import cast
from .models.fixed_point import FixedFormat
from .models.layer_norm import LayerNormArithmetic, layer_norm
from .models.requantise import DyadicConfig, dyadic, requantise
from .models.shift_exp import octave
from .models.shift_gelu import ShiftGELUArithmetic, gelu_octave, shift_gelu
from .models.shiftmax import ShiftmaxArithmetic, shiftmax
from .workloads.minilm import load_minilm
from .workloads.minilm_block import HELD_OUT, FloatBlock, block_inputs, quantised_block

__all__ = ["block_speeds", "function_speeds"]

_SCALE = 0.03


def function_speeds(*, rows=2000, length=64, seconds=0.5):
    """Elements a second, each the best of as many runs as the time allows, all in one process.

    Parameters
    ----------
    rows, length : :class:`int`
        Of int8, normally distributed.
    seconds : :class:`float`
        Time for each.

    Returns
    -------
    list of :class:`~carrysave.bench_float.FloatSpeed`
        Beside softmax in ``float64``.
    """
    rng = np.random.default_rng(1)
    x = np.clip(np.rint(rng.normal(0, 40, (rows, length))), -128, 127).astype(np.int64)
    real = x * _SCALE
    sums = rng.integers(-(1 << 20), 1 << 20, x.shape)
    ratios = dyadic(rng.uniform(1e-5, 1e-4, length))
    wide, narrow = FixedFormat(width=24, fraction=16), FixedFormat(width=8, fraction=4)

    def softmax():
        weights = np.exp(real - real.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    reference = f"softmax, float64, NumPy, {rows} x {length}"
    calls = {
        reference: softmax,
        "Shiftmax": lambda: shiftmax(ShiftmaxArithmetic(octave=octave(_SCALE)), x),
        "ShiftGELU": lambda: shift_gelu(ShiftGELUArithmetic(octave=gelu_octave(_SCALE)), x),
        "I-LayerNorm": lambda: layer_norm(LayerNormArithmetic(), x),
        "requantisation, a ratio for each channel": lambda: requantise(DyadicConfig(), sums, *ratios),
        "cast of 24 bits to 8, rnd-conv, sat": lambda: cast(sums, wide, narrow, rounding="rnd-conv", overflow="sat"),
    }
    return speed_rows(calls, x.size, seconds, reference)


def block_speeds(*, seconds=1.0):
    """Tokens a second through the first layer of MiniLM-L6, real and in integers.

    Parameters
    ----------
    seconds : :class:`float`
        Time for each.

    Returns
    -------
    list of :class:`~carrysave.bench_float.FloatSpeed`
        Beside ``float64`` in NumPy.
    """
    model = load_minilm()
    quantised = quantised_block(model)
    (real,) = block_inputs(model, [" ".join(HELD_OUT[:2])])
    x, floats = quantised.integers(real), FloatBlock(model)
    reference = f"float64, NumPy, {len(x)} tokens"
    calls = {reference: lambda: floats.run(real), "integers": lambda: quantised.block.run(x)}
    return speed_rows(calls, len(x), seconds, reference)
