"""Every rule by which documents of earlier systems are translated, with the line of the report or the refusal."""

from typing import Any

import pytest

from tests.document.documents import problems, refusal
from tests.document.old_documents import ABSENT, notes, old, space, translated
from tuning.document.goals import ObjectiveName
from tuning.document.loading import load
from tuning.document.task import OmeDeployment


def test_a_plain_document_has_only_the_notes_that_every_one_has() -> None:
    assert notes() == []
    document = translated().document
    assert (document.name, document.engine.name, document.model.id) == ("t", "vllm", "org/model")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"model": {"name": "org/m"}}, ["model.name: renamed: read as id_or_path"]),
        ({"model": {"name": "org/m", "id_or_path": "org/m"}}, []),
        (
            {"model__id_or_path": "gpt2"},
            [
                "model.id_or_path: changed: a hub id; if a directory below the model base path is meant, give its full "
                "path"
            ],
        ),
        ({"deployment_mode": ABSENT}, ["deployment_mode: defaulted: docker, as before"]),
        ({"model__namespace": "lab"}, ["model.namespace: ignored: used in OME mode only"]),
        (
            {"model__quantization_config": {"quant_method": "awq"}},
            ["model.quantization_config: ignored: the engine reads it from the model's config.json"],
        ),
        (
            {"optimization__strategy": "random_search"},
            ["optimization.strategy: renamed: random_search is called random"],
        ),
        ({"optimization__strategy": "grid_search"}, ["optimization.strategy: renamed: grid_search is called grid"]),
        ({"optimization__strategy": ABSENT}, ["optimization.strategy: defaulted: grid, as before"]),
        (
            {"optimization__strategy": "bayesian"},
            ["optimization.n_initial_random: defaulted: 5, as before"],
        ),
        ({"optimization__strategy": "bayesian", "optimization__n_initial_random": 3}, []),
        ({"optimization__objective": ABSENT}, ["optimization.objective: defaulted: minimize_latency, as before"]),
        (
            {"optimization__objective": "balanced"},
            [
                "optimization.objective: changed: geometric mean of the throughput and latency ratios to the baseline; "
                "earlier systems defined none"
            ],
        ),
        ({"optimization__max_iterations": ABSENT}, ["optimization.max_iterations: defaulted: 100, as before"]),
        (
            {"optimization__max_parallel_experiments": 4},
            ["optimization.max_parallel_experiments: renamed: max_parallel; it had no effect before"],
        ),
        (
            {"optimization__study_name": "s", "optimization__storage": "sqlite:///x"},
            [
                "optimization.study_name: ignored: the history is kept in this program's database",
                "optimization.storage: ignored: the history is kept in this program's database",
            ],
        ),
        (
            {"optimization__timeout_per_iteration": ABSENT},
            [
                "optimization.timeout_per_iteration: defaulted: 1800 s was one limit for all; now limits.ready_s 1800, "
                "limits.load_point_s 1800, limits.experiment_s 3600; pulling and downloading have limits of their own"
            ],
        ),
        (
            {"benchmark__model_name": "x"},
            [
                "benchmark.model_name: changed: not used: requests name the model as the engine serves it "
                "(model.served_name)"
            ],
        ),
        (
            {"benchmark__model_tokenizer": ABSENT},
            ["benchmark.model_tokenizer: changed: the model's own tokenizer counts tokens, not gpt2's"],
        ),
        (
            {"benchmark__traffic_scenarios": ABSENT},
            ["benchmark.traffic_scenarios: defaulted: D(100,100), as before"],
        ),
        ({"benchmark__num_concurrency": ABSENT}, ["benchmark.num_concurrency: defaulted: one stream, as before"]),
        (
            {"benchmark__num_concurrency": 8},
            ["benchmark.num_concurrency: converted: read as a list with this one value: [8]"],
        ),
        (
            {"benchmark__max_time_per_iteration": ABSENT},
            ["benchmark.max_time_per_iteration: defaulted: 10 minutes (600 s), as before"],
        ),
        (
            {"benchmark__max_requests_per_iteration": ABSENT},
            ["benchmark.max_requests_per_iteration: defaulted: 50, as before"],
        ),
        (
            {"benchmark__additional_params": {"temperature": "0.7", "top_k": "5", "x": "64k", "y": 1}},
            [
                "benchmark.additional_params.temperature: converted: the text '0.7' is the value 0.7",
                "benchmark.additional_params.top_k: converted: the text '5' is the value 5",
            ],
        ),
        (
            {"benchmark__additional_params": {"ignore_eos": "false"}},
            ["benchmark.additional_params.ignore_eos: renamed: workload.ignore_eos"],
        ),
        (
            {"benchmark__dataset_deduplicate": True},
            ["benchmark.dataset_deduplicate: ignored: prompts are sent as the file has them"],
        ),
        ({"gpu_type": "H100"}, ["gpu_type: ignored: GPUs are chosen by deployment.gpus"]),
        (
            {"deployment_mode": "local", "runtime_image_tag": "v1"},
            ["runtime_image_tag: ignored: used in docker mode only"],
        ),
        (
            {"storage": {"type": "pvc"}, "clusterbasemodel_config": {"preset": "x"}},
            [
                "storage: ignored: used in OME mode only",
                "clusterbasemodel_config: ignored: used in OME mode only",
            ],
        ),
        ({"parameters__a": 5}, ["parameters.a: converted: read as a list with this one value: [5]"]),
        ({"parameters__a": "64k"}, ['parameters.a: converted: read as a list with this one value: ["64k"]']),
        ({"parameters__a": None}, ["parameters.a: ignored: left at the engine's default"]),
        ({"parameters__a": []}, ["parameters.a: ignored: an empty list; left at the engine's default"]),
        (
            {"parameters__a": [1, None]},
            ["parameters.a[1]: changed: null leaves the flag out; it is no longer the text None"],
        ),
        ({"parameters__a": [1, 1.0, 1]}, ["parameters.a: ignored: values that are given twice are tried once"]),
        (
            {"parameters__a": {"type": "choice", "values": [1, 2]}},
            ["parameters.a: converted: type choice: read as a list"],
        ),
        (
            {"parameters__a": {"type": "categorical", "choices": [1, 2]}},
            ["parameters.a: converted: type categorical: read as a list"],
        ),
        (
            {"parameters__a": {"type": "continuous", "low": 0.5, "high": 0.9}},
            ["parameters.a: converted: type continuous from low to high: read as a range from min to max"],
        ),
        ({"parameters__tp_size": [1, 2]}, ["parameters.tp_size: renamed: read as tensor-parallel-size"]),
        ({"parameters__--max_num_seqs": [1]}, ["parameters.--max_num_seqs: renamed: read as max-num-seqs"]),
        ({"parameters__port": [8000]}, ["parameters.port: ignored: set by the deployer itself"]),
        ({"parameters__model-path": ["/m"]}, ["parameters.model-path: ignored: set by the deployer itself"]),
        (
            {"parameters": {"__quant__preset": ["x"]}},
            [
                "parameters.__quant__preset: ignored: internal to earlier systems; write quant_config or "
                "parallel_config instead"
            ],
        ),
        ({"description": None, "runtime_image_tag": None, "slo": None, "quant_config": None, "gpu_type": None}, []),
    ],
)
def test_what_became_of_a_field_is_told(changes: dict[str, Any], expected: list[str]) -> None:
    assert notes(**changes) == expected


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"task_name": ABSENT}, "task_name", "is needed"),
        ({"task_name": 5}, "task_name", "text is needed, not 5"),
        ({"task_name": " x"}, "task_name", "one line of text"),
        ({"tsk_name": "x"}, "tsk_name", "unknown field; did you mean task_name?"),
        ({"model": ABSENT}, "model.id_or_path", "is needed"),
        ({"model": "org/model"}, "model", "fields with values are needed"),
        ({"model__name": "org/other"}, "model.name", "differs from id_or_path"),
        ({"model__id_or_path": "-x"}, "model.id_or_path", "a path or a hub id"),
        ({"model__id": "x"}, "model.id", "unknown field"),
        ({"base_runtime": ABSENT}, "base_runtime", "is needed; it begins with vllm or sglang"),
        ({"base_runtime": "tensorrt-llm"}, "base_runtime", "the engine cannot be told"),
        ({"base_runtime": ["vllm"]}, "base_runtime", "text is needed"),
        ({"deployment_mode": "cloud"}, "deployment_mode", "allowed are docker, ome, local"),
        ({"runtime_image_tag": "-v1"}, "runtime_image_tag", "an image tag or reference"),
        ({"parameters": ABSENT}, "parameters", "is needed"),
        ({"parameters": []}, "parameters", "fields with values are needed"),
        ({"optimization": ABSENT}, "optimization", "is needed"),
        (
            {"optimization__strategy": "genetic"},
            "optimization.strategy",
            "allowed are grid_search, grid, random_search",
        ),
        ({"optimization__objective": "speed"}, "optimization.objective", "allowed are minimize_latency, minimize_ttft"),
        ({"optimization__max_iterations": 0}, "optimization.max_iterations", "at least 1 is needed, not 0"),
        ({"optimization__max_iterations": "4"}, "optimization.max_iterations", "a whole number is needed"),
        ({"optimization__max_iteration": 4}, "optimization.max_iteration", "did you mean max_iterations?"),
        (
            {"optimization__max_parallel_experiments": 0},
            "optimization.max_parallel_experiments",
            "at least 1 is needed",
        ),
        ({"optimization__timeout_per_iteration": 0}, "optimization.timeout_per_iteration", "at least 1 second"),
        ({"optimization__timeout_per_iteration": 10**9}, "optimization.timeout_per_iteration", "at most 2592000"),
        ({"optimization__seed": -1}, "optimization.seed", "at least 0 is needed, not -1"),
        ({"optimization__n_initial_random": 0}, "optimization.n_initial_random", "at least 1"),
        ({"benchmark": ABSENT}, "benchmark", "is needed"),
        ({"benchmark__task": "text-to-speech"}, "benchmark.task", "allowed are text-to-text"),
        ({"benchmark__task": "text-to-rerank"}, "benchmark.task", "does not send the scenario D(10,10)"),
        ({"benchmark__traffic_scenarios": ["D(1, 2)"]}, "benchmark.traffic_scenarios[0]", "is not a traffic scenario"),
        ({"benchmark__traffic_scenarios": ["P(1,2)/3"]}, "benchmark.traffic_scenarios[0]", "is not a traffic scenario"),
        ({"benchmark__traffic_scenarios": [5]}, "benchmark.traffic_scenarios[0]", "text is needed"),
        ({"benchmark__num_concurrency": [1, 0]}, "benchmark.num_concurrency[1]", "at least 1 is needed, not 0"),
        ({"benchmark__num_concurrency": []}, "benchmark.num_concurrency", "at least one level"),
        ({"benchmark__max_time_per_iteration": 0}, "benchmark.max_time_per_iteration", "whole minutes"),
        ({"benchmark__max_time_per_iteration": 1.5}, "benchmark.max_time_per_iteration", "a whole number is needed"),
        ({"benchmark__max_requests_per_iteration": 0}, "benchmark.max_requests_per_iteration", "at least 1"),
        ({"benchmark__additional_params": {"max_tokens": 5}}, "benchmark.additional_params.max_tokens", "set by the"),
        (
            {"benchmark__dataset_url": "data.csv", "benchmark__traffic_scenarios": ABSENT},
            "benchmark.dataset_url",
            "an absolute path",
        ),
        ({"benchmark__dataset_url": "/data.csv"}, "benchmark.traffic_scenarios", "leave out one of the two"),
        (
            {"benchmark__dataset_url": "https://x/d.csv", "benchmark__traffic_scenarios": ABSENT},
            "benchmark.dataset_url",
            "download the file first",
        ),
        (
            {"benchmark__dataset_url": "file:///d.tar.gz", "benchmark__traffic_scenarios": ABSENT},
            "benchmark.dataset_url",
            "unpack the file first",
        ),
        ({"slo": {"ttft": {"threshold": 0}}}, "slo.ttft.threshold", "more than 0 seconds"),
        ({"slo": {"ttft": {"weight": 1}}}, "slo.ttft.threshold", "is needed, in seconds"),
        ({"slo": {"ttft": 0.5}}, "slo.ttft", "fields with values are needed"),
        ({"slo": {"ttft": {"threshold": 1, "hard_fail": "yes"}}}, "slo.ttft.hard_fail", "true or false"),
        ({"slo": {"latency": {"p95": {"threshold": 1}}}}, "slo.latency.p95", "did you mean p9"),
        ({"slo": {"steepness": 0}}, "slo.steepness", "more than 0 is needed, not 0"),
        ({"parameters__a": {"low": 1, "high": 2}}, "parameters.a.type", "allowed are choice, categorical"),
        ({"parameters__a": {"type": "normal"}}, "parameters.a.type", "allowed are choice, categorical"),
        ({"parameters__a": {"type": "integer", "low": 1}}, "parameters.a.high", "is needed"),
        ({"parameters__a": {"type": "integer", "low": 9, "high": 2}}, "parameters.a.low", "min 9 is above max 2"),
        ({"parameters__a": {"type": "integer", "low": 1, "high": 2, "min": 1}}, "parameters.a.min", "unknown field"),
        ({"parameters": {"tp": [1], "tp_size": [2]}}, "parameters.tp_size", "given twice under different names"),
        (
            {"parameters__a": {"type": "integer", "low": 1, "high": 2}, "optimization__strategy": "grid_search"},
            "parameters.a",
            "grid needs a `step`",
        ),
        (
            {"parameters__a": {"type": "continuous", "low": 1, "high": 2}, "optimization__strategy": ABSENT},
            "parameters.a",
            "grid needs a `step`",
        ),
        ({"parameters__a b": [1]}, "parameters.a b", "an engine flag"),
    ],
)
def test_what_cannot_be_translated_is_refused_at_its_own_path(changes: dict[str, Any], path: str, message: str) -> None:
    found = problems(old(**changes))
    assert message in found[path], found
    assert len(found) == 1, found


