"""The lookups' statements, as text: they run thousands of times a second, each for many codes."""

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from consumer.projection.engines import Kind
from consumer.projection.payloads import CodecOfThread
from consumer.projection.rows import ENTRY_COLUMNS, entry_of
from consumer.projection.tables import SIGHTED_AT, SIGHTED_ID, SIGHTED_LENGTH, SIGHTED_NAME, SIGHTING
from handlers.changes import Entry, Fields, ResourceKey
from handlers.verdicts import Sighting
from handlers.vouchers import campaign_of
from schemas.events import Delivery
from schemas.text import folded
from schemas.webhooks import WebhookData, read_event

_BY_ID: Final = (
    "SELECT {entries} FROM bin_entries "
    "WHERE project = {project} AND resource_type = {type} AND resource_id {one_of}"
)
# The newest of each voucher and name; of two at the same time that with the greater id, whichever came first.
_NEWEST: Final = (
    "SELECT {sightings} FROM ("
    "SELECT resource_id, resource_name, event_id, at, row_number() OVER ("
    "PARTITION BY resource_id, resource_name ORDER BY at DESC, event_id DESC) AS place FROM ("
    "SELECT resource_id, resource_name, event_id, {at} AS at "
    "FROM events {by} WHERE project = {project} AND {which} AND {sighting}"
    ") AS sightings) AS placed WHERE place = 1"
)
# A code that was seen so often has its sightings looked for by themselves: else all of them would be read.
_OFTEN: Final = 8
_SIGHTED: Final = (
    "FROM events {by_sighted} WHERE project = {project} AND lower(resource_name) = {code} AND {sighting}"
)
_FEW_ON_SQLITE: Final = (
    "SELECT {sightings} FROM (SELECT resource_id, resource_name, event_id, {at} AS at "
    "FROM json_each(?) AS asked CROSS JOIN events "
    "WHERE events.rowid IN (SELECT events.rowid {sighted} LIMIT {often})) AS sightings"
)
_FEW_ON_POSTGRES: Final = (
    "SELECT {sightings} FROM unnest(%s::text[]) AS asked(value) CROSS JOIN LATERAL ("
    "SELECT resource_id, resource_name, event_id, {at} AS at {sighted} LIMIT {often}) AS sightings"
)
# In the order of the index, from the newest sighting of one voucher and name to that of the next one. SQLite
# does not look up two expressions of an index together, so first another name of the same voucher is tried.
_FOLLOWING_ON_SQLITE: Final = (
    "WITH RECURSIVE newest(place) AS ("
    "SELECT (SELECT rowid {sighted} {newest}) UNION ALL SELECT coalesce("
    "(SELECT rowid {sighted} AND {id} = substr(held.resource_id, 1, 64) "
    "AND {name} > substr(held.resource_name, 1, 64) {newest}), "
    "(SELECT rowid {sighted} AND {id} > substr(held.resource_id, 1, 64) {newest})"
    ") FROM newest JOIN events AS held ON held.rowid = place) "
    "SELECT resource_id, resource_name, event_id, {at} FROM newest JOIN events ON events.rowid = place"
)
_FOLLOWING_ON_POSTGRES: Final = (
    "WITH RECURSIVE newest AS ("
    "(SELECT resource_id, resource_name, event_id, {at} AS at {sighted} {newest}) "
    "UNION ALL SELECT following.* FROM newest CROSS JOIN LATERAL ("
    "SELECT resource_id, resource_name, event_id, {at} AS at {sighted} "
    "AND ({id}, {name}) > "
    "(substr(newest.resource_id, 1, 64), substr(newest.resource_name, 1, 64)) {newest}) AS following) "
    "SELECT resource_id, resource_name, event_id, at FROM newest"
)
# All that almost every code needs, in one visit: between two of them the thread may have to wait for the
# interpreter. What is known of the codes' vouchers, when they were seen alive, and their campaigns.
_OF_CODES: Final = (
    "WITH found AS MATERIALIZED (SELECT {columns} FROM bin_entries {by_code} "
    "WHERE project = {project} AND lower(resource_name) {one_of} AND resource_type = 'voucher') "
    "{vouchers}({few}), (SELECT {entries} FROM bin_entries "
    "WHERE project = {project} AND resource_type = 'campaign' AND resource_id {of_found}){others}"
)
# Sorted, so that the primary key's index is the best one even while the tables are empty: the plan is kept.
_PAYLOADS: Final = (
    "SELECT event_id, type, received_at, payload FROM events WHERE project = {project} AND event_id {one_of} "
    "ORDER BY event_id"
)


