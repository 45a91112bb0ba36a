"""The load generator genai-bench 0.0.5: its own executable in its own environment, one run per load point.

It is never imported: the import alone patches threads and sockets of the whole process. Its exit code and its own
`error_rate` say nothing reliable, so only the rows of single requests are used.
"""

import contextlib
import csv
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tuning.benchmarks import guard
from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.builtin.dataset import DatasetProblem, read_prompts
from tuning.benchmarks.files import writing
from tuning.benchmarks.genai_results import Level, find_level
from tuning.benchmarks.lengths import length_values, length_warnings
from tuning.benchmarks.process import NO_MARKS, Child
from tuning.document.scenarios import ScenarioKind, parse_scenario
from tuning.errors import BenchmarkError, Reason
from tuning.hooks import LogSink, StopCheck
from tuning.scoring.metrics import Measurement, RequestRow, RequestStatus, summarise

VERSION = "0.0.5"
RESULTS = "results"
TASKS = {
    ScenarioKind.EMBEDDINGS: "text-to-embeddings",
    ScenarioKind.RERANK: "text-to-rerank",
    ScenarioKind.IMAGES: "image-text-to-text",
}
# The tool insists on a key and writes it in plain text everywhere; engines of a tuning task have none.
KEY, REDACTED = "key-that-no-engine-asks-for", "[redacted]"
GUARD = (sys.executable, "-I", guard.__file__)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
_QUIET = {"TOKENIZERS_PARALLELISM": "false", "ENABLE_UI": "false", "MPLBACKEND": "Agg", "PYTHONUNBUFFERED": "1"}


