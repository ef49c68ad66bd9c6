"""The worker's side of the projection, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial as bound
from typing import Final, TypeVar

from sqlalchemy import Connection

from consumer.clock import Clock
from consumer.errors import DataRejectedError, ProjectionUnavailableError
from consumer.projection import ownership
from consumer.projection.application import Application
from consumer.projection.base import (
    CONSUMER,
    GENERATION,
    Batch,
    BatchResult,
    Checkpoint,
    Gathered,
    Interpret,
    Outcome,
)
from consumer.projection.bulk_postgres import PostgresBulk
from consumer.projection.bulk_sqlite import SqliteBulk
from consumer.projection.engines import open_engine
from consumer.projection.failures import ConflictError
from consumer.projection.gathering import gather
from consumer.projection.migrate import ensure_schema
from consumer.projection.payloads import PayloadCodec
from consumer.projection.substring_index import OnProgress, ensure_index
from schemas.trash_bin import FilterKey

_T = TypeVar("_T")

_CONFLICTS: Final = 5
"""Other transactions that may come between before the batch is left for later."""
_CONFLICT_PAUSE: Final = 0.05
_LOCK_SECONDS: Final = 2
_PROMPT: Final = 0.01
"""Seconds that noting the log's end may take; what takes longer is put right."""
_WAL_BYTES: Final = 256 * 1024 * 1024
"""Readers keep SQLite's write-ahead log from starting over; at this size the writer waits for them."""


