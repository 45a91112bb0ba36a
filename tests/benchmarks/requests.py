"""Load requests for tests, and what is handed down with them."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from tuning.benchmarks.base import LoadRequest
from tuning.deployers.processes import environment
from tuning.document.goals import SLO, Limits
from tuning.document.workload import Workload


def load_request(
    url: str,
    folder: Path,
    *,
    limits: dict[str, Any] | None = None,
    slo: SLO | None = None,
    index: int = 0,
    **workload: Any,
) -> LoadRequest:
    """The load point `index` of a small workload."""
    document = Workload(**{"scenarios": ("D(20,8)",), "requests": 8, "seconds": 30, **workload})
    return LoadRequest(
        base_url=url,
        served_name="sim",
        tokenizer="sim",
        workload=document,
        load_point=document.load_points[index],
        index=index,
        slo=slo or SLO(),
        limits=Limits(**(limits or {})),
        folder=folder,
    )


MARKS = {
    "AUTOTUNER_INSTANCE": "of these tests",
    "AUTOTUNER_TASK": "1",
    "AUTOTUNER_EXPERIMENT": "2",
    "AUTOTUNER_ATTEMPT": "3",
}
END_S = 4.0
"""How long a load may outlive a worker that was killed: 2 s, twice for a busy machine."""


class Log(list[tuple[str, str]]):
    """A LogSink that remembers."""

    def __call__(self, level: str, text: str) -> None:
        self.append((level, text))

    def texts(self, level: str) -> list[str]:
        """The lines of one level."""
        return [text for own, text in self if own == level]


def still_running(processes: Iterable[psutil.Process], *, limit_s: float = 10) -> list[psutil.Process]:
    """Those of `processes` that have not ended after `limit_s`; a zombie that nobody reaps has ended."""
    alive, give_up_at = list(processes), time.monotonic() + limit_s
    while (alive := [process for process in alive if _lives(process)]) and time.monotonic() < give_up_at:
        time.sleep(0.02)
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def bear(processes: Iterable[psutil.Process], marks: Mapping[str, str]) -> bool:
    """Whether every one of `processes` has `marks` in its environment."""
    return all(marks.items() <= environment(process).items() for process in processes)


def never() -> None:
    """A StopCheck that lets everything go on."""


class GiveUp(Exception):
    """What a StopCheck raises in tests."""
