"""Arithmetic of a training: what the matrix products of a network are computed with, counted and, where asked for, kept.

In "Mixed Precision Training of Convolutional Neural Networks using Integer Operations" (ICLR 2018, arXiv 1802.00930)
activations, weights and slopes are rounded to dynamic fixed point each time that a matrix product takes them, and its sums go on
as float32. So they do here, in every product of a training; the master copy of the weights stays float32.
"""

import dataclasses
import re
from typing import ClassVar

import numpy as np

from ..models.config import Config, parameter
from ..models.dfp import DFPCounts, DFPFormat, DFPTensor
from ..models.dfp_array import DFPArrayConfig
from ..models.dfp_dot import DFPDotConfig
from ..models.dfp_gemm import DFPArithmetic, dfp_gemm
from ..models.dfp_rounding import DFP_ROUNDINGS
from ..models.errors import ConfigError
from ..models.lfsr import LFSR, LFSR_WIDTH

__all__ = ["ARITHMETICS", "CapturedProduct", "TrainingArithmetic", "TrainingConfig"]

ARITHMETICS = ("float32", *(f"dfp{width}" for width in range(4, 17)))
_MULTIPLIER = 2654435761  # spreads neighbouring seeds over the register's states


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """What a training computes with."""

    design: ClassVar[str] = "train-digits"
    shorthands: ClassVar[dict] = {}

    arithmetic: str = parameter("dfp16", "float32, or DFP mantissas of so many bits", choices=ARITHMETICS)
    block: str = parameter(
        "tensor",
        "what shares an exponent: the matrix, a row along the reduction, or so many elements of one",
        choices=("tensor", "row", "16", "32"),
    )
    rounding: str = parameter("nearest-even", "rounding to DFP", choices=DFP_ROUNDINGS)
    spill: str = parameter(
        "wide",
        "wide: sums are exact, those of a block of elements each, and rounded to float32; float32: so are chains of pairs "
        "of products that fit 32 bits",
        choices=("wide", "float32"),
    )
    epochs: int = parameter(20, "passes over the training images", legal=(1, 1000))

    def derive(self):
        if self.arithmetic == "float32":
            for field in dataclasses.fields(self):
                if field.name in ("block", "rounding", "spill") and getattr(self, field.name) != field.default:
                    raise ConfigError(f"{field.name} is DFP's: float32 has none, so leave it out")

    @property
    def dfp(self):
        """The arithmetic in DFP as :class:`~carrysave.models.dfp_gemm.DFPArithmetic`; ``None`` for float32."""
        if self.arithmetic == "float32":
            return None
        width = int(re.sub("[^0-9]", "", self.arithmetic))
        block = int(self.block) if self.block.isdecimal() else self.block
        form = DFPFormat(width=width, block=block, rounding=self.rounding)
        if self.spill == "float32":
            # One place is enough for a chain that is safe, as in the paper; 15 bits and fewer need none.
            accumulation = DFPDotConfig(width=width, lanes=2, input_shift=max(width - 15, 0))
        elif isinstance(block, int):
            # A block is a chain of one step: its sum is exact, and the blocks' sums are added up in float32.
            accumulation = DFPDotConfig(width=width, lanes=block, input_shift=0, acc_width=48, chain=1)
        else:
            accumulation = DFPArrayConfig(width=width, exponents=self.block)
        return DFPArithmetic(form=form, accumulation=accumulation)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CapturedProduct:
    """A matrix product of a training.

    Parameters
    ----------
    layer, role : :class:`str`
        Of :data:`~carrysave.workloads.convolutional_network.LAYERS` and
        :data:`~carrysave.workloads.convolutional_network.ROLES`.
    a : ``float32`` array of shape (M, K)
    b : ``float32`` array of shape (K, N)
    product : ``float32`` array of shape (M, N)
    a_dfp, b_dfp : :class:`~carrysave.models.dfp.DFPTensor` or None
        What the operands were rounded to; None in float32.
    """

    layer: str
    role: str
    a: np.ndarray
    b: np.ndarray
    product: np.ndarray
    a_dfp: DFPTensor | None = None
    b_dfp: DFPTensor | None = None

    @property
    def macs(self):
        """Multiply-accumulates."""
        return self.a.shape[0] * self.b.size


class TrainingArithmetic:
    """Matrix products for :class:`~carrysave.workloads.convolutional_network.ConvolutionalNetwork`.

    Parameters
    ----------
    config : :class:`TrainingConfig`
    seed : :class:`int`
        Of stochastic rounding.

    Members
    -------
    counts : :class:`~carrysave.models.dfp.DFPCounts`
        Of all conversions so far.
    elements : :class:`int`
        Numbers converted so far.
    captured : list of :class:`CapturedProduct`, or None
        Set it to a list, and products are appended.
    """

    def __init__(self, config, *, seed):
        self._dfp = config.dfp
        self._lfsr = LFSR(1 + seed * _MULTIPLIER % ((1 << LFSR_WIDTH) - 1))
        self.counts, self.elements, self.captured = DFPCounts(), 0, None

    def matmul(self, a, b, *, layer, role):
        """``a @ b``.

        Parameters
        ----------
        a : ``float32`` array of shape (M, K)
        b : ``float32`` array of shape (K, N)
        layer, role : :class:`str`
            Whose product it is.

        Returns
        -------
        ``float32`` array of shape (M, N)
        """
        left = right = None
        if self._dfp is None:
            product = np.matmul(a, b)
        else:
            left, right = self._dfp.operands(a, b, lfsr=self._lfsr)
            self.counts += left.counts + right.counts
            self.elements += a.size + b.size
            product = dfp_gemm(left, right, self._dfp.accumulation).float32
        if self.captured is not None:
            # Operands are views of weights, which the step is about to change.
            kept = {"a": a.copy(), "b": b.copy(), "product": product, "a_dfp": left, "b_dfp": right}
            self.captured.append(CapturedProduct(layer=layer, role=role, **kept))
        return product
