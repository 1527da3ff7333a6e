"""Casts of fixed-point numbers: in a datapath against the model with every mantissa, and through their streams."""

import random

import numpy as np
import pytest
from amaranth.hdl import Cat, Const, Signal

from carrysave.hdl.catalogue import design
from carrysave.hdl.fixed_point import fixed_cast, fixed_shape
from carrysave.models.cast_unit import CastConfig
from carrysave.models.errors import ConfigError
from carrysave.models.fixed_cast import FIXED_OVERFLOWS, FIXED_ROUNDINGS, cast_flagged, check_modes
from carrysave.models.fixed_point import FixedFormat


def form(width, fraction, signed=True):
    return FixedFormat(width=width, fraction=fraction, signed=signed)


SOURCES = [form(6, 2), form(6, 2, False), form(1, 0), form(2, -1, False), form(5, 9)]
TARGETS = [
    form(4, 1),
    form(4, 1, False),
    form(3, -1),
    form(1, 0, False),
    form(6, 2),
    form(9, 5),
    form(3, 12),
    form(2, -9),
]


def legal(target, overflow):
    try:
        check_modes(target, "trn", overflow)
    except ConfigError:
        return False
    return True


@pytest.mark.parametrize("source", SOURCES, ids=str)
@pytest.mark.parametrize("rounding", FIXED_ROUNDINGS)
def test_every_mantissa(combinational, source, rounding):
    cases = [(target, overflow) for target in TARGETS for overflow in FIXED_OVERFLOWS if legal(target, overflow)]
    mantissas = np.arange(source.minimum, source.maximum + 1)
    draws = np.random.default_rng(3).integers(0, 1 << 16, len(mantissas))

    def build(m, number, draw):
        parts = []
        for target, overflow in cases:
            result, beyond = fixed_cast(m, number, source, target, rounding=rounding, overflow=overflow, draw=draw)
            assert result.shape() == fixed_shape(target)
            parts += [result.as_unsigned(), beyond]
        return Cat(parts)

    vectors = list(zip((mantissas % (1 << source.width)).tolist(), draws.tolist(), strict=True))
    words = combinational(build, [source.width, 16], vectors)
    for target, overflow in cases:
        values, beyond = cast_flagged(mantissas, source, target, rounding=rounding, overflow=overflow, draws=draws)
        want = (values % (1 << target.width) + (beyond.astype(np.int64) << target.width)).tolist()
        bits = target.width + 1
        assert [word % (1 << bits) for word in words] == want, f"to {target}, {overflow}"
        words = [word >> bits for word in words]


def test_stochastic_rounding_with_every_draw_that_matters(combinational):
    source, target = form(18, 20), form(3, 2)
    mantissas = np.repeat([-(1 << 17), -1, 1, 4, 5, (1 << 17) - 1, 98765], 3)
    draws = np.tile([0, 65535, 65536 - (98765 >> 2) % 65536], 7)

    def build(m, number, draw):
        return fixed_cast(m, number, source, target, rounding="stochastic", draw=draw)[0].as_unsigned()

    found = combinational(build, [18, 16], zip((mantissas % (1 << 18)).tolist(), draws.tolist(), strict=True))
    want = cast_flagged(mantissas, source, target, rounding="stochastic", draws=draws)[0] % 8
    assert found == want.tolist()


def test_what_is_refused(module):
    byte = form(8, 4)
    with pytest.raises(ValueError, match=r"^a mantissa of ap_fixed<8, 4> must have 8 bits, not 7$"):
        fixed_cast(module, Signal(7), byte, byte)
    with pytest.raises(ValueError, match=r"^stochastic rounding needs a draw of 16 bits, not None$"):
        fixed_cast(module, Signal(8), byte, byte, rounding="stochastic")
    with pytest.raises(ValueError, match=r"^stochastic rounding needs a draw of 16 bits, not \(const 8'd0\)$"):
        fixed_cast(module, Signal(8), byte, byte, rounding="stochastic", draw=Const(0, 8))
    with pytest.raises(ConfigError, match=r"^rounding must be one of trn, .*, stochastic, not 'up'$"):
        fixed_cast(module, Signal(8), byte, byte, rounding="up")


CONFIGS = [
    CastConfig(),
    CastConfig(rounding="stochastic", overflow="sat-sym", seed=77, from_width=40, from_fraction=35),
    CastConfig(rounding="rnd-conv", overflow="sat", from_width=63, from_fraction=-3, to_width=63, to_fraction=-40),
    CastConfig(rounding="rnd", overflow="wrap-sm", from_width=63, from_signed=False, to_width=12, to_fraction=9),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
@pytest.mark.parametrize("shares", [(0.0, 0.0), (0.4, 0.6)])
def test_streams(stream_run, config, shares):
    entry = design("cast")
    beats = entry.stimulus(config, np.random.default_rng(1), 120)
    expected = entry.golden(config, beats)
    rng = random.Random(5)
    i_pause, o_pause = (lambda cycle, share=share: rng.random() < share for share in shares)
    words, taken_i, taken_o = stream_run(
        entry.component(config), config.i.to_ints(beats), len(expected), i_pause=i_pause, o_pause=o_pause
    )
    assert words == config.o.to_ints(expected)
    if not any(shares):
        assert taken_i == list(range(len(beats)))
        assert taken_o == [cycle + config.latency for cycle in taken_i]
