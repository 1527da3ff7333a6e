"""What the verification campaign does: jobs made of the tables of small parameter sets.

A design that has no table is simulated as it is.
"""

import itertools
import json

from .api import configure
from .campaign_tables import ARRAYS, BULK, BULK_VECTORS, FLOAT8, MULTIPLIERS, SMALL_FORMATS, WIDE, WIDE_VECTORS
from .hdl.catalogue import DESIGNS
from .models.dfp_fma import OPERANDS, SHIFT_ROUNDINGS
from .models.errors import ConfigError
from .sim import formal

__all__ = ["formal_plan", "plan", "simulation_plan"]

_WIDTHS = ((4, 4), (4, 8), (8, 4), (5, 7), (8, 8), (12, 9), (16, 16))
_SIGNS = ((True, True), (True, False), (False, True), (False, False))
_STRUCTURES = (
    {"partial_products": "booth", "encode": "pe"},
    {"partial_products": "booth", "encode": "edge", "adder": "brent-kung"},
    {"partial_products": "and", "adder": "han-carlson"},
)
_CARRIES = ((1, 1), (4, 1), (64, 64))

# What is proven: of the units all widths with all signs and structures; of the arrays what their PEs differ in.
_FORMAL_WIDTHS = ((4, 4), (8, 8), (5, 7), (16, 16))
_FORMAL_CARRIES = ((1, 1), (4, 2), (8, 2), (64, 64))
_FORMAL_ARRAYS = {
    "systolic-os": (
        {"product_rows": 2},
        {"product_rows": 3, "encode": "edge", "signed": False},
        {"correction": "pe", "adder_cycles": 2},
    ),
    "cube": (
        {},
        {"lanes": 3, "width": 4},
        {"encode": "edge"},
        {"partial_products": "and"},
        {"lanes": 8, "product_rows": 2},
        {"lanes": 4, "product_rows": 4, "correction": "pe"},
    ),
    "matrix-2d": (
        {},
        {"correction": "pe"},
        {"width": 4},
        {"a_width": 7, "signed": False},
        {"product_rows": 2, "lanes": 4},
    ),
    "systolic-ws": ({}, {"width": 4}, {"encode": "edge"}, {"partial_products": "and"}, {"signed": False, "lanes": 5}),
    "tree": (
        {},
        {"lanes": 4, "width": 4},
        {"lanes": 5, "signed": False},
        {"lanes": 8, "partial_products": "and", "encode": "pe"},
    ),
    "bit-slice": tuple(
        {"encoding": encoding, **rest}
        for encoding in ("en-t", "mbe", "naf")
        for rest in ({}, {"width": 4}, {"signed": False}, {"carry_spacing": 1, "carry_spacing_low": 1})
    ),
}


# Of the chains of dynamic fixed point: what pre-shifts and overflows differ in.
_FORMAL_CHAINS = {
    "dfp-fma": tuple(
        {"input_shift": shift, "shift_rounding": rounding, "operands": operands}
        for shift, rounding, operands in itertools.product(range(5), SHIFT_ROUNDINGS, OPERANDS)
    )
    + ({"input_shift": 0, "overflow": "saturate", "chain": 65536}, {"width": 4, "acc_width": 10}),
    "dfp-fma-cs": ({}, {"input_shift": 0, "overflow": "flag", "chain": 65536}),
    "dfp-dot": ({}, {"lanes": 32, "input_shift": 4}, {"lanes": 3, "overflow": "flag", "chain": 1000}),
}


def _configured(name, *parameters):
    """The configuration, or None where the design refuses what the tables cross."""
    try:
        return configure(name, **dict(itertools.chain.from_iterable(one.items() for one in parameters)))
    except ConfigError:
        return None


def _distinct(jobs):
    """The jobs whose configuration exists, none twice."""
    kept = {}
    for config, arguments in jobs:
        if config is not None:
            kept.setdefault((config.canonical(), json.dumps(arguments)), (config, arguments))
    return list(kept.values())


