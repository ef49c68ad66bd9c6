"""``GET /mirror/v1/changes`` and ``GET /mirror/v1/changes/stream``: what changed since."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from consumer.errors import CursorExpiredError
from consumer.metrics import Metrics
from consumer.projection.changes_base import BEGINNING, Changes, Cursor
from consumer.types import READ_PERMISSIONS
from consumer.web.auth import Authenticator, Caller
from consumer.web.change_contract import DEFAULT_LIMIT, MAX_LIMIT
from consumer.web.change_feed import ChangeFeed
from consumer.web.change_stream import ChangeStream, StreamRules
from consumer.web.change_texts import shown_change
from consumer.web.cursors import BrokenCursorError, cursor_of, cursor_text
from consumer.web.errors import RETRY_AFTER, ProblemError
from consumer.web.parameters import Parameters, invalid
from schemas.changes import changes_json
from schemas.errors import cursor_expired, invalid_header, service_unavailable

FROM_BEGINNING: Final = "beginning"
FROM_NOW: Final = "now"

_LAST_EVENT_ID: Final = "last-event-id"
_LOOKS: Final = 5
"""Pages without a change of this project that are read for one answer."""


@dataclass(frozen=True, slots=True)
class Following:
    """What followers need. Whoever makes it runs the feed."""

    changes: Changes
    feed: ChangeFeed
    rules: StreamRules
    metrics: Metrics


class ChangeRoutes:
    """The endpoints. A caller needs all three permissions to read, as for the bin itself."""

    def __init__(self, following: Following, credentials: Authenticator, readers: Authenticator) -> None:
        """``readers`` also see to the freshness that a request demands."""
        self._changes = following.changes
        self._feed = following.feed
        self._rules = following.rules
        self._metrics = following.metrics
        self._credentials = credentials
        self._readers = readers

    async def page(self, request: Request) -> Response:
        caller = await self._known(request)
        asked = Parameters(request.scope["query_string"], ("after", "limit"))
        limit = asked.number("limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
        cursor = await self._start(asked.given("after"))
        project = caller.project.name
        for _ in range(_LOOKS):
            try:
                page = await self._changes.changes(project, cursor, limit)
            except CursorExpiredError as error:
                raise ProblemError(cursor_expired(str(error))) from None
            cursor = page.cursor
            if page.changes or page.caught_up:
                break
        self._metrics.changes_told.labels("page").inc(len(page.changes))
        body = changes_json(
            map(shown_change, page.changes), following=cursor_text(cursor), has_more=not page.caught_up
        )
        return Response(body, media_type="application/json")

    async def stream(self, request: Request) -> Response:
        caller = await self._known(request)
        asked = Parameters(request.scope["query_string"], ("after",))
        resumed = request.headers.get(_LAST_EVENT_ID)
        try:
            cursor = await self._start(resumed or asked.given("after"))
        except ProblemError:
            if not resumed:
                raise
            raise ProblemError(
                invalid_header("Last-Event-ID is not the id of an event of this stream")
            ) from None
        self._refuse_too_many()
        try:
            # Whatever is wrong with the cursor is answered before the stream begins.
            first = await self._changes.changes(caller.project.name, cursor, 1)
        except CursorExpiredError as error:
            raise ProblemError(cursor_expired(str(error))) from None
        # Others may have begun meanwhile. From here to the subscription nothing else runs.
        self._refuse_too_many()
        return ChangeStream(
            self._changes,
            self._feed,
            project=caller.project.name,
            # One that begins with nothing is of no log yet.
            cursor=first.cursor if cursor == BEGINNING and not first.changes else cursor,
            still_known=partial(self._check, request.headers),
            rules=self._rules,
            metrics=self._metrics,
        )

    def _refuse_too_many(self) -> None:
        if self._feed.count >= self._rules.most:
            self._metrics.streams_ended.labels("full").inc()
            full = service_unavailable(f"There are {self._rules.most} streams already (STREAMS_MAX).")
            raise ProblemError(full, RETRY_AFTER)

    async def _check(self, headers: Headers) -> None:
        caller = await self._credentials.authenticate(headers)
        caller.require(*READ_PERMISSIONS)

    async def _known(self, request: Request) -> Caller:
        caller = await self._readers.authenticate(request.headers)
        caller.require(*READ_PERMISSIONS)
        return caller

    async def _start(self, after: str | None) -> Cursor:
        if after is None or after == FROM_BEGINNING:
            return BEGINNING
        if after == FROM_NOW:
            return await self._changes.now()
        try:
            return cursor_of(after)
        except BrokenCursorError as error:
            reason = f"should be {FROM_BEGINNING}, {FROM_NOW} or a cursor from an earlier answer: {error}"
            raise invalid("after", reason) from None
