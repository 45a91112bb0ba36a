"""The command-line flags of the simulated engine, as data.

Imports nothing outside the standard library, so that an adapter can validate parameters from the same table cheaply.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["bool", "int", "float", "str", "choice"]
Value = bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. A ``bool`` has the negative form ``--no-NAME``; ``minimum`` and ``maximum`` are inclusive."""

    name: str
    kind: Kind
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    #: vLLM's configuration class that checks the value, named in the error text. Empty for ``--simulate-...``.
    owner: str = ""

    @property
    def attribute(self) -> str:
        """The flag's name as a Python identifier."""
        return self.name.replace("-", "_")

    @property
    def is_simulation(self) -> bool:
        """Whether a real engine has no such flag."""
        return self.name.startswith("simulate-")

    def problem(self, value: object) -> str | None:
        """What is wrong with ``value`` for this flag, in words, or None. ``None`` means "flag left out"."""
        if value is None:
            return None
        if problem := self._type_problem(value):
            return problem
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return self._range_problem(value)
        return None

    def _type_problem(self, value: object) -> str | None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        match self.kind:
            case "bool":
                return None if isinstance(value, bool) else "must be true or false"
            case "int":
                return None if is_number and isinstance(value, int) else "must be a whole number"
            case "float":
                return None if is_number else "must be a number"
            case "choice":
                return None if value in self.choices else f"must be one of {', '.join(self.choices)}"
            case "str":
                return None if isinstance(value, str) else "must be a text"

    def _range_problem(self, value: float) -> str | None:
        if self.minimum is not None and not value >= self.minimum:
            return f"must be at least {self.minimum:g}"
        if self.maximum is not None and not value <= self.maximum:
            return f"must be at most {self.maximum:g}"
        return None


DTYPES = ("auto", "half", "float16", "bfloat16", "float", "float32")
KV_CACHE_DTYPES = ("auto", "bfloat16", "fp8", "fp8_e4m3", "fp8_e5m2")
QUANTIZATIONS = ("fp8", "awq", "gptq", "bitsandbytes")
FAILURES = (
    "none",
    "startup-oom",
    "load-oom",
    "crash-at-start",
    "crash-under-load",
    "hang-at-start",
    "hang-under-load",
)
NO_EFFECT = "accepted, without effect here"

ENGINE_FLAGS: Sequence[Flag] = (
    Flag("host", "str", "127.0.0.1", "address to listen on"),
    Flag("port", "int", 8000, "port to listen on", minimum=0, maximum=65535, owner="FrontendArgs"),
    Flag("served-model-name", "str", None, "model name of the API; default: MODEL as typed"),
    Flag("api-key", "str", None, "key that requests to /v1 must carry"),
    Flag("tokenizer", "str", None, NO_EFFECT),
    Flag("revision", "str", None, NO_EFFECT),
    Flag("trust-remote-code", "bool", False, NO_EFFECT),
    Flag("dtype", "choice", "auto", "type of weights and activations", DTYPES),
    Flag("quantization", "choice", None, "weight quantisation method", QUANTIZATIONS),
    Flag("load-format", "choice", "auto", "dummy: no weights are read", ("auto", "safetensors", "pt", "dummy")),
    Flag("max-model-len", "int", None, "context length; default: the model's", minimum=1, owner="ModelConfig"),
    Flag("seed", "int", 0, "seed of the output lengths of requests without ignore_eos"),
    Flag("tensor-parallel-size", "int", 1, "tensor parallel GPUs", minimum=1, owner="ParallelConfig"),
    Flag("pipeline-parallel-size", "int", 1, "pipeline stages", minimum=1, owner="ParallelConfig"),
    Flag("data-parallel-size", "int", 1, "replicas of the engine", minimum=1, owner="ParallelConfig"),
    Flag("gpu-memory-utilization", "float", 0.9, "share of GPU memory", minimum=0, maximum=1, owner="CacheConfig"),
    Flag("kv-cache-dtype", "choice", "auto", "type of the KV cache; fp8 halves its size", KV_CACHE_DTYPES),
    Flag("block-size", "int", 16, "tokens in a KV block: 1 or a multiple of 8", minimum=1, owner="CacheConfig"),
    Flag("swap-space", "float", 4.0, NO_EFFECT, minimum=0, owner="CacheConfig"),
    Flag("enable-prefix-caching", "bool", True, "re-use KV blocks of equal prompt beginnings"),
    Flag("max-num-seqs", "int", 256, "sequences in a step", minimum=1, owner="SchedulerConfig"),
    Flag("max-num-batched-tokens", "int", 2048, "tokens in a step", minimum=1, owner="SchedulerConfig"),
    Flag("enable-chunked-prefill", "bool", True, "split long prompts over steps"),
    Flag("scheduling-policy", "choice", "fcfs", "order of waiting requests", ("fcfs", "priority")),
    Flag("stream-interval", "int", 1, "tokens in a streamed chunk", minimum=1, owner="SchedulerConfig"),
    Flag("async-scheduling", "bool", False, "schedule while the GPU works"),
    Flag("enforce-eager", "bool", False, "no CUDA graphs: slower steps, faster start, less memory"),
    Flag("disable-log-stats", "bool", False, "no periodic throughput line"),
    Flag("enable-log-requests", "bool", False, "a log line per request"),
)

SIMULATION_FLAGS: Sequence[Flag] = (
    Flag("simulate-time-scale", "float", 1.0, "factor on every simulated duration", minimum=0.001, maximum=100),
    Flag("simulate-noise", "float", 0.02, "coefficient of variation of step times", minimum=0, maximum=0.5),
    Flag("simulate-seed", "int", None, "seed of noise and faults; default: another one at each start"),
    Flag("simulate-startup-s", "float", None, "seconds until ready, scaled; default: by model size", minimum=0),
    Flag("simulate-slow-start-s", "float", 0.0, "further seconds until ready, never scaled", minimum=0),
    Flag("simulate-ttft-ms", "float", None, "exact mode: every TTFT, scaled; no batching", minimum=0),
    Flag("simulate-tpot-ms", "float", None, "exact mode: every TPOT, scaled; no batching", minimum=0),
    Flag("simulate-gpus", "int", 8, "GPUs of the simulated machine", minimum=1),
    Flag("simulate-gpu-memory-gib", "float", 20.0, "memory of a GPU", minimum=1),
    Flag("simulate-gpu-bandwidth-gb-per-s", "float", 1000.0, "memory bandwidth of a GPU", minimum=1),
    Flag("simulate-gpu-tflops", "float", 300.0, "16-bit compute that a GPU attains", minimum=0.1),
    Flag("simulate-model-size-gib", "float", None, "size of the 16-bit weights", minimum=0.01),
    Flag("simulate-failure", "choice", "none", "the failure to show", FAILURES),
    Flag("simulate-failure-after", "int", 10, "requests before a failure under load", minimum=0),
    Flag("simulate-error-rate", "float", 0.0, "share of requests answered with 500", minimum=0, maximum=1),
    Flag("simulate-truncate-rate", "float", 0.0, "share of answers cut off", minimum=0, maximum=1),
)

FLAGS: Sequence[Flag] = (*ENGINE_FLAGS, *SIMULATION_FLAGS)
