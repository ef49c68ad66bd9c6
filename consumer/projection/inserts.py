"""Inserts that say what happens on conflict: SQLAlchemy has one for each database."""

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_into(table: Table, connection: Connection) -> postgresql.Insert | sqlite.Insert:
    """For the database of ``connection``."""
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
