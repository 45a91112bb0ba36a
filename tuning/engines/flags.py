"""Command-line flags as data, and how a configuration becomes flags. Shared by all engines.

| value                        | becomes                                                                     |
|------------------------------|-----------------------------------------------------------------------------|
| null                         | nothing                                                                     |
| true                         | the bare flag                                                               |
| false                        | the flag's negative form where the engine has one, else nothing             |
| number, text                 | `--name value`, or `--name=value` where the value could be taken for a flag |
| list                         | several values, or the flag several times, where the engine reads it so     |
| other list, object           | one argument of JSON text                                                   |
| a parallel size of 1         | nothing: it is what every engine does by itself                             |
| `env:NAME`, `__name`         | nothing: an environment variable; a remark                                  |
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from tuning.document.base import Parameters


class Kind(StrEnum):
    """What a flag takes."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    JSON = "json"
    ANY = "any"
    """Unknown: whatever the document says."""


class Several(StrEnum):
    """How a flag takes several values."""

    NO = "no"
    VALUES = "values"
    """`--name a b`"""
    FLAGS = "flags"
    """`--name a --name b`"""


@dataclass(frozen=True)
class Flag:
    """One flag of one engine; `name` is its canonical spelling without dashes in front.

    `negative` is the flag that says no. `minimum` and `maximum` are inclusive unless `above` says that the minimum
    itself is refused. `neutral` is a value that is not passed on, because it is what the engine does by itself in all
    versions. `words` are texts that a number may be replaced by (`auto`). `scaled` numbers may end in k, m, g or t.
    """

    name: str
    kind: Kind
    choices: tuple[str, ...] = ()
    negative: str | None = None
    aliases: tuple[str, ...] = ()
    several: Several = Several.NO
    minimum: float | None = None
    maximum: float | None = None
    above: bool = False
    neutral: JsonValue = None
    words: tuple[str, ...] = ()
    scaled: bool = False
    tuned: bool = False
    help: str = ""


@dataclass(frozen=True)
class FlagTable:
    """The flags of an engine, and those that a configuration may not set, with the reason."""

    engine: str
    flags: tuple[Flag, ...]
    refused: Mapping[str, str] = field(default_factory=dict)

    _by_spelling: Mapping[str, Flag] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        spellings = {name: flag for flag in self.flags for name in (flag.name, *flag.aliases)}
        object.__setattr__(self, "_by_spelling", spellings)

    def find(self, name: str) -> Flag | None:
        """The flag that a parameter names, in any spelling; `flag.key` sets one key of a JSON flag."""
        spelling = normal(name)
        if flag := self._by_spelling.get(spelling):
            return flag
        head, dot, key = spelling.partition(".")
        parent = self._by_spelling.get(head)
        if dot and key and parent and parent.kind is Kind.JSON:
            return Flag(f"{parent.name}.{key}", Kind.ANY)
        return None

    def setting(self, name: str, value: JsonValue) -> tuple[Flag | None, JsonValue]:
        """The flag that a parameter names and the value it gives; `no-flag: true` is `flag: false`."""
        if flag := self.find(name):
            return flag, value
        positive = self._by_spelling.get(normal(name).removeprefix("no-"))
        if positive and positive.negative == normal(name):
            return positive, not value if isinstance(value, bool) else value
        return None, value

    def nearest(self, name: str) -> str | None:
        """The known flag that is spelled most like `name`."""
        close = difflib.get_close_matches(normal(name), self._by_spelling, n=1, cutoff=0.6)
        return self._by_spelling[close[0]].name if close else None

    def value(self, parameters: Parameters, name: str) -> JsonValue:
        """What `parameters` say about the flag `name`, in whichever spelling; None when they say nothing."""
        settings = (self.setting(key, value) for key, value in settings_of(parameters))
        return next((value for flag, value in settings if flag and flag.name == name), None)

    def spelling(self, parameters: Parameters, name: str) -> str:
        """How `parameters` spell the flag `name`."""
        keys = ((key, self.setting(key, value)[0]) for key, value in settings_of(parameters))
        return next((key for key, flag in keys if flag and flag.name == name), name)


def normal(name: str) -> str:
    """One spelling for `--max_num_seqs`, `max_num_seqs` and `max-num-seqs`; what follows a dot keeps its own."""
    head, dot, key = name.lstrip("-").partition(".")
    return head.replace("_", "-") + dot + key


def settings_of(parameters: Parameters) -> Iterator[tuple[str, JsonValue]]:
    """The parameters that are meant for flags."""
    for name, value in parameters.items():
        if value is not None and not name.startswith(("env:", "__")):
            yield name, value


def render(table: FlagTable, parameters: Parameters) -> list[str]:
    """The flags that `parameters` become, by the table in this module's docstring; each setting once."""
    settings: dict[str, tuple[Flag, JsonValue]] = {}
    for name, value in settings_of(parameters):
        flag, meant = table.setting(name, value)
        flag = flag or Flag(normal(name), Kind.ANY)
        settings[flag.name] = (flag, meant)
    return [word for flag, value in settings.values() for word in _words(flag, value)]


def _words(flag: Flag, value: JsonValue) -> list[str]:
    if value is None or _is_neutral(flag, value):
        return []
    if isinstance(value, bool) and "." not in flag.name:
        if value:
            return [f"--{flag.name}"]
        return [f"--{flag.negative}"] if flag.negative else []
    if isinstance(value, list) and flag.several is Several.FLAGS:
        return [word for item in value for word in _pair(flag.name, text_of(item))]
    if isinstance(value, list) and flag.several is Several.VALUES and value:
        return [f"--{flag.name}", *filter(None, map(text_of, value))]
    return _pair(flag.name, text_of(value))


def _is_neutral(flag: Flag, value: JsonValue) -> bool:
    return flag.neutral is not None and not isinstance(value, bool) and str(value) == str(flag.neutral)


def _pair(name: str, text: str) -> list[str]:
    if not text or text.startswith("-"):
        return [f"--{name}={text}"]
    return [f"--{name}", text]


def text_of(value: JsonValue) -> str:
    """Numbers and JSON in one notation, so that equal values make equal commands."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
