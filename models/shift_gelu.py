"""ShiftGELU: ``x sigmoid(1.702 x)`` of a row of integers, as integers.

"I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv 2207.01405, section 3.4. The sigmoid is
``exp(x - max) / (exp(x - max) + exp(-max))``, with :func:`~carrysave.models.shift_exp.shift_exp` at the scale ``1.702 S``;
``max`` only has to be an upper bound of the row, and not negative, or ``exp(-max)`` has a positive argument.
"""

import dataclasses

import numpy as np

from .config import parameter
from .integer import width_of_range
from .row import rows_of_integers
from .shift_exp import SUM_LIMIT, ShiftExpConfig, octave, shift_exp

__all__ = ["ShiftGELUArithmetic", "gelu_octave", "shift_gelu"]


def gelu_octave(scale):
    """How many integers make an octave of the exponentials, for an input of that scale.

    Raises
    ------
    ConfigError
        Unless 1.702 times the scale is in ``2^-20..1``.
    """
    return octave(1.702 * scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftGELUArithmetic(ShiftExpConfig):
    """What ShiftGELU needs to know of a row."""

    octave: int = parameter(
        38,
        "integers in an octave, -x0: what carrysave.models.shift_gelu.gelu_octave makes of a scale",
        legal=(1, 1 << 20),
    )
    fraction_bits: int = parameter(23, "octaves below which the exponential stays where it is, n", legal=(1, 23))
    sigmoid_width: int = parameter(8, "bits of a sigmoid, b, whose unit is 2^-(b-1)", legal=(8, 16))

    @property
    def dropped(self):
        """Places by which an exponential times the factor is shifted down."""
        return 31 - self.sigmoid_width + 1

    @property
    def smallest_sum(self):
        """Smallest sum of two exponentials: the least element's, where the maximum is the largest of all."""
        half = 1 << self.width - 1
        return min(self.smallest + int(shift_exp(self, 1 - half)), SUM_LIMIT)

    @property
    def factor_width(self):
        """Bits of an element's factor."""
        return (SUM_LIMIT // self.smallest_sum).bit_length()

    @property
    def largest_sigmoid(self):
        """Largest sigmoid: as of Shiftmax, an exponential is at most the sum, or the factor is 1."""
        return max(SUM_LIMIT, self.largest) >> self.dropped

    @property
    def sigmoid_bits(self):
        """Bits of a sigmoid, unsigned."""
        return self.largest_sigmoid.bit_length()

    @property
    def result_width(self):
        """Bits of a result, two's complement."""
        half = 1 << self.width - 1
        return width_of_range(-half * self.largest_sigmoid, (half - 1) * self.largest_sigmoid)


def shift_gelu(config, rows, *, reference=False):
    """ShiftGELU of rows.

    Parameters
    ----------
    config : :class:`ShiftGELUArithmetic`
    rows : array of integers
        A row along the last axis.
    reference : :class:`bool`
        A negative maximum counts, too, as in the published function; else 0 does in its place.

    Returns
    -------
    array of ``int64``
        In units of ``S 2^-(b-1)``.

    Raises
    ------
    ConfigError
        See :func:`~carrysave.models.row.rows_of_integers`.
    """
    rows = rows_of_integers(rows, config.width)
    highest = rows.max(axis=-1, keepdims=True)
    if not reference:
        highest = np.maximum(highest, 0)
    e = shift_exp(config, rows - highest)
    of_maximum = shift_exp(config, -highest, reference=reference)
    factor = SUM_LIMIT // np.minimum(e + of_maximum, SUM_LIMIT)
    return rows * ((e * factor) >> config.dropped)
