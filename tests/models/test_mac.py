"""MAC and OPT1: golden model against plain Python integers, directed cases, stimulus."""

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.models.mac import MACConfig, OPT1Config, mac_golden, mac_stimulus, operand_corners, operand_samples
from carrysave.models.payload import Field

CONFIGS = [
    MACConfig(),
    OPT1Config(),
    MACConfig(a_width=4, b_width=8, a_signed=False),
    MACConfig(a_width=16, b_width=16, max_k=200),
    MACConfig(a_width=5, b_width=5, a_signed=False, b_signed=False),
    OPT1Config(acc_width=16, overflow="wrap", max_k=300),
    OPT1Config(acc_width=17, overflow="wrap", max_k=300, a_signed=False, b_signed=False),
]


def naive_golden(config, beats):
    results, total = [], 0
    for a, b, last in beats.tolist():
        total += a * b
        if last:
            total %= 1 << config.acc_width
            if config.result_signed and total >= 1 << config.acc_width - 1:
                total -= 1 << config.acc_width
            results.append(total)
            total = 0
    return results


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_golden(config):
    beats = mac_stimulus(config, np.random.default_rng(5), 1500)
    assert mac_golden(config, beats)["result"].tolist() == naive_golden(config, beats)


def test_unfinished_reduction_gives_nothing():
    beats = MACConfig().i.beats(a=[1, 2, 3], b=[1, 1, 1], last=[0, 1, 0])
    assert mac_golden(MACConfig(), beats)["result"].tolist() == [3]
    assert len(mac_golden(MACConfig(), beats[2:])) == 0
    assert len(mac_golden(MACConfig(), beats[:0])) == 0


@pytest.mark.parametrize(("a", "b", "total"), [(-128, -128, 262144), (-42, -128, 86016), (-128, 127, -260096)])
def test_directed(a, b, total):
    config = OPT1Config(max_k=16)
    beats = config.i.beats(a=[a] * 16, b=[b] * 16, last=[0] * 15 + [1])
    assert mac_golden(config, beats)["result"].tolist() == [total]


def test_too_long_a_reduction():
    beats = MACConfig().i.beats(a=[1] * 5, b=[1] * 5, last=[0] * 4 + [1])
    with pytest.raises(ConfigError, match=r"^a reduction of 5 products exceeds max_k = 4$"):
        mac_golden(MACConfig(max_k=4), beats)
    assert mac_golden(MACConfig(max_k=4, overflow="wrap"), beats)["result"].tolist() == [5]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.canonical())
def test_stimulus(config):
    beats = mac_stimulus(config, np.random.default_rng(7), 2000)
    assert len(beats) == 2000
    assert beats["last"][-1] == 1
    config.i.check(beats)
    a_field, b_field, _ = config.i.fields
    pairs = set(zip(beats["a"].tolist(), beats["b"].tolist(), strict=True))
    for a in operand_corners(a_field).tolist():
        for b in operand_corners(b_field).tolist():
            assert (a, b) in pairs
    ends = np.flatnonzero(beats["last"])
    assert np.diff(ends, prepend=-1).max() <= config.max_k
    again = mac_stimulus(config, np.random.default_rng(7), 2000)
    assert (again == beats).all()


@pytest.mark.parametrize("count", [0, 1, 10])
def test_short_stimulus(count):
    beats = mac_stimulus(MACConfig(), np.random.default_rng(0), count)
    assert len(beats) == count
    assert beats["last"][-1:].tolist() == [1] * min(count, 1)


@pytest.mark.parametrize("field", [Field("x", 8, True), Field("x", 9, False), Field("x", 16, True)])
def test_operands(field):
    corners = operand_corners(field).tolist()
    assert {field.minimum, field.maximum, 0, 1} <= set(corners)
    assert all(field.minimum <= value <= field.maximum for value in corners)
    samples = operand_samples(field, np.random.default_rng(1), (50, 80))
    assert samples.shape == (50, 80)
    assert samples.min() >= field.minimum
    assert samples.max() <= field.maximum
    middle = (field.maximum + field.minimum + 1) // 2 if field.signed else 0
    near = np.abs(samples - middle) < (1 << field.width) / 16
    assert near.mean() > 1.5 * (2 if field.signed else 1) / 16, "half of the samples gather round zero"
