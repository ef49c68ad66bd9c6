"""OAuth 2.0 client credentials (RFC 6749, sections 2.3, 4.4 and 5): what is asked and answered. No I/O."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias, get_args
from urllib.parse import parse_qsl, unquote_to_bytes

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import ErrorBody

Scope: TypeAlias = Literal["api", "trash-bin"]
"""api: everything that the key may. trash-bin: of that, the bin's own routes alone."""
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
LIFETIME_SECONDS: Final = 900
FORM: Final = "application/x-www-form-urlencoded"

TokenError: TypeAlias = Literal[
    "invalid_request", "invalid_client", "unsupported_grant_type", "invalid_scope"
]


class TokenRefused(Exception):  # noqa: N818 - named as what it is: the request is refused
    """No token for this request."""

    def __init__(self, error: TokenError, description: str) -> None:
        """``description`` without quotation marks and backslashes: RFC 6749 allows none."""
        super().__init__(description)
        self.error = error
        self.description = description


class TokenForm(BaseModel):
    """What is sent, for descriptions: other parameters are not looked at."""

    grant_type: Literal["client_credentials"]
    scope: str | None = Field(default=None, pattern="^ *(api|trash-bin)( +(api|trash-bin))* *$")
    """api when left out."""
    client_id: str | None = None
    client_secret: str | None = None


class TokenErrorBody(ErrorBody):
    """An error as RFC 6749, section 5.2, has it, in the fields that all our errors have besides."""

    error: TokenError
    error_description: str


def refused_token(error: TokenError, description: str) -> TokenErrorBody:
    """RFC 6749, section 5.2: 401 for a client that is not known, 400 for all else."""
    unknown = error == "invalid_client"
    return TokenErrorBody(
        code=401 if unknown else 400,
        key="unauthorized" if unknown else error,
        message="Unauthorized" if unknown else "Invalid token request",
        details=description,
        error=error,
        error_description=description,
    )


class TokenBody(BaseModel):
    """A token. RFC 6749 needs the type and the token; Voucherify's API sends all six."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    client_id: str
    expires_at: int
    """Unix seconds."""
    expires_in: int = LIFETIME_SECONDS
    scope: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - RFC 6750's name of the type


class Client(NamedTuple):
    """Who a client says it is. May be in two readings: with and without percent-encoding."""

    readings: tuple[tuple[bytes, bytes], ...]
    """(id, secret)"""


def read_form(body: bytes) -> Mapping[str, str]:
    """The parameters. Raises TokenRefused.

    RFC 6749, section 3.2: what has no value counts as left out, and nothing may be there twice.
    """
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise TokenRefused("invalid_request", "the body is not UTF-8") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if not value:
            continue
        if name in fields:
            raise TokenRefused("invalid_request", "a parameter is there more than once")
        fields[name] = value
    return fields


def client_of(fields: Mapping[str, str]) -> Client | None:
    """The client that names itself in the form. Raises TokenRefused."""
    client_id, secret = fields.get("client_id"), fields.get("client_secret")
    if secret is None:
        return None
    if client_id is None:
        raise TokenRefused("invalid_request", "client_secret comes without client_id")
    return Client(((client_id.encode(), secret.encode()),))


def scopes_of(fields: Mapping[str, str]) -> tuple[Scope, ...]:
    """What is wanted, each scope once, in the order of SCOPES. Raises TokenRefused."""
    grant_type = fields.get("grant_type")
    if grant_type is None:
        raise TokenRefused("invalid_request", "grant_type is missing")
    if grant_type != "client_credentials":
        raise TokenRefused("unsupported_grant_type", "the only grant_type here is client_credentials")
    wanted = set(fields.get("scope", "api").split(" ")) - {""}
    if not wanted or not wanted.issubset(SCOPES):
        raise TokenRefused("invalid_scope", f"scopes here: {' '.join(SCOPES)}")
    return tuple(scope for scope in SCOPES if scope in wanted)


def parse_basic(credentials: bytes) -> Client | None:
    """What follows ``Basic``; None for what is not of that form.

    RFC 6749 has id and secret form-encoded before they are joined; many clients do not do that.
    """
    try:
        client_id, colon, secret = b64decode(credentials, validate=True).partition(b":")
    except binascii.Error:
        return None
    if not colon:
        return None
    plain = (client_id, secret)
    decoded = (_decoded(client_id), _decoded(secret))
    return Client((plain,) if plain == decoded else (decoded, plain))


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
