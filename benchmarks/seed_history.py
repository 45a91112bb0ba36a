"""Fills an empty installation with the history of three months, to measure pages and to look at them.

    AUTOTUNER_DATA_DIR=/tmp/history python -m benchmarks.seed_history [--tasks 1000] [--experiments 100000]
        [--measurements 1000000] [--log-lines 10000000] [--long-log 100000]

SQLite only, written past the ORM in one transaction. Tasks lie evenly over 90 days; the last one is running, one has
500 experiments, and one experiment of that a long log. Numbers come from a smooth model with noise and are judged by
the tuner's own scoring, so that pages show what they would show of a real task. Prints how long it took and how large
the file is.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "autotuner_site.settings")
if __name__ == "__main__":
    if not os.environ.get("AUTOTUNER_DATA_DIR"):
        sys.exit("Give the data folder that is to be filled: AUTOTUNER_DATA_DIR=/tmp/history")
    django.setup()

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.models import Model
from django.utils import timezone

from tuning.document.task import TaskDocument
from tuning.document.workload import LoadPoint
from tuning.models import Experiment, LogLine, MeasurementRow, Task, Worker
from tuning.runner.intake import columns_of, read_document
from tuning.runner.results import TaskResults
from tuning.scoring.metrics import LATENCIES, Distribution, Measurement
from tuning.scoring.objectives import judge

DAYS = 90
LARGE_TASK = 500
CONCURRENCY = (1, 2, 4, 8, 16, 32, 64, 128)
GRID: dict[str, list[Any]] = {
    "max-num-seqs": [16, 32, 64, 128, 256, 384, 512, 1024],
    "max-num-batched-tokens": [1024, 2048, 4096, 6144, 8192, 12288, 16384, 32768],
    "gpu-memory-utilization": [0.8, 0.85, 0.9, 0.95],
    "kv-cache-dtype": ["auto", "fp8"],
    "enable-prefix-caching": [True, False],
}
GOALS: tuple[dict[str, Any], ...] = (
    {"objective": {"name": "maximize_throughput"}, "slo": {"ttft_ms": {"p99": 900}, "tpot_ms": {"p99": 45}}},
    {"objective": {"name": "minimize_ttft", "statistic": "p90"}, "slo": {"error_rate": 0.01}},
    {"objective": {"name": "maximize_goodput"}, "slo": {"ttft_ms": {"p90": 500}, "tpot_ms": {"p90": 40}}},
)
MODELS = ("Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "mistralai/Mistral-Small-3.2-24B-Instruct-2506")
FAILURES = (
    ("out_of_memory", "CUDA out of memory: tried to allocate 2.25 GiB with 1.10 GiB free."),
    ("engine_crashed", "The engine ended with exit code 1 while it was loaded."),
    ("startup_timeout", "The engine did not become ready within 900 s."),
    ("benchmark_failed", "12 requests completed, 100 are needed; most often: timeout"),
)
LINES = (
    ("info", "engine", "INFO [loggers.py:127] Engine 000: Avg prompt throughput: {a}.3 tokens/s, Avg generation "
     "throughput: {b}.8 tokens/s, Running: {c} reqs, Waiting: {d} reqs, GPU KV cache usage: {c}.4%"),
    ("info", "engine", 'INFO:     127.0.0.1:{a} - "POST /v1/completions HTTP/1.1" 200 OK'),
    ("info", "engine", "INFO [gpu_model_runner.py:2653] Graph capturing finished in {c} secs, took 0.{d} GiB"),
    ("info", "benchmark", "load point {c}: {b} of 1000 requests done, {d} running, {a} output tokens/s"),
    ("warning", "engine", "WARNING [scheduler.py:311] Sequence group {a} is preempted: {d} blocks left"),
    ("info", "runner", "measuring load point {c} for at most 120 s"),
    ("error", "engine", "ERROR [async_llm.py:{c}] request cmpl-{a} was aborted: client disconnected after {b} ms"),
)  # fmt: skip
WEIGHTS = (40, 30, 5, 20, 3, 1, 1)


@dataclass(frozen=True)
class Size:
    """How many rows of each kind at least; the long log is one of the log lines."""

    tasks: int = 1000
    experiments: int = 100_000
    measurements: int = 1_000_000
    log_lines: int = 10_000_000
    long_log: int = 100_000


@dataclass(frozen=True)
class Plan:
    """A task that is to be written."""

    pk: int
    name: str
    document: TaskDocument
    status: str
    begin: datetime
    experiments: int

    @property
    def is_open(self) -> bool:
        """Whether its last experiment is under way."""
        return self.status == Task.Status.RUNNING


class Table:
    """Writes rows of a model with its default for every column that is not named."""

    def __init__(self, db: sqlite3.Connection, model: type[Model]) -> None:
        self._db = db
        self._table = model._meta.db_table
        self._defaults = {
            field.column: _literal(db, field.get_db_prep_save(field.get_default(), connection))
            for field in model._meta.concrete_fields
            if not field.primary_key
        }

    def insert(self, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows of these columns, which are ready for the database."""
        others = {name: value for name, value in self._defaults.items() if name not in columns and value != "NULL"}
        names = ", ".join(f'"{name}"' for name in (*columns, *others))
        values = ", ".join([*("?" for _ in columns), *others.values()])
        self._db.executemany(f'INSERT INTO "{self._table}" ({names}) VALUES ({values})', rows)  # noqa: S608


