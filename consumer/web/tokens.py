"""``POST /v1/oauth/token``: access tokens for those who hold a key (OAuth 2.0 client credentials)."""

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from consumer.projection.keys_base import NewToken
from consumer.web.auth import Credentials, OpenedKey, proof_of, sent_credentials
from consumer.web.body import read_whole_body
from consumer.web.contract.describe import (
    INTERNAL,
    RETRY_HEADER,
    UNREADABLE,
    Answer,
    Content,
    ErrorAnswer,
    Operation,
)
from consumer.web.errors import RETRY_AFTER, Problem, ProblemError, RawHeaders
from consumer.web.issued_keys import IssuedKeys
from schemas.errors import payload_too_large, request_timeout, too_many_requests
from schemas.oauth import (
    FORM,
    LIFETIME_SECONDS,
    Client,
    Scope,
    TokenBody,
    TokenForm,
    TokenRefused,
    client_of,
    parse_basic,
    read_form,
    refused_token,
    scopes_of,
)
from schemas.times import SECOND

_UNKNOWN_CLIENT: Final = "the client is unknown, or its secret is wrong"
_TWO_CLIENTS: Final = "client_id names another client than the one that the request is authenticated as"
_ONLY_GRANT: Final = "the only grant_type here is client_credentials"
_TOO_MANY: Final = "This key has so many access tokens that live. Use each until it expires."
MAX_BODY: Final = 8 * 1024
BODY_SECONDS: Final = 5.0
_UNCACHED: Final[RawHeaders] = ((b"pragma", b"no-cache"),)
"""RFC 6749 wants it beside ``Cache-Control: no-store``, which all our answers carry."""
_WHO: Final[RawHeaders] = ((b"www-authenticate", b'Basic realm="binmirror", charset="UTF-8"'),)


class TokenEndpoint:
    """The endpoint."""

    def __init__(self, credentials: Credentials, issued: IssuedKeys) -> None:
        self._credentials = credentials
        self._issued = issued

    async def issue(self, request: Request) -> Response:
        try:
            fields = read_form(await _form(request))
            key = await self._client(request, fields)
            scopes = scopes_of(fields)
        except TokenRefused as error:
            raise ProblemError(*_problem(error)) from None
        body = await self._issue(key, scopes)
        headers = {name.decode(): value.decode() for name, value in _UNCACHED}
        return Response(body.model_dump_json(), headers=headers, media_type="application/json")

    async def _client(self, request: Request, fields: Mapping[str, str]) -> OpenedKey:
        """Whose key comes with the request: one only, in one of three ways. Raises TokenRefused."""
        app_id, token, authorization = sent_credentials(request.headers.raw)
        clients = [client_of(fields)]
        if authorization is not None:
            scheme, _, basic = authorization.partition(b" ")
            clients.append(parse_basic(basic.strip()) if scheme.lower() == b"basic" else None)
        if app_id is not None or token is not None:
            clients.append(Client(((app_id or b"", token or b""),)))
        named = [client for client in clients if client is not None]
        if len(named) > 1:
            raise TokenRefused("invalid_request", "the client names itself in more than one way")
        for client in named:
            for reading in client.readings:
                key = await self._credentials.open(*reading)
                if key is not None:
                    # Some libraries repeat the id in the form beside another way; none may name another.
                    if fields.get("client_id", key.app_id) != key.app_id:
                        raise TokenRefused("invalid_request", _TWO_CLIENTS)
                    return key
        raise TokenRefused("invalid_client", _UNKNOWN_CLIENT)

    async def _issue(self, key: OpenedKey, scopes: tuple[Scope, ...]) -> TokenBody:
        bearer = secrets.token_urlsafe(32)
        proof = proof_of(key.digest, bearer.encode())
        token = NewToken(sha256(bearer.encode()).digest(), key.app_id, proof, scopes)
        expires_at = await self._issued.issue(token)
        if expires_at is None:
            raise ProblemError(
                too_many_requests(_TOO_MANY),
                (*RETRY_AFTER, *_UNCACHED),
            )
        return TokenBody(
            access_token=bearer,
            client_id=key.app_id,
            expires_at=expires_at // SECOND,
            scope=" ".join(scopes),
        )


async def _form(request: Request) -> bytes:
    """The body. Raises TokenRefused, ProblemError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_whole_body(request, limit=MAX_BODY, seconds=BODY_SECONDS)
    # Without a body there is nothing to be of a wrong type: then the client is missing above all.
    if body and kind != FORM:
        raise TokenRefused("invalid_request", f"the body is not {FORM}")
    return body


def _problem(refused: TokenRefused) -> Problem:
    body = refused_token(refused.error, refused.description)
    return Problem(body, (*_UNCACHED, *_WHO) if refused.error == "invalid_client" else _UNCACHED)


ISSUE_TOKEN: Final = Operation(
    name="issue_access_token",
    tag="access",
    summary="Get an access token for a key",
    text=(
        "OAuth 2.0 client credentials (RFC 6749, section 4.4). The client is the key: by HTTP Basic, with "
        "`client_id` and `client_secret` in the form, or with `X-App-Id` and `X-App-Token`; in one way only; "
        "beside another way the form may repeat the `client_id`. "
        "The scope `api` opens what the key opens, `trash-bin` of that the bin's routes alone. The token "
        f"lives for {LIFETIME_SECONDS} seconds, and no longer than its key."
    ),
    body=(
        Content(
            shape=TokenForm, media_type=FORM, example={"grant_type": "client_credentials", "scope": "api"}
        ),
    ),
    answers={
        200: Answer(
            text="The token, for `Authorization: Bearer …`.",
            content=(
                Content(
                    shape=TokenBody,
                    example={
                        "access_token": "1ABCde2FGHijKl3m4NO5pqR6STUv7wxYzAbc8dE90Fg",
                        "client_id": "key_0a1b2c3d4e5f6071",
                        "expires_at": 1_778_144_113,
                        "expires_in": LIFETIME_SECONDS,
                        "scope": "api",
                        "token_type": "Bearer",
                    },
                ),
            ),
            headers={"Pragma": "no-cache, for caches of long ago."},
        )
    },
    errors=(
        ErrorAnswer(body=refused_token("invalid_request", "grant_type is missing")),
        ErrorAnswer(body=refused_token("unsupported_grant_type", _ONLY_GRANT)),
        ErrorAnswer(body=refused_token("invalid_scope", "scopes here: api trash-bin")),
        ErrorAnswer(
            body=refused_token("invalid_client", _UNKNOWN_CLIENT),
            headers={"WWW-Authenticate": "How a client names itself."},
        ),
        ErrorAnswer(body=request_timeout()),
        ErrorAnswer(body=payload_too_large(MAX_BODY)),
        ErrorAnswer(body=too_many_requests(_TOO_MANY), headers=RETRY_HEADER),
        INTERNAL,
        UNREADABLE,
    ),
    access="client",
)
