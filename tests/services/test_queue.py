"""The queue on Redis: wake-ups for the workers of several hosts."""

import threading
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from huey.api import Huey
from huey.utils import load_class

from autotuner_site import services
from tests.services.databases import new_queue
from tests.services.servers import redis_server

pytestmark = pytest.mark.services

MESSAGES = 200


def a_host(url: str) -> tuple[Huey, Any, list[int]]:
    """A queue as a host of its own opens it, its task, and the ids with which that was run there."""
    options = services.redis(url)
    queue: Huey = load_class(options.pop("huey_class"))("autotuner", immediate=False, results=False, **options)
    seen: list[int] = []

    return queue, queue.task(name="wake_up")(seen.append), seen


def work(queue: Huey) -> None:
    """Run what is in the queue until nothing comes for a second."""
    while message := queue.dequeue():
        queue.execute(message)


@pytest.fixture
def url() -> str:
    return new_queue()["HUEY_URL"]


def test_each_wake_up_reaches_exactly_one_of_two_hosts_and_nothing_is_kept(url: str) -> None:
    (first, wake_up, here), (second, _, there) = a_host(url), a_host(url)
    workers = [threading.Thread(target=work, args=(queue,)) for queue in (first, second)]
    for worker in workers:
        worker.start()
    for number in range(MESSAGES):
        wake_up(number)
    for worker in workers:
        worker.join()
    assert sorted(here + there) == list(range(MESSAGES))
    with redis.Redis.from_url(url) as client:
        assert client.dbsize() == 0


def test_wake_ups_come_by_priority_and_then_in_their_order(url: str) -> None:
    queue, wake_up, seen = a_host(url)
    for number, priority in enumerate([None, 5, None, 5]):
        queue.enqueue(wake_up.s(number, priority=priority))
    work(queue)
    assert seen == [1, 3, 0, 2]


def test_an_idle_worker_is_woken_at_once(url: str) -> None:
    queue, wake_up, seen = a_host(url)
    woken: list[float] = []

    def wait() -> None:
        while not (message := queue.dequeue()):
            pass
        woken.append(time.monotonic())
        queue.execute(message)

    worker = threading.Thread(target=wait)
    worker.start()
    with redis.Redis.from_url(url) as client:
        while not any("bzpopmin" in str(each["cmd"]) for each in client.client_list()):
            time.sleep(0.01)
    sent = time.monotonic()
    wake_up(7)
    worker.join()
    assert seen == [7]
    assert woken[0] - sent < 0.5


def test_a_queue_that_is_gone_is_an_error_within_seconds() -> None:
    with redis_server(databases=1) as url:
        _, wake_up, _ = a_host(url)
        wake_up(1)
    started = time.monotonic()
    with pytest.raises(redis.ConnectionError, match=str(urlsplit(url).port)):
        wake_up(2)
    assert time.monotonic() - started < 10
