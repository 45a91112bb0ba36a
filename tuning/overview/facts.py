"""A task document in words, for whoever wants to know what a task is before its numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

from tuning.document.goals import SLO
from tuning.document.task import Deployment, DockerDeployment, Engine, OmeDeployment, TaskDocument
from tuning.document.workload import Workload
from tuning.overview.metrics import ERROR_RATE, limits, metrics
from tuning.runner.table import duration
from tuning.scoring.objectives import direction, label, unit

ENGINES = {"vllm": "vLLM", "sglang": "SGLang", "simulated": "Simulated engine"}
FEW = 4
"""Values of a list that are said one by one."""


@dataclass(frozen=True)
class Fact:
    """Something about a task: what it is about, and what there is to say, item by item."""

    name: str
    items: tuple[str, ...]


def facts(document: TaskDocument) -> tuple[Fact, ...]:
    """What a task is: model, engine, where it runs, what it looks for and what it may spend."""
    return (
        Fact("Model", tuple(_model(document))),
        Fact("Engine", tuple(_engine(document.engine))),
        Fact("Deployment", (_deployment(document.deployment),)),
        Fact("Objective", (objective_words(document),)),
        Fact("SLO", tuple(slo_words(document.slo))),
        Fact("Load", tuple(_load(document.workload))),
        Fact("Strategy", (_strategy(document),)),
        Fact("Budget", tuple(_budget(document))),
        Fact("Repetition", tuple(_repetition(document))),
    )


def objective_words(document: TaskDocument) -> str:
    """What is optimised, which way, and in what unit."""
    better = "lowest" if direction(document.objective) == "minimize" else "highest"
    return f"{better} {label(document.objective)}, {unit(document.objective)}"


def slo_words(slo: SLO) -> Iterator[str]:
    """Each item of the SLO."""
    known = metrics(slo)
    for key, limit in limits(slo).items():
        bound = "at most" if known[key].direction == "minimize" else "at least"
        amount = f"{100 * limit:g} %" if key == ERROR_RATE else f"{limit:g} {known[key].unit}"
        yield f"{known[key].label} {bound} {amount}"


def _model(document: TaskDocument) -> Iterator[str]:
    yield document.model.id
    if document.model.served_name:
        yield f"served as {document.model.served_name}"


def _engine(engine: Engine) -> Iterator[str]:
    yield ENGINES.get(engine.name, str(engine.name))
    yield from (str(given) for given in (engine.image, engine.executable, engine.python) if given)


def _deployment(deployment: Deployment) -> str:
    if isinstance(deployment, OmeDeployment):
        return f"OME on Kubernetes, namespace {deployment.namespace}"
    where = "Docker container" if isinstance(deployment, DockerDeployment) else "process on the worker's machine"
    if not deployment.gpus:
        return where
    numbers = ", ".join(map(str, deployment.gpus))
    return f"{where}, GPU{'' if len(deployment.gpus) == 1 else 's'} {numbers}"


def _load(workload: Workload) -> Iterator[str]:
    points = workload.load_points
    if len(points) <= FEW:
        yield from map(str, points)
    else:
        yield f"{len(points)} load points, {points[0]} to {points[-1]}"
    yield f"sent by {workload.benchmark}"


def _strategy(document: TaskDocument) -> str:
    names = len(document.search_space.parameters)
    return f"{document.strategy.name} over {names} parameter{'' if names == 1 else 's'}"


def _budget(document: TaskDocument) -> Iterator[str]:
    budget = document.budget
    yield f"{budget.experiments} configuration{'' if budget.experiments == 1 else 's'}"
    if budget.wall_clock_s is not None:
        yield f"{duration(budget.wall_clock_s)} of work"
    if budget.gpu_hours is not None:
        yield f"{budget.gpu_hours:g} GPU-hours"


def _repetition(document: TaskDocument) -> Iterator[str]:
    if document.replicates == 1:
        yield "each configuration is measured once"
    elif document.finalists:
        yield f"the best {document.finalists} are measured {document.replicates} times"
    else:
        yield f"each configuration is measured {document.replicates} times"
    if document.max_parallel > 1:
        yield f"up to {document.max_parallel} at the same time"
