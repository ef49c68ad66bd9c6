"""The webhook endpoint."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from pysqlite3 import dbapi2 as sqlite

from consumer.clock import SystemClock
from consumer.errors import LogUnavailableError, NotDurableError, RecordRefusedError
from consumer.eventlog.base import Appended
from consumer.eventlog.sqlite import SqliteProducer
from consumer.metrics import Metrics
from consumer.types import Project
from consumer.web.signature import sign
from schemas.records import read_delivery
from schemas.samples import voucher_deleted
from tests.unit.webkit import (
    DATA,
    DELETED,
    MAX_BODY,
    PATH,
    PROJECT,
    SECRET,
    FailingProducer,
    ListProducer,
    Web,
    exchange,
    is_error,
    until,
)

SHOP: Final = Project("shop", webhook_secrets=(b"secret of shop", b"older secret of shop"))
SAMPLES: Final = sorted((DATA / "webhooks").iterdir())


def headers_of(producer: ListProducer) -> dict[str, bytes]:
    (record,) = producer.records
    return dict(record.headers)


async def test_stores_what_was_received() -> None:
    """A signed delivery is stored byte for byte under its resource's key, and answered 202 with its place."""
    producer = ListProducer()
    web = Web(producer)
    response = await web.post(DELETED)
    assert response.status_code == 202
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "event_id": "evvou_0e451d8bb1100d79dd",
        "position": {"partition": 0, "offset": 0},
        "stored": "log",
    }
    (record,) = producer.records
    assert record.value == DELETED
    assert record.key == b"default/voucher/v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs"
    delivery = read_delivery(record.headers, record.value)
    assert delivery.project == "default"
    assert delivery.source == "voucherify"
    assert headers_of(producer)["voucherify-signature"] == sign(DELETED, SECRET)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.name)
async def test_every_published_sample(sample: Any) -> None:
    """Every body that Voucherify publishes is answered 202."""
    web = Web(ListProducer())
    assert (await web.post(sample.read_bytes())).status_code == 202


async def test_one_line_and_one_count_per_delivery() -> None:
    """A delivery leaves one log line and one count, with neither secret nor signature nor body."""
    web = Web(ListProducer())
    await web.post(DELETED)
    line = web.line
    assert line["action"] == "delivery"
    assert line["level"] == "info"
    assert line["outcome"] == "stored"
    assert line["status"] == 202
    assert line["project"] == "default"
    assert line["event_id"] == "evvou_0e451d8bb1100d79dd"
    assert line["type"] == "voucher.deleted"
    assert line["delivery_id"] == "whs_0e451d90282927d378"
    assert line["bytes"] == len(DELETED)
    assert line["duration_ms"] >= 0
    text = json.dumps(line)
    assert SECRET.decode() not in text
    assert sign(DELETED, SECRET).decode() not in text
    assert "DISCOUNT_VOUCHER" not in text
    assert web.count("stored") == 1
    assert web.metrics.registry.get_sample_value("binmirror_delivery_seconds_count") == 1


async def test_duplicates_are_stored_again() -> None:
    """A duplicate is no error: the worker recognises it."""
    producer = ListProducer()
    web = Web(producer)
    first, second = await web.post(DELETED), await web.post(DELETED)
    assert first.status_code == second.status_code == 202
    assert len(producer.records) == 2


async def test_spooled() -> None:
    """What went to the spool has no position yet, and says so."""
    web = Web(ListProducer(Appended(None, "spool")))
    response = await web.post(DELETED)
    assert response.status_code == 202
    assert response.json()["position"] is None
    assert response.json()["stored"] == "spool"
    assert web.count("spooled") == 1


async def test_unwanted_types_are_not_stored() -> None:
    """A verified delivery of a type that nobody asked for is answered 202 and not kept."""
    producer = ListProducer()
    web = Web(producer)
    response = await web.post((DATA / "webhooks" / "redemption.succeeded.json").read_bytes())
    assert response.status_code == 202
    assert response.json()["stored"] is False
    assert response.json()["position"] is None
    assert producer.records == []
    assert web.count("unwanted") == 1


