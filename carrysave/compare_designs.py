"""What is compared: one line for each design and processing element, and how many cycles it takes for a product."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np

from .hdl.catalogue import DESIGNS, design

__all__ = ["ENTRIES", "Entry"]

ACC_WIDTH = 32
"""Bits of every design's accumulators: what any reduction of 65,536 products of int8 needs."""

MOST_TILES = 4096
_WARM_UP = 64


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the comparison.

    Parameters
    ----------
    architecture : :class:`str`
        Rows of one architecture are held against its baseline.
    design, pe : :class:`str`
        Name in the catalogue, and the processing element in it.
    parameters : callable
        From the size asked for to the design's parameters.
    variant : :class:`str`
        Told apart from another entry of the same design and processing element by this.
    baseline : :class:`bool`
        The others of its architecture are held against it.
    paper : tuple of two :class:`float`, optional
        The paper's area and energy efficiency over its baseline.
    cycles : callable
        ``cycles(config, product)`` gives the cycles that a :class:`~carrysave.compare_work.Product` takes and those that
        it would take if all processing elements were always busy.
    """

    architecture: str
    design: str
    pe: str
    parameters: Callable
    cycles: Callable
    variant: str = ""
    baseline: bool = False
    paper: tuple | None = None

    @property
    def label(self):
        """Design and processing element, as ``--designs`` takes them."""
        return f"{self.design}:{self.pe}{'+' if self.variant else ''}{self.variant}"

    @property
    def known(self):
        """Whether the catalogue has it."""
        if self.design not in DESIGNS:
            return False
        choices = {row["name"]: row["legal"] for row in DESIGNS[self.design].config.parameters()}.get("pe")
        return choices is None or self.pe in choices.split(", ")

    def config(self, size):
        """Configuration for a size."""
        return design(self.design).config.from_mapping(self.parameters(size))


def _peak(config):
    """Multiply-accumulates a cycle of a design whose cycles do not depend on its operands."""
    return design(config.design).macs_per_beat(config) / config.initiation_interval


def _output_stationary(config, product):
    from .models.systolic import systolic_cycles

    shape = product.shape
    tiles = ceil(shape.m / config.rows) * ceil(shape.n / config.cols) * shape.count
    steps = ceil(shape.k / config.lanes) * getattr(config, "bit_weights", 1)
    return _many(lambda lengths: systolic_cycles(config, lengths), tiles, steps), shape.macs / _peak(config)


def _weight_stationary(config, product):
    from .models.stationary_cycles import stationary_gemm_cycles

    shape = product.shape
    return stationary_gemm_cycles(config, shape.m, shape.k, shape.n) * shape.count, shape.macs / _peak(config)


def _many(model, tiles, steps):
    """Cycles of equal tiles: a cycle model for the first of them, which soon come in a rhythm, carried on."""
    count = min(tiles, 4 * _WARM_UP)
    accepted, delivered = model([steps] * count)
    end = int(delivered[-1][-1]) + 1
    if count == tiles:
        return end
    gaps = np.diff(accepted)
    tail = gaps[-2 * _WARM_UP :]
    beat = next((p for p in range(1, _WARM_UP) if np.array_equal(tail[p:], tail[:-p])), None)
    if beat is None:
        return round(end + (tiles - count) * float(tail.mean()))
    whole, rest = divmod(tiles - count, beat)
    rhythm = gaps[len(gaps) - beat :]
    return end + whole * int(rhythm.sum()) + int(rhythm[:rest].sum())


def _part(config, shape):
    """M and N of a part of a product that a model can afford, and how many such parts the product is."""
    across = min(ceil(shape.n / config.cols), max(MOST_TILES // ceil(shape.m / config.rows), 8))
    down = min(ceil(shape.m / config.rows), max(MOST_TILES // across, 1))
    m, n = min(shape.m, down * config.rows), min(shape.n, across * config.cols)
    return m, n, ceil(shape.m / config.rows) * ceil(shape.n / config.cols) / (down * across)


def _digits_per_operand(recoding, values):
    counts = recoding.nonzero_digits(recoding.values)
    return float(counts[np.asarray(values, np.int64) - recoding.minimum].mean())


def _bit_slice(config, product):
    from .models.bit_slice import bit_slice_gemm_cycles

    shape = product.shape
    m, n, times = _part(config, shape)
    cycles = bit_slice_gemm_cycles(config, product.a[:m], (shape.k, n)).cycles
    peak = config.rows * config.cols * config.pe_lanes / _digits_per_operand(config.recoding, product.a)
    return cycles * times * shape.count, shape.macs / peak


def _laconic(config, product):
    from .models.laconic import laconic_gemm_cycles

    shape = product.shape
    m, n, times = _part(config, shape)
    a, b = (matrix.astype(np.int64) for matrix in product.block(m, shape.k, n))
    terms = _digits_per_operand(config.a_recoding, a) * _digits_per_operand(config.b_recoding, b)
    peak = config.rows * config.cols * config.lanes / terms
    return (laconic_gemm_cycles(config, a, b) + 1) * times * shape.count, shape.macs / peak


def _square(size):
    return {"rows": size, "cols": size}


def _cube(size):
    return {**_square(size), "lanes": size}


def _corrected_cube(size):
    # A PE that sums many products hardly grows by the constant, which then needs nothing at the edges of the array.
    return {**_cube(size), "correction": "pe" if size <= 16 else "drain"}


def _laconic_size(size):
    return {**_cube(size), "lanes": min(size, 16)}  # no more exist


def _stationary(size):
    return {"lanes": size, "cols": size}


def _entries(architecture, design, pes, parameters, *, cycles, paper=None, baseline="mac", **fixed):
    """Entries of one design; what is ``fixed`` applies to all of them, and ``pes`` says what is special to each.

    The first of an architecture that is called as its ``baseline`` is what the others are held against.
    """
    for pe, variant, special in pes:

        def of_size(size, pe=pe, special=special):
            chosen = {**parameters(size), "acc_width": ACC_WIDTH, **fixed, **special}
            return chosen if design == pe else {**chosen, "pe": pe}

        is_baseline = pe == baseline and not variant
        yield Entry(
            architecture=architecture,
            design=design,
            pe=pe,
            variant=variant,
            parameters=of_size,
            baseline=is_baseline,
            paper=None if pe == baseline else paper,
            cycles=cycles,
        )


def _each(*pes):
    return [(pe, "", {"carry_spacing_low": 1} if pe.startswith("opt") else {}) for pe in pes]


def _registered(rows):
    """Both processing elements once more, with a register between products and accumulator."""
    return [
        ("mac", "register", {"product_rows": 2}),
        ("opt1", "register", {"product_rows": rows, "carry_spacing_low": 1}),
    ]


_SLICES, _AGAINST_LACONIC = "bit-slice columns", (2.85, 12.10)

ENTRIES = (
    *_entries("systolic array, output stationary", "systolic-os", [*_each("mac", "opt1"), *_registered(3)], _square,
              paper=(1.27, 1.04), cycles=_output_stationary, encode="edge"),
    *_entries("systolic array, weight stationary", "systolic-ws", _each("mac", "opt1"), _stationary,
              paper=(1.27, 1.04), cycles=_weight_stationary, encode="edge"),
    *_entries("3D cube", "cube", [*_each("mac", "opt1"), *_registered(3)], _corrected_cube,
              paper=(1.28, 1.56), cycles=_output_stationary, encode="edge"),
    *_entries("multiplier-adder tree", "tree", [(pe, "", {}) for pe in ("mac", "opt1", "opt2")], _stationary,
              paper=(1.56, 1.49), cycles=_weight_stationary),
    *_entries("2D matrix", "matrix-2d", [*_each("mac", "opt1", "opt2"), *_registered(3)], _square,
              paper=(1.44, 1.20), cycles=_output_stationary, encode="edge"),
    *_entries(_SLICES, "laconic", [("laconic", "", {})], _laconic_size, baseline="laconic", cycles=_laconic),
    *_entries(_SLICES, "bit-slice", _each("opt3", "opt4c", "opt4e"), _square, paper=_AGAINST_LACONIC,
              cycles=_bit_slice),
)  # fmt: skip
"""All designs that are compared; a new one is one line."""
