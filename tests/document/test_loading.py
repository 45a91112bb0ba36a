"""Everything that is wrong with a document is told at once, with path, value, what is allowed, and line."""

import json
import time
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from tests.document.documents import MINIMAL, document, loaded, problems, refusal
from tuning.document.base import Section
from tuning.document.goals import ObjectiveName, StrategyName
from tuning.document.loading import load
from tuning.document.messages import FORMS, known_fields
from tuning.document.report import Level, Note, dotted
from tuning.document.schema import json_schema
from tuning.document.space import Choices, FloatRange, IntRange, SearchSpace
from tuning.document.task import DockerDeployment, TaskDocument
from tuning.document.validation import MAX_FAULTS, validate
from tuning.document.workload import Workload

MANY_FAULTS = """\
name: " x"
engine: {name: vlm, image: "-x", foo: 1}
model: {id: m, served_nam: 5}
deployment: {mode: docker, shm_size: 12, gpus: [0, 0, -1]}
search_space:
  paramters: {}
  parameters:
    max-num-seqs: [1, 2, 2]
    a: {min: 0.1, max: 0.5}
    b: {min: 5}
    c: {min: 5, max: 1}
    d: []
    "bad name": [1]
  constraints:
    - "a > b"
    - "a > zz"
    - "a +"
workload:
  scenarios: ["D(1,2)", "D(1, 2)"]
  requests: 0
  concurrency: [0, "x"]
slo: {ttft_ms: {p200: 1, p99: -1}}
limits: {ready_s: no}
"""


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_text() -> None:
    """Pitfall B14: also what only a look at several fields can find."""
    found = [(problem.line, problem.path) for problem in refusal(MANY_FAULTS).problems]
    space = "search_space.parameters"
    assert found == [
        (1, "name"),
        (2, "engine.name"),
        (2, "engine.image"),
        (2, "engine.foo"),
        (3, "model.served_nam"),
        (4, "deployment.gpus[2]"),
        (4, "deployment.shm_size"),
        (6, "search_space.paramters"),
        (9, f"{space}.a"),
        (10, f"{space}.b.max"),
        (11, f"{space}.c.min"),
        (12, f"{space}.d"),
        (13, f"{space}.bad name"),
        (16, "search_space.constraints[1]"),
        (17, "search_space.constraints[2]"),
        (19, "workload.scenarios[1]"),
        (20, "workload.requests"),
        (21, "workload.concurrency[0]"),
        (21, "workload.concurrency[1]"),
        (22, "slo.ttft_ms.p200"),
        (22, "slo.ttft_ms.p99"),
        (23, "limits.ready_s"),
    ]


def test_a_problem_carries_the_value_that_was_found() -> None:
    values = {problem.path: problem.value for problem in refusal(MANY_FAULTS).problems}
    assert values["engine.name"] == "vlm"
    assert values["deployment.gpus[2]"] == -1
    assert values["search_space.constraints[1]"] == "a > zz"
    assert values["search_space.parameters.b.max"] is None