Seen: TypeAlias = tuple[str, str, Sighting]
"""The voucher's id, its name, and when it was last seen alive under it."""


class OfCodes(NamedTuple):
    """What is known of codes."""

    vouchers: list[Entry]
    seen: list[Seen]
    campaigns: list[Entry]
    """Of the vouchers; other campaigns of theirs have no entry."""


class LookupQueries:
    """Asks one kind of database. Safe for use on several threads."""

    def __init__(self, kind: Kind) -> None:
        self._as_list = json.dumps if kind == "sqlite" else list
        words = _ON_SQLITE if kind == "sqlite" else _ON_POSTGRES
        sighted = _SIGHTED.format(code="asked.value", **words)
        few = words["few"].format(sighted=sighted, often=_OFTEN, **words)
        columns = ", ".join(ENTRY_COLUMNS[:-2])
        self._of_codes = _OF_CODES.format(columns=columns, **{**words, "few": few})
        sighted = _SIGHTED.format(code=words["type"], **words)
        self._following = words["following"].format(sighted=sighted, newest=_ORDER, **words)
        which = "lower(resource_name) = {type}".format(**words)
        self._all_seen = _NEWEST.format(by=words["by_sighted"], which=which, **words)
        self._by_id = _BY_ID.format(**words)
        which = "resource_type = 'voucher' AND resource_id {one_of}".format(**words)
        self._seen_by_id = _NEWEST.format(by=words["by_resource"], which=which, **words)
        self._payloads = _PAYLOADS.format(**words)
        self._of_thread = CodecOfThread()

    def of_codes(self, connection: Connection, project: str, codes: Collection[str]) -> OfCodes:
        """Of vouchers with a name that folds to one of ``codes``."""
        if not codes:
            return OfCodes([], [], [])
        asked = self._as_list(sorted(codes))  # neighbours lie on the same pages
        parameters = (project, asked, asked, project, project)
        found = connection.exec_driver_sql(self._of_codes, parameters).all()
        if connection.dialect.name == "sqlite":
            ((vouchers, few, campaigns),) = found
            entries = _read_entries(vouchers)
        else:
            (few, campaigns), *_ = (row[:2] for row in found if row[_SORT_KEY] is None)
            entries = [entry_of(row) for row in found if row[_SORT_KEY] is not None]
        seen = self._with_the_newest(connection, project, _read_sightings(few))
        return OfCodes(entries, seen, _read_entries(campaigns))

    def _with_the_newest(self, connection: Connection, project: str, few: list[Seen]) -> list[Seen]:
        """``few`` with what is missing there of codes that were seen often."""
        if len(few) < _OFTEN:
            return few
        times = Counter(folded(name) for _, name, _ in few)
        often = [code for code, number in times.items() if number == _OFTEN]
        return few + [seen for code in often for seen in self._seen_under(connection, project, code)]

    def _seen_under(self, connection: Connection, project: str, code: str) -> list[Seen]:
        parameters = (project, code) * self._following.count(_CODE_IS)
        rows = connection.exec_driver_sql(self._following, parameters).all()
        if len(code) < SIGHTED_LENGTH and all(len(row[0]) < SIGHTED_LENGTH for row in rows):
            return [(row[0], row[1], Sighting(row[2], row[3])) for row in rows]
        # The index may hold two of them as one.
        seen = connection.exec_driver_sql(self._all_seen, (project, code)).scalar_one()
        return _read_sightings(seen)

    def entries_by_id(
        self, connection: Connection, project: str, keys: Collection[tuple[str, str]]
    ) -> list[Entry]:
        """By resource type and id."""
        by_type: dict[str, list[str]] = {}
        for resource_type, resource_id in keys:
            by_type.setdefault(resource_type, []).append(resource_id)
        return [
            entry
            for resource_type, ids in by_type.items()
            for entry in self._entries(connection, self._by_id, (project, resource_type), ids)
        ]

    def sightings_by_id(self, connection: Connection, project: str, ids: Collection[str]) -> list[Seen]:
        """When vouchers were last seen alive, by their ids."""
        found = self._rows(connection, self._seen_by_id, (project,), ids)
        return _read_sightings(found[0][0]) if found else []

    def campaigns_in_events(
        self, connection: Connection, project: str, event_ids: Collection[str]
    ) -> Mapping[str, str]:
        """Event id → the campaign that the event of a voucher names, if it names one."""
        found: dict[str, str] = {}
        for event_id, event_type, received_at, payload in self._rows(
            connection, self._payloads, (project,), event_ids
        ):
            body = self._of_thread.codec.unpack(bytes(payload))
            data = read_event(Delivery(project, "voucherify", event_type, received_at, body)).data
            campaign = campaign_of(data) if isinstance(data, WebhookData) else None
            if campaign is not None:
                found[event_id] = campaign
        return found

    def _entries(
        self, connection: Connection, statement: str, first: tuple[str, ...], values: Collection[str]
    ) -> list[Entry]:
        found = self._rows(connection, statement, first, values)
        return _read_entries(found[0][0]) if found else []

    def _rows(
        self, connection: Connection, statement: str, first: tuple[str, ...], values: Collection[str]
    ) -> list[Any]:
        if not values:
            return []
        parameters = (*first, self._as_list(list(values)))
        return list(connection.exec_driver_sql(statement, parameters).all())


