"""I-LayerNorm: the layer normalisation of a row of integers, as integers.

"I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv 2207.01405, section 3.5: the mean, the sum of
the squares of what is left, its square root in integers, one division a row. The weight is folded into the result's scale, the
bias is an integer at that scale.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError
from .integer import width_of_range
from .row import rows_of_integers
from .shift_exp import SUM_LIMIT

__all__ = [
    "REFERENCE_START",
    "REFERENCE_STEPS",
    "LayerNormArithmetic",
    "LayerNormWidths",
    "fold_bias",
    "integer_sqrt",
    "layer_norm",
    "layer_norm_scale",
    "newton_sqrt",
    "newton_start",
    "newton_steps",
]

#: Where the published square root begins, and how many steps it takes.
REFERENCE_START, REFERENCE_STEPS = 1 << 16, 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerNormWidths(Config):
    """Widths that follow from those of elements and biases, and from :attr:`max_length`."""

    shorthands: ClassVar[dict] = {}

    width: int = parameter(8, "bits of an element, two's complement", legal=(2, 16))
    bias_width: int = parameter(32, "bits of a bias, two's complement", legal=(2, 40))

    @property
    def max_length(self):
        """Elements of the longest row."""
        raise NotImplementedError

    @property
    def sum_width(self):
        """Bits of the sum of a row, two's complement."""
        half = 1 << self.width - 1
        return width_of_range(-half * self.max_length, (half - 1) * self.max_length)

    @property
    def difference_width(self):
        """Bits of an element less the mean, two's complement: the mean is one of the values that elements have."""
        whole = (1 << self.width) - 1
        return width_of_range(-whole, whole)

    @property
    def largest_variance(self):
        """Largest sum of squares.

        For real numbers a row of two extremes half and half, ``n ((2^W - 1) / 2)^2``; rounding the mean to an integer moves it by
        up to a half, which adds a quarter an element.
        """
        return (((1 << self.width) - 1) ** 2 + 1) * self.max_length // 4

    @property
    def variance_width(self):
        """Bits of a sum of squares."""
        return self.largest_variance.bit_length()

    @property
    def root_width(self):
        """Bits of its square root, which is taken for 1 if it is 0."""
        return max(math.isqrt(self.largest_variance), 1).bit_length()

    @property
    def factor_width(self):
        """Bits of a factor, whose divisor is at least 1."""
        return SUM_LIMIT.bit_length()

    @property
    def normal_width(self):
        """Bits of a result before its bias.

        No difference is larger than the root, so that its product with the factor, ``floor((2^31 - 1) / root)``, is at most
        ``2^31 - 1``; half of it, rounded down.
        """
        return width_of_range(-SUM_LIMIT // 2, SUM_LIMIT // 2)

    @property
    def result_width(self):
        """Bits of a result, two's complement."""
        half = 1 << self.bias_width - 1
        return width_of_range(-SUM_LIMIT // 2 - half, SUM_LIMIT // 2 + half - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerNormArithmetic(LayerNormWidths):
    """What I-LayerNorm needs to know of a row."""

    max_length: int = parameter(1024, "elements of the longest row", legal=(1, 1 << 16))


def integer_sqrt(values):
    """Largest integers whose squares are not above the values.

    Parameters
    ----------
    values : array of ``int64``
        ``0..2^52``, which floating-point numbers hold.

    Returns
    -------
    array of ``int64``
    """
    values = np.asarray(values, np.int64)
    # Correctly rounded: below a square by at least one part in 2^52, never up to its root.
    return np.floor(np.sqrt(values.astype(np.float64))).astype(np.int64)


def newton_start(values):
    """The power of two next above or at the square root of each value: half its digits, rounded up."""
    digits = np.frexp(np.asarray(values, np.float64))[1].astype(np.int64)
    return np.int64(1) << (digits + 1) // 2


def newton_sqrt(values, *, steps=REFERENCE_STEPS, start=REFERENCE_START):
    """Square roots by steps ``k = floor((k + floor(value / k)) / 2)``.

    Parameters
    ----------
    values : array of ``int64``
    steps : :class:`int`
    start : :class:`int` or array of them
        First ``k``.

    Returns
    -------
    array of ``int64``
        Never below the square root rounded down; a ``k`` that reaches 0, as for the value 0, stays there.
    """
    values = np.asarray(values, np.int64)
    k = np.broadcast_to(np.asarray(start, np.int64), values.shape)
    for _ in range(steps):
        k = (k + values // np.maximum(k, 1)) >> 1
    return k


def newton_steps(values, *, start=REFERENCE_START):
    """How many steps it takes until the square root is exact for the first time.

    Parameters
    ----------
    values : array of ``int64``
        ``0..2^52``.
    start : :class:`int` or array of them

    Returns
    -------
    array of ``int64``
    """
    values = np.asarray(values, np.int64)
    exact = integer_sqrt(values)
    k = np.broadcast_to(np.asarray(start, np.int64), values.shape)
    steps = np.zeros(values.shape, np.int64)
    while (missing := k != exact).any():
        steps += missing
        k = np.where(missing, (k + values // np.maximum(k, 1)) >> 1, k)
    return steps


def layer_norm_scale(length):
    """What 1 stands for in a result of a row of so many elements, before the weight: ``sqrt(n) / 2^30``."""
    return math.sqrt(length) / (1 << 30)


def fold_bias(weight, bias, *, length, bias_width=32):
    """The bias of each element at the scale of the result.

    Parameters
    ----------
    weight, bias : array of :class:`float`
        One for each element of a row.
    length : :class:`int`
        Elements of a row.
    bias_width : :class:`int`
        Bits that the integers must fit in.

    Returns
    -------
    array of ``int64``
        ``floor((bias / weight) / (sqrt(n) / 2^30))``; the element's result has the scale of :func:`layer_norm_scale` times the
        weight.

    Raises
    ------
    ConfigError
        For a weight of zero, whose element has no scale (the published function makes the bias infinite), and for a bias that
        does not fit.
    """
    weight, bias = np.broadcast_arrays(np.asarray(weight, np.float64), np.asarray(bias, np.float64))
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise ConfigError("weights and biases must be finite")
    zero = np.flatnonzero(weight == 0)
    if len(zero):
        raise ConfigError(
            f"weight of element {int(zero[0])} is 0.0: it has no scale; leave the element out, or give it a small weight"
        )
    folded = np.floor(bias / weight / layer_norm_scale(length))
    half = 1 << bias_width - 1
    wrong = np.flatnonzero((folded < -half) | (folded > half - 1))
    if len(wrong):
        at = int(wrong[0])
        given = f"{float(bias.flat[at])!r} over its weight {float(weight.flat[at])!r}"
        raise ConfigError(f"bias of element {at} must fit in {bias_width} bits; {given} does not")
    return folded.astype(np.int64)


def layer_norm(config, rows, bias=0, *, reference=False):
    """I-LayerNorm of rows.

    Parameters
    ----------
    config : :class:`LayerNormWidths`
    rows : array of integers
        A row along the last axis.
    bias : array of integers
        One for each element of a row, or one for all; see :func:`fold_bias`.
    reference : :class:`bool`
        The square root is ten of Newton's steps, as in the published function, not exact.

    Returns
    -------
    array of ``int64``
        In units of :func:`layer_norm_scale` times the weight. A row of equal elements gives the bias.

    Raises
    ------
    ConfigError
        See :func:`~carrysave.models.row.rows_of_integers`; for a row of more than ``max_length`` elements; for a bias that does
        not fit.
    """
    rows = rows_of_integers(rows, config.width)
    length = rows.shape[-1]
    if length > config.max_length:
        raise ConfigError(f"a row must have at most {config.max_length} elements, not {length!r}")
    bias = rows_of_integers(np.atleast_1d(bias), config.bias_width)
    y = rows - rounded_mean(rows.sum(axis=-1, keepdims=True), length)
    variance = (y * y).sum(axis=-1, keepdims=True)
    root = newton_sqrt(variance) if reference else np.maximum(integer_sqrt(variance), 1)
    return ((y * (SUM_LIMIT // root)) >> 1) + bias


def rounded_mean(total, length):
    """Sums over a number of elements, rounded to nearest, a half to even."""
    kept, rest = total // length, total % length
    return kept + ((2 * rest > length) | ((2 * rest == length) & (kept & 1 == 1)))
