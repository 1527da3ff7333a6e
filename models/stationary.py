"""Weight-stationary arrays: configurations, golden model, schedule, stimulus and cycle model.

``C[M, N] = A[M, K] B[K, N]`` is cut into blocks of B, ``lanes`` rows of K by ``cols`` columns of N, that stay in the array
while rows of A stream past: every row that goes in gives a row of partial sums, which an accumulator row per row of A
gathers over the blocks of K. One input beat is a row of A, a row of the *next* block of weights, or both. Every array that
takes such beats shares this golden model, this stimulus, this schedule and this cycle model, whatever happens inside.
"""

import dataclasses
from itertools import pairwise
from typing import ClassVar

import numpy as np

from .config import parameter
from .digits import Recoding
from .errors import ConfigError
from .integer import width_of_range, wrap
from .mac import ProductConfig, operand_corners, operand_samples
from .payload import Field, Payload

__all__ = [
    "StationaryConfig",
    "SystolicWSConfig",
    "TreeConfig",
    "blocks_of_product",
    "flagged_beats",
    "segments",
    "stationary_golden",
    "stationary_stimulus",
]

MAX_K = (1, 1 << 20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StationaryConfig(ProductConfig):
    """Array that holds ``lanes`` x ``cols`` weights and takes one row of A a beat.

    A subclass says with properties what its cycles depend on: :attr:`depth`, and, where they differ, the others below it.
    """

    #: Weights stay from tile to tile.
    continuous: ClassVar[bool] = True

    never: ClassVar[tuple] = ("load x swap: 1, 1",)

    #: Cycles from one use of an accumulator row to the next: read, add, write.
    REUSE_CYCLES: ClassVar[int] = 3

    lanes: int = parameter(4, "rows of weights: products that are summed in space, along K", legal=(1, 64))
    cols: int = parameter(4, "columns of weights, along N", legal=(1, 64))
    max_k: int = parameter(65536, "longest reduction, in products; rounded up to a multiple of lanes", legal=MAX_K)
    tile_rows: int | None = parameter(
        None,
        "accumulator rows: rows of A that one block of weights serves; derived so that neither loads nor results wait",
        legal=(1, 256),
    )

    def derive(self):
        if self.overflow == "refuse" and self.acc_width is not None and not self._fits(self.lanes):
            least = width_of_range(*self.sum_range)
            raise ConfigError(
                f"acc_width must hold the products of all lanes, {least} bits at least, not {self.acc_width!r}; "
                f'widen it or choose overflow = "wrap"'
            )
        # Blocks of K are whole: the last one is filled up with zeros.
        self._set(max_k=min(-(-self.max_k // self.lanes), MAX_K[1] // self.lanes) * self.lanes)
        super().derive()
        if self.tile_rows is None:
            self._set(tile_rows=min(max(16, self.load_wait + self.lanes + self.swap_wait, self.latency), 256))

    @property
    def sum_range(self):
        """Smallest and largest sum of products of all lanes."""
        return tuple(self.lanes * bound for bound in self.product_range)

    @property
    def sum_width(self):
        """Bits of that sum, all that the array proper needs: ``a_width + b_width + ceil(log2(lanes))`` if signed."""
        return min(width_of_range(*self.sum_range), self.acc_width)

    @property
    def depth(self):
        """Cycles from the operand register of column 0 to the resolved sum of all lanes in a register."""
        raise NotImplementedError

    @property
    def row_cycles(self):
        """Cycles that a row of A occupies the input."""
        return 1

    @property
    def load_wait(self):
        """Cycles from a swap to the earliest load; 0 and 1 mean that none waits."""
        return 0

    @property
    def swap_wait(self):
        """Cycles from a load to the earliest swap; 1 means that none waits."""
        return 1

    @property
    def accumulator_cycles(self):
        """Cycles over which an addition to an accumulator is spread, 12 bits in each at most."""
        return -(-self.acc_width // 12)

    @property
    def latency(self):
        """Cycles from a row with ``last`` to its sums: ``depth``, addition, write, read, and the skew of the columns."""
        return self.depth + self.cols + self.accumulator_cycles + 2

    @property
    def initiation_interval(self):
        """Cycles between rows of A."""
        return self.row_cycles

    @property
    def i(self):
        """One beat; its fields.

        ==========  =============================================================================================
        ``a``       a row of the block of A, one element a lane, if ``row`` is set
        ``b``       a row of the next block of weights, one element a column, if ``load`` is set
        ``load``    ``b`` is shifted into the shadow weights; the row of lane ``lanes - 1`` comes first, that of lane 0 last
        ``row``     ``a`` is multiplied by the current weights
        ``swap``    before this beat's row the shadow weights become the current ones, and rows count from 0 again; the
                    shadow weights remain: another swap uses them once more. Not together with ``load``
        ``first``   the sum of this row begins anew; else it goes on from that of the row of the same number before
        ``last``    the row's sums are sent out; the same for all rows between two swaps
        ==========  =============================================================================================
        """
        return Payload((
            Field("a", self.a_width, self.a_signed, (self.lanes,)),
            Field("b", self.b_width, self.b_signed, (self.cols,)),
            Field("load", 1),
            Field("row", 1),
            Field("swap", 1),
            Field("first", 1),
            Field("last", 1),
        ))  # fmt: skip

    @property
    def o(self):
        """A row of C a beat, in the order of the rows with ``last``."""
        return Payload((Field("c", self.acc_width, self.result_signed, (self.cols,)),))

    def schedule(self, a, b):
        """Input beats that compute ``a @ b``: block columns of B one by one, in each the tiles of A's rows.

        The weights of the next block travel in the beats of the last rows before it; those that many tiles share are loaded
        once. A's rows are spread evenly over the tiles; the edges of K and N are padded with zeros.

        Parameters
        ----------
        a : ``int64`` array, shape (M, K)
        b : ``int64`` array, shape (K, N)
            Operands in range; see :func:`~carrysave.models.gemm.to_beats`, which checks them.
        """
        (m, k), n = a.shape, b.shape[1]
        across, steps = -(-n // self.cols), -(-k // self.lanes)
        a = np.pad(a, ((0, 0), (0, steps * self.lanes - k))).reshape(m, steps, self.lanes)
        b = np.pad(b, ((0, steps * self.lanes - k), (0, across * self.cols - n)))
        b = b.reshape(steps, self.lanes, across, self.cols)
        heights, index, loads = blocks_of_product(self, m, steps, across)
        tops = np.concatenate([[0], np.cumsum(heights[index[0] == 0][::steps])])
        number = np.arange(heights.sum()) - np.repeat(np.cumsum(heights) - heights, heights)
        rows = a[np.repeat(tops[index[1]], heights) + number, np.repeat(index[2], heights)]
        weights = b.transpose(2, 0, 1, 3)[index[0][loads], index[2][loads]]
        return _beats(self, heights, rows, weights, loads, index[2] == 0, index[2] == steps - 1)

    def collect(self, beats, m, n):
        """C of shape (M, N) from the output beats that answer :meth:`schedule`; raises :exc:`ConfigError` for others."""
        across = -(-n // self.cols)
        if len(beats) != across * m:
            raise ConfigError(f"a product of {m} by {n} is {across * m} output beats of this array, not {len(beats)}")
        c = beats["c"].reshape(across, m, self.cols).transpose(1, 0, 2)
        return np.ascontiguousarray(c.reshape(m, across * self.cols)[:, :n])


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystolicWSConfig(StationaryConfig):
    """Weight-stationary systolic array: operands of A move along the rows, partial sums down the columns."""

    design: ClassVar[str] = "systolic-ws"

    pe: str = parameter("opt1", "processing element", choices=("mac", "opt1"))
    carry_spacing: int = parameter(
        8, "opt1: columns for each bit of the carry word above the product; 1 is full carry save", legal=(1, 64)
    )
    carry_spacing_low: int = parameter(1, "opt1: the same in the columns that partial products reach", legal=(1, 64))

    @property
    def depth(self):
        """One PE after another; OPT1's sum and carry word are then resolved."""
        return self.lanes + (self.pe == "opt1")

    @property
    def load_wait(self):
        """A load moves the shadow weights of a whole column at once, the swap reaches the last lane so much later."""
        return self.lanes - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TreeConfig(StationaryConfig):
    """Multiplier-adder tree: a column sums the products of all its lanes at once."""

    design: ClassVar[str] = "tree"

    lanes: int = parameter(16, "products that a column sums at once, along K", legal=(1, 64))
    pe: str = parameter(
        "opt1",
        "mac resolves each product and each sum of two, opt1 one sum a column, opt2 takes one digit of A a cycle",
        choices=("mac", "opt1", "opt2"),
    )
    encode: str = parameter(
        "edge", "Booth digits are made from a in each column, or once before the first", choices=("pe", "edge")
    )
    tree_registers: int | None = parameter(
        None, "opt1, opt2: registers inside a column's compressor; derived from the number of lanes", legal=(0, 2)
    )

    def derive(self):
        if self.tree_registers is None:
            self._set(tree_registers=1 if self.pe != "mac" and self.lanes > 4 else 0)
        if self.pe == "mac" and self.tree_registers:
            raise ConfigError('tree_registers must be 0 with pe = "mac", whose adders each have a register')
        if self.pe == "opt2" and (self.partial_products, self.encode) != ("booth", "edge"):
            raise ConfigError(
                'pe = "opt2" needs partial_products = "booth" and encode = "edge": digits come one by one'
            )
        super().derive()

    @property
    def pe_lanes(self):
        """Products that one column adds up in a cycle."""
        return self.lanes

    @property
    def depth(self):
        """Product and levels of adders; or compressor and final adder, with OPT2 after the last digit."""
        if self.pe == "mac":
            return 1 + (self.lanes - 1).bit_length()
        return self.tree_registers + 2

    @property
    def row_cycles(self):
        """With OPT2 one for each digit."""
        if self.pe != "opt2":
            return 1
        return Recoding(encoding="mbe", width=self.a_width, signed=self.a_signed).n_digits

    @property
    def load_wait(self):
        """All columns load at once, a cycle after the beat, but swap one after another."""
        return self.cols - 2 if self.cols > 1 else 0

    @property
    def swap_wait(self):
        """The last load is on its way into the columns for a cycle."""
        return 2


def blocks_of_product(config, m, steps, across):
    """The blocks of weights that a matrix product meets, in order.

    Parameters
    ----------
    config : :class:`StationaryConfig`
    m : :class:`int`
        Rows of A, spread evenly over tiles of at most ``tile_rows``.
    steps, across : :class:`int`
        Blocks of B along K, along N.

    Returns
    -------
    heights : array
        Number of rows of A that meet each block.
    index : array of shape ``(3, blocks)``
        Block along N, tile, and block along K.
    loads : array of :class:`bool`
        Whether the block is loaded: where there is but one along K, all tiles share its weights.
    """
    tiles = -(-m // config.tile_rows)
    heights = np.full(tiles, m // tiles)
    heights[: m % tiles] += 1
    index = np.indices((across, tiles, steps)).reshape(3, -1)
    return heights[index[1]], index, (index[1] == 0) | (steps > 1)


def flagged_beats(config, make, heights, loads, first, last):
    """Beats of blocks one after another, the loads of each in the last beats before it, without operands.

    Parameters
    ----------
    config : :class:`StationaryConfig`
    make : callable
        From a number of beats to an array with fields ``load``, ``row``, ``swap``, ``first``, ``last``, all zero.
    heights : array
        Number of rows of each block.
    loads, first, last : arrays of :class:`bool`
        Of each block: whether it loads weights (the first one does), begins sums, ends sums.

    Returns
    -------
    beats : array
    row_places, load_places : arrays
        Beats with ``row``, with ``load``, in order.
    """
    lanes = config.lanes
    following = np.append(loads[1:], False)
    lengths = np.where(following, np.maximum(heights, lanes + 1), heights)
    starts = lanes + np.cumsum(lengths) - lengths
    beats = make(lanes + int(lengths.sum()))
    row_places = np.arange(heights.sum()) + np.repeat(starts - np.cumsum(heights) + heights, heights)
    beats["row"][row_places] = 1
    for name, flags in (("first", first), ("last", last)):
        beats[name][row_places] = np.repeat(flags, heights)
    beats["swap"][starts] = 1
    # The last load stands early enough not to hold up the swap, where there are beats to stand in.
    ends = (starts + np.maximum(lengths - config.swap_wait + 1, lanes + 1))[following]
    load_places = (np.append(lanes, ends)[:, np.newaxis] - np.arange(1, lanes + 1)).ravel()
    beats["load"][load_places] = 1
    return beats, row_places, load_places


def _beats(config, heights, rows, weights, loads, first, last):
    """The same with operands: ``rows`` of shape ``(heights.sum(), lanes)``, ``weights`` ``(loads.sum(), lanes, cols)``."""
    beats, row_places, load_places = flagged_beats(config, config.i.zeros, heights, loads, first, last)
    beats["a"][row_places] = rows
    beats["b"][load_places] = weights.reshape(-1, config.cols)
    return beats


def _require(bad, text):
    """Raise :exc:`ConfigError` with the first beat for which ``bad`` is true."""
    if bad.any():
        raise ConfigError(f"beat {int(np.argmax(bad))} {text}")


def segments(config, beats):
    """Check the beats' flags; begin and end of what lies between swaps, and each beat's row number.

    Returns
    -------
    bounds : ``int64`` array
        Beats with ``swap``, and the number of beats.
    numbers : ``int64`` array
        Number of the next row, before each beat but after its swap.
    """
    swap, row, load = (beats[name] != 0 for name in ("swap", "row", "load"))
    _require(swap & load, "has both swap and load")
    _require(swap & (np.cumsum(load) < config.lanes), f"swaps before {config.lanes} rows of weights were loaded")
    _require(row & (np.cumsum(swap) == 0), "has a row before the first swap")
    bounds = np.append(np.flatnonzero(swap), len(beats))
    before = np.cumsum(row) - row
    numbers = before - np.concatenate([[0], before[bounds[:-1]]])[np.cumsum(swap)]
    _require(row & (numbers >= config.tile_rows), f"is row {config.tile_rows} of its block, tile_rows is too small")
    rows = np.flatnonzero(row)
    same = np.diff(np.cumsum(swap)[rows]) == 0
    differs = np.zeros(len(beats), bool)
    differs[rows[1:]] = same & (np.diff(beats["last"][rows]) != 0)
    _require(differs, "has another last than the row before, without a swap between them")
    return bounds, numbers


def stationary_golden(config, beats):
    """Rows of C that the beats complete.

    Parameters
    ----------
    config : :class:`StationaryConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    array of ``config.o.dtype``
        One beat for every row with ``last``.

    Raises
    ------
    ConfigError
        For beats that mean nothing (see :attr:`StationaryConfig.i`): a swap with ``load`` or before ``lanes`` loads, a row
        before the first swap, more than ``tile_rows`` rows after a swap, ``last`` with some rows of a block only, a sum that
        goes on though it never began; and for a reduction longer than ``max_k``, unless ``overflow="wrap"``.
    """
    bounds, _ = segments(config, beats)
    rows, loads = np.flatnonzero(beats["row"]), np.flatnonzero(beats["load"])
    a, first, sent = beats["a"][rows], beats["first"][rows] != 0, beats["last"][rows] != 0
    loaded, cuts = np.searchsorted(loads, bounds), np.searchsorted(rows, bounds)
    longest = config.max_k // config.lanes if config.overflow == "refuse" else len(rows)
    sums = np.zeros((config.tile_rows, config.cols), np.int64)
    lengths = np.zeros(config.tile_rows, np.int64)  # 0: no sum was begun
    out = np.zeros((len(rows), config.cols), np.int64)
    for swap in range(len(bounds) - 1):
        low, high = int(cuts[swap]), int(cuts[swap + 1])
        if low == high:
            continue
        weights = beats["b"][loads[loaded[swap] - config.lanes : loaded[swap]][::-1]]
        anew, count = first[low:high], high - low
        if (bad := ~anew & (lengths[:count] == 0)).any():
            raise ConfigError(f"beat {int(rows[low + np.argmax(bad)])} goes on with a sum that was never begun")
        lengths[:count] = np.where(anew, 1, lengths[:count] + 1)
        if (found := int(lengths[:count].max())) > longest:
            raise ConfigError(f"a reduction of {found * config.lanes} products exceeds max_k = {config.max_k}")
        # int64 works modulo 2 ** 64, as good as exact for an accumulator that is narrower.
        sums[:count] = np.where(anew[:, np.newaxis], 0, sums[:count]) + a[low:high] @ weights
        if sent[low]:
            out[low:high] = sums[:count]
    return config.o.beats(c=wrap(out[sent], config.acc_width, config.result_signed))


def stationary_stimulus(config, rng, count):
    """Input beats: tiles of extremes first, then random tiles of any number of rows and blocks of K.

    Some of them keep the weights; loads come at any beats, and there are beats without anything.

    Parameters
    ----------
    config : :class:`StationaryConfig`
    rng : :class:`numpy.random.Generator`
    count : :class:`int`
        Beats; the last tile may be cut off.
    """
    a_field, b_field = config.i.fields[:2]
    most = config.max_k // config.lanes
    # Digits -1, 1, 2, -2: they fill a tree that works on one bit weight at a time.
    digits = int("11010110" * 2, 2) & (1 << a_field.width) - 1
    digits = int(wrap(digits, a_field.width, a_field.signed))
    corners = np.unique([*operand_corners(a_field), digits])
    blocks, used = [], config.lanes
    for y in (b_field.minimum, b_field.maximum):
        rows = np.repeat([a_field.minimum, a_field.maximum, digits], config.lanes).reshape(3, -1)[: config.tile_rows]
        for step in range(steps := min(most, 2)):
            blocks.append((rows, np.full((config.lanes, config.cols), y), step == 0, step == steps - 1))
    while used < count:
        height = int(rng.integers(1, config.tile_rows, endpoint=True))
        for step in range(steps := int(rng.integers(1, min(most, 3), endpoint=True))):
            rows = operand_samples(a_field, rng, (height, config.lanes))
            weights = operand_samples(b_field, rng, (config.lanes, config.cols))
            if rng.random() < 0.2:
                rows, weights = rng.choice(corners, rows.shape), rng.choice(operand_corners(b_field), weights.shape)
            blocks.append((rows, None if rng.random() < 0.2 else weights, step == 0, step == steps - 1))
            used += max(height, config.lanes + 1)
    # One half as `schedule` has it, one with rows and loads spread at random.
    dense, loose = (_joined(config, part) for part in (blocks[: len(blocks) // 2], blocks[len(blocks) // 2 :]))
    return np.concatenate([dense, _spread(config, rng, loose)])[:count]


def _joined(config, blocks):
    rows, weights, first, last = zip(*blocks, strict=True)
    loads = np.array([index == 0 or block is not None for index, block in enumerate(weights)])
    kept = [np.zeros((config.lanes, config.cols), np.int64) if block is None else block for block in weights]
    heights = np.array([len(block) for block in rows])
    return _beats(config, heights, np.concatenate(rows), np.stack(kept)[loads], loads, np.array(first), np.array(last))


def _spread(config, rng, beats):
    """The same rows and loads between the same swaps, but in beats drawn at random, some of them empty."""
    bounds = np.append(np.flatnonzero(beats["swap"]), len(beats))
    parts = [beats[: bounds[0]]]
    for low, high in pairwise(bounds):
        old = beats[low:high]
        rows, loads = (old[old[name] != 0] for name in ("row", "load"))
        new = config.i.zeros(1 + int(rng.integers(max(len(rows), len(loads)), len(rows) + len(loads) + 2)))
        new["swap"][0] = 1
        for taken, names, least in ((rows, ("a", "row", "first", "last"), 0), (loads, ("b", "load"), 1)):
            places = np.sort(rng.permutation(np.arange(least, len(new)))[: len(taken)])
            for name in names:
                new[name][places] = taken[name]
        idle = np.flatnonzero(new["row"] == 0)
        for name in ("first", "last"):  # without a row they mean nothing
            new[name][idle] = rng.integers(0, 2, len(idle))
        parts.append(new)
    return np.concatenate(parts)
