"""How fast the pages are with a long history, how large, and how they hold while many look and a worker writes.

    python -m benchmarks.pages [--requests 60] [--tabs 50] [--seconds 30] [--history FOLDER]
        [--tasks 1000] [--experiments 100000] [--measurements 1000000] [--log-lines 10000000]

Makes three installations (empty, small, with the history), serves each by the command of `manage.py serve`, and prints
a section for docs/performance.md with the targets that were missed; exit code 1 when there is one. The small one has
lists and tasks that are as long on a page as those of the history. `--history` keeps the large one for the next time.
"""

import argparse
import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.pages import tabs
from benchmarks.pages.installation import Server, data_folder, empty_folder, python, served
from benchmarks.pages.measure import Timing, first_load, idle_polls, timing
from benchmarks.pages.report import Line, Numbers, heading, missed, tables

SIZES = {"tasks": 1000, "experiments": 100_000, "measurements": 1_000_000, "log-lines": 10_000_000, "long-log": 100_000}
SMALL = {"tasks": 60, "experiments": 6_400, "measurements": 64_000, "log-lines": 740_000, "long-log": 100_000}
LINES_PER_S = 2_000


def main() -> int:
    """Measure, print the section, and return 0 when every target is met."""
    options = _options()
    print(heading(), flush=True)
    with ExitStack() as stack:
        sizes = {name: getattr(options, name.replace("-", "_")) for name in SIZES}
        full = stack.enter_context(data_folder(options.history, *_arguments(sizes)))
        small = stack.enter_context(data_folder(None, *_arguments(SMALL)))
        empty = stack.enter_context(empty_folder())
        numbers = _measured(
            options, full, small, empty, rows=", ".join(f"{count:,} {name}" for name, count in sizes.items())
        )
    print("\n".join(tables(numbers)))
    faults = list(missed(numbers))
    print("\nMissed:\n\n" + "\n".join(f"* {fault}" for fault in faults) if faults else "\nEvery target met.")
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("pages", description="Time, size and queries of pages with a long history")
    parser.add_argument("--requests", type=int, default=60, help="of each address")
    parser.add_argument("--tabs", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30.0, help="for which lines are written")
    parser.add_argument("--lines-per-s", type=int, default=LINES_PER_S)
    parser.add_argument("--history", type=Path, help="folder of the large installation: filled when empty, and kept")
    for name, value in SIZES.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


def _arguments(sizes: dict[str, int]) -> list[str]:
    return [text for name, value in sizes.items() for text in (f"--{name}", str(value))]


def _measured(options: argparse.Namespace, full: Path, small: Path, empty: Path, *, rows: str) -> Numbers:
    found = {folder: _addresses(folder) for folder in (full, small, empty)}
    queries = json.loads(
        python(
            full, "-m", "benchmarks.pages.addresses", "queries", text=json.dumps([one["path"] for one in found[full]])
        )
    )
    timings: dict[Path, dict[Any, Timing]] = {}
    for folder in (small, empty, full):
        with served(folder) as server:
            timings[folder] = {_key(one): timing(server, one["path"], options.requests) for one in found[folder]}
            if folder == full:
                (page,) = [one["path"] for one in found[full] if _key(one) == ("task", "running", "")]
                both = (page, f"{page}/results")
                first = {path: first_load(server, path) for path in both}
                idle = {poll: answer.wire_bytes for path in both for poll, answer in idle_polls(server, path)}
                load = _load(server, full, page, options)
    lines = [
        Line(one["path"], one["kind"], one["whose"], queries[one["path"]],
             *(timings[folder].get(_key(one)) for folder in (full, small, empty)))  # type: ignore[arg-type]
        for one in found[full]
    ]  # fmt: skip
    return Numbers(rows, lines, first, idle, load, options.tabs, options.lines_per_s)


def _load(server: Server, folder: Path, page: str, options: argparse.Namespace) -> tabs.Load:
    measuring = tabs.measure(
        server, folder, page, tabs=options.tabs, seconds=options.seconds, lines_per_s=options.lines_per_s
    )
    return asyncio.run(measuring)


def _addresses(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(python(folder, "-m", "benchmarks.pages.addresses"))
    return found


def _key(one: dict[str, str]) -> tuple[str, str, str]:
    """What an address shows, whichever ids the rows have."""
    query = "" if one["kind"] == "poll" else one["path"].partition("?")[2]
    return one["name"], one["whose"], query


if __name__ == "__main__":
    sys.exit(main())
