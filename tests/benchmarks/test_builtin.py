"""The builtin load generator as the runner uses it: a process of its own, from the plan to the measurement."""

import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks.conftest import TPOT_MS, TTFT_MS
from tests.benchmarks.requests import END_S, MARKS, GiveUp, Log, bear, load_request, never, still_running
from tests.benchmarks.server import DONE, ROLE, Move, Reply, delta, serving, usage, whole_answer
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.builtin.client_process import ROOT
from tuning.benchmarks.builtin.rows import read_rows
from tuning.document.goals import SLO
from tuning.document.workload import Arrivals
from tuning.errors import BenchmarkError, Reason


def hang(_: int, body: object) -> Reply:
    return Reply([ROLE, Move.HANG])


@pytest.mark.parametrize("streams", [1, 32])
def test_known_latencies_are_measured_truly(engine: str, tmp_path: Path, streams: int) -> None:
    """The median of the best of three runs: a busy machine only ever adds to a latency.

    `benchmarks.client_accuracy` prints the whole picture.
    """
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        request = load_request(engine, folder, scenarios=("D(100,40)",), concurrency=(streams,), requests=3 * streams)
        measurement = Builtin().run(request, log=Log(), stop=never)
        assert measurement.completed == 3 * streams
        assert measurement.itl_ms is not None
        assert measurement.itl_ms.count == 3 * streams * 39
        assert measurement.ttft_ms is not None
        assert measurement.tpot_ms is not None
        off = (abs(measurement.ttft_ms["p50"] - TTFT_MS), abs(measurement.tpot_ms["p50"] / TPOT_MS - 1))
        if off[0] <= 5 and off[1] <= 0.03:
            return
    pytest.fail(f"TTFT is off by {off[0]:.1f} ms, TPOT by {off[1]:.1%}")


def test_throughput_is_that_of_the_full_load(engine: str, tmp_path: Path) -> None:
    """The last requests run with fewer streams beside them; neither their tokens nor their time count."""
    request = load_request(engine, tmp_path, scenarios=("D(20,20)",), concurrency=(8,), requests=36)
    measurement = Builtin().run(request, log=Log(), stop=never)
    one_request_s = (TTFT_MS + 19 * TPOT_MS) / 1000
    assert measurement.completed == 36
    assert measurement.requests_per_s == pytest.approx(8 / one_request_s, rel=0.15)
    assert measurement.output_tokens_per_s == pytest.approx(8 * 20 / one_request_s, rel=0.15)
    assert measurement.goodput_requests_per_s == measurement.requests_per_s


def test_goodput_counts_only_requests_that_meet_the_slo(engine: str, tmp_path: Path) -> None:
    request = load_request(engine, tmp_path, slo=SLO(ttft_ms={"p99": 1.0}))
    measurement = Builtin().run(request, log=Log(), stop=never)
    assert measurement.completed == 8
    assert measurement.goodput_requests_per_s == 0


def test_the_seconds_of_the_document_end_the_window_and_open_answers_are_waited_for(
    engine: str, tmp_path: Path
) -> None:
    request = load_request(engine, tmp_path, scenarios=("D(20,40)",), concurrency=(4,), requests=10_000, seconds=1)
    measurement = Builtin().run(request, log=Log(), stop=never)
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    assert measurement.window_s == 1
    assert all(row.status == "ok" and row.intended_s <= 1 for row in rows)
    assert measurement.completed == len(rows)
    assert any((row.end_s or 0) > 1 for row in rows)
    in_time = sum(at <= 1 for row in rows for at in row.chunks_s)
    assert measurement.output_tokens_per_s == pytest.approx(in_time, abs=1)
    assert in_time < 40 * len(rows)


def test_open_loop_sends_on_time_and_counts_the_waiting(tmp_path: Path) -> None:
    """Twice the rate that the engine can serve: latencies grow from request to request, sending is never delayed."""
    only_one = threading.Lock()

    def one_at_a_time(_: int, body: dict[str, Any]) -> Reply:
        with only_one:
            time.sleep(0.1)
        return whole_answer(body)

    with serving(one_at_a_time) as server:
        request = load_request(
            server.url, tmp_path, request_rates_per_s=(20.0,), arrivals=Arrivals.CONSTANT, requests=12
        )
        measurement = Builtin().run(request, log=Log(), stop=never)
    rows = list(read_rows(tmp_path / "requests.jsonl"))
    assert [row.intended_s for row in rows] == pytest.approx([n / 20 for n in range(12)])
    assert measurement.completed == 12
    waits = [row.ttft_ms or 0 for row in rows]
    assert waits[-1] > waits[0] + 300
    assert measurement.window_s == pytest.approx(0.6)
    assert measurement.extra["planned_rate_per_s"] == pytest.approx(20)
    assert measurement.extra["achieved_rate_share"] == pytest.approx(1, abs=0.3)
    assert measurement.extra["dispatch_delay_p99_ms"] < 200
    assert measurement.requests_per_s < 15


