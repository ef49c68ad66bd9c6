"""The one shape of error bodies, as Voucherify's API has it, and a constructor for each that we answer."""

from typing import Final

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import SkipJsonSchema

_MAX_ID: Final = 300


class InvalidQuery(ValueError):  # noqa: N818 - named as the answer's key names it
    """A listing's query cannot be understood. ``details`` names the parameter and says what is wrong."""

    def __init__(self, *, details: str) -> None:
        super().__init__(details)
        self.details = details


class InvalidPayload(ValueError):  # noqa: N818 - named as the answer's key names it
    """A request's body cannot be understood. ``details`` names the field and says what is wrong."""

    def __init__(self, *, details: str) -> None:
        super().__init__(details)
        self.details = details


class ErrorBody(BaseModel):
    """An error's body. Fields that have nothing to say are left out."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    code: int
    """The HTTP status."""
    key: str | SkipJsonSchema[None] = None
    """What kind of error, for machines."""
    message: str
    details: str | SkipJsonSchema[None] = None
    request_id: str | SkipJsonSchema[None] = None
    resource_id: str | SkipJsonSchema[None] = None
    resource_type: str | SkipJsonSchema[None] = None

    def to_json(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


def unreadable_request(*, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=400,
        key="invalid_request",
        message="Invalid request",
        details="This is not HTTP, or its request line or headers are longer than 64 KiB.",
        request_id=request_id,
    )


def invalid_query_params(details: str, *, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=400,
        key="invalid_query_params",
        message="Invalid query params",
        details=details,
        request_id=request_id,
    )


def invalid_header(details: str, *, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=400, key="invalid_header", message="Invalid header", details=details, request_id=request_id
    )


def invalid_payload(details: str, *, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=400, key="invalid_payload", message="Invalid payload", details=details, request_id=request_id
    )


def unauthorized(*, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(code=401, key="unauthorized", message="Unauthorized", request_id=request_id)


def missing_permission(details: str | None = None, *, request_id: str | None = None) -> ErrorBody:
    """``details`` says what is missing, where Voucherify's own words would not help."""
    return ErrorBody(
        code=403,
        key="missing_required_permission",
        message="Missing permission",
        details=details or "User does not have a required permission to perform this operation.",
        request_id=request_id,
    )


def resource_not_found(resource_type: str, resource_id: str, *, request_id: str | None = None) -> ErrorBody:
    """It repeats only the beginning of an id that is longer than any id."""
    resource_id = resource_id[:_MAX_ID]
    return ErrorBody(
        code=404,
        key="not_found",
        message="Resource not found",
        details=f"Cannot find {resource_type} with id {resource_id}",
        request_id=request_id,
        resource_id=resource_id,
        resource_type=resource_type,
    )


def not_found(details: str | None = None, *, request_id: str | None = None) -> ErrorBody:
    """For a path that leads nowhere."""
    return ErrorBody(
        code=404, key="not_found", message="Resource not found", details=details, request_id=request_id
    )


def method_not_allowed(allowed: str, *, request_id: str | None = None) -> ErrorBody:
    """``allowed`` as in the ``Allow`` header."""
    return ErrorBody(
        code=405,
        key="method_not_allowed",
        message="Method not allowed",
        details=f"Allowed here: {allowed}",
        request_id=request_id,
    )


def request_timeout(*, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=408,
        key="request_timeout",
        message="Request timeout",
        details="The body did not arrive in time.",
        request_id=request_id,
    )


def cursor_expired(details: str, *, request_id: str | None = None) -> ErrorBody:
    """A follower has to start again."""
    return ErrorBody(
        code=410,
        key="cursor_expired",
        message="The cursor has expired",
        details=f"{details}. Forget the copy and start again with after=beginning",
        request_id=request_id,
    )


def payload_too_large(limit: int, *, request_id: str | None = None) -> ErrorBody:
    """``limit`` in bytes."""
    return ErrorBody(
        code=413,
        key="payload_too_large",
        message="Payload too large",
        details=f"A body may have {limit} bytes at most.",
        request_id=request_id,
    )


def too_many_requests(details: str | None = None, *, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=429,
        message="Too many requests hit the API too quickly.",
        details=details,
        request_id=request_id,
    )


def internal_error(*, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=500,
        key="internal_error",
        message="Internal server error",
        details="The fault is ours and has been logged.",
        request_id=request_id,
    )


def bad_gateway(details: str, *, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=502,
        key="bad_gateway",
        message="Bad gateway",
        details=details,
        request_id=request_id,
    )


def service_unavailable(details: str, *, request_id: str | None = None) -> ErrorBody:
    return ErrorBody(
        code=503,
        key="service_unavailable",
        message="Service unavailable",
        details=details,
        request_id=request_id,
    )


def stale_projection(details: str, *, request_id: str | None = None) -> ErrorBody:
    """The mirror is not as fresh as the reader demanded, and was waited for."""
    return ErrorBody(
        code=503,
        key="stale_projection",
        message="The projection is not fresh enough",
        details=details,
        request_id=request_id,
    )
