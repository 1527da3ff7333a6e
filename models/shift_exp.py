"""ShiftExp: the exponential of an integer by shifts and additions, the heart of Shiftmax and ShiftGELU.

"I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference", arXiv 2207.01405, section 3.3. An integer ``x``
stands for the number ``S x``, at most 0. ``x + (x >> 1) - (x >> 4)`` is ``x log2 e`` nearly, as ``1.0111b``; divided by an
octave ``-x0``, the integer that stands for 1, it is a quotient, a shift, and a remainder, on which ``2^-f`` is the line
``1 - f / 2``. The value of the answer is ``e S / 2^n``.
"""

import dataclasses
import math
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError

__all__ = ["HALVINGS", "LARGEST_OCTAVE", "SUM_LIMIT", "ShiftExpConfig", "octave", "shift_exp"]

#: What sums of exponentials are clamped to, and the dividend of what they are divided by.
SUM_LIMIT = (1 << 31) - 1

#: Whether the remainder is halved exactly, before the shift, or rounded down first.
HALVINGS = ("exact", "shift")

LARGEST_OCTAVE = 1 << 20

# So many make of the smallest exponential, a half, more than any sum is clamped to, and of the largest no more than int64 holds.
_MOST_PLACES = 40


def octave(scale):
    """How many integers make one octave, ``-x0``.

    Parameters
    ----------
    scale : :class:`float`
        What an integer of 1 stands for, S.

    Returns
    -------
    :class:`int`
        ``-floor(-1 / S)``, the quotient being that of floating-point numbers, so that a third gives 3.

    Raises
    ------
    ConfigError
        For a scale that is not in ``2^-20..1``: with a larger one an octave would be less than an integer.
    """
    scale = float(scale)
    if not 1 / LARGEST_OCTAVE <= scale <= 1:
        raise ConfigError(f"scale must be in {1 / LARGEST_OCTAVE!r}..1.0, not {scale!r}")
    return -math.floor(-1 / scale)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftExpConfig(Config):
    """What an exponential, and what is made of it, needs to know of its integers."""

    shorthands: ClassVar[dict] = {}

    width: int = parameter(8, "bits of an element, two's complement", legal=(2, 32))
    octave: int = parameter(
        64,
        "integers in an octave, -x0: what carrysave.models.shift_exp.octave makes of a scale",
        legal=(1, LARGEST_OCTAVE),
    )
    fraction_bits: int = parameter(15, "octaves below which the exponential stays where it is, n", legal=(1, 23))
    halving: str = parameter("exact", "whether the remainder is halved exactly or rounded down first", choices=HALVINGS)

    @property
    def distance_width(self):
        """Bits of an element's distance from the row's maximum, at most ``2^width - 1``."""
        return self.width

    @property
    def largest_distance(self):
        """Largest distance in octaves' units: times log2 e, and cut off at n octaves."""
        return min(_times_log2_e((1 << self.distance_width) - 1), self.fraction_bits * self.octave)

    @property
    def scaled_width(self):
        """Bits of a distance times log2 e before it is cut off."""
        return _times_log2_e((1 << self.distance_width) - 1).bit_length()

    @property
    def largest_quotient(self):
        """Most octaves of a distance."""
        return self.largest_distance // self.octave

    @property
    def quotient_bits(self):
        """Bits of the octaves of a distance; none where all distances are within one."""
        return self.largest_quotient.bit_length()

    @property
    def exponential_cycles(self):
        """Cycles from an element to its exponential, each a register: distance, times log2 e, the quotient's bits, shift."""
        return 3 + self.quotient_bits

    @property
    def largest(self):
        """Largest exponential: that of 0."""
        return self.octave << self.fraction_bits

    @property
    def smallest(self):
        """Smallest exponential: that of the largest distance; ``octave`` where this is all n octaves."""
        return int(shift_exp(self, 1 - (1 << self.distance_width)))

    @property
    def value_width(self):
        """Bits of an exponential."""
        return self.largest.bit_length()


def _times_log2_e(distance):
    """A distance, that is minus x, times 1.0111b as ShiftExp has it: each shift rounds x down, so the distance up."""
    return distance + (distance + 1) // 2 - (distance + 15) // 16


def shift_exp(config, x, *, reference=False):
    """Exponentials of integers.

    Parameters
    ----------
    config : :class:`ShiftExpConfig`
    x : array of integers
        At most 0, and at least ``-2^32``.
    reference : :class:`bool`
        Take positive ones, too, as the reference does in ShiftGELU. Those beyond ``2^39`` may come out smaller, but not below
        it: all that is done with them is to clamp their sum to less.

    Returns
    -------
    array of ``int64``
        ``e``, of the value ``e S / 2^n``.

    Raises
    ------
    ConfigError
        For the first integer that is out of its range.
    """
    x = np.asarray(x)
    if x.dtype.kind not in "iu":
        raise ConfigError(f"exponents must be integers, not {x.dtype.name!r}")
    high = 1 << 32 if reference else 0
    wrong = (x < -(1 << 32)) | (x > high)
    if wrong.any():
        raise ConfigError(f"exponent must be in {-(1 << 32)}..{high}, not {int(x[wrong][0])!r}")
    x = x.astype(np.int64)
    x0, n = -config.octave, config.fraction_bits
    x = x + (x >> 1) - (x >> 4)
    x = np.maximum(x, n * x0)
    q = x // x0
    r = x - x0 * q
    places = n - q
    places = np.minimum(n - q, _MOST_PLACES)
    if config.halving == "exact":
        return np.maximum(((r - 2 * x0) << places) >> 1, 0)
    return np.maximum(((r >> 1) - x0) << places, 0)
