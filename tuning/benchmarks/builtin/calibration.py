"""Finding out how many tokens the engine counts for a prompt, before the load."""

import asyncio
import json
from itertools import cycle, islice

import aiohttp

from tuning.benchmarks.builtin.plan import Calibration, Plan, Task
from tuning.benchmarks.builtin.prompts import Bodies, vocabulary

ATTEMPTS, PAUSE_S = 3, 0.2
MIN_TOKENS_PER_WORD = 0.1


async def calibrate(plan: Plan, session: aiohttp.ClientSession) -> Calibration | None:
    """Ask for the token counts of two prompts and draw a line through them; None when it gets no answer.

    The prompts are the whole vocabulary, once and twice, so the line is exact for the mean word. Where that is more
    than the engine takes, two prompts as long as the plan's own must do. Nothing is random, so that the same tokenizer
    gives the same answer in every experiment.
    """
    words = len(vocabulary())
    longest = max(plan.input_tokens)
    try:
        async with asyncio.timeout(plan.first_token_s):
            for shorter, longer in ((words, 2 * words), (max(1, longest // 4), longest)):
                if found := await _calibrate_with(plan, session, shorter, longer):
                    return found
    except TimeoutError:
        return None
    return None


async def _calibrate_with(plan: Plan, session: aiohttp.ClientSession, shorter: int, longer: int) -> Calibration | None:
    low = await _count(plan, session, shorter)
    high = await _count(plan, session, longer) if low else 0
    if not low or not high:
        return None
    if shorter == longer:
        return Calibration(1.0, low - shorter)
    slope = (high - low) / (longer - shorter)
    return Calibration(slope, high - slope * longer) if slope > MIN_TOKENS_PER_WORD else None


async def _count(plan: Plan, session: aiohttp.ClientSession, words: int) -> int:
    """The engine's token count of a prompt of `words` words; 0 when it gives none."""
    body = _whole_answer(plan, " ".join(islice(cycle(vocabulary()), words)))
    for attempt in range(ATTEMPTS):
        await asyncio.sleep(PAUSE_S * attempt)
        try:
            async with session.post(plan.url, data=body) as response:
                if 400 <= response.status < 500:
                    return 0
                return int(json.loads(await response.read())["usage"]["prompt_tokens"])
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError):
            continue
    return 0


def _whole_answer(plan: Plan, text: str) -> bytes:
    """A request of the plan's kind without streaming, for an answer that holds the usage."""
    body = json.loads(Bodies.of(plan).body(text.encode(), 2))
    if plan.task is Task.CHAT:
        del body["stream_options"]
        body["stream"] = False
    return json.dumps(body).encode()
