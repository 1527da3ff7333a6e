"""2D matrix (in the style of FlexFlow): M and N in space with broadcast, K in time.

An operand of A is broadcast along its row, from one register and one encoder a row; a row of B moves down one row of PEs
a cycle. With OPT2 the bit weights of A are in time, too: a tile is sent once for each bit weight, the most significant
first, and several lanes of K work side by side in each PE.
"""

import dataclasses
from typing import ClassVar

import numpy as np

from .config import parameter
from .digits import Recoding
from .errors import ConfigError
from .payload import Field, Payload
from .systolic import SystolicConfig
from .tile import tile_golden, tile_stimulus

__all__ = ["MatrixConfig", "matrix_golden", "matrix_stimulus"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatrixConfig(SystolicConfig):
    """2D matrix of MAC, OPT1 or OPT2 PEs."""

    design: ClassVar[str] = "matrix-2d"
    broadcast: ClassVar[bool] = True

    pe: str = parameter("opt1", "processing element", choices=("mac", "opt1", "opt2"))
    lanes: int | None = parameter(
        None,
        "products that one PE adds up in a cycle; derived as 1, with opt2 as the number of bit weights",
        legal=(1, 64),
    )

    def derive(self):
        super().derive()
        if self.lanes is None:
            self._set(lanes=self.bit_weights)
        if self.pe == "opt2" and self.partial_products == "and":
            raise ConfigError('pe = "opt2" needs partial_products = "booth": an AND-array has no digits')

    @property
    def pe_lanes(self):
        """Products that one processing element adds up in a cycle."""
        return self.lanes

    @property
    def bit_weights(self):
        """How often the steps of a tile are sent: once for each radix-4 digit of A with opt2, else once."""
        return Recoding(encoding="mbe", width=self.a_width, signed=self.a_signed).n_digits if self.pe == "opt2" else 1

    @property
    def never(self):
        """A tile ends with the lowest bit weight; the codes of ``weight`` may be more than there are."""
        if self.pe != "opt2":
            return ()
        unused = (
            ("weight: maximum", "last x weight: minimum, maximum") if self.bit_weights & self.bit_weights - 1 else ()
        )
        return ("last x weight: 1, 1", "last x weight: 1, maximum", *unused)

    @property
    def latency(self):
        """Cycles from a tile's last step to its first row: as in a MAC, and the register of a whole row."""
        return 4 + self.adder_cycles + self.register_cycles

    @property
    def i(self):
        """One step of K a beat: ``a``, ``b`` and ``last`` as :class:`~carrysave.models.tile.TileConfig` has them.

        With opt2 also ``weight``, the index of the bit weight that this pass over the steps is for.
        """
        fields = super().i.fields
        if self.pe == "opt2":
            fields += (Field("weight", max((self.bit_weights - 1).bit_length(), 1)),)
        return Payload(fields)

    def schedule(self, a, b):
        """See :meth:`~carrysave.models.tile.TileConfig.schedule`."""
        return _passes(self, super().schedule(a, b))


def _passes(config, steps):
    """Beats in which each tile of the steps is sent once for each bit weight."""
    if config.pe != "opt2":
        return steps
    ends = np.flatnonzero(steps["last"]) + 1
    tiles = np.split(np.arange(len(steps)), ends)[: len(ends)]
    order = np.concatenate([np.tile(tile, config.bit_weights) for tile in tiles]) if tiles else np.zeros(0, np.int64)
    beats = config.i.zeros(len(order))
    for name in ("a", "b"):
        beats[name] = steps[name][order]
    weights = np.arange(config.bit_weights)[::-1]
    if tiles:
        beats["weight"] = np.concatenate([np.repeat(weights, len(tile)) for tile in tiles])
    beats["last"] = steps["last"][order] & (beats["weight"] == 0)
    return beats


def matrix_golden(config, beats):
    """Rows of the tiles that the beats complete; ``rows`` beats of ``config.o.dtype`` a tile.

    Raises
    ------
    ConfigError
        If a tile's K is larger than ``max_k`` (unless ``overflow="wrap"``), or if with opt2 a tile is not the same steps
        once for each bit weight, the most significant first.
    """
    ends = np.flatnonzero(beats["last"]) + 1
    beats = beats[: ends[-1] if len(ends) else 0]
    if config.pe == "opt2":
        steps = beats[beats["weight"] == 0]
        if not np.array_equal(_passes(config, steps), beats):
            raise ConfigError(
                f"a tile of opt2 must be the same steps {config.bit_weights} times, weight from "
                f"{config.bit_weights - 1} down to 0"
            )
        beats = steps
    return tile_golden(config, beats)


def matrix_stimulus(config, rng, count):
    """Input beats as those of :func:`~carrysave.models.tile.tile_stimulus`, with opt2 once for each bit weight.

    With opt2 there may be fewer beats than ``count``, because only whole tiles are of use.
    """
    return _passes(config, tile_stimulus(config, rng, count // config.bit_weights))
