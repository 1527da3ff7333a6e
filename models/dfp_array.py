"""Output-stationary array with operands of dynamic fixed point: configuration, golden model and stimulus of ``dfp-array``.

The array itself is the 3D cube of :mod:`carrysave.models.cube`, whose PEs sum ``lanes`` products of integers a step (two of
them are a pair-FMA). Exponents stay at its edges: those of a tile's operands arrive with its last step and are added while
the tile drains, and each row of C leaves as float32, rounded once, or down-converted to P bits ("Mixed Precision Training of
Convolutional Neural Networks using Integer Operations", ICLR 2018, arXiv 1802.00930, section on dynamic fixed point).

Accumulators hold every sum of ``max_k`` products, so that nothing in the array ever overflows.
"""

import dataclasses
import itertools
from functools import cached_property
from typing import ClassVar

import numpy as np

from .config import Config, parameter
from .cube import CubeConfig
from .dfp_block import DFPDownConfig, dfp_down_golden
from .dfp_fma import OPERANDS, SHIFT_ROUNDINGS, pre_shift
from .dfp_rounding import DFP_ROUNDINGS
from .errors import ConfigError
from .integer import width_of_range
from .lfsr import LFSR_WIDTH
from .payload import Field, Payload
from .tile import TileStreams, tile_ends, tile_golden, tile_stimulus

__all__ = ["DFPArrayConfig", "dfp_array_golden", "dfp_array_stimulus"]

_WIDEST = 48  # of the integers that a down-converter takes


