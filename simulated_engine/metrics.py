"""Counters of one engine core, and their Prometheus text with vLLM's names."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from collections.abc import Sequence as Items
from typing import Protocol

from simulated_engine.sequence import Sequence

TTFT_BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0)
E2E_BUCKETS_S = (0.1, 0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 240.0)


class Histogram:
    """A cumulative histogram of seconds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def lines(self, name: str, labels: str) -> Iterator[str]:
        """The samples of this histogram."""
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{{labels},le="{bound}"}} {total}'
        yield f"{name}_sum{{{labels}}} {self._sum}"
        yield f"{name}_count{{{labels}}} {total}"


class EngineMetrics:
    """What one engine core has done since its start."""

    def __init__(self) -> None:
        self.preemptions = 0
        self.prefix_queries = 0
        self.prefix_hits = 0
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self.finished = {"stop": 0, "length": 0, "abort": 0}
        self.ttft = Histogram(TTFT_BUCKETS_S)
        self.e2e = Histogram(E2E_BUCKETS_S)

    def record_first_token(self, sequence: Sequence, now: float) -> None:
        """Count a prompt that has been computed; ``now`` in seconds of the event loop."""
        self.prompt_tokens += sequence.prompt_tokens
        self.ttft.observe(now - sequence.arrived_at)

    def record_end(self, sequence: Sequence, now: float) -> None:
        """Count a sequence that came to its end."""
        self.finished[sequence.finish_reason] += 1
        self.e2e.observe(now - sequence.arrived_at)

    def record_abort(self) -> None:
        """Count a sequence whose client has gone."""
        self.finished["abort"] += 1


class Observable(Protocol):
    """What ``/metrics`` reads of an engine core."""

    metrics: EngineMetrics

    @property
    def running(self) -> int:
        """Sequences being computed."""

    @property
    def waiting(self) -> int:
        """Sequences that wait."""

    @property
    def kv_usage(self) -> float:
        """Share of the KV cache in use, 0 to 1."""


#: Name, kind and value of the families with one sample per engine.
SCALARS: Items[tuple[str, str, Callable[[Observable], float]]] = (
    ("vllm:num_requests_running", "gauge", lambda engine: engine.running),
    ("vllm:num_requests_waiting", "gauge", lambda engine: engine.waiting),
    ("vllm:kv_cache_usage_perc", "gauge", lambda engine: engine.kv_usage),
    ("vllm:num_preemptions_total", "counter", lambda engine: engine.metrics.preemptions),
    ("vllm:prefix_cache_queries_total", "counter", lambda engine: engine.metrics.prefix_queries),
    ("vllm:prefix_cache_hits_total", "counter", lambda engine: engine.metrics.prefix_hits),
    ("vllm:prompt_tokens_total", "counter", lambda engine: engine.metrics.prompt_tokens),
    ("vllm:generation_tokens_total", "counter", lambda engine: engine.metrics.generated_tokens),
)
HISTOGRAMS: Items[tuple[str, Callable[[Observable], Histogram]]] = (
    ("vllm:time_to_first_token_seconds", lambda engine: engine.metrics.ttft),
    ("vllm:e2e_request_latency_seconds", lambda engine: engine.metrics.e2e),
)


def prometheus_text(engines: Items[Observable], model_name: str) -> str:
    """The body of ``GET /metrics``."""
    escaped = model_name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    labelled = [(f'engine="{index}",model_name="{escaped}"', engine) for index, engine in enumerate(engines)]
    lines: list[str] = []
    for name, kind, value in SCALARS:
        lines.append(f"# TYPE {name} {kind}")
        lines.extend(f"{name}{{{labels}}} {value(engine)}" for labels, engine in labelled)
    lines.append("# TYPE vllm:request_success_total counter")
    for labels, engine in labelled:
        for reason, count in engine.metrics.finished.items():
            lines.append(f'vllm:request_success_total{{{labels},finished_reason="{reason}"}} {count}')
    for name, histogram in HISTOGRAMS:
        lines.append(f"# TYPE {name} histogram")
        for labels, engine in labelled:
            lines.extend(histogram(engine).lines(name, labels))
    return "\n".join(lines) + "\n"
