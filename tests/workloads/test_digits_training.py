"""Training in float32 and DFP: the network's gradients, its steps, what is counted, captured products."""

import re

import numpy as np
import pytest

from carrysave.models.convolution import conv_forward
from carrysave.models.dfp import DFPCounts
from carrysave.models.dfp_gemm import dfp_gemm
from carrysave.models.errors import ConfigError
from carrysave.workloads.convolutional_network import LAYERS, ROLES, ConvolutionalNetwork, cross_entropy
from carrysave.workloads.digits import digits_split
from carrysave.workloads.digits_training import DigitsTraining, captured_products, train_digits
from carrysave.workloads.training_arithmetic import TrainingArithmetic, TrainingConfig


class Plain:
    """Products as NumPy has them, of any type; whose they are is noted."""

    def __init__(self):
        self.seen = []

    def matmul(self, a, b, *, layer, role):
        self.seen.append((layer, role))
        return a @ b


@pytest.fixture(scope="module")
def split():
    return digits_split()


def float64_network(rng):
    """A network of which no parameter has its first, special value."""
    network = ConvolutionalNetwork(seed=3, dtype=np.float64)
    for value in network.parameters.values():
        value += 0.1 * rng.standard_normal(value.shape)
    return network


def test_gradients_are_slopes_of_the_loss():
    rng = np.random.default_rng(1)
    network, arithmetic = float64_network(rng), Plain()
    images, labels = rng.random((5, 8, 8, 1)), np.array([3, 1, 4, 1, 5])
    gradients, logits, loss = network.gradients(images, labels, arithmetic)
    assert loss == cross_entropy(logits, labels)[0]
    assert gradients.keys() == network.parameters.keys()
    for name, value in network.parameters.items():
        assert gradients[name].shape == value.shape
        along, kept = rng.standard_normal(value.shape), value.copy()
        ends = []
        for sign in (1, -1):
            value[...] = kept + sign * 1e-6 * along
            ends.append(network.gradients(images, labels, arithmetic)[2])
        value[...] = kept
        assert np.sum(gradients[name] * along) == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8), name


def test_every_layer_has_its_three_products():
    arithmetic = Plain()
    network = ConvolutionalNetwork(seed=1)
    images = np.random.default_rng(1).random((4, 8, 8, 1)).astype(np.float32)
    gradients, logits, _loss = network.gradients(images, np.arange(4), arithmetic)
    want = {(layer, role) for layer in LAYERS for role in ROLES} - {("conv1", "backward-data")}
    assert len(arithmetic.seen) == len(want) == 8
    assert set(arithmetic.seen) == want
    assert {array.dtype for array in (logits, *gradients.values())} == {np.dtype(np.float32)}
    arithmetic.seen.clear()
    assert network.logits(images, arithmetic).dtype == np.float32
    assert arithmetic.seen == [(layer, "forward") for layer in LAYERS]


def test_statistics_become_those_of_the_images():
    rng = np.random.default_rng(1)
    network, images, labels = float64_network(rng), rng.random((6, 8, 8, 1)), np.arange(6)
    for _ in range(200):
        _gradients, logits, _loss = network.gradients(images, labels, Plain())
    assert np.allclose(network.logits(images, Plain()), logits, rtol=1e-6, atol=1e-6)


def test_a_step_moves_the_statistics_by_a_tenth():
    rng = np.random.default_rng(4)
    network, images = float64_network(rng), rng.random((6, 8, 8, 1))
    product = conv_forward(images, network.parameters["conv1"], np.matmul, padding=1)
    network.gradients(images, np.arange(6), Plain())
    mean, variance = network._statistics["conv1"]
    assert mean == pytest.approx(0.1 * product.mean(axis=(0, 1, 2)))
    assert variance == pytest.approx(0.9 + 0.1 * product.var(axis=(0, 1, 2)))


