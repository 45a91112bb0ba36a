"""What the tuner costs per experiment, beside the engine's own start and the load.

    python -m benchmarks.overhead [--experiments 50]

Runs a task on the simulated engine that starts at once and answers quickly. Overhead is the time from an experiment's
start to the start of the next one, less what the same command takes to be healthy when it is started bare, less the
seconds under load, warm-up included. Prints a table in Markdown. Target: a median of at most 0.3 s, and no growth from
the first ten experiments to the last ten.
"""

import argparse
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

import benchmarks.database  # noqa: F401  -- before the models
from tuning.models import Experiment
from tuning.runner.experiment import results_folder
from tuning.runner.foreground import TaskRun
from tuning.runner.intake import read_document, submit

ROOT = Path(__file__).parents[1]
TARGET_S, GROWTH_S = 0.3, 0.05
"""Growth within GROWTH_S is noise."""
BARE_STARTS, ENDS = 10, 10
STEPS = ("deploy", "ready", "benchmark", "remove")
HEADER = "| s | median | p90 | max | first ten | last ten | deploy | ready | benchmark less load | remove | rest |"


def main() -> int:
    """Measure, print the table, and return 0 when the target is met."""
    parser = argparse.ArgumentParser("overhead", description="Tuner overhead per experiment")
    parser.add_argument("--experiments", type=int, default=50)
    load_average = psutil.getloadavg()[0]
    experiments = _run(parser.parse_args().experiments)
    start_s = float(np.median([_bare_start_s(experiments[-1].command) for _ in range(BARE_STARTS)]))
    loads_s = [_load_s(experiment) for experiment in experiments]
    print(_heading(len(experiments), start_s, loads_s, load_average))
    spans_s = _spans_s(experiments)
    overheads_s = [span_s - start_s - load_s for span_s, load_s in zip(spans_s, loads_s, strict=True)]
    print(_row(experiments, spans_s, overheads_s, loads_s))
    print("\n" + ("; ".join(misses := _misses(overheads_s)) or "Every target met") + ".")
    return 1 if misses else 0


def _run(count: int) -> list[Experiment]:
    """The finished experiments of a task that tries `count` configurations."""
    document = {
        "name": "overhead",
        "engine": {"name": "simulated"},
        "model": {"id": "simulated/llama-8b"},
        "baseline": False,
        "search_space": {
            "parameters": {"max-num-seqs": [64 + number for number in range(count)]},
            "fixed": {"simulate-startup-s": 0, "simulate-ttft-ms": 10, "simulate-tpot-ms": 1},
        },
        "strategy": {"name": "grid"},
        "budget": {"experiments": count},
        "workload": {"scenarios": ["D(100,20)"], "concurrency": [4], "requests": 20, "warmup_requests": 2},
        "objective": {"name": "maximize_throughput"},
    }
    task = submit(read_document(json.dumps(document)).document)
    TaskRun(task).run()
    if failed := task.experiments.exclude(status=Experiment.Status.SUCCESS).first():
        raise SystemExit(f"{failed} did not succeed: {failed.message}")
    return list(task.experiments.order_by("number"))


def _bare_start_s(command: Sequence[str]) -> float:
    """Seconds until the engine is healthy when nothing of the tuner is around."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    where = command.index("--port") + 1
    start = time.monotonic()
    bare = [*command[:where], port, *command[where + 1 :]]
    process = subprocess.Popen(bare, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_healthy(process, f"http://127.0.0.1:{port}/health")
        return time.monotonic() - start
    finally:
        process.terminate()
        process.wait(10)


def _wait_healthy(process: "subprocess.Popen[bytes]", url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError), opener.open(url, timeout=1):
            return
        time.sleep(0.002)
    raise SystemExit("the simulated engine did not start")


def _load_s(experiment: Experiment) -> float:
    """Seconds from the first request to the last answer: of the warm-up and of the load point."""
    summaries = list(results_folder(experiment).glob("load-*/*summary.json"))
    if len(summaries) != 2:
        raise SystemExit(f"{experiment} left {len(summaries)} summaries of its load; there should be two")
    return sum(float(json.loads(path.read_text(encoding="utf-8"))["load_s"]) for path in summaries)


def _s(experiment: Experiment, step: str) -> float:
    return float(getattr(experiment, f"{step}_s"))


def _heading(count: int, start_s: float, loads_s: Sequence[float], load_average: float) -> str:
    about = (
        f"{count} experiments; medians: the engine's own start {start_s:.3f} s, the load {np.median(loads_s):.3f} s. "
        f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {platform.python_version()}; "
        f"load average before: {load_average:.1f}. From deploy on medians of the steps, engine start included."
    )
    return "\n".join([about, "", HEADER, "|" + "---|" * HEADER.count(" | ") + "---|"])


def _spans_s(experiments: Sequence[Experiment]) -> list[float]:
    """Seconds from each start to the next; of the last one its own total."""
    starts = [one.started_at for one in experiments if one.started_at]
    return [(later - start).total_seconds() for start, later in pairwise(starts)] + [_s(experiments[-1], "total")]


def _row(
    experiments: Sequence[Experiment], spans_s: Sequence[float], overheads_s: Sequence[float], loads_s: Sequence[float]
) -> str:
    steps = np.array([[_s(one, step) for step in STEPS] for one in experiments])
    rest = np.array(spans_s) - steps.sum(axis=1)
    steps[:, STEPS.index("benchmark")] -= loads_s
    values = [
        np.median(overheads_s),
        np.percentile(overheads_s, 90),
        max(overheads_s),
        np.median(overheads_s[:ENDS]),
        np.median(overheads_s[-ENDS:]),
        *np.median(steps, axis=0),
        np.median(rest),
    ]
    return "| overhead | " + " | ".join(f"{value:.3f}" for value in values) + " |"


def _misses(overheads_s: Sequence[float]) -> list[str]:
    """What is beyond the targets."""
    median = float(np.median(overheads_s))
    growth = float(np.median(overheads_s[-ENDS:]) - np.median(overheads_s[:ENDS]))
    misses = [f"The median is {median:.3f} s, allowed {TARGET_S:g}"] if median > TARGET_S else []
    return misses + ([f"It grew by {growth:.3f} s, allowed {GROWTH_S:g}"] if growth > GROWTH_S else [])


if __name__ == "__main__":
    sys.exit(main())
