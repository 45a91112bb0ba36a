"""The short chaos run: a whole installation, a fault of every kind, and nothing lost, doubled or left running."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = ("--faults", "16", "--seconds", "80", "--experiments", "6", "--load-s", "0.5")


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_left_running_whatever_happens() -> None:
    """Pitfalls A1, A6a, A6b, A9c, A10, A11, A14a."""
    command = [sys.executable, "-m", "benchmarks.chaos", "--seed", "1", *SHORT]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
