"""Shiftmax: the softmax of a row of integers, as integers.

"I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv 2207.01405, section 3.3. Exponentials are
:func:`~carrysave.models.shift_exp.shift_exp`'s of the distance from the row's maximum; one division a row.
"""

import dataclasses

import numpy as np

from .config import parameter
from .row import rows_of_integers
from .shift_exp import SUM_LIMIT, ShiftExpConfig, shift_exp

__all__ = ["ShiftmaxArithmetic", "shiftmax"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftmaxArithmetic(ShiftExpConfig):
    """What Shiftmax needs to know of a row."""

    output_width: int = parameter(8, "bits of a result, b, whose unit is 2^-(b-1)", legal=(8, 16))
    reference: bool = parameter(False, "whether a result may exceed its bits, as in the published one, or saturates")

    @property
    def dropped(self):
        """Places by which an exponential times the factor is shifted down."""
        return 31 - self.output_width + 1

    @property
    def factor_width(self):
        """Bits of a row's factor: the sum holds the exponential of the maximum."""
        return (SUM_LIMIT // min(self.largest, SUM_LIMIT)).bit_length()

    @property
    def largest_result(self):
        """Largest result before it saturates.

        An exponential is at most the sum, so that its product with the factor is at most ``2^31 - 1``; where the sum is clamped,
        the factor is 1.
        """
        return max(SUM_LIMIT, self.largest) >> self.dropped

    @property
    def result_width(self):
        """Bits of a result, unsigned."""
        return max(self.output_width, self.largest_result.bit_length()) if self.reference else self.output_width


def shiftmax(config, rows):
    """Shiftmax of rows.

    Parameters
    ----------
    config : :class:`ShiftmaxArithmetic`
    rows : array of integers
        A row along the last axis.

    Returns
    -------
    array of ``int64``
        In units of ``2^-(b-1)``; above ``2^(b-1)``, which is 1, only where the sum of exponentials was clamped.

    Raises
    ------
    ConfigError
        See :func:`~carrysave.models.row.rows_of_integers`.
    """
    rows = rows_of_integers(rows, config.width)
    e = shift_exp(config, rows - rows.max(axis=-1, keepdims=True))
    factor = SUM_LIMIT // np.minimum(e.sum(axis=-1, keepdims=True), SUM_LIMIT)
    result = (e * factor) >> config.dropped
    return result if config.reference else np.minimum(result, (1 << config.output_width) - 1)
