"""Mirrors: on SQLite, and on each of the two databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.projection.migrate import migrate
from tests.reconcile.kit import Mirror, open_mirror


@pytest.fixture
async def mirror(tmp_path: Path) -> AsyncIterator[Mirror]:
    """On SQLite."""
    address = f"sqlite:///{tmp_path}/bin.db"
    migrate(address)
    async with open_mirror(address, tmp_path) as opened:
        yield opened


@pytest.fixture
async def either(address: str, tmp_path: Path) -> AsyncIterator[Mirror]:
    """On each of the two databases."""
    async with open_mirror(address, tmp_path) as opened:
        yield opened
