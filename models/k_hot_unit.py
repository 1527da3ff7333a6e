"""Run-time multiplier of K-hot weights: configuration, golden model and stimulus of the design ``k-hot``.

A weight is stored as the positions of its powers of two, with signs: what :mod:`carrysave.models.k_hot` makes of integers (QFX,
arXiv 2401.17544, section on multiplication-free quantization).
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError
from .integer import width_of_range
from .k_hot import k_hot
from .mac import operand_corners, operand_samples
from .payload import Field, Payload

__all__ = ["KHotConfig", "k_hot_fields", "k_hot_golden", "k_hot_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KHotConfig(Config):
    """Multiplier of weights that are sums of K powers of two."""

    design: ClassVar[str] = "k-hot"
    shorthands: ClassVar[dict] = {}

    #: Cycles from operands to their product: a register.
    latency: ClassVar[int] = 1
    #: Cycles between beats.
    initiation_interval: ClassVar[int] = 1

    a_width: int = parameter(8, "bits of operand a", legal=(2, 24))
    a_signed: bool = parameter(True, "a is two's complement")
    terms: int = parameter(2, "powers of two of a weight at most, K", legal=(1, 8))
    position_bits: int = parameter(3, "bits of an exponent, which reaches 2^position_bits - 1", legal=(1, 5))
    signs: str = parameter("each", "every term has a sign of its own, or the weight has one", choices=("each", "one"))

    @property
    def largest_position(self):
        """Largest exponent of a term."""
        return (1 << self.position_bits) - 1

    @cached_property
    def product_range(self):
        """Smallest and largest product: all terms present and at the largest position."""
        field, weight = self.i.fields[0], self.terms << self.largest_position
        products = [a * w for a in (field.minimum, field.maximum) for w in (weight, -weight)]
        return min(products), max(products)

    @property
    def product_width(self):
        """Bits of a product."""
        return width_of_range(*self.product_range)

    @cached_property
    def i(self):
        """Operand ``a``; of each term its ``position``, whether it is ``negative`` and ``present``: what is not adds nothing."""
        shape = (self.terms,)
        return Payload((
            Field("a", self.a_width, self.a_signed),
            Field("position", self.position_bits, False, shape),
            Field("negative", 1, False, shape if self.signs == "each" else ()),
            Field("present", 1, False, shape),
        ))  # fmt: skip

    @property
    def o(self):
        """The ``product``, exact."""
        return Payload((Field("product", self.product_width, True),))


def k_hot_fields(config, weights):
    """Weights as the fields of input beats.

    Parameters
    ----------
    config : :class:`KHotConfig`
    weights : array of integers, of one dimension
        What has more terms than the configuration is rounded: to signed terms if each has its sign, else by the greedy method
        with a last term to nearest.

    Returns
    -------
    :class:`dict`
        Arrays ``position``, ``negative`` and ``present``.

    Raises
    ------
    ConfigError
        If a weight has a power of two beyond the largest position.
    """
    found = k_hot(weights, terms=config.terms, recoding="signed" if config.signs == "each" else "greedy-nearest")
    highest = int(found.positions.max(initial=0))
    if highest > config.largest_position:
        raise ConfigError(
            f"position_bits {config.position_bits!r} reach position {config.largest_position}; these weights have {highest}"
        )
    negative = found.signs < 0
    return {
        "position": found.positions,
        "negative": negative if config.signs == "each" else negative.any(axis=1),
        "present": found.signs != 0,
    }


def k_hot_golden(config, beats):
    """Products of the beats.

    Parameters
    ----------
    config : :class:`KHotConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    negative = beats["negative"].reshape(len(beats), -1)  # one column, or one a term
    weights = (np.where(negative, -beats["present"], beats["present"]) << beats["position"]).sum(axis=1)
    return config.o.beats(product=beats["a"] * weights)


def k_hot_stimulus(config, rng, count):
    """Input beats: corners of a with the largest and smallest weights, then random ones, half of them recoded integers.

    Parameters
    ----------
    config : :class:`KHotConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    beats = config.i.zeros(count)
    corners = operand_corners(config.i.fields[0])
    corners = corners[(corners >= config.i.fields[0].minimum) & (corners <= config.i.fields[0].maximum)]
    each = [(place, sign, here) for here in (1, 0) for place in (0, config.largest_position) for sign in (0, 1)]
    size = min(len(corners) * len(each), count)
    beats["a"] = operand_samples(config.i.fields[0], rng, count)
    for name in ("position", "negative", "present"):
        field = next(field for field in config.i.fields if field.name == name)
        beats[name] = rng.integers(0, field.maximum, beats[name].shape, endpoint=True)
    recoded = np.flatnonzero(rng.random(count) < 0.5)
    limit = 1 << config.largest_position
    for name, array in k_hot_fields(config, rng.integers(-limit, limit, len(recoded), endpoint=True)).items():
        beats[name][recoded] = array
    beats["a"][:size] = np.repeat(corners, len(each))[:size]
    for name, column in zip(("position", "negative", "present"), zip(*each, strict=True), strict=True):
        values = np.tile(column, len(corners))[:size]
        beats[name][:size] = values.reshape(-1, *[1] * (beats[name].ndim - 1))
    return beats
