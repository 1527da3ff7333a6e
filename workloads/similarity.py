"""What approximate products do to a transformer: how far the similarities of sentences move in MiniLM-L6.

The matrix products of :mod:`~carrysave.workloads.minilm` are computed by the golden model of a dot-product unit, in
attention only or all of them. Operands are rounded to the unit's format to nearest even. Formats with the exponent field of
``float32`` take them as they are; for others each matrix is scaled by the power of two that fits its largest magnitude, and
the product scaled back, both exactly. An exact multiplier's product has the range of the sum, so operands may fill their
format; L-Mul's product has the operands' format, so that each operand gets half of the range above one.
"""

import dataclasses
import math

import numpy as np

from ..models.errors import ConfigError
from ..models.float_dot import FloatDotConfig
from ..models.float_format import FORMATS, FloatFormat
from ..models.float_matmul import float_matmul
from ..models.float_rounding import encode
from ..models.multiplier_error import CRITERIA, mantissa_frequencies, optimal_offset
from .minilm import ATTENTION, PLACES, load_minilm

__all__ = [
    "ARITHMETICS",
    "PAIRS",
    "OffsetRow",
    "SimilarityRow",
    "offsets_over_workload",
    "rank_correlation",
    "replaced_matmul",
    "retrieval",
    "similarity_report",
]

#: Sentences in pairs that say much the same; each topic has two pairs, so that a nearest neighbour is more than a topic.
PAIRS = (
    ("The central bank raised interest rates again.", "The monetary authority lifted its interest rate once more."),
    ("The central bank warned of rising prices.", "Inflation is a danger, said the monetary authority."),
    ("The company dismissed a third of its workers.", "One in three employees lost their jobs at the firm."),
    ("The company hired hundreds of new workers.", "The firm took on many more employees."),
    ("The nurse changed the bandage every morning.", "Each morning a nurse put on a new dressing."),
    ("The hospital had no free beds in the winter.", "Patients could not be admitted when it was cold."),
    ("Boil the pasta until it is soft but still firm.", "Cook the noodles until they have some bite left."),
    ("Let the dough rest until it is twice as large.", "Wait for the bread to rise before you bake it."),
    ("The striker scored twice in the final minutes.", "Two late goals by the forward decided the match."),
    ("The keeper saved two penalties in the final minutes.", "Two late shots were stopped by the goalkeeper."),
    ("Astronomers found a planet that circles two stars.", "A world in orbit around a pair of suns was discovered."),
    ("Astronomers found a star beside a black hole.", "A sun was seen in orbit around a black hole."),
)

_LMUL = {"multiplier": "lmul", "accumulator": "sequential"}
_EXACT = {"multiplier": "exact", "accumulator": "sequential"}
_SHORT = {"format": "custom", "exponent_bits": 8}
_UNBIASED = {"offset": "optimal", "criterion": "unbiased"}

#: Parameters of :class:`~carrysave.models.float_dot.FloatDotConfig` by the name of an arithmetic; sums are ``float32`` ones, so
#: that the products make the difference.
ARITHMETICS = {
    "L-Mul bfloat16, paper's offset": {**_LMUL, "format": "bfloat16"},
    "L-Mul bfloat16, no offset": {**_LMUL, "format": "bfloat16", "offset": "none"},
    "L-Mul bfloat16, optimal offset": {**_LMUL, "format": "bfloat16", "offset": "optimal"},
    "L-Mul bfloat16, unbiased offset": {**_LMUL, "format": "bfloat16", **_UNBIASED},
    "L-Mul e8m4, paper's offset": {**_LMUL, **_SHORT, "mantissa_bits": 4},
    "L-Mul e8m4, unbiased offset": {**_LMUL, **_SHORT, "mantissa_bits": 4, **_UNBIASED, "guard_bits": 3},
    "L-Mul e8m3, paper's offset": {**_LMUL, **_SHORT, "mantissa_bits": 3},
    "L-Mul e8m3, no offset": {**_LMUL, **_SHORT, "mantissa_bits": 3, "offset": "none"},
    "L-Mul e8m3, unbiased offset": {**_LMUL, **_SHORT, "mantissa_bits": 3, **_UNBIASED, "guard_bits": 3},
    "L-Mul float8_e3m4, paper's offset": {**_LMUL, "format": "float8_e3m4"},
    "L-Mul float8_e4m3fn, paper's offset": {**_LMUL, "format": "float8_e4m3fn"},
    "L-Mul float8_e5m2, paper's offset": {**_LMUL, "format": "float8_e5m2"},
    "exact bfloat16": {**_EXACT, "format": "bfloat16"},
    "exact float8_e3m4": {**_EXACT, "format": "float8_e3m4"},
    "exact float8_e4m3fn": {**_EXACT, "format": "float8_e4m3fn"},
    "exact float8_e5m2": {**_EXACT, "format": "float8_e5m2"},
}

