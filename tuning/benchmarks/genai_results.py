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
DEBUG_FILES = "debug_for_run_*.json"
"""Written in place of a level file when no request succeeded; same structure, a duration of 0."""
_TO_MS = {"s": 1000.0, "ms": 1.0}


@dataclass(frozen=True)
class Level:
    """One scenario at one concurrency: its requests, and how long it ran (seconds)."""

    scenario: str
    rows: tuple[RequestRow, ...]
    duration_s: float


def find_level(folder: Path, scenario: str, least_output_tokens: int = 0) -> Level | None:
    """The level of `scenario` in `folder`; None when the tool left none.

    Every scenario kind has its own file name, so the files are told apart by what is in them. An answer with fewer than
    `least_output_tokens` is a failed one. BenchmarkError: a file cannot be read.
    """
    paths = [*sorted(folder.glob(LEVEL_FILES)), *sorted(folder.glob(DEBUG_FILES))]
    levels = (read_level(path, least_output_tokens) for path in paths)
    return next((level for level in levels if level.scenario == scenario), None)


def read_level(path: Path, least_output_tokens: int = 0) -> Level:
    """Read one level file; a value that is null or missing leaves out only itself. BenchmarkError: not a level file."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        to_ms = _TO_MS[document.get("_time_unit", "s")]
        aggregated = document["aggregated_metrics"]
        rows = tuple(_row(raw, to_ms, least_output_tokens) for raw in document["individual_request_metrics"])
        return Level(str(aggregated["scenario"]), rows, float(aggregated.get("run_duration") or 0.0))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BenchmarkError(f"{path.name} of genai-bench cannot be read: {type(error).__name__}: {error}") from error


def _row(raw: Mapping[str, Any], to_ms: float, least_output_tokens: int) -> RequestRow:
    if raw.get("error_code") is not None:
        message = f"{raw['error_code']} {str(raw.get('error_message') or '')[:150]}".strip()
        return RequestRow(RequestStatus.HTTP, message=message)
    served = raw.get("num_output_tokens")
    short = served is not None and served < least_output_tokens
    return RequestRow(
        RequestStatus.SHORT_OUTPUT if short else RequestStatus.OK,
        # Without output there is no first token: embeddings have their whole latency here, and a TPOT of 0.
        ttft_ms=None if served == 0 else _scaled(raw.get("ttft"), to_ms),
        tpot_ms=None if served == 0 else _scaled(raw.get("tpot"), to_ms),
        e2e_ms=_scaled(raw.get("e2e_latency"), to_ms),
        input_tokens=int(raw.get("num_input_tokens") or 0),
        output_tokens=int(served or 0),
        message="fewer tokens than asked for" if short else "",
    )


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
