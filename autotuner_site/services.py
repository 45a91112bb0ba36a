"""Settings of the database and of the queue: SQLite files, or the servers of `DATABASE_URL` and `HUEY_URL`."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

BUSY_S = 20
"""How long a statement waits for another one's lock, on any database."""

_DATABASE_SCHEMES = ("postgres", "postgresql")
_QUEUE_SCHEMES = ("redis", "rediss", "unix")
_MISSING = "{} needs what requirements-services.txt lists; `make setup-services` installs it"


def database(data_dir: Path) -> dict[str, Any]:
    """Django's settings of the database; ImproperlyConfigured for a URL that makes no sense."""
    url = os.environ.get("DATABASE_URL")
    return postgresql(url) if url else sqlite(data_dir)


def queue(data_dir: Path) -> dict[str, Any]:
    """Huey's settings of the queue of wake-ups; ImproperlyConfigured for a URL that makes no sense."""
    url = os.environ.get("HUEY_URL")
    storage = redis(url) if url else sqlite_queue(data_dir)
    return {
        **storage,
        "name": "autotuner",
        "immediate": False,  # by default it would follow DEBUG and run tasks inside of requests
        "results": False,  # the rows of the database are the results
    }


def sqlite(data_dir: Path) -> dict[str, Any]:
    """A file in the data folder."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": data_dir / "autotuner.sqlite3",
        "OPTIONS": {
            "timeout": BUSY_S,
            # A transaction that reads first and then writes fails at once under DEFERRED, whatever the timeout.
            "transaction_mode": "IMMEDIATE",
            # WAL lets pages read while logs are written; NORMAL loses nothing but the last moment on a power cut.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA temp_store=MEMORY; "
            "PRAGMA journal_size_limit=67108864;",
        },
        "TEST": {"NAME": data_dir / "test.sqlite3"},
    }


def sqlite_queue(data_dir: Path) -> dict[str, Any]:
    """Another file in the data folder."""
    return {
        "huey_class": "huey.SqliteHuey",
        "filename": str(data_dir / "huey.sqlite3"),
        "timeout": BUSY_S,
        "strict_fifo": True,
    }


def postgresql(url: str) -> dict[str, Any]:
    """The server of `url`; options of libpq in its query win over ours."""
    _check_url("DATABASE_URL", url, _DATABASE_SCHEMES, "postgresql://USER:PASSWORD@HOST:5432/NAME")
    try:
        import dj_database_url  # noqa: PLC0415 - one machine with SQLite does not need them
        from psycopg import ProgrammingError, conninfo  # noqa: PLC0415
    except ImportError as error:
        raise ImproperlyConfigured(_MISSING.format("DATABASE_URL")) from error
    parsed = dj_database_url.parse(url, conn_max_age=0)
    if not parsed["NAME"]:
        raise ImproperlyConfigured("DATABASE_URL names no database; give postgresql://USER:PASSWORD@HOST:5432/NAME")
    options: dict[str, Any] = {**_POSTGRESQL_OPTIONS, **parsed.get("OPTIONS", {})}
    try:
        conninfo.timeout_from_conninfo(conninfo.conninfo_to_dict(conninfo.make_conninfo("", **options)))
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"DATABASE_URL has an odd option: {error}") from None
    return {**parsed, "OPTIONS": options}


_POSTGRESQL_OPTIONS = {
    "application_name": "inference-autotuner",
    "connect_timeout": 10,
    # A server that is gone without a word is noticed before a lease of the default length ends.
    "tcp_user_timeout": 1000 * BUSY_S,
    "keepalives_idle": BUSY_S,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    # As with SQLite, nobody waits for ever; and a worker that hangs in a transaction does not keep its locks.
    "options": f"-c lock_timeout={BUSY_S}s -c idle_in_transaction_session_timeout={BUSY_S}s",
}


def redis(url: str) -> dict[str, Any]:
    """The server of `url`.

    The class with priorities orders messages as the SQLite queue does; the one without refuses a priority.
    """
    form = "redis://:PASSWORD@HOST:6379/0"
    parts = _check_url("HUEY_URL", url, _QUEUE_SCHEMES, form)
    if parts.scheme != "unix" and not (parts.path.strip("/") or "0").isdecimal():
        raise ImproperlyConfigured(f"HUEY_URL names no numbered database; give {form}")
    try:
        from redis import ConnectionPool  # noqa: PLC0415 - the SQLite queue does not need it
    except ImportError as error:
        raise ImproperlyConfigured(_MISSING.format("HUEY_URL")) from error
    try:
        ConnectionPool.from_url(url).make_connection()
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"HUEY_URL has an option that redis does not know; give {form}") from error
    return {"huey_class": "huey.PriorityRedisHuey", "url": url}


def _check_url(name: str, url: str, schemes: tuple[str, ...], form: str) -> Any:
    """The parts of a URL; the sentence that refuses one never repeats what may be a password."""
    try:
        parts = urlsplit(url)
        odd = parts.port == 0 or "@" in parts.path
    except ValueError:
        odd = True
    if odd:
        raise ImproperlyConfigured(f"{name} is not a URL; give {form}, special characters of the password as %XX")
    if parts.scheme not in schemes:
        raise ImproperlyConfigured(f"{name} does not begin with {' or '.join(f'{s}://' for s in schemes)}; give {form}")
    return parts
