"""The digits network: 1,797 scanned digits, a small network trained on them, and its int8 form for the arrays.

The images (8 by 8 pixels of 0..16) are those that ship with scikit-learn. The network is 64 -> 32 -> 10 with a ReLU in
between. It is trained in float64 with NumPy in well under a second, then quantised after training:

- symmetric, one scale a tensor: ``real = scale * integer``, weights in -127..127, activations in 0..127;
- each layer is an int8 by int8 matrix product into int32, to which the int32 bias is added;
- between layers, ``hidden = clip((acc * multiplier + 2 ** (shift - 1)) >> shift, 0, 127)``: rounding to the nearest,
  halves up, and the ReLU is the lower end of the clipping.

Training gives the same weights to the bit on every machine that adds in IEEE doubles, although matrix libraries differ
in the order of their sums: gradients and momentum are rounded to multiples of 2 ** -20 in every step, and weights move
by power-of-two multiples of those, so that a difference in the last place of a sum (about 2 ** -56 here) is rounded
away, unless a sum happens to lie that close to the middle between two multiples: for one whole training, a chance of
about one in ten thousand. Everything after training is integer arithmetic or correctly rounded division.
"""

import dataclasses
import hashlib
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ..models.errors import CarrysaveError, ConfigError
from ..models.gemm import gemm as golden_gemm

__all__ = [
    "DigitsNetwork",
    "DigitsSplit",
    "FloatNetwork",
    "Layer",
    "WorkloadError",
    "accuracy",
    "digits_split",
    "quantise",
    "train",
    "trained_network",
]

CLASSES = 10
PIXELS = 64
PIXEL_MAX = 16
INT8_MAX = 127  # symmetric: -128 is not used, so that a negated tensor is one of the same scale
_GRID = 2.0**20  # steps to one, of gradients and of momentum


class WorkloadError(CarrysaveError):
    """A file of a workload is not what it should be."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DigitsSplit:
    """The scanned digits, divided for training and test.

    Parameters
    ----------
    train_images, test_images : ``int64`` array of shape (count, 64)
        Pixels of 0..16, row by row.
    train_labels, test_labels : ``int64`` array of shape (count,)
        The digit, 0..9.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def digits_split():
    """The 1,797 images of scikit-learn; every fifth is for the test (360), the others are for training (1,437)."""
    from sklearn.datasets import load_digits  # takes a second to import, which only this function should cost

    images, labels = load_digits(return_X_y=True)
    images, labels = images.astype(np.int64), labels.astype(np.int64)
    test = np.arange(len(images)) % 5 == 0
    return DigitsSplit(
        train_images=images[~test], train_labels=labels[~test], test_images=images[test], test_labels=labels[test]
    )