def test_cross_entropy_by_hand():
    logits = np.log(np.array([[1.0, 3.0], [1.0, 1.0]]))
    loss, slope = cross_entropy(logits, np.array([1, 0]))
    assert loss == pytest.approx(-(np.log(0.75) + np.log(0.5)) / 2)
    assert np.allclose(slope, [[0.125, -0.125], [-0.25, 0.25]])


def test_float32_learns_and_repeats():
    config, told = TrainingConfig(arithmetic="float32", epochs=3), []
    first = train_digits(config, seed=1, log=lambda number, epoch: told.append((number, epoch)))
    assert told == list(enumerate(first, 1))
    assert first == train_digits(config, seed=1)
    assert first != train_digits(config, seed=2)
    assert first[-1].test_accuracy > 0.95
    assert first[0].loss > first[1].loss > first[2].loss
    assert (first[0].elements, first[0].saturated) == (0, 0)


def test_steps_by_hand(split):
    training = DigitsTraining(TrainingConfig(arithmetic="float32", epochs=2), seed=1, split=split)
    network, order = ConvolutionalNetwork(seed=1), np.random.RandomState(1).permutation(1437)
    images = (split.train_images / 16).astype(np.float32).reshape(-1, 8, 8, 1)
    momentum = dict.fromkeys(network.parameters, 0.0)
    for step in range(3):
        chosen = order[64 * step : 64 * step + 64]
        gradients, logits, loss = network.gradients(images[chosen], split.train_labels[chosen], Plain())
        correct = np.mean(logits.argmax(axis=1) == split.train_labels[chosen])
        assert training.step() == (loss, correct)
        for name, value in network.parameters.items():
            momentum[name] = np.float32(0.9) * momentum[name] + gradients[name]
            # 44 steps take the cosine from 0 to 180 degrees.
            value -= np.float32(0.1 + 0.1 * np.cos(np.pi * step / 44)) * momentum[name]
            assert np.allclose(training.network.parameters[name], value, rtol=1e-6, atol=1e-7), name
            training.network.parameters[name][...] = value


def parameters_after(split, steps, **options):
    training = DigitsTraining(TrainingConfig(**options), seed=1, split=split)
    losses = [training.step()[0] for _ in range(steps)]
    return losses, np.concatenate([value.ravel() for value in training.network.parameters.values()])


@pytest.mark.parametrize(
    ("options", "low", "high"),
    [
        ({}, 1e-7, 2e-3),
        ({"block": "row"}, 1e-7, 2e-3),
        ({"block": "16"}, 1e-7, 2e-3),
        ({"rounding": "stochastic"}, 1e-7, 2e-3),
        ({"spill": "float32"}, 1e-7, 4e-3),
        ({"arithmetic": "dfp12"}, 1e-5, 3e-2),
        ({"arithmetic": "dfp8", "block": "32"}, 1e-3, 0.3),
    ],
)
def test_dfp_stays_near_float32(split, options, low, high):
    exact_losses, exact = parameters_after(split, 3, arithmetic="float32")
    losses, values = parameters_after(split, 3, **options)
    distance = np.linalg.norm(values - exact) / np.linalg.norm(exact)
    assert low < distance < high
    assert losses == pytest.approx(exact_losses, rel=5 * high)


def test_what_is_counted(split):
    config = TrainingConfig(arithmetic="dfp4", epochs=1)
    training = DigitsTraining(config, seed=1, split=split)
    training.arithmetic.elements, training.arithmetic.counts = 10**9, DFPCounts(saturated=10**9, special=7)  # before it
    epoch = training.epoch()
    assert epoch.elements == 22 * captured_elements(split)
    # An epoch's figures are of its training: its test converts numbers as well.
    assert training.arithmetic.elements - 10**9 > epoch.elements
    assert 0 < epoch.saturated <= training.arithmetic.counts.saturated - 10**9
    assert (epoch.special, epoch.exponent_overflow, epoch.exponent_underflow) == (0, 0, 0)


