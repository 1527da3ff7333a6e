"""Designs of dynamic fixed point."""

from ..models.dfp_array import DFPArrayConfig, dfp_array_golden, dfp_array_stimulus
from ..models.dfp_block import DFPDownConfig, DFPQuantiseConfig, dfp_down_golden, dfp_quantise_golden
from ..models.dfp_block_stimulus import dfp_down_stimulus, dfp_quantise_stimulus
from ..models.dfp_dot import DFPDotConfig, dfp_dot_golden, dfp_dot_stimulus
from ..models.dfp_fma import DFPFMAConfig, DFPFMACSConfig, dfp_fma_golden, dfp_fma_stimulus
from ..models.dfp_scalar import (
    DFPExponentConfig,
    DFPFromFloatConfig,
    DFPToFloatConfig,
    dfp_exponent_golden,
    dfp_exponent_stimulus,
    dfp_from_float_golden,
    dfp_from_float_stimulus,
    dfp_to_float_golden,
    dfp_to_float_stimulus,
)
from .design import Design
from .dfp_array import DFPArray
from .dfp_block import DFPDown, DFPQuantise
from .dfp_dot import DFPDot
from .dfp_fma import DFPFMA, DFPFMACS
from .dfp_scalar import DFPExponent, DFPFromFloat, DFPToFloat

__all__ = ["DFP_DESIGNS"]

_TPE = "Bit-weight dimension of MACs, HPCA 2025 (arXiv 2503.06342)"
_DFP = "Mixed Precision Training of CNNs using Integer Operations, ICLR 2018 (arXiv 1802.00930)"
_NO_MACS = "multiplies nothing: what is reported a multiply-accumulate is an element"
_DFP_BLOCK_LIMITS = (
    _NO_MACS,
    "mantissas saturate symmetrically: none is -2^(P-1)",
    "a block is at most `block_beats` beats; a longer one ends by itself and the next beat begins another",
)


DFP_DESIGNS = (
    Design(
        title="dynamic fixed point: quantiser, blocks of float32 to integers with one exponent",
        config=DFPQuantiseConfig,
        component=DFPQuantise,
        golden=dfp_quantise_golden,
        stimulus=dfp_quantise_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "float_to_dfp",
        source=f"{_DFP}, section on the dynamic fixed point format",
        limits=_DFP_BLOCK_LIMITS,
    ),
    Design(
        title="dynamic fixed point: down-converter, blocks of wide integers to fewer bits",
        config=DFPDownConfig,
        component=DFPDown,
        golden=dfp_down_golden,
        stimulus=dfp_down_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "int_to_dfp",
        source=f"{_DFP}, section on the dynamic fixed point format, down-conversion",
        limits=(*_DFP_BLOCK_LIMITS, "the exponent must not change inside a block; that of its last beat counts"),
    ),
    Design(
        title="dynamic fixed point: exponent adder, saturating",
        config=DFPExponentConfig,
        component=DFPExponent,
        golden=dfp_exponent_golden,
        stimulus=dfp_exponent_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "exponent_adder",
        source=f"{_DFP}, section on the dynamic fixed point format, multiplication",
        limits=(_NO_MACS,),
    ),
    Design(
        title="dynamic fixed point: integer with an exponent to float32, rounded once",
        config=DFPToFloatConfig,
        component=DFPToFloat,
        golden=dfp_to_float_golden,
        stimulus=dfp_to_float_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "int_to_float",
        source=f"{_DFP}, section on the dynamic fixed point format; IEEE 754-2019, 5.4.1",
        limits=(_NO_MACS, "rounding is to nearest even only"),
    ),
    Design(
        title="dynamic fixed point: float32 to an integer with a given exponent",
        config=DFPFromFloatConfig,
        component=DFPFromFloat,
        golden=dfp_from_float_golden,
        stimulus=dfp_from_float_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "float_to_dfp",
        source=f"{_DFP}, section on the dynamic fixed point format",
        limits=(_NO_MACS, "mantissas saturate symmetrically: none is -2^(P-1)"),
    ),
    Design(
        title="dynamic fixed point: fused multiply-add of two pairs, in chains that cannot overflow",
        config=DFPFMAConfig,
        component=DFPFMA,
        golden=dfp_fma_golden,
        stimulus=dfp_fma_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "dfp_fma_pe",
        source=f"{_DFP}, sections on the dynamic fixed point format and on overflows",
        limits=("the sums of a reduction's chains, and exponents, are left to what is beside it",),
    ),
    Design(
        title="dynamic fixed point: fused multiply-add of two pairs with a carry-save accumulator",
        config=DFPFMACSConfig,
        component=DFPFMACS,
        golden=dfp_fma_golden,
        stimulus=dfp_fma_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "dfp_fma_pe",
        source=f"{_DFP}, sections on the dynamic fixed point format and on overflows; accumulator as in {_TPE}, OPT1",
        limits=(
            "the sums of a reduction's chains, and exponents, are left to what is beside it",
            "no saturation: a sum in carry-save form is known to be too large only once it is resolved",
        ),
    ),
    Design(
        title="dynamic fixed point: dot products in chains that spill to float32, or to a wide integer",
        config=DFPDotConfig,
        component=DFPDot,
        golden=dfp_dot_golden,
        stimulus=dfp_dot_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "dfp_fma_pe",
        source=f"{_DFP}, sections on the dynamic fixed point format and on overflows",
        limits=(
            "K is padded with zeros to a multiple of `lanes`",
            "where exponents change, the beat before must have `spill`; with integer sums they must not change",
        ),
    ),
    Design(
        title="dynamic fixed point: output-stationary array, exponents at its edges",
        config=DFPArrayConfig,
        component=DFPArray,
        golden=dfp_array_golden,
        stimulus=dfp_array_stimulus,
        macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
        pe=lambda config: f"{config.pe}_pe",
        source=f"{_DFP}, section on the dynamic fixed point format; array as in {_TPE}, 3D cube",
        limits=(
            "K is padded with zeros to a multiple of `lanes`",
            "tiles end at least `rows` cycles apart",
            "one exponent for all of a row's K: blocks along K are a dot-product engine's",
        ),
    ),
)
