"""What is measured: every address of tuning/urls.py that is read, with the rows that make it heavy.

Importing this needs Django's settings; it is run on a data folder: `python -m benchmarks.pages.addresses` prints a list
of addresses as JSON, `... queries` reads such a list and prints how many queries each of them takes.
"""

import benchmarks.pages.installed  # noqa: F401  # isort: skip  -- before the models

import json
import sys

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, reverse

from benchmarks.pages.measure import polls
from tuning import urls
from tuning.models import Experiment, Task

NOT_READ = {"sign-in", "sign-in-link", "sign-out", "task-act", "tasks-act", "task-check", "task-draft"}
"""Addresses that change something, or that need no user."""
PARTS = ("-now", "-lately", "-lines", "-experiments", "-part")
FILES = ("task-csv", "task-json", "task-document", "task-log-text", "experiment-log-text")
QUERIES = {
    "search": ("q=llama", "q=max-num-seqs"),
    "tasks": ("", "status=completed&page=15", "q=qwen", "sort=-ratio"),
    "experiments": ("", "page=1000", "status=failed", "sort=-duration"),
    "task": ("", "sort=-value", "status=failed"),
    "task-results-part": ("part=summary", "part=history", "part=points", "part=experiments"),
    "task-compare": ("experiment=1&experiment=2&experiment=3&experiment=4&experiment=5",),
    "task-log": ("", "level=warning", "q=nowhere"),
    "experiment-log": ("", "level=warning", "q=nowhere"),
}
"""Queries of pages, besides which they are measured without one."""


def main() -> None:
    """See above."""
    if sys.argv[1:] == ["queries"]:
        print(json.dumps(count(json.load(sys.stdin))))
    else:
        print(json.dumps(addresses()))


def addresses() -> list[dict[str, str]]:
    """Address, name, kind (page, part, poll or file) and whose rows it shows, of all that this data folder has."""
    found = []
    names = [(str(one.name), list(one.pattern.converters)) for one in urls.urlpatterns if isinstance(one, URLPattern)]
    for name, parameters in names:
        if name in NOT_READ:
            continue
        for whose, values in _owners(parameters):
            for query in QUERIES.get(name, ("",)):
                path = reverse(name, kwargs={parameter: values[parameter] for parameter in parameters})
                found.append({"path": f"{path}?{query}" if query else path, "name": name, "kind": _kind(name), **whose})
    there = [one for one in found if _is_there(one["path"])]
    return there + [poll for one in there if one["kind"] == "page" for poll in _polls(one)]


def _polls(page: dict[str, str]) -> list[dict[str, str]]:
    """What a page asks again and again, as it asks when nothing has changed; the versions that it has seen differ."""
    if "?" in page["path"]:
        return []
    found = polls(_client().get(page["path"]).content.decode())
    kept = {**page, "kind": "poll"}
    return [{**kept, "path": poll.path, "name": f"{page['name']} {number}"} for number, poll in enumerate(found)]


def _kind(name: str) -> str:
    return "file" if name in FILES else "part" if name.endswith(PARTS) else "page"


def _owners(parameters: list[str]) -> list[tuple[dict[str, str], dict[str, int]]]:
    """The rows that are looked at, in words and as values of an address."""
    if not parameters:
        return [({"whose": ""}, {})]
    running = Task.objects.filter(status=Task.Status.RUNNING).order_by("-pk").first()
    if running is None:
        return []
    active = Experiment.objects.filter(task=running, status__in=Experiment.ACTIVE).order_by("number")
    large = max(Task.objects.order_by("-pk")[:5], key=lambda task: task.experiments.count())
    last = active.values_list("number", flat=True).first() or 1
    return [
        ({"whose": "running"}, {"pk": running.pk, "number": last}),
        ({"whose": "large"}, {"pk": large.pk, "number": 1}),
    ]


def _is_there(path: str) -> bool:
    """Whether these rows have such a page; what has none is said, what fails raises."""
    status = _client().get(path).status_code
    if status >= 300:
        print(f"left out: {path} is answered with {status}", file=sys.stderr)
    return status < 300


def count(paths: list[str]) -> dict[str, int]:
    """How many queries each of these addresses takes, those of the session and of the user included."""
    client = _client()
    found = {}
    for path in paths:
        client.get(path)
        with CaptureQueriesContext(connection) as captured:
            b"".join(client.get(path))
        found[path] = len(captured)
    return found


def _client() -> Client:
    client = Client(SERVER_NAME=settings.ALLOWED_HOSTS[0])
    user, _ = User.objects.get_or_create(username="measured", is_superuser=True)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


if __name__ == "__main__":
    main()