@pytest.mark.parametrize(
    ("sections", "path", "message"),
    [
        ({"engine": {"name": "vlm"}}, "engine.name", "allowed are 'vllm', 'sglang' or 'simulated', not \"vlm\""),
        ({"engine": {"nam": "vllm"}}, "engine.nam", "unknown field; did you mean name?"),
        ({"engine": {"nam": "vllm"}}, "engine.name", "is needed"),
        ({"engine": "vllm"}, "engine", 'fields with values are needed, not "vllm"'),
        ({"deployment": {"mode": "dokcer"}}, "deployment", None),
        ({"deployment": {"gpus": [0]}}, "deployment", None),
        ({"deployment": {"mode": "ome", "host_network": True}}, "deployment.host_network", None),
        (
            {"deployment": {"mode": "docker", "host_networks": True}},
            "deployment.host_networks",
            "did you mean host_network?",
        ),
        ({"replicates": 0}, "replicates", "at least 1 is needed, not 0"),
        ({"replicates": 1.5}, "replicates", "a whole number is needed, not 1.5"),
        ({"replicates": "2"}, "replicates", 'a whole number is needed, not "2"'),
        ({"replicates": True}, "replicates", "a whole number is needed, not true"),
        ({"baseline": "yes"}, "baseline", 'true or false is needed, not "yes"'),
        ({"baseline": 1}, "baseline", "true or false is needed, not 1"),
        ({"description": 5}, "description", "text is needed, not 5"),
        ({"schema_version": 2}, "schema_version", "allowed is 1, not 2"),
        ({"slo": {"error_rate": 1}}, "slo.error_rate", "less than 1 is needed, not 1"),
        ({"slo": {"ttft_ms": {"p101": 1}}}, "slo.ttft_ms.p101", "mean or a percentile"),
        ({"slo": {"ttft_ms": {"p99": "fast"}}}, "slo.ttft_ms.p99", 'a number is needed, not "fast"'),
        ({"limits": {"ready": 5}}, "limits.ready", "did you mean ready_s?"),
        ({"limits": {"ready_s": 0}}, "limits.ready_s", "more than 0 is needed, not 0"),
        ({"limits": {"ready_s": 1e9}}, "limits.ready_s", "at most 2592000 is allowed"),
        ({"workload": {"scenarios": "D(1,2)"}}, "workload.scenarios", "a list is needed"),
        ({"workload": {"scenarios": []}}, "workload.scenarios", "at least 1 is needed"),
        ({"workload": {"scenarios": ["D(1,2)", "D(1,2)"]}}, "workload.scenarios[1]", "given twice"),
        ({"workload": {"concurrency": [4, 1, 4]}}, "workload.concurrency[2]", "given twice"),
        ({"workload": {"sampling": {"max_tokens": 5}}}, "workload.sampling.max_tokens", "set by the benchmark"),
        ({"workload": {"requests": 5, "min_completed": 6}}, "workload.min_completed", "more than requests"),
        ({"workload": {"scenarios": ["dataset"]}}, "workload.scenarios[0]", "workload.dataset.path"),
        ({"workload": {"scenarios": ["D(1,2)", "R(1,2)"]}}, "workload.scenarios[1]", "builtin cannot send"),
        ({"workload": {"dataset": {"path": "x.csv"}}}, "workload.dataset", "no scenario sends it"),
        ({"workload": {"dataset": {}}}, "workload.dataset.path", "is needed"),
        ({"workload": {"dataset": {"path": ""}}}, "workload.dataset.path", "the path of a file is needed"),
        ({"engine": {"name": "vllm", "executable": "a", "python": "b"}}, "engine.python", "not both"),
        ({"engine": {"name": "vllm", "environment": {"A-B": "1"}}}, "engine.environment.A-B", 'not "A-B"'),
        ({"engine": {"name": "vllm", "environment": {"A": 1}}}, "engine.environment.A", "text is needed, not 1"),
        ({"model": {"id": "-m"}}, "model.id", 'not "-m"'),
        ({"objective": {"name": "balanced"}, "baseline": False}, "objective.name", "baseline: true"),
        ({"objective": {"name": "maximize_goodput"}}, "objective.name", "slo names no latency"),
        ({"finalists": 2}, "finalists", "replicates: 2 or more"),
        (
            {"workload": {"benchmark": "genai-bench", "request_rates_per_s": [1]}},
            "workload.request_rates_per_s",
            "no request-rate mode",
        ),
    ],
)
def test_a_wrong_field_is_told_with_what_is_allowed(
    sections: dict[str, object], path: str, message: str | None
) -> None:
    assert (message or "") in problems(document(**sections))[path]


