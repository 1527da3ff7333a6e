"""Error of approximate floating-point products over all pairs of mantissas, and the offset that makes it smallest.

With ``x = k / 2^M`` and ``y = m / 2^M`` the mantissas, ``d`` the offset and ``s = x + y + d``, the relative error of a product is
``v(s) / ((1 + x) (1 + y)) - 1``, whatever the exponents. ``v`` is linear in each of the ranges ``s < 1``, ``1 <= s < 2`` and
``2 <= s``: see :mod:`~carrysave.models.lmul`, and there the sources. For one x, and y in one range, the error is

    ``v / ((1 + x) (1 + y)) - 1 = (c / (1 + x) - 1) + c (x + d + q - 1) / (1 + x) * 1 / (1 + y)``,

monotonic in y, so it changes its sign once at most. Its sums over such an interval of y follow from running sums of 1,
``1 / (1 + y)`` and ``1 / (1 + y)^2``: statistics over all ``4^M`` pairs take time and memory in proportion to ``2^M``, half a
second at 20 bits, and nothing is sampled for float32 either.
"""

import dataclasses
import functools
import math

import numpy as np

from .errors import ConfigError

__all__ = ["CRITERIA", "ErrorStatistics", "error_statistics", "mantissa_frequencies", "optimal_offset"]

#: What an optimal offset minimises: the mean of the relative error's magnitude, its root mean square, its largest magnitude,
#: or the magnitude of its mean.
CRITERIA = ("mean-absolute", "rms", "maximum", "unbiased")
CARRIES = ("adder", "formula")
#: What becomes of the bit that the formula's normalising shift drops: it is kept, cut, or rounded to nearest even.
ROUNDINGS = ("none", "toward-zero", "nearest-even")

_SEARCH_BITS = 10  # a search tries offsets that are multiples of 2^-10, over mantissas of at most so many bits
_BLOCK = 1 << 16  # values of x at a time
# Value of a product as c * (s + q), and where s ends, for each range of s.
_ADDER = ((1, 1, 1), (2, 0, 2), (4, -1, math.inf))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ErrorStatistics:
    """Relative error of products, (approximate - exact) / exact.

    Members
    -------
    mean : :class:`float`
    mean_absolute : :class:`float`
        Mean of the magnitude.
    rms : :class:`float`
        Root of the mean square.
    maximum : :class:`float`
        Largest magnitude.
    """

    mean: float
    mean_absolute: float
    rms: float
    maximum: float

    def criterion(self, name):
        """The figure that one of :data:`CRITERIA` minimises."""
        return {
            "mean-absolute": self.mean_absolute,
            "rms": self.rms,
            "maximum": self.maximum,
            "unbiased": abs(self.mean),
        }[name]


def error_statistics(
    *, mantissa_bits, offset, carry="adder", rounding="none", guard_bits=0, weights=None, weights_b=None
):
    """Statistics of the relative error over all pairs of mantissas, each pair counted once or by weight.

    Parameters
    ----------
    mantissa_bits : :class:`int`
        ``M``, 1..23.
    offset : :class:`float`
        What stands for the mantissas' product, in units in the last place, ``2^-M``; a multiple of ``2^-guard_bits``. 0 is
        Mitchell's multiplier.
    carry : :class:`str`
        ``"adder"``: a carry out of the mantissas runs into the exponent. ``"formula"``: the significand is ``1 + s``.
    rounding : :class:`str`
        What becomes of the bit that the formula's significands of 2 and more drop: ``"none"`` keeps it, else
        ``"toward-zero"`` or ``"nearest-even"``.
    guard_bits : :class:`int`
        Bits of the product's mantissa below the operands' last place, 0..8.
    weights : array of ``2 ** mantissa_bits`` numbers, optional
        Frequencies of the mantissas of both operands (:func:`mantissa_frequencies`), with any sum; uniform without.
    weights_b : array of ``2 ** mantissa_bits`` numbers, optional
        Frequencies of the second operand's mantissas, where they differ.

    Returns
    -------
    :class:`ErrorStatistics`
        The largest error is over pairs whose weights are not zero.

    Raises
    ------
    ConfigError
        For a parameter out of its range.
    """
    _check(mantissa_bits, carry, rounding, guard_bits)
    units = offset * (1 << guard_bits)
    if not 0 <= units < 1 << mantissa_bits + guard_bits or int(units) != units:
        raise ConfigError(
            f"offset must be a multiple of 2^-{guard_bits} from 0 to less than {1 << mantissa_bits}, not {offset!r}"
        )
    first, second = _both_weights(weights, weights_b, mantissa_bits)
    return _statistics(mantissa_bits, int(units), carry, rounding, guard_bits, first, second)


