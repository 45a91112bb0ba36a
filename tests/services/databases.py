"""Databases and queues of one's own for tests, on SQLite files or on the servers of `DATABASE_URL` and `HUEY_URL`."""

import os
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import psycopg
import redis
from psycopg import sql
from psycopg.types.json import set_json_loads


class Database(Protocol):
    """An empty database, and how a process of its own finds it."""

    environment: dict[str, str]

    def query(self, text: str) -> list[tuple[Any, ...]]:
        """Rows, with JSON as text; `text` has to be understood by SQLite and PostgreSQL."""

    def close(self) -> None:
        """Remove it; again does nothing."""


def new_database(folder: Path) -> Database:
    """A database for an installation with this data folder, and a queue that no other one uses."""
    url = os.environ.get("DATABASE_URL")
    return PostgresqlDatabase(url) if url else SqliteFile(folder)


class SqliteFile:
    """The file that an installation keeps in its data folder."""

    def __init__(self, folder: Path) -> None:
        self.environment: dict[str, str] = new_queue()
        self._file = folder / "autotuner.sqlite3"

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=20)) as db:
            return db.execute(text).fetchall()

    def close(self) -> None:
        """It goes with its folder."""


class PostgresqlDatabase:
    """A new database on the server of `url`."""

    def __init__(self, url: str) -> None:
        self._server = url
        self._name = f"autotuner_{uuid.uuid4().hex}"
        self._url = urlsplit(url)._replace(path=f"/{self._name}").geturl()
        self.environment: dict[str, str] = {"DATABASE_URL": self._url, **new_queue()}
        self._command("create database {}")

    def query(self, text: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url) as db:
            set_json_loads(lambda data: data if isinstance(data, str) else bytes(data).decode(), db)
            return db.execute(text).fetchall()

    def close(self) -> None:
        self._command("drop database if exists {} with (force)")

    def _command(self, text: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as db:
            db.execute(sql.SQL(text).format(sql.Identifier(self._name)))


def new_queue() -> dict[str, str]:
    """The variable that leads to a Redis database which nobody else was given; nothing without `HUEY_URL`."""
    url = os.environ.get("HUEY_URL")
    if not url:
        return {}
    first = urlsplit(url)._replace(path="/0").geturl()
    with redis.Redis.from_url(first) as client:
        number = client.incr("databases of tests")
    return {"HUEY_URL": urlsplit(url)._replace(path=f"/{number}").geturl()}
