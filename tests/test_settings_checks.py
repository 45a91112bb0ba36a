"""System checks: an installation that would lose data, or show it to others, is not started."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from django.conf import settings
from django.core.checks import CheckMessage

from tuning.checks import (
    NETWORK,
    Mount,
    data_dir_is_private,
    database_is_on_a_local_disk,
    mount_of,
    mounts,
    tasks_are_queued,
)

LOCAL = Mount("/", "ext4")


def ids(messages: list[CheckMessage]) -> list[str | None]:
    return [message.id for message in messages]


@pytest.fixture(autouse=True)
def _sqlite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever the tests run on, the checks are asked about SQLite files here."""
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path)
    monkeypatch.setattr(settings, "DATABASES", {"default": {"ENGINE": "django.db.backends.sqlite3"}})
    monkeypatch.setattr(settings, "HUEY", {"filename": "huey.sqlite3", "immediate": False})


@pytest.mark.parametrize("kind", sorted(NETWORK | {"fuse.sshfs", "fuse.s3fs", "osxfuse.sshfs", "NFS4"}))
def test_sqlite_on_a_network_file_system_is_refused(kind: str, tmp_path: Path) -> None:
    (message,) = database_is_on_a_local_disk([LOCAL, Mount(str(tmp_path), kind)])
    assert message.id == "tuning.E001"
    assert kind in message.msg
    assert message.hint is not None
    assert all(word in message.hint for word in ("AUTOTUNER_DATA_DIR", "local disk", "DATABASE_URL", "HUEY_URL"))


@pytest.mark.parametrize(
    "kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "fuse.mergerfs", "apfs"]
)
def test_sqlite_on_a_local_file_system_is_accepted(kind: str, tmp_path: Path) -> None:
    assert database_is_on_a_local_disk([Mount("/", "nfs"), Mount(str(tmp_path), kind)]) == []


def test_the_longest_mount_point_decides_and_of_equal_ones_the_last(tmp_path: Path) -> None:
    folder = tmp_path / "home" / "data"
    table = [
        LOCAL,
        Mount(str(tmp_path / "home"), "autofs"),
        Mount(str(tmp_path / "home"), "nfs4"),
        Mount(str(tmp_path / "home" / "dat"), "xfs"),
        Mount(str(tmp_path), "btrfs"),
    ]
    assert mount_of(folder, table) == Mount(str(tmp_path / "home"), "nfs4")


def test_a_link_to_a_network_file_system_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "share")
    monkeypatch.setattr(settings, "DATA_DIR", tmp_path / "link")
    assert ids(database_is_on_a_local_disk([LOCAL, Mount(str(tmp_path / "share"), "cifs")])) == ["tuning.E001"]


def test_with_both_servers_the_data_folder_may_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = [Mount(str(tmp_path), "nfs")]
    monkeypatch.setattr(settings, "DATABASES", {"default": {"ENGINE": "django.db.backends.postgresql"}})
    (message,) = database_is_on_a_local_disk(table)
    assert "DATABASE_URL" not in str(message.hint)
    monkeypatch.setattr(settings, "HUEY", {"url": "redis://127.0.0.1/0"})
    assert database_is_on_a_local_disk(table) == []


def test_the_mount_table_of_this_machine_says_where_a_folder_is(tmp_path: Path) -> None:
    found = mount_of(tmp_path, mounts())
    assert found is not None
    assert Path(found.mountpoint).is_mount()
    assert Path(found.mountpoint).stat().st_dev == tmp_path.stat().st_dev
    assert found.fstype in {line.fstype for line in psutil.disk_partitions(all=True)}


@pytest.mark.parametrize(("queue", "debug"), [({"immediate": True}, False), ({}, True)])
def test_a_queue_that_runs_tasks_at_once_is_refused(
    queue: dict[str, bool], debug: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "HUEY", queue)
    monkeypatch.setattr(settings, "DEBUG", debug)
    assert ids(tasks_are_queued()) == ["tuning.E002"]


def test_a_queue_that_waits_for_a_worker_is_accepted_in_debug_mode_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DEBUG", True)
    assert tasks_are_queued() == []


@pytest.mark.parametrize(("mode", "expected"), [(0o700, []), (0o750, ["tuning.W001"]), (0o701, ["tuning.W001"])])
def test_a_data_folder_that_others_can_enter_is_warned_of(mode: int, expected: list[str], tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    assert ids(data_dir_is_private()) == expected


def test_the_checks_run_with_every_command_that_checks(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--fail-level", "WARNING"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "autotuner_site.settings", "AUTOTUNER_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "tuning.W001" in done.stderr
