"""What all parts of the task document share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Section(BaseModel):
    """A part of the task document: unknown fields and wrong types are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


Parameters = dict[str, JsonValue]
"""One configuration: engine flag without dashes (`max-num-seqs`) or `env:NAME` -> value; null leaves the flag out."""

Seconds = Annotated[float, Field(gt=0, le=30 * 86_400)]
Milliseconds = Annotated[float, Field(gt=0)]
EnvironmentName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=200)]