def test_problems_and_notes_have_the_line_of_the_old_document() -> None:
    text = old(benchmark__num_concurrency=[1, 0], optimization__strategy="genetic")
    lines = text.splitlines()
    for problem in refusal(text).problems:
        assert problem.line is not None
        assert lines[problem.line - 1].strip().startswith(("0", '"strategy"'))
    told = load(old(parameters__tp_size=[1])).notes
    line = next(note.line for note in told if note.path == "parameters.tp_size")
    assert line is not None
    assert "tp_size" in old(parameters__tp_size=[1]).splitlines()[line - 1]


def test_problems_of_translation_and_of_values_are_told_together() -> None:
    changes: dict[str, Any] = {"deployment_mode": "cloud", "benchmark__num_concurrency": [0], "slo": {"steepness": -1}}
    assert set(problems(old(**changes))) == {"deployment_mode", "benchmark.num_concurrency[0]", "slo.steepness"}


def test_a_token_is_dropped_and_never_repeated() -> None:
    """Pitfall D6: neither in the document nor in a note, a problem or its value."""
    planted = "hf_PLANTED"
    result = translated(model__hf_token=planted)
    assert planted not in repr(result)
    assert [note.path for note in result.notes if "secrets" in note.message] == ["model.hf_token"]
    for changes in (
        {"model__hf_token": [planted]},
        {"model": [{"hf_token": planted}]},
        {"model__hf_token": {planted: 1}},
    ):
        error = refusal(old(**changes, task_name=5))
        assert planted not in str(error) + repr([problem.value for problem in error.problems])


