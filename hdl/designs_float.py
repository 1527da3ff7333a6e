"""Designs of floating point: products, L-Mul's and exact ones, and their sums."""

from ..models.float_dot import FloatArrayConfig, FloatDotConfig, float_dot_golden, float_dot_stimulus
from ..models.float_multiply import FloatMultiplyConfig, float_multiply_golden, float_stimulus
from ..models.lmul import LMulConfig, lmul_golden
from .design import Design
from .float_array import FloatArray
from .float_multiply import FloatMultiplier
from .lmul import LMul

__all__ = ["FLOAT_DESIGNS"]

_LMUL = "Addition is All You Need for Energy-efficient Language Models (arXiv 2410.00907)"

_FLOAT_SUM_LIMITS = (
    "K is padded with zeros to a multiple of `lanes`",
    "rounded additions take one cycle each, a chain or tree of them with several lanes",
)


FLOAT_DESIGNS = (
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
)
