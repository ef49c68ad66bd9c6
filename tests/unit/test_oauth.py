"""``POST /v1/oauth/token`` and what its tokens open."""

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from shutil import copy
from typing import Final
from urllib.parse import quote_plus

import httpx
import pytest

from consumer.web import tokens as endpoint
from tests.unit.keykit import FORM, GRANT, Keyed, keyed
from tests.unit.webkit import CREDENTIALS, PROJECT, exchange, is_error

BODY: Final = f"{GRANT}&client_id=app-id&client_secret=app-token"


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"{client_id}:{secret}".encode()).decode()}


def is_refused(response: httpx.Response, error: str, status: int = 400) -> bool:
    """Check an error against RFC 6749, section 5.2, and against the shape of all our errors."""
    body = response.json()
    assert is_error(response, status, "unauthorized" if status == 401 else error)
    assert body["error"] == error
    assert set(body["error_description"]) <= {chr(code) for code in range(0x20, 0x7F)} - {'"', "\\"}
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers.get("www-authenticate", "").startswith("Basic ") is (status == 401)
    return True


async def test_a_token(api: Keyed) -> None:
    """A token is answered as RFC 6749 and Voucherify have it, is not for caches, and opens the bin."""
    response = await api.post(BODY)
    body = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    assert response.headers["content-type"] == "application/json"
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 900, "api")
    assert body["client_id"] == "app-id"
    assert isinstance(body["expires_at"], int)
    assert len(body["access_token"]) == 43
    page = await api.web.get("/v1/trash-bin", Authorization=f"Bearer {body['access_token']}")
    assert [entry["resource_name"] for entry in page.json()["data"]] == ["CODE-00", "CODE-01"]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (f"{GRANT}&scope=api", basic("app-id", "app-token")),
        (GRANT, basic("app%2Did", "app%2dtoken")),
        (GRANT, {"Authorization": basic("app-id", "app-token")["Authorization"].replace("Basic", "bAsIc")}),
        (f"{GRANT}&client_id=app-id", basic("app-id", "app-token")),
        (GRANT, CREDENTIALS),
        (f"{BODY}&scope=&audience=x&audience=y", {}),
        (BODY, {"Content-Type": "Application/x-www-form-urlencoded; charset=UTF-8"}),
    ],
)
async def test_ways_to_say_who(api: Keyed, body: str, headers: dict[str, str]) -> None:
    """A client names itself in the body, by HTTP Basic (encoded or not), or as everywhere else."""
    if "audience" in body:
        assert is_refused(await api.post(body, **headers), "invalid_request")
        return
    assert (await api.post(body, **headers)).status_code == 200


async def test_secrets_of_any_kind(bin_of_two: Path, tmp_path: Path) -> None:
    """A secret with what forms encode is understood by Basic as encoded, as it is, and in the body."""
    secret = "a+b c%41:&=é"
    copy(bin_of_two, tmp_path / "bin.db")
    project = replace(PROJECT, api_app_token=secret.encode())
    async with keyed(f"sqlite:///{tmp_path}/bin.db", projects=[project]) as api:
        for headers in (basic("app-id", quote_plus(secret)), basic("app-id", secret)):
            assert (await api.post(GRANT, **headers)).status_code == 200
        body = f"{GRANT}&client_id=app-id&client_secret={quote_plus(secret)}"
        assert (await api.post(body)).status_code == 200


@pytest.mark.parametrize(
    ("body", "headers", "error"),
    [
        ("", CREDENTIALS, "invalid_request"),
        ("grant_type=", CREDENTIALS, "invalid_request"),
        (f"{GRANT}&{GRANT}", CREDENTIALS, "invalid_request"),
        (f"{GRANT}&scope=api&scope=api", CREDENTIALS, "invalid_request"),
        ("grant_type=password&username=a&password=b", CREDENTIALS, "unsupported_grant_type"),
        ("grant_type=CLIENT_CREDENTIALS", CREDENTIALS, "unsupported_grant_type"),
        (f"{GRANT}&scope=vouchers", CREDENTIALS, "invalid_scope"),
        (f"{GRANT}&scope=api+vouchers", CREDENTIALS, "invalid_scope"),
        (f"{GRANT}&scope=api,trash-bin", CREDENTIALS, "invalid_scope"),
        (f"{GRANT}&scope=+", CREDENTIALS, "invalid_scope"),
        (f"{GRANT}&scope=API", CREDENTIALS, "invalid_scope"),
        (f"{GRANT}&scope=%ff", CREDENTIALS, "invalid_request"),
        (b"\xff" + GRANT.encode(), CREDENTIALS, "invalid_request"),
        (f"{GRANT}&client_secret=app-token", {}, "invalid_request"),
        (BODY, CREDENTIALS, "invalid_request"),
        (BODY, basic("app-id", "app-token"), "invalid_request"),
        (GRANT, {**CREDENTIALS, **basic("app-id", "app-token")}, "invalid_request"),
        (f"{GRANT}&client_id=shop-id", basic("app-id", "app-token"), "invalid_request"),
        (f"{GRANT}&client_id=shop-id", CREDENTIALS, "invalid_request"),
        (BODY, {"Content-Type": "application/json"}, "invalid_request"),
        (BODY, {"Content-Type": "multipart/form-data; boundary=x"}, "invalid_request"),
    ],
)
async def test_bad_requests(api: Keyed, body: str | bytes, headers: dict[str, str], error: str) -> None:
    """What is missing, repeated, unknown or in another form is a 400 with RFC 6749's code."""
    assert is_refused(await api.post(body, **headers), error)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (GRANT, {}),
        (f"{GRANT}&client_id=app-id", {}),
        (f"{GRANT}&client_id=app-id&client_secret=wrong", {}),
        (f"{GRANT}&client_id=%00&client_secret=%00", {}),
        (f"{GRANT}&client_id=é&client_secret=é", {}),
        (GRANT, basic("app-id", "wrong")),
        (GRANT, basic("shop-id", "app-token")),
        (GRANT, {"Authorization": "Basic"}),
        (GRANT, {"Authorization": "Basic é"}),
        (GRANT, {"Authorization": "Basic YXBw"}),
        (GRANT, {"Authorization": "Bearer app-token"}),
        (GRANT, {**CREDENTIALS, "X-App-Token": "wrong"}),
        (GRANT, {"X-App-Id": "app-id"}),
    ],
)
async def test_unknown_clients(api: Keyed, body: str, headers: dict[str, str]) -> None:
    """A client that is unknown, or cannot prove who it is: 401, invalid_client, with a challenge."""
    async with api.web.client() as client:
        raw = [(name.encode(), value.encode()) for name, value in {**FORM, **headers}.items()]
        response = await client.post("/v1/oauth/token", content=body.encode(), headers=raw)
    assert is_refused(response, "invalid_client", 401)


