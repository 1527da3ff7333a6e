"""What the verification campaign does: tables of small parameter sets for every design, and the jobs made of them.

A design that has no table is simulated as it is.
"""

import itertools
import json

from .api import configure
from .hdl.catalogue import DESIGNS
from .models.dfp_fma import OPERANDS, SHIFT_ROUNDINGS
from .models.errors import ConfigError
from .models.fixed_cast import FIXED_OVERFLOWS, FIXED_ROUNDINGS
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

_DFP_BLOCK_VARIANTS = (
    {},
    {"round_up": "exponent"},
    {"rounding": "toward-zero"},
    {"rounding": "stochastic"},
    {"rounding": "stochastic", "round_up": "exponent", "seed": 99},
)

# Roundings of casts, with overflows in turn.
_CASTS = tuple(
    {"rounding": rounding, "overflow": overflow}
    for rounding, overflow in zip(FIXED_ROUNDINGS, itertools.cycle(FIXED_OVERFLOWS))
)

# By design: sizes with widths, signs and structures; variants, each of which meets each of these; what is verified on a
# netlist, for every variant again.
_ARRAYS = {
    "systolic-os": (
        (
            {"rows": 1, "cols": 1},
            {"rows": 2, "cols": 3, "encode": "edge"},
            {"rows": 5, "cols": 2, "a_width": 4, "b_width": 8, "b_signed": False},
            {"rows": 4, "cols": 4, "result_rows": 12, "partial_products": "and"},
            {"rows": 3, "cols": 3, "product_rows": 2, "width": 9, "signed": False},
            {"rows": 3, "cols": 2, "adder_cycles": 3, "correction": "pe"},
            {"rows": 8, "cols": 8},
        ),
        ({"pe": "mac"}, {"pe": "opt1"}),
        {"rows": 2, "cols": 2},
    ),
    "cube": (
        (
            {"rows": 1, "cols": 1, "lanes": 1},
            {"rows": 2, "cols": 3, "lanes": 4, "encode": "edge"},
            {"rows": 3, "cols": 2, "lanes": 5, "a_width": 4, "b_width": 8, "b_signed": False},
            {"rows": 4, "cols": 4, "lanes": 4, "partial_products": "and"},
            {"rows": 2, "cols": 2, "lanes": 8, "product_rows": 2},
            {"rows": 2, "cols": 3, "lanes": 4, "product_rows": 4, "adder_cycles": 2, "correction": "pe"},
        ),
        ({"pe": "mac"}, {"pe": "opt1"}),
        {"rows": 2, "cols": 2, "lanes": 2},
    ),
    "matrix-2d": (
        (
            {"rows": 1, "cols": 1},
            {"rows": 2, "cols": 3, "encode": "edge"},
            {"rows": 3, "cols": 2, "a_width": 5, "b_width": 8, "a_signed": False, "lanes": 2},
            {"rows": 4, "cols": 4, "signed": False},
            {"rows": 2, "cols": 2, "width": 12, "product_rows": 2},
            {"rows": 2, "cols": 2, "adder_cycles": 2, "correction": "pe"},
        ),
        ({"pe": "mac"}, {"pe": "opt1"}, {"pe": "opt2"}),
        {"rows": 2, "cols": 2},
    ),
    "systolic-ws": (
        (
            {"lanes": 1, "cols": 1},
            {"lanes": 3, "cols": 2, "encode": "edge"},
            {"lanes": 2, "cols": 5, "a_width": 4, "b_width": 8, "b_signed": False},
            {"lanes": 4, "cols": 4, "partial_products": "and"},
            {"lanes": 4, "cols": 3, "width": 8, "signed": False, "tile_rows": 4},
        ),
        ({"pe": "mac"}, {"pe": "opt1"}),
        {"lanes": 2, "cols": 2},
    ),
    "tree": (
        (
            {"lanes": 1, "cols": 1},
            {"lanes": 4, "cols": 2},
            {"lanes": 5, "cols": 3, "a_width": 4, "b_width": 8, "b_signed": False},
            {"lanes": 8, "cols": 2, "signed": False},
            {"lanes": 16, "cols": 2},
        ),
        ({"pe": "mac"}, {"pe": "opt1"}, {"pe": "opt2"}),
        {"lanes": 4, "cols": 2},
    ),
    "bit-slice": (
        (
            {"rows": 1, "cols": 1, "tile_k": 32},
            {"rows": 3, "cols": 2, "tile_k": 32, "skip": False},
            {"rows": 2, "cols": 4, "tile_k": 64, "a_width": 5, "b_width": 7, "a_signed": False},
            {"rows": 4, "cols": 4, "tile_k": 64, "encoding": "mbe"},
            {"rows": 2, "cols": 2, "tile_k": 32, "encoding": "naf"},
            {"rows": 2, "cols": 2, "tile_k": 32, "encoding": "mbe", "signed": False, "skip": False},
        ),
        ({"pe": "opt3"}, {"pe": "opt4c"}, {"pe": "opt4e"}),
        {"rows": 2, "cols": 2, "tile_k": 32},
    ),
    "laconic": (
        (
            {"rows": 1, "cols": 1, "lanes": 1},
            {"rows": 3, "cols": 2, "lanes": 4},
            {"rows": 2, "cols": 2, "lanes": 5, "a_width": 4, "b_width": 8, "b_signed": False},
            {"rows": 2, "cols": 2, "lanes": 16, "heaps": 2},
            {"rows": 2, "cols": 3, "lanes": 4, "signed": False},
        ),
        ({"terms": "naf"}, {"terms": "mbe", "sync": "array"}, {"terms": "sign-magnitude"}),
        {"rows": 2, "cols": 2, "lanes": 2},
    ),
    "float-dot": (
        (
            {"lanes": 1},
            {"lanes": 3, "multiplier": "exact"},
            {"lanes": 2, "format": "float8_e5m2", "multiplier": "exact", "subnormals": False, "stages": 3},
            {"lanes": 2, "format": "float8_e3m4", "offset": "optimal", "guard_bits": 2, "sum_format": "bfloat16"},
            {"lanes": 1, "format": "bfloat16", "max_k": 1000, "stages": 2},
            {"lanes": 2, "format": "float16", "carry": "formula", "specials": False, "carry_spacing": 4, "stages": 0},
        ),
        ({"accumulator": "sequential"}, {"accumulator": "tree"}, {"accumulator": "kulisch"}),
        {"lanes": 2},
    ),
    "float-array": (
        ({"rows": 1, "cols": 1}, {"rows": 2, "cols": 3, "lanes": 2}, {"rows": 3, "cols": 2, "multiplier": "exact"}),
        ({"accumulator": "sequential"}, {"accumulator": "tree"}, {"accumulator": "kulisch"}),
        {"rows": 2, "cols": 2},
    ),
    "dfp-quantise": (
        (
            {},
            {"lanes": 1, "block_beats": 1, "width": 4, "exponent_width": 4},
            {"lanes": 2, "block_beats": 64, "width": 4, "exponent_width": 10},
            {"lanes": 3, "block_beats": 5, "width": 8, "exponent_width": 6},
            {"lanes": 16, "block_beats": 2, "width": 11, "exponent_width": 9},
        ),
        _DFP_BLOCK_VARIANTS,
        {"lanes": 2, "block_beats": 4},
    ),
    "dfp-down": (
        (
            {},
            {"lanes": 1, "block_beats": 1, "source_width": 8, "exponent_width": 4},
            {"lanes": 2, "block_beats": 64, "width": 4, "source_width": 8, "exponent_width": 10},
            {"lanes": 3, "block_beats": 5, "width": 12, "source_width": 13},
            {"lanes": 8, "block_beats": 2, "width": 8, "source_width": 48, "exponent_width": 6},
        ),
        _DFP_BLOCK_VARIANTS,
        {"lanes": 2, "block_beats": 4, "source_width": 20, "width": 8},
    ),
    "dfp-exponent": (
        ({}, {"exponent_width": 4, "offset": 64}, {"exponent_width": 10, "offset": 3}),
        ({},),
        {"exponent_width": 5},
    ),
    "dfp-to-float": (
        (
            {},
            {"source_width": 4, "exponent_width": 4},
            {"source_width": 24, "exponent_width": 9},
            {"source_width": 26},
            {"source_width": 48, "exponent_width": 10},
        ),
        ({"stages": 1}, {"stages": 2}),
        {"source_width": 32, "exponent_width": 9},
    ),
    "dfp-from-float": (
        ({}, {"width": 4, "exponent_width": 10}, {"width": 9, "exponent_width": 4}),
        ({}, {"rounding": "toward-zero"}, {"rounding": "stochastic", "seed": 99}),
        {"width": 8},
    ),
    "dfp-fma": (
        (
            {},
            {"input_shift": 0, "operands": "symmetric", "adder": "sklansky"},
            {"input_shift": 2, "shift_rounding": "toward-zero"},
            {"input_shift": 1, "shift_rounding": "nearest-even", "operands": "symmetric"},
            {"width": 4, "acc_width": 9, "input_shift": 2, "shift_rounding": "nearest-even"},
            {"width": 9, "acc_width": 48, "input_shift": 4, "shift_rounding": "toward-zero", "operands": "symmetric"},
            {"width": 8, "acc_width": 16, "input_shift": 1, "chain": 2},
        ),
        ({}, {"overflow": "saturate", "chain": 9}, {"overflow": "flag", "chain": 9}),
        {"width": 8, "acc_width": 16},
    ),
    "dfp-fma-cs": (
        (
            {},
            {"input_shift": 0, "operands": "symmetric", "carry_spacing": 1, "carry_spacing_low": 1},
            {"input_shift": 2, "shift_rounding": "toward-zero", "carry_spacing": 4, "carry_spacing_low": 1},
            {"input_shift": 1, "shift_rounding": "nearest-even", "operands": "symmetric", "adder": "han-carlson"},
            {"width": 4, "acc_width": 9, "input_shift": 2, "carry_spacing": 64, "carry_spacing_low": 64},
        ),
        ({}, {"overflow": "flag", "chain": 9}),
        {"width": 8, "acc_width": 16},
    ),
    "dfp-dot": (
        (
            {},
            {"lanes": 2, "accumulator": "carry-save", "shift_rounding": "nearest-even"},
            {"lanes": 3, "width": 4, "input_shift": 0, "exponent_width": 4, "chain": 1},
            {"lanes": 4, "accumulator": "carry-save", "overflow": "flag", "chain": 20, "exponent_width": 10},
            {"lanes": 5, "width": 8, "acc_width": 16, "overflow": "saturate", "chain": 3, "wide_width": 20},
            {"lanes": 8, "shift_rounding": "toward-zero", "overflow": "saturate", "chain": 5, "max_k": 16},
            {"lanes": 32, "input_shift": 4, "operands": "symmetric", "carry_spacing": 1, "carry_spacing_low": 1},
        ),
        ({"spill": "float32"}, {"spill": "int48"}, {"spill": "carry-save"}),
        {"lanes": 2, "width": 8, "acc_width": 20},
    ),
    "dfp-array": (
        (
            {"rows": 1, "cols": 1, "lanes": 1, "width": 4, "exponent_width": 4, "max_k": 1},
            {"rows": 2, "cols": 3, "input_shift": 2, "shift_rounding": "nearest-even", "operands": "symmetric"},
            {"rows": 3, "cols": 2, "lanes": 3, "width": 8, "exponent_width": 10, "pe": "mac", "result_rows": 7},
            {"rows": 4, "cols": 4, "width": 11, "max_k": 20, "input_shift": 1, "shift_rounding": "toward-zero"},
        ),
        (
            {"exponents": "tensor"},
            {"exponents": "row"},
            {"output": "dfp"},
            {"output": "dfp", "block": "row", "rounding": "stochastic", "round_up": "exponent"},
        ),
        {"rows": 2, "cols": 2, "width": 8},
    ),
    "cast": (
        (
            {},
            {"from_width": 63, "from_fraction": 40, "to_width": 24, "to_fraction": -4},
            {"from_width": 9, "from_fraction": -3, "to_width": 30, "to_fraction": 12, "to_signed": False},
            {"from_width": 12, "from_fraction": 30, "from_signed": False, "to_width": 4, "to_fraction": 20},
        ),
        (*_CASTS, {"rounding": "rnd-inf", "overflow": "sat-sym"}, {"rounding": "rnd-zero", "overflow": "wrap-sm"}),
        {"from_width": 10, "from_fraction": 5, "to_width": 5, "to_fraction": 2},
    ),
    "k-hot": (
        (
            {},
            {"a_width": 2, "terms": 1, "position_bits": 1},
            {"a_width": 16, "terms": 3, "position_bits": 4, "a_signed": False},
            {"a_width": 24, "terms": 8, "position_bits": 5},
        ),
        ({"signs": "each"}, {"signs": "one"}),
        {"a_width": 6, "terms": 3},
    ),
    "requantise": (
        (
            {},
            {"lanes": 1, "source_width": 2, "multiplier_bits": 8, "width": 2},
            {"lanes": 3, "table_beats": 5, "source_width": 9, "multiplier_bits": 16, "width": 5},
            {"lanes": 2, "table_beats": 256, "width": 32},
        ),
        (
            {},
            {"rounding": "half-up"},
            {"rounding": "floor"},
            {"residual": True},
            {"residual": True, "rounding": "half-up"},
        ),
        {"lanes": 2, "table_beats": 2, "source_width": 12, "multiplier_bits": 8, "width": 6},
    ),
    "shiftmax": (
        (
            {},
            {"lanes": 1, "row_beats": 1, "octave": 1 << 17},
            {"lanes": 3, "row_beats": 5, "width": 5, "octave": 3, "fraction_bits": 8},
            {"lanes": 2, "row_beats": 64, "width": 16, "octave": 100, "output_width": 16},
        ),
        (
            {},
            {"divider": "pipelined"},
            {"halving": "shift", "divider": "pipelined"},
            {"reference": True},
        ),
        {"lanes": 2, "row_beats": 3},
    ),
    "shift-gelu": (
        (
            {},
            {"lanes": 1, "row_beats": 1, "octave": 1},
            {"lanes": 3, "row_beats": 5, "width": 5, "octave": 3, "fraction_bits": 8},
            {"lanes": 2, "row_beats": 64, "width": 16, "octave": 128, "sigmoid_width": 16},
        ),
        ({}, {"divider": "pipelined"}, {"halving": "shift", "divider": "pipelined"}),
        {"lanes": 1, "row_beats": 3, "octave": 64},
    ),
}

