"""Tables of the verification campaign: small parameter sets for every design."""

import itertools

from .models.fixed_cast import FIXED_OVERFLOWS, FIXED_ROUNDINGS

__all__ = ["ARRAYS", "BULK", "BULK_VECTORS", "FLOAT8", "MULTIPLIERS", "SMALL_FORMATS", "WIDE", "WIDE_VECTORS"]

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

# The units of rows have the same cast: what a rounding needs of them, and what each overflow does behind a ReLU.
_ROW_CASTS = (
    {},
    {"rounding": "rnd-conv", "overflow": "sat"},
    {"rounding": "stochastic", "overflow": "sat-sym"},
    {"rounding": "rnd", "overflow": "wrap-sm"},
)

# By design: sizes with widths, signs and structures; variants, each of which meets each of these; what is verified on a
# netlist, for every variant again.
ARRAYS = {
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
    "relu": (
        (
            {},
            {"lanes": 1, "from_width": 63, "from_fraction": 40, "to_width": 24, "to_fraction": -4},
            {"lanes": 3, "from_signed": False, "to_fraction": 12},
        ),
        _ROW_CASTS,
        {"lanes": 2, "from_width": 6, "to_width": 4},
    ),
    "residual-add": (
        (
            {},
            {"lanes": 1, "residual_width": 30, "residual_fraction": -3, "to_width": 24, "relu": True},
            {"lanes": 3, "from_fraction": 11, "residual_width": 7, "residual_signed": False},
        ),
        _ROW_CASTS,
        {"lanes": 2, "from_width": 6, "residual_width": 5, "residual_fraction": 9, "to_width": 4, "relu": True},
    ),
    "batch-norm": (
        (
            {},
            {"lanes": 1, "table_beats": 1, "scale_width": 8, "scale_fraction": 5, "from_signed": False, "relu": True},
            {"lanes": 3, "table_beats": 5, "bias_width": 30, "bias_fraction": 25, "to_width": 24, "to_fraction": 16},
            {"lanes": 2, "table_beats": 256, "from_width": 30, "scale_width": 24},
        ),
        _ROW_CASTS,
        {"lanes": 2, "table_beats": 2, "from_width": 6, "scale_width": 5, "bias_width": 6, "to_width": 4, "relu": True},
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
    "constant-matrix": (
        (
            {},
            {"weights": "1", "x_width": 1},
            {"weights": "0,0/-1,0/0,-64", "x_width": 3},
            {"weights": "-32768,32767,-21845", "x_width": 24},
            {"weights": "77,-53,0,126,9/-77,53,0,-126,-9/85,85,2,-31,0/11,0,-100,64,45", "x_signed": False},
        ),
        (
            {},
            {"share": False},
            {"levels_per_stage": 1, "adder": "brent-kung"},
            {"share": False, "levels_per_stage": 3, "adder": "ripple"},
        ),
        {"weights": "7,-3,12/-7,19,5", "x_width": 4},
    ),
    "requantise": (
        (
            {},
            {"lanes": 1, "source_width": 2, "multiplier_bits": 8, "width": 2},
            {"lanes": 3, "table_beats": 5, "source_width": 9, "bias_width": 12, "multiplier_bits": 16, "width": 5},
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
        ({}, {"divider": "pipelined"}, {"halving": "shift", "divider": "pipelined"}, {"reference": True}),
        {"lanes": 1, "row_beats": 3, "octave": 64},
    ),
    "layer-norm": (
        (
            {},
            {"lanes": 1, "row_beats": 1, "width": 2, "bias_width": 2},
            {"lanes": 3, "row_beats": 5, "width": 6, "bias_width": 12},
            {"lanes": 2, "row_beats": 64, "width": 16, "bias_width": 40},
        ),
        ({}, {"divider": "pipelined"}),
        {"lanes": 1, "row_beats": 3, "width": 5, "bias_width": 8},
    ),
    "transformer-block": (
        (
            {},
            {"heads": 1, "head_width": 2, "hidden": 2, "max_tokens": 1, "lanes": 2, "unit_lanes": 1},
            {"heads": 3, "hidden": 20, "max_tokens": 9, "unit_lanes": 4, "residual_width": 11, "bias_width": 20},
            {"head_width": 8, "hidden": 24, "max_tokens": 21, "lanes": 8, "gelu_row": 4, "multiplier_bits": 16},
        ),
        ({"divider": "iterative"}, {"array": "systolic-ws", "pe": "mac"}),
        {"heads": 2, "head_width": 2, "hidden": 2, "max_tokens": 3, "lanes": 2, "unit_lanes": 1},
    ),
}

# Of these designs millions of steps are played, too: what overflows, and conversions, have corners that are met by chance.
BULK_VECTORS = 1_000_000
BULK = {
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
    "relu": ({"rounding": "rnd-conv", "overflow": "sat"},),
    "residual-add": ({"rounding": "rnd-conv", "overflow": "sat"}, {"rounding": "stochastic", "residual_fraction": 12}),
    "batch-norm": (
        {"rounding": "rnd-conv", "overflow": "sat"},
        {"rounding": "stochastic", "table_beats": 3, "lanes": 3, "relu": True},
    ),
    "k-hot": ({"a_width": 16, "terms": 4, "position_bits": 4}, {"a_width": 8, "a_signed": False, "signs": "one"}),
    "constant-matrix": (
        {},
        {"weights": "93,-17,38,0,-5,64/-93,17,51,127,-128,3", "levels_per_stage": 3, "x_signed": False},
    ),
    "requantise": (
        {"table_beats": 16},
        {"table_beats": 3, "residual": True, "bias_width": 31, "source_width": 28, "width": 16},
    ),
    "shift-gelu": ({"divider": "pipelined"}, {"divider": "pipelined", "octave": 256, "row_beats": 3}),
    "layer-norm": ({"divider": "pipelined"}, {"divider": "pipelined", "lanes": 3, "row_beats": 5, "width": 4}),
    "shiftmax": ({"divider": "pipelined"}, {"octave": 10, "output_width": 16, "row_beats": 3, "lanes": 8}),
}

# Of the multipliers: formats and what a product beyond the largest number can become there; all pairs of these are played.
SMALL_FORMATS = (
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
FLOAT8 = ("float8_e5m2", "float8_e4m3", "float8_e4m3fn", "float8_e3m4")
WIDE = ("bfloat16", "float16", "float32")
WIDE_VECTORS = 1_000_000

# By design: what meets each of these formats, overflows and special values; what takes turns there; the extremes that wide
# formats and netlists take.
MULTIPLIERS = {
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