def accuracy(logits, labels):
    """Fraction of images whose largest logit is that of their label."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FloatNetwork:
    """The trained network before quantisation.

    Parameters
    ----------
    weights : tuple of ``float64`` arrays of shape (inputs, outputs)
    biases : tuple of ``float64`` arrays of shape (outputs,)
    """

    weights: tuple
    biases: tuple

    def activations(self, images):
        """Inputs of every layer, in 0..1 for the first, and at the end the logits."""
        values = [_pixels(images) / PIXEL_MAX]
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            total = values[-1] @ weight + bias
            values.append(total if index == len(self.weights) - 1 else np.maximum(total, 0))
        return values

    def logits(self, images):
        """Logits of images, ``float64`` array of shape (count, 10)."""
        return self.activations(images)[-1]


def train(images, labels, *, hidden=32, epochs=60, batch=32, seed=0):
    """Train the network by gradient descent with momentum on the cross-entropy.

    Parameters
    ----------
    images : array of integers, shape (count, 64)
        Pixels of 0..16.
    labels : array of integers, shape (count,)
    hidden : :class:`int`
        Units of the hidden layer.
    epochs, batch : :class:`int`
        Passes over the images; images a step.
    seed : :class:`int`
        Of the initial weights and of the order of images.

    Returns
    -------
    :class:`FloatNetwork`
    """
    # RandomState, unlike Generator, promises the same stream in every version of NumPy.
    rng = np.random.RandomState(seed)
    images, targets = _pixels(images) / PIXEL_MAX, np.eye(CLASSES)[labels]
    weights = [
        _on_grid(rng.uniform(-1, 1, shape) * 6**0.5 / shape[0] ** 0.5)
        for shape in ((PIXELS, hidden), (hidden, CLASSES))
    ]
    parameters = [*weights, np.zeros(hidden), np.zeros(CLASSES)]
    momentum = [np.zeros_like(parameter) for parameter in parameters]
    for epoch in range(epochs):
        rate = 2**-4 if epoch < epochs * 2 // 3 else 2**-6
        order = rng.permutation(len(images))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            gradients = _gradients(parameters, images[chosen], targets[chosen])
            for index, gradient in enumerate(gradients):
                momentum[index] = _on_grid(0.875 * momentum[index] + gradient)
                parameters[index] = parameters[index] - rate * momentum[index]
    return FloatNetwork(weights=tuple(parameters[:2]), biases=tuple(parameters[2:]))


def _gradients(parameters, images, targets):
    first, second, first_bias, second_bias = parameters
    hidden = np.maximum(images @ first + first_bias, 0)
    logits = hidden @ second + second_bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    slope = (odds / odds.sum(axis=1, keepdims=True) - targets) / len(images)
    hidden_slope = (slope @ second.T) * (hidden > 0)
    return [
        _on_grid(g) for g in (images.T @ hidden_slope, hidden.T @ slope, hidden_slope.sum(axis=0), slope.sum(axis=0))
    ]


def _on_grid(values):
    return np.rint(values * _GRID) / _GRID


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """One matrix product of a network for a batch of images.

    Parameters
    ----------
    name : :class:`str`
        Such as ``"64x32"``, inputs by outputs.
    a : ``int8`` array of shape (images, inputs)
    b : ``int8`` array of shape (inputs, outputs)
    """

    name: str
    a: np.ndarray
    b: np.ndarray

    @property
    def macs(self):
        """Multiply-accumulates of the product."""
        return self.a.shape[0] * self.b.size


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DigitsNetwork:
    """The network in integers.

    Parameters
    ----------
    weights : tuple of ``int8`` arrays of shape (inputs, outputs)
    biases : tuple of ``int32`` arrays of shape (outputs,)
    multipliers, shifts : tuple of :class:`int`
        Requantisation after every layer but the last; see the module's text.

    Raises
    ------
    WorkloadError
        If shapes or types do not fit together.
    """

    weights: tuple
    biases: tuple
    multipliers: tuple
    shifts: tuple

    def __post_init__(self):
        counts = {len(self.weights), len(self.biases), len(self.multipliers) + 1, len(self.shifts) + 1}
        inputs = PIXELS
        fits = len(counts) == 1 and len(self.weights) > 0
        for weight, bias in zip(self.weights, self.biases, strict=False):
            fits = fits and weight.dtype == np.int8 and weight.ndim == 2 and weight.shape[0] == inputs
            fits = fits and bias.dtype == np.int32 and bias.shape == weight.shape[1:]
            inputs = weight.shape[-1] if weight.ndim else 0
            for array in (weight, bias):
                array.flags.writeable = False
        for multiplier, shift in zip(self.multipliers, self.shifts, strict=False):
            fits = fits and 0 < multiplier < 1 << 15 and 0 < shift < 32
        if not fits or inputs != CLASSES:
            raise WorkloadError(
                f"the layers of a digits network must lead from {PIXELS} int8 inputs to {CLASSES} logits"
            )

    @property
    def macs_per_image(self):
        """Multiply-accumulates that one image takes."""
        return sum(weight.size for weight in self.weights)

    @property
    def digest(self):
        """SHA-256 over all parameters, 64 hexadecimal digits."""
        hasher = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            hasher.update(
                f"{name} {array.dtype.str} {array.shape}".encode()
                + array.astype(array.dtype.newbyteorder("<")).tobytes()
            )
        return hasher.hexdigest()

    def quantised_images(self, images):
        """Pixels of 0..16 as activations of 0..127, ``int8``, rounded to the nearest, halves up."""
        return ((_pixels(images) * INT8_MAX + PIXEL_MAX // 2) // PIXEL_MAX).astype(np.int8)

    def layers(self, images, gemm=golden_gemm):
        """The matrix products that a batch of images asks for.

        Parameters
        ----------
        images : array of integers, shape (count, 64)
        gemm : callable
            ``gemm(a, b)`` gives the integer product; the golden one unless something else is to be tried.

        Returns
        -------
        list of :class:`Layer`
        """
        return self._run(images, gemm)[0]

    def logits(self, images, gemm=golden_gemm):
        """Logits of images by integer arithmetic, ``int64`` array of shape (count, 10); see :meth:`layers`."""
        return self._run(images, gemm)[1]

    def _run(self, images, gemm):
        layers, activation = [], self.quantised_images(images)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            layers.append(Layer(name=f"{weight.shape[0]}x{weight.shape[1]}", a=activation, b=weight))
            total = np.asarray(gemm(activation, weight), np.int64) + bias
            if index < len(self.multipliers):
                shift = self.shifts[index]
                scaled = (total * self.multipliers[index] + (1 << shift - 1)) >> shift
                activation = np.clip(scaled, 0, INT8_MAX).astype(np.int8)
        return layers, total

    def _arrays(self):
        arrays = {"multipliers": np.array(self.multipliers, np.int32), "shifts": np.array(self.shifts, np.int32)}
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays[f"weight_{index}"] = weight
            arrays[f"bias_{index}"] = bias
        return arrays

    def save(self, path):
        """Write the network as ``.npz`` (arrays only, no pickle); the same network gives the same bytes."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as file:
            np.savez(file, **self._arrays())
        os.replace(partial, path)

    @classmethod
    def load(cls, path):
        """Read what :meth:`save` wrote; raises :exc:`WorkloadError` for anything else."""
        try:
            # Opened as a zip first: np.load would take a lone .npy, too.
            with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "not an .npz of arrays"
            raise WorkloadError(f"cannot read the digits network {os.fspath(path)!r}: {reason}") from None
        count = sum(name.startswith("weight_") for name in arrays)
        names = {f"{kind}_{index}" for kind in ("weight", "bias") for index in range(count)} | {"multipliers", "shifts"}
        if set(arrays) != names or any(arrays[name].dtype != np.int32 for name in ("multipliers", "shifts")):
            raise WorkloadError(
                f"{os.fspath(path)!r} is not a digits network: its arrays are {', '.join(sorted(arrays))}"
            )
        return cls(
            weights=tuple(arrays[f"weight_{index}"] for index in range(count)),
            biases=tuple(arrays[f"bias_{index}"] for index in range(count)),
            multipliers=tuple(arrays["multipliers"].ravel().tolist()),
            shifts=tuple(arrays["shifts"].ravel().tolist()),
        )


