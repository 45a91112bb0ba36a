"""One request and its answer: what counts as success, what as which failure."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.requests import load_request
from tests.benchmarks.server import DONE, ROLE, Move, Reply, delta, event, serving, usage
from tuning.benchmarks.builtin.client import Client, open_session
from tuning.benchmarks.builtin.drawing import draw_plan
from tuning.benchmarks.builtin.plan import Phase, Plan
from tuning.benchmarks.builtin.rows import Row

EIGHT = [delta(f" {n}") for n in range(8)]


def plan_for(url: str, **changes: Any) -> Plan:
    plan = draw_plan(load_request(url, Path("unused")), Phase.MEASURED, None)
    return replace(plan, connect_s=5.0, first_token_s=5.0, request_s=5.0, **changes)


def send(plan: Plan, times: int = 1) -> list[Row]:
    """Send the same request `times` times, one after the other."""

    async def run() -> list[Row]:
        rows = [Row(index, "measured", 20, 8, 0.0) for index in range(times)]
        start = time.perf_counter()
        async with open_session(plan) as session:
            client = Client(plan, session, lambda: time.perf_counter() - start)
            for row in rows:
                await client.send(row, b'{"stream":true,"messages":[{"content":"x"}]}')
        return rows

    return asyncio.run(run())


def answer(*pieces: bytes | Move, status: int = 200, **changes: Any) -> Row:
    with serving(lambda _, body: Reply(pieces, status)) as server:
        return send(plan_for(server.url, **changes))[0]


def test_a_whole_answer_is_ok_and_has_every_value() -> None:
    row = answer(ROLE, *EIGHT, usage(20, 8), DONE)
    assert (row.status, row.code, row.message) == ("ok", 200, "")
    assert (row.input_tokens, row.output_tokens, row.counted_by) == (20, 8, "usage")
    assert row.ttft_ms is not None
    assert row.e2e_ms is not None
    assert row.tpot_ms is not None
    assert 0 < row.ttft_ms <= row.ttft_ms + 7 * row.tpot_ms <= row.e2e_ms
    assert len(row.gaps_ms) == 7


def test_several_tokens_in_one_chunk_are_counted_by_usage() -> None:
    row = answer(ROLE, delta(" a b c d"), delta(" e f g h"), usage(20, 8), DONE)
    assert row.status == "ok"
    assert row.output_tokens == 8
    assert len(row.gaps_ms) == 1
    assert row.tpot_ms == pytest.approx(row.gaps_ms[0] / 7)


def test_an_answer_in_one_chunk_has_no_tpot_and_not_a_zero() -> None:
    row = answer(delta(" all of it"), usage(20, 8), DONE)
    assert row.status == "ok"
    assert row.tpot_ms is None


def test_without_usage_chunks_are_counted_and_the_row_says_so() -> None:
    row = answer(ROLE, *EIGHT, DONE)
    assert (row.status, row.output_tokens, row.counted_by) == ("ok", 8, "chunks")


def test_reasoning_tokens_are_kept() -> None:
    details = {"prompt_tokens": 20, "completion_tokens": 8, "completion_tokens_details": {"reasoning_tokens": 3}}
    assert answer(*EIGHT, event({"choices": [], "usage": details}), DONE).reasoning_tokens == 3


@pytest.mark.parametrize(
    ("pieces", "status", "said"),
    [
        ([ROLE, *EIGHT[:5], usage(20, 5), DONE], "short_output", "fewer tokens than asked for"),
        ([ROLE, usage(20, 0), DONE], "short_output", "no token"),
        ([ROLE, *EIGHT[:4], Move.CUT], "disconnect", "closed the connection"),
        ([ROLE, *EIGHT[:4]], "disconnect", "before the answer was whole"),
        ([Move.CUT], "disconnect", "closed the connection"),
        ([b'{"choices": []}'], "bad_stream", "not an event stream"),
        ([], "bad_stream", "not an event stream"),
        ([*EIGHT, event({"error": {"message": "CUDA out of memory"}}), DONE], "bad_stream", "CUDA out of memory"),
        ([*EIGHT, b"data: {oops\n\n", DONE], "bad_stream", "not JSON"),
        ([*EIGHT, event({"choices": [7]}), DONE], "bad_stream", "cannot be read"),
        ([*EIGHT, event({"choices": [], "usage": {"completion_tokens": {}}}), DONE], "ok", ""),
    ],
)
def test_an_answer_that_is_not_whole_is_never_ok(pieces: Sequence[bytes | Move], status: str, said: str) -> None:
    row = answer(*pieces)
    assert row.status == status
    assert said in row.message


def test_a_short_answer_is_fine_when_the_model_may_end_it() -> None:
    assert answer(ROLE, *EIGHT[:5], usage(20, 5), DONE, ignore_eos=False).status == "ok"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"message": "no such model", "code": 404}}', "500 no such model"),
        (b'{"object": "error", "message": "too long"}', "500 too long"),
        (b'{"detail": "not found"}', "500 not found"),
        (b"Internal Server Error\nmore", "500 Internal Server Error"),
        (b"", "500"),
    ],
)
def test_an_http_error_says_what_the_engine_said(body: bytes, said: str) -> None:
    row = answer(body, status=500)
    assert (row.status, row.code, row.message) == ("http", 500, said)
    assert row.ttft_ms is None


def test_a_refused_connection_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    row = send(plan_for(f"http://127.0.0.1:{port}"))[0]
    assert row.status == "connect"
    assert "refused" in row.message.lower()


def test_no_first_token_in_time_is_a_timeout() -> None:
    with serving(lambda _, body: Reply([ROLE, Move.HANG])) as server:
        row = send(replace(plan_for(server.url), first_token_s=0.3))[0]
        assert (row.status, row.message) == ("timeout", "no token within 0.3 s")
        assert server.client_gone.wait(10)


def test_an_answer_that_does_not_end_in_time_is_a_timeout() -> None:
    with serving(lambda _, body: Reply([ROLE, *EIGHT[:2], Move.HANG])) as server:
        row = send(replace(plan_for(server.url), request_s=0.3))[0]
    assert (row.status, row.message) == ("timeout", "not finished within 0.3 s")
    assert row.ttft_ms is not None


def test_connections_are_kept_alive_and_nothing_is_compressed() -> None:
    with serving(lambda _, body: Reply([ROLE, *EIGHT, usage(20, 8), DONE])) as server:
        assert [row.status for row in send(plan_for(server.url), times=5)] == ["ok"] * 5
    assert len({seen.connection for seen in server.seen}) == 1
    assert {seen.headers["accept-encoding"] for seen in server.seen} == {"identity"}
    assert {seen.path for seen in server.seen} == {"/v1/chat/completions"}


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall C5a: HTTP_PROXY at a dead address changes nothing."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert answer(ROLE, *EIGHT, usage(20, 8), DONE).status == "ok"


def test_latencies_count_from_the_intended_start() -> None:
    """Coordinated omission: a request that was sent late has waited for its user all the same."""
    row = Row(0, "measured", 20, 8, intended_s=1.0, sent_s=3.0, end_s=5.0)
    row.chunks_s.extend([4.0, 4.7])
    row.output_tokens = 8
    assert row.ttft_ms == pytest.approx(3000)
    assert row.e2e_ms == pytest.approx(4000)
    assert row.tpot_ms == pytest.approx(100)


def test_tokens_are_counted_up_to_the_end_of_the_window() -> None:
    row = Row(0, "measured", 20, 8, intended_s=0.0)
    row.chunks_s.extend([1.0, 2.0, 3.0, 4.0])
    row.output_tokens = 8
    assert [row.tokens_before(at) for at in (0.5, 1.0, 2.5, 9.0)] == [0, 2, 4, 8]


def test_a_row_survives_its_line() -> None:
    row = answer(ROLE, *EIGHT, usage(20, 8), DONE)
    again = Row.from_json(row.to_json())
    assert again.to_json() == row.to_json()
    assert again.gaps_ms == pytest.approx(row.gaps_ms, abs=0.0021)
