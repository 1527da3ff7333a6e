"""Proof of a tree of multipliers and adders, register by register.

Each register is proven modulo its own width. Its value is exact, and may be extended for the next level, because it holds
every value that its sum can take (:mod:`carrysave.sim.width_proof`, whose widths are those in the Verilog).
"""

from ..hdl.stationary import sums_config
from ..hdl.tree import TreeColumn
from .bit_sums import NotProven
from .logic import logic_of
from .pe_steps import edge_logic
from .steps import Step, bit_weights, check_lags, split, value_group
from .width_proof import words

__all__ = ["adder_tree_holds"]


def adder_tree_holds(config):
    """Prove a column of multipliers and adders; the text says how. Raises :exc:`NotProven`.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.TreeConfig`
        With ``pe="mac"``.
    """
    inner, found = sums_config(config), words(config)
    for word in found:
        if not word.fits:
            raise NotProven(f"{word.name} of {word.bits} bits does not hold {word.low}..{word.high}")
    through = logic_of(TreeColumn(inner), "tree_column", state=())
    check_lags(through, ("sum",), {"a": inner.depth + 1, "weights": inner.depth})
    logic, encode = logic_of(TreeColumn(inner), "tree_column"), edge_logic(inner)
    a, b = (split(logic.labelled(name), inner.lanes) for name in ("a_o", "weights"))
    terms = [_product_register(logic, inner, f"product{lane}", a[lane], b[lane], encode) for lane in range(inner.lanes)]
    level = 0
    while len(terms) > 1:
        level += 1
        pairs = [terms[index : index + 2] for index in range(0, len(terms), 2)]
        terms = [_sum_register(logic, inner, f"level{level}_{index}", pair) for index, pair in enumerate(pairs)]
    if terms[0] != logic.ports["sum"]:
        raise NotProven("the last register is not the output")
    return f"{inner.lanes} products and {level} levels of adders as those of a PE, each register wide enough"


def _product_register(logic, config, name, a, b, encode):
    register = logic.labelled(name)
    group = value_group("a", a, config.a_width, config.a_signed, encode)

    def specify(specification):
        specification.add_product(group, b, bit_weights(config.b_width, config.b_signed))

    return _proven(logic, register, specify, (group,))


def _sum_register(logic, config, name, words_before):
    def specify(specification):
        for word in words_before:
            specification.add_word(word, bit_weights(len(word), config.result_signed))

    return _proven(logic, logic.labelled(name) or logic.ports["sum"], specify)


def _proven(logic, register, specify, groups=()):
    following = logic.next_of(register)
    Step(
        logic=logic,
        terms=tuple(zip(following, bit_weights(len(register)), strict=True)),
        width=len(register),
        specify=specify,
        groups=groups,
        word=tuple(following),
    ).prove()
    return register
