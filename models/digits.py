"""Digit recodings of integer operands: MBE, EN-T, NAF, two's complement, sign and magnitude.

A recoding writes a value as ``sum_i digit[i] * weight[i]``; every non-zero digit costs a partial product, so the number
of non-zero digits is what sparse bit-weight architectures pay for. The five encodings:

=====================  =====  ==================  ============================================================
encoding               radix  digits              how
=====================  =====  ==================  ============================================================
``"mbe"``              4      -2, -1, 0, 1, 2     modified Booth: ``d[i] = -2 a[2i+1] + a[2i] + a[2i-1]``
``"en-t"``             4      -1, 0, 1, 2         magnitude; a slice of 3 becomes -1 and carries; sign kept apart
``"naf"``              2      -1, 0, 1            non-adjacent form, also called canonical signed digit (CSD)
``"twos-complement"``  2      0, 1                the bits; the top bit of a signed operand weighs negative
``"sign-magnitude"``   2      0, 1                the bits of the magnitude; sign kept apart
=====================  =====  ==================  ============================================================

Digits are in the order of their weights, least significant first, in the last axis of an array.
"""

import dataclasses
import math
from functools import cached_property

import numpy as np

from .errors import ConfigError

__all__ = ["ENCODINGS", "Recoding", "value_probabilities"]

