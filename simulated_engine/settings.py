"""The parsed command line."""

import argparse
from dataclasses import dataclass, fields

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The flags that have an effect, under their names in ``flags.py``. Units are in the names."""

    model: str
    host: str
    port: int
    served_model_name: str | None
    api_key: str | None
    dtype: str
    quantization: str | None
    load_format: str
    max_model_len: int | None
    seed: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    data_parallel_size: int
    gpu_memory_utilization: float
    kv_cache_dtype: str
    block_size: int
    enable_prefix_caching: bool
    max_num_seqs: int
    max_num_batched_tokens: int
    enable_chunked_prefill: bool
    scheduling_policy: str
    stream_interval: int
    async_scheduling: bool
    enforce_eager: bool
    disable_log_stats: bool
    enable_log_requests: bool
    simulate_time_scale: float
    simulate_noise: float
    simulate_seed: int | None
    simulate_startup_s: float | None
    simulate_slow_start_s: float
    simulate_ttft_ms: float | None
    simulate_tpot_ms: float | None
    simulate_gpus: int
    simulate_gpu_memory_gib: float
    simulate_gpu_bandwidth_gb_per_s: float
    simulate_gpu_tflops: float
    simulate_model_size_gib: float | None
    simulate_failure: str
    simulate_failure_after: int
    simulate_error_rate: float
    simulate_truncate_rate: float

    @classmethod
    def from_namespace(cls, namespace: argparse.Namespace) -> "Settings":
        """Take the fields from a namespace that has at least these."""
        return cls(**{field.name: getattr(namespace, field.name) for field in fields(cls)})

    @property
    def served_name(self) -> str:
        """The model name that requests must give."""
        return self.served_model_name or self.model

    @property
    def weight_bytes_per_parameter(self) -> float:
        """Bytes per weight after ``--quantization`` and ``--dtype``; 4-bit methods keep their scales beside them."""
        quantized = {"fp8": 1.0, "awq": 0.56, "gptq": 0.56, "bitsandbytes": 0.56}
        if self.quantization is not None:
            return quantized[self.quantization]
        return self.activation_bytes

    @property
    def activation_bytes(self) -> float:
        """Bytes of an activation value."""
        return 4.0 if self.dtype in ("float", "float32") else 2.0

    @property
    def kv_bytes_per_value(self) -> float:
        """Bytes of one value in the KV cache."""
        if self.kv_cache_dtype.startswith("fp8"):
            return 1.0
        return 2.0 if self.kv_cache_dtype == "bfloat16" else self.activation_bytes

    @property
    def is_exact(self) -> bool:
        """Whether TTFT and TPOT are fixed instead of modelled."""
        return self.simulate_ttft_ms is not None or self.simulate_tpot_ms is not None
