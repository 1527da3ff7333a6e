"""Rows of fixed-point numbers, element by element: the designs ``relu`` and ``residual-add``, and what ``batch-norm`` shares.

Each computes a number exactly, in the format that sums and products grow to (:mod:`carrysave.models.fixed_point`), makes it zero
if it is negative and the unit has a ReLU, and casts it once (:mod:`carrysave.models.fixed_cast`): what QFX
(arXiv 2401.17544) has between its convolutions.
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .cast_unit import CastConfig, CastFormats, cast_numbers
from .config import parameter
from .errors import ConfigError
from .fixed_cast import cast_flagged
from .fixed_point import FRACTION_RANGE, LARGEST_WIDTH, FixedFormat, add, sum_format
from .lfsr import LFSR
from .payload import Field, Payload
from .row import split_rows

__all__ = [
    "FixedRowConfig",
    "ReLUConfig",
    "ResidualAddConfig",
    "fixed_row_numbers",
    "fixed_row_results",
    "relu",
    "relu_golden",
    "relu_stimulus",
    "residual_add",
    "residual_add_golden",
    "residual_add_stimulus",
    "row_last",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedRowConfig(CastFormats):
    """Base of the units: a beat of ``lanes`` elements a cycle, rows of any number of beats up to one with ``last``.

    Subclasses have ``relu``, whether negative numbers become zero before the cast.
    """

    lanes: int = parameter(4, "elements of a beat", legal=(1, 32))

    @property
    def operands(self):
        """Formats of what the number that is cast is computed from, by name; each has a lane's element."""
        return {"x": self.source}

    @property
    def exact(self):
        """Format of the number that is cast."""
        return self.source

    def derive(self):
        super().derive()
        _ = self.core  # refuses sums and products that are wider than a format can be

    @cached_property
    def core(self):
        """Configuration of the cast of an element."""
        exact = self.exact
        names = ("to_width", "to_fraction", "to_signed", "rounding", "overflow", "seed")
        return CastConfig(
            from_width=exact.width,
            from_fraction=exact.fraction,
            from_signed=exact.signed,
            **{name: getattr(self, name) for name in names},
        )

    @property
    def i(self):
        """An element of each of :attr:`operands` a lane; ``last`` ends a row."""
        return Payload((*self.operand_fields, Field("last", 1)))

    @property
    def operand_fields(self):
        """Fields of :attr:`operands`."""
        return tuple(Field(name, form.width, form.signed, (self.lanes,)) for name, form in self.operands.items())

    @property
    def o(self):
        """A beat for each of data: ``y``; how many of its elements had an ``overflow``; ``last``."""
        return Payload((
            Field("y", self.to_width, self.to_signed, (self.lanes,)),
            Field("overflow", self.lanes.bit_length()),
            Field("last", 1),
        ))  # fmt: skip

    def parts(self, name, rows):
        """Rows of mantissas of an operand cut into beats, an array ``(rows, beats, lanes)``; raises :exc:`ConfigError`."""
        form = self.operands[name]
        rows = form.checked(rows)
        return split_rows(rows, width=form.width + (not form.signed), lanes=self.lanes)

    def from_beats(self, results, length):
        """Rows of so many elements from beats of ``o``, an array ``(rows, length)``."""
        return results["y"].reshape(-1, length)


def fixed_row_results(config, exact):
    """What becomes of exact numbers: ReLU, if there is one, and the cast.

    Parameters
    ----------
    config : :class:`FixedRowConfig`
    exact : array of ``int64``
        Mantissas of ``config.exact``. Stochastic rounding draws for one after the other, from the seed on.

    Returns
    -------
    y : array of ``int64``
        Mantissas of ``config.target``.
    overflow : array of :class:`bool`
        The rounded number does not fit.
    """
    return cast_flagged(
        np.maximum(exact, 0) if config.relu else exact,
        config.exact,
        config.target,
        rounding=config.rounding,
        overflow=config.overflow,
        draws=LFSR(config.seed).draws(np.size(exact)) if config.stochastic else None,
    )


def row_last(parts):
    """``last`` of the beats of rows, from an array ``(rows, beats, lanes)``."""
    last = np.zeros(parts.shape[:2], np.int64)
    last[:, -1] = 1
    return last.ravel()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReLUConfig(FixedRowConfig):
    """Lanes of a ReLU, with the cast behind it."""

    design: ClassVar[str] = "relu"
    relu: ClassVar[bool] = True

    #: Cycles from a beat to its results: a register.
    latency: ClassVar[int] = 1

    def to_beats(self, x):
        """Input beats of rows of mantissas ``(rows, elements)``; raises :exc:`ConfigError` unless they fit whole beats."""
        parts = self.parts("x", x)
        return self.i.beats(x=parts.reshape(-1, self.lanes), last=row_last(parts))


