"""The ASGI application: webhooks, the bin API, health and metrics, as far as the process has these roles.

The application holds no resources: whoever makes it starts and stops what it is given.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from consumer.clock import Clock
from consumer.eventlog.base import Producer
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.types import HealthCheck, Project, Role
from consumer.web.api import Api, api_routes, lean_routes
from consumer.web.auth import Credentials
from consumer.web.contract.openapi import Documented
from consumer.web.contract.routes import contract_routes
from consumer.web.frame import Frame
from consumer.web.health import HealthRoutes, health_routes
from consumer.web.lean import LeanRoute
from consumer.web.metrics import metrics_route
from consumer.web.receiver import Receiver
from consumer.web.targets import PREFIX
from consumer.web.webhook_contract import webhook_operations

_UNDER: Final = PREFIX + "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """How webhooks are taken."""

    producer: Producer
    """Takes them, already started."""
    max_body_bytes: int
    body_timeout: float
    """Seconds for the whole body to arrive."""
    public_url: str | None = None
    """Where Voucherify reaches them, for their description."""


def create_app(
    *,
    projects: Mapping[str, Project],
    webhooks: Webhooks | None,
    api: Api | None,
    health: Mapping[Role, HealthCheck],
    metrics: Metrics,
    clock: Clock,
    log: Logger,
    shutting_down: Callable[[], bool],
    about: Callable[[], Mapping[str, object]] = dict,
) -> ASGIApp:
    """The application.

    Args:
        projects: by name.
        webhooks: None mounts no receiver.
        api: what the API asks, already started; None mounts no API.
        health: one check for each role of this process, and no others.
        metrics: where to count; also what ``/metrics`` shows.
        clock: stamps deliveries and measures.
        log: gets one line per delivery, and one per request that fails on our side.
        shutting_down: true from the stop signal on: webhooks are then answered 503.
        about: facts about the process beside its roles (version, …), for ``/health``.

    """
    credentials = Credentials(projects.values(), None if api is None else api.keys)
    routes: list[Route] = [] if api is None else api_routes(api, credentials, clock)
    lean = [] if api is None else lean_routes(api, credentials)
    routes += [*health_routes(HealthRoutes(health, credentials, about, log)), metrics_route(metrics)]
    version, public_url = str(about().get("version", "unknown")), webhooks.public_url if webhooks else None
    routes += contract_routes(routes, _beside(webhooks, lean), version=version, public_url=public_url)
    fresh = None if api is None else api.freshness
    frame = Frame(routes, freshness=fresh, metrics=metrics, clock=clock, log=log, lean=lean)
    if webhooks is None:
        return frame
    receiver = Receiver(
        projects=projects,
        producer=webhooks.producer,
        metrics=metrics,
        clock=clock,
        log=log,
        max_body_bytes=webhooks.max_body_bytes,
        body_timeout=webhooks.body_timeout,
        shutting_down=shutting_down,
    )
    return _Beside(receiver, frame)


def _beside(webhooks: Webhooks | None, lean: Sequence[LeanRoute]) -> list[Documented]:
    """What is described, but is no route of Starlette's."""
    operations = () if webhooks is None else webhook_operations(webhooks.max_body_bytes)
    return [*operations, *(route.documented for route in lean)]


class _Beside:
    """Webhooks to the receiver, everything else to the frame.

    Not a ``Route`` nor a ``Router``, and itself no coroutine: every layer around the receiver would cost
    deliveries. It takes its paths apart by itself.
    """

    def __init__(self, receiver: ASGIApp, frame: ASGIApp) -> None:
        self._receiver = receiver
        self._frame = frame

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope.get("path", "")
        if path == PREFIX or path.startswith(_UNDER):
            return self._receiver(scope, receive, send)
        return self._frame(scope, receive, send)
