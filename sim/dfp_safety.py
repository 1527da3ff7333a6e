"""Proofs that the accumulators of dynamic fixed point never wrap around silently, by an SMT solver (z3).

Of a configuration of :mod:`carrysave.models.dfp_fma` or :mod:`carrysave.models.dfp_dot`, from the operands up, each claim from
the one before, for all values that there are:

- the pre-shift, as a function of bit-vectors, keeps to ``operand_range`` and reaches both of its ends;
- products of integers from there keep to ``product_range``;
- one step of an accumulator of ``register_width`` bits in two's complement, from any sum that fewer than ``chain`` steps can
  have, is exact: by induction so are all sums of a chain. Where the accumulator saturates, what is clamped is exact;
- one step more than the safe chain wraps around for operands that z3 finds: ``safe_chain`` is no shorter than it must be.
"""

import time

from ..models.dfp_fma import LONGEST_CHAIN, pre_shift
from ..models.errors import CarrysaveError
from .bit_sums import NotProven
from .formal import Proof

__all__ = ["prove", "subjects"]

TIMEOUT_MS = 60_000


def _z3():
    try:
        import z3
    except ImportError:
        raise CarrysaveError("the proof that chains do not overflow needs z3: pip install z3-solver") from None
    return z3


def _answer(z3, *constraints):
    """A model of the constraints, or None if there is none."""
    solver = z3.Solver()
    solver.set("timeout", TIMEOUT_MS)
    solver.add(*constraints)
    found = solver.check()
    if found == z3.unknown:
        raise NotProven(f"z3 has no answer: {solver.reason_unknown()}")
    return solver.model() if found == z3.sat else None


def _shifted(z3, config, x):
    """The pre-shift of a bit-vector of ``width`` bits, in one bit more."""
    shift = config.input_shift
    if config.operands == "symmetric":
        x = z3.If(x == 1 << config.width - 1, x + 1, x)
    x = z3.SignExt(1, x)
    quotient, rest = x >> shift, x & ((1 << shift) - 1)
    if config.shift_rounding == "toward-zero":
        return quotient + z3.If(z3.And(x < 0, rest != 0), 1, z3.BitVecVal(0, x.size()))
    if config.shift_rounding == "nearest-even":
        twice, unit = rest << 1, 1 << shift
        up = z3.Or(twice > unit, z3.And(twice == unit, quotient & 1 == 1))
        rounded, largest = quotient + z3.If(up, 1, z3.BitVecVal(0, x.size())), (1 << config.operand_width - 1) - 1
        return z3.If(rounded > largest, largest, rounded)
    return quotient


def _operands_hold(config):
    z3 = _z3()
    x = z3.BitVec("x", config.width)
    value, (low, high) = _shifted(z3, config, x), config.operand_range
    model = _answer(z3, z3.Or(value < low, value > high))
    if model is not None:
        raise NotProven(f"{_signed(model, x)} is shifted to {_signed(model, value)}")
    for end in (low, high):
        model = _answer(z3, value == end)
        if model is None:
            raise NotProven(f"no operand is shifted to {end}")
        if int(pre_shift(config, _signed(model, x))) != end:
            raise NotProven(f"the golden model does not shift {_signed(model, x)} to {end}")
    return f"z3, every operand of {config.width} bits; both ends are reached"


def _signed(model, value):
    return model.evaluate(value, model_completion=True).as_signed_long()


def _products_hold(config):
    z3 = _z3()
    a, b = z3.Ints("a b")
    (low, high), (least, most) = config.operand_range, config.product_range
    within = [bound for x in (a, b) for bound in (low <= x, x <= high)]
    model = _answer(z3, *within, z3.Or(a * b < least, a * b > most))
    if model is not None:
        raise NotProven(f"{model[a]} times {model[b]} is outside of it")
    return "z3, all integers"


def _step(z3, config, steps, width):
    """A state of the accumulator after fewer than ``steps`` steps and one step more, in exact arithmetic."""
    wide = max(width, config.total_width, (config.step_range[1] * (steps + 1)).bit_length()) + 2
    taken, total, term = (z3.BitVec(name, wide) for name in ("taken", "total", "term"))
    least, most = config.step_range
    state = [taken >= 0, taken < steps, taken * least <= total, total <= taken * most, least <= term, term <= most]
    return taken, total, term, state


