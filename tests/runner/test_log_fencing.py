"""Whose lines are kept: those of the attempt that holds its experiment, and of rows that still exist."""

import threading

import pytest
from django.db import connection
from django.db.models import Max

from tests.runner.factories import experiment, task
from tuning.models import Experiment, LogLine
from tuning.runner.logs import LogBuffer, note

pytestmark = pytest.mark.django_db(transaction=True)

RUNNER = LogLine.Source.RUNNER
ENGINE = LogLine.Source.ENGINE


def _texts() -> list[str]:
    return list(LogLine.objects.order_by("id").values_list("text", flat=True))


def _take_over(row: Experiment, claim: str) -> None:
    Experiment.objects.filter(pk=row.pk).update(claim=claim)


def test_lines_of_an_attempt_that_was_taken_over_are_dropped() -> None:
    """Pitfall A9a: a zombie writes nothing, also when it shares the buffer with its successor."""
    one = task()
    row = experiment(one, claim="first")
    with LogBuffer(one) as logs:
        zombie = logs.sink(ENGINE, row)
        zombie("info", "in time")
        logs.flush()
        _take_over(row, "second")
        row.refresh_from_db()
        zombie("info", "too late")
        logs.sink(ENGINE, row)("info", "of the second attempt")
        logs.sink(RUNNER)("info", "of the task")
    assert _texts() == ["in time", "of the second attempt", "of the task"]


def test_lines_that_wait_during_the_take_over_are_dropped() -> None:
    one = task()
    row = experiment(one, claim="first")
    logs = LogBuffer(one)
    logs.sink(ENGINE, row)("info", "said before, written after")
    _take_over(row, "")
    logs.flush()
    assert _texts() == []


def test_no_line_of_the_old_attempt_gets_in_after_the_take_over() -> None:
    """The claim is read in the transaction that writes: whenever it changes, nothing slips through behind it."""
    one = task()
    for number in range(1, 6):
        row = experiment(one, number, claim="first")
        with LogBuffer(one) as logs:
            ended = threading.Event()
            writer = threading.Thread(target=_write_until, args=(ended, logs, row))
            writer.start()
            _wait_for_lines(row)
            _take_over(row, "second")
            last = row.log_lines.aggregate(last=Max("id"))["last"]
            ended.set()
            writer.join()
        assert row.log_lines.aggregate(last=Max("id"))["last"] == last


def _write_until(ended: threading.Event, logs: LogBuffer, row: Experiment) -> None:
    write = logs.sink(ENGINE, row)
    while not ended.is_set():
        write("info", "x")
        logs.flush()
    write("info", "the last")
    connection.close()


def _wait_for_lines(row: Experiment) -> None:
    while not row.log_lines.exists():
        pass


def test_trailing_lines_of_a_finished_experiment_are_kept() -> None:
    one = task()
    row = experiment(one, claim="mine", status=Experiment.Status.BENCHMARKING)
    with LogBuffer(one) as logs:
        write = logs.sink(ENGINE, row)
        Experiment.objects.filter(pk=row.pk).update(status=Experiment.Status.FAILED)
        write("info", "the engine says goodbye")
    assert _texts() == ["the engine says goodbye"]


def test_an_experiment_without_a_claim_has_no_fence() -> None:
    one = task()
    row = experiment(one)
    with LogBuffer(one) as logs:
        write = logs.sink(RUNNER, row)
        _take_over(row, "somebody")
        write("info", "handed back")
    assert _texts() == ["handed back"]


@pytest.mark.parametrize("claim", ["", "mine"])
def test_lines_of_a_deleted_experiment_vanish_quietly(caplog: pytest.LogCaptureFixture, claim: str) -> None:
    one = task()
    row = experiment(one, claim=claim)
    with LogBuffer(one) as logs:
        write = logs.sink(ENGINE, row)
        row.delete()
        write("info", "of nobody")
        logs.sink(RUNNER)("info", "of the task")
    assert _texts() == ["of the task"]
    assert caplog.records == []


def test_a_deleted_task_leaves_no_line_and_its_successor_inherits_none(caplog: pytest.LogCaptureFixture) -> None:
    """Pitfalls A16c, A17: rows go with the task, its id is never used again, and late lines find nothing to be of."""
    one = task()
    row, deleted = experiment(one, claim="mine"), one.pk
    with LogBuffer(one) as logs:
        sinks = [logs.sink(RUNNER), logs.sink(ENGINE, row)]
        for write in sinks:
            write("info", "before")
        logs.flush()
        type(one).objects.get(pk=deleted).delete()
        assert _texts() == []
        successor = task()
        for write in sinks:
            write("info", "after")
        note(one, "info", "a late note")
    assert successor.pk != deleted
    assert _texts() == []
    assert caplog.records == []
