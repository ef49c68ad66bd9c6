"""Every error, on every route, has one shape."""

from typing import Final

import pytest

from consumer.errors import LogUnavailableError, ProjectionUnavailableError, SchemaMismatchError, StopError
from consumer.types import Health
from tests.unit.webkit import (
    CREDENTIALS,
    DELETED,
    MAX_BODY,
    PATH,
    FailingProducer,
    FailingReader,
    ListProducer,
    Web,
    is_error,
)

ROUTES: Final = ["/health/live", "/health/ready", "/health", "/metrics", "/v1/trash-bin"]
NOWHERE: Final = [
    "/",
    "/nothing",
    "/v1",
    "/v1/",
    "/v1/trash-bin/",
    "/v1/trash-bin/tbe_0eb6515f758ae37126",
    "/v1//trash-bin",
    "/v1/vouchers",
    "/health/",
    "/healthz",
    "/webhooks",
    "/webhooks/voucherifyy",
    "/%00",
    "/..",
    "/v1/trash-bin%2F",
]


async def unready() -> Health:
    return Health(ready=False, summary="the log is away", details={})


def failing(error: Exception) -> Web:
    return Web(FailingProducer(error), FailingReader(error), health={"api": unready})


@pytest.mark.parametrize("path", NOWHERE)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_nothing_there(path: str, method: str) -> None:
    """A path that leads nowhere is a 404, without a redirect."""
    web = Web(ListProducer(), FailingReader(RuntimeError()))
    async with web.client() as client:
        assert is_error(await client.request(method, path), 404, "not_found")
    assert web.lines == []


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
async def test_other_methods(path: str, method: str) -> None:
    """A method that a path does not know is a 405 that names those it does."""
    web = failing(RuntimeError())
    async with web.client() as client:
        response = await client.request(method, path, headers=CREDENTIALS)
    assert is_error(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("path", ROUTES)
async def test_options(path: str) -> None:
    """OPTIONS says which methods there are."""
    async with failing(RuntimeError()).client() as client:
        response = await client.options(path)
    assert response.status_code == 204
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert response.content == b""


@pytest.mark.parametrize("path", ["/health", "/v1/trash-bin"])
async def test_unauthorized(path: str) -> None:
    """Without credentials: 401."""
    assert is_error(await failing(RuntimeError()).get(path), 401, "unauthorized")


async def test_invalid_query() -> None:
    """A query that cannot be understood: 400, naming the parameter."""
    response = await failing(RuntimeError()).get("/v1/trash-bin?limit=0", **CREDENTIALS)
    assert is_error(response, 400, "invalid_query_params")
    assert ".limit" in response.json()["details"]


@pytest.mark.parametrize(
    "error",
    [ProjectionUnavailableError("db-1 is away"), SchemaMismatchError("newer"), StopError("damaged")],
    ids=lambda error: type(error).__name__,
)
async def test_projection_unavailable(error: Exception) -> None:
    """A bin that cannot be read now: 503 with Retry-After, one log line, and nothing about the inside."""
    web = failing(error)
    response = await web.get("/v1/trash-bin", **CREDENTIALS)
    assert is_error(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    assert str(error) not in response.text
    assert web.line["action"] == "request"
    assert web.line["reason"] == str(error)
    assert web.line["request_id"] == response.json()["request_id"]
    assert "exception" not in web.line


async def test_unexpected() -> None:
    """A fault of ours: 500, its traceback in the log under the request's id, nothing of it in the answer."""
    web = failing(RuntimeError("a bug"))
    response = await web.get("/v1/trash-bin", **CREDENTIALS)
    assert is_error(response, 500, "internal_error")
    assert "a bug" not in response.text
    assert web.line["request_id"] == response.json()["request_id"]
    assert "RuntimeError: a bug" in web.line["exception"]
    assert web.line["status"] == 500


async def test_not_ready() -> None:
    """An unready process: 503 that names the role and the reason."""
    response = await failing(RuntimeError()).get("/health/ready")
    assert is_error(response, 503, "not_ready")
    assert response.json()["details"] == "api: the log is away"


async def test_webhooks() -> None:
    """The receiver's errors have the same shape."""
    web = failing(LogUnavailableError("away"))
    assert is_error(await web.post(DELETED, secret=b"wrong"), 401, "unauthorized")
    assert is_error(await web.post(DELETED), 503, "service_unavailable")
    assert is_error(await web.post(b" " * (MAX_BODY + 1)), 413, "payload_too_large")
    assert is_error(await web.get(PATH), 405, "method_not_allowed")


@pytest.mark.parametrize("path", [*ROUTES, "/nothing"])
async def test_head(path: str) -> None:
    """HEAD is answered like GET."""
    web = failing(ProjectionUnavailableError("away"))
    async with web.client() as client:
        head, get = [await client.request(method, path, headers=CREDENTIALS) for method in ("HEAD", "GET")]
    assert head.status_code == get.status_code
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", [*ROUTES, "/nothing"])
async def test_common_headers(path: str) -> None:
    """Every answer but a webhook's carries its request's id and may be neither stored nor guessed at."""
    response = await failing(ProjectionUnavailableError("away")).get(path, **CREDENTIALS)
    assert response.headers["x-request-id"].startswith("v-")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_request_ids_differ() -> None:
    """No two requests share an id, whatever the client sends."""
    web = failing(RuntimeError())
    ids = {(await web.get("/nothing", **{"X-Request-Id": "mine"})).headers["x-request-id"] for _ in range(50)}
    assert len(ids) == 50
    assert "mine" not in ids


async def test_routes_of_the_roles_alone() -> None:
    """A process without a role has none of its routes."""
    receiver, api = Web(ListProducer()), Web(reader=FailingReader(RuntimeError()))
    assert is_error(await receiver.get("/v1/trash-bin", **CREDENTIALS), 404, "not_found")
    assert is_error(await api.post(DELETED), 404, "not_found")
    worker = Web()
    assert is_error(await worker.post(DELETED), 404, "not_found")
    assert is_error(await worker.get("/v1/trash-bin", **CREDENTIALS), 404, "not_found")
    assert (await worker.get("/health/live")).status_code == 200
