"""The contract of API keys and access tokens: control tables. All times are the database's.

Neither keys nor tokens are stored, only their SHA-256 digests: they are 256 random bits, which nobody guesses
from a digest.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from consumer.types import Permission
from schemas.oauth import Scope
from schemas.times import Micros


class ApiKey(NamedTuple):
    """A key that an operator created, as it is shown."""

    app_id: str
    project: str
    name: str
    permissions: tuple[Permission, ...]
    created_at: Micros
    created_by: str
    last_used_at: Micros | None
    """A minute behind at most, and never kept for uses in a process's last seconds."""
    revoked_at: Micros | None


class KnownKey(NamedTuple):
    """What a key that is not revoked opens."""

    project: str
    digest: bytes
    """Of its token."""
    permissions: frozenset[Permission]


class KnownToken(NamedTuple):
    """An access token that has not expired."""

    app_id: str
    """Of the key that it was issued to, one of the settings or a created one."""
    proof: bytes
    """See ``proof_of``."""
    scopes: frozenset[Scope]
    seconds_left: float


class NewToken(NamedTuple):
    """An access token to be kept."""

    digest: bytes
    app_id: str
    proof: bytes
    scopes: Sequence[Scope]


class Found(NamedTuple):
    """Those that there are."""

    keys: Mapping[str, KnownKey]
    """By app id: those asked for and those of the tokens."""
    tokens: Mapping[bytes, KnownToken]
    """By digest."""


class KeyStore(Protocol):
    """What the API asks and notes. Raises ProjectionUnavailableError, SchemaMismatchError."""

    async def find(self, app_ids: Collection[str], token_digests: Collection[bytes]) -> Found:
        """Keys that are not revoked, and tokens that have not expired."""

    async def issue(self, token: NewToken, *, seconds: int, limit: int) -> Micros | None:
        """Keep a token for ``seconds``; when it expires. None: its key has ``limit`` tokens that live."""

    async def note_use(self, app_ids: Collection[str], *, every: int) -> None:
        """Note that these keys were used now, unless they were noted less than ``every`` seconds ago."""


class KeyRegister(Protocol):
    """The operator's side. Raises ProjectionUnavailableError, SchemaMismatchError."""

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
        """Keep a key, which works from now on. Raises DataRejectedError for text that cannot be stored."""

    async def keys(self, project: str | None, *, revoked: bool) -> Sequence[ApiKey]:
        """The keys of a project (None: of all), the oldest first; with ``revoked`` those too."""

    async def key(self, app_id: str) -> ApiKey | None:
        """One key, revoked or not."""

    async def revoke(self, app_id: str) -> bool:
        """End the key and its tokens, for good. False: there is none, or it is revoked already."""
