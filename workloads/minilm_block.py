"""The first layer of MiniLM-L6 as a block in integers: scales from real sentences, and how far its results are from real ones.

:mod:`carrysave.workloads.minilm` has the network, :mod:`carrysave.models.integer_block` the block (arXiv 2207.01405). Scales are
symmetric. Weights have one an output. Activations have one a tensor where a function of a row or another activation takes them,
else one a column: the requantisation in front has multipliers for columns anyway, and the next weights absorb the scale. A few
columns are twenty times as large as the others.
"""

import dataclasses
import math

import numpy as np

from ..models.errors import ConfigError
from ..models.integer_block import BlockConfig, Dense, IntegerBlock, Norm, Ratios
from ..models.layer_norm import fold_bias, layer_norm_scale
from .minilm import load_minilm
from .similarity import PAIRS

__all__ = [
    "CALIBRATION",
    "HELD_OUT",
    "BlockDeviation",
    "FloatBlock",
    "QuantisedBlock",
    "StepDeviation",
    "block_deviation",
    "block_inputs",
    "quantised_block",
]

#: Sentences that scales are made from, and those of other topics that deviations are measured on.
CALIBRATION = tuple(sentence for pair in PAIRS[:6] for sentence in pair)
HELD_OUT = tuple(sentence for pair in PAIRS[6:] for sentence in pair)

_HEADS, _LAYER = 12, "encoder.layer.0."
_DENSE = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "projection": "attention.output.dense",
    "expansion": "intermediate.dense",
    "contraction": "output.dense",
}
_NORMS = {"first": "attention.output.LayerNorm", "second": "output.LayerNorm"}
_EPSILON = 1e-12
_INT8_MAX = 127
_PROBABILITY = 1 / 128  # what 1 stands for in 8 bits of Shiftmax
_CLIPS = np.linspace(0.3, 1, 36)  # fractions of the largest magnitude that may become 127
_BALANCE = 0.4  # between 0, one scale for all columns, and 1, all columns filled, and weights rounded the worse


class FloatBlock:
    """The layer in ``float64``, with the tensors that the integer one has, by the same names.

    Parameters
    ----------
    model : :class:`~carrysave.workloads.minilm.MiniLM`

    Members
    -------
    dense : dict of :class:`str` to (weights, bias)
        Products with weights by their place.
    norms : dict of :class:`str` to (weight, bias)
        Normalisations, ``first`` and ``second``.
    nodes : list of (name, inputs, function)
        Names of a tensor and of those that ``function`` makes it of, in order.
    """

    def __init__(self, model):
        arrays = {name: np.asarray(model.arrays[name], np.float64) for name in model.arrays if name.startswith(_LAYER)}
        self.dense = {
            place: (np.asarray(model.weight(0, place), np.float64), arrays[f"{_LAYER}{name}.bias"])
            for place, name in _DENSE.items()
        }
        self.norms = {
            half: (arrays[f"{_LAYER}{name}.weight"], arrays[f"{_LAYER}{name}.bias"]) for half, name in _NORMS.items()
        }
        self.width, self.hidden = self.dense["expansion"][0].shape
        self.nodes = [node for head in range(_HEADS) for node in self._head(head)]
        self.nodes += [
            ("context", tuple(f"head{head}.context" for head in range(_HEADS)), lambda *parts: np.hstack(parts)),
            ("first.sum", ("context", "input"), lambda x, branch: _linear(x, *self.dense["projection"]) + branch),
            ("first", ("first.sum",), lambda x: _normalised(x, *self.norms["first"])),
            ("expansion", ("first",), lambda x: _linear(x, *self.dense["expansion"])),
            ("gelu", ("expansion",), _gelu),
            ("second.sum", ("gelu", "first"), lambda x, branch: _linear(x, *self.dense["contraction"]) + branch),
            ("output", ("second.sum",), lambda x: _normalised(x, *self.norms["second"])),
        ]

    def columns(self, head):
        """Columns of a head among those of all."""
        size = self.width // _HEADS
        return slice(head * size, (head + 1) * size)

    def _head(self, head):
        columns, name = self.columns(head), f"head{head}."
        for place in ("query", "key", "value"):
            weights, bias = (array[..., columns] for array in self.dense[place])
            yield name + place, ("input",), lambda x, weights=weights, bias=bias: _linear(x, weights, bias)
        yield name + "scores", (name + "query", name + "key"), lambda q, k: q @ k.T / math.sqrt(q.shape[1])
        yield name + "probabilities", (name + "scores",), _softmax
        yield name + "context", (name + "probabilities", name + "value"), lambda p, v: p @ v

    def run(self, x):
        """All tensors of an input.

        Parameters
        ----------
        x : array of :class:`float`, (tokens, width)

        Returns
        -------
        dict of :class:`str` to array of ``float64``
            ``input`` and ``output``, and what is between.
        """
        tensors = {"input": np.asarray(x, np.float64)}
        for name, inputs, function in self.nodes:
            tensors[name] = function(*(tensors[one] for one in inputs))
        return tensors


