"""``GET /mirror/v1/changes``: pages of what changed since."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import delete

from consumer.projection.control_tables import generations
from consumer.projection.engines import open_engine
from tests.projection_kit import Feed, Said
from tests.unit.followkit import CHANGES, STREAM, Copy, Followed, followed
from tests.unit.webkit import is_error


@pytest.fixture
async def mirror(tmp_path: Path) -> AsyncIterator[Followed]:
    async with followed(tmp_path) as made:
        yield made


@pytest.fixture
async def client(mirror: Followed) -> AsyncIterator[httpx.AsyncClient]:
    async with mirror.client() as made:
        yield made


async def test_page_by_page(mirror: Followed, client: httpx.AsyncClient) -> None:
    """From the beginning everything is told once, then what changes, removals included."""
    await mirror.push(*(Said(f"e{n}", resource_id=f"v{n}", name=f"C{n}") for n in range(5)))
    copy, after, pages = Copy(), "beginning", 0
    while True:
        page = (await client.get(CHANGES, params={"after": after, "limit": 2})).json()
        copy.take(page)
        after, pages = page["next"], pages + 1
        assert page["total"] == len(page["data"]) <= 2
        if not page["has_more"]:
            break
    assert pages == 3
    assert copy.entries == {("voucher", f"v{n}"): ("deleted", f"C{n}") for n in range(5)}
    await mirror.push(Said("x", "discarded", name="e1"), Said("y", "purged", resource_id="v2", occurred=3))
    page = (await client.get(CHANGES, params={"after": after})).json()
    assert [(change["resource_id"], change["state"]) for change in page["data"]] == [
        ("v1", "withdrawn"),
        ("v2", "purged"),
    ]
    assert page["data"][0]["id"] is None
    assert page["data"][1]["position"] == {"partition": 0, "offset": 6}


async def test_from_now_on(mirror: Followed, client: httpx.AsyncClient) -> None:
    """``now`` tells nothing of what was before."""
    await mirror.push(Said("e1"))
    page = (await client.get(CHANGES, params={"after": "now"})).json()
    assert (page["data"], page["has_more"]) == ([], False)
    await mirror.push(Said("e2", resource_id="v2"))
    page = (await client.get(CHANGES, params={"after": page["next"]})).json()
    assert [change["resource_id"] for change in page["data"]] == ["v2"]


async def test_other_projects_are_not_told_of(mirror: Followed, client: httpx.AsyncClient) -> None:
    """Each project follows its own bin."""
    await mirror.feed.push(Said("e1", project="other"), Said("e2", project="default", resource_id="v2"))
    page = (await client.get(CHANGES)).json()
    assert [change["resource_id"] for change in page["data"]] == ["v2"]


async def test_a_projection_made_anew(mirror: Followed, client: httpx.AsyncClient) -> None:
    """410, which says to start again; for the stream as well."""
    await mirror.push(Said("e1"))
    after = (await client.get(CHANGES)).json()["next"]
    database = open_engine(mirror.address, "write")
    with database.engine.begin() as connection:
        connection.execute(delete(generations))
    database.engine.dispose()
    await Feed.of(mirror.store)
    for path, headers in ((CHANGES, {}), (STREAM, {}), (STREAM, {"Last-Event-ID": after})):
        response = await client.get(path, params={"after": after}, headers=headers)
        assert is_error(response, 410, "cursor_expired")
        assert "after=beginning" in response.json()["details"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("after=", "after"),
        ("after=yesterday", "after"),
        ("after=1AAAA", "after"),
        ("after=now&after=now", "after"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=%D9%A3", "limit"),
        ("from=now", "from"),
        ("after=%FF", ""),
    ],
)
async def test_bad_queries(client: httpx.AsyncClient, query: str, named: str) -> None:
    """400, which names the parameter."""
    response = await client.get(f"{CHANGES}?{query}")
    assert is_error(response, 400, "invalid_query_params")
    assert named in response.json()["details"]


async def test_credentials_are_needed(mirror: Followed) -> None:
    """401 for both routes."""
    for path in (CHANGES, STREAM):
        assert is_error(await mirror.web.get(path), 401, "unauthorized")
