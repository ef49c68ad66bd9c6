"""One process's share of a reconcile run: reading Voucherify's bin, then asking again for what is missing."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from consumer.clock import Clock
from consumer.errors import TransientError
from consumer.eventlog.base import Producer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.ops.log_appender import LogAppender
from consumer.ops.reconcile_findings import NEWS, by_type, judge, latest, observed, storable, vanished
from consumer.ops.reconcile_pages import PORTION, Group, read_ahead
from consumer.ops.reconcile_report import Progress, Report
from consumer.projection.control_base import Audit
from consumer.projection.held_lease import HeldLease
from consumer.projection.reconcile_base import Absent, Held, Key, Known, Lease, ReconcileStore, Run
from consumer.types import NewRecord
from consumer.voucherify.client import VoucherifyClient
from consumer.voucherify.paging import MAX_LIMIT
from schemas.text import MAX_TEXT
from schemas.times import MINUTE, Micros
from schemas.voucherify_bin import VoucherifyEntry

YOUNG: Final[Micros] = 10 * MINUTE
"""Entries younger than this are never taken for gone: Voucherify's listing may not show them yet."""
PATIENCE: Final = 60.0
"""Seconds for which a server of ours may be away before a run ends; it can be taken up later."""
SHARE: Final = 0.05
_TURN: Final = 100
_NAMED: Final = 5
"""Of the entries that cannot be held so many are named."""
A_FEW: Final = 3
"""More entries than this and than that share of the mirror are not taken for gone at once, unless forced.
Of a handful any single one is more than the share."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What a run works with; started and closed by whoever made them."""

    client: VoucherifyClient
    store: ReconcileStore
    producer: Producer
    clock: Clock
    log: Logger
    metrics: Metrics
    audit: Audit | None = None
    page_size: int = MAX_LIMIT
    portion: int = PORTION
    """Pages that are compared and noted together."""
    pause: float = 0.0
    """Seconds between two portions of about a thousand entries, for others to work in."""


