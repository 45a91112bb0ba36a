"""The history that pages are measured with is one that the tuner could have written."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
SIZES = ("--tasks", "4", "--experiments", "40", "--measurements", "160", "--log-lines", "900", "--long-log", "500")


def seed(folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "HUEY_URL")}
    environment = {**kept, "AUTOTUNER_DATA_DIR": str(folder), "DJANGO_SETTINGS_MODULE": "autotuner_site.settings"}
    command = [sys.executable, "-m", "benchmarks.seed_history", *SIZES]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    done = seed(folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("sql", "least"),
    [
        ("select count(*) from tuning_task", 4),
        ("select count(*) from tuning_experiment", 40),
        ("select count(*) from tuning_measurementrow", 100),
        ("select count(*) from tuning_logline", 900),
        ("select max(lines) from (select count(*) lines from tuning_logline group by experiment_id)", 500),
        ("select count(*) from tuning_task where status = 'running' and finished_at is null", 1),
        ("select count(*) from tuning_task where best_id is not null and best_value > 0 and best_ratio >= 1", 4),
        ("select count(*) from tuning_experiment where status = 'success' and load_point is not null", 20),
    ],
)
def test_it_has_what_was_asked_for(folder: Path, sql: str, least: int) -> None:
    with closing(sqlite3.connect(folder / "autotuner.sqlite3")) as db:
        assert db.execute(sql).fetchone()[0] >= least


def test_an_installation_with_tasks_is_left_alone(folder: Path) -> None:
    again = seed(folder)
    assert (again.returncode, again.stdout) == (1, "")
    assert "There are tasks already" in again.stderr
