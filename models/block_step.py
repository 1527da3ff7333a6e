"""A step of a transformer block in integers: which unit does it, on what, with which constants, and its exact result.

The units are the functions of "I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv 2207.01405,
and matrix products. :mod:`carrysave.models.integer_block` makes a block of steps.
"""

import dataclasses

import numpy as np

from .errors import ConfigError
from .gemm import gemm
from .layer_norm import layer_norm
from .requantise import requantise
from .shift_gelu import shift_gelu
from .shiftmax import shiftmax

__all__ = ["UNITS", "Step", "checked_array", "execute"]

#: What does a step; ``join`` puts matrices side by side and computes nothing.
UNITS = ("gemm", "requantise", "residual", "shiftmax", "shift-gelu", "layer-norm", "join")


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """What one unit does once.

    Members
    -------
    unit : :class:`str`
        One of :data:`UNITS`.
    inputs : tuple of :class:`str`
        Tensors that go in. Of a ``gemm`` the left operand, and the right one if it has no weights; of a ``residual`` the
        accumulators and the other branch; of a ``join`` matrices of the same rows.
    output : :class:`str`
        Tensor that comes out.
    width, signed : :class:`int`, :class:`bool`
        Bits of its elements.
    config : :class:`~carrysave.models.config.Config` or :class:`int`
        Arithmetic of the unit; bits of the accumulator of a ``gemm``; ``None`` for ``join``.
    constants : dict of :class:`str` to array
        ``weights`` and ``bias`` of a ``gemm``; ``multiplier`` and ``shift`` of ``requantise``; of ``residual`` also those of the
        other branch, ``residual_multiplier`` and ``residual_shift``; ``bias`` of ``layer-norm``.
    transposed : :class:`bool`
        The right operand of a ``gemm`` is the transpose of its tensor.
    row : :class:`int`, optional
        Elements of a row of ``shift-gelu``: those of the tensor are cut into rows of so many.
    """

    unit: str
    inputs: tuple
    output: str
    width: int
    signed: bool = True
    config: object = None
    constants: dict = dataclasses.field(default_factory=dict)
    transposed: bool = False
    row: int | None = None


def execute(step, *inputs):
    """Result of a step.

    Parameters
    ----------
    step : :class:`Step`
    inputs : arrays of integers
        The tensors that it names, in that order.

    Returns
    -------
    array of ``int64``

    Raises
    ------
    ConfigError
        Where an input, or the result, does not fit its bits.
    """
    constants = step.constants
    if step.unit not in UNITS:
        raise ConfigError(f"unit must be one of {', '.join(UNITS)}, not {step.unit!r}")
    if step.unit == "gemm":
        left, right = inputs if len(inputs) == 2 else (*inputs, constants["weights"])
        right = right.T if step.transposed else right
        result = gemm(left, right, acc_width=step.config, initial=constants.get("bias"))
    elif step.unit == "requantise":
        result = requantise(step.config, *inputs, constants["multiplier"], constants["shift"])
    elif step.unit == "residual":
        identity = (inputs[1], constants["residual_multiplier"], constants["residual_shift"])
        result = requantise(step.config, inputs[0], constants["multiplier"], constants["shift"], identity=identity)
    elif step.unit == "layer-norm":
        result = layer_norm(step.config, *inputs, constants["bias"])
    elif step.unit == "join":
        result = np.concatenate(inputs, axis=1)
    elif step.unit == "shift-gelu":
        result = shift_gelu(step.config, np.reshape(inputs[0], (-1, step.row))).reshape(inputs[0].shape)
    else:
        result = shiftmax(step.config, *inputs)
    low, high = (-(1 << step.width - 1), (1 << step.width - 1) - 1) if step.signed else (0, (1 << step.width) - 1)
    return checked_array(step.output, result, result.shape, low, high)


def checked_array(what, values, shape, low, high):
    """Values as an array; raises :exc:`ConfigError` unless they are integers of ``low..high`` and of that shape."""
    values = np.asarray(values)
    if values.dtype.kind not in "iu":
        raise ConfigError(f"{what} must hold integers, not {values.dtype.name!r}")
    if values.shape != shape:
        raise ConfigError(f"{what} must have the shape {shape!r}, not {values.shape!r}")
    wrong = (values < low) | (values > high)
    if wrong.any():
        raise ConfigError(f"{what} must be in {low}..{high}, not {int(values[wrong][0])!r}")
    return values
