"""Something that is done again and again beside what matters."""

import contextlib
import threading
from collections.abc import Callable, Iterator

PATIENCE_S = 5.0
"""How long the end of a call is waited for that does not return: what it is beside must go on."""


@contextlib.contextmanager
def repeated(action: Callable[[], None], *, every_s: float, name: str) -> Iterator[None]:
    """Call `action` in a thread after each `every_s` seconds, and once more at the end.

    The thread is gone afterwards, whatever happens inside; one whose `action` hangs is left to itself after
    PATIENCE_S.
    """
    ended = threading.Event()

    def live() -> None:
        is_last = False
        while not is_last:
            is_last = ended.wait(every_s)
            action()

    thread = threading.Thread(target=live, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE_S)
