"""Widths of intermediate words against the extremes that they can take.

Accumulators, carry-save pairs and final adders work modulo ``2 ** acc_width``: there only the *result* must fit, since what
wraps around on the way comes back (:mod:`carrysave.sim.formal` proves the arithmetic modulo that width). A word that is
*extended* afterwards, by its sign or by zeros, must hold every value itself: the sums inside of a multiplier-adder tree,
the sum of all lanes that an accumulator row is added to, the digits of one bit weight, the counts of Laconic's exponents.
For each such word this gives its bits and the smallest and largest value, from the extremes of the operands. Sums of
products are linear in each operand alone, so that no value lies beyond those at the operands' extremes.
"""

import re
from dataclasses import dataclass

from ..hdl.laconic_pe import LaconicPE
from ..hdl.partial_products import row_top
from ..hdl.stationary import sums_config
from ..hdl.tree import TreeColumn, digit_sum_width
from ..hdl.verilog import verilog_of
from ..models.laconic import LaconicConfig
from ..models.stationary import StationaryConfig, TreeConfig

__all__ = ["Word", "declared_widths", "words"]


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word of a design and what it must hold.

    Parameters
    ----------
    name : :class:`str`
    bits : :class:`int`
        Width in the hardware.
    signed : :class:`bool`
        It is two's complement.
    low, high : :class:`int`
        Smallest and largest value, exact.
    """

    name: str
    bits: int
    signed: bool
    low: int
    high: int

    def holds(self, bits):
        """Whether a word of this kind with some bits holds all values."""
        if self.signed:
            return -(1 << bits - 1) <= self.low and self.high < 1 << bits - 1
        return self.low >= 0 and self.high < 1 << bits

    @property
    def fits(self):
        """Whether no value overflows."""
        return self.holds(self.bits)

    @property
    def tight(self):
        """Whether one bit fewer would overflow."""
        return not self.holds(self.bits - 1)


def declared_widths(component, name):
    """Bits of each signal in a component's Verilog, by name."""
    text = verilog_of(component, name, reset=False)
    return {
        signal: int(top or 0) + 1
        for top, signal in re.findall(r"^\s*(?:wire|reg) (?:\[(\d+):0\] )?(\w+)", text, re.MULTILINE)
    }


def _sum_range(config, count):
    """Smallest and largest sum of some products, from the operands' extremes."""
    a, b = config.i.fields[:2]
    products = [x * y for x in (a.minimum, a.maximum) for y in (b.minimum, b.maximum)]
    return count * min(products), count * max(products)


def _sum_word(config, name, bits, count):
    low, high = _sum_range(config, count)
    return Word(name=name, bits=bits, signed=config.result_signed, low=low, high=high)


def words(config):
    """The words of a configuration's design that must not overflow.

    Parameters
    ----------
    config : :class:`~carrysave.models.mac.ProductConfig`
        With ``overflow="refuse"``.

    Returns
    -------
    list of :class:`Word`
    """
    found = [_sum_word(config, "result", config.acc_width, config.max_k)]
    if isinstance(config, StationaryConfig):
        found.append(_sum_word(config, "sum of all lanes", config.sum_width, config.lanes))
    if isinstance(config, TreeConfig) and config.pe == "mac":
        found += _tree_words(config)
    if isinstance(config, TreeConfig) and config.pe == "opt2":
        found.append(_digit_word(config))
    if isinstance(config, LaconicConfig):
        found.append(_term_word(config))
    return found


def _tree_words(config):
    """Products and sums of two, level by level, as wide as the registers in the Verilog are."""
    inner = sums_config(config)
    widths = declared_widths(TreeColumn(inner), "tree_column")
    counts, level = [1] * config.lanes, 0
    for lane in range(config.lanes):
        yield _sum_word(config, f"product{lane}", widths[f"product{lane}"], 1)
    while len(counts) > 1:
        level += 1
        counts = [sum(counts[index : index + 2]) for index in range(0, len(counts), 2)]
        for index, count in enumerate(counts):
            name = f"level{level}_{index}"
            yield _sum_word(config, name, widths[name], count)


def _digit_word(config):
    """Sum of one digit of each lane times b, each with the constant of its inverted sign dot, so that none is negative."""
    b = config.i.fields[1]
    rows = [digit * value for digit in (-2, 2) for value in (b.minimum, b.maximum)]
    constant = 1 << row_top(config.b_width, config.b_signed)
    low, high = (config.lanes * (row + constant) for row in (min(rows), max(rows)))
    return Word(
        name="digits of one bit weight", bits=digit_sum_width(sums_config(config)), signed=False, low=low, high=high
    )


def _term_word(config):
    """Sum over the lanes of plus or minus the largest power of two."""
    widths = declared_widths(LaconicPE(config), "laconic_pe")
    most = config.lanes << config.a_exponent + config.b_exponent
    return Word(name="terms of all lanes", bits=widths["step_r"], signed=True, low=-most, high=most)
