"""What an experiment costs the tuner itself when it is the thousandth of its task, or the 100,000th of the database.

    python -m benchmarks.scale [--experiments 1000] [--history 100000]

Engine and load generator are replaced by ones that do nothing, so that planning, claims, log lines, measurements and
their rows remain. Prints two tables in Markdown. Targets: the last hundred experiments cost at most 1.3 times what the
first hundred cost, and with the history the next claim takes at most 1.3 times as long as in an empty database.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self
from unittest import mock

import django
import numpy as np
import psutil

import benchmarks.database  # noqa: F401  -- before the models
from tuning.benchmarks import registry as load_generators
from tuning.benchmarks.base import LoadRequest
from tuning.deployers import registry as deployers
from tuning.deployers.base import Deployment, DeployRequest, Leftover, Owner
from tuning.document.workload import BenchmarkName
from tuning.engines.base import Command
from tuning.hooks import LogSink, StopCheck
from tuning.models import Experiment, Task, Worker
from tuning.runner import leases, slots
from tuning.runner.dispatch import go_on
from tuning.runner.foreground import Progress, TaskRun
from tuning.runner.intake import create, read_document
from tuning.runner.plans import Plans
from tuning.scoring.metrics import Measurement

TARGET = 1.3
BLOCK = 100
ROWS_PER_TASK = 1000
CLAIMS = 200
NOTHING = Command(("true",))


@dataclass(frozen=True)
class NoDeployment:
    """An engine that is not there."""

    handle: Mapping[str, Any]
    command: Command = NOTHING
    base_url: str = "http://127.0.0.1:9"
    served_name: str = "nothing"
    version: str = ""

    def check(self) -> None:
        """It never ends."""

    def check_serving(self, *, limit_s: float, stop: StopCheck) -> None:
        """It always serves."""


class NoDeployer:
    """Deploys nothing at once."""

    def handle_of(self, owner: Owner) -> Mapping[str, Any]:
        """See `Deployer.handle_of`."""
        return {"experiment": owner.experiment}

    def deploy(self, request: DeployRequest, *, log: LogSink, stop: StopCheck) -> Deployment:
        """See `Deployer.deploy`."""
        log("info", "started")
        return NoDeployment(handle=self.handle_of(request.owner))

    def wait_ready(self, deployment: Deployment, *, limit_s: float, stop: StopCheck) -> None:
        """See `Deployer.wait_ready`."""

    def remove(self, handle: Mapping[str, Any], *, grace_s: float) -> None:
        """See `Deployer.remove`."""

    def started(self, instance: str) -> list[Leftover]:
        """See `Deployer.started`."""
        return []


class NoLoad:
    """Measures nothing at once: always the same numbers."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def warm_up(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> None:
        """See `Benchmark.warm_up`."""

    def run(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> Measurement:
        """See `Benchmark.run`."""
        return Measurement(request.load_point, 1.0, 10, 0, 100.0, 100.0, 10.0, 10.0)


def main() -> int:
    """Measure, print the tables, and return 0 when the targets are met."""
    parser = argparse.ArgumentParser("scale", description="Cost of an experiment as a task and the history grow")
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--history", type=int, default=100_000)
    options = parser.parse_args()
    nothing = dict.fromkeys(BenchmarkName, NoLoad)
    with (
        mock.patch.object(deployers, "_DEPLOYERS", {"local": NoDeployer}),
        mock.patch.object(load_generators, "BENCHMARKS", nothing),
    ):
        print(_heading())
        growth = _print_growth(options.experiments)
        slowdown = _print_history(options.history)
    missed = [name for name, value in {"growth": growth, "history": slowdown}.items() if value > TARGET]
    print(f"\nMissed: {', '.join(missed)}." if missed else "\nEvery target met.")
    return 1 if missed else 0


def _heading() -> str:
    cpus = psutil.cpu_count()
    load = psutil.getloadavg()[0]
    return f"{cpus} CPUs, Python {platform.python_version()}, Django {django.__version__}, load average {load:.1f}\n"


def _print_growth(count: int) -> float:
    """How much more the last experiments of a long task cost than the first."""
    print(f"| strategy, {count} experiments | first {BLOCK}, ms | last {BLOCK}, ms | ratio |\n|---|--:|--:|--:|")
    worst = 0.0
    for strategy in ("grid", "random"):
        costs_ms = _costs_ms(strategy, count)
        first, last = (float(np.median(block)) for block in (costs_ms[:BLOCK], costs_ms[-BLOCK:]))
        worst = max(worst, last / first)
        print(f"| {strategy} | {first:.1f} | {last:.1f} | {last / first:.2f} |")
    return worst


def _costs_ms(strategy: str, count: int) -> list[float]:
    """Milliseconds from one start to the next."""
    starts: list[float] = []

    def note(progress: Progress) -> None:
        if progress.phase == "deploying":
            starts.append(time.monotonic())

    TaskRun(_task(strategy, count), progress=note).run()
    return [1000 * (later - earlier) for earlier, later in pairwise(starts)]


def _task(strategy: str, count: int) -> Task:
    document = {
        "name": f"{strategy} of {count}",
        "engine": {"name": "simulated"},
        "model": {"id": "simulated/llama-8b"},
        "baseline": False,
        "search_space": {"parameters": {"max-num-seqs": {"min": 1, "max": count + 1}, "enforce-eager": [True, False]}},
        "strategy": {"name": strategy},
        "budget": {"experiments": count + 1},
        "workload": {"scenarios": ["D(100,20)"], "concurrency": [4], "requests": 20},
        "objective": {"name": "maximize_throughput"},
    }
    return create(read_document(json.dumps(document)).document)


def _print_history(rows: int) -> float:
    """How much longer planning, claiming and finishing an experiment takes among many finished ones."""
    empty = _steps_ms()
    _fill(rows)
    full = _steps_ms()
    print(f"\n| step | empty database, ms | {rows:,} experiments, ms | ratio |\n|---|--:|--:|--:|")
    for step, before in empty.items():
        print(f"| {step} | {before:.2f} | {full[step]:.2f} | {full[step] / before:.2f} |")
    return full["claim"] / empty["claim"]


def _steps_ms() -> dict[str, float]:
    """Medians of the steps of one experiment of a task with no history of its own."""
    task = _task("grid", CLAIMS)
    Task.objects.filter(pk=task.pk).update(status=Task.Status.RUNNING)
    worker = Worker.objects.create(pk=f"{task.pk}", kind=Worker.Kind.WORKER, node="", host="", pid=1, lease_until=0)
    slots.register()
    plans = Plans()
    taken: list[int] = []
    times: dict[str, list[float]] = {"plan and dispatch": [], "claim": [], "finish": []}
    for _ in range(CLAIMS):
        marks = [time.monotonic()]
        go_on([task.pk], plans, taken.append)
        marks.append(time.monotonic())
        lease = leases.take(taken.pop(), worker=worker.pk)
        marks.append(time.monotonic())
        assert lease is not None  # noqa: S101
        lease.finish(status=Experiment.Status.FAILED, reason="engine_crashed")
        marks.append(time.monotonic())
        for step, (begin, end) in zip(times, pairwise(marks), strict=True):
            times[step].append(1000 * (end - begin))
        Experiment.objects.filter(pk=lease.experiment.pk).update(status=Experiment.Status.SUCCESS)
    Task.objects.filter(pk=task.pk).update(status=Task.Status.CANCELLED)
    return {step: float(np.median(samples)) for step, samples in times.items()}


def _fill(rows: int) -> None:
    """A history of finished experiments in tasks that have ended."""
    for _ in range(rows // ROWS_PER_TASK):
        task = _task("random", ROWS_PER_TASK)
        Task.objects.filter(pk=task.pk).update(status=Task.Status.COMPLETED)
        Experiment.objects.bulk_create(
            Experiment(task=task, number=number, parameters_hash=f"{number}", status="success", attempt=1, claim="done")
            for number in range(1, ROWS_PER_TASK + 1)
        )


if __name__ == "__main__":
    sys.exit(main())
