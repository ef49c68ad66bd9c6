"""Puts together what reconciling needs: Voucherify's client, the store, a producer, the audit."""

import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from consumer.bootstrap.names import process_name, user_name
from consumer.bootstrap.parts import direct_producer, projection_address
from consumer.clock import Clock, SystemClock
from consumer.errors import SettingsError
from consumer.eventlog.base import Producer
from consumer.log import Logger, Output, create_log
from consumer.metrics import Metrics
from consumer.ops.reconcile import Reconciler
from consumer.ops.reconcile_lease import LEASE_SECONDS, BusyWait
from consumer.ops.reconcile_pages import PORTION
from consumer.ops.reconcile_report import Progress, Report
from consumer.ops.reconcile_schedule import Schedule
from consumer.ops.reconcile_webhook import ProjectReconciliation, reconciliation
from consumer.ops.reconcile_work import Tools
from consumer.projection.control import SqlAudit
from consumer.projection.reconcile_base import Mode
from consumer.projection.reconcile_store import SqlReconcileStore
from consumer.settings import Settings
from consumer.types import VoucherifyAccess
from consumer.voucherify.client import VoucherifyClient
from consumer.voucherify.retry_policy import Wait

_RESERVE: Final = 0.2
"""The share of Voucherify's rate limit that a run without a person leaves to the project's other clients."""
_BUSY_SECONDS: Final = LEASE_SECONDS + 5
"""How long a person's run waits for another process: until the lease of a dead one has ended."""
_PAUSE: Final = 0.8
"""Seconds between two portions of such a run: it takes a tenth of the process, the rest is for deliveries.
That is some 4,000,000 entries an hour, more than most rate limits let through."""
_ALONE: Final = 40
"""Pages in a portion of a command's run: each portion waits for the worker's transaction once."""


def with_access(settings: Settings) -> dict[str, VoucherifyAccess]:
    """The projects whose bin at Voucherify can be asked."""
    return {
        name: project.voucherify
        for name, project in settings.resolved_projects().items()
        if project.voucherify is not None
    }


def make_client(
    access: VoucherifyAccess,
    *,
    clock: Clock,
    log: Logger,
    reserve: float = 0.0,
    on_wait: Callable[[Wait], None] | None = None,
) -> VoucherifyClient:
    """A client for one project's bin."""
    return VoucherifyClient(
        access.url,
        access.app_id,
        access.app_token,
        clock=clock,
        log=log,
        reserve=reserve,
        on_wait=on_wait,
        # Another binmirror lists by what an entry was first called, and shows what it is called now.
        strict_order=False,
    )


class ReconcileParts:
    """What all projects' reconciling shares; made at once, opened by ``start``."""

    def __init__(self, settings: Settings, *, clock: Clock, log: Logger, metrics: Metrics) -> None:
        self._clock = clock
        self._log = log
        self._metrics = metrics
        self.store = SqlReconcileStore(projection_address(settings))
        self._producer: Producer = direct_producer(settings, clock=clock, metrics=metrics)

    async def start(self) -> None:
        """Connect. May be called again after it failed.

        Raises ProjectionUnavailableError, SchemaMismatchError, LogUnavailableError, StopError.
        """
        await self.store.start()
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()
        await self.store.stop()

    def reconciler(self, project: str, client: VoucherifyClient, *, pause: float = 0.0) -> Reconciler:
        """``pause``, where deliveries are taken beside it: smaller portions, and time between them."""
        tools = Tools(
            client=client,
            store=self.store,
            producer=self._producer,
            clock=self._clock,
            log=self._log,
            metrics=self._metrics,
            audit=SqlAudit(self.store),
            portion=PORTION if pause else _ALONE,
            pause=pause,
        )
        return Reconciler(project, tools)


def make_schedule(
    settings: Settings, resources: AsyncExitStack, *, clock: Clock, log: Logger, metrics: Metrics
) -> Schedule | None:
    """What reconciles in a process that lives; None: no project can be, or nothing is to be done by itself.

    What it opens is closed with ``resources``.
    """
    projects = with_access(settings)
    if not projects or not (settings.reconcile_every or settings.reconcile_full_every):
        return None
    parts = ReconcileParts(settings, clock=clock, log=log, metrics=metrics)
    resources.push_async_callback(parts.stop)
    reconcilers = {}
    for name, access in projects.items():
        client = make_client(access, clock=clock, log=log, reserve=_RESERVE)
        resources.push_async_callback(client.aclose)
        reconcilers[name] = parts.reconciler(name, client, pause=_PAUSE)
    return Schedule(
        reconcilers,
        parts.store,
        parts.start,
        every=settings.reconcile_every,
        full_every=settings.reconcile_full_every,
        owner=f"schedule {process_name()}",
        clock=clock,
        log=log,
        metrics=metrics,
    )


def chosen_projects(settings: Settings, wanted: Sequence[str]) -> dict[str, VoucherifyAccess]:
    """The projects to reconcile: those wanted, or all that can be. Raises SettingsError."""
    possible = with_access(settings)
    for name in wanted:
        if name not in settings.resolved_projects():
            known = ", ".join(settings.resolved_projects())
            raise SettingsError(f"--project {name}: there is no such project; configured: {known}")
        if name not in possible:
            raise SettingsError(f"--project {name}: VOUCHERIFY_URL and its credentials are not set for it")
    if not possible:
        raise SettingsError(
            "VOUCHERIFY_URL, VOUCHERIFY_APP_ID and VOUCHERIFY_APP_TOKEN are not set, so Voucherify's bin "
            "cannot be read; for example BINMIRROR_VOUCHERIFY_URL=us1.api"
        )
    return {name: possible[name] for name in wanted or possible}


@asynccontextmanager
async def _opened(settings: Settings, log: Logger) -> AsyncIterator[ReconcileParts]:
    parts = ReconcileParts(settings, clock=SystemClock(), log=log, metrics=Metrics())
    try:
        await parts.start()
        yield parts
    finally:
        await parts.stop()


async def reconcile(
    settings: Settings,
    projects: dict[str, VoucherifyAccess],
    mode: Mode,
    *,
    force: bool,
    watch: Callable[[Progress], None],
    on_wait: Callable[[Wait], None],
    on_busy: Callable[[str], None],
) -> AsyncGenerator[Report, None]:
    """Reconcile one project after the other.

    Raises:
        VoucherifyError, TransientError, StopError, BusyError, FencedError

    """
    clock = SystemClock()
    log = create_log(Output(sys.stderr.buffer), level="critical", console=True)
    who = f"{user_name()} {process_name()}"
    async with _opened(settings, log) as parts:
        for name, access in projects.items():
            async with make_client(access, clock=clock, log=log, on_wait=on_wait) as client:
                yield await parts.reconciler(name, client).run(
                    mode, owner=who, force=force, watch=watch, waiting=BusyWait(_BUSY_SECONDS, on_busy)
                )


async def look_at_reconciling(settings: Settings) -> list[ProjectReconciliation]:
    """How reconciling is, for every project that can be. Raises ProjectionUnavailableError, StopError."""
    projects = with_access(settings)
    if not projects:
        return []
    store = SqlReconcileStore(projection_address(settings))
    try:
        await store.start()
        return [await reconciliation(store, name, SystemClock().now()) for name in projects]
    finally:
        await store.stop()