@dataclasses.dataclass(frozen=True, kw_only=True)
class DFPArrayConfig(TileStreams, Config):
    """Output-stationary array of DFP operands."""

    design: ClassVar[str] = "dfp-array"
    shorthands: ClassVar[dict] = {}
    #: Cycles between steps of K.
    initiation_interval: ClassVar[int] = 1
    #: Sums are exact: there is no narrower accumulator to choose.
    overflow: ClassVar[str] = "refuse"

    rows: int = parameter(4, "rows of PEs", legal=(1, 64))
    cols: int = parameter(4, "columns of PEs", legal=(1, 64))
    lanes: int = parameter(2, "products that one PE adds up in a cycle; two are a pair-FMA", legal=(1, 16))
    width: int = parameter(16, "bits of a mantissa, P", legal=(4, 16))
    exponent_width: int = parameter(8, "bits of an exponent", legal=(4, 10))
    exponents: str = parameter(
        "tensor",
        "a tile's operands have one exponent each, or one for each row of A and column of B",
        choices=("tensor", "row"),
    )
    input_shift: int = parameter(
        0, "places by which mantissas are shifted right first; four bits are left at least", legal=(0, 4)
    )
    shift_rounding: str = parameter("floor", "rounding of that shift", choices=SHIFT_ROUNDINGS)
    operands: str = parameter(
        "full", "all values, or the smallest one counts as its neighbour, as there is no opposite", choices=OPERANDS
    )
    max_k: int = parameter(65536, "longest reduction, in products", legal=(1, 1 << 20))
    acc_width: int | None = parameter(
        None, "bits of the accumulators; derived from max_k's worst case", legal=(8, _WIDEST)
    )
    pe: str = parameter("opt1", "accumulator resolved, or in carry-save form", choices=("mac", "opt1"))
    output: str = parameter(
        "float32", "C as float32, rounded once, or down-converted to P bits", choices=("float32", "dfp")
    )
    block: str = parameter("tile", "dfp: what of C shares an exponent", choices=("row", "tile"))
    rounding: str = parameter("nearest-even", "dfp: of the down-conversion", choices=DFP_ROUNDINGS)
    round_up: str = parameter(
        "saturate",
        "dfp: where a largest magnitude could round up to 2^(P-1) it saturates, or the exponent is one more",
        choices=("saturate", "exponent"),
    )
    seed: int = parameter(
        1,
        "dfp: first state of the linear-feedback shift register whose bits stochastic rounding takes",
        legal=(1, (1 << LFSR_WIDTH) - 1),
    )
    result_rows: int | None = parameter(
        None,
        "rows of C that can wait in front of the conversion; derived as rows",
        legal=(1, 256),
    )

    def derive(self):
        if self.width - self.input_shift < 4:
            raise ConfigError(
                f"input_shift must leave 4 bits of {self.width} at least, not {self.width - self.input_shift}"
            )
        low, high = self.operand_range
        least, most = self.max_k * low * high, self.max_k * max(low * low, high * high)
        need = width_of_range(least, most)
        if self.acc_width is None:
            if need > _WIDEST:
                longest = ((1 << _WIDEST - 1) - 1) // max(low * low, high * high)
                raise ConfigError(
                    f"max_k = {self.max_k} needs accumulators of {need} bits, {_WIDEST} is the most; set max_k to {longest} or "
                    f"less, or input_shift to more than {self.input_shift}"
                )
            self._set(acc_width=max(need, 8))
        if self.acc_width < need:
            safe = ((1 << self.acc_width - 1) - 1) // max(low * low, high * high)
            raise ConfigError(
                f"acc_width = {self.acc_width} can overflow: shifted operands are {low}..{high}, so {self.max_k} products "
                f"reach {most}, beyond {(1 << self.acc_width - 1) - 1}; "
                + (f"set max_k to {safe} or less, or " if safe else "")
                + f"widen it to {need}"
            )
        if self.result_rows is None:
            self._set(result_rows=self.rows)
        if self.result_rows < self.rows:
            raise ConfigError(f"result_rows must be at least rows = {self.rows}, not {self.result_rows!r}")
        if self.output == "float32":
            defaults = {field.name: field.default for field in dataclasses.fields(self)}
            for name in ("block", "rounding", "round_up", "seed"):
                if getattr(self, name) != defaults[name]:
                    raise ConfigError(
                        f'{name} = {getattr(self, name)!r} needs output = "dfp": float32 has no such choice'
                    )
        elif self.exponents == "row":
            raise ConfigError(
                'exponents = "row" needs output = "float32": what is down-converted together has one exponent'
            )
        elif self.cols > 32:
            raise ConfigError(f'cols must be 32 at most with output = "dfp", not {self.cols!r}')
        else:
            _ = self.down  # refuses what it cannot do

    @property
    def operand_range(self):
        """Smallest and largest operand after the pre-shift."""
        top = 1 << self.width - 1
        low, high = pre_shift(self, np.array([-top, top - 1])).tolist()
        return low, high

    @property
    def operand_width(self):
        """Bits of an operand after the pre-shift."""
        return self.width - self.input_shift

    @cached_property
    def array(self):
        """Configuration of the integer array inside."""
        # The accumulator is narrower than that of all operands where the range of ours is: as wide as both need.
        return CubeConfig(
            rows=self.rows,
            cols=self.cols,
            lanes=self.lanes,
            a_width=self.operand_width,
            b_width=self.operand_width,
            max_k=self.max_k,
            acc_width=self.acc_width,
            overflow="wrap",
            pe=self.pe,
            result_rows=self.result_rows,
        )

    @cached_property
    def down(self):
        """Configuration of the down-converter; its lanes are the columns of C."""
        return DFPDownConfig(
            width=self.width,
            source_width=self.acc_width,
            exponent_width=self.exponent_width,
            lanes=self.cols,
            block_beats=self.rows if self.block == "tile" else 1,
            rounding=self.rounding,
            round_up=self.round_up,
            seed=self.seed,
        )

    @property
    def counters(self):
        """What the down-converter counts from reset on; None for float32."""
        return self.down.counters if self.output == "dfp" else None

    @property
    def continuous(self):
        """Random bits run on from tile to tile."""
        return self.rounding == "stochastic"

    @property
    def sum_exponent_width(self):
        """Bits of the exponent of a sum: two exponents, and the pre-shift of both operands."""
        low = -(1 << self.exponent_width - 1)
        return width_of_range(2 * low, 2 * (-low - 1) + 2 * self.input_shift)

    @property
    def latency(self):
        """Cycles from a tile's last step to its first row: the array's, and those of the conversion."""
        if self.output == "float32":
            return self.array.latency + 3
        waiting = self.rows - 1 if self.block == "tile" else 0
        return self.array.latency + waiting + self.down.latency

    @property
    def i(self):
        """One step of K a beat: mantissas ``a`` and ``b``, and ``last``, which ends the tile and brings its exponents.

        ``a`` is of shape ``(rows, lanes)``, ``b`` of ``(cols, lanes)``, without the lanes where there is one. The exponents
        count in the beat with ``last``.
        """
        inner = (self.lanes,) if self.lanes > 1 else ()
        each = self.exponents == "row"
        return Payload((
            Field("a", self.width, True, (self.rows, *inner)),
            Field("b", self.width, True, (self.cols, *inner)),
            Field("a_exponent", self.exponent_width, True, (self.rows,) if each else ()),
            Field("b_exponent", self.exponent_width, True, (self.cols,) if each else ()),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """One row of C a beat, from row 0; ``last`` is set with the last row of a tile.

        ``c`` are codes of float32; or mantissas, with what else the down-converter puts out.
        """
        if self.output == "float32":
            return Payload((Field("c", 32, False, (self.cols,)), Field("last", 1)))
        mantissa, *others = self.down.o.fields
        return Payload((dataclasses.replace(mantissa, name="c", shape=(self.cols,)), *others))

    def schedule(self, a, b):
        """Input beats that compute ``a @ b``, tile by tile along a row of tiles first; edges are padded with zeros.

        Parameters
        ----------
        a : :class:`~carrysave.models.dfp.DFPTensor` of shape (M, K)
        b : :class:`~carrysave.models.dfp.DFPTensor` of shape (K, N)
            With one exponent each, or with one a row of ``a`` and a column of ``b`` where ``exponents="row"``.
        """
        given = []
        for name, operand, count, size in (("a", a, a.shape[0], self.rows), ("b", b, b.shape[1], self.cols)):
            if not isinstance(operand.block, str) or (operand.block == "row" and self.exponents == "tensor"):
                has = f"block of {operand.block}" if isinstance(operand.block, int) else repr(operand.block)
                takes = "a row" if self.exponents == "row" else "for the whole matrix"
                raise ConfigError(f"{name} has an exponent for each {has}; this array takes one {takes}")
            each = np.broadcast_to(operand.exponents.ravel(), count if self.exponents == "row" else 1)
            given.append(np.pad(each, (0, -count % size)) if self.exponents == "row" else each[0])
        beats = super().schedule(a.mantissas, b.mantissas)
        down, across = -(-a.shape[0] // self.rows), -(-b.shape[1] // self.cols)
        shaped = beats.reshape(down, across, -1)
        if self.exponents == "row":
            shaped["a_exponent"] = given[0].reshape(down, 1, 1, self.rows)
            shaped["b_exponent"] = given[1].reshape(1, across, 1, self.cols)
        else:
            shaped["a_exponent"], shaped["b_exponent"] = given
        return beats

    def collect(self, beats, m, n):
        """C of shape (M, N) from the output beats that answer :meth:`schedule`, ``float64``, as the array gives it."""
        c = super().collect(beats, m, n)
        if self.output == "float32":
            return c.astype(np.uint32).view(np.float32).astype(np.float64)
        down, across = -(-m // self.rows), -(-n // self.cols)
        exponents = beats["exponent"].reshape(down, across, self.rows).transpose(0, 2, 1).reshape(-1, across)
        return np.ldexp(c.astype(np.float64), np.repeat(exponents, self.cols, axis=1)[:m, :n])


def dfp_array_golden(config, beats):
    """Rows of the tiles that the beats complete; ``rows`` beats of ``config.o.dtype`` a tile.

    Raises
    ------
    ConfigError
        If a tile's K is larger than ``max_k``, or an exponent changes within a tile.
    """
    starts, ends = tile_ends(beats)
    if not len(ends):
        return config.o.zeros(0)
    longest = int((ends - starts).max()) * config.lanes
    if longest > config.max_k:
        raise ConfigError(f"a reduction of {longest} products exceeds max_k = {config.max_k}")
    tile_of = np.searchsorted(ends, np.arange(ends[-1]), side="right")
    each = {}
    for name in ("a_exponent", "b_exponent"):
        each[name] = beats[name][ends - 1].reshape(len(ends), -1)
        changed = (beats[name][: len(tile_of)].reshape(len(tile_of), -1) != each[name][tile_of]).any(axis=1)
        if changed.any():
            raise ConfigError(f"{name} of beat {int(np.argmax(changed))} is not that of the beat that ends its tile")
    inner = config.array.i.zeros(len(beats))
    inner["a"], inner["b"], inner["last"] = pre_shift(config, beats["a"]), pre_shift(config, beats["b"]), beats["last"]
    sums = tile_golden(config.array, inner)["c"].reshape(len(ends), config.rows, config.cols)
    exponents = each["a_exponent"][:, :, np.newaxis] + each["b_exponent"][:, np.newaxis] + 2 * config.input_shift
    last = np.arange(1, len(ends) * config.rows + 1) % config.rows == 0
    if config.output == "float32":
        with np.errstate(over="ignore"):  # an infinity, as IEEE 754 has it
            codes = np.ldexp(sums.astype(np.float64), exponents).astype(np.float32).view(np.uint32)
        return config.o.beats(c=codes.reshape(-1, config.cols).astype(np.int64), last=last)
    wide = config.down.i.beats(
        value=sums.reshape(-1, config.cols),
        exponent=np.repeat(exponents[:, 0, 0], config.rows),
        last=last if config.block == "tile" else np.ones_like(last),
    )
    found = dfp_down_golden(config.down, wide)
    names = [name for name in config.o.dtype.names if name not in ("c", "last")]
    return config.o.beats(c=found["mantissa"], last=last, **{name: found[name] for name in names})


def dfp_array_stimulus(config, rng, count):
    """Input beats: tiles of extreme mantissas first, at extreme exponents, then random ones.

    Parameters
    ----------
    config : :class:`DFPArrayConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats. The last beat ends its tile.
    """
    beats = tile_stimulus(config, rng, count)
    # Steps of nothing but small numbers, of ties of the pre-shift, and of the value without an opposite beside others.
    small = np.array([-1, 0, 1, 2, 3, -3, -2, 1 - (1 << config.width - 1), -(1 << config.width - 1)])
    for name, places in (("a", slice(16, 64)), ("b", slice(20, 68))):
        field = beats[name][places]
        field[...] = small[np.arange(len(field)) % len(small)].reshape(-1, *[1] * (field.ndim - 1))
    _starts, ends = tile_ends(beats)
    tile_of = np.searchsorted(ends, np.arange(len(beats)), side="right")
    for turn, name in enumerate(("a_exponent", "b_exponent")):
        low, high = -(1 << config.exponent_width - 1), (1 << config.exponent_width - 1) - 1
        shape = (len(ends), *beats[name].shape[1:])
        drawn = rng.integers(low, high, shape, endpoint=True)
        # Half of them so small that results are within float32's range.
        drawn = np.where(rng.random(shape) < 0.5, drawn, drawn // 4)
        # Every other tile takes the next pair of corners.
        pairs = np.array(list(itertools.product((low, -1, 0, 1, high), repeat=2)))[:, turn]
        taking = -(-len(ends) // 2)
        drawn[::2] = pairs[np.arange(taking) % len(pairs)].reshape(taking, *[1] * (len(shape) - 1))
        beats[name] = drawn[tile_of]
    return beats
