"""Drawing the plan of a load point: lengths and start times, from a seed that no configuration changes."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tuning.benchmarks.base import LoadRequest
from tuning.benchmarks.builtin.plan import Calibration, DatasetFile, Phase, Plan, Task
from tuning.document.scenarios import MIN_INPUT_TOKENS, MIN_OUTPUT_TOKENS, Scenario, ScenarioKind, parse_scenario
from tuning.document.workload import Arrivals, Workload

CONNECT_S = 10.0
FIRST_TOKEN_S = 120.0
RAMP_S_PER_STREAM, RAMP_SHARE = 0.001, 0.05
MIN_WARMUP_STREAMS = 8
CLOSED_FAILURES_IN_A_ROW, OPEN_FAILURES_IN_A_ROW = 10, 50


def draw_plan(request: LoadRequest, phase: Phase, calibration: Calibration | None) -> Plan:
    """The plan of `request`; equal for equal workload, load point, phase and calibration.

    The random numbers depend on (workload seed, scenario, load point, phase) alone.
    """
    workload, point, limits = request.workload, request.load_point, request.limits
    scenario = parse_scenario(point.scenario)
    draw = random.Random(f"{workload.seed} {point} {phase}")  # noqa: S311
    warm_up = phase is Phase.WARMUP
    count, starts_s, horizon_s = workload.warmup_requests if warm_up else workload.requests, None, limits.load_point_s
    if not warm_up:
        horizon_s = workload.seconds
    if point.request_rate_per_s and not warm_up:
        starts_s, horizon_s = _starts(workload, point.request_rate_per_s, draw)
        count = len(starts_s)
    lengths = [_lengths(scenario, workload, draw) for _ in range(count)]
    streams = _streams(request, warm_up=warm_up)
    return Plan(
        base_url=request.base_url,
        model=request.served_name,
        task=Task.EMBEDDINGS if scenario.kind is ScenarioKind.EMBEDDINGS else Task.CHAT,
        phase=phase,
        seed=str(workload.seed),
        point=request.index,
        input_tokens=tuple(tokens_in for tokens_in, _ in lengths),
        output_tokens=tuple(tokens_out for _, tokens_out in lengths),
        ignore_eos=workload.ignore_eos and scenario.kind is not ScenarioKind.DATASET,
        sampling=workload.sampling,
        horizon_s=horizon_s,
        streams=streams,
        starts_s=starts_s,
        ramp_s=min(RAMP_S_PER_STREAM * (streams or 0), RAMP_SHARE * workload.seconds),
        connect_s=min(CONNECT_S, limits.request_s),
        first_token_s=min(FIRST_TOKEN_S, limits.request_s),
        request_s=limits.request_s,
        deadline_s=limits.load_point_s,
        failures_in_a_row=max(CLOSED_FAILURES_IN_A_ROW, streams) if streams else OPEN_FAILURES_IN_A_ROW,
        rows_file=str(_file(request.folder, phase, "requests.jsonl")),
        summary_file=str(_file(request.folder, phase, "summary.json")),
        dataset=_dataset(request, scenario, warm_up=warm_up),
        calibration=calibration,
    )


def _file(folder: Path, phase: Phase, name: str) -> Path:
    return folder.resolve() / (name if phase is Phase.MEASURED else f"{phase}-{name}")


def _streams(request: LoadRequest, *, warm_up: bool) -> int | None:
    if not warm_up:
        return request.load_point.concurrency
    return min(request.workload.warmup_requests, max(MIN_WARMUP_STREAMS, request.load_point.concurrency or 0))


def _starts(workload: Workload, rate_per_s: float, draw: random.Random) -> tuple[tuple[float, ...], float]:
    """Intended starts, the first at 0, and when the one after the last would be; both end at `workload.seconds`."""
    starts = []
    for start_s in islice(_arrivals(workload.arrivals, rate_per_s, draw), workload.requests + 1):
        starts.append(min(start_s, workload.seconds))
        if start_s >= workload.seconds:
            break
    return tuple(starts[:-1]), starts[-1]


def _arrivals(arrivals: Arrivals, rate_per_s: float, draw: random.Random) -> Iterator[float]:
    at_s, number = 0.0, 0
    while True:
        yield at_s
        number += 1
        at_s = number / rate_per_s if arrivals is Arrivals.CONSTANT else at_s + draw.expovariate(rate_per_s)


def _lengths(scenario: Scenario, workload: Workload, draw: random.Random) -> tuple[int, int]:
    """Input and output tokens of one request, at least 1 and 2 (genai-bench's minimum)."""
    match scenario.kind:
        case ScenarioKind.NORMAL:
            pair = int(draw.gauss(*scenario.input)), int(draw.gauss(*scenario.output))
        case ScenarioKind.UNIFORM:
            pair = draw.randint(*scenario.input), draw.randint(*scenario.output)
        case ScenarioKind.EMBEDDINGS:
            return scenario.input[0], 0
        case ScenarioKind.DATASET:
            return 0, workload.dataset.output_tokens if workload.dataset else MIN_OUTPUT_TOKENS
        case _:
            pair = scenario.input[0], scenario.output[0]
    return max(MIN_INPUT_TOKENS, pair[0]), max(MIN_OUTPUT_TOKENS, pair[1])


def _dataset(request: LoadRequest, scenario: Scenario, *, warm_up: bool) -> DatasetFile | None:
    """The entries for scenario `dataset`, others for each load point and for the warm-up while there are enough."""
    workload, dataset = request.workload, request.workload.dataset
    if dataset is None or scenario.kind is not ScenarioKind.DATASET:
        return None
    first = request.index * (workload.requests + workload.warmup_requests) + (workload.requests if warm_up else 0)
    path = str(dataset.path.expanduser().resolve())
    return DatasetFile(path, dataset.prompt_field, first)