def _literal(db: sqlite3.Connection, value: Any) -> str:
    ready = str(value) if isinstance(value, datetime) else value
    return str(db.execute("select quote(?)", (ready,)).fetchone()[0])


def main() -> int:
    """Fill the installation of AUTOTUNER_DATA_DIR; 1 when it is not empty."""
    parser = argparse.ArgumentParser("seed_history", description="Fill an empty installation with a history")
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=value)
    size = Size(**vars(parser.parse_args()))
    call_command("migrate", verbosity=0)
    if Task.objects.exists():
        print("There are tasks already; give another AUTOTUNER_DATA_DIR.", file=sys.stderr)
        return 1
    start = time.monotonic()
    seed(size)
    path = Path(settings.DATABASES["default"]["NAME"])
    print(f"{' '.join(_counts())} in {time.monotonic() - start:.0f} s, {path.stat().st_size / 1e9:.2f} GB")
    return 0


def seed(size: Size) -> None:
    """Write the history into the empty database that settings name."""
    random.seed(7)
    path = settings.DATABASES["default"]["NAME"]
    connection.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA cache_size=-1000000")
        db.execute("BEGIN IMMEDIATE")
        _write(db, size)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _note_the_best()


def _counts() -> Iterator[str]:
    for model in (Task, Experiment, MeasurementRow, LogLine):
        yield f"{model.objects.count():,} {model._meta.verbose_name_plural},"


def _write(db: sqlite3.Connection, size: Size) -> None:
    plans = list(_plans(size))
    Table(db, Task).insert(_TASK, (_task_row(plan) for plan in plans))
    Table(db, Worker).insert(("id", "kind", "node", "host", "pid", "lease_until"), [_WORKER])
    experiments, measurements, lines = Table(db, Experiment), Table(db, MeasurementRow), Table(db, LogLine)
    large = max(plans, key=lambda plan: plan.experiments)
    each = max(size.log_lines - size.long_log, 0) // max(size.experiments, 1)
    pk = 0
    for plan in plans:
        rows, points, logs = [], [], []
        for number, parameters in enumerate(_configurations(plan), start=1):
            pk += 1
            row, measured = _experiment(plan, pk, number, parameters)
            rows.append(row)
            points += [_measurement_row(pk, index, point) for index, point in enumerate(measured)]
            many = size.long_log if plan is large and number == 1 else each
            logs.append(_lines(plan, pk, row["started_at"], row["finished_at"], many))
        experiments.insert(tuple(rows[0]), (tuple(row.values()) for row in rows))
        measurements.insert(_MEASUREMENT, points)
        lines.insert(_LINE, itertools.chain.from_iterable(logs))


def _plans(size: Size) -> Iterator[Plan]:
    """The tasks, oldest first; the last one runs, and the one before the last is the large one."""
    now = timezone.now()
    large = min(LARGE_TASK, size.experiments)
    share = max(math.ceil((size.experiments - large) / max(size.tasks - 1, 1)), 2)
    points = max(1, math.ceil(size.measurements / size.experiments / 0.85))
    documents = list(_documents(points))
    for index in range(size.tasks):
        begin = now - timedelta(days=DAYS) * (1 - index / size.tasks)
        status = random.choices(("completed", "cancelled", "failed"), (90, 6, 4))[0]
        count = large if index == max(size.tasks - 2, 0) else share
        if index == size.tasks - 1:
            status, begin = "running", now - timedelta(minutes=40)
        name, document = documents[index % len(documents)]
        yield Plan(index + 1, f"{name} {index + 1}", document, status, begin, count)


