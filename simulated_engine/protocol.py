"""Requests of the OpenAI API: reading, checking, counting tokens.

A token is a word: whatever stands between blanks. It is the rule of ``/tokenize`` and of every count in answers.
"""

import math
import random
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from simulated_engine.errors import ApiError

DEFAULT_COMPLETION_TOKENS = 16
#: Answers without ignore_eos end by themselves after a log-normal number of tokens.
NATURAL_LENGTH_MEDIAN = 180
NATURAL_LENGTH_SIGMA = 0.6

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests are checked against."""

    served_name: str
    max_model_len: int
    seed: int


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A checked request. ``output_tokens`` will be generated, and then it ends for ``finish_reason``."""

    prompt: Sequence[Hashable]
    output_tokens: int
    finish_reason: str
    priority: int
    is_chat: bool
    stream: bool
    include_usage: bool
    continuous_usage: bool


def parse_generation(body: object, limits: Limits, *, is_chat: bool) -> GenerationRequest:
    """Check the body of a completion or chat completion. Raises ApiError."""
    fields = _checked_object(body, limits)
    prompt = _chat_prompt(fields) if is_chat else _prompt(fields.get("prompt"), "prompt")
    stream = _boolean(fields, "stream")
    include_usage, continuous_usage = _stream_options(fields, stream=stream)
    if _integer(fields, "n", 1, minimum=1) != 1:
        raise ApiError(400, "The simulated engine generates one choice per request: n must be 1.", "n")
    _check_sampling(fields)
    output_tokens, finish_reason = _output_length(fields, prompt, limits, is_chat=is_chat)
    return GenerationRequest(
        prompt=prompt,
        output_tokens=output_tokens,
        finish_reason=finish_reason,
        priority=_integer(fields, "priority", 0),
        is_chat=is_chat,
        stream=stream,
        include_usage=include_usage,
        continuous_usage=continuous_usage,
    )


def parse_embedding(body: object, limits: Limits) -> tuple[list[Sequence[Hashable]], int | None, bool]:
    """The inputs of an embeddings request, the wanted dimensions, and whether they go out as base64."""
    fields = _checked_object(body, limits)
    inputs: Any = fields.get("input")
    is_batch = isinstance(inputs, list) and inputs and isinstance(inputs[0], (str, list))
    prompts = [_prompt(entry, "input") for entry in (inputs if is_batch else [inputs])]
    for prompt in prompts:
        _check_length(len(prompt), 0, limits)
    dimensions = fields.get("dimensions")
    encoding = fields.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise ApiError(400, "encoding_format must be 'float' or 'base64'.", "encoding_format")
    return prompts, None if dimensions is None else _integer(fields, "dimensions", 1, minimum=1), encoding == "base64"


def parse_tokenize(body: object, limits: Limits) -> Sequence[Hashable]:
    """The tokens of a ``/tokenize`` request."""
    fields = _checked_object(body, limits)
    return _chat_prompt(fields) if "messages" in fields else _prompt(fields.get("prompt"), "prompt")


def _checked_object(body: object, limits: Limits) -> Body:
    if not isinstance(body, dict):
        raise ApiError(400, "The request body must be a JSON object.")
    model = body.get("model")
    if model is not None and model != limits.served_name:
        raise ApiError(404, f"The model `{model}` does not exist.", "model")
    return body


def _chat_prompt(fields: Body) -> Sequence[Hashable]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages: a list with at least one message is required.", "messages")
    words: list[str] = []
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError(400, "messages: each message needs a role.", "messages")
        content = message.get("content")
        if content is not None:
            words.extend(_text(content, "messages").split())
    return words


def _prompt(prompt: object, param: str) -> Sequence[Hashable]:
    """A text, token ids, content parts, or a list with one of these."""
    if isinstance(prompt, list) and prompt:
        if all(type(token) is int for token in prompt):
            return prompt
        if len(prompt) == 1 and isinstance(prompt[0], (str, list)):
            return _prompt(prompt[0], param)
        if all(isinstance(entry, (str, list)) for entry in prompt):
            raise ApiError(400, f"{param}: the simulated engine takes one prompt per request.", param)
    words = _text(prompt, param).split()
    if not words:
        raise ApiError(400, f"{param}: a text or a list of token ids that is not empty is required.", param)
    return words


def _text(content: object, param: str) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return " ".join(_part_text(part, param) for part in content)
    raise ApiError(400, f"{param}: expected a text or a list of content parts.", param)


def _part_text(part: Body, param: str) -> str:
    text = part.get("text")
    if part.get("type", "text") != "text" or not isinstance(text, str):
        raise ApiError(400, f"{param}: the simulated engine reads content parts of type text only.", param)
    return text


def _stream_options(fields: Body, *, stream: bool) -> tuple[bool, bool]:
    options = fields.get("stream_options")
    if options is None:
        return False, False
    if not stream:
        raise ApiError(400, "Stream options can only be defined when `stream=True`.", "stream_options")
    if not isinstance(options, dict):
        raise ApiError(400, "stream_options: expected an object.", "stream_options")
    include = _boolean(options, "include_usage")
    return include, include and _boolean(options, "continuous_usage_stats")


def _check_sampling(fields: Body) -> None:
    for name, low, high in (("temperature", 0.0, math.inf), ("top_p", 0.0, 1.0)):
        value = fields.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise ApiError(400, f"{name} must be a number from {low:g} to {high:g}, got {value!r}.", name)


def _output_length(fields: Body, prompt: Sequence[Hashable], limits: Limits, *, is_chat: bool) -> tuple[int, str]:
    name = "max_completion_tokens" if is_chat and fields.get("max_completion_tokens") is not None else "max_tokens"
    room = limits.max_model_len - len(prompt)
    default = max(room, 1) if is_chat else DEFAULT_COMPLETION_TOKENS
    allowed = _integer(fields, name, default, minimum=1)
    shortest = _integer(fields, "min_tokens", 0, minimum=0)
    if shortest > allowed:
        raise ApiError(400, f"min_tokens must be less than or equal to max_tokens={allowed}, got {shortest}.")
    _check_length(len(prompt), allowed, limits)
    if _boolean(fields, "ignore_eos"):
        return allowed, "length"
    natural = max(_natural_length(prompt, limits.seed), shortest)
    return (natural, "stop") if natural < allowed else (allowed, "length")


def _check_length(prompt_tokens: int, output_tokens: int, limits: Limits) -> None:
    total = prompt_tokens + output_tokens
    if total <= limits.max_model_len:
        return
    raise ApiError(
        400,
        f"This model's maximum context length is {limits.max_model_len} tokens. However, you requested {total} tokens "
        f"({prompt_tokens} in the messages, {output_tokens} in the completion). Please reduce the length of the "
        "messages or completion.",
    )


def _natural_length(prompt: Sequence[Hashable], seed: int) -> int:
    """The same prompt always gets the same length."""
    rng = random.Random(zlib.crc32(repr((seed, *prompt)).encode()))  # noqa: S311 - not a secret
    return max(1, round(NATURAL_LENGTH_MEDIAN * rng.lognormvariate(0, NATURAL_LENGTH_SIGMA)))


def _boolean(fields: Body, name: str) -> bool:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ApiError(400, f"{name} must be a boolean, got {value!r}.", name)


def _integer(fields: Body, name: str, default: int, *, minimum: int | None = None) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if type(value) is not int:
        raise ApiError(400, f"{name} must be an integer, got {value!r}.", name)
    if minimum is not None and value < minimum:
        raise ApiError(400, f"{name} must be at least {minimum}, got {value}.", name)
    return value
