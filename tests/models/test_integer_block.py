"""The block in integers against Python's integers, written from the definitions; what is refused."""

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from carrysave.models.block_step import UNITS, Step, execute
from carrysave.models.errors import ConfigError
from carrysave.models.integer_block import BlockConfig, Dense, IntegerBlock, Norm, Ratios

LIMIT = 2**31 - 1
SMALL = {"heads": 2, "head_width": 4, "hidden": 24, "max_tokens": 16, "octave": 20, "gelu_octave": 9}
CASES = {
    "whole rows": SMALL,
    "short rows": {**SMALL, "gelu_row": 6, "multiplier_bits": 12, "sigmoid_width": 10},
    "one head": {**SMALL, "heads": 1, "gelu_row": 1, "residual_width": 10, "bias_width": 24},
}


def random_block(seed=0, **parameters):
    config = BlockConfig(**parameters)
    rng = np.random.default_rng(seed)
    bits = config.multiplier_bits

    def ratios(count, size):
        return Ratios.of(rng.uniform(0.5, 1.5, count) * size, bits=bits)

    def dense(inputs, outputs, spread):
        weights = rng.integers(-128, 128, (inputs, outputs))
        bias = rng.integers(-(1 << 14), 1 << 14, outputs)
        return Dense(weights=weights, bias=bias, ratios=ratios(outputs, spread / (5000 * math.sqrt(inputs))))

    def norm():
        top = 1 << min(config.bias_width - 1, 28)
        return Norm(bias=rng.integers(-top, top, config.width), ratios=ratios(config.width, 100 / 2**30))

    width = config.width
    wide = (1 << config.residual_width - 1) / 4
    return IntegerBlock(
        config=config,
        query=dense(width, width, 60),
        key=dense(width, width, 60),
        value=dense(width, width, 60),
        scores=ratios(config.heads, 60 / (3600 * math.sqrt(config.head_width))),
        context=ratios(width, 1 / 90),
        projection=dense(width, width, wide),
        first_residual=ratios(width, wide / 60),
        first=norm(),
        expansion=dense(width, config.hidden, 60),
        gelu=ratios(config.hidden, 1.2 / (1 << config.sigmoid_width - 1)),
        contraction=dense(config.hidden, width, wide),
        second_residual=ratios(width, wide / 60),
        second=norm(),
    )


def naive_dyadic(value, ratios, at):
    return round(Fraction(value * int(ratios.multiplier[at]), 2 ** int(ratios.shift[at])))


def clamp(value, bits):
    return min(max(value, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


def product(a, b):
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)] for row in a]


def requantised(rows, ratios, first=0):
    return [[clamp(naive_dyadic(x, ratios, first + at), 8) for at, x in enumerate(row)] for row in rows]


def naive_exp(x, octave, n):
    x = max(x + math.floor(Fraction(x, 2)) - math.floor(Fraction(x, 16)), -n * octave)
    q, rest = divmod(-x, octave)
    return max(math.floor((octave - Fraction(rest, 2)) * Fraction(2) ** (n - q)), 0)


