"""Lookups on SQLite and PostgreSQL: all that are asked at one moment share one visit to the database."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, TypeAlias

from sqlalchemy import Connection

from consumer.projection.lookup_statements import LookupQueries
from consumer.projection.lookups_base import CodeAsk, Known, ResourceAsk
from consumer.projection.read_pool import ReadPool
from handlers.changes import Entry
from handlers.verdicts import Bearer, Sighting, newest_first
from schemas.text import folded, is_storable

_MOST: Final = 1_000
"""Asks that one visit answers, unless a single caller has more."""
_AT_ONCE: Final = 2
"""Visits at the same time. While they last, what is asked gathers: more of them would rather get into
each other's way than be faster, and leave no thread to others who read."""

_NOBODY: Final = Known((), {})


class _Asked(NamedTuple):
    """One call, waiting for its answers."""

    project: str
    asks: Sequence[CodeAsk | ResourceAsk]
    answer: asyncio.Future[Sequence[Known]]


class SqlLookups:
    """See ``LookupReader``. The pool is started and stopped by whoever owns it."""

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool
        self._queries = LookupQueries(pool.kind)
        self._waiting: deque[_Asked] = deque()
        self._visits: set[asyncio.Task[None]] = set()
        self._called = False

    async def look_up(self, project: str, asks: Sequence[CodeAsk | ResourceAsk]) -> Sequence[Known]:
        answer: asyncio.Future[Sequence[Known]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Asked(project, asks, answer))
        self._call()
        return await answer

    def _visit(self) -> None:
        """Answer what was asked in this turn of the event loop."""
        self._called = False
        batch: list[_Asked] = []
        room = _MOST
        while self._waiting and (not batch or len(self._waiting[0].asks) <= room):
            asked = self._waiting.popleft()
            if not asked.answer.done():
                batch.append(asked)
                room -= len(asked.asks)
        if batch:
            task = asyncio.get_running_loop().create_task(self._answer(batch), name="lookups")
            self._visits.add(task)
            task.add_done_callback(self._visited)
        self._call()

    def _call(self) -> None:
        if self._waiting and not self._called and len(self._visits) < _AT_ONCE:
            self._called = True
            asyncio.get_running_loop().call_soon(self._visit)

    def _visited(self, task: asyncio.Task[None]) -> None:
        self._visits.discard(task)
        self._call()

    async def _answer(self, batch: Sequence[_Asked]) -> None:
        waiting = [asked.answer for asked in batch]
        try:
            found = await self._pool.read(lambda connection: self._look(connection, batch), kept_plans=True)
        except Exception as error:  # noqa: BLE001 - raised where the answers are awaited
            for answer in waiting:
                if not answer.done():
                    answer.set_exception(error)
        else:
            for answer, known in zip(waiting, found, strict=True):
                if not answer.done():
                    answer.set_result(known)
        finally:
            for answer in waiting:
                answer.cancel()

    # On the pool's threads

    def _look(self, connection: Connection, batch: Sequence[_Asked]) -> list[Sequence[Known]]:
        by_project: dict[str, list[CodeAsk | ResourceAsk]] = defaultdict(list)
        for asked in batch:
            by_project[asked.project] += asked.asks
        known = {
            project: iter(_known(self._queries, connection, project, asks))
            for project, asks in by_project.items()
        }
        return [list(islice(known[asked.project], len(asked.asks))) for asked in batch]


def _known(
    queries: LookupQueries, connection: Connection, project: str, asks: Sequence[CodeAsk | ResourceAsk]
) -> list[Known]:
    codes = {folded(ask.code) for ask in asks if isinstance(ask, CodeAsk) and is_storable(ask.code)}
    ids = {
        (ask.resource_type, ask.resource_id)
        for ask in asks
        if isinstance(ask, ResourceAsk) and is_storable(ask.resource_id)
    }
    hints = {ask.campaign_id for ask in asks if ask.campaign_id is not None and is_storable(ask.campaign_id)}
    found = _Found(queries, connection, project)
    found.find(codes, ids, hints)
    return [found.known(ask) for ask in asks]


_Under: TypeAlias = tuple[str, str | None]
"""A voucher's id and the folded code that it was asked for by; None: by its id."""


