"""What must never be kept or shown: values of variables that hold secrets, wherever they turn up."""

import os
import re
from collections.abc import Mapping

from tuning.engines.shell import is_secret

MASK = "********"

_KNOWN_SHAPES = r"\bhf_[A-Za-z0-9]{16,}|\bsk-[A-Za-z0-9_-]{16,}|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
"""Hub tokens, API keys, and name and password in a URL."""
_SHORTEST = 8


class Masker:
    """Hides the values of secret variables, and whatever looks like a hub or API key, in any text."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        values = {value for name, value in environment.items() if is_secret(name) and len(value) >= _SHORTEST}
        longest_first = sorted(values, key=len, reverse=True)
        self._pattern = re.compile("|".join([*map(re.escape, longest_first), _KNOWN_SHAPES]))

    def __call__(self, text: str) -> str:
        return self._pattern.sub(MASK, text)
