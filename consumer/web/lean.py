"""Routes without Starlette around them, for what is asked thousands of times a second."""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from starlette.types import Receive, Scope, Send

from consumer.errors import BinmirrorError
from consumer.web.contract.describe import Operation
from consumer.web.contract.openapi import Documented
from consumer.web.errors import JSON, RETRY_AFTER, Problem, ProblemError
from schemas.errors import internal_error, method_not_allowed, service_unavailable

UNAVAILABLE: Final = "The bin cannot be read now."
_ALLOWED: Final = "GET, HEAD, OPTIONS"
_ALLOW: Final = (b"allow", _ALLOWED.encode())


class JsonAnswer(NamedTuple):
    """A body in JSON, and headers beside those that every answer has."""

    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


Endpoint: TypeAlias = Callable[[Scope], Awaitable[JsonAnswer]]
"""Raises ProblemError and what else Starlette's endpoints raise."""


class LeanRoute:
    """All paths under a prefix, read with GET. ``Frame`` stands around it as around the others."""

    def __init__(self, path: str, endpoint: Endpoint, operation: Operation) -> None:
        self.documented: Documented = ("GET", path, operation)
        self.path = path
        """For metrics and log, with the variable part in braces at its end."""
        self.prefix = path.partition("{")[0]
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        scope["route"] = self
        method = scope["method"]
        if method not in {"GET", "HEAD"}:
            await _other_method(scope, send, method)
            return
        try:
            answer = await self._endpoint(scope)
        except ProblemError as error:
            await _send_problem(scope, send, error.problem)
        except BinmirrorError as error:
            scope["state"]["failure"] = error
            await _send_problem(scope, send, Problem(service_unavailable(UNAVAILABLE), RETRY_AFTER))
        except Exception:
            await _send_problem(scope, send, Problem(internal_error()))
            raise
        else:
            await _send(scope, send, 200, answer.body, answer.headers)


async def _other_method(scope: Scope, send: Send, method: str) -> None:
    if method == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [_ALLOW]})
        await send({"type": "http.response.body", "body": b""})
    else:
        await _send_problem(scope, send, Problem(method_not_allowed(_ALLOWED), (_ALLOW,)))


async def _send_problem(scope: Scope, send: Send, problem: Problem) -> None:
    content = problem.content(scope["state"]["request_id"])
    await _send(scope, send, problem.body.code, content, problem.headers)


async def _send(
    scope: Scope, send: Send, status: int, content: bytes, headers: tuple[tuple[bytes, bytes], ...]
) -> None:
    length = (b"content-length", b"%d" % len(content))
    await send({"type": "http.response.start", "status": status, "headers": [length, JSON, *headers]})
    body = b"" if scope["method"] == "HEAD" else content
    await send({"type": "http.response.body", "body": body})
