"""Dynamic fixed point, fused multiply-add: configuration, golden model and stimulus of ``dfp-fma`` and ``dfp-fma-cs``.

``acc += a0 b0 + a1 b1`` on integers of P bits that share an exponent ("Mixed Precision Training of Convolutional Neural
Networks using Integer Operations", ICLR 2018, arXiv 1802.00930, section on overflows). The exponents are not here: they
are the same for all steps of a chain, and a pre-shift by ``input_shift`` adds that much to each.

*Chains.* The accumulator starts from zero, takes ``chain`` steps of two products each, and is put out; the next step begins a
new chain. ``last`` ends the reduction, and the chain with it. What adds the chains of a reduction up is beside the unit.

*Pre-shift.* Operands are shifted right before they are multiplied: rounded down (``"floor"``), toward zero, or to nearest
even; the latter can reach ``2 ** (P - 1 - s)``, which saturates to one less. With ``operands="symmetric"`` the single value
``-2 ** (P - 1)`` counts as its neighbour ``-(2 ** (P - 1) - 1)``.

*Overflow.* The longest safe chain follows from the range of the shifted operands: that of a product, of the products of a
step, of the steps of a chain, against the accumulator's. A longer chain is refused (``overflow="refuse"``), or:

==============  ======================================================================================================
``overflow``    what a chain can do whose sum may not fit
==============  ======================================================================================================
``"saturate"``  after each step, the sum of accumulator and the step's products is clamped to the accumulator's range, once;
                ``saturated`` counts the steps of the chain at which it was
``"flag"``      ``sum`` is the exact sum modulo ``2 ** acc_width``, and ``overflow`` is 1 unless it is the exact one
==============  ======================================================================================================
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .dfp_steps import corner_rows, extreme_runs, random_rows
from .errors import ConfigError
from .integer import width_of_range, wrap
from .mac import ADDERS
from .payload import Field, Payload

__all__ = [
    "LONGEST_CHAIN",
    "OPERANDS",
    "SHIFT_ROUNDINGS",
    "DFPChainConfig",
    "DFPFMACSConfig",
    "DFPFMAConfig",
    "chain_ends",
    "chain_sums",
    "dfp_fma_golden",
    "dfp_fma_stimulus",
    "in_order",
    "policy_field",
    "pre_shift",
]

SHIFT_ROUNDINGS = ("floor", "toward-zero", "nearest-even")
OPERANDS = ("full", "symmetric")
LONGEST_CHAIN = 65536
_MOST_SHIFT = 4
_WIDEST = 48


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPChainConfig(Config):
    """What all designs have in common that sum DFP products in chains: operands, pre-shift, accumulator, overflow."""

    shorthands: ClassVar[dict] = {}

    #: Products of a step.
    lanes: ClassVar[int] = 2
    #: The accumulator is a sum word and a carry word.
    carry_save: ClassVar[bool] = False
    #: Cycles between steps.
    initiation_interval: ClassVar[int] = 1

    width: int = parameter(16, "bits of an operand, P", legal=(4, 16))
    input_shift: int = parameter(
        1, "places by which operands are shifted right first; two bits are left at least", legal=(0, _MOST_SHIFT)
    )
    shift_rounding: str = parameter("floor", "rounding of that shift", choices=SHIFT_ROUNDINGS)
    operands: str = parameter(
        "full", "all values, or the smallest one counts as its neighbour, as there is no opposite", choices=OPERANDS
    )
    acc_width: int = parameter(32, "bits of a chain's sum", legal=(8, _WIDEST))
    chain: int | None = parameter(
        None, "steps of a chain; derived as the longest that cannot overflow", legal=(1, LONGEST_CHAIN)
    )
    overflow: str = parameter(
        "refuse",
        "a chain that can overflow is refused, or each step saturates, or the chain's sum is flagged",
        choices=("refuse", "saturate", "flag"),
    )
    adder: str = parameter(
        "hybrid",
        "parallel-prefix structure of the carry-propagate adders; hybrid follows the bits' arrival",
        choices=ADDERS,
    )

    def derive(self):
        if self.width - self.input_shift < 2:
            raise ConfigError(
                f"input_shift must leave 2 bits of {self.width} at least, not {self.width - self.input_shift}"
            )
        if self.overflow == "saturate" and self.carry_save:
            raise ConfigError(
                'overflow = "saturate" needs a resolved accumulator: whether a sum in carry-save form is too large only '
                'its carry-propagate addition tells; choose overflow = "flag"'
            )
        safe = self.safe_chain
        if self.chain is None and not safe:
            raise ConfigError(f"no chain is safe: {self._derivation(1)}; {self._way_out(1, 'a chain and ')}")
        if self.chain is None:
            self._set(chain=safe)
        if self.overflow == "refuse" and self.chain > safe:
            shorter = f"set chain to {safe} or less, or " if safe else "no chain is safe: "
            raise ConfigError(
                f"chain = {self.chain} can overflow: {self._derivation(self.chain)}; {shorter}{self._way_out(self.chain)}"
            )

    def _derivation(self, steps):
        (low, high), (least, most) = self.operand_range, self.product_range
        # No negative product is larger than the largest one, so it is the positive sums that do not fit.
        bound, limit = steps * self.lanes * most, (1 << self.acc_width - 1) - 1
        return (
            f"shifted operands are {low}..{high}, products {least}..{most}, so {steps} {'step' if steps == 1 else 'steps'} "
            f"of {self.lanes} reach {bound}, beyond {limit}"
        )

    def _way_out(self, steps, also=""):
        shifts = range(self.input_shift + 1, min(_MOST_SHIFT, self.width - 2) + 1)
        enough = next((shift for shift in shifts if self._safe_with(shift) >= steps), None)
        wide = self._width_for(steps)
        ways = [f"set input_shift to {enough}"] if enough else []
        ways += [f"set acc_width to {wide}"] if wide <= _WIDEST else []
        policies = '"flag"' if self.carry_save else '"saturate" or "flag"'
        return ", or ".join([*ways, f"choose {also}overflow = {policies}"])

    def _width_for(self, steps):
        return width_of_range(*(steps * bound for bound in self.step_range))

    def _range_with(self, shift):
        top = 1 << self.width - 1
        low, high = shifted([-top, top - 1], self.width, shift, self.shift_rounding, self.operands).tolist()
        return low, high

    def _safe_with(self, shift):
        low, high = self._range_with(shift)
        least, most = self.lanes * low * high, self.lanes * max(low * low, high * high)
        return min(((1 << self.acc_width - 1) - 1) // most, (1 << self.acc_width - 1) // -least, LONGEST_CHAIN)

    @property
    def operand_range(self):
        """Smallest and largest operand after the pre-shift; rounding is monotonic, so the extremes give them."""
        return self._range_with(self.input_shift)

    @property
    def operand_width(self):
        """Bits of an operand after the pre-shift."""
        return self.width - self.input_shift

    @property
    def product_range(self):
        """Smallest and largest product of two shifted operands."""
        low, high = self.operand_range
        return low * high, max(low * low, high * high)

    @property
    def step_range(self):
        """Smallest and largest sum of a step's products."""
        least, most = self.product_range
        return self.lanes * least, self.lanes * most

    @property
    def safe_chain(self):
        """The longest chain that cannot overflow, in steps; 0 if there is none."""
        return self._safe_with(self.input_shift)

    @property
    def register_width(self):
        """Bits of the accumulator itself: with ``overflow="flag"`` it holds any sum of a whole chain."""
        return max(self.acc_width, self._width_for(self.chain)) if self.overflow == "flag" else self.acc_width

    @property
    def total_width(self):
        """Bits in which accumulator and products are added: where that is clamped afterwards, it must not wrap before."""
        if self.overflow != "saturate":
            return self.register_width
        least, most = self.step_range
        return width_of_range((-1 << self.acc_width - 1) + least, (1 << self.acc_width - 1) - 1 + most)


