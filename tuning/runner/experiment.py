"""One experiment: deploy -> wait until ready -> warm up -> each load point -> score -> remove."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from pydantic import JsonValue

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.registry import benchmark_for
from tuning.deployers.base import Deployment, DeployRequest, Owner, Role
from tuning.deployers.registry import deployer_for
from tuning.document.workload import LoadPoint
from tuning.engines.registry import engine_for
from tuning.engines.shell import paste
from tuning.errors import Cancelled, DeployError, ExperimentError, Interrupted, LeaseLost, Reason
from tuning.hooks import LogSink
from tuning.models import Experiment, LogLine, MeasurementRow
from tuning.runner import gpu_use, slots
from tuning.runner.instance import instance_id
from tuning.runner.leases import Lease
from tuning.runner.logs import LogBuffer, Mirror
from tuning.scoring.metrics import Measurement
from tuning.scoring.objectives import Reference, judge

SILENCE_S = 10.0
"""How long an engine may take to answer its health URL after a load point with failures, before it counts as dead."""


QUICK_STOP_S = 5.0
"""How long an engine is asked to end, at most, when somebody waits for it to be gone."""


@dataclass(frozen=True)
class Watcher:
    """A person at a terminal.

    `changed` is told of every new status and load point, `mirror` of every log line, from the threads that they come
    from; `is_cancelled` tells that the person does not want to wait any longer.
    """

    changed: Callable[[Experiment, str], None] = lambda experiment, phase: None
    mirror: Mirror | None = None
    is_cancelled: Callable[[], bool] = lambda: False


NOBODY = Watcher()


@dataclass(frozen=True)
class Surroundings:
    """What an experiment needs besides its row.

    `is_stopping` tells that this process has to end. `reference` is what the objective `balanced` compares with, once
    it is known.
    """

    logs: LogBuffer
    is_stopping: Callable[[], bool]
    watcher: Watcher = NOBODY
    reference: Reference | None = None


class ExperimentRun:
    """The run of one experiment that its caller has taken."""

    def __init__(self, lease: Lease, surroundings: Surroundings) -> None:
        self._lease = lease
        self._experiment = lease.experiment
        self._around = surroundings
        self._document = lease.document
        self._limits = lease.document.limits
        self._engine = engine_for(self._document.engine.name)
        self._deployer = deployer_for(self._document.deployment.mode)
        self._owner = Owner(instance_id(), self._experiment.task_id, self._experiment.pk, self._experiment.attempt)
        self._benchmark = benchmark_for(
            self._document.workload.benchmark,
            genai_bench=Path(settings.AUTOTUNER_GENAI_BENCH),
            marks=self._owner.environment(Role.LOAD),
        )
        self._began = time.monotonic()
        self._deadline = self._began + self._limits.experiment_s
        self._stop_s = self._limits.stop_s
        self._say = self._sink(LogLine.Source.RUNNER)

    def run(self) -> None:
        """Run it to an end that is written on its row; the engine is removed whatever happens.

        When this process has to end the experiment is pending again. LeaseLost when it was taken over by another
        attempt meanwhile: nothing was written then.
        """
        try:
            outcome = self._success(self._deploy_and_measure())
        except Interrupted:
            self._say("info", "the worker ends; the experiment will be run again")
            self._around.logs.flush()
            self._lease.give_back()
        except Cancelled as error:
            self.finish(status=Experiment.Status.CANCELLED, reason=Reason.CANCELLED, message=str(error))
        except ExperimentError as error:
            self.finish(status=Experiment.Status.FAILED, reason=error.reason, message=str(error))
        else:
            self.finish(**outcome)

    def finish(self, **outcome: Any) -> None:
        """Write the outcome, after every log line that led to it."""
        message = outcome.get("message") or "done"
        self._say("error" if outcome.get("reason") else "info", f"{outcome['status']}: {message}")
        self._around.logs.flush()
        self._lease.finish(total_s=time.monotonic() - self._began, **outcome)
        self._around.watcher.changed(self._experiment, str(outcome["status"]))

    def _deploy_and_measure(self) -> list[Measurement]:
        with self._benchmark, self._deployed() as deployment:
            return self._measure(deployment)

    @contextlib.contextmanager
    def _deployed(self) -> Iterator[Deployment]:
        """The engine of this experiment, which is gone at the end whatever happens meanwhile."""
        self._around.watcher.changed(self._experiment, "deploying")
        self._lease.step(self._limits.ready_s)
        request = self._request()
        self._lease.write(handle=dict(self._deployer.handle_of(request.owner)))
        with contextlib.ExitStack() as afterwards:
            with self._timed("deploy_s"):
                deployment = self._deployer.deploy(request, log=self._sink(LogLine.Source.ENGINE), stop=self._stop)
                afterwards.callback(self._remove, deployment)
            yield deployment

    def _remove(self, deployment: Deployment) -> None:
        """Remove the engine, also when whoever watches the progress fails."""
        self._lease.step(self._stop_s)
        try:
            self._around.watcher.changed(self._experiment, "removing")
        finally:
            with self._timed("remove_s"):
                self._end_engine(deployment)

    def _end_engine(self, deployment: Deployment) -> None:
        try:
            self._deployer.remove(deployment.handle, grace_s=self._stop_s)
        except DeployError:
            self._lease.keep_slots()
            raise

    def _request(self) -> DeployRequest:
        return DeployRequest(
            self._owner, self._document, self._engine, self._experiment.parameters, self._lease.devices
        )

    def _measure(self, deployment: Deployment) -> list[Measurement]:
        self._say("info", f"engine started: {paste(deployment.command)}")
        self._write_deployment(deployment)
        with self._timed("ready_s"):
            self._deployer.wait_ready(deployment, limit_s=self._limits.ready_s, stop=self._stop)
        self._around.logs.flush()
        self._write_deployment(deployment)
        self._lease.write(status=Experiment.Status.BENCHMARKING)
        with self._timed("benchmark_s"):
            return [self._load(deployment, index, point) for index, point in enumerate(self._load_points)]

    def _write_deployment(self, deployment: Deployment) -> None:
        """Keep how the engine is found and was started: both may change until it is ready."""
        self._lease.write(
            handle=dict(deployment.handle),
            command=list(deployment.command.arguments),
            command_line=paste(deployment.command),
            engine_version=deployment.version,
        )

    @property
    def _load_points(self) -> tuple[LoadPoint, ...]:
        return self._document.workload.load_points

    def _load(self, deployment: Deployment, index: int, point: LoadPoint) -> Measurement:
        """Warm up before the first load point, run this one, and keep what it gave."""

        def stop() -> None:
            deployment.check()
            self._stop()

        self._stop()
        self._lease.step(self._limits.load_point_s)
        request = self._load_request(deployment, index, point)
        log = self._sink(LogLine.Source.BENCHMARK)
        if index == 0 and self._document.workload.warmup_requests:
            self._around.watcher.changed(self._experiment, "warming up")
            self._benchmark.warm_up(request, log=log, stop=stop)
            self._lease.step(self._limits.load_point_s)
        self._around.watcher.changed(self._experiment, f"load {index + 1}/{len(self._load_points)} {point}")
        with gpu_use.watched(slots.gpus_of(self._lease.claim)) as samples:
            measurement = self._benchmark.run(request, log=log, stop=stop)
        if not measurement.ok or measurement.failed:
            deployment.check_serving(limit_s=SILENCE_S, stop=self._stop)
        log("info" if measurement.ok else "error", _summary(measurement))
        self._keep(index, measurement, gpu_use.summary(samples))
        return measurement

    def _keep(self, index: int, measurement: Measurement, use: list[JsonValue]) -> None:
        """Write the measurement, unless the experiment was taken over meanwhile."""
        with transaction.atomic():
            self._lease.write(status=self._experiment.status)
            row = MeasurementRow.of(self._experiment, index, measurement)
            row.gpu_use = use
            row.save(force_insert=True)

    def _load_request(self, deployment: Deployment, index: int, point: LoadPoint) -> LoadRequest:
        folder = results_folder(self._experiment) / f"load-{index}"
        folder.mkdir(parents=True)
        return LoadRequest(
            base_url=deployment.base_url,
            served_name=deployment.served_name,
            tokenizer=self._document.model.tokenizer_id,
            workload=self._document.workload,
            load_point=point,
            index=index,
            slo=self._document.slo,
            limits=self._limits,
            folder=folder,
        )

    def _success(self, measurements: list[Measurement]) -> dict[str, Any]:
        """The outcome of an experiment whose load points were all run."""
        if not any(measurement.ok for measurement in measurements):
            raise ExperimentError(Reason.BENCHMARK_FAILED, f"No load point was measured: {measurements[0].message}")
        verdict = judge(
            self._document.objective,
            self._document.slo,
            measurements,
            gpus=self._experiment.gpus,
            reference=self._around.reference,
        )
        return {
            "status": Experiment.Status.SUCCESS,
            "value": verdict.value,
            "feasible": verdict.feasible,
            "violations": list(verdict.violations),
            "missed": list(verdict.missed),
            "load_point": verdict.point,
        }

    def _stop(self) -> None:
        """Raise when there is no use in going on; whoever waits for the engine to be gone gets it sooner."""
        try:
            if self._around.is_stopping():
                raise Interrupted("The worker was asked to end.")
            if self._around.watcher.is_cancelled():
                raise Cancelled("Cancelled.")
            self._lease.check()
        except (Interrupted, Cancelled, LeaseLost):
            self._stop_s = min(self._stop_s, QUICK_STOP_S)
            raise
        if time.monotonic() > self._deadline:
            raise ExperimentError(
                Reason.EXPERIMENT_TIMEOUT,
                f"The experiment took longer than limits.experiment_s {self._limits.experiment_s:g}.",
            )

    @contextlib.contextmanager
    def _timed(self, column: str) -> Iterator[None]:
        """Write the seconds that a step took, also when it failed."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._lease.write(**{column: time.monotonic() - start})

    def _sink(self, source: LogLine.Source) -> LogSink:
        return self._around.logs.sink(source, self._experiment)


def _summary(measurement: Measurement) -> str:
    counts = f"{measurement.load_point}: {measurement.completed} completed, {measurement.failed} failed"
    if not measurement.ok:
        return f"{counts}; {measurement.message}"
    latencies = ((name, measurement.latency(f"{name.lower()}_ms")) for name in ("TTFT", "TPOT"))
    shown = [f"{name} p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms" for name, found in latencies if found]
    return "; ".join([f"{counts} in {measurement.window_s:.1f} s", f"{measurement.tokens_per_s:.0f} tokens/s", *shown])


def results_folder(experiment: Experiment) -> Path:
    """Where the raw results of its present attempt are; made of numbers only, so no name can lead elsewhere."""
    return task_folder(experiment.task_id) / f"experiment-{experiment.number}-attempt-{experiment.attempt}"


def task_folder(task: int) -> Path:
    """Where all raw results of the task with this id are."""
    return Path(settings.DATA_DIR) / "results" / f"task-{task}"
