"""Training of the small convolutional network on the scanned digits, by float32 or dynamic fixed point.

The hyper-parameters are the same for every arithmetic, as in "Mixed Precision Training of Convolutional Neural Networks using
Integer Operations" (ICLR 2018, arXiv 1802.00930), and were chosen in float32: descent with momentum 0.9 on the mean
cross-entropy of batches of 64 images, the rate falling from 0.2 to 0 in half a cosine over 20 epochs of 22 steps. No image is
altered, weights do not decay. Each epoch takes the images in a new order and leaves out those that do not fill a batch.

A seed gives the initial weights, the order of the images and the random bits of stochastic rounding: the first two are the same
for all arithmetics. Matrix products of DFP are the same on every machine; what is left to float32 is as deterministic as NumPy is
on one machine.
"""

import dataclasses
import math

import numpy as np

from ..models.errors import ConfigError
from .convolutional_network import IMAGE_SIZE, ConvolutionalNetwork
from .digits import PIXEL_MAX, accuracy, digits_split
from .training_arithmetic import TrainingArithmetic

__all__ = ["BATCH", "MOMENTUM", "RATE", "DigitsTraining", "Epoch", "captured_products", "train_digits"]

BATCH = 64
RATE = 0.2
MOMENTUM = 0.9
_LARGEST_SEED = (1 << 32) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Epoch:
    """What an epoch of a training gave.

    Parameters
    ----------
    loss : :class:`float`
        Mean cross-entropy of its steps, in nats.
    train_accuracy, test_accuracy : :class:`float`
        Fractions of images: of those it was trained with, as each step found them, and of all test images at its end.
    elements : :class:`int`
        Numbers that its steps have converted to DFP; 0 in float32.
    saturated, special, exponent_overflow, exponent_underflow : :class:`int`
        What was counted of them; see :class:`~carrysave.models.dfp.DFPCounts`.
    """

    loss: float
    train_accuracy: float
    test_accuracy: float
    elements: int
    saturated: int
    special: int
    exponent_overflow: int
    exponent_underflow: int


class DigitsTraining:
    """A training, step by step.

    Parameters
    ----------
    config : :class:`~carrysave.workloads.training_arithmetic.TrainingConfig`
    seed : :class:`int`
        0..2^32 - 1.
    split : :class:`~carrysave.workloads.digits.DigitsSplit`, optional
        The images; :func:`~carrysave.workloads.digits.digits_split` without.

    Members
    -------
    network : :class:`~carrysave.workloads.convolutional_network.ConvolutionalNetwork`
    arithmetic : :class:`~carrysave.workloads.training_arithmetic.TrainingArithmetic`
    steps_per_epoch, steps : :class:`int`
        Of one epoch and of all.

    Raises
    ------
    ConfigError
        If the seed is not legal.
    """

    def __init__(self, config, *, seed, split=None):
        if type(seed) is not int or not 0 <= seed <= _LARGEST_SEED:
            raise ConfigError(f"seed must be an integer in 0..{_LARGEST_SEED}, not {seed!r}")
        split = split or digits_split()
        self._images, self._labels = _images(split.train_images), split.train_labels
        self._test_images, self._test_labels = _images(split.test_images), split.test_labels
        self.network = ConvolutionalNetwork(seed=seed)
        self.arithmetic = TrainingArithmetic(config, seed=seed)
        self.steps_per_epoch = len(self._images) // BATCH
        self.steps = self.steps_per_epoch * config.epochs
        self._momentum = {name: np.zeros_like(value) for name, value in self.network.parameters.items()}
        self._shuffle = np.random.RandomState(seed)  # as in the network: the same stream in every version of NumPy
        self._order, self._done = None, 0

    def step(self):
        """Take the next batch and change the parameters.

        Returns
        -------
        loss : :class:`float`
            Mean cross-entropy of the batch, in nats.
        correct : :class:`float`
            Fraction of the batch's images that were recognised.
        """
        place = self._done % self.steps_per_epoch
        if place == 0:
            self._order = self._shuffle.permutation(len(self._images))
        chosen = self._order[place * BATCH : (place + 1) * BATCH]
        images, labels = self._images[chosen], self._labels[chosen]
        gradients, logits, loss = self.network.gradients(images, labels, self.arithmetic)
        rate = np.float32(RATE * (1 + math.cos(math.pi * self._done / self.steps)) / 2)
        for name, value in self.network.parameters.items():
            self._momentum[name] = np.float32(MOMENTUM) * self._momentum[name] + gradients[name]
            value -= rate * self._momentum[name]
        self._done += 1
        return loss, accuracy(logits, labels)

    def epoch(self):
        """Take the steps of one epoch and test; gives an :class:`Epoch`."""
        arithmetic = self.arithmetic
        elements, counts = arithmetic.elements, dataclasses.asdict(arithmetic.counts)
        losses, correct = zip(*(self.step() for _ in range(self.steps_per_epoch)), strict=True)
        elements = arithmetic.elements - elements
        counts = {name: value - counts[name] for name, value in dataclasses.asdict(arithmetic.counts).items()}
        logits = self.network.logits(self._test_images, arithmetic)
        return Epoch(
            loss=float(np.mean(losses)),
            train_accuracy=float(np.mean(correct)),
            test_accuracy=accuracy(logits, self._test_labels),
            elements=elements,
            **counts,
        )


def train_digits(config, *, seed, log=None):
    """Train from the beginning to the end.

    Parameters
    ----------
    config : :class:`~carrysave.workloads.training_arithmetic.TrainingConfig`
    seed : :class:`int`
    log : callable, optional
        Gets each epoch's number, from 1, and its :class:`Epoch`.

    Returns
    -------
    tuple of :class:`Epoch`

    Raises
    ------
    ConfigError
        If the seed is not legal.
    """
    training, epochs = DigitsTraining(config, seed=seed), []
    for number in range(1, config.epochs + 1):
        epochs.append(training.epoch())
        if log:
            log(number, epochs[-1])
    return tuple(epochs)


def captured_products(config, *, seed, step):
    """The matrix products of one step of a training, with their operands.

    Parameters
    ----------
    config : :class:`~carrysave.workloads.training_arithmetic.TrainingConfig`
    seed : :class:`int`
    step : :class:`int`
        From 0; those before are done as well.

    Returns
    -------
    tuple of :class:`~carrysave.workloads.training_arithmetic.CapturedProduct`
        In the order in which the step takes them: forward first, then from the last layer back.

    Raises
    ------
    ConfigError
        If the seed is not legal or the training has no such step.
    """
    training = DigitsTraining(config, seed=seed)
    if type(step) is not int or not 0 <= step < training.steps:
        raise ConfigError(f"step must be an integer in 0..{training.steps - 1}, not {step!r}")
    for _ in range(step):
        training.step()
    training.arithmetic.captured = []
    training.step()
    return tuple(training.arithmetic.captured)


def _images(pixels):
    return (pixels / PIXEL_MAX).astype(np.float32).reshape(-1, IMAGE_SIZE, IMAGE_SIZE, 1)
