"""One stream of changes as Server-Sent Events: catches up by itself, then goes along with the feed.

At most one page is held for a reader, besides the feed's pages, which all share. What a reader does not take
waits in the connection; if it does not take it for too long, the connection is dropped.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, NoReturn

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from consumer.errors import CursorExpiredError, StopError, TransientError
from consumer.metrics import Metrics
from consumer.projection.changes_base import ChangedEntry, Changes, Cursor
from consumer.web.auth import FRESH_SECONDS
from consumer.web.change_feed import ChangeFeed, FeedPage, Subscription
from consumer.web.change_texts import changes_event
from consumer.web.cursors import cursor_text
from consumer.web.errors import ProblemError
from consumer.web.protocol import abort, give_up
from schemas.errors import ErrorBody, cursor_expired, service_unavailable

_PAGE: Final = 500
_GONE_SECONDS: Final = 60.0
"""Without an acknowledgement, at least: a reader that is there and slow is noticed sooner by our own time."""
_START: Final = b": changes of the bin\nretry: 2000\n\n"
_HEADERS: Final = {"content-type": "text/event-stream", "x-accel-buffering": "no"}


class StreamRules(NamedTuple):
    """What holds for every stream."""

    most: int
    """Open at a time."""
    heartbeat: float
    """Seconds between signs of life while nothing changes."""
    write_timeout: float
    """Seconds for a reader to take what it was sent."""


class _EndedError(Exception):
    """The stream is over; ``why`` as counted, ``problem`` as the reader is told."""

    def __init__(self, why: str, problem: ErrorBody | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.problem = problem


class ChangeStream(Response):
    """The answer that does not end."""

    def __init__(
        self,
        changes: Changes,
        feed: ChangeFeed,
        *,
        project: str,
        cursor: Cursor,
        still_known: Callable[[], Awaitable[object]],
        rules: StreamRules,
        metrics: Metrics,
    ) -> None:
        """``still_known`` raises ProblemError once the caller's credentials are no longer good."""
        super().__init__(headers=_HEADERS)
        # A body of its own length is what Response makes of no content.
        self.raw_headers = [header for header in self.raw_headers if header[0] != b"content-length"]
        self._changes = changes
        self._feed = feed
        self._project = project
        self._cursor = cursor
        self._still_known = still_known
        self._rules = rules
        self._metrics = metrics
        self._gone = False
        self._known_until = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            await self._begin(send, more=False)
            return
        give_up(receive, max(_GONE_SECONDS, 2 * self._rules.write_timeout))
        async with self._feed.subscribe(self._project) as subscription:
            self._metrics.streams.inc()
            watching = asyncio.create_task(self._watch(receive, subscription), name="stream reader")
            why = "failed"
            self._known_until = _now() + FRESH_SECONDS
            try:
                await self._begin(send, more=True)
                why = await self._until_ended(send, subscription)
            except TimeoutError:
                why = "slow"
                abort(receive)
                await watching  # until the server has noticed
            finally:
                watching.cancel()
                self._metrics.streams.dec()
                self._metrics.streams_ended.labels(why).inc()

    async def _watch(self, receive: Receive, subscription: Subscription) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        subscription.woken.set()

    async def _begin(self, send: Send, *, more: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await self._write(send, _START if more else b"", more=more)

    async def _until_ended(self, send: Send, subscription: Subscription) -> str:
        """Why it ended."""
        try:
            await self._tell(send, subscription)
        except _EndedError as ended:
            text = b"" if ended.problem is None else _problem_text(ended.problem)
            if ended.why != "gone":
                await self._write(send, text, more=False)
            return ended.why

    async def _tell(self, send: Send, subscription: Subscription) -> NoReturn:
        in_step = False
        while True:
            self._check(subscription)
            if subscription.lost:
                subscription.lost = in_step = False
            if not in_step:
                await self._check_caller()
                in_step = await self._catch_up(send)
            elif subscription.pages:
                await self._check_caller()
                await self._pass_on(send, subscription.pages.popleft())
            else:
                subscription.woken.clear()
                if not await self._woken(subscription):
                    await self._heartbeat(send, subscription)

    def _check(self, subscription: Subscription) -> None:
        if self._gone:
            raise _EndedError("gone")
        if subscription.failure is not None:
            raise _EndedError("expired", cursor_expired(str(subscription.failure)))
        if subscription.closed:
            raise _EndedError("shutdown")

    async def _catch_up(self, send: Send) -> bool:
        """Tell a page of one's own; whether that was all."""
        try:
            page = await self._changes.changes(self._project, self._cursor, _PAGE)
        except CursorExpiredError as error:
            raise _EndedError("expired", cursor_expired(str(error))) from None
        except (TransientError, StopError):
            raise _EndedError("failed", service_unavailable("The bin cannot be read now.")) from None
        self._cursor = page.cursor
        if page.changes:
            await self._write(send, changes_event(page.changes, page.cursor, caught_up=page.caught_up))
            self._metrics.changes_told.labels("stream").inc(len(page.changes))
        return page.caught_up

    async def _pass_on(self, send: Send, page: FeedPage) -> None:
        """Tell what is new in a page of the feed: some of it may have been caught up with."""
        mine = page.by_project[self._project]
        if self._cursor == page.start:
            text = page.texts.get(self._project)
            if text is None:
                text = page.texts[self._project] = changes_event(mine, page.end, caught_up=True)
            self._cursor = page.end
        else:
            mine = [change for change in mine if _is_new(change, self._cursor.offsets)]
            self._cursor = _later(self._cursor, page.end)
            text = changes_event(mine, self._cursor, caught_up=True)
        if mine:
            await self._write(send, text)
            self._metrics.changes_told.labels("stream").inc(len(mine))

    async def _woken(self, subscription: Subscription) -> bool:
        try:
            async with asyncio.timeout(self._rules.heartbeat):
                await subscription.woken.wait()
        except TimeoutError:
            return False
        return True

    async def _heartbeat(self, send: Send, subscription: Subscription) -> None:
        """A comment, and the cursor: what changed meanwhile was of other projects."""
        self._known_until = 0.0
        await self._check_caller()
        if self._feed.head is not None and not subscription.pages and not subscription.lost:
            self._cursor = _later(self._cursor, self._feed.head)
        await self._write(send, b": heartbeat\nid: %b\n\n" % cursor_text(self._cursor).encode())

    async def _check_caller(self) -> None:
        """Before anything is told: where changes never cease there is no heartbeat."""
        if _now() < self._known_until:
            return
        self._known_until = _now() + FRESH_SECONDS
        try:
            await self._still_known()
        except ProblemError as error:
            raise _EndedError("refused", error.problem.body) from None
        except (TransientError, StopError):
            pass  # they cannot be looked up now: those who are here stay

    async def _write(self, send: Send, text: bytes, *, more: bool = True) -> None:
        async with asyncio.timeout(self._rules.write_timeout):
            await send({"type": "http.response.body", "body": text, "more_body": more})


def _now() -> float:
    return asyncio.get_running_loop().time()


def _problem_text(problem: ErrorBody) -> bytes:
    return b"event: problem\ndata: %b\n\n" % problem.to_json()


def _is_new(change: ChangedEntry, seen: Mapping[int, int]) -> bool:
    return change.position.offset >= seen.get(change.position.partition, 0)


def _later(one: Cursor, other: Cursor) -> Cursor:
    partitions = {*one.offsets, *other.offsets}
    offsets = {n: max(one.offsets.get(n, 0), other.offsets.get(n, 0)) for n in partitions}
    return Cursor(other.log_id, other.generation, offsets, other.turn)