def default_executable() -> Path:
    """Where `manage.py install_genai_bench` puts the tool: below XDG_CACHE_HOME, or ~/.cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "inference-autotuner" / f"genai-bench-{VERSION}" / "bin" / "genai-bench"


class GenaiBench:
    """genai-bench as a Benchmark; `executable` is the path of `genai-bench` in the environment made for it.

    `marks` are for the environment of every process that is started.
    """

    def __init__(self, executable: Path, marks: Mapping[str, str] = NO_MARKS) -> None:
        self._executable = executable
        self._marks = marks
        self._builtin = Builtin(marks)

    def __enter__(self) -> Self:
        """Start nothing: the tool is run anew for each load point."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running, as every call does."""

    def warm_up(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> None:
        """Warm up with our own client: the tool's own warm-up spoils its throughput, and a start of it takes 10 s."""
        kind = parse_scenario(request.load_point.scenario).kind
        if kind in (ScenarioKind.RERANK, ScenarioKind.IMAGES):
            log("info", f"no warm-up: only genai-bench itself can send {request.load_point.scenario}")
        else:
            self._builtin.warm_up(request, log=log, stop=stop)

    def run(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> Measurement:
        """Run the load point; the tool's own files stay in a fresh folder `run-*` of the request's folder."""
        self._check_installed()
        tokenizer = _tokenizer(request)
        with writing(request.folder):
            folder = Path(tempfile.mkdtemp(prefix="run-", dir=request.folder)).resolve()
            dataset = _dataset_file(request, folder)
        command = _command(self._executable, request, tokenizer, folder, dataset)

        def on_line(line: str) -> None:
            log("debug", line.replace(KEY, REDACTED))

        try:
            env = {**_environment(request, tokenizer), **self._marks}
            with Child([*GUARD, *command], env=env, cwd=folder, on_line=on_line) as child:
                code = child.wait(request.limits.load_point_s, stop)
        finally:
            _redact(folder)
        level = find_level(folder / RESULTS, request.load_point.scenario, _least_output_tokens(request))
        measurement = _measurement(request, level, code, child)
        for text in length_warnings(measurement):
            log("warning", text)
        return measurement

    def _check_installed(self) -> None:
        if shutil.which(self._executable) is None:
            raise BenchmarkError(
                f"genai-bench is not at {self._executable}; `manage.py install_genai_bench` installs it, or set "
                "AUTOTUNER_GENAI_BENCH to its path"
            )


def _tokenizer(request: LoadRequest) -> str:
    """The tokenizer's absolute folder, or its id on the model hub; BenchmarkError when it can be neither."""
    folder = Path(request.tokenizer).expanduser()
    if request.tokenizer and folder.is_dir():
        return str(folder.resolve())
    if not request.tokenizer or request.tokenizer.startswith(("/", "./", "../", "~")):
        raise BenchmarkError(
            f"genai-bench needs the model's tokenizer, and there is no folder {request.tokenizer!r}; "
            "set model.tokenizer to a folder with tokenizer.json, or to an id on the model hub"
        )
    return request.tokenizer


def _command(executable: Path, request: LoadRequest, tokenizer: str, folder: Path, dataset: Path | None) -> list[str]:
    workload, point = request.workload, request.load_point
    streams = point.concurrency or 1
    kind = parse_scenario(point.scenario).kind
    options = {
        # Before --task and --api-key. The backend openai drops ignore_eos; vllm and sglang speak the same protocol.
        "api-backend": "vllm" if workload.ignore_eos else "openai",
        "api-base": request.base_url.rstrip("/"),
        "api-key": KEY,
        "api-model-name": request.served_name,
        "model-tokenizer": tokenizer,
        "task": TASKS.get(kind, "text-to-text"),
        "traffic-scenario": point.scenario,
        "num-concurrency": str(streams),
        "batch-size": "1",
        "max-time-per-run": str(math.ceil(workload.seconds / 60)),
        "max-requests-per-run": str(max(workload.requests, streams)),
        "additional-request-params": json.dumps(_body_fields(request, kind)),
        "metrics-time-unit": "ms",
        "metrics-refresh-interval": "5",
        "experiment-base-dir": str(folder),
        "experiment-folder-name": RESULTS,
        "log-dir": str(folder / "logs"),
    }
    if dataset is not None:
        options |= {"dataset-path": str(dataset), "dataset-prompt-column": "prompt"}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    return [str(executable.expanduser().absolute()), "benchmark", *flags]


def _body_fields(request: LoadRequest, kind: ScenarioKind) -> dict[str, object]:
    """Further fields of the request body; a dataset names no output length, so the document's cap is one of them."""
    dataset = request.workload.dataset
    cap = {"max_tokens": dataset.output_tokens} if dataset and kind is ScenarioKind.DATASET else {}
    return {**request.workload.sampling, **cap}


def _dataset_file(request: LoadRequest, folder: Path) -> Path | None:
    """The dataset of scenario `dataset` as CSV, the one kind that the tool reads as we do.

    It is not given to the other scenarios: the tool would then cut its text to their lengths.
    """
    dataset = request.workload.dataset
    if dataset is None or parse_scenario(request.load_point.scenario).kind is not ScenarioKind.DATASET:
        return None
    try:
        prompts = read_prompts(dataset.path.expanduser(), dataset.prompt_field)
    except DatasetProblem as problem:
        raise BenchmarkError(str(problem)) from problem
    path = folder / "dataset.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["prompt"], *([prompt] for prompt in prompts)])
    return path


def _environment(request: LoadRequest, tokenizer: str) -> dict[str, str]:
    """The worker's environment without our Python, never through a proxy to the engine, offline where possible."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")}
    hosts = ",".join(filter(None, (env.get("NO_PROXY") or env.get("no_proxy"), urlsplit(request.base_url).hostname)))
    offline = _OFFLINE if Path(tokenizer).is_absolute() else {}
    return {**env, **_QUIET, **offline, "NO_PROXY": hosts, "no_proxy": hosts}


def _redact(folder: Path) -> None:
    """Take the key out of every text that the tool has written; where that fails, it is but a dummy."""
    with contextlib.suppress(OSError):
        for path in (*folder.rglob("*.json"), *folder.rglob("*.log")):
            if KEY in (text := path.read_text(encoding="utf-8", errors="replace")):
                path.write_text(text.replace(KEY, REDACTED), encoding="utf-8")


def _least_output_tokens(request: LoadRequest) -> int:
    """What every answer must have; the tool does not keep the lengths that it drew for single requests."""
    scenario = parse_scenario(request.load_point.scenario)
    if scenario.kind in (ScenarioKind.EMBEDDINGS, ScenarioKind.RERANK):
        return 0
    return scenario.output[0] if scenario.kind is ScenarioKind.FIXED and request.workload.ignore_eos else 1


def _measurement(request: LoadRequest, level: Level | None, code: int | None, child: Child) -> Measurement:
    measurement = summarise(
        request.load_point,
        level.rows if level else (),
        window_s=level.duration_s if level else 0.0,
        slo=request.slo,
        min_completed=request.workload.min_completed,
        extra=_lengths(request, level.rows) if level else None,
    )
    if code is None:
        text = f"genai-bench did not end within {request.limits.load_point_s:g} s (limits.load_point_s)"
        return replace(measurement, reason=Reason.LOAD_POINT_TIMEOUT, message=text)
    if level is None or (measurement.ok and level.duration_s <= 0):
        text = f"genai-bench ended with code {code} and no result: {_last_words(child)}"
        return replace(measurement, reason=Reason.BENCHMARK_FAILED, message=text)
    return measurement


def _lengths(request: LoadRequest, rows: Sequence[RequestRow]) -> dict[str, float]:
    """Served lengths, and the requested ones where every request has the same."""
    scenario = parse_scenario(request.load_point.scenario)
    fixed = scenario.kind in (ScenarioKind.FIXED, ScenarioKind.EMBEDDINGS)
    done = [row for row in rows if row.status is RequestStatus.OK]
    return {
        **length_values("input", scenario.input if fixed else (), [row.input_tokens for row in done]),
        **length_values("output", scenario.output if fixed else (), [row.output_tokens for row in done]),
    }


def _last_words(child: Child) -> str:
    lines = [line for line in child.lines if line.strip()]
    return lines[-1].replace(KEY, REDACTED)[:300] if lines else "it said nothing"
