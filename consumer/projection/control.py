"""Audit and orders to the worker, on SQLite and PostgreSQL."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, delete, func, select, update

from consumer.errors import DataRejectedError
from consumer.projection.base import CONSUMER
from consumer.projection.connections import Connections
from consumer.projection.control_base import (
    ALIVE_SECONDS,
    AuditLine,
    AuditResult,
    Pause,
    WorkerState,
    WorkerStop,
)
from consumer.projection.control_tables import audit, worker_pauses, worker_stops
from consumer.projection.database_time import DatabaseNow
from consumer.projection.inserts import insert_into
from consumer.projection.tables import checkpoints
from schemas.text import is_storable
from schemas.times import SECOND


class SqlAudit:
    """See ``Audit``."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def begin(
        self,
        audit_id: str,
        *,
        who: str,
        action: str,
        project: str | None = None,
        filters: Mapping[str, object] | None = None,
        reason: str | None = None,
    ) -> None:
        values = {
            "audit_id": audit_id,
            "who": who,
            "action": action,
            "project": project,
            "filters": json.dumps(dict(filters or {})),
            "reason": reason,
            "counts": "{}",
        }
        for name, value in values.items():
            # JSON has escapes for what cannot be stored.
            if name != "filters" and value is not None and not is_storable(value):
                raise DataRejectedError(f"{name}: holds text that no database stores")

        def work(connection: Connection) -> None:
            line = insert_into(audit, connection).values(**values, began_at=DatabaseNow())
            again = {"ended_at": None, "result": None}
            connection.execute(line.on_conflict_do_update(index_elements=[audit.c.audit_id], set_=again))

        await self._connections.write(work)

    async def finish(self, audit_id: str, *, result: AuditResult, counts: Mapping[str, int]) -> None:
        line = update(audit).where(audit.c.audit_id == audit_id)
        line = line.values(ended_at=DatabaseNow(), result=result, counts=json.dumps(dict(counts)))
        await self._connections.write(lambda connection: connection.execute(line))

    async def lines(self, *, limit: int = 50) -> Sequence[AuditLine]:
        names = [audit.c[name] for name in AuditLine._fields]
        query = select(*names).order_by(audit.c.began_at.desc(), audit.c.audit_id.desc()).limit(limit)

        def work(connection: Connection) -> list[AuditLine]:
            return [_audit_line(row) for row in connection.execute(query)]

        return await self._connections.look(work)


class SqlWorkerControl:
    """See ``WorkerOrders`` and ``WorkerControl``."""

    def __init__(self, connections: Connections, *, consumer: str = CONSUMER) -> None:
        self._connections = connections
        self._consumer = consumer

    async def pause(self) -> Pause | None:
        return await self._connections.look(self._pause)

    async def stopped(self, worker: str, reason: str) -> None:
        values = {"consumer": self._consumer, "worker": worker, "reason": reason.replace("\0", "")}

        def work(connection: Connection) -> None:
            row = insert_into(worker_stops, connection).values(
                **values, stopped_at=DatabaseNow(), seen_at=DatabaseNow()
            )
            key = list(worker_stops.primary_key.columns)
            new = {"reason": row.excluded.reason, "seen_at": row.excluded.seen_at}
            connection.execute(row.on_conflict_do_update(index_elements=key, set_=new))

        await self._connections.write(work)

    async def still_stopped(self, worker: str) -> bool:
        table = worker_stops.c
        seen = update(worker_stops).where(table.consumer == self._consumer, table.worker == worker)
        seen = seen.values(seen_at=DatabaseNow())
        return await self._connections.write(lambda connection: connection.execute(seen).rowcount == 1)

    async def gone(self, worker: str) -> None:
        row = delete(worker_stops).where(
            worker_stops.c.consumer == self._consumer, worker_stops.c.worker == worker
        )
        await self._connections.write(lambda connection: connection.execute(row))

    async def state(self) -> WorkerState:
        return await self._connections.look(self._state)

    async def order_pause(self, *, who: str, reason: str | None) -> bool:
        def work(connection: Connection) -> bool:
            row = insert_into(worker_pauses, connection).values(
                consumer=self._consumer, paused_at=DatabaseNow(), who=who, reason=reason
            )
            new = row.on_conflict_do_nothing().returning(worker_pauses.c.consumer)
            return connection.execute(new).first() is not None

        return await self._connections.write(work)

    async def order_resume(self) -> WorkerState:
        def work(connection: Connection) -> WorkerState:
            before = self._state(connection)
            for table in (worker_pauses, worker_stops):
                connection.execute(delete(table).where(table.c.consumer == self._consumer))
            return before

        return await self._connections.write(work)

    def _pause(self, connection: Connection) -> Pause | None:
        columns = [worker_pauses.c[name] for name in Pause._fields]
        row = connection.execute(select(*columns).where(worker_pauses.c.consumer == self._consumer)).first()
        return None if row is None else Pause._make(row)

    def _state(self, connection: Connection) -> WorkerState:
        table = worker_stops.c
        columns = (table.worker, table.stopped_at, table.reason, DatabaseNow() - table.seen_at)
        query = select(*columns).where(table.consumer == self._consumer).order_by(table.worker)
        stops = [
            WorkerStop(worker, stopped_at, reason, max(0.0, ago / SECOND))
            for worker, stopped_at, reason, ago in connection.execute(query)
        ]
        if stops and (ago := self._caught_up_ago(connection)) is not None:
            # Nobody needs to decide about a dead process whose work others have done since.
            stops = [stop for stop in stops if stop.seen_ago <= max(ALIVE_SECONDS, ago)]
        return WorkerState(self._pause(connection), stops)

    def _caught_up_ago(self, connection: Connection) -> float | None:
        """Seconds since workers had last caught up with every partition; None: never with all of them."""
        table = checkpoints.c
        newest = select(func.max(table.generation)).where(table.consumer == self._consumer)
        known, seen, ago = connection.execute(
            select(
                func.count(), func.count(table.caught_up_at), DatabaseNow() - func.min(table.caught_up_at)
            ).where(table.consumer == self._consumer, table.generation == newest.scalar_subquery())
        ).one()
        return ago / SECOND if known and known == seen else None


def _audit_line(row: Sequence[object]) -> AuditLine:
    line = AuditLine._make(row)
    return line._replace(filters=json.loads(str(line.filters)), counts=json.loads(str(line.counts)))
