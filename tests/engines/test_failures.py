"""Why an engine ended, read from real logs."""

import json
import signal
from pathlib import Path

import pytest

from tuning.document.task import EngineName
from tuning.engines.registry import engine_for
from tuning.errors import Reason

LOGS = Path(__file__).parent / "logs"
CASES = json.loads((LOGS / "index.json").read_text())
VLLM = engine_for(EngineName.VLLM)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_a_real_log_is_explained_by_its_reason_and_its_line(case: dict) -> None:
    """Pitfall B7: the class of a failure is a code; the text is for people only."""
    log = (LOGS / case["file"]).read_text(errors="replace").splitlines()
    explanation = engine_for(EngineName(case["engine"])).explain(log, case["exit_code"])
    assert explanation.reason == case["reason"]
    assert case["line"] in explanation.line


@pytest.mark.parametrize(
    ("log", "exit_code", "reason", "words"),
    [
        ([], 1, Reason.ENGINE_CRASHED, "exit code 1"),
        ([], None, Reason.ENGINE_CRASHED, "running"),
        (["starting"], -signal.SIGKILL, Reason.ENGINE_CRASHED, "the kernel may have ended it"),
        (["starting"], 137, Reason.ENGINE_CRASHED, "the kernel may have ended it"),
        (["starting"], -signal.SIGSEGV, Reason.ENGINE_CRASHED, "SIGSEGV"),
        (["Out of memory: Killed process 7 (python)"], 137, Reason.OUT_OF_MEMORY, "Killed process"),
        (["MemoryError"], -signal.SIGKILL, Reason.OUT_OF_MEMORY, "MemoryError"),
        (["INFO CUDA out of memory is avoided", "ValueError: odd"], 1, Reason.ENGINE_CRASHED, "ValueError: odd"),
        (["/usr/bin/python: No module named vllm"], 1, Reason.ENGINE_NOT_FOUND, "No module named vllm"),
        (["ModuleNotFoundError: No module named 'sglang'"], 1, Reason.ENGINE_NOT_FOUND, "sglang"),
        (["ModuleNotFoundError: No module named 'torch'"], 1, Reason.ENGINE_CRASHED, "torch"),
        (["KeyError: 'a'", "RuntimeError: Engine core initialization failed."], 1, Reason.ENGINE_CRASHED, "KeyError"),
        (["x: error: argument --a: invalid int value: 'b'"], 2, Reason.INVALID_CONFIG, "invalid int value"),
        (["OSError: [Errno 98] Address already in use"], 1, Reason.PORT_IN_USE, "already in use"),
    ],
)
def test_a_log_is_explained(log: list[str], exit_code: int | None, reason: Reason, words: str) -> None:
    explanation = VLLM.explain(log, exit_code)
    assert explanation.reason is reason
    assert words in explanation.line


def test_the_explaining_line_is_short_enough_for_a_table() -> None:
    assert len(VLLM.explain(["RuntimeError: " + "x" * 100_000], 1).line) <= 500


def test_the_cause_wins_over_what_follows_from_it() -> None:
    log = [
        "(EngineCore pid=1) ERROR 11-23 18:30:00 [core.py:7] torch.OutOfMemoryError: CUDA out of memory.",
        "RuntimeError: Engine core initialization failed. See root cause above.",
        "OSError: [Errno 98] Address already in use",
    ]
    explanation = VLLM.explain(log, 1)
    assert (explanation.reason, explanation.line) == (
        Reason.OUT_OF_MEMORY,
        "torch.OutOfMemoryError: CUDA out of memory.",
    )
