"""Redriving and discarding events: decisions in the event log, which the worker carries out."""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from consumer.clock import Clock
from consumer.errors import BinmirrorError, TransientError
from consumer.eventlog.base import Producer
from consumer.ops.log_appender import STANDSTILL, LogAppender
from consumer.ops.own_records import own_record
from consumer.projection.base import FOREIGN_RECORD, EventQuery, EventRow, ProjectionReader
from consumer.projection.control_base import Audit, AuditResult
from consumer.projection.event_finder import EventFinder
from consumer.types import NewRecord
from schemas.own_events import EventDiscarded, EventRedriven
from schemas.times import Micros

Action: TypeAlias = Literal["redrive", "discard"]

ELIGIBLE: Final[Mapping[Action, frozenset[str]]] = {
    "redrive": frozenset({"failed", "ignored"}),
    "discard": frozenset({"failed"}),
}
"""The statuses that each is for. What was applied is in the bin: nothing is to be healed about it."""
_WAVE: Final = 5000
"""Events told of before the worker is waited for: bounds memory, and what Ctrl-C leaves under way."""
_PAGE: Final = 1000
_AUDIT_SECONDS: Final = 5.0
_AUDITED_IDS: Final = 100


class Selection(NamedTuple):
    """Which events: those of ``ids``, or without ids those that ``query`` matches."""

    query: EventQuery
    ids: Sequence[str] = ()

    def filters(self) -> dict[str, object]:
        """As the audit keeps them."""
        asked = {name: value for name, value in self.query._asdict().items() if value is not None}
        asked = {name: value for name, value in asked.items() if name not in {"limit", "after"}}
        if not self.ids:
            return asked
        return {**asked, "ids": list(self.ids[:_AUDITED_IDS]), "number_of_ids": len(self.ids)}

    def is_everything(self) -> bool:
        """Whether nothing narrows it: a status, a whole project and an empty text do not."""
        narrowing = {name for name, value in self.filters().items() if value != ""}
        return not self.ids and narrowing <= {"status", "project"}


class Preview(NamedTuple):
    """What a selection matches, before anything is done."""

    eligible: int
    by_status: Mapping[tuple[str, str | None], int]
    """(Status, failure code) → how many."""
    unknown: Sequence[str]
    """Ids that no event has."""


@dataclass(slots=True)
class Report:
    """How far it is, and at the end what became of it."""

    action: Action
    run_id: str
    eligible: int = 0
    told: int = 0
    left_alone: int = 0
    """Not of a status that this is for."""
    unknown: list[str] = field(default_factory=list)
    became: Counter[str] = field(default_factory=Counter)
    """Status → events, of those that the worker is known to have handled."""

    @property
    def pending(self) -> int:
        """Told durably, not known to be done: no worker works, or it has not come so far."""
        return self.told - self.became.total()

    @property
    def complete(self) -> bool:
        """Everything asked for was done, and a redrive left nothing failed."""
        healed = self.action == "discard" or not self.became["failed"]
        return healed and not (self.pending or self.unknown or self.left_alone)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "action": self.action,
            "run_id": self.run_id,
            "eligible": self.eligible,
            "told": self.told,
            "left_alone": self.left_alone,
            "unknown": self.unknown,
            "became": dict(sorted(self.became.items())),
            "pending": self.pending,
        }


Watch: TypeAlias = Callable[[Report], None]


