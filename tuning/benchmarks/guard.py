"""Runs a program that knows nothing of us and must not outlive us: `python -I guard.py COMMAND ...`.

The worker holds the other end of our standard input and never writes to it. When it ends, even by SIGKILL, the input
ends, and with it our whole process group. A program of our own does not need this: it watches its input itself.
"""

import os
import signal
import subprocess
import sys
import threading


def main(command: list[str]) -> int:
    """Run `command` with an empty input; its exit code, 128 + n when signal n ended it."""
    # A handler, not SIG_IGN, which the command would inherit: TERM goes to the group, and we wait for the command.
    signal.signal(signal.SIGTERM, lambda *_: None)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


def _end_with_the_worker() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
