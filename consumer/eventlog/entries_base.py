"""The contract of the compacted topic that holds the bin's entries: one writer, whole transactions.

Its keys are those of the log (``schemas.ids.record_key``); a key's last value is its entry, none (a
tombstone): it has no entry. A subscriber that reads from the start, only what was committed, holds the
whole bin.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.records import Headers


class TopicRecord(NamedTuple):
    """A record to publish."""

    key: bytes
    value: bytes | None
    """None: a tombstone."""
    headers: Headers


class OpenedTopic(NamedTuple):
    """The topic as it was when everyone else had been shut out."""

    partitions: int
    ends: Mapping[int, int]


class HeldKey(NamedTuple):
    """One record found in the topic."""

    key: bytes
    live: bool
    """False: a tombstone."""


class EntriesTopic(Protocol):
    """Used by one task only."""

    async def open(self) -> OpenedTopic:
        """Connect, and shut out every earlier writer: what they have not committed by now, they never will.

        Whatever was opened before is given up. What they left open is decided when this returns, in some
        partitions perhaps as committed and in others not: publish again what ``publish`` has not told of.

        Raises:
            LogUnavailableError: no answer in time.
            StopError: the topic is missing, or not made for this; one line that says what to do.

        """

    async def publish(self, records: Sequence[TopicRecord]) -> Mapping[int, int]:
        """Append all records, or none, in their order (within a key). Returns partition → an end reached.

        Returns when readers of what is committed can see them.

        After an error the topic is closed; whether the records are in it only ``open`` makes certain.

        Raises:
            FencedError: another writer has opened the topic since.
            LogUnavailableError: not committed within the deadline; perhaps it was.
            TopicEmptiedError: committed, but what was published before is there no more.

        """

    async def check(self) -> None:
        """Look whether what was published since ``open`` is still there.

        Raises:
            LogUnavailableError: no answer in time.
            TopicEmptiedError: it is not.

        """

    def held(self) -> AsyncGenerator[Sequence[HeldKey], None]:
        """Every record committed up to now, each key's in their order, a portion at a time.

        Raises:
            LogUnavailableError: no answer in time.
            StopError: it holds something that binmirror did not write, or keys in places where they would not
                be put today.

        """

    async def close(self) -> None:
        """Give everything up under a deadline. Never hangs; idempotent."""
