"""When weight-stationary arrays accept their beats and deliver their rows: cycle models of beats, and of whole products."""

from itertools import pairwise

import numpy as np

from .errors import ConfigError
from .stationary import blocks_of_product, flagged_beats, segments

__all__ = ["stationary_cycles", "stationary_gemm_cycles"]

_FLAGS = np.dtype([(name, np.uint8) for name in ("load", "row", "swap", "first", "last")])
_RHYTHM = 4  # block columns after which each takes as long as the one before


def stationary_cycles(config, beats):
    """When the array accepts and delivers, with input always valid and output always ready.

    The rules:

    - a beat follows another in the next cycle; with OPT2 a row is held for ``row_cycles`` and accepted in the last of them;
    - a beat with ``load`` is not accepted earlier than ``load_wait`` cycles after a swap;
    - a swap is not accepted earlier than ``swap_wait`` cycles after a load; nor earlier than ``REUSE_CYCLES - n`` cycles
      after row number ``n``, the latest before it;
    - a row waits until the result of the row of the same number is read out of the accumulator rows, which happens
      ``latency - 1`` cycles after that was accepted (if that block had fewer rows, until all are read out);
    - a swap waits until the results of all blocks but the latest with ``last`` are read out.

    Parameters
    ----------
    config : :class:`StationaryConfig`
    beats : array of ``config.i.dtype``

    Returns
    -------
    accepted : array of ``int64``
        Cycle in which each beat is accepted; the first of all begins in cycle 0.
    delivered : array of ``int64``
        Cycle in which each row of C is taken.
    """
    bounds, numbers = segments(config, beats)
    row, load, last = (beats[name] != 0 for name in ("row", "load", "last"))
    cost = np.where(row, config.row_cycles, 1)
    offset = np.cumsum(cost) - cost
    start = np.zeros(len(beats), np.int64)
    start[: bounds[0]] = offset[: bounds[0]]
    # Of the latest beats of their kind: acceptance of a load, of a row and its number; read-outs of results.
    loaded = row_at = -(1 << 40)
    row_number, older, results = 0, -1, np.zeros(0, np.int64)
    if (found := np.flatnonzero(load[: bounds[0]])).size:
        loaded = int(start[found[-1]] + cost[found[-1]] - 1)
    for low, high in pairwise(bounds.tolist()):
        here = slice(low, high)
        earliest = np.zeros(high - low, np.int64)
        if low:
            earliest[0] = start[low - 1] + cost[low - 1]
        earliest[0] = max(earliest[0], loaded + config.swap_wait, row_at + config.REUSE_CYCLES - row_number, older + 1)
        rows = np.flatnonzero(row[here])
        if len(results):
            limits = results[np.minimum(numbers[low + rows], len(results) - 1)] + 1
            earliest[rows] = np.maximum(earliest[rows], limits)
        loads = np.flatnonzero(load[here])
        times = np.maximum.accumulate(earliest - offset[here]) + offset[here]
        if len(loads):
            earliest[loads] = np.maximum(earliest[loads], times[0] + config.load_wait)
            times = np.maximum.accumulate(earliest - offset[here]) + offset[here]
            loaded = int(times[loads[-1]] + cost[low + loads[-1]] - 1)
        start[here] = times
        older = -1
        if len(rows):
            row_at, row_number = int(times[rows[-1]] + config.row_cycles - 1), int(numbers[low + rows[-1]])
            if last[low + rows[0]]:
                older = int(results[-1]) if len(results) else -1
                results = times[rows] + config.row_cycles - 1 + config.latency - 1
    accepted = start + cost - 1
    return accepted, accepted[row & last] + config.latency


def stationary_gemm_cycles(config, m, k, n):
    """Cycles of a whole matrix product, without its beats: for products of which they would fill the memory.

    Parameters
    ----------
    config : :class:`~carrysave.models.stationary.StationaryConfig`
    m, k, n : :class:`int`
        Shape of the product; K at most ``max_k``.

    Returns
    -------
    :class:`int`
        Cycles from the first accepted beat to the last row of C, both counted, of the beats that ``config.schedule`` gives,
        with input always valid and output always ready.

    Raises
    ------
    ConfigError
        If a size is not positive, or K is longer than ``max_k``.

    Implementation notes
    --------------------
    Cycles do not depend on operands, and block columns of B take turns: after a few each takes as long as the one before,
    which is checked; if they do not, all of them are gone through.
    """
    for name, value, most in (("m", m, None), ("k", k, config.max_k), ("n", n, None)):
        if value < 1 or (most and value > most):
            raise ConfigError(f"{name} must be positive{f' and at most {most}' if most else ''}, not {value!r}")
    steps, across = -(-k // config.lanes), -(-n // config.cols)
    ends = _column_ends(config, m, steps, min(across, _RHYTHM))
    if across > _RHYTHM and np.ptp(np.diff(ends)[-2:]):
        ends = _column_ends(config, m, steps, across)
    period = int(ends[-1] - ends[-2]) if len(ends) > 1 else 0
    return int(ends[-1]) + 1 + (across - len(ends)) * period


def _column_ends(config, m, steps, across):
    """Cycle in which the last row of each block column of C is taken."""
    heights, index, loads = blocks_of_product(config, m, steps, across)
    flags, *_places = flagged_beats(
        config, lambda count: np.zeros(count, _FLAGS), heights, loads, index[2] == 0, index[2] == steps - 1
    )
    return stationary_cycles(config, flags)[1].reshape(across, m)[:, -1]
