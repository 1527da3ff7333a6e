"""A small convolutional network for the scanned digits, whose every matrix product goes through an exchangeable arithmetic.

=======  ======================================================================  ==================  ===================
layer    what                                                                    input               weights
=======  ======================================================================  ==================  ===================
conv1    3 x 3 convolution, padding 1, batch norm, ReLU, mean of 2 x 2 pixels    8 x 8 x 1           3 x 3 x 1 x 16
conv2    the same                                                                4 x 4 x 16          3 x 3 x 16 x 32
dense    matrix product and offset                                               128                 128 x 10
=======  ======================================================================  ==================  ===================

Each layer has three matrix products in a step of training: forward, backward data (the loss' slope in the layer's input) and
backward weights (its slope in the weights). The first layer has two: nobody asks for the slope in the images. Those are what
"Mixed Precision Training of Convolutional Neural Networks using Integer Operations" (ICLR 2018, arXiv 1802.00930) does in
dynamic fixed point; batch normalisation, ReLU, pooling, loss and offsets stay in the network's floating point there and here.

An arithmetic is any object with ``matmul(a, b, *, layer, role)``, of (M, K) and (K, N) arrays, that gives an (M, N) array of
the network's type; ``layer`` is one of :data:`LAYERS`, ``role`` one of :data:`ROLES`.
"""

import functools

import numpy as np

from ..models.convolution import conv_backward_data, conv_backward_weights, conv_forward

__all__ = ["LAYERS", "ROLES", "ConvolutionalNetwork", "cross_entropy"]

LAYERS = ("conv1", "conv2", "dense")
ROLES = ("forward", "backward-data", "backward-weights")

IMAGE_SIZE = 8
CLASSES = 10
CHANNELS = (1, 16, 32)
_KERNEL = (3, 3)
_PADDING = 1
_VARIANCE_FLOOR = 1e-5  # added to variances, so that a constant channel can be divided by its deviation
_MEMORY = 0.9  # of the running statistics, a step


