"""What is wrong with a configuration, flag by flag: names, types, choices, ranges. And sizes read from one."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence

from pydantic import JsonValue

from tuning.document.base import Parameters
from tuning.engines.flags import Flag, FlagTable, Kind, Several, normal, settings_of, text_of

Finding = tuple[str, str]
"""A parameter as the document names it, and a sentence about what is wrong with it."""


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
    if "\0" in text_of(value):
        yield "contains a NUL character, which no environment variable can"


def _twice(table: FlagTable, parameters: Parameters) -> Iterator[Finding]:
    """Two spellings of one flag with different values: nobody can say which one is meant."""
    seen: dict[str, tuple[str, JsonValue]] = {}
    for name, value in settings_of(parameters):
        flag, meant = table.setting(name, value)
        first, before = seen.setdefault(flag.name if flag else normal(name), (name, meant))
        if first != name and text_of(before) != text_of(meant):
            yield name, f"is the same flag as {first}, which has another value ({text_of(before)})"


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
    elif flag.choices and not lenient and text_of(value) not in flag.choices:
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