@pytest.mark.parametrize(
    ("space", "path", "message"),
    [
        ({"parameters": {"a": {}}}, "parameters.a.values", "is needed"),
        ({"parameters": {"a": {"values": []}}}, "parameters.a.values", "at least 1"),
        ({"parameters": {"a": {"values": 5}}}, "parameters.a.values", "a list is needed"),
        ({"parameters": {"a": {"type": "int", "min": 1, "max": 2}}}, "parameters.a", "'values', 'integer', 'float'"),
        ({"parameters": {"a": {"min": 1, "max": 2, "stepp": 1}}}, "parameters.a.stepp", "did you mean step?"),
        ({"parameters": {"a": {"min": 1, "max": 2, "step": 0}}}, "parameters.a.step", "at least 1"),
        ({"parameters": {"a": {"min": 0, "max": 2, "log": True}}}, "parameters.a.min", "above 0"),
        ({"parameters": {"a": {"type": "integer", "min": 0.5, "max": 2}}}, "parameters.a.min", "whole number"),
        ({"parameters": {"a": {"min": 0.5, "max": 2}}}, "parameters.a", "needs a `step`"),
        ({"parameters": {"a": {"min": "1", "max": 2}}}, "parameters.a.min", "a whole number is needed"),
        ({"parameters": {"a": [1]}, "fixed": {"a": 1}}, "fixed.a", "not both"),
        ({"parameters": {"a": {"values": [1], "when": {"b": 1}}}}, "parameters.a.when.b", "not another parameter"),
        ({"parameters": {"a": {"values": [1], "when": {"a": 1}}}}, "parameters.a.when.a", "not another parameter"),
        (
            {"parameters": {"a": {"values": [1], "when": {"b": 1}}, "b": {"min": 1, "max": 2, "when": {"a": 1}}}},
            "parameters.b.when",
            "circle",
        ),
        ({"parameters": {"--a": [1]}}, "parameters.--a", "without its dashes"),
        ({"parameters": {"env:A-B": [1]}}, "parameters.env:A-B", "env:NAME"),
        ({"constraints": ["a > 1"]}, "constraints[0]", "names 'a', which is not a parameter; there are none"),
        ({"constraints": [1]}, "constraints[0]", "text is needed"),
    ],
)
def test_a_wrong_search_space_is_told_with_the_parameter(space: dict[str, object], path: str, message: str) -> None:
    assert message in problems(document(search_space=space))[f"search_space.{path}"]


def test_too_many_parameters_and_a_wrong_one_are_told_without_a_traceback() -> None:
    parameters = {f"p{number}": [] if number == 7 else [1] for number in range(600)}
    space = {"parameters": parameters, "fixed": parameters, "constraints": ["p1 > 0"] * 101}
    assert "at most 500 are allowed" in problems(document(search_space=space))["search_space.parameters"]


def test_parameters_beside_a_circle_are_not_blamed_for_it() -> None:
    when = {"a": "b", "b": "c", "c": "a", "before": "a", "after": "x"}
    parameters = {name: {"values": [1], "when": {parent: 1}} for name, parent in when.items()}
    found = problems(document(search_space={"parameters": {**parameters, "x": [1]}}))
    assert list(found) == [f"search_space.parameters.{name}.when" for name in "abc"]


def test_a_document_with_a_great_many_faults_is_refused_quickly() -> None:
    began = time.monotonic()
    many = {f"field{number}": 1 for number in range(20_000)}
    assert len(problems(json.dumps({**MINIMAL, **many}))) == MAX_FAULTS
    assert len(problems(json.dumps({"task_name": "t", **many}))) <= MAX_FAULTS + 20
    chain = {f"p{number}": {"values": [1], "when": {f"p{number - 1}": 1}} for number in range(1, 500)}
    assert loaded(search_space={"parameters": {"p0": [1], **chain}}).notes == ()
    assert time.monotonic() - began < 20


def test_a_rule_is_not_held_against_a_field_that_is_wrong_by_itself() -> None:
    """The SLO names a latency, although wrongly; the objective has nothing to complain about."""
    text = document(
        objective={"name": "maximize_goodput"}, slo={"ttft_ms": {"p99": "x"}}, replicates="two", finalists=2
    )
    assert list(problems(text)) == ["slo.ttft_ms.p99", "replicates"]


def test_a_constraint_may_name_a_parameter_whose_values_are_wrong() -> None:
    assert list(problems(document(search_space={"parameters": {"a": []}, "constraints": ["a > 1"]}))) == [
        "search_space.parameters.a"
    ]


def test_rules_are_checked_beside_missing_fields() -> None:
    assert list(problems("workload: {requests: 1, min_completed: 2}")) == [
        "name",
        "engine",
        "model",
        "workload.min_completed",
    ]


