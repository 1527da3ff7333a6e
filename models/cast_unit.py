"""Cast of fixed-point numbers: configuration, golden model and stimulus of the design ``cast``.

Formats are those of :mod:`carrysave.models.fixed_point`, modes and what they mean those of :mod:`carrysave.models.fixed_cast`.
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .errors import ConfigError
from .fixed_cast import FIXED_OVERFLOWS, FIXED_ROUNDINGS, cast_flagged, check_modes, range_of
from .fixed_point import FRACTION_RANGE, LARGEST_WIDTH, FixedFormat
from .lfsr import LFSR, LFSR_WIDTH
from .mac import operand_corners
from .payload import Field, Payload

__all__ = ["CastConfig", "CastFormats", "cast_golden", "cast_numbers", "cast_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CastFormats(Config):
    """Formats of what comes in and goes out, and the modes of the cast in between."""

    shorthands: ClassVar[dict] = {}

    #: Cycles between beats.
    initiation_interval: ClassVar[int] = 1

    from_width: int = parameter(16, "bits of the number that comes in", legal=(1, LARGEST_WIDTH))
    from_fraction: int = parameter(
        8, "of these, bits behind the point; negative, or more than all", legal=FRACTION_RANGE
    )
    from_signed: bool = parameter(True, "it is two's complement")
    to_width: int = parameter(8, "bits of the number that goes out", legal=(1, LARGEST_WIDTH))
    to_fraction: int = parameter(4, "of these, bits behind the point", legal=FRACTION_RANGE)
    to_signed: bool = parameter(True, "it is two's complement")
    rounding: str = parameter("trn", "what becomes of digits behind the last place", choices=FIXED_ROUNDINGS)
    overflow: str = parameter("wrap", "what becomes of numbers that do not fit", choices=FIXED_OVERFLOWS)
    seed: int = parameter(
        1,
        "first state of the linear-feedback shift register whose bits stochastic rounding takes",
        legal=(1, (1 << LFSR_WIDTH) - 1),
    )

    def derive(self):
        check_modes(self.target, self.rounding, self.overflow)
        if self.seed != 1 and not self.stochastic:
            raise ConfigError(f'seed {self.seed!r} needs rounding = "stochastic": others take no random bits')

    @cached_property
    def source(self):
        """Format of the number that comes in."""
        return FixedFormat(width=self.from_width, fraction=self.from_fraction, signed=self.from_signed)

    @cached_property
    def target(self):
        """Format of the number that goes out."""
        return FixedFormat(width=self.to_width, fraction=self.to_fraction, signed=self.to_signed)

    @property
    def stochastic(self):
        """Whether rounding takes random bits: a draw for every number, whether or not it is rounded."""
        return self.rounding == "stochastic"

    @property
    def continuous(self):
        """Random bits run on from beat to beat."""
        return self.stochastic


@dataclasses.dataclass(frozen=True, kw_only=True)
class CastConfig(CastFormats):
    """From one fixed-point format to another."""

    design: ClassVar[str] = "cast"

    #: Cycles from a number to its cast: a register.
    latency: ClassVar[int] = 1

    @property
    def i(self):
        """The mantissa ``value``."""
        return Payload((Field("value", self.from_width, self.from_signed),))

    @property
    def o(self):
        """The mantissa ``value``; ``overflow``, the rounded number does not fit."""
        return Payload((Field("value", self.to_width, self.to_signed), Field("overflow", 1)))


def cast_golden(config, beats):
    """Casts of the beats' numbers.

    Parameters
    ----------
    config : :class:`CastConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    draws = LFSR(config.seed).draws(len(beats)) if config.stochastic else None
    values, beyond = cast_flagged(
        beats["value"],
        config.source,
        config.target,
        rounding=config.rounding,
        overflow=config.overflow,
        draws=draws,
    )
    return config.o.beats(value=values, overflow=beyond)


def cast_stimulus(config, rng, count):
    """Input beats: corners, numbers about the borders of what fits and about ties, then random ones, many of them near ties.

    Parameters
    ----------
    config : :class:`CastConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    return config.i.beats(value=cast_numbers(config.source, config.target, config.overflow, rng, count))


def cast_numbers(source, target, overflow, rng, count):
    """Mantissas to cast from one format to another, as :func:`cast_stimulus` has them: an array of ``int64``."""
    directed = [int(value) for value in operand_corners(source)] + _borders(source, target, overflow)
    directed = [value for value in dict.fromkeys(directed) if source.minimum <= value <= source.maximum]
    rest = max(count - len(directed), 0)
    values = rng.integers(source.minimum, source.maximum, rest, endpoint=True)
    values >>= np.where(rng.random(rest) < 0.5, rng.integers(0, source.width, rest), 0)
    # Of half of them all digits below some place are zero, but for a one just below it, or are ones: ties, long carries.
    low = np.int64(1) << rng.integers(0, source.width, rest)
    values = np.choose(rng.integers(0, 4, rest), [values, values, values & -low | low >> 1, values | low - 1])
    return np.concatenate([np.array(directed, np.int64), values])[:count]


def _borders(source, target, overflow):
    """Mantissas, legal or not, whose casts lie about zero and the largest and smallest number of the target."""
    dropped = source.fraction - target.fraction
    half = 1 << dropped - 1 if dropped > 0 else 0
    found = []
    for border in (0, *range_of(target, overflow)):
        for place in (border - 1, border, border + 1):
            exact = place << dropped if dropped >= 0 else place >> -dropped
            found += [exact + offset + by for offset in (-half, 0, half) for by in (-1, 0, 1)]
    return found