def _multiplier_jobs(name):
    """Jobs of a multiplier: all pairs of small formats, corners and many pairs of wide ones, netlists, pipelines."""
    ways, turns, extremes = MULTIPLIERS[name]
    cases = [
        {**form, "overflow": overflow, "specials": specials}
        for form, overflows in SMALL_FORMATS
        for overflow in overflows
        # Custom formats are there for their numbers; the small named ones have no special values.
        for specials in ((True,) if len(overflows) == 1 else (True, False))
    ]
    for (place, case), (number, way) in itertools.product(enumerate(cases), enumerate(ways)):
        # Stages and what takes turns shift from case to case, so that each meets each way.
        turn = turns[(place + 2 * number) % len(turns)]
        yield configure(name, **case, **{**turn, **way}, stages=(place + number) % 4), {"on": "rtl", "exhaustive": True}
    for form, extreme in itertools.product(WIDE, extremes):
        yield configure(name, format=form, **extreme), {"on": "rtl", "bulk": True, "vectors": WIDE_VECTORS}
    # All pairs never meet a stall, the cocotb bench does; bfloat16 with one stage was just now.
    pipelines = [("float8_e4m3fn", stages) for stages in range(4)] + [("bfloat16", stages) for stages in (0, 2, 3)]
    for (form, stages), way in itertools.product(pipelines, ways):
        yield configure(name, format=form, **way, stages=stages), {"on": "rtl"}
    for form, extreme in itertools.product(FLOAT8, extremes):
        yield configure(name, format=form, **extreme), {"on": "gates", "exhaustive": True}
    for extreme, stages in itertools.product(extremes, (1, 3)):
        yield configure(name, format="bfloat16", **extreme, stages=stages), {"on": "gates"}


def simulation_plan():
    """What is simulated, in order, as :func:`plan` has it."""
    jobs = []
    for name in ("mac", "opt1"):
        for on in ("rtl", "gates"):
            jobs.append((configure(name), {"on": on, "exhaustive": True}))
            jobs.append((configure(name), {"on": on}))
        for index, (a_width, b_width) in enumerate(_WIDTHS):
            for turn, (a_signed, b_signed) in enumerate(_SIGNS):
                # Every width with every sign; the structures take turns, so that each meets each width and each sign.
                structure = _STRUCTURES[(index + turn) % len(_STRUCTURES)]
                config = configure(
                    name,
                    a_width=a_width,
                    b_width=b_width,
                    a_signed=a_signed,
                    b_signed=b_signed,
                    max_k=1000,
                    **structure,
                )
                jobs.append((config, {"on": "rtl"}))
        jobs.append((configure(name, width=8, acc_width=16, overflow="wrap"), {"on": "rtl"}))
    jobs += [(configure("opt1", carry_spacing=high, carry_spacing_low=low), {"on": "rtl"}) for high, low in _CARRIES]
    for name in DESIGNS:
        if name in ("mac", "opt1"):
            continue
        if name in MULTIPLIERS:
            jobs += _multiplier_jobs(name)
            continue
        sizes, variants, small = ARRAYS.get(name, (({},), ({},), None))
        jobs += [(_configured(name, size, variant), {"on": "rtl"}) for size in sizes for variant in variants]
        bulk = {"on": "rtl", "bulk": True, "vectors": BULK_VECTORS}
        jobs += [(configure(name, **one), bulk) for one in BULK.get(name, ())]
        if small:
            jobs += [(_configured(name, small, variant), {"on": "gates"}) for variant in variants]
    return _distinct(jobs)


def formal_plan():
    """What is proven, in order, as :func:`plan` has it."""
    found = []
    crossed = itertools.product(_FORMAL_WIDTHS, _SIGNS, _STRUCTURES)
    for turn, ((a_width, b_width), (a_signed, b_signed), structure) in enumerate(crossed):
        common = {"a_width": a_width, "b_width": b_width, "a_signed": a_signed, "b_signed": b_signed, "max_k": 1000}
        found.append(_configured("mac", common, structure))
        # The spacings take turns, so that each meets each structure.
        high, low = _FORMAL_CARRIES[turn % len(_FORMAL_CARRIES)]
        found.append(_configured("opt1", common, structure, {"carry_spacing": high, "carry_spacing_low": low}))
    for name, sets in _FORMAL_ARRAYS.items():
        if name in DESIGNS:
            found += [_configured(name, one, variant) for one in sets for variant in ARRAYS[name][1]]
    chains = [_configured(name, one) for name, sets in _FORMAL_CHAINS.items() for one in sets]
    provable = [config for config in found if config is not None and _provable(config)]
    return _distinct((config, {"on": "formal"}) for config in [*provable, *chains])


def _provable(config):
    try:
        return bool(formal.subjects(config))
    except ConfigError:
        return False


def plan():
    """What is verified, in order.

    Returns
    -------
    list of (:class:`~carrysave.models.config.Config`, dict)
        A configuration and the arguments of :func:`carrysave.api.verify` for it; ``{"on": "formal"}`` for the proofs of
        :func:`carrysave.sim.formal.prove` or :func:`carrysave.sim.dfp_safety.prove`.
    """
    return [*formal_plan(), *simulation_plan()]
