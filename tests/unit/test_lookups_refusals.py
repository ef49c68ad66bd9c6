"""Lookups that are answered with errors."""

from typing import Any

import pytest

from consumer.errors import ProjectionUnavailableError
from tests.unit.lookups_web import LOOKUPS, VOUCHER, over, post
from tests.unit.webkit import CREDENTIALS, FailingLookups, Web, is_error


@pytest.fixture
def web() -> Web:
    """An application whose lookups are never reached."""
    return over(FailingLookups(RuntimeError("not asked here")))


@pytest.mark.parametrize(
    ("body", "details"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        ([], "The body should be an object"),
        ({}, ".lookups is missing"),
        ({"lookups": None}, ".lookups "),
        ({"lookups": [], "more": 1}, ".more is unknown"),
        ({"lookups": [{"code": "A"}] * 1001}, ".lookups has more than 1000 items"),
        ({"lookups": [{"code": "A"}, {"code": 1}]}, ".lookups[1].code "),
        ({"lookups": ["A"]}, ".lookups[0] should be an object"),
        ({"lookups": [{"code": "A", "campaign": "B"}]}, ".lookups[0].campaign is unknown"),
        ({"lookups": [{"code": "A", "campaign_id": "\0"}]}, ".lookups[0].campaign_id holds NUL"),
        ({"lookups": [{"code": "A", "campaign_id": "x" * 513}]}, ".lookups[0].campaign_id holds NUL or"),
        ({"lookups": [{}]}, ".lookups[0].resource_type is missing"),
        ({"lookups": [{"resource_type": "order", "resource_id": "x"}]}, ".lookups[0].resource_type "),
        ({"lookups": [{"resource_type": "voucher"}]}, ".lookups[0].resource_id is missing"),
        (
            {"lookups": [{"resource_type": "sku", "resource_id": "x", "campaign_id": "c"}]},
            ".lookups[0] has a campaign_id",
        ),
    ],
)
async def test_bodies_that_make_no_sense(web: Web, body: Any, details: str) -> None:
    """400 in the one shape, naming the field."""
    response = await post(web, body)
    assert is_error(response, 400, "invalid_payload")
    assert details in response.json()["details"]


async def test_a_body_that_is_too_large(web: Web) -> None:
    """413, without reading it all."""
    assert is_error(await post(web, b" " * (4 * 1024 * 1024 + 1)), 413, "payload_too_large")


@pytest.mark.parametrize(
    ("path", "details"),
    [
        ("X?limit=1", ".limit is unknown"),
        ("X?campaign_id=%00", ".campaign_id holds NUL"),
        ("X?campaign_id=%ff", "not percent-encoded UTF-8"),
        ("X?campaign_id=a&campaign_id=b", ".campaign_id is there more than once"),
        ("X?campaign_id=" + "x" * 513, ".campaign_id holds NUL or"),
        ("X?campaign_id=" + "x" * 40_000, "longer than 32768 bytes"),
        ("%ff", ".code is not percent-encoded UTF-8"),
    ],
)
async def test_queries_that_make_no_sense(web: Web, path: str, details: str) -> None:
    """400 in the one shape, naming the parameter."""
    response = await web.get(VOUCHER + path, **CREDENTIALS)
    assert is_error(response, 400, "invalid_query_params")
    assert details in response.json()["details"]


async def test_many_have_no_query(web: Web) -> None:
    """A parameter that is not known is named, here too."""
    async with web.client() as client:
        response = await client.post(LOOKUPS + "?limit=1", content=b'{"lookups": []}', headers=CREDENTIALS)
    assert is_error(response, 400, "invalid_query_params")
    assert ".limit is unknown" in response.json()["details"]


async def test_who_may_ask(web: Web) -> None:
    """Without credentials nobody, whatever is asked; and never more than those of a project may see."""
    assert is_error(await web.get(VOUCHER + "DEAD"), 401, "unauthorized")
    assert is_error(await web.get(VOUCHER + "%ff"), 401, "unauthorized")
    async with web.client() as client:
        assert is_error(await client.post(LOOKUPS, content=b"{"), 401, "unauthorized")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_failures(method: str) -> None:
    """A projection that is away: 503 with Retry-After. A fault of ours: 500. Both logged with the route."""
    for error, status, key in (
        (ProjectionUnavailableError("db-1 is away"), 503, "service_unavailable"),
        (RuntimeError("a bug"), 500, "internal_error"),
    ):
        web = over(FailingLookups(error))
        if method == "GET":
            response = await web.get(VOUCHER + "X", **CREDENTIALS)
        else:
            response = await post(web, {"lookups": [{"code": "X"}]})
        assert is_error(response, status, key)
        assert str(error) not in response.text
        assert ("retry-after" in response.headers) == (status == 503)
        assert web.line["route"] == (VOUCHER + "{code}" if method == "GET" else LOOKUPS)
        assert web.line["request_id"] == response.json()["request_id"]
        assert ("exception" in web.line) == (status == 500)
