"""Products of matrices of floating-point codes, bit for bit those of :mod:`~carrysave.models.float_dot`, fast.

With Numba (``pip install carrysave[fast]``) compiled kernels compute them, in threads; without it the golden model does,
block by block. There is a kernel for every configuration. Which one runs is a matter of configuration and data:

==============  ================================================================================================
kernel          computes
==============  ================================================================================================
shifted         L-Mul as one integer addition, ``float32`` sums; no operand NaN or infinite, no product overflows
single          exact multiplier, ``float32`` sums; operands are ``float32`` numbers, no product is flushed to zero
rounded         everything else with rounded additions
exact           exact sums, in as many digits of ``float64`` as the operands' exponents ask for
==============  ================================================================================================
"""

import contextlib
import functools
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .errors import ConfigError
from .float_dot import float_dots
from .float_format import FORMATS
from .float_rounding import encode

__all__ = ["float_matmul"]

_FLOAT32 = FORMATS["float32"]
_ROWS, _COLUMNS = 64, 512  # of a task: b's columns of up to a thousand k then stay in a core's cache
_GROUP = 8  # products that one sum adds in a turn
_SERIAL = 1 << 20  # products below which threads cost more than they bring
_ORACLE_PRODUCTS = 1 << 20  # at a time
_FLOAT64_MANTISSA, _FLOAT64_BIAS = 52, 1023
_NEVER = np.int32(0x7FFFFFFF)  # no magnitude is larger


