"""API keys and access tokens, on both databases."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from consumer.errors import DataRejectedError
from consumer.projection.connections import OwnConnection
from consumer.projection.keys import SqlKeyStore
from consumer.projection.keys_base import ApiKey, Found, KnownKey, NewToken
from consumer.projection.read_pool import ReadPool

DIGEST = sha256(b"token").digest()
FIFTEEN_MINUTES = 900


@pytest.fixture
async def connection(address: str) -> AsyncIterator[OwnConnection]:
    own = OwnConnection(address)
    await own.start()
    yield own
    await own.stop()


@pytest.fixture
async def keys(address: str, connection: OwnConnection) -> AsyncIterator[SqlKeyStore]:
    """A store as the API has it: it reads on other connections than it writes on."""
    pool = ReadPool(address)
    await pool.start()
    yield SqlKeyStore(connection, pool.read)
    await pool.stop()


async def create(keys: SqlKeyStore, app_id: str = "key_1", *, project: str = "shop") -> ApiKey:
    return await keys.create(
        app_id,
        DIGEST,
        project=project,
        name="checkout [1] 🎟",
        permissions=["vouchers.read", "vouchers.delete"],
        created_by="ann@host",
    )


async def issue(
    keys: SqlKeyStore, token: bytes, *, seconds: int = FIFTEEN_MINUTES, limit: int = 9
) -> int | None:
    return await keys.issue(NewToken(token, "key_1", b"proof", ["api"]), seconds=seconds, limit=limit)


async def test_a_created_key_is_found(keys: SqlKeyStore) -> None:
    """A key is found by its id at once, with project, digest and permissions; others are not there."""
    key = await create(keys)
    assert key[:3] == ("key_1", "shop", "checkout [1] 🎟")
    assert (key.created_by, key.last_used_at, key.revoked_at) == ("ann@host", None, None)
    assert set(key.permissions) == {"vouchers.read", "vouchers.delete"}
    found = await keys.find(["key_1", "key_2", "KEY_1", "a\0b", "x" * 600], [])
    assert found == Found(
        {"key_1": KnownKey("shop", DIGEST, frozenset({"vouchers.read", "vouchers.delete"}))}, {}
    )
    assert await keys.key("key_1") == key
    assert await keys.key("key_2") is None
    assert await keys.key("a\0b") is None


async def test_keys_are_listed_by_project(keys: SqlKeyStore) -> None:
    """Lists hold a project's keys or all, the oldest first, revoked ones when asked for."""
    for app_id, project in (("key_9", "shop"), ("key_1", "shop"), ("key_5", "other")):
        await create(keys, app_id, project=project)
    assert [key.app_id for key in await keys.keys("shop", revoked=False)] == ["key_9", "key_1"]
    assert [key.app_id for key in await keys.keys(None, revoked=False)] == ["key_9", "key_1", "key_5"]
    assert await keys.revoke("key_9")
    assert [key.app_id for key in await keys.keys("shop", revoked=False)] == ["key_1"]
    assert [key.revoked_at is None for key in await keys.keys("shop", revoked=True)] == [False, True]
    assert await keys.keys("nobody", revoked=True) == []


async def test_a_revoked_key_ends_with_its_tokens(keys: SqlKeyStore) -> None:
    """Neither a revoked key nor its tokens are found; revoking again changes nothing."""
    await create(keys)
    await issue(keys, b"one")
    assert (await keys.find([], [b"one"])).keys.keys() == {"key_1"}
    assert await keys.revoke("key_1")
    ended = await keys.key("key_1")
    assert ended is not None
    assert ended.revoked_at is not None
    assert await keys.find(["key_1"], [b"one"]) == Found({}, {})
    assert not await keys.revoke("key_1")
    assert not await keys.revoke("key_2")
    assert not await keys.revoke("a\0b")
    assert await keys.key("key_1") == ended


async def test_a_token_is_found_until_it_expires(keys: SqlKeyStore) -> None:
    """A token is found with its key, scopes, proof and the time it has left; one that has expired is not."""
    await create(keys)
    expires_at = await issue(keys, b"long")
    assert expires_at is not None
    await issue(keys, b"gone", seconds=0)
    found = await keys.find([], [b"long", b"gone", b"never"])
    assert found.tokens.keys() == {b"long"}
    app_id, proof, scopes, left = found.tokens[b"long"]
    assert (app_id, proof, list(scopes)) == ("key_1", b"proof", ["api"])
    assert FIFTEEN_MINUTES - 60 < left <= FIFTEEN_MINUTES
    assert found.keys["key_1"].digest == DIGEST


async def test_a_key_has_a_bounded_number_of_tokens(keys: SqlKeyStore) -> None:
    """A key that has as many living tokens as it may gets no more; those that have expired do not count."""
    assert await issue(keys, b"gone", seconds=0, limit=2) is not None
    assert await issue(keys, b"1", limit=2) is not None
    assert await issue(keys, b"2", limit=2) is not None
    assert await issue(keys, b"3", limit=2) is None
    other = NewToken(b"4", "key_2", b"", ["trash-bin", "api"])
    assert await keys.issue(other, seconds=FIFTEEN_MINUTES, limit=2) is not None
    assert (await keys.find([], [b"4"])).tokens[b"4"].scopes == {"trash-bin", "api"}


async def test_last_use_is_noted(keys: SqlKeyStore) -> None:
    """The time of the last use is the database's, and is written at most once in the time given."""
    await create(keys)
    await create(keys, "key_2")
    await keys.note_use(["key_1", "none"], every=60)
    first = await keys.key("key_1")
    assert first is not None
    assert first.last_used_at is not None
    assert first.created_at <= first.last_used_at
    await keys.note_use(["key_1"], every=60)
    assert await keys.key("key_1") == first
    await keys.note_use(["key_1"], every=0)
    later = await keys.key("key_1")
    assert later is not None
    assert later.last_used_at is not None
    assert later.last_used_at >= first.last_used_at
    unused = await keys.key("key_2")
    assert unused is not None
    assert unused.last_used_at is None


async def test_text_that_no_database_stores(keys: SqlKeyStore) -> None:
    """A name with NUL is refused, on both databases alike."""
    with pytest.raises(DataRejectedError, match="name"):
        await keys.create("key_1", DIGEST, project="p", name="a\0", permissions=[], created_by="ann")
