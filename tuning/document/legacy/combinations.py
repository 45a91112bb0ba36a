"""Flags that move together, written as a search space of single flags.

`{quantization: fp8, kv-cache-dtype: fp8_e5m2}` or none of both are two configurations; two lists would make four. The
second flag then varies `when` the first one has its value, and what cannot be written this way is told.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from pydantic import JsonValue

from tuning.document.space import same_text

Flags = Mapping[str, JsonValue]
"""Flags of one configuration; one that is absent is left at the engine's default."""

Space = dict[str, JsonValue]
"""Fields of `search_space.parameters`."""

_DEFAULTS: dict[str, JsonValue] = {
    "dtype": "auto",
    "kv-cache-dtype": "auto",
    "moe-runner-backend": "auto",
    "tensor-parallel-size": 1,
    "pipeline-parallel-size": 1,
    "data-parallel-size": 1,
    "decode-context-parallel-size": 1,
    "tp-size": 1,
    "pp-size": 1,
    "dp-size": 1,
    "moe-dense-tp-size": 1,
    "enable-expert-parallel": False,
}
"""How a flag says that it is at its default, for those that can; the others are left out by null."""


def encode(combinations: Sequence[Flags]) -> Space | None:
    """The parameters whose configurations are exactly `combinations`; None if there are none that are."""
    wanted = {_identity(flags) for flags in combinations}
    names = list(dict.fromkeys(name for flags in combinations for name in flags if _value(flags, name) is not None))
    for parent in (None, *names):
        space = _space(combinations, names, parent)
        if space is not None and {_identity(flags) for flags in _expand(space)} == wanted:
            return space
    return None


def distinct(combinations: Sequence[Flags]) -> list[Flags]:
    """`combinations` without those that start the same engine again."""
    return list({_identity(flags): flags for flags in reversed(combinations)}.values())[::-1]


def _identity(flags: Flags) -> str:
    """Equal for flags that start the same engine."""
    return same_text({name: value for name in flags if (value := _value(flags, name)) is not None})


def _value(flags: Flags, name: str) -> JsonValue:
    """The value of a flag; None where it is at its default."""
    value = flags.get(name)
    return None if same_text(value) == same_text(_DEFAULTS.get(name)) else value


def _space(combinations: Sequence[Flags], names: Sequence[str], parent: str | None) -> Space | None:
    """Each flag by itself; under a condition where not all values of `parent` go with it, None if one has no name."""
    space: Space = {}
    for name in names:
        holders = [flags for flags in combinations if _value(flags, name) is not None]
        allowed = _values(holders, parent) if parent and parent != name else []
        everywhere = parent is None or parent == name or len(allowed) == len(_values(combinations, parent))
        if everywhere:
            space[name] = _values(combinations, name)
            continue
        if None in allowed:
            return None
        within = [flags for flags in combinations if _spelled(flags, str(parent)) in allowed]
        space[name] = {"values": _values(within, name), "when": {str(parent): allowed}}
    return space


def _values(combinations: Sequence[Flags], name: str) -> list[JsonValue]:
    """What the flag is in `combinations`, each once, in their order."""
    values = [_spelled(flags, name) for flags in combinations]
    return list({same_text(value): value for value in values}.values())


def _spelled(flags: Flags, name: str) -> JsonValue:
    value = flags.get(name)
    return _DEFAULTS.get(name) if value is None else value


def _expand(space: Space) -> Iterator[Flags]:
    """Every configuration of a space made by `_space`."""
    lists = {name: one["values"] if isinstance(one, dict) else one for name, one in space.items()}
    for values in itertools.product(*(each for each in lists.values() if isinstance(each, list))):
        flags = dict(zip(lists, values, strict=True))
        yield {name: value for name, value in flags.items() if _applies(space[name], flags)}


def _applies(parameter: JsonValue, flags: Flags) -> bool:
    if not isinstance(parameter, dict) or not isinstance(parameter["when"], dict):
        return True
    return all(isinstance(values, list) and flags[name] in values for name, values in parameter["when"].items())