def test_no_late_request_is_skipped(tmp_path: Path) -> None:
    with serving(lambda _, body: whole_answer(body)) as server:
        request = load_request(server.url, tmp_path, request_rates_per_s=(5000.0,), requests=150)
        measurement = Builtin().run(request, log=Log(), stop=never)
    assert len(server.loaded()) == measurement.completed == 150
    assert measurement.extra["client_limited"] == 1


def test_each_stream_keeps_one_connection(tmp_path: Path) -> None:
    with serving(lambda _, body: whole_answer(body)) as server:
        request = load_request(server.url, tmp_path, concurrency=(3,), requests=60)
        Builtin().run(request, log=Log(), stop=never)
    assert len({seen.connection for seen in server.loaded()}) <= 3


def test_prompts_get_the_length_that_was_asked_for(tmp_path: Path) -> None:
    """The scripted engine adds 5 tokens for its chat template; two requests before the load find that out."""
    with serving(lambda _, body: whole_answer(body)) as server:
        builtin, log = Builtin(), Log()
        for index, scenario in enumerate(("D(40,4)", "D(12,4)")):
            folder = tmp_path / str(index)
            measurement = builtin.run(load_request(server.url, folder, scenarios=(scenario,)), log=log, stop=never)
            assert measurement.extra["input_tokens_served"] == measurement.extra["input_tokens_requested"]
    assert len(server.seen) - len(server.loaded()) == 2, "what is known of a model is not asked again"
    assert log.texts("warning") == []


def test_an_engine_with_a_short_context_is_asked_with_prompts_as_long_as_the_load(tmp_path: Path) -> None:
    with serving(lambda _, body: whole_answer(body), longest_prompt=60) as server:
        measurement = Builtin().run(load_request(server.url, tmp_path, scenarios=("D(40,4)",)), log=Log(), stop=never)
    assert measurement.extra["input_tokens_served"] == 40


def test_served_lengths_that_differ_are_reported(tmp_path: Path) -> None:
    def twice_the_prompt(_: int, body: dict[str, object]) -> Reply:
        return Reply([ROLE, *(delta(" x") for _ in range(8)), usage(40, 8), DONE])

    log = Log()
    with serving(twice_the_prompt) as server:
        measurement = Builtin().run(load_request(server.url, tmp_path), log=log, stop=never)
    assert measurement.extra["input_tokens_served"] == 40
    assert any("40 input tokens a request instead of 20" in text for text in log.texts("warning"))


def test_an_engine_without_usage_is_measured_and_marked(tmp_path: Path) -> None:
    with serving(lambda _, body: Reply([ROLE, *(delta(" x") for _ in range(8)), DONE])) as server:
        measurement = Builtin().run(load_request(server.url, tmp_path), log=Log(), stop=never)
    assert measurement.extra["requests_without_usage"] == 8
    assert measurement.extra["output_tokens_served"] == 8


def test_embeddings_are_loaded_without_tokens(tmp_path: Path) -> None:
    def embedding(_: int, body: dict[str, object]) -> Reply:
        words = len(str(body["input"]).split())
        answer = {"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": words}}
        return Reply([json.dumps(answer).encode()], content_type="application/json")

    with serving(embedding) as server:
        measurement = Builtin().run(load_request(server.url, tmp_path, scenarios=("E(30)",)), log=Log(), stop=never)
    assert {seen.path for seen in server.seen} == {"/v1/embeddings"}
    assert measurement.completed == 8
    assert measurement.e2e_ms is not None
    assert measurement.ttft_ms is None
    assert measurement.output_tokens_per_s == 0
    assert measurement.extra["input_tokens_served"] == 30


