"""The start of the engine: phases that take their time and say so, and the failures that belong to them."""

import asyncio
import logging
from dataclasses import dataclass

from simulated_engine import __version__
from simulated_engine.errors import StartupError
from simulated_engine.memory import MemoryPlan, max_model_len, out_of_memory, plan_memory
from simulated_engine.model import ModelShape, load_model
from simulated_engine.protocol import Limits
from simulated_engine.settings import GIB, Settings
from simulated_engine.timing import StepCost, step_cost

logger = logging.getLogger(__name__)

#: Seconds of a real start: imports and processes, reading weights, torch.compile, capturing CUDA graphs.
PROCESS_S = 6.0
READ_BYTES_PER_S = 2 * GIB
COMPILE_S = 10.0
CAPTURE_S = 4.0


@dataclass(frozen=True, slots=True)
class Started:
    """What the start has worked out."""

    limits: Limits
    plan: MemoryPlan
    cost: StepCost


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of each phase, already scaled."""

    process_s: float
    load_s: float
    compile_s: float
    capture_s: float


async def start(settings: Settings) -> Started:
    """Go through the phases of a start.

    Raises ConfigError for what vLLM refuses at once, and StartupError after the time that the real engine needs to
    find out.
    """
    shape = load_model(settings)
    limits = Limits(settings.served_name, max_model_len(settings, shape), settings.seed)
    logger.info("Simulated engine version %s, model %s", __version__, settings.model)
    await asyncio.sleep(settings.simulate_slow_start_s)
    phases = _phases(settings, shape)
    await asyncio.sleep(phases.process_s)
    logger.info("Starting to load model %s...", settings.model)
    await _planned_failure(settings)
    await asyncio.sleep(phases.load_s)
    plan = plan_memory(settings, shape)
    logger.info("Model loading took %.4f GiB and %.6f seconds", plan.weight_bytes / GIB, phases.load_s)
    await asyncio.sleep(phases.compile_s)
    _log_kv_cache(plan, limits.max_model_len)
    await asyncio.sleep(phases.capture_s)
    if not settings.enforce_eager:
        logger.info("Graph capturing finished in %.0f secs, took %.2f GiB", phases.capture_s, plan.graph_bytes / GIB)
    return Started(limits, plan, step_cost(settings, shape))


def _phases(settings: Settings, shape: ModelShape) -> Phases:
    """The real durations in proportion, fitted to ``--simulate-startup-s`` if given."""
    weight_bytes = shape.parameters * settings.weight_bytes_per_parameter / settings.tensor_parallel_size
    load = 0.0 if settings.load_format == "dummy" else weight_bytes / READ_BYTES_PER_S
    compile_s, capture = (0.0, 0.0) if settings.enforce_eager else (COMPILE_S, CAPTURE_S)
    total = PROCESS_S + load + compile_s + capture
    asked = total if settings.simulate_startup_s is None else settings.simulate_startup_s
    factor = settings.simulate_time_scale * asked / total
    return Phases(PROCESS_S * factor, load * factor, compile_s * factor, capture * factor)


async def _planned_failure(settings: Settings) -> None:
    match settings.simulate_failure:
        case "startup-oom":
            total = settings.simulate_gpu_memory_gib * GIB
            raise StartupError("torch.OutOfMemoryError", out_of_memory(0.22 * GIB, total, 0.02 * GIB))
        case "crash-at-start":
            raise StartupError("RuntimeError", "CUDA error: an illegal memory access was encountered")
        case "hang-at-start":
            await asyncio.Event().wait()


def _log_kv_cache(plan: MemoryPlan, max_len: int) -> None:
    logger.info("Available KV cache memory: %.2f GiB", plan.kv_bytes / GIB)
    logger.info("GPU KV cache size: %s tokens", f"{plan.kv_tokens:,}")
    logger.info("Maximum concurrency for %s tokens per request: %.2fx", f"{max_len:,}", plan.kv_tokens / max_len)
