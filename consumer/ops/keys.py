"""Creating, showing and revoking API keys."""

import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from consumer.projection.control_base import Audit
from consumer.projection.keys_base import ApiKey, KeyRegister
from consumer.types import Permission
from schemas.times import format_time


class CreatedKey(NamedTuple):
    """A new key; its token is nowhere else, and cannot be shown again."""

    key: ApiKey
    token: str


class KeyAdmin:
    """One operation for command line and console. Holds for the API of all processes."""

    def __init__(self, register: KeyRegister, audit: Audit) -> None:
        self._register = register
        self._audit = audit

    async def create(
        self, *, project: str, name: str, permissions: Sequence[Permission], who: str
    ) -> CreatedKey:
        """A key that works from now on. Raises DataRejectedError."""
        app_id, token = f"key_{secrets.token_hex(8)}", secrets.token_urlsafe(32)
        what = {"app_id": app_id, "name": name, "permissions": list(permissions)}
        audit_id = await self._begin("create", who, project, what)
        key = await self._register.create(
            app_id,
            sha256(token.encode()).digest(),
            project=project,
            name=name,
            permissions=permissions,
            created_by=who,
        )
        await self._audit.finish(audit_id, result="done", counts={"keys": 1})
        return CreatedKey(key, token)

    async def keys(self, project: str | None = None, *, revoked: bool = False) -> Sequence[ApiKey]:
        """The keys of a project (None: of all), the oldest first; with ``revoked`` those too."""
        return await self._register.keys(project, revoked=revoked)

    async def key(self, app_id: str) -> ApiKey | None:
        """One key, revoked or not."""
        return await self._register.key(app_id)

    async def revoke(self, key: ApiKey, *, who: str) -> bool:
        """End it for good, with its access tokens. False: it was revoked before."""
        audit_id = await self._begin("revoke", who, key.project, {"app_id": key.app_id, "name": key.name})
        changed = await self._register.revoke(key.app_id)
        await self._audit.finish(audit_id, result="done", counts={"keys": int(changed)})
        return changed

    async def _begin(self, action: str, who: str, project: str, what: Mapping[str, object]) -> str:
        audit_id = f"keys-{action}-{secrets.token_hex(8)}"
        await self._audit.begin(audit_id, who=who, action=f"keys.{action}", project=project, filters=what)
        return audit_id


def as_dict(key: ApiKey) -> dict[str, Any]:
    """For machines."""
    return {
        **key._asdict(),
        "permissions": list(key.permissions),
        "created_at": format_time(key.created_at),
        "last_used_at": key.last_used_at and format_time(key.last_used_at),
        "revoked_at": key.revoked_at and format_time(key.revoked_at),
    }
