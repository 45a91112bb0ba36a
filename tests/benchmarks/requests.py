"""Load requests for tests, and what is handed down with them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tuning.benchmarks.base import LoadRequest
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


class Log(list[tuple[str, str]]):
    """A LogSink that remembers."""

    def __call__(self, level: str, text: str) -> None:
        self.append((level, text))

    def texts(self, level: str) -> list[str]:
        """The lines of one level."""
        return [text for own, text in self if own == level]


def still_running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those of `processes` that have not ended after 10 s; a zombie that nobody reaps has ended."""
    _, alive = psutil.wait_procs(list(processes), timeout=10)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def never() -> None:
    """A StopCheck that lets everything go on."""


class GiveUp(Exception):
    """What a StopCheck raises in tests."""
