"""The search space: which parameters vary, over what, and which combinations make sense."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, GetJsonSchemaHandler, JsonValue, Tag
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from tuning.document.base import Section, Violation
from tuning.document.constraints import Constraint, parse_constraint

PARAMETER_NAME = r"^(env:[A-Za-z_][A-Za-z0-9_]*|[A-Za-z][A-Za-z0-9._-]*)$"

_WHEN = "The parameter is given only while these other parameters have this value, or one of these values."
_LOG = "Whether strategies that draw from the range search by magnitude."

When = Annotated[dict[str, JsonValue], Field(examples=[{"enable-chunked-prefill": True}])]


class Choices(Section):
    """A list of values of any type; null in it means: leave the flag out."""

    values: tuple[JsonValue, ...] = Field(
        min_length=1, max_length=10_000, description="The values to try, of any type; null leaves the flag out."
    )
    when: When | None = Field(default=None, description=_WHEN)


def same_text(value: JsonValue) -> str:
    """Equal for equal values of the same type only: 1, 1.0, "1" and true differ."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


class IntRange(Section):
    """Whole numbers from `min` to `max`, both included, `step` apart; `log` searches by magnitude."""

    type: Literal["integer"] = Field(
        default="integer", description="Whole numbers; told by min, max and step if absent."
    )
    min: int = Field(description="The smallest value.")
    max: int = Field(description="The largest value.")
    step: int = Field(default=1, ge=1, description="From one value to the next.")
    log: bool = Field(default=False, description=_LOG)
    when: When | None = Field(default=None, description=_WHEN)

    def rules(self) -> Iterator[Violation]:
        """The range is not empty, and one by magnitude is above 0."""
        yield from _range_rules(self.min, self.max, self.log)


class FloatRange(Section):
    """Numbers from `min` to `max`, both included; without `step` only strategies that can draw from it accept it."""

    type: Literal["float"] = Field(default="float", description="Any numbers; told by min, max and step if absent.")
    min: float = Field(description="The smallest value.")
    max: float = Field(description="The largest value.")
    step: float | None = Field(default=None, gt=0, description="From one value to the next; grid needs it.")
    log: bool = Field(default=False, description=_LOG)
    when: When | None = Field(default=None, description=_WHEN)

    def rules(self) -> Iterator[Violation]:
        """The range is not empty, and one by magnitude is above 0."""
        yield from _range_rules(self.min, self.max, self.log)


def _range_rules(low: float, high: float, log: bool) -> Iterator[Violation]:
    if low > high:
        yield Violation(("min",), f"min {low} is above max {high}", (("max",),))
    if log and low <= 0:
        yield Violation(("min",), f"a logarithmic range begins above 0, not at {low}", (("log",),))


def _normalise(value: Any) -> Any:
    """A list or a bare scalar is a set of choices; a mapping says which kind it is by its fields."""
    if not isinstance(value, Mapping):
        return (
            value if isinstance(value, Section) else {"values": tuple(value) if isinstance(value, list) else (value,)}
        )
    if isinstance(value.get("values"), list):
        return {**value, "values": tuple(value["values"])}
    if "type" in value or "values" in value or not {"min", "max", "step", "log"} & value.keys():
        return value
    fractional = any(isinstance(value.get(key), float) for key in ("min", "max", "step"))
    return {"type": "float" if fractional else "integer", **value}


def _kind(value: Any) -> str:
    if isinstance(value, Section):
        return {IntRange: "integer", FloatRange: "float"}.get(type(value), "values")
    return str(value.get("type", "values")) if isinstance(value, Mapping) else "values"


class _Shorthand:
    """Tells the JSON Schema what `_normalise` accepts beside the full forms."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        full = handler(schema)["oneOf"]
        return {
            "anyOf": [
                {"type": "array", "minItems": 1, "title": "Values", "description": "The values to try."},
                {"type": ["string", "number", "boolean", "null"], "title": "Value", "description": "The only value."},
                *full,
            ],
            "examples": [[1, 2, 4], {"min": 16, "max": 256, "step": 16}, {"min": 0.5, "max": 0.95}, True],
        }


Parameter = Annotated[
    Annotated[Choices, Tag("values")] | Annotated[IntRange, Tag("integer")] | Annotated[FloatRange, Tag("float")],
    Discriminator(_kind),
    BeforeValidator(_normalise),
    _Shorthand,
]

ParameterName = Annotated[str, Field(pattern=PARAMETER_NAME, max_length=200)]


class SearchSpace(Section):
    """Parameters by engine flag without dashes, or `env:NAME` for an environment variable.

    `fixed` values are given to every configuration, the baseline too. `constraints` are comparisons between
    parameters (`max-num-batched-tokens >= max-num-seqs`); a configuration that breaks one is never tried.
    """

    parameters: dict[ParameterName, Parameter] = Field(
        default_factory=dict,
        max_length=500,
        description="What varies: engine flag without dashes, or env:NAME -> a list of values, one value, or a range.",
        examples=[{"max-num-seqs": [32, 64], "gpu-memory-utilization": {"min": 0.8, "max": 0.95, "step": 0.05}}],
    )
    fixed: dict[ParameterName, JsonValue] = Field(
        default_factory=dict,
        max_length=500,
        description="What every configuration is given, the baseline too: engine flag or env:NAME -> value.",
        examples=[{"max-model-len": 4096}],
    )
    constraints: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="Comparisons between parameters; a configuration that breaks one is never tried.",
        examples=[["max-num-batched-tokens >= max-num-seqs"]],
    )

    def rules(self) -> Iterator[Violation]:
        """Nothing is both varied and fixed, `when` names other parameters and runs in no circle, constraints read."""
        for name in self.parameters.keys() & self.fixed.keys():
            yield Violation(("fixed", name), "either varied or fixed, not both")
        for name, parameter in self.parameters.items():
            for parent in parameter.when or {}:
                if parent == name or parent not in self.parameters | self.fixed:
                    message = f"`when` names {parent!r}, which is not another parameter"
                    yield Violation(("parameters", name, "when", parent), message)
        yield from self._when_circles()
        yield from self._constraint_rules()

    def _when_circles(self) -> Iterator[Violation]:
        """What is left when those that depend on nothing left, and those nothing left depends on, are taken away."""
        left = {name: set(parameter.when or ()) - {name} for name, parameter in self.parameters.items()}
        while free := {name for name in left if not left[name] & left.keys()}:
            left = {name: parents for name, parents in left.items() if name not in free}
        while idle := left.keys() - set().union(*left.values()):
            left = {name: parents for name, parents in left.items() if name not in idle}
        for name in left:
            yield Violation(("parameters", name, "when"), "`when` runs in a circle back to this parameter")

    def _constraint_rules(self) -> Iterator[Violation]:
        for index, text in enumerate(self.constraints):
            try:
                parse_constraint(text, self._names)
            except ValueError as error:
                yield Violation(("constraints", index), str(error))

    @property
    def _names(self) -> list[str]:
        return [*self.parameters, *self.fixed]

    def parsed_constraints(self) -> tuple[Constraint, ...]:
        """The constraints, ready to be evaluated; ValueError for one that cannot be read."""
        return tuple(parse_constraint(text, self._names) for text in self.constraints)
