"""What loading tells beside the document itself."""

from dataclasses import dataclass
from enum import StrEnum

from tuning.document.base import FieldPath


class Level(StrEnum):
    """What became of a field."""

    RENAMED = "renamed"
    CONVERTED = "converted"
    DEFAULTED = "defaulted"
    IGNORED = "ignored"
    CHANGED = "changed"
    WARNING = "warning"


@dataclass(frozen=True)
class Note:
    """One thing that a person should know about an accepted document.

    `path` is the dotted path in the text that was read, `line` the 1-based line there where known. CHANGED: the
    meaning differs from that of earlier systems. WARNING: accepted as it is, and probably not what is wanted.
    """

    path: str
    level: Level
    message: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.path or 'document'}: {self.level}: {self.message}"


def dotted(path: FieldPath) -> str:
    """A path as people write it: `search_space.parameters.max-num-seqs[2]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
