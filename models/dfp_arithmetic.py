"""Products and sums of tensors of dynamic fixed point, element by element (arXiv 1802.00930, section on dynamic fixed point)."""

import numpy as np

from .dfp import DFPFormat, DFPTensor, draws_for, spread_exponents
from .dfp_rounding import DFP_ROUNDINGS, rounded_right
from .errors import ConfigError

__all__ = ["add", "multiply"]


def multiply(a, b):
    """Exact products of the elements of two tensors; exponents add.

    Parameters
    ----------
    a, b : :class:`DFPTensor`
        Of one shape; with one exponent each, or both in the same blocks.

    Returns
    -------
    :class:`DFPTensor`
        As wide as both together.
    """
    block, axis = _common_blocks(a, b)
    return DFPTensor(
        mantissas=a.mantissas * b.mantissas,
        exponents=a.exponents + b.exponents,
        width=a.width + b.width,
        block=block,
        axis=axis,
    )


def add(a, b, *, rounding="nearest-even", lfsr=None):
    """Sums of the elements of two tensors, at the larger of the two exponents of each block.

    The operand with the smaller exponent is shifted to the right and rounded.

    Parameters
    ----------
    a, b : :class:`DFPTensor`
        Of one shape and the same blocks.
    rounding : :class:`str`
    lfsr : :class:`~carrysave.models.lfsr.LFSR`, optional
        Stochastic rounding takes a draw from it for every element, in C order, whether or not it is shifted.

    Returns
    -------
    :class:`DFPTensor`
        One bit wider than the wider operand.
    """
    if rounding not in DFP_ROUNDINGS:
        raise ConfigError(f"rounding must be one of {', '.join(DFP_ROUNDINGS)}, not {rounding!r}")
    block, axis = _common_blocks(a, b)
    draws = draws_for(DFPFormat(rounding=rounding), lfsr, a.mantissas.size)
    exponents = np.maximum(a.exponents, b.exponents)
    total = 0
    for operand in (a, b):
        behind = spread_exponents(exponents - operand.exponents, block, axis, a.shape)
        magnitudes = rounded_right(np.abs(operand.mantissas), behind, rounding, draws)
        total = total + np.where(operand.mantissas < 0, -magnitudes, magnitudes)
    return DFPTensor(mantissas=total, exponents=exponents, width=max(a.width, b.width) + 1, block=block, axis=axis)


def _common_blocks(a, b):
    if a.shape != b.shape:
        raise ConfigError(f"tensors must have one shape, not {a.shape!r} and {b.shape!r}")
    if a.block != b.block or (a.block != "tensor" and a.axis % len(a.shape) != b.axis % len(b.shape)):
        raise ConfigError(
            f"tensors must share their blocks, not {a.block!r} along axis {a.axis!r} and {b.block!r} along axis {b.axis!r}"
        )
    return a.block, a.axis
