"""Configurations and stimuli of the designs on fixed point: what is refused, and that corners are met."""

import numpy as np
import pytest

from carrysave.models.cast_unit import CastConfig, cast_golden, cast_stimulus
from carrysave.models.errors import ConfigError
from carrysave.models.k_hot_unit import KHotConfig, k_hot_golden, k_hot_stimulus
from carrysave.models.lfsr import LFSR


@pytest.mark.parametrize(
    ("kind", "parameters", "message"),
    [
        (CastConfig, {"from_width": 64}, r"from_width must be an integer in 1\.\.63, not 64"),
        (CastConfig, {"to_fraction": -257}, r"to_fraction must be an integer in -256\.\.256, not -257"),
        (CastConfig, {"seed": 5}, 'seed 5 needs rounding = "stochastic": others take no random bits'),
        (
            CastConfig,
            {"to_signed": False, "overflow": "wrap-sm"},
            "overflow 'wrap-sm' needs a signed format, not ap_ufixed<8, 4>: the others have no sign to wrap",
        ),
        (
            CastConfig,
            {"to_width": 1, "overflow": "sat-sym"},
            "overflow 'sat-sym' needs 2 bits or more, not ap_fixed<1, -3>: it would have zero only",
        ),
        (CastConfig, {"rounding": "nearest-even"}, "rounding must be one of trn, .*, stochastic, not 'nearest-even'"),
        (KHotConfig, {"a_width": 25}, r"a_width must be an integer in 2\.\.24, not 25"),
        (KHotConfig, {"terms": 0}, r"terms must be an integer in 1\.\.8, not 0"),
        (KHotConfig, {"signs": "none"}, "signs must be one of each, one, not 'none'"),
    ],
)
def test_what_is_refused(kind, parameters, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        kind(**parameters)


@pytest.mark.parametrize(
    "parameters",
    [
        {"overflow": "sat", "rounding": "rnd"},
        {"overflow": "sat-sym", "rounding": "rnd-conv", "from_width": 60, "from_fraction": 50},
        {"overflow": "sat", "rounding": "rnd-zero", "to_signed": False},
    ],
)
def test_stimulus_of_casts_meets_borders_and_ties(parameters):
    config = CastConfig(**parameters)
    beats = cast_stimulus(config, np.random.default_rng(2), 200)
    made = cast_golden(config, beats)
    for beyond in (0, 1):
        ends = made["value"][made["overflow"] == beyond]
        assert ends.max() == config.target.maximum
    low = -config.target.maximum if config.overflow == "sat-sym" else config.target.minimum
    assert {0, 1} == set(made["overflow"][made["value"] == low])
    dropped = config.from_fraction - config.to_fraction
    ties = beats["value"] % (1 << dropped) == 1 << dropped - 1
    assert ties.sum() > 10
    assert set(made["value"][ties] & 1) == {0, 1}


def test_casts_draw_for_every_number():
    config = CastConfig(rounding="stochastic", seed=9, from_width=20, from_fraction=16, to_fraction=0)
    beats = config.i.beats(value=np.full(100, 0x18000))
    draws = LFSR(9).draws(100)
    assert cast_golden(config, beats)["value"].tolist() == (1 + (draws >= 0x8000)).tolist()
    assert config.continuous
    assert not CastConfig().continuous


@pytest.mark.parametrize("signs", ["each", "one"])
def test_stimulus_of_k_hot_meets_the_ends_of_the_product(signs):
    config = KHotConfig(signs=signs, terms=3, position_bits=4)
    products = k_hot_golden(config, k_hot_stimulus(config, np.random.default_rng(2), 200))["product"]
    low, high = config.product_range
    assert (products.min(), products.max()) == (low, high)
    assert config.product_width == len(f"{high:b}") + 1
