"""The ASGI application: webhooks, the bin API, health and metrics, as far as the process has these roles.

The application holds no resources: whoever makes it starts and stops what it is given.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
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


def create_app(
    *,
    projects: Mapping[str, Project],
    producer: Producer | None,
    api: Api | None,
    health: Mapping[Role, HealthCheck],
    metrics: Metrics,
    clock: Clock,
    log: Logger,
    max_body_bytes: int,
    body_timeout: float,
    shutting_down: Callable[[], bool],
    about: Callable[[], Mapping[str, object]] = dict,
) -> ASGIApp:
    """The application.

    Args:
        projects: by name.
        producer: takes the webhooks, already started; None mounts no receiver.
        api: what the API asks, already started; None mounts no API.
        health: one check for each role of this process, and no others.
        metrics: where to count; also what ``/metrics`` shows.
        clock: stamps deliveries and measures.
        log: gets one line per delivery, and one per request that fails on our side.
        max_body_bytes: of a webhook.
        body_timeout: seconds for the whole body of a webhook to arrive.
        shutting_down: true from the stop signal on: webhooks are then answered 503.
        about: facts about the process beside its roles (version, …), for ``/health``.

    """
    credentials = Credentials(projects.values(), None if api is None else api.keys)
    routes: list[Route] = [] if api is None else api_routes(api, credentials, clock)
    lean = [] if api is None else lean_routes(api, credentials)
    routes += [*health_routes(HealthRoutes(health, credentials, about, log)), metrics_route(metrics)]
    routes += contract_routes(routes, _beside(producer, lean, max_body_bytes), about)
    fresh = None if api is None else api.freshness
    frame = Frame(routes, freshness=fresh, metrics=metrics, clock=clock, log=log, lean=lean)
    if producer is None:
        return frame
    receiver = Receiver(
        projects=projects,
        producer=producer,
        metrics=metrics,
        clock=clock,
        log=log,
        max_body_bytes=max_body_bytes,
        body_timeout=body_timeout,
        shutting_down=shutting_down,
    )
    return _Beside(receiver, frame)


def _beside(producer: Producer | None, lean: Sequence[LeanRoute], max_body_bytes: int) -> list[Documented]:
    """What is described, but is no route of Starlette's."""
    webhooks = () if producer is None else webhook_operations(max_body_bytes)
    return [*webhooks, *(route.documented for route in lean)]


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
