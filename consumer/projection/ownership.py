"""Who owns a partition: epochs, leases and positions in ``checkpoints``. Statements of one transaction."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, case, not_, null, or_, select, text, update

from consumer.errors import FencedError, LogMismatchError
from consumer.projection.base import Batch, Checkpoint
from consumer.projection.database_time import DatabaseNow, holds
from consumer.projection.generations import ensure_generation_id
from consumer.projection.inserts import insert_into
from consumer.projection.tables import checkpoints
from schemas.times import SECOND

_table = checkpoints.c


class Owner(NamedTuple):
    """Whose checkpoints: a rebuild is another generation, another consumer has its own positions."""

    consumer: str
    generation: int


def acquire(
    connection: Connection, owner: Owner, log_id: str, partition: int, *, name: str, lease: float | None
) -> Checkpoint | None:
    """See ``ProjectionWriter.acquire``."""
    _refuse_other_log(connection, owner, log_id)
    ensure_generation_id(connection, owner.consumer, owner.generation)
    know(connection, owner, log_id, [partition])
    free: ColumnElement[bool] = or_(
        _table.lease_until.is_(None), not_(holds(_table.lease_until)), _table.lease_owner == name
    )
    statement = update(checkpoints).where(_row(owner, log_id, partition))
    if lease is not None:
        statement = statement.where(free)
    taken = connection.execute(
        statement.values(
            epoch=_table.epoch + 1,
            lease_owner=name,
            lease_until=null() if lease is None else DatabaseNow() + _micros(lease),
            updated_at=DatabaseNow(),
        ).returning(_table.next_offset, _table.epoch, _table.digest)
    ).one_or_none()
    return None if taken is None else Checkpoint(*taken)


def know(connection: Connection, owner: Owner, log_id: str, partitions: Sequence[int]) -> None:
    """See ``ProjectionWriter.know``."""
    for partition in partitions:
        connection.execute(
            insert_into(checkpoints, connection)
            .values(
                consumer=owner.consumer,
                generation=owner.generation,
                log_id=log_id,
                log_partition=partition,
                next_offset=0,
                epoch=0,
                updated_at=DatabaseNow(),
            )
            .on_conflict_do_nothing()
        )


def is_leased(connection: Connection, owner: Owner, log_id: str, partition: int, *, name: str) -> bool:
    """Whether someone else holds a lease: only looks, without waiting for a transaction of theirs."""
    held = select(_table.epoch).where(
        _row(owner, log_id, partition), _table.lease_owner != name, holds(_table.lease_until)
    )
    return connection.execute(held).first() is not None


def renew(
    connection: Connection,
    owner: Owner,
    log_id: str,
    partition: int,
    *,
    epoch: int,
    lease: float | None,
    end_seen_ago: float | None,
) -> None:
    """See ``ProjectionWriter.renew``."""
    statement = update(checkpoints).where(_row(owner, log_id, partition), _table.epoch == epoch)
    statement = statement.values(updated_at=DatabaseNow())
    if lease is not None:
        statement = statement.values(lease_until=DatabaseNow() + _micros(lease))
    if end_seen_ago is not None:
        statement = statement.values(caught_up_at=DatabaseNow() - _micros(end_seen_ago))
    if connection.execute(statement).rowcount != 1:
        raise FencedError(f"partition {partition}: epoch {epoch} is over, another worker has taken it")


def seen_earlier(
    connection: Connection, owner: Owner, log_id: str, partition: int, *, epoch: int, seconds: float
) -> None:
    """Move what ``renew`` has noted of the log's end back."""
    earlier = update(checkpoints).where(_row(owner, log_id, partition), _table.epoch == epoch)
    connection.execute(earlier.values(caught_up_at=_table.caught_up_at - _micros(seconds)))


def release(connection: Connection, owner: Owner, log_id: str, partition: int, *, epoch: int) -> None:
    """See ``ProjectionWriter.release``."""
    connection.execute(
        update(checkpoints)
        .where(_row(owner, log_id, partition), _table.epoch == epoch)
        .values(lease_owner=None, lease_until=None, updated_at=DatabaseNow())
    )


def advance(connection: Connection, owner: Owner, batch: Batch, *, lease: float | None) -> None:
    """Move the position from the batch's start to its end, if both epoch and start are the checkpoint's.

    A lease that is held is extended.

    Raises:
        FencedError

    """
    extended = case((_table.lease_until.is_not(None), DatabaseNow() + _micros(lease or 0)), else_=null())
    moved = connection.execute(
        update(checkpoints)
        .where(
            _row(owner, batch.log_id, batch.partition),
            _table.epoch == batch.epoch,
            _table.next_offset == batch.start,
        )
        .values(
            next_offset=batch.end,
            digest=batch.digest,
            lease_until=_table.lease_until if lease is None else extended,
            updated_at=DatabaseNow(),
        )
    )
    if moved.rowcount != 1:
        raise FencedError(
            f"partition {batch.partition}: the checkpoint is not at epoch {batch.epoch}, "
            f"offset {batch.start} any more: another worker has taken it, or the batch was applied before"
        )


def end_blocking_transaction(connection: Connection, owner: Owner, log_id: str, partition: int) -> None:
    """End the session whose open transaction holds the checkpoint's row (PostgreSQL).

    A worker that was frozen while it sent data cannot be timed out by the server, and it is fenced anyway.
    """
    connection.execute(
        text(
            "SELECT pg_terminate_backend(l.pid) FROM checkpoints c JOIN pg_locks l "
            "ON l.locktype = 'transactionid' AND l.transactionid = c.xmax AND l.granted "
            "WHERE c.consumer = :consumer AND c.generation = :generation AND c.log_id = :log_id "
            "AND c.log_partition = :partition AND l.pid <> pg_backend_pid()"
        ),
        {**owner._asdict(), "log_id": log_id, "partition": partition},
    )


def _refuse_other_log(connection: Connection, owner: Owner, log_id: str) -> None:
    known = connection.scalars(
        select(_table.log_id)
        .where(_table.consumer == owner.consumer, _table.generation == owner.generation)
        .distinct()
    ).all()
    if known and log_id not in known:
        raise LogMismatchError(
            f"this projection was built from the event log {', '.join(known)}, the log here is {log_id}: "
            "put the right log back, or start with an empty projection"
        )


def _row(owner: Owner, log_id: str, partition: int) -> ColumnElement[bool]:
    return and_(
        _table.consumer == owner.consumer,
        _table.generation == owner.generation,
        _table.log_id == log_id,
        _table.log_partition == partition,
    )


def _micros(seconds: float) -> int:
    return round(seconds * SECOND)
