"""How long one step takes: a roofline model of a transformer on one or several GPUs."""

import math
from dataclasses import dataclass

from simulated_engine.model import ModelShape
from simulated_engine.settings import Settings

#: Work of the CPU in a step: fixed, per running sequence, and per streamed chunk (detokenise, render, send).
HOST_STEP_S = 1.5e-3
HOST_SEQUENCE_S = 15e-6
HOST_CHUNK_S = 40e-6
#: Kernel launches of one layer that CUDA graphs would save.
EAGER_LAYER_S = 0.15e-3
#: One all-reduce: latency, and the bytes per second of the link between two GPUs.
LINK_LATENCY_S = 10e-6
LINK_BYTES_PER_S = 50e9
#: Reading an 8-bit KV cache includes its conversion.
FP8_KV_OVERHEAD = 1.08
#: 8-bit matrix products run faster; 4-bit weights are unpacked first.
COMPUTE_FACTOR = {None: 1.0, "fp8": 1.6, "awq": 0.8, "gptq": 0.8, "bitsandbytes": 0.6}
#: Hand-over between two pipeline stages.
STAGE_S = 0.3e-3


@dataclass(frozen=True, slots=True)
class StepLoad:
    """The work of one step.

    ``context_tokens`` is what decoding sequences read from the KV cache; ``attention_pairs`` is, for prefill chunks,
    the sum of new tokens times tokens they attend to.
    """

    prefill_tokens: int
    decode_sequences: int
    sequences: int
    context_tokens: int
    attention_pairs: int


@dataclass(frozen=True, slots=True)
class StepCost:
    """Coefficients of the step time in seconds. Build it with :func:`step_cost`."""

    weights_s: float
    token_s: float
    pair_s: float
    context_token_s: float
    link_step_s: float
    link_token_s: float
    fixed_s: float
    host_sequence_s: float
    overlapped: bool

    def seconds(self, load: StepLoad) -> float:
        """Time of a step: the GPU is limited by reading the weights or by computing, then reads the KV cache."""
        tokens = load.prefill_tokens + load.decode_sequences
        compute = tokens * self.token_s + load.attention_pairs * self.pair_s
        gpu = max(self.weights_s, compute) + load.context_tokens * self.context_token_s
        gpu += self.link_step_s + tokens * self.link_token_s
        host = self.fixed_s + load.sequences * self.host_sequence_s
        return max(gpu, host) if self.overlapped else gpu + host


def step_cost(settings: Settings, shape: ModelShape) -> StepCost:
    """The coefficients for this configuration.

    Tensor parallelism divides everything on the GPU and adds two all-reduces per layer; pipeline parallelism keeps
    all stages busy with a micro-batch each, so that it divides the compute and not the reading of the weights.
    """
    tensor, pipeline = settings.tensor_parallel_size, settings.pipeline_parallel_size
    bytes_per_s = settings.simulate_gpu_bandwidth_gb_per_s * 1e9 * tensor
    flops = settings.simulate_gpu_tflops * 1e12 * tensor * pipeline * COMPUTE_FACTOR[settings.quantization]
    flops *= 2.0 / settings.activation_bytes
    reduced = 2 * shape.layers * 2 * (tensor - 1) / tensor
    kv_bytes = shape.kv_values_per_token() * settings.kv_bytes_per_value
    kv_factor = FP8_KV_OVERHEAD if settings.kv_cache_dtype.startswith("fp8") else 1.0
    return StepCost(
        weights_s=shape.active_parameters * settings.weight_bytes_per_parameter / bytes_per_s,
        token_s=2 * shape.active_parameters / flops,
        pair_s=4 * shape.layers * shape.heads * shape.head_dim / flops,
        context_token_s=kv_bytes * kv_factor / (bytes_per_s * pipeline),
        link_step_s=2 * shape.layers * LINK_LATENCY_S * math.log2(tensor) + (pipeline - 1) * STAGE_S,
        link_token_s=reduced * shape.hidden * settings.activation_bytes / LINK_BYTES_PER_S,
        fixed_s=HOST_STEP_S + (EAGER_LAYER_S * shape.layers if settings.enforce_eager else 0.0),
        host_sequence_s=HOST_SEQUENCE_S + HOST_CHUNK_S / settings.stream_interval,
        overlapped=settings.async_scheduling,
    )
