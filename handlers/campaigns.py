"""What the events of campaigns mean for the bin."""

from handlers.changes import Change, Fields
from handlers.evidence import change_of, deleted_by
from schemas.events import Event
from schemas.webhooks import WebhookData


def deleted(event: Event) -> tuple[Change, ...]:
    """``campaign.deleted``: the campaign is gone. Its vouchers' entries are not touched."""
    data = event.data
    if not isinstance(data, WebhookData) or event.resource_id is None:
        return ()
    fields = Fields(
        created_at=event.occurred_at if data.deleted_at is None else data.deleted_at,
        resource_name=event.resource_name or event.resource_id,
        resource_parent_id=None,
        deleted_by_user_id=deleted_by(event),
    )
    return change_of(event, "deleted", fields)
