"""A little language of deliveries for tests of the projection, and a worker that feeds them in."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from consumer.projection.base import Batch, BatchResult, Checkpoint, Decision, Outcome
from consumer.projection.store import SqlProjectionWriter
from handlers.changes import Change, Fields, ResourceKey
from schemas.events import Delivery, Event, Failure
from tests.manual_clock import ManualClock

LOG: Final = "log-1"
PATIENCE: Final = 20.0
MOMENT: Final = 1_720_000_000_000_000
"""2024-07-03, in microseconds."""


class Said(NamedTuple):
    """One delivery of the little language. Times are seconds after ``MOMENT``."""

    event_id: str = "e1"
    kind: str = "deleted"
    """deleted, in_bin, vanished, purged: applied. ignored: recorded only. failed: cannot be applied.
    redriven, discarded: decisions about the event that ``name`` names."""
    resource_id: str = "v1"
    name: str = "CODE"
    occurred: float = 0
    received: float = 10
    delivery_id: str = "d1"
    project: str = "p"
    entry_id: str | None = None
    parent: str | None = None
    user: str | None = None
    resource_type: str = "voucher"

    def delivery(self) -> Delivery:
        body = json.dumps(self).encode()
        return Delivery(self.project, "voucherify", f"voucher.{self.kind}", _micros(self.received), body)

    def outcome(self, offset: int) -> Outcome:
        return interpret(self.delivery(), offset)


def interpret(delivery: Delivery, offset: int) -> Outcome:
    """What the worker makes of a delivery of the little language."""
    said = Said(*json.loads(delivery.body))
    failure = Failure("handler_error", f"{said.name} cannot be applied") if said.kind == "failed" else None
    event = Event(
        project=delivery.project,
        source=delivery.source,
        event_id=said.event_id,
        type=f"voucher.{said.kind}",
        occurred_at=_micros(said.occurred),
        received_at=delivery.received_at,
        delivery_id=said.delivery_id,
        voucherify_project="proj_1",
        channel="API",
        group_id="v-1",
        user_id=said.user,
        resource_type=said.resource_type,
        resource_id=said.resource_id,
        resource_name=said.name,
        data=None,
        failure=failure,
    )
    if failure is not None:
        return Outcome(event, "failed", (), delivery.body, offset)
    if said.kind == "ignored":
        return Outcome(event, "ignored", (), delivery.body, offset)
    if said.kind in {"redriven", "discarded"}:
        action: Any = said.kind
        decision = Decision(action, said.name, event.occurred_at, said.user, said.parent)
        return Outcome(event, "applied", (), delivery.body, offset, decision)
    return Outcome(event, "applied", (_change(said, event),), delivery.body, offset)


def _change(said: Said, event: Event) -> Change:
    with_fields = said.kind in {"deleted", "in_bin"}
    state: Any = said.kind
    return Change(
        ResourceKey(event.project, said.resource_type, said.resource_id),
        state=state,
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        evidence_at=min(event.occurred_at, event.received_at),
        fields=Fields(event.occurred_at, said.name, said.parent, said.user) if with_fields else None,
        entry_id=(said.entry_id or f"tbe_{said.event_id}") if said.kind == "in_bin" else None,
    )


def _micros(seconds: float) -> int:
    return MOMENT + round(seconds * 1_000_000)


def writer(address: str, **options: Any) -> SqlProjectionWriter:
    """A writer that understands the little language; not started."""
    return SqlProjectionWriter(address, **{"interpret": interpret, "clock": ManualClock(), **options})


@dataclass
class Feed:
    """Feeds one partition, as the worker does."""

    writer: SqlProjectionWriter
    checkpoint: Checkpoint
    log_id: str = LOG
    partition: int = 0
    offset: int = field(init=False)

    def __post_init__(self) -> None:
        self.offset = self.checkpoint.next_offset

    @classmethod
    async def of(cls, writer: SqlProjectionWriter, *, partition: int = 0, log_id: str = LOG) -> "Feed":
        checkpoint = await writer.acquire(log_id, partition, owner="me", lease=None)
        assert checkpoint is not None
        return cls(writer, checkpoint, log_id, partition)

    async def push(self, *said: Said) -> BatchResult:
        """Commit one batch."""
        return await self.push_outcomes([one.outcome(self.offset + n) for n, one in enumerate(said)])

    async def push_outcomes(self, outcomes: Sequence[Outcome]) -> BatchResult:
        result = await self.writer.commit(self.batch(outcomes))
        self.offset += len(outcomes)
        return result

    def batch(self, outcomes: Sequence[Outcome]) -> Batch:
        start, epoch = self.offset, self.checkpoint.epoch
        end = start + len(outcomes)
        gathered = self.writer.gather(self.partition, outcomes)
        digest = b"digest of %d" % (end - 1)
        return Batch(self.log_id, self.partition, epoch, start, end, digest, outcomes, gathered)


Condition: TypeAlias = Callable[[], Awaitable[bool]]


async def eventually(condition: Condition) -> None:
    """Return once ``condition`` holds; fail after ``PATIENCE`` seconds."""
    deadline = time.monotonic() + PATIENCE
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)
