"""The search space: which parameters vary, over what, and which combinations make sense."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, JsonValue, Tag, model_validator

from tuning.document.base import Section
from tuning.document.constraints import Constraint, parse_constraint

When = Annotated[
    dict[str, JsonValue],
    Field(description="The parameter is given only while these others have this value (or one of these values)."),
]


class Choices(Section):
    """A list of values of any type; null in it means: leave the flag out."""

    values: tuple[JsonValue, ...] = Field(min_length=1)
    when: When | None = None


class IntRange(Section):
    """Whole numbers from `min` to `max`, both included, `step` apart; `log` searches by magnitude."""

    type: Literal["integer"] = "integer"
    min: int
    max: int
    step: int = Field(default=1, ge=1)
    log: bool = False
    when: When | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.min, self.max, self.log)
        return self


class FloatRange(Section):
    """Numbers from `min` to `max`, both included; without `step` only strategies that can draw from it accept it."""

    type: Literal["float"] = "float"
    min: float
    max: float
    step: float | None = Field(default=None, gt=0)
    log: bool = False
    when: When | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        _check_range(self.min, self.max, self.log)
        return self


def _check_range(low: float, high: float, log: bool) -> None:
    if low > high:
        raise ValueError(f"min {low} is above max {high}")
    if log and low <= 0:
        raise ValueError(f"a logarithmic range begins above 0, not at {low}")


def _normalise(value: Any) -> Any:
    """A list or a bare scalar is a set of choices; a mapping says which kind it is by its fields."""
    if not isinstance(value, Mapping):
        return (
            value if isinstance(value, Section) else {"values": tuple(value) if isinstance(value, list) else (value,)}
        )
    if isinstance(value.get("values"), list):
        return {**value, "values": tuple(value["values"])}
    if "type" in value or not {"min", "max"} <= value.keys():
        return value
    whole = all(isinstance(value.get(key, 0), int) for key in ("min", "max", "step"))
    return {"type": "integer" if whole else "float", **value}


def _kind(value: Any) -> str:
    if isinstance(value, Section):
        return {Choices: "values", IntRange: "integer", FloatRange: "float"}.get(type(value), "values")
    if isinstance(value, Mapping) and value.get("type") in ("integer", "float"):
        return str(value["type"])
    return "values"


Parameter = Annotated[
    Annotated[Choices, Tag("values")] | Annotated[IntRange, Tag("integer")] | Annotated[FloatRange, Tag("float")],
    Discriminator(_kind),
    BeforeValidator(_normalise),
]

ParameterName = Annotated[str, Field(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|[A-Za-z][A-Za-z0-9._-]*)$", max_length=200)]


class SearchSpace(Section):
    """Parameters by engine flag without dashes, or `env:NAME` for an environment variable.

    `fixed` values are given to every configuration, the baseline too. `constraints` are comparisons between
    parameters (`max-num-batched-tokens >= max-num-seqs`); a configuration that breaks one is never tried.
    """

    parameters: dict[ParameterName, Parameter] = Field(default_factory=dict)
    fixed: dict[ParameterName, JsonValue] = Field(default_factory=dict)
    constraints: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if both := sorted(self.parameters.keys() & self.fixed.keys()):
            raise ValueError(f"{', '.join(both)}: either varied or fixed, not both")
        for name, parameter in self.parameters.items():
            for parent in parameter.when or {}:
                if parent == name or parent not in self.parameters | self.fixed:
                    raise ValueError(f"{name}: `when` names {parent!r}, which is not another parameter")
        self.parsed_constraints()
        return self

    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints, ready to be evaluated; ValueError for one that cannot be read."""
        names = [*self.parameters, *self.fixed]
        return tuple(parse_constraint(text, names) for text in self.constraints)
