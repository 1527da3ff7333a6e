"""No word overflows, for the extreme operands of every configuration; and none has a bit too many."""

import itertools
import math

import numpy as np
import pytest

from carrysave.hdl.pe import MACPE, OPT1PE, OPT2PE, step_constant
from carrysave.models.bit_slice import BitSliceConfig
from carrysave.models.cube import CubeConfig
from carrysave.models.errors import ConfigError
from carrysave.models.laconic import LaconicConfig
from carrysave.models.mac import MACConfig, OPT1Config, mac_golden
from carrysave.models.matrix import MatrixConfig
from carrysave.models.stationary import SystolicWSConfig, TreeConfig
from carrysave.models.systolic import SystolicConfig
from carrysave.sim.width_proof import Word, words

WIDTHS = range(4, 17)
SIGNS = list(itertools.product((True, False), repeat=2))
LENGTHS = (1, 2, 3, 7, 8, 16, 100, 1000, 1024, 65536)
LANES = (1, 2, 3, 4, 5, 7, 8, 12, 16, 31, 32, 64)


def all_operands():
    for (a_width, b_width), (a_signed, b_signed) in itertools.product(itertools.product(WIDTHS, WIDTHS), SIGNS):
        yield {"a_width": a_width, "b_width": b_width, "a_signed": a_signed, "b_signed": b_signed}


def refuse_narrower(config, **rest):
    """The configuration with an accumulator of one bit less is refused, where a width of that size is legal at all."""
    if config.acc_width > 8:
        with pytest.raises(ConfigError, match=r"^acc_width "):
            config.replace(acc_width=config.acc_width - 1, **rest)


def test_extremes_are_extremes():
    """Of all pairs of operands, that those at the ends of their ranges have the extreme products."""
    for a_signed, b_signed in SIGNS:
        config = MACConfig(a_width=4, b_width=5, a_signed=a_signed, b_signed=b_signed, max_k=1)
        a, b = (np.arange(field.minimum, field.maximum + 1) for field in config.i.fields[:2])
        products = np.outer(a, b)
        (word,) = words(config)
        assert (word.low, word.high) == (products.min(), products.max())


def test_accumulators_of_every_width():
    for operands, length in itertools.product(all_operands(), LENGTHS):
        config = MACConfig(**operands, max_k=length)
        (word,) = words(config)
        assert word.fits
        assert word.tight
        if all((config.a_signed, config.b_signed)):
            # As the specification has it: one bit fewer is enough only where K is no power of two.
            bound = math.ceil(math.log2(length)) + config.a_width + config.b_width
            assert config.acc_width <= bound
            assert config.acc_width == bound or length & (length - 1)


@pytest.mark.parametrize(
    "design", [OPT1Config, SystolicConfig, CubeConfig, MatrixConfig, BitSliceConfig, LaconicConfig]
)
def test_other_designs_derive_the_same(design):
    for signs, width in itertools.product(SIGNS, (4, 7, 8, 16)):
        operands = {"a_width": width, "b_width": 20 - width, "a_signed": signs[0], "b_signed": signs[1], "max_k": 64}
        config = design(**operands)
        assert config.acc_width == MACConfig(**operands).acc_width
        refuse_narrower(config)


def test_one_bit_fewer_is_refused():
    for operands in itertools.islice(all_operands(), 0, None, 7):
        for length in (1, 3, 16, 1000):
            refuse_narrower(MACConfig(**operands, max_k=length))


def test_sum_of_all_lanes():
    for operands, lanes in itertools.product(itertools.islice(all_operands(), 0, None, 11), LANES):
        for config in (
            SystolicWSConfig(**operands, lanes=lanes, max_k=1000),
            TreeConfig(**operands, lanes=lanes, max_k=lanes),
        ):
            result, total = words(config)
            # Whole blocks of K: the longest reduction is rounded up to them.
            assert config.max_k % lanes == 0
            assert result.fits
            assert result.tight
            assert total.fits
            assert total.tight


TREES = [
    {"lanes": 1},
    {"lanes": 16},
    {"lanes": 5, "a_width": 4, "b_width": 7, "a_signed": False},
    {"lanes": 7, "width": 16},
    {"lanes": 12, "width": 6, "signed": False},
]


@pytest.mark.parametrize("parameters", TREES, ids=str)
def test_adder_trees(parameters):
    config = TreeConfig.from_mapping({**parameters, "pe": "mac"})
    found = words(config)
    products = [word for word in found if word.name.startswith("product")]
    assert len(products) == config.lanes
    assert [word for word in found if not word.fits] == []
    assert [word for word in found if not word.tight] == []
    # The last level is the sum of all lanes.
    assert (found[-1].bits, found[-1].low, found[-1].high) == (found[1].bits, found[1].low, found[1].high)


def test_digits_of_one_weight():
    for b_width, b_signed, lanes in itertools.product(WIDTHS, (True, False), LANES):
        config = TreeConfig(pe="opt2", b_width=b_width, b_signed=b_signed, lanes=lanes)
        word = words(config)[-1]
        assert word.low >= 0
        assert word.fits
        assert word.tight
        if b_signed and lanes & (lanes - 1) == 0:
            assert word.bits == math.ceil(math.log2(lanes)) + b_width + 2


def test_the_published_trap():
    """16 lanes of INT8: the sum of one digit each reaches 4096, which takes 14 signed bits."""
    config = TreeConfig(pe="opt2", lanes=16)
    assert words(config)[-1].bits == 14
    signed = Word(name="without constants", bits=14, signed=True, low=16 * 2 * -128, high=16 * -2 * -128)
    assert signed.high == 4096
    assert signed.fits
    assert signed.tight
    unit = MACConfig(max_k=16)
    for a, expected in ((-128, 262144), (-42, 86016)):
        beats = unit.i.beats(a=[a] * 16, b=[-128] * 16, last=[0] * 15 + [1])
        assert mac_golden(unit, beats)["result"].tolist() == [expected]
    assert unit.acc_width == 20
    refuse_narrower(unit)


@pytest.mark.parametrize("terms", ["naf", "mbe", "en-t", "twos-complement", "sign-magnitude"])
def test_terms_of_all_lanes(terms):
    for lanes, width, is_signed in ((1, 4, True), (16, 8, True), (5, 9, False), (16, 16, True)):
        config = LaconicConfig.from_mapping({"width": width, "signed": is_signed, "lanes": lanes, "terms": terms})
        word = words(config)[-1]
        assert word.fits
        # The heap below it holds each lane's sign dot, too: no more than two bits that the sum itself can spare.
        assert not word.holds(word.bits - 3)


def test_registers_are_as_wide_as_the_accumulator():
    """What works modulo the accumulator does so at its full width."""
    for config, component in (
        (MACConfig(max_k=7), MACPE),
        (OPT1Config(max_k=7), OPT1PE),
        (MatrixConfig(pe="opt2", max_k=7), OPT2PE),
    ):
        state = component.ports(config).members["acc" if component is MACPE else "s"]
        assert state.shape == config.acc_width
        assert 0 <= step_constant(config) < 1 << config.acc_width


def test_words_hold_what_they_say():
    word = Word(name="x", bits=4, signed=True, low=-8, high=7)
    assert word.fits
    assert word.tight
    assert not Word(name="x", bits=4, signed=True, low=-9, high=0).fits
    assert not Word(name="x", bits=4, signed=False, low=-1, high=0).fits
    assert not Word(name="x", bits=5, signed=False, low=0, high=15).tight
