"""Claims where several writers work at once, which SQLite never lets them."""

import threading
import time

import pytest
from django.db import connection, transaction

from tests.runner.factories import experiment, task
from tuning.models import Experiment, Task, Worker
from tuning.runner import clock, leases, slots
from tuning.runner.leases import Lease

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

WAITS = """
select 1 from pg_locks waiting join pg_locks held using (pid) join pg_database on pg_database.oid = held.database
where datname = current_database() and not waiting.granted
"""


def until_somebody_waits_for_a_lock() -> None:
    give_up = time.monotonic() + 30
    with connection.cursor() as cursor:
        while not cursor.execute(WAITS).fetchone():
            assert time.monotonic() < give_up
            time.sleep(0.01)


def test_a_claim_that_had_to_wait_for_another_one_of_the_same_experiment_is_refused() -> None:
    """Pitfall A11: it looks at the row as the other one left it, not as it was when it began to wait."""
    slots.register()
    one = task()
    Task.objects.filter(pk=one.pk).update(status=Task.Status.RUNNING)
    row = experiment(one)
    holder = Worker.objects.create(pk="late", kind=Worker.Kind.WORKER, host="host", pid=1, lease_until=clock.reading())
    got: list[Lease | None] = []

    def take() -> None:
        try:
            got.append(leases.take(row.pk, worker=holder.pk))
        finally:
            connection.close()

    late = threading.Thread(target=take)
    with transaction.atomic():
        Experiment.objects.filter(pk=row.pk).update(status=Experiment.Status.DEPLOYING, claim="faster")
        late.start()
        until_somebody_waits_for_a_lock()
    late.join()
    row.refresh_from_db()
    assert got == [None]
    assert (row.claim, row.attempt) == ("faster", 0)
    assert slots.abandoned() == []
