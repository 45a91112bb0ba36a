"""All engines by name."""

from tuning.document.task import EngineName
from tuning.engines.base import Engine
from tuning.engines.sglang import SglangEngine
from tuning.engines.simulated import SimulatedEngine
from tuning.engines.vllm import VllmEngine

_ENGINES: dict[EngineName, Engine] = {
    engine.name: engine for engine in (VllmEngine(), SglangEngine(), SimulatedEngine())
}


def engine_for(name: EngineName) -> Engine:
    """The adapter of one engine."""
    return _ENGINES[name]
