"""Makes the mirror agree with Voucherify's bin: reads it, compares, appends what it finds to the event log.

A run can be cut anywhere, by ``kill -9`` too, and taken up by any process: its position and what it has seen
are noted in one transaction, after its findings are durable. Their ids carry the run, so that a finding told
twice counts once. Entries are matched by project, type and resource id, never by the order of ids.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from consumer.errors import BinmirrorError, FencedError, TransientError
from consumer.ops.reconcile_lease import LEASE_SECONDS, BusyWait, holding
from consumer.ops.reconcile_pages import overlapping
from consumer.ops.reconcile_report import Progress, Report
from consumer.ops.reconcile_work import Tools, Work
from consumer.projection.control_base import AuditResult
from consumer.projection.held_lease import HeldLease
from consumer.projection.reconcile_base import Known, Lease, Mode, Run
from consumer.voucherify.errors import ProtocolError
from schemas.times import DAY, SECOND, Micros

RESUMABLE: Final[Micros] = 7 * DAY
"""How old a run may be to be taken up again."""
_AUDIT_SECONDS: Final = 5.0


class Reconciler:
    """Reconciles one project."""

    def __init__(self, project: str, tools: Tools, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._project = project
        self._tools = tools
        self._lease_seconds = lease_seconds

    async def run(
        self,
        requested: Mode,
        *,
        owner: str,
        force: bool = False,
        watch: Callable[[Progress], None] | None = None,
        waiting: BusyWait | None = None,
    ) -> Report:
        """Take up the latest run of this mode, or start one, and bring it to its end.

        ``incremental`` becomes ``full`` for as long as none has been completed. ``force``: take entries for
        gone however many they are. ``report`` tells of the drift and changes nothing in the mirror.
        ``waiting``: for another process that is at it; None does not wait.

        Raises:
            BusyError: another process is at it.
            FencedError: another process has taken over.
            VoucherifyError: Voucherify cannot be read; the run can be taken up later.
            LogUnavailableError, ProjectionUnavailableError: likewise.

        """
        tools = self._tools
        async with holding(
            tools.store,
            self._project,
            owner,
            clock=tools.clock,
            log=tools.log,
            seconds=self._lease_seconds,
            waiting=waiting,
        ) as held:
            known = await tools.store.known(self._project)
            run, resumed = await self._begin(held, known, requested, force=force)
            work = Work(tools, held, known, run, resumed=resumed, watch=watch)
            async with self._audited(work, held.lease, force=force):
                try:
                    report = await work.carry_out(force=force)
                except FencedError:
                    raise
                except BinmirrorError as error:
                    await self._note_failure(held, work.run, error)
                    raise
        self._tell(report)
        return report

    @asynccontextmanager
    async def _audited(self, work: Work, lease: Lease, *, force: bool) -> AsyncIterator[None]:
        """A line of the audit about this share of the run: whoever takes it up again has one of his own."""
        audit, run = self._tools.audit, work.run
        if audit is None:
            yield
            return
        audit_id, before = f"{run.run_id}/{lease.epoch}", Counter(run.tally)
        filters = {"mode": run.mode, "force": force, "run_id": run.run_id}
        await audit.begin(audit_id, who=lease.owner, action="reconcile", project=run.project, filters=filters)
        result: AuditResult = "interrupted"
        try:
            yield
            result = "partly" if work.run.phase == "stopped" else "done"
        except BinmirrorError:
            result = "failed"
            raise
        finally:
            try:
                async with asyncio.timeout(_AUDIT_SECONDS):
                    counts = Counter(work.run.tally) - before
                    await audit.finish(audit_id, result=result, counts=counts)
            except (TransientError, TimeoutError) as error:
                self._tools.log.warning("reconcile_retry", project=run.project, reason=str(error))

    async def _begin(
        self, held: HeldLease[Lease], known: Known, requested: Mode, *, force: bool
    ) -> tuple[Run, bool]:
        mode: Mode = "full" if requested == "incremental" and known.first_full_at is None else requested
        now = self._tools.clock.now()
        run = await self._tools.store.run(self._project, mode)
        if run is not None and now - run.started_at < RESUMABLE and not _outdated(run, known):
            if run.phase in {"reading", "missing"}:
                return _with_overlap(run), True
            if run.phase == "stopped" and force:
                return run._replace(phase="missing"), True
        run_id = f"rec_{now:x}_{secrets.token_hex(4)}"
        run = await self._tools.store.begin(held.lease, mode, run_id, now)
        self._tools.log.info("reconcile_started", project=self._project, mode=mode, run_id=run_id)
        return _with_overlap(run), False

    async def _note_failure(self, held: HeldLease[Lease], run: Run, error: BinmirrorError) -> None:
        self._tools.metrics.reconcile_runs.labels(self._project, "failed").inc()
        self._tools.log.error(
            "reconcile_failed", project=self._project, mode=run.mode, run_id=run.run_id, reason=str(error)
        )
        if isinstance(error, ProtocolError):
            run = run._replace(phase="failed")  # where it stands may be nonsense
        try:
            await self._tools.store.end(held.lease, run, str(error))
        except BinmirrorError as another:
            self._tools.log.warning("reconcile_retry", project=self._project, reason=str(another))

    def _tell(self, report: Report) -> None:
        self._tools.metrics.reconcile_runs.labels(self._project, report.outcome).inc()
        if report.outcome == "done" and report.mode != "report":
            done = self._tools.metrics.reconcile_done.labels(self._project, report.mode)
            done.set(self._tools.clock.now() / SECOND)
        if report.outcome == "stopped":
            self._tools.log.warning("reconcile_ended", **report.as_dict())
        else:
            self._tools.log.info("reconcile_ended", **report.as_dict())


def _outdated(run: Run, known: Known) -> bool:
    """Whether a report was begun before the mirror was mended: what it has found so far is no longer true."""
    return run.mode == "report" and known.done_at is not None and known.done_at > run.started_at


def _with_overlap(run: Run) -> Run:
    if run.mode == "incremental" and not run.tally:
        return run._replace(position=overlapping(run.position))
    return run
