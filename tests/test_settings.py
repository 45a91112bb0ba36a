"""Settings: where data, database and queue are, and the sentences that refuse what makes no sense."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from huey.api import Huey
from huey.utils import load_class

from autotuner_site import environment, services

PROJECT = Path(__file__).parents[1]
PASSWORD = "open-sesame"


def manage(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `manage.py` with these variables, on SQLite unless they say otherwise."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "HUEY_URL")}
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env={**inherited, "DJANGO_SETTINGS_MODULE": "autotuner_site.settings", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(autouse=True)
def _no_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("HUEY_URL", raising=False)


def test_without_urls_database_and_queue_are_two_files_of_the_data_folder(tmp_path: Path) -> None:
    database, queue = services.database(tmp_path), services.queue(tmp_path)
    assert database["ENGINE"] == "django.db.backends.sqlite3"
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert database["OPTIONS"]["timeout"] == queue["timeout"] == 20
    assert {Path(database["NAME"]).parent, Path(queue["filename"]).parent} == {tmp_path}
    assert database["NAME"] != Path(queue["filename"])


def test_a_database_url_is_taken_apart_and_nothing_of_sqlite_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://tuner:p%40ss@db.example:5433/runs?sslmode=require")
    found = services.database(tmp_path)
    assert found["ENGINE"] == "django.db.backends.postgresql"
    where = {name: found[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")}
    assert where == {"USER": "tuner", "PASSWORD": "p@ss", "HOST": "db.example", "PORT": 5433, "NAME": "runs"}
    assert found["CONN_MAX_AGE"] == 0
    assert found["OPTIONS"]["sslmode"] == "require"
    assert found["OPTIONS"]["application_name"] == "inference-autotuner"
    assert not {"timeout", "transaction_mode", "init_command"} & set(found["OPTIONS"])
    assert str(tmp_path) not in repr(found)


def test_an_option_of_the_url_wins_over_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql:///runs?connect_timeout=3&application_name=mine")
    options = services.database(tmp_path)["OPTIONS"]
    assert (options["connect_timeout"], options["application_name"]) == (3, "mine")


@pytest.mark.parametrize("url", [None, "redis://127.0.0.1:1/3", "unix:///run/redis.sock?db=3"])
def test_each_queue_keeps_no_results_runs_nothing_at_once_and_takes_priorities(
    url: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url:
        monkeypatch.setenv("HUEY_URL", url)
    options = services.queue(tmp_path)
    made: Huey = load_class(options.pop("huey_class"))(**options)
    assert (made.name, made.immediate, made.results) == ("autotuner", False, False)
    assert made.storage.priority


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://tuner:{PASSWORD}@db/runs",
        f"tuner:{PASSWORD}@db/runs",
        f"postgresql://tuner:{PASSWORD}@db",
        f"postgresql://tuner:{PASSWORD}@db:port/runs",
        f"postgresql://tuner:{PASSWORD}@db:99999/runs",
        f"postgresql://tuner:12/{PASSWORD}@db/runs",
        f"postgresql://tuner:{PASSWORD}@[::1/runs",
        f"postgresql://tuner:{PASSWORD}@db/runs?pool=true",
        f"postgresql://tuner:{PASSWORD}@db/runs?connect_timeout=soon",
        f"postgresql://tuner:{PASSWORD}@db/runs?connect_timeout=3&connect_timeout=4",
    ],
)
def test_an_odd_database_url_is_refused_by_name_and_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"^DATABASE_URL ") as refused:
        services.database(tmp_path)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        f"http://:{PASSWORD}@queue/0",
        f":{PASSWORD}@queue",
        f"redis://:{PASSWORD}@queue:port/0",
        f"redis://:{PASSWORD}@queue/runs",
        f"redis://:12/{PASSWORD}@queue",
        f"redis://:{PASSWORD}@queue/0?socket_timeout=soon",
        f"redis://:{PASSWORD}@queue/0?colour=red",
    ],
)
def test_an_odd_queue_url_is_refused_by_name_and_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUEY_URL", url)
    with pytest.raises(ImproperlyConfigured, match=r"^HUEY_URL ") as refused:
        services.queue(tmp_path)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(("variable", "package"), [("DATABASE_URL", "dj_database_url"), ("HUEY_URL", "redis")])
def test_a_url_without_its_driver_says_how_to_install_it(variable: str, package: str, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / f"{package}.py").write_text("raise ImportError('not installed')\n")
    url = {"DATABASE_URL": "postgresql:///runs", "HUEY_URL": "redis://127.0.0.1/0"}[variable]
    data = str(tmp_path / "data")
    code, _, err = manage("check", AUTOTUNER_DATA_DIR=data, PYTHONPATH=str(hidden), **{variable: url})
    assert (code, err.count("\n")) == (2, 1), err
    assert err.startswith(variable)
    assert "make setup-services" in err


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"AUTOTUNER_DATA_DIR": "/dev/null/data"}, "AUTOTUNER_DATA_DIR /dev/null/data cannot be made: Not a directory"),
        ({"AUTOTUNER_DATA_DIR": "/dev/null"}, "AUTOTUNER_DATA_DIR /dev/null cannot be made: File exists"),
        ({"AUTOTUNER_DATA_DIR": "/proc"}, "AUTOTUNER_DATA_DIR /proc is not writable"),
        ({"AUTOTUNER_DATA_DIR": "~nobody-of-this-name/data"}, "AUTOTUNER_DATA_DIR has no home directory"),
        ({"AUTOTUNER_SLOTS": "many"}, "AUTOTUNER_SLOTS is 'many'"),
        ({"DATABASE_URL": f"mysql://tuner:{PASSWORD}@db/runs"}, "DATABASE_URL does not begin with postgres://"),
        ({"DATABASE_URL": f"postgresql://tuner:{PASSWORD}@127.0.0.1:1/runs"}, "Database: connection failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_settings_that_cannot_work_end_any_command_with_one_sentence(
    variables: dict[str, str], words: str, tmp_path: Path
) -> None:
    code, out, err = manage("showmigrations", **{"AUTOTUNER_DATA_DIR": str(tmp_path), **variables})
    assert (code, out) == (2, "")
    assert words in err
    assert (err.count("\n"), PASSWORD in err) == (1, False), err


def test_a_database_that_was_never_made_ends_a_command_with_one_sentence(tmp_path: Path) -> None:
    code, _, err = manage("export_task", "1", AUTOTUNER_DATA_DIR=str(tmp_path))
    assert (code, err.count("\n")) == (1, 1), err
    assert "manage.py migrate" in err


def test_help_works_whatever_the_settings_say() -> None:
    code, out, _ = manage("help", AUTOTUNER_DATA_DIR="/dev/null/data")
    assert code == 0
    assert "/dev/null/data cannot be made" in out


def test_the_data_folder_is_made_for_its_owner_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOTUNER_DATA_DIR", str(tmp_path / "new" / "data"))
    assert environment.data_dir().stat().st_mode & 0o777 == 0o700
    assert list(environment.data_dir().iterdir()) == []


def test_a_key_that_cannot_be_read_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOTUNER_SECRET_KEY", raising=False)
    (tmp_path / "secret_key").mkdir()
    with pytest.raises(ImproperlyConfigured, match=r"secret_key cannot be used: Is a directory"):
        environment.secret_key(tmp_path)
