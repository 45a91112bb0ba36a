"""The genai-bench adapter: one contract for the stand-in (always) and for the real tool (`make test-real`)."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks.conftest import ROOT, Tool
from tests.benchmarks.requests import END_S, MARKS, GiveUp, Log, bear, load_request, never, still_running
from tests.benchmarks.server import ROLE, Move, Reply, serving, whole_answer
from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.genai_bench import KEY, GenaiBench, _command, _environment, default_executable
from tuning.document.workload import BenchmarkName
from tuning.errors import BenchmarkError, Reason

pytestmark = pytest.mark.timeout(180)


def request_for(tool: Tool, url: str, folder: Path, **changes: Any) -> LoadRequest:
    values = {"scenarios": ("D(20,6)",), "concurrency": (2,), "benchmark": BenchmarkName.GENAI_BENCH, **changes}
    return replace(load_request(url, folder, **values), tokenizer=tool.tokenizer)


def boom(_: int, body: object) -> Reply:
    return Reply([b"boom"], status=500)


def hang(_: int, body: object) -> Reply:
    return Reply([ROLE, Move.HANG])


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.usefixtures("no_leftovers", "dead_proxy")
def test_a_load_point_is_measured_from_the_single_requests(tool: Tool, tmp_path: Path) -> None:
    """Pitfalls B12 and C5a: planted files of an earlier run and a dead proxy change nothing."""
    stale = tmp_path / "results" / "D20_6_text-to-text_num_concurrency_2_time_9s.json"
    stale.parent.mkdir()
    stale.write_text("planted")
    log = Log()
    with serving(lambda _, body: whole_answer(body)) as server:
        measurement = GenaiBench(tool.executable).run(request_for(tool, server.url, tmp_path), log=log, stop=never)
    assert measurement.ok, measurement.message
    assert measurement.completed >= 8
    assert measurement.failed == 0
    assert measurement.ttft_ms is not None
    assert measurement.e2e_ms is not None
    assert 0 < measurement.ttft_ms["p50"] <= measurement.e2e_ms["p50"] < 10_000
    assert measurement.output_tokens_per_s == pytest.approx(6 * measurement.completed / measurement.window_s)
    assert all(seen.body["ignore_eos"] and seen.body["max_tokens"] == 6 for seen in server.seen)
    assert log.texts("debug")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in text for text in written)
    assert not any(KEY in text for _, text in log)


def test_a_level_without_any_success_is_failed_and_says_why(tool: Tool, tmp_path: Path) -> None:
    """Pitfall B8: exit code 1 and no level file; the point is failed, never a zero, never left out."""
    with serving(boom) as server:
        measurement = GenaiBench(tool.executable).run(request_for(tool, server.url, tmp_path), log=Log(), stop=never)
    assert measurement.reason is Reason.BENCHMARK_FAILED
    assert "0 requests completed, 1 are needed; most often: http: 500 boom" in measurement.message
    assert measurement.failed >= 8
    assert measurement.ttft_ms is None


def test_exit_code_zero_with_half_the_requests_failed_is_judged_by_counts(tool: Tool, tmp_path: Path) -> None:
    """Pitfall B9b."""
    with serving(lambda n, body: whole_answer(body) if n % 2 else boom(n, body)) as server:
        measurement = GenaiBench(tool.executable).run(request_for(tool, server.url, tmp_path), log=Log(), stop=never)
    assert measurement.ok
    assert measurement.error_rate == pytest.approx(0.5, abs=0.2)
    assert set(measurement.errors) == {"http: 500 boom"}


def test_a_dataset_is_sent_as_it_is_up_to_the_cap(tool: Tool, tmp_path: Path) -> None:
    """Pitfall B17: with scenario `dataset`, lengths are the dataset's and the model's own, up to the cap."""
    (tmp_path / "prompts.jsonl").write_text('{"q": "why, \\"then\\"?\\nnow"}\n{"q": "how?"}\n')
    dataset = {"path": tmp_path / "prompts.jsonl", "prompt_field": "q", "output_tokens": 5}
    with serving(lambda _, body: whole_answer(body)) as server:
        request = request_for(tool, server.url, tmp_path, scenarios=("dataset",), dataset=dataset)
        measurement = GenaiBench(tool.executable).run(request, log=Log(), stop=never)
    assert measurement.ok, measurement.message
    assert {seen.body["messages"][0]["content"] for seen in server.seen} == {'why, "then"?\nnow', "how?"}
    assert {(seen.body["max_tokens"], seen.body["ignore_eos"]) for seen in server.seen} == {(5, False)}


@pytest.mark.usefixtures("no_leftovers")
def test_stopping_leaves_nothing_running(tool: Tool, tmp_path: Path) -> None:
    """Pitfall A7."""

    def stop() -> None:
        if server.hanging.is_set():
            raise GiveUp

    with serving(hang) as server:
        with pytest.raises(GiveUp):
            GenaiBench(tool.executable).run(request_for(tool, server.url, tmp_path), log=Log(), stop=stop)
        assert server.client_gone.wait(2)


@pytest.mark.usefixtures("no_leftovers")
def test_a_hanging_engine_is_left_at_the_limit_of_a_load_point(tool: Tool, tmp_path: Path) -> None:
    """Pitfall A8: the limit has its own reason. The tool itself would wait for a minute."""
    with serving(hang) as server:
        request = request_for(tool, server.url, tmp_path, limits={"load_point_s": 1.5})
        measurement = GenaiBench(tool.executable).run(request, log=Log(), stop=never)
    assert measurement.reason is Reason.LOAD_POINT_TIMEOUT
    assert "within 1.5 s (limits.load_point_s)" in measurement.message


@pytest.mark.usefixtures("no_leftovers")
def test_hammering_a_failing_engine_can_be_ended(tool: Tool, tmp_path: Path) -> None:
    """The tool goes on as fast as it can until a million requests have failed."""

    def stop() -> None:
        if len(server.seen) > 30:
            raise GiveUp

    with serving(boom) as server:
        request = request_for(tool, server.url, tmp_path, requests=1_000_000)
        with pytest.raises(GiveUp):
            GenaiBench(tool.executable).run(request, log=Log(), stop=stop)


def test_the_tool_ends_when_the_worker_is_killed(tool: Tool, tmp_path: Path) -> None:
    """Pitfall A10: a worker that was killed leaves no load behind."""
    code = (
        "import sys; from pathlib import Path; from tests.benchmarks.conftest import Tool\n"
        "from tests.benchmarks.test_genai_bench import *\n"
        "tool = Tool(Path(sys.argv[1]), sys.argv[2])\n"
        "request = request_for(tool, sys.argv[3], Path(sys.argv[4]))\n"
        "GenaiBench(tool.executable, MARKS).run(request, log=Log(), stop=never)"
    )
    with serving(hang) as server:
        arguments = [sys.executable, "-c", code, str(tool.executable), tool.tokenizer, server.url, str(tmp_path)]
        worker = subprocess.Popen(arguments, cwd=ROOT)
        try:
            assert server.hanging.wait(60)
            started = psutil.Process(worker.pid).children(recursive=True)
            assert len(started) >= 2, "the guard and the tool"
            assert bear(started, MARKS)
        finally:
            worker.kill()
            worker.wait()
        assert not still_running(started, limit_s=END_S)


def test_warm_up_is_sent_by_our_own_client(tool: Tool, tmp_path: Path) -> None:
    with serving(lambda _, body: whole_answer(body)) as server:
        request = request_for(tool, server.url, tmp_path, warmup_requests=3)
        GenaiBench(tool.executable).warm_up(request, log=Log(), stop=never)
        assert len(server.loaded()) == 3
        request = request_for(tool, server.url, tmp_path, scenarios=("R(20,10)",))
        GenaiBench(tool.executable).warm_up(request, log=Log(), stop=never)
        assert len(server.loaded()) == 3


def test_a_missing_executable_is_a_sentence(tmp_path: Path) -> None:
    request = load_request("http://127.0.0.1:9", tmp_path)
    with pytest.raises(BenchmarkError, match=r"not at /nowhere; `manage\.py install_genai_bench` installs it"):
        GenaiBench(Path("/nowhere")).run(request, log=Log(), stop=never)


@pytest.mark.parametrize("tokenizer", ["/nowhere/model", "./model", ""])
def test_a_missing_tokenizer_is_a_sentence(tmp_path: Path, tokenizer: str) -> None:
    tool = tmp_path / "genai-bench"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    request = replace(load_request("http://127.0.0.1:9", tmp_path), tokenizer=tokenizer)
    with pytest.raises(BenchmarkError, match=r"set model\.tokenizer to a folder"):
        GenaiBench(tool).run(request, log=Log(), stop=never)


def test_a_tool_that_says_nothing_is_a_failed_measurement(tmp_path: Path) -> None:
    tool = tmp_path / "genai-bench"
    tool.write_text("#!/bin/sh\necho last words\nexit 7\n")
    tool.chmod(0o755)
    request = replace(load_request("http://127.0.0.1:9", tmp_path), tokenizer=str(tmp_path))
    measurement = GenaiBench(tool).run(request, log=Log(), stop=never)
    assert measurement.reason is Reason.BENCHMARK_FAILED
    assert measurement.message == "genai-bench ended with code 7 and no result: last words"


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, {"api-backend": "vllm", "task": "text-to-text", "max-requests-per-run": "8", "max-time-per-run": "1"}),
        ({"ignore_eos": False}, {"api-backend": "openai"}),
        ({"concurrency": (32,)}, {"num-concurrency": "32", "max-requests-per-run": "32"}),
        ({"seconds": 61}, {"max-time-per-run": "2"}),
        ({"scenarios": ("E(30)",)}, {"task": "text-to-embeddings", "traffic-scenario": "E(30)", "batch-size": "1"}),
        ({"scenarios": ("R(20,10)",)}, {"task": "text-to-rerank"}),
        ({"scenarios": ("I(64,64)",)}, {"task": "image-text-to-text"}),
        ({"sampling": {"top_p": 0.9}}, {"additional-request-params": '{"top_p": 0.9}'}),
    ],
)
def test_the_command_line(tmp_path: Path, changes: dict[str, Any], flags: dict[str, str]) -> None:
    values = {"benchmark": BenchmarkName.GENAI_BENCH, **changes}
    command = _command(Path("/bin/tool"), load_request("http://a:1/", tmp_path, **values), "/model", tmp_path, None)
    assert command[:2] == ["/bin/tool", "benchmark"]
    names = [part for part in command[2:] if part.startswith("--")]
    given = dict(zip((name[2:] for name in names), command[3::2], strict=True))
    assert len(given) == len(names)
    assert flags.items() <= given.items()
    assert given["api-base"] == "http://a:1"
    assert names.index("--api-backend") < min(names.index("--task"), names.index("--api-key"))
    assert not {"warmup-ratio", "cooldown-ratio", "dataset-path"} & set(given)
    assert math.isclose(float(given["metrics-refresh-interval"]), 5)
    json.loads(given["additional-request-params"])


def test_the_environment_is_offline_with_a_local_tokenizer_and_keeps_our_python_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("NO_PROXY", "internal")
    request = load_request("http://engine:8000", tmp_path)
    local, hub = _environment(request, "/model"), _environment(request, "org/model")
    assert local["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in hub
    assert local["NO_PROXY"] == hub["no_proxy"] == "internal,engine"
    assert "PYTHONPATH" not in local


def test_the_default_path_is_below_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_executable() == Path("/cache/inference-autotuner/genai-bench-0.0.5/bin/genai-bench")
