"""Every load generator, by its name in the task document."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tuning.benchmarks.base import Benchmark
from tuning.benchmarks.builtin.adapter import Builtin
from tuning.benchmarks.genai_bench import GenaiBench
from tuning.document.workload import BenchmarkName

BENCHMARKS: Mapping[BenchmarkName, Callable[[Path], Benchmark]] = {
    BenchmarkName.BUILTIN: lambda _: Builtin(),
    BenchmarkName.GENAI_BENCH: GenaiBench,
}


def benchmark_for(name: BenchmarkName, *, genai_bench: Path) -> Benchmark:
    """A load generator; `genai_bench` is the path of that tool's executable."""
    return BENCHMARKS[name](genai_bench)
