"""Conversions of whole blocks to dynamic fixed point: designs ``dfp-quantise`` (from float32) and ``dfp-down`` (from integers).

A block is what shares one exponent: the beats up to one with ``last``, ``block_beats`` at most. A longer one ends by itself
after so many, and the next beat begins another, as if ``last`` had been set: no input can stop a unit. The exponent follows
from the block's largest magnitude (arXiv 1802.00930, section on the dynamic fixed point format, and that on down-conversion);
:mod:`carrysave.models.dfp` has what is rounded, clipped and counted. Stochastic rounding takes 16 bits an element, of beat
after beat and of block after block, lane 0 first.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .dfp_rounding import rounded_magnitude, rounded_right
from .dfp_units import DFPRoundingConfig, exponent_range, signed_like
from .errors import ConfigError
from .float_format import FORMATS
from .payload import Field, Payload

__all__ = [
    "DFPBlockConfig",
    "DFPDownConfig",
    "DFPQuantiseConfig",
    "block_ends",
    "dfp_down_golden",
    "dfp_quantise_golden",
]

_FLOAT = FORMATS["float32"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPBlockConfig(DFPRoundingConfig):
    """What both conversions of blocks have in common."""

    round_up: str = parameter(
        "saturate",
        "where a block's largest magnitude could round up to 2^(P-1) it saturates, or the exponent is one more",
        choices=("saturate", "exponent"),
    )
    lanes: int = parameter(4, "elements of a beat", legal=(1, 32))
    block_beats: int = parameter(8, "longest block in beats; a longer one ends by itself", legal=(1, 64))

    @property
    def tree_levels(self):
        """Levels, each behind a register, of the tree that finds the largest of a beat."""
        return (self.lanes - 1).bit_length()

    @property
    def latency(self):
        """Cycles from a block's last beat to the first one out.

        The tree, the block's maximum, its leading zeros, its exponent, the buffer, a shift, rounding: each behind a register.
        """
        return self.tree_levels + 6

    @property
    def _outputs(self):
        return (
            Field("mantissa", self.width, True, (self.lanes,)),
            Field("exponent", self.exponent_width, True),
            *(Field(name, self.lanes.bit_length()) for name in self.counted if not name.startswith("exponent_")),
            Field("exponent_overflow", 1),
            Field("exponent_underflow", 1),
            Field("last", 1),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPQuantiseConfig(DFPBlockConfig):
    """From float32 numbers to integers with a common exponent."""

    design: ClassVar[str] = "dfp-quantise"
    counted: ClassVar[tuple] = ("saturated", "special", "exponent_overflow", "exponent_underflow")

    @property
    def i(self):
        """``value``: float32 codes; ``last`` ends a block."""
        return Payload((Field("value", _FLOAT.width, False, (self.lanes,)), Field("last", 1)))

    @property
    def o(self):
        """A beat for each of ``i``.

        ``mantissa``; the block's ``exponent``; how many of the beat's elements ``saturated`` and were ``special``, infinities or
        NaN; ``exponent_overflow`` and ``exponent_underflow``, the block's exponent was clipped; ``last``.
        """
        return Payload(self._outputs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPDownConfig(DFPBlockConfig):
    """From wide integers with a common exponent to fewer bits."""

    design: ClassVar[str] = "dfp-down"
    counted: ClassVar[tuple] = ("saturated", "exponent_overflow", "exponent_underflow")

    source_width: int = parameter(32, "bits of the wide integers, two's complement", legal=(8, 48))

    @property
    def source_exponent_width(self):
        """Bits of the wide integers' exponent: a sum of two, and a sign."""
        return self.exponent_width + 2

    @property
    def i(self):
        """``value``; their ``exponent``, the same in all beats of a block; ``last`` ends a block."""
        return Payload((
            Field("value", self.source_width, True, (self.lanes,)),
            Field("exponent", self.source_exponent_width, True),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """As that of :class:`DFPQuantiseConfig`, without ``special``."""
        return Payload(self._outputs)


def block_ends(config, last):
    """Where blocks end, ``bool`` array: at ``last``, and after ``block_beats`` beats without it.

    Parameters
    ----------
    config : :class:`DFPBlockConfig`
    last : array of 0 and 1
    """
    places = np.arange(len(last))
    ends = np.asarray(last) != 0
    begins = np.maximum.accumulate(np.where(np.concatenate([[True], ends[:-1]])[: len(last)], places, 0))
    return ends | ((places - begins) % config.block_beats == config.block_beats - 1)


class _Blocks:
    """The beats of complete blocks, and how to go from beats to blocks and back."""

    def __init__(self, config, beats):
        ends = np.flatnonzero(block_ends(config, beats["last"])) + 1
        self.beats = beats[: ends[-1] if len(ends) else 0]
        self._starts = np.concatenate([[0], ends])[:-1]
        self._lengths = np.diff(ends, prepend=0)
        self.last = np.zeros(len(self.beats), np.int64)
        self.last[ends - 1] = 1

    def reduced(self, function, values):
        """One value a block of one or several a beat; ``function`` is a NumPy function of two arguments."""
        each = values if values.ndim == 1 else function.reduce(values, axis=1)
        return function.reduceat(each, self._starts) if len(self._starts) else each

    def spread(self, values):
        """A value a beat of one a block."""
        return np.repeat(values, self._lengths)


def _clipped(config, wanted, occupied):
    """Exponents within their range, the smallest for blocks of zeros, and the two flags."""
    low, high = exponent_range(config.exponent_width)
    exponents = np.where(occupied, np.clip(wanted, low, high), low)
    return exponents, (occupied & (wanted > high)).astype(np.int64), (occupied & (wanted < low)).astype(np.int64)


def dfp_quantise_golden(config, beats):
    """Quantised beats of the blocks that are complete.

    Parameters
    ----------
    config : :class:`DFPQuantiseConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    blocks = _Blocks(config, beats)
    codes = blocks.beats["value"]
    finite = _FLOAT.is_finite(codes)
    negative = _FLOAT.is_negative(codes)
    magnitudes = np.where(finite, np.abs(_FLOAT.decode(codes)), 0.0)
    largest = blocks.reduced(np.maximum, magnitudes)
    wanted = np.frexp(largest)[1].astype(np.int64) - 1 - (config.width - 2)
    if config.round_up == "exponent":
        scaled = np.ldexp(largest, -wanted)
        wanted = (
            wanted
            + {
                "nearest-even": np.rint(scaled) > config.largest,
                "toward-zero": np.zeros(len(scaled), bool),
                "stochastic": scaled > config.largest,
            }[config.rounding]
        )
    exponents, over, under = _clipped(config, wanted, largest > 0)
    each = blocks.spread(exponents)
    # Kept below what the rounding takes: all beyond saturates.
    scaled = np.minimum(np.ldexp(magnitudes, -each[:, None]), config.largest + 1)
    rounded = rounded_magnitude(scaled, config.rounding, config.draws(codes.shape))
    saturated = rounded > config.largest
    mantissas = np.minimum(rounded, config.largest).astype(np.int64)
    mantissas[_FLOAT.is_infinite(codes)] = config.largest
    return config.o.beats(
        mantissa=signed_like(mantissas, negative),
        exponent=each,
        saturated=saturated.sum(axis=1),
        special=(~finite).sum(axis=1),
        exponent_overflow=blocks.spread(over),
        exponent_underflow=blocks.spread(under),
        last=blocks.last,
    )


def dfp_down_golden(config, beats):
    """Down-converted beats of the blocks that are complete.

    Parameters
    ----------
    config : :class:`DFPDownConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``

    Raises
    ------
    ConfigError
        If the exponent changes inside a block.
    """
    _check_exponents(config, beats)
    blocks = _Blocks(config, beats)
    values = blocks.beats["value"]
    magnitudes = np.abs(values)
    largest = blocks.reduced(np.maximum, magnitudes)
    source = blocks.reduced(np.maximum, blocks.beats["exponent"])
    digits = np.frexp(largest.astype(np.float64))[1].astype(np.int64)  # exact: magnitudes have at most 48 digits
    shifts = np.maximum(digits - (config.width - 1), 0)
    if config.round_up == "exponent":
        kept = largest >> shifts
        shifts = (
            shifts
            + {
                "nearest-even": rounded_right(largest, shifts, "nearest-even") > config.largest,
                "toward-zero": np.zeros(len(kept), bool),
                "stochastic": (kept == config.largest) & (kept << shifts < largest),
            }[config.rounding]
        )
    exponents, over, under = _clipped(config, source + shifts, largest > 0)
    by = np.broadcast_to(blocks.spread(exponents - source)[:, None], values.shape)
    rounded = rounded_right(magnitudes, np.maximum(by, 0), config.rounding, config.draws(values.shape))
    saturated = (rounded > config.largest) | ((by < 0) & (magnitudes > 0))
    return config.o.beats(
        mantissa=signed_like(np.where(saturated, config.largest, rounded), values < 0),
        exponent=blocks.spread(exponents),
        saturated=saturated.sum(axis=1),
        exponent_overflow=blocks.spread(over),
        exponent_underflow=blocks.spread(under),
        last=blocks.last,
    )


def _check_exponents(config, beats):
    inside = ~block_ends(config, beats["last"])[:-1]
    changes = np.flatnonzero(inside & (np.diff(beats["exponent"]) != 0))
    if len(changes):
        beat = int(changes[0]) + 1
        before, after = beats["exponent"][beat - 1 : beat + 1].tolist()
        raise ConfigError(f"exponent must not change inside a block; at beat {beat} it does, from {before} to {after}")