def test_minutes_and_seconds_become_seconds_and_milliseconds() -> None:
    """Pitfall B15."""
    slo = {"latency": {"p50": {"threshold": 2}, "p99": {"threshold": 10.5}}, "tpot": {"threshold": 0.05}}
    document = translated(benchmark__max_time_per_iteration=3, slo=slo).document
    assert document.workload.seconds == 180
    assert document.slo.e2e_ms == {"p50": 2000, "p99": 10500}
    assert document.slo.tpot_ms == {"mean": 50}


def test_a_load_that_earlier_systems_cut_off_is_told_and_given_the_time() -> None:
    """Pitfall B15: 6 load points of 10 minutes in 30 minutes."""
    changes: dict[str, Any] = {
        "benchmark__traffic_scenarios": ["D(1,2)", "D(3,4)"],
        "benchmark__num_concurrency": [1, 2, 3],
        "benchmark__max_time_per_iteration": 10,
        "optimization__timeout_per_iteration": 1800,
    }
    result = translated(**changes)
    limits = result.document.limits
    assert [note.message for note in result.notes if note.level == "warning"] == [
        "the load takes up to 3600 s; earlier systems cut it off after 1800 s"
    ]
    assert limits.load_point_s >= result.document.workload.seconds
    assert limits.experiment_s > limits.ready_s + result.document.workload.planned_s


