"""Commands of operators in this process: what they show, ask, refuse."""

import io
import json
import os
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.commands.test_run_task import refuse
from tests.runner.factories import experiment, living, running, taken, task, text
from tests.runner.test_lifecycle import in_status
from tuning.models import Experiment, LogLine, Slot, Task, Worker
from tuning.runner import best, clock, slots
from tuning.runner.experiment import task_folder
from tuning.runner.instance import instance_id

pytestmark = pytest.mark.django_db(transaction=True)


def say(*arguments: Any) -> str:
    """What a command writes to stdout by itself."""
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def refusal(*arguments: Any) -> str:
    """The sentence of a command that refuses."""
    with pytest.raises(CommandError) as refused:
        say(*arguments)
    return str(refused.value)


def answer(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Have a person type this; nothing is nobody."""
    monkeypatch.setattr("sys.stdin", io.StringIO(line))


@pytest.fixture
def document(tmp_path: Any) -> Any:
    path = tmp_path / "task.yaml"
    path.write_text(text())
    return path


def test_submit_task_makes_a_run_each_time(document: Any) -> None:
    first = say("submit_task", document, "--no-start")
    number = Task.objects.get().pk
    assert first == f"Task {number}: a task, not started; `manage.py task start {number}` starts it.\n"
    assert say("submit_task", document).startswith(f"Task {number + 1}: a task (run 2), started. No worker is running")
    assert list(Task.objects.order_by("run").values_list("run", "status")) == [(1, "pending"), (2, "running")]


def test_submit_task_says_that_a_worker_lives(document: Any) -> None:
    living()
    assert "The worker takes it up now" in say("submit_task", document)


def test_a_bad_document_is_not_submitted(document: Any, capsys: pytest.CaptureFixture[str]) -> None:
    document.write_text(text(colour="blue"))
    with pytest.raises(SystemExit) as ended:
        say("submit_task", document)
    assert ended.value.code == 2
    assert "colour" in capsys.readouterr().err
    assert not Task.objects.exists()


@pytest.mark.parametrize("words", [("task", "start"), ("reset_task",), ("export_task",)])
@pytest.mark.parametrize("name", ["nobody", "12345", "0", "-1", str(10**30), "²", ""])
def test_a_task_that_does_not_exist_is_said_in_a_sentence(words: tuple[str, ...], name: str) -> None:
    assert refusal(*words, "--", name).startswith(f"There is no task {name}; `manage.py list_tasks` shows")


def test_a_name_means_its_latest_run() -> None:
    first = task()
    second = running()
    Task.objects.filter(pk=first.pk).update(run=2)
    assert first == second
    older = in_status("pending", name="another")
    Task.objects.filter(pk=older.pk).update(name="a task", run=1)
    say("task", "pause", "a task")
    assert list(Task.objects.order_by("run").values_list("status", flat=True)) == ["pending", "paused"]


def test_a_refused_action_is_a_sentence() -> None:
    one = in_status("running")
    assert refusal("task", "start", one.pk) == "Task a task cannot be started: it is running."
    assert refusal("task", "edit", one.pk) == "`task edit` needs the file with the new document."
    assert refusal("task", "pause", one.pk, "a.yaml") == "`task pause` takes no file."


def test_edit_and_duplicate_name_what_they_made(document: Any) -> None:
    one = in_status("completed")
    assert say("task", "edit", one.pk, document).startswith(f"a task (run 2) is made as task {one.pk + 1}, for a task")
    assert say("task", "edit", one.pk + 1, document).startswith("a task (run 2) has the new document")
    assert say("task", "duplicate", one.pk).startswith(f"a task copy 2 is made as task {one.pk + 2}")


def test_delete_names_what_is_lost_and_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pitfalls A16a, E9b."""
    one = in_status("completed")
    LogLine.objects.create(task=one, at=one.created_at, level="info", source="runner", text="a line")
    task_folder(one.pk).mkdir(parents=True)
    (task_folder(one.pk) / "a file").touch()
    lost = "a task with 2 experiments, 1 log line, 1 file"

    answer(monkeypatch, "no\n")
    assert say("task", "delete", one.pk) == "Nothing is deleted.\n"
    assert capsys.readouterr().out == f"{lost} will be deleted for ever. Type yes to go on: "
    answer(monkeypatch, "")
    assert refusal("task", "delete", one.pk).startswith("Nobody is there to be asked")
    assert Task.objects.exists()
    answer(monkeypatch, "yes\n")
    assert say("task", "delete", one.pk) == f"Deleted: {lost}.\n"
    assert not task_folder(one.pk).exists()


def test_delete_without_asking() -> None:
    assert say("task", "delete", in_status("pending").pk, "--yes").startswith("Deleted: a task with 0 experiments")
    assert "it is running" in refusal("task", "delete", in_status("running").pk)
    assert Task.objects.count() == 1


def _finished(one: Task, *values: float) -> None:
    for number, value in enumerate(values, start=1):
        outcome = {"value": value, "feasible": True, "is_baseline": number == 1, "finished_at": one.created_at}
        experiment(one, number, status=Experiment.Status.SUCCESS, attempt=1, **outcome)
    with transaction.atomic():
        best.recompute(one)


def test_list_tasks_shows_how_far_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall E5b: the best value in its natural unit, and its ratio to the baseline."""
    one = running()
    _finished(one, 200.0, 400.0)
    experiment(one, 3, status=Experiment.Status.FAILED)
    experiment(one, 4, status=Experiment.Status.BENCHMARKING)
    experiment(one, 5)
    in_status("pending", name="waits")
    say("list_tasks")
    newest, older = capsys.readouterr().out.splitlines()[3:5]
    assert newest.split()[1:] == ["waits", "pending", "0/0/0", "0", "-", "-", "0s"]
    assert older.split()[1:8] == ["a", "task", "running", "2/1/5", "1", "400.0", "tokens/s/GPU"]
    assert older.split()[8] == "2.00"


def test_list_tasks_is_one_json_object_for_scripts() -> None:
    """Pitfall A4b."""
    _finished(running(), 200.0, 400.0)
    in_status("failed", name="broken")
    broken, one = json.loads(say("list_tasks", "--json"), parse_constant=refuse)["tasks"]
    assert (one["name"], one["run"], one["status"]) == ("a task", 1, "running")
    assert one["best"] == {"value": 400.0, "unit": "tokens/s/GPU", "ratio_to_baseline": 2.0}
    assert one["experiments"]["success"] == 2
    assert (broken["status"], broken["experiments"]["failed"]) == ("failed", 1)
    only = json.loads(say("list_tasks", "--json", "--status", "failed"))["tasks"]
    assert [row["name"] for row in only] == ["broken"]


def test_list_tasks_says_when_there_are_none() -> None:
    assert say("list_tasks") == "There are no tasks.\n"
    assert say("list_tasks", "--status", "paused") == "No task is paused.\n"


def test_the_lists_ask_the_database_equally_often_however_long_they_are() -> None:
    """Pitfall E1."""
    counts = []
    for _ in range(2):
        for _ in range(3):
            one = in_status("running", name=f"task {Task.objects.count()}")
            claim = f"claim {one.pk}"
            Slot.objects.create(node="elsewhere", index=Slot.objects.count(), claim=claim)
            experiment(one, 3, status=Experiment.Status.BENCHMARKING, claim=claim)
        for command in ("list_tasks", "list_slots"):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                say(command)
            counts.append(len(queries))
    assert counts[:2] == counts[2:]


def test_list_slots_shows_who_has_what(capsys: pytest.CaptureFixture[str]) -> None:
    slots.register()
    lease = taken(experiment(running()))
    here = instance_id()
    Slot.objects.create(node=here, index=1, gpu=3, device="3", name="NVIDIA H100", foreign="process 1 (x) uses 9 MiB")
    Slot.objects.create(node="elsewhere", index=0, claim="of nobody")
    Slot.objects.create(node="elsewhere", index=1)
    said = say("list_slots")
    shown = capsys.readouterr().out
    pk = lease.experiment.task_id
    for words in (
        f"{here} (this)",
        f"task {pk} (a task), experiment 1, attempt 1",
        "GPU 3: NVIDIA H100",
        "process 1 (x) uses 9 MiB",
        "an attempt that has ended; `manage.py reconcile` frees it",
        "free",
    ):
        assert words in shown
    assert said.startswith("worker, process 1 on elsewhere, seen ")


def test_list_slots_on_a_new_installation() -> None:
    assert say("list_slots") == (
        "No slot is known yet; the first worker that starts writes them down.\nNo worker is running.\n"
    )


def test_list_slots_says_that_a_setting_names_a_gpu_that_is_not_there(settings: Any) -> None:
    """Pitfall C3b: in words, and what there is is shown all the same."""
    settings.AUTOTUNER_GPUS = ["4711"]
    assert "AUTOTUNER_GPUS: there is no GPU 4711" in say("list_slots")


def test_resets_refuse_while_a_worker_holds_a_lease_and_reset_nothing() -> None:
    other = in_status("completed", name="another")
    slots.register()
    one = running()
    lease = taken(experiment(one))
    assert refusal("reset_task", one.pk).startswith("Task a task cannot be reset: experiment 1 is deploying.")
    assert refusal("reset_tasks", "--all").startswith("The tasks cannot be reset: experiment 1 of task a task is")
    assert other.experiments.count() == 2
    assert "as if it had never run" in say("reset_task", other.pk)
    say("reset_tasks", "--all", "--force")
    assert set(Task.objects.values_list("status", flat=True)) == {"pending"}
    assert not Experiment.objects.exists()
    assert not Experiment.objects.filter(claim=lease.claim).exists()


def test_reset_tasks_wants_to_be_told_that_it_is_all_of_them() -> None:
    assert "--all" in refusal("reset_tasks")
    assert say("reset_tasks", "--all") == "There are no tasks.\n"


def test_reconcile_has_nothing_to_do_in_a_tidy_installation() -> None:
    assert say("reconcile", "--dry-run") == "nothing to do\n"
    assert say("reconcile") == "nothing to do\n"


def test_delete_all_data_asks_for_the_name_of_the_instance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pitfalls A16c, E9b: nothing goes without it, everything with it."""
    one = in_status("completed")
    task_folder(one.pk).mkdir(parents=True)
    (task_folder(one.pk) / "a file").touch()
    slots.register()
    answer(monkeypatch, "yes\n")
    assert "'yes' is not the name of this instance" in refusal("delete_all_data")
    asked = capsys.readouterr().out
    assert re.match(r"1 task with 2 experiments, 0 log lines, \d+ files? will be deleted for ever\.", asked)
    assert instance_id() in asked
    answer(monkeypatch, "")
    assert "Nobody is there" in refusal("delete_all_data")
    assert "is not the name" in refusal("delete_all_data", "--yes", "another")
    assert Task.objects.exists()
    answer(monkeypatch, f"{instance_id()}\n")
    assert "Users and the secret key are kept." in say("delete_all_data")
    for model in (Task, Experiment, LogLine, Slot):
        assert not model.objects.exists()
    assert not task_folder(one.pk).parent.exists()


@pytest.mark.parametrize("kind", Worker.Kind)
def test_delete_all_data_refuses_while_somebody_works(kind: Worker.Kind) -> None:
    """An idle worker is in nobody's way, and keeps its slots; a foreground run is not idle between experiments."""
    columns = {"node": "elsewhere", "host": "elsewhere", "pid": os.getpid(), "kind": kind}
    worker = Worker.objects.create(pk="living", lease_until=clock.lease_end(clock.reading()), **columns)
    Slot.objects.create(node="elsewhere", index=0)
    one = running()
    yes = ("delete_all_data", "--yes", instance_id())
    if kind == Worker.Kind.FOREGROUND:
        assert refusal(*yes) == f"The data cannot be deleted: {worker} runs a task. Stop it first, or use --force."
        assert Task.objects.exists()
    else:
        say(*yes)
        assert Slot.objects.exists()
        one = running()
    slots.register()
    taken(experiment(one))
    assert refusal(*yes).startswith("The data cannot be deleted: experiment 1 of task a task is deploying.")
    assert "`manage.py reconcile` removes engines" in say(*yes, "--force")
    assert not Task.objects.exists()
