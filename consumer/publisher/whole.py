"""Publishes every entry, and removes from the topic what is no longer there.

This is for a topic of which nobody knows how far it has come: the first time, after a rebuild of the
projection, for a topic made anew. What the topic holds is read into a temporary file; what the projection
tells of is taken out of it; the rest is gone.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from consumer.eventlog.entries_base import EntriesTopic, TopicRecord
from consumer.eventlog.key_file import KeyFile
from consumer.projection.changes_base import ChangedEntry, Changes, Cursor
from consumer.projection.held_lease import HeldLease
from consumer.projection.publisher_base import PublisherStore
from consumer.publisher.records import is_listed, key_of, records_in_turns, tombstone_of

_PAGE: Final = 2_000
_LOOK_SECONDS: Final = 0.5

Publish = Callable[[Sequence[TopicRecord]], Awaitable[None]]


class Whole(NamedTuple):
    """What was done."""

    cursor: Cursor
    entries: int
    removed: int


async def caught_up(
    store: PublisherStore,
    log_ends: Callable[[], Awaitable[Mapping[int, int]]],
    stop: asyncio.Event,
    wait: Callable[[float], Awaitable[None]],
) -> None:
    """Return once the projection has applied what the log held when this was called.

    A projection that is being rebuilt lacks entries which it will have in a while: taken for the whole bin,
    it would have every subscriber forget them.
    """
    ends = await log_ends()
    while not stop.is_set():
        positions = await store.positions()
        if all(positions.get(number, 0) >= end for number, end in ends.items()):
            return
        await wait(_LOOK_SECONDS)


async def publish_whole(
    topic: EntriesTopic, changes: Changes, held: HeldLease[int], publish: Publish, stop: asyncio.Event
) -> Whole | None:
    """None: told to stop before the end. Raises what topic and changes do."""
    # Before anything is published: what is gone by now was not told of as being there by this run.
    began = await changes.now()
    entries = removed = 0
    async with KeyFile() as keys:
        async with aclosing(topic.held()) as portions:
            async for portion in portions:
                held.check()
                await keys.apply(portion)
                if stop.is_set():
                    return None
        cursor, more = None, True
        while more and not stop.is_set():
            held.check()
            page = await changes.changes(None, cursor, _PAGE)
            in_topic = await keys.take([key_of(change) for change in page.changes])
            told = [change for change in page.changes if _matters(change, in_topic, began)]
            await publish(await records_in_turns(told))
            entries += sum(map(is_listed, told))
            cursor, more = page.cursor, not page.caught_up
        while not stop.is_set() and (rest := await keys.rest(_PAGE)):
            held.check()
            await publish([tombstone_of(key) for key in rest])
            await keys.take(rest)
            removed += len(rest)
    return None if stop.is_set() or cursor is None else Whole(cursor, entries, removed)


def _matters(change: ChangedEntry, in_topic: set[bytes], began: Cursor) -> bool:
    """Nobody needs to hear that an entry is gone which the topic never had."""
    if is_listed(change) or key_of(change) in in_topic:
        return True
    return change.position.offset >= began.offsets.get(change.position.partition, 0)
