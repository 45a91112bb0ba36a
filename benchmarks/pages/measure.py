"""One address at a time, over one connection that stays open: how long, and how large."""

import gzip
import re
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urljoin

import numpy as np

from benchmarks.pages.installation import Server

WARM = 4
"""Requests that do not count: each of the two processes loads templates and caches at its first ones."""


@dataclass(frozen=True)
class Answer:
    """What came back: `wire_bytes` with the headers, as it was sent; `body` as it was before it was compressed."""

    status: int
    took_ms: float
    wire_bytes: int
    body: bytes


@dataclass(frozen=True)
class Timing:
    """Milliseconds from the request to the last byte, and bytes of the last answer."""

    p50_ms: float
    p95_ms: float
    wire_bytes: int
    body_bytes: int


def ask(connection: HTTPConnection, server: Server, path: str, **headers: str) -> Answer:
    """GET an address; RuntimeError when it fails."""
    begin = time.perf_counter()
    connection.request("GET", path, headers={**server.headers, **headers})
    response = connection.getresponse()
    sent = response.read()
    took_ms = 1000 * (time.perf_counter() - begin)
    if response.status >= 400:
        raise RuntimeError(f"{path} was answered with {response.status}: {server.log.read_text()[-2000:]}")
    is_compressed = response.headers.get("Content-Encoding") == "gzip"
    body = gzip.decompress(sent) if is_compressed else sent
    return Answer(response.status, took_ms, len(sent) + _head_bytes(response), body)


def _head_bytes(response: HTTPResponse) -> int:
    line = f"HTTP/1.1 {response.status} {response.reason}\r\n\r\n"
    return len(line) + sum(len(name) + len(value) + 4 for name, value in response.headers.items())


def timing(server: Server, path: str, requests: int) -> Timing:
    """Ask for an address again and again."""
    with closing(server.connect()) as connection:
        answers = [ask(connection, server, path) for _ in range(requests + WARM)][WARM:]
    times_ms = [answer.took_ms for answer in answers]
    p50_ms, p95_ms = (float(np.percentile(times_ms, share)) for share in (50, 95))
    return Timing(p50_ms, p95_ms, answers[-1].wire_bytes, len(answers[-1].body))


@dataclass(frozen=True)
class Transfer:
    """Bytes over the wire, and how many requests they took."""

    wire_bytes: int
    requests: int


def first_load(server: Server, path: str) -> Transfer:
    """The page, its style, scripts and pictures, and the data of its charts, for a browser that has none of them."""
    with closing(server.connect()) as connection:
        page = ask(connection, server, path)
        needed = [urljoin(path, name) for name in _needed(page.body.decode())]
        answers = [page, *(ask(connection, server, name) for name in dict.fromkeys(needed))]
    return Transfer(sum(answer.wire_bytes for answer in answers), len(answers))


def idle_polls(server: Server, path: str) -> Iterator[tuple[str, Answer]]:
    """What each part of a page answers when it asks and nothing has changed."""
    with closing(server.connect()) as connection:
        for poll in polls(ask(connection, server, path).body.decode()):
            yield poll.path, ask(connection, server, poll.path, **{"HX-Request": "true"})


@dataclass(frozen=True)
class Poll:
    """An address that a page asks again and again."""

    path: str
    every_s: float


CHARTS_S = 3.0
"""POLL_MS of static/js/charts.js."""


def polls(html: str) -> list[Poll]:
    """The parts of a page that keep themselves up to date; the log is not among them."""
    found = re.findall(r'hx-get="([^"]+)" hx-trigger="every (\d+)s"', html)
    parts = [Poll(path.replace("&amp;", "&"), float(every_s)) for path, every_s in found]
    charts = re.findall(r'data-charts="([^"]+)" data-version="([^"]+)"', html)
    return parts + [Poll(f"{path}?only=history&seen={version}", CHARTS_S) for path, version in charts]


def _needed(html: str) -> list[str]:
    files = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(/static/[^"#]+)', html)
    icons = re.findall(r'<use href="(/static/[^"#]+)', html)
    charts = [f"{path}?only=history" for path in re.findall(r'data-charts="([^"]+)"', html)]
    return [*files, *icons, *charts]