_REPLACED = {"attention": ATTENTION, "all": PLACES}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarityRow:
    """What one arithmetic does to the similarities.

    Members
    -------
    arithmetic : :class:`str`
    replaced : :class:`str`
        Matrix products that it computes: ``"attention"`` or ``"all"``; ``"none"`` for ``float32``.
    mean_change, maximum_change : :class:`float`
        Of the magnitude of a similarity's change from ``float32``, over all pairs of different sentences.
    rank_correlation : :class:`float`
        Spearman's, of the similarities with those of ``float32``.
    retrieval : :class:`float`
        Fraction of the sentences whose nearest neighbour is their paraphrase.
    """

    arithmetic: str
    replaced: str
    mean_change: float
    maximum_change: float
    rank_correlation: float
    retrieval: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class OffsetRow:
    """Mantissas at one place of the network, and the offsets that suit them best.

    Members
    -------
    where : :class:`str`
        One of :data:`~carrysave.workloads.minilm.PLACES`, ``"all"``, or ``"uniform"`` for equally frequent mantissas.
    left, right : ``int64`` arrays
        How often each mantissa occurs among the left and the right operands of the products.
    offsets : dict of :class:`str` to :class:`float`
        The optimal offset in units in the last place, by each of :data:`~carrysave.models.multiplier_error.CRITERIA`.
    """

    where: str
    left: np.ndarray
    right: np.ndarray
    offsets: dict


def replaced_matmul(config, places, *, threads=None):
    """The callable that makes :meth:`~carrysave.workloads.minilm.MiniLM.embeddings` compute with a dot-product unit.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_dot.FloatDotConfig`
    places : collection of :class:`str`
        Of :data:`~carrysave.workloads.minilm.PLACES`; other products are NumPy's.
    threads : :class:`int`, optional
        As for :func:`~carrysave.models.float_matmul.float_matmul`.

    Raises
    ------
    ConfigError
        For an unknown place.
    """
    unknown = sorted(set(places) - set(PLACES))
    if unknown:
        raise ConfigError(f"places must be among {', '.join(PLACES)}, not {unknown[0]!r}")
    form = config.multiplier_config.float_format

    def matmul(a, b, where):
        if where not in places:
            return a @ b
        scales = [_scale(config, array, side) for side, array in enumerate((a, b))]
        left, right = (
            encode(np.ldexp(array, s), form, overflow="saturate") for array, s in zip((a, b), scales, strict=True)
        )
        codes = np.empty((*a.shape[:-1], b.shape[-1]), config.sum_float_format.dtype)
        for index in np.ndindex(a.shape[:-2]):
            codes[index] = float_matmul(config, left[index], right[index], threads=threads)
        return np.ldexp(config.sum_float_format.decode(codes), -sum(scales)).astype(np.float32)

    return matmul


def _scale(config, array, side):
    """Binary logarithm of the factor by which a left (0) or right (1) matrix is multiplied."""
    form = config.multiplier_config.float_format
    largest = float(np.abs(array).max(initial=0))
    if form.exponent_bits == FORMATS["float32"].exponent_bits or largest == 0:
        return 0
    top = math.frexp(form.largest)[1] - 1
    if config.multiplier == "lmul":
        # Left and right exponents add up to two less than the format's top one, so that no product overflows.
        return (top - 1 - side) // 2 - (math.frexp(largest)[1] - 1)
    scale = top - (math.frexp(largest)[1] - 1)
    return scale if math.ldexp(largest, scale) <= form.largest else scale - 1


