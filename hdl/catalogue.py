"""Every design by name."""

import difflib

import numpy as np

from ..models.bit_slice import BitSliceConfig, bit_slice_cycles, bit_slice_stimulus
from ..models.cast_unit import CastConfig, cast_golden, cast_stimulus
from ..models.cube import CubeConfig
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
from ..models.errors import CarrysaveError
from ..models.float_dot import FloatArrayConfig, FloatDotConfig, float_dot_golden, float_dot_stimulus
from ..models.float_multiply import FloatMultiplyConfig, float_multiply_golden, float_stimulus
from ..models.k_hot_unit import KHotConfig, k_hot_golden, k_hot_stimulus
from ..models.laconic import LaconicConfig, laconic_cycles, laconic_stimulus
from ..models.layer_norm_unit import LayerNormConfig, layer_norm_golden, layer_norm_latency, layer_norm_stimulus
from ..models.lmul import LMulConfig, lmul_golden
from ..models.mac import MACConfig, OPT1Config, mac_golden, mac_stimulus
from ..models.matrix import MatrixConfig, matrix_golden, matrix_stimulus
from ..models.requantise_unit import RequantiseConfig, requantise_golden, requantise_stimulus
from ..models.shift_gelu_unit import ShiftGELUConfig, shift_gelu_golden, shift_gelu_stimulus
from ..models.shiftmax_unit import ShiftmaxConfig, shiftmax_golden, shiftmax_latency, shiftmax_stimulus
from ..models.stationary import SystolicWSConfig, TreeConfig, stationary_golden, stationary_stimulus
from ..models.systolic import SystolicConfig
from ..models.tile import tile_golden, tile_stimulus
from .bit_slice import BitSliceArray
from .design import Design
from .dfp_array import DFPArray
from .dfp_block import DFPDown, DFPQuantise
from .dfp_dot import DFPDot
from .dfp_fma import DFPFMA, DFPFMACS
from .dfp_scalar import DFPExponent, DFPFromFloat, DFPToFloat
from .fixed_point import Cast
from .float_array import FloatArray
from .float_multiply import FloatMultiplier
from .k_hot import KHot
from .laconic import LaconicArray
from .layer_norm import LayerNorm
from .lmul import LMul
from .mac import MAC, OPT1
from .requantise import Requantise
from .shift_gelu import ShiftGELU
from .shiftmax import Shiftmax
from .systolic import SystolicArray
from .tree import MultiplierTree
from .weight_stationary import WeightStationaryArray

__all__ = ["DESIGNS", "Design", "UnknownDesign", "design"]


class UnknownDesign(CarrysaveError, KeyError):
    """No design of that name."""

    def __str__(self):
        return self.args[0]


def _rows_macs(config, beats):
    """Only beats with a row of A multiply."""
    return int(np.count_nonzero(beats["row"])) * config.lanes * config.cols


def _latency_by(cycles):
    """Latency of a tile by itself, from a cycle model."""

    def latency(config, beats):
        times = cycles(config, beats)
        accepted, delivered = (times.accepted, times.delivered) if hasattr(times, "accepted") else times
        return int(delivered.ravel()[0] - accepted[-1])

    return latency


_LMUL = "Addition is All You Need for Energy-efficient Language Models (arXiv 2410.00907)"
_TPE = "Bit-weight dimension of MACs, HPCA 2025 (arXiv 2503.06342)"

_DFP = "Mixed Precision Training of CNNs using Integer Operations, ICLR 2018 (arXiv 1802.00930)"

_QFX = "Trainable Fixed-Point Quantization for Deep Learning Acceleration on FPGAs (arXiv 2401.17544)"

_IVIT = "I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference (arXiv 2207.01405)"

_FLOAT_SUM_LIMITS = (
    "K is padded with zeros to a multiple of `lanes`",
    "rounded additions take one cycle each, a chain or tree of them with several lanes",
)

_NO_MACS = "multiplies nothing: what is reported a multiply-accumulate is an element"
_DFP_BLOCK_LIMITS = (
    _NO_MACS,
    "mantissas saturate symmetrically: none is -2^(P-1)",
    "a block is at most `block_beats` beats; a longer one ends by itself and the next beat begins another",
)

_ROW_LIMITS = (
    _NO_MACS,
    "a row is a multiple of `lanes` elements, `row_beats` beats at most; a longer one ends by itself, and is flagged `cut`",
)

