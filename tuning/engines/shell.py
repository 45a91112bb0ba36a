"""A command as a line that a person can paste into a shell."""

import re
import shlex
from collections.abc import Sequence

from tuning.engines.base import Command

_SECRET = re.compile(r"(^|_)(TOKEN|SECRET|KEY|PASSWORD|PASSWD|CREDENTIALS?|AUTH)(_|$)", re.IGNORECASE)
PUBLIC_HOST = "0.0.0.0"  # noqa: S104  -- what a person deploys is meant to be reached
PUBLIC_PORT = 8000


def is_secret(variable: str) -> bool:
    """Whether the value of an environment variable is kept from logs and pages, going by its name."""
    return bool(_SECRET.search(variable))


def paste(command: Command) -> str:
    """The shell line that starts the same server on port 8000 of all addresses, its environment in front.

    Secrets are not shown: their variables refer to those of the shell (`HF_TOKEN="$HF_TOKEN"`).
    """
    variables = [f"{name}={_value(name, value)}" for name, value in command.environment.items()]
    arguments = _replaced(_replaced(command.arguments, "--host", PUBLIC_HOST), "--port", str(PUBLIC_PORT))
    return " ".join([*variables, shlex.join(arguments)])


def _value(name: str, value: str) -> str:
    return f'"${name}"' if is_secret(name) else shlex.quote(value)


def _replaced(arguments: Sequence[str], flag: str, value: str) -> list[str]:
    words = list(arguments)
    if flag in words:
        words[words.index(flag) + 1] = value
    return words
