"""Convolution as matrix products, against loops over every pixel, and its three products against each other."""

import re

import numpy as np
import pytest

from carrysave.models.convolution import (
    conv_backward_data,
    conv_backward_weights,
    conv_forward,
    output_size,
    windows,
)
from carrysave.models.errors import ConfigError

GEOMETRIES = [
    # size, kernel, stride, padding; the last rows and columns are not in any window where the stride does not fit
    ((5, 6), (3, 3), 1, 1),
    ((5, 6), (3, 3), 2, 1),
    ((7, 4), (2, 3), 3, 0),
    ((4, 4), (1, 1), 1, 0),
    ((4, 5), (1, 2), 2, 0),
    ((3, 3), (3, 3), 1, 2),
    ((8, 9), (4, 3), 3, 2),
]


def naive(x, w, stride, padding):
    """Yields every product of the convolution: the places in the output, the input and the kernel."""
    (count, rows, columns, inputs), (high, wide, _inputs, outputs) = x.shape, w.shape
    for n in range(count):
        for i, top in enumerate(range(-padding, rows + padding - high + 1, stride)):
            for j, left in enumerate(range(-padding, columns + padding - wide + 1, stride)):
                for r in range(high):
                    for s in range(wide):
                        if 0 <= top + r < rows and 0 <= left + s < columns:
                            for c in range(inputs):
                                for o in range(outputs):
                                    yield (n, i, j, o), (n, top + r, left + s, c), (r, s, c, o)


def drawn(size, kernel, stride, padding, *, count=2, inputs=2, outputs=3):
    rng = np.random.default_rng(1)
    high, wide = (output_size(a, kernel=b, stride=stride, padding=padding) for a, b in zip(size, kernel, strict=True))
    shapes = ((count, *size, inputs), (*kernel, inputs, outputs), (count, high, wide, outputs))
    return [rng.integers(-(1 << 15), 1 << 15, shape) for shape in shapes]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), GEOMETRIES)
def test_three_products_against_loops(size, kernel, stride, padding):
    x, w, dy = drawn(size, kernel, stride, padding)
    y, dx, dw = np.zeros_like(dy), np.zeros_like(x), np.zeros_like(w)
    for out, source, weight in naive(x, w, stride, padding):
        y[out] += x[source] * w[weight]
        dx[source] += dy[out] * w[weight]
        dw[weight] += dy[out] * x[source]
    options = {"stride": stride, "padding": padding}
    assert np.array_equal(conv_forward(x, w, np.matmul, **options), y)
    assert np.array_equal(conv_backward_data(dy, w, np.matmul, size=size, **options), dx)
    assert np.array_equal(conv_backward_weights(x, dy, np.matmul, kernel=kernel, **options), dw)


@pytest.mark.parametrize(("size", "kernel", "stride", "padding"), GEOMETRIES)
def test_backward_is_adjoint_of_forward(size, kernel, stride, padding):
    x, w, dy = drawn(size, kernel, stride, padding, count=3, inputs=5, outputs=4)
    options = {"stride": stride, "padding": padding}
    along = np.sum(conv_forward(x, w, np.matmul, **options) * dy)
    assert along == np.sum(x * conv_backward_data(dy, w, np.matmul, size=size, **options))
    assert along == np.sum(w * conv_backward_weights(x, dy, np.matmul, kernel=kernel, **options))


def test_backward_is_slope_of_forward():
    x, w, dy = (array / 2.0**15 for array in drawn((5, 6), (3, 3), 2, 1))
    options = {"stride": 2, "padding": 1}

    def loss(x, w):
        return np.sum(np.sin(conv_forward(x, w, np.matmul, **options)))

    dy = np.cos(conv_forward(x, w, np.matmul, **options))
    slopes = (
        conv_backward_data(dy, w, np.matmul, size=(5, 6), **options),
        conv_backward_weights(x, dy, np.matmul, kernel=(3, 3), **options),
    )
    for which, slope in enumerate(slopes):
        for place in ((0, 1, 1, 1), (1, 2, 0, 0)):
            step = np.zeros_like((x, w)[which])
            step[place] = 1e-6
            ends = [loss(*(v + sign * step if i == which else v for i, v in enumerate((x, w)))) for sign in (1, -1)]
            assert slope[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_each_is_one_product():
    x, w, dy = drawn((8, 8), (3, 3), 1, 1, count=2, inputs=4, outputs=5)
    shapes = []

    def matmul(a, b):
        shapes.append((*a.shape, b.shape[1]))
        return a @ b

    conv_forward(x, w, matmul, padding=1)
    conv_backward_data(dy, w, matmul, size=(8, 8), padding=1)
    conv_backward_weights(x, dy, matmul, kernel=(3, 3), padding=1)
    assert shapes == [(128, 36, 5), (128, 45, 4), (36, 128, 5)]


def test_windows_in_order():
    x = np.arange(2 * 3 * 3).reshape(2, 3, 3, 1)
    assert windows(x, kernel=(2, 2)).tolist() == [
        [0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8],
        [9, 10, 12, 13], [10, 11, 13, 14], [12, 13, 15, 16], [13, 14, 16, 17],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": 4, "kernel": 0}, "kernel of a convolution must be an integer of at least 1, not 0"),
        ({"size": 4, "kernel": 3, "stride": 0}, "stride of a convolution must be an integer of at least 1, not 0"),
        ({"size": 4, "kernel": 3, "padding": -1}, "padding of a convolution must be an integer of at least 0, not -1"),
        ({"size": 4, "kernel": 3, "stride": True}, "stride of a convolution must be an integer of at least 1, not True"),
        ({"size": 4, "kernel": 3, "padding": 3}, "padding must be less than the kernel's 3, or windows hold zeros only, not 3"),
        ({"size": 4, "kernel": 5}, "a kernel of 5 does not fit an image of 4 with padding 0"),
    ],
)  # fmt: skip
def test_refused_geometry(options, text):
    with pytest.raises(ConfigError, match=f"^{re.escape(text)}$"):
        output_size(**options)


def test_refused_shapes():
    x, w, dy = drawn((5, 5), (3, 3), 1, 0)
    with pytest.raises(
        ConfigError, match=r"^images must be an array of \(count, rows, columns, channels\), not of shape"
    ):
        conv_forward(x[0], w, np.matmul)
    with pytest.raises(
        ConfigError, match=r"^kernels must be an array of \(rows, columns, channels in, channels out\), not"
    ):
        conv_forward(x, w[0], np.matmul)
    with pytest.raises(ConfigError, match=r"^kernels for 1 channels do not fit images of 2$"):
        conv_forward(x, w[:, :, :1], np.matmul)
    with pytest.raises(ConfigError, match=r"^slopes must have shape \(2, 5, 5, 3\), not \(2, 3, 3, 3\)$"):
        conv_backward_data(dy, w, np.matmul, size=(5, 5), padding=1)
    with pytest.raises(ConfigError, match=r"^slopes of 1 images do not fit 2 images$"):
        conv_backward_weights(x, dy[:1], np.matmul, kernel=(3, 3))
