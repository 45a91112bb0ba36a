"""export_task: what is known of a task, in every format."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.commands.test_run_task import refuse
from tests.runner.factories import run, task
from tuning.document.loading import load
from tuning.models import Task
from tuning.runner.intake import submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def finished() -> Task:
    """A task with a success and a failure."""
    one = task({"simulate-failure": ["crash-at-start"]}, description="What is best?")
    run(one)
    return one


def _export(one: Any, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    call_command("export_task", one, *options)
    return capsys.readouterr().out


def test_a_task_is_exported_in_every_format(finished: Task, capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfalls A4b, B16: the exported document is the same task when it is loaded again."""
    markdown = _export(finished.pk, capsys)
    for words in (
        "# Results of a task\n",
        "What is best?",
        "**Simulated**",
        "Best: **#1**",
        "engine_crashed",
        "## Load points",
    ):
        assert words in markdown
    result = json.loads(_export(finished.pk, capsys, "--format", "json"), parse_constant=refuse)
    assert [one["status"] for one in result["experiments"]] == ["success", "failed"]
    assert _export(finished.pk, capsys, "--format", "svg").startswith("<svg")
    loaded = load(_export(finished.pk, capsys, "--format", "document"))
    assert loaded.notes == ()
    assert loaded.document == finished.task_document
    assert submit(loaded.document) == finished


def test_a_task_that_has_not_begun_is_exported_too(capsys: pytest.CaptureFixture[str]) -> None:
    one = task()
    assert _export(one.pk, capsys).startswith("# Results of a task\n")
    result = json.loads(_export(one.pk, capsys, "--format", "json"))
    assert (result["status"], result["best"], result["experiments"]) == ("pending", None, [])


@pytest.mark.parametrize("number", [0, 12345, -1, 10**30])
def test_a_number_that_is_no_task_is_said_in_a_sentence(number: int) -> None:
    """Also one that no database column can hold."""
    with pytest.raises(CommandError, match=f"There is no task {number}."):
        call_command("export_task", "--", number)
