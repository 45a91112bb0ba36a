"""Many open tabs, each with the page of a running task and its log, while a worker writes into that log."""

import asyncio
import re
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import numpy as np

from benchmarks.pages.installation import PROJECT, Server, environment
from benchmarks.pages.measure import Poll, polls

LOG_S = 1.0
"""POLL_MS of static/js/log.js."""
CATCH_UP_S = 30.0
"""How long readers may take for the last lines once the writer has ended."""
READERS = 2
"""Tabs that read every line; the others stay at the end of the log, as a page does that nobody has scrolled."""
NUMBER = re.compile(rb"written line (\d+):")
"""What benchmarks/pages/writer.py writes."""


@dataclass
class Load:
    """What all tabs saw together; times in milliseconds by the kind of request."""

    times_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    unchanged: int = 0
    failed: int = 0
    lost: int = 0
    doubled: int = 0
    lines: int = 0
    locked: int = 0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many there were."""
        return sum(map(len, self.times_ms.values()))

    def p95_ms(self, kind: str = "") -> float:
        """Of one kind of request, or of all."""
        times_ms = self.times_ms[kind] if kind else [time_ms for some in self.times_ms.values() for time_ms in some]
        return float(np.percentile(times_ms, 95)) if times_ms else 0.0


async def measure(server: Server, folder: Path, page: str, *, tabs: int, seconds: float, lines_per_s: int) -> Load:
    """Open `tabs` tabs at the address `page`, write, and wait until every tab has seen the last line."""
    load = Load()
    readers = [Tab(server, page, load, follows=index >= READERS) for index in range(tabs)]
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(reader.run(delay_s=LOG_S * index / tabs)) for index, reader in enumerate(readers)]
        await asyncio.gather(*(reader.opened.wait() for reader in readers))
        written, complaints = await _write(folder, lines_per_s, seconds)
        load.seconds = time.monotonic() - begin
        give_up = time.monotonic() + CATCH_UP_S
        while any(reader.last < written for reader in readers) and time.monotonic() < give_up:
            await asyncio.sleep(0.1)
        for task in running:
            task.cancel()
    load.lines = written
    load.lost = sum(reader.lost + written - reader.last for reader in readers)
    load.locked = server.locked + complaints.count("locked")
    return load


async def _write(folder: Path, lines_per_s: int, seconds: float) -> tuple[int, str]:
    command = (sys.executable, "-m", "benchmarks.pages.writer", str(lines_per_s), str(seconds))
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PROJECT, env=environment(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complaints = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(complaints.decode())
    return int(said), complaints.decode()


class Tab:
    """A browser's tab: asks for every part of its page at its interval, and for the log by its cursor.

    `last` is the number of the last written line that it saw. Whoever `follows` is given the end of the log when more
    came than one answer holds, and told so; `lost` are lines that are missing without a word.
    """

    def __init__(self, server: Server, page: str, load: Load, *, follows: bool) -> None:
        self.opened = asyncio.Event()
        self.last = self.lost = 0
        self._skip = "&skip=on" if follows else ""
        self._page = page
        self._load = load
        self._base = f"http://127.0.0.1:{server.port}"
        self._headers = {"Cookie": f"sessionid={server.session}", "Accept-Encoding": "gzip", "HX-Request": "true"}

    async def run(self, delay_s: float) -> None:
        """Live until cancelled; `delay_s` keeps tabs from asking in step."""
        await asyncio.sleep(delay_s)
        limits = aiohttp.TCPConnector(limit=6)
        async with aiohttp.ClientSession(self._base, connector=limits, headers=self._headers) as session:
            html = (await self._get(session, "page", self._page))[1].decode()
            log = (await self._get(session, "page", f"{self._page}/log"))[1].decode()
            self.opened.set()
            async with asyncio.TaskGroup() as group:
                for poll in polls(html):
                    group.create_task(self._poll(session, poll))
                group.create_task(self._follow(session, log))

    async def _poll(self, session: aiohttp.ClientSession, poll: Poll) -> None:
        path = poll.path
        while True:
            await asyncio.sleep(poll.every_s)
            status, body = await self._get(session, _kind(path), path)
            if status == 200:
                path = _next(path, body.decode())

    async def _follow(self, session: aiohttp.ClientSession, html: str) -> None:
        cursor = _attribute(html, "data-last"), _attribute(html, "data-last-number")
        url = _attribute(html, "data-url")
        newer = False
        while True:
            if not newer:
                await asyncio.sleep(LOG_S)
            status, body = await self._get(session, "log", f"{url}?after={cursor[0]}&number={cursor[1]}{self._skip}")
            newer = False
            if status == 200:
                self._take(body)
                found = re.search(rb'"last":\[(\d+),(\d+|null)\]', body)
                newer = b'"newer":true' in body
                cursor = (found[1].decode(), found[2].decode().replace("null", "")) if found else cursor

    def _take(self, body: bytes) -> None:
        numbers = list(map(int, NUMBER.findall(body)))
        if b'"skipped":true' in body and numbers:
            self.last = max(self.last, numbers[0] - 1)
        for number in numbers:
            self._load.doubled += number <= self.last
            self.lost += max(number - self.last - 1, 0)
            self.last = max(self.last, number)

    async def _get(self, session: aiohttp.ClientSession, kind: str, path: str) -> tuple[int, bytes]:
        begin = time.perf_counter()
        async with session.get(path) as answer:
            body = await answer.read()
        self._load.times_ms[kind].append(1000 * (time.perf_counter() - begin))
        self._load.unchanged += answer.status == 204
        self._load.failed += answer.status >= 400
        return answer.status, body


def _kind(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2].removesuffix(".json")


def _next(path: str, body: str) -> str:
    """The address by which a part asks next."""
    if version := re.search(r'"version": ?"([^"]+)"', body):
        return re.sub("seen=[^&]*", f"seen={version[1]}", path)
    part = re.search(r'hx-get="([^"]+)"', body)
    return part[1].replace("&amp;", "&") if part else path


def _attribute(html: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', html)
    return found[1] if found else ""