def test_several_faults_of_one_list_and_one_section_are_all_told() -> None:
    text = document(workload={"concurrency": [0, "x", 0], "dataset": {"prompt_field": "", "out": 1}}, replicates=0)
    assert set(problems(text)) == {
        "replicates",
        "workload.concurrency[0]",
        "workload.concurrency[1]",
        "workload.concurrency[2]",
        "workload.dataset.path",
        "workload.dataset.prompt_field",
        "workload.dataset.out",
    }


@pytest.mark.parametrize("text", ["- 1", "5", "name", '["a"]', "true"])
def test_a_document_that_is_no_mapping_is_refused(text: str) -> None:
    assert "fields with values" in problems(text)[""]


def test_whole_document_problems_name_the_source() -> None:
    with pytest.raises(Exception, match=r"^document: task\.yaml is empty$"):
        load("", source="task.yaml")


def test_secrets_are_not_repeated() -> None:
    """Pitfall D6: neither in the sentence nor in the value."""
    planted = "hf_PLANTED"
    text = document(
        engine={"name": "x", "HF_TOKEN": planted, "environment": {"API_KEY": [planted]}}, model=[{"token": planted}]
    )
    error = refusal(text)
    assert {"engine.HF_TOKEN", "engine.environment.API_KEY", "model"} <= set(problems(text))
    assert planted not in str(error)
    assert planted not in repr([problem.value for problem in error.problems])


def test_values_keep_type_and_text() -> None:
    """Pitfall B3: "8x7b" and "64k" stay text, 1, 1.0, true and "1" stay four values."""
    given = ["8x7b", "64k", 1, 1.0, True, "1", None, "on", [1, "a"], {"x": 1.0}]
    for text in (yaml.safe_dump(given, default_flow_style=True).strip(), json.dumps(given)):
        parameters = load(document() + f"search_space: {{parameters: {{a: {text}}}}}").document.search_space.parameters
        parameter = parameters["a"]
        assert isinstance(parameter, Choices)
        assert list(map(repr, parameter.values)) == list(map(repr, given))


def test_unquoted_words_and_dates_stay_text() -> None:
    text = document() + "search_space: {parameters: {a: [on, no, 1:30, 2024-01-01, 64k, 8x7b, 1e5, ~]}}"
    parameter = load(text).document.search_space.parameters["a"]
    assert isinstance(parameter, Choices)
    assert parameter.values == ("on", "no", "1:30", "2024-01-01", "64k", "8x7b", 1e5, None)


def test_every_form_of_a_parameter_is_read() -> None:
    forms = {
        "list": [1, 2],
        "one": True,
        "nothing": None,
        "full": {"values": ["x"], "when": {"one": True}},
        "whole": {"min": 1, "max": 9, "step": 2},
        "log": {"min": 1, "max": 1024, "log": True},
        "broken": {"min": 0, "max": 1, "step": 0.5},
        "typed": {"type": "float", "min": 1, "max": 2, "step": 1},
        "env:A_B": ["x"],
    }
    parameters = loaded(search_space={"parameters": forms}).document.search_space.parameters
    kinds = [type(parameter) for parameter in parameters.values()]
    assert kinds == [Choices, Choices, Choices, Choices, IntRange, IntRange, FloatRange, FloatRange, Choices]
    assert parameters["one"] == Choices(values=(True,))
    assert parameters["nothing"] == Choices(values=(None,))
    assert parameters["typed"] == FloatRange(min=1.0, max=2.0, step=1.0)


def test_choices_of_strategy_and_objective_come_from_one_enum() -> None:
    """Pitfall B4: whatever the enum has is accepted, and the schema offers exactly that."""
    for strategy in StrategyName:
        for objective in ObjectiveName:
            text = document(
                strategy={"name": strategy.value}, objective={"name": objective.value}, slo={"ttft_ms": {"p99": 1}}
            )
            assert load(text).document.objective.name is objective
    assert json_schema()["$defs"]["StrategyName"]["enum"] == list(StrategyName)
    assert json_schema()["$defs"]["ObjectiveName"]["enum"] == list(ObjectiveName)
    assert "did you mean" not in problems(document(strategy={"name": "random_search"}))["strategy.name"]


