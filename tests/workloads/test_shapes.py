"""Shapes of published networks: their totals are the published ones, and operands are distributed as asked for."""

import dataclasses

import numpy as np
import pytest

from carrysave.models.errors import ConfigError
from carrysave.workloads.shapes import NETWORKS, GemmShape, gemm_shapes, operands


def total(name, **options):
    return sum(shape.macs for shape in gemm_shapes(name, **options))


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("resnet-50", 4_089_184_256),  # published as 4.09 GMAC
        ("vit-b16", 17_563_828_224),  # published as 17.5 to 17.6 GMAC
        ("mobilenet-v3", 216_589_760),  # published as 217 to 219 MMAC
    ],
)
def test_totals(name, macs):
    assert total(name) == macs


def parameters(name):
    """Weights of all layers, and what comes with each: a bias, or the two of a batch normalisation, an output channel."""
    count = 0
    for shape in gemm_shapes(name):
        if shape.name not in ("attention scores", "attention values"):
            normalised = "conv" in shape.name or "bneck" in shape.name
            squeezed = shape.name.endswith(("squeeze", "excite"))
            count += shape.count * shape.n * (shape.k + (2 if normalised and not squeezed else 1))
    return count


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet-50", 25_557_032),
        ("mobilenet-v3", 5_483_032),
        # Layer normalisations (two a layer and one more), class token and positions are in no product.
        ("vit-b16", 86_567_656 - (2 * 12 + 1) * 2 * 768 - 768 - 197 * 768),
        # The output layer has no bias; it is the embedding of the tokens.
        ("gpt-2", 124_439_808 - (2 * 12 + 1) * 2 * 768 - 1024 * 768 + 50257),
    ],
)
def test_parameters(name, published):
    assert parameters(name) == published


def test_gpt2_by_sequence():
    """Attention is quadratic in the tokens, all else linear."""
    one, two, four = (total("gpt-2", sequence=sequence) for sequence in (128, 256, 512))
    assert two - 2 * one == 12 * 2 * 768 * (256**2 - 2 * 128**2)
    assert four - 2 * two == 12 * 2 * 768 * (512**2 - 2 * 256**2)
    assert total("gpt-2") == total("gpt-2", sequence=1024)


def test_depthwise_convolutions_are_many_products_of_one_column():
    depthwise = [shape for shape in gemm_shapes("mobilenet-v3") if shape.depthwise]
    assert len(depthwise) == 15
    assert {shape.k for shape in depthwise} == {9, 25}
    assert depthwise[-1] == GemmShape(name="bneck15 depthwise", m=49, k=25, n=1, count=960, depthwise=True)
    assert all(not shape.depthwise for name in NETWORKS if name != "mobilenet-v3" for shape in gemm_shapes(name))


@pytest.mark.parametrize("width", [4, 8, 12])
def test_operands(width):
    shape = GemmShape(name="x", m=300, k=200, n=100)
    a, b = operands(shape, np.random.default_rng(1), 1 << width - 3, width)
    assert (a.shape, b.shape) == ((300, 200), (200, 100))
    assert a.dtype == b.dtype == (np.int8 if width <= 8 else np.int16)
    # A four-sigma clip leaves the deviation as it is; rounding adds a twelfth.
    assert np.std(a) == pytest.approx(((1 << width - 3) ** 2 + 1 / 12) ** 0.5, rel=0.02)
    assert abs(float(np.mean(a))) < 0.03 * (1 << width - 3)
    again = operands(shape, np.random.default_rng(1), 1 << width - 3, width)
    assert np.array_equal(a, again[0])


def test_operands_are_clipped():
    a, _b = operands(GemmShape(name="x", m=100, k=100, n=1), np.random.default_rng(1), 1000)
    assert (a.min(), a.max()) == (-128, 127)
    assert (a == -128).mean() == pytest.approx(0.449, abs=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gemm_shapes("vgg"), "network must be one of gpt-2, vit-b16, mobilenet-v3, resnet-50, not 'vgg'"),
        (lambda: gemm_shapes("resnet-50", sequence=3), "only gpt-2 has a sequence length, resnet-50 has not"),
        (lambda: gemm_shapes("gpt-2", sequence=1025), r"sequence must be an integer in 1\.\.1024, not 1025"),
        (lambda: GemmShape(name="x", m=0, k=1, n=1), "m of a GEMM must be a positive integer, not 0"),
        (lambda: GemmShape(name="x", m=1, k=1, n=2, depthwise=True), "n of a depthwise convolution must be 1, not 2"),
        (lambda: operands(GemmShape(name="x", m=1, k=1, n=1), np.random.default_rng(), 0), "sigma must be positive"),
        (
            lambda: operands(GemmShape(name="x", m=1, k=1, n=1), np.random.default_rng(), 1, 20),
            "width must be an integ",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_shapes_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        gemm_shapes("gpt-2")[0].m = 1
