"""The sizes of a model, from its config.json or a plausible default."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from simulated_engine.errors import ConfigError, StartupError
from simulated_engine.settings import GIB, Settings


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder-only transformer. ``parameters`` are all weights, ``active_parameters`` those a token passes."""

    parameters: float
    active_parameters: float
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_position: int

    def kv_values_per_token(self) -> int:
        """Values that one token leaves in the KV cache: key and value, per layer and key/value head."""
        return 2 * self.layers * self.kv_heads * self.head_dim


#: The sizes of an 8-billion-parameter Llama 3, with a context length that suits one small GPU.
DEFAULT_MODEL = ModelShape(
    parameters=8.03e9,
    active_parameters=8.03e9,
    layers=32,
    hidden=4096,
    intermediate=14336,
    heads=32,
    kv_heads=8,
    head_dim=128,
    vocabulary=128256,
    max_position=8192,
)


def load_model(settings: Settings) -> ModelShape:
    """The shape of ``settings.model``. Raises ConfigError for a folder that is missing or has no readable config."""
    shape = _shape_of(settings.model)
    if settings.simulate_model_size_gib is not None:
        parameters = settings.simulate_model_size_gib * GIB / 2
        active = parameters * shape.active_parameters / shape.parameters
        shape = replace(shape, parameters=parameters, active_parameters=active)
    _check_parallel(settings, shape)
    return shape


def _shape_of(name: str) -> ModelShape:
    folder = Path(name)
    if folder.is_dir():
        return _read_config(folder / "config.json")
    if folder.is_absolute() or name.startswith((".", "~")):
        raise ConfigError(
            "ModelConfig",
            f"Invalid repository ID or local directory specified: '{name}'. Please verify the following "
            "requirements: 1. Provide a valid Hugging Face repository ID. 2. Specify a local directory that "
            "contains a recognized configuration file.",
        )
    return DEFAULT_MODEL


def _read_config(path: Path) -> ModelShape:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise TypeError("config.json must hold an object")
        return _shape_from_config(config.get("text_config", config))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            "ModelConfig", f"Invalid repository ID or local directory specified: '{path.parent}': {error!r}"
        ) from None


def _shape_from_config(config: dict[str, int | None]) -> ModelShape:
    """Estimate the parameters from the sizes: attention, gated MLP (times experts), embeddings."""
    layers, hidden, heads = (_size(config, key) for key in ("num_hidden_layers", "hidden_size", "num_attention_heads"))
    kv_heads = _size(config, "num_key_value_heads", heads)
    head_dim = _size(config, "head_dim", hidden // heads)
    intermediate = _size(config, "intermediate_size", 4 * hidden)
    vocabulary = _size(config, "vocab_size")
    experts = _size(config, "num_local_experts", _size(config, "num_experts", 1))
    used_experts = _size(config, "num_experts_per_tok", 1)
    attention = 2 * hidden * head_dim * (heads + kv_heads)
    mlp = 3 * hidden * _size(config, "moe_intermediate_size", intermediate)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return ModelShape(
        parameters=layers * (attention + mlp * experts) + embeddings,
        active_parameters=layers * (attention + mlp * used_experts) + vocabulary * hidden,
        layers=layers,
        hidden=hidden,
        intermediate=intermediate,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        vocabulary=vocabulary,
        max_position=_size(config, "max_position_embeddings", 8192),
    )


def _size(config: dict[str, int | None], key: str, default: int | None = None) -> int:
    value = config.get(key)
    value = default if value is None else int(value)
    if value is None or value < 1:
        raise KeyError(key)
    return value


def _check_parallel(settings: Settings, shape: ModelShape) -> None:
    tensor, pipeline = settings.tensor_parallel_size, settings.pipeline_parallel_size
    if shape.heads % tensor:
        raise ConfigError(
            "VllmConfig",
            f"Total number of attention heads ({shape.heads}) must be divisible by tensor parallel size ({tensor}).",
        )
    if pipeline > shape.layers:
        raise ConfigError("VllmConfig", f"Pipeline parallel size ({pipeline}) exceeds the {shape.layers} layers.")
    world = tensor * pipeline * settings.data_parallel_size
    if world > settings.simulate_gpus:
        raise StartupError(
            "ValueError",
            f"World size ({world}) is larger than the number of available GPUs ({settings.simulate_gpus}) in this "
            "node. CUDA error: invalid device ordinal",
        )