def _documents(points: int) -> Iterator[tuple[str, TaskDocument]]:
    scenarios = ["D(512,128)"] if points == 1 else ["D(512,128)", "D(2000,200)"]
    for model, goal in itertools.product(MODELS, GOALS):
        name = f"{model.rpartition('/')[2].lower()} {goal['objective']['name']}"
        plan = {
            "name": name,
            "description": "Which batching limits serve long chat prompts best?",
            "engine": {"name": "vllm"},
            "model": {"id": model},
            "search_space": {"parameters": GRID, "fixed": {"max-model-len": 8192}},
            "strategy": {"name": "random", "seed": 7},
            "budget": {"experiments": LARGE_TASK},
            "workload": {"scenarios": scenarios, "concurrency": CONCURRENCY[: math.ceil(points / len(scenarios))]},
            **goal,
        }
        yield name, read_document(json.dumps(plan)).document


_TASK = ("id", "name", "run", "document", "document_digest", "status", "message", "created_at", "started_at",
         "finished_at", "worked_s")  # fmt: skip
_WORKER = ("seed", "worker", "elsewhere", "gpu-1", 1, 0.0)
_LINE = ("task_id", "experiment_id", "at", "level", "source", "text")
_MEASUREMENT = ("experiment_id", "index", "scenario", "concurrency", "window_s", "completed", "failed",
                "output_tokens_per_s", "input_tokens_per_s", "requests_per_s", "goodput_requests_per_s",
                *LATENCIES)  # fmt: skip
_RANKED = ("task", "number", "parameters_hash", "status", "is_baseline", "value", "feasible", "violations")
EXPERIMENT_S = 20.0


def _task_row(plan: Plan) -> tuple[Any, ...]:
    columns = columns_of(plan.document.model_copy(update={"name": plan.name}))
    ended = None if plan.is_open else _text(plan.begin + timedelta(seconds=plan.experiments * EXPERIMENT_S))
    message = "" if plan.is_open else "The budget of configurations is used up."
    begin = _text(plan.begin)
    return (plan.pk, plan.name, 1, json.dumps(columns["document"]), columns["document_digest"], plan.status, message,
            begin, begin, ended, plan.experiments * EXPERIMENT_S)  # fmt: skip


def _configurations(plan: Plan) -> list[dict[str, Any]]:
    """The baseline, and others in a random order."""
    grid = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    return [{}, *random.sample(grid, plan.experiments - 1)]


