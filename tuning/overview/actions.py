"""What can be done with a task in the state that it is in."""

from dataclasses import dataclass

from tuning.models import Task
from tuning.runner.lifecycle import CANCEL, DELETE, PAUSE, RESTART, RESUME, RETRY, START, Rule


@dataclass(frozen=True)
class Action:
    """Something that can be done: `word` is its part of the address; it `asks` first where something is lost."""

    word: str
    title: str
    icon: str
    asks: bool = False


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
