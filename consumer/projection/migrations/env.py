"""Alembic's entry: runs migrations on the connection that ``consumer.projection.migrate`` hands over.

Started from the command line (``alembic revision …``) it works on SQLite in memory, to write new versions.
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from consumer.projection.schema import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


handed_over = context.config.attributes.get("connection")
if handed_over is None:
    with create_engine("sqlite://").begin() as in_memory:
        _run(in_memory)
else:
    _run(handed_over)
