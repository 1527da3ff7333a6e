"""Dynamic fixed point, dot-product engine: configuration, golden model and stimulus of the design ``dfp-dot``.

A step is ``lanes`` products of P-bit integers. Steps are summed in a narrow accumulator, in chains as :mod:`.dfp_fma` has them,
and each finished chain spills to a wider accumulator, in order ("Mixed Precision Training of Convolutional Neural Networks
using Integer Operations", ICLR 2018, arXiv 1802.00930, section on overflows; there to float32):

================  ====================================================================================================
``spill``         what a reduction's chains are added up in
================  ====================================================================================================
``"float32"``     ``acc = float32(acc + float32(chain * 2 ** (ea + eb + 2 s)))``, from +0, rounded to nearest even both times;
                  subnormal numbers and infinities as IEEE 754 has them
``"int48"``       an integer of ``wide_width`` bits
``"carry-save"``  the same as sum word and carry word, resolved once at the end
================  ====================================================================================================

A chain takes the exponents ``ea`` and ``eb`` that come with its operands. Where they change the chain before must end: with
``spill`` set in its last beat, if it is not complete, or with ``last``. An integer has one exponent, so that there they must not
change within a reduction. ``max_k`` is derived such that the wide accumulator cannot overflow.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .dfp_fma import DFPChainConfig, chain_ends, chain_sums, in_order, policy_field
from .dfp_steps import corner_rows, extreme_runs, random_rows
from .errors import ConfigError
from .float_format import FORMATS
from .integer import width_of_range
from .payload import Field, Payload

__all__ = ["SPILLS", "DFPDotConfig", "dfp_dot_golden", "dfp_dot_stimulus", "scaled_float32", "spilled_float32"]

SPILLS = ("float32", "int48", "carry-save")
_LONGEST = 1 << 20
_USUAL = 65536
_FLOAT32 = FORMATS["float32"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPDotConfig(DFPChainConfig):
    """Dot-product engine: lanes of integer multipliers into one accumulator, which spills to a wider one."""

    design: ClassVar[str] = "dfp-dot"

    lanes: int = parameter(8, "products of a step", legal=(2, 32))
    input_shift: int = parameter(
        2,  # with 1 not even a chain of a single step of eight products is safe
        "places by which operands are shifted right first; two bits are left at least",
        legal=(0, 4),
    )
    accumulator: str = parameter("resolved", "form of the accumulator of a chain", choices=("resolved", "carry-save"))
    spill: str = parameter("float32", "what the sums of chains are added up in", choices=SPILLS)
    wide_width: int = parameter(48, "int48 and carry-save: bits of the wide accumulator", legal=(16, 60))
    exponent_width: int = parameter(8, "bits of an operand's exponent", legal=(4, 10))
    max_k: int | None = parameter(
        None,
        "longest reduction, in products; derived such that the wide accumulator cannot overflow, at most 65536",
        legal=(1, _LONGEST),
    )
    carry_spacing: int = parameter(
        8, "carry-save: columns for each bit of a carry word above the products; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(2, "the same in the columns that partial products reach", legal=(1, 64))

    def derive(self):
        super().derive()
        # A step adds no more to a reduction than the accumulator of a chain can hold.
        most = min(self.step_range[1], 1 << self.acc_width - 1)
        safe = _LONGEST
        if self.spill != "float32":
            if self.wide_width < self.acc_width:
                raise ConfigError(
                    f"wide_width must hold a chain's sum, {self.acc_width} bits at least, not {self.wide_width!r}"
                )
            safe = min(((1 << self.wide_width - 1) - 1) // most * self.lanes, _LONGEST)
        if self.max_k is None:
            self._set(max_k=max(min(_USUAL, safe), self.lanes))
        if self.max_k < self.lanes:
            raise ConfigError(f"max_k must be at least lanes = {self.lanes}, one step, not {self.max_k!r}")
        if self.max_steps * self.lanes > safe:
            raise ConfigError(
                f"wide_width = {self.wide_width} can overflow: a step of {self.lanes} products adds up to {most}, "
                f"{self.max_steps} of them {self.max_steps * most}, beyond {(1 << self.wide_width - 1) - 1}; set "
                + (f"max_k to {safe} or less, or " if safe else "")
                + f"wide_width to {width_of_range(-self.max_steps * most, self.max_steps * most)}"
            )

    @property
    def carry_save(self):
        """The accumulator of a chain is a sum word and a carry word."""
        return self.accumulator == "carry-save"

    @property
    def max_steps(self):
        """Steps of the longest reduction."""
        return self.max_k // self.lanes

    @property
    def sum_exponent_width(self):
        """Bits of a sum's exponent, that of both operands and their shifts."""
        low, high = -1 << self.exponent_width - 1, (1 << self.exponent_width - 1) - 1
        return width_of_range(2 * low, 2 * high + 2 * self.input_shift)

    @property
    def latency(self):
        """Cycles from a reduction's last step to its result.

        The accumulator; with carry-save the register behind its adder; conversion to float32 in two, or none; the wide
        accumulator; where that is in carry-save form the register behind its adder.
        """
        return 2 + self.carry_save + {"float32": 2, "int48": 0, "carry-save": 1}[self.spill]

    @property
    def never(self):
        """Bins that no legal beats meet: a reduction of one step ends with its first beat."""
        if self.max_steps > 1:
            return ()
        others = {"a_exponent": "minimum -1 0 1 maximum", "b_exponent": "minimum -1 0 1 maximum", "spill": "minimum 1"}
        pairs = [f"{name} x last: {bin_}, minimum" for name, bins in others.items() for bin_ in bins.split()]
        return ("last: minimum", *pairs)

    @property
    def i(self):
        """One step a beat: operands, their exponents, ``spill``, which ends the chain, ``last``, which ends the reduction."""
        return Payload((
            Field("a", self.width, True, (self.lanes,)),
            Field("b", self.width, True, (self.lanes,)),
            Field("a_exponent", self.exponent_width, True),
            Field("b_exponent", self.exponent_width, True),
            Field("spill", 1),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """One beat a reduction: ``sum``, its ``exponent`` if it is an integer, and what the overflow policy tells.

        A ``float32`` sum is its code. ``saturated`` counts all steps of the reduction that were clamped, ``overflow`` says
        that the sum of one chain or more is not the exact one.
        """
        told = policy_field(self, self.max_steps)
        if self.spill == "float32":
            return Payload((Field("sum", _FLOAT32.width), *told))
        exponent = Field("exponent", self.sum_exponent_width, True)
        return Payload((Field("sum", self.wide_width, True), exponent, *told))


def scaled_float32(values, exponents):
    """``values * 2 ** exponents`` as ``float32``, rounded once to nearest even.

    Parameters
    ----------
    values : array of integers
        Of 53 bits at most, so that ``float64`` holds them.
    exponents : array of integers
        From -1074, where it holds even a one of them; beyond its largest number is far beyond that of ``float32``.
    """
    with np.errstate(over="ignore"):
        return np.ldexp(np.asarray(values, np.float64), exponents).astype(np.float32)


def spilled_float32(terms, starts, lengths):
    """Sums of runs of ``float32`` numbers, one after another from +0; codes, NaN the canonical one."""
    total = np.zeros(len(starts), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for runs, index in in_order(starts, lengths):
            total[runs] += terms[index]
    return np.where(np.isnan(total), _FLOAT32.nan_code, total.view(np.uint32).astype(np.int64))


def _check_exponents(config, beats, begins):
    """Raise :exc:`ConfigError` where exponents change at a beat that does not begin a chain, or a reduction."""
    for name in ("a_exponent", "b_exponent"):
        values = beats[name]
        bad = np.flatnonzero((values[1:] != values[:-1]) & ~begins[1:])
        if len(bad):
            beat = int(bad[0]) + 1
            change = f"beat {beat} changes {name} from {int(values[beat - 1])} to {int(values[beat])} within a "
            if config.spill == "float32":
                raise ConfigError(f"{change}chain; set spill in beat {beat - 1}, which ends the chain there")
            raise ConfigError(
                f'{change}reduction, whose sum has one exponent; set spill = "float32" of the configuration'
            )


def dfp_dot_golden(config, beats):
    """Results of the reductions that the beats complete.

    Parameters
    ----------
    config : :class:`DFPDotConfig`
    beats : array of ``config.i.dtype``
        Steps; a reduction ends with the beat that has ``last`` set.

    Returns
    -------
    array of ``config.o.dtype``
        One beat a completed reduction.

    Raises
    ------
    ConfigError
        If exponents change within a chain, or within a reduction that has an integer for its sum; or if a reduction is longer
        than ``max_k``.
    """
    last = beats["last"].astype(bool)
    ends = chain_ends(config, (beats["spill"] | beats["last"]).astype(bool))
    may_change = ends if config.spill == "float32" else last
    _check_exponents(config, beats, np.concatenate([[True], may_change[:-1]])[: len(beats)])
    finished = np.flatnonzero(last) + 1
    steps = np.diff(finished, prepend=0)
    if len(steps) and steps.max() > config.max_steps:
        raise ConfigError(f"a reduction of {int(steps.max()) * config.lanes} products exceeds max_k = {config.max_k}")
    out = config.o.zeros(len(finished))
    if not len(finished):
        return out
    beats, ends = beats[: finished[-1]], ends[: finished[-1]]
    sums, told = chain_sums(config, beats["a"], beats["b"], ends)
    ends = np.flatnonzero(ends)
    exponents = beats["a_exponent"][ends] + beats["b_exponent"][ends] + 2 * config.input_shift
    after = np.searchsorted(ends, finished)  # chains of the reductions up to each one's end
    starts = np.concatenate([[0], after[:-1]])
    if config.spill == "float32":
        out["sum"] = spilled_float32(scaled_float32(sums, exponents), starts, after - starts)
    else:
        out["sum"] = np.add.reduceat(sums, starts)
        out["exponent"] = exponents[after - 1]
    if config.overflow == "saturate":
        out["saturated"] = np.add.reduceat(told, starts)
    if config.overflow == "flag":
        out["overflow"] = np.maximum.reduceat(told, starts)
    return out


def _controls(config):
    """``spill`` and ``last`` of two reductions that show all four pairs of them, as far as ``max_k`` lets them."""
    pairs = {1: [(0, 1), (1, 1)], 2: [(0, 0), (0, 1), (1, 0), (1, 1)]}
    return np.array(pairs.get(config.max_steps, [(0, 0), (1, 0), (0, 1), (1, 1)])).T


def _exponents(config, rng, spill, last, directed):
    """Exponents of beats: the first ``directed`` reductions take turns at all pairs of corners, the others are random.

    Where sums spill to float32 the chains of a random reduction have exponents that are near one another, but for a quarter.
    """
    field = config.i.fields[2]
    low, high = field.minimum, field.maximum
    corners = np.unique([low, -1, 0, 1, high])
    grid = np.stack([x.ravel() for x in np.meshgrid(corners, corners, indexing="ij")]).repeat(2, axis=1)
    reduction, chain = (
        np.concatenate([[0], np.cumsum(ends)[:-1]])[: len(ends)].astype(np.int64)
        for ends in (last, chain_ends(config, spill | last))
    )
    count = int(reduction[-1]) + 1 if len(reduction) else 0
    chosen = rng.integers(low, high, (2, count), endpoint=True)
    chosen[:, :directed] = np.resize(grid, (2, directed))[:, :count]
    exponents = chosen[:, reduction]
    if config.spill == "float32":
        chains = int(chain[-1]) + 1 if len(chain) else 0
        near = rng.integers(-8, 8, (2, chains), endpoint=True)[:, chain]
        far = rng.integers(low, high, (2, chains), endpoint=True)[:, chain]
        moved = np.where((rng.random(chains) < 0.25)[chain], far, np.clip(exponents + near, low, high))
        exponents = np.where(reduction < directed, exponents, moved)
    return exponents


def dfp_dot_stimulus(config, rng, count):
    """Input beats: corners of operands, exponents and controls, runs of extremes, then random reductions.

    Parameters
    ----------
    config : :class:`DFPDotConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; corners come first and are cut where they do not fit. The last beat ends its reduction. The longest reduction, of
        largest products, is among them where it takes less than half.
    """
    controls = np.tile(_controls(config), 25)
    a, b = corner_rows(config)
    rows = max(len(a), controls.shape[1])
    single = np.stack([np.arange(rows - controls.shape[1]) % 2, np.ones(rows - controls.shape[1], np.int64)])
    parts = [(*(np.resize(x, (rows, config.lanes)) for x in (a, b)), *np.concatenate([controls, single], axis=1))]
    a, b, last = extreme_runs(config, (count - rows) // 2, config.max_steps)
    parts.append((a, b, np.zeros(len(last), np.int64), last))
    if count > 2 * config.max_steps + 2 * rows:
        lowest = np.full((config.max_steps, config.lanes), config.i.fields[0].minimum)
        parts.append((lowest, lowest, np.zeros(config.max_steps, np.int64), np.arange(config.max_steps)[::-1] == 0))
    rest = max(count - sum(len(part[0]) for part in parts), 0)
    ends = np.cumsum(rng.integers(1, min(3 * config.chain, 64, config.max_steps), rest + 1, endpoint=True))
    last = np.zeros(rest, bool)
    last[ends[ends <= rest] - 1] = True
    parts.append((*random_rows(config, rng, rest), rng.random(rest) < 0.1, last))
    a, b, spill, last = (np.concatenate(column)[:count] for column in zip(*parts, strict=True))
    last[-1:] = True
    ea, eb = _exponents(config, rng, spill.astype(bool), last.astype(bool), 50)
    return config.i.beats(
        a=a, b=b, a_exponent=ea, b_exponent=eb, spill=spill.astype(np.int64), last=last.astype(np.int64)
    )
