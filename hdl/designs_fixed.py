"""Designs of fixed-point pipelines: casts, multiplications by few powers of two, the functions between matrix products."""

from ..models.batch_norm_unit import BatchNormConfig, batch_norm_golden, batch_norm_stimulus
from ..models.block_stream import (
    transformer_block_golden,
    transformer_block_macs,
    transformer_block_macs_per_word,
    transformer_block_stimulus,
)
from ..models.cast_unit import CastConfig, cast_golden, cast_stimulus
from ..models.constant_matrix_unit import ConstantMatrixConfig, constant_matrix_golden, constant_matrix_stimulus
from ..models.fixed_row_unit import (
    ReLUConfig,
    ResidualAddConfig,
    relu_golden,
    relu_stimulus,
    residual_add_golden,
    residual_add_stimulus,
)
from ..models.k_hot_unit import KHotConfig, k_hot_golden, k_hot_stimulus
from ..models.layer_norm_unit import LayerNormConfig, layer_norm_golden, layer_norm_latency, layer_norm_stimulus
from ..models.requantise_unit import RequantiseConfig, requantise_golden, requantise_stimulus
from ..models.shift_gelu_unit import ShiftGELUConfig, shift_gelu_golden, shift_gelu_stimulus
from ..models.shiftmax_unit import ShiftmaxConfig, shiftmax_golden, shiftmax_latency, shiftmax_stimulus
from ..models.transformer_block import TransformerBlockConfig
from .constant_matrix import ConstantMatrix
from .design import Design
from .fixed_point import Cast
from .fixed_rows import BatchNorm, FixedRows
from .k_hot import KHot
from .layer_norm import LayerNorm
from .requantise import Requantise
from .shift_gelu import ShiftGELU
from .shiftmax import Shiftmax
from .transformer_block import TransformerBlock

__all__ = ["FIXED_POINT_DESIGNS"]

_QFX = "Trainable Fixed-Point Quantization for Deep Learning Acceleration on FPGAs (arXiv 2401.17544)"
_IVIT = "I-ViT: Integer-only Quantization for Efficient Vision Transformer Inference (arXiv 2207.01405)"
_NO_MACS = "multiplies nothing: what is reported a multiply-accumulate is an element"

_WHOLE_BEATS = "a row is whole beats, any number of them"
_TABLE_LIMITS = (
    "a row of data has at most `table_beats` beats; a longer one goes on at row 0 of the table",
    "the table means nothing before beats with `load` have filled it; the golden model refuses to read it",
)
_ROW_LIMITS = (
    _NO_MACS,
    "a row has `row_beats` beats at most; a longer one ends by itself, and is flagged `cut`",
)

FIXED_POINT_DESIGNS = (
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
        title="fixed point: ReLU of rows, cast to another format",
        config=ReLUConfig,
        component=FixedRows,
        golden=relu_golden,
        stimulus=relu_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "fixed_row_lane",
        source=f"{_QFX}, section 3",
        limits=(_NO_MACS, _WHOLE_BEATS),
    ),
    Design(
        title="fixed point: residual addition of rows, exact, with an optional ReLU, cast once",
        config=ResidualAddConfig,
        component=FixedRows,
        golden=residual_add_golden,
        stimulus=residual_add_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "fixed_row_lane",
        source=f"{_QFX}, section 3",
        limits=(_NO_MACS, _WHOLE_BEATS),
    ),
    Design(
        title="fixed point: batch normalisation of rows, a multiply-add per channel, with an optional ReLU, cast once",
        config=BatchNormConfig,
        component=BatchNorm,
        golden=batch_norm_golden,
        stimulus=batch_norm_stimulus,
        macs_per_beat=lambda config: config.lanes,
        pe=lambda config: "fixed_row_lane",
        source=f"{_QFX}, section 3",
        limits=(
            _WHOLE_BEATS,
            "inference only: scales and biases have the statistics in them, as `fold_statistics` gives them",
            *_TABLE_LIMITS,
        ),
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
        title="product with a constant matrix: shifts and additions that share common sums, no multiplier",
        config=ConstantMatrixConfig,
        component=ConstantMatrix,
        golden=constant_matrix_golden,
        stimulus=constant_matrix_stimulus,
        macs_per_beat=lambda config: config.matrix.size,
        pe=lambda config: "constant_network",
        source=f"{_QFX}, multiplication-free quantization; sharing of two-term patterns of canonical signed digits",
        limits=(
            "other weights are another circuit",
            "a weight of zero is reported as a multiply-accumulate like any other",
        ),
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
        limits=_TABLE_LIMITS,
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
            "the square root is exact; the published ten steps, each a division, are the model's, `layer_norm(reference=True)`",
            "a beat that loads biases waits until the rows that are complete have left",
            "`latency` is that of a row of one beat; each further beat adds a cycle",
            "an iterative divider begins a row every 31 cycles",
        ),
    ),
    Design(
        title="transformer block in integers: attention head after head, MLP, one array and the integer functions around it",
        config=TransformerBlockConfig,
        component=TransformerBlock,
        golden=transformer_block_golden,
        stimulus=transformer_block_stimulus,
        macs_per_beat=transformer_block_macs_per_word,
        macs_of_beats=transformer_block_macs,
        pe=lambda config: f"array_{'tree_column' if config.array == 'tree' else 'weight_stationary_pe'}",
        source=_IVIT,
        limits=(
            "a phase begins when the one before has ended; weights come anew with each input",
            "an input of more than `max_tokens` tokens ends after so many",
            "constants and weights mean what the golden model accepts: see `carrysave.models.block_words`",
            "rows of ShiftGELU are `gelu_row` elements, `lanes` at most",
            "`latency` is that from the last constants of the second normalisation to the first results",
        ),
    ),
)
