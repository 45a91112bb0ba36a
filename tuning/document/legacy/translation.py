"""What the translation of all parts shares."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from tuning.document.base import FieldPath
from tuning.document.messages import shown, unknown_field, visible
from tuning.document.report import Level
from tuning.document.validation import MAX_FAULTS, Fault, value_at

_NEEDED: dict[type, str] = {
    str: "text is needed",
    int: "a whole number is needed",
    float: "a number is needed",
    bool: "true or false is needed",
    dict: "fields with values are needed",
    list: "a list is needed",
}


@dataclass
class Translation:
    """An earlier document on its way to ours: the new data, what is to be told, and what cannot be translated."""

    source: dict[str, JsonValue]
    data: dict[str, Any] = field(default_factory=dict)
    notes: list[tuple[Level, FieldPath, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    _origins: dict[FieldPath, FieldPath] = field(default_factory=dict)

    def put(self, new: FieldPath, value: Any, old: FieldPath) -> None:
        """Set the field at `new`, which comes from the one at `old`."""
        here = self.data
        for part in new[:-1]:
            here = here.setdefault(str(part), {})
        here[str(new[-1])] = value
        self.came_from(new, old)

    def came_from(self, new: FieldPath, old: FieldPath) -> None:
        """Say of which old field a problem at `new` is to be told."""
        self._origins[new] = old

    def origin(self, new: FieldPath) -> FieldPath:
        """The place in the old document that the field at `new` came from, as exactly as it is known."""
        for length in range(len(new), 0, -1):
            if new[:length] in self._origins:
                old = self._origins[new[:length]]
                rest = new[length:]
                return (*old, *rest) if rest and value_at(self.source, (*old, *rest)) is not None else old
        return ()

    def note(self, level: Level, path: FieldPath, message: str) -> None:
        """Tell what became of the field at `path` of the old document."""
        self.notes.append((level, path, message))

    def refuse(self, path: FieldPath, message: str) -> None:
        """The field at `path` of the old document cannot be translated; said once of it and of what lies in it."""
        if len(self.faults) >= MAX_FAULTS or any(fault.path == path[: len(fault.path)] for fault in self.faults):
            return
        self.faults.append(Fault(path, message, visible(value_at(self.source, path), path)))

    def section(self, path: FieldPath, known: Collection[str]) -> "OldSection":
        """The part at `path`, empty if there is none; unknown fields in it are refused."""
        value = value_at(self.source, path)
        if not isinstance(value, dict):
            if value is not None:
                self.refuse(path, f"{_NEEDED[dict]}, not {shown(value, path)}")
            value = {}
        for name in [name for name in value if name not in known][:MAX_FAULTS]:
            self.refuse((*path, name), unknown_field(name, known))
        return OldSection(self, path, value)


@dataclass(frozen=True)
class OldSection:
    """One part of an earlier document."""

    translation: Translation
    path: FieldPath
    fields: dict[str, JsonValue]

    def at(self, name: str) -> FieldPath:
        """The path of the field `name`."""
        return (*self.path, name)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.fields.get(name) is not None

    def get(self, name: str, *kinds: type) -> Any:
        """The value of the field if it is of one of `kinds`; None without it, and with a refusal if it is not."""
        value = self.fields.get(name)
        if value is None or (isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))):
            return value
        self.refuse(name, f"{_NEEDED[kinds[0]]}, not {shown(value, self.at(name))}")
        return None

    def put(self, name: str, new: FieldPath, *kinds: type) -> Any:
        """Take the field over to `new` as it is, if it is there; its value."""
        value = self.get(name, *kinds)
        if value is not None:
            self.translation.put(new, value, self.at(name))
        return value

    def note(self, level: Level, name: str, message: str) -> None:
        """Tell what became of the field `name`."""
        self.translation.note(level, self.at(name), message)

    def refuse(self, name: str, message: str) -> None:
        """The field `name` cannot be translated."""
        self.translation.refuse(self.at(name), message)

    def ignore(self, name: str, message: str) -> None:
        """Tell that the field is not used, if it is there."""
        if self.has(name):
            self.note(Level.IGNORED, name, message)
