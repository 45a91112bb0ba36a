"""Reading event streams, however the bytes arrive."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.server import DONE, ROLE, delta, event, usage
from tuning.benchmarks.builtin.stream import ChatStream

STREAM = b"".join(
    [
        b": a comment\n\n",
        ROLE,
        delta(" H\u00e4us\u00e9r \U0001f600"),
        delta('quoted "content":"x" \n\n data: {}'),
        delta("thought", key="reasoning_content"),
        delta(""),
        b'data:{"choices":[{"delta":{"content":"no blank after the colon"}}]}\n\n',
        b'data: {"choices":\ndata: [{"delta":{"content":"two lines"}}]}\n\n',
        b"event: message\nid: 7\n" + delta("last", "length"),
        usage(12, 5),
        DONE,
    ]
)


def read(*pieces: bytes) -> ChatStream:
    """A stream that got `pieces`, at seconds 0, 1, 2 ..."""
    stream = ChatStream()
    for second, piece in enumerate(pieces):
        stream.feed(piece, float(second))
    stream.close(float(len(pieces)))
    return stream


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    places = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


@given(st.lists(st.integers(0, 10_000), max_size=40), st.booleans())
def test_the_same_stream_is_read_however_its_bytes_are_cut(cuts: list[int], crlf: bool) -> None:
    data = STREAM.replace(b"\n", b"\r\n") if crlf else STREAM
    stream = read(*split(data, cuts))
    assert len(stream.times) == 6
    assert stream.done
    assert stream.complete
    assert stream.error is None
    assert stream.usage == {"prompt_tokens": 12, "completion_tokens": 5}


def test_every_byte_may_arrive_alone() -> None:
    stream = read(*(bytes([byte]) for byte in STREAM))
    assert len(stream.times) == 6
    assert stream.complete


def test_a_chunk_with_only_a_role_is_not_the_first_token() -> None:
    stream = read(ROLE, delta(""), delta("a"), delta("b"), DONE)
    assert list(stream.times) == [2.0, 3.0]


@pytest.mark.parametrize("key", ["content", "reasoning_content", "reasoning"])
def test_reasoning_counts_as_output(key: str) -> None:
    assert list(read(ROLE, delta("hm", key=key), DONE).times) == [1.0]


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
@pytest.mark.parametrize("text", ["a", '"', "\\", '{"content":"', "\u2028", "\x00", " "])
def test_text_is_recognised_in_every_spelling_of_json(text: str, separators: tuple[str, str]) -> None:
    message = {"choices": [{"delta": {"content": text}}], "usage": None}
    for ascii_only in (True, False):
        raw = json.dumps(message, separators=separators, ensure_ascii=ascii_only).encode()
        assert len(read(b"data: " + raw + b"\n\n").times) == 1


@given(st.text(), st.text())
def test_only_non_empty_content_counts_whatever_else_the_event_holds(content: str, other: str) -> None:
    message = {"id": other, "choices": [{"delta": {"content": content}, "logprobs": {"content": [{"token": other}]}}]}
    assert len(read(event(message)).times) == (1 if content else 0)


def test_several_events_in_one_read_arrive_together() -> None:
    assert list(read(delta("a") + delta("b") + delta("c")[:9], delta("c")[9:], DONE).times) == [0.0, 0.0, 1.0]


def test_usage_is_taken_from_an_event_with_text_too() -> None:
    message = {"choices": [{"delta": {"content": "a"}}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    assert read(event(message), DONE).usage == {"prompt_tokens": 3, "completion_tokens": 1}


def test_the_last_usage_wins() -> None:
    assert read(usage(3, 1), usage(3, 2)).usage == {"prompt_tokens": 3, "completion_tokens": 2}


def test_null_usage_is_no_usage() -> None:
    assert read(event({"choices": [{"delta": {"content": "a"}}], "usage": None})).usage is None


def test_a_stream_without_done_is_complete_only_with_a_finish_reason() -> None:
    assert not read(delta("a"), delta("b")).complete
    assert read(delta("a"), delta("b", "length")).complete
    assert read(delta("a"), delta("", "stop")).complete


def test_a_last_event_without_its_blank_line_is_read() -> None:
    assert read(delta("a"), b"data: [DONE]").done


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (event({"error": {"message": "out of memory", "code": 500}}), "out of memory"),
        (event({"object": "error", "message": "engine is dead"}), "engine is dead"),
        (b"data: {broken\n\n", "not JSON"),
        (b"data: [1]\n\n", "not an object"),
    ],
)
def test_an_error_inside_the_stream_is_kept(sent: bytes, said: str) -> None:
    stream = read(delta("a"), sent, DONE)
    assert stream.error is not None
    assert said in stream.error