# Of these designs millions of steps are played, too: what overflows, and conversions, have corners that are met by chance.
_BULK_VECTORS = 1_000_000
_BULK = {
    "dfp-quantise": (
        {"block_beats": 16},
        {"block_beats": 16, "rounding": "stochastic", "round_up": "exponent"},
        {"block_beats": 3, "width": 8, "exponent_width": 5, "round_up": "exponent"},
    ),
    "dfp-down": (
        {"block_beats": 16},
        {"block_beats": 16, "rounding": "stochastic", "round_up": "exponent"},
        {"block_beats": 3, "width": 8, "exponent_width": 5, "round_up": "exponent"},
    ),
    "dfp-exponent": ({"exponent_width": 10},),
    "dfp-to-float": ({"source_width": 32, "exponent_width": 10}, {"source_width": 48, "exponent_width": 9}),
    "dfp-from-float": (
        {"exponent_width": 9},
        {"exponent_width": 9, "rounding": "stochastic"},
        {"width": 8, "rounding": "toward-zero"},
    ),
    "dfp-fma": ({"chain": 2}, {"input_shift": 0, "overflow": "saturate", "chain": 8}),
    "dfp-fma-cs": ({"chain": 2}, {"input_shift": 0, "overflow": "flag", "chain": 8}),
    "dfp-dot": (
        {"chain": 2},
        {"chain": 1, "accumulator": "carry-save", "exponent_width": 10},
        {"chain": 8, "input_shift": 0, "overflow": "saturate", "spill": "int48"},
    ),
    "cast": (
        {
            "from_width": 40,
            "from_fraction": 30,
            "to_width": 16,
            "to_fraction": 8,
            "rounding": "rnd-conv",
            "overflow": "sat",
        },
        {"from_width": 32, "from_fraction": 24, "to_width": 12, "rounding": "stochastic", "overflow": "wrap-sm"},
    ),
    "k-hot": ({"a_width": 16, "terms": 4, "position_bits": 4}, {"a_width": 8, "a_signed": False, "signs": "one"}),
    "requantise": ({"table_beats": 16}, {"table_beats": 3, "residual": True, "rounding": "half-up", "width": 16}),
    "shift-gelu": ({"divider": "pipelined"}, {"divider": "pipelined", "octave": 256, "row_beats": 3}),
    "shiftmax": ({"divider": "pipelined"}, {"octave": 10, "output_width": 16, "row_beats": 3, "lanes": 8}),
}

