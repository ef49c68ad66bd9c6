"""What every request but a webhook goes through: its id, its headers, its metrics, its error answers."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from consumer.clock import Clock
from consumer.errors import BinmirrorError
from consumer.log import Logger
from consumer.metrics import Metrics
from consumer.web.errors import REQUEST_ID_HEADER, RETRY_AFTER, Problem, ProblemError, new_request_id
from consumer.web.freshness import Freshness
from consumer.web.lean import UNAVAILABLE, LeanRoute
from schemas.errors import internal_error, method_not_allowed, not_found, service_unavailable

_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
_ASKS_PROJECTION: Final = ("/v1/trash-bin", "/mirror/v1/")
_NO_ROUTE: Final = "(none)"


class Frame:
    """The routes, with what they have in common around them."""

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        freshness: Freshness | None,
        metrics: Metrics,
        clock: Clock,
        log: Logger,
        lean: Sequence[LeanRoute] = (),
    ) -> None:
        self._freshness = freshness
        self._lean = tuple((route.prefix, route) for route in lean)
        self._metrics = metrics
        self._clock = clock
        self._log = log
        # Starlette types all handlers as taking any exception; each gets the class that it stands under.
        handlers: dict[Any, Any] = {
            ProblemError: _problem,
            HTTPException: _http_exception,
            BinmirrorError: _unavailable,
            Exception: _unexpected,
        }
        self.routes: tuple[Route | LeanRoute, ...] = (*routes, *lean)
        """For tests of what holds on every route."""
        starlette = Starlette(
            routes=routes,
            exception_handlers=handlers,
        )
        # A redirect would need to know the public address, and hide a client's wrong one.
        starlette.router.redirect_slashes = False
        self._app: ASGIApp = starlette

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = self._clock.monotonic()
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        extra = (*_HEADERS, (REQUEST_ID_HEADER, request_id.encode("ascii")))
        status = 0
        age = self._freshness.begin() if self._freshness is not None and _reads(scope) else None

        async def send_framed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in extra if each[0] not in own)]
                if age is not None:
                    message["headers"].append(age())
            await send(message)

        failure: Exception | None = None
        try:
            await self._app_for(scope["path"])(scope, receive, send_framed)
        except Exception as error:  # noqa: BLE001 - answered with 500 further in, and logged below
            failure = error
        finally:
            route = getattr(scope.get("route"), "path", _NO_ROUTE)
            seconds = self._clock.monotonic() - started
            self._metrics.requests.labels(route, str(status or "none")).inc()
            self._metrics.request_seconds.labels(route).observe(seconds)
        reason = failure or scope["state"].get("failure")
        if reason is not None:
            self._log.error(
                "request",
                route=route,
                status=status,
                request_id=request_id,
                duration_ms=round(seconds * 1000, 3),
                reason=str(reason),
                **({} if isinstance(reason, BinmirrorError) else {"exc_info": reason}),
            )

    def _app_for(self, path: str) -> ASGIApp:
        for prefix, route in self._lean:
            if path.startswith(prefix):
                return route
        return self._app


def _reads(scope: Scope) -> bool:
    """Whether the request asks the projection."""
    path: str = scope["path"]
    return path.startswith(_ASKS_PROJECTION) and scope["method"] != "DELETE"


def _answer(request: Request, problem: Problem) -> Response:
    headers = {name.decode("ascii"): value.decode("ascii") for name, value in problem.headers}
    content = problem.content(request.state.request_id)
    return Response(content, problem.body.code, headers, media_type="application/json")


async def _problem(request: Request, error: ProblemError) -> Response:
    return _answer(request, error.problem)


async def _http_exception(request: Request, error: HTTPException) -> Response:
    """What the router raises: 404 and 405."""
    if error.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return _answer(request, Problem(not_found("There is nothing at this path.")))
    known = (error.headers or {}).get("Allow", "")
    allow = ", ".join([*sorted(filter(None, known.split(", "))), "OPTIONS"])
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allow})
    return _answer(request, Problem(method_not_allowed(allow), ((b"allow", allow.encode("ascii")),)))


async def _unavailable(request: Request, error: Exception) -> Response:
    request.state.failure = error
    return _answer(request, Problem(service_unavailable(UNAVAILABLE), RETRY_AFTER))


async def _unexpected(request: Request, _: Exception) -> Response:
    return _answer(request, Problem(internal_error()))
