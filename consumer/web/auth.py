"""Credentials of our query API: ``X-App-Id`` and ``X-App-Token``, or an access token. They also say whose bin
is asked for.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import inf
from typing import Final, NamedTuple, Protocol

from starlette.datastructures import Headers

from consumer.projection.keys_base import KnownKey
from consumer.types import ALL_PERMISSIONS, Permission, Project
from consumer.web.errors import ProblemError, RawHeaders
from consumer.web.issued_keys import IssuedKeys
from schemas.errors import missing_permission, unauthorized
from schemas.oauth import Scope

FRESH_SECONDS: Final = 2.0
"""How long a created key or token is believed without asking the database again."""
_MOST_KEPT: Final = 10_000
_CHALLENGE: Final = b'Bearer realm="binmirror"'
_INVALID_TOKEN: Final = (
    _CHALLENGE + b', error="invalid_token", error_description="The access token is wrong or has expired"'
)
_INSUFFICIENT: Final = _CHALLENGE + b', error="insufficient_scope", scope="%b"'


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: sees and changes this project's bin only, as far as permitted."""

    project: Project
    permissions: frozenset[Permission]
    who: str
    """For the audit, for example ``api key app-id``."""

    def require(self, *permissions: Permission) -> None:
        """Raises ProblemError: 403, if any of ``permissions`` is missing."""
        if not self.permissions.issuperset(permissions):
            raise ProblemError(missing_permission())


class Authenticator(Protocol):
    """Knows callers by a request's headers."""

    async def authenticate(self, headers: Headers, *, scope: Scope = "api") -> Caller:
        """Raises ProblemError: 401, and whatever else the caller is to be answered. See ``Credentials``."""


class OpenedKey(NamedTuple):
    """A key with what it opens, as this process knows it."""

    app_id: str
    caller: Caller
    digest: bytes
    """SHA-256 of its token."""
    fresh_until: float = inf
    """By the monotonic clock."""


class _OpenedToken(NamedTuple):
    caller: Caller
    scopes: frozenset[Scope]
    fresh_until: float


