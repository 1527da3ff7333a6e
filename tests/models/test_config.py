"""Configurations: validation, shorthands, ``key=value`` pairs, TOML, digests."""

import dataclasses
import re

import pytest

from carrysave.models.config import Config, parameter
from carrysave.models.errors import CarrysaveError, ConfigError
from carrysave.models.mac import MACConfig, OPT1Config
from carrysave.models.systolic import SystolicConfig

CONFIGS = [
    MACConfig(),
    MACConfig(a_width=4, b_width=8, a_signed=False, max_k=100, partial_products="and", adder="brent-kung"),
    OPT1Config(carry_spacing=1, carry_spacing_low=4, encode="edge"),
    OPT1Config(acc_width=16, overflow="wrap"),
    SystolicConfig(rows=3, cols=5, pe="mac", max_k=17),
]


def naive_acc_width(low, high, k):
    width = 1
    while True:
        if low < 0 and -(1 << width - 1) <= k * low and k * high < 1 << width - 1:
            return width
        if low >= 0 and k * high < 1 << width:
            return width
        width += 1


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_toml_round_trip(config):
    again = type(config).from_toml(config.to_toml())
    assert again == config
    assert again.canonical() == config.canonical()
    assert again.digest == config.digest
    assert re.fullmatch(r"[0-9a-f]{10}", config.digest)


def test_canonical_tells_designs_and_values_apart():
    assert len({config.canonical() for config in CONFIGS}) == len(CONFIGS)
    assert len({config.digest for config in CONFIGS}) == len(CONFIGS)
    assert OPT1Config().digest != MACConfig().digest


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MACConfig().a_width = 4


@pytest.mark.parametrize("widths", [(4, 4), (4, 8), (8, 8), (16, 5), (16, 16)])
@pytest.mark.parametrize("signs", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize("max_k", [1, 3, 64, 65536])
def test_derived_accumulator(widths, signs, max_k):
    ranges = [
        (-(1 << width - 1), (1 << width - 1) - 1) if signed else (0, (1 << width) - 1)
        for width, signed in zip(widths, signs, strict=True)
    ]
    products = [x * y for x in ranges[0] for y in ranges[1]]
    need = naive_acc_width(min(products), max(products), max_k)
    arguments = {"a_width": widths[0], "b_width": widths[1], "a_signed": signs[0], "b_signed": signs[1], "max_k": max_k}
    config = MACConfig(**arguments)
    assert config.acc_width == need
    assert config.result_signed == any(signs)
    assert MACConfig(**arguments, acc_width=need) == config
    least = naive_acc_width(min(products), max(products), 1)
    if need > least:
        with pytest.raises(
            ConfigError, match=rf"^acc_width {need - 1} can overflow: {max_k} products need {need} bits;"
        ):
            MACConfig(**arguments, acc_width=need - 1)
        assert MACConfig(**arguments, acc_width=need - 1, overflow="wrap").acc_width == need - 1


def test_suggested_max_k_is_the_largest_that_fits():
    with pytest.raises(ConfigError) as caught:
        MACConfig(acc_width=20)
    k = int(re.search(r"set max_k to (\d+) or less", str(caught.value))[1])
    assert MACConfig(acc_width=20, max_k=k).max_k == k
    with pytest.raises(ConfigError, match=r"^acc_width 20 can overflow"):
        MACConfig(acc_width=20, max_k=k + 1)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["a_width=3"], "a_width must be an integer in 4..16, not 3"),
        (["width=17"], "a_width must be an integer in 4..16, not 17"),
        (["a_width=eight"], "a_width must be an integer in 4..16, not 'eight'"),
        (["a_width=true"], "a_width must be an integer in 4..16, not True"),
        (["signed=1"], "a_signed must be true or false, not 1"),
        (["max_k=0"], "max_k must be an integer in 1..1048576, not 0"),
        (
            ["adder=fast"],
            "adder must be one of kogge-stone, han-carlson, sklansky, brent-kung, ripple, hybrid, not 'fast'",
        ),
        (["overflow=clip"], "overflow must be one of refuse, wrap, not 'clip'"),
        (["acc_width=15", "max_k=1"], "acc_width must hold one product, 16 bits at least, not 15"),
        (["encode=edge", "partial_products=and"], None),
        (["width"], "a parameter is given as key=value, not 'width'"),
        (["Width=8"], "a parameter is given as key=value, not 'Width=8'"),
        (["a_width=8; rm"], "a_width must be an integer in 4..16, not '8; rm'"),
        (["rows=4"], None),
    ],
)
def test_pairs_refused(pairs, message):
    expected = (
        f"^{re.escape(message)}$" if message else r"^(encode = \"edge\" needs|mac has no parameter 'rows'; it has )"
    )
    with pytest.raises(ConfigError, match=expected) as caught:
        MACConfig.from_pairs(pairs)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, CarrysaveError)


def test_pairs_on_top_of_a_file():
    config = MACConfig.from_pairs(["b_width=6"], {"width": 4, "max_k": 9})
    assert (config.a_width, config.b_width, config.max_k) == (4, 6, 9)


def test_specific_name_beats_shorthand():
    assert MACConfig.from_pairs(["a_width=4", "width=8"]).a_width == 4


def test_unknown_toml_key_and_bad_toml():
    with pytest.raises(ConfigError, match=r"^systolic-os has no parameter 'colour'; it has width, signed, a_signed, "):
        SystolicConfig.from_toml("colour = 1")
    with pytest.raises(ConfigError, match=r"^configuration is not TOML: "):
        SystolicConfig.from_toml("rows = = 1")


def test_replace():
    config = MACConfig(max_k=100)
    assert config.replace(max_k=1, acc_width=None) == MACConfig(max_k=1)
    assert config.replace(adder="ripple").acc_width == config.acc_width


def test_parameters_are_documented():
    rows = {row["name"]: row for row in SystolicConfig.parameters()}
    assert rows["width"]["doc"] == "shorthand for a_width and b_width"
    assert rows["rows"]["legal"] == "1..64"
    assert rows["pe"]["legal"] == "mac, opt1"
    assert all(row["doc"] for row in rows.values())
    assert set(SystolicConfig().to_mapping()) | {"width", "signed"} == set(rows)


def test_boolean_and_derived_fields():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Example(Config):
        design = "example"
        shorthands = {}  # noqa: RUF012 - a dataclass field would need an annotation

        flag: bool = parameter(False, "a flag")
        size: int | None = parameter(None, "a size", legal=(1, 9))

        def derive(self):
            if self.size is None:
                self._set(size=7 if self.flag else 3)

    assert Example().size == 3
    assert Example.from_pairs(["flag=true"]).size == 7
    assert Example.from_toml("size = 9").to_toml() == "flag = false\nsize = 9\n"
    with pytest.raises(ConfigError, match=r"^flag must be true or false, not 'yes'$"):
        Example.from_pairs(["flag=yes"])
