"""Formal proofs of the arithmetic inside the designs: processing elements, encoders, corrections, final adders.

What is proven of a processing element is one step of its registers, for *every* state and every operand::

    s' + c' = (clear ? 0 : s + c) + a * b + constant        modulo 2 ** acc_width

with the carry word's bits at their weights. By induction the state after n steps is the sum of the n products and n
constants; the correction's own step and the final add, proven as well, take the constants off. Nothing is sampled:

- The netlist is what Yosys reads from the very Verilog that is exported, unoptimised, cut at the flip-flops.
- Compressor trees are rewritten into sums by identities checked on the gates; carry-propagate adders are compared with a
  ripple-carry adder by ABC; what remains is compared as a polynomial, with every value of a tried and all other bits as
  symbols (:mod:`carrysave.sim.bit_sums`, :mod:`carrysave.sim.polynomials`).
- Small PEs (4 bits) are proven a second time in another way: ABC compares the whole step with a plain multiplier and adder.
- Encoders are evaluated for every operand and compared with :mod:`carrysave.models.digits`.
"""

import time
from dataclasses import dataclass

from ..hdl.pe import Correction, carry_columns, step_constant
from ..hdl.slice_pe import SliceCorrection, slice_carry_columns, slice_constant
from ..hdl.stationary import sums_config
from ..hdl.tool import ToolError
from ..models.bit_slice import BitSliceConfig
from ..models.errors import ConfigError
from ..models.mac import ProductConfig
from ..models.stationary import StationaryConfig, SystolicWSConfig
from .bit_sums import NotProven
from .logic import LogicError
from .part_proofs import cleared, correction_is, encoder_equals_model, shifted_or_cleared, weight_encoder_equals_model
from .pe_steps import (
    PES,
    ProductPE,
    column_adder_step,
    final_step,
    product_step,
    row_adder_step,
    slice_step,
    stationary_pe_step,
    tree_column_step,
)
from .tree_steps import adder_tree_holds

__all__ = ["ABC_WIDTH", "Proof", "prove", "subjects"]

ABC_WIDTH = 4
"""Operands up to this width are proven by ABC alone, too."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What came of one proof.

    Parameters
    ----------
    subject : :class:`str`
        What it is about.
    claim : :class:`str`
        What was to be proven.
    how : :class:`str`
        By what, with figures; empty where it failed.
    failure : :class:`str` or None
        Why it failed: a counterexample, or the step that did not hold.
    seconds : :class:`float`
    """

    subject: str
    claim: str
    how: str
    failure: str | None
    seconds: float

    @property
    def proven(self):
        """Whether it holds."""
        return self.failure is None

    def __str__(self):
        return f"{self.subject}: {self.claim}: {self.how if self.proven else 'NOT PROVEN: ' + self.failure}"


def subjects(config):
    """What is proven of a configuration.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`

    Returns
    -------
    list of (:class:`str`, :class:`str`, callable)
        Subject, claim, and a function that proves it and says how, or raises :exc:`NotProven`.

    Raises
    ------
    ConfigError
        If nothing is known to prove about the design.
    """
    if isinstance(config, BitSliceConfig):
        return list(_slice_subjects(config))
    if isinstance(config, StationaryConfig):
        found = list(_stationary_subjects(config))
    elif isinstance(config, ProductConfig):
        found = list(_product_subjects(config, getattr(config, "pe", config.design)))
    else:
        found = []
    if not found:
        raise ConfigError(f"there is no formal proof for {config.design} with these parameters")
    return found


