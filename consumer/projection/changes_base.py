"""The contract of "what changed since": what followers of the bin ask.

A change has a position, that of the record that last changed a visible field of the entry (its state, its id
or one of the API's fields). A follower that starts at the beginning and takes page after page holds, whenever
it has caught up, what the projection holds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from consumer.types import Position
from handlers.changes import Entry, ResourceKey


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a follower has come: in one log, as one generation of the projection tells of it."""

    log_id: str
    generation: str
    """Number and random id of the projection, ``1-9f86d081884c7d65``: another one after a rebuild."""
    offsets: Mapping[int, int] = field(default_factory=dict)
    """Partition → first offset not yet seen. A partition that is missing counts as 0."""
    turn: int = 0
    """The partition that the next page starts with: so that small pages too come round to all of them."""


BEGINNING: Final = Cursor("", "")
"""The cursor that belongs to every log and generation, because it has seen nothing."""


class ChangedEntry(NamedTuple):
    """An entry as it is now, and the position of its latest change."""

    key: ResourceKey
    entry: Entry | None
    """None: it is no more, because every event that spoke of it was discarded. Forget it."""
    position: Position


class ChangesPage(NamedTuple):
    """Changes, and where to go on."""

    changes: Sequence[ChangedEntry]
    """In the order of their offsets within a partition."""
    cursor: Cursor
    """After all of them."""
    caught_up: bool
    """Nothing more was applied when this was read. Else the next page follows, even if this one is empty."""


class Changes(Protocol):
    """Raises ProjectionUnavailableError and SchemaMismatchError, as all that reads the projection."""

    async def changes(self, project: str | None, after: Cursor | None, limit: int) -> ChangesPage:
        """What has changed after the cursor; ``after`` None: all that there is. ``project`` None: of all.

        An entry that changes again moves to its new position and is told there, so it may be told more than
        once, and its states in between not at all. Rows and positions are read from one snapshot. A page may
        hold one record's changes more than ``limit``.

        Raises:
            CursorExpiredError: the cursor is of another log or generation, or ahead of the projection, which
                an older copy that was put back is. Start again.

        """

    async def now(self) -> Cursor:
        """The cursor after everything that is applied."""