def optimal_offset(
    *,
    mantissa_bits,
    carry="adder",
    rounding="none",
    guard_bits=0,
    criterion="mean-absolute",
    weights=None,
    weights_b=None,
):
    """The offset with the smallest error, by exhaustive search.

    All offsets are tried, those that are multiples of ``2^-10`` if the product's mantissa has more than 10 bits. Mantissas
    of more than 10 bits are cut to 10 for the search. That moves a mantissa by less than ``2^-10``, hence the best offset
    by about as much, so that over all mantissas the maximum and the mean end within ``2^-10`` of what is possible; the mean
    magnitude and the root mean square, flat at their minimum, within ``2^-18``.

    Parameters
    ----------
    mantissa_bits, carry, rounding, guard_bits, weights, weights_b
        As in :func:`error_statistics`.
    criterion : :class:`str`
        One of :data:`CRITERIA`.

    Returns
    -------
    :class:`float`
        In units in the last place of the operands' mantissa; of equally good ones the smallest.
    """
    _check(mantissa_bits, carry, rounding, guard_bits)
    if criterion not in CRITERIA:
        raise ConfigError(f"criterion must be one of {', '.join(CRITERIA)}, not {criterion!r}")
    kept = min(mantissa_bits, _SEARCH_BITS)
    kept_guard = min(guard_bits, _SEARCH_BITS - kept)
    if kept < mantissa_bits:
        rounding = "none"  # the bit dropped lies below those kept
    if weights is None and weights_b is None:
        found = _uniform_search(kept, carry, rounding, kept_guard)
    else:
        pair = _both_weights(weights, weights_b, mantissa_bits)
        found = _search(kept, carry, rounding, kept_guard, *(w.reshape(1 << kept, -1).sum(axis=1) for w in pair))
    best = min(range(len(found)), key=lambda units: found[units].criterion(criterion))
    return best * 2.0 ** (mantissa_bits - kept - kept_guard)


def mantissa_frequencies(codes, form):
    """How often each mantissa occurs among codes; numbers without a hidden one, infinities and NaNs do not count.

    Parameters
    ----------
    codes : array of integers
    form : :class:`~carrysave.models.float_format.FloatFormat`

    Returns
    -------
    ``int64`` array of ``2 ** form.mantissa_bits`` counts
    """
    codes = form.checked(codes)
    mantissas = codes[form.is_normal(codes)] & form.dtype.type(form.mantissa_mask)
    return np.bincount(mantissas, minlength=1 << form.mantissa_bits)


def _check(mantissa_bits, carry, rounding, guard_bits):
    for name, value, low, high in (("mantissa_bits", mantissa_bits, 1, 23), ("guard_bits", guard_bits, 0, 8)):
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{name} must be an integer in {low}..{high}, not {value!r}")
    for name, value, legal in (("carry", carry, CARRIES), ("rounding", rounding, ROUNDINGS)):
        if value not in legal:
            raise ConfigError(f"{name} must be one of {', '.join(legal)}, not {value!r}")
    if carry == "adder" and rounding != "none":
        raise ConfigError(f'rounding {rounding!r} needs carry = "formula": an adder drops no bit')


def _both_weights(weights, weights_b, mantissa_bits):
    count = 1 << mantissa_bits
    first = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    second = first if weights_b is None else np.asarray(weights_b, np.float64)
    for array in (first, second):
        if array.shape != (count,) or not (array >= 0).all() or not 0 < array.sum() < math.inf:
            raise ConfigError(
                f"weights must be {count} numbers, none negative, not all zero; their shape is {array.shape!r}"
            )
    return first, second