def _linear(x, weights, bias):
    return x @ weights + bias


def _normalised(x, weight, bias):
    centred = x - x.mean(axis=1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + _EPSILON) * weight + bias


def _softmax(x):
    weights = np.exp(x - x.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _gelu(x):
    """``x`` times the normal distribution's probability of less than ``x``."""
    return x * (1 + np.vectorize(math.erf)(x * math.sqrt(0.5))) / 2


def block_inputs(model, sentences):
    """What the first layer gets.

    Parameters
    ----------
    model : :class:`~carrysave.workloads.minilm.MiniLM`
    sentences : iterable of :class:`str`

    Returns
    -------
    list of ``float32`` array, (pieces, 384)
        One for each sentence.
    """
    found = []
    for sentence in sentences:
        operands = []

        def matmul(a, b, where, operands=operands):
            if where == "query":
                operands.append(a)
            # What comes behind the first layer's input does not matter.
            return np.zeros((*a.shape[:-1], b.shape[-1]), np.float32)

        model.embeddings([sentence], matmul)
        found.append(operands[0])
    return found


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class QuantisedBlock:
    """A block in integers, and what they stand for.

    Members
    -------
    block : :class:`~carrysave.models.integer_block.IntegerBlock`
    scales : dict of :class:`str` to :class:`float` or array
        What 1 stands for in a tensor that the real block has, too: one scale, or one for each column.
    """

    block: IntegerBlock
    scales: dict

    def integers(self, x):
        """The integers nearest to an input, clamped to int8, ``int64`` array of its shape."""
        return np.clip(np.rint(x / self.scales["input"]), -_INT8_MAX - 1, _INT8_MAX).astype(np.int64)


def quantised_block(model=None, *, sentences=CALIBRATION, gelu_row=16, residual_width=16, max_tokens=64):
    """The first layer of MiniLM-L6 in integers.

    Parameters
    ----------
    model : :class:`~carrysave.workloads.minilm.MiniLM`, optional
        The installed one by default.
    sentences : sequence of :class:`str`
        Scales are made from.
    gelu_row, residual_width, max_tokens : :class:`int`
        Of :class:`~carrysave.models.integer_block.BlockConfig`.

    Returns
    -------
    :class:`QuantisedBlock`

    Raises
    ------
    ConfigError
        Without sentences; for parameters that are out of range.
    MiniLMError
        If the model is not there.
    """
    if not sentences:
        raise ConfigError(f"scales need at least 1 sentence, not {len(sentences)!r}")
    model = load_minilm() if model is None else model
    floats = FloatBlock(model)
    scales = _scales(floats, [floats.run(x) for x in block_inputs(model, sentences)], residual_width)
    config = BlockConfig(
        heads=_HEADS,
        head_width=floats.width // _HEADS,
        hidden=floats.hidden,
        max_tokens=max_tokens,
        gelu_row=gelu_row,
        residual_width=residual_width,
        octave=round(1 / scales["head0.scores"]),
        gelu_octave=round(1 / 1.702 / scales["expansion"]),
    )

    def dense(place, source, target):
        weights, bias = floats.dense[place]
        scaled = weights * np.reshape(scales[source], (-1, 1))
        unit = np.abs(scaled).max(axis=0) / _INT8_MAX
        return Dense(
            weights=np.rint(scaled / unit).astype(np.int64),
            bias=np.rint(bias / unit).astype(np.int64),
            ratios=Ratios.of(unit / target),
        )

    def norm(half, target):
        weight, bias = floats.norms[half]
        folded = fold_bias(weight, bias, length=floats.width, bias_width=config.bias_width)
        return Norm(bias=folded, ratios=Ratios.of(weight * layer_norm_scale(floats.width) / scales[target]))

    def heads(place):
        return np.array([scales[f"head{head}.{place}"] for head in range(_HEADS)])

    values = heads("value").ravel()
    scores = heads("query") * heads("key") / math.sqrt(config.head_width) / heads("scores")
    block = IntegerBlock(
        config=config,
        query=dense("query", "input", np.repeat(heads("query"), config.head_width)),
        key=dense("key", "input", np.repeat(heads("key"), config.head_width)),
        value=dense("value", "input", values),
        scores=Ratios.of(scores),
        context=Ratios.of(values * _PROBABILITY / scales["context"]),
        projection=dense("projection", "context", scales["first.sum"]),
        first_residual=Ratios.of(scales["input"] / scales["first.sum"]),
        first=norm("first", "first"),
        expansion=dense("expansion", "first", scales["expansion"]),
        gelu=Ratios.of(scales["expansion"] * 2.0 ** (1 - config.sigmoid_width) / scales["gelu"]),
        contraction=dense("contraction", "gelu", scales["second.sum"]),
        second_residual=Ratios.of(scales["first"] / scales["second.sum"]),
        second=norm("second", "output"),
    )
    return QuantisedBlock(block=block, scales=scales)


def _scales(floats, runs, residual_width):
    """Scales of all tensors, from their real values."""

    def values(*names):
        return np.concatenate([run[name] for name in names for run in runs])

    scales = {name: _column_scales(values(name)) for name in ("input", "context", "first", "gelu", "output")}
    # An octave is rounded up to a whole number, and is only a few: a scale that makes it one spares the functions that error.
    scores = np.concatenate([run[f"head{head}.scores"].ravel() for head in range(_HEADS) for run in runs])
    score = 1 / max(math.floor(1 / _scale(scores)), 1)
    scales["expansion"] = 1 / 1.702 / max(math.floor(1 / 1.702 / _scale(values("expansion"))), 1)
    for half in ("first", "second"):
        # Room for twice of what there was: a sum that is clamped is a row that is normalised wrongly.
        scales[f"{half}.sum"] = 2 * np.abs(values(f"{half}.sum")).max() / ((1 << residual_width - 1) - 1)
    for head in range(_HEADS):
        name = f"head{head}."
        scales |= {f"{name}{place}": _scale(values(f"{name}{place}")) for place in ("query", "key")}
        scales |= {f"{name}value": _column_scales(values(f"{name}value")), f"{name}scores": score}
        scales |= {f"{name}probabilities": _PROBABILITY, f"{name}context": scales["context"][floats.columns(head)]}
    return scales


def _scale(values):
    """The scale of int8 with the least squared error, among those that make 127 of the largest magnitude or of less."""
    candidates = np.abs(values).max() * _CLIPS / _INT8_MAX
    return min(candidates, key=lambda scale: np.square(_rounded(values, scale) - values).sum())


def _column_scales(values):
    """Scales of columns, as far apart as a power of the columns' largest magnitudes."""
    spread = np.abs(values).max(axis=0) ** _BALANCE
    return spread * _scale(values / spread)


def _rounded(values, scale):
    return np.clip(np.rint(values / scale), -_INT8_MAX - 1, _INT8_MAX) * scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepDeviation:
    """Of the tensors of one name, those of all heads together.

    Members
    -------
    name : :class:`str`
    own : :class:`float`
        Root mean square of the deviation from what a real function makes of the integer block's own tensors, over that of the
        real tensor: what this step adds.
    total : :class:`float`
        The same of the deviation from the real block's tensor.
    """

    name: str
    own: float
    total: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockDeviation:
    """How far an integer block's output is from the real one's.

    Members
    -------
    tokens : :class:`int`
    relative_rms : :class:`float`
        Root mean square of the deviation over that of the real output.
    mean_cosine, least_cosine : :class:`float`
        Cosine of the angle between a token's two outputs, over all tokens.
    worst_rms : :class:`float`
        Largest relative deviation of one token.
    worst_piece : :class:`str`
        That token.
    steps : tuple of :class:`StepDeviation`
        From the input on.
    """

    tokens: int
    relative_rms: float
    mean_cosine: float
    least_cosine: float
    worst_rms: float
    worst_piece: str
    steps: tuple


def block_deviation(quantised, model=None, *, sentences=HELD_OUT):
    """Run the integer block and the real one.

    Parameters
    ----------
    quantised : :class:`QuantisedBlock`
    model : :class:`~carrysave.workloads.minilm.MiniLM`, optional
        The installed one by default.
    sentences : sequence of :class:`str`

    Returns
    -------
    :class:`BlockDeviation`

    Raises
    ------
    ConfigError
        Without sentences; for one of more than ``max_tokens`` pieces.
    """
    if not sentences:
        raise ConfigError(f"a deviation needs at least 1 sentence, not {len(sentences)!r}")
    model = load_minilm() if model is None else model
    floats = FloatBlock(model)
    squares, outputs, reals = {}, [], []
    for x in block_inputs(model, sentences):
        real, integers = floats.run(x), quantised.block.run(quantised.integers(x))
        found = {name: integers[name] * scale for name, scale in quantised.scales.items()}
        for name, inputs, function in [("input", (), lambda real=real: real["input"]), *floats.nodes]:
            own = function(*(found[one] for one in inputs))
            head, _, place = name.rpartition(".")
            sums = squares.setdefault(place if head.startswith("head") else name, np.zeros(3))
            sums += [np.square(array).sum() for array in (found[name] - own, found[name] - real[name], real[name])]
        outputs.append(found["output"])
        reals.append(real["output"])
    output, real = np.concatenate(outputs), np.concatenate(reals)
    rms = np.linalg.norm(output - real, axis=1) / np.linalg.norm(real, axis=1)
    cosines = (output * real).sum(axis=1) / np.linalg.norm(output, axis=1) / np.linalg.norm(real, axis=1)
    return BlockDeviation(
        tokens=len(rms),
        relative_rms=float(np.linalg.norm(output - real) / np.linalg.norm(real)),
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        worst_rms=float(rms.max()),
        worst_piece=[piece for sentence in sentences for piece in model.pieces(sentence)][int(rms.argmax())],
        steps=tuple(
            StepDeviation(name=name, own=float(math.sqrt(own / whole)), total=float(math.sqrt(total / whole)))
            for name, (own, total, whole) in squares.items()
        ),
    )
