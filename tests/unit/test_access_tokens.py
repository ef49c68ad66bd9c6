"""How long access tokens live, what ends them, and what of them is stored."""

from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Any, Final

import pytest

from consumer.web import issued_keys
from schemas.oauth import LIFETIME_SECONDS
from tests.unit.keykit import GRANT, SHOP, Keyed, keyed
from tests.unit.webkit import CREDENTIALS, PROJECT
from tests.worker_kit import eventually

BODY: Final = f"{GRANT}&client_id=app-id&client_secret=app-token"


async def test_an_expiring_token(api: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is not believed for longer than it had to live when it was looked up."""
    monkeypatch.setattr(issued_keys, "LIFETIME_SECONDS", 1)
    token = await api.bearer(CREDENTIALS)
    assert await api.status(**token) == 200
    end = "UPDATE access_tokens SET expires_at = 0"
    await api.connection.write(lambda connection: connection.exec_driver_sql(end))
    assert await api.status(**token) == 200
    api.clock.advance(1)
    assert await api.status(**token) == 401


async def test_an_expired_token(api: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token ends with its time, by the database's clock, although it was believed just now."""
    monkeypatch.setattr(issued_keys, "LIFETIME_SECONDS", 1)
    token = await api.bearer(CREDENTIALS)
    assert await api.status(**token) == 200
    api.clock.advance(1)

    async def expired() -> bool:
        response = await api.web.get("/v1/trash-bin", **token)
        api.clock.advance(1)
        return "invalid_token" in response.headers.get("www-authenticate", "")

    await eventually(expired)


async def test_tokens_live_for_fifteen_minutes(api: Keyed) -> None:
    """The database is told the lifetime that the answer names."""
    assert LIFETIME_SECONDS == 900
    body = (await api.post(BODY)).json()
    query = "SELECT expires_at, unixepoch('now') FROM access_tokens"
    (row,) = await api.connection.look(lambda connection: connection.exec_driver_sql(query).all())
    assert body["expires_at"] == row[0] // 1_000_000
    assert 890 <= row[0] // 1_000_000 - row[1] <= 900


async def test_revoking_a_key_ends_its_tokens(api: Keyed) -> None:
    """Within two seconds of its key's end a token opens nothing, and no new one is issued."""
    key = await api.create()
    token = await api.bearer(key)
    assert await api.status(**token) == 200
    await api.revoke(key)
    api.clock.advance(2)
    assert await api.status(**token) == 401
    assert (await api.post(GRANT, **key)).status_code == 401


async def test_another_secret_in_the_settings_ends_tokens(bin_of_two: Path, tmp_path: Path) -> None:
    """When the settings' key gets another secret, or goes, the tokens of the former one are worth nothing."""
    copy(bin_of_two, tmp_path / "bin.db")
    address = f"sqlite:///{tmp_path}/bin.db"
    async with keyed(address) as before:
        token = await before.bearer(CREDENTIALS)
        assert await before.status(**token) == 200
    changed: list[Any] = [
        replace(PROJECT, api_app_token=b"another"),
        replace(PROJECT, api_app_id="other"),
        SHOP,
    ]
    for project in changed:
        async with keyed(address, projects=[project]) as after:
            assert await after.status(**token) == 401
    async with keyed(address) as again:
        assert await again.status(**token) == 200


async def test_a_key_has_a_bounded_number_of_tokens(api: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that asks for tokens without end is told to wait; others are not."""
    monkeypatch.setattr(issued_keys, "MOST_TOKENS", 3)
    assert [(await api.post(BODY)).status_code for _ in range(4)] == [200, 200, 200, 429]
    response = await api.post(BODY)
    assert response.json()["message"] == "Too many requests hit the API too quickly."
    assert response.headers["retry-after"] == "5"
    assert (await api.post(GRANT, **await api.create())).status_code == 200


def content(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_only_digests_are_stored(api: Keyed, tmp_path: Path) -> None:
    """Neither a key's token nor an access token is in the database's files."""
    key = await api.create()
    token = await api.bearer(key)
    stored = content(tmp_path)
    assert key["X-App-Id"].encode() in stored
    assert key["X-App-Token"].encode() not in stored
    assert token["Authorization"].removeprefix("Bearer ").encode() not in stored
