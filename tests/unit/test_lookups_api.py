"""``GET /mirror/v1/vouchers/{code}`` and ``POST /mirror/v1/lookups`` on a real projection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from consumer.projection.lookups import SqlLookups
from consumer.projection.read_pool import ReadPool
from schemas.lookups import LookupsView
from tests.lookup_kit import campaign_binned, deleted, gone, observed, seen, tell
from tests.unit.lookups_web import LOOKUPS, SHOP_CREDENTIALS, STRANGE, VOUCHER, look, over, post
from tests.unit.webkit import CREDENTIALS, Web, exchange, is_error


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bin with a code in each state, strange codes, and another project."""
    address = f"sqlite:///{tmp_path_factory.mktemp('lookups') / 'bin.db'}"
    mine: dict[str, Any] = {"project": "default"}
    story = [
        deleted("v_1", "DELETED", 10, **mine),
        deleted("v_2", "DEAD", 10, **mine),
        observed("voucher", "v_2", 20, name="DEAD", created=10, **mine),
        deleted("v_4", "REUSABLE", 10, **mine),
        gone("purged", "v_4", 20, **mine),
        deleted("v_5", "REUSED", 10, **mine),
        gone("vanished", "v_5", 20, **mine),
        seen("v_6", "REUSED", 40, **mine),
        seen("v_7", "ALIVE", 40, **mine),
        seen("v_8", "SPRING", 0, "camp_1", **mine),
        *campaign_binned("camp_1", 100, "default"),
        *(deleted(f"s_{n}", code, n, **mine) for n, code in enumerate(STRANGE)),
        deleted("v_shop", "Shop", 10, project="shop"),
    ]
    asyncio.run(tell(address, story))
    return address


@pytest.fixture
async def web(address: str) -> AsyncIterator[Web]:
    """An API over that bin."""
    pool = ReadPool(address)
    await pool.start()
    yield over(SqlLookups(pool))
    await pool.stop()


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("DELETED", "deleted"),
        ("DEAD", "dead"),
        ("REUSABLE", "reusable"),
        ("REUSED", "reused"),
        ("ALIVE", "unknown"),
        ("SPRING", "dead"),
        ("never", "unknown"),
        ("deleted", "unknown"),
        ("\0", "unknown"),
        ("x" * 600, "unknown"),
        ("Shop", "unknown"),
    ],
)
async def test_verdicts(web: Web, code: str, verdict: str) -> None:
    """Each code has its verdict, always with 200."""
    assert (await look(web, code))["verdict"] == verdict


async def test_the_whole_answer(web: Web) -> None:
    """The answer says what was asked, the verdict, its evidence, and who bore the code."""
    assert await look(web, "DEAD") == {
        "object": "lookup",
        "code": "DEAD",
        "resource_type": None,
        "resource_id": None,
        "campaign_id": None,
        "verdict": "dead",
        "evidence": {
            "resource_type": "voucher",
            "resource_id": "v_2",
            "state": "in_bin",
            "event_id": (await look(web, "DEAD"))["resources"][0]["state_event_id"],
            "at": "2024-07-03T09:47:00.000Z",
        },
        "resources": [
            {
                "resource_type": "voucher",
                "resource_id": "v_2",
                "resource_name": "DEAD",
                "campaign_id": None,
                "state": "in_bin",
                "entry_id": "tbe_v_2",
                "deleted_at": "2024-07-03T09:46:50.000Z",
                "state_at": "2024-07-03T09:47:00.000Z",
                "state_event_id": (await look(web, "DEAD"))["evidence"]["event_id"],
                "seen_at": None,
                "seen_event_id": None,
            }
        ],
    }
    reused = await look(web, "REUSED")
    assert [each["resource_id"] for each in reused["resources"]] == ["v_6", "v_5"]
    assert reused["evidence"]["state"] == "seen"
    assert reused["evidence"]["event_id"] == reused["resources"][0]["seen_event_id"]
    assert (await look(web, "SPRING"))["resources"][0]["campaign_id"] == "camp_1"


async def test_campaign_id(web: Web) -> None:
    """Whoever asks may name the code's campaign."""
    assert (await look(web, "bulk-made", "?campaign_id=camp_1"))["verdict"] == "dead"
    assert (await look(web, "bulk-made", "?campaign_id=camp_2"))["verdict"] == "unknown"
    assert (await look(web, "bulk-made", "?campaign_id="))["verdict"] == "unknown"


@pytest.mark.parametrize("code", STRANGE)
async def test_any_character(web: Web, code: str) -> None:
    """Any character can stand in a path, percent-encoded."""
    if code.strip("."):
        # Clients take dots alone for a way through folders, however they are written: see the docs.
        assert (await look(web, code))["verdict"] == "deleted"
    async with web.serve() as port:
        head = f"GET {VOUCHER}{quote(code, safe='')} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in CREDENTIALS.items()) + "\r\n"
        answer = await exchange(port, head.encode())
    assert b'"verdict":"deleted"' in answer


