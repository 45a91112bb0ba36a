"""All engines by name."""

from tuning.document.task import EngineName
from tuning.engines.base import Engine
from tuning.engines.simulated import SimulatedEngine

_ENGINES: dict[EngineName, Engine] = {engine.name: engine for engine in (SimulatedEngine(),)}


def engine_for(name: EngineName) -> Engine:
    """The adapter of one engine."""
    return _ENGINES[name]
