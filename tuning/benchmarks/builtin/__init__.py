"""Our own load generator: an asyncio client in a process that does nothing else, and the adapter that starts it.

The client process (`python -m tuning.benchmarks.builtin`) runs the plans of one experiment. It imports only the
standard library and aiohttp.
Everything that knows the task document is in `adapter` and `drawing`, which run in the worker.
"""
