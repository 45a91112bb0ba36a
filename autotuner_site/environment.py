"""Reads settings from environment variables; an odd value stops the program with a sentence."""

import contextlib
import math
import os
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def flag(name: str) -> bool:
    """A yes or no; no by default."""
    text = os.environ.get(name, "0").lower()
    if text not in ("0", "1", "false", "true", "no", "yes"):
        raise ImproperlyConfigured(f"{name} is {text!r}; give 1 or 0")
    return text in ("1", "true", "yes")


def words(name: str, default: str) -> list[str]:
    """A comma-separated list."""
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of a few words."""
    value = os.environ.get(name, default).upper()
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; give one of {', '.join(allowed)}")
    return value


def number(name: str, default: float, *, least: float, most: float) -> float:
    """A number within bounds."""
    text = os.environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} is {text!r}; give a number from {least:g} to {most:g}")
    return value


def data_dir() -> Path:
    """The private folder of everything that is kept: `AUTOTUNER_DATA_DIR`, else below the XDG data directory.

    ImproperlyConfigured when nothing can be written there: an attempt tells, permissions do not (a disk that is full or
    read-only, a server that trusts nobody).
    """
    try:
        base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        folder = Path(os.environ.get("AUTOTUNER_DATA_DIR") or Path(base) / "inference-autotuner").expanduser()
    except RuntimeError as error:
        raise ImproperlyConfigured(f"AUTOTUNER_DATA_DIR has no home directory to be in: {error}") from error
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"AUTOTUNER_DATA_DIR {folder} cannot be made: {error.strerror}") from error
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImproperlyConfigured(f"AUTOTUNER_DATA_DIR {folder} is not writable: {error.strerror}") from error
    return folder


def secret_key(folder: Path) -> str:
    """`AUTOTUNER_SECRET_KEY`, else a key that is drawn once and kept in the data folder, readable by its owner."""
    if key := os.environ.get("AUTOTUNER_SECRET_KEY"):
        return key
    try:
        return once(folder / "secret_key", lambda: secrets.token_urlsafe(50))
    except OSError as error:
        raise ImproperlyConfigured(f"{folder / 'secret_key'} cannot be used: {error.strerror}") from error


def once(path: Path, make: Callable[[], str]) -> str:
    """The text in `path`, made and written (mode 0600) when there is none; two processes that start at once agree."""
    if not path.exists():
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.touch(0o600)
        draft.write_text(make())
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()
