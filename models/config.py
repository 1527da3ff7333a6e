"""Base of all configurations: frozen, validated, built from ``key=value`` pairs or TOML and printed back."""

import dataclasses
import hashlib
import json
import re
import tomllib
from typing import ClassVar

from .errors import ConfigError

__all__ = ["Config", "parameter", "parse_pairs"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def parameter(default, doc, *, legal=None, choices=None, text=None):
    """A documented field of a configuration.

    Parameters
    ----------
    default : object
        Default value; ``None`` means "derived", and the field's documentation says from what.
    doc : :class:`str`
        One sentence on what the parameter is.
    legal : tuple (low, high), optional
        Bounds of an integer parameter, inclusive.
    choices : tuple of :class:`str`, optional
        Legal values of a named choice.
    text : :class:`str`, optional
        What a string looks like, in a few words; :meth:`Config.derive` checks it.
    """
    return dataclasses.field(default=default, metadata={"doc": doc, "legal": legal, "choices": choices, "text": text})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Parameters of one design.

    A subclass is a frozen, keyword-only dataclass whose fields come from :func:`parameter` and which has two class
    attributes, ``design`` (name in the catalogue) and ``shorthands`` (a mapping of a name that stands for several
    parameters to their names). Its :meth:`derive` fills in what is ``None`` and checks what depends on more than one
    field. It says what travels in its streams with two properties, ``i`` and ``o``, of type
    :class:`~carrysave.models.payload.Payload`.

    Raises
    ------
    ConfigError
        For a value out of its range: names the field, the value and what is legal.
    """

    #: Whether what comes after a beat with ``last`` depends on beats before it: such a workload is in one piece.
    continuous: ClassVar[bool] = False

    #: Bins of :func:`carrysave.sim.coverage.coverage` that no legal beats meet, as ``"field: bin"``.
    never: ClassVar[tuple] = ()

    def __post_init__(self):
        for field in dataclasses.fields(self):
            self._check(field, getattr(self, field.name))
        self.derive()

    def derive(self):
        """Fill in derived parameters with :meth:`_set` and check the whole; nothing to do by default."""

    def _set(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _check(self, field, value):
        if value is None and field.default is None:
            return
        legal, choices = field.metadata["legal"], field.metadata["choices"]
        if choices is not None:
            if value not in choices:
                raise ConfigError(f"{field.name} must be one of {', '.join(choices)}, not {value!r}")
        elif legal is not None:
            if type(value) is not int or not legal[0] <= value <= legal[1]:
                raise ConfigError(f"{field.name} must be an integer in {legal[0]}..{legal[1]}, not {value!r}")
        elif field.metadata["text"] is None and type(value) is not bool:
            raise ConfigError(f"{field.name} must be true or false, not {value!r}")

    @classmethod
    def parameters(cls):
        """Rows of documentation: dictionaries with ``name``, ``default``, ``legal`` and ``doc``, shorthands first."""
        rows = [
            {"name": name, "default": None, "legal": "", "doc": "shorthand for " + " and ".join(names)}
            for name, names in cls.shorthands.items()
        ]
        for field in dataclasses.fields(cls):
            legal, choices = field.metadata["legal"], field.metadata["choices"]
            text = f"{legal[0]}..{legal[1]}" if legal else ", ".join(choices or ("true", "false"))
            text = field.metadata["text"] or text
            rows.append({"name": field.name, "default": field.default, "legal": text, "doc": field.metadata["doc"]})
        return rows

    @classmethod
    def from_mapping(cls, values):
        """Build from a mapping of names to values; shorthands are legal, unknown names raise :exc:`ConfigError`."""
        known = {field.name for field in dataclasses.fields(cls)}
        expanded = {}
        for name in cls.shorthands:
            if name in values:
                expanded.update(dict.fromkeys(cls.shorthands[name], values[name]))
        for name, value in values.items():
            if name not in known and name not in cls.shorthands:
                legal = ", ".join([*cls.shorthands, *sorted(known)])
                raise ConfigError(f"{cls.design} has no parameter {name!r}; it has {legal}")
            if name in known:
                expanded[name] = value
        return cls(**expanded)

    @classmethod
    def from_pairs(cls, pairs, base=None):
        """Build from ``key=value`` strings, on top of a mapping ``base`` (say, from a TOML file)."""
        return cls.from_mapping({**(base or {}), **parse_pairs(pairs)})

    @classmethod
    def from_toml(cls, text):
        """Build from the text of a TOML file with one ``key = value`` a line (:meth:`to_toml` writes it)."""
        try:
            return cls.from_mapping(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"configuration is not TOML: {error}") from None

    def to_mapping(self):
        """All parameters by name, derived ones filled in."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_toml(self):
        """Text that :meth:`from_toml` reads back to an equal configuration."""
        return "".join(f"{name} = {json.dumps(value)}\n" for name, value in self.to_mapping().items())

    def canonical(self):
        """One line that is equal for equal configurations only."""
        return f"{self.design} {json.dumps(self.to_mapping(), sort_keys=True)}"

    @property
    def digest(self):
        """First 10 hexadecimal digits of the SHA-256 of :meth:`canonical`; names the build folder."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:10]

    def replace(self, **changes):
        """A copy with some parameters changed; derived ones not named are derived anew only if set to ``None``."""
        return dataclasses.replace(self, **changes)


def parse_pairs(pairs):
    """A mapping of names to values from ``key=value`` strings; raises :exc:`ConfigError` for any other string."""
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise ConfigError(f"a parameter is given as key=value, not {pair!r}")
        values[name] = _parse(text)
    return values


def _parse(text):
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        return int(text)
    return text