_read_entries: Final = msgspec.json.Decoder(list[Entry]).decode
_read_sightings: Final = msgspec.json.Decoder(list[Seen]).decode

# What is found comes as one JSON list: SQLite's driver lets other threads go first at every row, and may
# wait for them each time. The list is nested as the values that msgspec makes of it, which leaves nothing
# to do for each row. To PostgreSQL making JSON of many rows is dearer than making values of them is here:
# of codes it sends the vouchers as rows, and the rest, which is little, in one more.
_SORT_KEY: Final = ENTRY_COLUMNS.index("sort_key")
_ENTRY: Final = ", ".join(
    {
        "key": f"{{array}}({', '.join(ResourceKey._fields)})",
        "fields": f"CASE WHEN created_at IS NOT NULL THEN {{array}}({', '.join(Fields._fields)}) END",
    }.get(name, name)
    for name in Entry._fields
)
_CODE_IS: Final = "lower(resource_name) = "
_ORDER: Final = f"ORDER BY {SIGHTED_ID}, {SIGHTED_NAME}, {SIGHTED_AT} DESC, event_id DESC LIMIT 1"
_SEEN: Final = "resource_id, resource_name, {array}(event_id, at)"
_SQLITE_LIST: Final = "json_group_array(json_array({}))"
_SQLITE_ENTRIES: Final = _SQLITE_LIST.format(_ENTRY.format(array="json_array"))
_POSTGRES_LIST: Final = "coalesce(json_agg(json_build_array({}))::text, '[]')"
_SIGHTING_WORDS: Final = {"sighting": SIGHTING, "at": SIGHTED_AT, "id": SIGHTED_ID, "name": SIGHTED_NAME}
_ON_SQLITE: Final = {
    "entries": _SQLITE_ENTRIES,
    "sightings": _SQLITE_LIST.format(_SEEN.format(array="json_array")),
    **_SIGHTING_WORDS,
    "project": "?",
    "type": "?",
    "one_of": "IN (SELECT value FROM json_each(?))",
    "vouchers": f"SELECT (SELECT {_SQLITE_ENTRIES} FROM found), ",  # noqa: S608 - only our own names
    "few": _FEW_ON_SQLITE,
    "following": _FOLLOWING_ON_SQLITE,
    "others": "",
    "of_found": "IN (SELECT resource_parent_id FROM found)",
    "by_code": "INDEXED BY bin_entries_folded_name",
    "by_sighted": "INDEXED BY events_sighted_name",
    "by_resource": "INDEXED BY events_resource",
}
_ON_POSTGRES: Final = {
    "entries": _POSTGRES_LIST.format(_ENTRY.format(array="json_build_array")),
    "sightings": _POSTGRES_LIST.format(_SEEN.format(array="json_build_array")),
    **_SIGHTING_WORDS,
    "project": "%s",
    "type": "%s",
    # As a subquery: of a plain array the planner would look up each text in its statistics.
    "one_of": "= ANY(ARRAY(SELECT unnest(%s::text[])))",
    "vouchers": "SELECT * FROM found UNION ALL SELECT ",
    "few": _FEW_ON_POSTGRES,
    "following": _FOLLOWING_ON_POSTGRES,
    "others": ", NULL" * (len(ENTRY_COLUMNS) - 4),
    "of_found": "= ANY(ARRAY(SELECT DISTINCT resource_parent_id FROM found))",
    "by_code": "",
    "by_sighted": "",
    "by_resource": "",
}
