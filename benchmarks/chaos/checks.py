"""What must be true when everything has been stopped; each check counts what it looked at and names what is wrong."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chaos import audit, faults, operator
from benchmarks.chaos.faults import Fault
from benchmarks.chaos.operator import Given
from benchmarks.chaos.recovery import RECOVER_S, recoveries
from benchmarks.chaos.watch import Sightings

MAX_LOSSES = 3
SETTLED_S = 2.0
"""How long after a GPU was filled a claim may still rest on a look before that."""
LOCKED_OUT = 2
"""The exit code of a command that could not reach the database in 20 s: a stopped worker may hold its lock."""
TAKE_OVER_S = 8.0
"""How long the engine of a lost attempt may live beside the next one."""

Visited = dict[str, dict[int, str]]
"""The configuration that has each number, by task name."""

MOVES = {
    ("pending", "deploying"),
    ("deploying", "benchmarking"),
    ("benchmarking", "success"),
    *((status, ended) for status in audit.ACTIVE for ended in ("failed", "cancelled", "pending")),
    ("pending", "cancelled"),
}
REOPENED = {("failed", "pending"): ("retry",), ("cancelled", "pending"): ("retry", "resume")}


@dataclass(frozen=True)
class Finding:
    """One check: its name, the number that it comes to, and a sentence for each violation."""

    name: str
    number: str
    problems: tuple[str, ...] = ()


@dataclass
class Evidence:
    """All that is known at the end, when nothing of the installation runs any more."""

    folder: Path
    experiments: int
    lease_s: float
    undisturbed: Visited = field(default_factory=dict)
    undisturbed_tasks: int = 0
    wanted: dict[int, str] = field(default_factory=dict)
    given: list[Given] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    asked_faults: int = 0
    seen: Sightings = field(default_factory=Sightings)
    left: list[str] = field(default_factory=list)
    """Processes that bear our marks after everything was stopped."""
    stopped_with: int = 0


def check(evidence: Evidence) -> list[Finding]:
    """Look at everything."""
    with audit.connected(evidence.folder / "autotuner.sqlite3") as connection:
        return [one(connection, evidence) for one in CHECKS]


def visited(connection: sqlite3.Connection, tasks: list[int]) -> Visited:
    """What these tasks have tried."""
    found: Visited = {}
    query = (
        "SELECT t.name, e.number, e.parameters_hash, e.replicate FROM tuning_experiment e "
        "JOIN tuning_task t ON t.id = e.task_id WHERE t.id = ?"
    )
    for task in tasks:
        for row in connection.execute(query, (task,)):
            found.setdefault(row["name"], {})[row["number"]] = f"{row['parameters_hash']}/{row['replicate']}"
    return found


def _outcomes(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """Each experiment that was asked for ended once: it has one outcome, unless its task was left before its end."""
    allowed = {
        operator.RUNNING: audit.FINISHED,
        operator.PAUSED: (*audit.FINISHED, "pending"),
        operator.CANCELLED: audit.ENDED,
    }
    rows = connection.execute("SELECT id, task_id, number, status FROM tuning_experiment").fetchall()
    problems = [
        f"{_name(row)} is {row['status']}"
        for row in rows
        if row["status"] not in allowed[evidence.wanted.get(row["task_id"], operator.RUNNING)]
    ]
    counts = Counter(row["task_id"] for row in rows)
    problems += [
        f"task {task['id']} has {counts[task['id']]} experiments, not {evidence.experiments}"
        for task in _tasks(connection)
        if task["status"] in ("completed", "failed") and counts[task["id"]] != evidence.experiments
    ]
    statuses = Counter(row["status"] for row in rows)
    number = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    return Finding("experiments with exactly one outcome", f"{len(rows)}: {number}", tuple(problems))


def _history(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """Nothing finished ever changed, nothing was taken from its holder, no status was jumped over."""
    rows = connection.execute("SELECT * FROM chaos_audit WHERE what NOT IN ('slot', 'task', 'created')").fetchall()
    problems = [
        f"{row['what']}: experiment {row['experiment']} ({row['old']} -> {row['new']}) {row['detail'] or ''}"
        for row in rows
        if row["what"] != "status" or not _is_legal(row, evidence)
    ]
    outcomes = sum(row["new"] in audit.ENDED and row["old"] not in audit.ENDED for row in rows)
    reopened = sum(row["old"] in audit.ENDED and row["new"] == "pending" for row in rows)
    ended = _one(connection, f"SELECT count(*) FROM tuning_experiment WHERE status IN {audit.ENDED}")  # noqa: S608
    if outcomes != ended + reopened:
        problems.append(f"{outcomes} outcomes were written for {ended} experiments, of which {reopened} were reopened")
    number = f"{len(rows)} changes; {outcomes} outcomes, {reopened} reopened by `retry` or `resume`"
    return Finding("finished rows never changed, every change legal", number, tuple(problems))


def _is_legal(row: sqlite3.Row, evidence: Evidence) -> bool:
    move = (row["old"], row["new"])
    if move in REOPENED:
        return any(
            given.done
            and given.action in REOPENED[move]
            and given.task == row["task"]
            and given.began <= row["at"] <= given.ended
            for given in evidence.given
        )
    return move in MOVES and (move[0] == "pending" or row["new_claim"] in ("", row["old_claim"]))


def _zombies(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """No claim writes anything after it was taken away."""
    lost = connection.execute("SELECT id, experiment, old_claim FROM chaos_audit WHERE losses > 0").fetchall()
    query = "SELECT what, new FROM chaos_audit WHERE id > ? AND experiment = ? AND new_claim = ? AND old != new"
    problems = [
        f"experiment {row['experiment']}: {after['what']} {after['new']} by a claim that was taken away"
        for row in lost
        for after in connection.execute(query, (row["id"], row["experiment"], row["old_claim"]))
    ]
    stops = [fault for fault in evidence.faults if fault.kind == faults.STOP_WORKER and "last" in fault.facts]
    during = sum(
        _one(connection, "SELECT count(*) FROM chaos_audit WHERE losses > 0 AND at BETWEEN ? AND ?", *_span(fault))
        for fault in stops
    )
    number = f"{len(lost)} claims taken away, {during} of them while their worker was stopped and then went on"
    return Finding("writes by a claim that was taken away: 0", number, tuple(problems))


def _duplicates(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    problems = [
        f"task {row['task_id']}: {row['count']} rows with {columns} {row['same']}"
        for columns, same in (("number", "number"), ("configuration", "parameters_hash || '/' || replicate"))
        for row in connection.execute(
            f"SELECT task_id, {same} AS same, count(*) AS count FROM tuning_experiment "  # noqa: S608 - constants
            "GROUP BY task_id, same HAVING count(*) > 1"
        )
    ]
    return Finding("duplicates: 0", str(len(problems)), tuple(problems))


def _orphans(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    return Finding("orphaned processes: 0", str(len(evidence.left)), tuple(evidence.left))


def _slots(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    rows = connection.execute('SELECT "index", claim FROM tuning_slot').fetchall()
    problems = [f"slot {row['index']} is held by {row['claim']}" for row in rows if row["claim"]]
    if not rows:
        problems.append("there are no slots at all")
    return Finding("leaked slots: 0", f"{len(problems)} of {len(rows)}", tuple(problems))


def _workers(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    rows = connection.execute("SELECT kind, pid FROM tuning_worker").fetchall()
    problems = [f"{row['kind']} {row['pid']} is in the database" for row in rows]
    problems += [f"lock file {path.name}" for path in evidence.folder.glob("locks/*")]
    if evidence.stopped_with:
        problems.append(f"serve ended with code {evidence.stopped_with}")
    return Finding("workers left in the database: 0", str(len(rows)), tuple(problems))


def _states(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """As asked; a task that was asked to run has come to its end."""
    after = {operator.RUNNING: "completed"}
    rows = _tasks(connection)
    problems = []
    for row in rows:
        wanted = evidence.wanted.get(row["id"])
        if wanted is None or row["status"] != after.get(wanted, wanted):
            problems.append(f"task {row['id']} is {row['status']}; it was asked to be {wanted}")
    counts = Counter(row["status"] for row in rows)
    number = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return Finding("tasks in the state that was asked for", f"{len(rows)}: {number}", tuple(problems))


def _visits(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """Completed tasks visited the set of the undisturbed run; the others a part of it, in the same order."""
    problems = []
    compared = 0
    for row in _tasks(connection)[evidence.undisturbed_tasks :]:
        expected = evidence.undisturbed.get(row["name"], {})
        found = visited(connection, [row["id"]]).get(row["name"], {})
        learns = row["name"].startswith("bayesian")
        compared += 1
        if row["status"] == "completed" and set(found.values()) != set(expected.values()):
            problems.append(f"task {row['id']} ({row['name']}) visited another set")
        elif not set(found.values()) <= set(expected.values()):
            problems.append(f"task {row['id']} ({row['name']}) visited what the undisturbed run did not")
        elif not learns and any(expected.get(number) != digest for number, digest in found.items()):
            problems.append(f"task {row['id']} ({row['name']}) visited the same in another order")
    if not evidence.undisturbed:
        problems.append("there is no undisturbed run")
    return Finding("visited sets equal the undisturbed run's", f"{compared} tasks compared", tuple(problems))


def _engines(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    seen = evidence.seen
    problems = list(seen.shared_gpus)
    problems += [
        f"experiment {experiment} had engines of two attempts for {seconds:.1f} s"
        for experiment, seconds in seen.twins.items()
        if seconds > TAKE_OVER_S
    ]
    if not seen.engines:
        problems.append("no engine was seen at all")
    number = (
        f"{len(seen.engines)} engines in {seen.looks} looks; shared GPUs {len(seen.shared_gpus)}; beside the engine of "
        f"a lost attempt at the same experiment: {len(seen.twins)}, at most {max(seen.twins.values(), default=0):.1f} s"
    )
    return Finding("never two engines on a GPU, nor for an experiment", number, tuple(problems))


def _lost(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """`lost_worker` after three losses, each of which was written down."""
    rows = connection.execute("SELECT * FROM chaos_audit WHERE new = 'failed' AND reason = 'lost_worker'").fetchall()
    losses = _one(connection, "SELECT count(*) FROM chaos_audit WHERE losses > 0")
    problems = []
    query = "SELECT losses, old, new FROM chaos_audit WHERE what = 'status' AND experiment = ? AND id <= ? ORDER BY id"
    for row in rows:
        count = 0
        for change in connection.execute(query, (row["experiment"], row["id"])):
            count = 0 if change["old"] in audit.ENDED else count + (change["losses"] > 0)
        if count != MAX_LOSSES:
            problems.append(f"experiment {row['experiment']} failed after {count} losses")
    return Finding("lost_worker only after 3 losses", f"{len(rows)} failed so; {losses} losses in all", tuple(problems))


def _causes(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """No worker loses anything that was not killed or stopped, also when it cannot write for longer than its lease."""
    begun = "SELECT max(at) FROM chaos_audit WHERE what = 'status' AND experiment = ? AND new = 'deploying' AND id < ?"
    rows = connection.execute("SELECT * FROM chaos_audit WHERE losses > 0").fetchall()
    problems = []
    for row in rows:
        since = _one(connection, begun, row["experiment"], row["id"])
        kinds = {fault.kind for fault in evidence.faults if fault.began < row["at"] and fault.ended > since}
        if not kinds & {faults.KILL_WORKER, faults.STOP_WORKER}:
            problems.append(f"experiment {row['experiment']} attempt {row['attempt']}; meanwhile {sorted(kinds)}")
    return Finding("losses without a cause: 0", f"{len(problems)} of {len(rows)}", tuple(problems))


def _failures(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """Nothing fails but what was hit."""
    hit = {fault.facts["attempt_of"] for fault in evidence.faults if "attempt_of" in fault.facts}
    rows = connection.execute("SELECT * FROM chaos_audit WHERE what = 'status' AND new = 'failed'").fetchall()
    problems = []
    for row in rows:
        is_hit = row["reason"] == "engine_crashed" and (row["experiment"], row["attempt"]) in hit
        if not is_hit and row["reason"] != "lost_worker":
            message = _one(connection, "SELECT message FROM tuning_experiment WHERE id = ?", row["experiment"])
            problems.append(f"experiment {row['experiment']} attempt {row['attempt']}: {row['reason']}: {message}")
    reasons = Counter(row["reason"] for row in rows)
    number = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "0"
    return Finding("failures without a cause: 0", f"{len(problems)} of {len(rows)} ({number})", tuple(problems))


def _foreign(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """A filled GPU is not given away; a look just before, or before a locked database, may have found it free."""
    fills = [fault for fault in evidence.faults if fault.kind == faults.FILL and "gpu" in fault.facts]
    locks = [fault for fault in evidence.faults if fault.kind == faults.LOCK]
    given = "SELECT at FROM chaos_audit WHERE what = 'slot' AND detail = ? AND new_claim != '' AND at BETWEEN ? AND ?"
    problems = []
    for fill in fills:
        settled = max([fill.began, *(lock.ended for lock in locks if _overlap(lock, fill))]) + SETTLED_S
        rows = connection.execute(given, (fill.facts["gpu"], settled, fill.ended)).fetchall()
        problems += [f"GPU {fill.facts['gpu']}, {row['at'] - fill.began:.1f} s after it was filled" for row in rows]
    seconds = sum(fill.ended - fill.began for fill in fills)
    return Finding("filled GPUs given away: 0", f"{len(problems)}; filled for {seconds:.0f} s in all", tuple(problems))


def _recovery(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    bound = evidence.lease_s + RECOVER_S
    found = recoveries(connection, evidence.faults)
    problems = [
        f"{one.fault.kind} ({one.fault.text}): {'never' if one.seconds is None else f'{one.seconds:.1f} s'}"
        for one in found
        if one.seconds is None or one.seconds > bound
    ]
    longest = max((one.seconds for one in found if one.seconds is not None), default=0.0)
    return Finding(f"recovered within {bound:g} s", f"{len(found)} times, longest {longest:.1f} s", tuple(problems))


def _made(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    made = [fault for fault in evidence.faults if fault.text != faults.NOTHING]
    few = [f"only {len(made)}"] if len(made) < evidence.asked_faults else []
    return Finding(f"faults: at least {evidence.asked_faults}", str(len(made)), tuple(few))


def _commands(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    """Each was carried out or refused in a sentence; given twice at once, it was carried out once at most."""
    odd = [given for given in evidence.given if not _is_answer(given, evidence)]
    problems = [f"{given.action} {given.task}: {given.answer.code} {given.answer.text[-300:]}" for given in odd]
    problems += [f"{what} was carried out twice" for what in evidence.doubled]
    refused = sum(given.answer.code == 1 for given in evidence.given)
    locked = sum(given.answer.code == LOCKED_OUT for given in evidence.given)
    number = f"{len(evidence.given)}, {refused} refused, {locked} locked out"
    return Finding("commands done or refused in words", number, tuple(problems))


def _is_answer(given: Given, evidence: Evidence) -> bool:
    """Whether this may be the answer; that the database is locked only while somebody keeps it so."""
    if "Traceback" in given.answer.text:
        return False
    if given.answer.code != LOCKED_OUT:
        return given.answer.code in (0, 1)
    lockers = [fault for fault in evidence.faults if fault.kind in (faults.LOCK, faults.STOP_WORKER)]
    during = any(fault.began < given.ended and given.began < fault.ended for fault in lockers)
    return during and given.answer.text.endswith("database is locked")


def _console(connection: sqlite3.Connection, evidence: Evidence) -> Finding:
    lines = (evidence.folder / "serve.log").read_text(errors="replace").splitlines()
    problems = [" | ".join(lines[at : at + 40])[-600:] for at, line in enumerate(lines) if line.startswith("Traceback")]
    return Finding("tracebacks on the console: 0", f"{len(problems)} in {len(lines)} lines", tuple(problems))


CHECKS: tuple[Callable[[sqlite3.Connection, Evidence], Finding], ...] = (
    _made,
    _outcomes,
    _history,
    _duplicates,
    _zombies,
    _orphans,
    _slots,
    _workers,
    _states,
    _visits,
    _engines,
    _lost,
    _causes,
    _failures,
    _foreign,
    _recovery,
    _commands,
    _console,
)


def _tasks(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    return connection.execute("SELECT id, name, run, status FROM tuning_task ORDER BY id").fetchall()


def _name(row: sqlite3.Row) -> str:
    return f"experiment {row['number']} of task {row['task_id']}"


def _one(connection: sqlite3.Connection, query: str, *values: Any) -> Any:
    return connection.execute(query, values).fetchone()[0]


def _span(fault: Fault) -> tuple[float, float]:
    return fault.began, fault.ended


def _overlap(one: Fault, other: Fault) -> bool:
    return one.began < other.ended and other.began < one.ended


def problems(findings: list[Finding]) -> Iterator[str]:
    """Every violation of every check."""
    for finding in findings:
        for problem in finding.problems:
            yield f"{finding.name}: {problem}"
