"""A page of changes as one Server-Sent Event, whose id is the cursor after it."""

from collections.abc import Sequence

from consumer.projection.changes_base import ChangedEntry, Cursor
from consumer.web.cursors import cursor_text
from schemas.changes import ShownChange, changes_json


def shown_change(change: ChangedEntry) -> ShownChange:
    """As it goes on the wire."""
    state = None if change.entry is None else change.entry.state
    kind, resource_id = change.key.resource_type, change.key.resource_id
    return ShownChange(kind, resource_id, state, change.entry, *change.position)


def changes_event(changes: Sequence[ChangedEntry], after: Cursor, *, caught_up: bool) -> bytes:
    """The event ``changes``; its data is on one line, the same as of a page that is asked for."""
    following = cursor_text(after)
    data = changes_json(map(shown_change, changes), following=following, has_more=not caught_up)
    return b"event: changes\nid: %b\ndata: %b\n\n" % (following.encode(), data)