def test_a_dataset_is_sent(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("question\nwhy?\nhow?\n")
    dataset = {"path": tmp_path / "prompts.csv", "prompt_field": "question", "output_tokens": 4}
    log = Log()
    with serving(lambda _, body: whole_answer(body)) as server:
        request = load_request(server.url, tmp_path / "load", scenarios=("dataset",), dataset=dataset)
        measurement = Builtin().run(request, log=log, stop=never)
    assert measurement.completed == 8
    assert {seen.body["messages"][0]["content"] for seen in server.seen} == {"why?", "how?"}
    assert {seen.body["max_tokens"] for seen in server.seen} == {4}
    assert any("6 prompts repeat" in text for text in log.texts("warning"))


def test_a_dataset_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text("question\nwhy?\n")
    request = load_request(
        "http://127.0.0.1:9", tmp_path, scenarios=("dataset",), dataset={"path": tmp_path / "prompts.csv"}
    )
    with pytest.raises(BenchmarkError, match=r"no field 'prompt' .*workload\.dataset\.prompt_field"):
        Builtin().run(request, log=Log(), stop=never)


def test_an_engine_that_always_fails_is_not_hammered(tmp_path: Path) -> None:
    """Pitfall B8: the failed load point is a failed measurement with its reason, never a zero and never left out."""
    with serving(lambda _, body: Reply([b'{"error": {"message": "boom"}}'], status=500)) as server:
        request = load_request(server.url, tmp_path, concurrency=(4,), requests=1000)
        measurement = Builtin().run(request, log=Log(), stop=never)
    assert measurement.reason is Reason.BENCHMARK_FAILED
    assert "10 requests in a row failed; most often: http: 500 boom" in measurement.message
    assert measurement.ttft_ms is None
    assert measurement.error_rate == 1
    assert len(server.loaded()) < 20


def test_half_failing_is_measured_with_its_error_rate(tmp_path: Path) -> None:
    """Pitfall B9b: errors are counted, whatever the answered half looks like."""
    with serving(lambda n, body: whole_answer(body) if n % 2 else Reply([b"oops"], status=500)) as server:
        measurement = Builtin().run(load_request(server.url, tmp_path, requests=20), log=Log(), stop=never)
    assert measurement.ok
    assert (measurement.completed, measurement.failed) == (10, 10)
    assert measurement.error_rate == 0.5
    assert measurement.errors == {"http: 500 oops": 10}


def test_too_few_completed_requests_make_a_load_point_failed(tmp_path: Path) -> None:
    with serving(lambda n, body: whole_answer(body) if n % 2 else Reply([b"oops"], status=500)) as server:
        request = load_request(server.url, tmp_path, requests=8, min_completed=5)
        measurement = Builtin().run(request, log=Log(), stop=never)
    assert measurement.reason is Reason.BENCHMARK_FAILED
    assert "4 requests completed, 5 are needed" in measurement.message


def test_refused_connections_are_tried_again_more_and_more_slowly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    request = load_request(f"http://127.0.0.1:{port}", tmp_path, requests=4)
    measurement = Builtin().run(request, log=Log(), stop=never)
    sent_s = [row.sent_s or 0 for row in read_rows(tmp_path / "requests.jsonl")]
    gaps = [b - a for a, b in pairwise(sent_s)]
    assert "Connection refused" in measurement.message
    assert gaps[0] >= 0.05
    assert gaps[1] >= 0.1
    assert gaps[2] >= 0.2


def test_a_hanging_engine_is_left_at_the_limit_of_a_request(tmp_path: Path) -> None:
    with serving(hang) as server:
        request = load_request(server.url, tmp_path, concurrency=(2,), requests=4, limits={"request_s": 0.5})
        measurement = Builtin().run(request, log=Log(), stop=never)
    assert measurement.reason is Reason.BENCHMARK_FAILED
    assert measurement.errors == {"timeout: no token within 0.5 s": 4}


def test_the_limit_of_a_load_point_ends_it_and_is_named(tmp_path: Path) -> None:
    """Pitfall A8: this limit has its own reason."""
    with serving(hang) as server:
        measurement = Builtin().run(
            load_request(server.url, tmp_path, limits={"load_point_s": 1.0}), log=Log(), stop=never
        )
        assert server.client_gone.wait(10)
    assert measurement.reason is Reason.LOAD_POINT_TIMEOUT
    assert "within 1 s (limits.load_point_s)" in measurement.message
    assert [row.status for row in read_rows(tmp_path / "requests.jsonl")] == ["cancelled"]


def test_stopping_closes_open_answers_within_two_seconds(tmp_path: Path) -> None:
    """Pitfall A7: after a stop nothing of the load point goes on."""

    def stop() -> None:
        if server.hanging.is_set():
            raise GiveUp

    with serving(hang) as server:
        before = set(psutil.Process().children(recursive=True))
        with pytest.raises(GiveUp):
            Builtin().run(load_request(server.url, tmp_path, concurrency=(4,)), log=Log(), stop=stop)
        assert server.client_gone.wait(2)
        assert set(psutil.Process().children(recursive=True)) <= before
    assert {row.status for row in read_rows(tmp_path / "requests.jsonl")} == {"cancelled"}


def test_the_client_ends_when_the_worker_is_killed(tmp_path: Path) -> None:
    """Pitfall A10: a worker that was killed leaves no load behind."""
    code = (
        "import sys; from pathlib import Path; from tests.benchmarks.requests import *\n"
        "from tuning.benchmarks.builtin.adapter import Builtin\n"
        "Builtin(MARKS).run(load_request(sys.argv[1], Path(sys.argv[2])), log=Log(), stop=never)"
    )
    with serving(hang) as server:
        worker = subprocess.Popen([sys.executable, "-c", code, server.url, str(tmp_path)], cwd=ROOT)
        try:
            assert server.hanging.wait(30)
            clients = psutil.Process(worker.pid).children(recursive=True)
            assert clients
            assert bear(clients, MARKS)
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert not still_running(clients, limit_s=END_S)
        assert server.client_gone.wait(END_S)


def test_a_client_that_somebody_else_ends_is_no_measurement(tmp_path: Path) -> None:
    def end_the_client() -> None:
        assert server.hanging.wait(30)
        for child in psutil.Process().children():
            if "tuning.benchmarks.builtin" in child.cmdline():
                child.terminate()

    with serving(hang) as server:
        thread = threading.Thread(target=end_the_client)
        thread.start()
        with pytest.raises(BenchmarkError, match="ended by someone else"):
            Builtin().run(load_request(server.url, tmp_path), log=Log(), stop=never)
        thread.join()


@pytest.mark.parametrize(("requests", "plan"), [(40, "whole"), (3000, "cut")])
def test_a_full_disk_is_a_sentence(tmp_path: Path, requests: int, plan: str) -> None:
    """The client fails at its rows, or the worker at the plan."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with serving(lambda _, body: whole_answer(body)) as server:
        request = load_request(server.url, tmp_path, concurrency=(8,), requests=requests)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
        try:
            with pytest.raises(BenchmarkError, match=r"cannot be written: File too large; make room") as refused:
                Builtin().run(request, log=Log(), stop=never)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.reason is Reason.BENCHMARK_FAILED
    assert ((tmp_path / "measured-plan.json").stat().st_size < 4000) is (plan == "whole")


def test_files_of_an_earlier_attempt_change_nothing(engine: str, tmp_path: Path) -> None:
    """Pitfall B12: planted rows and results are not read."""
    for name in ("requests.jsonl", "summary.json", "result.json"):
        (tmp_path / name).write_text('{"planted": 1}\n' * 9)
    assert Builtin().run(load_request(engine, tmp_path), log=Log(), stop=never).completed == 8
    assert "planted" not in (tmp_path / "result.json").read_text()


def test_warm_up_is_not_counted_and_its_rows_are_kept(tmp_path: Path) -> None:
    with serving(lambda _, body: whole_answer(body)) as server:
        request = load_request(server.url, tmp_path, warmup_requests=5, requests=3)
        builtin = Builtin()
        builtin.warm_up(request, log=Log(), stop=never)
        measurement = builtin.run(request, log=Log(), stop=never)
    assert measurement.completed == 3
    rows = [*read_rows(tmp_path / "warmup-requests.jsonl"), *read_rows(tmp_path / "requests.jsonl")]
    assert [row.phase for row in rows] == ["warmup"] * 5 + ["measured"] * 3
    prompts = [seen.body["messages"][0]["content"] for seen in server.seen]
    assert len(set(prompts)) == len(prompts) == 2 + 5 + 3


def test_a_warm_up_without_any_answer_is_an_error(tmp_path: Path) -> None:
    with serving(lambda _, body: Reply([b"not yet"], status=503)) as server:
        request = load_request(server.url, tmp_path, warmup_requests=3)
        with pytest.raises(BenchmarkError, match="no warm-up request was answered; http: 503 not yet"):
            Builtin().warm_up(request, log=Log(), stop=never)


def test_no_warm_up_sends_nothing(tmp_path: Path) -> None:
    Builtin().warm_up(load_request("http://127.0.0.1:9", tmp_path, warmup_requests=0), log=Log(), stop=never)


def test_the_client_process_starts_light() -> None:
    """It shares the machine with the engine, and the search waits for it at every load point."""
    heavy = "{'django', 'numpy', 'pydantic', 'optuna', 'yaml'}"
    code = f"import sys, tuning.benchmarks.builtin.__main__; assert not {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_stop_is_asked_often(tmp_path: Path) -> None:
    asked: list[float] = []
    with serving(hang) as server:
        request = load_request(server.url, tmp_path, limits={"load_point_s": 1.5})
        Builtin().run(request, log=Log(), stop=lambda: asked.append(time.monotonic()))
    assert len(asked) >= 5
