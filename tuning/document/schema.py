"""The JSON Schema of the task document, for editors that complete and check it: `python -m tuning.document.schema`."""

import json
import sys
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from tuning.document.task import TaskDocument

_EXAMPLE = {
    "schema_version": 1,
    "name": "llama-chat",
    "engine": {"name": "vllm", "executable": ".venv-vllm/bin/vllm"},
    "model": {"id": "meta-llama/Llama-3.2-1B-Instruct"},
    "search_space": {"parameters": {"max-num-seqs": [32, 64, 128]}},
    "workload": {"scenarios": ["D(512,128)"], "concurrency": [1, 8, 32]},
}


def json_schema() -> dict[str, Any]:
    """JSON Schema (Draft 2020-12) of a task document as it is written, the short forms of parameters included.

    It says what a single field may be; rules between fields (`TaskDocument.rules`) are beyond it.
    """
    schema = TaskDocument.model_json_schema(mode="validation")
    _close(schema)
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        **schema,
        "title": "Inference Autotuner task document",
        "examples": [_EXAMPLE],
    }


def _close(schema: Any) -> None:
    """Refuse names that no pattern allows, which pydantic does and its schema does not."""
    if isinstance(schema, dict):
        if "patternProperties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
    elif isinstance(schema, list):
        for part in schema:
            _close(part)


def text() -> str:
    """The schema as it is in `docs/task.schema.json`."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
