"""One load: which request is sent when, and what ends it."""

import asyncio
import time
from dataclasses import dataclass, field

import aiohttp

from tuning.benchmarks.builtin.client import Client
from tuning.benchmarks.builtin.plan import Plan
from tuning.benchmarks.builtin.prompts import Bodies, Prompts
from tuning.benchmarks.builtin.rows import Row

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 1.0
LAG_PERIOD_S = 0.05


@dataclass
class Load:
    """The state of a load while it runs.

    `window_end_s` is when the load stopped being whole (seconds after the start): in closed loop the first time a
    stream found nothing more to send, in open loop the horizon of the plan, and whatever `ended` it before. `ended` is
    `complete`, `deadline`, `failures` or `stopped`. `lags_s` are delays of a periodic timer: how late this process was.
    `cpu_s` seconds of processor time were used in the `load_s` seconds of the load.
    """

    plan: Plan
    prompts: Prompts
    session: aiohttp.ClientSession
    rows: list[Row] = field(default_factory=list)
    ended: str = "complete"
    window_end_s: float | None = None
    lags_s: list[float] = field(default_factory=list)
    wall_clock_s: float = 0.0
    cpu_s: float = 0.0
    load_s: float = 0.0

    def __post_init__(self) -> None:
        self._bodies = Bodies.of(self.plan)
        self._client = Client(self.plan, self.session, self.clock)
        self._failures = 0
        self._start = time.perf_counter()
        self._task: asyncio.Task[None] | None = None

    def clock(self) -> float:
        """Seconds since the load began."""
        return time.perf_counter() - self._start

    async def run(self, deadline_s: float) -> None:
        """Send everything and wait for the answers, or until `end` is called or `deadline_s` have passed."""
        self.wall_clock_s, cpu_s = time.time(), time.process_time()
        self._start = time.perf_counter()
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(deadline_s, self.end, "deadline")
        self._schedule_lag_watch()
        self._task = asyncio.create_task(self._closed() if self.plan.streams else self._open())
        await asyncio.wait([self._task])
        deadline.cancel()
        self._lag_watch.cancel()
        self.cpu_s, self.load_s = time.process_time() - cpu_s, self.clock()
        self.window_end_s = self.clock() if self.window_end_s is None else self.window_end_s
        if not self._task.cancelled():
            self._task.result()

    def end(self, why: str) -> None:
        """Give up: nothing more is sent, open answers are closed so that the engine aborts them."""
        if self._task is not None and self.ended == "complete" and not self._task.done():
            self.ended = why
            self._close_window(self.clock())
            self._task.cancel()

    def _close_window(self, at_s: float) -> None:
        if self.window_end_s is None or at_s < self.window_end_s:
            self.window_end_s = at_s

    def _schedule_lag_watch(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + LAG_PERIOD_S
        self._lag_watch = loop.call_at(due, self._note_lag, due)

    def _note_lag(self, due: float) -> None:
        self.lags_s.append(asyncio.get_running_loop().time() - due)
        self._schedule_lag_watch()

    async def _closed(self) -> None:
        streams = self.plan.streams or 1
        async with asyncio.TaskGroup() as group:
            for number in range(min(streams, len(self.plan.input_tokens))):
                group.create_task(self._stream(self.plan.ramp_s * number / streams))

    async def _stream(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        pause_s = FIRST_PAUSE_S
        while (row := self._next()) is not None:
            await self._send(row)
            if row.status == "ok":
                pause_s = FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self._close_window(min(self.clock(), self.plan.horizon_s))

    def _next(self) -> Row | None:
        now_s = self.clock()
        if len(self.rows) == len(self.plan.input_tokens) or now_s >= self.plan.horizon_s:
            return None
        return self._row(now_s)

    async def _open(self) -> None:
        self._close_window(self.plan.horizon_s)
        async with asyncio.TaskGroup() as group:
            for start_s in self.plan.starts_s or ():
                await asyncio.sleep(max(0.0, start_s - self.clock()))
                group.create_task(self._send(self._row(start_s)))

    def _row(self, intended_s: float) -> Row:
        index, plan = len(self.rows), self.plan
        row = Row(index, plan.phase, plan.input_tokens[index], plan.output_tokens[index], intended_s)
        self.rows.append(row)
        return row

    async def _send(self, row: Row) -> None:
        text = self.prompts.text(row.index, self.plan.words(row.requested_input_tokens))
        await self._client.send(row, self._bodies.body(text, row.requested_output_tokens))
        self._failures = 0 if row.status == "ok" else self._failures + 1
        if self._failures >= self.plan.failures_in_a_row:
            self.end("failures")