@pytest.mark.parametrize(
    ("pattern", "kept"), [("*", True), ("redemption.*", True), ("Redemption.*", False), ("voucher.*", False)]
)
async def test_patterns(pattern: str, *, kept: bool) -> None:
    """The project's patterns decide, case-sensitively, what is stored."""
    producer = ListProducer()
    web = Web(producer, projects={"default": replace(PROJECT, event_types=(pattern,))})
    await web.post((DATA / "webhooks" / "redemption.succeeded.json").read_bytes())
    assert bool(producer.records) is kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"{",
        b"{}",
        b"[]",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"test": "\xff"}',
        b'{"a": "\\ud800"}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1e999999}',
        b'{"a": 1, "a": 2}',
        b'{"test": true}',
        DELETED[:700],
        DELETED.replace(b"v_SLmKIus1KXxx5N9qT1ZMVWOu2xk6JxJs", b"\\u0000"),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b"\\u0000"),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b"\\ud83d"),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b'quote \\" and \\\\ and \xf0\x9f\x8e\x9f\n'),
        DELETED.replace(b"evvou_0e451d8bb1100d79dd", b"x" * 10_000),
    ],
    ids=lambda body: repr(body[:20]) + str(len(body)),
)
async def test_signed_but_senseless(body: bytes) -> None:
    """Whatever is signed is kept and answered 202 with well-formed JSON, sense or none."""
    producer = ListProducer()
    web = Web(producer)
    response = await web.post(body)
    assert response.status_code == 202
    assert response.json()["event_id"]
    assert producer.records[0].value == body
    assert web.line["outcome"] == "stored"


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
    assert headers_of(producer)["ce_type"] == b"voucher.deleted"


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


