"""Web server and worker as one tree of processes that starts, stays and ends together.

Processes, signals, sockets and locks only: nothing in here knows a model of the database.
"""

from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one sentence for a person."""
