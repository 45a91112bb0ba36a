"""Making the virtual environment of genai-bench, which cannot share ours.

Its dependencies exclude ours, importing it patches the whole process, and it needs Python >= 3.10, < 3.13.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tuning.benchmarks.genai_bench import VERSION, default_executable
from tuning.errors import BenchmarkError

PYTHON_RANGE = ">=3.10,<3.13"
_IN_RANGE = "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))"
_CANDIDATES = (sys.executable, "python3.12", "python3.11", "python3.10", "python3")
INSTALL_LIMIT_S, CHECK_LIMIT_S = 3600, 120

Say = Callable[[str], None]


def install(say: Say) -> Path:
    """Install the pinned genai-bench and return its executable; nothing is done where it works already.

    Uses uv where it is found, else pip; about 1 GB is downloaded. BenchmarkError: a sentence that says what is missing.
    """
    executable = default_executable()
    folder = executable.parent.parent
    if works(executable):
        say(f"genai-bench {VERSION} is installed")
        return executable
    _clear(folder)
    say(f"installing genai-bench {VERSION} into {folder} (about 1 GB)")
    for command in _commands(folder):
        _run(command)
    if not works(executable):
        raise BenchmarkError(f"{executable} was installed but does not run; `{executable} --version` shows why")
    return executable


def works(executable: Path) -> bool:
    """Whether the executable runs and has the pinned version."""
    try:
        done = subprocess.run(
            [executable, "--version"], capture_output=True, text=True, timeout=CHECK_LIMIT_S, check=False, env=_env()
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and VERSION in done.stdout


def _commands(folder: Path) -> list[list[str]]:
    python, requirement = str(folder / "bin" / "python"), f"genai-bench=={VERSION}"
    if uv := _find_uv():
        return [
            [uv, "venv", "--quiet", "--python", PYTHON_RANGE, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", python, requirement],
        ]
    return [
        [_find_python(), "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
    ]


def _find_uv() -> str | None:
    """The uv of our own environment (a development tool), or of the system."""
    own = Path(sys.executable).with_name("uv")
    return str(own) if own.exists() else shutil.which("uv")


def _find_python() -> str:
    for name in _CANDIDATES:
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", _IN_RANGE], check=False, capture_output=True).returncode == 0:
            return path
    raise BenchmarkError(
        f"genai-bench needs a Python {PYTHON_RANGE} and none is on PATH; install one (`python3.12`), or uv, which "
        "brings its own"
    )


def _clear(folder: Path) -> None:
    """Take away what is left of a broken environment; anything else in that place is not ours to remove."""
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / "pyvenv.cfg").exists():
            raise BenchmarkError(f"{folder} is in the way and is no virtual environment; move it")
        shutil.rmtree(folder)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False, env=_env())
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchmarkError(f"`{' '.join(command)}` failed: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise BenchmarkError(f"`{' '.join(command)}` failed:\n{tail}")


def _env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
