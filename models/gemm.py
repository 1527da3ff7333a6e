"""Matrix products: the golden GEMM, and the tile scheduler that cuts one into the beats of an array.

``C[M, N] = initial + A[M, K] B[K, N]`` in exact integers, held against the accumulator that is to compute it. Only
the final value is checked: addition modulo ``2 ** acc_width`` gives the right value at the end whatever the partial
sums did in between, so a wrap-around on the way that undoes itself harms neither the golden model nor the hardware.
"""

import numpy as np

from .errors import ConfigError
from .integer import wrap

__all__ = ["from_beats", "gemm", "gemm_for", "multiply", "tiles", "to_beats"]

_FLOAT_EXACT = 1 << 53  # float64 holds every integer up to here, so sums below it are exact in whatever order BLAS adds


def gemm(a, b, *, acc_width=32, signed=True, overflow="refuse", max_k=None, initial=None):
    """Product of two integer matrices, as an accumulator of a given width computes it.

    Parameters
    ----------
    a : array of integers, shape (M, K)
    b : array of integers, shape (K, N)
    acc_width : :class:`int`
        Bits of the accumulator, 1..63.
    signed : :class:`bool`
        The accumulator is two's complement.
    overflow : :class:`str`
        ``"refuse"`` raises when a result does not fit, ``"wrap"`` takes it modulo ``2 ** acc_width``.
    max_k : :class:`int`, optional
        Longest reduction allowed.
    initial : array of integers, optional
        What the accumulators start from; broadcast to (M, N).

    Returns
    -------
    ``int64`` array of shape (M, N)

    Raises
    ------
    ConfigError
        If shapes do not match, operands are not integers, K is larger than ``max_k`` (unless ``overflow="wrap"``), or a
        result overflows.
    """
    if overflow not in ("refuse", "wrap"):
        raise ConfigError(f"overflow must be one of refuse, wrap, not {overflow!r}")
    if type(acc_width) is not int or not 1 <= acc_width <= 63:
        raise ConfigError(f"acc_width must be an integer in 1..63, not {acc_width!r}")
    a, b = _matrix("a", a), _matrix("b", b)
    if a.shape[1] != b.shape[0]:
        raise ConfigError(f"a has {a.shape[1]} columns, but b has {b.shape[0]} rows; the two must be equal")
    k = a.shape[1]
    if max_k is not None and k > max_k and overflow == "refuse":
        raise ConfigError(f"a reduction of {k} products exceeds max_k = {max_k}")
    bound = k * _magnitude(a) * _magnitude(b)
    # Beyond what float64 holds, int64 works modulo 2 ** 64: as good as exact for a narrower accumulator that wraps.
    operands = (a.astype(np.float64), b.astype(np.float64)) if bound < _FLOAT_EXACT else (a, b)
    c = np.matmul(*operands).astype(np.int64)
    if initial is not None:
        initial = _integers("initial", initial)
        try:
            c = c + np.broadcast_to(initial, c.shape)
        except ValueError:
            raise ConfigError(f"initial of shape {initial.shape!r} does not broadcast to {c.shape!r}") from None
        bound += _magnitude(initial)
    if overflow == "wrap":
        return wrap(c, acc_width, signed)
    if bound >= 1 << 63:
        raise ConfigError("operands are so large that the sum may not fit 63 bits; no accumulator of ours holds it")
    low, high = (-(1 << acc_width - 1), (1 << acc_width - 1) - 1) if signed else (0, (1 << acc_width) - 1)
    bad = (c < low) | (c > high)
    if bad.any():
        row, col = (int(index) for index in np.argwhere(bad)[0])
        raise ConfigError(
            f"element ({row}, {col}) of the product is {int(c[row, col])}, an accumulator of {acc_width} bits takes "
            f'{low}..{high}; widen it or choose overflow = "wrap"'
        )
    return c


def gemm_for(config, a, b):
    """The product as the array of a :class:`~carrysave.models.tile.TileConfig` computes it; see :func:`gemm`.

    Raises
    ------
    ConfigError
        Also if an operand is out of the range of the array's operands.
    """
    a, b = _operands(config, a, b)
    return gemm(
        a,
        b,
        acc_width=config.acc_width,
        signed=config.result_signed,
        overflow=config.overflow,
        max_k=config.max_k,
    )


def tiles(m, n, rows, cols):
    """Where the tiles of C lie, in the order in which :func:`to_beats` streams them.

    Parameters
    ----------
    m, n : :class:`int`
        Shape of C.
    rows, cols : :class:`int`
        Shape of the array. Tiles at the lower and right edge may be smaller.

    Returns
    -------
    list of (slice, slice)
        Rows and columns of C, along a row of tiles first.
    """
    return [
        (slice(row, min(row + rows, m)), slice(col, min(col + cols, n)))
        for row in range(0, m, rows)
        for col in range(0, n, cols)
    ]


