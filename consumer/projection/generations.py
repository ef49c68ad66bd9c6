"""Which projection this is: a projection made anew is another one, whatever its address. Statements."""

import secrets

from sqlalchemy import Connection, select

from consumer.projection.control_tables import generations
from consumer.projection.database_time import DatabaseNow
from consumer.projection.inserts import insert_into

_ID_BYTES = 8


def ensure_generation_id(connection: Connection, consumer: str, generation: int) -> None:
    """Give the generation its random id, if it has none yet."""
    connection.execute(
        insert_into(generations, connection)
        .values(
            consumer=consumer,
            generation=generation,
            identity=secrets.token_hex(_ID_BYTES),
            began_at=DatabaseNow(),
        )
        .on_conflict_do_nothing()
    )


def generation_id(connection: Connection, consumer: str, generation: int) -> str | None:
    """Number and random id; None: no worker has begun it."""
    identity = connection.scalar(
        select(generations.c.identity).where(
            generations.c.consumer == consumer, generations.c.generation == generation
        )
    )
    return None if identity is None else f"{generation}-{identity}"
