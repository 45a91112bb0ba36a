"""What the program itself says goes to stderr, as much of it as AUTOTUNER_LOG_LEVEL asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

LEVELS = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
SAY = f"""
import logging
import django
django.setup()
for level in {LEVELS}:
    logging.getLogger("tuning.runner").log(getattr(logging, level), "said as %s", level)
"""


def _say(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Have a fresh process say something at each level."""
    inherited = {name: value for name, value in os.environ.items() if name != "AUTOTUNER_LOG_LEVEL"}
    environment = {**inherited, "AUTOTUNER_DATA_DIR": str(folder), **variables}
    environment["DJANGO_SETTINGS_MODULE"] = "autotuner_site.settings"
    return subprocess.run(
        [sys.executable, "-c", SAY],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("chosen", "least"), [*((level, level) for level in LEVELS), ("info", "INFO"), (None, "WARNING")]
)
def test_the_console_shows_what_is_at_least_as_grave_as_asked(tmp_path: Path, chosen: str | None, least: str) -> None:
    said = _say(tmp_path, **({"AUTOTUNER_LOG_LEVEL": chosen} if chosen else {}))
    shown = LEVELS[LEVELS.index(least) :]
    assert [line.rpartition(" ")[2] for line in said.stderr.splitlines()] == shown
    assert said.stderr.splitlines()[0].endswith(f"{least} tuning.runner: said as {least}")
    assert (said.stdout, said.returncode) == ("", 0)


def test_a_level_that_does_not_exist_is_refused_by_name(tmp_path: Path) -> None:
    said = _say(tmp_path, AUTOTUNER_LOG_LEVEL="LOUD")
    assert said.returncode != 0
    assert "AUTOTUNER_LOG_LEVEL is 'LOUD'; give one of DEBUG, INFO, WARNING, ERROR, CRITICAL" in said.stderr
