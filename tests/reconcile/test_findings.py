from consumer.projection.base import EventQuery
from schemas.times import parse_time
from schemas.trash_bin import BinQuery
from tests.fake_voucherify.app import FakeVoucherify
from tests.reconcile.kit import LONG_AGO, PROJECT, Mirror, entry, told, webhook

EARLIER = LONG_AGO + 86_400_000_000


async def test_first_run_loads_everything(either: Mirror) -> None:
    """The first run reads the whole bin, whatever was asked for, and all four resource types arrive."""
    wanted = [entry(n, kind) for n, kind in enumerate(["voucher", "campaign", "product", "sku"])]
    either.fake.bin.add(*wanted)
    report = await either.reconcile("incremental")
    assert (report.mode, report.outcome, report.tally) == ("full", "done", {"read": 4, "lacking": 4})
    page = await either.reader.list_bin(PROJECT, BinQuery(limit=100))
    assert [(one.id, one.key.resource_type, one.state) for one in page.entries] == [
        (one.id, one.resource_type, "in_bin") for one in wanted
    ]
    again = await either.reconcile("full")
    assert again.tally == {"read": 4, "same": 4}
    assert again.run_id != report.run_id


async def test_every_kind_of_drift(either: Mirror) -> None:
    """Each way of being wrong is found, named, and mended by one record of the log."""
    lacking, unconfirmed, other_name, back, purged, right, gone = map(entry, range(7))
    await either.say(
        webhook(unconfirmed, PROJECT, parse_time(unconfirmed.created_at)),
        told("observed", other_name._replace(resource_name="OLD"), PROJECT, EARLIER),
        told("vanished", back, PROJECT, EARLIER),
        told("purged", purged, PROJECT, EARLIER),
        told("observed", right, PROJECT, EARLIER),
        told("observed", gone, PROJECT, EARLIER),
    )
    either.fake.bin.add(lacking, unconfirmed, other_name, back, purged, right)
    expected = {
        "read": 6, "lacking": 1, "real_id": 1, "changed": 1, "back": 1, "purged_here_only": 1, "same": 1,
        "vanished": 1,
    }  # fmt: skip
    drift = await either.reconcile("report")
    assert (drift.tally, drift.drift) == (expected, 5)
    assert await either.states(lacking, gone) == [None, "in_bin"]
    report = await either.reconcile("full")
    assert report.tally == expected
    everything = (lacking, unconfirmed, other_name, back, purged, right, gone)
    await either.applied()
    assert (await either.reconcile("report")).drift == 0
    held = await either.held(*everything)
    assert [None if one is None else one.state for one in held] == [
        "in_bin", "in_bin", "in_bin", "in_bin", "purged", "in_bin", "vanished",
    ]  # fmt: skip
    assert held[1] is not None
    assert held[1].entry_id == unconfirmed.id
    assert held[2] is not None
    assert held[2].fields is not None
    assert held[2].fields.resource_name == other_name.resource_name
    events = await either.reader.events(EventQuery(project=PROJECT, type="binmirror.entry.vanished"))
    assert {
        row.event_id.startswith(f"bmev_{report.run_id}_")
        for row in events
        if row.resource_id == gone.resource_id
    } == {True}


async def test_gone_and_back_and_gone(mirror: Mirror) -> None:
    """in_bin, then vanished, then in_bin again, then vanished: each run believes what it sees."""
    one = entry(1)
    others = [entry(n) for n in range(2, 5)]
    mirror.fake.bin.add(one, *others)
    states = []
    for change in (None, mirror.fake.bin.remove, None, mirror.fake.bin.remove):
        if change is not None:
            change(one.id)
        else:
            mirror.fake.bin.add(one)
        await mirror.reconcile("full")
        await mirror.reconcile("report")  # waits for nothing, and disturbs nothing
        states += await mirror.states(one)
    assert states == ["in_bin", "vanished", "in_bin", "vanished"]


async def test_report_changes_nothing(mirror: Mirror) -> None:
    """A report appends no record, and does not count as a run."""
    mirror.fake.bin.add(*map(entry, range(3)))
    report = await mirror.reconcile("report")
    assert report.drift == 3
    assert await mirror.reader.events(EventQuery(project=PROJECT)) == []
    assert (await mirror.store.known(PROJECT))[1:] == (None,) * 8


async def test_incremental_reads_what_is_new(mirror: Mirror) -> None:
    """After a full run only entries near and after its end are read; what is gone stays for a full run."""
    old = [entry(n) for n in range(0, 9000, 30)]
    mirror.fake.bin.add(*old)
    await mirror.reconcile("full")
    new = entry(10_000, "product")
    mirror.fake.bin.add(new)
    mirror.fake.bin.remove(old[-1].id)
    report = await mirror.reconcile("incremental")
    assert report.tally["lacking"] == 1
    assert report.tally["read"] < 30
    assert await mirror.states(new, old[-1]) == ["in_bin", "in_bin"]


async def test_what_the_mirror_cannot_hold(mirror: Mirror) -> None:
    """A type that is not known yet, and text that no database stores, are counted and left aside, by name."""
    good = entry(1)
    mirror.fake.bin.add(
        good, entry(2)._replace(resource_type="gift"), entry(3)._replace(resource_id="a\0b"),
        entry(4)._replace(resource_name="a\0b"), entry(5)._replace(resource_name="x" * 600),
    )  # fmt: skip
    report = await mirror.reconcile("full")
    assert report.tally == {"read": 5, "lacking": 1, "skipped": 4}
    assert str(report.words).endswith(f"512 characters: {entry(3).id}, {entry(4).id}, {entry(5).id}")
    assert await mirror.states(good) == ["in_bin"]


async def test_a_name_left_out(mirror: Mirror) -> None:
    """An entry without a name is shown under its resource's id."""
    mirror.fake.bin.add(entry(1)._replace(resource_name=""))
    await mirror.reconcile("full")
    (held,) = await mirror.held(entry(1))
    assert held is not None
    assert held.fields is not None
    assert held.fields.resource_name == "voucher_1"
    assert (await mirror.reconcile("full")).tally == {"read": 1, "same": 1}


async def test_projects_do_not_mix(mirror: Mirror) -> None:
    """What one project's bin lacks says nothing about another's."""
    mirror.fake.bin.add(entry(1))
    await mirror.reconcile("full", project="one")
    mirror.slot.fake = FakeVoucherify()
    mirror.fake.bin.add(entry(2))
    await mirror.reconcile("full", project="other")
    assert await mirror.states(entry(1), entry(2), project="one") == ["in_bin", None]
    assert await mirror.states(entry(1), entry(2), project="other") == [None, "in_bin"]


async def test_audit(mirror: Mirror) -> None:
    """Each run leaves a line: who, what, with which result, how much."""
    mirror.fake.bin.add(entry(1))
    report = await mirror.reconcile("full")
    (line,) = await mirror.audit.lines()
    assert (line.who, line.action, line.project) == ("me", "reconcile", PROJECT)
    assert line.filters == {"mode": "full", "force": False, "run_id": report.run_id}
    assert line.result == "done"
    assert line.counts == {"read": 1, "lacking": 1}


async def test_findings_are_no_deliveries(either: Mirror) -> None:
    """What reconciling finds does not look as if the webhook were alive."""
    either.fake.bin.add(entry(1))
    await either.reconcile("full")
    assert (await either.reader.info()).last_deliveries == {}
    await either.deleted(entry(2), at=EARLIER)
    await either.reconcile("full")
    assert (await either.reader.info()).last_deliveries == {PROJECT: EARLIER}
