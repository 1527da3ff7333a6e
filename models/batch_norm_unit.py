"""Design ``batch-norm``: batch normalisation at inference, a multiplication and an addition of each channel's own numbers.

``y = cast(x scale + bias)`` in fixed point, as in QFX (arXiv 2401.17544): the product and the sum are exact, with a ReLU on
option, and rounded once. Scales and biases are in a table that beats with ``load`` fill (:mod:`carrysave.models.row_table`).
"""

import dataclasses
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import parameter
from .errors import ConfigError
from .fixed_point import FRACTION_RANGE, LARGEST_WIDTH, FixedFormat, add, multiply, product_format, sum_format
from .fixed_row_unit import FixedRowConfig, fixed_row_numbers, fixed_row_results, row_last
from .payload import Field, Payload
from .row import one_or_each
from .row_table import table_rows, table_stimulus

__all__ = ["BatchNormConfig", "batch_norm", "batch_norm_golden", "batch_norm_stimulus", "fold_statistics"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchNormConfig(FixedRowConfig):
    """Lanes that multiply and add, and the table that they take turns in."""

    design: ClassVar[str] = "batch-norm"

    #: The table stays.
    continuous: ClassVar[bool] = True
    #: Cycles from a beat to its results: operands, product, sum and cast, each behind a register.
    latency: ClassVar[int] = 4

    scale_width: int = parameter(16, "bits of a scale, two's complement", legal=(1, LARGEST_WIDTH))
    scale_fraction: int = parameter(12, "of these, bits behind the point", legal=FRACTION_RANGE)
    bias_width: int = parameter(16, "bits of a bias, two's complement", legal=(1, LARGEST_WIDTH))
    bias_fraction: int = parameter(8, "of these, bits behind the point", legal=FRACTION_RANGE)
    table_beats: int = parameter(
        4, "rows of the table: 1 for a tensor, or the beats that hold all channels", legal=(1, 256)
    )
    relu: bool = parameter(False, "whether negative sums become zero before the cast")

    @cached_property
    def scale(self):
        """Format of a scale."""
        return FixedFormat(width=self.scale_width, fraction=self.scale_fraction)

    @cached_property
    def bias(self):
        """Format of a bias."""
        return FixedFormat(width=self.bias_width, fraction=self.bias_fraction)

    @property
    def operands(self):
        """Formats of elements, scales and biases."""
        return {"x": self.source, "scale": self.scale, "bias": self.bias}

    @cached_property
    def product(self):
        """Format of the product."""
        return product_format(self.source, self.scale)

    @cached_property
    def exact(self):
        """Format of the sum."""
        return sum_format(self.product, self.bias)

    @property
    def i(self):
        """One beat; its fields.

        =========  =================================================
        ``x``      elements, unless ``load`` is set
        ``scale``  of each lane, for the table, if ``load`` is set
        ``bias``   of each lane, for the table, if ``load`` is set
        ``load``   the beat fills a row of the table and gives no results
        ``last``   the next beat begins at row 0 of the table
        =========  =================================================
        """
        return Payload((*self.operand_fields, Field("load", 1), Field("last", 1)))

    def to_beats(self, x, scale, bias):
        """Input beats that fill the table and then are rows of channels.

        Parameters
        ----------
        x : array of integers, (rows, channels)
        scale, bias : :class:`int` or array of them
            One for all, or one for each channel. A table of one row takes one for all, or one for each lane.

        Returns
        -------
        array of ``i.dtype``

        Raises
        ------
        ConfigError
            Unless mantissas fit, and channels are a number of whole beats that the table has rows for.
        """
        parts = self.parts("x", x)
        length = parts.shape[1]
        if 1 < self.table_beats < length:
            raise ConfigError(
                f"a row must have at most {self.table_beats} beats, as the table has, not {length!r}; change lanes or table_beats"
            )
        table = min(length, self.table_beats)
        beats = self.i.zeros(table + parts.shape[0] * length)
        beats["load"][:table], beats["last"][table - 1] = 1, 1
        for name, values in (("scale", scale), ("bias", bias)):
            values = self.operands[name].checked(one_or_each(f"{name}s", values, table * self.lanes))
            beats[name][:table] = values.reshape(table, self.lanes)
        beats["x"][table:], beats["last"][table:] = parts.reshape(-1, self.lanes), row_last(parts)
        return beats


def batch_norm(config, x, scale, bias):
    """Batch normalisation of numbers.

    Parameters
    ----------
    config : :class:`BatchNormConfig`
    x, scale, bias : array of integers
        Mantissas of ``config.source``, ``config.scale`` and ``config.bias``, of shapes that broadcast together: channels are
        the last axis.

    Returns
    -------
    array of ``int64``
        Mantissas of ``config.target``.
    """
    return fixed_row_results(config, _exact(config, x, scale, bias))[0]


def _exact(config, x, scale, bias):
    product = multiply(x, config.source, scale, config.scale)
    return add(product, config.product, bias, config.bias)


def fold_statistics(weight, bias, mean, variance, *, epsilon=1e-5):
    """Scale and bias of a trained batch normalisation, ``(x - mean) / sqrt(variance + epsilon) weight + bias``.

    Parameters
    ----------
    weight, bias, mean, variance : array of :class:`float`
        Of each channel.
    epsilon : :class:`float`

    Returns
    -------
    scale, bias : array of ``float64``
        ``x scale + bias`` is the same; :func:`~carrysave.models.fixed_cast.from_real` makes mantissas of them.

    Raises
    ------
    ConfigError
        For a variance that is, with ``epsilon``, not above zero.
    """
    weight, bias, mean, variance = (np.asarray(array, np.float64) for array in (weight, bias, mean, variance))
    small = variance + epsilon
    if not (small > 0).all():
        raise ConfigError(f"a variance and epsilon must be above zero together, not {float(small.min())!r}")
    scale = weight / np.sqrt(small)
    return scale, bias - mean * scale


def batch_norm_golden(config, beats):
    """Results of the beats of data.

    Parameters
    ----------
    config : :class:`BatchNormConfig`
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
    exact = _exact(config, beats["x"][data], beats["scale"][filled], beats["bias"][filled])
    y, overflow = fixed_row_results(config, exact)
    return config.o.beats(y=y, overflow=overflow.sum(axis=1), last=beats["last"][data])


def batch_norm_stimulus(config, rng, count):
    """Input beats: a whole table, then rows of all lengths; numbers of all magnitudes, of which many make ties.

    Parameters
    ----------
    config : :class:`BatchNormConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; the first ones fill the table.
    """
    load, last = table_stimulus(rng, count, config.table_beats)
    shape = (count, config.lanes)
    beats = config.i.zeros(count)
    beats["load"], beats["last"] = load, last
    beats["x"] = fixed_row_numbers(config, config.source, rng, count)
    for name in ("scale", "bias"):
        form = config.operands[name]
        values = fixed_row_numbers(config, form, rng, count)
        # A power of two, or nothing, leaves the element's digits as they are.
        plain = np.int64(1) << rng.integers(0, form.width - 1, shape, endpoint=True) if name == "scale" else 0
        plain = np.clip(plain, form.minimum, form.maximum)
        beats[name] = np.where(rng.random(shape) < 0.4, plain, values)
    return beats