def test_a_plan_longer_than_its_limit_is_warned_about() -> None:
    """Pitfall B15."""
    workload = {"scenarios": ["D(1,2)", "D(3,4)"], "concurrency": [1, 2, 4], "seconds": 120}
    result = loaded(workload=workload, limits={"experiment_s": 600, "load_point_s": 100})
    assert result.document.workload.planned_s == 720
    assert result.notes == (
        Note(
            "limits.experiment_s",
            Level.WARNING,
            "the load of one configuration takes up to 720 s, this limit ends it after 600 s",
            16,
        ),
        Note(
            "limits.load_point_s", Level.WARNING, "a load point takes up to 120 s, this limit ends it after 100 s", 17
        ),
    )
    assert str(result.notes[1]).startswith("line 17: limits.load_point_s: warning: a load point")


def test_a_parameter_that_is_never_given_and_a_repeated_value_are_warned_about() -> None:
    space = {
        "parameters": {
            "a": [1, 1, True],
            "b": {"values": [2], "when": {"a": 5}},
            "c": {"values": [2], "when": {"a": [5, 1]}},
        }
    }
    notes = loaded(search_space=space).notes
    assert [(note.path, note.message) for note in notes] == [
        ("search_space.parameters.a", "1 is given more than once and tried once"),
        ("search_space.parameters.b.when.a", "a never has the value 5, so b is never given"),
    ]


def test_a_minimal_document_is_enough_and_says_nothing() -> None:
    result = loaded()
    assert result.notes == ()
    assert result.document.deployment.mode == "local"
    assert [str(point) for point in result.document.workload.load_points] == ["D(100,100) c=1"]


def test_bytes_with_a_byte_order_mark_are_read() -> None:
    assert load(b"\xef\xbb\xbf" + document().encode()).document.name == "t"


def test_models_built_in_python_keep_the_same_rules_with_paths() -> None:
    with pytest.raises(ValidationError) as caught:
        Workload(requests=1, min_completed=2, concurrency=(1, 1))
    assert [(error["loc"], error["msg"]) for error in caught.value.errors()] == [
        (("min_completed",), "min_completed 2 is more than requests 1"),
        (("concurrency", 1), "1 is given twice"),
    ]
    with pytest.raises(ValidationError, match="either varied or fixed"):
        SearchSpace(parameters={"a": Choices(values=(1,))}, fixed={"a": 1})
    assert DockerDeployment(gpus=(1, 0)).gpus == (1, 0)


def test_a_frozen_section_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        loaded().document.model = None  # type: ignore[misc, assignment]


def test_data_that_cannot_be_repaired_still_gives_its_faults() -> None:
    document, faults = validate({"name": [], "engine": [], "model": [], "search_space": [], "slo": [[]]})
    assert document is None
    assert [dotted(fault.path) for fault in faults] == ["name", "engine", "model", "search_space", "slo"]


def test_every_regular_expression_of_the_schema_has_a_meaning() -> None:
    patterns = {part for part in _strings(json_schema()) if part.startswith("^")}
    assert patterns == FORMS.keys()


def _strings(schema: object) -> list[str]:
    if isinstance(schema, dict):
        inner = [text for key, part in schema.items() for text in (key, *_strings(part))]
        return [str(text) for text in inner]
    if isinstance(schema, list):
        return [text for part in schema for text in _strings(part)]
    return [schema] if isinstance(schema, str) else []


def test_known_fields_are_those_of_the_section() -> None:
    assert known_fields(("deployment", "local")) == ["mode", "gpus"]
    assert known_fields(("search_space", "parameters", "x", "values")) == ["values", "when"]
    assert known_fields(()) == list(TaskDocument.model_fields)


def test_every_field_has_a_description() -> None:
    undescribed = [
        f"{section.__name__}.{name}"
        for section in _sections(Section)
        for name, field in section.model_fields.items()
        if not field.description
    ]
    assert undescribed == []


def _sections(section: type[Section]) -> list[type[Section]]:
    return [each for sub in section.__subclasses__() for each in (sub, *_sections(sub))]


def test_paths_of_files_are_paths() -> None:
    engine = loaded(engine={"name": "vllm", "executable": "bin/vllm"}).document.engine
    assert engine.executable == Path("bin/vllm")
