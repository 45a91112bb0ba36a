"""The grammar of traffic scenarios: anchored, whole numbers, no blanks."""

import pytest

from tuning.document.scenarios import Scenario, ScenarioKind, parse_scenario


@pytest.mark.parametrize(
    ("text", "kind", "input_tokens", "output_tokens"),
    [
        ("D(100,100)", ScenarioKind.FIXED, (100,), (100,)),
        ("N(480,240)/(300,150)", ScenarioKind.NORMAL, (480, 240), (300, 150)),
        ("U(50,100)/(200,250)", ScenarioKind.UNIFORM, (50, 100), (200, 250)),
        ("U(50,100)", ScenarioKind.UNIFORM, (1, 50), (1, 100)),
        ("E(64)", ScenarioKind.EMBEDDINGS, (64,), ()),
        ("R(512,64)", ScenarioKind.RERANK, (512, 64), ()),
        ("I(512,256)", ScenarioKind.IMAGES, (512, 256), ()),
        ("I(512,256,2)", ScenarioKind.IMAGES, (512, 256, 2), ()),
        ("dataset", ScenarioKind.DATASET, (), ()),
    ],
)
def test_a_scenario_is_read(
    text: str, kind: ScenarioKind, input_tokens: tuple[int, ...], output_tokens: tuple[int, ...]
) -> None:
    assert parse_scenario(text) == Scenario(text, kind, input_tokens, output_tokens)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "D(100, 100)",
        " D(100,100)",
        "D(100,100)\n",
        "D(1.5,2)",
        "D(-1,2)",
        "D(100)",
        "d(1,2)",
        "N(480,240)",
        "P(10,20)/30",
        "A(100)",
        "V(1)",
        "Dataset",
        "D(1,2)x",
        "D(٣,٤)",
        "D(1,9999999999)",
    ],
)
def test_anything_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed are D"):
        parse_scenario(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("U(9,3)/(1,2)", "the minimum 9 is above the maximum 3"),
        ("D(0,5)", "at least 1 input token"),
        ("E(0)", "at least 1 input"),
    ],
)
def test_impossible_numbers_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_scenario(text)
