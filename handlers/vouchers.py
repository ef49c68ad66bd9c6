"""What the events of vouchers mean for the bin."""

from handlers.changes import Change, Fields
from handlers.evidence import change_of, deleted_by
from schemas.events import Event
from schemas.webhooks import WebhookData


def deleted(event: Event) -> tuple[Change, ...]:
    """``voucher.deleted``: the voucher is gone, whether to the bin or for good."""
    data = event.data
    if not isinstance(data, WebhookData) or event.resource_id is None:
        return ()
    fields = Fields(
        created_at=event.occurred_at,
        resource_name=event.resource_name or event.resource_id,
        resource_parent_id=campaign_of(data),
        deleted_by_user_id=deleted_by(event),
    )
    return change_of(event, "deleted", fields)


def campaign_of(data: WebhookData) -> str | None:
    """The id of the voucher's campaign, as an event of the voucher tells it."""
    parent = data.voucher.get("campaign_id") if data.voucher else None
    if not parent and data.campaign:
        parent = data.campaign.get("id")
    return parent or None


def recorded(_event: Event) -> tuple[Change, ...]:
    """``voucher.created``, ``voucher.updated``: kept with code, id and time; the bin does not change."""
    return ()
