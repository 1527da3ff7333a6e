"""Matrix products of dynamic fixed point, with the accumulation of the hardware that is to compute them.

Operands are tensors that share exponents (:mod:`carrysave.models.dfp`), blocks along the reduction. Each accumulation is a
configuration of the hardware:

- of the array, design ``dfp-array``: every sum is exact;
- of the dot-product engine, design ``dfp-dot``: chains of steps in a narrow accumulator, whose sums spill to a wide integer
  or, one after another, to float32 ("Mixed Precision Training of Convolutional Neural Networks using Integer Operations",
  ICLR 2018, arXiv 1802.00930, section on the fused multiply-add). Where a block ends, its chain ends.

A chain is computed step by step only if the operands could make it saturate; everything else is exact integers in float64.
"""

import dataclasses

import numpy as np

from .dfp import DFPFormat, quantise
from .dfp_array import DFPArrayConfig
from .dfp_fma import pre_shift
from .errors import ConfigError
from .integer import wrap

__all__ = ["DFPArithmetic", "DFPProduct", "dfp_gemm"]

_LARGEST_SCALE = 900  # of a sum, as a power of two: float64 holds it with the 2^50 of the integers


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DFPProduct:
    """Result of a matrix product.

    Parameters
    ----------
    sums : ``int64`` array of shape (M, N), or None
        Integers; None where sums spill to float32.
    exponents : ``int64`` array that broadcasts to (M, N), or None
        Theirs.
    spilled : ``float32`` array of shape (M, N), or None
        What the spills have added up to; None where sums are integers.
    saturated : :class:`int`
        Steps at which an accumulator saturated.
    overflowed : :class:`int`
        Chains whose sum is not the exact one.
    """

    sums: np.ndarray | None = None
    exponents: np.ndarray | None = None
    spilled: np.ndarray | None = None
    saturated: int = 0
    overflowed: int = 0

    @property
    def float32(self):
        """The result as ``float32``: what the spills have added up to, or the integers, rounded once."""
        return self.spilled if self.sums is None else _rounded(self.sums.astype(np.float64), self.exponents)


def dfp_gemm(a, b, config):
    """``a @ b``.

    Parameters
    ----------
    a : :class:`~carrysave.models.dfp.DFPTensor` of shape (M, K)
        Rows or blocks along axis 1.
    b : :class:`~carrysave.models.dfp.DFPTensor` of shape (K, N)
        Rows or blocks along axis 0; blocks of one size with those of ``a``.
    config : :class:`~carrysave.models.dfp_array.DFPArrayConfig` or :class:`~carrysave.models.dfp_dot.DFPDotConfig`

    Returns
    -------
    :class:`DFPProduct`

    Raises
    ------
    ConfigError
        If shapes or blocks do not match, mantissas are wider than the configuration's operands, K is larger than its
        ``max_k``, or there are blocks along K while sums are integers, which have one exponent.
    """
    _check(a, b, config)
    left, right = (pre_shift(config, operand.mantissas) for operand in (a, b))
    blocked = not isinstance(a.block, str)
    if not blocked:
        exponents = a.exponents + b.exponents + 2 * config.input_shift
    if getattr(config, "spill", None) == "float32":
        return _spilled(a, b, left, right, config)
    if blocked:
        raise ConfigError(
            f"blocks of {a.block} along K need sums in float32, which have an exponent each: an integer sum has one for all K"
        )
    told = [0, 0]
    if isinstance(config, DFPArrayConfig) or _safe(left, right, config):
        sums = _exact(left, right)
    else:
        sums = np.zeros((left.shape[0], right.shape[1]), np.int64)
        for chain in _chains(left.shape[1], None, config):
            sums += _chain(left[:, chain], right[chain], config, told)
    return DFPProduct(
        sums=sums,
        exponents=exponents,
        saturated=told[0],
        overflowed=told[1],
    )


def _check(a, b, config):
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
        raise ConfigError(f"matrices of shapes {a.shape!r} and {b.shape!r} have no product")
    if a.block != b.block and not {a.block, b.block} <= {"tensor", "row"}:
        raise ConfigError(f"matrices must have blocks of one size along K, not {a.block!r} and {b.block!r}")
    for name, operand, axis in (("a", a, 1), ("b", b, 0)):
        if operand.block != "tensor" and operand.axis % 2 != axis:
            raise ConfigError(
                f"blocks of {name} must lie along axis {axis}, the reduction, not axis {operand.axis % 2}"
            )
        if operand.width > config.width:
            raise ConfigError(
                f"mantissas of {name} have {operand.width} bits, operands of the configuration {config.width}"
            )
    if a.shape[1] > config.max_k:
        raise ConfigError(f"a reduction of {a.shape[1]} products exceeds max_k = {config.max_k}")


def _largest(matrix):
    return max(abs(int(matrix.min())), abs(int(matrix.max()))) if matrix.size else 0


