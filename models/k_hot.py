"""Multiplier-free weights: sums of a few powers of two, whose products are shifts and additions.

A weight of at most K terms is ``w = sum s_k 2^(p_k)``. Three ways from an integer to such a sum:

====================  ======================================================================================================
``recoding``          terms
====================  ======================================================================================================
``"greedy"``          the sign apart, the largest power of two not above what remains, K times, as published (QFX, arXiv
                      2401.17544, section on multiplication-free quantization)
``"greedy-nearest"``  the same, but the last term is the nearest power of two; of two equally near ones the smaller
``"signed"``          each term the power of two nearest to what remains, with a sign of its own, of two equally near ones the
                      smaller: no sum of K signed powers is nearer to the weight, and none that is equal to it has fewer
                      terms than this, which is as many as its non-adjacent form (NAF) has non-zero digits
====================  ======================================================================================================

A magnitude that needs n bits has powers up to ``2^n``, for it may be rounded up to that.
"""

import dataclasses

import numpy as np

from .errors import ConfigError

__all__ = ["K_HOT_RECODINGS", "LARGEST_MAGNITUDE", "KHotErrors", "KHotTerms", "k_hot", "k_hot_errors", "k_hot_table"]

K_HOT_RECODINGS = ("greedy", "greedy-nearest", "signed")

#: Of a weight: ``float64`` finds its highest digit exactly.
LARGEST_MAGNITUDE = 1 << 52


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class KHotTerms:
    """Powers of two that stand for weights.

    Parameters
    ----------
    positions : ``int64`` array
        Exponents, of the weights' shape and a last axis of K terms; zero where there is no term.
    signs : ``int64`` array
        1, -1, or 0 where there is no term; of the same shape.
    """

    positions: np.ndarray
    signs: np.ndarray

    def values(self):
        """The weights that the terms sum up to, ``int64`` array."""
        return (self.signs << self.positions).sum(axis=-1)

    def counts(self):
        """Terms of each weight."""
        return np.count_nonzero(self.signs, axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KHotErrors:
    """How far weights of K terms lie from those they stand for, in units of the weights' last place.

    Parameters
    ----------
    recoding : :class:`str`
    terms : :class:`int`
        K.
    exact : :class:`float`
        Share of weights that are met.
    mean : :class:`float`
        Of the errors, approximate less exact.
    mean_absolute, rms, maximum : :class:`float`
        Mean magnitude, root of the mean square, and largest magnitude.
    """

    recoding: str
    terms: int
    exact: float
    mean: float
    mean_absolute: float
    rms: float
    maximum: float


def k_hot(weights, *, terms, recoding="signed"):
    """Weights as sums of powers of two.

    Parameters
    ----------
    weights : array of integers
        Of any shape and magnitudes up to :data:`LARGEST_MAGNITUDE`.
    terms : :class:`int`
        Largest number of terms of one weight, K, 1..16.
    recoding : :class:`str`
        One of :data:`K_HOT_RECODINGS`.

    Returns
    -------
    :class:`KHotTerms`

    Raises
    ------
    ConfigError
        For weights that are too large or not integers, and illegal terms or recoding.
    """
    weights = _checked(weights, terms, recoding)
    remaining = weights.copy() if recoding == "signed" else np.abs(weights)
    whole = np.ones_like(weights) if recoding == "signed" else np.sign(weights)
    positions, signs = (np.zeros((*weights.shape, terms), np.int64) for _ in range(2))
    for term in range(terms):
        nearest = recoding == "signed" or (recoding == "greedy-nearest" and term == terms - 1)
        sign, position = np.sign(remaining), _power(np.abs(remaining), nearest)
        remaining = remaining - (sign << position)
        positions[..., term], signs[..., term] = position, sign * whole
    return KHotTerms(positions=positions, signs=signs)


def _checked(weights, terms, recoding):
    if type(terms) is not int or not 1 <= terms <= 16:
        raise ConfigError(f"terms must be an integer in 1..16, not {terms!r}")
    if recoding not in K_HOT_RECODINGS:
        raise ConfigError(f"recoding must be one of {', '.join(K_HOT_RECODINGS)}, not {recoding!r}")
    weights = np.asarray(weights)
    if weights.dtype.kind not in "iu":
        raise ConfigError(f"weights must be integers, not {weights.dtype}")
    for extreme in (weights.min(initial=0), weights.max(initial=0)):
        if abs(int(extreme)) > LARGEST_MAGNITUDE:
            raise ConfigError(f"weights must be in {-LARGEST_MAGNITUDE}..{LARGEST_MAGNITUDE}, not {int(extreme)!r}")
    return weights.astype(np.int64)


def _power(magnitudes, nearest):
    """Exponent of the largest power of two not above, or of the nearest one; of zero, zero."""
    below = np.maximum(np.frexp(magnitudes.astype(np.float64))[1].astype(np.int64) - 1, 0)
    if not nearest:
        return below
    # Nearer to twice that power: beyond one and a half of it.
    return below + (2 * magnitudes > 3 << below)


def k_hot_errors(weights, *, terms, recoding="signed"):
    """Errors of weights of K terms; parameters as :func:`k_hot`, but at least one weight.

    Returns
    -------
    :class:`KHotErrors`
    """
    weights = _checked(weights, terms, recoding)
    if not weights.size:
        raise ConfigError(f"weights must be at least one, not of shape {weights.shape!r}")
    errors = (k_hot(weights, terms=terms, recoding=recoding).values() - weights).astype(np.float64)
    return KHotErrors(
        recoding=recoding,
        terms=terms,
        exact=float(np.mean(errors == 0)),
        mean=float(errors.mean()),
        mean_absolute=float(np.abs(errors).mean()),
        rms=float(np.sqrt(np.square(errors).mean())),
        maximum=float(np.abs(errors).max()),
    )


def k_hot_table(*, width, terms):
    """Errors over all two's-complement weights of a width, by recoding and for each number of terms up to K.

    Parameters
    ----------
    width : :class:`int`
        Bits of a weight, 2..20.
    terms : :class:`int`
        K.

    Returns
    -------
    list of :class:`KHotErrors`

    Raises
    ------
    ConfigError
        For a value out of range.
    """
    if type(width) is not int or not 2 <= width <= 20:
        raise ConfigError(f"width of weights must be an integer in 2..20, not {width!r}")
    weights = np.arange(-(1 << width - 1), 1 << width - 1)
    _checked(weights, terms, "signed")
    return [
        k_hot_errors(weights, terms=count, recoding=recoding)
        for recoding in K_HOT_RECODINGS
        for count in range(1, terms + 1)
    ]
