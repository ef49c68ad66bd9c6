"""What all streams of a process share: one poller, whose pages go to every stream of the project concerned.

A stream that has fallen behind, or begins, reads pages of its own until it is in step. So a thousand idle
streams ask the database for nothing.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from consumer.errors import (
    BinmirrorError,
    CursorExpiredError,
    ProjectionUnavailableError,
    StopError,
    TransientError,
)
from consumer.log import Logger
from consumer.projection.changes_base import ChangedEntry, Changes, ChangesPage, Cursor

_POLL_SECONDS: Final = 0.1
_RETRY_SECONDS: Final = 1.0
_ATTACH_SECONDS: Final = 5.0
_PAGE: Final = 1_000
_WAITING_PAGES: Final = 16
"""That a stream may be behind before it has to read for itself."""


class FeedPage:
    """One page, shared by all who are told of it."""

    __slots__ = ("by_project", "end", "start", "texts")

    def __init__(self, start: Cursor, page: ChangesPage) -> None:
        self.start = start
        self.end = page.cursor
        self.by_project: Mapping[str, list[ChangedEntry]] = _by_project(page)
        self.texts: dict[str, bytes] = {}
        """By project, as streams that are in step send it: made once."""


class Subscription:
    """One stream's view of the feed."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.pages: deque[FeedPage] = deque()
        self.lost = False
        """Pages were dropped because too many were waiting: read for yourself, from your own cursor."""
        self.failure: BinmirrorError | None = None
        """The feed's cursor is no good any more, and so is yours."""
        self.closed = False
        """The process ends."""
        self.woken = asyncio.Event()

    def push(self, page: FeedPage) -> None:
        if len(self.pages) >= _WAITING_PAGES:
            self.pages.clear()
            self.lost = True
        if not self.lost:
            self.pages.append(page)
        self.woken.set()

    def end(self, failure: BinmirrorError | None) -> None:
        self.failure = failure
        self.closed = failure is None
        self.woken.set()


class ChangeFeed:
    """Polls while anybody is subscribed."""

    def __init__(self, changes: Changes, *, log: Logger) -> None:
        self._changes = changes
        self._log = log
        self._by_project: dict[str, set[Subscription]] = defaultdict(set)
        self._count = 0
        self._head: Cursor | None = None
        self._attached = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._closed = False

    @property
    def count(self) -> int:
        """Open subscriptions."""
        return self._count

    @property
    def head(self) -> Cursor | None:
        """Up to here every subscription has been told of everything."""
        return self._head

    @asynccontextmanager
    async def subscribe(self, project: str) -> AsyncIterator[Subscription]:
        """From here on what changes in ``project`` is pushed. Raises ProjectionUnavailableError."""
        subscription = Subscription(project)
        self._by_project[project].add(subscription)
        self._count += 1
        self._subscribed.set()
        try:
            await self._attach()
            subscription.closed |= self._closed
            yield subscription
        finally:
            self._count -= 1
            mine = self._by_project[project]
            mine.discard(subscription)
            if not mine:
                del self._by_project[project]

    async def _attach(self) -> None:
        """Wait until the feed has a place to go on from: what a subscriber reads later it may rely on."""
        try:
            async with asyncio.timeout(_ATTACH_SECONDS):
                await self._attached.wait()
        except TimeoutError:
            raise ProjectionUnavailableError("the projection cannot be followed now") from None

    async def run(self, stop: asyncio.Event) -> None:
        """Poll until ``stop`` is set; then end all subscriptions."""
        stopped = asyncio.create_task(stop.wait(), name="change feed stop")
        pause = 0.0
        failing = False
        while not stop.is_set():
            if not self._count:
                self._forget()
                await self._someone(stopped)
                continue
            try:
                pause = await self._poll()
                failing = False
            except (TransientError, StopError) as error:
                if not failing:
                    self._log.warning("changes_unreadable", error=type(error).__name__, reason=str(error))
                pause, failing = _RETRY_SECONDS, True
            if pause:
                await asyncio.wait({stopped}, timeout=pause)
        self._closed = True
        self._attached.set()
        for subscription in self._all():
            subscription.end(None)

    def _forget(self) -> None:
        self._head = None
        self._attached.clear()

    async def _someone(self, stopped: "asyncio.Task[bool]") -> None:
        """Wait for a subscription, or the end."""
        self._subscribed.clear()
        subscribed = asyncio.create_task(self._subscribed.wait(), name="change feed wait")
        await asyncio.wait({stopped, subscribed}, return_when=asyncio.FIRST_COMPLETED)
        subscribed.cancel()

    async def _poll(self) -> float:
        """Read a page and hand it out; how long to wait for the next one."""
        if self._head is None:
            self._head = await self._changes.now()
            self._attached.set()
            return 0.0
        try:
            page = await self._changes.changes(None, self._head, _PAGE)
        except CursorExpiredError as error:
            for subscription in self._all():
                subscription.end(error)
            self._forget()
            return 0.0
        if page.changes:
            shared = FeedPage(self._head, page)
            for project in shared.by_project:
                for subscription in self._by_project.get(project, ()):
                    subscription.push(shared)
        self._head = page.cursor
        return _POLL_SECONDS if page.caught_up else 0.0

    def _all(self) -> Iterator[Subscription]:
        for subscriptions in list(self._by_project.values()):
            yield from list(subscriptions)


def _by_project(page: ChangesPage) -> dict[str, list[ChangedEntry]]:
    found: dict[str, list[ChangedEntry]] = defaultdict(list)
    for change in page.changes:
        found[change.key.project].append(change)
    return dict(found)
