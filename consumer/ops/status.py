"""How log, projection and spool are: one report for the command line, for machines and for people."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from consumer.errors import NotDurableError, StopError, TransientError
from consumer.eventlog.base import LogAdmin, LogInfo
from consumer.ops.reconcile_webhook import ProjectReconciliation
from consumer.ops.topic_status import TopicStatus
from consumer.projection.base import ProjectionInfo, ProjectionReader
from schemas.times import format_time


class PartitionStatus(NamedTuple):
    """One partition of the log, and how far the projection has come in it."""

    partition: int
    start: int | None
    end: int | None
    """None when the log does not answer."""
    next_offset: int | None
    """None when the projection does not answer, or has not begun."""
    owner: str | None
    caught_up_at: str | None

    @property
    def lag(self) -> int | None:
        """Records in the log that are not in the projection."""
        if self.end is None or self.next_offset is None:
            return None if self.end is None else self.end - (self.start or 0)
        return max(0, self.end - self.next_offset)


class SpoolStatus(NamedTuple):
    """The spool of this machine."""

    path: str
    waiting: int
    set_aside: int


@dataclass(slots=True)
class Status:
    """The report. Parts that did not answer are None and named in ``away``."""

    log: LogInfo | None = None
    projection: ProjectionInfo | None = None
    spool: SpoolStatus | None = None
    reconciliation: Sequence[ProjectReconciliation] = ()
    """Of the projects whose bin at Voucherify can be read."""
    topic: TopicStatus | None = None
    """Of entries, if there is one."""
    webhook_urls: Mapping[str, str] = field(default_factory=dict)
    """Project → the URL to enter in Voucherify; empty without PUBLIC_URL."""
    away: dict[str, str] = field(default_factory=dict)
    """Part → why it did not answer."""
    stopped: dict[str, str] = field(default_factory=dict)
    """Part → what a person has to decide."""

    def partitions(self) -> Sequence[PartitionStatus]:
        """Every partition that log or projection knows."""
        bounds = self.log.bounds if self.log else {}
        rows = {
            row.partition: row
            for row in (self.projection.checkpoints if self.projection else ())
            if self.log is None or row.log_id == self.log.log_id
        }
        found = []
        for number in sorted({*bounds, *rows}):
            limits, row = bounds.get(number), rows.get(number)
            seen = row.caught_up_at if row else None
            found.append(
                PartitionStatus(
                    number,
                    limits.start if limits else None,
                    limits.end if limits else None,
                    row.next_offset if row else None,
                    row.lease_owner if row else None,
                    format_time(seen) if seen is not None else None,
                )
            )
        return found

    def failed(self) -> int:
        """Failed events of all projects."""
        events = self.projection.events if self.projection else {}
        return sum(number for (_, status), number in events.items() if status == "failed")

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        log, projection = self.log, self.projection
        return {
            "event_log": log
            and {
                "kind": log.kind,
                "address": log.address,
                "log_id": log.log_id,
                "details": dict(log.details),
            },
            "partitions": [{**row._asdict(), "lag": row.lag} for row in self.partitions()],
            "projection": projection and _projection(projection),
            "spool": self.spool and self.spool._asdict(),
            "entries_topic": self.topic and self.topic._asdict(),
            "reconciliation": [project.as_dict() for project in self.reconciliation],
            "webhook_urls": dict(self.webhook_urls),
            "away": self.away,
            "stopped": self.stopped,
        }


def _projection(info: ProjectionInfo) -> dict[str, Any]:
    return {
        "kind": info.kind,
        "address": info.address,
        "server_version": info.server_version,
        "schema_version": info.schema_version,
        "latest_schema_version": info.latest_schema_version,
        "entries": [
            {"project": project, "resource_type": kind, "state": state, "count": count}
            for (project, kind, state), count in sorted(info.entries.items())
        ],
        "events": [
            {"project": project, "status": status, "count": count}
            for (project, status), count in sorted(info.events.items())
        ],
        "last_deliveries": {name: format_time(moment) for name, moment in info.last_deliveries.items()},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Whom a report asks; None: there is no such part."""

    log: LogAdmin
    open_reader: Callable[[], ProjectionReader]
    """May raise StopError: no projection yet."""
    spool: Callable[[], Awaitable[SpoolStatus | None]] | None = None
    reconciliation: Callable[[], Awaitable[Sequence[ProjectReconciliation]]] | None = None
    worker: Callable[[], Awaitable[Sequence[str]]] | None = None
    """What keeps workers from working."""
    topic: Callable[[], Awaitable[TopicStatus | None]] | None = None


async def take_status(sources: Sources, *, webhook_urls: Mapping[str, str]) -> Status:
    """Ask every part; one that is away does not hide the others."""
    status = Status(webhook_urls=webhook_urls)
    for part, ask in _ASKS.items():
        try:
            await ask(sources, status)
        except (TransientError, NotDurableError) as error:
            status.away[part] = str(error)
        except StopError as error:
            status.stopped[part] = str(error)
    return status


async def _ask_log(sources: Sources, status: Status) -> None:
    status.log = await sources.log.describe()


async def _ask_projection(sources: Sources, status: Status) -> None:
    reader = sources.open_reader()
    try:
        await reader.start()
        status.projection = await reader.info()
    finally:
        await reader.stop()


async def _ask_spool(sources: Sources, status: Status) -> None:
    if sources.spool is not None:
        status.spool = await sources.spool()


# The following live in the projection's database: where that is away they would only say so once more.


async def _ask_worker(sources: Sources, status: Status) -> None:
    if sources.worker is not None and status.projection is not None:
        kept = await sources.worker()
        if kept:
            status.stopped["worker"] = "; ".join(kept)


async def _ask_reconciliation(sources: Sources, status: Status) -> None:
    if sources.reconciliation is not None and status.projection is not None:
        status.reconciliation = await sources.reconciliation()


async def _ask_topic(sources: Sources, status: Status) -> None:
    if sources.topic is not None and status.projection is not None:
        status.topic = await sources.topic()


_ASKS: Final[Mapping[str, Callable[[Sources, Status], Awaitable[None]]]] = {
    "event log": _ask_log,
    "projection": _ask_projection,
    "spool": _ask_spool,
    "worker": _ask_worker,
    "reconciling": _ask_reconciliation,
    "topic of entries": _ask_topic,
}
"""In this order: whether the projection answers decides about the last three."""
