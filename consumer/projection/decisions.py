"""What operators' decisions do to the events that they are about. Batched: no query for each of them.

Deliveries and decisions may come in any order and any number of times; what they leave behind is the same.
So an event that was discarded before it came has a row that waits for it, and a discarded event goes on
taking the content that counts. Redriving needs no such row: an event that comes later is handled then.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from consumer.projection.base import FOREIGN_RECORD, Decision, EventRow, Interpret, Outcome
from consumer.projection.bulk import (
    EVENT_CONTENTS,
    EVENT_HANDLING,
    EVENT_STATUS,
    HANDLING,
    WHOLE_EVENTS,
    Bulk,
)
from consumer.projection.payloads import PayloadCodec
from consumer.projection.rows import EVENT_COLUMNS, EventKey, Row, event_of, event_row
from consumer.projection.tables import event_decisions, events
from handlers.changes import Change, ResourceKey
from schemas.events import Delivery, EventStatus, unread_event

_NEVER: Final = 0
_FIRST: Final = EVENT_COLUMNS.index(HANDLING[0])
_HANDLING: Final = slice(_FIRST, _FIRST + len(HANDLING))


class Settled(NamedTuple):
    """What became of one event by decisions of a batch."""

    project: str
    before: str | None
    """Its status; None: it has not come yet."""
    after: EventStatus
    offset: int
    """Of the last record that decided."""
    changes: tuple[Change, ...] = ()
    anew: ResourceKey | None = None
    """Fold this entry without the event."""
    decided: Outcome | None = None
    """The event was a decision itself, and holds now."""


class _Verdict(NamedTuple):
    discards: bool
    redrives: int
    offset: int


def reinterpreted(row: Row, codec: PayloadCodec, interpret: Interpret) -> Outcome:
    """What today's code makes of a stored event, a row of ``events``. Its id stays what it was."""
    stored = event_of(row)
    source: Any = stored.source
    # Where only the path named the event, its name is the event's type.
    body = codec.unpack(row[-1])
    delivery = Delivery(stored.project, source, stored.type or None, stored.received_at, body)
    outcome = interpret(delivery, stored.offset)
    if outcome.event.event_id == stored.event_id:
        return outcome
    return outcome._replace(
        event=outcome.event._replace(event_id=stored.event_id),
        changes=tuple(change._replace(event_id=stored.event_id) for change in outcome.changes),
    )


def settle(
    bulk: Bulk, codec: PayloadCodec, interpret: Interpret, partition: int, decided: Sequence[Outcome]
) -> list[Settled]:
    """Write what ``decided`` does to its targets, after the batch's own events are written."""
    verdicts = _by_target(decided)
    bulk.insert(event_decisions, sorted(_decision_row(outcome) for outcome in decided))
    rows = {row[:2]: row for row in bulk.select(WHOLE_EVENTS, sorted(verdicts))}
    settled: list[Settled] = []
    handled, contents, statuses, waiting = [], [], [], []
    for key, verdict in sorted(verdicts.items()):
        row = rows.get(key)
        if verdict.discards:
            if row is None:
                waiting.append(_waiting_row(key, partition, verdict.offset, codec))
                settled.append(Settled(key[0], None, "discarded", verdict.offset))
            elif (stored := event_of(row)).status != "discarded":
                statuses.append(("discarded", *key))
                anew = _resource(stored) if stored.status == "applied" else None
                settled.append(Settled(key[0], stored.status, "discarded", verdict.offset, anew=anew))
        elif row is not None and _can_be_redriven(stored := event_of(row)):
            outcome = reinterpreted(row, codec, interpret)
            new = _redriven_row(stored, outcome, verdict.redrives, row[-1])
            # Mostly nothing else is read out of it than before: then most indexes need no work.
            if (new[: _HANDLING.start], new[_HANDLING.stop :]) == (
                row[: _HANDLING.start],
                row[_HANDLING.stop :],
            ):
                handled.append((*new[_HANDLING], *key))
            else:
                contents.append((*new[2:], *key))
            settled.append(_redriven(stored.status, outcome, verdict.offset))
    bulk.insert(events, waiting)
    bulk.update(EVENT_STATUS, statuses)
    bulk.update(EVENT_HANDLING, handled)
    bulk.update(EVENT_CONTENTS, contents)
    return settled


def _redriven(before: str, outcome: Outcome, offset: int) -> Settled:
    # What it does happens now: entries change at the offset of the record that redrove it, not at its own.
    decided = outcome._replace(offset=offset) if outcome.decision is not None else None
    return Settled(
        outcome.event.project, before, outcome.status, offset, changes=outcome.changes, decided=decided
    )


def _by_target(decided: Sequence[Outcome]) -> dict[EventKey, _Verdict]:
    verdicts: dict[EventKey, _Verdict] = {}
    for outcome in decided:
        decision = _decision(outcome)
        key = (outcome.event.project, decision.target_event_id)
        held = verdicts.get(key, _Verdict(discards=False, redrives=0, offset=0))
        discards = decision.action == "discarded"
        verdicts[key] = _Verdict(
            held.discards or discards, held.redrives + (not discards), max(held.offset, outcome.offset)
        )
    return verdicts


def _decision(outcome: Outcome) -> Decision:
    assert outcome.decision is not None  # noqa: S101 - the caller has chosen those that have one
    return outcome.decision


def _decision_row(outcome: Outcome) -> tuple[Any, ...]:
    action, target, decided_at, who, reason = _decision(outcome)
    return (outcome.event.project, target, outcome.event.event_id, action, decided_at, who, reason)


def _can_be_redriven(event: EventRow) -> bool:
    return (
        event.status in {"failed", "ignored"}
        and event.failure_code != FOREIGN_RECORD
        and event.deliveries > 0
    )


def _resource(event: EventRow) -> ResourceKey | None:
    if event.resource_type is None or event.resource_id is None:
        return None
    return ResourceKey(event.project, event.resource_type, event.resource_id)


def _redriven_row(stored: EventRow, outcome: Outcome, times: int, payload: bytes) -> tuple[Any, ...]:
    return event_row(
        outcome,
        attempts=stored.attempts + times,
        deliveries=stored.deliveries,
        partition=stored.partition,
        payload=payload,
    )


def _waiting_row(key: EventKey, partition: int, offset: int, codec: PayloadCodec) -> tuple[Any, ...]:
    """The row of an event that has not come yet and is discarded already."""
    project, event_id = key
    event = unread_event(project, "voucherify", event_id, _NEVER)
    outcome = Outcome(event, "discarded", (), b"", offset)
    return event_row(outcome, attempts=0, deliveries=0, partition=partition, payload=codec.pack(b""))
