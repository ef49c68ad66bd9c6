"""Identities: record keys, provisional entry ids, ids for events that came without one."""

import hashlib
from typing import Final

from schemas.times import BIN_EPOCH, Micros

DERIVED_EVENT_PREFIX: Final = "evsha_"
"""Starts the id of an event that Voucherify sent without one."""

OWN_EVENT_PREFIX: Final = "bmev_"
"""Starts the id of an own event; after it comes the run or request that made it."""

OWN_EVENT_END: Final = OWN_EVENT_PREFIX[:-1] + chr(ord(OWN_EVENT_PREFIX[-1]) + 1)
"""The least text behind all own events' ids, in the order of code points."""

RESERVED_EVENT_PREFIXES: Final = (DERIVED_EVENT_PREFIX, OWN_EVENT_PREFIX)
"""Ids that only binmirror gives: a webhook's body that claims one is refused."""

ENTRY_PREFIX: Final = "tbe_"

_MAX_MILLISECONDS: Final = (1 << 42) - 1
"""What 18 hex digits leave beside 30 low bits: until the year 2155."""


def record_key(project: str, resource_type: str | None, resource_id: str | None, event_id: str) -> bytes:
    """The key of a record: ``project/type/resource id``; ``project/event/event id`` without a resource.

    Records of one resource have one key, so they share a partition, whoever wrote them.
    """
    if resource_type is None or resource_id is None:
        return f"{project}/event/{event_id}".encode("utf-8", "backslashreplace")
    return f"{project}/{resource_type}/{resource_id}".encode("utf-8", "backslashreplace")


def derived_event_id(project: str, event_name: str | None, stripped_body: bytes) -> str:
    """The id of an event without one: equal bodies under one name are one event."""
    digest = hashlib.sha256()
    for part in (project.encode(), (event_name or "").encode("utf-8", "backslashreplace"), stripped_body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return DERIVED_EVENT_PREFIX + digest.hexdigest()


def provisional_entry_id(
    project: str, resource_type: str, resource_id: str, moment: Micros, received_at: Micros
) -> str:
    """An entry id that sorts among Voucherify's own: ``tbe_``, 18 hex digits of time, 8 more of hash.

    Voucherify's number is (milliseconds since 2016-05-04) << 30, plus 30 low bits; here they are
    hash bits of the resource. ``moment`` is clamped between 2016-05-04 and ``received_at``, so that
    a wrong clock elsewhere cannot push an entry to an end of the bin for ever.
    """
    clamped = max(min(moment, received_at), BIN_EPOCH)
    milliseconds = min((clamped - BIN_EPOCH) // 1000, _MAX_MILLISECONDS)
    name = f"{project}/{resource_type}/{resource_id}".encode("utf-8", "backslashreplace")
    digest = hashlib.sha256(name).hexdigest()
    number = (milliseconds << 30) | (int(digest[:8], 16) & 0x3FFF_FFFF)
    return f"{ENTRY_PREFIX}{number:018x}{digest[8:16]}"
