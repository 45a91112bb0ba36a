"""The HTTP API of a running engine."""

import asyncio
import base64
import json
import socket
import struct
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.simulated_engine.conftest import StartEngine
from tests.simulated_engine.processes import post, words

Json = dict[str, Any]


async def get(url: str) -> tuple[int, dict[str, str], str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, {key.lower(): value for key, value in response.headers.items()}, await response.text()


async def stream(url: str, body: Json) -> list[Json]:
    """The events of a streamed answer, without the end mark, which must be there."""
    async with aiohttp.ClientSession() as session, session.post(url, json=body | {"stream": True}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert "x-simulated-engine" in response.headers
        events = [line.removeprefix(b"data: ") for line in (await response.read()).split(b"\n\n") if line]
    assert events[-1] == b"[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_the_engine_says_who_it_is(engine_url: str) -> None:
    status, headers, _ = asyncio.run(get(f"{engine_url}/health"))
    assert status == 200
    assert "x-simulated-engine" in headers
    _, _, text = asyncio.run(get(f"{engine_url}/v1/models"))
    (model,) = json.loads(text)["data"]
    assert (model["id"], model["root"], model["max_model_len"]) == ("tuned", "org/model", 8192)
    assert model["owned_by"] == "simulated"
    _, _, text = asyncio.run(get(f"{engine_url}/version"))
    assert json.loads(text)["version"].startswith("simulated-")


def test_a_streamed_completion_has_a_chunk_per_token_and_then_the_usage(engine_url: str) -> None:
    body = {"prompt": words(7), "max_tokens": 9, "ignore_eos": True, "stream_options": {"include_usage": True}}
    *chunks, last = asyncio.run(stream(f"{engine_url}/v1/completions", body))
    assert len(chunks) == 9
    assert all(chunk["choices"][0]["text"].strip() for chunk in chunks)
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 8 + ["length"]
    assert last["choices"] == []
    assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (7, 9)


def test_a_streamed_chat_begins_with_the_role_and_an_empty_content(engine_url: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "max_completion_tokens": 3, "ignore_eos": True}
    chunks = asyncio.run(stream(f"{engine_url}/v1/chat/completions", body))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert len(deltas) == 4
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)


@pytest.mark.parametrize("is_chat", [True, False])
def test_a_single_token_is_streamed_too(engine_url: str, is_chat: bool) -> None:
    path = "chat/completions" if is_chat else "completions"
    prompt = {"messages": [{"role": "user", "content": "hi"}]} if is_chat else {"prompt": "hi"}
    chunks = asyncio.run(stream(f"{engine_url}/v1/{path}", prompt | {"max_tokens": 1, "ignore_eos": True}))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert len(chunks) == (2 if is_chat else 1)


def test_streamed_and_whole_answers_have_the_same_text(engine_url: str) -> None:
    body = {"prompt": "hello", "max_tokens": 40, "ignore_eos": True}
    chunks = asyncio.run(stream(f"{engine_url}/v1/completions", body))
    status, whole = asyncio.run(post(f"{engine_url}/v1/completions", body))
    choice = whole["choices"][0]
    assert status == 200
    assert choice["text"] == "".join(chunk["choices"][0]["text"] for chunk in chunks)
    assert len(choice["text"].split()) == 40


def test_usage_can_come_with_every_chunk(engine_url: str) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {"prompt": "hello", "max_tokens": 4, "ignore_eos": True, "stream_options": options}
    chunks = asyncio.run(stream(f"{engine_url}/v1/completions", body))
    assert [chunk["usage"]["completion_tokens"] for chunk in chunks] == [1, 2, 3, 4, 4]


def test_tokens_are_grouped_by_the_stream_interval(start_engine: StartEngine) -> None:
    url = start_engine("--stream-interval", "4", "--simulate-time-scale", "0.01").url()
    body = {"prompt": "hello", "max_tokens": 11, "ignore_eos": True, "stream_options": {"include_usage": True}}
    *chunks, last = asyncio.run(stream(f"{url}/v1/completions", body))
    assert [len(chunk["choices"][0]["text"].split()) for chunk in chunks] == [1, 4, 4, 2]
    assert last["usage"]["completion_tokens"] == 11


@pytest.mark.parametrize(
    ("path", "content", "status", "name"),
    [
        ("/v1/completions", b"{not json", 400, "BadRequestError"),
        ("/v1/completions", b"\xff\xfe", 400, "BadRequestError"),
        ("/v1/completions", b"[" * 100_000, 400, "BadRequestError"),
        ("/v1/completions", b'{"prompt": "hi", "model": "other"}', 404, "NotFoundError"),
        ("/v1/chat/completions", b'{"messages": []}', 400, "BadRequestError"),
        ("/v1/nothing", b"{}", 404, "NotFoundError"),
        ("/health", b"{}", 405, "MethodNotAllowed"),
    ],
)
def test_a_bad_request_gets_an_error_object(engine_url: str, path: str, content: bytes, status: int, name: str) -> None:
    async def send() -> tuple[int, Json]:
        async with aiohttp.ClientSession() as session, session.post(engine_url + path, data=content) as response:
            return response.status, await response.json()

    got, body = asyncio.run(send())
    assert got == status
    assert body["error"]["type"] == name
    assert body["error"]["code"] == status
    assert body["error"]["message"]


def test_embeddings_depend_on_the_input_only(engine_url: str) -> None:
    body = {"input": ["one two", "three", "one two"], "dimensions": 8}
    status, answer = asyncio.run(post(f"{engine_url}/v1/embeddings", body))
    vectors = [entry["embedding"] for entry in answer["data"]]
    assert status == 200
    assert vectors[0] == vectors[2] != vectors[1]
    assert sum(value * value for value in vectors[0]) == pytest.approx(1)
    _, coded = asyncio.run(post(f"{engine_url}/v1/embeddings", body | {"encoding_format": "base64"}))
    packed = base64.b64decode(coded["data"][0]["embedding"])
    assert struct.unpack("<8f", packed) == pytest.approx(vectors[0], rel=1e-6)


def test_metrics_have_the_names_of_vllm_and_count_what_was_served(start_engine: StartEngine) -> None:
    url = start_engine("--simulate-time-scale", "0.01").url()
    body = {"prompt": words(40), "max_tokens": 5, "ignore_eos": True}
    for _ in range(2):
        asyncio.run(post(f"{url}/v1/completions", body))
    _, _, text = asyncio.run(get(f"{url}/metrics"))
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    labels = 'engine="0",model_name="sim"'
    expected = {
        "num_requests_running": 0,
        "num_requests_waiting": 0,
        "kv_cache_usage_perc": 0,
        "num_preemptions_total": 0,
        "prompt_tokens_total": 80,
        "generation_tokens_total": 10,
        "prefix_cache_hits_total": 32,
        "time_to_first_token_seconds_count": 2,
    }
    assert {name: float(samples[f"vllm:{name}{{{labels}}}"]) for name in expected} == expected
    assert samples[f'vllm:request_success_total{{{labels},finished_reason="length"}}'] == "2"


def test_tokenize_counts_as_the_engine_does(engine_url: str) -> None:
    status, answer = asyncio.run(post(f"{engine_url}/tokenize", {"prompt": words(12)}))
    assert (status, answer["count"]) == (200, 12)


def test_an_api_key_is_asked_for(start_engine: StartEngine) -> None:
    url = start_engine("--api-key", "secret", "--simulate-time-scale", "0.01").url()
    body = {"prompt": "hi", "max_tokens": 1}
    assert asyncio.run(post(f"{url}/v1/completions", body))[0] == 401
    assert asyncio.run(post(f"{url}/v1/completions", body, {"Authorization": "Bearer secret"}))[0] == 200
    assert asyncio.run(get(f"{url}/health"))[0] == 200


def test_a_request_whose_client_has_gone_leaves_the_engine(start_engine: StartEngine) -> None:
    engine = start_engine("--max-num-seqs", "1", "--simulate-ttft-ms", "1", "--simulate-tpot-ms", "1000")
    url = urlsplit(engine.url())
    body = json.dumps({"prompt": "hi", "max_tokens": 1000, "stream": True, "ignore_eos": True})
    with socket.create_connection((url.hostname, url.port)) as client:
        head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        client.sendall((head + body).encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 200")
    asyncio.run(
        wait_for_metric(engine.url(), 'request_success_total{engine="0",model_name="sim",finished_reason="abort"} 1')
    )
    asyncio.run(wait_for_metric(engine.url(), 'num_requests_running{engine="0",model_name="sim"} 0'))


async def wait_for_metric(url: str, sample: str) -> None:
    async with asyncio.timeout(10):
        while sample not in (await get(f"{url}/metrics"))[2]:
            await asyncio.sleep(0.01)


def test_replicas_share_the_requests(start_engine: StartEngine) -> None:
    url = start_engine("--data-parallel-size", "2", "--simulate-time-scale", "0.02").url()
    body = {"prompt": "hi", "max_tokens": 200, "ignore_eos": True}

    async def both() -> None:
        await asyncio.gather(*(post(f"{url}/v1/completions", body) for _ in range(2)))

    asyncio.run(both())
    _, _, text = asyncio.run(get(f"{url}/metrics"))
    counts = [line.split()[1] for line in text.splitlines() if line.startswith("vllm:generation_tokens_total{")]
    assert counts == ["200", "200"]
