"""How the process is doing: ``/health/live``, ``/health/ready``, ``/health/ready/{role}``, ``/health``."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, get_args

from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from consumer.errors import BinmirrorError
from consumer.log import Logger
from consumer.types import Health, HealthCheck, Role
from consumer.web.auth import Credentials
from consumer.web.contract.describe import (
    INTERNAL,
    UNAUTHORIZED,
    UNREADABLE,
    Answer,
    Content,
    DescribedRoute,
    ErrorAnswer,
    Operation,
    Parameter,
)
from schemas.answers import HealthReport, Liveness, NotReady, Readiness
from schemas.errors import missing_permission, not_found

CHECK_SECONDS: Final = 3.0
"""A check that takes longer counts as not ready: a load balancer gives up at about that time."""


class HealthRoutes:
    """The endpoints. Readiness is each role's own.

    A load balancer asks ``/health/ready`` whether to send deliveries here: where there is a receiver, its
    word alone decides, whatever trouble the other roles of the process have.
    """

    def __init__(
        self,
        checks: Mapping[Role, HealthCheck],
        credentials: Credentials,
        about: Callable[[], Mapping[str, object]],
        log: Logger,
    ) -> None:
        self._checks = checks
        self._credentials = credentials
        self._about = about
        self._log = log

    async def live(self, _: Request) -> Response:
        """200 for as long as the event loop turns."""
        return _json(200, {"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """200, or 503 with the roles that are not ready: one line each, no details."""
        found = await self._check_all()
        deciding: Mapping[Role, Health] = found
        if "receiver" in found:
            deciding = {"receiver": found["receiver"]}
        return _readiness(request, found, deciding)

    async def role_ready(self, request: Request) -> Response:
        """The same of one role; 404 when this process does not have it."""
        role = next((role for role in self._checks if role == request.path_params["role"]), None)
        if role is None:
            raise HTTPException(404)
        found = {role: await self._check(role)}
        return _readiness(request, found, found)

    async def report(self, request: Request) -> Response:
        """Everything there is to know, for holders of any project's credentials. Always 200."""
        await self._credentials.authenticate(request.headers)
        found = await self._check_all()
        ready = all(health.ready for health in found.values())
        roles = {
            role: {"ready": health.ready, "summary": health.summary, "details": dict(health.details)}
            for role, health in found.items()
        }
        return _json(200, {"status": "ready" if ready else "not_ready", **self._about(), "roles": roles})

    async def _check_all(self) -> Mapping[Role, Health]:
        results = await asyncio.gather(*(self._check(role) for role in self._checks))
        return dict(zip(self._checks, results, strict=True))

    async def _check(self, role: Role) -> Health:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await self._checks[role]()
        except TimeoutError:
            return Health(ready=False, summary=f"no answer within {CHECK_SECONDS:g} s", details={})
        except BinmirrorError as error:
            return Health(ready=False, summary=str(error), details={})
        except Exception as error:  # noqa: BLE001 - one role's fault must not hide how the others are
            self._log.error("request", route="health", role=role, exc_info=error)
            return Health(ready=False, summary=f"the check failed: {type(error).__name__}", details={})


def _readiness(request: Request, found: Mapping[Role, Health], deciding: Mapping[Role, Health]) -> Response:
    roles = {role: {"ready": health.ready, "summary": health.summary} for role, health in found.items()}
    failing = [f"{role}: {health.summary}" for role, health in deciding.items() if not health.ready]
    if not failing:
        status = "ready" if all(health.ready for health in found.values()) else "degraded"
        return _json(200, {"status": status, "roles": roles})
    problem = {
        "code": 503,
        "key": "not_ready",
        "message": "Not ready",
        "details": "; ".join(failing),
        "request_id": request.state.request_id,
    }
    return _json(503, {**problem, "status": "not_ready", "roles": roles})


def _json(status: int, body: Mapping[str, object]) -> Response:
    return Response(to_json(body, fallback=str), status, media_type="application/json")


_READY: Final = {"receiver": {"ready": True, "summary": "the log can be written"}}
_NOT_READY: Final = {"receiver": {"ready": False, "summary": "neither log nor spool can be written"}}
_READINESS: Final = {
    200: Answer(
        text="Ready, for a load balancer.",
        content=[Content(shape=Readiness, example={"status": "ready", "roles": _READY})],
    ),
    503: Answer(
        text="Not ready; `details` say why, in a line for each role.",
        content=[
            Content(
                shape=NotReady,
                example={
                    "code": 503,
                    "key": "not_ready",
                    "message": "Not ready",
                    "details": "receiver: neither log nor spool can be written",
                    "request_id": "v-0c54493e444b0f61a6",
                    "status": "not_ready",
                    "roles": _NOT_READY,
                },
            )
        ],
    ),
}
_LIVE: Final = Operation(
    name="get_liveness",
    tag="operations",
    summary="Whether the process answers at all",
    text="For restarts.",
    answers={200: Answer(text="It does.", content=[Content(shape=Liveness, example={"status": "alive"})])},
    errors=(INTERNAL,),
    access="none",
)
_ALL_READY: Final = Operation(
    name="get_readiness",
    tag="operations",
    summary="Whether to send requests here",
    text=(
        "For load balancers. Where the process has a receiver, the receiver's word alone decides. "
        "A check that takes over 3 s counts as not ready."
    ),
    answers=_READINESS,
    errors=(INTERNAL,),
    access="none",
)
_ROLE_READY: Final = Operation(
    name="get_role_readiness",
    tag="operations",
    summary="Whether one role is ready",
    text="For supervisors.",
    parameters=(
        Parameter(
            name="role",
            place="path",
            text="One of the process's roles.",
            schema={"enum": list(get_args(Role))},
            example="api",
        ),
    ),
    answers=_READINESS,
    errors=(ErrorAnswer(body=not_found("There is nothing at this path.")), INTERNAL),
    access="none",
)
_REPORT: Final = Operation(
    name="get_health",
    tag="operations",
    summary="Everything there is to know about the process",
    text="For people. Always 200, with any key, or a token with the scope `api`.",
    answers={
        200: Answer(
            text="How it is.",
            content=[
                Content(
                    shape=HealthReport,
                    example={
                        "status": "ready",
                        "version": "0.1.0",
                        "roles": {
                            "receiver": {"ready": True, "summary": "the log can be written", "details": {}}
                        },
                    },
                )
            ],
        )
    },
    errors=(UNAUTHORIZED, ErrorAnswer(body=missing_permission()), INTERNAL, UNREADABLE),
)


def health_routes(health: HealthRoutes) -> list[Route]:
    """The four routes."""
    return [
        DescribedRoute("GET", "/health/live", health.live, _LIVE),
        DescribedRoute("GET", "/health/ready", health.ready, _ALL_READY),
        DescribedRoute("GET", "/health/ready/{role}", health.role_ready, _ROLE_READY),
        DescribedRoute("GET", "/health", health.report, _REPORT),
    ]
