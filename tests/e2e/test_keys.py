"""Keys and access tokens across processes, on both stacks."""

import asyncio
import json
import time
from typing import Any

import httpx

from schemas.samples import voucher_deleted
from tests.e2e.test_commands import binmirror
from tests.stack import CREDENTIALS, Service, Stack, client_of, deliver, in_bin, running, until

GRANT = {"grant_type": "client_credentials"}


async def command(service: Service, *arguments: str) -> Any:
    done = await asyncio.to_thread(binmirror, service, "keys", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def create(service: Service, name: str, *permissions: str) -> dict[str, str]:
    wanted = [word for permission in permissions for word in ("--permission", permission)]
    key = await command(service, "create", "--name", name, *wanted)
    return {"X-App-Id": key["app_id"], "X-App-Token": key["app_token"]}


async def status(service: Service, headers: dict[str, str], method: str = "GET", path: str = "") -> int:
    async with client_of(service.url, headers=headers) as client:
        return (await client.request(method, f"/v1/trash-bin{path}")).status_code


async def bearer(service: Service, key: dict[str, str]) -> dict[str, str]:
    async with client_of(service.url) as client:
        response = await client.post(
            "/v1/oauth/token", data=GRANT, auth=httpx.BasicAuth(key["X-App-Id"], key["X-App-Token"])
        )
    assert response.status_code == 200, response.text
    return {"Authorization": f"Bearer {response.json()['access_token']}"}


async def test_a_key_s_life(stack: Stack) -> None:
    """A key made on the command line works at once in two processes, deletes as far as it may, and ends."""
    everything, api = stack.service(BINMIRROR_DELETES="local"), stack.service("api")
    with running(everything, api):
        await everything.ready()
        await api.ready()
        async with client_of(everything.url) as client:
            assert (await deliver(client, voucher_deleted(voucher_id="v_1"))).status_code == 202
        (entry,) = await in_bin(api.url, ["v_1"])
        reader, deleter = await create(api, "reader"), await create(api, "deleter", "vouchers.delete")
        tokens = [await bearer(service, reader) for service in (everything, api)]
        for headers in (reader, *tokens, await bearer(api, CREDENTIALS)):
            assert [await status(service, headers) for service in (everything, api)] == [200, 200]
        assert await status(everything, reader, "DELETE", f"/{entry['id']}") == 403
        assert await status(everything, deleter) == 403
        assert await status(everything, deleter, "DELETE", f"/{entry['id']}") == 204
        await used(api, reader)
        await ended(everything, api, reader, tokens)
        assert everything.stop() == api.stop() == 0


async def used(service: Service, key: dict[str, str]) -> None:
    """The time of its last use comes to be known."""

    async def noted() -> bool:
        listed = {row["app_id"]: row["last_used_at"] for row in await command(service, "list")}
        return listed[key["X-App-Id"]] is not None

    await until(noted, "the key's use is noted")


async def ended(one: Service, other: Service, key: dict[str, str], tokens: list[dict[str, str]]) -> None:
    """Revoked, it is refused by both processes within seconds, and so are its tokens."""
    revoked = await command(other, "revoke", key["X-App-Id"], "--yes")
    assert revoked["changed"]
    since = time.monotonic()

    async def refused() -> bool:
        asked = [(service, headers) for service in (one, other) for headers in (key, *tokens)]
        return {await status(service, headers) for service, headers in asked} == {401}

    await until(refused, "the key is refused")
    # Two seconds, and what these requests and a busy machine take.
    assert time.monotonic() - since < 10
    again = await asyncio.to_thread(binmirror, other, "keys", "revoke", key["X-App-Id"], "--yes")
    assert (again.returncode, "was revoked before" in again.stderr) == (1, True)
