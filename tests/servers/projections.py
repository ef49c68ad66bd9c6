"""Fixtures: an empty projection on each database, migrated, and its two sides."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.projection.migrate import migrate
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.projection.store import SqlProjectionWriter
from tests.projection_kit import writer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def unmigrated(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database: SQLite on disk, PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/bin.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def address(unmigrated: str) -> str:
    """The address of a projection without events."""
    migrate(unmigrated)
    return unmigrated


@pytest.fixture
async def store(address: str) -> AsyncIterator[SqlProjectionWriter]:
    """A started writer."""
    side = writer(address)
    await side.start()
    yield side
    await side.stop()


@pytest.fixture
async def reader(address: str) -> AsyncIterator[SqlProjectionReader]:
    """A started reader."""
    side = SqlProjectionReader(ReadPool(address))
    await side.start()
    yield side
    await side.stop()
