"""Workloads of comparisons: the matrix products to count cycles for, and the samples of them to measure energy with."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from .arrays import read_arrays
from .models.errors import ConfigError
from .workloads.shapes import NETWORKS, GemmShape, gemm_shapes, operands

__all__ = ["BUILT_IN", "Product", "Sample", "Workload", "load_workload"]

BUILT_IN = ("normal", "digits", *NETWORKS)
"""Names that :func:`load_workload` knows beside ``.npz`` files."""

NORMAL_SIZE = 64
SAMPLE_ROWS = 32
SAMPLE_K = 128
MOST_SAMPLES = 4
COVERED = 0.98


@dataclass(frozen=True, kw_only=True, eq=False)
class Product:
    """One matrix product of a workload, done ``shape.count`` times.

    Members
    -------
    shape : :class:`~carrysave.workloads.shapes.GemmShape`
    sigma : :class:`float`
        Of operands that are made up.
    seed : :class:`int`
        Of those.
    matrices : tuple of two arrays, optional
        A and B where they are real.
    """

    shape: GemmShape
    sigma: float = 0.0
    seed: int = 0
    matrices: tuple | None = field(default=None, repr=False)

    @cached_property
    def a(self):
        """A, all of it: what decides the cycles of designs that skip zero digits."""
        if self.matrices is not None:
            return self.matrices[0]
        return self._made(self.shape.m, self.shape.k, 1)[0]

    def block(self, rows, k, cols):
        """A and B of a part: rows and columns from all over the matrices, the middle of K.

        Parameters
        ----------
        rows, k, cols : :class:`int`
            Upper bounds of M, K and N.
        """
        m, length, n = min(self.shape.m, rows), min(self.shape.k, k), min(self.shape.n, cols)
        if self.matrices is None:
            return self._made(m, length, n)
        a, b = self.matrices
        start = (self.shape.k - length) // 2
        chosen = [
            np.linspace(0, size - 1, part).round().astype(int) for size, part in ((a.shape[0], m), (b.shape[1], n))
        ]
        return a[chosen[0], start : start + length], b[start : start + length][:, chosen[1]]

    def _made(self, m, k, n):
        shape = GemmShape(name=self.shape.name, m=m, k=k, n=n)
        return operands(shape, np.random.default_rng(self.seed), self.sigma)


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A part of a product that stands for ``macs`` multiply-accumulates of the workload."""

    name: str
    a: np.ndarray = field(repr=False)
    b: np.ndarray = field(repr=False)
    macs: int

    @property
    def sampled_macs(self):
        """Multiply-accumulates of the sample itself."""
        return self.a.size * self.b.shape[1]


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """What a comparison runs.

    Members
    -------
    name : :class:`str`
    description : :class:`str`
        One line for the report.
    products : list of :class:`Product`
    """

    name: str
    description: str
    products: list = field(repr=False)

    @property
    def macs(self):
        """Multiply-accumulates of all products."""
        return sum(product.shape.macs for product in self.products)

    def samples(self, size):
        """Samples for the energy on arrays of a size: the heaviest kinds of products, until nearly all is covered.

        Made-up operands of one seed are one kind wherever the samples' shapes agree.
        """
        kinds = {}
        for product in self.products:
            a, b = product.block(max(SAMPLE_ROWS, 2 * size), SAMPLE_K, 2 * size)
            kind = (a.shape, b.shape, product.sigma, product.seed) if product.matrices is None else id(product)
            kinds.setdefault(kind, (product, a, b, []))[3].append(product.shape.macs)
        order = sorted(kinds.values(), key=lambda entry: -sum(entry[3]))
        chosen, covered = [], 0
        for product, a, b, macs in order[:MOST_SAMPLES]:
            if covered < COVERED * self.macs:
                chosen.append(Sample(name=product.shape.name, a=a, b=b, macs=sum(macs)))
                covered += sum(macs)
        return chosen


def load_workload(name, *, sigma=30.0, sequence=None):
    """A workload by name, or from a file.

    Parameters
    ----------
    name : :class:`str` or path
        One of :data:`BUILT_IN`, or an ``.npz`` file with int8 matrices A (M x K) and B (K x N).
    sigma : :class:`float`
        Standard deviation of operands that are made up.
    sequence : :class:`int`, optional
        Tokens, for ``gpt-2``.

    Raises
    ------
    ConfigError
        If there is no such workload, or a file does not hold two int8 matrices that fit.
    """
    if not 0 < sigma < 1 << 16:
        raise ConfigError(f"sigma must be positive and below {1 << 16}, not {sigma!r}")
    if sequence is not None and name != "gpt-2":
        raise ConfigError("only the workload gpt-2 has a sequence length")
    text, made_up = str(name), f"operands round(N(0, {sigma:g})), clipped to int8"
    if text == "normal":
        shape = GemmShape(name="normal", m=NORMAL_SIZE, k=NORMAL_SIZE, n=NORMAL_SIZE)
        sizes = " x ".join([str(NORMAL_SIZE)] * 3)
        return Workload(
            name=text,
            description=f"a product of {sizes}, {made_up}",
            products=[Product(shape=shape, sigma=sigma, seed=1)],
        )
    if text == "digits":
        return _digits()
    if text in NETWORKS:
        shapes = gemm_shapes(text, sequence=sequence)
        tokens = f" of {shapes[0].m} tokens" if text == "gpt-2" else ""
        return Workload(
            name=text,
            description=f"all layers of {text}{tokens}, batch 1, {made_up}",
            products=[Product(shape=shape, sigma=sigma, seed=1) for shape in shapes],
        )
    if not text.endswith(".npz"):
        raise ConfigError(f"workload must be one of {', '.join(BUILT_IN)} or an .npz file, not {text!r}")
    return _file(Path(name))


def _digits():
    from .workloads.digits import trained_network  # scikit-learn takes a while to import

    network, split, _accuracies = trained_network()
    layers = network.layers(split.test_images)
    return Workload(
        name="digits",
        description=f"the int8 digits network on {len(split.test_images)} test images",
        products=[_real(layer.name, layer.a, layer.b) for layer in layers],
    )


def _file(path):
    arrays = read_arrays(path)
    if sorted(arrays) != ["A", "B"]:
        raise ConfigError(f"{path} must hold two arrays, A and B, not {', '.join(sorted(arrays)) or 'none'}")
    a, b = arrays["A"], arrays["B"]
    for name, array in arrays.items():
        if array.dtype != np.int8 or array.ndim != 2 or not array.size:
            raise ConfigError(f"{name} in {path} must be an int8 matrix, not {array.dtype} of shape {array.shape!r}")
    if a.shape[1] != b.shape[0]:
        raise ConfigError(f"A in {path} has {a.shape[1]} columns, but B has {b.shape[0]} rows; the two must be equal")
    shape = " x ".join(map(str, (*a.shape, b.shape[1])))
    return Workload(name=path.name, description=f"{path.name}, {shape}", products=[_real(path.stem, a, b)])


def _real(name, a, b):
    shape = GemmShape(name=name, m=a.shape[0], k=a.shape[1], n=b.shape[1])
    return Product(shape=shape, matrices=(a, b))
