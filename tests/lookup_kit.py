"""Tells a projection stories of vouchers and campaigns, in real deliveries and own events."""

from typing import Any, Final

from consumer.projection.base import Outcome
from consumer.projection.store import SqlProjectionWriter
from consumer.worker.interpret import Interpreter
from schemas.events import Delivery
from schemas.own_events import EntryObserved, EntryPurged, EntryVanished, OwnEvent, record_of
from schemas.samples import campaign_deleted, voucher_alive, voucher_deleted
from tests.projection_kit import MOMENT, Feed, writer

RECEIVED: Final = MOMENT + 10**12
"""After everything that happens in a story."""
INTERPRET: Final = Interpreter({})


def at(seconds: float) -> int:
    """A moment of a story."""
    return MOMENT + round(seconds * 1_000_000)


def webhook(body: bytes, project: str = "p") -> Delivery:
    return Delivery(project, "voucherify", None, RECEIVED, body)


def deleted(
    voucher_id: str, code: str | None, seconds: float, campaign: str | None = None, project: str = "p"
) -> Delivery:
    body = voucher_deleted(
        code=code, voucher_id=voucher_id, campaign_id=campaign, occurred_at=at(seconds), event_id=""
    )
    return webhook(body, project)


def seen(
    voucher_id: str,
    code: str | None,
    seconds: float,
    campaign: str | None = None,
    project: str = "p",
    **more: Any,
) -> Delivery:
    body = voucher_alive(
        code=code, voucher_id=voucher_id, campaign_id=campaign, occurred_at=at(seconds), **more
    )
    return webhook(body, project)


def campaign_binned(campaign_id: str, seconds: float, project: str = "p") -> list[Delivery]:
    """The webhook, and what a reconcile run says of it a second later."""
    body = campaign_deleted(name=f"Name of {campaign_id}", campaign_id=campaign_id, occurred_at=at(seconds))
    return [webhook(body, project), observed("campaign", campaign_id, seconds + 1, project=project)]


def observed(
    resource_type: Any,
    resource_id: str,
    seconds: float,
    *,
    name: str = "NAME",
    parent: str | None = None,
    project: str = "p",
    created: float | None = None,
) -> Delivery:
    own = EntryObserved(
        run_id=f"run{seconds}",
        project=project,
        resource_type=resource_type,
        resource_id=resource_id,
        evidence_at=at(seconds),
        entry_id=f"tbe_{resource_id}",
        created_at=at(seconds if created is None else created),
        resource_name=name,
        resource_parent_id=parent,
        deleted_by_user_id=None,
    )
    return _own(own)


def gone(
    kind: str, resource_id: str, seconds: float, resource_type: Any = "voucher", project: str = "p"
) -> Delivery:
    model = EntryPurged if kind == "purged" else EntryVanished
    return _own(
        model(
            run_id=f"run{seconds}",
            project=project,
            resource_type=resource_type,
            resource_id=resource_id,
            evidence_at=at(seconds),
        )
    )


def _own(event: OwnEvent) -> Delivery:
    record = record_of(event)
    return Delivery(event.project, "binmirror", record.type, RECEIVED, record.body)


def outcomes(story: list[Delivery], start: int = 0) -> list[Outcome]:
    return [INTERPRET(delivery, start + number) for number, delivery in enumerate(story)]


async def tell(address: str, story: list[Delivery]) -> None:
    """Have the projection hold the story."""
    store: SqlProjectionWriter = writer(address, interpret=INTERPRET)
    await store.start()
    feed = await Feed.of(store)
    await feed.push_outcomes(outcomes(story, feed.offset))
    await store.stop()
