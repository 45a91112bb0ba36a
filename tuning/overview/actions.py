"""What can be done with a task in the state that it is in."""

from dataclasses import dataclass

from tuning.errors import ConflictError
from tuning.models import Experiment, Task
from tuning.runner.lifecycle import CANCEL, DELETE, PAUSE, RESTART, RESUME, RETRY, START, Rule
from tuning.runner.maintenance import contents_of


@dataclass(frozen=True)
class Action:
    """Something that can be done: `word` is its part of the address; it `asks` first where something is lost."""

    word: str
    title: str
    icon: str
    asks: bool = False


@dataclass(frozen=True)
class Consequence:
    """What an action does to a task, in a sentence; `refused` says instead why it cannot be done now."""

    task: Task
    lost: str = ""
    refused: str = ""


_ACTIONS: tuple[tuple[Action, Rule], ...] = (
    (Action("start", "Start", "start"), START),
    (Action("pause", "Pause", "pause"), PAUSE),
    (Action("resume", "Resume", "start"), RESUME),
    (Action("retry", "Retry failed", "restart", asks=True), RETRY),
    (Action("restart", "Run again", "restart", asks=True), RESTART),
    (Action("cancel", "Cancel", "cancel", asks=True), CANCEL),
    (Action("delete", "Delete", "delete", asks=True), DELETE),
)

WORDS = tuple(action.word for action, _ in _ACTIONS)


def action_of(word: str) -> Action:
    """The action of this word of WORDS."""
    return next(action for action, _ in _ACTIONS if action.word == word)


def rule_of(word: str) -> Rule:
    """When it can be done."""
    return next(rule for action, rule in _ACTIONS if action.word == word)


def possible(task: Task, *, running: int, failed: int) -> tuple[Action, ...]:
    """What can be done now with a task of which so many experiments run and so many failed; no query."""
    allowed = (action for action, rule in _ACTIONS if _is_allowed(rule, task, running))
    return tuple(action for action in allowed if failed or action.word != "retry")


def _is_allowed(rule: Rule, task: Task, running: int) -> bool:
    """As `Rule.check` decides, which has the last word."""
    return task.status in rule.before and not (running and task.status in rule.idle)


def consequence(word: str, task: Task) -> Consequence:
    """What is said before it is asked whether it is meant."""
    try:
        rule_of(word).check(task)
    except ConflictError as error:
        return Consequence(task, refused=str(error))
    if word == "retry" and not _count(task, Experiment.Status.FAILED):
        return Consequence(task, refused=f"Task {task} cannot be retried: none of its experiments has failed.")
    return Consequence(task, lost=_lost(word, task))


def _lost(word: str, task: Task) -> str:
    match word:
        case "delete":
            return f"Lost for ever: {contents_of(task)}."
        case "cancel":
            running = _count(task, *Experiment.ACTIVE)
            lost = f"What {_experiments(running, 'running')} measured so far is lost. " if running else ""
            return f"{lost}What has finished is kept, and it can be resumed."
        case "retry":
            failed = _count(task, Experiment.Status.FAILED)
            return f"{_experiments(failed, 'failed')} will run again; why they failed is forgotten."
        case "restart":
            return "A new run begins from the first experiment; the results of this one are kept."
    return ""


def _count(task: Task, *statuses: Experiment.Status) -> int:
    return task.experiments.filter(status__in=statuses).count()


def _experiments(count: int, which: str) -> str:
    return f"{count} {which} experiment{'' if count == 1 else 's'}"