DESIGNS = {
    entry.name: entry
    for entry in (
        Design(
            title="multiply-accumulate unit, accumulator merged into the compressor tree",
            config=MACConfig,
            component=MAC,
            golden=mac_golden,
            stimulus=mac_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "mac_pe",
            source=f"{_TPE}, baseline",
        ),
        Design(
            title="multiply-accumulate unit with a carry-save accumulator",
            config=OPT1Config,
            component=OPT1,
            golden=mac_golden,
            stimulus=mac_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "opt1_pe",
            source=f"{_TPE}, OPT1",
        ),
        Design(
            title="output-stationary systolic array of MAC or OPT1 PEs",
            config=SystolicConfig,
            component=SystolicArray,
            golden=tile_golden,
            stimulus=tile_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols,
            pe=lambda config: f"{config.pe}_pe",
            source=f"{_TPE}, systolic array, baseline and OPT1",
            limits=(
                "tiles end at least `rows` cycles apart: the last step of a tile with K below rows waits for the drain",
            ),
        ),
        Design(
            title="3D cube of MAC or OPT1 PEs, each a dot product of several lanes",
            config=CubeConfig,
            component=SystolicArray,
            golden=tile_golden,
            stimulus=tile_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
            pe=lambda config: f"{config.pe}_pe",
            source=f"{_TPE}, 3D cube, baseline and OPT1",
            limits=("K is padded with zeros to a multiple of `lanes`", "tiles end at least `rows` cycles apart"),
        ),
        Design(
            title="2D matrix of MAC, OPT1 or OPT2 PEs with a broadcast operand",
            config=MatrixConfig,
            component=SystolicArray,
            golden=matrix_golden,
            stimulus=matrix_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes / config.bit_weights,
            pe=lambda config: f"{config.pe}_pe",
            source=f"{_TPE}, 2D matrix, baseline, OPT1 and OPT2",
            limits=(
                "with opt2 a tile is sent once for each bit weight, so operands are read that often",
                "tiles end at least `rows` cycles apart",
            ),
        ),
        Design(
            title="weight-stationary systolic array of MAC or OPT1 PEs",
            config=SystolicWSConfig,
            component=WeightStationaryArray,
            golden=stationary_golden,
            stimulus=stationary_stimulus,
            macs_per_beat=lambda config: config.lanes * config.cols,
            macs_of_beats=_rows_macs,
            pe=lambda config: "weight_stationary_pe",
            source=f"{_TPE}, weight-stationary systolic array, baseline and OPT1",
            limits=(
                "K is padded with zeros to a multiple of `lanes`",
                "all rows of A between two swaps have the same `last`",
            ),
        ),
        Design(
            title="multiplier-adder tree: multipliers and adders, OPT1, or OPT2 with temporal bit weights",
            config=TreeConfig,
            component=MultiplierTree,
            golden=stationary_golden,
            stimulus=stationary_stimulus,
            macs_per_beat=lambda config: config.lanes * config.cols,
            macs_of_beats=_rows_macs,
            pe=lambda config: "tree_column",
            source=f"{_TPE}, multiplier-adder tree, baseline, OPT1 and OPT2",
            limits=(
                "K is padded with zeros to a multiple of `lanes`",
                "all rows of A between two swaps have the same `last`",
            ),
        ),
        Design(
            title="bit-slice columns of OPT3, OPT4C or OPT4E PEs, sparse over the digits of operand a",
            config=BitSliceConfig,
            component=BitSliceArray,
            golden=tile_golden,
            stimulus=bit_slice_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
            latency_of_beats=_latency_by(bit_slice_cycles),
            pe=lambda config: "opt3_pe" if config.pe == "opt3" else "slice_pe",
            source=f"{_TPE}, OPT3, OPT4C and OPT4E",
            limits=(
                "a tile's K is at most `tile_k`; longer reductions are split by the tile scheduler",
                "`latency` is that of a tile with one digit group a weight at most; the cycle model gives any other",
            ),
        ),
        Design(
            title="Laconic's term-serial array, the baseline of the bit-slice columns",
            config=LaconicConfig,
            component=LaconicArray,
            golden=tile_golden,
            stimulus=laconic_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
            latency_of_beats=_latency_by(laconic_cycles),
            pe=lambda config: "laconic_pe",
            source="Laconic Deep Learning Inference Acceleration, ISCA 2019, processing element and tile",
            limits=(
                "a group takes as long as its slowest lane over all rows and columns, whose PEs run in lockstep",
                "`latency` is that of a group of one step; each further step of a tile's last group adds a cycle",
            ),
        ),
        Design(
            title="L-Mul: approximate floating-point multiplier of one integer adder",
            config=LMulConfig,
            component=LMul,
            golden=lmul_golden,
            stimulus=float_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "lmul_core",
            source=f"{_LMUL}, section 2.2; without offset Mitchell, IRE Trans. EC-11, 1962",
            limits=(
                "subnormal operands count as zeros, and a product below the normal numbers is zero",
                "with `specials=false` NaN and infinity as operands count as numbers",
            ),
        ),
        Design(
            title="exact floating-point multiplier, rounded once",
            config=FloatMultiplyConfig,
            component=FloatMultiplier,
            golden=float_multiply_golden,
            stimulus=float_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "fmul_core",
            source="IEEE 754-2019, 4.3 and 5.4.1",
            limits=(
                "no exception flags; NaN is always the canonical one",
                "with `subnormals=false` subnormal numbers count as zeros, and with `specials=false` NaN and infinity as "
                "numbers",
            ),
        ),
        Design(
            title="floating-point dot product: L-Mul or exact lanes, rounded or exact accumulation",
            config=FloatDotConfig,
            component=FloatArray,
            golden=float_dot_golden,
            stimulus=float_dot_stimulus,
            macs_per_beat=lambda config: config.lanes,
            pe=lambda config: "float_pe",
            source=f"{_LMUL}, section 2.2; exact sums: Kulisch, Computer Arithmetic and Validity, chapter 8",
            limits=_FLOAT_SUM_LIMITS,
        ),
        Design(
            title="output-stationary systolic array of floating-point dot products, L-Mul or exact",
            config=FloatArrayConfig,
            component=FloatArray,
            golden=float_dot_golden,
            stimulus=float_dot_stimulus,
            macs_per_beat=lambda config: config.rows * config.cols * config.lanes,
            pe=lambda config: "float_pe",
            source=f"{_LMUL}, section 2.2; exact sums: Kulisch, Computer Arithmetic and Validity, chapter 8",
            limits=(*_FLOAT_SUM_LIMITS, "tiles end at least `rows` cycles apart"),
        ),
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
        Design(
            title="fixed point: cast from one format to another, all roundings and overflows of ap_fixed",
            config=CastConfig,
            component=Cast,
            golden=cast_golden,
            stimulus=cast_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "fixed_cast",
            source=f"{_QFX}, section 3; AMD UG1399, arbitrary precision fixed-point types",
            limits=(_NO_MACS, "no modes with saturated bits (N > 0)"),
        ),
        Design(
            title="multiplier of weights that are sums of K powers of two: shifters and an adder tree",
            config=KHotConfig,
            component=KHot,
            golden=k_hot_golden,
            stimulus=k_hot_stimulus,
            macs_per_beat=lambda config: 1,
            pe=lambda config: "k_hot_multiplier",
            source=f"{_QFX}, multiplication-free quantization; signed terms as in the non-adjacent form",
            limits=("weights come as positions and signs: integers are recoded by `carrysave.models.k_hot`",),
        ),
        Design(
            title="integer functions: dyadic requantisation, per tensor or per channel, with a residual branch",
            config=RequantiseConfig,
            component=Requantise,
            golden=requantise_golden,
            stimulus=requantise_stimulus,
            macs_per_beat=lambda config: config.lanes * len(config.branches),
            pe=lambda config: "dyadic_lane",
            source=f"{_IVIT}, section 3.2",
            limits=(
                "a row of data has at most `table_beats` beats; a longer one goes on at row 0 of the table",
                "the table means nothing before beats with `load` have filled it; the golden model refuses to read it",
            ),
        ),
        Design(
            title="integer functions: Shiftmax, the softmax of rows, by shifts and one division a row",
            config=ShiftmaxConfig,
            component=Shiftmax,
            golden=shiftmax_golden,
            stimulus=shiftmax_stimulus,
            macs_per_beat=lambda config: config.lanes,
            latency_of_beats=shiftmax_latency,
            pe=lambda config: "shift_exp_lane",
            source=f"{_IVIT}, section 3.3",
            limits=(
                *_ROW_LIMITS,
                "`latency` is that of a row of one beat; each further beat adds a cycle",
                "an iterative divider begins a row every `factor_width` cycles",
            ),
        ),
        Design(
            title="integer functions: ShiftGELU, x sigmoid(1.702 x) of rows, by shifts and a division an element",
            config=ShiftGELUConfig,
            component=ShiftGELU,
            golden=shift_gelu_golden,
            stimulus=shift_gelu_stimulus,
            macs_per_beat=lambda config: config.lanes,
            pe=lambda config: "shift_exp_lane",
            source=f"{_IVIT}, section 3.4",
            limits=(
                *_ROW_LIMITS,
                "a row's maximum counts as 0 if it is negative; the published function is the model's, `reference=True`",
                "an iterative divider takes a beat every `factor_width` cycles",
            ),
        ),
        Design(
            title="integer functions: I-LayerNorm of rows, by an integer square root and one division a row",
            config=LayerNormConfig,
            component=LayerNorm,
            golden=layer_norm_golden,
            stimulus=layer_norm_stimulus,
            macs_per_beat=lambda config: config.lanes,
            latency_of_beats=layer_norm_latency,
            pe=lambda config: "norm_lane",
            source=f"{_IVIT}, section 3.5",
            limits=(
                *_ROW_LIMITS,
                "the square root is exact; the published ten steps are the model's, `reference=True`",
                "a beat that loads biases waits until the rows that are complete have left",
                "`latency` is that of a row of one beat; each further beat adds a cycle",
                "an iterative divider begins a row every 31 cycles",
            ),
        ),
    )
}


def design(name):
    """The entry of that name; raises :exc:`UnknownDesign` with the nearest names."""
    if name in DESIGNS:
        return DESIGNS[name]
    near = difflib.get_close_matches(str(name), DESIGNS, n=3, cutoff=0.6) or sorted(DESIGNS)
    raise UnknownDesign(f"no design is called {name!r}; did you mean {', '.join(near)}?")
