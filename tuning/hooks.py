"""What the runner hands down to everything that works for it: where lines go, and when to give up."""

from collections.abc import Callable

LogSink = Callable[[str, str], None]
"""Takes a level (`debug`, `info`, `warning`, `error`) and one line; safe to call from any thread."""

StopCheck = Callable[[], None]
"""Called at least once a second by everything that waits; raises when the work is to be given up."""
