"""A set of keys that may be larger than memory: in a temporary file that nobody else sees."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self, TypeVar

from consumer.errors import LogUnavailableError
from consumer.eventlog.entries_base import HeldKey
from consumer.eventlog.sqlite_files import SqliteError, open_scratch

_T = TypeVar("_T")

_IN_ONE_STATEMENT: Final = 1_000


class KeyFile:
    """Keys that a topic holds, less those taken out. Used by one task only; raises LogUnavailableError.

    ``async with`` makes the file and removes it.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="entries-keys")

    async def __aenter__(self) -> Self:
        self._folder = await self._on_thread(lambda: TemporaryDirectory(prefix="binmirror-keys-"))
        self._connection = await self._on_thread(lambda: open_scratch(Path(self._folder.name) / "keys.db"))
        await self._on_thread(
            lambda: self._connection.execute("CREATE TABLE keys (key BLOB PRIMARY KEY) WITHOUT ROWID")
        )
        await self._on_thread(lambda: self._connection.execute("BEGIN"))
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._on_thread(self._connection.close)
            await self._on_thread(self._folder.cleanup)
        finally:
            self._thread.shutdown(wait=False)

    async def apply(self, held: Sequence[HeldKey]) -> None:
        """What came next in the topic: values put their keys in, tombstones take them out."""
        last = {each.key: each.live for each in held}
        live = [(key,) for key, is_live in last.items() if is_live]
        dead = [(key,) for key, is_live in last.items() if not is_live]

        def work() -> None:
            self._connection.executemany("INSERT OR IGNORE INTO keys VALUES (?)", live)
            self._connection.executemany("DELETE FROM keys WHERE key = ?", dead)

        await self._on_thread(work)

    async def take(self, keys: Sequence[bytes]) -> set[bytes]:
        """Take these keys out; those that were in."""

        def work() -> set[bytes]:
            found: set[bytes] = set()
            for start in range(0, len(keys), _IN_ONE_STATEMENT):
                some = keys[start : start + _IN_ONE_STATEMENT]
                marks = ",".join("?" * len(some))
                rows = self._connection.execute(
                    f"DELETE FROM keys WHERE key IN ({marks}) RETURNING key",  # noqa: S608 - question marks
                    some,
                )
                found.update(row[0] for row in rows.fetchall())
            return found

        return await self._on_thread(work)

    async def rest(self, limit: int) -> Sequence[bytes]:
        """Some of the keys that are still in."""

        def work() -> list[bytes]:
            rows = self._connection.execute("SELECT key FROM keys LIMIT ?", (limit,))
            return [row[0] for row in rows.fetchall()]

        return await self._on_thread(work)

    async def _on_thread(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (SqliteError, OSError) as error:
            raise LogUnavailableError(f"the temporary file of the topic's keys: {error}") from error
