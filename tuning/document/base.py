"""What all parts of the task document share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

FieldPath = tuple[str | int, ...]
"""Where a field is: keys of mappings and indices of lists, from the outside in."""

RULES_LATER = {"rules": "later"}
"""Validation context: check each field by itself and leave the rules between fields to `violations`."""


@dataclass(frozen=True)
class Violation:
    """A rule between fields that does not hold.

    `path` is the field to blame and `reads` are the fields whose values led to it, all seen from the section that
    states the rule. Where one of them is wrong by itself, nothing can be said about the rule.
    """

    path: FieldPath
    message: str
    reads: tuple[FieldPath, ...] = ()

    def below(self, at: FieldPath) -> "Violation":
        """The same, seen from outside of the section that lies at `at`."""
        return replace(self, path=(*at, *self.path), reads=tuple((*at, *path) for path in (self.path, *self.reads)))


class Section(BaseModel):
    """A part of the task document: unknown fields and wrong types are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def rules(self) -> Iterator[Violation]:
        """Every rule between fields of this section that does not hold; none by default."""
        yield from ()

    @model_validator(mode="after")
    def _rules_hold(self, info: ValidationInfo) -> Self:
        if info.context is not RULES_LATER and (broken := list(self.rules())):
            raise ValidationError.from_exception_data(type(self).__name__, [_line_error(each, self) for each in broken])
        return self


def violations(section: Section, at: FieldPath = ()) -> Iterator[Violation]:
    """Every rule that `section`, which lies at `at`, or a section inside it breaks, with paths seen from outside."""
    for violation in section.rules():
        yield violation.below(at)
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from violations(value, (*at, name))
        elif isinstance(value, dict):
            for key, item in value.items():
                if isinstance(item, Section):
                    yield from violations(item, (*at, name, key))


def _line_error(violation: Violation, section: Section) -> InitErrorDetails:
    error = PydanticCustomError("rule", "{message}", {"message": violation.message})
    return InitErrorDetails(type=error, loc=violation.path, input=_at(section, violation.path))


def _named(path: Path) -> Path:
    if path == Path():
        raise ValueError("the path of a file is needed")
    return path


def _at(value: Any, path: FieldPath) -> Any:
    """What lies at `path` inside sections, mappings and sequences; None where there is nothing."""
    for part in path:
        try:
            value = getattr(value, str(part)) if isinstance(value, Section) else value[part]
        except (AttributeError, LookupError, TypeError):
            return None
    return value


Parameters = dict[str, JsonValue]
"""One configuration: engine flag without dashes (`max-num-seqs`) or `env:NAME` -> value; null leaves the flag out."""

ENVIRONMENT_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400)]
Milliseconds = Annotated[float, Field(gt=0)]
EnvironmentName = Annotated[str, Field(pattern=ENVIRONMENT_NAME, max_length=200)]
FilePath = Annotated[Path, AfterValidator(_named)]
"""A path of a file; where the file is, only its reader knows, so it is not looked at."""
