"""Design ``transformer-block``: sizes of its array, units and memories around the block in integers.

:mod:`carrysave.models.integer_block` has the arithmetic, :mod:`carrysave.models.block_words` the words that the stream brings.
The block is done in phases, one after the other (:data:`PHASES`); in each a few units are one pipeline of streams, between
memories. The functions between the matrix products are those of "I-ViT: Integer-only Quantization for Efficient Vision
Transformer Inference", arXiv 2207.01405.
"""

import dataclasses
import functools
from typing import ClassVar

from .config import parameter
from .errors import ConfigError
from .integer_block import BlockConfig
from .layer_norm_unit import LayerNormConfig
from .payload import Field, Payload
from .requantise_unit import MAX_OPERAND, RequantiseConfig
from .row_unit import DIVIDERS
from .shift_gelu_unit import ShiftGELUConfig
from .shiftmax_unit import ShiftmaxConfig
from .stationary import SystolicWSConfig, TreeConfig

__all__ = ["ARRAYS", "HEAD_PHASES", "PHASES", "SHIFT_BYTES", "TransformerBlockConfig"]

#: Of each head, in order.
HEAD_PHASES = ("query", "key", "value", "scores", "shiftmax", "context")
#: All, in order; those of a head come once for each head.
PHASES = ("input", *HEAD_PHASES, "projection", "first_norm", "expansion", "contraction", "second_norm")

#: Bytes of a shift among a column's constants.
SHIFT_BYTES = 1

