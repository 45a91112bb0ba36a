"""A long run of an installation to which something happens every few seconds.

    python -m benchmarks.chaos --seed 1 [--faults 200] [--seconds 900] [--experiments 40] [--report FILE.md]

First the five tasks run undisturbed, then again and again while faults are made; when these are over, everything may
come to an end, is stopped, and is counted. Prints the report; exit code 1 when a check fails, and the data folder is
kept then. Needs Linux.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.chaos import audit, checks, report
from benchmarks.chaos.checks import Evidence
from benchmarks.chaos.documents import documents
from benchmarks.chaos.faults import Faults
from benchmarks.chaos.installation import Installation, wait_for
from benchmarks.chaos.operator import RUNNING, Operator
from benchmarks.chaos.sabotage import SABOTAGES
from benchmarks.chaos.watch import Watch

LEASE_S = 3.0
EXPERIMENT_S = 5.0
"""What an experiment may take beside its load, on a machine with two CPUs."""


def main() -> int:
    """Run it all; 0 when every check holds."""
    options = _parser().parse_args()
    installation = Installation(Path(tempfile.mkdtemp(prefix="autotuner-chaos-")), LEASE_S)
    wrong = ["the run did not come to its end"]
    try:
        run, evidence = _run(installation, options)
        if options.sabotage:
            SABOTAGES[options.sabotage](installation, evidence)
        findings = checks.check(evidence)
        text = report.write(run, evidence, findings)
        print(text)
        if options.report:
            options.report.write_text(text)
        wrong = list(checks.problems(findings))
    finally:
        installation.kill()
        if wrong:
            print(f"Kept for study: {installation.folder}")
        else:
            shutil.rmtree(installation.folder)
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("chaos", description="Faults every few seconds, and a count at the end")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=200, help="how many are made")
    parser.add_argument("--seconds", type=float, default=900.0, help="in which time they have to be made")
    parser.add_argument("--experiments", type=int, default=40, help="of each task")
    parser.add_argument("--load-s", type=float, default=2.0, help="how long each experiment is under load")
    parser.add_argument("--report", type=Path, help="a file to which the report is written, too")
    parser.add_argument("--sabotage", choices=SABOTAGES, help="plant this at the end: the run has to fail")
    return parser


def _run(installation: Installation, options: argparse.Namespace) -> tuple[report.Run, Evidence]:
    rng = random.Random(options.seed)
    operator = Operator(
        installation, documents(options.seed, options.experiments, options.load_s), random.Random(rng.random())
    )
    evidence = Evidence(installation.folder, options.experiments, LEASE_S, asked_faults=options.faults)
    limit_s = 60 + 5 * options.experiments * (options.load_s + EXPERIMENT_S) / 3
    installation.set_up()
    installation.start()
    began = time.monotonic()
    with Watch(installation.instance) as watch:
        _undisturbed(installation, operator, evidence, limit_s)
        calm = time.monotonic()
        faults = Faults(installation, operator, watch, rng)
        try:
            faults.make(options.faults, calm + options.seconds, tell=lambda line: _say(began, line))
        finally:
            faults.finish()
        over = time.monotonic()
        operator.settle()
        _say(began, "no more faults; waiting until nothing is left to do")
        wait_for(lambda: _is_quiet(installation, operator), limit_s)
        quiet = time.monotonic()
        evidence.stopped_with = installation.stop()
    evidence.left = installation.left_over()
    evidence.wanted, evidence.given, evidence.doubled = operator.wanted, operator.given, operator.doubled
    evidence.faults, evidence.seen = faults.made, watch.seen
    return report.Run(options.seed, options.load_s, calm - began, over - calm, quiet - over), evidence


def _undisturbed(installation: Installation, operator: Operator, evidence: Evidence, limit_s: float) -> None:
    operator.submit_missing()
    if not wait_for(lambda: _is_quiet(installation, operator), limit_s):
        raise RuntimeError("the undisturbed run did not end")
    tasks = [row["id"] for row in operator.tasks()]
    with audit.connected(installation.database) as connection:
        evidence.undisturbed = checks.visited(connection, tasks)
    evidence.undisturbed_tasks = len(tasks)


def _is_quiet(installation: Installation, operator: Operator) -> bool:
    """Whether what was asked to run has ended, and nothing else runs any more."""
    if any(row["status"] == RUNNING for row in operator.tasks()):
        return False
    with audit.connected(installation.database) as connection:
        query = "SELECT count(*) FROM tuning_experiment WHERE status IN ('deploying', 'benchmarking')"
        return not connection.execute(query).fetchone()[0]


def _say(began: float, line: str) -> None:
    print(f"{time.monotonic() - began:6.1f} s  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
