"""Nothing is taken for gone that may be there, and nothing for there that cannot be."""

from collections.abc import Callable

import pytest

from consumer.errors import LogUnavailableError
from consumer.projection.base import EventQuery
from consumer.projection.reconcile_base import Mode
from consumer.voucherify.errors import (
    ForbiddenError,
    ProtocolError,
    ServerFailedError,
    UnauthorizedError,
    VoucherifyError,
)
from schemas.times import DAY, parse_time
from tests.fake_voucherify import faults
from tests.fake_voucherify.faults import Answering, Asked
from tests.manual_clock import ManualClock
from tests.reconcile.kit import PROJECT, Mirror, entry, webhook

ENTRIES = [entry(n) for n in range(30)]


async def loaded(mirror: Mirror) -> None:
    mirror.fake.bin.add(*ENTRIES)
    await mirror.reconcile("full")


async def offsets(mirror: Mirror) -> int:
    """The event log's end: a record appended now would stand there."""
    marker = webhook(entry(999), "elsewhere", 1)
    position = (await mirror.producer.append(marker)).position
    assert position is not None
    return position.offset


async def vanished(mirror: Mirror) -> int:
    query = EventQuery(project=PROJECT, type="binmirror.entry.vanished", limit=1000)
    return len(await mirror.reader.events(query))


async def test_an_empty_answer_empties_nothing(mirror: Mirror) -> None:
    """200 with an empty list, again and again, stops the run with words; only --force believes it."""
    await loaded(mirror)
    mirror.fake.script(faults.empty(), times=None)
    for _ in range(2):
        report = await mirror.reconcile("full")
        assert (report.outcome, report.missing) == ("stopped", 30)
        assert "lists nothing at all" in str(report.words)
        assert "--force" in str(report.words)
    assert await vanished(mirror) == 0
    known = await mirror.store.known(PROJECT)
    assert "lists nothing at all" in str(known.failure)
    forced = await mirror.reconcile("full", force=True, owner="ann")
    assert (forced.outcome, forced.tally["vanished"], forced.resumed) == ("done", 30, True)
    (line, *_) = await mirror.audit.lines()
    assert (line.who, line.filters["force"], line.result, line.counts) == (
        "ann",
        True,
        "done",
        {"vanished": 30},
    )


async def test_a_small_mirror_is_not_emptied_either(mirror: Mirror) -> None:
    """An empty answer is not believed however few entries there are."""
    mirror.fake.bin.add(ENTRIES[0])
    await mirror.reconcile("full")
    mirror.fake.bin.clear()
    assert (await mirror.reconcile("full")).outcome == "stopped"
    assert await mirror.states(ENTRIES[0]) == ["in_bin"]


@pytest.mark.parametrize(("listed", "allowed"), [(5, 3), (79, 3), (80, 4), (99, 4), (100, 5)])
async def test_too_many_at_once(mirror: Mirror, listed: int, allowed: int) -> None:
    """More than five percent stop the run, and say for which project to force it; three never do."""
    entries = [entry(n) for n in range(listed)]
    mirror.fake.bin.add(*entries)
    await mirror.reconcile("full")
    for one in entries[: allowed + 1]:
        mirror.fake.bin.remove(one.id)
    report = await mirror.reconcile("full")
    assert (report.outcome, report.missing) == ("stopped", allowed + 1)
    assert f"--project {PROJECT}`" in str(report.words)
    assert await vanished(mirror) == 0
    (line, _) = await mirror.audit.lines()
    assert (line.result, line.action) == ("partly", "reconcile")
    mirror.fake.bin.add(entries[0])
    report = await mirror.reconcile("full")
    assert (report.outcome, report.tally["vanished"], report.resumed) == ("done", allowed, False)


async def test_asked_again_before_it_is_said(mirror: Mirror) -> None:
    """An entry that a listing left out is asked for by its id, and stays."""
    await loaded(mirror)
    shorter = faults.body(faults.page(ENTRIES[:27]))
    mirror.fake.script(shorter)
    report = await mirror.reconcile("full")
    assert (report.outcome, report.missing, report.tally.get("vanished", 0)) == ("done", 3, 0)
    assert report.tally["same"] == 30
    assert "%24in" in mirror.fake.asked[-1].query


@pytest.mark.parametrize(
    ("answering", "error", "after"),
    [
        (faults.status(401), UnauthorizedError, 0),
        (faults.status(401), UnauthorizedError, 2),
        (faults.status(403), ForbiddenError, 1),
        (faults.status(403), ForbiddenError, 2),
        (faults.status(500), ServerFailedError, 1),
        (faults.html(), ProtocolError, 0),
        (faults.html(), ProtocolError, 2),
        (faults.body(b'{"object": "list", "data": "none", "has_more": false}'), ProtocolError, 1),
        (faults.repeating(), ProtocolError, 0),
    ],
    ids=lambda value: value if isinstance(value, int) else getattr(value, "__name__", "answer"),
)
async def test_failures_say_nothing(
    mirror: Mirror, answering: Answering, error: type[VoucherifyError], after: int
) -> None:
    """Whatever fails, at the first page, a later one or the second question: no entry is taken for gone."""
    await loaded(mirror)
    mirror.fake.bin.remove(ENTRIES[3].id)
    mirror.fake.script(answering, times=None, after=after)
    with pytest.raises(error):
        await mirror.reconcile("full", page_size=15, portion=1)
    assert await mirror.states(ENTRIES[3]) == ["in_bin"]
    assert await vanished(mirror) == 0
    assert (await mirror.store.known(PROJECT)).failure
    (line, _) = await mirror.audit.lines()
    assert line.result == "failed"
    mirror.fake.heal()
    report = await mirror.reconcile("full", page_size=15, portion=1)
    assert report.resumed == (not issubclass(error, ProtocolError))
    assert report.outcome == "done"
    assert await mirror.states(*ENTRIES[3:5]) == ["vanished", "in_bin"]


