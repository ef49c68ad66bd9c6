"""Ways to the projection's database for whatever is not the worker's batches."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from consumer.errors import ProjectionUnavailableError
from consumer.projection.engines import open_engine
from consumer.projection.failures import ConflictError
from consumer.projection.migrate import ensure_schema

_T = TypeVar("_T")


class Connections(Protocol):
    """The projection's database, for what is kept in it beside the batches: asked on a thread."""

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        """In a transaction. Raises ProjectionUnavailableError, DataRejectedError."""

    async def look(self, work: Callable[[Connection], _T]) -> _T:
        """Reading only: waits for no writer."""


class OwnConnection:
    """A connection of one's own, for processes that have no writer."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._database = open_engine(address, "write")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="projection-control")

    async def start(self) -> None:
        """Connect. Raises ProjectionUnavailableError, SchemaMismatchError."""
        may_migrate = self._database.kind == "sqlite"
        await self._on_thread(partial(ensure_schema, self._database, self._address, may_migrate=may_migrate))

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        return await self._on_thread(partial(self._written, work))

    async def look(self, work: Callable[[Connection], _T]) -> _T:
        return await self._on_thread(partial(self._looked, work))

    async def stop(self) -> None:
        """Close. Idempotent."""
        await asyncio.to_thread(self._thread.shutdown)
        self._database.engine.dispose()

    def _written(self, work: Callable[[Connection], _T]) -> _T:
        try:
            with self._database.transaction() as connection:
                return work(connection)
        except ConflictError as error:
            raise ProjectionUnavailableError(str(error)) from error

    def _looked(self, work: Callable[[Connection], _T]) -> _T:
        with self._database.look() as connection:
            return work(connection)

    def _on_thread(self, work: Callable[[], _T]) -> Awaitable[_T]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)