class Credentials:
    """Those of all projects: the settings' keys, and with ``issued`` the created ones and access tokens."""

    def __init__(self, projects: Iterable[Project], issued: IssuedKeys | None = None) -> None:
        self._projects = {project.name: project for project in projects}
        self._issued = issued
        self._configured = {
            project.api_app_id.encode(): _opened(
                project, project.api_app_id, ALL_PERMISSIONS, sha256(project.api_app_token).digest()
            )
            for project in self._projects.values()
            if project.api_app_id and project.api_app_token
        }
        # Only what somebody has opened is kept: whoever guesses does not fill the memory.
        self._created: dict[bytes, OpenedKey] = {}
        self._tokens: dict[bytes, _OpenedToken] = {}

    async def authenticate(self, headers: Headers, *, scope: Scope = "api") -> Caller:
        """Whom the credentials belong to.

        Raises:
            ProblemError: 401; 403 for an access token that has neither ``scope`` nor ``api``.
            ProjectionUnavailableError, SchemaMismatchError: created keys and tokens cannot be looked up.

        """
        app_id, token, authorization = sent_credentials(headers.raw)
        if app_id is not None or token is not None:
            # A key decides by itself: what a gateway puts into Authorization is none of our business then.
            opened = await self.open(app_id or b"", token or b"")
            if opened is None:
                raise refused()
            return opened.caller
        bearer = None if authorization is None else _bearer(authorization)
        if bearer is None:
            raise refused()
        return await self._open_token(bearer, scope)

    async def open(self, app_id: bytes, token: bytes) -> OpenedKey | None:
        """The key with this id, if ``token`` is its own. Raises as ``authenticate``."""
        key = self._configured.get(app_id)
        if key is None and self._issued is not None:
            key = self._created.get(app_id)
            if key is None or self._issued.monotonic() >= key.fresh_until:
                return await self._look_up(app_id, token, self._issued)
        return key if key is not None and _is_its_own(token, key) else None

    async def _look_up(self, app_id: bytes, token: bytes, issued: IssuedKeys) -> OpenedKey | None:
        if not app_id or not token or not app_id.isascii():
            return None
        name = app_id.decode()
        fresh_until = issued.monotonic() + FRESH_SECONDS
        key = self._key_of(name, await issued.key(name))
        self._created.pop(app_id, None)
        if key is None or not _is_its_own(token, key):
            return None
        _make_room(self._created)
        self._created[app_id] = key = key._replace(fresh_until=fresh_until)
        issued.note_use(name)
        return key

    def _key_of(self, app_id: str, found: KnownKey | None) -> OpenedKey | None:
        # A project that is configured no longer has no callers.
        project = None if found is None else self._projects.get(found.project)
        if found is None or project is None:
            return None
        return _opened(project, app_id, found.permissions, found.digest)

    async def _open_token(self, bearer: bytes, scope: Scope) -> Caller:
        if self._issued is None or not bearer:
            raise refused(_INVALID_TOKEN)
        digest = sha256(bearer).digest()
        opened = self._tokens.get(digest)
        if opened is None or self._issued.monotonic() >= opened.fresh_until:
            opened = await self._look_up_token(bearer, digest, self._issued)
        if scope not in opened.scopes and "api" not in opened.scopes:
            challenge = ((b"www-authenticate", _INSUFFICIENT % scope.encode()),)
            raise ProblemError(missing_permission(), challenge)
        return opened.caller

    async def _look_up_token(self, bearer: bytes, digest: bytes, issued: IssuedKeys) -> _OpenedToken:
        asked_at = issued.monotonic()
        token, created = await issued.token(digest)
        self._tokens.pop(digest, None)
        if token is None:
            raise refused(_INVALID_TOKEN)
        key = self._configured.get(token.app_id.encode()) or self._key_of(token.app_id, created)
        if key is None or not hmac.compare_digest(proof_of(key.digest, bearer), token.proof):
            raise refused(_INVALID_TOKEN)
        fresh_until = asked_at + min(FRESH_SECONDS, token.seconds_left)
        opened = _OpenedToken(key.caller, token.scopes, fresh_until)
        _make_room(self._tokens)
        self._tokens[digest] = opened
        issued.note_use(token.app_id)
        return opened


def proof_of(key_digest: bytes, bearer: bytes) -> bytes:
    """What is kept with an access token: it ends when its key's own token is changed, in the settings say.

    It tells nothing of that token to whoever reads the database, because ``bearer`` is not there.
    """
    return hmac.digest(key_digest, bearer, "sha256")


def refused(challenge: bytes = _CHALLENGE) -> ProblemError:
    """401."""
    headers: RawHeaders = ((b"www-authenticate", challenge),)
    return ProblemError(unauthorized(), headers)


def sent_credentials(raw: Sequence[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None, bytes | None]:
    """``X-App-Id``, ``X-App-Token`` and ``Authorization``; empty, which no credential is, when repeated."""
    app_id = token = authorization = None
    for name, value in raw:
        if name == b"x-app-token":
            token = value if token is None else b""
        elif name == b"x-app-id":
            app_id = value if app_id is None else b""
        elif name == b"authorization":
            authorization = value if authorization is None else b"Bearer"
    return app_id, token, authorization


def _bearer(authorization: bytes) -> bytes | None:
    """None: it is of another scheme."""
    scheme, _, bearer = authorization.partition(b" ")
    return bearer.strip() if scheme.lower() == b"bearer" else None


def _opened(project: Project, app_id: str, permissions: frozenset[Permission], digest: bytes) -> OpenedKey:
    return OpenedKey(app_id, Caller(project, permissions, f"api key {app_id}"), digest)


def _is_its_own(token: bytes, key: OpenedKey) -> bool:
    return hmac.compare_digest(sha256(token).digest(), key.digest)


def _make_room(kept: dict[bytes, OpenedKey] | dict[bytes, _OpenedToken]) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