def test_every_configuration_that_was_asked_for_fits_into_the_budget_beside_the_baseline() -> None:
    assert translated(optimization__max_iterations=2).document.budget.experiments == 3


def test_a_dataset_without_scenarios_is_sent_as_it_is() -> None:
    """Pitfall B17: a dataset and lengths of scenarios are never both in force."""
    changes = {"benchmark__dataset_url": "file:///data/my%20prompts.csv", "benchmark__traffic_scenarios": ABSENT}
    workload = translated(**changes).document.workload
    assert workload.scenarios == ("dataset",)
    assert workload.dataset is not None
    assert str(workload.dataset.path) == "/data/my prompts.csv"


def test_sampling_is_what_it_was_and_nothing_is_added() -> None:
    assert translated().document.workload.sampling == {}
    given = {"temperature": "0.0", "stop": "1,2", "flag": "true", "big": "9" * 30, "nan": "NaN", "n": None}
    sampling = translated(benchmark__additional_params=given).document.workload.sampling
    assert sampling == {"temperature": 0.0, "stop": "1,2", "flag": True, "big": "9" * 30, "nan": "NaN", "n": None}


def test_values_of_parameters_keep_type_and_text() -> None:
    """Pitfall B3."""
    values = ["8x7b", "64k", True, False, 1, 1.0, "1", None, [1], {"x": 1}]
    assert list(map(repr, space(parameters__a=values)["a"])) == list(map(repr, values))


