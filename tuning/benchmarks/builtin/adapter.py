"""The worker's side of our own load generator: starts the client process, watches it, and reads what it measured."""

import json
import os
import sys
from pathlib import Path

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.drawing import draw_plan
from tuning.benchmarks.builtin.measuring import Outcome, deadline_text, measure, warnings
from tuning.benchmarks.builtin.plan import REFUSED, Calibration, Phase, Plan
from tuning.benchmarks.builtin.rows import read_rows
from tuning.benchmarks.files import writing
from tuning.benchmarks.lengths import length_warnings
from tuning.benchmarks.process import Child
from tuning.benchmarks.result_file import write_result
from tuning.errors import BenchmarkError, Reason
from tuning.hooks import LogSink, StopCheck
from tuning.scoring.metrics import Measurement, RequestStatus

ROOT = Path(__file__).parents[3]
HARD_LIMIT_GRACE_S = 5.0


class Builtin:
    """The builtin load generator. It remembers the token counts of the models that it has met."""

    def __init__(self) -> None:
        self._calibrations: dict[tuple[str, str], Calibration] = {}

    def warm_up(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> None:
        """Send the warm-up requests; BenchmarkError when none is answered. Rows stay in `warmup-requests.jsonl`."""
        if not request.workload.warmup_requests:
            return
        outcome = self._load(request, Phase.WARMUP, log, stop)
        if not any(row.status == RequestStatus.OK for row in outcome.rows):
            texts = sorted({f"{row.status}: {row.message}" for row in outcome.rows})
            raise BenchmarkError(f"no warm-up request was answered; {'; '.join(texts[:3]) or 'none was sent'}")

    def run(self, request: LoadRequest, *, log: LogSink, stop: StopCheck) -> Measurement:
        """Run the load point. `requests.jsonl`, `summary.json` and `result.json` stay in the request's folder."""
        outcome = self._load(request, Phase.MEASURED, log, stop)
        measurement = measure(request, outcome)
        for text in (*warnings(measurement), *length_warnings(measurement)):
            log("warning", text)
        write_result(request, measurement, outcome.rows, outcome.window_s)
        return measurement

    def _load(self, request: LoadRequest, phase: Phase, log: LogSink, stop: StopCheck) -> Outcome:
        model = (request.served_name, request.tokenizer)
        plan = draw_plan(request, phase, self._calibrations.get(model))
        outcome = _run_client(plan, request, log, stop)
        if found := outcome.summary.get("calibration"):
            self._calibrations[model] = Calibration(**found)
        elif plan.dataset is None:
            log("warning", "the engine did not tell its token counts; prompts are sized at one token a word")
        return outcome


def _run_client(plan: Plan, request: LoadRequest, log: LogSink, stop: StopCheck) -> Outcome:
    rows, summary = Path(plan.rows_file), Path(plan.summary_file)
    plan_file = rows.with_name(f"{plan.phase}-plan.json")
    with writing(request.folder):
        rows.unlink(missing_ok=True)
        summary.unlink(missing_ok=True)
        plan.write(plan_file)
    command = [sys.executable, "-m", "tuning.benchmarks.builtin", str(plan_file)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Child(command, env=env, cwd=ROOT, on_line=lambda line: log("debug", line)) as child:
        code = child.wait(plan.deadline_s + HARD_LIMIT_GRACE_S, stop)
    if code is None:
        raise BenchmarkError(deadline_text(plan) + ", and its client did not end either", Reason.DEADLINE)
    last_line = child.lines[-1] if child.lines else "without a word"
    if code == REFUSED:
        raise BenchmarkError(last_line)
    if code != 0:
        raise BenchmarkError(f"the load generator ended with code {code}: {last_line}")
    return Outcome(plan, tuple(read_rows(rows)), json.loads(summary.read_text(encoding="utf-8")))
