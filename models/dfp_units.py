"""What the streaming units of dynamic fixed point have in common: widths, rounding with its random bits, counters.

The format and what its conversions do is in :mod:`carrysave.models.dfp` ("Mixed Precision Training of Convolutional Neural
Networks using Integer Operations", ICLR 2018, arXiv 1802.00930, section on the dynamic fixed point format). Mantissas are
rounded and saturated symmetrically: no unit's answer is ``-2^(P-1)``.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .dfp_rounding import DFP_ROUNDINGS
from .errors import ConfigError
from .lfsr import LFSR, LFSR_WIDTH
from .payload import Field, Payload

__all__ = ["DFPRoundingConfig", "DFPUnitConfig", "dfp_counts", "exponent_parameter", "exponent_range", "signed_like"]


def exponent_parameter():
    """The parameter ``exponent_width`` of every unit."""
    return parameter(8, "bits of an exponent, two's complement", legal=(4, 10))


def exponent_range(bits):
    """Smallest and largest exponent of so many bits."""
    half = 1 << bits - 1
    return -half, half - 1


def signed_like(magnitudes, negative):
    """Magnitudes with signs."""
    return np.where(negative, -magnitudes, magnitudes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPUnitConfig(Config):
    """Base of the units: what it puts out a beat is counted, too."""

    shorthands: ClassVar[dict] = {}

    #: Cycles between beats.
    initiation_interval: ClassVar[int] = 1
    #: Elements of a beat.
    lanes: ClassVar[int] = 1
    #: Fields of ``o`` that are counted.
    counted: ClassVar[tuple] = ()

    @property
    def counters(self):
        """What the hardware counts from reset on, in 32 bits, modulo ``2^32``; see :func:`dfp_counts`."""
        return Payload(tuple(Field(name, 32) for name in self.counted))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPRoundingConfig(DFPUnitConfig):
    """Base of the units that round to P bits."""

    width: int = parameter(16, "bits of a mantissa, P", legal=(4, 16))
    exponent_width: int = exponent_parameter()
    rounding: str = parameter("nearest-even", "rounding of the magnitudes", choices=DFP_ROUNDINGS)
    seed: int = parameter(
        1,
        "first state of the linear-feedback shift register whose bits stochastic rounding takes",
        legal=(1, (1 << LFSR_WIDTH) - 1),
    )

    def derive(self):
        if self.seed != 1 and not self.stochastic:
            raise ConfigError(f'seed {self.seed!r} needs rounding = "stochastic": others take no random bits')

    @property
    def stochastic(self):
        """Whether rounding takes random bits."""
        return self.rounding == "stochastic"

    @property
    def continuous(self):
        """Random bits run on from beat to beat."""
        return self.stochastic

    @property
    def largest(self):
        """Largest magnitude of a mantissa."""
        return (1 << self.width - 1) - 1

    def draws(self, shape):
        """Random bits for elements in C order, from the first one after reset on; None unless they are needed."""
        return LFSR(self.seed).draws(int(np.prod(shape))).reshape(shape) if self.stochastic else None


def dfp_counts(config, outputs):
    """What the counters hold once these beats, the first after reset, have been taken.

    Parameters
    ----------
    config : :class:`DFPUnitConfig`
    outputs : array of ``config.o.dtype``

    Returns
    -------
    :class:`dict`
        By name: elements or, of flags that belong to a block, blocks; modulo ``2^32``.
    """
    ends = outputs["last"] if "last" in outputs.dtype.names else np.ones(len(outputs), np.int64)
    return {
        name: int((outputs[name] * (ends if name.startswith("exponent_") else 1)).sum()) % (1 << 32)
        for name in config.counted
    }
