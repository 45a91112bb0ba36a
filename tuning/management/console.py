"""What the commands show on a terminal: a line of progress, and the result."""

import io
import re
import textwrap
from types import TracebackType
from typing import Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table as RichTable
from rich.text import Text

from tuning.engines.registry import engine_for
from tuning.models import Experiment, LogLine
from tuning.runner.foreground import Progress
from tuning.runner.results import TaskResults
from tuning.runner.table import duration, neutral, results_table, significant
from tuning.scoring.objectives import label, unit

PIPE_WIDTH = 160
HEAD_WIDTH = 15
SVG_WIDTH = 150


def console(*, stderr: bool = False) -> Console:
    """A console that is as wide as its terminal, and wide enough for a table where there is none."""
    found = Console(stderr=stderr, highlight=False, soft_wrap=False)
    return found if found.is_terminal else Console(stderr=stderr, highlight=False, width=PIPE_WIDTH)


class ProgressLine:
    """One line that tells where a task stands; nothing at all when stderr is not a terminal."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._live = Live(console=self._console, transient=True, refresh_per_second=8)
        self._durations: dict[int, float] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Show where the task stands now."""
        experiment = progress.experiment
        if experiment.total_s is not None:
            self._durations[experiment.number] = experiment.total_s
        if self._console.is_terminal:
            self._live.update(Spinner("dots", Text(self._text(progress))))

    def log(self, line: LogLine) -> None:
        """Print one log line above the progress line."""
        number = f" #{line.experiment.number}" if line.experiment else ""
        text = f"{line.at:%H:%M:%S} {line.source}{number} {line.level}: {line.text}"
        self._console.print(text, markup=False, soft_wrap=True)

    def _text(self, progress: Progress) -> str:
        where = f"experiment {progress.experiment.number} of {progress.experiments}: {progress.phase}"
        best = progress.best
        so_far = f", best so far {significant(best.value)} (#{best.number})" if best else ""
        return f"{where}{so_far}{self._eta(progress)}"

    def _eta(self, progress: Progress) -> str:
        if not self._durations:
            return ""
        left = progress.experiments - progress.experiment.number + (progress.experiment.total_s is None)
        return f", about {duration(left * sum(self._durations.values()) / len(self._durations))} left"


def print_results(results: TaskResults, out: Console | None = None) -> None:
    """Print the table of a task, its best configuration as a command, and what to do next."""
    out = out or console()
    out.print()
    out.print(_heading(results))
    out.print(_table(results))
    for line in _conclusion(results):
        out.print(line, soft_wrap=not out.record)  # a terminal wraps by itself and copies what it wrapped as one line


def results_svg(results: TaskResults) -> str:
    """The same as a picture of a terminal, which needs no font from elsewhere."""
    out = Console(file=io.StringIO(), record=True, width=SVG_WIDTH, force_terminal=True, highlight=False)
    print_results(results, out)
    svg = out.export_svg(title="Inference Autotuner")
    return re.sub(r"@font-face \{.*?\n    \}", "", svg, flags=re.DOTALL)


def _heading(results: TaskResults) -> Text:
    took_s = sum(experiment.total_s or 0.0 for experiment in results.experiments)
    simulated = " (simulated: nothing here was measured on a GPU)" if _is_simulated(results) else ""
    count = len(results.experiments)
    plural = "s" if count != 1 else ""
    return Text(f"{results.task}: {count} experiment{plural} in {duration(took_s)}{simulated}", style="bold")


def _is_simulated(results: TaskResults) -> bool:
    return engine_for(results.document.engine.name).simulated


def _table(results: TaskResults) -> RichTable:
    table = results_table(results)
    shown = RichTable(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in table.columns:
        head = "\n".join(textwrap.wrap(column.head, HEAD_WIDTH))
        shown.add_column(head, justify="right" if column.numeric else "left", overflow="fold")
    for index, row in enumerate(table.rows):
        shown.add_row(*map(Text, row), style="bold green" if index == table.best else None)
    return shown


def _conclusion(results: TaskResults) -> list[Text]:
    failures = [
        Text(f"#{experiment.number} failed ({experiment.reason}): {experiment.message}")
        for experiment in results.experiments
        if experiment.status == Experiment.Status.FAILED
    ]
    return [*failures, *([Text()] if failures else []), *_answer(results), Text(), *_next_steps(results)]


def _answer(results: TaskResults) -> list[Text]:
    best = results.best
    if best is None:
        why = results.task.message
        return [Text(f"No configuration meets the SLO. {why}", style="bold")]
    result = results.result(best)
    value = result.value if result else best.value
    gain = results.ratio(value)
    ratio = f", {significant(gain, 3)} x the baseline" if gain and not best.is_baseline else ""
    spread = f" +- {significant(result.half_width, 2)} (95 %)" if result and result.half_width else ""
    objective = results.document.objective
    answer = f"Best: #{best.number}, {label(objective)} {significant(value)}{spread} {unit(objective)}{ratio}"
    tied = ", ".join(f"#{experiment.number}" for experiment in results.tied)
    ties = [Text(f"What was measured does not tell it from {tied}.")] if tied else []
    return [Text(answer, style="bold"), *ties, Text(), Text(f"  {neutral(best.command_line)}", style="green")]


def _next_steps(results: TaskResults) -> list[Text]:
    task = results.task.pk
    return [
        Text("Next:"),
        Text(f"  .venv/bin/python manage.py export_task {task} --format markdown        # the evidence, to keep"),
        Text("  .venv/bin/python manage.py run_task examples/vllm-local.yaml    # your model, on your GPU"),
    ]
