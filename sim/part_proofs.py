"""Proofs of what stands beside the processing elements: encoders, for every operand, and corrections, by ABC."""

import numpy as np
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..hdl.encoders import DigitEncoder
from ..hdl.partial_products import digit_count
from ..hdl.pe import encode_weight
from ..models.digits import Recoding
from .bit_sums import NotProven, equal_by_abc
from .logic import Logic, logic_of
from .polynomials import packed_bits, unpacked_bits

__all__ = ["cleared", "correction_is", "encoder_equals_model", "shifted_or_cleared", "weight_encoder_equals_model"]


def correction_is(component, name, constant, factor):
    """Let ABC compare a correction's two registers with what they should be next; the text says how.

    Parameters
    ----------
    component : :class:`amaranth.lib.wiring.Component`
    name : :class:`str`
        Name for its Verilog module.
    constant : :class:`int`
        What the running register loses in every step.
    factor : callable
        :func:`cleared` or what :func:`shifted_or_cleared` gives: what the running register keeps.

    Raises
    ------
    NotProven
    """
    logic = logic_of(component, name)
    held = logic.ports["correction"]
    zeros = next((index for index, node in enumerate(held) if node), len(held))
    if not constant:
        if any(held):
            raise NotProven("the correction should be 0")
        return "it is constantly 0"
    if constant % (1 << zeros):
        raise NotProven("the correction leaves out bits of the constant")
    held = held[zeros:]
    running = [node for node, label in logic.inputs.items() if node in logic.registers and node not in held]
    running.sort(key=lambda node: int(logic.inputs[node].rstrip("]").partition("[")[2]))
    leaves = sorted(logic.inputs)
    reference = Logic()
    here = dict(zip(leaves, (reference.input(f"i{index}") for index in range(len(leaves))), strict=True))
    controls = {port: here[logic.ports[port][0]] for port in ("clear", "shift", "last") if port in logic.ports}
    fed = factor(reference, controls, [here[node] for node in running])
    minus = -(constant >> zeros) % (1 << len(running))
    following = reference.add(fed, [minus >> index & 1 for index in range(len(running))])
    chosen = [reference.cell("mux", here[old], new, controls["last"]) for old, new in zip(held, following, strict=True)]
    if not equal_by_abc(
        logic.blif(logic.next_of([*running, *held]), leaves), reference.blif([*following, *chosen], list(here.values()))
    ):
        raise NotProven("ABC finds a counterexample")
    return "ABC"


def cleared(reference, controls, running):
    """``clear ? 0 : running``, in gates of ``reference``."""
    keep = reference.gate("not", controls["clear"])
    return [reference.gate("and", bit, keep) for bit in running]


def shifted_or_cleared(radix):
    """``clear ? 0 : shift ? radix running : running``, in place of :func:`cleared`."""

    def factor(reference, controls, running):
        shifted = [*[0] * (radix.bit_length() - 1), *running][: len(running)]
        moved = [reference.cell("mux", bit, up, controls["shift"]) for bit, up in zip(running, shifted, strict=True)]
        return cleared(reference, controls, moved)

    return factor


def encoder_equals_model(recoding):
    """Evaluate a digit encoder for every operand; the text says how many. Raises :exc:`NotProven`."""
    logic = logic_of(DigitEncoder(recoding), "digit_encoder")
    raw = recoding.values & ((1 << recoding.width) - 1)
    given = {node: packed_bits(raw >> index & 1) for index, node in enumerate(logic.ports["value"])}
    lines = {}
    for name in ("nonzero", "two", "negative"):
        bits = logic.evaluate(logic.ports[name], given, (1 << len(raw)) - 1)
        lines[name] = np.stack([unpacked_bits(word, len(raw)) for word in bits], axis=-1).astype(np.int64)
    digits = lines["nonzero"] * (1 + lines["two"]) * (1 - 2 * lines["negative"])
    expected = recoding.signed_digits(recoding.values) * np.sign(recoding.weights)
    wrong = np.flatnonzero((digits != expected).any(axis=-1))
    if len(wrong):
        raise NotProven(f"wrong digits for {int(recoding.values[wrong[0]])}")
    return f"every operand ({len(raw)})"


class _WeightEncoder(wiring.Component):
    """What stands before OPT2's PEs: one digit of an operand."""

    def __init__(self, config):
        self._config = config
        count = digit_count(config.a_width, config.a_signed)
        super().__init__({"value": In(config.a_width), "weight": In(count), "digit": Out(3)})

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.digit.eq(encode_weight(m, self._config, self.value, self.weight))
        return m


def weight_encoder_equals_model(config):
    logic = logic_of(_WeightEncoder(config), "weight_encoder")
    recoding = Recoding(encoding="mbe", width=config.a_width, signed=config.a_signed)
    raw = recoding.values & ((1 << recoding.width) - 1)
    mask = (1 << len(raw)) - 1
    given = {node: packed_bits(raw >> index & 1) for index, node in enumerate(logic.ports["value"])}
    expected = recoding.signed_digits(recoding.values)
    for weight in range(recoding.n_digits):
        chosen = {node: mask * (index == weight) for index, node in enumerate(logic.ports["weight"])}
        lines = logic.evaluate(logic.ports["digit"], given | chosen, mask)
        neg, one, two = (unpacked_bits(line, len(raw)).astype(np.int64) for line in lines)
        wrong = ((one + 2 * two) * (1 - 2 * neg) != expected[:, weight]) | (one & two) | (neg & (1 - (one | two)))
        if wrong.any():
            raise NotProven(f"wrong digit {weight} for {int(recoding.values[np.argmax(wrong)])}")
    return f"every operand ({len(raw)}), every digit ({recoding.n_digits})"
