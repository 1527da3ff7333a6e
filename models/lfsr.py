"""Linear-feedback shift register: the random bits of stochastic rounding, the same in model and hardware.

The bits follow the recurrence ``s[n + 32] = s[n] ^ s[n + 1] ^ s[n + 2] ^ s[n + 22]``, whose polynomial
``x^32 + x^22 + x^2 + x + 1`` is primitive, so that they repeat after ``2^32 - 1``. The register holds the next 32 of them,
the earliest in bit 0.
"""

import numpy as np

from .errors import ConfigError

__all__ = ["DRAW_BITS", "LFSR", "LFSR_TAPS", "LFSR_WIDTH", "leap"]

LFSR_WIDTH = 32
#: Offsets of the bits whose sum modulo 2 is the bit :data:`LFSR_WIDTH` later.
LFSR_TAPS = (0, 1, 2, 22)
#: Bits of one draw: rounding is unbiased to ``2 ** -DRAW_BITS`` of a unit in the last place.
DRAW_BITS = 16


class LFSR:
    """Random integers of :data:`DRAW_BITS` bits; consecutive draws take consecutive bits.

    Parameters
    ----------
    state : :class:`int`
        The register, 1..2^32 - 1.

    Members
    -------
    state : :class:`int`
        The register before the next draw.

    Raises
    ------
    ConfigError
        For a state out of range; of zeros nothing else would follow.
    """

    def __init__(self, state=1):
        if type(state) is not int or not 1 <= state < 1 << LFSR_WIDTH:
            raise ConfigError(f"state of an LFSR must be an integer in 1..{(1 << LFSR_WIDTH) - 1}, not {state!r}")
        self.state = state

    def draws(self, count):
        """The next ``count`` draws, ``int64`` array.

        Implementation notes
        --------------------
        A recurrence modulo 2 also holds with all its offsets doubled, for squaring a polynomial doubles its exponents. So a
        sequence doubles its length in one vectorised step.
        """
        bits = np.zeros(LFSR_WIDTH + count * DRAW_BITS, np.uint8)
        bits[:LFSR_WIDTH] = [self.state >> place & 1 for place in range(LFSR_WIDTH)]
        known, scale = LFSR_WIDTH, 1
        while known < len(bits):
            # The largest power of two with which the recurrence reaches back to known bits only.
            while 2 * scale * LFSR_WIDTH <= known:
                scale *= 2
            # The nearest bit it takes lies this far back: so many bits are found at once.
            size = min(scale * (LFSR_WIDTH - max(LFSR_TAPS)), len(bits) - known)
            start = known - scale * LFSR_WIDTH
            for tap in LFSR_TAPS:
                bits[known : known + size] ^= bits[start + scale * tap :][:size]
            known += size
        self.state = int(sum(int(bit) << place for place, bit in enumerate(bits[-LFSR_WIDTH:])))
        packed = np.packbits(bits[: count * DRAW_BITS], bitorder="little")
        return packed.view("<u2").astype(np.int64)


def leap(steps):
    """What the register holds some steps on, as sums modulo 2 of its bits now.

    Parameters
    ----------
    steps : :class:`int`

    Returns
    -------
    list of list of :class:`int`
        For each of ``steps + 32`` bits, from the register's bit 0 on, the bits of the register to sum.
    """
    masks = [1 << place for place in range(LFSR_WIDTH)]
    for step in range(steps):
        mask = 0
        for tap in LFSR_TAPS:
            mask ^= masks[step + tap]
        masks.append(mask)
    return [[place for place in range(LFSR_WIDTH) if mask >> place & 1] for mask in masks]