class _Found:
    """What the database has of all asks of a visit, for one project."""

    def __init__(self, queries: LookupQueries, connection: Connection, project: str) -> None:
        self._queries = queries
        self._connection = connection
        self._project = project
        self._bearers: dict[tuple[str, str], Bearer] = {}
        """By type and id, as their entries tell of them."""
        self._seen: dict[_Under, Bearer] = {}
        """Vouchers that were seen alive, each under each folded code that it was asked for by."""
        self._names: dict[str, dict[str, list[str]]] = {}
        """Folded code → id of a voucher that bore it → its codes that fold to it."""
        self._campaigns: dict[str, Entry] = {}

    def find(self, codes: set[str], ids: set[tuple[str, str]], hints: set[str]) -> None:
        look, at = self._queries, (self._connection, self._project)
        vouchers, seen, campaigns = look.of_codes(*at, codes)
        for entry in vouchers:
            if entry.fields is not None:
                self._note_name(entry.fields.resource_name, entry.key.resource_id)
        sightings: dict[_Under, tuple[str, Sighting]] = {}
        for resource_id, name, sighting in seen:
            self._note_name(name, resource_id)
            _note_newest(sightings, (resource_id, folded(name)), name, sighting)
        entries = _by_resource([*vouchers, *campaigns])
        looked_up = hints | {
            entry.fields.resource_parent_id for entry in vouchers if entry.fields is not None
        }
        by_id = {each for resource_type, each in ids if resource_type == "voucher"}
        for resource_id, name, sighting in look.sightings_by_id(*at, by_id):
            _note_newest(sightings, (resource_id, None), name, sighting)
        wanted = ids | {("voucher", resource_id) for resource_id, _ in sightings}
        wanted |= {("campaign", campaign_id) for campaign_id in hints}
        entries |= _by_resource(look.entries_by_id(*at, wanted - entries.keys()))
        self._put_together(entries, sightings)
        self._campaigns = {key[1]: entry for key, entry in entries.items() if key[0] == "campaign"}
        bearers = (*self._bearers.values(), *self._seen.values())
        of_bearers = {bearer.campaign_id for bearer in bearers if bearer.campaign_id}
        missing = {("campaign", each) for each in of_bearers - looked_up} - entries.keys()
        self._campaigns |= {entry.key[2]: entry for entry in look.entries_by_id(*at, missing)}

    def known(self, ask: CodeAsk | ResourceAsk) -> Known:
        if isinstance(ask, ResourceAsk):
            seen = self._seen.get((ask.resource_id, None)) if ask.resource_type == "voucher" else None
            bearer = seen or self._bearers.get((ask.resource_type, ask.resource_id))
            return Known([] if bearer is None else [bearer], self._campaigns)
        if not is_storable(ask.code):
            return _NOBODY
        code = folded(ask.code)
        named = self._names.get(code, {})
        same = [
            self._seen.get((each, code)) or self._bearers["voucher", each]
            for each, names in named.items()
            if not ask.case_sensitive or ask.code in names
        ]
        return Known(newest_first(same), self._campaigns)

    def _note_name(self, name: str, resource_id: str) -> None:
        self._names.setdefault(folded(name), {}).setdefault(resource_id, []).append(name)

    def _put_together(
        self, entries: Mapping[tuple[str, str], Entry], sightings: Mapping[_Under, tuple[str, Sighting]]
    ) -> None:
        for key, entry in entries.items():
            resource_type, resource_id = key
            name, parent = (None, None) if entry.fields is None else entry.fields[1:3]
            campaign_id = (parent or None) if resource_type == "voucher" else None
            self._bearers[key] = Bearer(resource_type, resource_id, name, entry, None, campaign_id)
        without_campaign: dict[_Under, str] = {}
        for under, (name, sighting) in sightings.items():
            resource_id, _ = under
            bearer = self._bearers.get(("voucher", resource_id), Bearer("voucher", resource_id, None))
            if bearer.name is None:
                bearer = bearer._replace(name=name)
            if not bearer.campaign_id:
                without_campaign[under] = sighting.event_id
            self._seen[under] = bearer._replace(seen=sighting)
        campaigns = self._queries.campaigns_in_events(
            self._connection, self._project, set(without_campaign.values())
        )
        for under, event_id in without_campaign.items():
            if event_id in campaigns:
                self._seen[under] = self._seen[under]._replace(campaign_id=campaigns[event_id])


def _note_newest(
    held: dict[_Under, tuple[str, Sighting]], under: _Under, name: str, sighting: Sighting
) -> None:
    known = held.get(under)
    if known is None or (sighting.at, sighting.event_id) > (known[1].at, known[1].event_id):
        held[under] = name, sighting


def _by_resource(entries: Iterable[Entry]) -> dict[tuple[str, str], Entry]:
    return {(entry.key.resource_type, entry.key.resource_id): entry for entry in entries}
