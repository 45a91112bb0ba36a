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
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from tuning.document.base import Parameters

Finding = tuple[str, str]
"""A parameter as the document names it, and a sentence about what is wrong with it."""


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
        settings = (self.setting(key, value) for key, value in _settings(parameters))
        return next((value for flag, value in settings if flag and flag.name == name), None)

    def spelling(self, parameters: Parameters, name: str) -> str:
        """How `parameters` spell the flag `name`."""
        keys = ((key, self.setting(key, value)[0]) for key, value in _settings(parameters))
        return next((key for key, flag in keys if flag and flag.name == name), name)


def normal(name: str) -> str:
    """One spelling for `--max_num_seqs`, `max_num_seqs` and `max-num-seqs`; what follows a dot keeps its own."""
    head, dot, key = name.lstrip("-").partition(".")
    return head.replace("_", "-") + dot + key


def _settings(parameters: Parameters) -> Iterator[tuple[str, JsonValue]]:
    """The parameters that are meant for flags."""
    for name, value in parameters.items():
        if value is not None and not name.startswith(("env:", "__")):
            yield name, value


def render(table: FlagTable, parameters: Parameters) -> list[str]:
    """The flags that `parameters` become, by the table in this module's docstring; each setting once."""
    settings: dict[str, tuple[Flag, JsonValue]] = {}
    for name, value in _settings(parameters):
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
        return [word for item in value for word in _pair(flag.name, _text(item))]
    if isinstance(value, list) and flag.several is Several.VALUES and value:
        return [f"--{flag.name}", *filter(None, map(_text, value))]
    return _pair(flag.name, _text(value))


def _is_neutral(flag: Flag, value: JsonValue) -> bool:
    return flag.neutral is not None and not isinstance(value, bool) and str(value) == str(flag.neutral)


def _pair(name: str, text: str) -> list[str]:
    if not text or text.startswith("-"):
        return [f"--{name}={text}"]
    return [f"--{name}", text]


def _text(value: JsonValue) -> str:
    """Numbers and JSON in one notation, so that equal values make equal commands."""
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def check(table: FlagTable, parameters: Parameters, *, allow_unknown_flags: bool = False) -> list[Finding]:
    """Everything that is wrong with names and types; `allow_unknown_flags` also allows choices that are not known.

    The table is of one version of the engine: others know more flags and more choices.
    """
    return [
        *_twice(table, parameters),
        *(
            (name, sentence)
            for name, value in parameters.items()
            if value is not None and not name.startswith("__")
            for sentence in _sentences(table, name, value, allow_unknown_flags)
        ),
    ]


def _sentences(table: FlagTable, name: str, value: JsonValue, lenient: bool) -> Iterable[str]:
    if name.startswith("env:"):
        return _environment_sentences(name.removeprefix("env:"), value)
    if reason := _refusal(table, name):
        return [reason]
    flag, value = table.setting(name, value)
    if flag is None and not lenient:
        nearest = table.nearest(name)
        hint = f"; did you mean {nearest}?" if nearest else ""
        return [f"{table.engine} has no flag --{normal(name)}{hint} (engine.allow_unknown_flags lets it through)"]
    if flag is None and not _FLAG_NAME.fullmatch(normal(name)):
        return ["is not the name of a flag: letters, digits, hyphens, underscores and dots are"]
    return _value_sentences(flag or Flag(normal(name), Kind.ANY), value, lenient)


_FLAG_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.-]*(\.[A-Za-z0-9_.-]+)?")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OWN_ENVIRONMENT = re.compile(r"CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER|VLLM_API_KEY|VLLM_PORT|AUTOTUNER_.*|SPT_NOENV")


def _refusal(table: FlagTable, name: str) -> str | None:
    spelling = normal(name)
    return table.refused.get(spelling) or table.refused.get(spelling.removeprefix("no-"))


def _environment_sentences(name: str, value: JsonValue) -> Iterator[str]:
    if not _ENVIRONMENT_NAME.fullmatch(name):
        yield f"{name!r} is not the name of an environment variable"
    if _OWN_ENVIRONMENT.fullmatch(name):
        yield f"{name} is set by the deployer"
    if "\0" in _text(value):
        yield "contains a NUL character, which no environment variable can"


