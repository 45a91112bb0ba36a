"""Log lines that look like vLLM's, on stderr."""

import logging
import os
import sys


class EngineFormatter(logging.Formatter):
    """``LEVEL MM-DD HH:MM:SS [file.py:line] text``, with the same beginning on each line of a long message."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        stamp = self.formatTime(record, "%m-%d %H:%M:%S")
        start = f"{record.levelname} {stamp} [{record.filename}:{record.lineno}] "
        return "\n".join(start + line for line in record.getMessage().splitlines())


def configure_logging() -> None:
    """Send the package's log to stderr; other libraries only from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EngineFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("simulated_engine").setLevel(logging.INFO)


def uvicorn_line(text: str) -> None:
    """A line of vLLM's HTTP server, which has its own format."""
    sys.stderr.write(f"INFO:     {text}\n")


def process_line() -> None:
    """The first line of vLLM's HTTP server."""
    uvicorn_line(f"Started server process [{os.getpid()}]")