def similarity_report(*, arithmetics=None, pairs=PAIRS, replaced=("attention", "all"), model=None, threads=None):
    """How the similarities of sentences move when other arithmetics compute the matrix products.

    Parameters
    ----------
    arithmetics : dict of :class:`str` to dict, optional
        As :data:`ARITHMETICS`, which is the default.
    pairs : sequence of pairs of :class:`str`
        Sentences, each beside one that means the same.
    replaced : sequence of :class:`str`
        Of ``"attention"`` and ``"all"``: what is computed by the arithmetics.
    model : :class:`~carrysave.workloads.minilm.MiniLM`, optional
    threads : :class:`int`, optional
        As for :func:`~carrysave.models.float_matmul.float_matmul`.

    Returns
    -------
    list of :class:`SimilarityRow`
        The first is that of ``float32``.

    Raises
    ------
    MiniLMError
        If no model is given and the package with its weights is not installed.
    ConfigError
        If ``replaced`` names something else, or there are fewer than two pairs.
    """
    for name in replaced:
        if name not in _REPLACED:
            raise ConfigError(f"replaced must name {', '.join(_REPLACED)}, not {name!r}")
    if len(pairs) < 2:
        raise ConfigError(f"a report needs at least 2 pairs of sentences, not {len(pairs)!r}")
    model = load_minilm() if model is None else model
    sentences = [sentence for pair in pairs for sentence in pair]
    reference = _similarities(model, sentences, None)
    rows = [_row("float32", "none", reference, reference)]
    for what in replaced:
        for name, parameters in (ARITHMETICS if arithmetics is None else arithmetics).items():
            matmul = replaced_matmul(FloatDotConfig(**parameters), _REPLACED[what], threads=threads)
            rows.append(_row(name, what, _similarities(model, sentences, matmul), reference))
    return rows


def _similarities(model, sentences, matmul):
    with np.errstate(invalid="ignore", over="ignore"):  # an arithmetic that overflows shows as NaN in the report
        vectors = model.embeddings(sentences, matmul)
        return vectors @ vectors.T


def _row(name, what, similarities, reference):
    above = np.triu_indices(len(reference), 1)
    change = np.abs(similarities[above] - reference[above])
    return SimilarityRow(
        arithmetic=name,
        replaced=what,
        mean_change=float(change.mean()),
        maximum_change=float(change.max()),
        rank_correlation=rank_correlation(similarities[above], reference[above]),
        retrieval=retrieval(similarities),
    )


def rank_correlation(first, second):
    """Spearman's rank correlation of two equally long sequences; equal values share the mean of their ranks, NaN has none."""
    if not np.isfinite([first, second]).all():
        return math.nan
    ranks = []
    for values in (first, second):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts - 1) / 2)[inverse])
    return float(np.corrcoef(ranks)[0, 1])


def retrieval(similarities):
    """Fraction of sentences whose nearest neighbour is their pair's other one; pairs are neighbours in the matrix."""
    others = np.where(np.eye(len(similarities), dtype=bool), -np.inf, similarities)
    return float(np.mean(others.argmax(axis=1) == np.arange(len(others)) ^ 1))


def offsets_over_workload(*, mantissa_bits=7, carry="adder", guard_bits=3, pairs=PAIRS, model=None):
    """The best offsets of L-Mul over the model's own weights and activations.

    Every matrix that takes part in a product counts once, with all its elements: a weight does not count anew for every
    word piece it meets. Left operands are activations, right ones weights, or activations in attention.

    Parameters
    ----------
    mantissa_bits : :class:`int`
        Bits to which operands are rounded, 1..10, with ``float32``'s exponent field; 7 is bfloat16.
    carry, guard_bits
        As in :func:`~carrysave.models.multiplier_error.optimal_offset`.
    pairs : sequence of pairs of :class:`str`
        Sentences whose activations count.
    model : :class:`~carrysave.workloads.minilm.MiniLM`, optional

    Returns
    -------
    list of :class:`OffsetRow`
        One for each place, then one for all of them together and one for uniform mantissas.

    Raises
    ------
    ConfigError
        For a parameter out of its range.
    MiniLMError
        If no model is given and the package with its weights is not installed.
    """
    if type(mantissa_bits) is not int or not 1 <= mantissa_bits <= 10:
        raise ConfigError(f"mantissa_bits must be an integer in 1..10, not {mantissa_bits!r}")
    form = FloatFormat(exponent_bits=8, mantissa_bits=mantissa_bits)
    model = load_minilm() if model is None else model
    counts = {place: np.zeros((2, 1 << mantissa_bits), np.int64) for place in PLACES}

    def matmul(a, b, where):
        for side, array in enumerate((a, b)):
            counts[where][side] += mantissa_frequencies(encode(array, form), form)
        return a @ b

    model.embeddings([sentence for pair in pairs for sentence in pair], matmul)
    counts["all"] = sum(counts.values())
    counts["uniform"] = np.ones_like(counts["all"])
    common = {"mantissa_bits": mantissa_bits, "carry": carry, "guard_bits": guard_bits}
    rows = []
    for where, (left, right) in counts.items():
        offsets = {name: optimal_offset(**common, criterion=name, weights=left, weights_b=right) for name in CRITERIA}
        rows.append(OffsetRow(where=where, left=left, right=right, offsets=offsets))
    return rows
