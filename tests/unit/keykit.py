"""An API over a bin of two projects, with created keys."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from consumer.clock import Clock
from consumer.errors import ProjectionUnavailableError
from consumer.eventlog.base import Producer
from consumer.ops.keys import KeyAdmin
from consumer.ops.purge import Purge
from consumer.projection.base import ProjectionReader
from consumer.projection.connections import OwnConnection
from consumer.projection.control import SqlAudit
from consumer.projection.keys import SqlKeyStore
from consumer.projection.keys_base import Found, NewToken
from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.types import READ_PERMISSIONS, Permission, Project
from consumer.web.issued_keys import IssuedKeys
from schemas.times import Micros
from tests.manual_clock import ManualClock
from tests.unit.webkit import PROJECT, ListProducer, Web

SHOP: Final = Project("shop", webhook_secrets=(b"x",), api_app_id="shop-id", api_app_token=b"shop-token")
FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
GRANT: Final = "grant_type=client_credentials"


@dataclass
class Keyed:
    """The API, and what an operator has."""

    web: Web
    admin: KeyAdmin
    issued: IssuedKeys
    clock: ManualClock
    connection: OwnConnection

    async def create(
        self, *permissions: Permission, project: str = "default", name: str = "test"
    ) -> dict[str, str]:
        """A new key, as headers."""
        wanted: Sequence[Permission] = permissions or READ_PERMISSIONS
        key, token = await self.admin.create(project=project, name=name, permissions=wanted, who="ann")
        return {"X-App-Id": key.app_id, "X-App-Token": token}

    async def revoke(self, headers: dict[str, str]) -> None:
        key = await self.admin.key(headers["X-App-Id"])
        assert key is not None
        assert await self.admin.revoke(key, who="ann")

    async def post(self, body: str | bytes, **headers: str) -> httpx.Response:
        """Ask for a token."""
        async with self.web.client() as client:
            return await client.post("/v1/oauth/token", content=body, headers={**FORM, **headers})

    async def bearer(self, key: dict[str, str], scope: str = "api") -> dict[str, str]:
        """A token for a key, as headers."""
        response = await self.post(f"{GRANT}&scope={scope}", **key)
        assert response.status_code == 200, response.text
        return {"Authorization": f"Bearer {response.json()['access_token']}"}

    async def status(self, path: str = "/v1/trash-bin", /, **headers: str) -> int:
        return (await self.web.get(path, **headers)).status_code


@asynccontextmanager
async def keyed(
    address: str, *, producer: Producer | None = None, projects: Sequence[Project] = (PROJECT, SHOP)
) -> AsyncIterator[Keyed]:
    """Over the projection at ``address``. DELETE is local."""
    clock = ManualClock()
    async with AsyncExitStack() as resources:
        pool, connection = ReadPool(address), OwnConnection(address)
        reader = SqlProjectionReader(pool)
        resources.push_async_callback(reader.stop)
        resources.push_async_callback(connection.stop)
        await reader.start()
        issued = IssuedKeys(SqlKeyStore(connection, pool.read), clock)
        by_name = {project.name: project for project in projects}
        web = Web(
            reader=reader,
            purge=local_purge(reader, clock, producer or ListProducer()),
            keys=issued,
            projects=by_name,
        )
        admin = KeyAdmin(SqlKeyStore(connection), SqlAudit(connection))
        yield Keyed(web, admin, issued, clock, connection)


def local_purge(reader: ProjectionReader, clock: Clock, producer: Producer) -> Purge:
    return Purge("local", reader=reader, producer=producer, clients={}, clock=clock)


class NoKeys:
    """A database that is away."""

    async def find(self, app_ids: Collection[str], token_digests: Collection[bytes]) -> Found:
        del app_ids, token_digests
        raise ProjectionUnavailableError("away")

    async def issue(self, token: NewToken, *, seconds: int, limit: int) -> Micros | None:
        del token, seconds, limit
        raise ProjectionUnavailableError("away")

    async def note_use(self, app_ids: Collection[str], *, every: int) -> None:
        del app_ids, every
        raise ProjectionUnavailableError("away")
