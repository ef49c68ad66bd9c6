"""``GET /v1/trash-bin`` on a real projection."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest

from consumer.projection.queries import SqlProjectionReader
from consumer.projection.read_pool import ReadPool
from consumer.types import Project
from schemas.samples import campaign_deleted, voucher_deleted
from tests.unit.binkit import MINUTE, MORNING, filled, vouchers
from tests.unit.webkit import CREDENTIALS, DATA, PROJECT, Web, exchange, is_error

SHOP: Final = Project("shop", webhook_secrets=(b"x",), api_app_id="shop-id", api_app_token="jeton-é".encode())
PUBLISHED: Final = json.loads((DATA / "rest" / "list-bin-entries.200.json").read_text())
NAME: Final = "filters[resource_name][conditions]"
TYPE: Final = "filters[resource_type][conditions]"
FIELDS: Final = list(PUBLISHED["data"][0])


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bin: 25 vouchers and a campaign of one project, one voucher of another."""
    campaign = campaign_deleted(name="Spring 100%", campaign_id="camp_1", occurred_at=MORNING - MINUTE)
    other = voucher_deleted(code="OTHERS", voucher_id="v_other", occurred_at=MORNING)
    return filled(tmp_path_factory.mktemp("bin"), [*vouchers(25), ("default", campaign), ("shop", other)])


@pytest.fixture
async def web(address: str) -> AsyncIterator[Web]:
    """An API over that bin."""
    reader = SqlProjectionReader(ReadPool(address))
    await reader.start()
    yield Web(reader=reader, projects={"default": PROJECT, "shop": SHOP})
    await reader.stop()


def names(response: Any) -> list[str]:
    assert response.status_code == 200, response.text
    return [entry["resource_name"] for entry in response.json()["data"]]


async def test_page_has_the_published_shape(web: Web) -> None:
    """A page and its entries have the published fields, in the published order."""
    response = await web.get("/v1/trash-bin?limit=2", **CREDENTIALS)
    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert list(body) == list(PUBLISHED)
    assert all(list(entry) == FIELDS for entry in body["data"])
    assert (body["object"], body["data_ref"], body["total"], body["has_more"]) == ("list", "data", 2, True)
    assert body["more_starting_after"] == body["data"][-1]["id"]
    campaign, voucher = body["data"]
    assert campaign["object"] == campaign["resource_type"] == "campaign"
    assert campaign["resource_name"] == "Spring 100%"
    assert voucher["object"] == voucher["resource_type"] == "voucher"
    assert voucher["resource_id"] == "v_00"
    assert voucher["created_at"] == "2024-05-07T09:15:13.218Z"


async def test_default_page(web: Web) -> None:
    """Without parameters: the first ten, ascending."""
    response = await web.get("/v1/trash-bin", **CREDENTIALS)
    assert names(response) == ["Spring 100%", *(f"CODE-{n:02}" for n in range(9))]
    assert response.json()["total"] == 10


@pytest.mark.parametrize("order", ["id", "-id"])
async def test_pages(web: Web, order: str) -> None:
    """Following ``more_starting_after`` brings each entry once, and the last page has none."""
    found: list[str] = []
    more = ""
    while True:
        response = await web.get(f"/v1/trash-bin?limit=7&order={order}{more}", **CREDENTIALS)
        found += names(response)
        body = response.json()
        assert ("more_starting_after" in body) is body["has_more"]
        if not body["has_more"]:
            break
        more = f"&starting_after_id={body['more_starting_after']}"
    expected = ["Spring 100%", *(f"CODE-{n:02}" for n in range(25))]
    assert found == (expected if order == "id" else expected[::-1])


async def test_last_page_that_is_full(web: Web) -> None:
    """A last page with exactly ``limit`` entries says that there is no more."""
    response = await web.get("/v1/trash-bin?limit=26", **CREDENTIALS)
    assert len(names(response)) == 26
    assert response.json()["has_more"] is False