@pytest.mark.parametrize(
    "error",
    [
        LogUnavailableError("away"),
        NotDurableError("neither log nor spool"),
        RecordRefusedError("too large"),
        RuntimeError("a bug"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_not_durable(error: Exception) -> None:
    """Whatever keeps a delivery from being stored is our fault: 503 and soon again, never a 4xx."""
    web = Web(FailingProducer(error))
    response = await web.post(DELETED)
    assert is_error(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    assert web.line["level"] == "error"
    assert web.line["outcome"] == "unavailable"
    assert ("exception" in web.line) is isinstance(error, RuntimeError)
    assert web.count("unavailable") == 1


async def test_shutting_down() -> None:
    """From the stop signal on nothing is taken any more."""
    producer = ListProducer()
    web = Web(producer)
    web.shutting_down = True
    response = await web.post(DELETED)
    assert is_error(response, 503, "service_unavailable")
    assert response.headers["retry-after"] == "5"
    assert producer.records == []
    assert web.line["reason"] == "shutting_down"


async def test_cancelled_in_flight() -> None:
    """A request that is cut off at the end of the shutdown deadline is answered 503."""
    producer = ListProducer()
    producer.may_answer.clear()
    web = Web(producer)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": DELETED, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": [(b"x-voucherify-signature", sign(DELETED, SECRET))],
    }
    task = asyncio.ensure_future(web.app(scope, receive, send))
    await producer.asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sent[0]["status"] == 503
    assert web.line["reason"] == "shutting_down"


async def test_content_type_and_encoding_are_not_looked_at() -> None:
    """What is signed is the body as it comes, whatever the headers call it."""
    producer = ListProducer()
    web = Web(producer)
    async with web.client() as client:
        headers = {
            "X-Voucherify-Signature": sign(DELETED, SECRET).decode(),
            "Content-Type": "text/plain; charset=utf-16",
            "Content-Encoding": "gzip",
        }
        response = await client.post(PATH, content=DELETED, headers=headers)
    assert response.status_code == 202
    assert producer.records[0].value == DELETED


def request_head(*lines: str, body: bytes = b"") -> bytes:
    head = [f"POST {PATH} HTTP/1.1", "Host: x", f"X-Voucherify-Signature: {sign(body, SECRET).decode()}"]
    return "\r\n".join([*head, *lines, "", ""]).encode()


async def test_body_at_the_limit() -> None:
    """The limit itself is allowed; one byte more is not."""
    web = Web(ListProducer())
    async with web.serve() as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        for size, status in ((MAX_BODY, 202), (MAX_BODY + 1, 413)):
            body = b" " * size
            headers = {"X-Voucherify-Signature": sign(body, SECRET).decode()}
            response = await client.post(PATH, content=body, headers=headers)
            assert response.status_code == status
    assert web.count("too_large") == 1


@pytest.mark.parametrize("length", [MAX_BODY + 1, 10**15, 2**63 - 1])
async def test_announced_oversize(length: int) -> None:
    """A body announced as too large is refused before any of it is read, and the connection ends."""
    web = Web(ListProducer())
    async with web.serve() as port:
        answer = await exchange(port, request_head(f"Content-Length: {length}"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"key":"payload_too_large"' in answer
    assert b"connection: close" in answer
    assert web.line["reason"] == "content_length"


async def test_oversize_in_chunks() -> None:
    """A body of unknown length is refused once it exceeds the limit; the rest is not waited for."""
    web = Web(ListProducer())
    chunk = b"%x\r\n%b\r\n" % (MAX_BODY, b"x" * MAX_BODY)
    async with web.serve() as port:
        answer = await exchange(port, request_head("Transfer-Encoding: chunked"), chunk, b"1\r\nx\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert web.line["reason"] == "body"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([request_head("Content-Length: 4")], id="nothing"),
        pytest.param([request_head("Content-Length: 4"), b"{}"], id="half"),
        pytest.param([request_head("Transfer-Encoding: chunked"), b"2\r\n{}\r\n"], id="chunks"),
    ],
)
async def test_slow_sender(parts: list[bytes]) -> None:
    """A body that does not arrive in time ends with 408, and does not hold up anyone else."""
    web = Web(ListProducer(), body_timeout=0.2)
    async with web.serve() as port:
        slow = asyncio.create_task(exchange(port, *parts))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            headers = {"X-Voucherify-Signature": sign(b"{}", SECRET).decode()}
            assert (await client.post(PATH, content=b"{}", headers=headers)).status_code == 202
        answer = await slow
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert web.count("timeout") == 1


async def test_body_in_pieces() -> None:
    """A body that takes several packets, but not too long, is put together."""
    producer = ListProducer()
    web = Web(producer)
    head = request_head(f"Content-Length: {len(DELETED)}", "Connection: close", body=DELETED)
    async with web.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for part in (head, DELETED[:10], DELETED[10:1000], DELETED[1000:]):
            writer.write(part)
            await writer.drain()
            # Another request's answer shows that the server has read the part.
            async with httpx.AsyncClient() as client:
                await client.get(f"http://127.0.0.1:{port}/health/live")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert producer.records[0].value == DELETED


async def test_expect_continue() -> None:
    """A client that waits to be asked for the body is asked."""
    web = Web(ListProducer())
    head = request_head("Content-Length: 2", "Expect: 100-continue", "Connection: close", body=b"{}")
    async with web.serve() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await asyncio.wait_for(reader.readline(), 10) == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"{}")
        assert b"HTTP/1.1 202 " in await asyncio.wait_for(reader.read(), 10)
        writer.close()


@pytest.mark.parametrize("part", [b"", b"{"])
async def test_client_gone(part: bytes) -> None:
    """A client that goes away in the middle of its body leaves a line, and the process goes on."""
    producer = ListProducer()
    web = Web(producer)
    async with web.serve() as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_head("Content-Length: 2") + part)
        await writer.drain()
        writer.close()
        await until(lambda: web.count("disconnected") == 1)
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
    assert web.line["outcome"] == "disconnected"
    assert producer.records == []


async def test_many_at_once_on_few_connections() -> None:
    """Pipelined requests on one connection are all answered, in order."""
    producer = ListProducer()
    web = Web(producer)
    bodies = [json.dumps({"n": n}).encode() for n in range(20)]
    requests = [request_head(f"Content-Length: {len(body)}", body=body) + body for body in bodies]
    requests[-1] = request_head(f"Content-Length: {len(bodies[-1])}", "Connection: close", body=bodies[-1])
    async with web.serve() as port:
        answer = await exchange(port, b"".join(requests) + bodies[-1])
    assert answer.count(b"HTTP/1.1 202 ") == 20
    assert [record.value for record in producer.records] == bodies


async def test_into_a_real_log(tmp_path: Path) -> None:
    """Deliveries at once get one offset each in a SQLite log, in which they lie as received."""
    metrics, path = Metrics(), tmp_path / "log.db"
    producer = SqliteProducer(path, clock=SystemClock(), metrics=metrics)
    await producer.start()
    web = Web(producer)
    answers = await asyncio.gather(*(web.post(voucher_deleted()) for _ in range(100)))
    await producer.stop()
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["position"]["offset"] for answer in answers) == list(range(100))


async def test_log_that_is_locked(tmp_path: Path) -> None:
    """A log that cannot be written within its deadline: 503, and 202 again once it can be."""
    path = tmp_path / "log.db"
    producer = SqliteProducer(path, clock=SystemClock(), metrics=Metrics(), deadline=0.3)
    await producer.start()
    web = Web(producer)
    blocker = sqlite.connect(str(path), isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    assert is_error(await web.post(DELETED), 503, "service_unavailable")
    blocker.execute("ROLLBACK")
    blocker.close()
    assert (await web.post(DELETED)).status_code == 202
    await producer.stop()
