"""Products with a constant matrix: configuration, golden model and stimulus of the design ``constant-matrix``.

The golden model is the plain integer product; what the network of :mod:`carrysave.models.constant_matrix` adds, it does not know.
"""

import dataclasses
import re
from functools import cached_property, lru_cache
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .constant_matrix import checked_matrix, full_adder_rows, matrix_network
from .errors import ConfigError
from .integer import width_of_range
from .k_hot import k_hot
from .mac import ADDERS, operand_corners, operand_samples
from .payload import Field, Payload

__all__ = ["ConstantMatrixConfig", "constant_matrix_golden", "constant_matrix_stimulus"]

#: Rows of full adders that take about as long as a carry-propagate adder.
ROWS_PER_LEVEL = 2

_ROWS = "rows a,b/c,d"
_TEXT = re.compile(r"[+-]?[0-9]{1,6}([,/][+-]?[0-9]{1,6})*")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantMatrixConfig(Config):
    """Product of a vector with a matrix that is fixed in logic.

    ``weights`` is a text, such as ``"1,-2,3/4,0,-6"`` for two outputs of three inputs; nested sequences become that text.
    """

    design: ClassVar[str] = "constant-matrix"
    shorthands: ClassVar[dict] = {}

    #: Cycles between beats.
    initiation_interval: ClassVar[int] = 1

    weights: str = parameter(
        "64,64,64,64/83,36,-36,-83/64,-64,-64,64/36,-83,83,-36",
        "the matrix: integers of 16 bits, commas between those of an output, slashes between outputs; by default the 4-point "
        "cosine transform of HEVC",
        text=_ROWS,
    )
    x_width: int = parameter(8, "bits of an input", legal=(1, 24))
    x_signed: bool = parameter(True, "inputs are two's complement")
    share: bool = parameter(True, "sums of two terms that are needed more than once are added once")
    levels_per_stage: int = parameter(
        2,
        f"additions one after another between registers, {ROWS_PER_LEVEL} rows of full adders counting as one",
        legal=(1, 64),
    )
    adder: str = parameter("hybrid", "parallel-prefix structure of the carry-propagate adders", choices=ADDERS)

    @classmethod
    def of(cls, weights, *, terms=None, recoding="signed", **parameters):
        """A configuration for an array of weights.

        Parameters
        ----------
        weights : array of integers, outputs by inputs
        terms : :class:`int`, optional
            Weights are rounded to so many powers of two at most; see :func:`carrysave.models.k_hot.k_hot`.
        recoding : :class:`str`
            How.
        parameters
            All others.
        """
        if terms is not None:
            weights = k_hot(weights, terms=terms, recoding=recoding).values()
        return cls(weights=np.asarray(weights).tolist(), **parameters)

    def derive(self):
        self._set(weights=_text(self.weights))
        checked_matrix(self.matrix)

    @cached_property
    def matrix(self):
        """The weights, ``int64`` array of outputs by inputs."""
        return np.array([row.split(",") for row in self.weights.split("/")]).astype(np.int64)

    @property
    def network(self):
        """The :class:`~carrysave.models.constant_matrix.MatrixNetwork`."""
        return _network(self.weights, self.share)

    @cached_property
    def x(self):
        """Field ``x`` of :attr:`i`."""
        return Field("x", self.x_width, self.x_signed, (self.matrix.shape[1],))

    @property
    def i(self):
        """A vector ``x`` a beat."""
        return Payload((self.x,))

    @cached_property
    def y_ranges(self):
        """Smallest and largest value of each output, list of pairs."""
        plus, minus = (np.maximum(sign * self.matrix, 0).sum(axis=1) for sign in (1, -1))
        low, high = self.x.minimum, self.x.maximum
        return list(zip((plus * low - minus * high).tolist(), (plus * high - minus * low).tolist(), strict=True))

    @cached_property
    def o(self):
        """The product ``y``, exact; every output is as wide as the widest one needs."""
        lowest, highest = (
            bound(pick) for bound, pick in zip((min, max), zip(*self.y_ranges, strict=True), strict=True)
        )
        return Payload((Field("y", width_of_range(lowest, highest), lowest < 0, (len(self.matrix),)),))

    def output_levels(self, terms):
        """When an output is added up: level after which its terms are there, rows of full adders, last level.

        Two terms, unless both are negative, need one adder and no full adders before it; one positive term needs nothing.
        """
        levels = self.network.levels
        ready = max((levels[term.node] for term in terms), default=0)
        positive = sum(not term.negative for term in terms)
        if len(terms) <= 1 and positive == len(terms):
            return ready, 0, ready
        if len(terms) == 2 and positive:
            return ready, 0, ready + 1
        # Signs that are inverted, and negative terms, leave a constant: a row more.
        rows = full_adder_rows(len(terms) + 1)
        return ready, rows, ready + -(-rows // ROWS_PER_LEVEL) + 1

    @cached_property
    def depth(self):
        """Levels from inputs to outputs: carry-propagate adders, and rows of full adders."""
        return max(last for _, _, last in map(self.output_levels, self.network.outputs))

    @property
    def latency(self):
        """Cycles from an input to its product: a register after every ``levels_per_stage`` levels, one at least."""
        return max(-(-self.depth // self.levels_per_stage), 1)


@lru_cache(maxsize=16)
def _network(weights, share):
    return matrix_network([[int(one) for one in row.split(",")] for row in weights.split("/")], share=share)


def _text(weights):
    """The text of weights that are one, or a number, or rows of numbers; a number in place of a row is a row of one."""
    if type(weights) is int:
        weights = str(weights)  # what 1 by 1 looks like on a command line
    if isinstance(weights, (list, tuple)):
        rows = [row if isinstance(row, (list, tuple)) else (row,) for row in weights]
        for one in (one for row in rows for one in row):
            if type(one) is not int:
                raise ConfigError(f"weights must be rows of integers, not {one!r}")
        weights = "/".join(",".join(map(str, row)) for row in rows)
    if not isinstance(weights, str) or not _TEXT.fullmatch(weights):
        shown = weights if not isinstance(weights, str) or len(weights) < 40 else weights[:37] + "..."
        raise ConfigError(f"weights must be rows of integers such as 1,-2,3/4,0,-6, not {shown!r}")
    rows = [[int(one) for one in row.split(",")] for row in weights.split("/")]
    if len(lengths := {len(row) for row in rows}) > 1:
        raise ConfigError(f"weights must have as many integers in every row, not {sorted(lengths)!r}")
    return "/".join(",".join(map(str, row)) for row in rows)


def constant_matrix_golden(config, beats):
    """Products of the beats.

    Parameters
    ----------
    config : :class:`ConstantMatrixConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
    """
    return config.o.beats(y=beats["x"] @ config.matrix.T)


def constant_matrix_stimulus(config, rng, count):
    """Input beats: vectors of one corner, those at which each output is smallest and largest, each input alone, random ones.

    Parameters
    ----------
    config : :class:`ConstantMatrixConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit.
    """
    x, inputs = config.x, config.matrix.shape[1]
    corners = operand_corners(x)
    corners = corners[(corners >= x.minimum) & (corners <= x.maximum)]
    smallest = np.where(config.matrix > 0, x.minimum, x.maximum)
    beats = config.i.zeros(count)
    beats["x"] = operand_samples(x, rng, (count, inputs))
    directed = np.concatenate([
        np.repeat(corners, inputs).reshape(-1, inputs),
        smallest,
        x.minimum + x.maximum - smallest,
        np.eye(inputs, dtype=np.int64) * x.minimum,
        np.eye(inputs, dtype=np.int64) * x.maximum,
    ])[:count]  # fmt: skip
    beats["x"][: len(directed)] = directed
    return beats
