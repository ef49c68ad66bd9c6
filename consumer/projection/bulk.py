"""The batch writes that each database has its own fast way for."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from sqlalchemy import Table

from consumer.projection.rows import ENTRY_COLUMNS, EVENT_COLUMNS, Row, StoredEvent
from consumer.projection.tables import bin_entries, events


class KeyedSelect(NamedTuple):
    """Rows of one table by a list of text keys."""

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]
    condition: str = ""
    lock: bool = False
    """Keep others from changing the rows until the transaction ends, in the key's order."""


STORED_EVENTS: Final = KeyedSelect(events, StoredEvent._fields, ("project", "event_id"), lock=True)
ENTRIES: Final = KeyedSelect(
    bin_entries, ENTRY_COLUMNS, ("project", "resource_type", "resource_id"), lock=True
)
WHOLE_EVENTS: Final = KeyedSelect(events, EVENT_COLUMNS, ("project", "event_id"), lock=True)
APPLIED_EVENTS: Final = KeyedSelect(
    events, EVENT_COLUMNS, ("project", "resource_id", "resource_type"), condition="t.status = 'applied'"
)


class KeyedUpdate(NamedTuple):
    """New values for rows of one table; each row given is the new values, then the key."""

    table: Table
    columns: tuple[str, ...]
    key: tuple[str, ...]


_ENTRY_KEY: Final = ("project", "resource_type", "resource_id")
_EVENT_KEY: Final = ("project", "event_id")

CHANGED_ENTRIES: Final = KeyedUpdate(bin_entries, ENTRY_COLUMNS[3:], _ENTRY_KEY)
EVENT_CONTENTS: Final = KeyedUpdate(events, EVENT_COLUMNS[2:], _EVENT_KEY)
HANDLING: Final = ("status", "failure_code", "failure_message", "attempts")
"""What handling an event again changes about it, neighbours in the table."""
EVENT_HANDLING: Final = KeyedUpdate(events, HANDLING, _EVENT_KEY)
EVENT_STATUS: Final = KeyedUpdate(events, ("status",), _EVENT_KEY)
EVENT_DELIVERIES: Final = KeyedUpdate(events, ("attempts", "deliveries"), _EVENT_KEY)


class Bulk(Protocol):
    """Bound to the connection of one transaction; errors are the driver's own."""

    def select(self, what: KeyedSelect, keys: Sequence[tuple[str, ...]]) -> list[Any]:
        """The rows that have one of ``keys`` (each given once)."""

    def prepare(self, table: Table, rows: Sequence[Row]) -> Any:  # noqa: ANN401 - each has its own
        """Full rows as ``insert`` takes them; needs no connection. Raises DataRejectedError, UnicodeError."""

    def insert(self, table: Table, rows: Sequence[Row], prepared: Any = None) -> int:  # noqa: ANN401 - each database has its own
        """Insert full rows; how many they were. A row that exists is an error.

        ``prepared``: what ``prepare`` made of these very rows.
        """

    def update(self, what: KeyedUpdate, rows: Sequence[Row]) -> None:
        """Change rows."""
