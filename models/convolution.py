"""Convolution as matrix products: the three of a layer that is trained, by any arithmetic that multiplies matrices.

Images are arrays of (count, rows, columns, channels), kernels of (rows, columns, channels in, channels out). Windows of
the images become rows of a matrix (im2col), so that each of the three is one product with all its sums inside it, as the
convolutions by integer fused multiply-adds in "Mixed Precision Training of Convolutional Neural Networks using Integer
Operations" (ICLR 2018, arXiv 1802.00930) are:

==================  ====================================================  ==========================================
product             rows by reduction                                     reduction by columns
==================  ====================================================  ==========================================
forward             windows of the input by kernel rows, columns, inputs  kernels, by channels out
backward data       windows of the slopes, spread out by the stride, by   kernels turned by 180 degrees, by channels in
                    kernel rows, columns, channels out
backward weights    kernel rows, columns, channels in by windows          slopes, by channels out
==================  ====================================================  ==========================================

``matmul(a, b)`` takes an (M, K) and a (K, N) array and gives (M, N). Nothing else is computed here: with integers and
``numpy.matmul`` the results are exact.
"""

import numpy as np

from .errors import ConfigError

__all__ = ["conv_backward_data", "conv_backward_weights", "conv_forward", "output_size", "windows"]


def output_size(size, *, kernel, stride=1, padding=0):
    """Rows, or columns, of a convolution's output.

    Parameters
    ----------
    size, kernel : :class:`int`
        Rows, or columns, of the images and of the kernel.
    stride : :class:`int`
        Distance of windows, 1 and more.
    padding : :class:`int`
        Zeros before and after, 0 to ``kernel - 1``.

    Returns
    -------
    :class:`int`

    Raises
    ------
    ConfigError
        If an argument is not legal, or the kernel is larger than the padded image.
    """
    for name, value, low in (("size", size, 1), ("kernel", kernel, 1), ("stride", stride, 1), ("padding", padding, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ConfigError(f"{name} of a convolution must be an integer of at least {low}, not {value!r}")
    if padding >= kernel:
        raise ConfigError(
            f"padding must be less than the kernel's {kernel}, or windows hold zeros only, not {padding!r}"
        )
    if kernel > size + 2 * padding:
        raise ConfigError(f"a kernel of {kernel} does not fit an image of {size} with padding {padding}")
    return (size + 2 * padding - kernel) // stride + 1


def windows(x, *, kernel, stride=1, padding=0):
    """Windows of images as rows of a matrix.

    Parameters
    ----------
    x : array of shape (count, rows, columns, channels)
    kernel : (:class:`int`, :class:`int`)
        Rows and columns of a window.
    stride, padding : :class:`int`
        As in :func:`output_size`, for rows and columns.

    Returns
    -------
    array of shape (count * output rows * output columns, kernel rows * kernel columns * channels)

    Raises
    ------
    ConfigError
        As :func:`output_size`.
    """
    count, rows, columns, channels = _shape(x, "images", "(count, rows, columns, channels)")
    high = output_size(rows, kernel=kernel[0], stride=stride, padding=padding)
    wide = output_size(columns, kernel=kernel[1], stride=stride, padding=padding)
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    found = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))[:, ::stride, ::stride]
    return found.transpose(0, 1, 2, 4, 5, 3).reshape(count * high * wide, kernel[0] * kernel[1] * channels)


def conv_forward(x, w, matmul, *, stride=1, padding=0):
    """The convolution of images with kernels (a correlation, as networks have it).

    Parameters
    ----------
    x : array of shape (count, rows, columns, channels in)
    w : array of shape (kernel rows, kernel columns, channels in, channels out)
    matmul : callable
    stride, padding : :class:`int`
        As in :func:`output_size`.

    Returns
    -------
    array of shape (count, output rows, output columns, channels out)

    Raises
    ------
    ConfigError
        If shapes do not fit together, or as :func:`output_size`.
    """
    kernel, inputs, outputs = _kernel(w)
    count, rows, columns, channels = _shape(x, "images", "(count, rows, columns, channels)")
    if channels != inputs:
        raise ConfigError(f"kernels for {inputs} channels do not fit images of {channels}")
    product = matmul(windows(x, kernel=kernel, stride=stride, padding=padding), w.reshape(-1, outputs))
    high = output_size(rows, kernel=kernel[0], stride=stride, padding=padding)
    wide = output_size(columns, kernel=kernel[1], stride=stride, padding=padding)
    return product.reshape(count, high, wide, outputs)


