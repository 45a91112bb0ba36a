"""What the template of the history chart asks for, so that any page of a task can include it."""

from django import template

from tuning.models import Task
from tuning.overview import findings
from tuning.overview.results import Snapshot, version
from tuning.overview.tables import ExperimentLine, history_lines
from tuning.runner.table import significant

register = template.Library()


@register.simple_tag
def snapshot_of(task: Task, known: Snapshot | None = None) -> Snapshot:
    """What the task has found so far: `known`, where the page has read it already."""
    return known or Snapshot.of(task)


@register.filter
def history(snapshot: Snapshot) -> list[ExperimentLine]:
    """The latest experiments, newest first."""
    return history_lines(snapshot)


@register.filter
def history_finding(snapshot: Snapshot) -> str:
    """What the chart shows, in a sentence."""
    return findings.of_history(snapshot)


@register.filter
def data_version(snapshot: Snapshot) -> str:
    """Of the data that a page was made from; see tuning.overview.charts."""
    return version(snapshot.task, snapshot.counts)


@register.simple_tag
def figure(value: float | None) -> str:
    """A number without its unit, with its sensible digits; nothing is plainly 0."""
    return "0" if value == 0 else significant(value)


@register.simple_tag
def percent(value: float | None) -> str:
    """A difference with its sign: `+12.3 %`."""
    if value is None:
        return ""
    return f"{value:+,.{0 if abs(value) >= 100 else 1}f} %".replace("-", "\N{MINUS SIGN}")
