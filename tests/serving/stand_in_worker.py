"""A worker in outline: it says that it is there, and ends on SIGTERM or with its parent.

`--stubborn` ignores SIGTERM and starts a child in a session of its own, as engines have. `--dying` ends at once.
"""

import os
import signal
import subprocess
import sys
import threading


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parent = int(os.environ["SERVE_PID"])
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    say(f"worker {os.getpid()} runs")
    if "--dying" in sys.argv:
        return 3
    if "--stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
        say("worker stays")
    while os.getppid() == parent:
        if asked.wait(0.1):
            say("worker hands back")
            return 0
    say("worker has lost its parent")
    return 0


if __name__ == "__main__":
    sys.exit(main())
