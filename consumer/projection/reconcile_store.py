"""What reconciling keeps in the projection's database, on SQLite and PostgreSQL. See ``reconciling``."""

import json
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from sqlalchemy import Connection, func, select

from consumer.errors import FencedError
from consumer.projection import lease_statements
from consumer.projection import reconcile_statements as statements
from consumer.projection.base import CONSUMER, GENERATION
from consumer.projection.connections import OwnConnection
from consumer.projection.control_tables import reconcile_projects, reconcile_runs
from consumer.projection.database_time import DatabaseNow
from consumer.projection.inserts import insert_into
from consumer.projection.read_pool import ReadPool
from consumer.projection.reconcile_base import Absent, Held, Key, Known, Lease, Marks, Missed, Mode, Run
from consumer.projection.statements import newest_delivery, positions
from consumer.projection.tables import counts
from handlers.changes import LISTED_STATES, Fields
from schemas.times import Micros

_T = TypeVar("_T")

_FORGOTTEN_AT_ONCE: Final = 20_000
_WINDOW: Final = 5_000


class SqlReconcileStore:
    """See ``ReconcileStore``, and ``Connections`` for the control tables.

    One connection writes, one transaction after the other, and another one reads.
    """

    def __init__(self, address: str, *, consumer: str = CONSUMER, generation: int = GENERATION) -> None:
        self._writer = OwnConnection(address)
        self._reader = ReadPool(address, readers=1)
        self._checkpoints = (consumer, generation)

    async def start(self) -> None:
        await self._writer.start()

    async def stop(self) -> None:
        await self._writer.stop()
        await self._reader.stop()

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        return await self._writer.write(work)

    async def look(self, work: Callable[[Connection], _T]) -> _T:
        return await self._reader.read(work)

    # Leases

    async def acquire(self, project: str, owner: str, seconds: float) -> Lease | str:
        return await self.write(lambda connection: _acquire(connection, project, owner, seconds))

    async def renew(self, lease: Lease, seconds: float) -> None:
        await self.write(lambda connection: _fence(connection, lease, seconds))

    async def release(self, lease: Lease) -> None:
        await self.write(
            lambda connection: lease_statements.release(connection, _name(lease.project), lease.epoch)
        )

    # Runs

    async def known(self, project: str) -> Known:
        return await self.look(lambda connection: _known(connection, project))

    async def run(self, project: str, mode: Mode) -> Run | None:
        return await self.look(lambda connection: _run(connection, project, mode))

    async def begin(self, lease: Lease, mode: Mode, run_id: str, now: Micros) -> Run:
        return await self.write(lambda connection: _begin(connection, lease, mode, run_id, now))

    async def step(self, lease: Lease, run: Run, marks: Marks) -> None:
        def work(connection: Connection) -> None:
            _fence(connection, lease, None)
            _note(connection, run)
            for resource_type, ids in marks.items():
                statements.mark(connection, run, resource_type, ids)

        await self.write(work)

    async def end(self, lease: Lease, run: Run, failure: str | None) -> None:
        await self.write(lambda connection: _end(connection, lease, run, failure))

    async def forget_marks(self, lease: Lease) -> bool:
        def work(connection: Connection) -> bool:
            _fence(connection, lease, None)
            forgotten = statements.forget(connection, lease.project, _FORGOTTEN_AT_ONCE)
            return forgotten == _FORGOTTEN_AT_ONCE

        return await self.write(work)

    # The bin

    async def held(self, project: str, keys: Marks) -> Mapping[Key, Held]:
        def work(connection: Connection) -> Mapping[Key, Held]:
            found: dict[Key, Held] = {}
            for resource_type, ids in keys.items():
                for resource_id, state, entry_id, created_at, *rest in statements.held(
                    connection, project, resource_type, ids
                ):
                    fields = None if created_at is None else Fields(created_at, *rest)
                    found[resource_type, resource_id] = Held(state, entry_id, fields)
            return found

        return await self.look(work)

    async def absent(self, run: Run, *, older_than: Micros, after: Key | None) -> Absent:
        return await self.look(
            lambda connection: statements.absent(connection, run, older_than, after, _WINDOW)
        )

    async def listed(self, project: str) -> int:
        of = (counts.c.kind == "entries", counts.c.project == project, counts.c.state.in_(LISTED_STATES))
        total = select(func.coalesce(func.sum(counts.c.rows), 0)).where(*of)
        return await self.look(lambda connection: int(connection.scalar(total) or 0))

    async def positions(self) -> Mapping[int, int]:
        rows = positions(*self._checkpoints)
        return await self.look(lambda connection: {row[0]: row[1] for row in connection.execute(rows)})

    async def missed(self, project: str, *, since: Micros, until: Micros) -> Missed:
        def work(connection: Connection) -> Missed:
            number, oldest, newest = statements.missed(connection, project, since, until)
            return Missed(number, oldest, newest, connection.scalar(newest_delivery(project)))

        return await self.look(work)


