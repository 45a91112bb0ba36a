"""How long it took after each fault until work went on."""

import sqlite3
from dataclasses import dataclass

from benchmarks.chaos import faults
from benchmarks.chaos.faults import Fault

RECOVER_S = 5.0
"""What may be added to the lease."""
WORKER_ENDS = (faults.KILL_WORKER, faults.END_WORKER, faults.KILL_SERVE)
HINDERS = (*WORKER_ENDS, faults.STOP_WORKER, faults.LOCK, faults.LOCK_QUEUE)
"""While one of these lasts nothing can be expected to go on."""


@dataclass(frozen=True)
class Recovery:
    """A fault, and the seconds after it; None when work never went on."""

    fault: Fault
    seconds: float | None


def recoveries(connection: sqlite3.Connection, made: list[Fault]) -> list[Recovery]:
    """For each fault that stops the work, or the web server, the time until it went on.

    Of a worker that ended: until the next one began an experiment. Of one that was stopped: from when it went on until
    the next experiment was begun. Of an engine: until its experiment had its outcome. The time begins anew with each
    later fault before that which stops the work as well, and where such a fault lasts, with its end.
    """
    return [found for fault in made if (found := _recovery(connection, fault, made))]


def _recovery(connection: sqlite3.Connection, fault: Fault, made: list[Fault]) -> Recovery | None:
    if fault.text == faults.NOTHING:
        return None
    if fault.kind in WORKER_ENDS:
        return _since(fault, _begun(connection, fault.began, by_another=True), made)
    if fault.kind == faults.STOP_WORKER:
        return _since(fault, _begun(connection, fault.ended, by_another=False), made)
    if fault.kind == faults.KILL_ENGINE:
        ended = _outcome(connection, fault)
        return ended and _since(fault, ended[0], made)
    if fault.kind == faults.KILL_WEB:
        return Recovery(fault, fault.facts["answers_after_s"])
    return None


def _since(fault: Fault, at: float | None, made: list[Fault]) -> Recovery:
    if at is None:
        return Recovery(fault, None)
    own = fault.ended if fault.kind in HINDERS and fault.ended < at else fault.began
    later = [other.ended for other in made if other.kind in HINDERS and other.ended < at]
    return Recovery(fault, at - max([own, *later]))


def _begun(connection: sqlite3.Connection, after: float, *, by_another: bool) -> float | None:
    """When the next experiment was begun; `by_another`: by a worker that had begun none before."""
    query = "SELECT min(at) FROM chaos_audit a WHERE what = 'status' AND new = 'deploying' AND at > ?"
    if by_another:
        query += (
            " AND NOT EXISTS (SELECT 1 FROM chaos_audit b "
            "WHERE b.what = 'status' AND b.new = 'deploying' AND b.worker = a.worker AND b.at <= ?)"
        )
    found = connection.execute(query, (after, after) if by_another else (after,)).fetchone()[0]
    return None if found is None else float(found)


def _outcome(connection: sqlite3.Connection, fault: Fault) -> tuple[float] | None:
    """When the attempt whose engine was killed ended; None when it had ended before."""
    experiment, attempt = fault.facts["attempt_of"]
    row = connection.execute(
        "SELECT min(at) FROM chaos_audit WHERE what = 'status' AND experiment = ? AND attempt = ? AND at > ? "
        "AND old IN ('deploying', 'benchmarking') AND new NOT IN ('deploying', 'benchmarking')",
        (experiment, attempt, fault.began),
    ).fetchone()
    return None if row[0] is None else (float(row[0]),)
