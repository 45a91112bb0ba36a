"""The clock of leases: every worker of a database reads it alike, and setting the wall clock does not move it."""

import time
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q

_BOOT = getattr(time, "CLOCK_BOOTTIME", None) or time.CLOCK_MONOTONIC


def reading() -> float:
    """Seconds since a moment that does not matter.

    SQLite is used from one machine only: seconds since its boot, asleep or not. Other databases serve several machines,
    so it is the server's clock that counts.
    """
    if connection.vendor == "sqlite":
        return time.clock_gettime(_BOOT)
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
        return float(cursor.fetchone()[0])


def lease_end(now: float) -> float:
    """Until when a lease holds that is taken or renewed at `now`."""
    return now + settings.AUTOTUNER_LEASE_S


def is_expired(now: float) -> Q:
    """Rows whose `lease_until` says nothing any more.

    No lease holds for longer than `AUTOTUNER_LEASE_S`, so one that seems to is from before the machine was started
    again, when this clock began anew.
    """
    return ~is_valid(now)


def is_valid(now: float) -> Q:
    """Rows whose `lease_until` lies ahead, and not too far."""
    bounds: dict[str, Any] = {"lease_until__gt": now, "lease_until__lte": lease_end(now) + 1.0}
    return Q(lease_until__isnull=False, **bounds)
