"""What Django's system checks say of an installation that would lose data or show it to others."""

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Tags, register

NETWORK = frozenset(
    {
        *("nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "ncpfs", "afs", "afpfs", "coda", "webdav", "davfs"),
        *("9p", "vboxsf", "vmhgfs", "vmhgfs-fuse", "grpcfuse"),
        *("lustre", "glusterfs", "ceph", "ceph-fuse", "beegfs", "gpfs", "orangefs", "pvfs2", "panfs", "gfs2", "ocfs2"),
        *("sshfs", "davfs2", "smbnetfs", "curlftpfs", "rclone", "s3fs", "gcsfuse", "goofys", "blobfuse2"),
        *("juicefs", "seaweedfs", "moosefs", "mfs"),
    }
)
"""File systems on which several machines may work on the same file, as the mount table calls them after `fuse.`.

SQLite's WAL needs memory that all its users share, and locks that hold: https://www.sqlite.org/wal.html.
"""


class Mount(NamedTuple):
    """A line of the mount table; one that psutil returns will do too."""

    mountpoint: str
    fstype: str


def mounts() -> list[Mount]:
    """The mount table of this machine, in the order of mounting."""
    return [Mount(line.mountpoint, line.fstype) for line in psutil.disk_partitions(all=True)]


def mount_of(folder: Path, table: Iterable[Mount]) -> Mount | None:
    """Where a folder is: its longest mount point, of equal ones the last, which hides the others."""
    real = folder.resolve()
    found = [line for line in table if real.is_relative_to(line.mountpoint)]
    return max(reversed(found), key=lambda line: len(Path(line.mountpoint).parts), default=None)


def files_in_data_dir() -> list[str]:
    """The variables whose servers would be in place of SQLite files in the data folder."""
    database = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    queue = "filename" in settings.HUEY
    return ["DATABASE_URL"] * database + ["HUEY_URL"] * queue


@register(Tags.files)
def database_is_on_a_local_disk(table: Iterable[Mount] | None = None, **_: Any) -> list[CheckMessage]:
    """SQLite over a network loses data: refused."""
    variables = files_in_data_dir()
    mount = mount_of(settings.DATA_DIR, mounts() if table is None else table)
    if not variables or mount is None or mount.fstype.lower().rpartition("fuse.")[2] not in NETWORK:
        return []
    return [
        Error(
            f"{settings.DATA_DIR} is on a network file system ({mount.fstype}, mounted at {mount.mountpoint}), where "
            "SQLite loses data.",
            hint=f"Set AUTOTUNER_DATA_DIR to a folder on a local disk, or {' and '.join(variables)} to a server.",
            id="tuning.E001",
        )
    ]


@register()
def tasks_are_queued(**_: Any) -> list[CheckMessage]:
    """With `immediate`, which Huey takes from DEBUG when nothing is said, a request would run experiments: refused."""
    if not settings.HUEY.get("immediate", settings.DEBUG):
        return []
    return [
        Error(
            'HUEY["immediate"] is on: experiments would run inside of the request that asks for them.',
            hint='Set HUEY["immediate"] to False.',
            id="tuning.E002",
        )
    ]


@register(Tags.security, Tags.files)
def data_dir_is_private(**_: Any) -> list[CheckMessage]:
    """The data folder holds the signing key, and prompts and answers of every experiment."""
    mode = stat.S_IMODE(settings.DATA_DIR.stat().st_mode)
    if not mode & 0o077:
        return []
    return [
        checks.Warning(
            f"{settings.DATA_DIR} can be read or written by other users (mode {mode:04o}).",
            hint=f"chmod 700 {settings.DATA_DIR}",
            id="tuning.W001",
        )
    ]
