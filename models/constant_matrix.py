"""Products with a matrix that never changes, ``y = W x``: networks of shifts and additions that share common sums.

The field calls it multiple constant multiplication, of whole matrices CMVM. Every weight is written in canonical signed digits
(the non-adjacent form), so that an output is a sum of terms ``s 2^p x_j``. Two terms of one output are a pattern
``x_i + s 2^d x_j``, whatever power of two stands before them; a pattern that occurs more than once is added once, and stands for
two terms as a new one, of which there are patterns again. The commonest goes first (Hartley, "Subexpression sharing in filters
using canonic signed digit multipliers", 1996; Potkonjak, Srivastava and Chandrakasan, "Multiple constant multiplications",
1996), of equally common ones the shallowest.

A node is an input or a shared sum: inputs first, then sums in the order in which they can be computed.
"""

import dataclasses
import heapq
from collections import defaultdict
from functools import cached_property

import numpy as np

from .digits import Recoding
from .errors import ConfigError

__all__ = [
    "LARGEST_SIDE",
    "MatrixNetwork",
    "SharedSum",
    "Term",
    "checked_matrix",
    "full_adder_rows",
    "matrix_network",
]

#: Of a matrix, in rows and columns.
LARGEST_SIDE = 128
_DIGITS = Recoding(encoding="naf", width=16, signed=True)


@dataclasses.dataclass(frozen=True, order=True)
class Term:
    """A node times a power of two, with a sign.

    Parameters
    ----------
    shift : :class:`int`
    node : :class:`int`
    negative : :class:`bool`
    """

    shift: int
    node: int
    negative: bool = False


@dataclasses.dataclass(frozen=True, order=True)
class SharedSum:
    """A pattern that is added once: ``first + second 2^shift``, or less it.

    Parameters
    ----------
    first, second : :class:`int`
        Nodes.
    shift : :class:`int`
        At least 0.
    negative : :class:`bool`
        The second is subtracted.
    """

    first: int
    second: int
    shift: int
    negative: bool


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class MatrixNetwork:
    """The additions that make up a product with a constant matrix.

    Parameters
    ----------
    inputs : :class:`int`
    sums : tuple of :class:`SharedSum`
        Nodes ``inputs``, ``inputs + 1`` and so on.
    outputs : tuple of tuple of :class:`Term`
        What each output is the sum of, lowest shift first; nothing, if all its weights are zero.
    """

    inputs: int
    sums: tuple
    outputs: tuple

    @cached_property
    def levels(self):
        """Additions one after another that lead to each node: 0 for inputs."""
        levels = [0] * self.inputs
        for one in self.sums:
            levels.append(1 + max(levels[one.first], levels[one.second]))
        return levels

    @cached_property
    def coefficients(self):
        """Each node as a sum of inputs, ``int64`` array, nodes by inputs."""
        rows = list(np.eye(self.inputs, dtype=np.int64))
        for one in self.sums:
            second = rows[one.second] << one.shift
            rows.append(rows[one.first] + (-second if one.negative else second))
        return np.array(rows)

    def ranges(self, low, high):
        """Smallest and largest value of each node, for inputs that are in ``low..high``; two lists of :class:`int`."""
        plus, minus = (np.maximum(sign * self.coefficients, 0).sum(axis=1) for sign in (1, -1))
        return (plus * low - minus * high).tolist(), (plus * high - minus * low).tolist()

    @property
    def adders(self):
        """Additions of two operands, whatever adds them: shared ones, and those of the outputs' terms.

        An output that is one negative term counts as one.
        """
        return len(self.sums) + sum(
            len(terms) - 1 if len(terms) > 1 else int(terms[0].negative) for terms in self.outputs if terms
        )

    @cached_property
    def depth(self):
        """Most additions of two operands one after another, if each output's terms are added in the shallowest tree."""
        return max(self._tree_depth(terms) for terms in self.outputs)

    def _tree_depth(self, terms):
        if len(terms) == 1:
            return self.levels[terms[0].node] + terms[0].negative
        # Adding the two shallowest first is optimal.
        ready = [self.levels[term.node] for term in terms]
        heapq.heapify(ready)
        while len(ready) > 1:
            later = max(heapq.heappop(ready), heapq.heappop(ready))
            heapq.heappush(ready, later + 1)
        return ready[0] if ready else 0

    def evaluate(self, x):
        """What the network computes, addition by addition.

        Parameters
        ----------
        x : array of integers, beats by inputs

        Returns
        -------
        ``int64`` array, beats by outputs
        """
        nodes = list(np.asarray(x, np.int64).T)
        for one in self.sums:
            second = nodes[one.second] << one.shift
            nodes.append(nodes[one.first] - second if one.negative else nodes[one.first] + second)
        y = np.zeros((len(x), len(self.outputs)), np.int64)
        for column, terms in enumerate(self.outputs):
            for term in terms:
                value = nodes[term.node] << term.shift
                y[:, column] += -value if term.negative else value
        return y


def full_adder_rows(height):
    """Rows of full adders one after another that bring so many rows of dots down to two."""
    rows, most = 0, 2
    while most < height:
        rows, most = rows + 1, most * 3 // 2
    return rows