async def test_slashes_as_they_are(web: Web) -> None:
    """A slash that a client or proxy did not encode, or decoded, belongs to the code."""
    response = await web.get(VOUCHER + "a/b", **CREDENTIALS)
    assert (response.json()["code"], response.json()["verdict"]) == ("a/b", "deleted")


@pytest.mark.parametrize("path", ["/mirror/v1/%76ouchers/DEAD", "/%6Dirror/v1/vouchers/DEAD"])
async def test_a_path_encoded_without_need(web: Web, path: str) -> None:
    """A letter of the route may be percent-encoded too: it is the same path, and the same code."""
    response = await web.get(path, **CREDENTIALS)
    assert response.json()["code"] == "DEAD"
    assert response.json()["verdict"] == "dead"


@pytest.mark.parametrize("path", ["/mirror%2Fv1/vouchers/DEAD", "/mirror/v1/vouchers%2FDEAD"])
async def test_an_encoded_slash_of_the_route(web: Web, path: str) -> None:
    """It is no slash: there is nothing at that path, and never a verdict on another code."""
    assert is_error(await web.get(path, **CREDENTIALS), 404, "not_found")


async def test_case_insensitive_projects(web: Web) -> None:
    """A project that does not tell upper from lower case finds its codes in any case, and only its own."""
    assert (await look(web, "sHOP", **SHOP_CREDENTIALS))["verdict"] == "deleted"
    assert (await look(web, "DELETED", **SHOP_CREDENTIALS))["verdict"] == "unknown"
    response = await post(web, {"lookups": [{"code": "SHOP"}]}, **SHOP_CREDENTIALS)
    assert response.json()["data"][0]["verdict"] == "deleted"


async def test_many(web: Web) -> None:
    """Codes and ids in one call, answered in order."""
    response = await post(
        web,
        {
            "lookups": [
                {"code": "DEAD"},
                {"code": "never"},
                {"code": "\0"},
                {"code": ""},
                {"resource_type": "campaign", "resource_id": "camp_1"},
                {"resource_type": "voucher", "resource_id": "v_1"},
                {"resource_type": "voucher", "resource_id": "v_8"},
                {"resource_type": "product", "resource_id": "v_1"},
                {"code": "never", "campaign_id": "camp_1"},
                {"resource_type": "voucher", "resource_id": "v_bulk", "campaign_id": "camp_1"},
            ]
        },
    )
    assert response.status_code == 200
    body = response.json()
    assert (body["object"], body["data_ref"], body["total"]) == ("list", "data", 10)
    assert LookupsView.model_validate(body).model_dump_json().encode() == response.content
    verdicts = ["dead", "unknown", "unknown", "unknown", "dead", "deleted", "dead", "unknown", "dead", "dead"]
    assert [each["verdict"] for each in body["data"]] == verdicts
    assert (await post(web, {"lookups": []})).json()["data"] == []
    thousand = await post(web, {"lookups": [{"code": f"{n}-DEAD"} for n in range(999)] + [{"code": "DEAD"}]})
    assert [each["verdict"] for each in thousand.json()["data"]] == ["unknown"] * 999 + ["dead"]


async def test_other_methods_and_paths(web: Web) -> None:
    """405 and OPTIONS name the methods; a path without a code leads nowhere; HEAD is answered like GET."""
    async with web.client() as client:
        for path, method, allowed in (
            (VOUCHER + "X", "POST", "GET, HEAD, OPTIONS"),
            (LOOKUPS, "GET", "POST, OPTIONS"),
        ):
            response = await client.request(method, path, headers=CREDENTIALS)
            assert is_error(response, 405, "method_not_allowed")
            assert response.headers["allow"] == allowed
            response = await client.options(path)
            assert (response.status_code, response.headers["allow"], response.content) == (204, allowed, b"")
        assert is_error(await client.get(VOUCHER, headers=CREDENTIALS), 404, "not_found")
        assert is_error(await client.get(VOUCHER[:-1], headers=CREDENTIALS), 404, "not_found")
        head = await client.head(VOUCHER + "DEAD", headers=CREDENTIALS)
        get = await client.get(VOUCHER + "DEAD", headers=CREDENTIALS)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_metrics_and_headers(web: Web) -> None:
    """A lookup is counted under its route, not under its code; its answer has the headers of all others."""
    response = await web.get(VOUCHER + "DEAD", **CREDENTIALS)
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"].startswith("v-")
    labels = {"route": VOUCHER + "{code}", "status": "200"}
    assert web.metrics.registry.get_sample_value("binmirror_http_requests_total", labels) == 1
