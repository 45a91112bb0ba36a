"""Finding out how many tokens the engine counts for a prompt, before the load."""

import asyncio
import json
from dataclasses import replace

import aiohttp

from tuning.benchmarks.builtin.plan import Calibration, Phase, Plan, Task
from tuning.benchmarks.builtin.prompts import Bodies, prompts_of

ATTEMPTS, PAUSE_S = 4, 0.25
LONGEST_WORDS = 512


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
            counts = [await _count(trial, session, index) for index in range(2)]
    except TimeoutError:
        return None
    if not all(counts):
        return None
    if sizes[0] == sizes[1]:
        return Calibration(1.0, counts[0] - sizes[0])
    slope = (counts[1] - counts[0]) / (sizes[1] - sizes[0])
    return Calibration(slope, counts[1] - slope * sizes[1]) if slope > 0.1 else None


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