#: Arrays that can do the matrix products, by the names of their designs.
ARRAYS = {config.design: config for config in (TreeConfig, SystolicWSConfig)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransformerBlockConfig(BlockConfig):
    """A block, and how wide the hardware is that does it."""

    design: ClassVar[str] = "transformer-block"

    #: Each input brings all of its weights.
    continuous: ClassVar[bool] = True
    #: Cycles between words, where nothing is in their way.
    initiation_interval: ClassVar[int] = 1

    heads: int = parameter(2, "attention heads, computed one after the other", legal=(1, 64))
    head_width: int = parameter(4, "columns of a query, key or value of one head", legal=(1, 256))
    hidden: int = parameter(8, "columns between the two layers of the MLP", legal=(1, 1 << 14))
    max_tokens: int = parameter(8, "rows of the longest input", legal=(1, 256))
    octave: int = parameter(
        4, "integers in an octave of the scores; see carrysave.models.shift_exp", legal=(1, 1 << 20)
    )
    gelu_octave: int = parameter(
        3, "integers in an octave of ShiftGELU's input; see carrysave.models.shift_gelu", legal=(1, 1 << 20)
    )
    gelu_row: int | None = parameter(
        None,
        "elements that share a maximum in ShiftGELU, a divisor of lanes; derived as lanes",
        legal=(1, 1 << 14),
    )
    lanes: int = parameter(4, "lanes and columns of the array, elements of a word; a power of two", legal=(2, 64))
    unit_lanes: int = parameter(2, "elements that the other units take a cycle; a power of two", legal=(1, 32))
    array: str = parameter("tree", "design of the array", choices=tuple(ARRAYS))
    pe: str = parameter("opt1", "processing element of the array", choices=("mac", "opt1"))
    divider: str = parameter(
        "pipelined", "whether divisions follow each other, a bit a cycle, or begin every cycle", choices=DIVIDERS
    )

    def derive(self):
        for name in ("lanes", "unit_lanes"):
            value = getattr(self, name)
            if value & value - 1:
                raise ConfigError(f"{name} must be a power of two, not {value!r}")
        if self.gelu_row is None:
            self._set(gelu_row=self.lanes)
        for name, value, divisor in (
            ("unit_lanes", self.lanes, self.unit_lanes),
            ("gelu_row", self.lanes, self.gelu_row),
        ):
            if value % divisor:
                raise ConfigError(f"{name} must divide lanes, {value}, not {divisor!r}")
        if self.gelu_row % self.unit_lanes:
            raise ConfigError(f"gelu_row must be a multiple of unit_lanes, {self.unit_lanes}, not {self.gelu_row!r}")
        for name in ("head_width", "hidden"):
            if getattr(self, name) % self.lanes:
                raise ConfigError(f"{name} must be a multiple of lanes, {self.lanes}, not {getattr(self, name)!r}")
        super().derive()
        if self.units["array"].acc_width >= MAX_OPERAND:
            raise ConfigError(f"hidden must leave sums of {MAX_OPERAND - 1} bits at most, {self.hidden!r} does not")

    @property
    def slices(self):
        """Beats of the units that are one word."""
        return self.lanes // self.unit_lanes

    @property
    def width_words(self):
        """Words of a row of the input."""
        return self.width // self.lanes

    @property
    def head_words(self):
        """Words of a row of a query, key or value."""
        return self.head_width // self.lanes

    @property
    def hidden_words(self):
        """Words of a row between the layers of the MLP."""
        return self.hidden // self.lanes

    @property
    def token_words(self):
        """Words that hold an element for each token of the longest input."""
        return -(-self.max_tokens // self.lanes)

    @property
    def row_bits(self):
        """Bits of a row's number in an address: rows of a tile are whole."""
        return (self.token_words * self.lanes - 1).bit_length()

    @property
    def dense_bias_width(self):
        """Bits of a bias of a product with weights: with it a sum can be requantised."""
        return min(self.acc_width, MAX_OPERAND - 1)

    @property
    def bias_bytes(self):
        """Bytes of a bias among a column's constants."""
        return -(-max(self.dense_bias_width, self.bias_width) // 8)

    @property
    def multiplier_bytes(self):
        """Bytes of a multiplier among a column's constants."""
        return -(-self.multiplier_bits // 8)

    @property
    def array_config(self):
        """Configuration of the array: int8, sums of the longest reduction, an accumulator row for each token."""
        kind = ARRAYS[self.array]
        longest = max(self.width, self.hidden, self.token_words * self.lanes)
        config = kind(lanes=self.lanes, cols=self.lanes, max_k=longest, pe=self.pe)
        return config.replace(tile_rows=max(config.tile_rows, self.max_tokens))

    @functools.cached_property
    def units(self):
        """Configurations of the units, by name, in the order in which data meet them.

        ==========================  ====================================================================
        ``array``                   all matrix products
        ``requantise``              accumulators to int8, with biases
        ``shiftmax``                scores to probabilities
        ``residual``                accumulators and the residual branch to residual sums, with biases
        ``layer_norm``              residual sums to normalised ones
        ``norm_requantise``         these to int8
        ``gelu``                    between the layers of the MLP
        ``gelu_requantise``         its results to int8
        ==========================  ====================================================================
        """
        array, lanes, divider = self.array_config, self.unit_lanes, self.divider
        common = {"lanes": lanes, "multiplier_bits": self.multiplier_bits}
        sums = {"source_width": array.acc_width, "bias_width": self.dense_bias_width, "table_beats": self.slices}
        gelu = ShiftGELUConfig(
            lanes=lanes,
            row_beats=self.gelu_row // lanes,
            octave=self.gelu_octave,
            sigmoid_width=self.sigmoid_width,
            divider=divider,
        )
        norm = LayerNormConfig(
            lanes=lanes,
            row_beats=self.width // lanes,
            width=self.residual_width,
            bias_width=self.bias_width,
            divider=divider,
        )
        return {
            "array": array,
            "requantise": RequantiseConfig(**common, **sums),
            "shiftmax": ShiftmaxConfig(
                lanes=lanes, row_beats=-(-self.max_tokens // lanes), octave=self.octave, divider=divider
            ),
            "residual": RequantiseConfig(**common, **sums, residual=True, width=self.residual_width),
            "layer_norm": norm,
            "norm_requantise": RequantiseConfig(
                **common, source_width=norm.result_width, table_beats=self.width // lanes
            ),
            "gelu": gelu,
            "gelu_requantise": RequantiseConfig(**common, source_width=gelu.result_width, table_beats=self.slices),
        }

    @property
    def i(self):
        """One word; its fields.

        ========  =======================================================================================================
        ``x``     elements of a token, weights, or bytes of constants: :mod:`carrysave.models.block_words` has the order
        ``last``  with the last word of a token: it is the last one
        ========  =======================================================================================================
        """
        return Payload((Field("x", 8, True, (self.lanes,)), Field("last", 1)))

    @property
    def o(self):
        """Elements ``y`` of a token, token after token, and whether they are the ``last``."""
        return Payload((Field("y", 8, True, (self.unit_lanes,)), Field("last", 1)))

    @property
    def counters(self):
        """Cycles of each of :data:`PHASES`, modulo ``2^32``; those without a token do not count."""
        return Payload(tuple(Field(phase, 32) for phase in PHASES))

    @property
    def latency(self):
        """Cycles from the last constants of the second normalisation to the first elements of the first token.

        They are loaded into two tables, a beat of the units a cycle; then the row is read, waits until all of it is there,
        and goes through, normalised and requantised.
        """
        norm, requantise = self.units["layer_norm"], self.units["norm_requantise"]
        return 1 + 2 * self.slices + 2 * (norm.row_beats - 1) + norm.latency + requantise.latency
