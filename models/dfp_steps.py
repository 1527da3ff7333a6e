"""Operands for the stimulus of designs that sum products of dynamic fixed point: corners, runs of extremes, random ones."""

import numpy as np

from .mac import operand_corners, operand_samples
from .payload import Field

__all__ = ["corner_rows", "extreme_runs", "random_rows"]


def corner_rows(config):
    """Directed operands of single steps: all pairs of corners, then ties of the pre-shift; two arrays ``(rows, lanes)``.

    Each lane meets each pair, no two the same one at a time.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`
    """
    field = Field("a", config.width, True)
    corners = operand_corners(field)
    a, b = (grid.ravel() for grid in np.meshgrid(corners, corners, indexing="ij"))
    if config.input_shift:
        half = 1 << config.input_shift - 1
        near = [value + tie for value in (field.minimum, -2 * half, 0, 2 * half) for tie in (half - 1, half, half + 1)]
        near += [field.maximum - half, field.maximum - half + 1]
        near = np.array([value for value in near if value <= field.maximum])
        partners = np.array([field.minimum, 1, field.maximum])
        ties, others = (grid.ravel() for grid in np.meshgrid(near, partners, indexing="ij"))
        a, b = np.concatenate([a, ties, others]), np.concatenate([b, others, ties])
    apart = len(a) // config.lanes + 1
    return tuple(np.stack([np.roll(x, lane * apart) for lane in range(config.lanes)], axis=1) for x in (a, b))


def extreme_runs(config, count, longest=1 << 20):
    """Steps of extremes only, in runs about as long as a chain: the largest and smallest sums, and one step beyond.

    Parameters
    ----------
    config : :class:`~carrysave.models.dfp_fma.DFPChainConfig`
    count : :class:`int`
        Steps, about.
    longest : :class:`int`
        Steps that a run may have.

    Returns
    -------
    a, b : arrays of shape ``(steps, lanes)``
    ends : array of ``bool``
        Last steps of the runs: one step short of a chain, a chain, a step more, two chains and a step. As far as that many
        steps fit into ``count``; else of shorter runs.
    """
    steps = max(1, min(config.chain, count // 24))
    top = 1 << config.width - 1
    a, b, ends = [], [], []
    for x in (-top, top - 1):
        for y in (-top, top - 1):
            for length in (max(steps - 1, 1), steps, steps + 1, 2 * steps + 1):
                length = min(length, longest)
                a.append(np.full((length, config.lanes), x))
                b.append(np.full((length, config.lanes), y))
                ends.append(np.arange(length) == length - 1)
    return np.concatenate(a), np.concatenate(b), np.concatenate(ends)


def random_rows(config, rng, count):
    """Random operands, two arrays ``(count, lanes)``: a quarter corners, the others as ``operand_samples`` has them."""
    field, shape = Field("a", config.width, True), (count, config.lanes)
    corners = operand_corners(field)
    return tuple(
        np.where(rng.random(shape) < 0.25, rng.choice(corners, shape), operand_samples(field, rng, shape))
        for _ in range(2)
    )