@functools.cache
def _uniform_search(mantissa_bits, carry, rounding, guard_bits):
    weights = np.ones(1 << mantissa_bits)
    return _search(mantissa_bits, carry, rounding, guard_bits, weights, weights)


def _search(mantissa_bits, carry, rounding, guard_bits, first, second):
    """Statistics of every offset worth a try, by its units in the last place of the product."""
    one = 1 << mantissa_bits + guard_bits
    # An adder is short of the product by 1/4 of the significand's unit at most: beyond, all errors are positive and grow.
    limit = one // 4 + 1 if carry == "adder" else one
    return [
        _statistics(mantissa_bits, units, carry, rounding, guard_bits, first, second)
        for units in range(min(limit, one))
    ]


def _statistics(mantissa_bits, units, carry, rounding, guard_bits, first, second):
    sums = _Sums(1 << mantissa_bits, units, guard_bits)
    xs, ys = np.flatnonzero(first), np.flatnonzero(second)
    correction = np.array({"none": (0,) * 4, "toward-zero": (0, -1, 0, -1), "nearest-even": (0, -1, 0, 1)}[rounding])
    # Whether the dropped bit is set, and the one above it, is in the last two bits of the sum.
    period = 1 if rounding == "none" else 4
    for residue in range(period):
        part = ys[ys % period == residue]
        inverse = 1 / (1 + part / (1 << mantissa_bits))
        running = [np.concatenate([[0.0], np.cumsum(second[part] * inverse**power)]) for power in range(3)]
        for start in range(0, len(xs) if len(part) else 0, _BLOCK):
            block = xs[start : start + _BLOCK]
            ranges = _ADDER
            if carry == "formula":
                last = (((block + residue) << guard_bits) + units) & 3
                ranges = ((1, 1, 1), (1, 1 + correction[last] / sums.one, math.inf))
            sums.add(block, first[block], part, inverse, running, ranges)
    return sums.statistics(first.sum() * second.sum())


class _Sums:
    """Sums of the relative error, its magnitude and its square, and its largest magnitude."""

    def __init__(self, count, units, guard_bits):
        self.count, self.units, self.guard_bits = count, units, guard_bits
        self.one = count << guard_bits  # units of 1.0
        self.total = self.magnitude = self.square = self.largest = 0.0

    def add(self, xs, weights, ys, inverse, running, ranges):
        """Add all pairs of mantissas xs and ys, integers, ys ascending; ``running`` sums weights of y times inverse powers."""
        x = xs / self.count
        start = np.zeros(len(xs), np.int64)
        for c, q, end in ranges:
            stop = np.full(len(xs), len(ys))
            if end < math.inf:  # the first y with s >= end
                stop = np.searchsorted(ys, -((self.units - end * self.one) >> self.guard_bits) - xs)
            alpha, beta = c / (1 + x) - 1, c * (x + self.units / self.one + q - 1) / (1 + x)
            # The error's sign changes where 1 / (1 + y) = -alpha / beta.
            zero = np.divide(beta, -alpha, out=np.full(len(x), np.inf), where=alpha != 0) - 1
            turn = np.clip(np.searchsorted(ys, zero * self.count), start, stop)
            for low, high in ((start, turn), (turn, stop)):
                w0, w1, w2 = (sums[high] - sums[low] for sums in running)
                error = weights * (alpha * w0 + beta * w1)
                self.total += error.sum()
                self.magnitude += np.abs(error).sum()
                self.square += (weights * (alpha * (alpha * w0 + 2 * beta * w1) + beta * beta * w2)).sum()
            some = stop > start
            for edge in (start[some], stop[some] - 1):
                self.largest = max(self.largest, np.abs(alpha[some] + beta[some] * inverse[edge]).max(initial=0))
            start = stop

    def statistics(self, weight):
        """What the sums come to, for the sum of all weights."""
        return ErrorStatistics(
            mean=float(self.total / weight),
            mean_absolute=float(self.magnitude / weight),
            rms=math.sqrt(max(self.square / weight, 0.0)),
            maximum=float(self.largest),
        )
