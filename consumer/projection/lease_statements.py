"""Leases by name in the projection's database: one process at a time. Statements."""

from sqlalchemy import Connection, not_, or_, select, update

from consumer.projection.control_tables import leases
from consumer.projection.database_time import DatabaseNow, holds
from consumer.projection.inserts import insert_into
from schemas.times import SECOND


def acquire(connection: Connection, name: str, owner: str, seconds: float) -> int | str:
    """The lease's new epoch, or who has it. An owner's own unended lease is given to it again."""
    connection.execute(
        insert_into(leases, connection).values(name=name, owner="", epoch=0, until=0).on_conflict_do_nothing()
    )
    free = or_(not_(holds(leases.c.until)), leases.c.owner == owner)
    epoch = connection.scalar(
        update(leases)
        .where(leases.c.name == name, free)
        .values(owner=owner, epoch=leases.c.epoch + 1, until=DatabaseNow() + round(seconds * SECOND))
        .returning(leases.c.epoch)
    )
    if epoch is not None:
        return int(epoch)
    return str(connection.scalar(select(leases.c.owner).where(leases.c.name == name)))


def renew(connection: Connection, name: str, epoch: int, seconds: float | None) -> bool:
    """Hold the lease's row until the transaction ends, and extend it. False: it is another's by now."""
    until = leases.c.until if seconds is None else DatabaseNow() + round(seconds * SECOND)
    mine = (leases.c.name == name, leases.c.epoch == epoch, leases.c.until > 0)
    return connection.execute(update(leases).where(*mine).values(until=until)).rowcount == 1


def release(connection: Connection, name: str, epoch: int) -> None:
    """End it now, if it is still ours."""
    mine = (leases.c.name == name, leases.c.epoch == epoch)
    connection.execute(update(leases).where(*mine).values(until=0))


def holder(connection: Connection, name: str) -> str | None:
    """Who has it now."""
    held = select(leases.c.owner).where(leases.c.name == name, holds(leases.c.until))
    owner = connection.scalar(held)
    return None if owner is None else str(owner)