class FailedEvents:
    """One operation for command line, console and API. Safe while the service runs, and to be repeated."""

    def __init__(
        self,
        *,
        reader: ProjectionReader,
        finder: EventFinder,
        producer: Producer,
        audit: Audit,
        clock: Clock,
        standstill: float = STANDSTILL,
    ) -> None:
        """``producer`` appends to the log itself; after ``standstill`` seconds nobody seems to work."""
        self._reader = reader
        self._finder = finder
        self._producer = producer
        self._audit = audit
        self._clock = clock
        self._standstill = standstill

    async def preview(self, action: Action, selection: Selection) -> Preview:
        """Count, without doing anything."""
        unknown: list[str] = []
        by_status: Mapping[tuple[str, str | None], int]
        if selection.ids:
            rows = await self._finder.by_id(selection.query.project, selection.ids)
            by_status = Counter((row.status, row.failure_code) for row in rows)
            unknown = _missing(selection.ids, rows)
        else:
            by_status = await self._finder.count(selection.query)
        eligible = sum(number for found, number in by_status.items() if _is_eligible(action, *found))
        return Preview(eligible, by_status, unknown)

    async def decide(
        self,
        action: Action,
        selection: Selection,
        *,
        who: str,
        reason: str | None = None,
        watch: Watch = lambda _: None,
    ) -> Report:
        """Tell the worker, wait for it (within bounds), and say what became of the events.

        Cancelled or failed half-way, what was told is done all the same, and the same call goes on with the
        rest.

        Raises:
            LogUnavailableError, ProjectionUnavailableError: after half a minute of trying.
            DataRejectedError: the reason or a filter holds text that no database stores.

        """
        report = Report(action, f"{action}-{secrets.token_hex(8)}")
        await self._audit.begin(
            report.run_id,
            who=who,
            action=f"events.{action}",
            project=selection.query.project,
            filters=selection.filters(),
            reason=reason,
        )
        result: AuditResult = "interrupted"
        try:
            await self._carry_out(report, selection, _Attribution(self._clock.now(), who, reason), watch)
            result = "done" if report.complete else "partly"
        except BinmirrorError:
            result = "failed"
            raise
        finally:
            await self._close_audit(report, result)
        return report

    async def _carry_out(
        self, report: Report, selection: Selection, words: "_Attribution", watch: Watch
    ) -> None:
        preview = await self.preview(report.action, selection)
        report.eligible, report.unknown = preview.eligible, list(preview.unknown)
        if selection.ids:
            report.left_alone = sum(preview.by_status.values()) - preview.eligible
        before: tuple[list[EventRow], LogAppender] | None = None
        works = True
        async for wave in self._waves(report.action, selection):
            appender = LogAppender(
                self._producer, self._finder.positions, clock=self._clock, standstill=self._standstill
            )
            for rows in _pages(wave):
                await appender.append([self._record(report, row, words) for row in rows])
                report.told += len(rows)
                watch(report)
            # One wave is told of while the worker has the one before.
            works = works and await self._settled(report, before, watch)
            before = (wave, appender)
        if works:
            await self._settled(report, before, watch)

    async def _settled(
        self, report: Report, wave: tuple[list[EventRow], LogAppender] | None, watch: Watch
    ) -> bool:
        """Wait for the worker and look. False: nobody works; then all the rest is told, and done later."""
        if wave is None:
            return True
        rows, appender = wave
        if not await appender.applied():
            return False
        await self._look(report, rows, appender)
        watch(report)
        return True

    async def _waves(self, action: Action, selection: Selection) -> AsyncIterator[list[EventRow]]:
        if selection.ids:
            rows = await self._finder.by_id(selection.query.project, selection.ids)
            yield [row for row in rows if _is_eligible(action, row.status, row.failure_code)]
            return
        wave: list[EventRow] = []
        query = selection.query._replace(limit=_PAGE, after=None)
        while True:
            # Newest first: what fails from now on comes before, and is left for another time.
            page = await self._reader.events(query)
            wave += [row for row in page if _is_eligible(action, row.status, row.failure_code)]
            if len(wave) >= _WAVE or len(page) < _PAGE:
                yield wave
                wave = []
            if len(page) < _PAGE:
                return
            last = page[-1]
            query = query._replace(after=(last.received_at, last.project, last.event_id))

    def _record(self, report: Report, row: EventRow, words: "_Attribution") -> NewRecord:
        model = EventRedriven if report.action == "redrive" else EventDiscarded
        event = model(
            project=row.project,
            run_id=report.run_id,
            evidence_at=words.decided_at,
            target_event_id=row.event_id,
            resource_type=row.resource_type,
            resource_id=row.resource_id,
            requested_by=words.who,
            reason=words.reason,
        )
        return own_record(event, self._clock.now()).record

    async def _look(self, report: Report, wave: Iterable[EventRow], appender: LogAppender) -> None:
        by_project: dict[str, list[str]] = {}
        for row in wave:
            by_project.setdefault(row.project, []).append(row.event_id)
        for project, ids in by_project.items():
            rows = await appender.retrying(lambda: self._finder.by_id(project, ids))  # noqa: B023 - awaited here
            report.became.update(row.status for row in rows)

    async def _close_audit(self, report: Report, result: AuditResult) -> None:
        counts = {"eligible": report.eligible, "told": report.told, **report.became}
        try:
            async with asyncio.timeout(_AUDIT_SECONDS):
                await self._audit.finish(report.run_id, result=result, counts=counts)
        except (TransientError, TimeoutError):
            pass  # the line stays open, which is true as well


class _Attribution(NamedTuple):
    decided_at: Micros
    who: str
    reason: str | None


def _is_eligible(action: Action, status: str, failure_code: str | None) -> bool:
    if action == "redrive" and failure_code == FOREIGN_RECORD:
        return False
    return status in ELIGIBLE[action]


def _missing(ids: Sequence[str], rows: Sequence[EventRow]) -> list[str]:
    found = {row.event_id for row in rows}
    return [event_id for event_id in dict.fromkeys(ids) if event_id not in found]


def _pages(rows: Sequence[EventRow]) -> Iterable[Sequence[EventRow]]:
    return (rows[start : start + _PAGE] for start in range(0, len(rows), _PAGE))