# Of the multipliers: formats and what a product beyond the largest number can become there; all pairs of these are played.
_SMALL_FORMATS = (
    ({"format": "float8_e5m2"}, ("ieee", "infinity", "saturate", "nan")),
    ({"format": "float8_e4m3"}, ("ieee", "saturate", "nan")),
    ({"format": "float8_e4m3fn"}, ("ieee", "saturate", "nan")),
    ({"format": "float8_e3m4"}, ("ieee", "saturate", "nan")),
    ({"format": "float6_e3m2fn"}, ("saturate",)),
    ({"format": "float6_e2m3fn"}, ("saturate",)),
    ({"format": "float4_e2m1fn"}, ("saturate",)),
    ({"format": "custom", "exponent_bits": 4, "mantissa_bits": 3, "infinities": False}, ("nan",)),
    ({"format": "custom", "exponent_bits": 4, "mantissa_bits": 4, "signed": False}, ("ieee",)),
    ({"format": "custom", "exponent_bits": 5, "mantissa_bits": 3, "signed": False, "nan": "all-ones"}, ("nan",)),
    ({"format": "custom", "exponent_bits": 4, "mantissa_bits": 3, "nan": "none", "bias": 0}, ("saturate",)),
    ({"format": "custom", "exponent_bits": 3, "mantissa_bits": 4, "nan": "all-ones", "bias": 9}, ("saturate",)),
    ({"format": "custom", "exponent_bits": 2, "mantissa_bits": 5, "bias": 255}, ("saturate",)),
    ({"format": "custom", "exponent_bits": 6, "mantissa_bits": 1, "nan": "none"}, ("saturate",)),
)
_FLOAT8 = ("float8_e5m2", "float8_e4m3", "float8_e4m3fn", "float8_e3m4")
_WIDE = ("bfloat16", "float16", "float32")
_WIDE_VECTORS = 1_000_000

