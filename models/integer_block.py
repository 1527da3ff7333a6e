"""One transformer block in integers: attention head after head, I-LayerNorm, an MLP with ShiftGELU, I-LayerNorm.

The block of BERT, normalised behind each residual sum, with the functions of "I-ViT: Integer-only Quantization for Efficient
Vision Transformer Inference", arXiv 2207.01405. Matrix products are of int8 and exact; behind each of them a dyadic
requantisation makes int8 again. What is wider is between two units only: accumulators, residual sums, results of ShiftGELU and of
I-LayerNorm.

:attr:`IntegerBlock.steps` lists what is done: each step names its unit, the tensors that go in, its constants, and the tensor
that comes out with its bits. A step needs nothing else: hardware can do any of them, or all, and be compared tensor by tensor.
"""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from .block_step import Step, checked_array, execute
from .config import Config, parameter
from .errors import ConfigError
from .integer import width_of_range
from .layer_norm import LayerNormArithmetic
from .requantise import MAX_SHIFT, DyadicConfig, dyadic
from .row import rows_of_integers
from .shift_gelu import ShiftGELUArithmetic
from .shiftmax import ShiftmaxArithmetic

__all__ = ["BlockConfig", "Dense", "IntegerBlock", "Norm", "Ratios"]

_INT8 = 8
_LOW, _HIGH = -128, 127


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockConfig(Config):
    """Sizes and widths of a block, and what its functions need to know of scales."""

    shorthands: ClassVar[dict] = {}

    heads: int = parameter(12, "attention heads, computed one after the other", legal=(1, 64))
    head_width: int = parameter(32, "columns of a query, key or value of one head", legal=(1, 256))
    hidden: int = parameter(1536, "columns between the two layers of the MLP", legal=(1, 1 << 14))
    max_tokens: int = parameter(64, "rows of the longest input", legal=(1, 1024))
    acc_width: int = parameter(32, "bits of an accumulator, two's complement", legal=(8, 32))
    residual_width: int = parameter(16, "bits of a residual sum, two's complement, clamped", legal=(8, 16))
    bias_width: int = parameter(31, "bits of a bias of I-LayerNorm, two's complement", legal=(2, 31))
    multiplier_bits: int = parameter(31, "bits of a requantisation's multiplier", legal=(8, 31))
    octave: int = parameter(
        64, "integers in an octave of the scores; see carrysave.models.shift_exp", legal=(1, 1 << 20)
    )
    gelu_octave: int = parameter(
        38, "integers in an octave of ShiftGELU's input; see carrysave.models.shift_gelu", legal=(1, 1 << 20)
    )
    gelu_row: int | None = parameter(
        None,
        "elements that share a maximum in ShiftGELU, a divisor of hidden; derived as hidden, the published function",
        legal=(1, 1 << 14),
    )
    sigmoid_width: int = parameter(8, "bits of a sigmoid of ShiftGELU", legal=(8, 16))

    def derive(self):
        if self.gelu_row is None:
            self._set(gelu_row=self.hidden)
        if self.hidden % self.gelu_row:
            raise ConfigError(f"gelu_row must divide hidden, {self.hidden}, not {self.gelu_row!r}")
        if self.shiftmax.largest_result > _HIGH:
            raise ConfigError(f"octave must be less than {1 << 16}, or probabilities are no int8, not {self.octave!r}")
        for name, needed in (("scores", self.score_bits), ("context", self.context_bits)):
            if needed > self.acc_width:
                raise ConfigError(f"accumulators of {name} need {needed} bits; acc_width is {self.acc_width!r}")

    @property
    def score_bits(self):
        """Bits of an accumulator of scores, for every int8 that may come."""
        return width_of_range(-self.head_width * 128 * 127, self.head_width * 128 * 128)

    @property
    def context_bits(self):
        """Bits of an accumulator of the context of the longest input; probabilities are 127 at most."""
        return width_of_range(-self.max_tokens * 127 * 128, self.max_tokens * 127 * 127)

    @property
    def width(self):
        """Columns of the input and of the output."""
        return self.heads * self.head_width

    @property
    def requantise(self):
        """Arithmetic that makes int8."""
        return DyadicConfig(multiplier_bits=self.multiplier_bits)

    @property
    def residual(self):
        """Arithmetic of residual sums."""
        return DyadicConfig(multiplier_bits=self.multiplier_bits, width=self.residual_width)

    @property
    def shiftmax(self):
        """Arithmetic of probabilities."""
        return ShiftmaxArithmetic(octave=self.octave)

    @property
    def shift_gelu(self):
        """Arithmetic between the layers of the MLP."""
        return ShiftGELUArithmetic(octave=self.gelu_octave, sigmoid_width=self.sigmoid_width)

    @property
    def layer_norm(self):
        """Arithmetic of both normalisations; a result has at most the 32 bits that can be requantised."""
        return LayerNormArithmetic(width=self.residual_width, bias_width=self.bias_width, max_length=self.width)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Ratios:
    """Multipliers and shifts of a requantisation.

    Parameters
    ----------
    multiplier, shift : arrays of integers, (count,)
        See :func:`~carrysave.models.requantise.dyadic`.
    """

    multiplier: np.ndarray
    shift: np.ndarray

    @classmethod
    def of(cls, ratios, *, bits=31):
        """Nearest to ratios of scales, one or an array (count,); errors are those of ``dyadic``."""
        multiplier, shift = dyadic(np.atleast_1d(ratios), bits=bits)
        return cls(multiplier=multiplier, shift=shift)

    def __getitem__(self, places):
        return Ratios(multiplier=self.multiplier[places], shift=self.shift[places])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Dense:
    """A product with weights.

    Parameters
    ----------
    weights : array of int8, (inputs, outputs)
    bias : array of integers, (outputs,)
        At the scale of the accumulators, which begin with it.
    ratios : :class:`Ratios` of each output
    """

    weights: np.ndarray
    bias: np.ndarray
    ratios: Ratios


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Norm:
    """A normalisation.

    Parameters
    ----------
    bias : array of integers, (width,)
        See :func:`~carrysave.models.layer_norm.fold_bias`.
    ratios : :class:`Ratios` of each column
        The weight is part of them.
    """

    bias: np.ndarray
    ratios: Ratios


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IntegerBlock:
    """A block with its weights.

    Parameters
    ----------
    config : :class:`BlockConfig`
    query, key, value : :class:`Dense`, (width, width)
        Columns of the first head first.
    scores : :class:`Ratios` of each head
        Of accumulators to scores; the division by the square root of ``head_width`` is part of it.
    context : :class:`Ratios` of each column
    projection : :class:`Dense`, (width, width)
        Its ratios are to the scale of the first residual sum.
    first_residual : :class:`Ratios` of each column
        Of the input to that scale.
    first : :class:`Norm`
    expansion : :class:`Dense`, (width, hidden)
    gelu : :class:`Ratios` of each column
    contraction : :class:`Dense`, (hidden, width)
        Its ratios are to the scale of the second residual sum.
    second_residual : :class:`Ratios` of each column
        Of the first normalisation's int8 to that scale.
    second : :class:`Norm`

    Raises
    ------
    ConfigError
        For the first array of another shape or with an element out of its range, and for weights whose accumulators need more
        than ``acc_width`` bits for some int8.
    """

    config: BlockConfig
    query: Dense
    key: Dense
    value: Dense
    scores: Ratios
    context: Ratios
    projection: Dense
    first_residual: Ratios
    first: Norm
    expansion: Dense
    gelu: Ratios
    contraction: Dense
    second_residual: Ratios
    second: Norm

    def __post_init__(self):
        config = self.config
        shapes = dict.fromkeys(("query", "key", "value", "projection"), (config.width, config.width))
        shapes |= {"expansion": (config.width, config.hidden), "contraction": (config.hidden, config.width)}
        top = 1 << config.acc_width - 1
        for name, shape in shapes.items():
            dense = getattr(self, name)
            checked_array(f"weights of {name}", dense.weights, shape, _LOW, _HIGH)
            checked_array(f"bias of {name}", dense.bias, shape[1:], -top, top - 1)
            self._check_ratios(name, dense.ratios, shape[1])
            if (needed := _accumulator_bits(dense)) > config.acc_width:
                raise ConfigError(f"accumulators of {name} need {needed} bits; acc_width is {config.acc_width!r}")
        half = 1 << config.bias_width - 1
        for name in ("first", "second"):
            norm = getattr(self, name)
            checked_array(f"bias of {name}", norm.bias, (config.width,), -half, half - 1)
            self._check_ratios(name, norm.ratios, config.width)
        counts = dict.fromkeys(("context", "first_residual", "second_residual"), config.width)
        for name, count in {"scores": config.heads, "gelu": config.hidden, **counts}.items():
            self._check_ratios(name, getattr(self, name), count)

    def _check_ratios(self, name, ratios, count):
        checked_array(f"multiplier of {name}", ratios.multiplier, (count,), 0, (1 << self.config.multiplier_bits) - 1)
        checked_array(f"shift of {name}", ratios.shift, (count,), 0, MAX_SHIFT)

    @functools.cached_property
    def steps(self):
        """Tuple of :class:`~carrysave.models.block_step.Step`, in order, from ``input`` to ``output``."""
        heads = range(self.config.heads)
        context = Step(unit="join", inputs=tuple(f"head{h}.context" for h in heads), output="context", width=_INT8)
        steps = [step for head in heads for step in self._head(head)]
        steps += [context, *self._half("first", "projection", "context", "input", "first")]
        steps += [*self._dense("expansion", self.expansion, "first"), self._gelu()]
        steps += [self._requantised("gelu", "gelu.wide", self.gelu)]
        return (*steps, *self._half("second", "contraction", "gelu", "first", "output"))

    def _head(self, head):
        config, name = self.config, f"head{head}"
        columns = slice(head * config.head_width, (head + 1) * config.head_width)
        for place in ("query", "key", "value"):
            dense = getattr(self, place)
            part = Dense(weights=dense.weights[:, columns], bias=dense.bias[columns], ratios=dense.ratios[columns])
            yield from self._dense(f"{name}.{place}", part, "input")
        query, key, value, scores, probabilities, context = (
            f"{name}.{place}" for place in ("query", "key", "value", "scores", "probabilities", "context")
        )
        yield self._product(scores, (query, key), config.score_bits, transposed=True)
        yield self._requantised(scores, f"{scores}.accumulators", self.scores[head : head + 1])
        yield Step(
            unit="shiftmax",
            inputs=(scores,),
            output=probabilities,
            width=_INT8 - 1,
            signed=False,
            config=config.shiftmax,
        )
        yield self._product(context, (probabilities, value), config.context_bits)
        yield self._requantised(context, f"{context}.accumulators", self.context[columns])

    def _gelu(self):
        config = self.config.shift_gelu
        return Step(
            unit="shift-gelu",
            inputs=("expansion",),
            output="gelu.wide",
            width=config.result_width,
            config=config,
            row=self.config.gelu_row,
        )

    def _half(self, half, place, source, branch, output):
        """A product with weights, the residual sum, the normalisation and what makes int8 of it."""
        config, dense, norm = self.config, getattr(self, place), getattr(self, half)
        accumulators, _ = self._dense(place, dense, source)
        other = getattr(self, f"{half}_residual")
        constants = {
            "multiplier": dense.ratios.multiplier,
            "shift": dense.ratios.shift,
            "residual_multiplier": other.multiplier,
            "residual_shift": other.shift,
        }
        total, normal = f"{half}.sum", f"{half}.norm"
        return (
            accumulators,
            Step(
                unit="residual",
                inputs=(accumulators.output, branch),
                output=total,
                width=config.residual_width,
                config=config.residual,
                constants=constants,
            ),
            Step(
                unit="layer-norm",
                inputs=(total,),
                output=normal,
                width=config.layer_norm.result_width,
                config=config.layer_norm,
                constants={"bias": norm.bias},
            ),
            self._requantised(output, normal, norm.ratios),
        )

    def _dense(self, name, dense, source):
        constants = {"weights": dense.weights, "bias": dense.bias}
        product = self._product(name, (source,), _accumulator_bits(dense), constants=constants)
        return product, self._requantised(name, product.output, dense.ratios)

    def _product(self, name, inputs, width, **others):
        output = f"{name}.accumulators"
        return Step(unit="gemm", inputs=inputs, output=output, width=width, config=self.config.acc_width, **others)

    def _requantised(self, name, source, ratios):
        return Step(
            unit="requantise",
            inputs=(source,),
            output=name,
            width=_INT8,
            config=self.config.requantise,
            constants={"multiplier": ratios.multiplier, "shift": ratios.shift},
        )

    def run(self, x):
        """All tensors of an input.

        Parameters
        ----------
        x : array of int8, (tokens, width)

        Returns
        -------
        dict of :class:`str` to array of ``int64``
            ``input``, and the outputs of all steps by their names.

        Raises
        ------
        ConfigError
            For another shape, or an element that is no int8.
        """
        x = rows_of_integers(x, _INT8)
        if x.ndim != 2 or x.shape[1] != self.config.width or not 1 <= x.shape[0] <= self.config.max_tokens:
            wanted = f"(1..{self.config.max_tokens}, {self.config.width})"
            raise ConfigError(f"an input must be an array of shape {wanted}, not {x.shape!r}")
        tensors = {"input": x}
        for step in self.steps:
            tensors[step.output] = execute(step, *(tensors[name] for name in step.inputs))
        return tensors


def _accumulator_bits(dense):
    """Bits of an accumulator for every int8 that may come."""
    weights = np.asarray(dense.weights, np.int64)
    low = np.minimum(weights * _LOW, weights * _HIGH).sum(axis=0) + dense.bias
    high = np.maximum(weights * _LOW, weights * _HIGH).sum(axis=0) + dense.bias
    return width_of_range(min(int(low.min()), -1), int(high.max()))
