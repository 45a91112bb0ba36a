"""Finding out how many tokens the engine counts for a prompt, before the load."""

import asyncio
import json
from dataclasses import replace

import aiohttp

from tuning.benchmarks.builtin.plan import Calibration, Phase, Plan, Task
from tuning.benchmarks.builtin.prompts import Bodies, prompts_of

ATTEMPTS, PAUSE_S = 3, 0.2
LONGEST_WORDS = 512
MIN_TOKENS_PER_WORD = 0.1


async def calibrate(plan: Plan, session: aiohttp.ClientSession) -> Calibration | None:
    """Ask for the token counts of a short and a long prompt and draw a line through them; None when it gets no answer.

    Two requests with two tokens of output each. Nothing in it is random, so that the same tokenizer gives the same
    answer in every experiment.
    """
    long = min(LONGEST_WORDS, max(plan.input_tokens))
    sizes = (max(1, long // 4), long)
    trial = replace(plan, phase=Phase.CALIBRATION, input_tokens=sizes, output_tokens=(1, 1), calibration=Calibration())
    try:
        async with asyncio.timeout(plan.first_token_s):
            shorter = await _count(trial, session, 0)
            longer = await _count(trial, session, 1) if shorter else 0
    except TimeoutError:
        return None
    return _line_through(sizes, (shorter, longer)) if shorter and longer else None


def _line_through(words: tuple[int, int], tokens: tuple[int, int]) -> Calibration | None:
    """The calibration that gives both counts; None when tokens hardly grow with words (useless counts)."""
    if words[0] == words[1]:
        return Calibration(1.0, tokens[0] - words[0])
    slope = (tokens[1] - tokens[0]) / (words[1] - words[0])
    return Calibration(slope, tokens[1] - slope * words[1]) if slope > MIN_TOKENS_PER_WORD else None


async def _count(trial: Plan, session: aiohttp.ClientSession, index: int) -> int:
    text = prompts_of(trial).text(index, trial.input_tokens[index])
    body = _whole_answer(trial, text)
    for attempt in range(ATTEMPTS):
        await asyncio.sleep(PAUSE_S * attempt)
        try:
            async with session.post(trial.url, data=body) as response:
                return int(json.loads(await response.read())["usage"]["prompt_tokens"])
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError):
            continue
    return 0


def _whole_answer(trial: Plan, text: bytes) -> bytes:
    """The same request without streaming, for an answer that holds the usage."""
    body = json.loads(Bodies.of(trial).body(text, 2))
    if trial.task is Task.CHAT:
        body.pop("stream_options")
        body["stream"] = False
    return json.dumps(body).encode()
