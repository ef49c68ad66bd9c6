"""Event ids in headers: as they are, where they are plain; else percent-encoded UTF-8."""

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from schemas.text import MAX_TEXT

EVENT_ID_NAME: Final = "Binmirror-Event-Id"
EVENT_ID_HEADER: Final = EVENT_ID_NAME.lower().encode()

_PLAIN: Final = re.compile(r"[!-$&-~]+")
_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


def header_of_event(event_id: str) -> bytes:
    """The value of a header that names the event."""
    if _PLAIN.fullmatch(event_id):
        return event_id.encode("ascii")
    return quote(event_id, safe=_SAFE).encode("ascii")


def event_of_header(value: bytes) -> str | None:
    """The event that such a value names; None for one that no event can have."""
    try:
        event_id = unquote_to_bytes(value.strip()).decode()
    except UnicodeDecodeError:
        return None
    return event_id if 0 < len(event_id) <= MAX_TEXT and "\0" not in event_id else None
