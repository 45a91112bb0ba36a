"""What fits into the simulated GPU, and the words of the failures when something does not.

As in vLLM: at start the peak memory of one full step is measured, the KV cache gets what ``gpu-memory-utilization``
leaves, and CUDA graphs come on top. A busy step needs more than the measured one (fragmentation), so a configuration
that leaves too little beside its share dies under load and not before.
"""

from dataclasses import dataclass, replace

from simulated_engine.errors import ConfigError, EngineDeadError, StartupError
from simulated_engine.model import ModelShape
from simulated_engine.settings import GIB, Settings

#: GPU memory that driver and display take before the engine starts, and the engine's own CUDA context and libraries.
RESERVED_BYTES = 0.25 * GIB
CONTEXT_BYTES = 0.35 * GIB
#: What real steps need, relative to the one that was measured at start.
FRAGMENTATION = 1.5
#: Copies of the logits (32-bit) that sampling holds.
LOGIT_COPIES = 2


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Memory of one GPU in bytes, and the KV cache of one engine in tokens."""

    total_bytes: float
    weight_bytes: float
    kv_bytes: float
    graph_bytes: float
    activation_bytes_per_token: float
    sampler_bytes_per_sequence: float
    kv_bytes_per_token: float
    block_tokens: int

    @property
    def kv_blocks(self) -> int:
        """Blocks in the KV cache."""
        return int(self.kv_bytes / self.kv_bytes_per_token) // self.block_tokens

    @property
    def kv_tokens(self) -> int:
        """Tokens that fit into the KV cache."""
        return self.kv_blocks * self.block_tokens

    def check_step(self, tokens: int, sequences: int) -> None:
        """Raise EngineDeadError if a step of this size needs more than the GPU has."""
        needed = FRAGMENTATION * (tokens * self.activation_bytes_per_token)
        needed += sequences * self.sampler_bytes_per_sequence
        free = self.total_bytes - RESERVED_BYTES - CONTEXT_BYTES - self.weight_bytes - self.kv_bytes - self.graph_bytes
        if needed > free:
            raise EngineDeadError("torch.OutOfMemoryError", out_of_memory(needed, self.total_bytes, max(free, 0.0)))


def plan_memory(settings: Settings, shape: ModelShape) -> MemoryPlan:
    """Lay out the memory of one GPU. Raises ConfigError or StartupError as vLLM does when it cannot work."""
    max_len = max_model_len(settings, shape)
    _check_scheduler(settings, max_len)
    _check_block_size(settings.block_size)
    shards = settings.tensor_parallel_size * settings.pipeline_parallel_size
    kv_shards = min(settings.tensor_parallel_size, shape.kv_heads) * settings.pipeline_parallel_size
    plan = MemoryPlan(
        total_bytes=settings.simulate_gpu_memory_gib * GIB,
        weight_bytes=shape.parameters * settings.weight_bytes_per_parameter / shards,
        kv_bytes=0.0,
        graph_bytes=0.0 if settings.enforce_eager else _graph_bytes(settings, shape),
        activation_bytes_per_token=_activation_bytes_per_token(settings, shape),
        sampler_bytes_per_sequence=LOGIT_COPIES * 4 * shape.vocabulary / settings.tensor_parallel_size,
        kv_bytes_per_token=shape.kv_values_per_token() * settings.kv_bytes_per_value / kv_shards,
        block_tokens=settings.block_size,
    )
    return _with_kv_cache(settings, plan, max_len)


def max_model_len(settings: Settings, shape: ModelShape) -> int:
    """The context length in tokens. Raises ConfigError if the flag asks for more than the model has."""
    asked = settings.max_model_len
    if asked is not None and asked > shape.max_position:
        raise ConfigError(
            "ModelConfig",
            f"User-specified max_model_len ({asked}) is greater than the derived max_model_len "
            f"(max_position_embeddings={shape.max_position} or model_max_length=None in model's config.json).",
        )
    return asked or shape.max_position


def _check_scheduler(settings: Settings, max_len: int) -> None:
    batched, seqs = settings.max_num_batched_tokens, settings.max_num_seqs
    if batched < max_len and not settings.enable_chunked_prefill:
        raise ConfigError(
            "SchedulerConfig",
            f"max_num_batched_tokens ({batched}) is smaller than max_model_len ({max_len}). This effectively limits "
            "the maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences. Please "
            "increase max_num_batched_tokens or decrease max_model_len.",
        )
    if batched < seqs:
        raise ConfigError(
            "SchedulerConfig",
            f"max_num_batched_tokens ({batched}) must be greater than or equal to max_num_seqs ({seqs}).",
        )


def _check_block_size(tokens: int) -> None:
    if tokens % 8 and tokens != 1:
        raise StartupError("ValueError", f"No common block size for {tokens}.")


def _activation_bytes_per_token(settings: Settings, shape: ModelShape) -> float:
    """Peak of one layer: the three MLP buffers (sharded) and about six of the hidden size."""
    values = 3 * shape.intermediate / settings.tensor_parallel_size + 6 * shape.hidden
    return values * settings.activation_bytes


def _graph_bytes(settings: Settings, shape: ModelShape) -> float:
    """CUDA graphs: a fixed part, and one that grows with the largest captured batch (at most 512 sequences)."""
    captured = min(2 * settings.max_num_seqs, 512)
    return (0.3 * GIB + captured * 6 * shape.hidden * settings.activation_bytes) * min(1.0, shape.layers / 8)


def _with_kv_cache(settings: Settings, plan: MemoryPlan, max_len: int) -> MemoryPlan:
    """The plan with what is left for the KV cache."""
    requested = settings.gpu_memory_utilization * plan.total_bytes
    _check_weights(settings, plan, requested)
    step_peak = settings.max_num_batched_tokens * plan.activation_bytes_per_token
    step_peak += settings.max_num_seqs * plan.sampler_bytes_per_sequence
    sized = replace(plan, kv_bytes=requested - plan.weight_bytes - CONTEXT_BYTES - step_peak)
    _check_kv_cache(sized, max_len)
    _check_graphs(sized)
    return sized


def _check_weights(settings: Settings, plan: MemoryPlan, requested: float) -> None:
    free = plan.total_bytes - RESERVED_BYTES
    if requested > free:
        raise StartupError("ValueError", _too_little_free(settings, plan, requested))
    if plan.weight_bytes + CONTEXT_BYTES > free:
        raise StartupError("torch.OutOfMemoryError", out_of_memory(0.22 * GIB, plan.total_bytes, 0.02 * GIB))


def _check_graphs(plan: MemoryPlan) -> None:
    free = plan.total_bytes - RESERVED_BYTES - CONTEXT_BYTES - plan.weight_bytes - plan.kv_bytes
    if plan.graph_bytes > free:
        raise StartupError("torch.OutOfMemoryError", out_of_memory(plan.graph_bytes, plan.total_bytes, max(free, 0.0)))


def _check_kv_cache(plan: MemoryPlan, max_len: int) -> None:
    if plan.kv_blocks < 1:
        raise StartupError(
            "ValueError",
            "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the "
            "engine.",
        )
    if plan.kv_tokens < max_len:
        raise StartupError(
            "ValueError",
            f"To serve at least one request with the models's max seq len ({max_len}), "
            f"({max_len * plan.kv_bytes_per_token / GIB:.2f} GiB KV cache is needed, which is larger than the "
            f"available KV cache memory ({plan.kv_bytes / GIB:.2f} GiB). Based on the available memory, the estimated "
            f"maximum model length is {plan.kv_tokens}. Try increasing `gpu_memory_utilization` or decreasing "
            "`max_model_len` when initializing the engine.",
        )


def _too_little_free(settings: Settings, plan: MemoryPlan, requested: float) -> str:
    free = plan.total_bytes - RESERVED_BYTES
    return (
        f"Free memory on device cuda:0 ({free / GIB:.2f}/{plan.total_bytes / GIB:.2f} GiB) on startup is less than "
        f"desired GPU memory utilization ({settings.gpu_memory_utilization}, {requested / GIB:.2f} GiB). Decrease GPU "
        "memory utilization or reduce GPU memory used by other processes."
    )


def out_of_memory(needed_bytes: float, total_bytes: float, free_bytes: float) -> str:
    """PyTorch's text for a failed allocation on the GPU."""
    used = total_bytes - free_bytes
    return (
        f"CUDA out of memory. Tried to allocate {_size(needed_bytes)}. GPU 0 has a total capacity of "
        f"{_size(total_bytes)} of which {_size(free_bytes)} is free. Including non-PyTorch memory, this process has "
        f"{_size(used)} memory in use. Of the allocated memory {_size(used - CONTEXT_BYTES)} is allocated by PyTorch."
    )


def _size(count: float) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / 1024**2:.2f} MiB"