def conv_backward_data(dy, w, matmul, *, size, stride=1, padding=0):
    """The loss' slope in the images, from its slope in the output.

    Parameters
    ----------
    dy : array of shape (count, output rows, output columns, channels out)
    w : array of shape (kernel rows, kernel columns, channels in, channels out)
    matmul : callable
    size : (:class:`int`, :class:`int`)
        Rows and columns of the images.
    stride, padding : :class:`int`
        Of the forward convolution.

    Returns
    -------
    array of shape (count, rows, columns, channels in)

    Raises
    ------
    ConfigError
        As :func:`conv_forward`.
    """
    kernel, inputs, outputs = _kernel(w)
    count = _check_slopes(dy, size, kernel, outputs, stride, padding)
    high, wide = (image + edge - 1 for image, edge in zip(size, kernel, strict=True))
    # Each slope lies where the full convolution's windows over it are those pixels that it depends on.
    spread = np.zeros((count, high, wide, outputs), dy.dtype)
    first_row, first_column = (edge - 1 - padding for edge in kernel)
    spread[:, first_row::stride, first_column::stride][:, : dy.shape[1], : dy.shape[2]] = dy
    turned = w[::-1, ::-1].transpose(0, 1, 3, 2).reshape(-1, inputs)
    return matmul(windows(spread, kernel=kernel), turned).reshape(count, *size, inputs)


def conv_backward_weights(x, dy, matmul, *, kernel, stride=1, padding=0):
    """The loss' slope in the kernels, from its slope in the output.

    Parameters
    ----------
    x : array of shape (count, rows, columns, channels in)
    dy : array of shape (count, output rows, output columns, channels out)
    matmul : callable
    kernel : (:class:`int`, :class:`int`)
        Rows and columns of a kernel.
    stride, padding : :class:`int`
        Of the forward convolution.

    Returns
    -------
    array of shape (kernel rows, kernel columns, channels in, channels out)

    Raises
    ------
    ConfigError
        As :func:`conv_forward`.
    """
    count, rows, columns, inputs = _shape(x, "images", "(count, rows, columns, channels)")
    outputs = _shape(dy, "slopes", "(count, rows, columns, channels)")[3]
    if _check_slopes(dy, (rows, columns), kernel, outputs, stride, padding) != count:
        raise ConfigError(f"slopes of {dy.shape[0]} images do not fit {count} images")
    unrolled = windows(x, kernel=kernel, stride=stride, padding=padding)
    return matmul(unrolled.T, dy.reshape(-1, outputs)).reshape(*kernel, inputs, outputs)


def _shape(array, name, axes):
    if array.ndim != 4:
        raise ConfigError(f"{name} must be an array of {axes}, not of shape {array.shape!r}")
    return array.shape


def _kernel(w):
    rows, columns, inputs, outputs = _shape(w, "kernels", "(rows, columns, channels in, channels out)")
    return (rows, columns), inputs, outputs


def _check_slopes(dy, size, kernel, outputs, stride, padding):
    """The slopes' count of images, once their shape is what the forward convolution gives."""
    count = _shape(dy, "slopes", "(count, rows, columns, channels)")[0]
    high, wide = (
        output_size(image, kernel=edge, stride=stride, padding=padding)
        for image, edge in zip(size, kernel, strict=True)
    )
    if dy.shape != (count, high, wide, outputs):
        raise ConfigError(f"slopes must have shape {(count, high, wide, outputs)!r}, not {dy.shape!r}")
    return count
