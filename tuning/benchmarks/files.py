"""Writing into a load point's folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tuning.errors import BenchmarkError


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a failure to write below `folder` into a BenchmarkError that says what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        where = error.filename or folder
        raise BenchmarkError(f"{where} cannot be written: {error.strerror}; make room there and start again") from error