class ConvolutionalNetwork:
    """The network's parameters, and its passes.

    Parameters
    ----------
    seed : :class:`int`
        Of the initial weights, which are normal with variance 2 / inputs.
    dtype : NumPy type
        Of parameters and of everything that is not a matrix product.

    Members
    -------
    parameters : dict of arrays by name
        A layer's weights have its name; ``conv1.gain``, ``conv1.offset``, ``dense.offset`` and so on belong to it. Change them
        in place to train.
    """

    def __init__(self, *, seed, dtype=np.float32):
        # RandomState, unlike Generator, promises the same stream in every version of NumPy.
        rng = np.random.RandomState(seed)
        self._dtype = np.dtype(dtype)
        self.parameters, self._statistics = {}, {}
        for layer, inputs, outputs in zip(LAYERS, CHANNELS, CHANNELS[1:], strict=False):
            shape = (*_KERNEL, inputs, outputs)
            self.parameters[layer] = self._initial(rng, shape)
            self.parameters[f"{layer}.gain"] = np.ones(outputs, dtype)
            self.parameters[f"{layer}.offset"] = np.zeros(outputs, dtype)
            self._statistics[layer] = [np.zeros(outputs, dtype), np.ones(outputs, dtype)]
        features = CHANNELS[-1] * (IMAGE_SIZE >> len(CHANNELS) - 1) ** 2
        self.parameters["dense"] = self._initial(rng, (features, CLASSES))
        self.parameters["dense.offset"] = np.zeros(CLASSES, dtype)

    def _initial(self, rng, shape):
        return (rng.standard_normal(shape) * (2 / np.prod(shape[:-1])) ** 0.5).astype(self._dtype)

    def logits(self, images, arithmetic):
        """Logits of images, with the statistics that training has gathered.

        Parameters
        ----------
        images : array of shape (count, 8, 8, 1)
            Of the network's type.
        arithmetic
            See the module's text.

        Returns
        -------
        array of shape (count, 10)
        """
        values = images
        for layer in LAYERS[:-1]:
            values = conv_forward(values, self.parameters[layer], _product(arithmetic, layer, 0), padding=_PADDING)
            mean, variance = self._statistics[layer]
            values = (values - mean) / np.sqrt(variance + self._dtype.type(_VARIANCE_FLOOR))
            values = _pooled(np.maximum(self._scaled(values, layer), 0))
        return self._dense(values, arithmetic)

    def gradients(self, images, labels, arithmetic):
        """One step's forward and backward passes; updates the running statistics, not the parameters.

        Parameters
        ----------
        images : array of shape (count, 8, 8, 1)
            Of the network's type.
        labels : array of integers, shape (count,)
        arithmetic
            See the module's text.

        Returns
        -------
        gradients : dict of arrays by the parameters' names
        logits : array of shape (count, 10)
        loss : :class:`float`
            Mean cross-entropy of the images.
        """
        values, tape, gradients = images, [], {}
        for layer in LAYERS[:-1]:
            product = conv_forward(values, self.parameters[layer], _product(arithmetic, layer, 0), padding=_PADDING)
            normal, deviation = self._normalised(product, layer)
            scaled = self._scaled(normal, layer)
            tape.append((layer, values, normal, deviation, scaled > 0))
            values = _pooled(np.maximum(scaled, 0))
        logits = self._dense(values, arithmetic)
        loss, slope = cross_entropy(logits, labels)

        flat, weights = values.reshape(len(values), -1), self.parameters["dense"]
        gradients["dense"] = _product(arithmetic, "dense", 2)(flat.T, slope)
        gradients["dense.offset"] = slope.sum(axis=0)
        slope = _product(arithmetic, "dense", 1)(slope, weights.T).reshape(values.shape)
        for layer, values, normal, deviation, passed in reversed(tape):
            slope = _spread(slope) * passed
            gradients[f"{layer}.gain"] = np.sum(slope * normal, axis=(0, 1, 2))
            gradients[f"{layer}.offset"] = slope.sum(axis=(0, 1, 2))
            slope = _before_normalising(slope * self.parameters[f"{layer}.gain"], normal, deviation)
            gradients[layer] = conv_backward_weights(
                values, slope, _product(arithmetic, layer, 2), kernel=_KERNEL, padding=_PADDING
            )
            if layer != LAYERS[0]:
                weights = self.parameters[layer]
                slope = conv_backward_data(
                    slope, weights, _product(arithmetic, layer, 1), size=values.shape[1:3], padding=_PADDING
                )
        return gradients, logits, loss

    def _scaled(self, normal, layer):
        return normal * self.parameters[f"{layer}.gain"] + self.parameters[f"{layer}.offset"]

    def _dense(self, values, arithmetic):
        product = _product(arithmetic, "dense", 0)
        return product(values.reshape(len(values), -1), self.parameters["dense"]) + self.parameters["dense.offset"]

    def _normalised(self, values, layer):
        mean = values.mean(axis=(0, 1, 2))
        centred = values - mean
        variance = np.mean(centred * centred, axis=(0, 1, 2))
        for kept, now in zip(self._statistics[layer], (mean, variance), strict=True):
            kept += self._dtype.type(1 - _MEMORY) * (now - kept)
        deviation = np.sqrt(variance + self._dtype.type(_VARIANCE_FLOOR))
        return centred / deviation, deviation


def cross_entropy(logits, labels):
    """Loss and its slope.

    Parameters
    ----------
    logits : array of shape (count, classes)
    labels : array of integers, shape (count,)

    Returns
    -------
    loss : :class:`float`
        Mean over the rows of minus the natural logarithm of the label's probability.
    slope : array of shape (count, classes)
        Of the loss in the logits.
    """
    below = logits - logits.max(axis=1, keepdims=True)
    odds = np.exp(below)
    total = odds.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(np.mean(np.log(total[:, 0]) - below[rows, labels]))
    slope = odds / total
    slope[rows, labels] -= 1
    return loss, slope / logits.dtype.type(len(labels))


def _product(arithmetic, layer, role):
    return functools.partial(arithmetic.matmul, layer=layer, role=ROLES[role])


def _before_normalising(slope, normal, deviation):
    """Slope in the values whose mean and deviation were taken, from that in the normalised ones."""
    mean = slope.mean(axis=(0, 1, 2))
    along = np.mean(slope * normal, axis=(0, 1, 2))
    return (slope - mean - normal * along) / deviation


def _pooled(values):
    return (values[:, ::2, ::2] + values[:, 1::2, ::2] + values[:, ::2, 1::2] + values[:, 1::2, 1::2]) / 4


def _spread(slope):
    """Slope in what :func:`_pooled` took the means of."""
    return slope.repeat(2, axis=1).repeat(2, axis=2) / 4
