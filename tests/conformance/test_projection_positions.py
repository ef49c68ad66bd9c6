"""The writer's contract, on SQLite and PostgreSQL: positions, owners, leases."""

import pytest

from consumer.errors import FencedError, LogMismatchError
from consumer.projection.base import EventQuery
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.store import SqlProjectionWriter
from schemas.trash_bin import BinQuery
from tests.manual_clock import ManualClock
from tests.projection_kit import LOG, MOMENT, PATIENCE, Feed, Said, eventually, writer


async def test_a_new_partition_starts_at_zero(store: SqlProjectionWriter) -> None:
    """A projection that never saw a partition starts it at offset 0, without a digest."""
    checkpoint = await store.acquire(LOG, 3, owner="me", lease=None)
    assert checkpoint is not None
    assert (checkpoint.next_offset, checkpoint.digest) == (0, None)


async def test_acquiring_again_shows_how_far_it_came(store: SqlProjectionWriter) -> None:
    """The position and its digest are stored with the batch."""
    feed = await Feed.of(store)
    await feed.push(Said(), Said("e2", resource_id="v2"))
    again = await store.acquire(LOG, 0, owner="me", lease=None)
    assert again is not None
    assert (again.next_offset, again.digest) == (2, b"digest of 1")
    assert again.epoch > feed.checkpoint.epoch


async def test_a_former_owner_is_fenced(store: SqlProjectionWriter, reader: SqlProjectionReader) -> None:
    """Once somebody else has acquired, a batch is refused as a whole."""
    former = await Feed.of(store)
    latter = await Feed.of(store)
    with pytest.raises(FencedError):
        await former.push(Said())
    assert (await reader.list_bin("p", BinQuery())).entries == []
    assert await reader.events(EventQuery()) == []
    await latter.push(Said())
    assert len((await reader.list_bin("p", BinQuery())).entries) == 1


async def test_a_batch_counts_once(store: SqlProjectionWriter) -> None:
    """The same batch again, or one that leaves a gap, is fenced off."""
    feed = await Feed.of(store)
    await feed.push(Said())
    for wrong in (0, 2):
        feed.offset = wrong
        with pytest.raises(FencedError):
            await feed.push(Said("e2"))


async def test_a_lease_keeps_others_out_until_it_ends(store: SqlProjectionWriter, address: str) -> None:
    """While a lease lasts nobody else acquires; released or run out, another does."""
    other = writer(address)
    await other.start()
    held = await store.acquire(LOG, 0, owner="me", lease=60)
    assert held is not None
    assert await other.acquire(LOG, 0, owner="you", lease=60) is None
    assert await store.acquire(LOG, 0, owner="me", lease=60) is not None
    await store.release(LOG, 0, epoch=held.epoch)  # not the present epoch: nothing happens
    assert await other.acquire(LOG, 0, owner="you", lease=60) is None
    await store.release(LOG, 0, epoch=held.epoch + 1)
    taken = await other.acquire(LOG, 0, owner="you", lease=0.05)
    assert taken is not None

    async def taken_back() -> bool:
        return await store.acquire(LOG, 0, owner="me", lease=60) is not None

    await eventually(taken_back)
    await other.stop()


async def test_a_clock_set_back(store: SqlProjectionWriter, address: str) -> None:
    """A lease given when the database's clock was an hour ahead keeps nobody out; its holder is fenced."""
    other = writer(address)
    await other.start()
    early = await store.acquire(LOG, 0, owner="me", lease=3600)
    assert early is not None
    assert await other.acquire(LOG, 0, owner="you", lease=60) is not None
    with pytest.raises(FencedError):
        await store.renew(LOG, 0, epoch=early.epoch, lease=60, end_seen=None)
    assert await store.acquire(LOG, 0, owner="me", lease=60) is None
    await other.stop()