def _experiment(plan: Plan, pk: int, number: int, parameters: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The columns of an experiment, and its measurements."""
    is_last = number == plan.experiments
    begin = plan.begin + timedelta(seconds=(number - 1) * EXPERIMENT_S)
    status = _status(plan, number, is_last=is_last)
    took_s = random.uniform(0.6, 0.98) * EXPERIMENT_S
    row: dict[str, Any] = dict.fromkeys(("value", "feasible", "load_point", "finished_at", "total_s", "worker_id"))
    row |= {"id": pk, "task_id": plan.pk, "number": number, "is_baseline": number == 1, "status": status}
    row |= {"parameters": json.dumps(parameters), "parameters_hash": _hash(parameters), "attempt": 1, "reason": ""}
    row |= {"message": "", "violations": "[]", "missed": "[]", "claim": f"seed-{pk}", "engine_version": "0.11.2"}
    row |= {"created_at": _text(begin), "started_at": _text(begin), "command_line": _command_line(plan, parameters)}
    row |= dict.fromkeys(("deploy_s", "ready_s", "benchmark_s", "remove_s"))
    if status in Experiment.ACTIVE:
        return {**row, "worker_id": "seed", "deploy_s": 1.0, "ready_s": 6.0}, ()
    row |= {"finished_at": _text(begin + timedelta(seconds=took_s)), "total_s": took_s}
    if status == "failed":
        row["reason"], row["message"] = random.choice(FAILURES)
        return row, ()
    measured = list(_measured(plan.document, parameters))
    verdict = judge(plan.document.objective, plan.document.slo, measured, gpus=1)
    row |= {"value": verdict.value, "feasible": verdict.feasible, "load_point": verdict.point}
    row |= {"violations": json.dumps(verdict.violations), "missed": json.dumps(verdict.missed)}
    times_s = {"deploy_s": 0.05, "ready_s": 0.3, "benchmark_s": 0.6, "remove_s": 0.05}
    return {**row, **{name: share * took_s for name, share in times_s.items()}}, measured


def _status(plan: Plan, number: int, *, is_last: bool) -> str:
    if is_last and plan.is_open:
        return "benchmarking"
    if number == 1:
        return "success"
    return "failed" if random.random() < (0.6 if plan.status == "failed" else 0.1) else "success"


def _hash(parameters: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parameters).encode()).hexdigest()


def _command_line(plan: Plan, parameters: dict[str, Any]) -> str:
    flags = " ".join(f"--{name} {value}" for name, value in parameters.items())
    return f"vllm serve {plan.document.model.id} --host 127.0.0.1 --port 8000 --max-model-len 8192 {flags}"


def _measured(document: TaskDocument, parameters: dict[str, Any]) -> Iterator[Measurement]:
    """A throughput that saturates with the streams, sooner for small batches; latencies that grow from there."""
    seqs, tokens = parameters.get("max-num-seqs", 256), parameters.get("max-num-batched-tokens", 8192)
    faster = (1.15 if parameters.get("kv-cache-dtype") == "fp8" else 1.0) * (tokens / 8192) ** 0.08
    for point in document.workload.load_points:
        streams = point.concurrency or 1
        load = min(streams, seqs) / 40
        tokens_per_s = 2400 * faster * load / (1 + load) * random.uniform(0.97, 1.03)
        tpot_ms = 1000 * min(streams, seqs) / tokens_per_s
        ttft_ms = 60 + 4.5 * streams * (8192 / tokens) ** 0.2 + 30 * max(streams - seqs, 0)
        means = (ttft_ms, tpot_ms, tpot_ms * 0.98, ttft_ms + 128 * tpot_ms)
        yield _measurement(point, tokens_per_s, dict(zip(LATENCIES, map(_distribution, means), strict=True)))


def _measurement(point: LoadPoint, tokens_per_s: float, latencies: dict[str, Distribution]) -> Measurement:
    requests = tokens_per_s / 128
    failed = 3 if random.random() < 0.02 else 0
    return Measurement(point, 60.0, int(60 * requests) + 1, failed, tokens_per_s, 4 * tokens_per_s, requests,
                       0.97 * requests, **latencies)  # type: ignore[arg-type]  # fmt: skip


def _distribution(mean: float) -> Distribution:
    noisy = mean * random.uniform(0.95, 1.05)
    values = {"mean": noisy, "p50": 0.95 * noisy, "p90": 1.3 * noisy, "p95": 1.5 * noisy, "p99": 1.9 * noisy}
    return Distribution(1000, values)


def _measurement_row(experiment: int, index: int, one: Measurement) -> tuple[Any, ...]:
    kept = (
        json.dumps({"count": latency.count, **latency.values}) for latency in map(one.latency, LATENCIES) if latency
    )
    return (experiment, index, one.load_point.scenario, one.load_point.concurrency, one.window_s, one.completed,
            one.failed, one.output_tokens_per_s, one.input_tokens_per_s, one.requests_per_s,
            one.goodput_requests_per_s, *kept)  # fmt: skip


def _lines(plan: Plan, experiment: int, begin: str, end: str | None, count: int) -> Iterator[tuple[Any, ...]]:
    first = datetime.fromisoformat(begin)
    step = ((datetime.fromisoformat(end) if end else timezone.now().replace(tzinfo=None)) - first) / max(count, 1)
    for index, (level, source, text) in enumerate(random.choices(LINES, WEIGHTS, k=count)):
        said = text.format(a=1000 + index * 7 % 9000, b=index, c=index * 3 % 97, d=index % 13)
        yield plan.pk, experiment, str(first + index * step), level, source, said


def _text(at: datetime) -> str:
    return str(at.replace(tzinfo=None))


def _note_the_best() -> None:
    """What the runner writes down when an experiment ends."""
    for task in Task.objects.defer("message").iterator(chunk_size=100):
        rows = task.experiments.order_by("number").only(*_RANKED)
        results = TaskResults(task, task.task_document, tuple(rows))
        best = results.ranking.best
        if best is not None and results.best is not None:
            noted = {"best": results.best, "best_value": best.value, "best_ratio": results.ratio(best.value)}
            Task.objects.filter(pk=task.pk).update(**noted)


if __name__ == "__main__":
    sys.exit(main())