async def test_unknown_position(web: Web) -> None:
    """An unknown ``starting_after_id`` is a position in the order of ids."""
    assert names(await web.get("/v1/trash-bin?starting_after_id=zzz", **CREDENTIALS)) == []
    assert len(names(await web.get("/v1/trash-bin?starting_after_id=a&limit=100", **CREDENTIALS))) == 26


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("filters[resource_type][conditions][$is]=campaign", ["Spring 100%"]),
        ("filters%5Bresource_type%5D%5Bconditions%5D%5B%24is%5D=campaign", ["Spring 100%"]),
        (f"{NAME}[$in][0]=CODE-03&{NAME}[$in][1]=CODE-05", ["CODE-03", "CODE-05"]),
        (f"{NAME}[$in][]=CODE-03&{NAME}[$in][]=CODE-05", ["CODE-03", "CODE-05"]),
        (f"[filters]{NAME.removeprefix('filters')}[$is][0]=CODE-03", ["CODE-03"]),
        ("filters[resource_name][conditions][$in]=['CODE-03', 'CODE-05']", ["CODE-03", "CODE-05"]),
        ("filters[resource_name][conditions][$contains]=%25", ["Spring 100%"]),
        ("filters[resource_name][conditions][$starts_with]=code", []),
        ("filters[resource_id][conditions][$is]=v_07&filters[id]=None", ["CODE-07"]),
        (f"filters[junction]=OR&{NAME}[$is]=CODE-07&{TYPE}[$is]=campaign", ["Spring 100%", "CODE-07"]),
        (f"{NAME}[$is]=CODE-07&{TYPE}[$is]=campaign", []),
        ("filters[resource_name][conditions][$is]=%F0%9F%8E%9F", []),
        ("", None),
        ("?", None),
        ("unknown=parameter", None),
    ],
)
async def test_filters(web: Web, query: str, expected: list[str] | None) -> None:
    """Every spelling of a filter selects what it says."""
    response = await web.get(f"/v1/trash-bin?{query}", **CREDENTIALS)
    if expected is None:
        assert len(names(response)) == 10
    else:
        assert names(response) == expected


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=0", ".limit"),
        ("limit=101", ".limit"),
        ("limit=-1", ".limit"),
        ("limit=ten", ".limit"),
        ("limit=", ".limit"),
        ("limit=" + "9" * 5000, ".limit"),
        ("order=created_at", ".order"),
        ("order=", ".order"),
        ("filters[colour][conditions][$is]=red", "colour"),
        ("filters[resource_type][conditions][$like]=x", "$like"),
        ("filters[resource_type][conditions][$contains]=x", "resource_type"),
        ("filters[junction]=xor", "junction"),
        ("filters[resource_name][conditions][$is]=%00", "resource_name"),
        ("limit=%FF", ".limit is not UTF-8"),
        ("order=id&a%FFb=%ED%A0%80", ".a\ufffdb is not UTF-8"),
        ("&".join(["a=b"] * 4001), "parameters"),
        ("&".join(f"filters[id][conditions][$in]={n}" for n in range(1900)), "[$in]"),
        ("starting_after_id=" + "x" * 513, ".starting_after_id"),
        ("starting_after_id=" + "x" * 65_000, ".starting_after_id"),
    ],
)
async def test_invalid_queries(web: Web, query: str, named: str) -> None:
    """A query that cannot be understood is a 400 whose details name the parameter."""
    response = await web.get(f"/v1/trash-bin?{query}", **CREDENTIALS)
    assert is_error(response, 400, "invalid_query_params")
    assert named in response.json()["details"]
    sample = json.loads((DATA / "rest" / "invalid_query_params.400.json").read_text())
    assert list(response.json()) == list(sample)
    assert response.json()["message"] == sample["message"]


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff" * 1000])
async def test_a_body_is_ignored(web: Web, body: bytes) -> None:
    """A GET may have a body; nobody reads it."""
    async with web.client() as client:
        response = await client.request("GET", "/v1/trash-bin", content=body, headers=CREDENTIALS)
    assert response.status_code == 200


async def test_credentials_select_the_project(web: Web) -> None:
    """Each project's credentials show its own bin, and no other."""
    async with web.client() as client:
        headers = [(b"X-App-Id", b"shop-id"), (b"X-App-Token", "jeton-é".encode())]
        response = await client.get("/v1/trash-bin", headers=headers)
    assert names(response) == ["OTHERS"]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("X-App-Id", "app-id")],
        [("X-App-Token", "app-token")],
        [("X-App-Id", "app-id"), ("X-App-Token", "wrong")],
        [("X-App-Id", "app-id"), ("X-App-Token", "")],
        [("X-App-Id", ""), ("X-App-Token", "")],
        [("X-App-Id", "shop-id"), ("X-App-Token", "app-token")],
        [("X-App-Id", "app-id"), ("X-App-Token", "app-token"), ("X-App-Token", "app-token")],
        [("X-App-Id", "app-id"), ("X-App-Id", "shop-id"), ("X-App-Token", "app-token")],
        [("X-App-Id", "APP-ID"), ("X-App-Token", "app-token")],
        [("X-App-Id", "app-id"), ("X-App-Token", "\xe9\xff")],
        [("X-App-Id", "app-id"), ("X-App-Token", "x" * 60_000)],
        [("Authorization", "Bearer app-token")],
    ],
)
async def test_unauthorized(web: Web, headers: list[tuple[str, str]]) -> None:
    """Anything but one id with its token is a 401 in the published shape, before the query is looked at."""
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with web.client() as client:
        response = await client.get("/v1/trash-bin?limit=0", headers=raw)
    assert is_error(response, 401, "unauthorized")
    sample = json.loads((DATA / "rest" / "unauthorized.401.json").read_text())
    assert {**sample, "request_id": response.json()["request_id"]} == response.json()


async def test_project_without_credentials(web: Web) -> None:
    """A project that has no credentials cannot be asked, not with empty ones either."""
    bare = replace(PROJECT, api_app_id=None, api_app_token=None)
    closed = Web(reader=web.reader, projects={"default": bare})
    headers = {"X-App-Id": "", "X-App-Token": ""}
    assert is_error(await closed.get("/v1/trash-bin", **headers), 401, "unauthorized")


async def test_over_a_socket(web: Web) -> None:
    """A real server answers GET and HEAD alike, and a head with no body."""
    async with web.serve() as port, web.remote(port) as client:
        get = await client.get("/v1/trash-bin", headers=CREDENTIALS)
        head = await client.head("/v1/trash-bin", headers=CREDENTIALS)
    assert len(names(get)) == 10
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(get.content))
    assert head.content == b""


@pytest.mark.parametrize("size", [60_000, 66_000, 1_000_000])
async def test_huge_queries(web: Web, size: int) -> None:
    """However long a query is, the answer says that the request is at fault."""
    query = b"filters[id][conditions][$in]=" + b"x" * size
    async with web.serve() as port:
        answer = await exchange(
            port,
            b"GET /v1/trash-bin?" + query + b" HTTP/1.1\r\nHost: x\r\nX-App-Id: app-id\r\n",
            b"X-App-Token: app-token\r\nConnection: close\r\n\r\n",
        )
    assert answer.startswith(b"HTTP/1.1 4")
