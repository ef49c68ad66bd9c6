"""The lookups' statements, as text: they run thousands of times a second, each for many codes."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection

from consumer.projection.engines import Kind
from consumer.projection.payloads import CodecOfThread
from consumer.projection.rows import ENTRY_COLUMNS, entry_of
from consumer.projection.tables import SIGHTING
from handlers.changes import Entry, Fields, ResourceKey
from handlers.verdicts import Sighting
from handlers.vouchers import campaign_of
from schemas.events import Delivery
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
    "SELECT resource_id, resource_name, event_id, "
    "CASE WHEN occurred_at < received_at THEN occurred_at ELSE received_at END AS at "
    "FROM events {by} WHERE project = {project} AND {which} AND {sighting}"
    ") AS sightings) AS placed WHERE place = 1"
)
# All that almost every code needs, in one visit: between two of them the thread may have to wait for the
# interpreter. What is known of the codes' vouchers, when they were seen alive, and their campaigns.
_OF_CODES: Final = (
    "WITH found AS MATERIALIZED (SELECT {columns} FROM bin_entries {by_code} "
    "WHERE project = {project} AND lower(resource_name) {one_of} AND resource_type = 'voucher') "
    "{vouchers}({seen}), (SELECT {entries} FROM bin_entries "
    "WHERE project = {project} AND resource_type = 'campaign' AND resource_id {of_found}){others}"
)
_PAYLOADS: Final = (
    "SELECT event_id, type, received_at, payload FROM events WHERE project = {project} AND event_id {one_of}"
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
        which = "lower(resource_name) {one_of}".format(**words)
        seen = _NEWEST.format(by=words["by_sighted"], which=which, **words)
        self._of_codes = _OF_CODES.format(seen=seen, columns=", ".join(ENTRY_COLUMNS[:-2]), **words)
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
        parameters = (project, asked, project, asked, project)
        found = connection.exec_driver_sql(self._of_codes, parameters).all()
        if connection.dialect.name == "sqlite":
            ((vouchers, seen, campaigns),) = found
            return OfCodes(_read_entries(vouchers), _read_sightings(seen), _read_entries(campaigns))
        (seen, campaigns), *_ = (row[:2] for row in found if row[_SORT_KEY] is None)
        entries = [entry_of(row) for row in found if row[_SORT_KEY] is not None]
        return OfCodes(entries, _read_sightings(seen), _read_entries(campaigns))

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
_SEEN: Final = "resource_id, resource_name, {array}(event_id, at)"
_SQLITE_LIST: Final = "json_group_array(json_array({}))"
_SQLITE_ENTRIES: Final = _SQLITE_LIST.format(_ENTRY.format(array="json_array"))
_POSTGRES_LIST: Final = "coalesce(json_agg(json_build_array({}))::text, '[]')"
_ON_SQLITE: Final = {
    "entries": _SQLITE_ENTRIES,
    "sightings": _SQLITE_LIST.format(_SEEN.format(array="json_array")),
    "sighting": SIGHTING,
    "project": "?",
    "type": "?",
    "one_of": "IN (SELECT value FROM json_each(?))",
    "vouchers": f"SELECT (SELECT {_SQLITE_ENTRIES} FROM found), ",  # noqa: S608 - only our own names
    "others": "",
    "of_found": "IN (SELECT resource_parent_id FROM found)",
    "by_code": "INDEXED BY bin_entries_folded_name",
    "by_sighted": "INDEXED BY events_sighted_name",
    "by_resource": "INDEXED BY events_resource",
}
_ON_POSTGRES: Final = {
    "entries": _POSTGRES_LIST.format(_ENTRY.format(array="json_build_array")),
    "sightings": _POSTGRES_LIST.format(_SEEN.format(array="json_build_array")),
    "sighting": SIGHTING,
    "project": "%s",
    "type": "%s",
    # As a subquery: of a plain array the planner would look up each text in its statistics.
    "one_of": "= ANY(ARRAY(SELECT unnest(%s::text[])))",
    "vouchers": "SELECT * FROM found UNION ALL SELECT ",
    "others": ", NULL" * (len(ENTRY_COLUMNS) - 4),
    "of_found": "= ANY(ARRAY(SELECT DISTINCT resource_parent_id FROM found))",
    "by_code": "",
    "by_sighted": "",
    "by_resource": "",
}
