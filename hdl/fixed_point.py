"""Fixed-point numbers in hardware: the cast from one format to another, in a datapath and as the design ``cast``.

Sources: AMD UG1399, section on arbitrary precision fixed-point types; QFX (arXiv 2401.17544, section 3). Sums and products need
no help: an Amaranth expression is as wide as the format that :mod:`carrysave.models.fixed_point` has for it, or wider.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..models.fixed_cast import check_modes, range_of
from ..models.lfsr import DRAW_BITS
from .dfp_stream import Rows
from .lfsr import Draws
from .shared import Shared
from .stream_unit import StreamUnit

__all__ = ["Cast", "FixedCast", "fixed_cast", "fixed_shape", "place_fixed_cast"]


def fixed_shape(form):
    """Amaranth's shape of a format's mantissas.

    Parameters
    ----------
    form : :class:`~carrysave.models.fixed_point.FixedFormat`
    """
    return Shape(form.width, form.signed)


def fixed_cast(m, value, source, target, *, rounding="trn", overflow="wrap", draw=None, name="cast"):
    """A number of one format in another, combinational.

    Parameters
    ----------
    m : :class:`amaranth.hdl.Module`
    value : value of ``source.width`` bits
        The mantissa; its bits count, not its shape's sign.
    source, target : :class:`~carrysave.models.fixed_point.FixedFormat`
    rounding, overflow : :class:`str`
        As in :mod:`carrysave.models.fixed_cast`.
    draw : 16-bit value, optional
        Random bits of stochastic rounding.
    name : :class:`str`
        What names of signals begin with.

    Returns
    -------
    pair of ``Signal``
        The mantissa, of :func:`fixed_shape` of the target, and whether the rounded number does not fit.

    Raises
    ------
    ConfigError
        For an unknown mode or one that the target does not have.
    ValueError
        If the value or the draw has another width, or stochastic rounding has no draw.

    Implementation notes
    --------------------
    The rounded number is a bit wider than what is kept, for the carry; which bits say that it does not fit follows from its
    width, and where there are none, nothing is compared.
    """
    check_modes(target, rounding, overflow)
    value = Value.cast(value)
    if len(value) != source.width:
        raise ValueError(f"a mantissa of {source} must have {source.width} bits, not {len(value)!r}")
    if rounding == "stochastic" and (draw is None or len(draw) != DRAW_BITS):
        raise ValueError(f"stochastic rounding needs a draw of {DRAW_BITS} bits, not {draw!r}")
    dropped = source.fraction - target.fraction
    # Wide enough for all dropped digits and one that is kept: the sign, or zero.
    number = Signal(Shape(max(source.width, dropped + 1), source.signed), name=f"{name}_number")
    m.d.comb += number.eq(_as(source.signed, value))
    exact = _rounded(number, dropped, rounding, draw)
    rounded = Signal(exact.shape(), name=f"{name}_rounded")
    m.d.comb += rounded.eq(exact)

    beyond, result = Signal(name=f"{name}_overflow"), Signal(fixed_shape(target), name=f"{name}_result")
    low, high = range_of(target, overflow)
    m.d.comb += beyond.eq(_beyond(rounded, target, low))
    if overflow == "wrap":
        answer = rounded
    elif overflow == "sat-zero":
        answer = Mux(beyond, 0, _low_bits(rounded, target))
    elif overflow == "wrap-sm":
        # What does not fit in one bit more wraps in any case.
        wider = Signal(Shape(target.width + 1, True), name=f"{name}_wider")
        m.d.comb += wider.eq(rounded)
        answer = wider[:-1] ^ (wider[-1] ^ wider[-2]).replicate(target.width)
    else:
        answer = Mux(beyond, Mux(_negative(rounded), low, high), _low_bits(rounded, target))
    m.d.comb += result.eq(answer)
    return result, beyond


def _as(is_signed, value):
    return value.as_signed() if is_signed else value.as_unsigned()


def _negative(value):
    return value[-1] if value.shape().signed else Const(0)


def _any(bits):
    return bits.any() if len(bits) else Const(0)


def _low_bits(value, target):
    """As many bits as the target has, of its sign; of a shorter value all, extended."""
    return _as(target.signed, value[: target.width]) if len(value) >= target.width else value


def _rounded(number, dropped, rounding, draw):
    """The number without its lowest digits, rounded: a bit wider, unless digits are just dropped, or zeros added."""
    if dropped <= 0:
        return _as(number.shape().signed, Cat(Const(0, -dropped), number))
    digits, kept = number[:dropped], _as(number.shape().signed, number[dropped:])
    if rounding == "trn":
        return kept
    negative = _negative(number)
    if rounding == "stochastic":
        first = digits[max(dropped - DRAW_BITS, 0) :]
        return kept + (Cat(Const(0, DRAW_BITS - len(first)), first) + draw)[DRAW_BITS]
    half, rest = digits[-1], _any(digits[:-1])
    return (
        kept
        + {
            "trn-zero": lambda: negative & (half | rest),
            "rnd": lambda: half,
            "rnd-zero": lambda: half & (rest | negative),
            "rnd-inf": lambda: half & (rest | ~negative),
            "rnd-min-inf": lambda: half & rest,
            "rnd-conv": lambda: half & (rest | kept[0]),
        }[rounding]()
    )


def _beyond(rounded, target, low):
    """Whether a number does not fit."""
    above = rounded[target.width - target.signed :]  # of what fits, copies of the sign; of an unsigned number zeros
    if target.signed and rounded.shape().signed:
        wrong = above.any() & ~above.all() if len(above) > 1 else Const(0)
    else:
        wrong = _any(above) | _negative(rounded)
    if low > target.minimum and len(rounded) >= target.width and rounded.shape().signed:
        wrong |= rounded == low - 1
    return wrong


class FixedCast(wiring.Component):
    """Cast, combinational.

    Parameters
    ----------
    config : :class:`~carrysave.models.cast_unit.CastConfig`

    Members
    -------
    number : ``In``
        Mantissa of ``config.source``.
    draw : ``In(16)``
        Random bits. Absent unless rounding is stochastic.
    result : ``Out``
        Mantissa of ``config.target``.
    overflow : ``Out(1)``
        The rounded number does not fit.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(self.ports(config))

    @staticmethod
    def ports(config):
        """Signature for a configuration."""
        return wiring.Signature({
            "number": In(fixed_shape(config.source)),
            "result": Out(fixed_shape(config.target)),
            "overflow": Out(1),
            **({"draw": In(DRAW_BITS)} if config.stochastic else {}),
        })  # fmt: skip

    def elaborate(self, platform):
        m = Module()
        config = self._config
        result, overflow = fixed_cast(
            m,
            self.number,
            config.source,
            config.target,
            rounding=config.rounding,
            overflow=config.overflow,
            draw=self.draw if config.stochastic else None,
        )
        m.d.comb += [self.result.eq(result), self.overflow.eq(overflow)]
        return m