def captured_elements(split):
    training = DigitsTraining(TrainingConfig(arithmetic="dfp4"), seed=1, split=split)
    training.arithmetic.captured = []
    training.step()
    return sum(one.a.size + one.b.size for one in training.arithmetic.captured)


def test_exponents_out_of_range_are_counted():
    arithmetic = TrainingArithmetic(TrainingConfig(), seed=1)
    tiny = np.full((2, 2), 2.0**-126, np.float32)
    arithmetic.matmul(tiny, tiny, layer="dense", role="forward")
    assert arithmetic.counts.exponent_underflow == 2


@pytest.mark.parametrize("options", [{}, {"block": "row"}, {"block": "16"}, {"spill": "float32"}])
def test_captured_products_reproduce(options):
    config = TrainingConfig(**options)
    captured = captured_products(config, seed=2, step=1)
    assert [(one.layer, one.role) for one in captured[:3]] == [(layer, "forward") for layer in LAYERS]
    assert len(captured) == 8
    for one in captured:
        left, right = one.a_dfp, one.b_dfp
        assert np.array_equal(dfp_gemm(left, right, config.dfp.accumulation).float32, one.product)
        units = (
            2.0 ** np.max(left.exponents) * np.abs(one.b).max() + 2.0 ** np.max(right.exponents) * np.abs(one.a).max()
        )
        exact = one.a.astype(np.float64) @ one.b
        # Half a unit of each operand; a whole one more where chains are shifted right first.
        each = 0.5 if config.spill == "wide" else 1.5
        assert np.abs(one.product - exact).max() <= 1.01 * each * units * one.a.shape[1] + 1e-6 * np.abs(exact).max()
    shapes = {(one.layer, one.role): (*one.a.shape, one.b.shape[1]) for one in captured}
    assert shapes["conv2", "forward"] == (1024, 144, 32)
    assert shapes["conv2", "backward-data"] == (1024, 288, 16)
    assert shapes["conv1", "backward-weights"] == (9, 4096, 16)
    assert captured[0].macs == 4096 * 9 * 16


def test_stochastic_rounding_depends_on_the_seed():
    config, values = TrainingConfig(arithmetic="dfp8", rounding="stochastic"), np.linspace(0, 1, 64, dtype=np.float32)
    products = [
        TrainingArithmetic(config, seed=seed).matmul(values[np.newaxis], values[:, np.newaxis], layer="x", role="y")
        for seed in (0, 0, 1, (1 << 32) - 1)
    ]
    assert products[0] == products[1]
    assert len({float(product[0, 0]) for product in products}) > 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"arithmetic": "bfloat16"}, "arithmetic must be one of float32, dfp4, .*, dfp16, not 'bfloat16'"),
        ({"block": "8"}, "block must be one of tensor, row, 16, 32, not '8'"),
        ({"rounding": "up"}, "rounding must be one of nearest-even, toward-zero, stochastic, not 'up'"),
        ({"spill": "int48"}, "spill must be one of wide, float32, not 'int48'"),
        ({"epochs": 0}, r"epochs must be an integer in 1\.\.1000, not 0"),
        ({"arithmetic": "float32", "block": "row"}, "block is DFP's: float32 has none, so leave it out"),
    ],
)
def test_refused(options, text):
    with pytest.raises(ConfigError, match=f"^{text}$"):
        TrainingConfig(**options)


def test_refused_seeds_and_steps():
    config = TrainingConfig(arithmetic="float32", epochs=1)
    for seed in (-1, 1 << 32, 0.5, True):
        with pytest.raises(
            ConfigError, match=rf"^seed must be an integer in 0\.\.4294967295, not {re.escape(repr(seed))}$"
        ):
            DigitsTraining(config, seed=seed)
    for step in (-1, 22, None):
        with pytest.raises(ConfigError, match=rf"^step must be an integer in 0\.\.21, not {step}$"):
            captured_products(config, seed=0, step=step)