class SqlProjectionWriter:
    """See ``ProjectionWriter``. Everything runs on one thread, one transaction after the other.

    Cancelling a call does not undo it: the thread finishes what it began, and the next call waits for it.
    """

    def __init__(
        self,
        address: str,
        *,
        consumer: str = CONSUMER,
        generation: int = GENERATION,
        interpret: Interpret,
        clock: Clock,
        migrate: bool | None = None,
        substring_index: Collection[FilterKey] | None = None,
        on_index_progress: OnProgress | None = None,
    ) -> None:
        """``migrate`` on start; None: SQLite migrates by itself, PostgreSQL by ``binmirror migrate`` only.

        Where it migrates it also sees that the parts of just the keys of ``substring_index`` have an index,
        and tells ``on_index_progress``; None: whatever there is.
        """
        self._address = address
        self._database = open_engine(address, "write")
        self._owner = ownership.Owner(consumer, generation)
        self._interpret = interpret
        self._clock = clock
        self._migrates = self._database.kind == "sqlite" if migrate is None else migrate
        self._parts = None if substring_index is None else frozenset(substring_index)
        self._on_index_progress = on_index_progress
        self._bulk = SqliteBulk if self._database.kind == "sqlite" else PostgresBulk
        self._stopping = False
        self._codec = PayloadCodec()
        self._codec_beside = PayloadCodec()
        """For ``gather``, on another thread."""
        self._leases: dict[tuple[str, int], float | None] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="projection-writer")

    async def start(self) -> None:
        await self._on_thread(bound(ensure_schema, self._database, self._address, may_migrate=self._migrates))
        if self._migrates and self._parts is not None:
            await self._on_thread(bound(self._index_parts, self._parts))

    async def acquire(
        self, log_id: str, partition: int, *, owner: str, lease: float | None
    ) -> Checkpoint | None:
        taken = await self._on_thread(bound(self._acquire, log_id, partition, owner, lease))
        if taken is not None:
            self._leases[log_id, partition] = lease
        return taken

    async def renew(
        self, log_id: str, partition: int, *, epoch: int, lease: float | None, end_seen: float | None
    ) -> None:
        def renew(connection: Connection) -> None:
            ago = None if end_seen is None else self._clock.monotonic() - end_seen + _PROMPT
            ownership.renew(
                connection, self._owner, log_id, partition, epoch=epoch, lease=lease, end_seen_ago=ago
            )
            if end_seen is None or ago is None:
                return
            # The database's clock was read at some moment since: after a wait for the row, or after this
            # process was frozen, it would say that the end was seen later than it was.
            late = self._clock.monotonic() - end_seen - ago
            if late > 0:
                ownership.seen_earlier(connection, self._owner, log_id, partition, epoch=epoch, seconds=late)

        await self._in_transaction(renew)

    async def know(self, log_id: str, partitions: Sequence[int]) -> None:
        await self._in_transaction(
            lambda connection: ownership.know(connection, self._owner, log_id, partitions)
        )

    async def release(self, log_id: str, partition: int, *, epoch: int) -> None:
        await self._in_transaction(
            lambda connection: ownership.release(connection, self._owner, log_id, partition, epoch=epoch)
        )

    def gather(self, partition: int, outcomes: Sequence[Outcome]) -> Gathered | None:
        try:
            return gather(outcomes, partition, self._codec_beside, self._bulk.prepare)
        except (DataRejectedError, UnicodeError):
            return None

    async def commit(self, batch: Batch) -> BatchResult:
        for _ in range(_CONFLICTS):
            try:
                return await self._in_transaction(bound(self._apply, batch))
            except ConflictError:
                await self._clock.sleep(_CONFLICT_PAUSE)
        raise ProjectionUnavailableError(f"{self._database.shown}: other transactions keep coming between")

    # For what else is kept in the same database: see ``Connections``.

    async def write(self, work: Callable[[Connection], _T]) -> _T:
        return await self._in_transaction(work)

    async def look(self, work: Callable[[Connection], _T]) -> _T:
        return await self._on_thread(bound(self._looked, work))

    async def stop(self) -> None:
        self._stopping = True
        self._thread.shutdown(wait=False)
        await asyncio.to_thread(self._thread.shutdown)
        self._database.engine.dispose()

    # On the thread

    def _index_parts(self, keys: frozenset[FilterKey]) -> None:
        def on_progress(key: FilterKey, done: int, of: int) -> None:
            if self._stopping:
                raise ProjectionUnavailableError(f"{self._database.shown} is closed")
            if self._on_index_progress is not None:
                self._on_index_progress(key, done, of)

        ensure_index(self._database, keys, on_progress)

    def _acquire(self, log_id: str, partition: int, owner: str, lease: float | None) -> Checkpoint | None:
        if lease is not None:
            with self._database.look() as connection:
                if ownership.is_leased(connection, self._owner, log_id, partition, name=owner):
                    return None
        try:
            return self._transaction(bound(self._take, log_id, partition, owner, lease))
        except ProjectionUnavailableError:
            if self._database.kind == "sqlite":
                raise
            with self._database.transaction() as connection:
                ownership.end_blocking_transaction(connection, self._owner, log_id, partition)
            return self._transaction(bound(self._take, log_id, partition, owner, lease))

    def _take(
        self, log_id: str, partition: int, owner: str, lease: float | None, connection: Connection
    ) -> Checkpoint | None:
        if self._database.kind == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'")
        return ownership.acquire(connection, self._owner, log_id, partition, name=owner, lease=lease)

    def _apply(self, batch: Batch, connection: Connection) -> BatchResult:
        lease = self._leases.get((batch.log_id, batch.partition))
        ownership.advance(connection, self._owner, batch, lease=lease)
        return Application(connection, self._bulk(connection), self._codec, self._interpret, batch).run()

    def _transaction(self, work: Callable[[Connection], _T]) -> _T:
        with self._database.transaction() as connection:
            result = work(connection)
        self._shorten_wal()
        return result

    def _looked(self, work: Callable[[Connection], _T]) -> _T:
        with self._database.look() as connection:
            return work(connection)

    def _shorten_wal(self) -> None:
        if self._database.path is None:
            return
        wal = self._database.path.with_name(self._database.path.name + "-wal")
        if wal.exists() and wal.stat().st_size > _WAL_BYTES:
            with self._database.look() as connection:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _in_transaction(self, work: Callable[[Connection], _T]) -> _T:
        return await self._on_thread(bound(self._transaction, work))

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:  # the thread is shut down
            raise ProjectionUnavailableError(f"{self._database.shown} is closed") from error
        return await done
