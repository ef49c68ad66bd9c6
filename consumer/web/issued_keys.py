"""The keys that operators created, and access tokens: what the API asks the database about them.

All look-ups of a moment share one query, and there is one at a time: however many wrong credentials come in,
they take one of the threads that read, for what one indexed query takes.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

from consumer.clock import Clock
from consumer.errors import TransientError
from consumer.projection.keys_base import Found, KeyStore, KnownKey, KnownToken, NewToken
from consumer.waiting import stopped_within
from schemas.oauth import LIFETIME_SECONDS
from schemas.times import Micros

NOTED_SECONDS: Final = 60
"""The use of a key is noted once in so many seconds."""
_NOTE_EVERY: Final = 5.0
MOST_TOKENS: Final = 1000
"""Access tokens of one key that may live at once."""
_AT_ONCE: Final = 500
"""Ids and digests in one query."""

_Asked: TypeAlias = str | bytes
"""An app id, or a token's digest."""


class IssuedKeys:
    """Look-ups, new tokens, and notes of use. ``run`` writes the notes; the rest needs no starting."""

    def __init__(self, store: KeyStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._waiting: dict[_Asked, asyncio.Future[Found]] = {}
        self._task: asyncio.Task[None] | None = None
        self._used: set[str] = set()
        self._noted: dict[str, float] = {}

    def monotonic(self) -> float:
        """Seconds from an arbitrary start."""
        return self._clock.monotonic()

    async def key(self, app_id: str) -> KnownKey | None:
        """As the database has it at some moment after the call began."""
        return (await self._found(app_id)).keys.get(app_id)

    async def token(self, digest: bytes) -> tuple[KnownToken | None, KnownKey | None]:
        """The same of an access token, with its key if that is a created one."""
        found = await self._found(digest)
        token = found.tokens.get(digest)
        return token, None if token is None else found.keys.get(token.app_id)

    async def issue(self, token: NewToken) -> Micros | None:
        """Keep a new token; when it expires. None: its key has MOST_TOKENS that live."""
        return await self._store.issue(token, seconds=LIFETIME_SECONDS, limit=MOST_TOKENS)

    def note_use(self, app_id: str) -> None:
        """Have it noted, some time, that the key was used now."""
        self._used.add(app_id)

    async def run(self, stop: asyncio.Event) -> None:
        """Write the notes of use, until ``stop``; while the database is away they wait."""
        while not await stopped_within(stop, _NOTE_EVERY):
            await self.write_notes()

    async def write_notes(self) -> None:
        """Write those that are due."""
        now = self._clock.monotonic()
        self._noted = {app_id: at for app_id, at in self._noted.items() if now - at < NOTED_SECONDS}
        due = self._used - self._noted.keys()
        if not due:
            return
        try:
            await self._store.note_use(due, every=NOTED_SECONDS)
        except TransientError:
            return
        self._used -= due
        self._noted.update(dict.fromkeys(due, now))

    async def _found(self, asked: _Asked) -> Found:
        # A query that is under way may have begun before the key was created: it is not joined.
        future = self._waiting.get(asked)
        if future is None:
            future = self._waiting[asked] = asyncio.get_running_loop().create_future()
            future.add_done_callback(_retrieved)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._ask(), name="api keys")
        return await asyncio.shield(future)

    async def _ask(self) -> None:
        while self._waiting:
            asked = list(self._waiting)[:_AT_ONCE]
            futures = [self._waiting.pop(one) for one in asked]
            try:
                found = await self._store.find(*_sorted_out(asked))
            except Exception as error:  # noqa: BLE001 - whoever asked gets it
                for future in futures:
                    future.set_exception(error)
            else:
                for future in futures:
                    future.set_result(found)


def _sorted_out(asked: Sequence[_Asked]) -> tuple[Collection[str], Collection[bytes]]:
    return [one for one in asked if isinstance(one, str)], [one for one in asked if isinstance(one, bytes)]


def _retrieved(future: asyncio.Future[Found]) -> None:
    # Whoever asked may have gone: then nobody looks at what went wrong.
    if not future.cancelled():
        future.exception()
