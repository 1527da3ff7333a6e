"""What the L-Mul paper claims (arXiv 2410.00907), claim by claim, beside what is measured here."""

import itertools

import numpy as np

from .models.float_format import FloatFormat
from .models.float_rounding import encode
from .models.lmul import LMulConfig, lmul_products
from .models.multiplier_error import error_statistics, optimal_offset

__all__ = ["claims", "precision_rows"]

_SAMPLES = 1 << 18
_SEED = 7


def _saved(rows, kind, name, ours, theirs):
    """Part of the energy that one unit saves over another, or None if either was not measured."""
    found = {(row["kind"], row["format"], row["arithmetic"]): row["energy_fj"] for row in rows}
    keys = (kind, name, ours), (kind, *theirs)
    if not all(key in found for key in keys):
        return None
    return 1 - found[keys[0]] / found[keys[1]]


def precision_rows():
    """Error of products against those of unrounded operands: rounding of the operands and of the product included.

    Returns
    -------
    list of dict
        ``arithmetic``, ``mean_absolute``, ``rms``: relative errors over normally distributed pairs.
    """
    rng = np.random.default_rng(_SEED)
    x, y = rng.normal(0, 1, (2, _SAMPLES))
    exact = x * y
    rows = []
    for bits in (2, 3, 4, 5, 7):
        form = FloatFormat(exponent_bits=8, mantissa_bits=bits)
        a, b = encode(x, form), encode(y, form)
        lmul = LMulConfig(format="custom", exponent_bits=8, mantissa_bits=bits)
        for arithmetic, products in (
            (f"exact, {bits} mantissa bits", form.decode(encode(form.decode(a) * form.decode(b), form))),
            (f"L-Mul, {bits} mantissa bits", form.decode(lmul_products(lmul, a, b))),
        ):
            error = products / exact - 1
            rows.append({
                "arithmetic": arithmetic,
                "mean_absolute": float(np.abs(error).mean()),
                "rms": float(np.sqrt((error**2).mean())),
            })  # fmt: skip
    return rows


def claims(rows, text=()):
    """The claims as rows: ``claim``, ``published``, ``measured``, ``verdict``.

    Parameters
    ----------
    rows : list of dict
        Units of :func:`~carrysave.compare_lmul.compare_lmul`; a claim whose units are not among them is left out.
    text : list of dict
        Rows of :func:`~carrysave.workloads.similarity.similarity_report`; without them the claim on attention is left out.
    """
    found = []
    for name in ("float32", "float16", "bfloat16", "float8_e4m3fn"):
        saved = _saved(rows, "multiplier", name, "L-Mul", (name, "exact"))
        found += _saving(f"energy saved, element by element, {name}", 0.95, saved)
    for name in ("float32", "bfloat16", "float8_e4m3fn"):
        for accumulator in ("sequential, 1", "tree, 4", "kulisch, 4"):
            saved = _saved(rows, "dot product", name, f"L-Mul, {accumulator}", (name, f"exact, {accumulator}"))
            found += _saving(f"energy saved, dot product, {name}, {accumulator.split(',')[0]}", 0.80, saved)
    saved = _saved(rows, "dot product", "float8_e4m3fn", "L-Mul, kulisch, 4", ("float32", "exact, sequential, 1"))
    found += _saving("the same, float8_e4m3fn with exact sums over float32 exact", 0.80, saved)
    found += _offsets() + _precisions() + _attention(text)
    return found


def _attention(text):
    """The paper's tasks are not here; what is: the similarities of sentences, whose ranks should not change."""
    rows = []
    for row in text:
        if row["replaced"] == "attention" and row["arithmetic"] == "L-Mul bfloat16, paper's offset":
            verdict = "confirmed" if row["mean_change"] <= 0.01 and row["rank_correlation"] >= 0.99 else "not confirmed"
            rows.append({
                "claim": "attention with L-Mul is almost lossless",
                "published": "0.07 % on average over tasks",
                "measured": f"similarities move by {row['mean_change']:.4f} on average, {row['maximum_change']:.4f} at most, "
                f"rank correlation {row['rank_correlation']:.4f}",
                "verdict": verdict,
            })  # fmt: skip
    return rows


def _saving(claim, published, saved):
    if saved is None:
        return []
    verdict = "confirmed" if saved >= published else f"not confirmed, {100 * (published - saved):.0f} points less"
    return [{"claim": claim, "published": f"{published:.0%}", "measured": f"{saved:.1%}", "verdict": verdict}]


def _offsets():
    """Whether l(M) is the best power of two, and better than no offset, in the mean magnitude of the error."""
    rows = []
    for carry, bits in itertools.product(("adder", "formula"), (2, 3, 4, 5, 7, 10)):
        config = LMulConfig(format="custom", exponent_bits=8, mantissa_bits=bits, carry=carry)
        how = {"mantissa_bits": bits, "carry": carry, "rounding": "none" if carry == "adder" else "toward-zero"}
        powers = [1 << power for power in range(bits)]
        errors = {units: error_statistics(**how, offset=units).mean_absolute for units in (0, *powers)}
        best = min(errors, key=errors.get)
        chosen, optimal = config.offset_units, optimal_offset(**how)
        text = (
            f"{errors[chosen]:.4f} with the paper's {chosen} ulp, {errors[0]:.4f} without, best power {best} "
            f"({errors[best]:.4f}), optimum {optimal:g}"
        )
        verdict = "confirmed" if best == chosen else "not confirmed: none is better" if best == 0 else "not confirmed"
        rows.append({
            "claim": f"l(M) minimises the mean error, {carry}, M = {bits}",
            "published": f"l = {bits - chosen.bit_length() + 1}",
            "measured": text,
            "verdict": verdict,
        })  # fmt: skip
    return rows


def _precisions():
    errors = {row["arithmetic"]: row["rms"] for row in precision_rows()}
    rows = []
    for claim, lmul, exact, tolerance in (
        ("L-Mul with 4 mantissa bits is as precise as float8_e4m3 multiplication", 4, 3, 1.1),
        ("L-Mul with 3 mantissa bits is more precise than float8_e5m2 multiplication", 3, 2, 1.0),
    ):
        ours, theirs = errors[f"L-Mul, {lmul} mantissa bits"], errors[f"exact, {exact} mantissa bits"]
        verdict = "confirmed" if ours <= tolerance * theirs else f"not confirmed, {ours / theirs:.2f} times the error"
        rows.append({
            "claim": claim,
            "published": "rms error not larger",
            "measured": f"{ours:.4f} against {theirs:.4f}",
            "verdict": verdict,
        })  # fmt: skip
    return rows