def place_fixed_cast(config):
    """A :class:`FixedCast` as the shared module ``fixed_cast``."""
    return Shared(lambda: FixedCast(config), FixedCast.ports(config), name="fixed_cast")


class Cast(StreamUnit):
    """Cast between streams, one number a cycle.

    Parameters
    ----------
    config : :class:`~carrysave.models.cast_unit.CastConfig`

    Members
    -------
    i : ``In(stream)``
        Mantissa ``value``.
    o : ``Out(stream)``
        Its cast ``value``, and ``overflow``.
    """

    def elaborate(self, platform):
        m = Module()
        config = self.config
        rows = Rows(m, config.latency, valid=self.i.valid, ready=self.o.ready)
        m.submodules.core = core = place_fixed_cast(config)
        m.d.comb += [
            core.number.eq(self.i.p.value),
            self.i.ready.eq(rows.advance[0]),
            self.o.valid.eq(rows.valid[-1]),
            self.o.p.value.eq(rows.register(0, core.result, "value")),
            self.o.p.overflow.eq(rows.register(0, core.overflow, "overflow")),
        ]
        if config.stochastic:
            m.submodules.draws = draws = Draws(1, config.seed)
            m.d.comb += [core.draw.eq(draws.draws), draws.advance.eq(self.i.valid & rows.advance[0])]
        return m