def _twice(table: FlagTable, parameters: Parameters) -> Iterator[Finding]:
    """Two spellings of one flag with different values: nobody can say which one is meant."""
    seen: dict[str, tuple[str, JsonValue]] = {}
    for name, value in _settings(parameters):
        flag, meant = table.setting(name, value)
        first, before = seen.setdefault(flag.name if flag else normal(name), (name, meant))
        if first != name and _text(before) != _text(meant):
            yield name, f"is the same flag as {first}, which has another value ({_text(before)})"


def _value_sentences(flag: Flag, value: JsonValue, lenient: bool) -> Iterator[str]:
    if isinstance(value, list) and flag.several is not Several.NO:
        if not value:
            yield "is an empty list; null leaves the flag out"
        for item in value:
            yield from _item_sentences(flag, item, lenient)
        return
    yield from _item_sentences(flag, value, lenient)


def _item_sentences(flag: Flag, value: JsonValue, lenient: bool) -> Iterator[str]:
    if sentence := _text_problem(flag, value) or _kind_problem(flag, value) or _range_problem(flag, value):
        yield sentence
    elif flag.choices and not lenient and _text(value) not in flag.choices:
        yield f"must be one of {', '.join(flag.choices)}"


def _text_problem(flag: Flag, value: JsonValue) -> str | None:
    if not isinstance(value, str):
        return None
    if "\0" in value:
        return "contains a NUL character, which no argument can"
    if not value.strip():
        return "is empty; null leaves the flag out"
    if value == "None" and "None" not in flag.choices:
        return "is the text 'None'; null leaves the flag out"
    if value.startswith("-") and flag.several is Several.VALUES:
        return "begins with a hyphen, which this flag would take for another flag"
    return None


def _kind_problem(flag: Flag, value: JsonValue) -> str | None:
    if flag.kind is Kind.ANY or value in (*flag.words, *flag.choices):
        return None
    match flag.kind:
        case Kind.BOOLEAN:
            return None if isinstance(value, bool) else "must be true or false"
        case Kind.INTEGER:
            return None if _is_integer(flag, value) else _or_words("must be a whole number", flag)
        case Kind.NUMBER:
            return None if _is_number(value) else _or_words("must be a number", flag)
        case Kind.JSON:
            return None if _is_json(value) else "must be an object, a list or JSON text"
    return None if isinstance(value, str | int | float) and not isinstance(value, bool) else "must be a text"


def _or_words(sentence: str, flag: Flag) -> str:
    return " or ".join([sentence, *flag.words])


_WHOLE = re.compile(r"[+-]?\d+")
_SCALED = re.compile(r"(\d+|\d+\.\d+(?=[kmgt]))([kKmMgGtT])")
_SCALES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
"""As vLLM reads them: small letters are powers of ten, capital ones of two, and only whole numbers of those."""


def _is_integer(flag: Flag, value: JsonValue) -> bool:
    if isinstance(value, str):
        return bool(_WHOLE.fullmatch(value) or (flag.scaled and _SCALED.fullmatch(value)))
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: JsonValue) -> float | None:
    """The number that a value is or spells, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and (match := _SCALED.fullmatch(value)):
        return float(match[1]) * _SCALES[match[2]]
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _is_number(value: JsonValue) -> bool:
    number = _number(value)
    return number is not None and math.isfinite(number) and not (isinstance(value, str) and _SCALED.fullmatch(value))


def _is_json(value: JsonValue) -> bool:
    if not isinstance(value, str):
        return isinstance(value, dict | list)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _range_problem(flag: Flag, value: JsonValue) -> str | None:
    number = _number(value) if flag.kind in (Kind.INTEGER, Kind.NUMBER) else None
    if number is None:
        return None
    if flag.minimum is not None and not (number > flag.minimum if flag.above else number >= flag.minimum):
        return f"must be {'above' if flag.above else 'at least'} {flag.minimum:g}"
    if flag.maximum is not None and not number <= flag.maximum:
        return f"must be at most {flag.maximum:g}"
    return None


def whole(table: FlagTable, parameters: Parameters, name: str, default: int) -> int:
    """A flag's value as a whole number; `default` when it is absent or is none."""
    number = _number(table.value(parameters, name))
    return int(number) if number is not None and number.is_integer() else default


def product(table: FlagTable, parameters: Parameters, names: Sequence[str]) -> int:
    """The product of several sizes, each at least 1 and 1 by default: how many GPUs they take."""
    total = 1
    for name in names:
        total *= max(1, whole(table, parameters, name, 1))
    return total