def naive_softmax(row, octave):
    e = [naive_exp(x - max(row), octave, 15) for x in row]
    factor = LIMIT // min(sum(e), LIMIT)
    return [min(one * factor // 2**24, 255) for one in e]


def naive_gelu(row, octave, bits):
    top, found = max(0, *row), []
    for x in row:
        e = naive_exp(x - top, octave, 23)
        factor = LIMIT // min(e + naive_exp(-top, octave, 23), LIMIT)
        found.append(x * (e * factor // 2 ** (32 - bits)))
    return found


def naive_norm(row, bias):
    mean = round(Fraction(sum(row), len(row)))
    root = max(math.isqrt(sum((x - mean) ** 2 for x in row)), 1)
    return [math.floor(Fraction((x - mean) * (LIMIT // root), 2)) + add for x, add in zip(row, bias, strict=True)]


def with_weights(rows, dense, columns=slice(None)):
    weights, bias = dense.weights[:, columns].tolist(), dense.bias[columns].tolist()
    return [[x + add for x, add in zip(row, bias, strict=True)] for row in product(rows, weights)]


def naive_sum(rows, ratios, others, other_ratios, bits):
    return [
        [
            clamp(naive_dyadic(x, ratios, at) + naive_dyadic(y, other_ratios, at), bits)
            for at, (x, y) in enumerate(zip(row, other, strict=True))
        ]
        for row, other in zip(rows, others, strict=True)
    ]


def naive_block(block, x):
    """All tensors, as lists of lists."""
    config, size = block.config, block.config.head_width
    found = {"input": x}
    for head in range(config.heads):
        name, first = f"head{head}.", head * size
        for place in ("query", "key", "value"):
            dense = getattr(block, place)
            found[f"{name}{place}.accumulators"] = with_weights(x, dense, slice(first, first + size))
            found[name + place] = requantised(found[f"{name}{place}.accumulators"], dense.ratios, first)
        key = [list(column) for column in zip(*found[name + "key"], strict=True)]
        found[name + "scores.accumulators"] = rows = product(found[name + "query"], key)
        found[name + "scores"] = [[clamp(naive_dyadic(one, block.scores, head), 8) for one in row] for row in rows]
        found[name + "probabilities"] = [naive_softmax(row, config.octave) for row in found[name + "scores"]]
        found[name + "context.accumulators"] = product(found[name + "probabilities"], found[name + "value"])
        found[name + "context"] = requantised(found[name + "context.accumulators"], block.context, first)
    parts = [found[f"head{head}.context"] for head in range(config.heads)]
    found["context"] = [list(itertools.chain(*rows)) for rows in zip(*parts, strict=True)]

    def half(name, place, source, branch, output):
        dense, norm = getattr(block, place), getattr(block, name)
        found[f"{place}.accumulators"] = rows = with_weights(found[source], dense)
        other = getattr(block, f"{name}_residual")
        found[f"{name}.sum"] = naive_sum(rows, dense.ratios, found[branch], other, config.residual_width)
        found[f"{name}.norm"] = [naive_norm(row, norm.bias.tolist()) for row in found[f"{name}.sum"]]
        found[output] = requantised(found[f"{name}.norm"], norm.ratios)

    half("first", "projection", "context", "input", "first")
    found["expansion.accumulators"] = with_weights(found["first"], block.expansion)
    found["expansion"] = requantised(found["expansion.accumulators"], block.expansion.ratios)
    row = config.gelu_row
    found["gelu.wide"] = []
    for one in found["expansion"]:
        cut = [one[at : at + row] for at in range(0, len(one), row)]
        parts = [naive_gelu(part, config.gelu_octave, config.sigmoid_width) for part in cut]
        found["gelu.wide"].append(list(itertools.chain(*parts)))
    found["gelu"] = requantised(found["gelu.wide"], block.gelu)
    half("second", "contraction", "gelu", "first", "output")
    return found


@pytest.mark.parametrize("tokens", [1, 2, 16])
@pytest.mark.parametrize("case", CASES)
def test_every_tensor(case, tokens):
    block = random_block(tokens, **CASES[case])
    x = np.random.default_rng(tokens).integers(-128, 128, (tokens, block.config.width))
    found, expected = block.run(x), naive_block(block, x.tolist())
    assert list(found) == list(expected)
    for name, tensor in found.items():
        assert tensor.tolist() == expected[name], name
    if tokens == 16:
        # The numbers are not all the same, nor all clamped.
        for name, tensor in found.items():
            assert len(np.unique(tensor)) > 10, name
        assert len(np.unique(found["output"])) > 50


def test_steps_need_nothing_else():
    """Each step gives its tensor from those that it names, in order, within its bits."""
    block = random_block(**SMALL)
    x = np.random.default_rng(0).integers(-128, 128, (5, block.config.width))
    tensors, known = block.run(x), {"input"}
    for step in block.steps:
        assert step.unit in UNITS
        assert known.issuperset(step.inputs)
        assert step.output not in known
        known.add(step.output)
        result = execute(step, *(tensors[name] for name in step.inputs))
        np.testing.assert_array_equal(result, tensors[step.output])
        low, high = (-(1 << step.width - 1), (1 << step.width - 1) - 1) if step.signed else (0, (1 << step.width) - 1)
        assert low <= result.min() <= result.max() <= high
    assert known == set(tensors)
    assert block.steps[-1].output == "output"
    assert {step.unit for step in block.steps} == set(UNITS)


def test_accumulator_bits_are_the_least():
    """The largest accumulators of weights, reached by an input of extremes."""
    block = random_block(**SMALL)
    step = next(step for step in block.steps if step.output == "expansion.accumulators")
    weights = block.expansion.weights
    x = np.concatenate([np.where(weights > 0, 127, -128).T, np.where(weights > 0, -128, 127).T])
    reached = execute(step, x)
    assert max(int(reached.max()).bit_length(), int(-reached.min() - 1).bit_length()) + 1 == step.width


def test_widths_of_minilm():
    config = BlockConfig()
    assert (config.width, config.score_bits, config.context_bits) == (384, 21, 21)
    assert config.layer_norm.result_width == 32
    assert BlockConfig(head_width=1).score_bits == 16
    assert config.gelu_row == config.hidden


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"octave": 1 << 16}, r"octave must be less than 65536, or probabilities are no int8, not 65536"),
        ({"gelu_row": 7}, r"gelu_row must divide hidden, 24, not 7"),
        ({"acc_width": 17}, r"accumulators of scores need 18 bits; acc_width is 17"),
        ({"acc_width": 19, "max_tokens": 64}, r"accumulators of context need 21 bits; acc_width is 19"),
        ({"heads": 0}, r"heads must be an integer in 1\.\.64, not 0"),
        ({"bias_width": 32}, r"bias_width must be an integer in 2\.\.31, not 32"),
    ],
)
def test_refused_configurations(parameters, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        BlockConfig(**{**SMALL, **parameters})


def changed(array, value):
    array = array.copy()
    array.flat[3] = value
    return array


def replaced(block, name, part, change):
    """The block with one array changed: ``part`` of ``name``, or of its ratios."""
    old = getattr(block, name)
    if part in ("multiplier", "shift"):
        ratios = old if isinstance(old, Ratios) else old.ratios
        ratios = dataclasses.replace(ratios, **{part: change(getattr(ratios, part))})
        new = ratios if isinstance(old, Ratios) else dataclasses.replace(old, ratios=ratios)
    else:
        new = dataclasses.replace(old, **{part: change(getattr(old, part))})
    return dataclasses.replace(block, **{name: new})


@pytest.mark.parametrize(
    ("name", "part", "change", "message"),
    [
        ("query", "weights", lambda a: changed(a, 128), r"weights of query must be in -128\.\.127, not 128"),
        ("value", "weights", lambda a: a[:-1], r"weights of value must have the shape \(8, 8\), not \(7, 8\)"),
        ("key", "weights", lambda a: a * 1.0, r"weights of key must hold integers, not 'float64'"),
        ("projection", "bias", lambda a: a[:1], r"bias of projection must have the shape \(8,\), not \(1,\)"),
        ("contraction", "bias", lambda a: changed(a, 1 << 31), r"bias of contraction must be in -\d+\.\.\d+, not 2147483648"),
        ("expansion", "bias", lambda a: changed(a, (1 << 31) - 1), r"accumulators of expansion need 33 bits; acc_width is 32"),
        ("first", "bias", lambda a: changed(a, 1 << 30), r"bias of first must be in -1073741824\.\.\d+, not 1073741824"),
        ("second", "multiplier", lambda a: changed(a, 1 << 31), r"multiplier of second must be in 0\.\.\d+, not 2147483648"),
        ("context", "shift", lambda a: changed(a, 64), r"shift of context must be in 0\.\.63, not 64"),
        ("scores", "shift", lambda a: a[:1], r"shift of scores must have the shape \(2,\), not \(1,\)"),
    ],
)  # fmt: skip
def test_refused_weights(name, part, change, message):
    block = random_block(**SMALL)
    with pytest.raises(ConfigError, match=f"^{message}$"):
        replaced(block, name, part, change)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.full((2, 8), 128), r"an element of 8 bits must be in -128\.\.127, not 128"),
        (np.zeros((2, 8)), r"rows must hold integers, not 'float64'"),
        (np.zeros((17, 8), int), r"an input must be an array of shape \(1\.\.16, 8\), not \(17, 8\)"),
        (np.zeros((0, 8), int), r"an input must be an array of shape \(1\.\.16, 8\), not \(0, 8\)"),
        (np.zeros((2, 9), int), r"an input must be an array of shape \(1\.\.16, 8\), not \(2, 9\)"),
        (np.zeros(8, int), r"an input must be an array of shape \(1\.\.16, 8\), not \(8,\)"),
    ],
)
def test_refused_inputs(x, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        random_block(**SMALL).run(x)


def test_refused_steps():
    with pytest.raises(ConfigError, match=r"^unit must be one of gemm, .*, join, not 'relu'$"):
        execute(Step(unit="relu", inputs=("x",), output="y", width=8), np.zeros((1, 1), int))
    with pytest.raises(ConfigError, match=r"^y must be in -128\.\.127, not 128$"):
        execute(Step(unit="join", inputs=("x",), output="y", width=8), np.full((1, 1), 128))
    product = Step(unit="gemm", inputs=("a", "b"), output="y", width=8, config=8)
    with pytest.raises(ConfigError, match=r"^element \(0, 0\) of the product is 128, an accumulator of 8 bits takes"):
        execute(product, np.full((1, 1), 128), np.full((1, 1), 1))
