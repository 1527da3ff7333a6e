"""How far the integer functions of a transformer are from the real ones, by scale, and how many steps a square root takes."""

import dataclasses
import math

import numpy as np

from .layer_norm import LayerNormArithmetic, layer_norm, layer_norm_scale, newton_start, newton_steps
from .shift_exp import ShiftExpConfig, octave, shift_exp
from .shift_gelu import ShiftGELUArithmetic, gelu_octave, shift_gelu
from .shiftmax import ShiftmaxArithmetic, shiftmax

__all__ = ["SCALES", "FunctionError", "RootSteps", "function_errors", "layer_norm_errors", "root_steps"]

#: Scales of an int8 input that are reported.
SCALES = (*(2.0**-places for places in range(1, 11)), 0.01, 0.03, 0.1)

_ROWS, _LENGTH, _SEED = 64, 64, 2207


@dataclasses.dataclass(frozen=True, kw_only=True)
class FunctionError:
    """Absolute error of a function's real value.

    Parameters
    ----------
    function : :class:`str`
        ``"shift-exp"``, ``"shiftmax"``, ``"shift-gelu"`` (against ``x sigmoid(1.702 x)``), ``"shift-gelu, erf"`` (against
        ``x Phi(x)``) or ``"layer-norm"``.
    scale : :class:`float`
        Of the input; of ``"layer-norm"``, which has none, the standard deviation of the rows.
    maximum, mean : :class:`float`
    """

    function: str
    scale: float
    maximum: float
    mean: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class RootSteps:
    """Newton's steps to the exact square root of the variances of a range.

    Parameters
    ----------
    bits : :class:`int`
        The variances have so many.
    reference, fast : :class:`int`
        Most steps from ``2^16``, and from :func:`~carrysave.models.layer_norm.newton_start`.
    """

    bits: int
    reference: int
    fast: int


def _error(function, scale, values, real):
    error = np.abs(values - real)
    return FunctionError(function=function, scale=scale, maximum=float(error.max()), mean=float(error.mean()))


def function_errors(scales=SCALES, *, output_width=8):
    """Errors over all int8 inputs, of Shiftmax over random rows of 64 of them.

    Parameters
    ----------
    scales : iterable of :class:`float`
    output_width : :class:`int`
        Bits of Shiftmax's results and of ShiftGELU's sigmoid.

    Returns
    -------
    list of :class:`FunctionError`

    Raises
    ------
    ConfigError
        For a scale that is not legal.
    """
    found = []
    rows = np.random.default_rng(_SEED).integers(-128, 128, (_ROWS, _LENGTH))
    every = np.arange(-128, 128)
    unit = 2.0 ** (1 - output_width)
    for scale in scales:
        exponential = ShiftExpConfig(octave=octave(scale))
        x = np.arange(-128, 1)
        values = shift_exp(exponential, x) * scale / 2.0**exponential.fraction_bits
        found.append(_error("shift-exp", scale, values, np.exp(scale * x)))

        config = ShiftmaxArithmetic(octave=octave(scale), output_width=output_width)
        real = np.exp(scale * (rows - rows.max(axis=1, keepdims=True)))
        found.append(_error("shiftmax", scale, shiftmax(config, rows) * unit, real / real.sum(axis=1, keepdims=True)))

        config = ShiftGELUArithmetic(octave=gelu_octave(scale), sigmoid_width=output_width)
        values, x = shift_gelu(config, every) * scale * unit, scale * every
        found.append(_error("shift-gelu", scale, values, x / (1 + np.exp(-1.702 * x))))
        phi = np.array([(1 + math.erf(one / math.sqrt(2))) / 2 for one in x])
        found.append(_error("shift-gelu, erf", scale, values, x * phi))
    return found


def layer_norm_errors(deviations=(1, 2, 4, 8, 16, 32), *, length=384, reference=False):
    """Errors of rows of normally distributed int8, without weight and bias.

    Parameters
    ----------
    deviations : iterable of :class:`float`
        Standard deviations of the rows.
    length : :class:`int`
        Elements of a row.
    reference : :class:`bool`
        Ten of Newton's steps, as published.

    Returns
    -------
    list of :class:`FunctionError`
    """
    rng, found = np.random.default_rng(_SEED), []
    config = LayerNormArithmetic(max_length=length)
    for deviation in deviations:
        rows = np.clip(np.rint(rng.normal(0, deviation, (_ROWS, length))), -128, 127).astype(np.int64)
        values = layer_norm(config, rows, reference=reference) * layer_norm_scale(length)
        real = (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)
        found.append(_error("layer-norm", deviation, values, real))
    return found


def root_steps(bits=range(0, 41)):
    """Steps by bits of the variance: over all variances of up to 16 bits, over squares, their neighbours and a sample beyond.

    Parameters
    ----------
    bits : iterable of :class:`int`
        At most 52.

    Returns
    -------
    list of :class:`RootSteps`
    """
    rng, found = np.random.default_rng(_SEED), []
    for count in bits:
        low, high = (1 << count) >> 1, 1 << count
        if count <= 16:
            values = np.arange(low, high)
        else:
            roots = rng.integers(math.isqrt(low) + 1, math.isqrt(high), 2000)
            near = [roots * roots + offset for offset in (-1, 0, 1)]
            values = np.concatenate([*near, rng.integers(low, high, 4000), [low, high - 1]])
            values = values[(values >= low) & (values < high)]
        reference = int(newton_steps(values).max())
        fast = int(newton_steps(values, start=newton_start(values)).max())
        found.append(RootSteps(bits=count, reference=reference, fast=fast))
    return found
