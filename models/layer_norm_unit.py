"""Design ``layer-norm``: a stream of rows of integers becomes one of their I-LayerNorm, with biases that beats load.

:mod:`carrysave.models.layer_norm` has the arithmetic (arXiv 2207.01405, section 3.5), with the exact square root;
:mod:`carrysave.models.row_unit` what rows are in a stream. A beat with ``load`` fills the biases of a beat of a row, from the
row's first one on; behind one with ``last``, or behind the longest row's, it is the first one's turn again. A row gets the biases
that are there when its last beat is taken: loading waits until the rows that are complete have left.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .errors import ConfigError
from .layer_norm import LayerNormWidths, layer_norm
from .payload import Field, Payload
from .row import one_or_each, row_places, split_rows
from .row_unit import RowUnitConfig, row_golden, row_lengths, row_stimulus

__all__ = ["LayerNormConfig", "layer_norm_golden", "layer_norm_latency", "layer_norm_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerNormConfig(LayerNormWidths, RowUnitConfig):
    """Lanes that square and multiply, and buffers for a row of elements and one of their distances from the mean."""

    design: ClassVar[str] = "layer-norm"
    signed_result: ClassVar[bool] = True

    #: The biases stay.
    continuous: ClassVar[bool] = True

    @property
    def max_length(self):
        """Elements of the longest row."""
        return self.lanes * self.row_beats

    @property
    def i(self):
        """One beat; its fields.

        =========  ============================================================================================
        ``x``      elements, unless ``load`` is set
        ``bias``   of each lane, for the table, if ``load`` is set
        ``load``   the beat fills a row of the table and gives no results
        ``last``   ends a row of data, or begins anew in the table
        ``empty``  with the ``last`` of data, how many of the highest lanes hold no element; absent with one lane
        =========  ============================================================================================
        """
        return Payload((
            Field("x", self.width, True, (self.lanes,)),
            Field("bias", self.bias_width, True, (self.lanes,)),
            Field("load", 1),
            Field("last", 1),
            *self.empty_fields,
        ))  # fmt: skip

    def to_beats(self, rows, bias=0):
        """Input beats that load the biases of a row, one for each element or one for all, and then are whole rows.

        Raises
        ------
        ConfigError
            As that of :class:`~carrysave.models.row_unit.RowUnitConfig`; for biases that do not fit.
        """
        data = super().to_beats(rows)
        bias = one_or_each("biases", bias, np.shape(rows)[1])
        parts = split_rows(bias[None], width=self.bias_width, lanes=self.lanes, longest=self.row_beats, whole=False)[0]
        loads = self.i.zeros(len(parts))
        loads["bias"], loads["load"] = parts, 1
        loads["last"][-1] = 1
        return np.concatenate([loads, data])

    @property
    def waiting_cycles(self):
        """Cycles in the buffer in front of an iterative divider, or root."""
        return int(self.divider == "iterative")

    @property
    def mean_cycles(self):
        """Cycles from a row's last beat to its first one leaving the first buffer.

        Tree, sum, dividend, a bit of the mean each, the means' buffer.
        """
        return self.tree_levels + 2 + self.waiting_cycles + self.width + 1

    @property
    def factor_cycles(self):
        """Cycles from a row's last distances to its first ones leaving the second buffer.

        Squares, tree, sum, a bit of the root each, one of the factor each, the factors' buffer.
        """
        root = self.waiting_cycles + self.root_width
        return 1 + self.tree_levels + 1 + root + self.waiting_cycles + self.factor_width + 1

    @property
    def latency(self):
        """Cycles from the beat of a row of one to its results; a row takes a cycle more for each beat more.

        Until the mean is known, two registers: read, distance; until the factor is known, three: read, product, bias.
        """
        return self.mean_cycles + 2 + self.factor_cycles + 3


def layer_norm_golden(config, beats):
    """I-LayerNorm of the rows that are complete.

    Parameters
    ----------
    config : :class:`LayerNormConfig`
    beats : array of ``config.i.dtype``
        From reset on.

    Returns
    -------
    array of ``config.o.dtype``

    Raises
    ------
    ConfigError
        If a beat takes biases that no beat before its row's end has filled, and as
        :func:`~carrysave.models.row_unit.row_golden`.
    """
    loads, data = np.flatnonzero(beats["load"]), np.flatnonzero(beats["load"] == 0)
    filled = row_places(beats["last"][loads], config.row_beats)
    places = row_places(beats["last"][data], config.row_beats)
    lengths = row_lengths(config, beats["last"][data])
    complete = int(lengths.sum())
    # For each beat of data its row's end, and the last beat before that which filled its biases.
    ends = np.repeat(data[np.cumsum(lengths) - 1], lengths)
    source = np.full(complete, -1)
    for place in range(config.row_beats):
        here, by = places[:complete] == place, loads[filled == place]
        before = np.searchsorted(by, ends[here])
        source[here] = np.where(before > 0, np.concatenate([[-1], by])[before], -1)
    missing = np.flatnonzero(source < 0)
    if len(missing):
        at = int(missing[0])
        raise ConfigError(
            f"beat {int(data[at])} takes biases of place {int(places[at])}, which no beat before has filled"
        )
    biases = beats["bias"][source]

    def function(rows, which):
        return layer_norm(config, rows) + biases[which].reshape(len(rows), -1)[:, : rows.shape[1]]

    return row_golden(config, beats[data], function)


def layer_norm_latency(config, beats):
    """Cycles from the last of the beats of a row to its first results."""
    return config.latency + int(row_lengths(config, beats["last"][beats["load"] == 0])[0]) - 1


def layer_norm_stimulus(config, rng, count):
    """Input beats: a whole table, then rows, as in :func:`~carrysave.models.row_unit.row_stimulus`, with loads in between.

    Parameters
    ----------
    config : :class:`LayerNormConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
    """
    beats = config.i.zeros(count)
    first = min(config.row_beats, count)
    load = rng.random(count) < 0.03
    load[:first] = True
    data = np.flatnonzero(~load)
    beats["load"] = load
    beats["last"] = load & (rng.random(count) < 0.4)
    beats["last"][:first] = 0
    for name, values in row_stimulus(config, rng, len(data)).items():
        beats[name][data] = values
    half = 1 << config.bias_width - 1
    shape = (count, config.lanes)
    bias = rng.integers(-half, half, shape) >> rng.integers(0, config.bias_width, shape)
    beats["bias"] = np.where(rng.random(shape) < 0.2, rng.choice([-half, -1, 0, 1, half - 1], shape), bias)
    for field in config.empty_fields:
        beats[field.name][load] = rng.choice([0, 1, field.maximum], np.count_nonzero(load))
    return beats
