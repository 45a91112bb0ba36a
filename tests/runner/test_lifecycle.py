"""What a person can do with a task: every status, every action, two presses at once, and a queue that is down."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.runner.factories import document, experiment, living, running, taken, task
from tests.scoring.builders import measured, ok
from tuning.errors import ConflictError, LeaseLost, Reason
from tuning.models import Experiment, LogLine, MeasurementRow, Task
from tuning.runner import lifecycle, slots
from tuning.runner.dispatch import Enqueue
from tuning.runner.experiment import results_folder, task_folder

pytestmark = pytest.mark.django_db(transaction=True)

Action = Callable[[Task, Enqueue], Any]
S = Task.Status
REFUSED = "refused"
GONE = "gone"
KEPT = "kept"
"""The task stays as it is, and another one is made."""

ACTIONS: dict[str, Action] = {
    "started": lifecycle.start,
    "paused": lambda one, wake: lifecycle.pause(one),
    "resumed": lifecycle.resume,
    "cancelled": lambda one, wake: lifecycle.cancel(one),
    "retried": lifecycle.retry,
    "restarted": lifecycle.restart,
    "edited": lambda one, wake: lifecycle.edit(one, document(description="another")),
    "duplicated": lambda one, wake: lifecycle.duplicate(one),
    "deleted": lambda one, wake: lifecycle.delete(one),
    "reset": lambda one, wake: lifecycle.reset(one),
}
AFTERWARDS: dict[S, dict[str, str]] = {
    S.PENDING: {"started": S.RUNNING, "cancelled": S.CANCELLED, "edited": S.PENDING, "deleted": GONE},
    S.RUNNING: {"paused": S.PAUSED, "cancelled": S.CANCELLED},
    S.PAUSED: {"resumed": S.RUNNING, "cancelled": S.CANCELLED, "retried": S.RUNNING, "edited": KEPT, "deleted": GONE},
    S.COMPLETED: {"retried": S.RUNNING, "restarted": KEPT, "edited": KEPT, "deleted": GONE},
    S.FAILED: {"retried": S.RUNNING, "restarted": KEPT, "edited": KEPT, "deleted": GONE},
    S.CANCELLED: {"resumed": S.RUNNING, "retried": S.RUNNING, "restarted": KEPT, "edited": KEPT, "deleted": GONE},
}
ALWAYS = {"duplicated": KEPT, "reset": S.PENDING}


def in_status(status: str, *, name: str = "a task") -> Task:
    """A task with this status, of which one experiment failed and one succeeded unless it is pending."""
    one = task(name=name)
    if status != S.PENDING:
        outcome = {"reason": Reason.ENGINE_CRASHED, "message": "It crashed.", "attempt": 1}
        experiment(one, 1, status=Experiment.Status.FAILED, **outcome)
        experiment(one, 2, status=Experiment.Status.SUCCESS, value=1.0, feasible=True, attempt=1)
    Task.objects.filter(pk=one.pk).update(status=status)
    one.refresh_from_db()
    return one


def rows_of(one: Task) -> list[Any]:
    """The task and its experiments, every column."""
    return [*Task.objects.filter(pk=one.pk).values(), *one.experiments.values()]


@pytest.mark.parametrize("done", ACTIONS)
@pytest.mark.parametrize("status", S.values)
def test_each_action_in_each_status_is_done_or_refused_in_words(status: str, done: str) -> None:
    """Pitfalls A9b, A16a, A18: the whole table; what is refused changes nothing and names the status."""
    one = in_status(status)
    before = rows_of(one)
    woken: list[int] = []
    expected = {**ALWAYS, **AFTERWARDS[S(status)]}.get(done, REFUSED)

    if expected == REFUSED:
        with pytest.raises(ConflictError, match=rf"^Task a task cannot be {done}: it is {status}\.$"):
            ACTIONS[done](one, woken.append)
    else:
        ACTIONS[done](one, woken.append)

    if expected in (REFUSED, KEPT):
        assert rows_of(Task.objects.get(pk=one.pk)) == before
        assert Task.objects.count() == (1 if expected == REFUSED else 2)
    elif expected == GONE:
        assert not Task.objects.exists()
    else:
        assert Task.objects.get().status == expected
        assert one.status == expected
    runs = Task.objects.filter(status=S.RUNNING).values_list("pk", flat=True)
    assert woken == ([] if status == S.RUNNING else list(runs))


@pytest.mark.parametrize(
    ("status", "done"),
    [(S.CANCELLED, "resumed")]
    + [(status, done) for status in (S.CANCELLED, S.PAUSED) for done in ("retried", "edited", "deleted")]
    + [(S.CANCELLED, "restarted")],
)
def test_what_still_runs_of_a_task_has_to_end_first(status: str, done: str) -> None:
    """Pitfall A6b: a second job beside the one that is still stopping is refused; both statuses are named."""
    one = in_status(status)
    experiment(one, 3, status=Experiment.Status.BENCHMARKING, claim="somebody")
    before = rows_of(one)
    sentence = f"^Task a task cannot be {done} yet: it is {status}, and experiment 3 still benchmarking.$"
    with pytest.raises(ConflictError, match=sentence):
        ACTIONS[done](one, pytest.fail)
    assert rows_of(one) == before
    assert Task.objects.count() == 1


def test_a_paused_task_is_resumed_while_its_last_experiments_run() -> None:
    one = in_status(S.PAUSED)
    experiment(one, 3, status=Experiment.Status.BENCHMARKING, claim="somebody")
    lifecycle.resume(one, wake=lambda pk: None)
    assert one.status == S.RUNNING


@pytest.mark.parametrize("done", ["started", "paused", "resumed", "cancelled", "retried", "restarted"])
def test_of_two_that_press_the_same_at_once_one_succeeds(done: str) -> None:
    """Pitfall A9b: each thread has a connection of its own to the same file; the other gets a sentence."""
    status = next(status for status in S if done in AFTERWARDS[status])
    one = in_status(status)
    results = _at_once(lambda: ACTIONS[done](Task.objects.get(pk=one.pk), lambda pk: None), 2)
    (refusal,) = [result for result in results if isinstance(result, ConflictError)]
    assert len(results) == 2
    assert "a task" in str(refusal)
    if done == "restarted":
        assert str(refusal) == "Task a task cannot be restarted: a task (run 2) is running already."
        assert list(Task.objects.order_by("run").values_list("run", "status")) == [(1, status), (2, S.RUNNING)]


def test_of_two_that_start_and_cancel_at_once_nothing_is_lost() -> None:
    """Pitfall A9b: whichever is first, the end is one that somebody asked for."""
    for _ in range(5):
        one = in_status(S.PENDING, name=f"task {Task.objects.count()}")
        actions = iter(["started", "cancelled"])
        _at_once(lambda: ACTIONS[next(actions)](Task.objects.get(pk=one.pk), lambda pk: None), 2)  # noqa: B023
        one.refresh_from_db()
        assert one.status == S.CANCELLED


def test_a_start_never_meets_a_deletion() -> None:
    """Pitfall A16a: a task that was started is not deleted, one that was deleted is not started."""
    for number in range(5):
        one = in_status(S.PENDING, name=f"task {number}")
        actions = iter(["started", "deleted"])
        results = _at_once(lambda: ACTIONS[next(actions)](Task(pk=one.pk, name=one.name), lambda pk: None), 2)  # noqa: B023
        left = Task.objects.filter(pk=one.pk).values_list("status", flat=True).first()
        assert left in (None, S.RUNNING)
        assert len([result for result in results if isinstance(result, ConflictError)]) == 1


def _at_once(do: Callable[[], Any], count: int) -> list[Any]:
    """What each of `count` threads got from `do`, or the refusal."""
    barrier = threading.Barrier(count)
    results: list[Any] = []

    def contend() -> None:
        barrier.wait(timeout=60)
        try:
            results.append(do())
        except ConflictError as refusal:
            results.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=contend) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class QueueIsDown(Exception):
    """What a queue raises that does not answer."""


def _down(task: int) -> None:
    raise QueueIsDown(task)


@pytest.mark.parametrize("done", ["started", "resumed", "retried"])
def test_a_task_whose_wake_up_is_lost_runs_by_its_row(done: str) -> None:
    """Pitfall A9a: the row says so, which is what a worker looks at by itself."""
    one = in_status(next(status for status in S if done in AFTERWARDS[status]))
    with pytest.raises(QueueIsDown):
        ACTIONS[done](one, _down)
    one.refresh_from_db()
    assert (one.status, one.worker) == (S.RUNNING, None)


def test_a_restart_whose_wake_up_is_lost_keeps_the_results() -> None:
    """Pitfall A19c: old results are still there, and the new run is waiting for a worker."""
    one = in_status(S.COMPLETED)
    before = rows_of(one)
    with pytest.raises(QueueIsDown):
        lifecycle.restart(one, _down)
    assert rows_of(one) == before
    assert Task.objects.get(run=2).status == S.RUNNING


def test_cancel_tells_why_on_every_row() -> None:
    """Pitfalls A6a, A18: reason, message and end are written for what had not begun, too."""
    one = running()
    waiting = experiment(one, 1)
    lifecycle.cancel(one)
    waiting.refresh_from_db()
    assert (waiting.status, waiting.reason, waiting.message) == ("cancelled", Reason.CANCELLED, "Cancelled.")
    assert waiting.finished_at is not None
    assert one.finished_at is not None
    assert one.message == "Cancelled."


def test_a_task_that_was_cancelled_before_it_began_has_a_start_when_it_is_resumed() -> None:
    one = in_status(S.PENDING)
    lifecycle.cancel(one)
    lifecycle.resume(one, wake=lambda pk: None)
    assert one.started_at is not None
    assert one.finished_at is None


def test_retry_takes_up_failed_and_cancelled_experiments_only() -> None:
    """Pitfall A1: the success stays as it is, the numbers stay, and planners begin anew."""
    one = in_status(S.CANCELLED)
    experiment(one, 3, status=Experiment.Status.CANCELLED)
    success = one.experiments.filter(number=2).values().get()
    assert lifecycle.retry(one, wake=lambda pk: None) == 1
    assert [row.status for row in one.experiments.order_by("number")] == ["pending", "success", "pending"]
    assert one.experiments.filter(number=2).values().get() == success
    assert (one.experiments.get(number=1).reason, one.revision) == ("", 1)


def test_a_task_without_a_failed_experiment_is_not_retried() -> None:
    one = in_status(S.COMPLETED)
    one.experiments.filter(number=1).delete()
    with pytest.raises(ConflictError, match="cannot be retried: it is completed without a failed experiment"):
        lifecycle.retry(one, wake=pytest.fail)
    assert one.status == S.COMPLETED
    assert Task.objects.get().status == S.COMPLETED


def test_a_restart_is_a_new_run_and_the_old_one_can_be_told_apart() -> None:
    """Pitfall A16b: no number of the old run belongs to the new one; a third run needs the second to end."""
    one = in_status(S.FAILED)
    again = lifecycle.restart(one, wake=lambda pk: None)
    assert (again.run, again.experiments.count(), one.experiments.count()) == (2, 0, 2)
    assert str(again) == "a task (run 2)"
    lifecycle.cancel(again)
    assert lifecycle.restart(one, wake=lambda pk: None).run == 3


def test_a_task_with_results_that_is_edited_becomes_a_new_run() -> None:
    """Pitfalls A2, A16b: no experiment, counter or best value of the old document is in the new task; twice is once."""
    one = in_status(S.COMPLETED)
    edited = lifecycle.edit(one, document(description="another"))
    assert (edited.run, edited.status, edited.experiments.count()) == (2, S.PENDING, 0)
    assert edited.task_document.description == "another"
    assert lifecycle.edit(one, document(description="another")) == edited
    assert one.task_document.description != "another"


def test_a_task_that_has_not_begun_is_edited_in_place() -> None:
    """Pitfall A2: also its name, which counts its runs anew."""
    in_status(S.COMPLETED, name="another name")
    one = in_status(S.PENDING)
    assert lifecycle.edit(one, document(name="another name", description="new")) == one
    assert (str(one), one.task_document.description) == ("another name (run 2)", "new")


def test_duplicates_have_names_of_their_own() -> None:
    """Pitfall E8: and the whole document."""
    one = in_status(S.RUNNING)
    names = [lifecycle.duplicate(one).name for _ in range(2)]
    assert names == ["a task copy 2", "a task copy 3"]
    copy = Task.objects.get(name="a task copy 2")
    assert copy.task_document == one.task_document.model_copy(update={"name": "a task copy 2"})
    assert (copy.status, copy.run) == (S.PENDING, 1)


def test_the_longest_name_can_be_duplicated() -> None:
    one = in_status(S.PENDING, name="n" * 200)
    assert len(lifecycle.duplicate(one).name) <= 200


def _with_everything(one: Task) -> Path:
    """Rows and files as they are left by a run; the folder of its files."""
    row = one.experiments.get(number=2)
    folder = results_folder(row) / "load-0"
    folder.mkdir(parents=True)
    (folder / "requests.jsonl").write_text("{}\n")
    LogLine.objects.create(task=one, experiment=row, at=row.created_at, level="info", source="runner", text="a line")
    MeasurementRow.of(row, 0, measured(ok())).save()
    return task_folder(one.pk)


@pytest.mark.parametrize("done", ["deleted", "reset"])
def test_nothing_of_the_old_run_remains(done: str) -> None:
    """Pitfalls A16a, A16c: no row, no log line, no file."""
    one = in_status(S.COMPLETED)
    folder = _with_everything(one)
    ACTIONS[done](one, pytest.fail)
    assert not folder.exists()
    for model in (Experiment, MeasurementRow, LogLine):
        assert not model.objects.exists()


def test_a_task_after_a_deleted_one_inherits_nothing() -> None:
    """Pitfall A17: another id, so another folder, and an empty log."""
    one = in_status(S.COMPLETED)
    _with_everything(one)
    number = one.pk
    lifecycle.delete(one)
    after = in_status(S.COMPLETED)
    assert after.pk > number
    assert not after.log_lines.exists()
    assert not task_folder(after.pk).exists()


def test_a_running_task_is_deleted_by_nobody() -> None:
    """Pitfall A16a: rows and files stay."""
    one = in_status(S.RUNNING)
    folder = _with_everything(one)
    before = rows_of(one)
    with pytest.raises(ConflictError, match="cannot be deleted: it is running"):
        lifecycle.delete(one)
    assert rows_of(one) == before
    assert folder.exists()
    lifecycle.pause(one)
    lifecycle.delete(one)
    assert not folder.exists()


@pytest.mark.parametrize("done", sorted(ACTIONS.keys() - {"duplicated", "reset"}))
def test_a_task_that_is_gone_is_said_so(done: str) -> None:
    one = in_status(S.PENDING)
    Task.objects.filter(pk=one.pk).delete()
    with pytest.raises(ConflictError, match=rf"^Task a task cannot be {done}: it does not exist any more\.$"):
        ACTIONS[done](one, pytest.fail)


def test_a_reset_task_has_to_be_forced_from_a_worker_which_writes_nothing_more() -> None:
    """Pitfalls A6b, A7: the attempt that was forced out is fenced."""
    slots.register()
    living()
    one = running()
    lease = taken(experiment(one))
    with pytest.raises(ConflictError, match="cannot be reset: experiment 1 is deploying"):
        lifecycle.reset(one)
    lifecycle.reset(one, force=True)
    for write in (lease.write, lease.finish):
        with pytest.raises(LeaseLost):
            write(status=Experiment.Status.SUCCESS, value=1.0)
    assert (one.status, one.started_at, one.worked_s) == (S.PENDING, None, 0.0)
    assert not Experiment.objects.exists()