async def test_renewing_and_committing_extend_a_lease(store: SqlProjectionWriter, address: str) -> None:
    """A lease of no length ends at once, unless renewed; a commit extends it by what was asked for."""
    other = writer(address)
    await other.start()
    held = await store.acquire(LOG, 0, owner="me", lease=0)
    assert held is not None
    await store.renew(LOG, 0, epoch=held.epoch, lease=60, end_seen=None)
    assert await other.acquire(LOG, 0, owner="you", lease=60) is None
    held = await store.acquire(LOG, 0, owner="me", lease=60)
    assert held is not None
    await store.renew(LOG, 0, epoch=held.epoch, lease=-1, end_seen=None)
    await Feed(store, held).push(Said())
    assert await other.acquire(LOG, 0, owner="you", lease=60) is None
    await other.stop()


async def test_an_owner_who_lost_the_partition_cannot_renew(store: SqlProjectionWriter) -> None:
    """Renewing with an epoch that is over is fenced."""
    held = await store.acquire(LOG, 0, owner="me", lease=60)
    assert held is not None
    await store.acquire(LOG, 0, owner="me", lease=60)
    with pytest.raises(FencedError):
        await store.renew(LOG, 0, epoch=held.epoch, lease=60, end_seen=0.0)


async def test_seeing_the_end_is_noted(address: str, reader: SqlProjectionReader) -> None:
    """The moment when the end was seen is stored by the database's clock, however long ago it was."""
    clock = ManualClock()
    store = writer(address, clock=clock)
    await store.start()
    feed = await Feed.of(store)
    assert (await reader.info()).checkpoints[0].caught_up_at is None
    seen = []
    for ago in (100.0, 0.0):
        end_seen = clock.monotonic() - ago
        await store.renew(LOG, 0, epoch=feed.checkpoint.epoch, lease=None, end_seen=end_seen)
        caught_up_at = (await reader.info()).checkpoints[0].caught_up_at
        assert caught_up_at is not None
        assert caught_up_at > MOMENT
        seen.append(caught_up_at)
    await store.stop()
    assert 100_000_000 <= seen[1] - seen[0] <= 100_000_000 + PATIENCE * 1_000_000


class _FreezingClock(ManualClock):
    """Lets 100 s pass after each reading of the monotonic clock, as when the process was frozen there."""

    def monotonic(self) -> float:
        reading = super().monotonic()
        self.advance(100.0)
        return reading


async def test_a_note_that_is_late_says_so(address: str, reader: SqlProjectionReader) -> None:
    """A worker that was frozen between looking and noting does not say that it looked just now."""
    moments = []
    for clock in (ManualClock(), _FreezingClock()):
        store = writer(address, clock=clock)
        await store.start()
        feed = await Feed.of(store)
        end_seen = clock.monotonic()
        await store.renew(LOG, 0, epoch=feed.checkpoint.epoch, lease=None, end_seen=end_seen)
        caught_up_at = (await reader.info()).checkpoints[0].caught_up_at
        assert caught_up_at is not None
        moments.append(caught_up_at)
        await store.stop()
    # 100 s before the database was asked, and 100 s while it was.
    assert 200_000_000 - PATIENCE * 1_000_000 <= moments[0] - moments[1] <= 200_100_000


async def test_partitions_that_nobody_has_acquired_are_known(
    store: SqlProjectionWriter, reader: SqlProjectionReader
) -> None:
    """They stand at the beginning, never seen to the end; acquiring goes on as ever."""
    feed = await Feed.of(store)
    await feed.push(Said())
    for _ in range(2):
        await store.know(LOG, [0, 1])
    found = [(row.partition, row.next_offset, row.caught_up_at) for row in (await reader.info()).checkpoints]
    assert found == [(0, 1, None), (1, 0, None)]
    assert (await Feed.of(store, partition=1)).offset == 0


async def test_another_log_is_refused(store: SqlProjectionWriter, address: str) -> None:
    """A projection built from one log is not continued from another; another consumer has its own."""
    await Feed.of(store)
    with pytest.raises(LogMismatchError, match="log-1"):
        await store.acquire("another", 0, owner="me", lease=None)
    for options in ({"consumer": "second"}, {"generation": 2}):
        side = writer(address, **options)
        await side.start()
        assert await side.acquire("another", 0, owner="me", lease=None) is not None
        await side.stop()
