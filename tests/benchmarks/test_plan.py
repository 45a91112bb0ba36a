"""The plan of a load point, and the prompts made from it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.requests import load_request
from tuning.benchmarks.builtin.drawing import draw_plan
from tuning.benchmarks.builtin.plan import Calibration, Phase, Plan, Task
from tuning.benchmarks.builtin.prompts import Bodies, prompts_of, vocabulary
from tuning.document.workload import Arrivals

FOLDER = Path("unused")


def plan(url: str = "http://a", phase: Phase = Phase.MEASURED, index: int = 0, **workload: Any) -> Plan:
    return draw_plan(load_request(url, FOLDER, index=index, **workload), phase, Calibration(1.0, 10.0))


def texts(drawn: Plan) -> list[str]:
    source = prompts_of(drawn)
    return [source.text(n, drawn.words(tokens)).decode() for n, tokens in enumerate(drawn.input_tokens)]


@pytest.mark.parametrize("scenario", ["D(50,9)", "N(50,20)/(30,10)", "U(5,80)/(2,40)", "U(80,40)"])
@pytest.mark.parametrize("load", [{"concurrency": (4,)}, {"request_rates_per_s": (20.0,)}])
def test_every_configuration_gets_the_same_load(scenario: str, load: dict[str, Any]) -> None:
    """Another engine, address and attempt change nothing of what is sent, nor when."""
    first = plan("http://a", scenarios=(scenario,), **load)
    second = plan("http://b:81", scenarios=(scenario,), **load)
    assert replace(second, base_url="http://a") == first
    assert texts(first) == texts(second)


def test_another_seed_sends_other_prompts_and_lengths() -> None:
    first, second = (plan(scenarios=("N(50,20)/(30,10)",), seed=seed) for seed in (1, 2))
    assert first.input_tokens != second.input_tokens
    assert not set(texts(first)) & set(texts(second))


def test_no_prompt_begins_like_another_on_the_same_server() -> None:
    """Warm-up, load points and requests differ in their first four words, so no prefix cache answers for another."""
    scenarios = ("D(50,9)", "D(60,9)")
    plans = [
        plan(phase=phase, index=index, scenarios=scenarios, concurrency=(1, 2), requests=300, warmup_requests=50)
        for phase in (Phase.WARMUP, Phase.MEASURED)
        for index in range(4)
    ]
    heads = [tuple(text.split()[:4]) for drawn in plans for text in texts(drawn)]
    assert len(set(heads)) == len(heads) == 4 * 350


def test_prompts_have_the_words_that_the_calibration_asks_for() -> None:
    drawn = plan(scenarios=("D(100,9)",))
    assert {len(text.split()) for text in texts(drawn)} == {90}
    doubled = replace(drawn, calibration=Calibration(2.0, 10.0))
    assert {len(text.split()) for text in texts(doubled)} == {45}


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 30_000])
def test_any_prompt_length_can_be_made(tokens: int) -> None:
    drawn = replace(plan(scenarios=(f"D({tokens},2)",), requests=3), calibration=None)
    assert [len(text.split()) for text in texts(drawn)] == [tokens] * 3
    assert len(set(texts(drawn))) == 3


def test_lengths_never_fall_below_one_and_two_tokens() -> None:
    for scenario in ("N(1,50)/(1,50)", "U(1,3)/(0,3)", "D(1,0)"):
        drawn = plan(scenarios=(scenario,), requests=200)
        assert min(drawn.input_tokens) >= 1
        assert min(drawn.output_tokens) >= 2


def test_uniform_lengths_fill_their_range() -> None:
    drawn = plan(scenarios=("U(10,12)/(5,7)",), requests=200)
    assert set(drawn.input_tokens) == {10, 11, 12}
    assert set(drawn.output_tokens) == {5, 6, 7}


def test_constant_arrivals_are_evenly_spaced() -> None:
    drawn = plan(request_rates_per_s=(10.0,), arrivals=Arrivals.CONSTANT, requests=5)
    assert drawn.starts_s == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4))
    assert drawn.horizon_s == pytest.approx(0.5)


def test_poisson_arrivals_have_the_rate_that_was_asked_for() -> None:
    drawn = plan(request_rates_per_s=(50.0,), requests=5000, seconds=3600)
    assert drawn.starts_s is not None
    assert drawn.horizon_s == pytest.approx(100.0, rel=0.05)
    gaps = [b - a for a, b in zip(drawn.starts_s, drawn.starts_s[1:], strict=False)]
    assert sum(gap < 0.02 for gap in gaps) / len(gaps) == pytest.approx(0.632, abs=0.03)  # 1 - 1/e


def test_open_loop_ends_at_the_seconds_of_the_document() -> None:
    drawn = plan(request_rates_per_s=(10.0,), arrivals=Arrivals.CONSTANT, requests=500, seconds=2)
    assert len(drawn.input_tokens) == 20
    assert drawn.horizon_s == 2


def test_the_plan_survives_its_file(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("one\n")
    for drawn in (
        plan(request_rates_per_s=(3.0,)),
        plan(scenarios=("E(30)",)),
        plan(scenarios=("dataset",), dataset={"path": tmp_path / "prompts.txt"}),
    ):
        drawn.write(tmp_path / "plan.json")
        assert Plan.read(tmp_path / "plan.json") == drawn


def test_the_body_is_what_the_openai_api_takes() -> None:
    drawn = plan(sampling={"temperature": 0.5, "top_p": 0.9})
    body = json.loads(Bodies.of(drawn).body(prompts_of(drawn).text(0, 3), 8))
    assert body.pop("messages") == [{"role": "user", "content": texts(drawn)[0].rsplit(" ", 7)[0]}]
    assert body == {
        "model": "sim",
        "temperature": 0.5,
        "top_p": 0.9,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        "max_tokens": 8,
    }


def test_an_embedding_body_has_only_model_and_input() -> None:
    drawn = plan(scenarios=("E(30)",))
    assert drawn.task is Task.EMBEDDINGS
    assert json.loads(Bodies.of(drawn).body(b"a b", 0)) == {"model": "sim", "input": "a b"}


def test_dataset_entries_are_sent_as_they_are_up_to_the_cap(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    entries = [f'Say "{n}"\nthen \u00e9 \U0001f600 \\' for n in range(40)]
    path.write_text("".join(json.dumps({"question": text}) + "\n" for text in entries))
    dataset = {"path": path, "prompt_field": "question", "output_tokens": 33}
    drawn = plan(scenarios=("dataset",), dataset=dataset, requests=16, warmup_requests=8)
    bodies = Bodies.of(drawn)
    sent = [json.loads(bodies.body(prompts_of(drawn).text(n, 0), 33)) for n in range(16)]
    prompts = [body["messages"][0]["content"] for body in sent]
    assert set(prompts) < set(entries)
    assert len(set(prompts)) == 16
    assert all(body["max_tokens"] == 33 and "ignore_eos" not in body for body in sent)
    warm_up = plan(phase=Phase.WARMUP, scenarios=("dataset",), dataset=dataset, requests=16, warmup_requests=8)
    assert not set(texts(warm_up)) & set(texts(drawn))


def test_a_short_dataset_is_repeated_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("one\ntwo\nthree\n")
    drawn = plan(scenarios=("dataset",), dataset={"path": tmp_path / "prompts.txt"}, requests=8)
    assert prompts_of(drawn).repeated == 5


def test_only_the_scenario_dataset_sends_the_dataset(tmp_path: Path) -> None:
    """Pitfall B17: beside a scenario with lengths, dataset and lengths never apply to the same request."""
    (tmp_path / "prompts.txt").write_text("alpha beta\n")
    both: dict[str, Any] = {"scenarios": ("D(40,9)", "dataset"), "dataset": {"path": tmp_path / "prompts.txt"}}
    lengths, entries = plan(index=0, **both), plan(index=1, **both)
    assert {len(text.split()) for text in texts(lengths)} == {30}
    assert lengths.ignore_eos
    assert set(texts(entries)) == {"alpha beta"}
    assert not entries.ignore_eos


def test_the_vocabulary_has_256_different_words() -> None:
    assert len(set(vocabulary())) == 256
