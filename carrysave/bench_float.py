"""Benchmarks of the floating-point golden models: products and matrix products a second, beside NumPy's and others'."""

import importlib.util
import time
from dataclasses import dataclass

import numpy as np

from .models.float_dot import ACCUMULATORS, FloatDotConfig
from .models.float_format import FORMATS
from .models.float_matmul import float_matmul
from .models.float_multiply import FloatMultiplyConfig, float_products
from .models.float_rounding import encode
from .models.lmul import LMulConfig, lmul_products

__all__ = ["FloatSpeed", "float_speeds", "markdown", "speed_rows"]

_FORMATS = ("bfloat16", "float8_e4m3fn")


@dataclass(frozen=True, kw_only=True)
class FloatSpeed:
    """Speed of one way to multiply.

    Members
    -------
    name : :class:`str`
        What is multiplied, and by what.
    rate : :class:`float`
        Products a second.
    ratio : :class:`float`
        To the rate of what it is held against: see ``beside``.
    beside : :class:`str`
        ``name`` of the row that has the ratio 1.
    """

    name: str
    rate: float
    ratio: float
    beside: str


def float_speeds(*, size=512, pairs=1 << 20, seconds=1.0, threads=None):
    """Products a second, each the best of as many runs as the time allows, all in one process.

    Parameters
    ----------
    size : :class:`int`
        M, K and N of the matrix products.
    pairs : :class:`int`
        Products of an element-wise run.
    seconds : :class:`float`
        Time for each row.
    threads : :class:`int`, optional
        Of :func:`~carrysave.models.float_matmul.float_matmul`; as many as there are processors by default, as NumPy has.

    Returns
    -------
    list of :class:`FloatSpeed`
        Element-wise products beside ``ml_dtypes``, then matrix products beside ``float32`` in NumPy. Others that are not
        installed have no row; without ``ml_dtypes`` the exact multiplier is what the others are held against.
    """
    rng = np.random.default_rng(1)
    rows = []
    for name in _FORMATS:
        rows += _element_wise(name, *(rng.normal(0, 1, pairs) for _ in range(2)), seconds)
    a, b = (rng.normal(0, 1, (size, size)).astype(np.float32) for _ in range(2))
    reference = f"float32, NumPy, {size} x {size} x {size}"
    calls = {reference: lambda: a @ b}
    for name in _FORMATS:
        codes = [encode(matrix, FORMATS[name]) for matrix in (a, b)]
        for multiplier in ("lmul", "exact"):
            for accumulator in ACCUMULATORS:
                config = FloatDotConfig(format=name, multiplier=multiplier, accumulator=accumulator)
                label = f"{name}, {'L-Mul' if multiplier == 'lmul' else 'exact'}, {accumulator}"
                calls[label] = lambda config=config, codes=codes: float_matmul(config, *codes, threads=threads)
    return rows + speed_rows(calls, size**3, seconds, reference)


def _element_wise(name, a, b, seconds):
    form = FORMATS[name]
    x, y = encode(a, form), encode(b, form)
    lmul, exact = LMulConfig(format=name), FloatMultiplyConfig(format=name)
    calls = {
        f"{name}, L-Mul": lambda: lmul_products(lmul, x, y),
        f"{name}, exact": lambda: float_products(exact, x, y),
    }
    if importlib.util.find_spec("ml_dtypes"):
        import ml_dtypes

        dtype = getattr(ml_dtypes, name)
        left, right = x.view(dtype), y.view(dtype)
        calls[f"{name}, ml_dtypes"] = lambda: left * right
    if importlib.util.find_spec("gfloat"):
        from gfloat import decode_ndarray, encode_ndarray, formats, round_ndarray

        info = {"bfloat16": formats.format_info_bfloat16, "float8_e4m3fn": formats.format_info_ocp_e4m3}[name]

        def gfloat_products():
            values = decode_ndarray(info, x) * decode_ndarray(info, y)
            return encode_ndarray(info, round_ndarray(info, values))

        calls[f"{name}, gfloat"] = gfloat_products
    reference = next(label for label in (f"{name}, ml_dtypes", f"{name}, exact") if label in calls)
    return speed_rows(calls, len(a), seconds, reference)


def speed_rows(calls, products, seconds, reference):
    """Rates of calls beside one another, each the best of as many runs as a time allows.

    Parameters
    ----------
    calls : dict
        From a name to a callable.
    products : :class:`int`
        Products that a call makes.
    seconds : :class:`float`
        Time for each.
    reference : :class:`str`
        Name of the call that the others are held against.

    Returns
    -------
    list of :class:`FloatSpeed`
    """
    rates = {label: products / _fastest(call, seconds) for label, call in calls.items()}
    return [
        FloatSpeed(name=label, rate=rate, ratio=rate / rates[reference], beside=reference)
        for label, rate in rates.items()
    ]


def _fastest(call, seconds):
    """Seconds of the fastest of the calls that fit a time, two at least; one before them compiles and warms caches."""
    call()
    best, end, count = float("inf"), time.perf_counter() + seconds, 0
    while count < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best, count = min(best, time.perf_counter() - start), count + 1
    return best


def markdown(rows, unit="products"):
    """Lines of a table of what :func:`float_speeds` returns, rates in millions a second."""
    lines = [f"| {unit} | million a second | ratio | beside |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.rate / 1e6:.4g} | {row.ratio:.3g} | {row.beside} |" for row in rows]
    return lines