def quantise(network, images):
    """Quantise a trained network to int8.

    Parameters
    ----------
    network : :class:`FloatNetwork`
    images : array of integers, shape (count, 64)
        Images that set the scale of the hidden activations: their largest value becomes 127.

    Returns
    -------
    :class:`DigitsNetwork`
    """
    activations = network.activations(images)
    weights, biases, multipliers, shifts = [], [], [], []
    scale_in = 1 / INT8_MAX
    for index, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        scale = np.abs(weight).max() / INT8_MAX
        weights.append(np.rint(weight / scale).astype(np.int8))
        biases.append(np.rint(bias / (scale * scale_in)).astype(np.int32))
        if index < len(network.weights) - 1:
            scale_out = activations[index + 1].max() / INT8_MAX
            multiplier, shift = _fixed_point(scale * scale_in / scale_out)
            multipliers.append(multiplier)
            shifts.append(shift)
            scale_in = scale_out
    return DigitsNetwork(
        weights=tuple(weights), biases=tuple(biases), multipliers=tuple(multipliers), shifts=tuple(shifts)
    )


def _fixed_point(ratio):
    """A ratio below one as ``multiplier / 2 ** shift``, the multiplier of 15 bits unless the shift would exceed 31."""
    shift = 31
    while round(ratio * 2**shift) >= 1 << 15:
        shift -= 1
    return round(ratio * 2**shift), shift


def trained_network():
    """The workload of the demo.

    Returns
    -------
    network : :class:`DigitsNetwork`
    split : :class:`DigitsSplit`
    accuracies : :class:`dict`
        Fraction of the test images that each form classifies rightly: ``"float"`` and ``"int8"``.
    """
    split = digits_split()
    trained = train(split.train_images, split.train_labels)
    network = quantise(trained, split.train_images)
    accuracies = {
        "float": accuracy(trained.logits(split.test_images), split.test_labels),
        "int8": accuracy(network.logits(split.test_images), split.test_labels),
    }
    return network, split, accuracies


def _pixels(images):
    images = np.asarray(images)
    if images.dtype.kind not in "iu" or images.ndim != 2 or images.shape[1] != PIXELS:
        raise ConfigError(f"images must be integers of shape (count, {PIXELS}), not {images.dtype} of {images.shape!r}")
    if images.size and (images.min() < 0 or images.max() > PIXEL_MAX):
        raise ConfigError(f"pixels must be in 0..{PIXEL_MAX}, not {int(images.min())}..{int(images.max())}")
    return images.astype(np.int64)
