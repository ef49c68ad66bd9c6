"""Which delivery of an event counts, within a batch and against what is stored. Pure."""

from collections.abc import Iterable
from typing import Literal, TypeAlias

from consumer.projection.base import Incoming, Outcome
from consumer.projection.payloads import PayloadCodec
from consumer.projection.rows import EventKey, StoredEvent

Verdict: TypeAlias = Literal["count", "attempt", "replace", "recover", "correct", "rewrite"]
"""What a redelivery does to the stored event. count: one more delivery, nothing else. attempt: failed again.
replace: failed again, and its content counts. recover: failed before, can be applied now. correct: of an
event that could be applied, an earlier delivery: its entries are to be folded anew. rewrite: its content
counts, but the event stays discarded."""


def each_once(outcomes: Iterable[Outcome]) -> dict[EventKey, Incoming]:
    """The events of a batch, in the order of their keys."""
    found: dict[EventKey, Incoming] = {}
    for outcome in outcomes:
        event = outcome.event
        key = (event.project, event.event_id)
        held = found.get(key)
        found[key] = Incoming(outcome, 1, 1) if held is None else _joined(held, outcome)
    return {key: found[key] for key in sorted(found)}


def judge(stored: StoredEvent, incoming: Incoming, codec: PayloadCodec) -> Verdict:
    """What ``incoming`` does to ``stored``."""
    failed = incoming.outcome.status == "failed"
    if stored.status == "discarded":
        return "rewrite" if _outweighs(stored, incoming, codec) else "count"
    if stored.status == "failed":
        if not failed:
            return "recover"
        return "replace" if _precedes_stored(incoming.outcome, stored, codec) else "attempt"
    if failed:
        return "count"
    return "correct" if _precedes_stored(incoming.outcome, stored, codec) else "count"


def _outweighs(stored: StoredEvent, incoming: Incoming, codec: PayloadCodec) -> bool:
    """Whether the content of a discarded event is another now: by the same rules as of all others."""
    if stored.deliveries == 0:
        return True
    failed, stored_failed = incoming.outcome.status == "failed", stored.failure_code is not None
    if failed != stored_failed:
        return stored_failed
    return _precedes_stored(incoming.outcome, stored, codec)


def _joined(held: Incoming, outcome: Outcome) -> Incoming:
    counted = held.outcome
    deliveries = held.deliveries + 1
    failed = outcome.status == "failed"
    if counted.status == "failed":
        if not failed or _precedes(outcome, counted):
            counted = outcome
        return Incoming(counted, deliveries, held.attempts + 1)
    if not failed and _precedes(outcome, counted):
        counted = outcome
    return Incoming(counted, deliveries, held.attempts)


def _precedes(one: Outcome, other: Outcome) -> bool:
    # The body comes last, so that the order is total whatever the deliveries call themselves.
    left, right = one.event, other.event
    return (left.received_at, left.delivery_id, one.body) < (right.received_at, right.delivery_id, other.body)


def _precedes_stored(one: Outcome, stored: StoredEvent, codec: PayloadCodec) -> bool:
    left = (one.event.received_at, one.event.delivery_id)
    right = (stored.received_at, stored.delivery_id)
    return left < right or (left == right and one.body < codec.unpack(stored.payload))