def _product_subjects(config, kind):
    if kind not in PES:
        return
    carries = () if kind == "mac" else carry_columns(config)
    constant = step_constant(config)
    result = "acc" if kind == "mac" else "s + c"
    kept = f"(clear ? 0 : shift ? 4 ({result}) : {result})" if kind == "opt2" else f"(clear ? 0 : {result})"
    one = "digit b" if kind == "opt2" else "a b"
    products = one if config.pe_lanes == 1 else f"the sum of {config.pe_lanes} products {one}"
    claim = f"{result} becomes {kept} + {products}" + (f" + {constant:#x}" if constant else "")
    yield f"{kind} PE", claim, lambda: product_step(config, kind).prove()
    small = max(config.a_width, config.b_width) <= ABC_WIDTH
    if small and kind != "opt2" and config.pe_lanes == 1 and not config.product_rows:
        yield f"{kind} PE", claim, lambda: ProductPE(config, kind).by_abc()
    if kind == "opt2":
        inner = config.replace(lanes=1)
        yield ("digit selector", "digits as models.digits has them", lambda: weight_encoder_equals_model(inner))
    corrected = config.correction == "drain"
    if corrected:
        kept = "(clear ? 0 : shift ? 4 running : running)" if kind == "opt2" else "(clear ? 0 : running)"
        claim = f"running becomes {kept} - {constant:#x}, held with last"
        factor = shifted_or_cleared(4) if kind == "opt2" else cleared
        yield ("correction", claim, lambda: correction_is(Correction(config), "correction", constant, factor))
    claim = f"result is {result}{' + correction' if corrected else ''}"
    yield "final adder", claim, lambda: final_step(config, carries).prove()


def _slice_subjects(config):
    constant = slice_constant(config)
    digits = "digit b" if config.pe_lanes == 1 else f"the sum of {config.pe_lanes} digits times b"
    kept = f"(clear ? 0 : shift ? {config.radix} (s + c) : s + c)"
    yield ("digit encoder", "digits as models.digits has them", lambda: encoder_equals_model(config.recoding))
    yield ("slice PE", f"s + c becomes {kept} + {digits} + {constant:#x}", lambda: slice_step(config).prove())
    factor = shifted_or_cleared(config.radix)
    claim = f"running becomes (clear ? 0 : shift ? {config.radix} running : running) - {constant:#x}, held with last"
    yield ("correction", claim, lambda: correction_is(SliceCorrection(config), "slice_correction", constant, factor))
    carries = slice_carry_columns(config)
    yield ("final adder", "result is s + c + correction", lambda: final_step(config, carries).prove())


def _stationary_subjects(config):
    inner = sums_config(config)
    if isinstance(config, SystolicWSConfig):
        constant = step_constant(inner)
        result = "s + c" if config.pe == "opt1" else "s"
        claim = f"the {result} that leaves is the {result} that enters + a weight + {constant:#x}"
        yield (f"stationary {config.pe} PE", claim, lambda: stationary_pe_step(inner).prove())
        if config.pe == "opt1":
            yield ("column adder", "sum is s + c", lambda: column_adder_step(inner).prove())
    elif config.pe == "opt1":
        claim = f"sum is the sum of {config.lanes} products a b"
        yield "tree column", claim, lambda: tree_column_step(inner).prove()
    elif config.pe == "mac":
        claim = f"sum is the sum of {config.lanes} products a b, each resolved"
        yield "tree column", claim, lambda: adder_tree_holds(config)
    yield ("row adder", "sum is (keep ? old : 0) + lanes", lambda: row_adder_step(config).prove())


def prove(config, *, log=None):
    """Prove the arithmetic of a configuration's design.

    Parameters
    ----------
    config : :class:`~carrysave.models.config.Config`
    log : callable, optional
        Receives a line a proof.

    Returns
    -------
    list of :class:`Proof`

    Raises
    ------
    ConfigError
        If nothing is known to prove about the design.
    """
    proofs = []
    for subject, claim, attempt in subjects(config):
        start, how, failure = time.perf_counter(), "", None
        try:
            how = attempt()
        except (NotProven, LogicError, ToolError) as error:
            failure = str(error)
        proofs.append(
            Proof(subject=subject, claim=claim, how=how, failure=failure, seconds=time.perf_counter() - start)
        )
        if log:
            log(str(proofs[-1]))
    return proofs
