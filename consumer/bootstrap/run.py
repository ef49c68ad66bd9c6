"""Runs the service on an event loop of its own."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from consumer.bootstrap.logs import logging_to_stderr
from consumer.bootstrap.server import bind
from consumer.bootstrap.service import Service
from consumer.bootstrap.versions import own_version
from consumer.clock import SystemClock
from consumer.settings import Settings, unknown_variables
from consumer.types import Role

if sys.platform != "win32":
    import resource

    import uvloop

T = TypeVar("T")

_OPEN_FILES: Final = 65_536


def serve(settings: Settings, roles: Sequence[Role]) -> int:
    """Run the service until it is stopped; the exit code.

    Raises:
        SettingsError: something that these roles need is not set, or the port cannot be had.
        TransientError, StopError: it cannot start.

    """
    settings.require(roles)
    _allow_connections()
    sock = bind(settings.host, settings.port)
    with sock, logging_to_stderr(level=settings.log_level, form=settings.log_format) as (log, flush):
        for name in unknown_variables():
            log.warning("setting_unknown", name=name)

        async def run() -> int:
            service = Service(
                settings, roles, sock, version=own_version(), clock=SystemClock(), log=log, flush_log=flush
            )
            return await service.run()

        return run_async(run())


def _allow_connections() -> None:
    """More open files, as far as the system lets us: each stream of changes keeps its connection."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on the fastest loop that there is."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    if sys.platform != "win32":
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)
