"""Who gets in at the webhook endpoint: paths, signatures, methods."""

import json
from dataclasses import replace
from typing import Final

import pytest

from consumer.types import Project
from consumer.web.signature import sign
from schemas.records import read_delivery
from tests.unit.webkit import DATA, DELETED, PATH, PROJECT, SECRET, ListProducer, Web, is_error

SHOP: Final = Project("shop", webhook_secrets=(b"secret of shop", b"older secret of shop"))


@pytest.mark.parametrize(
    ("path", "project", "name"),
    [
        (PATH, "default", None),
        (PATH + "/", "default", None),
        (PATH + "/default", "default", None),
        (PATH + "/default/", "default", None),
        (PATH + "/shop", "shop", None),
        (PATH + "/voucher.deleted", "default", "voucher.deleted"),
        (PATH + "/EVENTS.VOUCHER.DELETED", "default", "EVENTS.VOUCHER.DELETED"),
        (PATH + "/shop/voucher.deleted", "shop", "voucher.deleted"),
        (PATH + "/shop/EVENTS%2EVOUCHER%2EDELETED", "shop", "EVENTS.VOUCHER.DELETED"),
        (PATH + "/%73hop", "shop", None),
    ],
)
async def test_paths(path: str, project: str, name: str | None) -> None:
    """A segment with a dot names the event, one without the project; without one it is the default."""
    producer = ListProducer()
    web = Web(producer, projects={"default": PROJECT, "shop": SHOP})
    secret = SECRET if project == "default" else SHOP.webhook_secrets[0]
    response = await web.post(DELETED, path, secret)
    assert response.status_code == 202
    (record,) = producer.records
    delivery = read_delivery(record.headers, record.value)
    assert delivery.project == project
    assert delivery.event_name == name
    assert record.key.startswith(f"{project}/".encode())


async def test_the_only_project_is_the_default() -> None:
    """Where there is one project, the path need not name it."""
    web = Web(ListProducer(), projects={"shop": SHOP})
    assert (await web.post(DELETED, PATH, b"older secret of shop")).status_code == 202
    assert web.line["project"] == "shop"


async def test_no_default_among_several() -> None:
    """Where there are several projects and none is named default, the path has to name one."""
    web = Web(ListProducer(), projects={"shop": SHOP, "other": replace(SHOP, name="other")})
    assert (await web.post(DELETED, PATH, b"secret of shop")).status_code == 401
    assert (await web.post(DELETED, PATH + "/shop", b"secret of shop")).status_code == 202


async def test_the_path_names_the_event_of_a_body_without_envelope() -> None:
    """A body that is the data alone takes its type from the path."""
    producer = ListProducer()
    web = Web(producer)
    body = (DATA / "webhooks" / "voucher.deleted.data_only.json").read_bytes()
    response = await web.post(body, PATH + "/EVENTS.VOUCHER.DELETED")
    assert response.status_code == 202
    assert web.line["type"] == "voucher.deleted"
    assert dict(producer.records[0].headers)["ce_type"] == b"voucher.deleted"


async def test_a_projects_secret_opens_no_other() -> None:
    """A signature by one project's secret is worth nothing on another's path."""
    web = Web(ListProducer(), projects={"default": PROJECT, "shop": SHOP})
    assert is_error(await web.post(DELETED, PATH + "/shop", SECRET), 401, "unauthorized")


@pytest.mark.parametrize(
    ("path", "headers", "reason"),
    [
        (PATH, [], "signature_missing"),
        (PATH, [("x-voucherify-signature", "")], "signature_wrong"),
        (PATH, [("x-voucherify-signature", "0" * 64)], "signature_wrong"),
        (PATH, [("x-voucherify-signature", "\xe9" * 64)], "signature_wrong"),
        (PATH, [("x-voucherify-signature", "0" * 20_000)], "signature_wrong"),
        (PATH, [("x-voucherify-signature", sign(DELETED, SECRET).decode())] * 2, "signature_repeated"),
        (PATH, [("x-voucherify-signature", sign(DELETED, SECRET).decode())] * 3, "signature_repeated"),
        (
            PATH + "/nobody",
            [("x-voucherify-signature", sign(DELETED, SECRET).decode())],
            "unknown_project",
        ),
        (PATH + "/nobody", [], "unknown_project"),
        (
            PATH + "/default/voucher.deleted/more",
            [("x-voucherify-signature", sign(DELETED, SECRET).decode())],
            "unknown_project",
        ),
        (
            PATH + "/default/" + "a." * 200,
            [("x-voucherify-signature", sign(DELETED, SECRET).decode())],
            "unknown_project",
        ),
    ],
)
async def test_unauthorized(path: str, headers: list[tuple[str, str]], reason: str) -> None:
    """A signature that is not the one, and a path of no project, get one and the same 401."""
    producer = ListProducer()
    web = Web(producer)
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    async with web.client() as client:
        response = await client.post(path, content=DELETED, headers=raw)
    assert is_error(response, 401, "unauthorized")
    body = response.json()
    sample = json.loads((DATA / "rest" / "unauthorized.401.json").read_text())
    del body["request_id"]
    assert body == sample
    assert producer.records == []
    line = web.line
    assert line["outcome"] == "unauthorized"
    assert line["level"] == "warning"
    assert line["reason"] == reason
    assert line["request_id"] == response.headers["x-request-id"]
    assert web.count("unauthorized", line["project"]) == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
async def test_other_methods(method: str) -> None:
    """Only POST is allowed, and the answer says so."""
    web = Web(ListProducer())
    async with web.client() as client:
        response = await client.request(method, PATH + "/default")
    assert response.headers["allow"] == "POST"
    assert response.status_code == 405
    assert web.count("method_not_allowed") == 1