def relu(config, x):
    """Of each number itself, or zero if it is negative, in another format.

    Parameters
    ----------
    config : :class:`ReLUConfig`
    x : array of integers
        Mantissas of ``config.source``.

    Returns
    -------
    array of ``int64``
        Mantissas of ``config.target``.
    """
    return fixed_row_results(config, config.source.checked(x))[0]


def relu_golden(config, beats):
    """Results of the beats.

    Parameters
    ----------
    config : :class:`ReLUConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    y, overflow = fixed_row_results(config, beats["x"])
    return config.o.beats(y=y, overflow=overflow.sum(axis=1), last=beats["last"])


def relu_stimulus(config, rng, count):
    """Input beats: corners, borders and ties of the cast, see :func:`~carrysave.models.cast_unit.cast_numbers`, shuffled.

    Parameters
    ----------
    config : :class:`ReLUConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
    """
    return config.i.beats(x=fixed_row_numbers(config, config.source, rng, count), last=rng.integers(0, 2, count))


def fixed_row_numbers(config, source, rng, count):
    """Mantissas of a format for all lanes: corners, borders and ties of the cast from it, shuffled, and more extremes.

    Parameters
    ----------
    config : :class:`FixedRowConfig`
    source : :class:`~carrysave.models.fixed_point.FixedFormat`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats.

    Returns
    -------
    array of ``int64``, (count, lanes)
    """
    shape = (count, config.lanes)
    x = rng.permutation(cast_numbers(source, config.target, config.overflow, rng, count * config.lanes)).reshape(shape)
    corners = np.clip([source.minimum, -1, 0, 1, source.maximum], source.minimum, source.maximum)
    return np.where(rng.random(shape) < 0.15, rng.choice(corners, shape), x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualAddConfig(FixedRowConfig):
    """Lanes that add two branches with their points aligned, with an optional ReLU, and the cast behind them."""

    design: ClassVar[str] = "residual-add"

    #: Cycles from a beat to its results: sum and cast, each behind a register.
    latency: ClassVar[int] = 2

    residual_width: int = parameter(16, "bits of the other branch's number", legal=(1, LARGEST_WIDTH))
    residual_fraction: int = parameter(8, "of these, bits behind the point", legal=FRACTION_RANGE)
    residual_signed: bool = parameter(True, "it is two's complement")
    relu: bool = parameter(False, "whether negative sums become zero before the cast")

    @cached_property
    def residual(self):
        """Format of the other branch's number."""
        return FixedFormat(width=self.residual_width, fraction=self.residual_fraction, signed=self.residual_signed)

    @property
    def operands(self):
        """Formats of both branches' elements."""
        return {"x": self.source, "residual": self.residual}

    @cached_property
    def exact(self):
        """Format of the sum."""
        return sum_format(self.source, self.residual)

    def to_beats(self, x, residual):
        """Input beats of rows of mantissas of both branches, of the same shape ``(rows, elements)``.

        Raises
        ------
        ConfigError
            Unless mantissas fit, shapes are equal, and rows are a number of whole beats.
        """
        if np.shape(x) != np.shape(residual):
            raise ConfigError(f"residual must have shape {np.shape(x)!r}, not {np.shape(residual)!r}")
        x, residual = self.parts("x", x), self.parts("residual", residual)
        arrays = {"x": x.reshape(-1, self.lanes), "residual": residual.reshape(-1, self.lanes)}
        return self.i.beats(**arrays, last=row_last(x))


def residual_add(config, x, residual):
    """Sums of two branches in another format.

    Parameters
    ----------
    config : :class:`ResidualAddConfig`
    x, residual : array of integers
        Mantissas of ``config.source`` and ``config.residual``.

    Returns
    -------
    array of ``int64``
        Mantissas of ``config.target``.
    """
    return fixed_row_results(config, add(x, config.source, residual, config.residual))[0]


def residual_add_golden(config, beats):
    """Results of the beats.

    Parameters
    ----------
    config : :class:`ResidualAddConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    exact = add(beats["x"], config.source, beats["residual"], config.residual)
    y, overflow = fixed_row_results(config, exact)
    return config.o.beats(y=y, overflow=overflow.sum(axis=1), last=beats["last"])


def residual_add_stimulus(config, rng, count):
    """Input beats: sums as numbers to cast, as near to corners, borders and ties as the other branch comes; then any two.

    Parameters
    ----------
    config : :class:`ResidualAddConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
    """
    x, other = (fixed_row_numbers(config, form, rng, count) for form in (config.source, config.residual))
    form, exact = config.residual, config.exact
    wanted = fixed_row_numbers(config, exact, rng, count) - (x << exact.fraction - config.from_fraction)
    rest = np.clip(wanted >> exact.fraction - form.fraction, form.minimum, form.maximum)
    other = np.where(rng.random(x.shape) < 0.5, rest, other)
    return config.i.beats(x=x, residual=other, last=rng.integers(0, 2, count))