def to_beats(config, a, b):
    """Input beats that make an array compute ``a @ b``, tile by tile; tiles at the edges are padded with zeros.

    Parameters
    ----------
    config : :class:`~carrysave.models.tile.TileConfig` or another with ``schedule`` and ``collect``
    a : array of integers, shape (M, K)
    b : array of integers, shape (K, N)

    Returns
    -------
    array of ``config.i.dtype``
        In the order of the configuration's ``schedule``.

    Raises
    ------
    ConfigError
        If a matrix is empty, shapes do not match, an operand is out of range, or K is larger than ``max_k`` (unless
        ``overflow="wrap"``).
    """
    a, b = _operands(config, a, b)
    (m, k), n = a.shape, b.shape[1]
    if 0 in (m, k, n):
        raise ConfigError(f"matrices to stream must not be empty: a is {a.shape!r}, b is {b.shape!r}")
    if k > config.max_k and config.overflow == "refuse":
        raise ConfigError(f"a reduction of {k} products exceeds max_k = {config.max_k}")
    return config.schedule(a, b)


def from_beats(config, beats, m, n):
    """C from the output beats that answer :func:`to_beats`.

    Parameters
    ----------
    config : as in :func:`to_beats`
    beats : array of ``config.o.dtype``
    m, n : :class:`int`
        Shape of C.

    Returns
    -------
    ``int64`` array of shape (M, N)

    Raises
    ------
    ConfigError
        If the number of beats, or the place of ``last`` among them, is not what C's shape asks for.
    """
    return config.collect(beats, m, n)


def multiply(config, a, b, execute, *, initial=None):
    """``initial + a @ b`` on an array, of any shape: the tile scheduler that the simulator and the host link share.

    A reduction longer than ``max_k`` is split; the parts, and ``initial``, are added here.

    Parameters
    ----------
    config : as in :func:`to_beats`
    a : array of integers, shape (M, K)
    b : array of integers, shape (K, N)
    execute : callable
        From input beats to output beats: a simulation, a host link or a golden model. Called once.
    initial : array of integers, optional
        Broadcast to (M, N).

    Returns
    -------
    ``int64`` array of shape (M, N)

    Raises
    ------
    ConfigError
        As :func:`to_beats`, and if ``initial`` does not broadcast or the sum does not fit 63 bits.
    """
    a, b = _operands(config, a, b)
    (m, k), n = a.shape, b.shape[1]
    # Where sums may wrap around, the whole reduction stays in the array, which wraps once at its own width.
    step = k if config.overflow == "wrap" else config.max_k
    parts = [to_beats(config, a[:, low : low + step], b[low : low + step]) for low in range(0, max(k, 1), max(step, 1))]
    outputs = execute(np.concatenate(parts))
    count, rest = divmod(len(outputs), len(parts))
    if rest:
        raise ConfigError(f"{len(parts)} parts of a reduction cannot answer with {len(outputs)} output beats")
    bound = k * _magnitude(a) * _magnitude(b)
    total = sum(from_beats(config, outputs[i * count : (i + 1) * count], m, n) for i in range(len(parts)))
    if initial is None:
        return total
    initial = _integers("initial", initial)
    if bound + _magnitude(initial) >= 1 << 63:
        raise ConfigError("initial is so large that the sum may not fit 63 bits")
    try:
        total = total + np.broadcast_to(initial, total.shape)
    except ValueError:
        raise ConfigError(f"initial of shape {initial.shape!r} does not broadcast to {total.shape!r}") from None
    return wrap(total, config.acc_width, config.result_signed) if config.overflow == "wrap" else total


def _operands(config, a, b):
    a, b = _matrix("a", a), _matrix("b", b)
    if a.shape[1] != b.shape[0]:
        raise ConfigError(f"a has {a.shape[1]} columns, but b has {b.shape[0]} rows; the two must be equal")
    for matrix, field in zip((a, b), config.i.fields[:2], strict=True):
        if matrix.size and (matrix.min() < field.minimum or matrix.max() > field.maximum):
            bad = int(matrix.min()) if matrix.min() < field.minimum else int(matrix.max())
            raise ConfigError(
                f"matrix {field.name} holds {bad}, the array's operand takes {field.minimum}..{field.maximum}"
            )
    return a, b


def _matrix(name, values):
    values = _integers(name, values)
    if values.ndim != 2:
        raise ConfigError(f"{name} must be a matrix, not an array of shape {values.shape!r}")
    return values


def _integers(name, values):
    values = np.asarray(values)
    if values.dtype.kind not in "biu":
        raise ConfigError(f"{name} must hold integers, not {values.dtype}")
    if values.dtype.kind == "u" and values.size and int(values.max()) >= 1 << 63:
        raise ConfigError(f"{name} holds {int(values.max())}, which does not fit 63 bits")
    return values.astype(np.int64, copy=False)


def _magnitude(values):
    """Largest magnitude, as a Python integer that cannot overflow."""
    return max(abs(int(values.min())), abs(int(values.max()))) if values.size else 0
