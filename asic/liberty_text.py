"""The syntax of Liberty: nested groups of attributes. What they mean is :mod:`carrysave.asic.liberty`'s business."""

import re
from dataclasses import dataclass, field

from ..models.errors import CarrysaveError

__all__ = ["Group", "LibertyError", "parse_liberty"]


class LibertyError(CarrysaveError, ValueError):
    """A file is not Liberty, or lacks what a figure needs."""


@dataclass(slots=True)
class Group:
    """One ``kind (arguments) { ... }``.

    Members
    -------
    kind : :class:`str`
        What stands before the parenthesis, such as ``cell``.
    arguments : tuple of :class:`str`
        What stands in it, unquoted.
    attributes : :class:`dict`
        Simple attributes, ``name : value;``, unquoted; of several of one name the last.
    lists : :class:`dict`
        Complex attributes, ``name (value, ...);``, unquoted; several of one name are concatenated.
    groups : list of :class:`Group`
        Groups within, in the order of the file.
    """

    kind: str
    arguments: tuple
    attributes: dict = field(default_factory=dict)
    lists: dict = field(default_factory=dict)
    groups: list = field(default_factory=list)

    @property
    def name(self):
        """First argument, or nothing."""
        return self.arguments[0] if self.arguments else ""

    def of(self, kind):
        """Groups of that kind within this one."""
        return [group for group in self.groups if group.kind == kind]


_COMMENT = re.compile(r"/\*.*?\*/|\\\r?\n", re.DOTALL)
# One statement: `name (arguments)` with `{` or `;`, or `name : value;`, or `}`. The semicolon may be missing.
_STATEMENT = re.compile(
    r"""\s*(?:
      (?P<name>[A-Za-z_][\w.]*|"[^"]*")\s*
      (?: \((?P<arguments>[^()"]*(?:(?:"[^"]*"|\([^()"]*\))[^()"]*)*)\)\s*(?P<open>[{;]?)
        | :\s*(?P<value>"[^"]*"|[^;{}\n"]+?)[ \t]*(?:;|(?=\r?\n|\}))
      )
    | (?P<close>\}) | ;
    )""",
    re.VERBOSE,
)
_ARGUMENT = re.compile(r'"([^"]*)"|([^\s,"]+(?:[ \t]+[^\s,"]+)*)')


def parse_liberty(text, *, source):
    """Parse the text of a Liberty file.

    Parameters
    ----------
    text : :class:`str`
    source : :class:`str` or path
        Where it comes from, for error messages.

    Returns
    -------
    list of :class:`Group`
        The ``library`` groups of the file.

    Raises
    ------
    LibertyError
        Names the line that is not Liberty.
    """
    text = _COMMENT.sub(lambda match: "\n" * match.group().count("\n") if match.group()[0] == "/" else " ", text)
    root = Group("", ())
    stack, position, end = [root], 0, len(text.rstrip())
    match_at = _STATEMENT.match
    while position < end:
        match = match_at(text, position)
        if match is None:
            line = text.count("\n", 0, position + len(text[position:]) - len(text[position:].lstrip())) + 1
            raise LibertyError(f"{source} is not a Liberty file: cannot read line {line}")
        position = match.end()
        name, arguments, opening, value, closing = match.group("name", "arguments", "open", "value", "close")
        if closing:
            if len(stack) == 1:
                raise LibertyError(f"{source} is not a Liberty file: a '}}' too many")
            stack.pop()
        elif arguments is not None:
            arguments = tuple(quoted or plain for quoted, plain in _ARGUMENT.findall(arguments))
            if opening == "{":
                group = Group(name, arguments)
                stack[-1].groups.append(group)
                stack.append(group)
            else:
                stack[-1].lists[name] = stack[-1].lists.get(name, ()) + arguments
        elif value is not None:
            stack[-1].attributes[name] = value.strip().strip('"')
    libraries = root.of("library")
    if len(stack) > 1:
        raise LibertyError(f"{source} ends within {stack[-1].kind} {stack[-1].name!r}: the file is cut short")
    if not libraries:
        raise LibertyError(f"{source} is not a Liberty file: it has no library group")
    return libraries
