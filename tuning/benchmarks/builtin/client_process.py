"""The client process as the worker sees it: plans are handed over one by one, each is answered when it has been run."""

import contextlib
import json
import os
import queue
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tuning.benchmarks.builtin.measuring import deadline_text
from tuning.benchmarks.builtin.plan import Plan
from tuning.benchmarks.process import POLL_S, TERM_GRACE_S, Child
from tuning.errors import BenchmarkError, Reason
from tuning.hooks import LogSink, StopCheck

ROOT = Path(__file__).parents[3]
HARD_LIMIT_GRACE_S = 5.0
ENDED_BY_TERM = (-signal.SIGTERM, 128 + signal.SIGTERM)


class ClientProcess:
    """A client process that is started at once and replaced when it has ended; `close` must be called.

    `marks` are for its environment.
    """

    def __init__(self, marks: Mapping[str, str]) -> None:
        self._marks = marks
        self._log: LogSink = _nowhere
        self._child: Child | None = self._start()

    def run(self, plan: Plan, plan_file: Path, *, log: LogSink, stop: StopCheck) -> None:
        """Have `plan`, which is in `plan_file`, run to its end.

        BenchmarkError when that failed. A client that may still be at work then, or when `stop` raises, is ended.
        """
        self._log = log
        try:
            problem = self._ask(self._running_child(), plan, plan_file, stop)
        except BaseException:
            self.close()
            raise
        if problem:
            raise BenchmarkError(problem)

    def close(self) -> None:
        """End the process with all that it started; TERM, and KILL after a second."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _running_child(self) -> Child:
        if self._child is None or not self._child.running:
            self.close()
            self._child = self._start()
        return self._child

    def _start(self) -> Child:
        # Each process has its own queue, so that nothing of an ended one is taken for an answer of the next.
        answers: queue.SimpleQueue[dict[str, str] | None] = queue.SimpleQueue()

        def on_line(line: str) -> None:
            answer = _answer(line)
            if answer is None:
                self._log("debug", line)
            else:
                answers.put(answer)

        self._answers = answers
        env = {**os.environ, "PYTHONPATH": str(ROOT), **self._marks}
        command = [sys.executable, "-m", "tuning.benchmarks.builtin"]
        return Child(command, env=env, cwd=ROOT, on_line=on_line, on_end=lambda: answers.put(None))

    def _ask(self, child: Child, plan: Plan, plan_file: Path, stop: StopCheck) -> str:
        """What the client says is wrong with the plan; empty when it was run."""
        give_up_at = time.monotonic() + plan.deadline_s + HARD_LIMIT_GRACE_S
        child.say(json.dumps(str(plan_file)))
        while (left_s := give_up_at - time.monotonic()) > 0:
            stop()
            with contextlib.suppress(queue.Empty):
                answer = self._answers.get(timeout=min(POLL_S, left_s))
                if answer is None:
                    raise BenchmarkError(_last_words(child, stop))
                return answer["problem"]
        raise BenchmarkError(deadline_text(plan) + ", and its client did not end either", Reason.LOAD_POINT_TIMEOUT)


def _last_words(child: Child, stop: StopCheck) -> str:
    code = child.wait(TERM_GRACE_S, stop)
    if code in ENDED_BY_TERM:
        return "the load generator was ended by someone else"
    last_line = child.lines[-1] if child.lines else "without a word"
    return f"the load generator ended with code {code}: {last_line}"


def _answer(line: str) -> dict[str, str] | None:
    """The answer in a line; None when the line is something else, as Python's own warnings are."""
    with contextlib.suppress(ValueError):
        answer = json.loads(line)
        if isinstance(answer, dict) and "problem" in answer:
            return answer
    return None


def _nowhere(level: str, line: str) -> None:
    """Where lines go before there is a load point."""
