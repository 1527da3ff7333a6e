"""One element's way to dynamic fixed point, given the exponent: from float32, and from a wider integer."""

from amaranth.hdl import Cat, Const, Module, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.dfp_units import exponent_range
from ..models.float_format import FORMATS
from ..models.lfsr import DRAW_BITS
from .dfp_parts import Digits, clamped, count_leading_zeros, guard_bits, negated_if
from .float_parts import Operand, named, shifted_left
from .float_unit import Cuts
from .shared import Shared

__all__ = [
    "FloatToDFP",
    "IntToDFP",
    "base_offset",
    "base_shape",
    "place_float_to_dfp",
    "place_int_to_dfp",
    "shift_shape",
]

_FORM = FORMATS["float32"]


def base_offset(config):
    """What :class:`FloatToDFP` takes the exponent more by: the field of a number with ``P - 1`` digits at exponent 0."""
    return config.width - 2 + _FORM.bias


def base_shape(config):
    """Shape of an exponent with :func:`base_offset`."""
    low, high = exponent_range(config.exponent_width)
    bits = max(abs(low + base_offset(config)), high + base_offset(config) + 1).bit_length() + 1
    return signed(bits)


def _draw_ports(config):
    return {"draw": In(DRAW_BITS)} if config.stochastic else {}


class FloatToDFP(wiring.Component):
    """A float32 number, rounded to P bits at a given exponent, with a row of registers inside.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_units.DFPRoundingConfig`

    Members
    -------
    code : ``In(32)``
    base : ``In``
        The exponent and :func:`base_offset`: a number with that field has ``P - 1`` digits.
    draw : ``In(16)``
        Random bits, for what the registers hold. Absent unless rounding is stochastic.
    advance : ``In(1)``
        The registers take new values.
    mantissa : ``Out(signed(width))``
        Straight from the gates, as are the flags.
    saturated, special, inexact : ``Out(1)``
        A finite number is too large; infinity or NaN; a finite number is not exactly mantissa and exponent.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "code": In(_FORM.width),
            "base": In(base_shape(config)),
            **_draw_ports(config),
            "advance": In(1),
            "mantissa": Out(signed(config.width)),
            "saturated": Out(1),
            "special": Out(1),
            "inexact": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config, cuts = self._config, Cuts(m, self)
        operand = Operand(m, self.code, _FORM, "operand")
        significand = named(m, "significand", Cat(operand.mantissa, operand.hidden))
        # A subnormal number has the exponent of field 1.
        field = named(m, "field", operand.exponent | ~operand.hidden)
        shift = self.base - field
        if exponent_range(config.exponent_width)[0] + base_offset(config) < 1:
            # Exponents so low that a subnormal number may be shifted to the left.
            zeros = count_leading_zeros(m, significand, "zeros")
            significand = shifted_left(m, significand, zeros, "normal")
            shift = shift + zeros
        shift = named(m, "shift", shift).as_signed()
        guard = guard_bits(config.rounding)
        below = max(len(significand) - (config.width - 1), guard)
        word = Cat(Const(0, below + config.width - 1 - len(significand)), significand)
        amount = clamped(m, shift, len(word).bit_length(), "amount")
        digits = Digits.shifted(
            m, word, amount, width=config.width, guard=(guard, below), negative=shift[-1]
        ).cut(cuts, 0)  # fmt: skip
        sign, special, nan = (
            cuts.cut(0, value, name)
            for value, name in ((self.code[-1], "sign"), (operand.special, "special"), (operand.nan, "nan"))
        )
        magnitude, over, inexact = digits.rounded(m, config.rounding, getattr(self, "draw", None))
        bits = len(magnitude)
        magnitude = named(m, "magnitude", (magnitude | special.replicate(bits)) & (~nan).replicate(bits))
        m.d.comb += [
            self.mantissa.eq(negated_if(m, Cat(magnitude, Const(0)), sign, "signed")),
            self.saturated.eq(over & ~special),
            self.special.eq(special),
            self.inexact.eq(inexact & ~special),
        ]
        return m


def place_float_to_dfp(config):
    """A :class:`FloatToDFP` as the shared module ``float_to_dfp``."""
    return Shared(lambda: FloatToDFP(config), FloatToDFP.ports(config), name="float_to_dfp")


def shift_shape(config):
    """Shape of the shift of :class:`IntToDFP`: enough to shift all digits out."""
    return (config.source_width + guard_bits(config.rounding)).bit_length()


class IntToDFP(wiring.Component):
    """An integer shifted to the right and rounded to P bits, with a row of registers inside.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_block.DFPDownConfig`

    Members
    -------
    value : ``In(signed(source_width))``
    shift : ``In``
        Places to the right; all ones: so many, or more.
    negative : ``In(1)``
        The shift would be to the left: all but zero saturates.
    draw, advance
        As in :class:`FloatToDFP`.
    mantissa : ``Out(signed(width))``
    saturated : ``Out(1)``
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "value": In(signed(config.source_width)),
            "shift": In(shift_shape(config)),
            "negative": In(1),
            **_draw_ports(config),
            "advance": In(1),
            "mantissa": Out(signed(config.width)),
            "saturated": Out(1),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config, cuts = self._config, Cuts(m, self)
        sign = self.value[-1]
        magnitude = negated_if(m, self.value.as_unsigned(), sign, "source")
        guard = guard_bits(config.rounding)
        digits = Digits.shifted(
            m,
            Cat(Const(0, guard), magnitude),
            self.shift,
            width=config.width,
            guard=(guard, guard),
            negative=self.negative,
        )
        digits, sign = digits.cut(cuts, 0), cuts.cut(0, sign, "sign")
        magnitude, over, _inexact = digits.rounded(m, config.rounding, getattr(self, "draw", None))
        m.d.comb += [
            self.mantissa.eq(negated_if(m, Cat(magnitude, Const(0)), sign, "signed")),
            self.saturated.eq(over),
        ]
        return m


def place_int_to_dfp(config):
    """An :class:`IntToDFP` as the shared module ``int_to_dfp``."""
    return Shared(lambda: IntToDFP(config), IntToDFP.ports(config), name="int_to_dfp")
