"""``/mirror/v1``: entries with their history, the event log, numbers. Only of the caller's project."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from consumer.clock import Clock
from consumer.projection.base import EventQuery, EventRow, ProjectionReader
from consumer.projection.mirror_base import MirrorReader
from consumer.types import READ_PERMISSION_OF, READ_PERMISSIONS
from consumer.web.auth import Authenticator
from consumer.web.cursors import BrokenCursorError, event_cursor_of
from consumer.web.errors import ProblemError
from consumer.web.mirror_answers import entry_view, event_view, events_page, stats_view
from consumer.web.mirror_contract import (
    DEFAULT_DAYS,
    DEFAULT_EVENTS,
    EVENT_PARAMETERS,
    MAX_DAYS,
    MAX_EVENTS,
)
from consumer.web.parameters import Parameters, invalid
from schemas.errors import resource_not_found
from schemas.events import EVENT_STATUSES, RESOURCE_TYPES
from schemas.times import DAY

_EVENT_PARAMETERS: Final = tuple(parameter.name for parameter in EVENT_PARAMETERS)
_HOURS: Final = 24


class Mirror:
    """The endpoints."""

    def __init__(
        self, reader: ProjectionReader, mirror: MirrorReader, credentials: Authenticator, clock: Clock
    ) -> None:
        self._reader = reader
        self._mirror = mirror
        self._credentials = credentials
        self._clock = clock

    async def entry(self, request: Request) -> Response:
        """An entry by any of its ids, with the snapshot of its deletion and what happened to its resource."""
        caller = await self._credentials.authenticate(request.headers)
        Parameters(request.scope["query_string"], ())
        entry_id, project = request.path_params["entry_id"], caller.project.name
        entry = await self._reader.entry(project, entry_id)
        if entry is None:
            raise ProblemError(resource_not_found("bin_entry", entry_id))
        _, resource_type, resource_id = entry.key
        caller.require(READ_PERMISSION_OF[resource_type])
        snapshot: EventRow | None = None
        if entry.snapshot_event_id is not None:
            snapshot = await self._reader.event(project, entry.snapshot_event_id)
        query = EventQuery(
            project=project, resource_type=resource_type, resource_id=resource_id, limit=MAX_EVENTS
        )
        return _json(entry_view(entry, snapshot, await self._mirror.events(query)))

    async def events(self, request: Request) -> Response:
        """A page of the event log."""
        caller = await self._credentials.authenticate(request.headers)
        caller.require(*READ_PERMISSIONS)
        query = _event_query(caller.project.name, request.scope["query_string"])
        return _json(events_page(await self._mirror.events(query)))

    async def event(self, request: Request) -> Response:
        """One event with its body."""
        caller = await self._credentials.authenticate(request.headers)
        caller.require(*READ_PERMISSIONS)
        Parameters(request.scope["query_string"], ())
        event_id = request.path_params["event_id"]
        row = await self._reader.event(caller.project.name, event_id)
        if row is None:
            raise ProblemError(resource_not_found("event", event_id))
        return _json(event_view(row))

    async def stats(self, request: Request) -> Response:
        """Numbers."""
        caller = await self._credentials.authenticate(request.headers)
        caller.require(*READ_PERMISSIONS)
        parameters = Parameters(request.scope["query_string"], ("days",))
        days = parameters.number("days", DEFAULT_DAYS, least=1, most=MAX_DAYS)
        now = self._clock.now()
        since = now // DAY * DAY - (days - 1) * DAY
        found = await self._mirror.stats(caller.project.name, since, now + 1)
        return _json(stats_view(found, now, since, _HOURS))


def _event_query(project: str, query_string: bytes) -> EventQuery:
    asked = Parameters(query_string, _EVENT_PARAMETERS)
    since, until = asked.time("since"), asked.time("until")
    if since is not None and until is not None and since >= until:
        raise invalid("since", "is not before .until")
    after = asked.given("after") or None
    try:
        place = None if after is None else event_cursor_of(after)
    except BrokenCursorError:
        raise invalid("after", "is no cursor of this listing") from None
    return EventQuery(
        project=project,
        status=asked.one_of("status", EVENT_STATUSES),
        type=asked.text("type"),
        failure_code=asked.text("failure_code"),
        channel=asked.text("channel"),
        resource_type=asked.one_of("resource_type", RESOURCE_TYPES),
        resource_id=asked.text("resource_id"),
        received_from=since,
        received_until=until,
        text=asked.text("text"),
        limit=asked.number("limit", DEFAULT_EVENTS, least=1, most=MAX_EVENTS),
        after=None if place is None else (place[0], project, place[1]),
    )


def _json(view: Any) -> Response:  # noqa: ANN401 - any of the models
    return Response(view.model_dump_json(), media_type="application/json")
