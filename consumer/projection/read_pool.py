"""Threads that read the projection: what all asking sides share."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection

from consumer.errors import ProjectionUnavailableError
from consumer.projection.engines import Kind, open_engine
from consumer.projection.failures import translated
from consumer.projection.granted import GrantedConnections
from consumer.projection.migrate import ensure_schema

_T = TypeVar("_T")

_PATIENCE: Final = 20.0
"""Seconds for a query, waiting for a free thread included; the server itself ends it after 15."""


class ReadPool:
    """``readers`` threads, with a connection each if the server grants so many; work runs on any free one."""

    def __init__(self, address: str, *, readers: int = 4) -> None:
        self._address = address
        self._database = open_engine(address, "read", connections=readers)
        self._connections = GrantedConnections(self._database.engine)
        self._threads = ThreadPoolExecutor(readers, thread_name_prefix="projection-reader")

    @property
    def kind(self) -> Kind:
        """Which database it is."""
        return self._database.kind

    @property
    def shown(self) -> str:
        """The address without credentials."""
        return self._database.shown

    async def start(self) -> None:
        """Connect. Raises ProjectionUnavailableError, SchemaMismatchError."""
        may_migrate = self._database.kind == "sqlite"
        await self._on_thread(partial(ensure_schema, self._database, self._address, may_migrate=may_migrate))

    async def read(self, work: Callable[[Connection], _T]) -> _T:
        """``work`` on a thread, every statement on its own unless it begins a transaction.

        Raises ProjectionUnavailableError, SchemaMismatchError.
        """
        return await self._on_thread(partial(self._connected, work))

    async def stop(self) -> None:
        """Close. Idempotent."""
        await asyncio.to_thread(self._threads.shutdown)
        self._database.engine.dispose()

    def _connected(self, work: Callable[[Connection], _T]) -> _T:
        with translated(self._database.shown), self._connections.one() as connection:
            return work(connection)

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            # A frozen server keeps its own time limits no better than anything else.
            raise ProjectionUnavailableError(f"{self._database.shown} does not answer") from error