def _name(project: str) -> str:
    return f"reconcile/{project}"


def _acquire(connection: Connection, project: str, owner: str, seconds: float) -> Lease | str:
    taken = lease_statements.acquire(connection, _name(project), owner, seconds)
    return taken if isinstance(taken, str) else Lease(project, owner, taken)


def _fence(connection: Connection, lease: Lease, seconds: float | None) -> None:
    """Hold the lease's row until the transaction ends; extend it. Raises FencedError."""
    if not lease_statements.renew(connection, _name(lease.project), lease.epoch, seconds):
        raise FencedError(f"another process reconciles project {lease.project} by now")


def _known(connection: Connection, project: str) -> Known:
    columns = [reconcile_projects.c[name] for name in Known._fields[1:]]
    row = connection.execute(
        select(DatabaseNow(), *columns).where(reconcile_projects.c.project == project)
    ).first()
    if row is not None:
        return Known._make(row)
    return Known(int(connection.scalar(select(DatabaseNow())) or 0))


def _run(connection: Connection, project: str, mode: Mode) -> Run | None:
    columns = [reconcile_runs.c[name] for name in Run._fields]
    row = connection.execute(
        select(*columns).where(reconcile_runs.c.project == project, reconcile_runs.c.mode == mode)
    ).first()
    return None if row is None else Run._make((*row[:-1], json.loads(row[-1])))


def _begin(connection: Connection, lease: Lease, mode: Mode, run_id: str, now: Micros) -> Run:
    _fence(connection, lease, None)
    latest = connection.scalar(
        select(func.max(reconcile_runs.c.started_at)).where(reconcile_runs.c.project == lease.project)
    )
    run = Run(lease.project, mode, run_id, max(now, (latest or 0) + 1), "reading", None, {})
    if mode == "incremental":
        run = run._replace(position=_known(connection, lease.project).position)
    _note(connection, run)
    return run


def _note(connection: Connection, run: Run) -> None:
    values = {**run._asdict(), "tally": json.dumps(dict(run.tally)), "updated_at": DatabaseNow()}
    new = insert_into(reconcile_runs, connection).values(values)
    changed = {name: value for name, value in values.items() if name not in {"project", "mode"}}
    connection.execute(new.on_conflict_do_update(index_elements=["project", "mode"], set_=changed))


def _end(connection: Connection, lease: Lease, run: Run, failure: str | None) -> None:
    _fence(connection, lease, None)
    _note(connection, run)
    if run.mode == "report":
        return
    full, done = run.mode == "full", run.phase == "done"
    known = _known(connection, run.project)
    values: dict[str, object] = {"tried_at": DatabaseNow(), "failure": failure}
    if full:
        values["full_tried_at"] = DatabaseNow()
    if done:
        values |= {"done_at": DatabaseNow(), "position": run.position or known.position}
    if done and full:
        values |= {"full_done_at": DatabaseNow(), "full_entries": run.tally.get("read", 0)}
        values["first_full_at"] = known.first_full_at or run.started_at
    new = insert_into(reconcile_projects, connection).values(project=run.project, **values)
    connection.execute(new.on_conflict_do_update(index_elements=["project"], set_=values))
