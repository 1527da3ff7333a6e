"""Boolean expressions as Liberty writes them (``function``, ``when``, ...), on truth values or probabilities."""

import re
from functools import cached_property, lru_cache
from itertools import product

import numpy as np

from .liberty_text import LibertyError

__all__ = ["Expression", "expression"]

_TOKEN = re.compile(r"\s*([A-Za-z_][\w\[\].]*|[01]|[!'&*|+^()])")
_MAX_INPUTS = 12  # a truth table of a cell with more would be larger than any real cell's


class Expression:
    """A parsed expression.

    Parameters
    ----------
    text : :class:`str`
        Operators are ``!`` and ``'`` (not), ``&``, ``*`` and juxtaposition (and), ``^``, ``|`` and ``+`` (or).

    Raises
    ------
    LibertyError
        If the text is no expression, or has too many names.
    """

    def __init__(self, text):
        self.text = text
        self._tokens, position, stripped = [], 0, text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:
                raise LibertyError(f"cannot read the Liberty expression {text!r}")
            self._tokens.append(match.group(1))
            position = match.end()
        self.names = tuple(dict.fromkeys(token for token in self._tokens if token[0].isalpha() or token[0] == "_"))
        if len(self.names) > _MAX_INPUTS:
            raise LibertyError(f"the Liberty expression {text!r} has more than {_MAX_INPUTS} names")
        self._tree = self._sum()
        if self._tokens:
            raise LibertyError(f"cannot read the Liberty expression {text!r}")

    def _sum(self):
        terms = [self._exclusive()]
        while self._tokens and self._tokens[0] in "|+":
            self._tokens.pop(0)
            terms.append(self._exclusive())
        return ("or", *terms) if len(terms) > 1 else terms[0]

    def _exclusive(self):
        terms = [self._product()]
        while self._tokens and self._tokens[0] == "^":
            self._tokens.pop(0)
            terms.append(self._product())
        return ("xor", *terms) if len(terms) > 1 else terms[0]

    def _product(self):
        terms = [self._factor()]
        while self._tokens and self._tokens[0] not in "|+^)":
            if self._tokens[0] in "&*":
                self._tokens.pop(0)
            terms.append(self._factor())
        return ("and", *terms) if len(terms) > 1 else terms[0]

    def _factor(self):
        token = self._tokens.pop(0) if self._tokens else ""
        if token == "!":
            return ("not", self._factor())
        if token == "(":
            tree = self._sum()
            if not self._tokens or self._tokens.pop(0) != ")":
                raise LibertyError(f"cannot read the Liberty expression {self.text!r}: a parenthesis is missing")
        elif token in ("0", "1"):
            tree = ("constant", token == "1")
        elif token in self.names:
            tree = ("name", token)
        else:
            raise LibertyError(f"cannot read the Liberty expression {self.text!r}")
        while self._tokens and self._tokens[0] == "'":
            self._tokens.pop(0)
            tree = ("not", tree)
        return tree

    @cached_property
    def table(self):
        """Truth table, ``2**len(names)`` values; the first name is the most significant bit of the index."""
        return np.array(
            [
                _evaluate(self._tree, dict(zip(self.names, row, strict=True)))
                for row in product((False, True), repeat=len(self.names))
            ]
        )

    def probability(self, ones):
        """Probability that the expression is true, its names taken as independent.

        Parameters
        ----------
        ones : mapping of :class:`str` to array
            Probability that each name is 1; the arrays have one shape.
        """
        total = 0.0
        for row, value in zip(product((False, True), repeat=len(self.names)), self.table, strict=True):
            if value:
                term = 1.0
                for name, bit in zip(self.names, row, strict=True):
                    term = term * (ones[name] if bit else 1.0 - ones[name])
                total = total + term
        return total

    def difference(self, name):
        """Boolean difference: whether a change of ``name`` changes the value, as table over the *other* names.

        Returns
        -------
        tuple
            Names of the others, and their table.
        """
        axis = self.names.index(name)
        cube = self.table.reshape((2,) * len(self.names))
        changed = np.take(cube, 0, axis) != np.take(cube, 1, axis)
        return tuple(other for other in self.names if other != name), changed.reshape(-1)


def _evaluate(tree, values):
    kind, *rest = tree
    if kind == "name":
        return values[rest[0]]
    if kind == "constant":
        return rest[0]
    parts = [_evaluate(part, values) for part in rest]
    if kind == "not":
        return not parts[0]
    if kind == "xor":
        return sum(parts) % 2 == 1
    return all(parts) if kind == "and" else any(parts)


@lru_cache(maxsize=4096)
def expression(text):
    """The :class:`Expression` of a text; parsed once."""
    return Expression(text)