def policy_field(config, most):
    """The output field that the overflow policy asks for; ``most`` steps can saturate."""
    fields = {"saturate": (Field("saturated", most.bit_length()),), "flag": (Field("overflow", 1),)}
    return fields.get(config.overflow, ())


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPFMAConfig(DFPChainConfig):
    """Fused multiply-add of two pairs, accumulator resolved in every cycle."""

    design: ClassVar[str] = "dfp-fma"

    #: Cycles from the step that ends a chain to its sum: the accumulator itself is what is put out.
    latency: ClassVar[int] = 1

    @property
    def i(self):
        """One step a beat: ``a``, ``b``, two operands each, and ``last``, which ends the reduction and its chain."""
        return Payload((
            Field("a", self.width, True, (self.lanes,)),
            Field("b", self.width, True, (self.lanes,)),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """One beat a chain: ``sum``, what the overflow policy tells of it, and ``last``: it ended the reduction."""
        return Payload((Field("sum", self.acc_width, True), *policy_field(self, self.chain), Field("last", 1)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPFMACSConfig(DFPFMAConfig):
    """Fused multiply-add of two pairs, accumulator in carry-save form until the end of the chain."""

    design: ClassVar[str] = "dfp-fma-cs"

    carry_save: ClassVar[bool] = True
    #: Accumulator, and the register behind the carry-propagate adder.
    latency: ClassVar[int] = 2

    carry_spacing: int = parameter(
        8, "columns for each bit of the carry word above the product; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(2, "the same in the columns that partial products reach", legal=(1, 64))


def shifted(values, width, shift, rounding, operands):
    """Operands of ``width`` bits after the pre-shift, as :func:`pre_shift` has it for a configuration."""
    values = np.asarray(values, np.int64)
    if operands == "symmetric":
        values = np.maximum(values, 1 - (1 << width - 1))
    if not shift:
        return values
    quotient = values >> shift
    if rounding == "floor":
        return quotient
    rest = values - (quotient << shift)
    if rounding == "toward-zero":
        return quotient + ((rest > 0) & (values < 0))
    twice, unit = 2 * rest, 1 << shift
    up = (twice > unit) | ((twice == unit) & (quotient & 1 == 1))
    return np.minimum(quotient + up, (1 << width - 1 - shift) - 1)


def pre_shift(config, values):
    """Operands as they are multiplied: shifted right by ``input_shift``, rounded, saturated.

    Parameters
    ----------
    config : :class:`DFPChainConfig`
    values : array of integers
    """
    return shifted(values, config.width, config.input_shift, config.shift_rounding, config.operands)


def chain_ends(config, forced):
    """Which steps end a chain: the ``chain``-th of it, and those that must, after which a new one begins."""
    forced = np.asarray(forced, bool)
    index = np.arange(len(forced))
    begins = np.concatenate([[True], forced[:-1]])[: len(forced)]
    position = index - np.maximum.accumulate(np.where(begins, index, 0))
    return forced | (position % config.chain == config.chain - 1)


def in_order(starts, lengths):
    """Steps of many runs, side by side.

    Yields for the first step, the second and so on: which runs have it, and where it stands.
    """
    order = np.argsort(-lengths, kind="stable")
    for step in range(int(lengths.max(initial=0))):
        runs = order[: np.searchsorted(-lengths[order], -step)]
        yield runs, starts[runs] + step


def chain_sums(config, a, b, ends):
    """Sums of the chains that are complete.

    Parameters
    ----------
    config : :class:`DFPChainConfig`
    a, b : arrays of integers, shape ``(steps, lanes)``
    ends : array of ``bool``
        As :func:`chain_ends` gives it.

    Returns
    -------
    sums : ``int64`` array
        One a chain.
    told : ``int64`` array
        What the overflow policy tells: how often a chain saturated, or whether it overflowed; zeros with ``"refuse"``.
    """
    ends = np.flatnonzero(ends) + 1
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(ends)]
    sums, told = np.zeros(len(ends), np.int64), np.zeros(len(ends), np.int64)
    if not len(ends):
        return sums, told
    steps = (pre_shift(config, a[: ends[-1]]) * pre_shift(config, b[: ends[-1]])).sum(axis=1)
    if config.overflow != "saturate":
        exact = np.add.reduceat(steps, starts)
        sums = wrap(exact, config.acc_width, True)
        return sums, (sums != exact).astype(np.int64)
    low, high = -1 << config.acc_width - 1, (1 << config.acc_width - 1) - 1
    for chains, index in in_order(starts, ends - starts):
        total = sums[chains] + steps[index]
        sums[chains] = np.clip(total, low, high)
        told[chains] += sums[chains] != total
    return sums, told


def dfp_fma_golden(config, beats):
    """Sums of the chains that the beats complete.

    Parameters
    ----------
    config : :class:`DFPFMAConfig`
    beats : array of ``config.i.dtype``
        Steps; a reduction, and its last chain, ends with the beat that has ``last`` set.

    Returns
    -------
    array of ``config.o.dtype``
        One beat a completed chain.
    """
    ends = chain_ends(config, beats["last"])
    sums, told = chain_sums(config, beats["a"], beats["b"], ends)
    out = config.o.zeros(len(sums))
    out["sum"], out["last"] = sums, beats["last"][ends]
    for name in {"saturated", "overflow"} & set(out.dtype.names):
        out[name] = told
    return out


def dfp_fma_stimulus(config, rng, count):
    """Input beats: corners as reductions of one step, runs of extremes about as long as a chain, then random reductions.

    Parameters
    ----------
    config : :class:`DFPFMAConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit. The last beat ends its reduction.
    """
    a, b = corner_rows(config)
    parts = [(a, b, np.ones(len(a), bool)), extreme_runs(config, (count - len(a)) // 2)]
    rest = max(count - sum(len(part[0]) for part in parts), 0)
    ends = np.cumsum(rng.integers(1, min(3 * config.chain, 64), rest + 1, endpoint=True))
    last = np.zeros(rest, bool)
    last[ends[ends <= rest] - 1] = True
    parts.append((*random_rows(config, rng, rest), last))
    a, b, last = (np.concatenate(column)[:count] for column in zip(*parts, strict=True))
    last[-1:] = True
    return config.i.beats(a=a, b=b, last=last.astype(np.int64))