ENCODINGS = ("mbe", "en-t", "naf", "twos-complement", "sign-magnitude")
WIDTHS = (4, 16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recoding:
    """One encoding of operands of one width.

    Parameters
    ----------
    encoding : :class:`str`
        One of :data:`ENCODINGS`.
    width : :class:`int`
        Bits of the operand, 4..16. For radix 4 an odd width is sign- or zero-extended by one bit first.
    signed : :class:`bool`
        The operand is two's complement.

    Raises
    ------
    ConfigError
        For an unknown encoding or a width out of range.
    """

    encoding: str
    width: int = 8
    signed: bool = True

    def __post_init__(self):
        if self.encoding not in ENCODINGS:
            raise ConfigError(f"encoding must be one of {', '.join(ENCODINGS)}, not {self.encoding!r}")
        if type(self.width) is not int or not WIDTHS[0] <= self.width <= WIDTHS[1]:
            raise ConfigError(f"width must be an integer in {WIDTHS[0]}..{WIDTHS[1]}, not {self.width!r}")
        if type(self.signed) is not bool:
            raise ConfigError(f"signed must be true or false, not {self.signed!r}")

    @property
    def radix(self):
        """4 for MBE and EN-T, else 2."""
        return 4 if self.encoding in ("mbe", "en-t") else 2

    @property
    def has_sign(self):
        """Whether the sign is kept apart from the digits."""
        return self.signed and self.encoding in ("en-t", "sign-magnitude")

    @property
    def digit_set(self):
        """Legal digits, ascending, before a sign that is kept apart is applied."""
        return {"mbe": (-2, -1, 0, 1, 2), "en-t": (-1, 0, 1, 2), "naf": (-1, 0, 1)}.get(self.encoding, (0, 1))

    @property
    def n_digits(self):
        """Digits of one operand.

        Unsigned operands need one digit more with MBE, EN-T and NAF, because their top digit may carry out; with MBE
        and EN-T at an odd width, the bit by which it is extended already gives it room.
        """
        if self.radix == 4:
            return self.width // 2 + 1 if not self.signed else (self.width + 1) // 2
        return self.width + (self.encoding == "naf" and not self.signed)

    @property
    def minimum(self):
        """Smallest legal value."""
        return -(1 << self.width - 1) if self.signed else 0

    @property
    def maximum(self):
        """Largest legal value."""
        return (1 << self.width - self.signed) - 1

    @cached_property
    def weights(self):
        """What a 1 in each digit is worth; ``int64`` array."""
        weights = np.int64(self.radix) ** np.arange(self.n_digits, dtype=np.int64)
        if self.encoding == "twos-complement" and self.signed:
            weights[-1] = -weights[-1]
        return weights

    @cached_property
    def values(self):
        """Every legal value, ascending; ``int64`` array."""
        return np.arange(self.minimum, self.maximum + 1, dtype=np.int64)

    def encode(self, values):
        """Digits and sign of values.

        Parameters
        ----------
        values : array of integers
            Of any shape.

        Returns
        -------
        digits : ``int8`` array of shape ``(*values.shape, n_digits)``
            Where the sign is kept apart, the digits of the magnitude.
        negative : ``bool`` array of shape ``values.shape``
            Whether the digits are to be negated; all false where the digits carry the sign themselves.

        Raises
        ------
        ConfigError
            If a value is not an integer or out of range.
        """
        values = self._checked(values)
        negative = values < 0 if self.has_sign else np.zeros(values.shape, bool)
        magnitude = np.where(negative, -values, values)[..., np.newaxis]
        return self._digits(magnitude).astype(np.int8), negative

    def signed_digits(self, values):
        """Digits with a sign that is kept apart applied to each; ``int8``, shape ``(*values.shape, n_digits)``."""
        digits, negative = self.encode(values)
        return np.where(negative[..., np.newaxis], -digits, digits)

    def decode(self, digits, negative=None):
        """Values of digits, the inverse of :meth:`encode`; without ``negative``, of :meth:`signed_digits`.

        Parameters
        ----------
        digits : array of integers, shape ``(..., n_digits)``
        negative : array of :class:`bool`, shape ``(...)``, optional

        Returns
        -------
        ``int64`` array of shape ``(...)``
        """
        digits = np.asarray(digits, np.int64)
        if digits.shape[-1:] != (self.n_digits,):
            raise ConfigError(f"digits must have {self.n_digits} elements in the last axis, not shape {digits.shape!r}")
        values = digits @ self.weights
        return values if negative is None else np.where(negative, -values, values)

    def nonzero_digits(self, values):
        """Number of non-zero digits of each value; ``int64`` array of the shape of ``values``."""
        return np.count_nonzero(self.encode(values)[0], axis=-1)

    def nonzero_histogram(self):
        """How many of all legal values have 0, 1, ... ``n_digits`` non-zero digits; ``int64`` array."""
        return np.bincount(self.nonzero_digits(self.values), minlength=self.n_digits + 1)

    def mean_nonzero_digits(self, sigma=None):
        """Average number of non-zero digits of an operand, exact.

        Parameters
        ----------
        sigma : :class:`float`, optional
            Standard deviation of the normal distribution of :func:`value_probabilities`; uniform without.
        """
        probabilities = value_probabilities(width=self.width, signed=self.signed, sigma=sigma)
        return float(self.nonzero_digits(self.values) @ probabilities)

    def _checked(self, values):
        values = np.asarray(values)
        if values.dtype.kind not in "biu":
            raise ConfigError(f"values to recode must be integers, not {values.dtype}")
        if values.size and (int(values.min()) < self.minimum or int(values.max()) > self.maximum):
            bad = int(values.min()) if int(values.min()) < self.minimum else int(values.max())
            kind = "signed" if self.signed else "unsigned"
            raise ConfigError(f"{bad} is out of range: {kind}({self.width}) takes {self.minimum}..{self.maximum}")
        return values.astype(np.int64)

    def _digits(self, x):
        position = np.arange(self.n_digits)
        if self.encoding == "mbe":
            # Shifted up by one, each digit sees the three bits it overlaps; negative numbers extend by themselves.
            triple = (x << 1) >> (2 * position)
            return (triple & 1) + (triple >> 1 & 1) - 2 * (triple >> 2 & 1)
        if self.encoding == "naf":
            # 3x - x = 2x: the bits of 3x and of x, subtracted one by one, are the non-adjacent form of 2x.
            return ((3 * x) >> (position + 1) & 1) - (x >> (position + 1) & 1)
        if self.encoding == "en-t":
            digits = np.empty((*x.shape[:-1], self.n_digits), np.int64)
            carry = np.zeros(x.shape[:-1], np.int64)
            for index in range(self.n_digits):
                digit = (x[..., 0] >> 2 * index & 3) + carry
                carry = digit >= 3
                digits[..., index] = digit - 4 * carry
            return digits
        return x >> position & 1


def value_probabilities(*, width, signed, sigma=None):
    """Probability of every value of an operand, ascending.

    Parameters
    ----------
    width : :class:`int`
        Bits of the operand.
    signed : :class:`bool`
        The operand is two's complement.
    sigma : :class:`float`, optional
        All values are equally likely without it; with it they are distributed as ``round(N(0, sigma))`` clipped to the
        operand's range, the distribution of the published tables.

    Returns
    -------
    ``float64`` array of ``2 ** width`` elements that sum to 1
    """
    if sigma is None:
        return np.full(1 << width, 1 / (1 << width))
    if not sigma > 0 or not math.isfinite(sigma):
        raise ConfigError(f"sigma must be a positive number, not {sigma!r}")
    low = -(1 << width - 1) if signed else 0
    edges = np.arange(low, low + (1 << width) + 1) - 0.5
    below = np.array([math.erf(edge) for edge in edges / (sigma * math.sqrt(2))]) / 2 + 0.5
    below[0], below[-1] = 0, 1  # what lies beyond the range is clipped to its ends
    return np.diff(below)
