"""The client process: `python -m tuning.benchmarks.builtin`.

Its standard input, a pipe, names plans, one a line: the path of a file, as JSON. For each it makes every prompt, loads
the engine, only then writes the rows and a summary, and answers with one line `{"problem": ""}`, or says there what is
wrong with the plan. SIGTERM, and the end of its standard input (the worker is gone), end the load at once, and the
process with it.
"""

import asyncio
import gc
import json
import platform
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aiohttp

from tuning.benchmarks.builtin.calibration import calibrate
from tuning.benchmarks.builtin.client import open_session
from tuning.benchmarks.builtin.dataset import DatasetProblem
from tuning.benchmarks.builtin.load import Load
from tuning.benchmarks.builtin.plan import Plan
from tuning.benchmarks.builtin.prompts import prompts_of
from tuning.benchmarks.builtin.rows import write_rows
from tuning.benchmarks.files import writing
from tuning.errors import BenchmarkError


def main() -> int:
    """Run every plan that is named on the standard input; 0 at its end, 143 when SIGTERM ended a load."""
    # What exists now lives to the end; looking through it again and again would hold up the answers.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    while line := sys.stdin.readline():
        try:
            problem = _run(Path(json.loads(line)))
        except asyncio.CancelledError:
            return 128 + signal.SIGTERM
        print(json.dumps({"problem": problem}), flush=True)  # noqa: T201
    return 0


def _run(plan_file: Path) -> str:
    """Run one plan; what is wrong with it, or nothing. CancelledError, after the rows are written: told to stop."""
    gc.collect()  # what the plan before has left
    try:
        load = asyncio.run(_load(Plan.read(plan_file)))
        rows = Path(load.plan.rows_file)
        with writing(rows.parent):
            write_rows(rows, load.rows)
            Path(load.plan.summary_file).write_text(json.dumps(_summary(load)), encoding="utf-8")
    except (DatasetProblem, BenchmarkError) as problem:
        return str(problem)
    if load.ended == "stopped":
        raise asyncio.CancelledError
    return ""


async def _load(plan: Plan) -> Load:
    give_up_at = time.monotonic() + plan.deadline_s
    this = asyncio.current_task()
    assert this is not None  # noqa: S101
    _when_told_to_stop(this.cancel)
    async with open_session(plan) as session:
        if plan.calibration is None and plan.dataset is None:
            plan = replace(plan, calibration=await calibrate(plan, session))
        load = Load(plan, prompts_of(plan), session)
        _when_told_to_stop(lambda: load.end("stopped"))
        gc.collect()
        await load.run(max(0.0, give_up_at - time.monotonic()))
    return load


def _when_told_to_stop(stop: Callable[[], object]) -> None:
    """Have SIGTERM and the end of the standard input call `stop`, in place of what they called before.

    Nothing is written there during a load, so the input has ended as soon as there is something to read.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.remove_reader(0)
    loop.add_reader(0, stop)


def _summary(load: Load) -> dict[str, Any]:
    lags = sorted(load.lags_s) or [0.0]
    return {
        "ended": load.ended,
        "window_end_s": load.window_end_s,
        "wall_clock_s": load.wall_clock_s,
        "cpu_s": load.cpu_s,
        "load_s": load.load_s,
        "lag_p99_ms": lags[int(0.99 * (len(lags) - 1))] * 1000,
        "repeated_prompts": load.prompts.repeated,
        "calibration": asdict(load.plan.calibration) if load.plan.calibration else None,
        "python": platform.python_version(),
        "aiohttp": aiohttp.__version__,
    }


if __name__ == "__main__":
    sys.exit(main())