class Work:
    """Carries a run on from where it stands; ``run`` says how far it has come."""

    def __init__(
        self,
        tools: Tools,
        held: HeldLease[Lease],
        known: Known,
        run: Run,
        *,
        resumed: bool,
        watch: Callable[[Progress], None] | None,
    ) -> None:
        self.run = run
        self._tools = tools
        self._project = run.project
        self._lease = held
        self._resumed = resumed
        self._watch = watch
        self._whole = run.mode != "incremental"
        self._writes = run.mode != "report"
        self._expected = known.full_entries if self._whole else None
        self._began = tools.clock.monotonic()
        self._read_before = run.tally.get("read", 0)
        self._read_now = 0
        self._appender = LogAppender(
            tools.producer, tools.store.positions, clock=tools.clock, patience=PATIENCE, retried=self._retried
        )
        self._retrying = self._appender.retrying
        self._listed = 0
        self._missing = 0
        self._unheld: list[str] = []
        self._words: str | None = None
        self._stands_still = False

    async def carry_out(self, *, force: bool) -> Report:
        """Everything that is left of the run."""
        store = self._tools.store
        self._listed = await self._retrying(lambda: store.listed(self._project))
        if self.run.phase == "reading":
            if self._whole:
                await self._forget_marks()
            await self._read()
        await self._wait_for_worker()
        if self._whole:
            await self._look_for_missing(force=force)
            await self._wait_for_worker()
        if self.run.phase != "stopped":
            self.run = self.run._replace(phase="done")
        if self._words is None and self._stands_still:
            self._words = "the worker stands still: what was found shows in the bin once it goes on"
        if self._words is None and self._unheld:
            self._words = _cannot_be_held(self._unheld)
        failure = self._words if self.run.phase == "stopped" else None
        await self._retrying(lambda: store.end(self._lease.lease, self.run, failure))
        if self._whole and self.run.phase == "done":
            await self._forget_marks()
        return self._report()

    def _report(self) -> Report:
        run = self.run
        return Report(
            project=run.project,
            mode=run.mode,
            run_id=run.run_id,
            outcome="stopped" if run.phase == "stopped" else "done",
            started_at=run.started_at,
            resumed=self._resumed,
            seconds=self._tools.clock.monotonic() - self._began,
            tally=run.tally,
            listed=self._listed,
            missing=self._missing,
            words=self._words,
        )

    # Reading

    async def _read(self) -> None:
        tools = self._tools
        pages = tools.client.pages(self.run.position, limit=tools.page_size)
        number = 0
        async for group in read_ahead(pages, self._saw_page, clock=tools.clock, portion=tools.portion):
            number += 1
            if not group.last and number.bit_count() == 1:
                # With portion 1, 2, 4, 8 …: before any of it is told, and then before it is twice as much.
                await tools.client.check_end(group.resume_id)
            await self._take(group)
            if tools.pause and not group.last:
                await tools.clock.sleep(tools.pause)

    async def _take(self, group: Group) -> None:
        """Compare a portion, append what is found, then note all of it at once."""
        entries = latest(group.entries)
        held = await self._held(entries)
        found = Counter({"read": len(group.entries)})
        records = await self._compare(entries, held, found)
        await self._append(records)
        position = group.resume_id or self.run.position
        phase = self.run.phase if not group.last else "missing"
        run = self.run._replace(position=position, phase=phase)
        await self._step(run, found, by_type(held) if self._whole else {})

    async def _compare(
        self, entries: Mapping[Key, VoucherifyEntry], held: Mapping[Key, Held], found: Counter[str]
    ) -> list[NewRecord]:
        records = []
        now = self._tools.clock.now()
        for number, (key, entry) in enumerate(entries.items(), 1):
            if number % _TURN == 0:
                await asyncio.sleep(0)  # others wait for the loop: deliveries, for example
            finding = judge(entry, held.get(key)) if storable(entry) else "skipped"
            if finding in NEWS:
                record = observed(entry, self.run, now)
                if record is None:
                    finding = "skipped"
                else:
                    records.append(record)
            if finding == "skipped" and entry.known and len(self._unheld) < _NAMED:
                self._unheld.append(entry.id)
            found[finding] += 1
        return records

    async def _held(self, entries: Mapping[Key, VoucherifyEntry]) -> Mapping[Key, Held]:
        wanted = by_type(key for key, entry in entries.items() if storable(entry))
        return await self._retrying(lambda: self._tools.store.held(self._project, wanted))

    def _saw_page(self, entries: int) -> None:
        self._read_now += entries
        if self._watch is not None:
            self._watch(
                Progress(
                    project=self._project,
                    mode=self.run.mode,
                    phase=self.run.phase,
                    read=self._read_before + self._read_now,
                    expected=self._expected,
                    read_now=self._read_now,
                    seconds=self._tools.clock.monotonic() - self._began,
                    per_minute=self._tools.client.rate(),
                )
            )

    # What is missing

    async def _look_for_missing(self, *, force: bool) -> None:
        self._missing = 0
        after: Key | None = None
        while True:
            absent = await self._absent(after)
            self._missing += len(absent.keys)
            if absent.after is None:
                break
            after = absent.after
        nothing = self.run.tally.get("read", 0) == 0
        allowed = 0 if nothing else max(A_FEW, SHARE * self._listed)
        if self._missing > allowed and not force and self._writes:
            self.run = self.run._replace(phase="stopped")
            self._words = _too_many(self._missing, self._listed, self._project, empty=nothing)
            return
        after = None
        while self._missing:
            absent = await self._absent(after)
            await self._ask_again(absent.keys)
            if absent.after is None:
                break
            after = absent.after

    async def _wait_for_worker(self) -> None:
        self._stands_still = not await self._appender.applied()

    async def _absent(self, after: Key | None) -> Absent:
        # A run starts after every earlier one, so in the future where the clock has been set back since.
        older_than = min(self.run.started_at, self._tools.clock.now()) - YOUNG
        return await self._retrying(
            lambda: self._tools.store.absent(self.run, older_than=older_than, after=after)
        )

    async def _ask_again(self, keys: Sequence[Key]) -> None:
        """Say that they vanished, unless Voucherify has them after all."""
        for resource_type, ids in by_type(keys).items():
            entries = await self._tools.client.find(resource_type, ids)
            again = {(resource_type, resource_id): entry for resource_id, entry in entries.items()}
            found = Counter[str]()
            records = await self._compare(again, await self._held(again), found)
            now = self._tools.clock.now()
            gone = [(resource_type, resource_id) for resource_id in ids if resource_id not in entries]
            records += [vanished(key, self.run, now) for key in gone]
            found["vanished"] += len(gone)
            await self._append(records)
            await self._step(self.run, found, {})

    # Noting

    async def _append(self, records: Sequence[NewRecord]) -> None:
        if records and self._writes:
            self._lease.check()
            await self._appender.append(records)

    async def _step(self, run: Run, found: Mapping[str, int], marks: Mapping[str, Sequence[str]]) -> None:
        run = run._replace(tally=dict(Counter(run.tally) + Counter(found)))
        await self._retrying(lambda: self._tools.store.step(self._lease.lease, run, marks))
        self.run = run
        if self._writes:
            for name, number in found.items():
                self._tools.metrics.reconcile_entries.labels(self._project, name).inc(number)

    async def _forget_marks(self) -> None:
        while await self._retrying(lambda: self._tools.store.forget_marks(self._lease.lease)):
            self._lease.check()

    def _retried(self, error: TransientError) -> None:
        self._tools.log.warning("reconcile_retry", project=self._project, reason=str(error))


def _too_many(missing: int, listed: int, project: str, *, empty: bool) -> str:
    what = "lists nothing at all" if empty else f"does not list {missing:,} of the {listed:,} entries here"
    return (
        f"Voucherify {what}. So many at once look like wrong credentials, a missing permission or another "
        "project's bin, so none was taken for gone. If they were really deleted for good, run "
        f"`binmirror reconcile --full --force --project {project}`"
    )


def _cannot_be_held(ids: Sequence[str]) -> str:
    named = ", ".join(ids) + (", …" if len(ids) == _NAMED else "")
    return f"left aside, because an id, name … has NUL or more than {MAX_TEXT} characters: {named}"
