"""A simulated inference engine: a real HTTP server with the OpenAI API and vLLM's flags, without a model.

It answers with placeholder words whose timing comes from a model of continuous batching, so that a tuner can be tried,
tested and demonstrated on a machine without a GPU. See ``docs/simulated-engine.md``. Start it with::

    python -m simulated_engine serve MODEL --port 8000

The package imports nothing of the rest of the project.
"""

__version__ = "0.1.0"