async def test_parameters_in_the_url_do_not_count(api: Keyed) -> None:
    """Secrets in a URL end in logs: they are not taken from there."""
    async with api.web.client() as client:
        response = await client.post(f"/v1/oauth/token?{BODY}", headers=FORM)
    assert is_refused(response, "invalid_client", 401)


async def test_bodies_are_bounded(api: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body over 8 KiB is a 413, one that does not come a 408; either ends the connection."""
    assert is_error(await api.post("x" * 8193, **CREDENTIALS), 413, "payload_too_large")
    assert is_refused(await api.post("x" * 8192, **CREDENTIALS), "invalid_request")
    monkeypatch.setattr(endpoint, "BODY_SECONDS", 0.05)
    head = b"POST /v1/oauth/token HTTP/1.1\r\nHost: b\r\nContent-Length: 100\r\n\r\n"
    async with api.web.serve() as port:
        answer = await exchange(port, head, b"grant_type=")
    assert b" 408 " in answer.splitlines()[0]
    assert b"connection: close" in answer.lower()


async def test_scopes(api: Keyed) -> None:
    """``trash-bin`` opens the bin's routes alone, ``api`` everything, also together and in any order."""
    key = await api.create()
    narrow = await api.bearer(key, "trash-bin")
    assert await api.status(**narrow) == 200
    refused = await api.web.get("/health", **narrow)
    assert is_error(refused, 403, "missing_required_permission")
    assert 'error="insufficient_scope", scope="api"' in refused.headers["www-authenticate"]
    for scope in ("api", "trash-bin+api", "api++trash-bin+api"):
        wide = await api.bearer(key, scope)
        assert (await api.status(**wide), await api.status("/health", **wide)) == (200, 200)


async def test_a_token_may_what_its_key_may(api: Keyed) -> None:
    """A token has its key's permissions, and no more, and its key's project."""
    token = await api.bearer(await api.create("vouchers.read"))
    assert is_error(await api.web.get("/v1/trash-bin", **token), 403, "missing_required_permission")
    assert (await api.web.get("/health", **token)).status_code == 200
    theirs = await api.bearer(await api.create(project="shop"))
    assert (await api.web.get("/v1/trash-bin", **theirs)).json()["data"] == []


@pytest.mark.parametrize(
    "value",
    ["Bearer", "Bearer ", "Bearer nothing", "bearer \0", "Bearer x y", "Bearer " + "x" * 5000, "Bearer é"],
)
async def test_wrong_tokens(api: Keyed, value: str) -> None:
    """A token that is none: 401 with RFC 6750's challenge."""
    async with api.web.client() as client:
        response = await client.get("/v1/trash-bin", headers=[(b"Authorization", value.encode())])
    assert is_error(response, 401, "unauthorized")
    assert response.headers["www-authenticate"].startswith('Bearer realm="binmirror", error="invalid_token"')


async def test_no_credentials_no_error_code(api: Keyed) -> None:
    """Without credentials, or with those of another scheme, the challenge has no error in it."""
    for headers in ({}, basic("app-id", "app-token")):
        response = await api.web.get("/v1/trash-bin", **headers)
        assert is_error(response, 401, "unauthorized")
        assert response.headers["www-authenticate"] == 'Bearer realm="binmirror"'


async def test_a_key_goes_before_a_token(api: Keyed) -> None:
    """Beside a key, ``Authorization`` is not looked at; a repeated one is wrong."""
    token = await api.bearer(CREDENTIALS)
    assert await api.status(**CREDENTIALS, Authorization="Bearer of-a-gateway") == 200
    assert await api.status(**{**CREDENTIALS, "X-App-Token": "wrong"}, **token) == 401
    async with api.web.client() as client:
        twice = await client.get("/v1/trash-bin", headers=[*token.items(), *token.items()])
    assert is_error(twice, 401, "unauthorized")
