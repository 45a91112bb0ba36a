"""Every load generator, by its name in the task document."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tuning.benchmarks.base import Benchmark
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.genai_bench import GenaiBench
from tuning.benchmarks.process import NO_MARKS
from tuning.document.workload import BenchmarkName

BENCHMARKS: Mapping[BenchmarkName, Callable[[Path, Mapping[str, str]], Benchmark]] = {
    BenchmarkName.BUILTIN: lambda _, marks: Builtin(marks),
    BenchmarkName.GENAI_BENCH: GenaiBench,
}


def benchmark_for(name: BenchmarkName, *, genai_bench: Path, marks: Mapping[str, str] = NO_MARKS) -> Benchmark:
    """A load generator; `genai_bench` is the path of that tool's executable.

    `marks` are put into the environment of every process that it starts, which is found by them when it is left over.
    """
    return BENCHMARKS[name](genai_bench, marks)
