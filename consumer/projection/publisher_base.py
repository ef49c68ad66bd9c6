"""The contract of what publishing the entries keeps in the projection's database: a lease and a checkpoint.

The checkpoint is a control table, and still goes with the projection that it speaks of: a backup that is put
back brings an older checkpoint with older entries, and what changed since is published again.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from consumer.projection.changes_base import Cursor
from schemas.times import Micros


class Published(NamedTuple):
    """How far a topic has come. Moments are the database's."""

    cursor: Cursor
    """Changes up to here are in the topic, and perhaps some more."""
    partitions: int
    ends: Mapping[int, int]
    """Partition → an end that it has had: one that is shorter was made anew."""
    published_at: Micros = 0
    whole_at: Micros = 0
    """When everything was last published."""


class TopicLook(NamedTuple):
    """What operators want to know of it."""

    published: Published | None
    holder: str | None
    """The process that publishes."""
    behind: int | None
    """Records applied to the projection and not in the topic; None: everything has to be published anew."""


class PublisherStore(Protocol):
    """Every method may raise ProjectionUnavailableError, and at the start SchemaMismatchError.

    Methods that take an ``epoch`` raise FencedError, and change nothing, when the lease is another's.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def acquire(self, owner: str, seconds: float) -> int | str:
        """The lease's epoch, or who has it."""

    async def renew(self, epoch: int, seconds: float) -> None: ...

    async def release(self, epoch: int) -> None:
        """Let go, if it is still ours."""

    async def published(self) -> Published | None:
        """The checkpoint; None: nothing was ever published, or not all of it."""

    async def note(self, epoch: int, published: Published, *, whole: bool = False) -> None:
        """Keep the checkpoint; ``whole``: everything was published just now. Its moments are ignored."""

    async def forget(self, epoch: int) -> None:
        """Remove the checkpoint: what the topic holds is not known for now."""

    async def positions(self) -> Mapping[int, int]:
        """Partition of the log → first offset that the projection has not applied."""

    async def look(self) -> TopicLook: ...
