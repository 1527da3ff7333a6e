"""How far the functions between a network's matrix products are from the real ones: every table of errors of a comparison."""

import dataclasses

import numpy as np

from .models.cast_unit import CastConfig, cast_golden
from .models.fixed_cast import FIXED_ROUNDINGS
from .models.integer_errors import SCALES, function_errors, layer_norm_errors
from .models.k_hot import K_HOT_RECODINGS, k_hot_errors
from .models.requantise import DyadicConfig, dyadic, requantise

__all__ = ["RATIOS", "cast_errors", "nonlinear_errors", "requantise_errors"]

#: Of a sum's scale to a result's, those of sums of some tens to some thousands of products of int8.
RATIOS = (0.1, 0.03, 0.01, 0.003, 0.001, 2.0**-8)

_ELEMENTS, _SEED = 1 << 16, 2207
_DEVIATION = 40  # of results: a few in a thousand are clamped


def nonlinear_errors():
    """All errors.

    Returns
    -------
    dict
        As JSON takes it. ``functions`` by scale and ``layer_norm`` by standard deviation, in the functions' own units;
        ``requantise`` by ratio and ``cast`` by rounding, in units of the result's last place; ``k_hot`` by terms, in units of
        the weight's.
    """
    return {
        "functions": [dataclasses.asdict(row) for row in function_errors(SCALES)],
        "layer_norm": [
            {"square_root": name, **dataclasses.asdict(row)}
            for name, reference in (("exact", False), ("ten steps", True))
            for row in layer_norm_errors(reference=reference)
        ],
        "requantise": requantise_errors(),
        "cast": cast_errors(),
        "k_hot": [
            dataclasses.asdict(k_hot_errors(np.arange(-128, 128), terms=terms, recoding=recoding))
            for terms in (1, 2, 3, 4)
            for recoding in K_HOT_RECODINGS
        ],
    }


def requantise_errors(ratios=RATIOS, *, multiplier_bits=(31, 16, 8)):
    """Errors of int8 results, rounded half to even, against the real quotient clamped to int8.

    Parameters
    ----------
    ratios : iterable of :class:`float`
        Of scales. The integers are normally distributed, so that results have a standard deviation of 40.
    multiplier_bits : iterable of :class:`int`

    Returns
    -------
    list of dict
        ``ratio``, ``multiplier_bits``, ``maximum`` and ``mean``.

    Raises
    ------
    ConfigError
        For a ratio or a number of bits that is not legal.
    """
    rng, found = np.random.default_rng(_SEED), []
    for ratio in ratios:
        dyadics = {bits: dyadic(ratio, bits=bits) for bits in multiplier_bits}
        x = np.rint(rng.normal(0, _DEVIATION / ratio, _ELEMENTS)).astype(np.int64)
        for bits, nearest in dyadics.items():
            config = DyadicConfig(multiplier_bits=bits)
            y = requantise(config, x, *nearest)
            error = np.abs(y - np.clip(x * ratio, *config.bounds))
            found.append({
                "ratio": ratio,
                "multiplier_bits": bits,
                "maximum": float(error.max()),
                "mean": float(error.mean()),
            })  # fmt: skip
    return found


def cast_errors():
    """Errors of saturating casts of all 16-bit numbers that fit in 8 bits with four fewer behind the point.

    Returns
    -------
    list of dict
        ``rounding``; ``maximum`` and ``mean`` magnitude; ``bias``, the mean with its sign.
    """
    found = []
    for rounding in FIXED_ROUNDINGS:
        config = CastConfig(rounding=rounding, overflow="sat")
        unit = 1 << config.from_fraction - config.to_fraction
        low, high = config.target.minimum * unit, config.target.maximum * unit
        values = np.arange(low, high + 1)
        error = cast_golden(config, config.i.beats(value=values))["value"] - values / unit
        found.append({
            "rounding": rounding,
            "maximum": float(np.abs(error).max()),
            "mean": float(np.abs(error).mean()),
            "bias": float(error.mean()),
        })  # fmt: skip
    return found
