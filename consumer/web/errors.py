"""Error answers: one shape on every route, that of Voucherify's API, always with the request's id."""

import secrets
from typing import Final, NamedTuple, TypeAlias

from starlette.types import Send

from schemas.errors import ErrorBody

RawHeaders: TypeAlias = tuple[tuple[bytes, bytes], ...]

REQUEST_ID_HEADER: Final = b"x-request-id"
JSON: Final = (b"content-type", b"application/json")
CLOSE: Final[RawHeaders] = ((b"connection", b"close"),)
RETRY_AFTER: Final[RawHeaders] = ((b"retry-after", b"5"),)


class Problem(NamedTuple):
    """An error as it is answered, but for the request's id."""

    body: ErrorBody
    headers: RawHeaders = ()

    def content(self, request_id: str) -> bytes:
        """The body as it goes out."""
        return self.body.model_copy(update={"request_id": request_id}).to_json()


class ProblemError(Exception):
    """Ends a request with this answer."""

    def __init__(self, body: ErrorBody, headers: RawHeaders = ()) -> None:
        super().__init__(body.message)
        self.problem = Problem(body, headers)


def new_request_id() -> str:
    """``v-`` and 18 hex digits, the form of Voucherify's own."""
    return f"v-{secrets.token_hex(9)}"


async def send_problem(send: Send, problem: Problem, request_id: str) -> None:
    """Answer with ``problem``."""
    content = problem.content(request_id)
    headers = [
        JSON,
        (b"content-length", b"%d" % len(content)),
        (REQUEST_ID_HEADER, request_id.encode("ascii")),
        *problem.headers,
    ]
    await send({"type": "http.response.start", "status": problem.body.code, "headers": headers})
    await send({"type": "http.response.body", "body": content})