def _safe(left, right, config):
    """Whether no chain of these operands can leave its accumulator's range: by derivation, or by what the operands are."""
    if config.overflow == "refuse":
        return True
    steps = min(config.chain, -(-left.shape[1] // config.lanes))
    return steps * config.lanes * _largest(left) * _largest(right) < 1 << config.acc_width - 1


def _exact(left, right):
    """Product of integer matrices by float64, which holds every sum of 2^20 products of 2^30, in whatever order they come."""
    return np.matmul(left.astype(np.float64), right.astype(np.float64)).astype(np.int64)


def _rounded(sums, exponents):
    """Integers in float64, times powers of two, rounded to float32 once."""
    with np.errstate(over="ignore"):  # an infinity, as IEEE 754 has it
        return np.ldexp(sums, exponents).astype(np.float32)


def _chains(k, block, config):
    """Where the chains of a reduction lie, in order: they end with their block."""
    length = config.chain * config.lanes
    for start in range(0, k, block or max(k, 1)):
        stop = min(start + block, k) if block else k
        for first in range(start, stop, length):
            yield slice(first, min(first + length, stop))


def _chain(left, right, config, told):
    """Sums of one chain for all elements of the result; adds what saturated and overflowed to ``told``."""
    if _safe(left, right, config):
        return _exact(left, right)
    if config.overflow != "saturate":
        exact = _exact(left, right)
        sums = wrap(exact, config.acc_width, True)
        told[1] += int(np.count_nonzero(sums != exact))
        return sums
    low, high = -1 << config.acc_width - 1, (1 << config.acc_width - 1) - 1
    sums = np.zeros((left.shape[0], right.shape[1]), np.int64)
    for start in range(0, left.shape[1], config.lanes):
        total = sums + _exact(left[:, start : start + config.lanes], right[start : start + config.lanes])
        sums = np.clip(total, low, high)
        told[0] += int(np.count_nonzero(sums != total))
    return sums


def _spilled(a, b, left, right, config):
    """Chains added up in float32, in order."""
    told, shift = [0, 0], 2 * config.input_shift
    block = a.block if isinstance(a.block, int) else None
    # Powers of two may as well be in the operands: a chain has one for each row and column, and float64 scales exactly.
    scaled = _safe(left, right, config) and _highest(a) + _highest(b) + shift < _LARGEST_SCALE
    if scaled:
        left = left * np.ldexp(1.0, a.element_exponents() + shift)
        right = right * np.ldexp(1.0, b.element_exponents())
    total = np.zeros((left.shape[0], right.shape[1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # infinities, and their differences, as IEEE 754 has them
        for chain in _chains(left.shape[1], block, config):
            if scaled:
                total += np.matmul(left[:, chain], right[chain]).astype(np.float32)
                continue
            sums = _chain(left[:, chain], right[chain], config, told)
            if block:
                place = chain.start // block
                exponents = a.exponents[:, [place]] + b.exponents[[place]]
            else:
                exponents = a.exponents + b.exponents
            total += _rounded(sums.astype(np.float64), exponents + shift)
    return DFPProduct(spilled=total, saturated=told[0], overflowed=told[1])


def _highest(tensor):
    return int(tensor.exponents.max(initial=0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPArithmetic:
    """Matrix products of real numbers by way of dynamic fixed point.

    Parameters
    ----------
    form : :class:`~carrysave.models.dfp.DFPFormat`
        Of both operands.
    accumulation : :class:`~carrysave.models.dfp_array.DFPArrayConfig` or :class:`~carrysave.models.dfp_dot.DFPDotConfig`
        What adds the products up.
    """

    form: DFPFormat
    accumulation: object

    def operands(self, a, b, *, lfsr=None):
        """Two matrices of real numbers as tensors whose blocks lie along the reduction.

        Parameters
        ----------
        a : array of floating-point numbers, shape (M, K)
        b : array of floating-point numbers, shape (K, N)
        lfsr : :class:`~carrysave.models.lfsr.LFSR`, optional
            For stochastic rounding: ``a`` is rounded first.

        Returns
        -------
        tuple of two :class:`~carrysave.models.dfp.DFPTensor`
        """
        return quantise(a, self.form, axis=1, lfsr=lfsr), quantise(b, self.form, axis=0, lfsr=lfsr)

    def matmul(self, a, b, *, lfsr=None):
        """``a @ b``.

        Parameters
        ----------
        a, b, lfsr
            As in :meth:`operands`.

        Returns
        -------
        product : ``float32`` array of shape (M, N)
        counts : :class:`~carrysave.models.dfp.DFPCounts`
            Of both conversions.
        """
        left, right = self.operands(a, b, lfsr=lfsr)
        return dfp_gemm(left, right, self.accumulation).float32, left.counts + right.counts
