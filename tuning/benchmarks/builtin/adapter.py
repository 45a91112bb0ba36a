"""The worker's side of our own load generator: hands plans to the client process and reads what it
measured."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.client_process import ClientProcess
from tuning.benchmarks.builtin.drawing import draw_plan
from tuning.benchmarks.builtin.measuring import Outcome, measure, warnings
from tuning.benchmarks.builtin.plan import Calibration, Phase, Plan
from tuning.benchmarks.builtin.rows import read_rows
from tuning.benchmarks.files import writing
from tuning.benchmarks.lengths import length_warnings
from tuning.benchmarks.process import NO_MARKS
from tuning.benchmarks.result_file import write_result
from tuning.errors import BenchmarkError
from tuning.hooks import LogSink, StopCheck
from tuning.scoring.metrics import Measurement, RequestStatus


class Builtin:
    """The builtin load generator. It remembers the token counts of the models that it has met.

    In a `with` block one client process, started at once, runs all plans. `marks` are for its environment.
    """

    def __init__(self, marks: Mapping[str, str] = NO_MARKS) -> None:
        self._marks = marks
        self._calibrations: dict[tuple[str, str], Calibration] = {}
        self._client: ClientProcess | None = None

    def __enter__(self) -> Self:
        self._client = ClientProcess(self._marks)
        return self

    def __exit__(self, *_: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

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
        outcome = self._run_plan(plan, log, stop)
        if found := outcome.summary.get("calibration"):
            self._calibrations[model] = Calibration(**found)
        elif plan.dataset is None:
            log("warning", "the engine did not tell its token counts; prompts are sized at one token a word")
        return outcome

    def _run_plan(self, plan: Plan, log: LogSink, stop: StopCheck) -> Outcome:
        if self._client is None:
            with self:
                return self._run_plan(plan, log, stop)
        rows, summary = Path(plan.rows_file), Path(plan.summary_file)
        plan_file = rows.with_name(f"{plan.phase}-plan.json")
        with writing(rows.parent):
            rows.unlink(missing_ok=True)
            summary.unlink(missing_ok=True)
            plan.write(plan_file)
        self._client.run(plan, plan_file, log=log, stop=stop)
        return Outcome(plan, tuple(read_rows(rows)), json.loads(summary.read_text(encoding="utf-8")))
