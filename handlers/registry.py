"""Which handler an event goes to: all of them, in one table."""

from typing import Final

from handlers import campaigns, entries, vouchers
from handlers.changes import Handler
from schemas import own_events
from schemas.events import Source

_HANDLERS: Final[dict[tuple[Source, str], Handler]] = {
    ("voucherify", "voucher.deleted"): vouchers.deleted,
    ("voucherify", "voucher.created"): vouchers.recorded,
    ("voucherify", "voucher.updated"): vouchers.recorded,
    ("voucherify", "campaign.deleted"): campaigns.deleted,
    ("binmirror", own_events.OBSERVED): entries.observed,
    ("binmirror", own_events.VANISHED): entries.vanished,
    ("binmirror", own_events.PURGED): entries.purged,
}


def handler_for(event_type: str, source: Source) -> Handler | None:
    """The handler of events of this type; None for those that are only recorded, as ignored."""
    return _HANDLERS.get((source, event_type))
