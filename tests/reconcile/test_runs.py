"""Runs that are cut, frozen, doubled, or that race with deliveries."""

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest

from consumer.errors import FencedError
from consumer.ops.reconcile_lease import BusyError
from consumer.projection.base import EventQuery
from schemas.times import parse_time
from schemas.trash_bin import BinQuery
from tests.fake_voucherify.faults import Asked, status
from tests.reconcile.kit import PROJECT, Mirror, entry, told, webhook

ENTRIES = [entry(n) for n in range(40)]
CUT: dict[str, Any] = {"page_size": 5, "portion": 2}


async def cut_after(mirror: Mirror, requests: int, **options: object) -> None:
    """Run, and be killed when Voucherify is asked once more."""
    asked = 0
    loop = asyncio.get_running_loop()

    def before(_asked: Asked) -> None:
        nonlocal asked
        asked += 1
        if asked > requests:
            loop.call_soon_threadsafe(task.cancel)

    task = asyncio.create_task(mirror.reconcile("full", **{**CUT, **options}))
    mirror.fake.before = before
    with pytest.raises(asyncio.CancelledError):
        await task
    mirror.fake.before = None


@pytest.mark.parametrize("requests", [1, 3, 5])
async def test_a_cut_run_goes_on_where_it_was(either: Mirror, requests: int) -> None:
    """Another process takes a cut run up, reads on from where its findings are durable, and ends it."""
    either.fake.bin.add(*ENTRIES)
    await cut_after(either, requests)
    run = await either.store.run(PROJECT, "full")
    assert run is not None
    either.fake.asked.clear()
    report = await either.reconcile("full", owner="another", **CUT)
    assert (report.resumed, report.run_id, report.tally["read"]) == (True, run.run_id, 40)
    first = either.fake.asked[0].query
    assert ("starting_after_id" in first) == (run.position is not None)
    if run.position is not None:
        assert run.position in first
    assert set(await either.states(*ENTRIES)) == {"in_bin"}


async def test_an_interrupted_run_says_so(mirror: Mirror) -> None:
    """The audit tells an interrupted run; whoever takes it up has a line about the rest."""
    mirror.fake.bin.add(*ENTRIES)
    await cut_after(mirror, 3)
    (line,) = await mirror.audit.lines()
    assert line.result == "interrupted"
    await mirror.reconcile("full", owner="another")
    (rest, first) = await mirror.audit.lines()
    assert first == line
    assert (rest.who, rest.result, rest.filters["run_id"]) == ("another", "done", line.filters["run_id"])
    # A portion that was being noted when the run was cut is in nobody's line.
    assert 40 - 10 <= line.counts.get("read", 0) + rest.counts["read"] <= 40


async def test_what_was_seen_before_the_cut_counts(mirror: Mirror) -> None:
    """Marks outlive the process: what was seen before the cut is not missing after it."""
    mirror.fake.bin.add(*ENTRIES)
    await mirror.reconcile("full")
    mirror.fake.bin.remove(ENTRIES[30].id)
    await cut_after(mirror, 4)
    report = await mirror.reconcile("full", **CUT)
    assert (report.resumed, report.missing, report.tally["vanished"]) == (True, 1, 1)


async def test_one_at_a_time(either: Mirror) -> None:
    """While one process works on a project another is refused, with the name of the first."""
    either.fake.bin.add(*ENTRIES)
    second: list[BaseException | None] = []
    loop = asyncio.get_running_loop()

    async def intrude() -> None:
        try:
            await either.reconcile("full", owner="second")
        except BusyError as error:
            second.append(error)

    tasks: list[Future[None]] = []

    def before(_asked: Asked) -> None:
        if not tasks:
            tasks.append(asyncio.run_coroutine_threadsafe(intrude(), loop))

    either.fake.before = before
    report = await either.reconcile("full", owner="first", **CUT)
    await asyncio.wrap_future(tasks[0])
    assert report.tally["read"] == 40
    assert "by first" in str(second[0])
    assert "another" not in str((await either.reconcile("full", owner="second")).words)


async def test_a_frozen_process_is_fenced(either: Mirror) -> None:
    """A process whose lease ran out while it was frozen changes nothing any more when it wakes."""
    either.fake.bin.add(*ENTRIES)
    lease = await either.store.acquire(PROJECT, "frozen", 0.001)
    assert not isinstance(lease, str)
    run = await either.store.begin(lease, "full", "frozen-run", either.clock.now())
    report = await either.reconcile("full", owner="awake")
    assert (report.resumed, report.run_id) == (True, "frozen-run")
    for late in (
        either.store.step(lease, run._replace(position="nonsense"), {"voucher": ["v"]}),
        either.store.end(lease, run, None),
        either.store.renew(lease, 30),
        either.store.begin(lease, "full", "another", 0),
    ):
        with pytest.raises(FencedError):
            await late
    found = await either.store.run(PROJECT, "full")
    assert found is not None
    assert (found.phase, found.position) == ("done", ENTRIES[-1].id)


