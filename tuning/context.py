"""What every page shows around its content."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True)
class Entry:
    """A link of the sidebar; `is_current` when the page lies at or below it."""

    title: str
    icon: str
    url: str
    is_current: bool = False


@dataclass(frozen=True)
class Section:
    """A group of links under a header."""

    title: str
    entries: tuple[Entry, ...]


MENU = (
    ("Overview", (("Dashboard", "dashboard", "dashboard"),)),
    ("Autotuning", (("Tasks", "tasks", "tasks"), ("Experiments", "experiments", "experiments"))),
    (
        "Infrastructure",
        (("Workers and GPUs", "workers", "machines"), ("Deployments", "deployments", "deployments")),
    ),
)


def frame(request: HttpRequest) -> dict[str, Any]:
    """The sidebar of a page; nothing for whoever has not signed in."""
    user = getattr(request, "user", None)  # a request may be refused before it is looked who asks
    if user is None or not user.is_authenticated:
        return {}
    return {"menu": [Section(title, tuple(_entry(request, *entry) for entry in entries)) for title, entries in MENU]}


def _entry(request: HttpRequest, title: str, icon: str, name: str) -> Entry:
    url = reverse(name)
    is_current = request.path == url or (url != "/" and request.path.startswith(f"{url}/"))
    return Entry(title, icon, url, is_current)
