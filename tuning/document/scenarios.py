"""The grammar of traffic scenarios, as genai-bench 0.0.5 defines it: anchored, integers only, no blanks.

D(in,out) fixed | N(mean_in,std_in)/(mean_out,std_out) normal | U(min_in,max_in)/(min_out,max_out) or U(max_in,max_out)
uniform | E(tokens) embeddings | R(document,query) re-rank | I(width,height[,images]) images | dataset
"""

import re
from dataclasses import dataclass
from enum import StrEnum

MIN_INPUT_TOKENS = 1
MIN_OUTPUT_TOKENS = 2


class ScenarioKind(StrEnum):
    """The letter a scenario begins with."""

    FIXED = "D"
    NORMAL = "N"
    UNIFORM = "U"
    EMBEDDINGS = "E"
    RERANK = "R"
    IMAGES = "I"
    DATASET = "dataset"


@dataclass(frozen=True)
class Scenario:
    """One traffic scenario.

    `input` and `output` are token counts whose meaning depends on `kind`: (tokens,) for FIXED and EMBEDDINGS,
    (mean, standard deviation) for NORMAL, (min, max) for UNIFORM; `output` is empty for EMBEDDINGS and DATASET.
    RERANK has (document, query) and IMAGES (width, height, images) as `input`.
    """

    text: str
    kind: ScenarioKind
    input: tuple[int, ...] = ()
    output: tuple[int, ...] = ()


_PAIR = r"\(([0-9]{1,9}),([0-9]{1,9})\)"
_GRAMMAR: tuple[tuple[ScenarioKind, re.Pattern[str]], ...] = (
    (ScenarioKind.FIXED, re.compile(rf"D{_PAIR}")),
    (ScenarioKind.NORMAL, re.compile(rf"N{_PAIR}/{_PAIR}")),
    (ScenarioKind.UNIFORM, re.compile(rf"U{_PAIR}/{_PAIR}")),
    (ScenarioKind.UNIFORM, re.compile(rf"U{_PAIR}")),
    (ScenarioKind.EMBEDDINGS, re.compile(r"E\(([0-9]{1,9})\)")),
    (ScenarioKind.RERANK, re.compile(rf"R{_PAIR}")),
    (ScenarioKind.IMAGES, re.compile(r"I\(([0-9]{1,9}),([0-9]{1,9})(?:,([0-9]{1,9}))?\)")),
    (ScenarioKind.DATASET, re.compile(r"dataset")),
)


def parse_scenario(text: str) -> Scenario:
    """Read one scenario; ValueError says what is allowed."""
    for kind, pattern in _GRAMMAR:
        if match := pattern.fullmatch(text):
            numbers = tuple(int(group) for group in match.groups() if group is not None)
            scenario = _scenario(text, kind, numbers)
            _check(scenario)
            return scenario
    raise ValueError(
        f"{text!r} is not a traffic scenario; allowed are D(in,out), N(mean_in,std_in)/(mean_out,std_out), "
        "U(min_in,max_in)/(min_out,max_out), U(max_in,max_out), E(tokens), R(document,query), I(width,height) "
        "and dataset, with whole numbers and no blanks"
    )


def _scenario(text: str, kind: ScenarioKind, numbers: tuple[int, ...]) -> Scenario:
    match kind, numbers:
        case ScenarioKind.FIXED, (tokens_in, tokens_out):
            return Scenario(text, kind, (tokens_in,), (tokens_out,))
        case ScenarioKind.UNIFORM, (max_in, max_out):
            return Scenario(text, kind, (1, max_in), (1, max_out))
        case ((ScenarioKind.NORMAL | ScenarioKind.UNIFORM), (a, b, c, d)):
            return Scenario(text, kind, (a, b), (c, d))
        case _:
            return Scenario(text, kind, numbers)


def _check(scenario: Scenario) -> None:
    if scenario.kind is ScenarioKind.UNIFORM:
        for low, high in (scenario.input, scenario.output):
            if low > high:
                raise ValueError(f"{scenario.text!r}: the minimum {low} is above the maximum {high}")
    if scenario.kind in (ScenarioKind.FIXED, ScenarioKind.EMBEDDINGS) and scenario.input[0] < MIN_INPUT_TOKENS:
        raise ValueError(f"{scenario.text!r}: at least {MIN_INPUT_TOKENS} input token is needed")