def test_ranges_become_ranges() -> None:
    parameters = {
        "a": {"type": "continuous", "low": 0.5, "high": 0.9, "log": True},
        "b": {"type": "integer", "low": 1, "high": 9, "step": 2},
    }
    assert space(parameters=parameters) == {
        "a": {"type": "float", "min": 0.5, "max": 0.9, "log": True},
        "b": {"type": "integer", "min": 1, "max": 9, "step": 2, "log": False},
    }


@pytest.mark.parametrize("objective", [name for name in ObjectiveName if name != "maximize_goodput"])
def test_objectives_keep_their_names(objective: str) -> None:
    """Pitfall B4: also those that the form of earlier systems lacked, or offered in vain."""
    assert translated(optimization__objective=objective).document.objective.name == objective


@pytest.mark.parametrize(
    ("old_name", "name"),
    [
        ("grid", "grid"),
        ("grid_search", "grid"),
        ("random", "random"),
        ("random_search", "random"),
        ("bayesian", "bayesian"),
    ],
)
def test_strategies_are_known_by_both_names(old_name: str, name: str) -> None:
    """Pitfall B4."""
    document = translated(optimization__strategy=old_name, optimization__seed=7).document
    assert (document.strategy.name, document.strategy.seed) == (name, 7)


def test_experiments_at_the_same_time_are_honoured() -> None:
    """Pitfall B16: the field was documented, and no code read it."""
    assert translated(optimization__max_parallel_experiments=4).document.max_parallel == 4
    assert translated().document.max_parallel == 1


def test_in_ome_mode_names_of_the_cluster_are_kept() -> None:
    result = translated(deployment_mode="ome", base_runtime="vllm-llama-small")
    assert result.document.deployment == OmeDeployment(runtime="vllm-llama-small")
    assert "model.namespace" in [note.path for note in result.notes]
    other = {"deployment_mode": "ome", "clusterbasemodel_config": {"name": "x", "spec": {}}}
    assert "names another model" in problems(old(**other))["clusterbasemodel_config"]


def test_a_document_of_ours_is_not_taken_for_an_old_one() -> None:
    text = "engine: {name: vllm}\nname: t\nmodel: {id: m}\noptimization: {}\nparameters: {}\n"
    assert list(problems(text)) == ["optimization", "parameters"]
