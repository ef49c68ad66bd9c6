"""Reconciling by itself, in a process that lives: what is new often, everything daily.

Every process with a worker has such a schedule. The lease lets one of them work on a project; what was done
stands in the database, so that the others do not do it again. Whatever goes wrong is logged, counted and
tried again; it never ends the process.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from consumer.clock import Clock
from consumer.errors import BinmirrorError
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.ops.reconcile import Reconciler
from consumer.ops.reconcile_lease import BusyError
from consumer.ops.reconcile_webhook import ProjectReconciliation, reconciliation
from consumer.projection.reconcile_base import Known, Mode, ReconcileStore, Run
from consumer.waiting import stopped_within
from schemas.times import SECOND

_LOOK_SECONDS: Final = 30.0
"""Between two looks at what is due, at most."""
_RETRY_SECONDS: Final = 60.0
_FULL_RETRY_SECONDS: Final = 900.0


def due(known: Known, full: Run | None, *, every: float, full_every: float) -> Mode | None:
    """What is to be done now; ``full`` is the latest full run.

    ``every``, ``full_every``: seconds, 0 for never. One that failed is tried again sooner than that, but one
    that was stopped because so much is missing waits for its time, or for a person.
    """
    if known.first_full_at is None or (full_every and _over(known.full_done_at, full_every, known)):
        stopped = full is not None and full.phase == "stopped"
        retry = full_every or every if stopped else min(_FULL_RETRY_SECONDS, every or full_every)
        if _over(known.full_tried_at, retry, known):
            return "full"
    if not every or known.first_full_at is None:
        return None
    if _over(known.done_at, every, known) and _over(known.tried_at, min(_RETRY_SECONDS, every), known):
        return "incremental"
    return None


def _over(moment: int | None, seconds: float, known: Known) -> bool:
    # A moment to come was noted before the clock was set back: nobody knows how long ago that was.
    return moment is None or not 0 <= known.now - moment < seconds * SECOND


class Schedule:
    """Reconciles projects when it is time. ``open_parts`` starts what the reconcilers work with."""

    def __init__(
        self,
        reconcilers: Mapping[str, Reconciler],
        store: ReconcileStore,
        open_parts: Callable[[], Awaitable[None]],
        *,
        every: float,
        full_every: float,
        owner: str,
        clock: Clock,
        log: Logger,
        metrics: Metrics,
    ) -> None:
        self._reconcilers = reconcilers
        self._store = store
        self._open_parts = open_parts
        self._every = every
        self._full_every = full_every
        self._owner = owner
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self._seen: dict[str, ProjectReconciliation] = {}
        self._warned: set[str] = set()

    def details(self) -> Mapping[str, Any]:
        """How each project is, as last seen, for health."""
        return {project: seen.as_dict() for project, seen in self._seen.items()}

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; a run that is under way then can be taken up by anyone later."""
        while not stop.is_set():
            try:
                await self._open_parts()
                break
            except BinmirrorError as error:
                self._log.warning("reconcile_retry", project="", reason=str(error))
            await stopped_within(stop, min(_RETRY_SECONDS, self._look()))
        if not stop.is_set():
            await asyncio.gather(*(self._watch_over(project, stop) for project in self._reconcilers))

    def _look(self) -> float:
        return min(_LOOK_SECONDS, *(seconds for seconds in (self._every, self._full_every) if seconds))

    async def _watch_over(self, project: str, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self._turn(project, stop)
                await self._look_at_webhook(project)
            except BusyError:
                pass  # another process is at it
            except BinmirrorError as error:
                self._log.warning("reconcile_retry", project=project, reason=str(error))
            except Exception as error:  # noqa: BLE001 - a fault here must not take deliveries down with it
                self._metrics.reconcile_runs.labels(project, "failed").inc()
                self._log.error("reconcile_failed", project=project, reason=repr(error), exc_info=error)
            await stopped_within(stop, self._look())

    async def _turn(self, project: str, stop: asyncio.Event) -> None:
        """Do what is due."""
        full = await self._store.run(project, "full")
        mode = due(await self._store.known(project), full, every=self._every, full_every=self._full_every)
        if mode is None:
            return
        run = asyncio.create_task(
            self._reconcilers[project].run(mode, owner=self._owner), name=f"reconcile-{project}"
        )
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({run, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (run, stopping):
                task.cancel()
            await asyncio.wait({run, stopping})
        if not run.cancelled():
            run.result()

    async def _look_at_webhook(self, project: str) -> None:
        seen = await reconciliation(self._store, project, self._clock.now())
        self._seen[project] = seen
        self._metrics.webhook_missed.labels(project).set(seen.webhook.missed)
        words = seen.webhook.words
        if words is None:
            self._warned.discard(project)
        elif project not in self._warned:
            self._warned.add(project)
            self._log.warning("webhook_missed", project=project, number=seen.webhook.missed, reason=words)
