"""Reading the level files of genai-bench 0.0.5.

Only the rows of single requests and the duration are taken: the file's own `error_rate` is always 0 there, and its
statistics depend on flags. Field names and units: https://github.com/sgl-project/genai-bench, `protocol.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.errors import BenchmarkError
from tuning.scoring.metrics import RequestRow, RequestStatus

LEVEL_FILES = "*_time_*s.json"
_TO_MS = {"s": 1000.0, "ms": 1.0}


@dataclass(frozen=True)
class Level:
    """One scenario at one concurrency: its requests, and how long it ran (seconds)."""

    scenario: str
    rows: tuple[RequestRow, ...]
    duration_s: float


def find_level(folder: Path, scenario: str, output_tokens: int | None = None) -> Level | None:
    """The level of `scenario` in `folder`; None when there is none (no request succeeded).

    Every scenario kind has its own file name, so the files are told apart by what is in them. `output_tokens` are what
    every answer must have, where that is known. BenchmarkError: a file cannot be read.
    """
    levels = (read_level(path, output_tokens) for path in sorted(folder.glob(LEVEL_FILES)))
    return next((level for level in levels if level.scenario == scenario), None)


def read_level(path: Path, output_tokens: int | None = None) -> Level:
    """Read one level file; a value that is null or missing leaves out only itself. BenchmarkError: not a level file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        to_ms = _TO_MS[document.get("_time_unit", "s")]
        aggregated = document["aggregated_metrics"]
        rows = tuple(_row(raw, to_ms, output_tokens) for raw in document["individual_request_metrics"])
        return Level(str(aggregated["scenario"]), rows, float(aggregated.get("run_duration") or 0.0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path.name} of genai-bench cannot be read: {type(error).__name__}: {error}") from error


def _row(raw: Mapping[str, Any], to_ms: float, output_tokens: int | None) -> RequestRow:
    if raw.get("error_code") is not None:
        message = f"{raw['error_code']} {str(raw.get('error_message') or '')[:150]}".strip()
        return RequestRow(RequestStatus.HTTP, message=message)
    served = int(raw.get("num_output_tokens") or 0)
    short = output_tokens is not None and served < output_tokens
    return RequestRow(
        RequestStatus.SHORT_OUTPUT if short else RequestStatus.OK,
        ttft_ms=_scaled(raw.get("ttft"), to_ms),
        tpot_ms=_scaled(raw.get("tpot"), to_ms),
        e2e_ms=_scaled(raw.get("e2e_latency"), to_ms),
        input_tokens=int(raw.get("num_input_tokens") or 0),
        output_tokens=served,
        message="fewer tokens than asked for, although ignore_eos was set" if short else "",
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
