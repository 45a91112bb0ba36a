"""run_task: exit codes, and what is said where."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from tests.commands.conftest import Installation
from tests.runner.factories import text
from tuning.models import Experiment, Task

database = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _signals_stay_as_they_were() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def refuse(constant: str) -> None:
    """For a parser: NaN and the infinities are no JSON."""
    raise ValueError(constant)


def run_task(path: Path, *options: str) -> int | str | None:
    """The exit code of `run_task`."""
    with pytest.raises(SystemExit) as ended:
        call_command("run_task", path, *options)
    return ended.value.code


def test_json_is_one_object_on_stdout_and_stderr_is_quiet(installed: Installation) -> None:
    """Pitfalls A4b, B18: the keys that were promised, no constant that is not JSON, exit code 0."""
    path = installed.document(text({"max-num-seqs": [8], "simulate-failure": [None, "crash-at-start"]}))
    code, out, err = installed.manage("run_task", path, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out, parse_constant=refuse)
    assert {"task", "status", "objective", "baseline", "best", "experiments"} <= result.keys()
    assert result["status"] == "completed"
    assert {"name", "unit", "direction"} <= result["objective"].keys()
    best = {"number", "parameters", "value", "ratio_to_baseline", "feasible", "command"}
    assert best <= result["best"].keys()
    assert best <= result["baseline"].keys()
    assert (result["baseline"]["number"], result["baseline"]["ratio_to_baseline"]) == (1, 1.0)
    assert result["best"]["number"] in (1, 2)
    assert result["best"]["feasible"] is True
    assert " serve " in result["best"]["command"]
    assert [_outline(one) for one in result["experiments"]] == [
        (1, "success", None, 1),
        (2, "success", None, 1),
        (3, "failed", "engine_crashed", 0),
    ]
    for (column,) in installed.query("select errors from tuning_measurementrow"):
        json.loads(column, parse_constant=refuse)


def _outline(one: dict[str, Any]) -> tuple[Any, ...]:
    keys = {"number", "status", "reason", "parameters", "value", "feasible", "measurements", "seconds"}
    assert keys <= one.keys()
    assert one["seconds"].keys() == {"deploy", "ready", "benchmark", "remove", "total"}
    return (one["number"], one["status"], one["reason"], len(one["measurements"]))


@database
def test_a_finished_task_is_shown_again_without_running(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall A1: and `--again` runs it anew beside the old one."""
    path = tmp_path / "task.yaml"
    path.write_text(text())
    assert run_task(path, "--json") == 0
    first = capsys.readouterr().out
    finished = list(Experiment.objects.values())
    assert run_task(path, "--json") == 0
    assert capsys.readouterr().out == first
    assert list(Experiment.objects.values()) == finished
    assert run_task(path, "--again") == 0
    shown = capsys.readouterr()
    assert [task.run for task in Task.objects.order_by("run")] == [1, 2]
    assert Experiment.objects.count() == 2
    assert shown.err == ""
    assert "a task (run 2): 1 experiment" in shown.out
    assert "simulated" in shown.out
    assert "Best: #1" in shown.out


@database
def test_without_a_feasible_configuration_the_exit_code_is_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pitfall B18: a measured miss of the SLO."""
    path = tmp_path / "task.yaml"
    path.write_text(text(slo={"e2e_ms": {"mean": 0.001}}))
    assert run_task(path) == 1
    assert "No configuration meets the SLO." in capsys.readouterr().out


@database
def test_when_everything_fails_the_exit_code_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pitfall B18: best is null in JSON, and the table names the failure."""
    path = tmp_path / "task.yaml"
    path.write_text(text(fixed={"simulate-failure": "crash-at-start"}))
    assert run_task(path) == 1
    assert "#1 failed (engine_crashed)" in capsys.readouterr().out
    assert run_task(path, "--json") == 1
    result = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert (result["status"], result["best"]) == ("failed", None)


@database
def test_the_log_is_shown_on_stderr_when_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(text(fixed={"simulate-failure": "crash-at-start"}))
    assert run_task(path, "--log", "--json") == 1
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert " engine #1 " in shown.err
    assert " runner #1 error: failed: " in shown.err


@database
def test_a_bad_document_is_refused_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "task.yaml"
    path.write_text(text(colour="blue"))
    assert run_task(path) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "colour" in shown.err
    assert not Task.objects.exists()
