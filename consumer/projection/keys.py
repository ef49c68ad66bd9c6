"""API keys and access tokens, on SQLite and PostgreSQL."""

import json
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from consumer.errors import DataRejectedError
from consumer.projection.connections import Connections
from consumer.projection.control_tables import access_tokens, api_keys
from consumer.projection.database_time import DatabaseNow
from consumer.projection.keys_base import ApiKey, Found, KnownKey, KnownToken, NewToken
from consumer.types import ALL_PERMISSIONS, Permission
from schemas.oauth import SCOPES
from schemas.text import is_storable
from schemas.times import SECOND, Micros

_T = TypeVar("_T")
_SHOWN: Final = tuple(api_keys.c[name] for name in ApiKey._fields)


class Look(Protocol):
    """Reads on a thread, waiting for no writer: see ``ReadPool.read``."""

    def __call__(self, work: Callable[[Connection], _T]) -> Awaitable[_T]:
        """What ``work`` returns."""


class SqlKeyStore:
    """See ``KeyStore`` and ``KeyRegister``."""

    def __init__(self, connections: Connections, look: Look | None = None) -> None:
        """``look`` reads where ``connections`` only write."""
        self._connections = connections
        self._look: Look = look or connections.look

    async def find(self, app_ids: Collection[str], token_digests: Collection[bytes]) -> Found:
        wanted = {app_id for app_id in app_ids if is_storable(app_id)}

        def work(connection: Connection) -> Found:
            tokens = _tokens(connection, token_digests) if token_digests else {}
            ids = wanted | {token.app_id for token in tokens.values()}
            return Found(_keys(connection, ids) if ids else {}, tokens)

        return await self._look(work)

    async def issue(self, token: NewToken, *, seconds: int, limit: int) -> Micros | None:
        table = access_tokens.c
        living = select(func.count()).where(table.app_id == token.app_id, table.expires_at > DatabaseNow())
        values = {**token._asdict(), "scopes": " ".join(token.scopes)}
        new = insert(access_tokens).values(**values, expires_at=DatabaseNow() + seconds * SECOND)

        def work(connection: Connection) -> Micros | None:
            connection.execute(delete(access_tokens).where(table.expires_at <= DatabaseNow()))
            if (connection.scalar(living) or 0) >= limit:
                return None
            expires_at: Micros = connection.execute(new.returning(table.expires_at)).scalar_one()
            return expires_at

        return await self._connections.write(work)

    async def note_use(self, app_ids: Collection[str], *, every: int) -> None:
        table = api_keys.c
        earlier = or_(table.last_used_at.is_(None), table.last_used_at <= DatabaseNow() - every * SECOND)
        noted = update(api_keys).where(table.app_id.in_(sorted(app_ids)), earlier)
        noted = noted.values(last_used_at=DatabaseNow())
        await self._connections.write(lambda connection: connection.execute(noted))

    async def create(
        self,
        app_id: str,
        digest: bytes,
        *,
        project: str,
        name: str,
        permissions: Sequence[Permission],
        created_by: str,
    ) -> ApiKey:
        texts = {"app_id": app_id, "project": project, "name": name, "created_by": created_by}
        for what, value in texts.items():
            if not is_storable(value):
                raise DataRejectedError(f"{what}: holds text that no database stores")
        values = {**texts, "digest": digest, "permissions": json.dumps(list(permissions))}
        new = insert(api_keys).values(**values, created_at=DatabaseNow()).returning(*_SHOWN)
        return await self._connections.write(lambda connection: _shown(connection.execute(new).one()))

    async def keys(self, project: str | None, *, revoked: bool) -> Sequence[ApiKey]:
        query = select(*_SHOWN).order_by(api_keys.c.created_at, api_keys.c.app_id)
        if project is not None:
            query = query.where(api_keys.c.project == project)
        if not revoked:
            query = query.where(api_keys.c.revoked_at.is_(None))
        return await self._look(lambda connection: [_shown(row) for row in connection.execute(query)])

    async def key(self, app_id: str) -> ApiKey | None:
        if not is_storable(app_id):
            return None
        query = select(*_SHOWN).where(api_keys.c.app_id == app_id)

        def work(connection: Connection) -> ApiKey | None:
            row = connection.execute(query).first()
            return None if row is None else _shown(row)

        return await self._look(work)

    async def revoke(self, app_id: str) -> bool:
        if not is_storable(app_id):
            return False
        ended = update(api_keys).where(api_keys.c.app_id == app_id, api_keys.c.revoked_at.is_(None))
        ended = ended.values(revoked_at=DatabaseNow())

        def work(connection: Connection) -> bool:
            connection.execute(delete(access_tokens).where(access_tokens.c.app_id == app_id))
            return connection.execute(ended).rowcount == 1

        return await self._connections.write(work)


def _tokens(connection: Connection, digests: Collection[bytes]) -> dict[bytes, KnownToken]:
    table = access_tokens.c
    left = (table.expires_at - DatabaseNow()).label("left")
    query = select(table.digest, table.app_id, table.proof, table.scopes, left)
    query = query.where(table.digest.in_(sorted(digests)), table.expires_at > DatabaseNow())
    return {
        bytes(row.digest): KnownToken(
            row.app_id,
            bytes(row.proof),
            frozenset(scope for scope in SCOPES if scope in row.scopes.split(" ")),
            row.left / SECOND,
        )
        for row in connection.execute(query)
    }


def _keys(connection: Connection, app_ids: Collection[str]) -> dict[str, KnownKey]:
    table = api_keys.c
    query = select(table.app_id, table.project, table.digest, table.permissions)
    query = query.where(table.app_id.in_(sorted(app_ids)), table.revoked_at.is_(None))
    return {
        row.app_id: KnownKey(row.project, bytes(row.digest), frozenset(_permissions(row.permissions)))
        for row in connection.execute(query)
    }


def _permissions(stored: str) -> tuple[Permission, ...]:
    """Those that this version knows: what another one adds opens nothing here."""
    names = json.loads(stored)
    return tuple(sorted(permission for permission in ALL_PERMISSIONS if permission in names))


def _shown(row: Row[Any]) -> ApiKey:
    return ApiKey._make(row)._replace(permissions=_permissions(row.permissions))
