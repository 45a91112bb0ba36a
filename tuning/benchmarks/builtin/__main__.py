"""The client process: `python -m tuning.benchmarks.builtin PLAN`.

It reads the plan, makes every prompt, loads the engine, and only then writes the rows and a summary. SIGTERM, and the
end of its standard input (the worker is gone), end the load at once. Exit code 0: the summary tells how it went; 3: one
line on standard output says what is wrong.
"""

import asyncio
import gc
import json
import os
import platform
import signal
import stat
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
from tuning.benchmarks.builtin.plan import REFUSED, Plan
from tuning.benchmarks.builtin.prompts import prompts_of
from tuning.benchmarks.builtin.rows import write_rows
from tuning.benchmarks.files import writing
from tuning.errors import BenchmarkError


def main(arguments: list[str]) -> int:
    """Run the plan named by the only argument."""
    try:
        asyncio.run(_run(Plan.read(Path(arguments[0]))))
    except (DatasetProblem, BenchmarkError) as problem:
        print(problem, flush=True)  # noqa: T201
        return REFUSED
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    return 0


async def _run(plan: Plan) -> None:
    give_up_at = time.monotonic() + plan.deadline_s
    this = asyncio.current_task()
    assert this is not None  # noqa: S101
    _when_told_to_stop(this.cancel)
    async with open_session(plan) as session:
        if plan.calibration is None and plan.dataset is None:
            plan = replace(plan, calibration=await calibrate(plan, session))
        load = Load(plan, prompts_of(plan), session)
        await _run_alone(load, give_up_at - time.monotonic())
    rows = Path(plan.rows_file)
    with writing(rows.parent):
        write_rows(rows, load.rows)
        Path(plan.summary_file).write_text(json.dumps(_summary(load)), encoding="utf-8")


async def _run_alone(load: Load, deadline_s: float) -> None:
    _when_told_to_stop(lambda: load.end("stopped"))
    # What exists now lives to the end; looking through it again and again would hold up the answers.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    await load.run(max(0.0, deadline_s))


def _when_told_to_stop(stop: Callable[[], object]) -> None:
    """Have SIGTERM and the end of the standard input call `stop`, in place of what they called before."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
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
    sys.exit(main(sys.argv[1:]))