def float_matmul(config, a, b, *, threads=None):
    """Matrix product of codes, each element as :func:`~carrysave.models.float_dot.float_dots` has it.

    Parameters
    ----------
    config : :class:`~carrysave.models.float_dot.FloatDotConfig`
    a : array of integers, shape (M, K)
        Codes of ``config.float_format``.
    b : array of integers, shape (K, N)
        Codes of ``config.float_format``.
    threads : :class:`int`, optional
        Threads to use; as many as there are processors by default. Without Numba there is one.

    Returns
    -------
    array of ``config.sum_float_format.dtype``, shape (M, N)
        Codes; NaN is the canonical one.

    Raises
    ------
    ConfigError
        If a code is not an integer or has more bits than the format, shapes do not match, K is larger than ``max_k``, or
        ``threads`` is no positive integer.
    """
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ConfigError(f"threads must be a positive integer, not {threads!r}")
    a, b = (np.asarray(config.float_format.checked(matrix), order="C") for matrix in (a, b))
    for name, matrix in (("a", a), ("b", b)):
        if matrix.ndim != 2:
            raise ConfigError(f"{name} must be a matrix, not an array of shape {matrix.shape!r}")
    if a.shape[1] != b.shape[0]:
        raise ConfigError(f"a has {a.shape[1]} columns, but b has {b.shape[0]} rows; the two must be equal")
    length = -(-a.shape[1] // config.lanes) * config.lanes
    if length > config.max_k:
        raise ConfigError(f"a reduction of {length} products exceeds max_k = {config.max_k}")
    out = np.zeros((a.shape[0], b.shape[1]), config.sum_float_format.dtype)
    if 0 in (*a.shape, *b.shape):
        return out
    kernels = _kernels()
    if kernels is None:
        _by_golden_model(config, a, b, out)
    else:
        if out.size * a.shape[1] < _SERIAL:
            threads = 1
        _by_kernels(_plan(kernels, config, a, b), config, out, b, threads or _processors())
    return out


@functools.cache
def _kernels():
    """The module of kernels; ``None`` without Numba."""
    try:
        from . import float_kernels  # half a second to import, which only who multiplies matrices should pay
    except ImportError:  # no Numba, or one that does not go with this NumPy
        return None
    return float_kernels


def _processors():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_golden_model(config, a, b, out):
    columns = min(max(_ORACLE_PRODUCTS // a.shape[1], 1), b.shape[1])
    rows = max(_ORACLE_PRODUCTS // (a.shape[1] * columns), 1)
    for left in range(0, b.shape[1], columns):
        right = b[:, left : left + columns].T[np.newaxis]
        for top in range(0, len(a), rows):
            out[top : top + rows, left : left + columns] = float_dots(config, a[top : top + rows, np.newaxis], right)


def _by_kernels(plan, config, out, b, threads):
    """Let a plan compute all blocks of the result; a plan is a pair of functions.

    ``columns(slice)`` prepares columns of b, ``block(rows, prepared)`` computes what rows of a make of them.
    """
    columns, block = plan
    rows = min(_ROWS, -(-len(out) // threads))
    form = config.sum_float_format

    def task(top, left, prepared):
        values = block(slice(top, top + rows), prepared)
        if values.dtype == np.float32:
            codes = np.where(np.isnan(values), np.uint32(form.nan_code), values.view(np.uint32))
        else:
            codes = encode(values, form, overflow="ieee")
        out[top : top + rows, left : left + codes.shape[1]] = codes

    tops = range(0, len(out), rows)
    with ThreadPoolExecutor(threads) if threads > 1 else contextlib.nullcontext() as pool:
        for left in range(0, b.shape[1], _COLUMNS):
            prepared = columns(slice(left, left + _COLUMNS))
            tasks = (tops, [left] * len(tops), [prepared] * len(tops))
            list(pool.map(task, *tasks) if pool else map(task, *tasks))


def _plan(kernels, config, a, b):
    special = _shifted if config.multiplier == "lmul" else _single
    plan = special(kernels, config, a, b) if config.sum_float_format == _FLOAT32 else None
    return plan or _general(kernels, config, a, b)


def _group(config):
    tree = config.accumulator == "tree"
    return (config.lanes if tree else _GROUP), tree


def _shifted(kernels, config, a, b):
    """Plan for L-Mul on ``float32``'s bits; ``None`` where a result could be anything but a normal number or zero."""
    lmul = config.multiplier_config
    form, product = lmul.operand_format, lmul.product_format
    total = _total(lmul, _range(form, a)[1], _range(form, b)[1])
    rebias = _FLOAT32.bias - form.bias
    if lmul.carry != "adder" or not (form.is_finite(a).all() and form.is_finite(b).all()):
        return None
    if rebias < 0 or total > product.largest_code or (total >> product.mantissa_bits) + rebias > 254:
        return None
    shift, one = _FLOAT32.mantissa_bits - form.mantissa_bits, 1 << _FLOAT32.mantissa_bits
    x = form.magnitudes(a).astype(np.int64) << shift
    low = x + (lmul.constant << _FLOAT32.mantissa_bits - product.mantissa_bits) + rebias * one
    # A product is zero if the right magnitude is, or if the sum is below the smallest normal number.
    limit = np.where(x < one, _NEVER, np.maximum((1 + rebias) * one - low, one) - 1).astype(np.int32)
    # Modulo 2^32 adding the sign is inverting it.
    low = (low + np.where(form.is_negative(a), 1 << 31, 0)).astype(np.int32)

    def columns(part):
        codes = b[:, part]
        y = form.magnitudes(codes).astype(np.uint32) << np.uint32(shift)
        return (y | form.is_negative(codes).astype(np.uint32) << np.uint32(31)).view(np.int32)

    def block(rows, right):
        sums = np.empty((len(low[rows]), right.shape[1]), np.float32)
        kernels.add_shifted(low[rows], limit[rows], right, sums, *_group(config))
        return sums

    if config.accumulator != "kulisch":
        return columns, block
    anchors = _anchors(config, a, b)

    def exact(rows, right):
        sums = np.empty((len(low[rows]), len(anchors) + 1, right.shape[1]))
        kernels.add_exact_shifted(low[rows], limit[rows], right, sums, anchors)
        return _resolve(sums, anchors)

    return columns, exact


def _single(kernels, config, a, b):
    """Plan for the exact multiplier as ``float32`` has it; ``None`` where that is another one."""
    form = config.multiplier_config.operand_format
    lowest = 1 - form.bias - form.mantissa_bits
    if config.accumulator == "kulisch":
        return None
    if form.largest > _FLOAT32.largest or lowest < 1 - _FLOAT32.bias - _FLOAT32.mantissa_bits:
        return None
    if not form.subnormals:
        # A product is rounded as if there were no smallest exponent: no matter where none is that small.
        first, second = (float(form.decode(_range(form, matrix)[0])) for matrix in (a, b))
        if first * second < _FLOAT32.smallest_normal:
            return None
    left = form.decode(a).astype(np.float32)

    def columns(part):
        return form.decode(b[:, part]).astype(np.float32)

    def block(rows, right):
        sums = np.empty((len(left[rows]), right.shape[1]), np.float32)
        kernels.add_single(left[rows], right, sums, *_group(config))
        return sums

    return columns, block


def _range(form, codes):
    """Smallest and largest magnitude among finite numbers that are not zero; those of 1.0 if there is none."""
    magnitudes = form.magnitudes(codes[form.is_finite(codes) & ~form.is_zero(codes)])
    if not magnitudes.size:
        return (form.bias << form.mantissa_bits,) * 2
    return int(magnitudes.min()), int(magnitudes.max())


def _total(lmul, x, y):
    return ((x + y) << lmul.guard_bits) + lmul.constant


def _general(kernels, config, a, b):
    """Plan for any configuration and any operands, in ``float64``."""
    multiplier, form = config.multiplier_config, config.multiplier_config.operand_format
    lmul = config.multiplier == "lmul"
    numbers = _numbers(kernels, multiplier) if lmul else kernels.EXACT
    product = kernels.Rounding(0, 0, np.inf, 0.0)
    if not lmul and config.accumulator != "kulisch":
        product = _rounding(kernels, multiplier.product_format)
    x, first = _operands(form, lmul, a)

    def columns(part):
        return _operands(form, lmul, b[:, part])

    def rounded(rows, right):
        sums = np.empty((len(first[rows]), right[0].shape[1]))
        rounding = _rounding(kernels, config.sum_float_format)
        kernels.add_rounded(x[rows], first[rows], *right, sums, *_group(config), numbers, product, rounding)
        return sums

    if config.accumulator != "kulisch":
        return columns, rounded
    anchors = _anchors(config, a, b)
    special = not (form.is_finite(a).all() and form.is_finite(b).all())
    if lmul:
        special |= _total(multiplier, _range(form, a)[1], _range(form, b)[1]) > multiplier.product_format.largest_code

    def exact(rows, right):
        shape = (len(first[rows]), right[0].shape[1])
        sums, other = np.empty((shape[0], len(anchors) + 1, shape[1])), np.empty(shape)
        kernels.add_exact(x[rows], first[rows], *right, sums, other, numbers, product, anchors, special)
        return np.where(other == 0, _resolve(sums, anchors), other)

    return columns, exact


def _operands(form, lmul, codes):
    """Magnitudes, and signs as L-Mul's kernel wants them, or else values."""
    values = form.decode(codes)
    if not lmul:
        return values.view(np.int64), values  # the former is not looked at
    signs = np.where(form.is_finite(codes) & ~form.is_zero(codes), np.sign(values), values)
    return form.magnitudes(codes).astype(np.int64), signs


def _numbers(kernels, multiplier):
    product = multiplier.product_format
    overflow = np.float64(product.decode(product.overflow_code(multiplier.overflow)))
    return kernels.LMulNumbers(
        guard_bits=multiplier.guard_bits,
        constant=multiplier.constant,
        formula=multiplier.carry == "formula",
        excess=multiplier.offset_units - (1 << product.mantissa_bits),
        to_even=multiplier.rounding == "nearest-even",
        mantissa_mask=multiplier.float_format.mantissa_mask,
        smallest=product.smallest_normal_code,
        largest=product.largest_code,
        shift=_FLOAT64_MANTISSA - product.mantissa_bits,
        rebias=(_FLOAT64_BIAS - product.bias) << _FLOAT64_MANTISSA,
        overflow=int(overflow.view(np.int64)),
    )


def _rounding(kernels, form):
    return kernels.Rounding(
        dropped=_FLOAT64_MANTISSA - form.mantissa_bits,
        lowest=_FLOAT64_BIAS + 1 - form.bias if form.subnormals else 0,
        largest=form.largest,
        smallest=0.0 if form.subnormals else form.smallest_normal,
    )


def _anchors(config, a, b):
    """Numbers that cut products into digits for exact sums, by the operands' exponents.

    A digit has so many bits that no sum of K of them rounds: with an anchor of ``1.5 * 2^(52 + u)`` added and taken off again,
    a product is rounded to a multiple of ``2^u``, and what remains is the next digits'.
    """
    multiplier, form = config.multiplier_config, config.multiplier_config.operand_format
    low, high = zip(_range(form, a), _range(form, b), strict=True)
    if config.multiplier == "lmul":
        product = multiplier.product_format
        total = _total(multiplier, *high)
        fields = [
            max(t, product.smallest_normal_code) >> product.mantissa_bits for t in (_total(multiplier, *low), total)
        ]
        # The formula's exponents may be one less than the adder's.
        unit = max(fields[0] - 1, 1) - product.bias - product.mantissa_bits
        top = min(fields[1], product.largest_code >> product.mantissa_bits) + 1 - product.bias
    else:
        places = [[max(magnitude >> form.mantissa_bits, 1) - form.bias for magnitude in pair] for pair in (low, high)]
        unit, top = sum(places[0]) - 2 * form.mantissa_bits, sum(places[1]) + 2
    bits = min(_FLOAT64_MANTISSA - (a.shape[1] - 1).bit_length(), 50)
    ends = range(top - bits, unit, -bits)
    # The last digit is what remains, and it may have as many bits as the others.
    return np.array([np.ldexp(1.5, _FLOAT64_MANTISSA + end) for end in ends])


def _resolve(sums, anchors):
    """Sums of digits as one ``float64`` that rounds to any format of up to 24 digits as the exact sum does.

    Carries go up from the last digit. Then digits are added from the first on, rounded to odd: a sum that is not exact gets
    an odd last bit, and no digit further down changes it any more.
    """
    digits = list(np.moveaxis(sums, 1, 0))
    for place in range(len(anchors), 0, -1):
        carry = (digits[place] + anchors[place - 1]) - anchors[place - 1]
        digits[place] = digits[place] - carry
        digits[place - 1] = digits[place - 1] + carry
    total = digits[0]
    for digit in digits[1:]:
        nearest = total + digit
        part = nearest - total
        error = (total - (nearest - part)) + (digit - part)
        even = np.ascontiguousarray(nearest).view(np.int64) & 1 == 0
        total = np.where((error != 0) & even, np.nextafter(nearest, np.copysign(np.inf, error)), nearest)
    return total