def checked_matrix(weights):
    """The weights, ``int64`` array; raises :exc:`ConfigError` unless they are what :func:`matrix_network` takes."""
    weights = np.asarray(weights)
    if weights.ndim != 2 or not all(1 <= side <= LARGEST_SIDE for side in weights.shape):
        raise ConfigError(
            f"weights must be a matrix of 1..{LARGEST_SIDE} rows and columns, not of shape {weights.shape!r}"
        )
    if weights.dtype.kind not in "iu":
        raise ConfigError(f"weights must be integers, not {weights.dtype}")
    for extreme in (int(weights.min()), int(weights.max())):
        if not _DIGITS.minimum <= extreme <= _DIGITS.maximum:
            raise ConfigError(f"weights must be in {_DIGITS.minimum}..{_DIGITS.maximum}, not {extreme!r}")
    return weights.astype(np.int64)


def matrix_network(weights, *, share=True):
    """The network of a matrix.

    Parameters
    ----------
    weights : array of integers, outputs by inputs
        Of 16 bits, and at most :data:`LARGEST_SIDE` by :data:`LARGEST_SIDE`.
    share : :class:`bool`
        Patterns that occur more than once are added once; otherwise every output is the sum of its weights' digits.

    Returns
    -------
    :class:`MatrixNetwork`
        The same one for the same weights.

    Raises
    ------
    ConfigError
        If the weights are not such a matrix.
    """
    weights = checked_matrix(weights)
    digits = _DIGITS.signed_digits(weights)
    # Rows of {(node, shift): sign}.
    rows = [{(j, p): int(digits[o, j, p]) for j, p in np.argwhere(digits[o]).tolist()} for o in range(len(weights))]
    sums = _Sharing(rows, weights.shape[1]).run() if share else ()
    outputs = tuple(tuple(sorted(Term(shift, node, sign < 0) for (node, shift), sign in row.items())) for row in rows)
    return MatrixNetwork(inputs=weights.shape[1], sums=tuple(sums), outputs=outputs)


class _Sharing:
    """Takes patterns out of rows of ``{(node, shift): sign}``, which it changes, until none occurs twice.

    A pattern is a tuple of the fields of :class:`SharedSum`. How often one occurs is counted in pairs of terms, with those that
    overlap (``x_j``, ``4 x_j`` and ``16 x_j`` are two). The queue holds every count that was reached; entries that are no
    longer true are put right when they come up.
    """

    def __init__(self, rows, inputs):
        self._rows = rows
        self._levels = [0] * inputs
        self._counts = defaultdict(int)
        self._queue = []
        for row in rows:
            rest = dict(row)
            for place, sign in row.items():
                del rest[place]
                self._count(rest, place, sign, 1)
        for pattern in self._counts:
            self._offer(pattern)

    def _offer(self, pattern):
        if (count := self._counts[pattern]) > 1:
            level = 1 + max(self._levels[pattern[0]], self._levels[pattern[1]])
            heapq.heappush(self._queue, (-count, level, pattern))

    def run(self):
        """The sums, in the order of their nodes."""
        sums = []
        while self._queue:
            count, level, pattern = heapq.heappop(self._queue)
            if -count != self._counts[pattern]:
                if -count > self._counts[pattern]:
                    self._offer(pattern)
                continue
            places = [(row, *place) for row in self._rows for place in self._places(row, pattern)]
            if len(places) > 1:
                sums.append(SharedSum(*pattern))
                touched = set()
                for row, shift, sign in places:
                    touched.update(self._replace(row, shift, sign, pattern))
                self._levels.append(level)
                for one in sorted(touched):
                    self._offer(one)
        return sums

    @staticmethod
    def _places(row, pattern):
        """Power and sign of each occurrence in a row, lowest first, none of which overlap."""
        first, second, apart, negative = pattern
        found = sorted(
            (shift, sign)
            for (node, shift), sign in row.items()
            if node == first and row.get((second, shift + apart)) == (-sign if negative else sign)
        )
        if first != second:
            return found
        taken = set()
        for shift, _sign in found:
            if shift not in taken:
                taken.add(shift + apart)
        return [(shift, sign) for shift, sign in found if shift not in taken]

    def _replace(self, row, shift, sign, pattern):
        """Puts the next node in the place of two terms; the patterns that it forms."""
        first, second, apart, _negative = pattern
        for place in ((first, shift), (second, shift + apart)):
            self._count(row, place, row.pop(place), -1)
        place = len(self._levels), shift
        touched = self._count(row, place, sign, 1)
        row[place] = sign
        return touched

    def _count(self, row, place, sign, change):
        """Counts the patterns of a term with all terms of a row; these patterns."""
        (i, p), counts, found = place, self._counts, []
        for (j, q), t in row.items():
            # The lower term is the first, of two at one place the lower node.
            pattern = (i, j, q - p, sign != t) if (p, i) < (q, j) else (j, i, p - q, sign != t)
            counts[pattern] += change
            found.append(pattern)
        return found
