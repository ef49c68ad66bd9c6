"""``binmirror serve``: the roles of one process, from start to the last closed file."""

import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

from consumer.bootstrap.api import make_api
from consumer.bootstrap.entries_topic import make_publisher
from consumer.bootstrap.health import health_with, producer_health
from consumer.bootstrap.parts import Parts
from consumer.bootstrap.reconcile import make_schedule
from consumer.bootstrap.server import HttpServer, create_server
from consumer.bootstrap.tasks import Tasks
from consumer.bootstrap.topic import look_at_start, look_later
from consumer.clock import Clock
from consumer.eventlog.base import Producer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.settings import Settings
from consumer.types import HealthCheck, Role
from consumer.web.api import Api
from consumer.web.app import Webhooks, create_app

ROLES: Final[Sequence[Role]] = ("receiver", "worker", "api")


class Service:
    """One process with one or more roles.

    Stopping, by signal or because a task failed: no new deliveries, those in flight are finished, the
    worker ends after its batch, then everything is closed; all of it under ``SHUTDOWN_DEADLINE``. A
    second signal ends the process at once.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Sequence[Role],
        sock: socket.socket,
        *,
        version: str,
        clock: Clock,
        log: Logger,
        flush_log: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._roles = [role for role in ROLES if role in roles]
        self._socket = sock
        self._version = version
        self._clock = clock
        self._log = log
        self._flush_log = flush_log
        self._metrics = Metrics()
        self._stop = asyncio.Event()
        """Set first: take nothing new."""
        self._leave = asyncio.Event()
        """Set when deliveries are finished: what serves them may end."""
        self._tasks = Tasks(self._stop, log)
        self._started = time.monotonic()
        self._parts = Parts(settings, clock=clock, metrics=self._metrics, log=log)

    async def run(self) -> int:
        """Serve until stopped; the exit code. Raises TransientError, StopError while starting."""
        self._handle_signals()
        async with AsyncExitStack() as resources:
            server = await self._start(resources)
            await self._stop.wait()
            await self._shut_down(server)
        code = 1 if self._tasks.failure else 0
        self._log.info("stopped", exit_code=code)
        return code

    async def _start(self, resources: AsyncExitStack) -> HttpServer:
        if not await look_at_start(self._settings, self._roles, self._log):
            later = look_later(self._settings, self._roles, self._log, self._stop)
            self._tasks.start("topic", later, endless=False)
        health: dict[Role, HealthCheck] = {}
        producer = await self._start_receiver(resources, health) if "receiver" in self._roles else None
        api = self._start_api(producer, resources, health) if "api" in self._roles else None
        if "worker" in self._roles:
            worker = self._parts.worker()
            health["worker"] = worker.health
            self._tasks.start("worker", worker.run(self._stop))
            self._start_reconciling(resources, health)
            self._start_publishing(resources, health)
        server = self._create_server(producer, api, {role: health[role] for role in self._roles})
        self._http = self._tasks.start("http", server.serve(sockets=[self._socket]))
        host, port = self._socket.getsockname()[:2]
        self._log.info("started", version=self._version, roles=self._roles, host=host, port=port)
        # What lives for as long as the process need not be looked at by every later collection.
        gc.collect()
        gc.freeze()
        # Deliveries make no cycles; by default the collector would look for some every few requests. A
        # batch of the worker's holds some 70,000 objects, which go as they came.
        gc.set_threshold(100_000, 20, 20)
        return server

    async def _start_receiver(self, resources: AsyncExitStack, health: dict[Role, HealthCheck]) -> Producer:
        producer, relay = self._parts.producer()
        resources.push_async_callback(producer.stop)
        await producer.start()
        health["receiver"] = partial(producer_health, producer)
        if relay is not None:
            self._tasks.start("relay", relay(self._leave))
        return producer

    def _start_reconciling(self, resources: AsyncExitStack, health: dict[Role, HealthCheck]) -> None:
        schedule = make_schedule(
            self._settings, resources, clock=self._clock, log=self._log, metrics=self._metrics
        )
        if schedule is not None:
            health["worker"] = partial(health_with, health["worker"], "reconcile", schedule.details)
            self._tasks.start("reconcile", schedule.run(self._stop))

    def _start_publishing(self, resources: AsyncExitStack, health: dict[Role, HealthCheck]) -> None:
        publisher = make_publisher(
            self._settings, resources, clock=self._clock, log=self._log, metrics=self._metrics
        )
        if publisher is not None:
            health["worker"] = partial(health_with, health["worker"], "entries_topic", publisher.details)
            self._tasks.start("publisher", publisher.run(self._stop))

    def _start_api(
        self, receiver: Producer | None, resources: AsyncExitStack, health: dict[Role, HealthCheck]
    ) -> Api:
        api, health["api"] = make_api(
            self._settings,
            receiver,
            self._parts.writer() if "worker" in self._roles else None,
            resources,
            self._tasks,
            stop=self._stop,
            clock=self._clock,
            log=self._log,
            metrics=self._metrics,
        )
        return api

    def _create_server(
        self,
        producer: Producer | None,
        api: Api | None,
        health: Mapping[Role, HealthCheck],
    ) -> HttpServer:
        settings = self._settings
        webhooks = None
        if producer is not None:
            webhooks = Webhooks(
                producer=producer,
                max_body_bytes=settings.max_body_bytes,
                body_timeout=settings.body_timeout,
                public_url=settings.public_url,
            )
        app = create_app(
            projects=settings.resolved_projects(),
            webhooks=webhooks,
            api=api,
            health=health,
            metrics=self._metrics,
            clock=self._clock,
            log=self._log,
            shutting_down=self._stop.is_set,
            about=self._about,
        )
        return create_server(app, shutdown_deadline=settings.shutdown_deadline)

    def _about(self) -> Mapping[str, object]:
        return {
            "version": self._version,
            "pid": os.getpid(),
            "uptime_seconds": round(time.monotonic() - self._started, 3),
            "event_log": str(self._settings.event_log),
            "projection": str(self._settings.projection),
        }

    async def _shut_down(self, server: HttpServer) -> None:
        deadline = self._clock.monotonic() + self._settings.shutdown_deadline
        server.should_exit = True
        await asyncio.wait({self._http}, timeout=self._settings.shutdown_deadline)
        self._leave.set()
        await self._tasks.finish(deadline - self._clock.monotonic())

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            self._flush_log()
            os._exit(128 + number)
        self._log.info("stopping", reason=number.name)
        self._stop.set()
