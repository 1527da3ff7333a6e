"""ShiftExp of one element: the exponential of its distance below a maximum, by shifts, additions, and compares.

And of what is above 0: where the published ShiftGELU meets a row whose maximum is negative.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.shift_exp import SUM_LIMIT
from .float_parts import named, shifted_right
from .shared import Shared

__all__ = ["RisingExpLane", "ShiftExpLane", "place_shift_exp_lane"]


def _named(m, name, width, value):
    """The value, known to be in so many bits, as a signal."""
    signal = Signal(width, name=name)
    m.d.comb += signal.eq(value)
    return signal


def _powers_of_two(m, config, advance):
    """A function of rows of registers, and one that makes of octaves' integers a power of two, a line in each octave."""

    def register(row, value, name):
        held = Signal.like(value, name=f"{name}_r{row}", reset_less=True)
        with m.If(advance[row]):
            m.d.sync += held.eq(value)
        return held

    def power(rest, largest, places):
        """From row 2 on: ``2^places`` octaves, halved for every octave of ``rest``, which is at most ``largest``."""
        octave, quotient = config.octave, []
        for row, place in enumerate(reversed(range((largest // octave).bit_length())), 2):
            part = octave << place
            fits = named(m, f"fits{place}", (rest >= part)[:1])
            width = max(min(part - 1, largest).bit_length(), 1)
            rest = _named(m, f"less{place}", width, Mux(fits, rest - part, rest))
            rest, *quotient = (
                register(row, value, f"{name}{place}")
                for name, value in (("rest", rest), *((f"q{n}_", bit) for n, bit in enumerate([fits, *quotient])))
            )
        # Of two octaves less the rest, halved: in between a shift to the left by all places, and one to the right by the octaves.
        bits = (octave << places).bit_length() + 1
        if config.halving == "exact":
            word = Cat(Const(0, places), _named(m, "line", bits - places, 2 * octave - rest))
        else:
            word = Cat(Const(0, places + 1), _named(m, "line", bits - places - 1, octave - (rest + 1)[1:]))
        e, _rest = shifted_right(m, word[1:], Cat(quotient), "shifted")
        return e, 2 + len(quotient)

    return register, power


class ShiftExpLane(wiring.Component):
    """Exponential of ``x - maximum``, behind registers.

    Parameters
    ----------
    config : :class:`~carrysave.models.shift_exp.ShiftExpConfig`

    Members
    -------
    x, maximum : ``In(signed(width))``
        ``x`` is not above ``maximum``.
    advance : ``In``
        The rows of registers take new values.
    e : ``Out``
        From the last row.

    Implementation notes
    --------------------
    All words are distances, minus the integers of the definition, so that rounding down becomes rounding up. The octave is a
    constant; each bit of a quotient by it is a subtraction.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "x": In(signed(config.width)),
            "maximum": In(signed(config.width)),
            "advance": In(config.exponential_cycles),
            "e": Out(config.value_width),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        register, power = _powers_of_two(m, config, self.advance)
        distance = register(0, _named(m, "difference", config.distance_width, self.maximum - self.x), "distance")
        scaled = _named(m, "scaled", config.scaled_width, distance + (distance + 1)[1:] - (distance + 15)[4:])
        largest = config.largest_distance
        rest = _named(m, "cut_off", max(largest.bit_length(), 1), Mux(scaled > largest, largest, scaled))
        e, first = power(register(1, rest, "rest"), largest, config.fraction_bits)
        for row in range(first, config.exponential_cycles):
            e = register(row, e, "e")
        m.d.comb += self.e.eq(e)
        return m


class RisingExpLane(wiring.Component):
    """Exponential of ``-maximum``, which is above 0, clamped to what sums are; behind registers.

    Parameters
    ----------
    config : :class:`~carrysave.models.shift_gelu_unit.ShiftGELUConfig`
        With ``reference``.

    Members
    -------
    maximum : ``In(signed(width))``
        Negative.
    advance : ``In``
        The rows of registers take new values.
    e : ``Out``
        From the last row.

    Implementation notes
    --------------------
    Counted from an octave above the largest, or that above which all is clamped, it is a distance like those of others.
    """

    def __init__(self, config):
        self._config = config
        super().__init__({
            "maximum": In(signed(config.width)),
            "advance": In(config.exponential_cycles),
            "e": Out(SUM_LIMIT.bit_length()),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        register, power = _powers_of_two(m, config, self.advance)
        height = register(0, _named(m, "negated", config.width, -self.maximum), "height")
        scaled = _named(m, "scaled", config.width + 1, height + height[1:] - height[4:])
        largest = config.rising_octaves * config.octave
        rest = _named(m, "below", largest.bit_length(), Mux(scaled > largest, 0, largest - scaled))
        e, first = power(register(1, rest, "rest"), largest, config.fraction_bits + config.rising_octaves)
        e = named(m, "clamped", Mux(e > SUM_LIMIT, SUM_LIMIT, e)[: SUM_LIMIT.bit_length()])
        for row in range(first, config.exponential_cycles):
            e = register(row, e, "e")
        m.d.comb += self.e.eq(e)
        return m


def place_shift_exp_lane(config):
    """A :class:`ShiftExpLane` as the shared module ``shift_exp_lane``."""
    return Shared(lambda: ShiftExpLane(config), ShiftExpLane.ports(config), name="shift_exp_lane")