# By design: what meets each of these formats, overflows and special values; what takes turns there; the extremes that wide
# formats and netlists take.
_MULTIPLIERS = {
    "lmul": (
        ({}, {"carry": "formula"}, {"carry": "formula", "rounding": "nearest-even"}),
        (
            {},
            {"offset": "none"},
            {"offset": "optimal", "guard_bits": 2},
            {"guard_bits": 1},
            {"offset": 0.625},
            {"offset": "optimal", "criterion": "maximum"},
            {"offset": "none", "guard_bits": 3},
        ),
        (
            {},
            {"carry": "formula", "rounding": "nearest-even"},
            {"offset": "none", "overflow": "saturate", "specials": False},
        ),
    ),
    "fmul": (
        (
            {},
            {"subnormals": False},
            {"rounding": "toward-zero"},
            {"rounding": "toward-zero", "subnormals": False},
        ),
        ({},),
        (
            {},
            {"subnormals": False},
            {"rounding": "toward-zero", "subnormals": False, "overflow": "saturate", "specials": False},
        ),
    ),
}

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
    ways, turns, extremes = _MULTIPLIERS[name]
    cases = [
        {**form, "overflow": overflow, "specials": specials}
        for form, overflows in _SMALL_FORMATS
        for overflow in overflows
        # Custom formats are there for their numbers; the small named ones have no special values.
        for specials in ((True,) if len(overflows) == 1 else (True, False))
    ]
    for (place, case), (number, way) in itertools.product(enumerate(cases), enumerate(ways)):
        # Stages and what takes turns shift from case to case, so that each meets each way.
        turn = turns[(place + 2 * number) % len(turns)]
        yield configure(name, **case, **{**turn, **way}, stages=(place + number) % 4), {"on": "rtl", "exhaustive": True}
    for form, extreme in itertools.product(_WIDE, extremes):
        yield configure(name, format=form, **extreme), {"on": "rtl", "bulk": True, "vectors": _WIDE_VECTORS}
    # All pairs never meet a stall, the cocotb bench does; bfloat16 with one stage was just now.
    pipelines = [("float8_e4m3fn", stages) for stages in range(4)] + [("bfloat16", stages) for stages in (0, 2, 3)]
    for (form, stages), way in itertools.product(pipelines, ways):
        yield configure(name, format=form, **way, stages=stages), {"on": "rtl"}
    for form, extreme in itertools.product(_FLOAT8, extremes):
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
        if name in _MULTIPLIERS:
            jobs += _multiplier_jobs(name)
            continue
        sizes, variants, small = _ARRAYS.get(name, (({},), ({},), None))
        jobs += [(_configured(name, size, variant), {"on": "rtl"}) for size in sizes for variant in variants]
        bulk = {"on": "rtl", "bulk": True, "vectors": _BULK_VECTORS}
        jobs += [(configure(name, **one), bulk) for one in _BULK.get(name, ())]
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
            found += [_configured(name, one, variant) for one in sets for variant in _ARRAYS[name][1]]
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
