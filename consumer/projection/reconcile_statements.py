"""Reconcile's queries over many entries: each bounded, each made for one index."""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from consumer.projection.reconcile_base import MOST_MISSED, Absent, Key, Run
from schemas.times import BIN_EPOCH, Micros

_HELD: Final = (
    "e.resource_id, e.state, e.entry_id, "
    "e.created_at, e.resource_name, e.resource_parent_id, e.deleted_by_user_id"
)
_FROM_IDS: Final = {
    # CROSS JOIN keeps the order of the tables: each key is looked up once.
    "sqlite": "json_each(:ids) k CROSS JOIN bin_entries e WHERE e.resource_id = k.value AND",
    "postgresql": "unnest(CAST(:ids AS text[])) AS k(id) JOIN bin_entries e ON e.resource_id = k.id WHERE",
}
_MARKS: Final = {
    "sqlite": "SELECT :project, :run, :type, value FROM json_each(:ids) WHERE true",
    "postgresql": "SELECT :project, :run, :type, id FROM unnest(CAST(:ids AS text[])) AS k(id)",
}

_END_OF_WINDOW: Final = text(
    "SELECT resource_type, resource_id FROM bin_entries "
    "WHERE project = :project AND (resource_type, resource_id) > (:type, :id) "
    "ORDER BY resource_type, resource_id LIMIT 1 OFFSET :window"
)
# The state is compared as an expression, so that the primary key's index is walked and not another one; the
# subquery stays one look-up for each row, whatever a planner thinks of the tables' sizes.
_ABSENT: Final = (
    "SELECT e.resource_type, e.resource_id FROM bin_entries e "
    "WHERE e.project = :project AND (e.resource_type, e.resource_id) > (:type, :id) {until} "
    "AND e.state || '' IN ('deleted', 'in_bin') AND e.evidence_at < :started_at "
    "AND e.created_at < :older_than AND (e.state || '' = 'in_bin' OR e.evidence_at < :older_than) "
    "AND (SELECT s.run FROM reconcile_seen s WHERE s.project = e.project AND s.run = :started_at "
    "AND s.resource_type = e.resource_type AND s.resource_id = e.resource_id) IS NULL "
    "ORDER BY e.resource_type, e.resource_id"
)
_FORGET: Final = text(
    "DELETE FROM reconcile_seen WHERE project = :project AND (run, resource_type, resource_id) IN "
    "(SELECT run, resource_type, resource_id FROM reconcile_seen "
    "WHERE project = :project AND run NOT IN (SELECT started_at FROM reconcile_runs "
    "WHERE project = :project AND phase IN ('reading', 'missing', 'stopped')) LIMIT :most)"
)
_MISSED: Final = text(
    "SELECT count(*), min(created_at), max(created_at) FROM (SELECT e.created_at FROM bin_entries e "
    "WHERE e.project = :project AND e.state IN ('deleted', 'in_bin') AND e.sort_key >= :from_id "
    "AND e.resource_type IN ('voucher', 'campaign') AND e.snapshot_event_id IS NULL "
    "AND e.created_at >= :since AND e.created_at < :until "
    "AND NOT EXISTS (SELECT 1 FROM bin_entries c WHERE c.project = e.project "
    "AND c.resource_type = 'campaign' AND c.resource_id = e.resource_parent_id) LIMIT :most) missed"
)


def held(connection: Connection, project: str, resource_type: str, ids: Sequence[str]) -> Sequence[Any]:
    """What the mirror has of resources of one type."""
    statement = (
        f"SELECT {_HELD} FROM {_FROM_IDS[connection.dialect.name]} "  # noqa: S608 - only constants of this module
        "e.project = :project AND e.resource_type = :type"
    )
    values = {"project": project, "type": resource_type, "ids": _list(connection, ids)}
    return connection.execute(text(statement), values).all()


def mark(connection: Connection, run: Run, resource_type: str, ids: Sequence[str]) -> None:
    """Note that ``run`` has come across these resources."""
    statement = (
        "INSERT INTO reconcile_seen (project, run, resource_type, resource_id) "
        f"{_MARKS[connection.dialect.name]} ON CONFLICT DO NOTHING"
    )
    values = {"project": run.project, "run": run.started_at, "type": resource_type}
    connection.execute(text(statement), {**values, "ids": _list(connection, ids)})


def forget(connection: Connection, project: str, most: int) -> int:
    """Remove at most so many marks of runs that nobody can take up; how many were removed."""
    return connection.execute(_FORGET, {"project": project, "most": most}).rowcount


def absent(connection: Connection, run: Run, older_than: Micros, after: Key | None, window: int) -> Absent:
    """The entries without a mark among the next ``window`` or so."""
    resource_type, resource_id = after or ("", "")
    values: dict[str, Any] = {"project": run.project, "type": resource_type, "id": resource_id}
    end = connection.execute(_END_OF_WINDOW, {**values, "window": window}).first()
    until = ""
    if end is not None:
        until = "AND (e.resource_type, e.resource_id) <= (:end_type, :end_id)"
        values |= {"end_type": end[0], "end_id": end[1]}
    values |= {"started_at": run.started_at, "older_than": older_than}
    rows = connection.execute(text(_ABSENT.format(until=until)), values).all()
    return Absent([(row[0], row[1]) for row in rows], None if end is None else (end[0], end[1]))


def missed(connection: Connection, project: str, since: Micros, until: Micros) -> tuple[int, Any, Any]:
    """How many, the oldest's time and the newest's."""
    # Entries without a webhook are sorted by Voucherify's own id, whose first digits are a time.
    milliseconds = max(0, since - BIN_EPOCH) // 1000
    values = {"project": project, "since": since, "until": until, "most": MOST_MISSED}
    row = connection.execute(_MISSED, {**values, "from_id": f"tbe_{milliseconds << 30:018x}"}).one()
    return int(row[0]), row[1], row[2]


def _list(connection: Connection, ids: Sequence[str]) -> object:
    return list(ids) if connection.dialect.name == "postgresql" else json.dumps(list(ids))
