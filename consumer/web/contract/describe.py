"""How a route is described: small declarative objects that stand beside its endpoint.

``consumer.web.contract.openapi`` makes the OpenAPI document of them. They hold no logic: what is said here
about answers and errors is what the routes do, and the tests hold both against each other.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from schemas.errors import ErrorBody, internal_error, service_unavailable, unauthorized

Schema: TypeAlias = Mapping[str, Any]
"""A JSON Schema, draft 2020-12."""
Access: TypeAlias = Literal["credentials", "client", "signature", "none"]
"""What a caller must show: a project's credentials, those of an OAuth client, a webhook's signature,
nothing."""
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of the path, the query or the headers."""

    name: str
    place: Literal["path", "query", "header"]
    text: str
    schema: Schema
    required: bool = False
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A request's or an answer's body."""

    shape: Any = None
    """Anything that pydantic makes a schema of: a model, a typed dictionary. None: only ``schema`` says
    it."""
    schema: Schema = field(default_factory=dict)
    """In place of ``shape``."""
    media_type: str = "application/json"
    example: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer that is no error."""

    text: str
    content: Sequence[Content] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """What each of its own headers says, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorAnswer:
    """An error, with its very body."""

    body: ErrorBody
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path."""

    name: str
    """Of all operations' names only one may be this: client generators make methods of them."""
    tag: str
    summary: str
    text: str = ""
    parameters: Sequence[Parameter] = ()
    body: Sequence[Content] = ()
    answers: Mapping[int, Answer]
    errors: Sequence[ErrorAnswer] = ()
    access: Access = "credentials"


class DescribedRoute(Route):
    """A route of one method that says what it is.

    ``{name:path}`` at its end takes all that follows, slashes too; shown is ``{name}``. It is never empty.
    """

    def __init__(self, method: str, path: str, endpoint: Endpoint, operation: Operation) -> None:
        super().__init__(path, endpoint, methods=[method])
        # As Starlette makes it, an id with the end of a line would be that without it, or none.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)
        self.path = self.path_format
        self.method = method
        self.operation = operation

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (Match.NONE, {}) if "" in child.get("path_params", {}).values() else (match, child)


RETRY_HEADER: Final = {"Retry-After": "Seconds after which it may work."}
UNAUTHORIZED: Final = ErrorAnswer(body=unauthorized())
INTERNAL: Final = ErrorAnswer(body=internal_error())
UNREADABLE: Final = ErrorAnswer(body=service_unavailable("The bin cannot be read now."), headers=RETRY_HEADER)
READ_ERRORS: Final = (UNAUTHORIZED, INTERNAL, UNREADABLE)
"""Of every route that reads the bin for a caller with credentials."""
