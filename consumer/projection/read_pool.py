"""Threads that read the projection: what all asking sides share."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from sqlalchemy import Connection, exc

from consumer.errors import ProjectionUnavailableError
from consumer.projection.engines import Kind, keep_plans, open_engine
from consumer.projection.failures import translated
from consumer.projection.granted import GrantedConnections
from consumer.projection.migrate import ensure_schema

_T = TypeVar("_T")

_PATIENCE: Final = 20.0
"""Seconds for a query, waiting for a free thread included; the server itself ends it after 15."""
_AT_ONCE_SECONDS: Final = 1.0
"""A connection that broke while it lay in the pool says so at once."""


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

    async def read(self, work: Callable[[Connection], _T], *, kept_plans: bool = False) -> _T:
        """``work`` on a thread, every statement on its own unless it begins a transaction.

        It is done once more when the connection turns out to be broken. ``kept_plans``: its statements have
        one good plan, by indexes, whatever the tables hold.

        Raises ProjectionUnavailableError, SchemaMismatchError.
        """
        return await self._on_thread(partial(self._connected, work, kept_plans=kept_plans))

    async def stop(self) -> None:
        """Close. Idempotent."""
        await asyncio.to_thread(self._threads.shutdown)
        self._database.engine.dispose()

    def _connected(self, work: Callable[[Connection], _T], *, kept_plans: bool) -> _T:
        started = time.monotonic()
        with translated(self._database.shown):
            try:
                return self._once(work, kept_plans=kept_plans)
            except exc.DBAPIError as error:
                # Asking each time beforehand whether it is alive would be another way to the server and back.
                if not error.connection_invalidated or time.monotonic() - started > _AT_ONCE_SECONDS:
                    raise
            return self._once(work, kept_plans=kept_plans)

    def _once(self, work: Callable[[Connection], _T], *, kept_plans: bool) -> _T:
        with self._connections.one() as connection:
            keep_plans(connection, kept=kept_plans)
            return work(connection)

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as error:
            # A frozen server keeps its own time limits no better than anything else.
            raise ProjectionUnavailableError(f"{self._database.shown} does not answer") from error