def _wrapped(z3, value, width):
    """What a register of that width makes of it, as exact arithmetic has it."""
    return z3.SignExt(value.size() - width, z3.Extract(width - 1, 0, value))


def _chains_hold(config):
    z3 = _z3()
    width, (least, most) = config.register_width, config.step_range
    taken, total, term, state = _step(z3, config, config.chain, width)
    # What the register holds is the exact sum, so far: that is the hypothesis, which the empty sum meets.
    held = z3.Extract(width - 1, 0, total)
    following = z3.SignExt(total.size() - width, held + z3.Extract(width - 1, 0, term))
    model = _answer(
        z3,
        *state,
        _wrapped(z3, total, width) == total,
        z3.Not(
            z3.And(
                following == total + term,
                (taken + 1) * least <= total + term,
                total + term <= (taken + 1) * most,
            )
        ),
    )
    if model is not None:
        raise NotProven(f"a sum of {_signed(model, total)} and a step of {_signed(model, term)} wrap around")
    return f"z3, by induction over {config.chain} steps, every sum and step"


def _clamp_holds(config):
    z3 = _z3()
    width, (least, most) = config.total_width, config.step_range
    total, term = z3.BitVecs("total term", width + 2)
    low, high = -1 << config.acc_width - 1, (1 << config.acc_width - 1) - 1
    model = _answer(
        z3,
        low <= total,
        total <= high,
        least <= term,
        term <= most,
        _wrapped(z3, total + term, width) != total + term,
    )
    if model is not None:
        raise NotProven(f"a sum of {_signed(model, total)} and a step of {_signed(model, term)} wrap around")
    return "z3, every sum and step"


def _longer_chain_wraps(config):
    z3 = _z3()
    x, steps = z3.BitVec("x", config.width), config.safe_chain + 1
    # All operands alike, such that products are positive and as large as they can be.
    end = max(config.operand_range, key=abs)
    model = _answer(z3, _shifted(z3, config, x) == end)
    if model is None:
        raise NotProven(f"no operand is shifted to {end}")
    operand = _signed(model, x)
    total = steps * config.lanes * int(pre_shift(config, operand)) ** 2
    if total < 1 << config.acc_width - 1:
        raise NotProven(f"{steps} steps reach {total} at most, which still fits")
    return f"z3, all operands {operand}: {total}"


def subjects(config):
    """What is proven of a configuration.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`

    Returns
    -------
    list of (:class:`str`, :class:`str`, callable)
        Subject, claim, and a function that proves it and says how, or raises :exc:`~carrysave.sim.bit_sums.NotProven`.
    """
    low, high = config.operand_range
    least, most = config.product_range
    found = [
        ("pre-shift", f"operands are {low}..{high}", lambda: _operands_hold(config)),
        ("products", f"products of these are {least}..{most}", lambda: _products_hold(config)),
    ]
    if config.overflow == "saturate":
        claim = f"accumulator and step in {config.total_width} bits, before they are clamped, are the exact sum"
        found.append(("accumulator", claim, lambda: _clamp_holds(config)))
    else:
        claim = (
            f"after each of {config.chain} steps of {config.lanes} its {config.register_width} bits are the exact sum"
        )
        found.append(("accumulator", claim, lambda: _chains_hold(config)))
    if config.safe_chain < LONGEST_CHAIN:
        claim = f"{config.safe_chain + 1} steps can exceed {config.acc_width} bits"
        found.append(("safe chain", claim, lambda: _longer_chain_wraps(config)))
    return found


def prove(config, *, log=None):
    """Prove that no accumulator of a configuration's design wraps around.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`
    log : callable, optional
        Receives a line a proof.

    Returns
    -------
    list of :class:`~carrysave.sim.formal.Proof`

    Raises
    ------
    CarrysaveError
        If z3 is missing.
    """
    proofs = []
    for subject, claim, attempt in subjects(config):
        start, how, failure = time.perf_counter(), "", None
        try:
            how = attempt()
        except NotProven as error:
            failure = str(error)
        proofs.append(
            Proof(subject=subject, claim=claim, how=how, failure=failure, seconds=time.perf_counter() - start)
        )
        if log:
            log(str(proofs[-1]))
    return proofs
