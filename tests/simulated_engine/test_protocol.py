"""Which requests are refused, and what is understood."""

import pytest

from simulated_engine.errors import ApiError
from simulated_engine.protocol import Limits, parse_embedding, parse_generation

LIMITS = Limits(served_name="tuned", max_model_len=100, seed=0)
CHAT = {"messages": [{"role": "user", "content": "one two"}], "max_tokens": 5}
TEXT = {"prompt": "one two three", "max_tokens": 5}


@pytest.mark.parametrize(
    ("prompt", "count"),
    [
        ("one two three", 3),
        ([1, 2, 3, 4], 4),
        (["one two"], 2),
        ([[5, 6]], 2),
        ([{"type": "text", "text": "one two"}, {"type": "text", "text": "three"}], 3),
    ],
)
def test_a_prompt_comes_in_many_forms(prompt: object, count: int) -> None:
    assert len(parse_generation({"prompt": prompt, "max_tokens": 1}, LIMITS, is_chat=False).prompt) == count


def test_content_parts_of_messages_are_counted_together() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    messages = [{"role": "system", "content": "be kind"}, {"role": "user", "content": parts}]
    assert len(parse_generation({"messages": messages, "max_tokens": 1}, LIMITS, is_chat=True).prompt) == 4


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ([], 400, "must be a JSON object"),
        (TEXT | {"model": "other"}, 404, "The model `other` does not exist."),
        ({}, 400, "prompt"),
        ({"prompt": ""}, 400, "not empty"),
        ({"prompt": []}, 400, "not empty"),
        ({"prompt": ["one", "two"]}, 400, "one prompt per request"),
        ({"prompt": [{"type": "image_url"}]}, 400, "content parts of type text"),
        ({"prompt": 5}, 400, "expected a text"),
        (TEXT | {"max_tokens": 0}, 400, "max_tokens must be at least 1, got 0."),
        (TEXT | {"max_tokens": "5"}, 400, "max_tokens must be an integer"),
        (TEXT | {"max_tokens": True}, 400, "max_tokens must be an integer"),
        (TEXT | {"max_tokens": 98}, 400, "maximum context length is 100 tokens. However, you requested 101 tokens"),
        (TEXT | {"min_tokens": 6}, 400, "min_tokens must be less than or equal to max_tokens=5"),
        (TEXT | {"stream": "yes"}, 400, "stream must be a boolean"),
        (TEXT | {"stream_options": {}}, 400, "Stream options can only be defined when `stream=True`."),
        (TEXT | {"stream": True, "stream_options": []}, 400, "stream_options"),
        (TEXT | {"temperature": -1}, 400, "temperature must be a number from 0"),
        (TEXT | {"top_p": 2}, 400, "top_p must be a number from 0 to 1"),
        (TEXT | {"n": 2}, 400, "n must be 1"),
    ],
)
def test_a_wrong_completion_is_refused_with_the_reason(body: object, status: int, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse_generation(body, LIMITS, is_chat=False)
    assert caught.value.status == status
    assert text in str(caught.value)


@pytest.mark.parametrize("messages", [None, [], "hello", ["hello"], [{"content": "no role"}]])
def test_wrong_messages_are_refused(messages: object) -> None:
    with pytest.raises(ApiError, match="messages"):
        parse_generation({"messages": messages}, LIMITS, is_chat=True)


def test_ignore_eos_gives_the_length_that_was_asked_for() -> None:
    request = parse_generation(CHAT | {"max_completion_tokens": 90, "ignore_eos": True}, LIMITS, is_chat=True)
    assert (request.output_tokens, request.finish_reason) == (90, "length")


def test_without_ignore_eos_the_same_prompt_always_ends_at_the_same_length() -> None:
    roomy = Limits("tuned", 100_000, 0)
    bodies = [{"prompt": f"question {number}", "max_tokens": 50_000} for number in range(20)]
    lengths = [parse_generation(body, roomy, is_chat=False).output_tokens for body in bodies]
    assert lengths == [parse_generation(body, roomy, is_chat=False).output_tokens for body in bodies]
    assert len(set(lengths)) > 10
    assert all(parse_generation(body, roomy, is_chat=False).finish_reason == "stop" for body in bodies)
    assert parse_generation(bodies[0] | {"min_tokens": 40_000}, roomy, is_chat=False).output_tokens == 40_000


@pytest.mark.parametrize(
    ("inputs", "counts"), [("one two", [2]), (["one two", "three"], [2, 1]), ([1, 2], [2]), ([[1], [2, 3]], [1, 2])]
)
def test_embedding_inputs_come_alone_or_in_batches(inputs: object, counts: list[int]) -> None:
    prompts, dimensions, as_base64 = parse_embedding({"input": inputs}, LIMITS)
    assert [len(prompt) for prompt in prompts] == counts
    assert (dimensions, as_base64) == (None, False)


@pytest.mark.parametrize(
    "body", [{}, {"input": []}, {"input": "a", "dimensions": 0}, {"input": "a", "encoding_format": "hex"}]
)
def test_wrong_embedding_requests_are_refused(body: object) -> None:
    with pytest.raises(ApiError):
        parse_embedding(body, LIMITS)
