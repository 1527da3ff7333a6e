"""Design ``requantise``: a stream of wide integers becomes narrow ones, by a table of multipliers and shifts that beats load.

The table has a row for each of ``table_beats`` beats of a row of data, and in it a multiplier and a shift for each lane, and a
bias, if there are any; with one row they are those of a whole tensor. A beat with ``load`` fills a row of the table, any other
takes one; both begin at row 0, go on by one, and begin again behind ``last`` or behind the table's end: no input can stop the
unit.
:mod:`carrysave.models.requantise` has the arithmetic (arXiv 2207.01405, section 3.2).
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .payload import Field, Payload
from .requantise import DyadicConfig, dyadic_product
from .row import one_or_each, split_rows
from .row_table import table_rows, table_stimulus

__all__ = ["RequantiseConfig", "requantise_golden", "requantise_stimulus"]

#: Bits of what is multiplied: with 31 of multiplier, a product has the 63 that models hold.
MAX_OPERAND = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class RequantiseConfig(DyadicConfig):
    """Lanes that requantise, and the table that they take turns in."""

    design: ClassVar[str] = "requantise"

    #: The table stays.
    continuous: ClassVar[bool] = True
    #: Cycles between beats.
    initiation_interval: ClassVar[int] = 1
    lanes: int = parameter(4, "elements of a beat", legal=(1, 32))
    table_beats: int = parameter(
        1, "rows of the table: 1 for a tensor, or the beats that hold all channels", legal=(1, 256)
    )
    residual: bool = parameter(False, "whether each element is requantised with one of another branch, and added to it")
    bias_width: int = parameter(0, "bits of a bias, added before the multiplication; 0 is none", legal=(0, 31))

    def derive(self):
        if self.operand_width > MAX_OPERAND:
            raise ConfigError(
                f"a sum of {self.source_width} bits and a bias has {self.operand_width}, {MAX_OPERAND} at most; "
                f"source_width and bias_width must be less than {MAX_OPERAND}, not {self.source_width!r} and {self.bias_width!r}"
            )

    @property
    def operand_width(self):
        """Bits of an element and its bias."""
        return max(self.source_width, self.bias_width) + 1 if self.bias_width else self.source_width

    @property
    def latency(self):
        """Cycles from a beat to its results: operands, bias, product, shift, rounding, sum and clamp, each behind a register."""
        return 6 if self.bias_width else 5

    @property
    def shift_width(self):
        """Bits of a shift."""
        return self.largest_shift.bit_length()

    @property
    def branches(self):
        """Prefixes of the fields of the branches that are added."""
        return ("", "residual_") if self.residual else ("",)

    @property
    def i(self):
        """One beat; its fields.

        ==========================  =====================================================================================
        ``x``                       elements, unless ``load`` is set
        ``multiplier``, ``shift``   of each lane, for the table, if ``load`` is set
        ``residual_...``            the same three of the other branch, if there is one
        ``bias``                    of each lane, for the table, if ``load`` is set, and if there are biases
        ``load``                    the beat fills a row of the table and gives no results
        ``last``                    the next beat begins at row 0 of the table
        ==========================  =====================================================================================
        """
        lanes = (self.lanes,)
        fields = []
        for prefix in self.branches:
            fields += [
                Field(f"{prefix}x", self.source_width, True, lanes),
                Field(f"{prefix}multiplier", self.multiplier_bits, False, lanes),
                Field(f"{prefix}shift", self.shift_width, False, lanes),
            ]
        if self.bias_width:
            fields.append(Field("bias", self.bias_width, True, lanes))
        return Payload((*fields, Field("load", 1), Field("last", 1)))

    def to_beats(self, x, multiplier, shift, *, residual=None, bias=None):
        """Input beats that fill the table and then are rows of channels.

        Parameters
        ----------
        x : array of integers, (rows, channels)
        multiplier, shift : :class:`int` or array of them
            One for all, or one for each channel. A table of one row takes one for all, or one for each lane.
        residual : tuple (array, multiplier, shift), optional
            The same of the other branch, if there is one.
        bias : :class:`int` or array of them, optional
            Like ``multiplier``; 0 by default.

        Raises
        ------
        ConfigError
            Unless integers fit, channels are a number of whole beats that the table has rows for, ``residual`` is there
            exactly if the configuration has it, and ``bias`` only if it has biases.
        """
        if bias is not None and not self.bias_width:
            raise ConfigError(f"a bias needs bias_width, which is {self.bias_width!r}")
        if (residual is not None) != self.residual:
            raise ConfigError(f"a residual operand must be there exactly if residual is true, not {self.residual!r}")
        if residual is not None and np.shape(residual[0]) != np.shape(x):
            raise ConfigError(f"a residual operand must have shape {np.shape(x)!r}, not {np.shape(residual[0])!r}")
        longest = self.table_beats if self.table_beats > 1 else np.size(x)
        beats = None
        for prefix, (rows, multipliers, shifts) in zip(self.branches, [(x, multiplier, shift), residual], strict=False):
            parts = split_rows(rows, width=self.source_width, lanes=self.lanes, longest=longest)
            count, length, lanes = parts.shape
            table = min(length, self.table_beats)
            if beats is None:
                beats = self.i.zeros(table + count * length)
                beats["load"][:table], beats["last"][table - 1] = 1, 1
                beats["last"][table + length - 1 :: length] = 1
            for name, values in (("multiplier", multipliers), ("shift", shifts)):
                beats[f"{prefix}{name}"][:table] = one_or_each(f"{name}s", values, table * lanes).reshape(table, lanes)
            beats[f"{prefix}x"][table:] = parts.reshape(-1, lanes)
        if bias is not None:
            beats["bias"][:table] = one_or_each("biases", bias, table * lanes).reshape(table, lanes)
        self.i.check(beats)
        return beats

    def from_beats(self, results, channels):
        """Rows of so many channels from beats of ``o``, an array ``(rows, channels)``."""
        return results["y"].reshape(-1, channels)

    @property
    def o(self):
        """A beat for each of data: ``y``; how many of its elements ``saturated``; ``last``."""
        return Payload((
            Field("y", self.width, True, (self.lanes,)),
            Field("saturated", self.lanes.bit_length()),
            Field("last", 1),
        ))  # fmt: skip


def requantise_golden(config, beats):
    """Results of the beats of data.

    Parameters
    ----------
    config : :class:`RequantiseConfig`
    beats : array of ``config.i.dtype``
        From reset on.

    Returns
    -------
    array of ``config.o.dtype``

    Raises
    ------
    ConfigError
        If a beat takes a row of the table that no beat before it has filled.
    """
    data, filled = table_rows(beats, config.table_beats)
    table = beats[filled]
    exact = 0
    for prefix in config.branches:
        x = beats[f"{prefix}x"][data]
        if config.bias_width and not prefix:
            x = x + table["bias"]
        exact = exact + dyadic_product(config, x, table[f"{prefix}multiplier"], table[f"{prefix}shift"])
    y = np.clip(exact, *config.bounds)
    return config.o.beats(y=y, saturated=(y != exact).sum(axis=1), last=beats["last"][data])


def requantise_stimulus(config, rng, count):
    """Input beats: the table's extremes and ordinary ratios, extremes and ties of elements, rows of all lengths.

    Parameters
    ----------
    config : :class:`RequantiseConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; the first ones fill the table.
    """
    beats = config.i.zeros(count)
    beats["load"], beats["last"] = table_stimulus(rng, count, config.table_beats)
    shape = (count, config.lanes)
    top = 1 << config.multiplier_bits
    for prefix in config.branches:
        multiplier = rng.integers(top >> 1, top, shape)
        corner = rng.choice([0, 1, top >> 1, top - 1], shape)
        beats[f"{prefix}multiplier"] = np.where(rng.random(shape) < 0.3, corner, multiplier)
        # Shifts that leave about as many bits as there is room for, most of the time.
        wanted = config.source_width + config.multiplier_bits - config.width
        near = wanted + rng.integers(-config.source_width, 3, shape)
        largest = (1 << config.shift_width) - 1
        shift = np.where(rng.random(shape) < 0.2, rng.integers(0, largest + 1, shape), near)
        corner = rng.choice([0, 1, largest], shape)
        beats[f"{prefix}shift"] = np.clip(np.where(rng.random(shape) < 0.06, corner, shift), 0, largest)
        # Uniform over magnitudes' digits, so that small ones, and ties, are met.
        half = 1 << config.source_width - 1
        x = rng.integers(-half, half, shape) >> rng.integers(0, config.source_width, shape)
        x = np.where(rng.random(shape) < 0.2, rng.choice([-half, 1 - half, -1, 0, 1, half - 1], shape), x)
        x = np.where(rng.random(shape) < 0.2, np.clip(_powers(rng, shape, config.source_width), -half, half - 1), x)
        beats[f"{prefix}x"] = x
    if config.bias_width:
        half = 1 << config.bias_width - 1
        bias = rng.integers(-half, half, shape) >> rng.integers(0, config.bias_width, shape)
        beats["bias"] = np.where(rng.random(shape) < 0.2, rng.choice([-half, -1, 0, 1, half - 1], shape), bias)
    return beats


def _powers(rng, shape, width):
    """Powers of two and odd multiples of them, which multipliers that are powers of two make ties of."""
    odd = rng.choice([-5, -3, -1, 1, 3, 5], shape)
    return odd << rng.integers(0, width, shape)