@pytest.mark.parametrize("mode", ["full", "incremental", "report"])
@pytest.mark.parametrize("endless", [faults.endless, faults.bottomless])
async def test_a_listing_without_end_changes_nothing(
    either: Mirror, mode: Mode, endless: Callable[[], Answering]
) -> None:
    """Ever new entries in good order end the run before any of them is told of."""
    await loaded(either)
    either.fake.script(endless(), times=None)
    before = await offsets(either)
    with pytest.raises(ProtocolError, match="does not end"):
        await either.reconcile(mode, portion=2)
    assert await offsets(either) == before + 1
    run = await either.store.run(PROJECT, mode)
    assert run is not None
    assert (run.phase, run.tally) == ("failed", {})
    either.fake.heal()
    report = await either.reconcile(mode, portion=2)
    assert (report.outcome, report.resumed, report.drift) == ("done", False, 0)


async def test_a_listing_that_loses_its_end(mirror: Mirror) -> None:
    """One that is without end from some page on adds at most as much as had been read before."""
    mirror.fake.bin.add(*(entry(n) for n in range(64)))
    mirror.fake.script(faults.bottomless(), times=None, after=6)
    with pytest.raises(ProtocolError, match="does not end"):
        await mirror.reconcile("full", page_size=10, portion=1)
    run = await mirror.store.run(PROJECT, "full")
    assert run is not None
    assert run.tally["read"] == run.tally["lacking"] <= 2 * 40


async def test_a_bin_that_grows_has_an_end(mirror: Mirror) -> None:
    """However fast entries come and go while it is read, a bin is read to its end."""
    added = 0

    def before(_asked: Asked) -> None:
        nonlocal added
        if added < 30:
            mirror.fake.bin.remove(entry(1000 + added - 1).id)
            mirror.fake.bin.add(*(entry(1000 + added + more) for more in range(20)))
            added += 10

    mirror.fake.bin.add(*ENTRIES)
    mirror.fake.before = before
    report = await mirror.reconcile("full", page_size=10, portion=1)
    assert (report.outcome, report.missing) == ("done", 0)
    assert report.tally["lacking"] >= 60


async def test_the_young_are_left_alone(mirror: Mirror) -> None:
    """What was deleted in the last ten minutes is never taken for gone: the listing may not show it yet."""
    now = mirror.clock.now()
    old, young, webhook_only = entry(1), entry(2, at=now - 300_000_000), entry(3)
    mirror.fake.bin.add(entry(4))
    await mirror.say(
        webhook(old, PROJECT, parse_time(old.created_at)),
        webhook(young, PROJECT, now - 300_000_000),
        webhook(webhook_only, PROJECT, now - 300_000_000),
    )
    report = await mirror.reconcile("full")
    assert report.tally["vanished"] == 1
    await mirror.applied()
    assert await mirror.states(old, young, webhook_only) == ["vanished", "deleted", "deleted"]


async def test_the_young_after_a_wrong_clock(mirror: Mirror) -> None:
    """Nor when an earlier run was started by a clock that was a day ahead."""
    now = mirror.clock.now()
    young = entry(2, at=now - 300_000_000)
    mirror.fake.bin.add(entry(4))
    await mirror.reconcile("full", clock=ManualClock(now + DAY))
    await mirror.deleted(young)
    report = await mirror.reconcile("full")
    assert report.started_at > now + DAY
    await mirror.applied()
    assert await mirror.states(young) == ["deleted"]


async def test_later_evidence_is_not_overruled(mirror: Mirror) -> None:
    """A deletion that is reported while a run is under way outlasts the run's older word."""
    mirror.fake.bin.add(*ENTRIES)
    await mirror.reconcile("full")
    late = ENTRIES[0]
    mirror.fake.bin.remove(late.id)
    soon = mirror.clock.now() + 60_000_000
    await mirror.say(webhook(late, PROJECT, soon, soon))
    await mirror.reconcile("full")
    assert await mirror.states(late) == ["deleted"]


async def test_the_log_away(mirror: Mirror) -> None:
    """While the event log does not answer nothing is noted as read, and the run goes on later."""
    mirror.fake.bin.add(*ENTRIES)
    await mirror.producer.stop()
    with pytest.raises(LogUnavailableError):
        await mirror.reconcile("full", lease=1e6, clock=ManualClock())
    run = await mirror.store.run(PROJECT, "full")
    assert run is not None
    assert (run.phase, run.position, run.tally) == ("reading", None, {})
