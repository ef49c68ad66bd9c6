"""Keeps the topic of entries equal to the bin: what changes in the projection is published, in transactions.

Why no older value can come after a newer one, whoever crashes, freezes or is late: a process first opens
the topic, which shuts every earlier writer out for good, and only then reads checkpoint and projection. So
whatever is committed later was read later. Within a process one transaction follows the other, and the next
page is read after the last one is known to be committed; after any doubt the topic is opened anew. The
checkpoint is kept in the projection's database, after the transaction: a crash in between publishes some
changes again, as they are then. It does not lie in the topic, because an older copy of the database that is
put back must bring an older checkpoint with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final

from consumer.clock import Clock
from consumer.errors import CursorExpiredError, FencedError, StopError, TopicEmptiedError, TransientError
from consumer.eventlog.entries_base import EntriesTopic, OpenedTopic, TopicRecord
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.projection.changes_base import Changes, Cursor
from consumer.projection.held_lease import HeldLease, keeping
from consumer.projection.publisher_base import Published, PublisherStore
from consumer.publisher.progress import Progress
from consumer.publisher.records import records_in_turns
from consumer.publisher.whole import caught_up, publish_whole
from consumer.waiting import backoff, stopped_within

_PAGE: Final = 1_000
_NOTE_SECONDS: Final = 1.0
"""Between two writes of the checkpoint: a crash publishes so much again."""
_FIRST_DELAY: Final = 0.2
_LONGEST_DELAY: Final = 5.0
_STOPPED_SECONDS: Final = 10.0
"""Between two looks at what a person has to mend."""


class Publisher:
    """Publishes for as long as it lives, or stands by for a process that does.

    Nothing that goes wrong here ends the process: it is said, counted, and tried again.
    """

    def __init__(
        self,
        name: str,
        topic: EntriesTopic,
        changes: Changes,
        store: PublisherStore,
        *,
        open_parts: Callable[[], Awaitable[None]],
        log_ends: Callable[[], Awaitable[Mapping[int, int]]],
        owner: str,
        lease: float,
        clock: Clock,
        metrics: Metrics,
        log: Logger,
        poll: float = 0.1,
        check: float = 5.0,
    ) -> None:
        """``open_parts`` starts ``changes`` and ``store``. ``log_ends``: where the event log ends now.
        ``poll``: seconds between two looks for changes, ``check``: whether the topic still has what it had.
        """
        self._name = name
        self._topic = topic
        self._changes = changes
        self._store = store
        self._open_parts = open_parts
        self._log_ends = log_ends
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._log = log
        self._poll = poll
        self._check = check
        self._opened = False
        self._progress = Progress(name, clock=clock, metrics=metrics, log=log)
        self._ends: dict[int, int] = {}

    def details(self) -> Mapping[str, object]:
        """How it is going, for health."""
        return self._progress.details()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set."""
        attempts = 0
        while not stop.is_set():
            try:
                await self._turn(stop)
                attempts, delay = 0, 0.0
            except (TransientError, FencedError) as error:
                self._progress.failed(error)
                attempts, delay = attempts + 1, backoff(attempts, first=_FIRST_DELAY, longest=_LONGEST_DELAY)
            except StopError as error:
                self._progress.stopped(error)
                delay = _STOPPED_SECONDS
            except Exception as error:  # noqa: BLE001 - a fault here must not take deliveries down with it
                self._progress.broke(error)
                delay = _STOPPED_SECONDS
            await stopped_within(stop, delay)

    async def _turn(self, stop: asyncio.Event) -> None:
        """Publish until told to stop; or, while another process does, wait a little."""
        if not self._opened:
            await self._open_parts()
            self._opened = True
        asked_at = self._clock.monotonic()
        taken = await self._store.acquire(self._owner, self._lease)
        if isinstance(taken, str):
            self._progress.stands_by(taken)
            self._ends = {}
            await stopped_within(stop, self._lease / 3)
            return
        try:
            held = HeldLease(taken, f"topic {self._name}", self._clock, self._lease, asked_at=asked_at)
            async with keeping(self._store, held, name="entries-topic-lease", failed=self._progress.failed):
                await self._publish_all(held, stop)
        finally:
            await self._topic.close()

    async def _publish_all(self, held: HeldLease[int], stop: asyncio.Event) -> None:
        opened = await self._topic.open()
        # Only now: what an earlier writer has committed, it read before this.
        published = await self._store.published()
        why = _why_everything(published, opened, self._name, seen=self._ends)
        self._ends = dict(published.ends) if published is not None and why is None else dict(opened.ends)
        cursor = None if published is None or why is not None else published.cursor
        try:
            await self._keep_equal(cursor, why, opened, held, stop)
        except TopicEmptiedError:
            # What the checkpoint says is in the topic no more, although the topic may soon be as long again.
            await self._store.forget(held.lease)
            raise

    async def _keep_equal(
        self,
        cursor: Cursor | None,
        why: str | None,
        opened: OpenedTopic,
        held: HeldLease[int],
        stop: asyncio.Event,
    ) -> None:
        """Everything, where there is no cursor; then what changes."""
        while not stop.is_set():
            try:
                if cursor is None:
                    why = why or "the projection is another one"
                    cursor = await self._everything(why, opened, held, stop)
                if cursor is not None:
                    await self._follow(cursor, opened, held, stop)
            except CursorExpiredError as error:
                cursor, why = None, str(error)

    async def _everything(
        self, why: str, opened: OpenedTopic, held: HeldLease[int], stop: asyncio.Event
    ) -> Cursor | None:
        # With the old checkpoint a crash half-way would pass for a topic that has all.
        await self._store.forget(held.lease)
        self._log.info("entries_topic_everything", topic=self._name, reason=why)
        self._progress.does("waiting")
        await caught_up(self._store, self._log_ends, stop, partial(self._pause, held, stop))
        self._progress.does("everything")
        whole = await publish_whole(self._topic, self._changes, held, self._publish, stop)
        if whole is None:
            return None
        await self._note(held, whole.cursor, opened, whole=True)
        self._log.info(
            "entries_topic_complete", topic=self._name, entries=whole.entries, removed=whole.removed
        )
        return whole.cursor

    async def _follow(
        self, cursor: Cursor, opened: OpenedTopic, held: HeldLease[int], stop: asyncio.Event
    ) -> None:
        """Publish what changes after ``cursor``. Raises CursorExpiredError."""
        noted, noted_at = cursor, self._clock.monotonic()
        checked_at = noted_at
        while not stop.is_set():
            held.check()
            page = await self._changes.changes(None, cursor, _PAGE)
            await self._publish(await records_in_turns(page.changes))
            self._progress.does("publishing")
            cursor = page.cursor
            if page.caught_up:
                self._progress.complete()
            now = self._clock.monotonic()
            if cursor != noted and now - noted_at >= _NOTE_SECONDS:
                await self._note(held, cursor, opened)
                noted, noted_at = cursor, now
            if now - checked_at >= self._check:
                await self._topic.check()
                checked_at = now
            if page.caught_up:
                await stopped_within(stop, self._poll)
        if cursor != noted:
            await self._note(held, cursor, opened)

    async def _publish(self, records: Sequence[TopicRecord]) -> None:
        if not records:
            return
        began = self._clock.monotonic()
        self._ends.update(await self._topic.publish(records))
        values = sum(record.value is not None for record in records)
        self._progress.published(values, len(records) - values, self._clock.monotonic() - began)

    async def _note(
        self, held: HeldLease[int], cursor: Cursor, opened: OpenedTopic, *, whole: bool = False
    ) -> None:
        published = Published(cursor, opened.partitions, dict(self._ends))
        await self._store.note(held.lease, published, whole=whole)

    async def _pause(self, held: HeldLease[int], stop: asyncio.Event, seconds: float) -> None:
        held.check()
        await stopped_within(stop, seconds)


def _why_everything(
    published: Published | None, opened: OpenedTopic, name: str, *, seen: Mapping[int, int]
) -> str | None:
    """Why the checkpoint does not tell what the topic holds; None: it does.

    ``seen``: the ends that it had for this process, perhaps after the checkpoint was written.

    Raises StopError when partitions were added.
    """
    if published is None:
        return "nothing is known of what the topic holds"
    if any(opened.ends.get(number, 0) < end for number, end in (*published.ends.items(), *seen.items())):
        return "the topic was made anew"
    if published.partitions != opened.partitions:
        raise StopError(
            f"topic {name} has {opened.partitions} partitions and had {published.partitions}: keys would "
            "move, and subscribers would see entries in the wrong order. Name a new topic in ENTRIES_TOPIC"
        )
    return None
