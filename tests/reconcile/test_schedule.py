"""Reconciling by itself, and what it says of the webhook."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from consumer.ops.reconcile_schedule import Schedule, due
from consumer.ops.reconcile_webhook import GRACE, reconciliation, webhook_health
from consumer.projection.reconcile_base import Known, Mode, Run
from tests.fake_voucherify import faults
from tests.fake_voucherify.faults import Asked
from tests.reconcile.kit import PROJECT, Mirror, entry, eventually, webhook

NOW = 1_800_000_000_000_000
FULL = Run(PROJECT, "full", "r", 1, "done", None, {})


def ago(seconds: float) -> int:
    return NOW - round(seconds * 1_000_000)


@pytest.mark.parametrize(
    ("known", "phase", "expected"),
    [
        (Known(NOW), "done", "full"),
        (Known(NOW, full_tried_at=ago(10)), "reading", None),
        (Known(NOW, full_tried_at=ago(901)), "reading", "full"),
        (Known(NOW, full_tried_at=ago(901)), "stopped", None),
        (Known(NOW, full_tried_at=ago(86_401)), "stopped", "full"),
        (Known(NOW, first_full_at=1, full_done_at=ago(100), done_at=ago(100)), "done", None),
        (Known(NOW, first_full_at=1, full_done_at=ago(1000), done_at=ago(301)), "done", "incremental"),
        (Known(NOW, first_full_at=1, full_done_at=ago(86_401), done_at=ago(9)), "done", "full"),
        (
            Known(NOW, first_full_at=1, full_done_at=ago(86_401), full_tried_at=ago(9), done_at=ago(301)),
            "stopped",
            "incremental",
        ),
        (
            Known(NOW, first_full_at=1, full_done_at=ago(999), done_at=ago(301), tried_at=ago(9)),
            "done",
            None,
        ),
    ],
)
def test_what_is_due(known: Known, phase: str, expected: Mode | None) -> None:
    """A full run daily, what is new in between; failures are tried again, a stop waits for its day."""
    full = FULL._replace(phase=phase)  # type: ignore[arg-type]  # a plain string
    assert due(known, full, every=300, full_every=86_400) == expected


def test_what_is_due_when_switched_off() -> None:
    """Without full runs of its own the first one still loads everything; without any, nothing is done."""
    never = Known(NOW)
    assert due(never, None, every=300, full_every=0) == "full"
    loaded = Known(NOW, first_full_at=1, full_done_at=1, done_at=1)
    assert due(loaded, None, every=300, full_every=0) == "incremental"
    assert due(loaded, None, every=0, full_every=86_400) == "full"
    assert due(loaded._replace(full_done_at=NOW), None, every=0, full_every=86_400) is None


def test_what_is_due_when_the_clock_was_set_back() -> None:
    """What was done at a time that is still to come is due, instead of in an hour or a year."""
    later = ago(-3600)
    ahead = Known(NOW, first_full_at=1, full_done_at=ago(999), done_at=later, tried_at=later)
    assert due(ahead, FULL, every=300, full_every=86_400) == "incremental"
    ahead = ahead._replace(full_done_at=later, full_tried_at=later)
    assert due(ahead, FULL, every=300, full_every=86_400) == "full"


@asynccontextmanager
async def scheduled(mirror: Mirror, *, every: float = 0.05, owner: str = "one") -> AsyncIterator[Schedule]:
    """A schedule that runs."""

    async def opened() -> None:
        return None

    stop = asyncio.Event()
    async with mirror.client() as client:
        schedule = Schedule(
            {PROJECT: mirror.reconciler(client)},
            mirror.store,
            opened,
            every=every,
            full_every=3600,
            owner=owner,
            clock=mirror.clock,
            log=mirror.log,
            metrics=mirror.metrics,
        )
        running = asyncio.create_task(schedule.run(stop))
        try:
            yield schedule
        finally:
            stop.set()
            await asyncio.wait_for(running, 10)


def counted(mirror: Mirror, outcome: str) -> float:
    number: float = mirror.metrics.reconcile_runs.labels(PROJECT, outcome)._value.get()
    return number


async def test_it_goes_by_itself(mirror: Mirror) -> None:
    """A full run first, then what is new, again and again; health has the details."""
    mirror.fake.bin.add(*(entry(n) for n in range(5)))
    async with scheduled(mirror) as schedule:

        async def has(number: int) -> bool:
            return await mirror.states(entry(number)) == ["in_bin"]

        await eventually(lambda: has(4))
        mirror.fake.bin.add(entry(9, at=mirror.clock.now()))
        await eventually(lambda: has(9))

        async def told() -> bool:
            return bool(schedule.details())

        await eventually(told)
        details = schedule.details()[PROJECT]
        assert details["failure"] is None
        assert details["last_full"] is not None


async def test_trouble_never_ends_it(mirror: Mirror) -> None:
    """Refused credentials are counted and logged; once they are right the schedule goes on."""
    mirror.fake.bin.add(entry(1))
    mirror.fake.script(faults.status(401), times=1)

    async def failed() -> bool:
        return counted(mirror, "failed") >= 1

    async def done() -> bool:
        return counted(mirror, "done") >= 1

    async with scheduled(mirror):
        await eventually(failed)
        await eventually(done)
    assert await mirror.states(entry(1)) == ["in_bin"]


async def test_two_schedules_share_the_work(mirror: Mirror) -> None:
    """Of two processes only one reconciles at a time, and neither repeats what the other has done."""
    mirror.fake.bin.add(*(entry(n) for n in range(5)))
    async with scheduled(mirror, every=3600, owner="one"), scheduled(mirror, every=3600, owner="other"):

        async def done() -> bool:
            return counted(mirror, "done") >= 1

        await eventually(done)
    assert counted(mirror, "done") == 1
    assert counted(mirror, "failed") == 0
    assert len(mirror.fake.asked) == 1


async def test_stopping_ends_a_run(mirror: Mirror) -> None:
    """A process that is told to stop leaves its run for another."""
    mirror.fake.bin.add(*(entry(n) for n in range(5)))
    mirror.fake.script(faults.hanging(), times=1)
    reached = asyncio.Event()
    loop = asyncio.get_running_loop()

    def before(_asked: Asked) -> None:
        loop.call_soon_threadsafe(reached.set)

    mirror.fake.before = before
    async with scheduled(mirror):
        await asyncio.wait_for(reached.wait(), 10)
    report = await mirror.reconcile("full", owner="another")
    assert (report.resumed, report.tally["read"]) == (True, 5)


async def test_a_webhook_that_is_silent(either: Mirror) -> None:
    """Vouchers and campaigns in the bin that no delivery told of are counted, once their grace is over."""
    now = either.clock.now()
    either.fake.bin.add(*(entry(n) for n in range(30)))
    await either.reconcile("full")
    known = await either.store.known(PROJECT)
    assert (await webhook_health(either.store, PROJECT, known, now)).words is None
    later = now + 7200_000_000  # two hours on
    known = known._replace(first_full_at=now - GRACE)
    moment = now - 600_000_000
    told, missed = entry(40, at=moment), entry(41, "campaign", at=moment + 1_000_000)
    child = entry(42, at=moment)._replace(resource_parent_id=missed.resource_id)
    either.fake.bin.add(told, missed, child, entry(43, "product", at=moment))
    await either.say(webhook(told, PROJECT, moment))
    await either.reconcile("incremental")
    health = await webhook_health(either.store, PROJECT, known, later)
    assert (health.missed, health.silent) == (1, True)
    assert "enable it again in Voucherify: Project settings" in str(health.words)
    assert (await webhook_health(either.store, PROJECT, known, now)).missed == 0
    await either.say(webhook(entry(50, at=now), PROJECT, now))
    health = await webhook_health(either.store, PROJECT, known, later)
    assert (health.missed, health.silent) == (1, False)
    assert "deliveries are missing" in str(health.words)


async def test_nothing_is_missed_before_the_first_run(mirror: Mirror) -> None:
    """What the first load brings was deleted before anybody listened."""
    mirror.fake.bin.add(entry(1, at=mirror.clock.now() - 5_000_000_000))
    await mirror.reconcile("full")
    seen = await reconciliation(mirror.store, PROJECT, mirror.clock.now())
    assert (seen.webhook.missed, seen.webhook.words, seen.failure) == (0, None, None)
    assert seen.as_dict()["webhook"]["looks_disabled"] is False
