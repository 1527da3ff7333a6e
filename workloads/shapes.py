"""Matrix products of published networks: shapes of every layer as GEMMs, and operands to fill them with.

``C[M, N] = A[M, K] B[K, N]``, where A holds activations and B weights; in attention both are activations. A convolution is
its im2col product: M output pixels, K input channels times kernel, N output channels. A depthwise convolution is one product
with N = 1 for each channel, so that ``count`` is the number of channels and an array's columns have little to share. All
shapes are those of one input (batch 1); element-wise operations, pooling, softmax and normalisation are no products.
"""

import dataclasses

import numpy as np

from ..models.errors import ConfigError

__all__ = ["NETWORKS", "GemmShape", "gemm_shapes", "operands"]

GPT2_CONTEXT = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class GemmShape:
    """A matrix product that a network asks for ``count`` times with the same shape.

    Parameters
    ----------
    name : :class:`str`
        Layer, or layers of one shape.
    m, k, n : :class:`int`
        Rows of A, columns of A, columns of B; positive.
    count : :class:`int`
        How many such products one input takes: equal layers, attention heads or channels of a depthwise convolution.
    depthwise : :class:`bool`
        It is a depthwise convolution: each of the products has operands of its own and a single column.
    """

    name: str
    m: int
    k: int
    n: int
    count: int = 1
    depthwise: bool = False

    def __post_init__(self):
        for name in ("m", "k", "n", "count"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ConfigError(f"{name} of a GEMM must be a positive integer, not {value!r}")
        if self.depthwise and self.n != 1:
            raise ConfigError(f"n of a depthwise convolution must be 1, not {self.n!r}")

    @property
    def macs(self):
        """Multiply-accumulates of all ``count`` products."""
        return self.m * self.k * self.n * self.count


def gemm_shapes(name, *, sequence=None):
    """Shapes of a network's matrix products, in the order in which it works.

    Parameters
    ----------
    name : :class:`str`
        One of :data:`NETWORKS`.
    sequence : :class:`int`, optional
        Tokens, for ``gpt-2`` only: 1..1024, by default its whole context of 1024, processed at once (prefill).

    Returns
    -------
    list of :class:`GemmShape`

    Raises
    ------
    ConfigError
        For an unknown network or a sequence that it cannot take.
    """
    if name not in _MAKERS:
        raise ConfigError(f"network must be one of {', '.join(NETWORKS)}, not {name!r}")
    if sequence is None:
        return _MAKERS[name]()
    if name != "gpt-2":
        raise ConfigError(f"only gpt-2 has a sequence length, {name} has not")
    if type(sequence) is not int or not 1 <= sequence <= GPT2_CONTEXT:
        raise ConfigError(f"sequence must be an integer in 1..{GPT2_CONTEXT}, not {sequence!r}")
    return _gpt2(sequence)


def operands(shape, rng, sigma, width=8):
    """Operands of one product: normally distributed around zero, rounded, clipped to two's complement.

    Parameters
    ----------
    shape : :class:`GemmShape`
    rng : :class:`numpy.random.Generator`
    sigma : :class:`float`
        Standard deviation in units of the last place; the paper's tables take 10..50 for 8 bits.
    width : :class:`int`
        Bits of each operand, 2..16.

    Returns
    -------
    a, b : ``int8`` (``int16`` beyond 8 bits) arrays of shape (M, K) and (K, N)
    """
    if type(width) is not int or not 2 <= width <= 16:
        raise ConfigError(f"width must be an integer in 2..16, not {width!r}")
    if not 0 < sigma < 1 << 16:
        raise ConfigError(f"sigma must be positive and below {1 << 16}, not {sigma!r}")
    low, high = -(1 << width - 1), (1 << width - 1) - 1
    kind = np.int8 if width <= 8 else np.int16
    return tuple(
        np.clip(np.rint(rng.normal(0, sigma, size)), low, high).astype(kind)
        for size in ((shape.m, shape.k), (shape.k, shape.n))
    )


def _transformer(tokens, width, heads, layers, *, hidden):
    """The products of encoder or decoder blocks; scores of all pairs of tokens are computed, masked or not."""
    head = width // heads
    return [
        GemmShape(name="query, key, value", m=tokens, k=width, n=3 * width, count=layers),
        GemmShape(name="attention scores", m=tokens, k=head, n=tokens, count=layers * heads),
        GemmShape(name="attention values", m=tokens, k=tokens, n=head, count=layers * heads),
        GemmShape(name="attention output", m=tokens, k=width, n=width, count=layers),
        GemmShape(name="feed-forward 1", m=tokens, k=width, n=hidden, count=layers),
        GemmShape(name="feed-forward 2", m=tokens, k=hidden, n=width, count=layers),
    ]


def _gpt2(sequence=GPT2_CONTEXT):
    """GPT-2 of 124 million parameters (Radford et al., 2019): 12 layers of width 768, 12 heads, 50,257 tokens."""
    blocks = _transformer(sequence, 768, 12, 12, hidden=3072)
    return [*blocks, GemmShape(name="logits", m=sequence, k=768, n=50257)]


def _vit_b16():
    """ViT-B/16 (Dosovitskiy et al., 2021) at 224 x 224: 196 patches and the class token."""
    patches = (224 // 16) ** 2
    return [
        GemmShape(name="patch embedding", m=patches, k=3 * 16 * 16, n=768),
        *_transformer(patches + 1, 768, 12, 12, hidden=3072),
        GemmShape(name="head", m=1, k=768, n=1000),
    ]


def _convolution(name, pixels, inputs, kernel, outputs):
    return GemmShape(name=name, m=pixels * pixels, k=inputs * kernel * kernel, n=outputs)


def _resnet50():
    """ResNet-50 (He et al., 2016) at 224 x 224, the stride of a bottleneck in its 3 x 3 convolution ("v1.5")."""
    shapes = [_convolution("conv1", 112, 3, 7, 64)]
    inputs, pixels = 64, 56
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 2):
        outputs = 4 * width
        for block in range(blocks):
            name = f"conv{stage}_{block + 1}"
            after = pixels // 2 if stage > 2 and block == 0 else pixels
            shapes += [
                _convolution(f"{name} 1x1 down", pixels, inputs, 1, width),
                _convolution(f"{name} 3x3", after, width, 3, width),
                _convolution(f"{name} 1x1 up", after, width, 1, outputs),
            ]
            if block == 0:
                shapes.append(_convolution(f"{name} shortcut", after, inputs, 1, outputs))
            inputs, pixels = outputs, after
    return [*shapes, GemmShape(name="fc", m=1, k=2048, n=1000)]


# Kernel, expanded channels, output channels, squeeze-and-excitation, stride: table 1 of the paper.
_MOBILENET_V3_LARGE = (
    (3, 16, 16, False, 1),
    (3, 64, 24, False, 2),
    (3, 72, 24, False, 1),
    (5, 72, 40, True, 2),
    (5, 120, 40, True, 1),
    (5, 120, 40, True, 1),
    (3, 240, 80, False, 2),
    (3, 200, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 184, 80, False, 1),
    (3, 480, 112, True, 1),
    (3, 672, 112, True, 1),
    (5, 672, 160, True, 2),
    (5, 960, 160, True, 1),
    (5, 960, 160, True, 1),
)


def _mobilenet_v3():
    """MobileNetV3-Large 1.0 (Howard et al., 2019) at 224 x 224."""
    shapes, inputs, pixels = [_convolution("conv1", 112, 3, 3, 16)], 16, 112
    for number, (kernel, expanded, outputs, squeeze, stride) in enumerate(_MOBILENET_V3_LARGE, 1):
        name, after = f"bneck{number}", pixels // stride
        if expanded != inputs:
            shapes.append(_convolution(f"{name} expand", pixels, inputs, 1, expanded))
        taps = kernel * kernel
        shapes.append(GemmShape(name=f"{name} depthwise", m=after * after, k=taps, n=1, count=expanded, depthwise=True))
        if squeeze:
            narrow = _eighths(expanded / 4)
            shapes.append(GemmShape(name=f"{name} squeeze", m=1, k=expanded, n=narrow))
            shapes.append(GemmShape(name=f"{name} excite", m=1, k=narrow, n=expanded))
        shapes.append(_convolution(f"{name} project", after, expanded, 1, outputs))
        inputs, pixels = outputs, after
    return [
        *shapes,
        _convolution("conv2", pixels, inputs, 1, 960),
        GemmShape(name="fc1", m=1, k=960, n=1280),
        GemmShape(name="fc2", m=1, k=1280, n=1000),
    ]


def _eighths(channels):
    """Channels rounded to a multiple of 8, and not by more than a tenth downwards: the rule of the MobileNets."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


_MAKERS = {"gpt-2": _gpt2, "vit-b16": _vit_b16, "mobilenet-v3": _mobilenet_v3, "resnet-50": _resnet50}

NETWORKS = tuple(_MAKERS)
"""Names that :func:`gemm_shapes` knows."""