async def test_a_run_that_loses_its_lease_stops(mirror: Mirror) -> None:
    """A run whose lease another process takes in the middle ends with an error, before it writes more."""
    mirror.fake.bin.add(*ENTRIES)
    loop = asyncio.get_running_loop()
    asked = 0

    def before(_asked: Asked) -> None:
        nonlocal asked
        asked += 1
        if asked == 7:  # the first portion is noted by then
            taking = mirror.store.acquire(PROJECT, "slow", 30)
            taken = asyncio.run_coroutine_threadsafe(taking, loop)
            assert not isinstance(taken.result(10), str)

    mirror.fake.before = before
    with pytest.raises(FencedError):
        await mirror.reconcile("full", owner="slow", **CUT)
    mirror.fake.before = None
    run = await mirror.store.run(PROJECT, "full")
    assert run is not None
    assert run.tally.get("read", 0) < 40


async def test_a_new_run_starts_after_the_last(mirror: Mirror) -> None:
    """A clock that was set back does not make an older run outweigh a newer one."""
    lease = await mirror.store.acquire(PROJECT, "me", 30)
    assert not isinstance(lease, str)
    first = await mirror.store.begin(lease, "full", "r1", 5_000)
    second = await mirror.store.begin(lease, "report", "r2", 4_000)
    third = await mirror.store.begin(lease, "incremental", "r3", 4_000)
    assert first.started_at < second.started_at < third.started_at


async def test_listing_while_ids_change(either: Mirror) -> None:
    """Who pages through the mirror while real ids replace provisional ones sees each entry once."""
    await either.say(*(webhook(one, PROJECT, parse_time(one.created_at) + 5_000_000) for one in ENTRIES))
    either.fake.bin.add(*ENTRIES, *(entry(n, "sku") for n in range(100, 120)))
    for order in ("id", "-id"):
        seen: list[str] = []
        after: str | None = None
        while True:
            query = BinQuery(limit=7, after_id=after, order=order)
            page = await either.reader.list_bin(PROJECT, query)
            seen += [one.key.resource_id for one in page.entries]
            if not page.has_more:
                break
            after = page.entries[-1].id
            if len(seen) == 14:
                await either.reconcile("full")
                await either.applied()
        assert len(seen) == len(set(seen))
        assert {one.resource_id for one in ENTRIES} <= set(seen)


async def test_racing_with_deliveries(either: Mirror) -> None:
    """Deliveries and reconciling may meet on a resource in any order: the entry is the same."""
    either.fake.bin.add(*ENTRIES)

    async def deliver(project: str) -> None:
        for one in ENTRIES:
            record = webhook(one, project, parse_time(one.created_at))
            position = (await either.producer.append(record)).position
            assert position is not None
            either.appended = position.offset + 1

    await deliver("first")
    await either.applied()
    await either.reconcile("full", project="first")
    await either.reconcile("full", project="then")
    await deliver("then")
    await asyncio.gather(deliver("both"), either.reconcile("full", project="both", **CUT))
    await either.applied()
    results = [await either.held(*ENTRIES, project=name) for name in ("first", "then", "both")]
    assert results[0] == results[1] == results[2]
    assert {one.state for one in results[0] if one is not None} == {"in_bin"}


async def test_telling_twice_counts_once(mirror: Mirror) -> None:
    """A run killed between its records and its note tells them again: the same events."""
    mirror.fake.bin.add(*ENTRIES[:3])
    lease = await mirror.store.acquire(PROJECT, "me", 30)
    assert not isinstance(lease, str)
    run = await mirror.store.begin(lease, "full", "seed-1", 1_800_000_000_000_000)
    early = [told("observed", one, PROJECT, run.started_at) for one in ENTRIES[:3]]
    await mirror.say(*early, *early)
    assert len(await mirror.reader.events(EventQuery(project=PROJECT))) == 3


async def test_a_slow_voucherify_keeps_the_lease(mirror: Mirror) -> None:
    """The lease is renewed while a run waits."""
    mirror.fake.bin.add(*ENTRIES)
    mirror.fake.script(status(429, {"Retry-After": "1"}), times=1)
    async with mirror.client(clock=mirror.clock) as client:
        report = await mirror.reconciler(client, lease=0.5).run("full", owner="me")
    assert report.tally["read"] == 40


async def test_marks_are_kept_as_long_as_they_are_needed(either: Mirror) -> None:
    """A report in between leaves a cut run what it has seen; once all are done no marks are left."""
    either.fake.bin.add(*ENTRIES)
    await either.reconcile("full")
    await cut_after(either, 5)
    assert (await either.reconcile("report")).drift == 0
    report = await either.reconcile("full", **CUT)
    assert (report.resumed, report.outcome, report.missing) == (True, "done", 0)
    left = await either.store.look(lambda connection: connection.exec_driver_sql(_COUNT).scalar())
    assert left == 0


_COUNT = "SELECT count(*) FROM reconcile_seen"
